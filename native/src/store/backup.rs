//! A copy of a store, taken while it runs.

use std::fs;
use std::path::Path;

use timecoin_core::rows::{Batch, Table};
use timecoin_core::schema::meta;
use timecoin_core::store::Range;

use super::folder::{remove_if_present, sync_folder};
use super::{FileStore, StoreError, is_row};

/// Rows are copied in batches of about this many bytes.
const BATCH_BYTES: usize = 4 << 20;

impl FileStore {
    /// Copies everything as of now into a new data folder, which appears only once it is complete and durable.
    ///
    /// The votes and the statements that a key has never signed are left out on purpose: a validator restored
    /// from a copy must not believe that it knows all it has signed.
    ///
    /// # Errors
    /// If the folder exists, a row cannot be read, or the copy cannot be written.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<(), StoreError> {
        let to = to.as_ref();
        let io = |error| StoreError::io(to, error);
        if to.try_exists().map_err(io)? {
            return Err(StoreError::Occupied { path: to.to_path_buf() });
        }
        let mut partial = to.as_os_str().to_owned();
        partial.push(".partial");
        let partial = Path::new(&partial);
        remove_if_present(partial).map_err(io)?;
        let copy = Self::open(partial)?;
        let snapshot = self.snapshot()?;
        let mut batch = Batch::default();
        let mut bytes = 0;
        for table in Table::ALL.into_iter().filter(|table| is_row(*table)) {
            for row in snapshot.rows(table, &Range::default()) {
                let (key, value) = row?;
                if table == Table::Meta && key.starts_with(meta::SIGNER) {
                    continue;
                }
                bytes += key.len() + value.len();
                batch.put(table, key, value);
                if bytes >= BATCH_BYTES {
                    copy.commit_batch(&std::mem::take(&mut batch))?;
                    bytes = 0;
                }
            }
        }
        batch.sync();
        copy.commit_batch(&batch)?;
        drop(copy);
        fs::rename(partial, to).map_err(io)?;
        match to.parent() {
            Some(parent) if parent != Path::new("") => sync_folder(parent).map_err(io),
            _ => Ok(()),
        }
    }
}
