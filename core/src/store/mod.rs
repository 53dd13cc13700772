//! The store seam: three methods over rows of bytes. All meaning is in [`crate::schema`].
//!
//! A failed commit is fatal: the driver drops the node, reopens the store and replays. Never retried with
//! the live node.

mod memory;

pub use memory::{MemoryError, MemoryStore};

use std::rc::Rc;

use crate::rows::{Batch, Key, ReadSet, Table, Value, View};

/// A range of keys, start inclusive, end exclusive; `None` is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First key.
    pub start: Option<Key>,
    /// First key beyond.
    pub end: Option<Key>,
}

impl Range {
    /// Every key with this prefix.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while end.last() == Some(&0xff) {
            end.pop();
        }
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self { start: Some(prefix.to_vec()), end: (!end.is_empty()).then_some(end) }
    }

    /// Whether the key lies in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_ref().is_none_or(|start| start.as_slice() <= key)
            && self.end.as_ref().is_none_or(|end| key < end.as_slice())
    }
}

/// Durable rows. One process owns a store; one task commits, others may read beside it.
#[expect(async_fn_in_trait, reason = "one generic consumer awaits it; no Send bound, so that IndexedDB fits")]
pub trait Store {
    /// What can go wrong.
    type Error: core::error::Error + 'static;

    /// Reads the rows named, absent ones included, as of one moment.
    async fn load(&self, reads: &ReadSet) -> Result<View, Self::Error>;

    /// Applies all writes or none, as durably as the batch asks.
    async fn commit(&self, batch: &Batch) -> Result<(), Self::Error>;

    /// The first `limit` rows of a range, ascending by key.
    async fn scan(&self, table: Table, range: &Range, limit: usize)
    -> Result<Vec<(Key, Value)>, Self::Error>;
}

/// A store with several users in one thread, as in a browser's Worker.
impl<S: Store> Store for Rc<S> {
    type Error = S::Error;

    async fn load(&self, reads: &ReadSet) -> Result<View, Self::Error> {
        (**self).load(reads).await
    }

    async fn commit(&self, batch: &Batch) -> Result<(), Self::Error> {
        (**self).commit(batch).await
    }

    async fn scan(
        &self,
        table: Table,
        range: &Range,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, Self::Error> {
        (**self).scan(table, range, limit).await
    }
}
