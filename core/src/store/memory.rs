//! The reference store: ordered maps, with the crash behaviour of a disk. Commits that were not synced can be
//! lost, newest first; what was synced stays.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Range, Store};
use crate::rows::{Batch, Durability, Key, ReadSet, Table, Value, View};

/// A clone shares the same rows, as a reopened file does.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    synced: BTreeMap<(Table, Key), Value>,
    unsynced: Vec<Batch>,
    current: BTreeMap<(Table, Key), Value>,
    failing: bool,
}

/// The only failure of a memory store is the one a test asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store was told to fail")]
pub struct MemoryError;

fn write(rows: &mut BTreeMap<(Table, Key), Value>, batch: &Batch) {
    for (table, key, value) in batch.iter() {
        match value {
            Some(value) => rows.insert((table, key.clone()), value.clone()),
            None => rows.remove(&(table, key.clone())),
        };
    }
}

impl MemoryStore {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine dies: only the first `kept` of the commits since the last sync survive.
    pub fn crash(&self, kept: usize) {
        let mut rows = self.rows();
        let survivors: Vec<_> = rows.unsynced.drain(..).take(kept).collect();
        let mut current = core::mem::take(&mut rows.synced);
        survivors.iter().for_each(|batch| write(&mut current, batch));
        rows.synced.clone_from(&current);
        rows.current = current;
        rows.failing = false;
    }

    /// How many commits a crash could lose.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.rows().unsynced.len()
    }

    /// From now on every commit fails, as on a full disk, until the next crash.
    pub fn fail_commits(&self) {
        self.rows().failing = true;
    }

    /// An independent copy of the rows: a backup.
    #[must_use]
    pub fn backup(&self) -> Self {
        let current = self.rows().current.clone();
        let rows = Rows { synced: current.clone(), current, ..Rows::default() };
        Self(Arc::new(Mutex::new(rows)))
    }
}

impl Store for MemoryStore {
    type Error = MemoryError;

    async fn load(&self, reads: &ReadSet) -> Result<View, MemoryError> {
        let rows = self.rows();
        let mut view = View::default();
        for (table, key) in reads.iter() {
            view.insert(table, key.clone(), rows.current.get(&(table, key.clone())).cloned());
        }
        Ok(view)
    }

    async fn commit(&self, batch: &Batch) -> Result<(), MemoryError> {
        let mut rows = self.rows();
        if rows.failing {
            return Err(MemoryError);
        }
        write(&mut rows.current, batch);
        rows.unsynced.push(batch.clone());
        if batch.durability() == Durability::Synced {
            let pending: Vec<_> = rows.unsynced.drain(..).collect();
            pending.iter().for_each(|batch| write(&mut rows.synced, batch));
        }
        Ok(())
    }

    async fn scan(
        &self,
        table: Table,
        range: &Range,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, MemoryError> {
        let rows = self.rows();
        let start = (table, range.start.clone().unwrap_or_default());
        Ok(rows
            .current
            .range(start..)
            .take_while(|((at, key), _)| *at == table && range.end.as_ref().is_none_or(|end| key < end))
            .take(limit)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect())
    }
}
