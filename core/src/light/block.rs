//! A header with everything that proves it, and the check that it is sound in itself.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::verify::Trusted;
use super::{LightError, Options};
use crate::block::{BLOCK_VERSION, Header};
use crate::certificate::Certificate;
use crate::codec::Wire;
use crate::hash::BlockId;
use crate::keys::PublicKey;
use crate::time::Time;
use crate::validators::{Validator, ValidatorSet, insert_key};
use crate::vote::Phase;

/// A header, its commit certificate and the sets it names, as a peer sends them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LightBlock {
    /// What is certified.
    pub header: Header,
    /// Commit certificate of this header.
    pub certificate: Certificate,
    /// The set that signed.
    pub validators: ValidatorSet,
    /// The set that signs the next block; `None` where it is the same one.
    pub next_validators: Option<ValidatorSet>,
}

impl Wire for LightBlock {
    const SIZE_MAX: usize = Header::SIZE_MAX + Certificate::SIZE_MAX + 2 * (1 + ValidatorSet::SIZE_MAX);
}

impl LightBlock {
    /// Puts the parts together; a next set equal to the signing one is left out.
    #[must_use]
    pub fn new(
        header: Header,
        certificate: Certificate,
        validators: ValidatorSet,
        next_validators: ValidatorSet,
    ) -> Self {
        let next_validators = (next_validators != validators).then_some(next_validators);
        Self { header, certificate, validators, next_validators }
    }

    /// The set that signs the next block.
    #[must_use]
    pub fn next_validators(&self) -> &ValidatorSet {
        self.next_validators.as_ref().unwrap_or(&self.validators)
    }

    /// Checks the block in itself: that the sets are the header's, and that more than two thirds of its own set
    /// committed it. Verifies every signature. Says nothing about whether the set is the chain's.
    pub fn into_checked(self, options: &Options) -> Result<CheckedBlock, LightError> {
        let id = self.header.id();
        self.check_next_validators()?;
        self.commit(id).check(options)?;
        Ok(CheckedBlock { id, block: self })
    }

    pub(super) fn commit(&self, id: BlockId) -> Commit<'_> {
        let Self { header, certificate, validators, .. } = self;
        Commit { header, id, certificate, validators }
    }

    pub(super) fn check_next_validators(&self) -> Result<(), LightError> {
        let Header { validators_hash, next_validators_hash, .. } = self.header;
        let matches = match &self.next_validators {
            None => next_validators_hash == validators_hash,
            Some(next) => next_validators_hash != validators_hash && next.hash() == next_validators_hash,
        };
        if matches { Ok(()) } else { Err(LightError::NextValidators) }
    }
}

/// A light block whose own set committed it. Sound, but not yet trusted: anyone can make up a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedBlock {
    id: BlockId,
    block: LightBlock,
}

impl CheckedBlock {
    /// The id of its header.
    #[must_use]
    pub fn id(&self) -> BlockId {
        self.id
    }

    /// The block.
    #[must_use]
    pub fn block(&self) -> &LightBlock {
        &self.block
    }

    /// The block, where its check is no longer of interest.
    #[must_use]
    pub fn into_block(self) -> LightBlock {
        self.block
    }

    pub(super) fn commit(&self) -> Commit<'_> {
        self.block.commit(self.id)
    }
}

/// A header with its certificate and signers, borrowed from wherever they are kept.
#[derive(Clone, Copy)]
pub(crate) struct Commit<'a> {
    pub(crate) header: &'a Header,
    pub(crate) id: BlockId,
    pub(crate) certificate: &'a Certificate,
    pub(crate) validators: &'a ValidatorSet,
}

impl Commit<'_> {
    /// Form, quorum of the own set, supply, and every signature.
    pub(crate) fn check(&self, options: &Options) -> Result<(), LightError> {
        let Self { header, id, certificate, validators } = *self;
        if header.version != BLOCK_VERSION {
            return Err(LightError::Version(header.version));
        }
        if validators.hash() != header.validators_hash {
            return Err(LightError::Validators);
        }
        let epoch_ends = header.height.0.is_multiple_of(options.rules(header.height).epoch_blocks);
        if header.next_validators_hash != header.validators_hash && !epoch_ends {
            return Err(LightError::SetChange);
        }
        let data = &certificate.data;
        if data.phase != Phase::Commit || data.height != header.height || data.block != Some(id) {
            return Err(LightError::OtherBlock);
        }
        let (claimed, issued) = (header.supply, options.spec().issued(header.time));
        if claimed != issued {
            return Err(LightError::Supply { claimed, issued });
        }
        Ok(certificate.verify(validators, options.chain())?)
    }

    /// Whether the header may come after what is trusted, by height, time and age.
    pub(crate) fn check_place(
        &self,
        trusted: &Trusted,
        options: &Options,
        now: Time,
    ) -> Result<(), LightError> {
        trusted.check_age(options, now)?;
        let Header { height, time, .. } = *self.header;
        if time > now.plus(options.clock_drift_ms) {
            return Err(LightError::FromFuture { time, now });
        }
        if height <= trusted.height {
            return Err(LightError::HeightNotAbove { trusted: trusted.height, found: height });
        }
        if time <= trusted.time {
            return Err(LightError::TimeNotAfter { trusted: trusted.time, found: time });
        }
        Ok(())
    }

    /// Given [`Commit::check`] and [`Commit::check_place`]: `None` where what is trusted vouches for this
    /// commit, or the trusted weight that signed, which is not enough.
    pub(crate) fn check_link(&self, trusted: &Trusted, options: &Options) -> Result<Option<u64>, LightError> {
        if self.header.height == trusted.height.next() {
            if self.header.validators_hash != trusted.next_validators.hash() {
                return Err(LightError::AdjacentValidators);
            }
            if self.header.parent != trusted.id {
                return Err(LightError::AdjacentParent);
            }
            return Ok(None);
        }
        let mut signers = Vec::new();
        for member in self.signing() {
            insert_key(&mut signers, member.key);
        }
        let members = trusted.next_validators.iter().map(|(_, member)| member);
        let signed = members.filter(|member| signers.binary_search(&member.key).is_ok());
        let weight = signed.map(|member| member.weight).sum();
        let enough = options.trust_threshold.is_exceeded(weight, trusted.next_validators.total());
        Ok((!enough).then_some(weight))
    }

    /// The keys that signed.
    pub(crate) fn signers(&self) -> BTreeSet<PublicKey> {
        self.signing().map(|member| member.key).collect()
    }

    fn signing(&self) -> impl Iterator<Item = &Validator> {
        self.certificate.signers.iter().filter_map(|index| self.validators.validator(index))
    }
}
