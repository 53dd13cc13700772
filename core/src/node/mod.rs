//! The node: a router over machines that never see each other.
//!
//! | file | what |
//! |---|---|
//! | `event` | what enters and leaves |
//! | `gate` | quotas and scores: what a peer may cost, when to part from it |
//! | `discovery` | peer records, the address book, whom to dial |
//! | `fetch` | transactions that were announced, each asked of one peer at a time |
//! | `plan` | checks that need no node, off its thread |
//! | `candidates` | blocks of the open height |
//! | `propose` | building, validating and finalizing blocks |
//! | `vote` | consensus inputs and outputs, the sign rule |
//! | `pool` | submissions, admission, relay of transactions |
//! | `peers` | sessions, what each peer is known to have, relay of votes and certificates |
//! | `light` | light nodes: their questions, the transactions they watch |
//! | `partial` | what a node does that has not the whole state
//! | `silence` | listening after a restart, before anything is signed |
//! | `sync` | catching up |
//! | `refusal` | stable words for why a submission is refused |
//! | `restore` | from rows to a node, and back to where it stopped |
//! | `replay` | from stored blocks to every row that follows from them |
//!
//! A driver lets events through a [`Gate`], runs [`plan`], loads what [`Node::reads`] names, hands the rows to [`Node::absorb`], calls
//! [`Node::handle`], commits the batch, and only then performs the effects ([`crate::driver`]). `handle` is
//! synchronous, never sees I/O, and takes time as an argument.

mod candidates;
mod discovery;
mod event;
mod fetch;
mod gate;
mod light;
mod partial;
mod peers;
mod plan;
mod pool;
mod propose;
mod refusal;
mod replay;
mod restore;
mod silence;
mod sync;
#[cfg(test)]
mod tests;
mod vote;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::block::Block;
use crate::certificate::Certificate;
use crate::consensus::{Consensus, ConsensusState, Quarantine, Signer, SignerMemory};
use crate::mempool::Mempool;
use crate::message::Proposal;
use crate::peer::handshake::PeerId;
use crate::rows::{Key, ReadSet, Table, View};
use crate::state::tree::{PageKey, TreeError};
use crate::state::{ChainState, VerifiedEvidence};
use crate::sync::Sync;
use crate::time::Time;
use crate::validators::ValidatorSet;
use crate::vote::Height;

pub use crate::peer::score::Offence;
pub use discovery::DiscoveryConfig;
pub use event::{
    Chain, CheckedProposal, Effect, Event, Job, Notice, Parting, PastSets, PlanContext, Serve, Step,
    SubmitError, Ticket, TransactionPhase,
};
pub use gate::{Gate, open};
pub use partial::{Lack, RECENT_BLOCKS, RECENT_BLOCKS_MAX};
pub use peers::PeerStatus;
pub use plan::{plan, verify_block};
pub use replay::{Replay, ReplayError};
pub use restore::{Joined, RestoreError, Restored, StoredNode, first_rows, joined_rows};

use candidates::Candidates;
use discovery::Discovery;
use fetch::Fetches;
use light::LightPeers;
use partial::{Partial, Recent};
use peers::Peers;
use silence::Silence;

/// What a node is besides its store.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The chain.
    pub chain: Arc<Chain>,
    /// The operator key, where this node is to vote.
    pub operator: Option<crate::keys::SecretKey>,
    /// Mempool limits.
    pub mempool: crate::mempool::MempoolLimits,
    /// How to find peers; none where the driver finds them.
    pub discovery: Option<DiscoveryConfig>,
}

/// One node of the network, without clock, sockets or files.
pub struct Node {
    chain: Arc<Chain>,
    state: Arc<ChainState>,
    certificate: Option<Arc<Certificate>>,
    past_sets: BTreeMap<Height, (Height, Arc<ValidatorSet>)>,
    context: Arc<PlanContext>,
    consensus: Consensus,
    signer: Option<Signer>,
    quarantine: Option<Quarantine>,
    silence: Silence,
    /// When this process began, by its own clock.
    started: Time,
    candidates: Candidates,
    candidate_rows: BTreeSet<Key>,
    sign_rows: BTreeSet<(Height, Key)>,
    decided: Option<Certificate>,
    early: BTreeMap<PeerId, Box<Proposal>>,
    mempool: Mempool,
    offered: BTreeSet<crate::hash::TxId>,
    evidence: BTreeMap<crate::evidence::Evidence, VerifiedEvidence>,
    peers: Peers,
    lights: LightPeers,
    fetches: Fetches,
    discovery: Option<Discovery>,
    sync: Sync,
    synced: BTreeMap<Height, (Box<Block>, Certificate)>,
    /// None where every row of the state is in the store.
    partial: Option<Partial>,
    recent: Recent,
    /// The phase that watchers were told last, and of which block.
    phase_told: Option<(crate::hash::BlockId, TransactionPhase)>,
    halted: bool,
}

impl Node {
    /// The state after the newest final block.
    #[must_use]
    pub fn state(&self) -> &Arc<ChainState> {
        &self.state
    }

    /// Proof of the newest final block; none for genesis.
    #[must_use]
    pub fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.certificate.as_ref()
    }

    /// What events are to be checked against.
    #[must_use]
    pub fn context(&self) -> &Arc<PlanContext> {
        &self.context
    }

    /// Where consensus stands.
    #[must_use]
    pub fn consensus(&self) -> Option<ConsensusState> {
        self.consensus.state()
    }

    /// Votes held: bounded by 22 per validator, whatever is sent.
    #[must_use]
    pub fn vote_count(&self) -> usize {
        self.consensus.vote_count()
    }

    /// What waits for a block.
    #[must_use]
    pub fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// Why the signer is silent, where it is.
    #[must_use]
    pub fn quarantine(&self) -> Option<Quarantine> {
        self.quarantine
    }

    /// The height of a vote by this node's key that another process signed: this one signs nothing any more.
    #[must_use]
    pub fn signed_elsewhere(&self) -> Option<Height> {
        Some(self.signer.as_ref()?.elsewhere()?.height)
    }

    /// The newest height at which this node's key has signed, as far as it knows.
    #[must_use]
    pub fn signed_at(&self) -> Option<Height> {
        match self.signer.as_ref()?.memory() {
            SignerMemory::Last(position) => Some(position.height),
            SignerMemory::Born | SignerMemory::Missing => None,
        }
    }

    /// Whether the node has stopped for good.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.halted
    }

    /// When [`Job::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Time {
        if self.halted {
            return Time::NEVER;
        }
        let wanted = if self.peers.is_empty() { Time::NEVER } else { self.candidates.deadline() };
        let discovery = self.discovery.as_ref().map_or(Time::NEVER, Discovery::deadline);
        let own = self.consensus.deadline().min(self.sync.deadline()).min(self.silence.deadline());
        own.min(self.peers.deadline())
            .min(self.lights.deadline())
            .min(self.fetches.deadline())
            .min(discovery)
            .min(wanted)
    }

    /// The rows to load before [`Self::handle`]; empty when the job can be handled. Ask again after loading.
    #[must_use]
    pub fn reads(&self, job: &Job) -> ReadSet {
        let coins = match job {
            Job::Submit(_, Ok(transaction)) | Job::Submitted(_, _, Ok(transaction)) => {
                Self::spent(core::slice::from_ref(transaction))
            }
            Job::Transactions(_, list) | Job::Restore(list) => Self::spent(list),
            Job::Validate(block) => self.candidate_coins(block),
            Job::Derive(draft) => self.draft_coins(draft),
            Job::Connected(_)
            | Job::Disconnected(_)
            | Job::Message(..)
            | Job::Status(..)
            | Job::Response(..)
            | Job::Submit(_, Err(_))
            | Job::Submitted(_, _, Err(_))
            | Job::Proposal(..)
            | Job::Early(..)
            | Job::Votes(..)
            | Job::Certificate(..)
            | Job::Evidence(..)
            | Job::Parts(..)
            | Job::Block(..)
            | Job::Peers(..)
            | Job::Dialled(..)
            | Job::Build(_)
            | Job::OverrideQuarantine(_)
            | Job::Tick => Vec::new(),
        };
        let mut reads = ReadSet::default();
        for page in self.state.coins.missing(&coins) {
            if !self.is_absent(&page) {
                reads.insert(Table::Tree, page.to_bytes());
            }
        }
        reads
    }

    /// Takes loaded rows in; they are checked against the state root.
    pub fn absorb(&mut self, view: &View) -> Result<(), TreeError> {
        for (table, key, row) in view.iter() {
            if let (Table::Tree, Some(page)) = (table, PageKey::from_bytes(key)) {
                let coins = &mut Arc::make_mut(&mut self.state).coins;
                // What the store has not, or of a state long ago, peers are asked for.
                match coins.graft(&page, row.map(|row| &row[..])) {
                    Err(error) if !self.note_absent(page) => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Does a job. What comes out takes effect in order: batch, effects, jobs.
    pub fn handle(&mut self, job: Job, now: Time) -> Step {
        let mut step = Step::default();
        if self.halted {
            return step;
        }
        if let Some(peer) = job.peer() {
            self.heard(&peer, now);
        }
        let job = match self.without_lack(job, &mut step) {
            Some(job) => job,
            None => return step,
        };
        match job {
            Job::Connected(info) => self.peer_connected(info, now, &mut step),
            Job::Disconnected(peer) => self.peer_left(&peer, now, &mut step),
            Job::Status(peer, height, status, certificate) => {
                self.on_status(peer, height, status, certificate, now, &mut step);
            }
            Job::Response(peer, id, checked) => self.on_response(peer, id, checked, now, &mut step),
            Job::Message(peer, message) => self.on_message(peer, message, now, &mut step),
            Job::Transactions(peer, list) => self.on_transactions(peer, list, now, &mut step),
            Job::Submit(ticket, transaction) => self.on_submit(ticket, transaction, now, &mut step),
            Job::Submitted(peer, id, transaction) => {
                self.on_submitted(peer, id, transaction, now, &mut step);
            }
            Job::Proposal(peer, checked) => self.on_proposal(peer, checked, now, &mut step),
            Job::Early(peer, proposal) => {
                self.early.insert(peer, proposal);
            }
            Job::Votes(peer, votes) => self.on_votes(peer, votes, now, &mut step),
            Job::Certificate(peer, certificate) => self.on_certificate(peer, &certificate, now, &mut step),
            Job::Evidence(peer, evidence) => self.on_evidence(Some(peer), evidence, now, &mut step),
            Job::Parts(peer, block, list) => self.on_parts(peer, block, &list, &mut step),
            Job::Block(_, block, verified) => self.on_block(block, verified, now, &mut step),
            Job::Peers(peer, records) => self.on_peers(peer, records, now, &mut step),
            Job::Dialled(dial, peer) => self.on_dialled(&dial, peer, now, &mut step),
            Job::Validate(block) => self.validate_candidate(block, now, &mut step),
            Job::Build(view) => self.build(view, now, &mut step),
            Job::Derive(draft) => self.derive_own(*draft, now, &mut step),
            Job::Restore(list) => self.restore_pool(list, now, &mut step),
            Job::OverrideQuarantine(height) => self.override_quarantine(height, now, &mut step),
            Job::Tick => self.tick(now, &mut step),
        }
        self.end_silence(now, &mut step);
        self.tell_watchers(&mut step);
        step
    }

    fn tick(&mut self, now: Time, step: &mut Step) {
        self.expire_pool(step);
        self.consensus_input(crate::consensus::Input::Tick, now, step);
        self.tick_peers(now, step);
        self.tick_lights(now, step);
        self.tick_sync(now, step);
        self.tick_discovery(now, step);
    }

    /// Has later events checked against the present state.
    fn renew_context(&mut self, step: &mut Step) {
        self.context = self.make_context();
        step.effects.push(Effect::Context(self.context.clone()));
    }

    /// The snapshot for checking events against the present state.
    fn make_context(&self) -> Arc<PlanContext> {
        Arc::new(PlanContext {
            past_sets: self.past_sets.clone(),
            anchor: self.sync.anchor().clone(),
            ..PlanContext::at(&self.chain, &self.state)
        })
    }
}
