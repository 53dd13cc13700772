//! The light node of an origin: the core's light client over the page's peers and the browser's store.
//!
//! | file | what |
//! |---|---|
//! | `shelf` | the store, and what becomes of it while the node runs |
//! | `follow` | news of peers, moving trust, the state shown |
//! | `misbehaviour` | what peers did wrong, kept |
//! | `topics` | subscriptions |
//! | `answers` | questions of the page |
//! | `pending` | phases of transactions on their way |
//! | `view` | how the core's types look to a page |
//!
//! One thread owns everything; a call that waits for peers runs beside the others. Whatever fails here is a state or a
//! typed error; what must not happen traps, and the page starts a new Worker from the store.

mod answers;
mod follow;
mod misbehaviour;
mod pending;
mod shelf;
mod topics;
mod view;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use serde::Deserialize;
use timecoin_core::driver::light::{ClientError, LightClient, age_policy};
use timecoin_core::json;
use timecoin_core::light::AgePolicy;
use timecoin_core::node::Chain;
use timecoin_core::spec::{ChainSpec, Checkpoint};
use timecoin_core::vote::Height;
use wasm_bindgen_futures::spawn_local;

use crate::api::types::State;
use crate::api::{ApiError, Code};
use crate::net::{NetEvent, NetOptions, Network, Peers};
use crate::platform::{now, sleep_ms, within};
use crate::store::StoreError;
use crate::wallet::{Purse, WalletView};

pub use shelf::Shelf;

#[cfg(test)]
pub(crate) use answers::described as answers_described;
pub(crate) use answers::dispatch;
pub(crate) use topics::Push;
#[cfg(test)]
pub(crate) use topics::described as topics_described;

use misbehaviour::Feed;
use pending::Pending;
use topics::Topics;

/// The core's light client of a page.
pub type Client = LightClient<Peers, Rc<Shelf>>;
/// A client's failure.
pub type Failure = ClientError<StoreError>;

/// How long a question waits for the first peer, or the first verified head.
const READY_MS: u64 = 15_000;
/// Between two attempts to open the light client.
const REOPEN_MS: u64 = 500;

/// What the page gives, as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The chain spec file.
    spec: String,
    /// URLs of peers.
    peers: Vec<String>,
    /// A block to trust beside those of the spec.
    checkpoint: Option<Checkpoint>,
    /// Vouches for what is trusted whatever its age.
    any_age: bool,
    /// Name of the database; by the chain where none is given.
    store: Option<String>,
    /// Whether the page may open `ws:` addresses that strangers name.
    allow_insecure: bool,
}

/// A running light node.
pub struct Node {
    chain: Arc<Chain>,
    policy: AgePolicy,
    network: Rc<Network>,
    store: Rc<Shelf>,
    purse: Purse,
    client: OnceCell<Rc<Client>>,
    topics: Topics,
    feed: Feed,
    pending: Pending,
    state: RefCell<State>,
    /// Set while following fails for a reason that is nobody else's.
    failed: RefCell<Option<ApiError>>,
    /// Whether the newest block that peers have was verified in the present sessions.
    caught_up: Cell<bool>,
    /// Where following began, and where it is to end.
    way: Cell<Option<(Height, Height)>>,
    published: Cell<Option<Height>>,
    /// Questions that wait for the node to move.
    waiting: RefCell<Vec<oneshot::Sender<()>>>,
}

impl Node {
    /// Starts a node. Returns at once; what it comes to, its state says.
    pub(crate) fn start(options: &str) -> Result<Rc<Self>, ApiError> {
        let options: Options = json::read(options)
            .map_err(|error| ApiError::new(Code::BadRequest, format!("The options: {error}.")))?;
        let mut spec = ChainSpec::from_json(&options.spec).map_err(|error| {
            ApiError::new(Code::ChainSpec, format!("The chain spec cannot be used: {error}."))
        })?;
        spec.checkpoints.extend(options.checkpoint);
        spec.checkpoints.sort_by_key(|checkpoint| checkpoint.height);
        let policy = age_policy(spec.consensus.network, options.any_age);
        let chain = Arc::new(Chain::new(spec));
        let net = NetOptions::new(&chain, options.peers, options.allow_insecure);
        let (network, events) = Network::new(net, now());
        let name = options.store.unwrap_or_else(|| format!("timecoin-{}", chain.id));
        let node = Rc::new(Self {
            policy,
            network,
            purse: Purse::new(Arc::clone(&chain), &name),
            store: Rc::new(Shelf::new(name, Arc::clone(&chain))),
            chain,
            client: OnceCell::new(),
            topics: Topics::default(),
            feed: Feed::default(),
            pending: Pending::default(),
            state: RefCell::new(State::Starting {}),
            failed: RefCell::default(),
            caught_up: Cell::new(false),
            way: Cell::new(None),
            published: Cell::new(None),
            waiting: RefCell::default(),
        });
        spawn_local(Rc::clone(&node).run(events));
        Ok(node)
    }

    /// Ends sessions; what is stored stays.
    pub(crate) fn stop(&self) {
        self.network.stop();
    }

    /// The page slept, or says that the network is back or gone.
    pub(crate) fn wake(&self) {
        self.network.wake();
    }

    async fn run(self: Rc<Self>, events: mpsc::UnboundedReceiver<NetEvent>) {
        // Dialling needs no store.
        self.network.start();
        spawn_local(Rc::clone(&self).hear(events));
        spawn_local(Rc::clone(&self).watch_the_clock());
        spawn_local(Rc::clone(&self).keep_wallet());
        if let Err(error) = self.store.open().await {
            self.failed.replace(Some(error.into()));
            self.show_state();
            return;
        }
        self.restore_feed().await;
        self.restore_book().await;
        let client = loop {
            let peers = Peers(Rc::clone(&self.network));
            let (chain, store) = (Arc::clone(&self.chain), Rc::clone(&self.store));
            match LightClient::open(chain, self.policy, None, peers, store).await {
                Ok(client) => break Rc::new(client),
                // A checkpoint's validators have to be asked for.
                Err(error) if error.is_passing() => drop(self.failed.take()),
                Err(ClientError::Store(error @ (StoreError::Quota | StoreError::Lost { .. }))) => {
                    self.store.give_up(error);
                    continue;
                }
                Err(error) => drop(self.failed.replace(Some(error.into()))),
            }
            self.show_state();
            sleep_ms(REOPEN_MS).await;
        };
        self.failed.take();
        self.network.set_height(client.height());
        if self.client.set(client).is_ok() {
            self.show_state();
            self.show_head();
            self.follow().await;
        }
    }

    async fn hear(self: Rc<Self>, mut events: mpsc::UnboundedReceiver<NetEvent>) {
        while let Some(event) = events.next().await {
            match event {
                NetEvent::Changed => {
                    self.show_state();
                    self.topics.changed_peers();
                }
                NetEvent::Phases(changes) => self.phases_heard(&changes),
                NetEvent::Lied(lie, url) => self.lied(*lie, url).await,
                NetEvent::Book(batch) => self.store.keep(&batch).await,
            }
        }
    }

    /// Once a second: what changes by the passing of time alone.
    async fn watch_the_clock(self: Rc<Self>) {
        loop {
            sleep_ms(1_000).await;
            self.show_state();
            self.show_peers();
        }
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// The store: the light client's rows, and those of whoever else runs in the page.
    #[must_use]
    pub fn store(&self) -> &Rc<Shelf> {
        &self.store
    }

    /// The wallet's place.
    pub(crate) fn purse(&self) -> &Purse {
        &self.purse
    }

    /// The wallet has changed.
    pub(crate) fn show_wallet(&self, view: &WalletView) {
        self.topics.wallet(view);
    }

    /// The light client, if it is open: what it has verified may be old.
    #[must_use]
    pub fn client(&self) -> Option<Rc<Client>> {
        self.client.get().cloned()
    }

    /// The light client, once it is open.
    pub(crate) async fn opened(&self) -> Result<Rc<Client>, ApiError> {
        let failed = || self.failed.borrow().clone().map(Err);
        self.once(|| self.client().map(Ok).or_else(failed)).await
    }

    /// The light client once it has caught up with a peer: for what needs one to answer.
    pub(crate) async fn ready(&self) -> Result<Rc<Client>, ApiError> {
        let client = self.opened().await?;
        self.once(|| match &*self.failed.borrow() {
            Some(error) => Some(Err(error.clone())),
            None => (self.caught_up.get() && self.network.connected() > 0).then_some(Ok(())),
        })
        .await?;
        Ok(client)
    }

    /// Looks whenever the node has moved, until there is an answer, or for long enough.
    async fn once<T>(&self, look: impl Fn() -> Option<Result<T, ApiError>>) -> Result<T, ApiError> {
        let looking = async {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                let (move_on, moved) = oneshot::channel();
                self.waiting.borrow_mut().push(move_on);
                let _ = moved.await;
            }
        };
        within(READY_MS, looking).await.unwrap_or_else(|| Err(self.no_peers()))
    }

    fn no_peers(&self) -> ApiError {
        match self.network.connected() {
            0 => ApiError::new(Code::NoPeers, "No peer can be reached."),
            _ => ApiError::new(Code::Unproved, "No peer could show the newest block yet."),
        }
    }

    async fn restore_book(&self) {
        use timecoin_core::peer::book::PROVED_MAX;
        use timecoin_core::rows::Table;
        use timecoin_core::store::{Range, Store};
        if let Ok(rows) = self.store.scan(Table::Peer, &Range::default(), 16 * PROVED_MAX).await {
            self.network.restore_book(rows);
        }
    }
}
