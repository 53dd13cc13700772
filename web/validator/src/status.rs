//! What the page is shown of a validator.

use serde::Serialize;
use timecoin_core::block::Block;
use timecoin_core::certificate::Certificate;
use timecoin_core::consensus::{Quarantine, QuarantineReason, Step};
use timecoin_core::hash::BlockId;
use timecoin_core::keys::PublicKey;
use timecoin_core::node::Node;
use timecoin_core::state::tree::Fill;
use timecoin_core::time::Time;
use timecoin_core::vote::Height;

/// A validator as its page sees it. Numbers that may exceed 2^53 are texts.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Status {
    pub(crate) stage: Stage,
    /// The newest final block here.
    height: Option<Height>,
    block: Option<BlockId>,
    view: Option<u32>,
    step: Option<&'static str>,
    /// Whether the key votes in the set that signs the next block, and with what weight of what.
    member: bool,
    weight: String,
    total_weight: String,
    quarantine: Option<Silence>,
    /// Votes signed by this Worker.
    pub(crate) votes_signed: u64,
    pub(crate) last_vote_at: Option<Time>,
    /// Of the blocks that became final here while the key was a member: whose certificate has its vote, and whose has not.
    certified: u64,
    missed: u64,
    /// Final blocks that this key proposed.
    proposed: u64,
    pub(crate) peers: usize,
    pending: usize,
    /// How much of the coins is in the store, in percent; none where all of it is.
    filled: Option<u8>,
}

/// How far a validator has come.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Stage {
    /// The store is being opened.
    #[default]
    Starting,
    /// The node runs.
    Running,
    /// It was asked to stop.
    Stopped,
    /// It cannot go on.
    Failed {
        /// For programs.
        code: &'static str,
        /// In words.
        message: String,
    },
}

/// A quarantine.
#[derive(Clone, Copy, Debug, Serialize)]
struct Silence {
    reason: &'static str,
    until: Height,
    listening: bool,
}

impl From<Quarantine> for Silence {
    fn from(quarantine: Quarantine) -> Self {
        let reason = match quarantine.reason {
            QuarantineReason::MemoryMissing => "memory_missing",
            QuarantineReason::RolledBack => "rolled_back",
        };
        Self { reason, until: quarantine.until, listening: quarantine.listening }
    }
}

impl Status {
    /// Takes over what the node is now.
    pub(crate) fn show(&mut self, node: &Node, operator: &PublicKey) {
        let state = node.state();
        (self.height, self.block) = (Some(state.height()), Some(state.id));
        let consensus = node.consensus();
        self.view = consensus.map(|consensus| consensus.view.0);
        self.step = consensus.map(|consensus| match consensus.step {
            Step::Unstarted => "unstarted",
            Step::PrePrepare => "preprepare",
            Step::Prepare => "prepare",
            Step::Commit => "commit",
            Step::Decided => "decided",
        });
        let set = &state.validators;
        let own = set.index_of(operator).and_then(|index| set.validator(index));
        self.member = own.is_some();
        self.weight = own.map_or(0, |own| own.weight).to_string();
        self.total_weight = set.total().to_string();
        self.quarantine = node.quarantine().map(Silence::from);
        self.pending = node.mempool().len();
        self.filled = node.fill().filter(|fill| !fill.is_done()).map(Fill::percent);
    }

    /// A block is final here; the node has its state.
    pub(crate) fn finalized(
        &mut self,
        block: &Block,
        certificate: &Certificate,
        node: &Node,
        operator: &PublicKey,
    ) {
        if block.header.proposer == *operator {
            self.proposed += 1;
        }
        let Some(index) = node.state().signers.index_of(operator) else { return };
        if certificate.signers.contains(index) {
            self.certified += 1;
        } else {
            self.missed += 1;
        }
    }
}
