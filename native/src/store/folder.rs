//! The data folder: its layout, its lock, its format marker, and how it comes into being.
//!
//! ```text
//! lock                 held while the store is open
//! store/format         the format's number
//! store/rows/          every table but the votes (fjall)
//! store/sign.journal   the votes
//! ```
//! A store is built in `creating/` and moved into place whole, so a `store/` that lacks a part was damaged
//! and is refused, never completed. A store that is replaced waits in `replaced/` until the new one is in its place;
//! if that was interrupted, it comes back. Files beside these are not ours and are left alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Damage, StoreError};

/// The newest layout this program reads and the one it writes. What rows mean has a version of its own.
pub(super) const FORMAT: u32 = 1;

pub(super) const STORE: &str = "store";
pub(super) const ROWS: &str = "rows";
pub(super) const JOURNAL: &str = "sign.journal";
const FORMAT_FILE: &str = "format";
const CREATING: &str = "creating";
const REPLACED: &str = "replaced";
const LOCK: &str = "lock";

/// A locked data folder. Unlocked when the last clone is dropped, by the operating system too.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: Arc<File>,
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
            Ok(()) => {
                let folder = Self { path: path.to_path_buf(), _lock: Arc::new(lock) };
                folder.finish_replacement()?;
                Ok(folder)
            }
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: path.to_path_buf() }),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }

    /// Refuses a folder without a store, and leaves it untouched.
    pub(super) fn require(path: &Path) -> Result<(), StoreError> {
        for name in [STORE, REPLACED] {
            if path.join(name).try_exists().map_err(|error| StoreError::io(path, error))? {
                return Ok(());
            }
        }
        Err(StoreError::Absent { path: path.to_path_buf() })
    }

    /// Puts the store at `with` in the place of the one here, which is closed.
    pub(super) fn replace(&self, with: &Path) -> Result<(), StoreError> {
        let io = |error| StoreError::io(&self.path, error);
        fs::rename(self.store(), self.path.join(REPLACED)).map_err(io)?;
        sync_folder(&self.path).map_err(io)?;
        fs::rename(with, self.store()).map_err(io)?;
        sync_folder(&self.path).map_err(io)?;
        self.finish_replacement()
    }

    /// With a store in place, the replaced one goes; without one, it comes back.
    fn finish_replacement(&self) -> Result<(), StoreError> {
        let io = |error| StoreError::io(&self.path, error);
        let replaced = self.path.join(REPLACED);
        if self.has_store()? {
            return remove_if_present(&replaced).map_err(io);
        }
        if replaced.try_exists().map_err(io)? {
            fs::rename(&replaced, self.store()).map_err(io)?;
            sync_folder(&self.path).map_err(io)?;
        }
        Ok(())
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
