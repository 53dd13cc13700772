//! Who has a session: at most one per node key.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use timecoin_core::hash::Hash;
use timecoin_core::peer::handshake::{Keep, Origin, PeerId, PeerInfo, Refusal, keep};
use timecoin_core::time::Time;
use tokio::sync::watch;

use super::outbox::Queue;
use super::{DisconnectReason, Limits, Outbox};
use crate::clock;
use crate::mutex::lock;

#[derive(Debug)]
struct Entry {
    origin: Origin,
    outbound: bool,
    outbox: Outbox,
    /// Closes when the session's last event is out.
    ended: watch::Receiver<()>,
}

type Sessions = BTreeMap<PeerId, Entry>;

/// The sessions, by peer.
#[derive(Debug)]
pub(super) struct Registry {
    limits: Limits,
    sessions: Arc<Mutex<Sessions>>,
    bans: Mutex<BTreeMap<PeerId, Time>>,
    /// Bytes waiting for all peers.
    queued: Arc<AtomicUsize>,
}

/// A session's place. Dropping it gives the place back and lets a session that took it begin.
#[derive(Debug)]
pub(super) struct Seat {
    peer: PeerId,
    id: Hash,
    sessions: Arc<Mutex<Sessions>>,
    /// The node's end of the outbox.
    pub(super) outbox: Outbox,
    /// The session's end of it.
    pub(super) queue: Queue,
    previous: Option<watch::Receiver<()>>,
    _ended: watch::Sender<()>,
}

impl Registry {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, sessions: Arc::default(), bans: Mutex::default(), queued: Arc::default() }
    }

    pub(super) fn peers(&self) -> Vec<PeerId> {
        let sessions = lock(&self.sessions);
        sessions.iter().filter(|(_, entry)| entry.outbox.is_open()).map(|(peer, _)| *peer).collect()
    }

    pub(super) fn outbox(&self, peer: &PeerId) -> Option<Outbox> {
        lock(&self.sessions).get(peer).map(|entry| entry.outbox.clone())
    }

    pub(super) fn ban(&self, peer: PeerId, until: Time) {
        let (mut bans, now) = (lock(&self.bans), clock::now());
        bans.retain(|_, until| *until > now);
        bans.insert(peer, until);
    }

    /// Takes the peer's place, sending an existing session away if the new one is to stay.
    pub(super) fn admit(&self, info: &PeerInfo, outbound: bool) -> Result<Seat, Refusal> {
        if lock(&self.bans).get(&info.peer).is_some_and(|until| *until > clock::now()) {
            return Err(Refusal::Banned);
        }
        let mut sessions = lock(&self.sessions);
        let previous = match sessions.get(&info.peer) {
            Some(existing)
                if existing.outbox.is_open() && keep(&existing.origin, &info.origin) == Keep::Existing =>
            {
                return Err(Refusal::Duplicate);
            }
            existing => existing.map(|existing| (existing.outbox.clone(), existing.ended.clone())),
        };
        let inbound = sessions.iter().filter(|(peer, entry)| !entry.outbound && **peer != info.peer).count();
        if !outbound && inbound >= self.limits.inbound_peers_max {
            return Err(Refusal::TooManyPeers);
        }
        let (outbox, queue) = Outbox::new(&self.limits, &self.queued);
        let (ended, has_ended) = watch::channel(());
        let entry = Entry { origin: info.origin, outbound, outbox: outbox.clone(), ended: has_ended };
        sessions.insert(info.peer, entry);
        let previous = previous.map(|(outbox, ended)| {
            outbox.close(DisconnectReason::Replaced);
            ended
        });
        let sessions = Arc::clone(&self.sessions);
        Ok(Seat { peer: info.peer, id: info.origin.id, sessions, outbox, queue, previous, _ended: ended })
    }
}

impl Seat {
    /// Waits until the session that had this place has said its last.
    pub(super) async fn alone(&mut self) {
        if let Some(mut previous) = self.previous.take() {
            while previous.changed().await.is_ok() {}
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut sessions = lock(&self.sessions);
        if sessions.get(&self.peer).is_some_and(|entry| entry.origin.id == self.id) {
            sessions.remove(&self.peer);
        }
    }
}
