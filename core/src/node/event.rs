//! What enters and leaves the node.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::answer::Question;
use crate::block::Block;
use crate::certificate::Certificate;
use crate::evidence::Evidence;
use crate::hash::{BlockId, ChainId, TxId};
use crate::mempool::AdmissionError;
use crate::message::{Message, Proposal, Request};
use crate::peer::book::Dial;
use crate::peer::handshake::{PeerId, PeerInfo};
use crate::peer::record::VerifiedRecord;
use crate::peer::score::Offence;
use crate::rows::Batch;
use crate::spec::ChainSpec;
use crate::state::{BlockError, ChainState, Draft, VerifiedBlock, VerifiedCertificate, VerifiedEvidence};
use crate::sync::wire::{Query, RequestId};
use crate::sync::{Anchor, Checked, CheckedStatus};
use crate::time::Time;
use crate::transaction::{SignedTransaction, TransactionError, VerifiedTransaction};
use crate::validators::ValidatorSet;
use crate::vote::{Height, Phase, ViewNumber, Vote};

pub use crate::answer::TransactionPhase;

use super::partial::Lack;

/// A chain and its id: what every module judges by.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The spec.
    pub spec: ChainSpec,
    /// The hash of its consensus part.
    pub id: ChainId,
}

impl Chain {
    /// Computes the id once.
    #[must_use]
    pub fn new(spec: ChainSpec) -> Self {
        let id = spec.consensus.id();
        Self { spec, id }
    }
}

/// Names a submission, chosen by the driver, so that the answer finds its asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What happened outside.
#[derive(Clone, Debug)]
pub enum Event {
    /// A session with a peer is up.
    Connected(PeerInfo),
    /// A session is gone.
    Disconnected(PeerId),
    /// A frame from a peer.
    Frame(PeerId, Vec<u8>),
    /// A frame that was opened ([`super::open`]), and its size.
    Message(PeerId, Message, usize),
    /// What became of [`Effect::Dial`]: who answered, where a session began or there was one already.
    Dialled(Dial, Option<PeerId>),
    /// A user submits a transaction.
    Submit(Ticket, SignedTransaction),
    /// The operator's word that the key has signed nothing at this height or above.
    OverrideQuarantine(Height),
    /// The deadline passed, or the driver had nothing else to do.
    Tick,
}

/// Sets that signed earlier heights, by first height, with the last.
pub type PastSets = BTreeMap<Height, (Height, Arc<ValidatorSet>)>;

/// Remembers the set of a finished epoch for as long as evidence against it counts.
pub(super) fn turn_sets(sets: &mut PastSets, next: &ChainState) {
    let known = &next.accounting.past_sets;
    if let Some(past) = known.last().filter(|past| past.last == next.height()) {
        sets.insert(past.first, (past.last, next.signers.clone()));
    }
    let oldest = known.first().map_or(next.height().next(), |past| past.first);
    *sets = sets.split_off(&oldest);
}

/// An immutable snapshot of what checking events without the node needs.
#[derive(Clone, Debug)]
pub struct PlanContext {
    /// The chain.
    pub chain: Arc<Chain>,
    /// The newest final height.
    pub height: Height,
    /// The newest final block.
    pub tip: BlockId,
    /// The set that signed it.
    pub signers: Arc<ValidatorSet>,
    /// The set that signs the next.
    pub validators: Arc<ValidatorSet>,
    /// The first height that [`Self::validators`] signs.
    pub epoch_start: Height,
    /// The last height they sign for certain.
    pub epoch_end: Height,
    /// The last header that sync verified: what its answers are checked against.
    pub anchor: Arc<Anchor>,
    /// Sets that signed earlier heights, within the evidence age: by first height, with the last.
    pub past_sets: PastSets,
}

/// A state's block as far as sync is concerned.
#[must_use]
pub(super) fn anchor(state: &ChainState) -> Anchor {
    Anchor {
        height: state.height(),
        block: state.id,
        time: state.header.time,
        validators: state.validators.clone(),
    }
}

impl PlanContext {
    /// The snapshot for a state, without past sets.
    #[must_use]
    pub fn at(chain: &Arc<Chain>, state: &ChainState) -> Self {
        let height = state.height();
        let epoch_blocks = chain.spec.consensus.rules(height.next()).epoch_blocks;
        Self {
            chain: chain.clone(),
            height,
            tip: state.id,
            signers: state.signers.clone(),
            validators: state.validators.clone(),
            epoch_start: state.accounting.epoch_start(),
            epoch_end: Height((height.0 / epoch_blocks).saturating_add(1).saturating_mul(epoch_blocks)),
            anchor: Arc::new(anchor(state)),
            past_sets: BTreeMap::new(),
        }
    }

    /// The set that signs a height, where it is known for certain.
    #[must_use]
    pub fn set_of(&self, height: Height) -> Option<&Arc<ValidatorSet>> {
        if (self.epoch_start..=self.epoch_end).contains(&height) {
            return Some(&self.validators);
        }
        let (_, (last, set)) = self.past_sets.range(..=height).next_back()?;
        (height <= *last).then_some(set)
    }
}

/// Work for the node: an event whose form and signatures have been checked, or the node's own follow-up.
#[derive(Clone, Debug)]
pub enum Job {
    /// A session is up.
    Connected(PeerInfo),
    /// A session is gone.
    Disconnected(PeerId),
    /// A message that needs no signature check, or has none.
    Message(PeerId, Message),
    /// How far a peer is; with the certificate of the open height, verified, where it has it.
    Status(PeerId, Height, CheckedStatus, Option<VerifiedCertificate>),
    /// A checked answer to a query.
    Response(PeerId, RequestId, Checked),
    /// Verified transactions from a peer.
    Transactions(PeerId, Vec<Arc<VerifiedTransaction>>),
    /// A light node's transaction, verified or not.
    Submitted(PeerId, RequestId, Result<Arc<VerifiedTransaction>, TransactionError>),
    /// A user's transaction, verified or not.
    Submit(Ticket, Result<Arc<VerifiedTransaction>, TransactionError>),
    /// A proposal whose signature, certificates and evidence are verified.
    Proposal(PeerId, Box<CheckedProposal>),
    /// A proposal for the height after the open one, not checked yet.
    Early(PeerId, Box<Proposal>),
    /// Votes verified against the set with this height.
    Votes(PeerId, Vec<Vote>),
    /// A verified certificate.
    Certificate(PeerId, VerifiedCertificate),
    /// Verified evidence.
    Evidence(PeerId, VerifiedEvidence),
    /// Transactions a proposal lacked.
    Parts(PeerId, BlockId, Vec<Arc<VerifiedTransaction>>),
    /// A whole block of the next height, with every signature checked; or why it cannot be valid.
    Block(Option<PeerId>, BlockId, Result<Box<VerifiedBlock>, BlockError>),
    /// Peer records that their keys signed.
    Peers(PeerId, Vec<VerifiedRecord>),
    /// What became of a dial.
    Dialled(Dial, Option<PeerId>),
    /// Validate a complete candidate.
    Validate(BlockId),
    /// Choose what goes into a block of ours for this view.
    Build(ViewNumber),
    /// Make the block that follows from our draft.
    Derive(Box<Draft>),
    /// Admit what was pending before a restart.
    Restore(Vec<Arc<VerifiedTransaction>>),
    /// The operator's word.
    OverrideQuarantine(Height),
    /// Time has passed.
    Tick,
}

impl Job {
    /// The peer it came from, where it came from one.
    #[must_use]
    pub fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Message(peer, _)
            | Self::Status(peer, ..)
            | Self::Response(peer, ..)
            | Self::Transactions(peer, _)
            | Self::Proposal(peer, _)
            | Self::Early(peer, _)
            | Self::Votes(peer, _)
            | Self::Certificate(peer, _)
            | Self::Evidence(peer, _)
            | Self::Parts(peer, ..)
            | Self::Peers(peer, _)
            | Self::Submitted(peer, ..)
            | Self::Block(Some(peer), ..) => Some(*peer),
            Self::Connected(_)
            | Self::Disconnected(_)
            | Self::Submit(..)
            | Self::Block(None, ..)
            | Self::Dialled(..)
            | Self::Validate(_)
            | Self::Build(_)
            | Self::Derive(_)
            | Self::Restore(_)
            | Self::OverrideQuarantine(_)
            | Self::Tick => None,
        }
    }
}

/// A proposal with its parts as verified types.
#[derive(Clone, Debug)]
pub struct CheckedProposal {
    /// As received, for relaying.
    pub proposal: Proposal,
    /// Its evidence.
    pub evidence: Vec<VerifiedEvidence>,
    /// The parent's certificate.
    pub parent_certificate: Option<VerifiedCertificate>,
}

/// News for whoever watches the node: RPC subscribers, pages, metrics.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A block is final and stored.
    Finalized {
        /// The block.
        block: Arc<Block>,
        /// Its proof.
        certificate: Arc<Certificate>,
        /// From the first sight of this height's proposal to finality here.
        elapsed_ms: u64,
    },
    /// Transactions moved on.
    Phase(TransactionPhase, Vec<TxId>),
    /// A submission was taken.
    Accepted(Ticket, TxId),
    /// A submission was refused; nothing of it is kept.
    Refused(Ticket, SubmitError),
    /// A pending transaction was dropped: replaced, evicted, expired, or in conflict with a final one.
    Dropped(TxId),
    /// This node signed a vote.
    Signed(Phase, Height, ViewNumber),
    /// A peer did what no honest peer does.
    Offence(PeerId, Offence),
    /// A session is ended by this node.
    Parted(PeerId, Parting),
    /// Proof of equivocation.
    Evidence(Evidence),
    /// Two conflicting certificates: the node has stopped.
    Fork {
        /// The certificate of our block.
        ours: Certificate,
        /// The certificate of another block of the same height.
        theirs: Certificate,
    },
    /// A quorum committed a block that our rules refuse: the node has stopped.
    InvalidDecision {
        /// The certificate.
        certificate: Certificate,
        /// Why we refuse.
        error: BlockError,
    },
    /// The signer is silent, and until which height; `None`: it signs again.
    Quarantine(Option<crate::consensus::Quarantine>),
}

/// Why a submission is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Invalid whatever the state.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// Not with these coins or this pool.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// Its action is not possible now.
    #[error(transparent)]
    Action(#[from] BlockError),
}

/// Why a session is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Parting {
    /// Nothing was heard for too long.
    #[error("silent for too long")]
    Silent,
    /// Too many faults that prove no bad intent: slow, chatty, without what it claimed. It may come back.
    #[error("too many faults")]
    Faults,
    /// Proved offences. No session before then.
    #[error("banned until {}", until.0)]
    Banned {
        /// When the ban ends.
        until: Time,
    },
}

/// What a peer is answered from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serve {
    /// A final block.
    Block(Height),
    /// A range of the chain.
    Range(RequestId, Query),
    /// A light node's question, from the store and the state.
    Ask(RequestId, Question),
}

/// When to ask again that is not served now.
const RETRY_AFTER_MS: u32 = 100;

impl Serve {
    /// What to tell the peer where it is not served now.
    #[must_use]
    pub fn busy(&self) -> Option<Message> {
        let request = match self {
            Self::Block(_) => return None,
            Self::Range(id, _) => Request::Query(*id),
            Self::Ask(id, _) => Request::Ask(*id),
        };
        Some(Message::Busy { request, retry_after_ms: RETRY_AFTER_MS })
    }
}

/// What the driver does after the batch is durable.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send a frame to some peers.
    Send(Vec<PeerId>, Arc<[u8]>),
    /// Answer a peer from the store, with [`crate::driver::serve`].
    Serve(PeerId, Serve),
    /// Have it proved by peers, and give the job again.
    Lack(Box<Lack>),
    /// Tell the [gate](super::Gate).
    Offence(PeerId, Offence),
    /// End a session.
    Close(PeerId, Parting),
    /// Open a session there, and say what became of it with [`Event::Dialled`].
    Dial(Dial),
    /// Tell whoever watches.
    Notice(Notice),
    /// Check later events against this.
    Context(Arc<PlanContext>),
    /// The new state, for readers.
    State(Arc<ChainState>),
    /// Stop: going on would be unsafe. The reason was noticed just before.
    Halt,
}

/// The outcome of a job: first the batch becomes durable, then the effects are visible, then the jobs run.
#[derive(Debug, Default)]
pub struct Step {
    /// What to write.
    pub batch: Batch,
    /// What to do then.
    pub effects: Vec<Effect>,
    /// What to work on next, before any other event.
    pub jobs: Vec<Job>,
}
