//! Who knows what: exact duplicate suppression before anything is relayed.
//!
//! A message crosses an edge at most once each way: it is sent to a peer only if that peer neither sent it nor
//! was sent it. Memory is exact, never a filter that takes distinct messages for one, and bounded: two
//! generations of ids, the older of which is dropped when the younger is full, so that at least the last
//! `generation_max` ids are remembered. Whether a message is news to *this* node is for whoever keeps it to say:
//! what was refused once may be wanted later.

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

    fn remove(&mut self, id: &Hash) {
        self.young.remove(id);
        self.old.remove(id);
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

/// What each peer knows, as far as this node can tell.
#[derive(Debug)]
pub struct Edges {
    generation_max: usize,
    known: BTreeMap<PublicKey, Recent>,
}

impl Edges {
    /// No peers; of each that joins at least `generation_max` ids are remembered, at most twice as many.
    #[must_use]
    pub fn new(generation_max: usize) -> Self {
        Self { generation_max, known: BTreeMap::new() }
    }

    /// A session began.
    pub fn join(&mut self, peer: PublicKey) {
        self.known.insert(peer, Recent::new(self.generation_max));
    }

    /// A session ended; what the peer knew is forgotten.
    pub fn leave(&mut self, peer: &PublicKey) {
        self.known.remove(peer);
    }

    /// What everybody knew does not matter any more.
    pub fn clear(&mut self) {
        self.known.values_mut().for_each(|known| *known = Recent::new(self.generation_max));
    }

    /// A peer has the message: it sent it, or is being sent it. Whether that is news about it.
    pub fn mark(&mut self, peer: &PublicKey, id: Hash) -> bool {
        self.known.get_mut(peer).is_some_and(|known| known.insert(id))
    }

    /// Whether a peer has the message, as far as is known.
    #[must_use]
    pub fn knows(&self, peer: &PublicKey, id: &Hash) -> bool {
        self.known.get(peer).is_some_and(|known| known.contains(id))
    }

    /// Forgets that anybody knows of something: it is to be offered once more.
    pub fn forget(&mut self, id: &Hash) {
        self.known.values_mut().for_each(|known| known.remove(id));
    }

    /// Every peer to send the message to, in key order; they know it from now on.
    pub fn relay(&mut self, id: Hash) -> Vec<PublicKey> {
        let lacking = self.known.iter_mut().filter_map(|(peer, known)| known.insert(id).then_some(*peer));
        lacking.collect()
    }

    /// How many ids are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.values().map(|known| known.young.len() + known.old.len()).sum()
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
    fn lesson_12_twenty_thousand_distinct_messages_are_all_told_apart() {
        let mut edges = Edges::new(20_000);
        edges.join(peer(1));
        for at in 0..20_000 {
            assert!(edges.mark(&peer(1), id(at)), "{at}");
        }
        assert!((0..20_000).all(|at| edges.knows(&peer(1), &id(at))));
    }

    #[test]
    fn a_message_goes_to_those_that_lack_it() {
        let mut edges = Edges::new(10);
        (1..=3).for_each(|at| edges.join(peer(at)));
        assert!(edges.mark(&peer(1), id(5)));
        assert!(!edges.mark(&peer(1), id(5)), "again");
        assert_eq!(edges.relay(id(5)), [peer(2), peer(3)]);
        assert_eq!(edges.relay(id(5)), []);
        edges.leave(&peer(2));
        edges.join(peer(2));
        assert_eq!(edges.relay(id(5)), [peer(2)], "a new session knows nothing");
        assert!(!edges.mark(&peer(9), id(5)), "no session");
    }

    #[test]
    fn memory_is_bounded_and_the_newest_are_remembered() {
        let mut edges = Edges::new(10);
        edges.join(peer(1));
        for at in 0..1_000 {
            edges.mark(&peer(1), id(at));
            assert!((at.saturating_sub(9)..=at).all(|at| edges.knows(&peer(1), &id(at))));
            assert!(edges.len() <= 20);
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
            let mut nodes: Vec<_> = (0..8).map(|_| Edges::new(100)).collect();
            for (one, two) in &edges {
                nodes[usize::from(*one)].join(peer(*two));
                nodes[usize::from(*two)].join(peer(*one));
            }
            let mut wire = VecDeque::new();
            let mut crossed = BTreeSet::new();
            let mut reached = BTreeSet::from([origin]);
            wire.extend(nodes[usize::from(origin)].relay(id(1)).into_iter().map(|to| (origin, to.0[0])));
            let mut picks = picks.into_iter();
            while !wire.is_empty() {
                let at = picks.next().map_or(0, |pick| pick.index(wire.len()));
                let (from, to) = wire.remove(at).unwrap();
                prop_assert!(crossed.insert((from, to)), "{} to {} again", from, to);
                let node = &mut nodes[usize::from(to)];
                node.mark(&peer(from), id(1));
                if reached.insert(to) {
                    wire.extend(node.relay(id(1)).into_iter().map(|next| (to, next.0[0])));
                }
            }
            for (one, two) in &edges {
                prop_assert_eq!(reached.contains(one), reached.contains(two), "it reaches everyone it can");
            }
        }
    }
}
