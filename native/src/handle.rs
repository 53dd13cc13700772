//! What the rest of the program may do with a running node: read, ask, submit, listen, stop.
//!
//! Reading the state or the store takes no lock and does not disturb the node. Only [`NodeHandle::ask`] and
//! [`NodeHandle::submit`] reach the thread that owns the node; their queues are bounded, and a full one makes
//! the caller wait. Clones are handles of the same node.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use timecoin_core::hash::TxId;
use timecoin_core::node::{Chain, Job, Node, Notice, SubmitError};
use timecoin_core::peer::handshake::{PeerId, PeerInfo};
use timecoin_core::state::ChainState;
use timecoin_core::time::Time;
use timecoin_core::transaction::SignedTransaction;
use timecoin_core::vote::Height;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::clock;
use crate::net::{Network, Share};
use crate::store::FileStore;

/// The node has stopped, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has stopped")]
pub struct Stopped;

/// Why a submission was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitFailure {
    /// The node refused it; nothing of it is kept.
    #[error(transparent)]
    Refused(#[from] SubmitError),
    /// There was nobody to refuse it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A session with a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What the peer said about itself.
    pub info: PeerInfo,
    /// Whether we dialled.
    pub outbound: bool,
    /// Since when.
    pub since: Time,
}

/// The sessions at one moment.
pub type Sessions = Arc<BTreeMap<PeerId, Session>>;

/// Peers that get no session, and until when; some of them may be over already.
pub type Bans = Arc<BTreeMap<PeerId, Time>>;

/// A question to the node, answered on its thread between two steps.
pub(crate) type Question = Box<dyn FnOnce(&Node) + Send>;

/// What the node's thread works on, in order.
pub(crate) enum Work {
    /// A planned event, and the memory that the frame it came in takes.
    Job(Job, Option<Share>),
    /// A planned submission, and who waits for the verdict.
    Submit(Job, oneshot::Sender<Result<TxId, SubmitError>>),
    /// A question.
    Ask(Question),
}

/// A user's transaction on its way to the planner.
pub(crate) struct Submission {
    pub(crate) transaction: SignedTransaction,
    pub(crate) reply: oneshot::Sender<Result<TxId, SubmitError>>,
}

/// A running node, seen from outside its thread.
#[derive(Clone)]
pub struct NodeHandle {
    /// The chain.
    pub chain: Arc<Chain>,
    /// Its rows: take a snapshot to read several that agree.
    pub store: FileStore,
    /// The state after the newest final block.
    pub state: Arc<ArcSwap<ChainState>>,
    /// Its peers' connections.
    pub network: Network,
    pub(crate) links: Links,
}

/// The handle's ends of the node's queues.
#[derive(Clone)]
pub(crate) struct Links {
    pub(crate) work: mpsc::Sender<Work>,
    pub(crate) submissions: mpsc::Sender<Submission>,
    pub(crate) notices: broadcast::Sender<Arc<Notice>>,
    pub(crate) sessions: watch::Receiver<Sessions>,
    pub(crate) bans: watch::Receiver<Bans>,
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) started: Time,
}

impl NodeHandle {
    /// Submits a transaction; returns when it is in the mempool, or refused.
    ///
    /// # Errors
    /// If it is refused, or the node stopped.
    pub async fn submit(&self, transaction: SignedTransaction) -> Result<TxId, SubmitFailure> {
        let (reply, verdict) = oneshot::channel();
        let submission = Submission { transaction, reply };
        self.links.submissions.send(submission).await.map_err(|_| Stopped)?;
        Ok(verdict.await.map_err(|_| Stopped)??)
    }

    /// Runs `question` on the node's thread, between two steps. It should take microseconds: nothing else
    /// happens meanwhile.
    ///
    /// # Errors
    /// If the node stopped.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |node| {
            // Whoever asked may have gone.
            let _ = reply.send(question(node));
        });
        self.links.work.send(Work::Ask(question)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// The operator's word that this validator's key has signed nothing at `from` or above: ends its quarantine there.
    ///
    /// # Errors
    /// If the node stopped.
    pub async fn override_quarantine(&self, from: Height) -> Result<(), Stopped> {
        tracing::warn!(from = from.0, "the operator ends the quarantine, and answers for it");
        let job = Work::Job(Job::OverrideQuarantine(from), None);
        self.links.work.send(job).await.map_err(|_| Stopped)
    }

    /// Everything the node notices from now on. A receiver that falls behind loses the oldest and is told.
    #[must_use]
    pub fn notices(&self) -> broadcast::Receiver<Arc<Notice>> {
        self.links.notices.subscribe()
    }

    /// The sessions, now and whenever they change.
    #[must_use]
    pub fn sessions(&self) -> watch::Receiver<Sessions> {
        self.links.sessions.clone()
    }

    /// Who is banned now, and until when.
    #[must_use]
    pub fn bans(&self) -> BTreeMap<PeerId, Time> {
        let now = clock::now();
        let bans = self.links.bans.borrow().clone();
        bans.iter().filter(|(_, until)| **until > now).map(|(peer, until)| (*peer, *until)).collect()
    }

    /// How long the node has been running.
    #[must_use]
    pub fn uptime_ms(&self) -> u64 {
        clock::now().since(self.links.started)
    }

    /// Asks the node to stop. It finishes the step under way.
    pub fn stop(&self) {
        self.links.stopping.send_replace(true);
    }

    /// Returns when the node has been asked to stop or stops for a reason of its own.
    pub async fn stopping(&self) {
        crate::net::is_set(&mut self.links.stopping.subscribe()).await;
    }
}
