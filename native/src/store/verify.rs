//! Checks a store that is not running, without changing it.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use timecoin_core::rows::{Key, Table};
use timecoin_core::store::Range;

use super::engine::guarded;
use super::error::Hex;
use super::folder::{Folder, JOURNAL, ROWS, remove_if_present};
use super::{FileStore, Options, Snapshot, StoreError};

/// Where the files are mirrored to be opened.
const MIRROR: &str = "verifying";
/// Every so many rows, one is also looked up by its key, as the node does: lookups use other blocks.
const LOOKUP_EVERY: u64 = 64;

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// Every table that could be opened.
    pub tables: Vec<TableReport>,
    /// What is wrong; nothing in a sound store.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Whether all is well.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

/// What a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableReport {
    /// Which table.
    pub table: Table,
    /// Readable rows.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// Something that is wrong.
#[derive(Debug)]
pub enum Fault {
    /// The store cannot be opened.
    Unopenable(StoreError),
    /// Rows of a table cannot be read.
    Unreadable {
        /// Which table.
        table: Table,
        /// The last readable row before; none where the first is unreadable.
        after: Option<Key>,
        /// The first readable row after; none where the rest is unreadable.
        before: Option<Key>,
        /// Why.
        error: StoreError,
    },
    /// A row is there when walking and not found, or found different, when looked up.
    Inconsistent {
        /// Which table.
        table: Table,
        /// Which row.
        key: Key,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unopenable(error) => write!(f, "{error}"),
            Self::Unreadable { table, after, before, error } => {
                write!(f, "table {}: unreadable rows", table.name())?;
                if let Some(key) = after {
                    write!(f, " after {}", Hex(key))?;
                }
                if let Some(key) = before {
                    write!(f, " before {}", Hex(key))?;
                }
                write!(f, ": {error}")
            }
            Self::Inconsistent { table, key } => {
                write!(f, "table {}: row {} is found by one path and not by another", table.name(), Hex(key))
            }
        }
    }
}

/// Walks every row of every table of the store in a data folder and says what cannot be read, and where.
///
/// The engine cannot open files without tidying them, so it gets a mirror: links to the table files, which
/// it never rewrites, and copies of the few it does.
///
/// # Errors
/// If there is no store, it is in use, it is from a newer program, or the mirror cannot be made.
pub fn verify(path: impl AsRef<Path>) -> Result<Report, StoreError> {
    let path = path.as_ref();
    let io = |error| StoreError::io(path, error);
    Folder::require(path)?;
    let folder = Folder::lock(path)?;
    let mut report = Report::default();
    match folder.check() {
        Err(error @ StoreError::Damaged { .. }) => report.faults.push(Fault::Unopenable(error)),
        checked => {
            checked?;
            let mirror = path.join(MIRROR);
            remove_if_present(&mirror).map_err(io)?;
            mirror_folder(&folder.store(), &mirror).map_err(io)?;
            walk(&mirror, folder, &mut report);
            remove_if_present(&mirror).map_err(io)?;
        }
    }
    Ok(report)
}

/// Mirrors a store's folder.
fn mirror_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    fs::copy(from.join(JOURNAL), to.join(JOURNAL))?;
    mirror_engine(&from.join(ROWS), &to.join(ROWS))
}

fn mirror_engine(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            mirror_engine(&entry.path(), &target)?;
        } else if !(from.ends_with("tables") && fs::hard_link(entry.path(), &target).is_ok()) {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

fn walk(store: &Path, folder: Folder, report: &mut Report) {
    let path = folder.path().to_path_buf();
    let opened = guarded(&path, || FileStore::open_at(store, folder, Options::default())?.snapshot());
    let snapshot = match opened {
        Ok(snapshot) => snapshot,
        Err(error) => return report.faults.push(Fault::Unopenable(error)),
    };
    for table in Table::ALL {
        let mut found = TableReport { table, rows: 0, bytes: 0 };
        let mut last = None;
        let walked = guarded(&path, || walk_table(&snapshot, &mut found, &mut last, &mut report.faults));
        if let Err(error) = walked {
            let before = guarded(&path, || Ok(last_unbroken(&snapshot, table))).unwrap_or(None);
            report.faults.push(Fault::Unreadable { table, after: last, before, error });
        }
        report.tables.push(found);
    }
}

fn walk_table(
    snapshot: &Snapshot,
    found: &mut TableReport,
    last: &mut Option<Key>,
    faults: &mut Vec<Fault>,
) -> Result<(), StoreError> {
    let table = found.table;
    for row in snapshot.rows(table, &Range::default()) {
        let (key, value) = row?;
        if found.rows.is_multiple_of(LOOKUP_EVERY) && snapshot.row(table, &key)?.as_ref() != Some(&value) {
            faults.push(Fault::Inconsistent { table, key: key.clone() });
        }
        found.rows += 1;
        found.bytes += (key.len() + value.len()) as u64;
        *last = Some(key);
    }
    Ok(())
}

/// Walks backwards to the first key from which on all rows are readable.
fn last_unbroken(snapshot: &Snapshot, table: Table) -> Option<Key> {
    snapshot.rows(table, &Range::default()).rev().map_while(Result::ok).last().map(|(key, _)| key)
}
