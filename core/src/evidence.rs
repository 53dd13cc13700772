//! Evidence of equivocation: two conflicting votes of one validator for the same height, view and phase.

use serde::{Deserialize, Serialize};

use crate::codec::{Wire, encode};
use crate::hash::{ChainId, Hash, Tag};
use crate::keys::{PublicKey, verify_batch};
use crate::validators::{Validator, ValidatorSet};
use crate::vote::Vote;

/// Two conflicting votes, the smaller first. Nil is a value like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    /// The smaller vote.
    pub first: Vote,
    /// The larger vote.
    pub second: Vote,
}

impl Wire for Evidence {
    const SIZE_MAX: usize = 2 * Vote::SIZE_MAX;
}

/// Why two votes prove nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The votes agree, or differ in height, view, phase or signer, or stand in the wrong order.
    #[error("the votes do not conflict")]
    NoConflict,
    /// No such member in the set of that height.
    #[error("the signer is not in the validator set of that height")]
    UnknownValidator,
    /// A signature is invalid.
    #[error("a signature by {0} is invalid")]
    Signature(PublicKey),
}

impl Evidence {
    const ROOT: Tag = Tag::new("timecoin evidence");

    /// Pairs two votes in canonical order.
    #[must_use]
    pub fn new(one: Vote, two: Vote) -> Self {
        if one <= two { Self { first: one, second: two } } else { Self { first: two, second: one } }
    }

    /// The member of `set` (the set of the votes' height) who is proved guilty.
    pub fn verify<'a>(&self, set: &'a ValidatorSet, chain: &ChainId) -> Result<&'a Validator, EvidenceError> {
        let (first, second) = (&self.first, &self.second);
        let same_place = first.data.height == second.data.height
            && first.data.view == second.data.view
            && first.data.phase == second.data.phase
            && first.validator == second.validator;
        if !same_place || first.data >= second.data {
            return Err(EvidenceError::NoConflict);
        }
        let culprit = set.validator(first.validator).ok_or(EvidenceError::UnknownValidator)?;
        let signed = [first, second].map(|vote| vote.signed_bytes(chain, &culprit.key));
        if verify_batch(&signed) { Ok(culprit) } else { Err(EvidenceError::Signature(culprit.key)) }
    }

    /// What a header commits to.
    #[must_use]
    pub fn root(list: &[Self]) -> Hash {
        Self::ROOT.hash(&[&encode(&list)])
    }
}
