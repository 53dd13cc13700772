//! The thread that owns the node and its store: jobs in, effects out, one timer.
//!
//! Effects are performed in order, after their batch is durable. What only answers a peer is served from a
//! snapshot on another thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use timecoin_core::codec::encode;
use timecoin_core::driver;
use timecoin_core::hash::TxId;
use timecoin_core::node::{
    Effect, Job, Node, Notice, Offence, Parting, PlanContext, Serve, SubmitError, Ticket,
};
use timecoin_core::peer::book::Dial;
use timecoin_core::peer::handshake::PeerId;
use timecoin_core::state::ChainState;
use timecoin_core::time::Time;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::StopReason;
use crate::clock;
use crate::handle::Work;
use crate::net::{ConnectError, DisconnectReason, Network, SendError};
use crate::store::FileStore;

/// Carries out what the node decides.
pub(super) struct Performer {
    pub(super) network: Network,
    pub(super) store: FileStore,
    pub(super) notices: broadcast::Sender<Arc<Notice>>,
    pub(super) context: Arc<ArcSwap<PlanContext>>,
    pub(super) state: Arc<ArcSwap<ChainState>>,
    /// Where blocks are read for peers.
    pub(super) runtime: Handle,
    pub(super) serving: Arc<Semaphore>,
    pub(super) replies: BTreeMap<Ticket, oneshot::Sender<Result<TxId, SubmitError>>>,
    pub(super) halting: Option<Arc<Notice>>,
    /// To the gate.
    pub(super) offences: mpsc::Sender<(PeerId, Offence)>,
    /// To the node itself.
    pub(super) work: mpsc::WeakSender<Work>,
}

impl Performer {
    pub(super) fn new(
        network: Network,
        store: FileStore,
        notices: broadcast::Sender<Arc<Notice>>,
        offences: mpsc::Sender<(PeerId, Offence)>,
        work: mpsc::WeakSender<Work>,
        node: &Node,
    ) -> Self {
        Self {
            network,
            store,
            notices,
            context: Arc::new(ArcSwap::new(node.context().clone())),
            state: Arc::new(ArcSwap::new(node.state().clone())),
            runtime: Handle::current(),
            serving: Arc::new(Semaphore::new(driver::SERVING_MAX)),
            replies: BTreeMap::new(),
            halting: None,
            offences,
            work,
        }
    }

    /// Performs effects in order. The last one may be that the node must stop.
    pub(super) fn perform(&mut self, effects: Vec<Effect>) -> Result<(), StopReason> {
        for effect in effects {
            match effect {
                Effect::Send(peers, frame) => self.send(&peers, &frame),
                Effect::Serve(peer, question) => self.serve(peer, question),
                Effect::Dial(dial) => self.dial(dial),
                Effect::Lack(_) => unreachable!("every row of the state is in the store: nothing joins here"),
                // Lost only in a flood, which ends the session anyway.
                Effect::Offence(peer, offence) => drop(self.offences.try_send((peer, offence))),
                Effect::Close(peer, parting) => self.network.close(&peer, close_reason(parting)),
                Effect::Notice(notice) => self.notice(notice),
                Effect::Context(context) => self.context.store(context),
                Effect::State(state) => {
                    self.network.set_height(state.height().0);
                    self.state.store(state);
                }
                Effect::Halt => return Err(StopReason::Halted(self.halting.clone())),
            }
        }
        Ok(())
    }

    fn send(&self, peers: &[PeerId], frame: &Arc<[u8]>) {
        for peer in peers {
            match self.network.send(peer, frame.clone()) {
                // A session that is full or over says so itself.
                Ok(()) | Err(SendError::Closed | SendError::Full) => {}
                Err(SendError::TooLarge) => warn!(%peer, size = frame.len(), "frame too large to send"),
            }
        }
    }

    /// Dials where the book says; the node hears what became of it.
    fn dial(&self, dial: Dial) {
        let (network, work) = (self.network.clone(), self.work.clone());
        self.runtime.spawn(async move {
            let peer = match network.dial(&dial.url).await {
                Ok(peer) | Err(ConnectError::AlreadyConnected(peer)) => Some(peer),
                Err(error) => {
                    debug!(url = %dial.url, %error, "cannot connect");
                    None
                }
            };
            if let Some(work) = work.upgrade() {
                // The node may have stopped.
                let _ = work.send(Work::Job(Job::Dialled(dial, peer), None)).await;
            }
        });
    }

    fn notice(&mut self, notice: Notice) {
        log(&notice);
        match &notice {
            Notice::Accepted(ticket, txid) => self.reply(*ticket, Ok(*txid)),
            Notice::Refused(ticket, error) => self.reply(*ticket, Err(error.clone())),
            _ => {}
        }
        let notice = Arc::new(notice);
        if matches!(*notice, Notice::Fork { .. } | Notice::InvalidDecision { .. }) {
            self.halting = Some(notice.clone());
        }
        // Nobody may be listening.
        let _ = self.notices.send(notice);
    }

    fn reply(&mut self, ticket: Ticket, verdict: Result<TxId, SubmitError>) {
        if let Some(reply) = self.replies.remove(&ticket) {
            let _ = reply.send(verdict);
        }
    }

    fn serve(&self, peer: PeerId, question: Serve) {
        let Ok(permit) = self.serving.clone().try_acquire_owned() else {
            if let Some(busy) = question.busy() {
                self.send(&[peer], &Arc::from(encode(&busy)));
            }
            return;
        };
        let (store, network, runtime) = (self.store.clone(), self.network.clone(), self.runtime.clone());
        let state = self.state.clone();
        self.runtime.spawn_blocking(move || {
            match runtime.block_on(driver::serve(&store, || state.load_full(), question)) {
                // The session may be over by now.
                Ok(Some(message)) => drop(network.send(&peer, encode(&message))),
                Ok(None) => {}
                Err(error) => warn!(%error, "the store cannot answer a peer"),
            }
            drop(permit);
        });
    }
}

fn close_reason(parting: Parting) -> DisconnectReason {
    match parting {
        Parting::Silent => DisconnectReason::Silent,
        Parting::Faults | Parting::Banned { .. } => DisconnectReason::Misbehaved,
    }
}

fn log(notice: &Notice) {
    match notice {
        Notice::Finalized { block, elapsed_ms, .. } => {
            let transactions = block.body.transactions.len();
            debug!(height = block.header.height.0, transactions, elapsed_ms, "final");
        }
        Notice::Parted(peer, parting) => info!(%peer, %parting, "session ended"),
        Notice::Evidence(evidence) => warn!(?evidence, "equivocation"),
        Notice::Fork { ours, theirs } => warn!(?ours, ?theirs, "two conflicting certificates"),
        Notice::InvalidDecision { certificate, error } => {
            warn!(?certificate, %error, "a quorum committed an invalid block");
        }
        Notice::Quarantine(Some(quarantine)) => info!(?quarantine, "this validator stays silent for now"),
        Notice::Quarantine(None) => info!("this validator votes"),
        Notice::Offence(..)
        | Notice::Phase(..)
        | Notice::Accepted(..)
        | Notice::Refused(..)
        | Notice::Dropped(_)
        | Notice::Signed(..) => {}
    }
}

/// The node's thread.
pub(super) struct Owner {
    pub(super) node: Node,
    pub(super) performer: Performer,
    pub(super) work: mpsc::Receiver<Work>,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Owner {
    /// Runs until asked to stop, or until going on is impossible.
    pub(super) async fn run(mut self) -> StopReason {
        let mut stopping = self.stopping.clone();
        tokio::select! {
            biased;
            () = crate::net::is_set(&mut stopping) => StopReason::Requested,
            reason = self.work() => reason,
        }
    }

    /// Never dropped within a step: with the file store, a step has no point at which it waits.
    async fn work(&mut self) -> StopReason {
        loop {
            if let Err(reason) = self.turn().await {
                return reason;
            }
        }
    }

    async fn turn(&mut self) -> Result<(), StopReason> {
        let (deadline, now) = (self.node.deadline(), clock::now());
        if deadline <= now {
            self.drain(driver::is_gap(deadline, now), now).await?;
            if self.node.deadline() <= clock::now() {
                self.step(Job::Tick).await?;
            }
            // A chance to be stopped, also when the deadline is always over.
            tokio::task::yield_now().await;
            return Ok(());
        }
        let sleep = Duration::from_millis(deadline.since(now).min(driver::SLEEP_MAX_MS));
        match timeout(sleep, self.work.recv()).await {
            Ok(Some(work)) => self.take(work).await,
            Ok(None) => Err(StopReason::Requested),
            Err(_) => Ok(()),
        }
    }

    /// Takes the input that is already here before a timer is looked at; after a gap, also what arrives within
    /// a moment, because everything in transit is older than the timer.
    async fn drain(&mut self, after_gap: bool, now: Time) -> Result<(), StopReason> {
        for _ in 0..self.work.len() {
            let Ok(work) = self.work.try_recv() else { break };
            self.take(work).await?;
        }
        if after_gap {
            let until = now.plus(driver::GRACE_MS);
            loop {
                let rest = Duration::from_millis(until.since(clock::now()));
                let Ok(Some(work)) = timeout(rest, self.work.recv()).await else { break };
                self.take(work).await?;
            }
        }
        Ok(())
    }

    async fn take(&mut self, work: Work) -> Result<(), StopReason> {
        match work {
            Work::Job(job, _share) => self.step(job).await,
            Work::Submit(job, reply) => {
                if let Job::Submit(ticket, _) = &job {
                    self.performer.replies.insert(*ticket, reply);
                }
                self.step(job).await
            }
            Work::Ask(question) => {
                question(&self.node);
                Ok(())
            }
        }
    }

    async fn step(&mut self, job: Job) -> Result<(), StopReason> {
        let store = self.performer.store.clone();
        let effects = driver::step(&mut self.node, &store, job, clock::now()).await?;
        self.performer.perform(effects)
    }
}
