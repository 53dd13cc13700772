//! The address book: whom to dial next.
//!
//! What an attacker can say for free must not move the choice by more than a fixed share:
//!
//! * A peer record is signed by the node it names, and what one *source* tells fills one bucket of fixed size.
//!   Every peer that we dialled is a source of its own; all that dialled us are one source together, because
//!   keys are free.
//! * A choice is drawn class first (proved by an outbound session, heard of, bootstrap), then source, then
//!   neighbourhood, then node: ten thousand addresses in one bucket weigh as much as one.
//! * A few *anchors*, outbound peers from before, are dialled first after a restart. They are given up only
//!   for a peer that works, so losing the network costs none of them.
//!
//! Nothing is removed for failing: failures delay (back-off) and decide who gives way when a bucket is full.
//! Time and entropy are arguments; one entropy, one choice.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::record::{AddressPolicy, Endpoint, PeerRecord, VerifiedRecord};
use crate::codec::{Wire, decode, encode};
use crate::hash::Tag;
use crate::keys::PublicKey;
use crate::rows::{Batch, Key, Table, Value};
use crate::time::Time;

/// Most nodes that one source can have us remember.
pub const BUCKET_MAX: usize = 64;
/// Most sources remembered.
pub const SOURCES_MAX: usize = 64;
/// Most nodes remembered because a session with them worked.
pub const PROVED_MAX: usize = 256;
/// Outbound peers to return to after a restart.
pub const ANCHORS_MAX: usize = 4;

const BACKOFF_MS: u64 = 1_000;
const BACKOFF_MAX_MS: u64 = 600_000;
/// For anchors and bootstrap nodes: there is nothing better to do.
const BACKOFF_FIRST_MAX_MS: u64 = 30_000;
/// So many failures in a row, and an anchor gives way to a peer that works.
const ANCHOR_FAILURES: u32 = 3;

/// Who told us of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// A peer that we dialled.
    Outbound(PublicKey),
    /// Any peer that dialled us.
    Inbound,
}

/// A place to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Where.
    pub url: String,
    /// Who must answer; with none (a bootstrap URL), whoever does.
    pub key: Option<PublicKey>,
}

/// What a row of [`Table::Peer`] holds; its key is the node's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    record: PeerRecord,
    heard_from: Vec<Source>,
    proved: Option<Time>,
    is_anchor: bool,
    patience: Patience,
}

impl Wire for Stored {
    const SIZE_MAX: usize = PeerRecord::SIZE_MAX + 8 + SOURCES_MAX * 36 + 9 + 1 + 12;
}

#[derive(Debug)]
struct Node {
    record: PeerRecord,
    neighbourhood: String,
    is_allowed: bool,
    heard_from: BTreeSet<Source>,
    /// When a session at this URL last began.
    proved: Option<Time>,
    is_anchor: bool,
    patience: Patience,
}

/// Back-off of one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Patience {
    failures: u32,
    dial_at: Time,
}

impl Patience {
    const NEW: Self = Self { failures: 0, dial_at: Time(0) };

    fn wait(&mut self, now: Time, wait_max_ms: u64) {
        let factor = 1u64.checked_shl(self.failures).unwrap_or(u64::MAX);
        self.dial_at = now.plus(BACKOFF_MS.saturating_mul(factor).min(wait_max_ms));
    }

    fn succeed(&mut self, now: Time) {
        self.failures = 0;
        self.wait(now, BACKOFF_MS);
    }

    fn fail(&mut self, now: Time, wait_max_ms: u64) {
        self.failures = self.failures.saturating_add(1).min(60);
        self.wait(now, wait_max_ms);
    }
}

#[derive(Debug)]
struct Bootstrap {
    url: String,
    /// Who answered there last.
    key: Option<PublicKey>,
    patience: Patience,
}

/// The address book.
#[derive(Debug)]
pub struct Book {
    own: PublicKey,
    policy: AddressPolicy,
    nodes: BTreeMap<PublicKey, Node>,
    bootstrap: Vec<Bootstrap>,
}

/// What is up for choice.
enum Choice {
    Node(PublicKey),
    Bootstrap(usize),
}

impl Book {
    /// A book of bootstrap nodes only. URLs from the chain spec and the configuration are dialled whatever the
    /// policy says of strangers'.
    #[must_use]
    pub fn new(own: PublicKey, policy: AddressPolicy, bootstrap: &[String]) -> Self {
        let place = |url: &String| Bootstrap { url: url.clone(), key: None, patience: Patience::NEW };
        Self { own, policy, nodes: BTreeMap::new(), bootstrap: bootstrap.iter().map(place).collect() }
    }

    /// Takes back the rows of [`Table::Peer`]; deletes those that it cannot read.
    pub fn restore(&mut self, rows: impl IntoIterator<Item = (Key, Value)>, now: Time, batch: &mut Batch) {
        for (key, row) in rows {
            let stored = decode::<Stored>(&row).ok().filter(|stored| stored.record.key.0[..] == key[..]);
            let node = stored.and_then(|stored| {
                let mut node = self.node(stored.record)?;
                node.heard_from = stored.heard_from.into_iter().collect();
                (node.proved, node.is_anchor) = (stored.proved, stored.is_anchor);
                node.patience = stored.patience;
                // An anchor is due at once; the others wait, though not by a clock that was wrong then.
                node.patience.dial_at = match stored.is_anchor {
                    true => Time(0),
                    false => stored.patience.dial_at.min(now.plus(BACKOFF_MAX_MS)),
                };
                Some(node)
            });
            match node {
                Some(node) => drop(self.nodes.insert(node.record.key, node)),
                None => batch.delete(Table::Peer, key),
            }
        }
    }

    /// How many nodes are remembered, bootstrap URLs aside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no node is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Remembers what a source said. True if that was news, and worth passing on.
    pub fn insert(&mut self, verified: VerifiedRecord, source: Source, batch: &mut Batch) -> bool {
        let VerifiedRecord(record) = verified;
        let key = record.key;
        if key == self.own {
            return false;
        }
        let mut is_news = false;
        if let Some(node) = self.nodes.get(&key) {
            if record.time > node.record.time
                && let Some(updated) = self.node(record)
                && let Some(node) = self.nodes.get_mut(&key)
            {
                is_news = true;
                if node.record.url != updated.record.url {
                    (node.patience, node.proved, node.is_anchor) = (Patience::NEW, None, false);
                }
                (node.record, node.neighbourhood) = (updated.record, updated.neighbourhood);
                node.is_allowed = updated.is_allowed;
            }
            let is_heard = node_is_heard(&self.nodes, &key, &source);
            let has_room = is_heard || self.make_room(source, Time::NEVER, batch);
            if has_room && let Some(node) = self.nodes.get_mut(&key) {
                is_news |= node.heard_from.insert(source) && node.heard_from.len() == 1;
            }
        } else {
            let Some(mut node) = self.node(record) else { return false };
            if !self.make_room(source, node.record.time, batch) {
                return false;
            }
            node.heard_from.insert(source);
            self.nodes.insert(key, node);
            is_news = true;
        }
        self.write(&key, batch);
        is_news
    }

    /// The next place to dial, if one is due; it is not due again before its back-off has passed.
    pub fn dial(
        &mut self,
        now: Time,
        entropy: &[u8; 32],
        is_connected: impl Fn(&PublicKey) -> bool,
    ) -> Option<Dial> {
        match self.choose(now, entropy, is_connected)? {
            Choice::Node(key) => {
                let node = self.nodes.get_mut(&key)?;
                node.patience.wait(now, node.wait_max_ms());
                Some(Dial { url: node.record.url.clone(), key: Some(key) })
            }
            Choice::Bootstrap(at) => {
                let place = self.bootstrap.get_mut(at)?;
                place.patience.wait(now, BACKOFF_FIRST_MAX_MS);
                Some(Dial { url: place.url.clone(), key: None })
            }
        }
    }

    /// When something will be due, if nothing changes.
    #[must_use]
    pub fn next_dial(&self, is_connected: impl Fn(&PublicKey) -> bool) -> Time {
        let nodes = self.nodes.iter().filter(|(key, node)| node.is_allowed && !is_connected(key));
        let places = self.bootstrap.iter().filter(|place| !place.key.as_ref().is_some_and(&is_connected));
        let due = nodes.map(|(_, node)| node.patience.dial_at);
        due.chain(places.map(|place| place.patience.dial_at)).min().unwrap_or(Time::NEVER)
    }

    /// A session that we dialled began, with `key` at the other end.
    pub fn on_connected(&mut self, dial: &Dial, key: PublicKey, now: Time, batch: &mut Batch) {
        if dial.key.is_some_and(|expected| expected != key) {
            return self.on_failure(dial, now, batch);
        }
        for place in self.bootstrap.iter_mut().filter(|place| place.url == dial.url) {
            place.key = Some(key);
            place.patience.succeed(now);
        }
        let Some(node) = self.nodes.get_mut(&key).filter(|node| node.record.url == dial.url) else { return };
        node.proved = Some(now);
        node.patience.succeed(now);
        self.appoint(key, batch);
        self.bound_proved(batch);
        self.write(&key, batch);
    }

    /// A dial led to no session, or to one with somebody else, or to one that ended at once.
    pub fn on_failure(&mut self, dial: &Dial, now: Time, batch: &mut Batch) {
        match dial.key.and_then(|key| self.nodes.get_mut(&key)) {
            Some(node) => {
                node.patience.fail(now, node.wait_max_ms());
                let key = node.record.key;
                self.write(&key, batch);
            }
            None => {
                for place in self.bootstrap.iter_mut().filter(|place| place.url == dial.url) {
                    place.patience.fail(now, BACKOFF_FIRST_MAX_MS);
                }
            }
        }
    }

    /// There is a network again: bootstrap nodes and anchors, whose failures say nothing about them, are due at once.
    pub fn hurry(&mut self) {
        let places = self.bootstrap.iter_mut().map(|place| &mut place.patience);
        let anchors = self.nodes.values_mut().filter(|node| node.is_anchor).map(|node| &mut node.patience);
        places.chain(anchors).for_each(|patience| *patience = Patience::NEW);
    }

    /// Up to `count` records for a peer that asks: of nodes that did not fail us, proved ones first.
    #[must_use]
    pub fn share(&self, count: usize, entropy: &[u8; 32]) -> Vec<PeerRecord> {
        let mut draws = Draws::new(entropy);
        let good = self.nodes.values().filter(|node| node.is_allowed && node.patience.failures == 0);
        let (mut proved, mut heard): (Vec<_>, Vec<_>) = good.partition(|node| node.proved.is_some());
        let mut shared = Vec::new();
        while shared.len() < count && proved.len() + heard.len() > 0 {
            let class = if proved.is_empty() { &mut heard } else { &mut proved };
            let node = class.swap_remove(draws.below(class.len()));
            shared.push(node.record.clone());
        }
        shared
    }

    fn node(&self, record: PeerRecord) -> Option<Node> {
        let neighbourhood = Endpoint::parse(&record.url)?.neighbourhood();
        Some(Node {
            is_allowed: self.policy.allows(&record.url),
            record,
            neighbourhood,
            heard_from: BTreeSet::new(),
            proved: None,
            is_anchor: false,
            patience: Patience::NEW,
        })
    }

    fn choose(
        &self,
        now: Time,
        entropy: &[u8; 32],
        is_connected: impl Fn(&PublicKey) -> bool,
    ) -> Option<Choice> {
        let mut draws = Draws::new(entropy);
        let due: Vec<&Node> = self
            .nodes
            .values()
            .filter(|node| node.is_allowed && node.patience.dial_at <= now && !is_connected(&node.record.key))
            .collect();
        let anchors: Vec<&Node> = due.iter().copied().filter(|node| node.is_anchor).collect();
        if !anchors.is_empty() {
            return draws.node(&anchors);
        }
        let places: Vec<usize> = (0..)
            .zip(&self.bootstrap)
            .filter(|(_, place)| {
                place.patience.dial_at <= now && !place.key.as_ref().is_some_and(&is_connected)
            })
            .map(|(at, _)| at)
            .collect();
        let (proved, heard): (Vec<&Node>, Vec<&Node>) =
            due.into_iter().partition(|node| node.proved.is_some());
        // Half to what worked before, three eighths to what is new, an eighth to the chain spec's.
        let weights = [(!proved.is_empty(), 4), (!heard.is_empty(), 3), (!places.is_empty(), 1)];
        let total: usize = weights.iter().filter(|(exists, _)| *exists).map(|(_, weight)| weight).sum();
        let mut left = (total > 0).then(|| draws.below(total))?;
        let class = weights.iter().position(|(exists, weight)| {
            let is_here = *exists && left < *weight;
            left = left.saturating_sub(if *exists { *weight } else { 0 });
            is_here
        });
        match class {
            Some(0) => draws.node(&proved),
            Some(1) => {
                let sources: BTreeSet<&Source> = heard.iter().flat_map(|node| &node.heard_from).collect();
                let sources: Vec<&Source> = sources.into_iter().collect();
                let source = *sources.get(draws.below(sources.len()))?;
                let bucket: Vec<&Node> =
                    heard.into_iter().filter(|node| node.heard_from.contains(source)).collect();
                draws.node(&bucket)
            }
            _ => places.get(draws.below(places.len())).map(|at| Choice::Bootstrap(*at)),
        }
    }

    /// Whether a source may add a node whose record is of `time`; what gives way failed most, then is oldest.
    fn make_room(&mut self, source: Source, time: Time, batch: &mut Batch) -> bool {
        self.bound_sources(source, batch);
        let bucket: Vec<&Node> =
            self.nodes.values().filter(|node| node.heard_from.contains(&source)).collect();
        if bucket.len() < BUCKET_MAX {
            return true;
        }
        let worst = bucket.into_iter().min_by_key(|node| {
            (core::cmp::Reverse(node.patience.failures), node.record.time, node.record.key)
        });
        let Some(worst) = worst.filter(|node| node.patience.failures > 0 || node.record.time < time) else {
            return false;
        };
        let key = worst.record.key;
        self.forget(key, source, batch);
        true
    }

    /// Before a new source gets a bucket beyond the bound, the one with the oldest news goes.
    fn bound_sources(&mut self, source: Source, batch: &mut Batch) {
        let mut newest: BTreeMap<Source, Time> = BTreeMap::new();
        for node in self.nodes.values() {
            for source in &node.heard_from {
                let time = newest.entry(*source).or_insert(node.record.time);
                *time = node.record.time.max(*time);
            }
        }
        if newest.contains_key(&source) || newest.len() < SOURCES_MAX {
            return;
        }
        let Some((stalest, _)) = newest.into_iter().min_by_key(|(source, time)| (*time, *source)) else {
            return;
        };
        let bucket: Vec<PublicKey> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.heard_from.contains(&stalest))
            .map(|(key, _)| *key)
            .collect();
        bucket.into_iter().for_each(|key| self.forget(key, stalest, batch));
    }

    /// Takes a node out of a source's bucket; it goes for good if nothing else holds it.
    fn forget(&mut self, key: PublicKey, source: Source, batch: &mut Batch) {
        if let Some(node) = self.nodes.get_mut(&key) {
            node.heard_from.remove(&source);
            self.write(&key, batch);
        }
    }

    /// Makes a node that works an anchor, where there are too few or one has failed for long.
    fn appoint(&mut self, key: PublicKey, batch: &mut Batch) {
        let anchors: Vec<&Node> = self.nodes.values().filter(|node| node.is_anchor).collect();
        if anchors.len() >= ANCHORS_MAX {
            let failed = anchors.iter().filter(|node| node.patience.failures >= ANCHOR_FAILURES);
            let Some(worst) = failed.max_by_key(|node| node.patience.failures) else { return };
            let worst = worst.record.key;
            self.nodes.get_mut(&worst).into_iter().for_each(|node| node.is_anchor = false);
            self.write(&worst, batch);
        }
        self.nodes.get_mut(&key).into_iter().for_each(|node| node.is_anchor = true);
    }

    fn bound_proved(&mut self, batch: &mut Batch) {
        let proved = || self.nodes.values().filter(|node| node.proved.is_some());
        if proved().count() <= PROVED_MAX {
            return;
        }
        let worst = proved()
            .filter(|node| !node.is_anchor)
            .min_by_key(|node| (core::cmp::Reverse(node.patience.failures), node.proved, node.record.key));
        if let Some(key) = worst.map(|node| node.record.key) {
            self.nodes.get_mut(&key).into_iter().for_each(|node| node.proved = None);
            self.write(&key, batch);
        }
    }

    /// Writes a node's row, or deletes node and row where nothing holds it any more.
    fn write(&mut self, key: &PublicKey, batch: &mut Batch) {
        let Some(node) = self.nodes.get(key) else { return };
        if node.heard_from.is_empty() && node.proved.is_none() {
            self.nodes.remove(key);
            return batch.delete(Table::Peer, key.0);
        }
        let stored = Stored {
            record: node.record.clone(),
            heard_from: node.heard_from.iter().copied().collect(),
            proved: node.proved,
            is_anchor: node.is_anchor,
            patience: node.patience,
        };
        batch.put(Table::Peer, key.0, encode(&stored));
    }
}

fn node_is_heard(nodes: &BTreeMap<PublicKey, Node>, key: &PublicKey, source: &Source) -> bool {
    nodes.get(key).is_some_and(|node| node.heard_from.contains(source))
}

impl Node {
    fn wait_max_ms(&self) -> u64 {
        if self.is_anchor { BACKOFF_FIRST_MAX_MS } else { BACKOFF_MAX_MS }
    }
}

/// Choices as a function of one entropy.
struct Draws(blake3::OutputReader);

impl Draws {
    const TAG: Tag = Tag::new("timecoin address book");

    fn new(entropy: &[u8; 32]) -> Self {
        let mut hasher = Self::TAG.hasher();
        hasher.update(entropy);
        Self(hasher.finalize_xof())
    }

    /// A number below `count`, or 0; the bias of 2^-50 favours nobody who could choose it.
    fn below(&mut self, count: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % (count.max(1) as u64)) as usize
    }

    /// A node: first the neighbourhood, then one in it.
    fn node(&mut self, nodes: &[&Node]) -> Option<Choice> {
        let near: BTreeSet<&str> = nodes.iter().map(|node| node.neighbourhood.as_str()).collect();
        let near: Vec<&str> = near.into_iter().collect();
        let neighbourhood = *near.get(self.below(near.len()))?;
        let nodes: Vec<_> = nodes.iter().filter(|node| node.neighbourhood == neighbourhood).collect();
        nodes.get(self.below(nodes.len())).map(|node| Choice::Node(node.record.key))
    }
}

#[cfg(test)]
mod tests;
