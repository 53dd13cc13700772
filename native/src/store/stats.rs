//! Figures about an open store, for operators and metrics.

use timecoin_core::rows::Table;

use super::{FileStore, StoreError};

/// How large a store is and what it uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Bytes on disk of all tables and the engine's journals.
    pub rows_bytes: u64,
    /// Bytes on disk of the vote journal.
    pub journal_bytes: u64,
    /// Bytes of memory in use by the block cache.
    pub cache_bytes: u64,
    /// The most it may use.
    pub cache_bytes_max: u64,
    /// Bytes the disk has left.
    pub free_bytes: u64,
    /// Commits since the store was created, votes alone not counted.
    pub commits: u64,
    /// Every table, by discriminant.
    pub tables: Vec<TableStats>,
}

/// How large a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// Which table.
    pub table: Table,
    /// Rows, older versions and deletions not yet cleaned up included: an upper bound.
    pub rows: u64,
    /// Bytes on disk, without what is still in journals.
    pub bytes: u64,
}

impl FileStore {
    /// Figures as of now. Cheap: reads no rows.
    ///
    /// # Errors
    /// If the disk cannot be asked, or an earlier commit failed.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let shared = &*self.0;
        let path = shared.folder.path();
        let writer = shared.writer.lock().map_err(|_| StoreError::Failed)?;
        let tables = Table::ALL.into_iter().map(|table| match shared.engine.rows_of(table) {
            Some(keyspace) => {
                TableStats { table, rows: keyspace.approximate_len() as u64, bytes: keyspace.disk_space() }
            }
            None => TableStats { table, rows: writer.sign.len() as u64, bytes: writer.journal.bytes() },
        });
        Ok(Stats {
            rows_bytes: shared
                .engine
                .database
                .disk_space()
                .map_err(|error| StoreError::engine(path, error))?,
            journal_bytes: writer.journal.bytes(),
            cache_bytes: shared.engine.database.cache_size(),
            cache_bytes_max: shared.engine.database.cache_capacity(),
            free_bytes: fs4::available_space(path).map_err(|error| StoreError::io(path, error))?,
            commits: writer.commits,
            tables: tables.collect(),
        })
    }
}
