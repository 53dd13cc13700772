//! The file store: every table in one fjall database, except the votes, which have a journal of their own.
//!
//! * One commit is one batch of the engine: all or nothing, also when the process or the machine dies.
//!   `Synced` commits return after `fsync`; `Ordered` ones reach the operating system.
//! * [`Table::Sign`] is written to a preallocated journal (`journal.rs`), because a vote waits for the disk.
//! * A commit becomes visible whole, as a [`Snapshot`] that readers pick up without a lock.
//! * A failed commit fails the store: every later call errors, because memory and disk may differ.
//! * What is damaged is refused, not repaired and not replaced.
//!
//! **A commit of votes and other rows.** The rows are made durable first, then the votes are journaled. A crash between
//! the two leaves rows whose votes nobody has seen, because effects wait for the whole commit. The other order left a
//! Commit without the block it was for, sent again after the restart: where that happened to enough validators at once
//! (a full disk, or a single validator killed), a block was decided that nobody had. Deletions come last too: the journal
//! forgets a vote only after everything committed before is on disk, so that a deleted vote may come back after a
//! crash, but a vote is never forgotten while the block that made it obsolete could be lost. A `Synced`
//! commit of votes alone makes durable only itself, not the `Ordered` commits of other rows before it.
//!
//! Not here: what the rows mean, and which chain they belong to.

mod backup;
mod engine;
mod error;
mod folder;
mod journal;
mod rebuild;
mod record;
mod snapshot;
mod stats;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use timecoin_core::rows::{Batch, Durability, Key, ReadSet, Table, View};
use timecoin_core::store::{Range, Store};

pub use error::{Damage, StoreError};
pub use snapshot::{Row, Snapshot};
pub use stats::{Stats, TableStats};
pub use verify::{Fault, Report, TableReport, verify};

use engine::Engine;
use folder::Folder;
use journal::{SignJournal, SignRows};
use snapshot::Moment;

/// How a store uses memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most bytes of table blocks kept in memory.
    pub cache_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20 }
    }
}

/// An open store. Clones share it; it is closed when the last clone and the last snapshot are gone.
#[derive(Clone)]
pub struct FileStore(Arc<Shared>);

struct Shared {
    moment: ArcSwap<Moment>,
    failed: AtomicBool,
    writer: Mutex<Writer>,
    engine: Engine,
    /// Last, so that the lock outlives every file.
    folder: Folder,
}

struct Writer {
    journal: SignJournal,
    /// The votes as committed: the journal's less the retired.
    sign: Arc<SignRows>,
    /// Deleted votes that the journal may not forget yet.
    retired: BTreeSet<Key>,
    /// Commits of the engine so far.
    commits: u64,
    /// Whether a power cut could take some of them.
    unsynced: bool,
}

impl FileStore {
    /// Opens the store in a data folder, or creates it where there is none.
    ///
    /// # Errors
    /// If the folder is locked, damaged, from a newer program, or cannot be read or written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, Options::default())
    }

    /// Opens the store with other than the usual options.
    ///
    /// # Errors
    /// As [`FileStore::open`].
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        let folder = Folder::lock(path.as_ref())?;
        if !folder.has_store()? {
            folder.create(|store| create(folder.path(), store))?;
        }
        folder.check()?;
        Self::open_at(&folder.store(), folder, options)
    }

    /// Opens the store whose files are in `store`, under the folder's lock.
    fn open_at(store: &Path, folder: Folder, options: Options) -> Result<Self, StoreError> {
        let path = folder.path();
        let journal = SignJournal::open(&store.join(folder::JOURNAL))?;
        let engine = Engine::open(path, &store.join(folder::ROWS), options)?;
        let found = engine.commits().map_err(|error| StoreError::engine(path, error))?;
        let marked = journal.marked();
        if found < marked {
            return Err(StoreError::damaged(path, Damage::LostCommits { found, marked }));
        }
        let sign = Arc::new(journal.rows().clone());
        let moment = Moment { rows: engine.database.snapshot(), sign: sign.clone() };
        let writer = Writer { journal, sign, retired: BTreeSet::new(), commits: found, unsynced: true };
        Ok(Self(Arc::new(Shared {
            moment: ArcSwap::from_pointee(moment),
            failed: AtomicBool::new(false),
            writer: Mutex::new(writer),
            engine,
            folder,
        })))
    }

    /// The store as of the last commit.
    ///
    /// # Errors
    /// If an earlier commit failed.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        if self.0.failed.load(Ordering::Acquire) {
            return Err(StoreError::Failed);
        }
        Ok(Snapshot::new(self.0.clone(), self.0.moment.load_full()))
    }

    /// Applies all writes or none, as durably as the batch asks. One commit runs at a time.
    ///
    /// # Errors
    /// If the batch could not be written; the store then takes no further calls.
    pub fn commit_batch(&self, batch: &Batch) -> Result<(), StoreError> {
        // A panic below leaves the lock poisoned: the same as a failed commit.
        let mut writer = self.0.writer.lock().map_err(|_| StoreError::Failed)?;
        if self.0.failed.load(Ordering::Acquire) {
            return Err(StoreError::Failed);
        }
        let written = writer.write(&self.0, batch);
        match &written {
            Ok(()) => {
                let moment = Moment { rows: self.0.engine.database.snapshot(), sign: writer.sign.clone() };
                self.0.moment.store(Arc::new(moment));
            }
            Err(_) => self.0.failed.store(true, Ordering::Release),
        }
        written
    }
}

impl Store for FileStore {
    type Error = StoreError;

    async fn load(&self, reads: &ReadSet) -> Result<View, StoreError> {
        self.snapshot()?.load(reads)
    }

    async fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.commit_batch(batch)
    }

    async fn scan(&self, table: Table, range: &Range, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.snapshot()?.scan(table, range, limit)
    }
}

impl Writer {
    fn write(&mut self, shared: &Shared, batch: &Batch) -> Result<(), StoreError> {
        let votes: Vec<_> = batch.iter().filter(|(table, ..)| !is_row(*table)).collect();
        let cast = votes.iter().filter_map(|(_, key, value)| Some((key.as_slice(), Some((*value)?))));
        let casts = cast.clone().count();
        let has_rows = votes.len() < batch.len();
        // A vote is never on disk without the rows of its batch.
        let synced = batch.durability() == Durability::Synced || (casts > 0 && has_rows);
        if has_rows {
            self.commits += 1;
            shared.engine.commit(shared.folder.path(), batch, self.commits, synced)?;
            self.unsynced = !synced;
        } else if synced && casts == 0 && self.unsynced {
            shared.engine.sync(shared.folder.path())?;
            self.unsynced = false;
        }
        if casts > 0 {
            self.journal.append(cast, true)?;
        }
        if !votes.is_empty() {
            let sign = Arc::make_mut(&mut self.sign);
            for (_, key, value) in votes {
                match value {
                    Some(value) => {
                        sign.insert(key.as_slice().into(), value.clone());
                        self.retired.remove(key);
                    }
                    None => {
                        sign.remove(key.as_slice());
                        if self.journal.rows().contains_key(key.as_slice()) {
                            self.retired.insert(key.clone());
                        }
                    }
                }
            }
        }
        if self.unsynced { Ok(()) } else { self.settle() }
    }

    /// With everything committed on disk: forgets the retired votes and notes how far the disk is.
    fn settle(&mut self) -> Result<(), StoreError> {
        if !self.retired.is_empty() {
            self.journal.append(self.retired.iter().map(|key| (key.as_slice(), None)), false)?;
            self.retired.clear();
        }
        if self.journal.marked() < self.commits { self.journal.mark(self.commits) } else { Ok(()) }
    }
}

impl Drop for Shared {
    /// Closes in order where it can; whatever fails here was not promised to be durable.
    fn drop(&mut self) {
        let Ok(writer) = self.writer.get_mut() else { return };
        if self.failed.load(Ordering::Acquire) {
            return;
        }
        let closed = self.engine.sync(self.folder.path()).and_then(|()| writer.settle());
        if let Err(error) = closed {
            tracing::warn!(%error, "the store was not closed in order");
        }
    }
}

/// Whether the table is in the engine: all are but the votes.
const fn is_row(table: Table) -> bool {
    !matches!(table, Table::Sign)
}

/// Fills the folder of a new store.
fn create(path: &Path, store: &Path) -> Result<(), StoreError> {
    Engine::create(path, &store.join(folder::ROWS))?;
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|error| StoreError::io(path, error.into()))?;
    SignJournal::create(&store.join(folder::JOURNAL), salt)
}
