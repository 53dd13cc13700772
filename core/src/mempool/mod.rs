//! The mempool: verified transactions that wait for a block.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod` | limits, admission with replacement and eviction, what a block removes, persistence |
//! | `index` | the entries and the orders over them |
//! | `select` | what goes into the next block |
//!
//! Invariants: no two entries spend one coin · every input is a coin of the chain as the caller loaded it, or
//! an output of another entry · counts, bytes and each peer's share stay within the limits · a refused
//! transaction changes nothing · the rows written are exactly the entries.
//!
//! It does not check signatures (the type says they are), reads no state (the caller passes the coins), knows
//! nothing of phases or relay, and does not judge masternode actions against the registry.

mod error;
mod index;
mod select;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use error::AdmissionError;
pub use index::FeeRate;
use index::Index;

use crate::amount::Amount;
use crate::codec::encode;
use crate::hash::TxId;
use crate::keys::PublicKey;
use crate::rows::{Batch, Table};
use crate::time::Time;
use crate::transaction::{OutPoint, Output, VerifiedTransaction, fee_min};

/// What the pool may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MempoolLimits {
    /// Most bytes of signed transactions.
    pub bytes_max: usize,
    /// Most transactions.
    pub count_max: usize,
    /// Most bytes of transactions first heard from one peer.
    pub per_peer_bytes_max: usize,
    /// Most pending transactions that one may depend on.
    pub ancestors_max: usize,
    /// Most transactions that one may replace, descendants included.
    pub replaced_max: usize,
    /// A replacement pays the fees of what it replaces and this much more for its own bytes, in grains per
    /// 1,000: the chain's least fee. At least one grain, so that replacing never goes in circles.
    pub replace_fee_per_kb: u64,
    /// Furthest an expiry may lie ahead, from the rules.
    pub expiry_max_ms: u64,
}

impl Default for MempoolLimits {
    fn default() -> Self {
        Self {
            bytes_max: 64 << 20,
            count_max: 200_000,
            per_peer_bytes_max: 32 << 20,
            ancestors_max: 25,
            replaced_max: 100,
            replace_fee_per_kb: 1000,
            expiry_max_ms: 24 * 3_600_000,
        }
    }
}

/// The two times that matter to a pending transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Time of the newest block: what expired by then never gets into a block.
    pub tip_time: Time,
    /// The node's clock: near the time of the next block.
    pub now: Time,
}

/// What else an admission changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// Removed because they spend the same coins, descendants included.
    pub replaced: Vec<TxId>,
    /// Removed to make room, descendants included.
    pub evicted: Vec<TxId>,
}

/// What a block removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// In the chain now.
    pub confirmed: Vec<TxId>,
    /// Can never be: a coin they need was spent by another, descendants included.
    pub conflicting: Vec<TxId>,
}

/// Verified transactions that wait for a block.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub struct Mempool {
    limits: MempoolLimits,
    index: Index,
}

impl Mempool {
    /// An empty pool.
    #[must_use]
    pub fn new(limits: MempoolLimits) -> Self {
        Self { limits, index: Index::default() }
    }

    /// What bounds it.
    #[must_use]
    pub fn limits(&self) -> &MempoolLimits {
        &self.limits
    }

    /// How many transactions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.len() == 0
    }

    /// Bytes of all of them, signed.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.index.bytes()
    }

    /// A pending transaction.
    #[must_use]
    pub fn transaction(&self, txid: &TxId) -> Option<&Arc<VerifiedTransaction>> {
        self.index.entry(txid).map(|entry| &entry.transaction)
    }

    /// Whether it is pending.
    #[must_use]
    pub fn contains(&self, txid: &TxId) -> bool {
        self.index.entry(txid).is_some()
    }

    /// Pending transactions, best ranked first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<VerifiedTransaction>> {
        self.index.ranked().map(|(_, entry)| &entry.transaction)
    }

    /// A coin made by a pending transaction, spent by another or not.
    #[must_use]
    pub fn coin(&self, outpoint: &OutPoint) -> Option<Output> {
        self.index.output(outpoint)
    }

    /// The pending transaction that spends this coin.
    #[must_use]
    pub fn spender(&self, outpoint: &OutPoint) -> Option<TxId> {
        self.index.spender(outpoint)
    }

    /// Whether a pending transaction spends this coin.
    #[must_use]
    pub fn is_spent(&self, outpoint: &OutPoint) -> bool {
        self.spender(outpoint).is_some()
    }

    /// The coins to load before [`Mempool::admit`]: every input, even where its maker is pending now, because
    /// the maker may be in the chain by the time the transaction is handled.
    #[must_use]
    pub fn reads(transaction: &VerifiedTransaction) -> &[OutPoint] {
        &transaction.transaction().inputs
    }

    /// Takes a transaction, or says why not and changes nothing. `from` is the peer it came from, none for the
    /// node's own users; `coins` gives the unspent coins of the chain among [`Mempool::reads`].
    pub fn admit(
        &mut self,
        transaction: VerifiedTransaction,
        from: Option<PublicKey>,
        clock: Clock,
        coins: impl Fn(&OutPoint) -> Option<Output>,
        batch: &mut Batch,
    ) -> Result<Admitted, AdmissionError> {
        if self.contains(&transaction.txid()) {
            return Err(AdmissionError::Known(transaction.txid()));
        }
        self.check_expiry(&transaction, clock)?;
        self.check_coins(&transaction, coins)?;
        let replaced = self.replaced_by(&transaction)?;
        let ancestors = self.ancestors_of(&transaction, &replaced)?;
        self.check_share(&transaction, from, &replaced)?;
        let evicted = self.evicted_by(&transaction, &replaced, &ancestors)?;

        self.drop_all(&replaced, batch);
        self.drop_all(&evicted, batch);
        batch.put(Table::Mempool, *transaction.txid().as_bytes(), encode(transaction.signed()));
        self.index.insert(Arc::new(transaction), from);
        Ok(Admitted { replaced: Vec::from_iter(replaced), evicted: Vec::from_iter(evicted) })
    }

    /// Takes back what was pending before a restart, in any order, and deletes the rows of what is not taken.
    /// The caller has decoded and verified the rows of [`Table::Mempool`].
    pub fn restore(
        &mut self,
        transactions: Vec<VerifiedTransaction>,
        clock: Clock,
        coins: impl Fn(&OutPoint) -> Option<Output>,
        batch: &mut Batch,
    ) -> Vec<(TxId, AdmissionError)> {
        let mut waiting = transactions;
        let mut refused = Vec::new();
        while !waiting.is_empty() {
            let unseen: BTreeSet<TxId> = waiting.iter().map(VerifiedTransaction::txid).collect();
            let (blocked, free): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|transaction| {
                transaction.transaction().inputs.iter().any(|input| unseen.contains(&input.txid))
            });
            // An id is a hash over its inputs' ids: there are no cycles, so every round frees some.
            for transaction in free {
                let txid = transaction.txid();
                match self.admit(transaction, None, clock, &coins, batch) {
                    Ok(_) | Err(AdmissionError::Known(_)) => {}
                    Err(error) => {
                        batch.delete(Table::Mempool, *txid.as_bytes());
                        refused.push((txid, error));
                    }
                }
            }
            waiting = blocked;
        }
        refused
    }

    /// A block came in: what it confirms goes, and what can never follow it.
    pub fn on_block(
        &mut self,
        confirmed: impl IntoIterator<Item = TxId>,
        spent: impl IntoIterator<Item = OutPoint>,
        batch: &mut Batch,
    ) -> Removed {
        let mut removed = Removed::default();
        for txid in confirmed {
            for txid in self.index.confirm(&txid) {
                batch.delete(Table::Mempool, *txid.as_bytes());
                removed.confirmed.push(txid);
            }
        }
        for outpoint in spent {
            if let Some(spender) = self.spender(&outpoint) {
                removed.conflicting.extend(self.remove(&spender, batch));
            }
        }
        removed
    }

    /// Drops what no block after one of time `tip_time` can contain, descendants included.
    pub fn expire(&mut self, tip_time: Time, batch: &mut Batch) -> Vec<TxId> {
        let expired = self.index.expired(tip_time);
        expired.iter().flat_map(|txid| self.remove(txid, batch)).collect()
    }

    /// Drops a transaction that the rules refused, with its descendants.
    pub fn remove(&mut self, txid: &TxId, batch: &mut Batch) -> Vec<TxId> {
        if !self.contains(txid) {
            return Vec::new();
        }
        let removed = self.index.with_descendants(BTreeSet::from([*txid]));
        self.drop_all(&removed, batch);
        Vec::from_iter(removed)
    }

    fn drop_all(&mut self, txids: &BTreeSet<TxId>, batch: &mut Batch) {
        self.index.remove_all(txids);
        txids.iter().for_each(|txid| batch.delete(Table::Mempool, *txid.as_bytes()));
    }

    fn check_expiry(&self, transaction: &VerifiedTransaction, clock: Clock) -> Result<(), AdmissionError> {
        let Clock { tip_time, now } = clock;
        let expires_at = transaction.transaction().expires_at;
        // A header's time is later than its parent's.
        if expires_at <= tip_time {
            return Err(AdmissionError::Expired { expires_at, tip_time });
        }
        let latest = tip_time.max(now).plus(self.limits.expiry_max_ms);
        if expires_at > latest {
            return Err(AdmissionError::ExpiryTooFar { expires_at, latest });
        }
        Ok(())
    }

    fn check_coins(
        &self,
        transaction: &VerifiedTransaction,
        coins: impl Fn(&OutPoint) -> Option<Output>,
    ) -> Result<(), AdmissionError> {
        for (outpoint, claimed) in transaction.spends() {
            let coin = self.coin(outpoint).or_else(|| coins(outpoint));
            let coin = coin.ok_or(AdmissionError::CoinUnknown(*outpoint))?;
            if coin != *claimed {
                return Err(AdmissionError::CoinMismatch { outpoint: *outpoint, coin });
            }
        }
        Ok(())
    }

    /// What goes because it spends the same coins; refused unless the newcomer has a strictly higher fee rate
    /// than each and pays all their fees and for its own bytes.
    fn replaced_by(&self, transaction: &VerifiedTransaction) -> Result<BTreeSet<TxId>, AdmissionError> {
        let inputs = transaction.transaction().inputs.iter();
        let conflicts: BTreeSet<TxId> = inputs.filter_map(|input| self.spender(input)).collect();
        let Some(with) = conflicts.first().copied() else { return Ok(conflicts) };
        let scores =
            conflicts.iter().filter_map(|txid| self.index.entry(txid)).map(|entry| entry.rank().score);
        let above = scores.map(|score| score.fee_at(transaction.size()).0).max().unwrap_or(0);
        let replaced = self.index.with_descendants(conflicts);
        let (removed, removed_max) = (replaced.len(), self.limits.replaced_max);
        if removed > removed_max {
            return Err(AdmissionError::ReplacesTooMany { with, removed, removed_max });
        }
        let fees = replaced.iter().filter_map(|txid| self.transaction(txid)).map(|entry| entry.fee().0);
        let own = fee_min(transaction.size(), self.limits.replace_fee_per_kb).0.max(1);
        let needed = fees.fold(own, u64::saturating_add).max(above.saturating_add(1));
        if transaction.fee().0 < needed {
            return Err(AdmissionError::Conflict { with, fee_min: Amount(needed) });
        }
        Ok(replaced)
    }

    fn ancestors_of(
        &self,
        transaction: &VerifiedTransaction,
        replaced: &BTreeSet<TxId>,
    ) -> Result<BTreeSet<TxId>, AdmissionError> {
        let ancestors = self.index.ancestors(transaction);
        if let Some(parent) = ancestors.intersection(replaced).next() {
            return Err(AdmissionError::SpendsReplaced(*parent));
        }
        let ancestors_max = self.limits.ancestors_max;
        if ancestors.len() > ancestors_max {
            return Err(AdmissionError::TooManyAncestors { ancestors: ancestors.len(), ancestors_max });
        }
        Ok(ancestors)
    }

    fn check_share(
        &self,
        transaction: &VerifiedTransaction,
        from: Option<PublicKey>,
        replaced: &BTreeSet<TxId>,
    ) -> Result<(), AdmissionError> {
        let Some(peer) = from else { return Ok(()) };
        let freed = replaced.iter().filter_map(|txid| self.index.entry(txid));
        let freed: usize =
            freed.filter(|entry| entry.from == from).map(|entry| entry.transaction.size()).sum();
        let bytes = self.index.share(&peer) - freed + transaction.size();
        let bytes_max = self.limits.per_peer_bytes_max;
        if bytes > bytes_max { Err(AdmissionError::PeerShare { bytes, bytes_max }) } else { Ok(()) }
    }

    /// What goes to make room: from the worst rank up, descendants included, never an ancestor of the newcomer,
    /// and only what ranks strictly below its own fee rate.
    fn evicted_by(
        &self,
        transaction: &VerifiedTransaction,
        replaced: &BTreeSet<TxId>,
        ancestors: &BTreeSet<TxId>,
    ) -> Result<BTreeSet<TxId>, AdmissionError> {
        let size_of = |txid: &TxId| self.transaction(txid).map_or(0, |entry| entry.size());
        let mut bytes = self.bytes() - replaced.iter().map(size_of).sum::<usize>() + transaction.size();
        let mut count = self.len() - replaced.len() + 1;
        let mut evicted = BTreeSet::new();
        let mut worst_first = self.index.ranked().rev();
        while bytes > self.limits.bytes_max || count > self.limits.count_max {
            let Some((rank, entry)) = worst_first.next() else {
                return Err(AdmissionError::Full { fee: Amount::SUPPLY_LIMIT });
            };
            let txid = entry.transaction.txid();
            if replaced.contains(&txid) || ancestors.contains(&txid) || evicted.contains(&txid) {
                continue;
            }
            if rank.score >= FeeRate::of(transaction) {
                return Err(AdmissionError::Full { fee: rank.score.fee_at(transaction.size()) });
            }
            for txid in self.index.with_descendants(BTreeSet::from([txid])) {
                if !replaced.contains(&txid) && evicted.insert(txid) {
                    bytes -= size_of(&txid);
                    count -= 1;
                }
            }
        }
        Ok(evicted)
    }
}
