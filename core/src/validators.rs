//! The weighted validator set of an epoch, its quorum arithmetic and its proposer choice.
//!
//! A set is a value derived from certified chain state. It is never assembled from who is connected, and
//! the quorum is over its total weight whoever answers.

use serde::{Deserialize, Serialize};

use crate::codec::{Wire, encode};
use crate::hash::{Hash, MasternodeId, Tag};
use crate::keys::PublicKey;

/// Most validators in a set; the chain spec may say fewer.
pub const VALIDATORS_MAX: usize = 256;
/// Most weight of one validator, so that no sum can overflow.
pub const WEIGHT_MAX: u64 = 1 << 55;

/// One member of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validator {
    /// The operator key that signs votes.
    pub key: PublicKey,
    /// Voting weight, 1 to [`WEIGHT_MAX`].
    pub weight: u64,
    /// Whose collateral stands behind it.
    pub masternode: MasternodeId,
}

/// Position of a validator in its set.
pub type ValidatorIndex = u16;

/// A validator set: sorted by weight descending then key ascending, which fixes every index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Validator>", into = "Vec<Validator>")]
pub struct ValidatorSet {
    validators: Vec<Validator>,
    total: u64,
    hash: Hash,
}

impl Wire for ValidatorSet {
    const SIZE_MAX: usize = 8 + VALIDATORS_MAX * (32 + 8 + 32);
}

/// Why validators do not form a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorSetError {
    /// No members.
    #[error("a validator set cannot be empty")]
    Empty,
    /// More members than allowed.
    #[error("{0} validators; at most {VALIDATORS_MAX} are allowed")]
    TooMany(usize),
    /// A member without weight.
    #[error("validator {0} has no weight")]
    ZeroWeight(PublicKey),
    /// A member with too much weight.
    #[error("validator {0} has more weight than any may have")]
    WeightTooLarge(PublicKey),
    /// Two members with one key.
    #[error("two validators have the key {0}")]
    DuplicateKey(PublicKey),
    /// Received in another order than the canonical one.
    #[error("validators are not in canonical order")]
    Order,
}

impl From<ValidatorSet> for Vec<Validator> {
    fn from(set: ValidatorSet) -> Self {
        set.validators
    }
}

impl TryFrom<Vec<Validator>> for ValidatorSet {
    type Error = ValidatorSetError;

    /// Accepts the canonical order only: there is one encoding per set.
    fn try_from(validators: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        let set = Self::new(validators.clone())?;
        if set.validators == validators { Ok(set) } else { Err(ValidatorSetError::Order) }
    }
}

impl ValidatorSet {
    const HASH: Tag = Tag::new("timecoin validators");
    const PROPOSER: Tag = Tag::new("timecoin proposer");

    /// A set from members in any order.
    pub fn new(members: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        if members.is_empty() {
            return Err(ValidatorSetError::Empty);
        }
        if members.len() > VALIDATORS_MAX {
            return Err(ValidatorSetError::TooMany(members.len()));
        }
        // They are few and mostly come in order: putting each in its place is quick, and little code.
        let mut validators: Vec<Validator> = Vec::with_capacity(members.len());
        for member in members {
            let place =
                |other: &Validator| member.weight.cmp(&other.weight).then(other.key.cmp(&member.key)).is_lt();
            validators.insert(validators.partition_point(place), member);
        }
        let mut total = 0u64;
        for validator in &validators {
            if validator.weight == 0 {
                return Err(ValidatorSetError::ZeroWeight(validator.key));
            }
            if validator.weight > WEIGHT_MAX {
                return Err(ValidatorSetError::WeightTooLarge(validator.key));
            }
            total = total.checked_add(validator.weight).expect("256 weights of 2^55 fit in 63 bits");
        }
        let mut keys = Vec::with_capacity(validators.len());
        match validators.iter().find(|validator| !insert_key(&mut keys, validator.key)) {
            Some(repeated) => Err(ValidatorSetError::DuplicateKey(repeated.key)),
            None => {
                let hash = Self::HASH.hash(&[&encode(&validators)]);
                Ok(Self { validators, total, hash })
            }
        }
    }

    /// What a header commits to.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Number of members, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub fn len(&self) -> usize {
        self.validators.len()
    }

    /// Sum of the weights.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The member at `index`, where there is one.
    #[must_use]
    pub fn validator(&self, index: ValidatorIndex) -> Option<&Validator> {
        self.validators.get(usize::from(index))
    }

    /// Position of the member with this key.
    #[must_use]
    pub fn index_of(&self, key: &PublicKey) -> Option<ValidatorIndex> {
        let at = self.validators.iter().position(|validator| validator.key == *key)?;
        ValidatorIndex::try_from(at).ok()
    }

    /// Members with their positions, in order.
    pub fn iter(&self) -> impl Iterator<Item = (ValidatorIndex, &Validator)> {
        (0..).zip(&self.validators)
    }

    /// More than two thirds of the total?
    #[must_use]
    pub fn is_quorum(&self, weight: u64) -> bool {
        3 * u128::from(weight) > 2 * u128::from(self.total)
    }

    /// More than one third of the total: at least one honest member is among them.
    #[must_use]
    pub fn is_honest_share(&self, weight: u64) -> bool {
        3 * u128::from(weight) > u128::from(self.total)
    }

    /// Who proposes in `view` of `height`: a weighted draw without replacement, so that each further view
    /// brings a member not yet tried. `absent` members are left out; if all are absent, none is.
    ///
    /// Stateless: a function of the set, the height, the view and the absence recorded in the chain.
    #[must_use]
    pub fn proposer(
        &self,
        height: u64,
        view: u32,
        absent: impl Fn(ValidatorIndex) -> bool,
    ) -> ValidatorIndex {
        let mut pool: Vec<(ValidatorIndex, u64)> = self
            .iter()
            .filter(|(index, _)| !absent(*index))
            .map(|(index, member)| (index, member.weight))
            .collect();
        if pool.is_empty() {
            pool = self.iter().map(|(index, member)| (index, member.weight)).collect();
        }
        let mut seed = Self::PROPOSER.hasher();
        seed.update(&self.hash.0);
        seed.update(&height.to_le_bytes());
        let mut draws = seed.finalize_xof();
        let rounds = view as usize % pool.len();
        for _ in 0..rounds {
            let at = draw(&mut draws, &pool);
            pool.remove(at);
        }
        let at = draw(&mut draws, &pool);
        pool[at].0
    }
}

/// A position of `pool`, with probability in proportion to weight.
fn draw(draws: &mut blake3::OutputReader, pool: &[(ValidatorIndex, u64)]) -> usize {
    let mut bytes = [0; 16];
    draws.fill(&mut bytes);
    let total: u128 = pool.iter().map(|(_, weight)| u128::from(*weight)).sum();
    let mut left = u128::from_le_bytes(bytes) % total;
    let mut at = 0;
    while left >= u128::from(pool[at].1) {
        left -= u128::from(pool[at].1);
        at += 1;
    }
    at
}

/// Adds a key to sorted ones; false if it is there.
pub(crate) fn insert_key(keys: &mut Vec<PublicKey>, key: PublicKey) -> bool {
    let place = keys.binary_search(&key);
    if let Err(at) = place {
        keys.insert(at, key);
    }
    place.is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hash;

    fn set(weights: &[u64]) -> Result<ValidatorSet, ValidatorSetError> {
        let member = |(at, weight): (usize, &u64)| Validator {
            key: PublicKey(*Tag::new("key").hash(&[&at.to_le_bytes()]).0.first_chunk().expect("32 bytes")),
            weight: *weight,
            masternode: MasternodeId(Hash([at as u8; 32])),
        };
        ValidatorSet::new(weights.iter().enumerate().map(member).collect())
    }

    #[test]
    fn quorum_is_strictly_more_than_two_thirds() {
        // n equal members: smallest count that is a quorum, smallest that holds an honest member.
        let table = [
            (1, 1, 1),
            (2, 2, 1),
            (3, 3, 2),
            (4, 3, 2),
            (5, 4, 2),
            (6, 5, 3),
            (7, 5, 3),
            (8, 6, 3),
            (9, 7, 4),
            (10, 7, 4),
            (11, 8, 4),
            (12, 9, 5),
            (13, 9, 5),
            (14, 10, 5),
            (15, 11, 6),
            (16, 11, 6),
            (17, 12, 6),
            (18, 13, 7),
            (19, 13, 7),
            (20, 14, 7),
            (21, 15, 8),
        ];
        for (members, quorum, honest) in table {
            let set = set(&vec![1; members]).unwrap();
            assert!(set.is_quorum(quorum) && !set.is_quorum(quorum - 1), "quorum of {members}");
            assert!(
                set.is_honest_share(honest) && !set.is_honest_share(honest - 1),
                "honest share of {members}"
            );
        }
    }

    #[test]
    fn bad_sets_are_refused() {
        assert_eq!(set(&[]), Err(ValidatorSetError::Empty));
        assert!(matches!(set(&[1, 0]), Err(ValidatorSetError::ZeroWeight(_))));
        assert!(matches!(set(&[u64::MAX]), Err(ValidatorSetError::WeightTooLarge(_))));
        assert!(matches!(set(&[1 << 57]), Err(ValidatorSetError::WeightTooLarge(_))));
        assert_eq!(set(&[1; 257]).unwrap_err(), ValidatorSetError::TooMany(257));
        let one = *set(&[1]).unwrap().validator(0).unwrap();
        let twin = Validator { weight: 2, ..one };
        assert_eq!(ValidatorSet::new(vec![one, twin]), Err(ValidatorSetError::DuplicateKey(one.key)));
        assert!(
            ValidatorSet::try_from(vec![one, Validator { key: PublicKey([9; 32]), weight: 5, ..one }])
                .is_err()
        );
        let full = set(&[WEIGHT_MAX; 256]).unwrap();
        assert!(full.is_quorum(full.total()) && !full.is_quorum(full.total() / 3 * 2));
    }

    #[test]
    fn proposers_follow_weight_and_skip_the_absent() {
        let set = set(&[100, 10, 1, 1]).unwrap();
        let mut counts = [0; 4];
        for height in 0..2000 {
            counts[usize::from(set.proposer(height, 0, |_| false))] += 1;
        }
        assert!(counts[0] > 1650 && counts[1] > 100 && counts[2] + counts[3] > 5, "{counts:?}");
        for height in 0..50 {
            assert_ne!(set.proposer(height, 0, |index| index == 0), 0);
            let mut tried: Vec<_> = (0..4).map(|view| set.proposer(height, view, |_| false)).collect();
            tried.sort_unstable();
            assert_eq!(tried, [0, 1, 2, 3], "each view of height {height} brings another");
        }
        assert!(set.proposer(1, u32::MAX, |_| true) < 4);
    }
}
