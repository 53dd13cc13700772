//! Certificates: proof that more than two thirds of a set's weight signed the same vote.
//!
//! An exact bitmap and the signatures in set order. Every signature is verified, with no early exit, and a
//! certificate is handled as a whole, never vote by vote.

use serde::{Deserialize, Serialize};

use crate::codec::{Wire, encode};
use crate::hash::{ChainId, Hash, Tag};
use crate::keys::{PublicKey, Signature, SignedBytes, verify_together};
use crate::validators::{VALIDATORS_MAX, ValidatorIndex, ValidatorSet};
use crate::vote::{Vote, VoteData};

/// Which members of a set signed: bit `i` of byte `i / 8`, least significant first, for member `i`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bitmap(Vec<u8>);

impl Bitmap {
    /// Nobody of `members`.
    #[must_use]
    pub fn empty(members: usize) -> Self {
        Self(vec![0; members.div_ceil(8)])
    }

    /// Marks a member.
    ///
    /// # Panics
    /// If the index is out of the range the bitmap was made for.
    pub fn insert(&mut self, index: ValidatorIndex) {
        self.0[usize::from(index / 8)] |= 1 << (index % 8);
    }

    /// Whether a member is marked.
    #[must_use]
    pub fn contains(&self, index: ValidatorIndex) -> bool {
        self.0.get(usize::from(index / 8)).is_some_and(|byte| byte & 1 << (index % 8) != 0)
    }

    /// How many are marked.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// The marked members, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ValidatorIndex> {
        let end = ValidatorIndex::try_from(self.0.len() * 8).unwrap_or(ValidatorIndex::MAX);
        (0..end).filter(|index| self.contains(*index))
    }

    /// Whether the length is exact for `members` and no spare bit is set.
    #[must_use]
    pub fn fits(&self, members: usize) -> bool {
        self.0.len() == members.div_ceil(8)
            && (members.is_multiple_of(8) || self.0.last().is_none_or(|last| last >> (members % 8) == 0))
    }
}

/// Signatures of a quorum on one vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// What was signed.
    pub data: VoteData,
    /// Who signed.
    pub signers: Bitmap,
    /// Their signatures, in set order.
    pub signatures: Vec<Signature>,
}

impl Wire for Certificate {
    const SIZE_MAX: usize = 128 + VALIDATORS_MAX / 8 + VALIDATORS_MAX * 64;
}

/// Why a certificate proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The bitmap has the wrong length or spare bits for this set.
    #[error("the signer bitmap does not fit a set of {0}")]
    Bitmap(usize),
    /// As many signatures as signers are required.
    #[error("{signatures} signatures for {signers} signers")]
    SignatureCount {
        /// Signers marked.
        signers: usize,
        /// Signatures present.
        signatures: usize,
    },
    /// Fields of the vote contradict each other.
    #[error("the vote is not well formed")]
    Vote,
    /// Too little weight signed.
    #[error("{weight} of {total} weight is no quorum")]
    NoQuorum {
        /// Weight that signed.
        weight: u64,
        /// Weight of the set.
        total: u64,
    },
    /// At least one signature is invalid.
    #[error("a signature is invalid")]
    Signature,
}

impl Certificate {
    const HASH: Tag = Tag::new("timecoin certificate");

    /// Collects votes on `data`, whose signatures the caller has checked. `None` where they are no quorum.
    #[must_use]
    pub fn from_votes<'a>(
        data: VoteData,
        votes: impl IntoIterator<Item = &'a Vote>,
        set: &ValidatorSet,
    ) -> Option<Self> {
        let mut votes: Vec<_> = votes
            .into_iter()
            .filter(|vote| vote.data == data && set.validator(vote.validator).is_some())
            .collect();
        votes.sort_by_key(|vote| vote.validator);
        votes.dedup_by_key(|vote| vote.validator);
        let mut signers = Bitmap::empty(set.len());
        votes.iter().for_each(|vote| signers.insert(vote.validator));
        let certificate =
            Self { data, signers, signatures: votes.iter().map(|vote| vote.signature).collect() };
        set.is_quorum(certificate.weight(set)).then_some(certificate)
    }

    /// Adds a vote that the caller has checked against the same set. False if it is another vote, its signer is
    /// already in, or has no place in the bitmap.
    pub fn insert(&mut self, vote: &Vote) -> bool {
        let index = vote.validator;
        let fits = usize::from(index / 8) < self.signers.0.len();
        if vote.data != self.data || !fits || self.signers.contains(index) {
            return false;
        }
        let at = self.signers.iter().take_while(|signer| *signer < index).count();
        self.signers.insert(index);
        self.signatures.insert(at, vote.signature);
        true
    }

    /// Weight of the signers in `set`.
    #[must_use]
    pub fn weight(&self, set: &ValidatorSet) -> u64 {
        self.signers.iter().filter_map(|index| set.validator(index)).map(|member| member.weight).sum()
    }

    /// What a header commits to.
    #[must_use]
    pub fn hash(certificate: Option<&Self>) -> Hash {
        Self::HASH.hash(&[&encode(&certificate)])
    }

    /// Checks form and weight, and returns the signatures that remain to be checked.
    pub fn check_form(
        &self,
        set: &ValidatorSet,
        chain: &ChainId,
    ) -> Result<Vec<SignedBytes>, CertificateError> {
        if !self.signers.fits(set.len()) {
            return Err(CertificateError::Bitmap(set.len()));
        }
        let (signers, signatures) = (self.signers.count(), self.signatures.len());
        if signers != signatures {
            return Err(CertificateError::SignatureCount { signers, signatures });
        }
        if !self.data.is_well_formed() {
            return Err(CertificateError::Vote);
        }
        let weight = self.weight(set);
        if !set.is_quorum(weight) {
            return Err(CertificateError::NoQuorum { weight, total: set.total() });
        }
        let message = self.data.sign_bytes(chain);
        Ok(self
            .signed_by(set)
            .map(|(key, signature)| SignedBytes { key, message: message.clone(), signature })
            .collect())
    }

    /// Checks everything: form, quorum and every signature.
    pub fn verify(&self, set: &ValidatorSet, chain: &ChainId) -> Result<(), CertificateError> {
        let signatures = self.check_form(set, chain)?;
        if verify_together(&signatures) { Ok(()) } else { Err(CertificateError::Signature) }
    }

    /// The votes it is made of.
    pub fn votes(&self) -> impl Iterator<Item = Vote> {
        self.signers.iter().zip(&self.signatures).map(|(validator, signature)| Vote {
            data: self.data,
            validator,
            signature: *signature,
        })
    }

    fn signed_by(&self, set: &ValidatorSet) -> impl Iterator<Item = (PublicKey, Signature)> {
        let keys = self.signers.iter().filter_map(|index| set.validator(index)).map(|member| member.key);
        keys.zip(self.signatures.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{BlockId, MasternodeId};
    use crate::keys::SecretKey;
    use crate::validators::Validator;
    use crate::vote::{Height, Phase, ViewNumber};

    const CHAIN: ChainId = ChainId(Hash([7; 32]));

    fn sample(members: u8) -> (ValidatorSet, Vec<SecretKey>, VoteData) {
        let mut keys: Vec<_> = (1..=members).map(|seed| SecretKey::from_seed(&[seed; 32])).collect();
        keys.sort_by_key(SecretKey::public_key);
        let member = |key: &SecretKey| Validator {
            key: key.public_key(),
            weight: 1,
            masternode: MasternodeId(Hash(key.public_key().0)),
        };
        let set = ValidatorSet::new(keys.iter().map(member).collect()).unwrap();
        let data = VoteData {
            phase: Phase::Commit,
            height: Height(5),
            view: ViewNumber(1),
            block: Some(BlockId(Hash([3; 32]))),
            valid_view: None,
        };
        (set, keys, data)
    }

    fn certificate(members: u8, signers: &[u16]) -> (ValidatorSet, Option<Certificate>) {
        let (set, keys, data) = sample(members);
        let votes: Vec<_> =
            signers.iter().map(|at| Vote::sign(data, *at, &CHAIN, &keys[usize::from(*at)])).collect();
        let certificate = Certificate::from_votes(data, &votes, &set);
        (set, certificate)
    }

    #[test]
    fn a_quorum_verifies_and_less_is_none() {
        let (set, found) = certificate(10, &[9, 0, 1, 2, 3, 4, 5]);
        assert_eq!(found.unwrap().verify(&set, &CHAIN), Ok(()));
        assert_eq!(certificate(10, &[0, 1, 2, 3, 4, 5]).1, None);
        assert_eq!(certificate(10, &[0, 0, 0, 0, 0, 0, 0, 0]).1, None, "one signer many times counts once");
    }

    #[test]
    fn malformed_certificates_are_refused() {
        let (set, found) = certificate(10, &[0, 1, 2, 3, 4, 5, 6]);
        let good = found.unwrap();
        let with = |change: fn(&mut Certificate)| {
            let mut changed = good.clone();
            change(&mut changed);
            changed.verify(&set, &CHAIN)
        };
        assert_eq!(with(|c| c.signers.0.push(0)), Err(CertificateError::Bitmap(10)));
        assert_eq!(with(|c| c.signers.0.clear()), Err(CertificateError::Bitmap(10)));
        assert_eq!(with(|c| c.signers.0[1] |= 0b100), Err(CertificateError::Bitmap(10)));
        let count = CertificateError::SignatureCount { signers: 8, signatures: 7 };
        assert_eq!(with(|c| c.signers.insert(9)), Err(count));
        assert_eq!(with(|c| c.signatures.swap(0, 1)), Err(CertificateError::Signature));
        assert_eq!(with(|c| c.signatures[6].0[40] ^= 1), Err(CertificateError::Signature));
        assert_eq!(with(|c| c.data.block = None), Err(CertificateError::Signature));
        assert_eq!(with(|c| c.data.phase = Phase::Prepare), Err(CertificateError::Signature));
        assert_eq!(with(|c| c.data.view = ViewNumber(2)), Err(CertificateError::Signature));
        assert_eq!(good.verify(&set, &ChainId(Hash([8; 32]))), Err(CertificateError::Signature));
        let below = with(|c| {
            c.signers.0[0] &= !1;
            c.signatures.remove(0);
        });
        assert_eq!(below, Err(CertificateError::NoQuorum { weight: 6, total: 10 }));
    }
}
