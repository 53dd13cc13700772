//! Whom to dial when, and what a page shows of that.

use std::rc::Rc;

use timecoin_core::message::PEERS_MAX;
use timecoin_core::peer::book::{Dial, Source};
use timecoin_core::peer::handshake::{
    HandshakeError, Keep, LocalNode, PROTOCOL_VERSION, PeerId, Refusal, Role, keep,
};
use timecoin_core::peer::record::PeerRecord;
use timecoin_core::rows::{Batch, Key, Value};
use timecoin_core::time::Time;
use wasm_bindgen_futures::spawn_local;

use super::session::Session;
use super::socket::{Channel, SocketError};
use super::{BAN_MS, NetEvent, Network, SESSIONS_MAX};
use crate::api::types::{PeerState, PeerView};
use crate::platform::{below, entropy, now, sleep_ms};

/// Places remembered for the page, dialled or not.
const PLACES_MAX: usize = 32;
/// Dials are spread by up to so much for each failure in a row, so that pages do not all come back at once.
const SPREAD_MS: u64 = 500;
/// How long a place that refused for good (another chain, another version) is left alone.
const REFUSED_MS: u64 = 60_000;

/// A place that was dialled, or is to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    key: Option<PeerId>,
    dialling: bool,
    failures: u64,
    /// Not before.
    not_before: Time,
    banned: bool,
}

impl Network {
    /// Dials what is due, as long as sessions are missing.
    pub(super) fn dial_due(self: &Rc<Self>) {
        let time = now();
        while !self.stopped.get() && self.outbound() < SESSIONS_MAX {
            let dial = {
                let sessions = self.sessions.borrow();
                let bans = self.bans.borrow();
                let is_taken = |key: &timecoin_core::keys::PublicKey| {
                    sessions.contains_key(&PeerId(*key)) || bans.get(key).is_some_and(|until| *until > time)
                };
                self.book.borrow_mut().dial(time, &entropy(), is_taken)
            };
            let Some(dial) = dial else { break };
            if self.begin_dial(&dial.url, time) {
                spawn_local(Rc::clone(self).dial(dial));
            }
        }
    }

    fn outbound(&self) -> usize {
        self.sessions.borrow().len() + self.places.borrow().values().filter(|place| place.dialling).count()
    }

    /// Notes that a place is dialled; false where it is dialled already, or is to be left alone.
    fn begin_dial(&self, url: &str, time: Time) -> bool {
        let mut places = self.places.borrow_mut();
        if places.len() >= PLACES_MAX && !places.contains_key(url) {
            let idle = places.iter().find(|(url, place)| {
                !place.dialling && !place.banned && !self.options.bootstrap.contains(url)
            });
            let Some(idle) = idle.map(|(url, _)| url.clone()) else { return false };
            places.remove(&idle);
        }
        let is_connected = self.sessions.borrow().values().any(|session| session.url == url);
        let place = places.entry(url.to_owned()).or_default();
        if place.dialling || is_connected || place.not_before > time {
            return false;
        }
        place.banned = false;
        place.dialling = true;
        true
    }

    async fn dial(self: Rc<Self>, dial: Dial) {
        self.tell(NetEvent::Changed);
        let failures = self.places.borrow().get(&dial.url).map_or(0, |place| place.failures);
        sleep_ms(below(1 + SPREAD_MS * failures.min(8))).await;
        let node = LocalNode {
            version: PROTOCOL_VERSION,
            chain: self.options.chain,
            role: Role::Light,
            listen: None,
            height: self.height.get().0,
        };
        let dialled = Channel::dial(&dial.url, &self.identity, node).await;
        self.end_dial(dial, dialled);
    }

    fn end_dial(self: &Rc<Self>, dial: Dial, dialled: Result<Channel, SocketError>) {
        let time = now();
        let mut batch = Batch::default();
        let peer = dialled.as_ref().ok().map(|channel| channel.info.peer);
        let is_expected = peer.is_some_and(|peer| dial.key.is_none_or(|key| key == peer.0));
        if let Some(place) = self.places.borrow_mut().get_mut(&dial.url) {
            place.dialling = false;
            place.key = peer.or(place.key);
            place.failures = if is_expected { 0 } else { place.failures + 1 };
            if let Err(SocketError::Handshake(
                HandshakeError::Refused(Refusal::WrongChain { .. } | Refusal::WrongVersion { .. })
                | HandshakeError::Rejected { .. },
            )) = &dialled
            {
                place.not_before = time.plus(REFUSED_MS);
            }
        }
        match (peer.filter(|_| is_expected), dialled) {
            (Some(peer), Ok(channel)) => {
                self.book.borrow_mut().on_connected(&dial, peer.0, time, &mut batch);
                self.joined(dial.url, channel, time);
            }
            // Dropping what answered in another's place closes it.
            (_, dialled) => {
                drop(dialled);
                self.book.borrow_mut().on_failure(&dial, time, &mut batch);
            }
        }
        self.keep(batch);
        self.tell(NetEvent::Changed);
    }

    fn joined(self: &Rc<Self>, url: String, channel: Channel, time: Time) {
        let peer = channel.info.peer;
        let is_banned = self.bans.borrow().get(&peer.0).is_some_and(|until| *until > time);
        if self.stopped.get() || is_banned {
            return;
        }
        // Where there is a session with this peer, the peer keeps one of the two, and this side the same.
        let held = self.sessions.borrow().get(&peer).cloned();
        match held.as_ref().map(|held| keep(&held.origin, &channel.info.origin)) {
            Some(Keep::Existing) => return,
            Some(Keep::New) => held.into_iter().for_each(|held| held.close()),
            None => {}
        }
        let (session, run) = Session::begin(url, channel, self);
        self.sessions.borrow_mut().insert(peer, Rc::clone(&session));
        self.lost_at.set(None);
        self.ever_connected.set(true);
        spawn_local(run);
        let watched = self.watched.borrow().clone();
        if !watched.is_empty() {
            let network = Rc::clone(self);
            spawn_local(async move { network.watch_at(&session, watched).await });
        }
    }

    /// A session ended.
    pub(super) fn left(self: &Rc<Self>, session: &Rc<Session>) {
        {
            let mut sessions = self.sessions.borrow_mut();
            if sessions.get(&session.peer).is_some_and(|held| Rc::ptr_eq(held, session)) {
                sessions.remove(&session.peer);
            }
            if sessions.is_empty() {
                self.lost_at.set(Some(now()));
            }
        }
        if session.was_short() {
            let (dial, mut batch) =
                (Dial { url: session.url.clone(), key: Some(session.peer.0) }, Batch::default());
            self.book.borrow_mut().on_failure(&dial, now(), &mut batch);
            self.keep(batch);
        }
        self.tell(NetEvent::Changed);
        self.dial_due();
    }

    pub(super) fn look_after_sessions(&self) {
        let sessions: Vec<_> = self.sessions.borrow().values().cloned().collect();
        sessions.iter().for_each(|session| session.look_after());
        self.quotas.borrow_mut().prune(now());
    }

    /// Ends the session with a peer that lied, and dials neither it nor its place for a while.
    pub(super) fn ban(&self, peer: &PeerId, time: Time) {
        let until = time.plus(BAN_MS);
        {
            let mut bans = self.bans.borrow_mut();
            bans.retain(|_, until| *until > time);
            bans.insert(peer.0, until);
        }
        let session = self.sessions.borrow().get(peer).cloned();
        if let Some(session) = session {
            if let Some(place) = self.places.borrow_mut().get_mut(&session.url) {
                (place.banned, place.not_before) = (true, until);
            }
            session.close();
        }
    }

    /// Takes back the address book.
    pub fn restore_book(&self, rows: Vec<(Key, Value)>) {
        let mut batch = Batch::default();
        self.book.borrow_mut().restore(rows, now(), &mut batch);
        self.keep(batch);
    }

    fn keep(&self, batch: Batch) {
        if batch.iter().next().is_some() {
            self.tell(NetEvent::Book(batch));
        }
    }

    /// Peers that a peer names: signed by themselves, and dialled only where policy allows it.
    pub(super) fn learn(&self, session: &Session, records: Vec<PeerRecord>) {
        let (time, mut batch) = (now(), Batch::default());
        for record in records.into_iter().take(PEERS_MAX) {
            // Who passes on what nobody signed is no peer of use, but no liar about the chain.
            let Ok(verified) = record.verify(&self.options.chain) else { return session.close() };
            if !verified.is_early(time) {
                self.book.borrow_mut().insert(verified, Source::Outbound(session.peer.0), &mut batch);
            }
        }
        self.keep(batch);
    }

    /// What a page shows of its peers, in the order of their URLs.
    pub fn views(&self) -> Vec<PeerView> {
        let time = now();
        let sessions = self.sessions.borrow();
        let view = |(url, place): (&String, &Place)| {
            let session = sessions.values().find(|session| session.url == *url);
            let state = match session {
                Some(_) => PeerState::Connected,
                None if place.dialling => PeerState::Dialling,
                None if place.banned && place.not_before > time => PeerState::Banned,
                None => PeerState::Waiting,
            };
            PeerView {
                url: url.clone(),
                key: session.map(|session| session.peer).or(place.key).map(|peer| peer.0),
                state,
                height: session.map(|session| session.height()),
                rtt_ms: session.and_then(|session| session.round_trip_ms()),
                retry_at: Some(place.not_before).filter(|at| session.is_none() && *at > time),
            }
        };
        self.places.borrow().iter().map(view).collect()
    }
}
