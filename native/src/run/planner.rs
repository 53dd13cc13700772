//! The thread that checks events before the node sees them: decoding, limits, signatures.
//!
//! Events are planned in the order they came, many at once in parallel when many wait, and handed on in that
//! order, so what one peer sent stays in sequence. Whoever offends is closed, and nothing more of it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use timecoin_core::node::{Event, Job, Notice, Offence, PlanContext, Ticket, plan};
use timecoin_core::peer::handshake::PeerId;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tracing::{debug, warn};

use crate::clock;
use crate::handle::{Session, Sessions, Submission, Work};
use crate::net::{DisconnectReason, NetEvent, Network};

/// Most events planned together.
const BATCH_MAX: usize = 256;
/// From this many on, planning in parallel costs less than it saves.
const PARALLEL_MIN: usize = 4;

type Reply = oneshot::Sender<Result<timecoin_core::hash::TxId, timecoin_core::node::SubmitError>>;
type Planned = (Option<Reply>, Result<Option<Job>, (PeerId, Offence)>);

/// The planner's thread.
pub(super) struct Planner {
    pub(super) network: Network,
    pub(super) events: mpsc::Receiver<NetEvent>,
    pub(super) submissions: mpsc::Receiver<Submission>,
    pub(super) work: mpsc::Sender<Work>,
    pub(super) context: Arc<ArcSwap<PlanContext>>,
    pub(super) notices: broadcast::Sender<Arc<Notice>>,
    pub(super) sessions: watch::Sender<Sessions>,
    pub(super) next_ticket: u64,
    /// Peers that are being closed: nothing they sent before they are gone is read.
    pub(super) closing: BTreeSet<PeerId>,
}

impl Planner {
    /// Runs until the network or the node is gone.
    pub(super) async fn run(mut self) {
        let (mut events, mut submissions) = (Vec::new(), Vec::new());
        loop {
            let received = tokio::select! {
                count = self.events.recv_many(&mut events, BATCH_MAX) => count,
                count = self.submissions.recv_many(&mut submissions, BATCH_MAX) => count,
            };
            if received == 0 || self.work.is_closed() {
                return;
            }
            let mut batch: Vec<(Option<Reply>, Event)> = Vec::new();
            for event in events.drain(..) {
                batch.extend(self.event(event).map(|event| (None, event)));
            }
            for Submission { transaction, reply } in submissions.drain(..) {
                self.next_ticket += 1;
                batch.push((Some(reply), Event::Submit(Ticket(self.next_ticket), transaction)));
            }
            for planned in plan_all(&self.context.load_full(), batch) {
                if self.hand_on(planned).await.is_err() {
                    return;
                }
            }
        }
    }

    /// The node's side of a network event, where it has one.
    fn event(&mut self, event: NetEvent) -> Option<Event> {
        match event {
            NetEvent::Connected { peer, info, outbound, .. } => {
                debug!(%peer, outbound, role = ?info.role, "connected");
                self.closing.remove(&peer);
                let session = Session { info: info.clone(), outbound, since: clock::now() };
                self.change_sessions(|sessions| sessions.insert(peer, session));
                Some(Event::Connected(info))
            }
            NetEvent::Frame { peer, bytes } => {
                (!self.closing.contains(&peer)).then_some(Event::Frame(peer, bytes))
            }
            NetEvent::Disconnected { peer, reason } => {
                debug!(%peer, %reason, "disconnected");
                self.closing.remove(&peer);
                self.change_sessions(|sessions| sessions.remove(&peer));
                Some(Event::Disconnected(peer))
            }
        }
    }

    fn change_sessions<T>(&self, change: impl FnOnce(&mut BTreeMap<PeerId, Session>) -> T) {
        self.sessions.send_modify(|sessions| {
            change(Arc::make_mut(sessions));
        });
    }

    async fn hand_on(&mut self, (reply, planned): Planned) -> Result<(), mpsc::error::SendError<Work>> {
        let work = match (planned, reply) {
            (Ok(Some(job)), Some(reply)) => Work::Submit(job, reply),
            (Ok(Some(job)), None) => Work::Job(job),
            (Ok(None), _) => return Ok(()),
            (Err((peer, offence)), _) => {
                if !self.closing.insert(peer) {
                    return Ok(());
                }
                warn!(%peer, %offence, "peer closed");
                self.network.close(&peer, DisconnectReason::Misbehaved);
                let _ = self.notices.send(Arc::new(Notice::Offence(peer, offence)));
                Work::Job(Job::Disconnected(peer))
            }
        };
        self.work.send(work).await
    }
}

fn plan_all(context: &PlanContext, batch: Vec<(Option<Reply>, Event)>) -> Vec<Planned> {
    let one = |(reply, event)| (reply, plan(context, event));
    if batch.len() < PARALLEL_MIN {
        batch.into_iter().map(one).collect()
    } else {
        batch.into_par_iter().map(one).collect()
    }
}
