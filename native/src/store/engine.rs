//! The part of a store that is a fjall database: every table but the votes, and a count of commits.
//!
//! fjall trusts its own files more than we do: it opens manifests without checking the checksum it wrote
//! for them, panics or asks for absurd memory on some damage, and silently drops the end of a journal that
//! it cannot read. So manifests are checked before it sees them, its panics while opening are caught, and the
//! count tells what was dropped.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use timecoin_core::rows::{Batch, Table, Value};
use xxhash_rust::xxh3::xxh3_128;

use super::error::{Damage, StoreError};
use super::snapshot::encode_key;
use super::{Options, is_row};

/// The table with the number of commits.
const COMMITS: &str = "commits";
const COMMITS_KEY: &[u8] = b"n";

/// Where the engine keeps a folder per table.
const KEYSPACES: &str = "keyspaces";

/// An open database with its tables.
pub(super) struct Engine {
    tables: [Option<Keyspace>; Table::ALL.len()],
    commits: Keyspace,
    pub(super) database: Database,
}

impl Engine {
    /// Makes an empty database in `folder`. `path` is the data folder, for errors.
    pub(super) fn create(path: &Path, folder: &Path) -> Result<(), StoreError> {
        let engine = |error| StoreError::engine(path, error);
        let database = open_database(folder, Options::default()).map_err(engine)?;
        for table in Table::ALL.into_iter().filter(|table| is_row(*table)) {
            database.keyspace(table.name(), || table_options(table)).map_err(engine)?;
        }
        database.keyspace(COMMITS, KeyspaceCreateOptions::default).map_err(engine)?;
        database.persist(PersistMode::SyncAll).map_err(engine)
    }

    /// Opens the database in `folder`.
    pub(super) fn open(path: &Path, folder: &Path, options: Options) -> Result<Self, StoreError> {
        check_manifests(path, &folder.join(KEYSPACES))?;
        guarded(path, || {
            let engine = |error| StoreError::engine(path, error);
            let database = open_database(folder, options).map_err(engine)?;
            let mut tables = [const { None }; Table::ALL.len()];
            for (table, slot) in Table::ALL.into_iter().zip(&mut tables).filter(|(table, _)| is_row(*table)) {
                if !database.keyspace_exists(table.name()) {
                    return Err(StoreError::damaged(path, Damage::TableMissing { table }));
                }
                *slot = Some(database.keyspace(table.name(), || table_options(table)).map_err(engine)?);
            }
            let commits = database.keyspace(COMMITS, KeyspaceCreateOptions::default).map_err(engine)?;
            Ok(Self { tables, commits, database })
        })
    }

    /// The table's rows; votes are not here.
    pub(super) fn rows_of(&self, table: Table) -> Option<&Keyspace> {
        self.tables.get(table as usize).and_then(Option::as_ref)
    }

    /// How many commits the database has seen.
    pub(super) fn commits(&self) -> fjall::Result<u64> {
        let found = self.commits.get(COMMITS_KEY)?;
        Ok(found.and_then(|bytes| bytes.as_ref().try_into().ok()).map_or(0, u64::from_be_bytes))
    }

    /// Writes the rows of a batch and the new number of commits, all or nothing; `synced`: they are on disk when this
    /// returns. Votes are left out.
    pub(super) fn commit(
        &self,
        path: &Path,
        batch: &Batch,
        commits: u64,
        synced: bool,
    ) -> Result<(), StoreError> {
        let mode = if synced { PersistMode::SyncAll } else { PersistMode::Buffer };
        let mut rows = self.database.batch().durability(Some(mode));
        for (table, key, value) in batch.iter() {
            let Some(keyspace) = self.rows_of(table) else { continue };
            let key = encode_key(key);
            if key.len() > usize::from(u16::MAX) {
                return Err(StoreError::KeyTooLong { table, length: key.len() });
            }
            match value {
                Some(value) => rows.insert(keyspace, &*key, Value::clone(value)),
                None => rows.remove(keyspace, &*key),
            }
        }
        rows.insert(&self.commits, COMMITS_KEY, commits.to_be_bytes());
        rows.commit().map_err(|error| StoreError::engine(path, error))
    }

    /// Makes every commit so far durable.
    pub(super) fn sync(&self, path: &Path) -> Result<(), StoreError> {
        self.database.persist(PersistMode::SyncAll).map_err(|error| StoreError::engine(path, error))
    }

    /// Moves what is in memory to table files, as happens by itself when it grows.
    #[cfg(test)]
    pub(super) fn flush(&self) {
        let tables = self.tables.iter().flatten().chain([&self.commits]);
        tables.for_each(|table| table.rotate_memtable_and_wait().expect("a test's disk takes it"));
    }
}

fn open_database(folder: &Path, options: Options) -> fjall::Result<Database> {
    Database::builder(folder)
        .cache_size(options.cache_bytes)
        .manual_journal_persist(true) // every commit says how durable it is
        .journal_compression(CompressionType::None) // hashes and keys do not compress
        .max_journaling_size(256 << 20)
        .worker_threads(2)
        .open()
}

/// The state tree gets a larger buffer; with sixteen tables the buffers must be small to bound the memory.
fn table_options(table: Table) -> KeyspaceCreateOptions {
    let buffer_bytes = match table {
        Table::Tree => 32 << 20,
        _ => 8 << 20,
    };
    KeyspaceCreateOptions::default()
        .max_memtable_size(buffer_bytes)
        .data_block_compression_policy(CompressionPolicy::disabled())
}

/// Compares every table's manifest with the checksum beside its number in the file `current`.
fn check_manifests(path: &Path, keyspaces: &Path) -> Result<(), StoreError> {
    let io = |error: std::io::Error| StoreError::engine(path, error.into());
    for entry in fs::read_dir(keyspaces).map_err(io)? {
        let folder = entry.map_err(io)?.path();
        let current = folder.join("current");
        if !current.try_exists().map_err(io)? {
            continue; // a table the engine had not finished making or removing
        }
        let current = fs::read(current).map_err(io)?;
        let fields = current.split_first_chunk::<8>().and_then(|(id, rest)| Some((id, rest.first_chunk()?)));
        let sound = fields.is_some_and(|(id, checksum)| {
            let manifest = fs::read(folder.join(format!("v{}", u64::from_le_bytes(*id))));
            manifest.is_ok_and(|manifest| xxh3_128(&manifest) == u128::from_le_bytes(*checksum))
        });
        if !sound {
            return Err(StoreError::damaged(path, Damage::Manifest { folder }));
        }
    }
    Ok(())
}

/// Runs what may panic on damaged files and makes that a finding like any other.
pub(super) fn guarded<T>(path: &Path, run: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().cloned();
        let message = message.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        let damage = Damage::EngineStopped { message: message.unwrap_or_default() };
        Err(StoreError::damaged(path, damage))
    })
}
