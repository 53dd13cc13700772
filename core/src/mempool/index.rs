//! The entries and the orders kept over them. Every change keeps all of them in step.

use core::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::amount::Amount;
use crate::hash::TxId;
use crate::keys::PublicKey;
use crate::time::Time;
use crate::transaction::{OutPoint, Output, VerifiedTransaction};

/// A fee over a size, compared exactly: no division, no rounding.
#[derive(Clone, Copy, Debug)]
pub struct FeeRate {
    /// Grains.
    pub fee: u64,
    /// Bytes, at least one.
    pub size: u64,
}

impl FeeRate {
    /// What a transaction pays for its bytes.
    #[must_use]
    pub fn of(transaction: &VerifiedTransaction) -> Self {
        Self { fee: transaction.fee().0, size: transaction.size() as u64 }
    }

    /// The fee of `size` bytes at this rate, rounded down: paying more is a strictly higher rate.
    #[must_use]
    pub fn fee_at(&self, size: usize) -> Amount {
        let fee = u128::from(self.fee) * size as u128 / u128::from(self.size.max(1));
        Amount(u64::try_from(fee).unwrap_or(u64::MAX))
    }

    // Fees are money that exists, so their sums stay below the supply limit and never saturate.
    fn plus(self, other: Self) -> Self {
        Self { fee: self.fee.saturating_add(other.fee), size: self.size.saturating_add(other.size) }
    }

    fn minus(self, other: Self) -> Self {
        Self { fee: self.fee.saturating_sub(other.fee), size: self.size.saturating_sub(other.size) }
    }
}

impl Ord for FeeRate {
    fn cmp(&self, other: &Self) -> Ordering {
        let cross = |one: &Self, two: &Self| u128::from(one.fee) * u128::from(two.size);
        cross(self, other).cmp(&cross(other, self))
    }
}

impl PartialOrd for FeeRate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for FeeRate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for FeeRate {}

/// Place in the one order of the pool; the greatest goes into a block first, the least is evicted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// The better of the transaction's own rate and its rate together with its descendants: a child may pay
    /// for its parent, and never makes it worse.
    pub(super) score: FeeRate,
    /// Of two at one score, the earlier.
    pub(super) arrival: Reverse<u64>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Entry {
    pub(super) transaction: Arc<VerifiedTransaction>,
    pub(super) from: Option<PublicKey>,
    /// Ascends with arrival, so parents come before children.
    pub(super) arrival: u64,
    /// Fee and size of this transaction and all its descendants.
    package: FeeRate,
}

impl Entry {
    pub(super) fn rank(&self) -> Rank {
        let own = FeeRate::of(&self.transaction);
        Rank { score: own.max(self.package), arrival: Reverse(self.arrival) }
    }
}

#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Index {
    entries: BTreeMap<TxId, Entry>,
    spenders: BTreeMap<OutPoint, TxId>,
    ranks: BTreeMap<Rank, TxId>,
    expiries: BTreeSet<(Time, TxId)>,
    shares: BTreeMap<PublicKey, usize>,
    bytes: usize,
    arrivals: u64,
}

impl Index {
    pub(super) fn entry(&self, txid: &TxId) -> Option<&Entry> {
        self.entries.get(txid)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn share(&self, peer: &PublicKey) -> usize {
        self.shares.get(peer).copied().unwrap_or(0)
    }

    pub(super) fn spender(&self, outpoint: &OutPoint) -> Option<TxId> {
        self.spenders.get(outpoint).copied()
    }

    pub(super) fn output(&self, outpoint: &OutPoint) -> Option<Output> {
        let outputs = &self.entry(&outpoint.txid)?.transaction.transaction().outputs;
        outputs.get(usize::try_from(outpoint.index).ok()?).copied()
    }

    /// Entries from the best rank to the worst.
    pub(super) fn ranked(&self) -> impl DoubleEndedIterator<Item = (Rank, &Entry)> {
        self.ranks.iter().rev().map(|(rank, txid)| (*rank, &self.entries[txid]))
    }

    /// Transactions that no block later than `time` can contain.
    pub(super) fn expired(&self, time: Time) -> Vec<TxId> {
        self.expiries
            .iter()
            .take_while(|(expires_at, _)| *expires_at <= time)
            .map(|(_, txid)| *txid)
            .collect()
    }

    pub(super) fn parents(&self, transaction: &VerifiedTransaction) -> BTreeSet<TxId> {
        let made_by = transaction.transaction().inputs.iter().map(|input| input.txid);
        made_by.filter(|txid| self.entries.contains_key(txid)).collect()
    }

    pub(super) fn children(&self, transaction: &VerifiedTransaction) -> BTreeSet<TxId> {
        transaction.makes().filter_map(|(outpoint, _)| self.spender(&outpoint)).collect()
    }

    pub(super) fn ancestors(&self, transaction: &VerifiedTransaction) -> BTreeSet<TxId> {
        self.reach(self.parents(transaction), Self::parents)
    }

    /// `roots` and everything that depends on them.
    pub(super) fn with_descendants(&self, roots: BTreeSet<TxId>) -> BTreeSet<TxId> {
        self.reach(roots, Self::children)
    }

    fn reach(
        &self,
        roots: BTreeSet<TxId>,
        step: impl Fn(&Self, &VerifiedTransaction) -> BTreeSet<TxId>,
    ) -> BTreeSet<TxId> {
        let mut open: Vec<TxId> = roots.iter().copied().collect();
        let mut reached = roots;
        while let Some(txid) = open.pop() {
            let Some(entry) = self.entry(&txid) else { continue };
            open.extend(step(self, &entry.transaction).into_iter().filter(|next| reached.insert(*next)));
        }
        reached
    }

    /// Adds a transaction whose coins no other entry spends.
    pub(super) fn insert(&mut self, transaction: Arc<VerifiedTransaction>, from: Option<PublicKey>) {
        let (txid, own) = (transaction.txid(), FeeRate::of(&transaction));
        for ancestor in self.ancestors(&transaction) {
            self.update_package(&ancestor, |package| package.plus(own));
        }
        for input in &transaction.transaction().inputs {
            let other = self.spenders.insert(*input, txid);
            assert!(other.is_none(), "two pending transactions never spend one coin");
        }
        self.expiries.insert((transaction.transaction().expires_at, txid));
        self.bytes += transaction.size();
        if let Some(peer) = from {
            *self.shares.entry(peer).or_default() += transaction.size();
        }
        let entry = Entry { transaction, from, arrival: self.arrivals, package: own };
        self.arrivals += 1;
        self.ranks.insert(entry.rank(), txid);
        self.entries.insert(txid, entry);
    }

    /// Removes a set that is closed under descendants.
    pub(super) fn remove_all(&mut self, txids: &BTreeSet<TxId>) {
        let arrival = |txid: &TxId| self.entry(txid).map(|entry| Reverse(entry.arrival));
        let mut leaves_first: Vec<_> = txids.iter().map(|txid| (arrival(txid), *txid)).collect();
        leaves_first.sort_unstable();
        leaves_first.iter().for_each(|(_, txid)| self.remove(txid));
    }

    /// Removes a transaction that is in the chain now, with the ancestors that must be there too; what spends
    /// its coins stays. Returns all that went.
    pub(super) fn confirm(&mut self, txid: &TxId) -> BTreeSet<TxId> {
        let Some(entry) = self.entry(txid) else { return BTreeSet::new() };
        let mut confirmed = self.ancestors(&entry.transaction);
        confirmed.insert(*txid);
        let mut roots_first: Vec<_> =
            confirmed.iter().map(|txid| (self.entry(txid).map(|entry| entry.arrival), *txid)).collect();
        roots_first.sort_unstable();
        roots_first.iter().for_each(|(_, txid)| self.remove(txid));
        confirmed
    }

    /// Removes one entry: a leaf, or one without pending ancestors, so that packages stay exact.
    fn remove(&mut self, txid: &TxId) {
        let Some(entry) = self.entries.remove(txid) else { return };
        let (transaction, own) = (&entry.transaction, FeeRate::of(&entry.transaction));
        self.ranks.remove(&entry.rank());
        for ancestor in self.ancestors(transaction) {
            self.update_package(&ancestor, |package| package.minus(own));
        }
        for input in &transaction.transaction().inputs {
            self.spenders.remove(input);
        }
        self.expiries.remove(&(transaction.transaction().expires_at, *txid));
        self.bytes -= transaction.size();
        if let Some(peer) = entry.from
            && let Some(share) = self.shares.get_mut(&peer)
        {
            *share -= transaction.size();
            if *share == 0 {
                self.shares.remove(&peer);
            }
        }
    }

    fn update_package(&mut self, txid: &TxId, change: impl FnOnce(FeeRate) -> FeeRate) {
        let Some(entry) = self.entries.get_mut(txid) else { return };
        self.ranks.remove(&entry.rank());
        entry.package = change(entry.package);
        self.ranks.insert(entry.rank(), *txid);
    }
}
