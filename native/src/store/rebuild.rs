//! Replacing a store by one that was made from it.

use std::path::Path;

use super::folder::{Folder, STORE, remove_if_present};
use super::{FileStore, Options, StoreError};

/// Where the new store is built.
const REBUILDING: &str = "rebuilding";

impl FileStore {
    /// Opens the store in a data folder that has one.
    ///
    /// # Errors
    /// If there is none, and as [`FileStore::open`].
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Folder::require(path.as_ref())?;
        Self::open(path)
    }

    /// Builds a new store beside the one in a data folder with `fill`, which gets the old and the new one, and puts it
    /// in the old one's place. The old one stays as it is until the new one is complete and durable.
    ///
    /// # Errors
    /// If there is no store, it is in use or cannot be opened, or `fill` fails; then nothing has changed.
    pub fn rebuild<T, E: From<StoreError>>(
        path: impl AsRef<Path>,
        fill: impl FnOnce(&Self, &Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let path = path.as_ref();
        let io = |error| StoreError::io(path, error);
        Folder::require(path)?;
        let folder = Folder::lock(path)?;
        folder.check()?;
        let rebuilding = path.join(REBUILDING);
        // An interrupted attempt.
        remove_if_present(&rebuilding).map_err(io)?;
        let filled = {
            // Both are closed before anything is moved; the lock is still held by `folder`.
            let from = Self::open_at(&folder.store(), folder.clone(), Options::default())?;
            let to = Self::open(&rebuilding)?;
            fill(&from, &to)
        };
        if filled.is_ok() {
            folder.replace(&rebuilding.join(STORE))?;
        }
        remove_if_present(&rebuilding).map_err(io)?;
        filled
    }
}
