//! The verdict on a block, given a trusted one.

use serde::{Deserialize, Serialize};

use super::{CheckedBlock, LightBlock, LightError, Options};
use crate::codec::Wire;
use crate::hash::BlockId;
use crate::time::Time;
use crate::validators::ValidatorSet;
use crate::vote::Height;

/// What a light client trusts: a block, and the set that signs the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trusted {
    /// Height of the block.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
    /// Time of its header.
    pub time: Time,
    /// The set that signs the next block.
    pub next_validators: ValidatorSet,
}

impl Wire for Trusted {
    const SIZE_MAX: usize = 8 + 32 + 8 + ValidatorSet::SIZE_MAX;
}

impl Trusted {
    fn after(id: BlockId, block: &LightBlock) -> Self {
        let header = &block.header;
        let next_validators = block.next_validators().clone();
        Self { height: header.height, id, time: header.time, next_validators }
    }

    /// Refuses what is older than the host allows: an age of exactly the trust period is too old.
    pub fn check_age(&self, options: &Options, now: Time) -> Result<(), LightError> {
        let (age_ms, limit_ms) = (now.since(self.time), options.trust_period_ms);
        if age_ms < limit_ms { Ok(()) } else { Err(LightError::Expired { age_ms, limit_ms }) }
    }
}

/// What verification says about a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the chain's block; trust this from now on.
    Success(Trusted),
    /// Sound in itself, but too little of the trusted weight signed it: verify a block in between first.
    NotEnoughTrust {
        /// Trusted weight that signed.
        weight: u64,
        /// All trusted weight.
        total: u64,
    },
    /// It cannot be trusted.
    Invalid(LightError),
}

/// Judges `untrusted` by what is trusted at `now`.
///
/// A direct successor must be signed by exactly the set the trusted block names; any other block by enough of
/// its weight; and always by more than two thirds of the block's own set.
#[must_use]
pub fn verify(trusted: &Trusted, untrusted: &LightBlock, options: &Options, now: Time) -> Verdict {
    let id = untrusted.header.id();
    let commit = untrusted.commit(id);
    let checked = commit
        .check_place(trusted, options, now)
        .and_then(|()| untrusted.check_next_validators())
        .and_then(|()| commit.check(options))
        .and_then(|()| commit.check_link(trusted, options));
    verdict(trusted, id, untrusted, checked)
}

/// As [`verify`], for a block that was checked before: no signature is verified again.
pub(super) fn verify_checked(
    trusted: &Trusted,
    untrusted: &CheckedBlock,
    options: &Options,
    now: Time,
) -> Verdict {
    let commit = untrusted.commit();
    let checked =
        commit.check_place(trusted, options, now).and_then(|()| commit.check_link(trusted, options));
    verdict(trusted, untrusted.id(), untrusted.block(), checked)
}

fn verdict(
    trusted: &Trusted,
    id: BlockId,
    untrusted: &LightBlock,
    checked: Result<Option<u64>, LightError>,
) -> Verdict {
    match checked {
        Ok(None) => Verdict::Success(Trusted::after(id, untrusted)),
        Ok(Some(weight)) => Verdict::NotEnoughTrust { weight, total: trusted.next_validators.total() },
        Err(error) => Verdict::Invalid(error),
    }
}
