//! Finding peers: records exchanged, the address book, and how many sessions this node opens by itself.
//!
//! A peer that we dialled is asked for records once; everybody is told our own. Records that are news here are
//! passed on a few at a time, slower than any peer's quota, so that whoever floods us with records cannot make us
//! flood others. What policy would not have us dial (private addresses of strangers) is not passed on either.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::encode;
use crate::hash::{Hash, Tag};
use crate::keys::PublicKey;
use crate::message::{Message, PEERS_MAX};
use crate::peer::book::{Book, Dial, Source};
use crate::peer::gossip::Edges;
use crate::peer::handshake::{PeerId, PeerInfo};
use crate::peer::record::{AddressPolicy, PeerRecord, VerifiedRecord};
use crate::rows::{Batch, Key, Value};
use crate::time::Time;

use super::Node;
use super::event::{Effect, Step};

/// News is passed on this often,
const SHARE_EVERY_MS: u64 = 10_000;
/// and so many records each time: less than one a second.
const SHARE_MAX: usize = 8;
/// A dial that nobody reported on for this long failed.
const DIAL_TIMEOUT_MS: u64 = 60_000;
/// Between two looks into the book.
const LOOK_EVERY_MS: u64 = 200;
/// Records remembered per peer at least.
const RECORDS_KNOWN: usize = 512;

/// What a node needs for finding peers.
#[derive(Clone, Debug)]
pub struct DiscoveryConfig {
    /// The node key.
    pub own: PublicKey,
    /// Where this node takes sessions, if anywhere, signed by the node key.
    pub record: Option<PeerRecord>,
    /// URLs to begin with.
    pub bootstrap: Vec<String>,
    /// What strangers' records may make this node dial and pass on.
    pub policy: AddressPolicy,
    /// Sessions to open; others may open more.
    pub outbound_max: usize,
    /// Random, another at each start: choices follow from it.
    pub seed: [u8; 32],
}

/// The node's side of discovery.
pub(super) struct Discovery {
    config: DiscoveryConfig,
    book: Book,
    draws: u64,
    /// Peers in session; whether we dialled.
    sessions: BTreeMap<PeerId, bool>,
    /// Peers that were given records in this session.
    answered: BTreeSet<PeerId>,
    dialling: BTreeMap<String, Time>,
    records: Edges,
    news: Vec<PeerRecord>,
    share_at: Time,
    look_at: Time,
}

fn name(record: &PeerRecord) -> Hash {
    const RECORD: Tag = Tag::new("timecoin record gossip");
    RECORD.hash(&[&encode(record)])
}

impl Discovery {
    pub(super) fn new(config: DiscoveryConfig) -> Self {
        Self {
            book: Book::new(config.own, config.policy, &config.bootstrap),
            config,
            draws: 0,
            sessions: BTreeMap::new(),
            answered: BTreeSet::new(),
            dialling: BTreeMap::new(),
            records: Edges::new(RECORDS_KNOWN),
            news: Vec::new(),
            share_at: Time::NEVER,
            look_at: Time(0),
        }
    }

    pub(super) fn restore(&mut self, rows: &[(Key, Value)], now: Time, batch: &mut Batch) {
        self.book.restore(rows.iter().cloned(), now, batch);
    }

    pub(super) fn deadline(&self) -> Time {
        self.share_at.min(self.look_at)
    }

    pub(super) fn left(&mut self, peer: &PeerId, now: Time) {
        self.sessions.remove(peer);
        self.answered.remove(peer);
        self.records.leave(&peer.0);
        self.look_soon(now);
    }

    /// Our own record, where it may be told.
    fn own_record(&self) -> Option<&PeerRecord> {
        self.config.record.as_ref().filter(|record| self.config.policy.allows(&record.url))
    }

    fn entropy(&mut self) -> [u8; 32] {
        const DRAW: Tag = Tag::new("timecoin discovery");
        self.draws += 1;
        DRAW.hash(&[&self.config.seed, &self.draws.to_le_bytes()]).0
    }

    fn outbound(&self) -> usize {
        self.sessions.values().filter(|dialled| **dialled).count() + self.dialling.len()
    }

    fn look_soon(&mut self, now: Time) {
        self.look_at = self.look_at.min(now.plus(LOOK_EVERY_MS));
    }

    /// The places to dial now.
    fn dials(&mut self, now: Time) -> Vec<Dial> {
        let mut dials = Vec::new();
        self.dialling.retain(|_, since| since.plus(DIAL_TIMEOUT_MS) > now);
        while self.outbound() < self.config.outbound_max {
            let entropy = self.entropy();
            let sessions = &self.sessions;
            let Some(dial) = self.book.dial(now, &entropy, |key| sessions.contains_key(&PeerId(*key))) else {
                break;
            };
            self.dialling.insert(dial.url.clone(), now);
            dials.push(dial);
        }
        let next = if self.outbound() < self.config.outbound_max {
            self.book.next_dial(|key| self.sessions.contains_key(&PeerId(*key)))
        } else {
            self.dialling.values().min().map_or(Time::NEVER, |since| since.plus(DIAL_TIMEOUT_MS))
        };
        self.look_at = next.max(now.plus(LOOK_EVERY_MS));
        dials
    }

    /// News for each peer that lacks it.
    fn shares(&mut self) -> Vec<(PeerId, Vec<PeerRecord>)> {
        let news = core::mem::take(&mut self.news);
        let mut shares = Vec::new();
        for peer in self.sessions.keys() {
            let lacking = news.iter().filter(|record| self.records.mark(&peer.0, name(record)));
            let lacking: Vec<_> = lacking.cloned().collect();
            if !lacking.is_empty() {
                shares.push((*peer, lacking));
            }
        }
        shares
    }
}

impl Node {
    /// How many nodes the address book knows, bootstrap URLs aside.
    #[must_use]
    pub fn known_peers(&self) -> usize {
        self.discovery.as_ref().map_or(0, |discovery| discovery.book.len())
    }

    /// A session began: introduce ourselves, and ask for others where we dialled.
    pub(super) fn meet(&mut self, info: &PeerInfo, now: Time, step: &mut Step) {
        let Some(discovery) = &mut self.discovery else { return };
        let dialled = info.origin.initiator.0 == discovery.config.own;
        discovery.sessions.insert(info.peer, dialled);
        discovery.records.join(info.peer.0);
        discovery.look_soon(now);
        let own = discovery.own_record().cloned();
        if let Some(own) = own {
            discovery.records.mark(&info.peer.0, name(&own));
            self.send(vec![info.peer], &Message::Peers(vec![own]), step);
        }
        if dialled {
            self.send(vec![info.peer], &Message::WantPeers, step);
        }
    }

    /// A light node may ask for records; nothing is passed on to it otherwise.
    pub(super) fn meet_light(&mut self, peer: PeerId) {
        if let Some(discovery) = &mut self.discovery {
            discovery.records.join(peer.0);
        }
    }

    pub(super) fn on_want_peers(&mut self, peer: PeerId, step: &mut Step) {
        let Some(discovery) = &mut self.discovery else { return };
        if !discovery.answered.insert(peer) {
            return;
        }
        let entropy = discovery.entropy();
        let mut shared = discovery.book.share(PEERS_MAX / 2, &entropy);
        shared.retain(|record| record.key != peer.0 && discovery.records.mark(&peer.0, name(record)));
        if !shared.is_empty() {
            self.send(vec![peer], &Message::Peers(shared), step);
        }
    }

    pub(super) fn on_peers(
        &mut self,
        peer: PeerId,
        records: Vec<VerifiedRecord>,
        now: Time,
        step: &mut Step,
    ) {
        let Some(discovery) = &mut self.discovery else { return };
        let Some(dialled) = discovery.sessions.get(&peer).copied() else { return };
        let source = if dialled { Source::Outbound(peer.0) } else { Source::Inbound };
        for verified in records {
            let record = verified.record().clone();
            discovery.records.mark(&peer.0, name(&record));
            let is_news = !verified.is_early(now) && discovery.book.insert(verified, source, &mut step.batch);
            let may_pass = is_news && discovery.config.policy.allows(&record.url);
            if may_pass && discovery.news.len() < SHARE_MAX {
                discovery.news.push(record);
                discovery.share_at = discovery.share_at.min(now.plus(SHARE_EVERY_MS));
            }
        }
        discovery.look_soon(now);
    }

    pub(super) fn on_dialled(&mut self, dial: &Dial, peer: Option<PeerId>, now: Time, step: &mut Step) {
        let Some(discovery) = &mut self.discovery else { return };
        discovery.dialling.remove(&dial.url);
        match peer {
            Some(peer) => discovery.book.on_connected(dial, peer.0, now, &mut step.batch),
            None => discovery.book.on_failure(dial, now, &mut step.batch),
        }
        discovery.look_soon(now);
    }

    pub(super) fn tick_discovery(&mut self, now: Time, step: &mut Step) {
        let Some(discovery) = &mut self.discovery else { return };
        if discovery.look_at <= now {
            step.effects.extend(discovery.dials(now).into_iter().map(Effect::Dial));
        }
        if discovery.share_at <= now {
            discovery.share_at = Time::NEVER;
            for (peer, records) in discovery.shares() {
                self.send(vec![peer], &Message::Peers(records), step);
            }
        }
    }
}
