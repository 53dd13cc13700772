//! What goes into the next block.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Mempool;
use super::index::{Entry, Rank};
use crate::hash::TxId;
use crate::time::Time;
use crate::transaction::VerifiedTransaction;

/// A selection ends after so many transactions in a row that do not fit: the block is as good as full.
const MISFITS_MAX: usize = 100;

impl Mempool {
    /// Transactions for a block with header time `time` and at most `size_max` bytes of them: always the best
    /// ranked whose pending parents are all chosen already and that still fits. Not checked here: what a
    /// masternode action needs of the registry; the rules decide, and what they refuse is for
    /// [`Mempool::remove`].
    #[must_use]
    pub fn select(&self, size_max: usize, time: Time) -> Vec<Arc<VerifiedTransaction>> {
        let mut chosen = Vec::new();
        let mut chosen_ids = BTreeSet::new();
        let (mut size_left, mut misfits) = (size_max, 0);
        // Met before their last parent was chosen: better than whatever the walk meets next.
        let mut ready: BTreeMap<Rank, &Entry> = BTreeMap::new();
        let mut walk = self.index.ranked();
        let mut walked_to = None;
        while misfits < MISFITS_MAX {
            let Some((_, entry)) = ready.pop_last().or_else(|| {
                let next = walk.next();
                walked_to = next.map(|(rank, _)| rank).or(walked_to);
                next
            }) else {
                break;
            };
            let transaction = &entry.transaction;
            if !self.has_parents_in(transaction, &chosen_ids) || !self.is_timely(transaction, time) {
                continue;
            }
            if transaction.size() > size_left {
                misfits += 1;
                continue;
            }
            size_left -= transaction.size();
            misfits = 0;
            chosen_ids.insert(transaction.txid());
            let children = self.index.children(transaction);
            let met = children.iter().filter_map(|child| self.index.entry(child)).filter(|child| {
                walked_to.is_some_and(|walked_to| child.rank() > walked_to)
                    && self.has_parents_in(&child.transaction, &chosen_ids)
            });
            ready.extend(met.map(|child| (child.rank(), child)));
            chosen.push(Arc::clone(transaction));
        }
        chosen
    }

    fn has_parents_in(&self, transaction: &VerifiedTransaction, chosen: &BTreeSet<TxId>) -> bool {
        self.index.parents(transaction).is_subset(chosen)
    }

    fn is_timely(&self, transaction: &VerifiedTransaction, time: Time) -> bool {
        let expires_at = transaction.transaction().expires_at;
        time <= expires_at && expires_at <= time.plus(self.limits.expiry_max_ms)
    }
}
