//! Peers of a page: sessions over the browser's WebSockets, with the same Noise exchange and frames as between native nodes.
//!
//! | file | what |
//! |---|---|
//! | `socket` | a WebSocket with limits, and the handshake over it |
//! | `session` | one peer: its messages, questions under way, pings |
//! | `dial` | whom to dial when, and what the page shows of that |
//! | `source` | the light client's view: whom to ask, whom to report |
//!
//! A page only dials. From gossip it takes no private address, and no `ws:` on an `https:` page; what the host names is
//! dialled whatever it is. Everything is bounded: sessions, message sizes, questions under way, bytes waiting to leave.
//! Not here: what is believed (the core's light client), and what is kept (the node's store).

mod dial;
mod session;
pub mod socket;
mod source;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::channel::{mpsc, oneshot};
use timecoin_core::answer::PhaseChange;
use timecoin_core::driver::light::Misbehaviour;
use timecoin_core::hash::{ChainId, TxId};
use timecoin_core::keys::{PublicKey, SecretKey};
use timecoin_core::node::Chain;
use timecoin_core::peer::book::Book;
use timecoin_core::peer::handshake::PeerId;
use timecoin_core::peer::quota::Quotas;
use timecoin_core::peer::record::AddressPolicy;
use timecoin_core::rows::Batch;
use timecoin_core::time::Time;
use timecoin_core::vote::Height;

use crate::platform::{entropy, monotonic_ms};

pub use source::Peers;

use dial::Place;
use session::Session;

/// Sessions that a page opens.
const SESSIONS_MAX: usize = 4;
/// How long a peer that lied is not dialled.
const BAN_MS: u64 = 3_600_000;
/// How long a clock may stand still before what it timed is in doubt.
const GAP_MS: u64 = 5_000;
/// Between two looks at all sessions.
const TICK_MS: u64 = 1_000;

/// Where to find peers, and who asks.
#[derive(Clone, Debug)]
pub struct NetOptions {
    /// The chain.
    pub chain: ChainId,
    /// URLs that the host and the chain spec name.
    pub bootstrap: Vec<String>,
    /// What strangers' records may make this page dial.
    pub policy: AddressPolicy,
}

impl NetOptions {
    /// What a page may dial: what its host names, whatever that is, and of the chain spec's nodes and strangers' records what a
    /// browser opens from here. `allow_insecure`: `ws:` addresses, which a page from `https:` could not open.
    #[must_use]
    pub fn new(chain: &Chain, peers: Vec<String>, allow_insecure: bool) -> Self {
        let policy = AddressPolicy { allow_private: false, allow_insecure };
        let named = chain.spec.bootstrap.iter().filter(|url| allow_insecure || policy.allows(url));
        let mut bootstrap: Vec<String> = Vec::new();
        for url in peers.into_iter().chain(named.cloned()) {
            if !bootstrap.contains(&url) {
                bootstrap.push(url);
            }
        }
        Self { chain: chain.id, bootstrap, policy }
    }
}

/// What the node hears of its peers.
#[derive(Debug)]
pub enum NetEvent {
    /// Sessions, or what is known of peers, changed.
    Changed,
    /// Watched transactions moved on, says a peer.
    Phases(Vec<PhaseChange>),
    /// A peer lied. With the URL at which it was reached.
    Lied(Box<Misbehaviour<PeerId>>, String),
    /// The address book is to be written.
    Book(Batch),
}

/// How far a peer says it is.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Who.
    pub peer: PeerId,
    /// The newest block it says it has.
    pub height: Height,
    /// It lately said so of a block it could not show.
    pub is_doubtful: bool,
}

/// All peers.
pub struct Network {
    options: NetOptions,
    /// Fresh at each start: a page is nobody's acquaintance.
    identity: SecretKey,
    sessions: RefCell<BTreeMap<PeerId, Rc<Session>>>,
    book: RefCell<Book>,
    places: RefCell<BTreeMap<String, Place>>,
    bans: RefCell<BTreeMap<PublicKey, Time>>,
    quotas: RefCell<Quotas>,
    watched: RefCell<Vec<TxId>>,
    waiting: RefCell<Vec<oneshot::Sender<()>>>,
    events: mpsc::UnboundedSender<NetEvent>,
    height: Cell<Height>,
    /// When the last session ended, or the network began without one.
    lost_at: Cell<Option<Time>>,
    ever_connected: Cell<bool>,
    stopped: Cell<bool>,
}

impl Network {
    /// A network without sessions, and what it will tell. Nothing is dialled before [`Self::start`].
    pub fn new(options: NetOptions, now: Time) -> (Rc<Self>, mpsc::UnboundedReceiver<NetEvent>) {
        let identity = SecretKey::from_seed(&entropy());
        let book = Book::new(identity.public_key(), options.policy, &options.bootstrap);
        let places = options.bootstrap.iter().map(|url| (url.clone(), Place::default())).collect();
        let (events, told) = mpsc::unbounded();
        let network = Self {
            options,
            identity,
            sessions: RefCell::default(),
            book: RefCell::new(book),
            places: RefCell::new(places),
            bans: RefCell::default(),
            quotas: RefCell::default(),
            watched: RefCell::default(),
            waiting: RefCell::default(),
            events,
            height: Cell::default(),
            lost_at: Cell::new(Some(now)),
            ever_connected: Cell::new(false),
            stopped: Cell::new(false),
        };
        (Rc::new(network), told)
    }

    /// Begins to dial and to look after sessions, until [`Self::stop`].
    pub fn start(self: &Rc<Self>) {
        let network = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            let mut last = monotonic_ms();
            while !network.stopped.get() {
                network.dial_due();
                crate::platform::sleep_ms(TICK_MS).await;
                let now = monotonic_ms();
                if now.saturating_sub(last) > TICK_MS + GAP_MS {
                    network.wake();
                }
                last = now;
                network.look_after_sessions();
            }
        });
    }

    /// Ends all sessions and dials no more.
    pub fn stop(&self) {
        self.stopped.set(true);
        for session in self.sessions.borrow().values() {
            session.close();
        }
        self.waiting.take();
    }

    /// The page slept, or the network changed: peers have to show that they are still there, and soon.
    pub fn wake(self: &Rc<Self>) {
        for session in self.sessions.borrow().values() {
            session.hurry();
        }
        self.book.borrow_mut().hurry();
        self.dial_due();
    }

    /// The height that peers are told when a session begins.
    pub fn set_height(&self, height: Height) {
        self.height.set(height);
    }

    /// Sessions.
    pub fn connected(&self) -> usize {
        self.sessions.borrow().len()
    }

    /// Whether there was a session since the start.
    pub fn ever_connected(&self) -> bool {
        self.ever_connected.get()
    }

    /// Since when there is no session.
    pub fn lost_at(&self) -> Option<Time> {
        self.lost_at.get()
    }

    /// A peer that says it has more than a height. What it could not show is left out; what else it says counts after
    /// what the others say.
    pub fn ahead_of(&self, height: Height) -> Option<Claim> {
        let sessions = self.sessions.borrow();
        let ahead = sessions.values().filter_map(|session| {
            let claimed = session.claimed()?;
            (claimed > height).then_some((session, claimed))
        });
        let best = ahead.min_by_key(|(session, _)| (session.is_doubtful(), session.rank()));
        best.map(|(session, height)| Claim { peer: session.peer, height, is_doubtful: session.is_doubtful() })
    }

    /// A peer did not show the block it says it has: its claims up to here are not followed again.
    pub fn distrust_claim(&self, peer: &PeerId, height: Height) {
        if let Some(session) = self.sessions.borrow().get(peer) {
            session.distrust(height);
        }
    }

    /// Transactions to be told about, by every peer and by those to come.
    pub fn set_watched(&self, ids: Vec<TxId>) {
        self.watched.replace(ids);
    }

    fn tell(&self, event: NetEvent) {
        // Nobody listens any more once the node is gone.
        let _ = self.events.unbounded_send(event);
        self.news();
    }

    /// Wakes whoever waits for news.
    fn news(&self) {
        for waiting in self.waiting.take() {
            let _ = waiting.send(());
        }
    }
}
