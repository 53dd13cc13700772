//! Transactions that peers announced and this node lacks: each is asked of one peer at a time.
//!
//! Asking everyone that announces would bring each transaction once per peer. Asking one and never again would let
//! it keep a transaction from us: after a while the next peer that announced it is asked. The order of the
//! announcement is kept: what a transaction spends comes before it.

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::TxId;
use crate::peer::handshake::PeerId;
use crate::time::Time;

/// Another peer is asked after this long.
const ASK_AGAIN_MS: u64 = 1_000;
/// Peers asked for one transaction, one after the other.
const TRIES_MAX: u32 = 4;
/// Transactions that one peer is asked for at a time. What it announces beyond that comes with blocks.
const PER_PEER_MAX: usize = 8_192;

struct Asked {
    peer: PeerId,
    /// When it is overdue, and its place among all that were asked for.
    due: (Time, u64),
    tries: u32,
}

/// What was asked for and did not come yet.
#[derive(Default)]
pub(super) struct Fetches {
    asked: BTreeMap<TxId, Asked>,
    due: BTreeMap<(Time, u64), TxId>,
    open: BTreeMap<PeerId, usize>,
    count: u64,
}

impl Fetches {
    /// When something asked for is overdue.
    pub(super) fn deadline(&self) -> Time {
        self.due.first_key_value().map_or(Time::NEVER, |((due, _), _)| *due)
    }

    /// Which of the transactions to ask this peer for now: those that nobody is being asked for.
    pub(super) fn ask(&mut self, peer: PeerId, ids: Vec<TxId>, now: Time) -> Vec<TxId> {
        let room = PER_PEER_MAX.saturating_sub(self.open.get(&peer).copied().unwrap_or_default());
        let mut seen = BTreeSet::new();
        let unasked = ids.into_iter().filter(|txid| !self.asked.contains_key(txid) && seen.insert(*txid));
        let chosen: Vec<_> = unasked.take(room).collect();
        chosen.iter().for_each(|txid| self.insert(*txid, peer, 1, now));
        chosen
    }

    /// It came, or is not needed any more.
    pub(super) fn forget(&mut self, txid: &TxId) -> Option<(PeerId, u32)> {
        let asked = self.asked.remove(txid)?;
        self.due.remove(&asked.due);
        if let Some(open) = self.open.get_mut(&asked.peer) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&asked.peer);
            }
        }
        Some((asked.peer, asked.tries))
    }

    /// What is overdue is asked of the next peer, where `next` finds one after the last.
    pub(super) fn again(
        &mut self,
        now: Time,
        next: impl Fn(&TxId, &PeerId) -> Option<PeerId>,
    ) -> BTreeMap<PeerId, Vec<TxId>> {
        let mut asks: BTreeMap<PeerId, Vec<TxId>> = BTreeMap::new();
        while let Some(txid) = self.overdue(now) {
            let Some((last, tries)) = self.forget(&txid) else { break };
            if let Some(peer) = next(&txid, &last).filter(|_| tries < TRIES_MAX) {
                self.insert(txid, peer, tries + 1, now);
                asks.entry(peer).or_default().push(txid);
            }
        }
        asks
    }

    /// A session ended: what the peer was asked for is overdue.
    pub(super) fn left(&mut self, peer: &PeerId) {
        if self.open.remove(peer).is_none() {
            return;
        }
        for (txid, asked) in self.asked.iter_mut().filter(|(_, asked)| asked.peer == *peer) {
            self.due.remove(&asked.due);
            asked.due.0 = Time(0);
            self.due.insert(asked.due, *txid);
        }
    }

    fn overdue(&self, now: Time) -> Option<TxId> {
        let ((due, _), txid) = self.due.first_key_value()?;
        (*due <= now).then_some(*txid)
    }

    fn insert(&mut self, txid: TxId, peer: PeerId, tries: u32, now: Time) {
        let due = (now.plus(ASK_AGAIN_MS), self.count);
        self.count += 1;
        self.asked.insert(txid, Asked { peer, due, tries });
        self.due.insert(due, txid);
        *self.open.entry(peer).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hash;
    use crate::keys::PublicKey;

    fn peer(at: u8) -> PeerId {
        PeerId(PublicKey([at; 32]))
    }

    fn txid(at: u8) -> TxId {
        TxId(Hash([at; 32]))
    }

    #[test]
    fn one_peer_at_a_time_is_asked_and_then_the_next() {
        let mut fetches = Fetches::default();
        assert_eq!(fetches.ask(peer(1), vec![txid(1), txid(2), txid(1)], Time(5)), [txid(1), txid(2)]);
        assert_eq!(fetches.ask(peer(2), vec![txid(1)], Time(6)), [], "being asked for");
        fetches.forget(&txid(2));
        let due = fetches.deadline();
        assert_eq!(due, Time(5 + ASK_AGAIN_MS));
        let again = fetches.again(due, |_, last| (*last == peer(1)).then_some(peer(2)));
        assert_eq!(again, BTreeMap::from([(peer(2), vec![txid(1)])]));
        fetches.left(&peer(2));
        assert_eq!(fetches.deadline(), Time(0));
        assert_eq!(fetches.again(due, |_, _| None), BTreeMap::new(), "nobody else has it");
        assert_eq!(fetches.deadline(), Time::NEVER);
        assert!(fetches.open.is_empty());
    }

    #[test]
    fn parents_are_asked_for_before_their_children() {
        let (mut fetches, offered) = (Fetches::default(), vec![txid(9), txid(3), txid(9), txid(7)]);
        let kept = [txid(9), txid(3), txid(7)];
        assert_eq!(fetches.ask(peer(1), offered, Time(0)), kept);
        let next = |_: &TxId, _: &PeerId| Some(peer(2));
        assert_eq!(fetches.again(Time(ASK_AGAIN_MS), next)[&peer(2)], kept, "overdue");
        fetches.left(&peer(2));
        assert_eq!(fetches.again(Time(ASK_AGAIN_MS), next)[&peer(2)], kept, "its peer left");
    }

    #[test]
    fn a_peer_cannot_make_us_ask_without_end() {
        let mut fetches = Fetches::default();
        let id = |at: u32| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&at.to_be_bytes());
            TxId(Hash(id))
        };
        for at in 0..20_000 {
            fetches.ask(peer(1), vec![id(at)], Time(0));
        }
        assert_eq!(fetches.asked.len(), PER_PEER_MAX);
        for round in 1..10 {
            fetches.again(Time(round * ASK_AGAIN_MS), |_, _| Some(peer(1)));
        }
        assert!(fetches.asked.is_empty(), "given up after {TRIES_MAX} tries");
    }
}
