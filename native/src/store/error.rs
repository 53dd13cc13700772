//! What can go wrong with a store on disk.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use timecoin_core::rows::Table;

/// Less free space than this explains an engine that stopped writing in the background.
const SPACE_MIN_BYTES: u64 = 64 << 20;

/// Why a store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another part of this one, has the store open.
    #[error("the data folder {} is in use by another process: stop it, or choose another folder", path.display())]
    Locked {
        /// The data folder.
        path: PathBuf,
    },
    /// The folder was written by a program that knows a newer format.
    #[error("the data folder {} has format {found}, this program knows up to {supported}: use a newer program", path.display())]
    Newer {
        /// The data folder.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format known here.
        supported: u32,
    },
    /// There is no store to verify in the folder.
    #[error("there is no store in {}: check the path", path.display())]
    Absent {
        /// The data folder.
        path: PathBuf,
    },
    /// Something is in the way of what is to be created.
    #[error("{} exists already: choose an empty place", path.display())]
    Occupied {
        /// What is in the way.
        path: PathBuf,
    },
    /// The files are not what was written. Nothing was changed.
    #[error("the store in {} is damaged ({damage}): restore a backup or synchronise into a new folder", path.display())]
    Damaged {
        /// The data folder.
        path: PathBuf,
        /// What is wrong.
        damage: Damage,
    },
    /// No space is left.
    #[error("the disk of {} is full: free some space and restart", path.display())]
    DiskFull {
        /// The data folder.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: {}", path.display(), crate::identity::advised(error))]
    Io {
        /// The data folder.
        path: PathBuf,
        /// Its reason.
        error: io::Error,
    },
    /// A key is longer than a file store can hold; no schema has such keys.
    #[error("a key of table {} has {length} bytes, more than {}: please report this", table.name(), u16::MAX)]
    KeyTooLong {
        /// The row's table.
        table: Table,
        /// The key's length.
        length: usize,
    },
    /// An earlier commit failed, so memory and disk may differ.
    #[error("an earlier write to the store failed: reopen it")]
    Failed,
}

/// What is wrong with a damaged store.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The format marker does not hold a number.
    #[error("the format marker is unreadable")]
    Format,
    /// A file or folder that every store has is not there.
    #[error("{name} is missing")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A table is not there.
    #[error("table {} is missing", table.name())]
    TableMissing {
        /// Which.
        table: Table,
    },
    /// Fewer commits are left than were once on disk.
    #[error("commits are lost: {found} of {marked}")]
    LostCommits {
        /// How many there are.
        found: u64,
        /// How many there were when a commit was last synced.
        marked: u64,
    },
    /// The vote journal's header is unreadable.
    #[error("the header of the vote journal is unreadable")]
    JournalHeader,
    /// A record of the vote journal is unreadable although it once was durable.
    #[error("slot {slot} of the vote journal is unreadable")]
    JournalRecord {
        /// Where, in slots of 4,096 bytes from the start of the file.
        slot: u64,
    },
    /// The list of a table's files is unreadable.
    #[error("the manifest in {} is unreadable", folder.display())]
    Manifest {
        /// The table's folder.
        folder: PathBuf,
    },
    /// The engine's journal is not what it wrote.
    #[error("the engine's journal, the .jnl files in store/rows, is unreadable: {0}")]
    EngineJournal(String),
    /// The engine's files are not what it wrote.
    #[error("{0}")]
    Engine(fjall::Error),
    /// The engine met something that it holds to be impossible.
    #[error("the engine stopped: {message}")]
    EngineStopped {
        /// What it said.
        message: String,
    },
}

impl StoreError {
    /// An error of the operating system.
    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        let path = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { path, error },
        }
    }

    /// An error of the engine. What it cannot read it must not have written: damage.
    pub(super) fn engine(path: &Path, error: fjall::Error) -> Self {
        let error = match error {
            fjall::Error::Storage(fjall::LsmError::Io(error)) => fjall::Error::Io(error),
            error => error,
        };
        match error {
            fjall::Error::Io(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::NotFound => {
                    Self::damaged(path, Damage::Engine(error.into()))
                }
                _ => Self::io(path, error),
            },
            fjall::Error::Locked => Self::Locked { path: path.to_path_buf() },
            // The engine writes tables in the background and says only later that it could not.
            fjall::Error::Poisoned => match fs4::available_space(path) {
                Ok(free) if free < SPACE_MIN_BYTES => Self::DiskFull { path: path.to_path_buf() },
                _ => Self::Failed,
            },
            fjall::Error::JournalRecovery(error) => {
                Self::damaged(path, Damage::EngineJournal(format!("{error:?}")))
            }
            error => Self::damaged(path, Damage::Engine(error)),
        }
    }

    pub(super) fn damaged(path: &Path, damage: Damage) -> Self {
        Self::Damaged { path: path.to_path_buf(), damage }
    }
}

/// Bytes in hexadecimal, for reports.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_what_the_operator_can_do() {
        let path = Path::new("/");
        let io = |kind: io::ErrorKind| fjall::Error::Io(kind.into());
        let storage = |kind: io::ErrorKind| fjall::Error::Storage(fjall::LsmError::Io(kind.into()));
        let cases = [
            ("full", io(io::ErrorKind::StorageFull), "DiskFull"),
            ("full below", storage(io::ErrorKind::StorageFull), "DiskFull"),
            ("quota", io(io::ErrorKind::QuotaExceeded), "DiskFull"),
            ("denied", io(io::ErrorKind::PermissionDenied), "Io"),
            ("table file gone", storage(io::ErrorKind::NotFound), "Damaged"),
            ("cut short", storage(io::ErrorKind::UnexpectedEof), "Damaged"),
            ("unrecoverable", fjall::Error::Unrecoverable, "Damaged"),
            ("trailer", fjall::Error::InvalidTrailer, "Damaged"),
            ("locked", fjall::Error::Locked, "Locked"),
        ];
        for (name, error, expected) in cases {
            let error = format!("{:?}", StoreError::engine(path, error));
            assert!(error.starts_with(expected), "{name}: {error}");
        }
    }
}
