//! Votes: what validators sign. A proposal's signature is a vote of phase PrePrepare, so that every kind of
//! equivocation is the same pair of conflicting votes.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::{Wire, encode};
use crate::hash::{BlockId, ChainId};
use crate::keys::{PublicKey, SecretKey, Signature, SignedBytes};
use crate::validators::ValidatorIndex;

/// Position of a block in the chain; genesis is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Height(pub u64);

impl Height {
    /// The height after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An attempt at a height (the paper's round), from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ViewNumber(pub u32);

impl ViewNumber {
    /// The view after this one; stays at the last representable.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for ViewNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a vote is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// The proposer's signature on its proposal.
    PrePrepare,
    /// The paper's prevote.
    Prepare,
    /// The paper's precommit.
    Commit,
}

/// What is signed, besides the chain id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VoteData {
    /// Which phase.
    pub phase: Phase,
    /// Which height.
    pub height: Height,
    /// Which view.
    pub view: ViewNumber,
    /// The block voted for; `None` is the paper's nil.
    pub block: Option<BlockId>,
    /// In PrePrepare and in Prepare for a block: the view in which the block was last prepared (the paper's
    /// `validRound`), which makes amnesia provable. `None` in Commit and for nil.
    pub valid_view: Option<ViewNumber>,
}

impl VoteData {
    /// The bytes signed: domain, chain id, canonical encoding.
    #[must_use]
    pub fn sign_bytes(&self, chain: &ChainId) -> Vec<u8> {
        [&b"timecoin vote\0"[..], chain.as_bytes(), &encode(self)].concat()
    }

    /// Whether the fields can occur together: an earlier valid view, only where one is allowed.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        match (self.phase, self.block, self.valid_view) {
            (Phase::PrePrepare, None, _) => false,
            (_, _, None) => true,
            (Phase::Commit, ..) | (_, None, _) => false,
            (_, _, Some(valid_view)) => valid_view < self.view,
        }
    }
}

/// A signed vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Vote {
    /// What was signed.
    pub data: VoteData,
    /// The signer's position in the validator set of the height.
    pub validator: ValidatorIndex,
    /// By that validator's operator key.
    pub signature: Signature,
}

impl Wire for Vote {
    const SIZE_MAX: usize = 128;
}

impl Vote {
    /// Signs `data` as the validator at `validator`.
    #[must_use]
    pub fn sign(data: VoteData, validator: ValidatorIndex, chain: &ChainId, key: &SecretKey) -> Self {
        Self { data, validator, signature: key.sign(&data.sign_bytes(chain)) }
    }

    /// The signature to check, given the signer's key.
    #[must_use]
    pub fn signed_bytes(&self, chain: &ChainId, key: &PublicKey) -> SignedBytes {
        SignedBytes { key: *key, message: self.data.sign_bytes(chain), signature: self.signature }
    }
}
