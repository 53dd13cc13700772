//! The network of a native node: encrypted sessions over WebSockets, in both directions.
//!
//! A node sees peers, never addresses: it reads [`NetEvent`]s and writes to [`Outbox`]es. For each peer the
//! events are `Connected`, any number of `Frame`s, `Disconnected`, and there is at most one session at a time.
//! Everything is bounded: sessions, half-open sockets, queued frames and bytes, time to connect and to write.
//! Not here: what frames mean, whom to dial, and whether a quiet peer is alive.

mod dial;
mod listen;
mod metered;
mod outbox;
mod peer;
mod registry;
mod slots;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use timecoin_core::codec::FRAME_SIZE_MAX;
use timecoin_core::hash::ChainId;
use timecoin_core::keys::SecretKey;
use timecoin_core::peer::handshake::{HandshakeError, LocalNode, PROTOCOL_VERSION, PeerId, PeerInfo, Role};
use timecoin_core::peer::session::SessionError;
use timecoin_core::time::Time;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::tls::{self, Trust};

pub(crate) use listen::upgrade;
pub use outbox::{Outbox, SendError};
use registry::Registry;
pub(crate) use slots::{NoSlot, Slots};

/// What bounds the network.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sessions that others opened.
    pub inbound_peers_max: usize,
    /// WebSockets that others opened, with a session or not yet.
    pub inbound_sockets_max: usize,
    /// The same, from one address (IPv6: one /64). Raise it behind a proxy or for many nodes on one machine.
    pub inbound_per_ip_max: usize,
    /// From connecting to the end of the handshake.
    pub handshake_timeout: Duration,
    /// For one message to leave; a peer that reads slower is closed.
    pub write_timeout: Duration,
    /// Frames waiting for one peer; one more and it is closed.
    pub outbox_frames_max: usize,
    /// Bytes waiting for one peer; more and it is closed.
    pub outbox_bytes_max: usize,
    /// Bytes waiting for all peers; more, and those for whom much is waiting are closed.
    pub outbox_total_max: usize,
    /// Bytes of unfinished messages from all peers that dialled us; more, and those that sent much are closed.
    pub unfinished_total_max: usize,
    /// From the first byte of a message to its last.
    pub message_timeout: Duration,
    /// Events waiting for the node; more and the peers wait.
    pub events_max: usize,
    /// Bytes of frames that were read and that the node is not done with; more and the peers wait.
    pub events_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbound_peers_max: 64,
            inbound_sockets_max: 128,
            inbound_per_ip_max: 16,
            handshake_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            outbox_frames_max: 1024,
            outbox_bytes_max: 2 * FRAME_SIZE_MAX + (1 << 20),
            outbox_total_max: 14 << 20,
            unfinished_total_max: 8 << 20,
            message_timeout: Duration::from_secs(20),
            events_max: 64,
            events_bytes_max: 8 << 20,
        }
    }
}

/// Who the node is and what it lets in.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// The node key.
    pub identity: SecretKey,
    /// The chain.
    pub chain: ChainId,
    /// What the node does.
    pub role: Role,
    /// The URL it tells peers, if they can reach it.
    pub listen: Option<String>,
    /// Whose certificates are believed at `wss://` addresses.
    pub trust: Trust,
    /// The bounds.
    pub limits: Limits,
}

/// What the network tells the node, in order per peer.
#[derive(Debug)]
pub enum NetEvent {
    /// A session began.
    Connected {
        /// With whom.
        peer: PeerId,
        /// What it said about itself.
        info: PeerInfo,
        /// Whether we dialled.
        outbound: bool,
        /// Where to put frames for it.
        outbox: Outbox,
    },
    /// A peer sent a frame.
    Frame {
        /// Who.
        peer: PeerId,
        /// The frame, at most [`FRAME_SIZE_MAX`] bytes, not decoded.
        bytes: Vec<u8>,
        /// Its share of [`Limits::events_bytes_max`], to be kept until the node is done with it.
        share: Share,
    },
    /// A session ended.
    Disconnected {
        /// With whom.
        peer: PeerId,
        /// Why.
        reason: DisconnectReason,
    },
}

/// A frame's share of the memory for frames, given back when dropped.
pub type Share = tokio::sync::OwnedSemaphorePermit;

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisconnectReason {
    /// The peer closed it, or vanished.
    #[error("closed by the peer")]
    PeerClosed,
    /// The connection failed.
    #[error("connection failed: {0}")]
    Io(io::ErrorKind),
    /// A message did not open.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The peer broke the WebSocket protocol, or sent something other than binary messages.
    #[error("not our use of WebSocket")]
    Protocol,
    /// The peer sent a message larger than any frame needs.
    #[error("message too large")]
    TooLarge,
    /// A message did not arrive whole in time, or too much was unfinished at once.
    #[error("messages left unfinished")]
    Unfinished,
    /// A message did not leave in time: the peer reads too slowly.
    #[error("the peer reads too slowly")]
    SlowReader,
    /// More was waiting for the peer than it may have waiting.
    #[error("too much was waiting for the peer")]
    OutboxFull,
    /// Another session with the same peer took its place.
    #[error("replaced by another session")]
    Replaced,
    /// The node heard nothing from the peer for too long.
    #[error("silent for too long")]
    Silent,
    /// The node closed it for what the peer did.
    #[error("misbehaved")]
    Misbehaved,
    /// The node closed it, having better peers or none to spare.
    #[error("not needed")]
    NotNeeded,
    /// The node is stopping.
    #[error("shutting down")]
    Shutdown,
}

/// Why no session began.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConnectError {
    /// Not a `ws://host[:port]/path` URL, or `wss://`.
    #[error("not a ws:// or wss:// URL")]
    Url,
    /// The host could not be reached.
    #[error("cannot connect: {0}")]
    Unreachable(io::ErrorKind),
    /// There is no TLS session with the host; with another authority's certificate, see the key `tls_ca`.
    #[error("TLS: {0}")]
    Tls(tls::Failure),
    /// What answered does not take a WebSocket there, with its HTTP status if it is HTTP at all.
    #[error("no WebSocket there (HTTP status {0:?})")]
    Upgrade(Option<u16>),
    /// The connection failed or broke the rules before the handshake ended.
    #[error("during the handshake: {0}")]
    Disconnected(DisconnectReason),
    /// It took longer than [`Limits::handshake_timeout`].
    #[error("timed out")]
    Timeout,
    /// The handshake failed; `Refused` and `Rejected` say why.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// There is a session with this peer already, and it is the one to keep.
    #[error("already connected to {0}")]
    AlreadyConnected(PeerId),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Entropy,
}

/// The node's handle on its network. Clones are the same network.
#[derive(Clone, Debug)]
pub struct Network(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: NetConfig,
    height: AtomicU64,
    registry: Registry,
    inbound: Slots,
    events: mpsc::Sender<NetEvent>,
    /// What is left of [`Limits::events_bytes_max`].
    events_bytes: Arc<Semaphore>,
    /// Of all peers that dialled us.
    unfinished: Arc<AtomicUsize>,
    /// True once stopping. Every connection's task holds a receiver while it lives.
    stopping: watch::Sender<bool>,
}

impl Network {
    /// A network without connections, and the node's end of it.
    #[must_use]
    pub fn new(config: NetConfig) -> (Self, mpsc::Receiver<NetEvent>) {
        let (events, received) = mpsc::channel(config.limits.events_max);
        let inbound = Slots::new(config.limits.inbound_sockets_max, config.limits.inbound_per_ip_max);
        let registry = Registry::new(config.limits.clone());
        let stopping = watch::Sender::new(false);
        let height = AtomicU64::new(0);
        // At least one frame of any size fits.
        let bytes = config.limits.events_bytes_max.max(FRAME_SIZE_MAX);
        let events_bytes = Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)));
        let unfinished = Arc::default();
        let shared = Shared { config, height, registry, inbound, events, events_bytes, unfinished, stopping };
        (Self(Arc::new(shared)), received)
    }

    /// Who we are.
    #[must_use]
    pub fn id(&self) -> PeerId {
        PeerId(self.0.config.identity.public_key())
    }

    /// Sets the height that new peers are told.
    pub fn set_height(&self, height: u64) {
        self.0.height.store(height, Ordering::Relaxed);
    }

    /// The peers with a session, in key order.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerId> {
        self.0.registry.peers()
    }

    /// Queues a frame for a peer. A peer whose outbox is full is closed.
    pub fn send(&self, peer: &PeerId, frame: impl Into<Arc<[u8]>>) -> Result<(), SendError> {
        self.0.registry.outbox(peer).ok_or(SendError::Closed)?.send(frame)
    }

    /// Ends the session with a peer, if there is one.
    pub fn close(&self, peer: &PeerId, reason: DisconnectReason) {
        if let Some(outbox) = self.0.registry.outbox(peer) {
            outbox.close(reason);
        }
    }

    /// Lets a peer have no session before then. What it has is not ended.
    pub fn ban(&self, peer: PeerId, until: Time) {
        self.0.registry.ban(peer, until);
    }

    /// Opens a session with whoever answers at `url`. The session lives on when this returns.
    pub async fn dial(&self, url: &str) -> Result<PeerId, ConnectError> {
        dial::dial(&self.0, url).await
    }

    /// Ends all sessions and lets no more begin; returns when the last is gone.
    pub async fn shutdown(&self) {
        self.0.stopping.send_replace(true);
        self.0.stopping.closed().await;
    }
}

impl Shared {
    fn local_node(&self) -> LocalNode {
        LocalNode {
            version: PROTOCOL_VERSION,
            chain: self.config.chain,
            role: self.config.role,
            listen: self.config.listen.clone(),
            height: self.height.load(Ordering::Relaxed),
        }
    }

    /// Runs `connecting` unless it takes too long or the node is stopping.
    async fn in_time<T>(
        &self,
        connecting: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            result = tokio::time::timeout(self.config.limits.handshake_timeout, connecting) => {
                result.unwrap_or(Err(ConnectError::Timeout))
            }
            () = is_set(&mut stopping) => {
                Err(ConnectError::Disconnected(DisconnectReason::Shutdown))
            }
        }
    }
}

/// Waits until a flag is set, or nobody is left to set it.
pub(crate) async fn is_set(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|set| *set).await;
}
