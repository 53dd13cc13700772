//! Who knows what: exact duplicate suppression before anything is relayed.
//!
//! A message crosses an edge at most once each way: it is sent to a peer only if that peer neither sent it nor
//! was sent it. Memory is exact, never a filter that takes distinct messages for one, and bounded: two
//! generations of ids, the older of which is dropped when the younger is full, so that at least the last
//! `generation_max` ids are remembered.
//!
//! An id is the hash of a message's whole bytes. With less (a transaction's id leaves out its witnesses), a
//! damaged copy could pass for the good one and keep it out.

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::Hash;
use crate::keys::PublicKey;

/// A bounded exact set of the newest ids.
#[derive(Clone, Debug)]
struct Recent {
    young: BTreeSet<Hash>,
    old: BTreeSet<Hash>,
    generation_max: usize,
}

impl Recent {
    fn new(generation_max: usize) -> Self {
        Self { young: BTreeSet::new(), old: BTreeSet::new(), generation_max: generation_max.max(1) }
    }

    fn contains(&self, id: &Hash) -> bool {
        self.young.contains(id) || self.old.contains(id)
    }

    /// Whether the id was not there.
    fn insert(&mut self, id: Hash) -> bool {
        if self.contains(&id) {
            return false;
        }
        if self.young.len() == self.generation_max {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(id)
    }
}

/// How many ids are remembered at least; at most twice as many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InventoryLimits {
    /// Of all messages.
    pub seen: usize,
    /// Of those each peer has.
    pub per_peer: usize,
}

impl Default for InventoryLimits {
    fn default() -> Self {
        Self { seen: 200_000, per_peer: 20_000 }
    }
}

/// What a received message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Not seen before: handle it.
    New,
    /// Another peer sent it first, or we sent it to this one while it was on its way: drop it.
    Known,
    /// This peer sent it before: drop it, and the peer broke the rule of the edge.
    Repeated,
}

#[derive(Debug)]
struct Edge {
    sent: Recent,
    received: Recent,
}

/// What this node has seen and what each of its peers knows.
#[derive(Debug)]
pub struct Inventory {
    limits: InventoryLimits,
    seen: Recent,
    edges: BTreeMap<PublicKey, Edge>,
}

impl Inventory {
    /// Nothing seen, no peers.
    #[must_use]
    pub fn new(limits: InventoryLimits) -> Self {
        Self { limits, seen: Recent::new(limits.seen), edges: BTreeMap::new() }
    }

    /// A session began.
    pub fn join(&mut self, peer: PublicKey) {
        let known = Recent::new(self.limits.per_peer);
        self.edges.insert(peer, Edge { sent: known.clone(), received: known });
    }

    /// A session ended; what the peer knew is forgotten.
    pub fn leave(&mut self, peer: &PublicKey) {
        self.edges.remove(peer);
    }

    /// A message came in over a session.
    pub fn receive(&mut self, from: &PublicKey, id: Hash) -> Arrival {
        let first = self.edges.get_mut(from).is_none_or(|edge| edge.received.insert(id));
        match (first, self.seen.insert(id)) {
            (false, _) => Arrival::Repeated,
            (true, true) => Arrival::New,
            (true, false) => Arrival::Known,
        }
    }

    /// This node made a message itself: false if it was seen before.
    pub fn originate(&mut self, id: Hash) -> bool {
        self.seen.insert(id)
    }

    /// Whether a message was seen lately, from anywhere.
    #[must_use]
    pub fn has_seen(&self, id: &Hash) -> bool {
        self.seen.contains(id)
    }

    /// Whether a peer has the message, as far as is known.
    #[must_use]
    pub fn knows(&self, peer: &PublicKey, id: &Hash) -> bool {
        self.edges.get(peer).is_some_and(|edge| edge.sent.contains(id) || edge.received.contains(id))
    }

    /// Every peer to send the message to, in key order; they know it from now on.
    pub fn relay(&mut self, id: Hash) -> Vec<PublicKey> {
        let peers: Vec<PublicKey> = self.edges.keys().copied().collect();
        peers.into_iter().filter(|peer| self.send(peer, id)).collect()
    }

    /// Whether to send the message to this peer; it knows it from now on.
    pub fn send(&mut self, peer: &PublicKey, id: Hash) -> bool {
        !self.knows(peer, &id) && self.edges.get_mut(peer).is_some_and(|edge| edge.sent.insert(id))
    }

    /// How many ids are held.
    #[must_use]
    pub fn len(&self) -> usize {
        let held = |recent: &Recent| recent.young.len() + recent.old.len();
        let edges = self.edges.values().map(|edge| held(&edge.sent) + held(&edge.received));
        held(&self.seen) + edges.sum::<usize>()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn id(at: u64) -> Hash {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&at.to_be_bytes());
        Hash(id)
    }

    fn peer(at: u8) -> PublicKey {
        PublicKey([at; 32])
    }

    #[test]
    fn fifty_thousand_distinct_messages_are_all_new() {
        let mut inventory = Inventory::new(InventoryLimits::default());
        inventory.join(peer(1));
        for at in 0..50_000 {
            assert_eq!(inventory.receive(&peer(1), id(at)), Arrival::New, "{at}");
        }
    }

    #[test]
    fn a_repeated_message_is_told_from_one_that_two_peers_send() {
        let mut inventory = Inventory::new(InventoryLimits::default());
        (1..=3).for_each(|at| inventory.join(peer(at)));
        assert_eq!(inventory.receive(&peer(1), id(5)), Arrival::New);
        assert_eq!(inventory.receive(&peer(2), id(5)), Arrival::Known);
        assert_eq!(inventory.relay(id(5)), [peer(3)]);
        assert_eq!(inventory.receive(&peer(3), id(5)), Arrival::Known, "it crossed ours on the way");
        assert_eq!(inventory.receive(&peer(1), id(5)), Arrival::Repeated);
        assert_eq!(inventory.relay(id(5)), []);
    }

    #[test]
    fn memory_is_bounded_and_the_newest_are_remembered() {
        let limits = InventoryLimits { seen: 100, per_peer: 10 };
        let mut inventory = Inventory::new(limits);
        inventory.join(peer(1));
        for at in 0..1_000 {
            inventory.receive(&peer(1), id(at));
            assert!((at.saturating_sub(99)..=at).all(|at| inventory.has_seen(&id(at))));
            assert!(inventory.len() <= 2 * (100 + 10));
        }
    }

    proptest! {
        /// Any connected or unconnected graph, any origin, messages delivered in any order.
        #[test]
        fn a_message_crosses_each_edge_at_most_once_each_way(
            edges in prop::collection::btree_set((0..8u8, 0..8u8), 1..28),
            origin in 0..8u8,
            picks in prop::collection::vec(any::<prop::sample::Index>(), 64),
        ) {
            let edges: BTreeSet<(u8, u8)> = edges.into_iter().filter(|(one, two)| one < two).collect();
            let mut nodes: Vec<_> = (0..8).map(|_| Inventory::new(InventoryLimits::default())).collect();
            for (one, two) in &edges {
                nodes[usize::from(*one)].join(peer(*two));
                nodes[usize::from(*two)].join(peer(*one));
            }
            let mut wire = VecDeque::new();
            let mut crossed = BTreeSet::new();
            let mut reached = BTreeSet::from([origin]);
            prop_assert!(nodes[usize::from(origin)].originate(id(1)));
            wire.extend(nodes[usize::from(origin)].relay(id(1)).into_iter().map(|to| (origin, to.0[0])));
            let mut picks = picks.into_iter();
            while !wire.is_empty() {
                let at = picks.next().map_or(0, |pick| pick.index(wire.len()));
                let (from, to) = wire.remove(at).unwrap();
                prop_assert!(crossed.insert((from, to)), "{} to {} again", from, to);
                let node = &mut nodes[usize::from(to)];
                let arrival = node.receive(&peer(from), id(1));
                prop_assert_ne!(arrival, Arrival::Repeated);
                if arrival == Arrival::New {
                    reached.insert(to);
                    wire.extend(node.relay(id(1)).into_iter().map(|next| (to, next.0[0])));
                }
            }
            for (one, two) in &edges {
                prop_assert_eq!(reached.contains(one), reached.contains(two), "it reaches everyone it can");
            }
        }
    }
}
