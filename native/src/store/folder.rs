//! The data folder: its layout, its lock, its format marker, and how it comes into being.
//!
//! ```text
//! lock                 held while the store is open
//! store/format         the format's number
//! store/rows/          every table but the votes (fjall)
//! store/sign.journal   the votes
//! ```
//! A store is built in `creating/` and moved into place whole, so a `store/` that lacks a part was damaged
//! and is refused, never completed. Files beside these are not ours and are left alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::error::{Damage, StoreError};

/// The newest layout this program reads and the one it writes. What rows mean has a version of its own.
pub(super) const FORMAT: u32 = 1;

pub(super) const STORE: &str = "store";
pub(super) const ROWS: &str = "rows";
pub(super) const JOURNAL: &str = "sign.journal";
const FORMAT_FILE: &str = "format";
const CREATING: &str = "creating";
const LOCK: &str = "lock";

/// A locked data folder. Unlocked when dropped, by the operating system too.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Creates the folder where needed and takes its lock.
    pub(super) fn lock(path: &Path) -> Result<Self, StoreError> {
        let io = |error| StoreError::io(path, error);
        fs::create_dir_all(path).map_err(io)?;
        let mut open = OpenOptions::new();
        let lock =
            open.create(true).truncate(false).read(true).write(true).open(path.join(LOCK)).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_path_buf(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: path.to_path_buf() }),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }

    /// The data folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the store is.
    pub(super) fn store(&self) -> PathBuf {
        self.path.join(STORE)
    }

    /// Whether a store was ever completed here.
    pub(super) fn has_store(&self) -> Result<bool, StoreError> {
        self.store().try_exists().map_err(|error| StoreError::io(&self.path, error))
    }

    /// Builds an empty store with `fill`, which gets the folder to put its files in, and moves it into place.
    pub(super) fn create(
        &self,
        fill: impl FnOnce(&Path) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let io = |error| StoreError::io(&self.path, error);
        let creating = self.path.join(CREATING);
        remove_if_present(&creating).map_err(io)?; // an interrupted creation: nothing was ever committed to it
        fs::create_dir(&creating).map_err(io)?;
        fill(&creating)?;
        let mut format = File::create_new(creating.join(FORMAT_FILE)).map_err(io)?;
        writeln!(format, "{FORMAT}").and_then(|()| format.sync_all()).map_err(io)?;
        sync_folder(&creating).map_err(io)?;
        fs::rename(&creating, self.store()).map_err(io)?;
        sync_folder(&self.path).map_err(io)
    }

    /// Refuses formats of the future and stores that lack a part.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let damaged = |damage| StoreError::damaged(&self.path, damage);
        let store = self.store();
        let text = match fs::read_to_string(store.join(FORMAT_FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(Damage::Missing { name: FORMAT_FILE }));
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(damaged(Damage::Format)),
            Err(error) => return Err(StoreError::io(&self.path, error)),
        };
        let found: u32 = text.trim_end().parse().map_err(|_| damaged(Damage::Format))?;
        if found > FORMAT {
            return Err(StoreError::Newer { path: self.path.clone(), found, supported: FORMAT });
        }
        if found == 0 {
            return Err(damaged(Damage::Format));
        }
        // The engine would quietly start anew where its version file is gone.
        for (name, file) in [(ROWS, store.join(ROWS).join("version")), (JOURNAL, store.join(JOURNAL))] {
            if !file.try_exists().map_err(|error| StoreError::io(&self.path, error))? {
                return Err(damaged(Damage::Missing { name }));
            }
        }
        Ok(())
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(windows) {
        return Ok(()); // folders cannot be opened there; renames are journaled by the file system
    }
    File::open(path)?.sync_all()
}

/// Removes a folder and all below it.
pub(super) fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
