//! A running node: files, sockets, clock and threads around the core.
//!
//! | file | runs where | does |
//! |---|---|---|
//! | `owner` | a thread of its own | owns the node and the store's write side: jobs, effects, the timer |
//! | `planner` | a thread of its own, and rayon's | decodes and checks events before the node sees them |
//! | `dialler` | the async runtime | keeps sessions with the addresses of the configuration; the others are the core's choice |
//!
//! Every queue between them is bounded; a full one makes the sender wait, down to the peers' sockets.

mod dialler;
mod owner;
mod planner;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use futures::FutureExt;
use timecoin_core::address;
use timecoin_core::driver::{self, DriverError};
use timecoin_core::keys::SecretKey;
use timecoin_core::mempool::MempoolLimits;
use timecoin_core::node::{Chain, DiscoveryConfig, Gate, NodeConfig, Notice};
use timecoin_core::peer::handshake::Role;
use timecoin_core::peer::record::{AddressPolicy, PeerRecord};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::clock;
use crate::handle::{Links, NodeHandle};
use crate::health;
use crate::http::{self, BindError, HttpLimits, P2pState, SpecFile};
use crate::identity::{self, IdentityError};
use crate::net::{self, NetConfig, Network};
use crate::store::{FileStore, Options, StoreError};
use crate::tls::{ServerTls, Trust};

/// Jobs and questions waiting for the node.
const WORK_MAX: usize = 512;
/// Submissions waiting to be checked.
const SUBMISSIONS_MAX: usize = 512;
/// Sessions that the node opens by itself.
const OUTBOUND_MAX: usize = 8;
/// Notices a slow listener may be behind.
const NOTICES_MAX: usize = 4096;

/// Everything a node is started with.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The chain.
    pub chain: Arc<Chain>,
    /// The data folder.
    pub data: PathBuf,
    /// How the store uses memory.
    pub store: Options,
    /// Where to listen. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// The URL at which peers reach this node, if they can.
    pub advertise: Option<String>,
    /// Peers to keep sessions with, besides the chain spec's.
    pub peers: Vec<String>,
    /// The key to vote with, where this node is a validator.
    pub operator: Option<Operator>,
    /// What may wait for a block.
    pub mempool: MempoolLimits,
    /// The certificate of the port, where it speaks TLS.
    pub tls: Option<ServerTls>,
    /// Whose certificates are believed at `wss://` addresses.
    pub trust: Trust,
    /// What bounds the network.
    pub net: net::Limits,
    /// What bounds the HTTP server.
    pub http: HttpLimits,
}

/// A key that votes.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The key.
    pub key: SecretKey,
    /// Whether it was made for this data folder and has never signed: only then may it vote at once.
    pub past: Past,
}

/// What is known of an operator key besides what the store remembers of it.
#[derive(Clone, Debug)]
pub enum Past {
    /// Nothing: it may have signed.
    Unknown,
    /// It has never signed.
    Unused,
    /// What the marker beside this key file says. It is taken away when nothing else keeps the node from starting: a
    /// port in use must not cost a new validator its first votes.
    Marked(PathBuf),
}

impl Past {
    /// Whether the key has never signed. From now on it may have.
    fn take(&self) -> Result<bool, IdentityError> {
        match self {
            Self::Unknown => Ok(false),
            Self::Unused => Ok(true),
            Self::Marked(file) => identity::take_unused(file),
        }
    }

    /// The node did not start after all: nothing was signed.
    fn put_back(&self) {
        if let Self::Marked(file) = self {
            identity::put_unused(file);
        }
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store holds does not make a node of this chain.
    #[error(transparent)]
    Restore(#[from] DriverError<StoreError>),
    /// The port cannot be used.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The node key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The system gives no thread.
    #[error("cannot start a thread ({0}): too many are running")]
    Thread(io::ErrorKind),
}

/// Why a node stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopReason {
    /// It was asked to.
    #[error("stopped as asked")]
    Requested,
    /// Going on would be unsafe.
    #[error("the node stopped itself: {}", describe(.0.as_deref()))]
    Halted(Option<Arc<Notice>>),
    /// The store failed: nothing that was not durable is visible. Starting again recovers.
    #[error(transparent)]
    Failed(#[from] DriverError<StoreError>),
    /// The node's thread panicked.
    #[error("the node's thread panicked: please report this")]
    Panicked,
}

fn describe(notice: Option<&Notice>) -> String {
    match notice {
        Some(Notice::Fork { ours, theirs }) => format!(
            "height {} has two conflicting certificates, for {:?} and {:?}; both are kept in the store",
            ours.data.height.0, ours.data.block, theirs.data.block
        ),
        Some(Notice::InvalidDecision { certificate, error }) => format!(
            "a quorum committed a block of height {} that breaks the rules: {error}",
            certificate.data.height.0
        ),
        _ => "see the log".to_owned(),
    }
}

/// A node that runs until it is stopped.
pub struct Running {
    /// What others may do with it.
    pub handle: NodeHandle,
    /// Where it listens.
    pub address: SocketAddr,
    ended: oneshot::Receiver<StopReason>,
    tasks: JoinSet<()>,
    server: tokio::task::JoinHandle<()>,
}

/// Starts a node within a tokio runtime. `routes` makes what is served besides `/p2p`, `/health` and `/spec.json`.
///
/// # Errors
/// If the data folder, the port or a key cannot be used.
pub async fn start(
    config: RunConfig,
    routes: impl FnOnce(&NodeHandle) -> Router,
) -> Result<Running, StartError> {
    let store = FileStore::open_with(&config.data, config.store)?;
    let identity = identity::node_key(&config.data)?;
    let listener = http::bind(config.listen).await?;
    let address = listener
        .local_addr()
        .map_err(|error| BindError::Unusable { address: config.listen, kind: error.kind() })?;
    let node_config = NodeConfig {
        chain: config.chain.clone(),
        operator: config.operator.as_ref().map(|operator| operator.key.clone()),
        mempool: config.mempool,
        discovery: Some(discovery(&config, &identity)?),
    };
    let past = config.operator.as_ref().map_or(&Past::Unknown, |operator| &operator.past);
    let unused = past.take()?;
    let restored = driver::restore(node_config, &store, unused, clock::now()).await;
    let (node, effects) = restored.inspect_err(|_| {
        if unused {
            past.put_back();
        }
    })?;
    let (network, events) = Network::new(NetConfig {
        identity,
        chain: config.chain.id,
        role: if config.operator.is_some() { Role::Validator } else { Role::Full },
        listen: config.advertise.clone(),
        trust: config.trust.clone(),
        limits: config.net.clone(),
    });
    network.set_height(node.state().height().0);

    let (work, work_waiting) = mpsc::channel(WORK_MAX);
    let (submissions, submissions_waiting) = mpsc::channel(SUBMISSIONS_MAX);
    let (notices, _) = broadcast::channel(NOTICES_MAX);
    let (sessions, sessions_seen) = watch::channel(handle_sessions());
    let stopping = watch::Sender::new(false);
    let (bans, bans_seen) = watch::channel(crate::handle::Bans::default());
    let (offences, offences_waiting) = mpsc::channel(planner::OFFENCES_MAX);
    let mut performer = owner::Performer::new(
        network.clone(),
        store.clone(),
        notices.clone(),
        offences,
        work.downgrade(),
        &node,
    );
    let planner = planner::Planner {
        network: network.clone(),
        events,
        submissions: submissions_waiting,
        work: work.clone(),
        context: performer.context.clone(),
        notices: notices.clone(),
        sessions,
        next_ticket: 0,
        offences: offences_waiting,
        gate: Gate::default(),
        bans,
    };
    let links = Links {
        work,
        submissions,
        notices,
        sessions: sessions_seen.clone(),
        bans: bans_seen,
        stopping: stopping.clone(),
        started: clock::now(),
    };
    let handle = NodeHandle {
        chain: config.chain.clone(),
        store,
        state: performer.state.clone(),
        network: network.clone(),
        links,
    };
    let (ended, has_ended) = oneshot::channel();
    let owner_stopping = stopping.subscribe();
    let restored = performer.perform(effects);
    let halted_at_once = restored.err();
    thread("timecoin-planner", planner.run())?;
    thread("timecoin-node", async move {
        let reason = match halted_at_once {
            Some(reason) => reason,
            None => {
                owner::Owner { node, performer, work: work_waiting, stopping: owner_stopping }.run().await
            }
        };
        stopping.send_replace(true);
        // The program may have dropped the node already.
        let _ = ended.send(reason);
    })?;

    let mut tasks = JoinSet::new();
    for url in &config.peers {
        tasks.spawn(dialler::keep_dialling(network.clone(), url.clone(), sessions_seen.clone()));
    }
    let asked = handle.clone();
    let health = Arc::new(move || {
        let asked = asked.clone();
        async move { health::report(&asked).await }.boxed()
    });
    let spec = SpecFile::new(&config.chain.spec);
    let router = http::router(P2pState { network, health, spec }).merge(routes(&handle));
    let asked = handle.clone();
    let server = tokio::spawn(http::serve(listener, router, config.http, config.tls, async move {
        asked.stopping().await
    }));
    Ok(Running { handle, address, ended: has_ended, tasks, server })
}

/// Where this node is found, and how it finds others.
fn discovery(config: &RunConfig, identity: &SecretKey) -> Result<DiscoveryConfig, IdentityError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| IdentityError::Entropy)?;
    let (chain, own) = (&config.chain, identity.public_key());
    let record = |url: &String| PeerRecord::sign(identity, url, clock::now(), &chain.id);
    let allow_private = chain.spec.consensus.network == address::Network::Dev;
    Ok(DiscoveryConfig {
        own,
        record: config.advertise.as_ref().map(record),
        bootstrap: chain.spec.bootstrap.clone(),
        policy: AddressPolicy { allow_private, allow_insecure: true },
        outbound_max: OUTBOUND_MAX,
        seed,
    })
}

fn handle_sessions() -> crate::handle::Sessions {
    Arc::default()
}

/// Runs a future on a thread of its own, with timers.
fn thread(name: &str, future: impl Future<Output = ()> + Send + 'static) -> Result<(), StartError> {
    let failed = |error: io::Error| StartError::Thread(error.kind());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(move || runtime.block_on(future)).map_err(failed)?;
    Ok(())
}

impl Running {
    /// Waits for the node to stop, then closes connections and files in order.
    pub async fn wait(self) -> StopReason {
        let Self { handle, ended, mut tasks, server, .. } = self;
        let reason = ended.await.unwrap_or(StopReason::Panicked);
        handle.stop();
        tasks.shutdown().await;
        // It drains within its own limit; a panic in it is nothing more to wait for.
        let _ = server.await;
        handle.network.shutdown().await;
        reason
    }

    /// Stops the node and waits for it.
    pub async fn stop(self) -> StopReason {
        self.handle.stop();
        self.wait().await
    }
}
