//! Reading: all tables as of one commit.

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Arc;

use fjall::Readable as _;
use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};
use timecoin_core::rows::{Key, ReadSet, Table, Value, View};
use timecoin_core::store::Range;

use super::Shared;
use super::error::StoreError;
use super::journal::SignRows;

/// From this many rows on, they are read on all cores.
const TOGETHER: usize = 64;

/// A row with its key.
pub type Row = (Key, Value);

/// What was committed at one moment: the engine's part and the votes.
pub(super) struct Moment {
    pub(super) rows: fjall::Snapshot,
    pub(super) sign: Arc<SignRows>,
}

/// The store as of one commit: reads of any number of rows agree with each other, whatever is committed
/// meanwhile. Takes no lock. Keeps the store open and its older rows on disk, so it should not be kept long.
#[derive(Clone)]
pub struct Snapshot {
    shared: Arc<Shared>,
    moment: Arc<Moment>,
}

impl Snapshot {
    pub(super) fn new(shared: Arc<Shared>, moment: Arc<Moment>) -> Self {
        Self { shared, moment }
    }

    fn error(&self, error: fjall::Error) -> StoreError {
        StoreError::engine(self.shared.folder.path(), error)
    }

    /// The row, where there is one.
    ///
    /// # Errors
    /// If the row cannot be read.
    pub fn row(&self, table: Table, key: &[u8]) -> Result<Option<Value>, StoreError> {
        let Some(keyspace) = self.shared.engine.rows_of(table) else {
            return Ok(self.moment.sign.get(key).cloned());
        };
        let found = self.moment.rows.get(keyspace, encode_key(key));
        Ok(found.map_err(|error| self.error(error))?.map(|value| Value::from(&*value)))
    }

    /// Reads the rows named, absent ones included.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn load(&self, reads: &ReadSet) -> Result<View, StoreError> {
        let read = |(table, key): (Table, &Key)| Ok((table, key.clone(), self.row(table, key)?));
        let rows: Vec<_> = if reads.len() < TOGETHER {
            reads.iter().map(read).collect::<Result<_, StoreError>>()?
        } else {
            let reads: Vec<_> = reads.iter().collect();
            reads.into_par_iter().with_min_len(TOGETHER / 2).map(read).collect::<Result<_, StoreError>>()?
        };
        let mut view = View::default();
        rows.into_iter().for_each(|(table, key, row)| view.insert(table, key, row));
        Ok(view)
    }

    /// The first `limit` rows of a range, ascending by key.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn scan(&self, table: Table, range: &Range, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.rows(table, range).take(limit).collect()
    }

    /// The rows of a range as a stream, from both ends. Holds no more than a block of rows in memory.
    /// The rows beyond one that cannot be read are not promised.
    pub fn rows(
        &self,
        table: Table,
        range: &Range,
    ) -> Box<dyn DoubleEndedIterator<Item = Result<Row, StoreError>> + Send + '_> {
        if let (Some(start), Some(end)) = (&range.start, &range.end)
            && start >= end
        {
            return Box::new(std::iter::empty());
        }
        let start = range.start.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let Some(keyspace) = self.shared.engine.rows_of(table) else {
            let rows = self.moment.sign.range::<[u8], _>((start, end));
            return Box::new(rows.map(|(key, value)| Ok((key.to_vec(), value.clone()))));
        };
        let rows = self.moment.rows.range(keyspace, (start.map(encode_key), end.map(encode_key)));
        Box::new(rows.map(|row| {
            let (key, value) = row.into_inner().map_err(|error| self.error(error))?;
            Ok((decode_key(&key).to_vec(), Value::from(&*value)))
        }))
    }
}

/// The engine has no empty keys: a zero byte goes before the empty key and before keys that start with one.
/// The order of keys stays.
pub(super) fn encode_key(key: &[u8]) -> Cow<'_, [u8]> {
    match key.first() {
        None | Some(0) => Cow::Owned([&[0], key].concat()),
        Some(_) => Cow::Borrowed(key),
    }
}

fn decode_key(key: &[u8]) -> &[u8] {
    match key {
        [0, key @ ..] => key,
        key => key,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_keep_their_order_and_their_bytes(
            one in vec(0u8..3, 0..4), two in vec(0u8..3, 0..4),
        ) {
            let (first, second) = (encode_key(&one), encode_key(&two));
            prop_assert!(!first.is_empty());
            prop_assert_eq!(decode_key(&first), one.as_slice());
            prop_assert_eq!(first.cmp(&second), one.cmp(&two));
        }
    }
}
