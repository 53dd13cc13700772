//! Consensus: Tendermint's rules (arXiv 1807.04938) under PBFT's names, as a machine without input or output.
//!
//! | file | what |
//! |---|---|
//! | `round` | the pure state machine, one transition per rule of the paper |
//! | `votes` | the weighted vote set of a height, with bounded memory |
//! | `engine` | [`Consensus`]: one height after another |
//! | `open` | the open height: inputs, view changes, certificates, outputs |
//! | `rules` | the guards of the rules |
//! | `timers` | the deadlines of a view, and when a block is wanted at all |
//! | `sign` | the sign rule: one durable record per (height, view, phase), quarantine without it |
//!
//! Invariants: nothing is signed twice for one (height, view, phase); a vote counts only after its record is
//! durable and it came back as input; a certificate applies as a whole; a certificate of Commits decides,
//! whatever the view; memory is bounded by the number of validators, whatever is sent.
//!
//! It never verifies signatures, judges blocks, fetches, stores or sends: the node does, and reports back.
//! Votes and certificates handed in are verified against the set of their height.
//!
//! On-demand blocks: in view 0 the proposer waits for [`Input::Work`] or the heartbeat, and never proposes
//! before the minimum interval. The others start the propose timeout only when they see a reason for a block
//! themselves: work, an overdue heartbeat, a proposal, or votes of more than a third of the weight.
//!
//! After a gap (a tab that was frozen) hand in all queued votes and certificates *before* [`Input::Tick`]:
//! the tick compares deadlines with `now`, so one that is long past fires once, for the view it belongs to,
//! and not at all if the queued input has moved the view on.

mod engine;
mod open;
pub mod round;
mod rules;
pub mod sign;
mod timers;
pub mod votes;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::certificate::{Bitmap, Certificate};
use crate::evidence::Evidence;
use crate::hash::BlockId;
use crate::spec::Rules;
use crate::time::Time;
use crate::validators::{ValidatorIndex, ValidatorSet};
use crate::vote::{Height, ViewNumber, Vote, VoteData};

pub use engine::Consensus;
pub use round::{Prepared, Step};
pub use sign::{Quarantine, QuarantineReason, SignRecord, SignRefusal, Signer, SignerMemory};
pub use votes::{Insertion, VoteRefusal, VoteSet};

/// Durations of a height, from the chain spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Wait for a proposal in view 0.
    pub propose_ms: u64,
    /// Wait for a Prepare quorum on one value after a quorum prepared anything, in view 0.
    pub prepare_ms: u64,
    /// Wait for a Commit quorum on a block after a quorum committed anything, in view 0.
    pub commit_ms: u64,
    /// Added to each per view.
    pub growth_ms: u64,
    /// No wait is longer.
    pub max_ms: u64,
    /// Least time from the parent's time to a proposal.
    pub block_interval_min_ms: u64,
    /// Time from the parent's time after which a block is made without a reason.
    pub heartbeat_ms: u64,
}

impl From<&Rules> for Timeouts {
    fn from(rules: &Rules) -> Self {
        Self {
            propose_ms: rules.timeout_propose_ms,
            prepare_ms: rules.timeout_prepare_ms,
            commit_ms: rules.timeout_commit_ms,
            growth_ms: rules.timeout_growth_ms,
            max_ms: rules.timeout_max_ms,
            block_interval_min_ms: rules.block_interval_min_ms,
            heartbeat_ms: rules.heartbeat_ms,
        }
    }
}

/// What the engine needs to know to begin a height.
#[derive(Clone, Debug)]
pub struct HeightStart {
    /// The height to decide.
    pub height: Height,
    /// Its validators.
    pub set: Arc<ValidatorSet>,
    /// Validators that proposer choice skips, recorded in the chain.
    pub absent: Bitmap,
    /// Its durations.
    pub timeouts: Timeouts,
    /// This node's position in the set; `None` follows without signing.
    pub me: Option<ValidatorIndex>,
    /// Time in the parent's header.
    pub parent_time: Time,
    /// The certificate that decided the parent; `None` for genesis.
    pub parent_certificate: Option<Certificate>,
    /// This node's own durable votes at this height, after a restart.
    pub records: Vec<SignRecord>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A height begins.
    Start(HeightStart),
    /// A verified proposal signature, and the verified prepare certificate of its valid view if it has one.
    Proposal(Vote, Option<Certificate>),
    /// The answer to [`Output::Check`].
    BlockVerdict {
        /// The block.
        block: BlockId,
        /// Whether it is valid here and now.
        valid: bool,
    },
    /// Verified votes, also our own once durable.
    Votes(Vec<Vote>),
    /// A verified certificate of any phase.
    Certificate(Certificate),
    /// The answer to [`Output::Build`]: a fresh, valid block.
    Built {
        /// The view it was asked for.
        view: ViewNumber,
        /// The block.
        block: BlockId,
    },
    /// There is a reason for a block: transactions or evidence wait, or the epoch's edge is due.
    Work,
    /// Time has passed.
    Tick,
}

/// What the node is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Sign under the sign rule, make the record durable, send, and hand the vote back as input.
    Sign(VoteData),
    /// Build and validate a fresh block for this view; answer with [`Input::Built`].
    Build {
        /// The view it is for.
        view: ViewNumber,
    },
    /// Get and validate this block; answer with [`Input::BlockVerdict`] once that is possible.
    Check(BlockId),
    /// The height is final. The block may still have to be fetched.
    Decide {
        /// The block decided.
        block: BlockId,
        /// The proof.
        certificate: Certificate,
    },
    /// A quorum new to this node, formed here or received: send it instead of its votes.
    Certificate(Certificate),
    /// A validator contradicted itself.
    Evidence(Evidence),
    /// Two conflicting blocks have a commit certificate each: stop, and keep both.
    Fork {
        /// The certificate that decided here.
        ours: Certificate,
        /// The other.
        theirs: Certificate,
    },
    /// A view began.
    EnteredView(ViewNumber),
    /// Send again what may have been lost: on a stall, and on entering a view from 2 on with a prepared block.
    Rebroadcast {
        /// Votes without a certificate yet; proposals among them.
        votes: Vec<Vote>,
        /// Certificates.
        certificates: Vec<Certificate>,
        /// The block whose proposal should be sent along.
        proposal: Option<BlockId>,
    },
}

/// Where consensus stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsensusState {
    /// The height being decided.
    pub height: Height,
    /// The current view.
    pub view: ViewNumber,
    /// Progress within the view.
    pub step: Step,
    /// The block committed to, and in which view.
    pub locked: Option<Prepared>,
    /// The newest prepared block, and in which view.
    pub valid: Option<Prepared>,
    /// Who proposes in the current view.
    pub proposer: ValidatorIndex,
}
