//! Sessions of a native light node with full ones: the real protocol over real sockets.
//!
//! A [`Session`] asks one node and hears its news. [`Sessions`] are several of them, as the core's light client asks them:
//! in order, with a limit on the time an answer may take. Who did not answer is asked last from then on, and who is proved to
//! have lied not at all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use timecoin_core::answer::{PhaseChange, Question, Reply};
use timecoin_core::codec::encode;
use timecoin_core::driver::light::{Lie, Misbehaviour, Source, Unanswered};
use timecoin_core::hash::ChainId;
use timecoin_core::message::{Message, Request};
use timecoin_core::peer::handshake::{PeerId, Role};
use timecoin_core::sync::wire::{RequestId, Status};
use timecoin_core::time::Time;
use timecoin_native::clock;
use timecoin_native::identity::{IdentityError, new_key};
use timecoin_native::net::{ConnectError, DisconnectReason, Limits, NetConfig, NetEvent, Network};
use timecoin_native::tls::Trust;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

/// How long news are waited for.
const NEWS_TIMEOUT: Duration = Duration::from_millis(500);
/// Phases that wait for somebody slow.
const PHASES_MAX: usize = 1024;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

type Verdict = Result<Reply, Unanswered>;

/// A light node's session with one full node. Clones are the same session.
#[derive(Clone, Debug)]
pub struct Session(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    network: Network,
    peer: PeerId,
    asked: AtomicU64,
    waiting: Mutex<BTreeMap<RequestId, oneshot::Sender<Verdict>>>,
    status: watch::Sender<Option<Status>>,
    phases: broadcast::Sender<Vec<PhaseChange>>,
}

/// What is held is whole even where its holder panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// Dials a node of this chain, with a key of its own.
    ///
    /// # Errors
    /// If it does not take the session.
    pub async fn dial(url: &str, chain: ChainId) -> Result<Self, SessionError> {
        let (network, events) = Network::new(NetConfig {
            identity: new_key()?,
            chain,
            role: Role::Light,
            listen: None,
            trust: Trust::default(),
            limits: Limits::default(),
        });
        let peer = network.dial(url).await?;
        let session = Self(Arc::new(Shared {
            network,
            peer,
            asked: AtomicU64::new(0),
            waiting: Mutex::default(),
            status: watch::Sender::new(None),
            phases: broadcast::Sender::new(PHASES_MAX),
        }));
        tokio::spawn(session.clone().listen(events));
        Ok(session)
    }

    /// Who answers.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.0.peer
    }

    /// Whether the session goes on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.0.network.peers().is_empty()
    }

    /// How far the node says it is.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Option<Status>> {
        self.0.status.subscribe()
    }

    /// What it says of watched transactions from now on.
    #[must_use]
    pub fn phases(&self) -> broadcast::Receiver<Vec<PhaseChange>> {
        self.0.phases.subscribe()
    }

    /// Ends the session.
    pub fn close(&self, reason: DisconnectReason) {
        self.0.network.close(&self.0.peer, reason);
    }

    /// Asks, and waits as long as the session lives.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn ask(&self, question: &Question) -> Verdict {
        let id = RequestId(self.0.asked.fetch_add(1, Ordering::Relaxed));
        let (answer, verdict) = oneshot::channel();
        lock(&self.0.waiting).insert(id, answer);
        let sent = self.0.network.send(&self.0.peer, encode(&Message::Ask(id, question.clone())));
        let verdict = match sent {
            Ok(()) => verdict.await.unwrap_or(Err(Unanswered::Gone)),
            Err(_) => Err(Unanswered::Gone),
        };
        lock(&self.0.waiting).remove(&id);
        verdict
    }

    async fn listen(self, mut events: mpsc::Receiver<NetEvent>) {
        while let Some(event) = events.recv().await {
            match event {
                NetEvent::Connected { .. } => {}
                NetEvent::Frame { bytes, .. } => match Message::from_frame(&bytes) {
                    Ok(message) => self.hear(message),
                    Err(_) => self.close(DisconnectReason::Misbehaved),
                },
                NetEvent::Disconnected { .. } => break,
            }
        }
        lock(&self.0.waiting).clear();
        self.0.status.send_replace(None);
    }

    fn hear(&self, message: Message) {
        let settle = |id: &RequestId, verdict| {
            if let Some(waiting) = lock(&self.0.waiting).remove(id) {
                // Whoever asked may have stopped waiting.
                let _ = waiting.send(verdict);
            }
        };
        match message {
            Message::Status(status) => _ = self.0.status.send_replace(Some(*status)),
            // Nobody needs to listen.
            Message::Phases(changes) => _ = self.0.phases.send(changes),
            Message::Ping(number) => {
                // A session that ends is heard of otherwise.
                let _ = self.0.network.send(&self.0.peer, encode(&Message::Pong(number)));
            }
            Message::Answer(id, reply) => settle(&id, Ok(*reply)),
            Message::Busy { request: Request::Ask(id), retry_after_ms } => {
                settle(&id, Err(Unanswered::Busy { retry_after_ms }));
            }
            // Nothing else is said to light nodes.
            _ => {}
        }
    }
}

/// Sessions of one light node, asked in their order.
#[derive(Debug)]
pub struct Sessions {
    /// Each with how long its answers are waited for.
    sessions: Vec<(Session, Duration)>,
    /// How often each did not answer.
    failures: Mutex<BTreeMap<usize, u32>>,
    reports: Mutex<Vec<Misbehaviour<usize>>>,
}

impl Sessions {
    /// Asks these, each for so long.
    #[must_use]
    pub fn new(sessions: Vec<(Session, Duration)>) -> Self {
        Self { sessions, failures: Mutex::default(), reports: Mutex::default() }
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&Session> {
        self.sessions.get(at).map(|(session, _)| session)
    }

    /// What was held against whom.
    #[must_use]
    pub fn reports(&self) -> Vec<Misbehaviour<usize>> {
        lock(&self.reports).clone()
    }

    /// Who was reported, and for what.
    #[must_use]
    pub fn lies(&self) -> Vec<(usize, Lie)> {
        lock(&self.reports).iter().map(|report| (report.peer, report.lie)).collect()
    }
}

impl Source for &Sessions {
    type Peer = usize;

    fn peers(&self) -> Vec<usize> {
        let failures = lock(&self.failures);
        let open = self.sessions.iter().enumerate().filter(|(_, (session, _))| session.is_open());
        let mut order: Vec<usize> = open.map(|(at, _)| at).collect();
        order.sort_by_key(|at| failures.get(at).copied().unwrap_or(0));
        order
    }

    async fn ask(&self, peer: &usize, question: &Question) -> Verdict {
        let (session, wait) = self.sessions.get(*peer).ok_or(Unanswered::Gone)?;
        let verdict = timeout(*wait, session.ask(question)).await.unwrap_or(Err(Unanswered::Timeout));
        if verdict.is_err() {
            *lock(&self.failures).entry(*peer).or_default() += 1;
        }
        verdict
    }

    async fn news(&self) {
        let mut statuses: Vec<_> = self.sessions.iter().map(|(session, _)| session.status()).collect();
        let changes = statuses.iter_mut().map(|status| Box::pin(status.changed()));
        // No news is news, too: whoever waits asks again.
        let _ = timeout(NEWS_TIMEOUT, futures::future::select_all(changes)).await;
    }

    fn now(&self) -> Time {
        clock::now()
    }

    fn report(&self, misbehaviour: Misbehaviour<usize>) {
        if misbehaviour.lie.is_proved()
            && let Some(session) = self.get(misbehaviour.peer)
        {
            session.close(DisconnectReason::Misbehaved);
        }
        lock(&self.reports).push(misbehaviour);
    }
}
