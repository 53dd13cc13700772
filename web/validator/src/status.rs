//! What the page is shown of a validator.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Serialize;
use timecoin_core::address::{Address, Network};
use timecoin_core::amount::Amount;
use timecoin_core::block::Block;
use timecoin_core::certificate::Certificate;
use timecoin_core::consensus::{Quarantine, QuarantineReason, Step};
use timecoin_core::hash::{BlockId, MasternodeId};
use timecoin_core::keys::PublicKey;
use timecoin_core::node::{Node, PeerStatus};
use timecoin_core::peer::handshake::PeerId;
use timecoin_core::state::registry::{Masternode, Status as Standing};
use timecoin_core::state::tree::Fill;
use timecoin_core::time::Time;
use timecoin_core::transaction::{Action, Class, Tier};
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
    /// The height of a vote by this key that another process signed: nothing is signed here any more.
    elsewhere: Option<Height>,
    /// Votes signed by this Worker.
    pub(crate) votes_signed: u64,
    pub(crate) last_vote_at: Option<Time>,
    /// Of the blocks that became final here while the key was a member: whose certificate has its vote, and whose has not.
    certified: u64,
    missed: u64,
    /// Final blocks that this key proposed.
    proposed: u64,
    /// The masternode that this key votes for; none where it votes for none.
    masternode: Option<Held>,
    /// What this key did in the present epoch; none outside the set.
    epoch: Option<Epoch>,
    /// What rewards paid to the masternode's payout address in the blocks that became final here: others may be paid there, too.
    rewarded: Amount,
    relays: Vec<Relay>,
    pending: usize,
    /// How much of the coins is in the store, in percent; none where all of it is.
    filled: Option<u8>,
}

/// A masternode as the registry has it.
#[derive(Clone, Debug, Serialize)]
struct Held {
    id: MasternodeId,
    tier: &'static str,
    class: &'static str,
    status: &'static str,
    /// When the collateral of one that ended is free.
    unlock_at: Option<Time>,
    payout: String,
}

impl Held {
    fn of(node: &Masternode, network: Network) -> Self {
        let (status, unlock_at) = match node.status {
            Standing::Active => ("active", None),
            Standing::Retired { unlock_at } => ("retired", Some(unlock_at)),
            Standing::Ejected { unlock_at } => ("ejected", Some(unlock_at)),
        };
        let tier = match node.tier {
            Tier::Bronze => "bronze",
            Tier::Silver => "silver",
            Tier::Gold => "gold",
        };
        let class = match node.class {
            Class::Server => "server",
            Class::Browser => "browser",
        };
        let payout = Address { network, owner: node.payout }.to_string();
        Self { id: node.id, tier, class, status, unlock_at, payout }
    }
}

/// Participation, which rewards follow.
#[derive(Clone, Copy, Debug, Serialize)]
struct Epoch {
    /// Certificates of this epoch that carry the key's signature,
    signed: u32,
    /// of so many that the chain has.
    of: u64,
}

/// A peer with a session.
#[derive(Clone, Debug, Serialize)]
struct Relay {
    url: String,
    /// How far it says it is.
    height: Height,
    /// Once it was measured.
    rtt_ms: Option<u64>,
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
    /// Takes over what the node is now, with where its peers were dialled.
    pub(crate) fn show(&mut self, node: &Node, operator: &PublicKey, urls: &BTreeMap<PeerId, Rc<str>>) {
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
        self.elsewhere = node.signed_elsewhere();
        self.pending = node.mempool().len();
        self.filled = node.fill().filter(|fill| !fill.is_done()).map(Fill::percent);
        let spec = &node.context().chain.spec.consensus;
        let held = state.registry.of_operator(operator);
        self.masternode = held.map(|held| Held::of(held, spec.network));
        let part = set.index_of(operator).and_then(|at| state.accounting.participation.get(usize::from(at)));
        // The newest block's own certificate comes with the next block.
        let of = state.height().0.saturating_sub(state.accounting.epoch_start().0.max(1));
        self.epoch = part.map(|part| Epoch { signed: part.signed, of });
        let relay = |peer: PeerStatus| {
            let url = urls.get(&peer.peer)?.as_ref().to_owned();
            Some(Relay { url, height: peer.height, rtt_ms: peer.round_trip_ms })
        };
        self.relays = node.peers().filter_map(relay).collect();
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
        if let Some(held) = node.state().registry.of_operator(operator) {
            let rewards = block
                .body
                .transactions
                .iter()
                .filter(|signed| matches!(signed.transaction.action, Action::Reward { .. }));
            let outputs = rewards.flat_map(|signed| &signed.transaction.outputs);
            let own = outputs.filter(|output| output.owner == held.payout).map(|output| output.amount);
            let sum = Amount::checked_sum(own).and_then(|sum| sum.checked_add(self.rewarded));
            self.rewarded = sum.unwrap_or(self.rewarded);
        }
        let Some(index) = node.state().signers.index_of(operator) else { return };
        if certificate.signers.contains(index) {
            self.certified += 1;
        } else {
            self.missed += 1;
        }
    }
}
