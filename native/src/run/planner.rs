//! The thread that checks events before the node sees them: decoding, limits, signatures.
//!
//! Events pass the gate and are planned in the order they came, several at once in parallel when many wait, and
//! are handed on in that order, so what one peer sent stays in sequence. What the gate decides about a peer is
//! carried out here.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use timecoin_core::node::{
    Effect, Event, Gate, Job, Notice, Offence, Parting, PlanContext, Ticket, open, plan,
};
use timecoin_core::peer::handshake::PeerId;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use crate::clock;
use crate::handle::{Bans, Session, Sessions, Submission, Work};
use crate::net::{DisconnectReason, NetEvent, Network, Share};

/// Most events planned together.
const BATCH_MAX: usize = 256;
/// Most events planned in parallel. A flood of bad signatures is judged after so many.
const PARALLEL_MAX: usize = 12;
/// From this many on, planning in parallel costs less than it saves.
const PARALLEL_MIN: usize = 4;
/// Offences on their way from the node; more only come in a flood, and are lost.
pub(super) const OFFENCES_MAX: usize = 256;

type Reply = oneshot::Sender<Result<timecoin_core::hash::TxId, timecoin_core::node::SubmitError>>;

/// What travels with an event: who waits for the verdict, and the memory its frame takes.
#[derive(Default)]
struct Ticketed {
    reply: Option<Reply>,
    share: Option<Share>,
}

type Planned = (Ticketed, Result<Option<Job>, (PeerId, Offence)>);

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
    /// What the node holds against peers.
    pub(super) offences: mpsc::Receiver<(PeerId, Offence)>,
    pub(super) gate: Gate,
    pub(super) bans: watch::Sender<Bans>,
}

impl Planner {
    /// Runs until the network or the node is gone.
    pub(super) async fn run(mut self) {
        let (mut events, mut submissions) = (Vec::new(), Vec::new());
        loop {
            let received = tokio::select! {
                count = self.events.recv_many(&mut events, BATCH_MAX) => count,
                count = self.submissions.recv_many(&mut submissions, BATCH_MAX) => count,
                Some((peer, offence)) = self.offences.recv() => {
                    self.report(peer, offence);
                    continue;
                }
            };
            if received == 0 || self.work.is_closed() {
                return;
            }
            let mut arrived: Vec<(Ticketed, Event)> = Vec::new();
            for event in events.drain(..) {
                arrived.push(self.event(event));
            }
            for Submission { transaction, reply } in submissions.drain(..) {
                self.next_ticket += 1;
                let ticketed = Ticketed { reply: Some(reply), share: None };
                arrived.push((ticketed, Event::Submit(Ticket(self.next_ticket), transaction)));
            }
            if self.work_through(arrived).await.is_err() {
                return;
            }
        }
    }

    async fn work_through(
        &mut self,
        arrived: Vec<(Ticketed, Event)>,
    ) -> Result<(), mpsc::error::SendError<Work>> {
        let mut arrived = arrived.into_iter();
        loop {
            let batch: Vec<_> = arrived.by_ref().take(PARALLEL_MAX).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let opened = each(batch, |(ticketed, event)| (ticketed, open(event)));
            let mut admitted = Vec::new();
            for (ticketed, opened) in opened {
                match opened {
                    Ok(event) => admitted.extend(self.admit(event).map(|event| (ticketed, event))),
                    Err((peer, offence)) => self.report(peer, offence),
                }
            }
            let context = self.context.load_full();
            for planned in each(admitted, |(ticketed, event)| (ticketed, plan(&context, event))) {
                self.hand_on(planned).await?;
            }
        }
    }

    /// The node's side of a network event.
    fn event(&mut self, event: NetEvent) -> (Ticketed, Event) {
        match event {
            NetEvent::Connected { peer, info, outbound, .. } => {
                debug!(%peer, outbound, role = ?info.role, "connected");
                let session = Session { info: info.clone(), outbound, since: clock::now() };
                self.change_sessions(|sessions| sessions.insert(peer, session));
                (Ticketed::default(), Event::Connected(info))
            }
            NetEvent::Frame { peer, bytes, share } => {
                (Ticketed { reply: None, share: Some(share) }, Event::Frame(peer, bytes))
            }
            NetEvent::Disconnected { peer, reason } => {
                debug!(%peer, %reason, "disconnected");
                self.change_sessions(|sessions| sessions.remove(&peer));
                (Ticketed::default(), Event::Disconnected(peer))
            }
        }
    }

    fn admit(&mut self, event: Event) -> Option<Event> {
        let mut effects = Vec::new();
        let admitted = self.gate.admit(event, clock::now(), &mut effects);
        self.perform(effects);
        admitted
    }

    fn report(&mut self, peer: PeerId, offence: Offence) {
        let mut effects = Vec::new();
        self.gate.report(peer, offence, clock::now(), &mut effects);
        self.perform(effects);
    }

    /// Carries out what the gate decides.
    fn perform(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                // A session that is full or over says so itself.
                Effect::Send(peers, frame) => {
                    for peer in peers {
                        let _ = self.network.send(&peer, frame.clone());
                    }
                }
                Effect::Close(peer, parting) => {
                    info!(%peer, %parting, "session ended");
                    if let Parting::Banned { until } = parting {
                        self.network.ban(peer, until);
                        let bans = self.gate.bans(clock::now()).collect();
                        self.bans.send_replace(Arc::new(bans));
                    }
                    self.network.close(&peer, DisconnectReason::Misbehaved);
                }
                Effect::Notice(notice) => {
                    if let Notice::Offence(peer, offence) = &notice {
                        warn!(%peer, %offence, "offence");
                    }
                    let _ = self.notices.send(Arc::new(notice));
                }
                Effect::Serve(..)
                | Effect::Lack(_)
                | Effect::Dial(_)
                | Effect::Offence(..)
                | Effect::Context(_)
                | Effect::State(_)
                | Effect::Halt => unreachable!("the gate neither serves nor decides"),
            }
        }
    }

    fn change_sessions<T>(&self, change: impl FnOnce(&mut BTreeMap<PeerId, Session>) -> T) {
        self.sessions.send_modify(|sessions| {
            change(Arc::make_mut(sessions));
        });
    }

    async fn hand_on(&mut self, (ticketed, planned): Planned) -> Result<(), mpsc::error::SendError<Work>> {
        let work = match (planned, ticketed.reply) {
            (Ok(Some(job)), Some(reply)) => Work::Submit(job, reply),
            (Ok(Some(job)), None) => Work::Job(job, ticketed.share),
            (Ok(None), _) => return Ok(()),
            (Err((peer, offence)), _) => {
                self.report(peer, offence);
                return Ok(());
            }
        };
        self.work.send(work).await
    }
}

fn each<T: Send, U: Send>(list: Vec<T>, work: impl Fn(T) -> U + Send + Sync) -> Vec<U> {
    if list.len() < PARALLEL_MIN {
        list.into_iter().map(work).collect()
    } else {
        list.into_par_iter().map(work).collect()
    }
}
