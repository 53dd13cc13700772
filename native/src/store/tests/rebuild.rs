//! Replacing a store by a new one: all or nothing, whenever it is interrupted.

use super::*;

fn rows(path: &Path) -> Vec<(Table, Row)> {
    all_rows(&FileStore::open_existing(path).unwrap())
}

fn old_store(path: &Path) -> Vec<(Table, Row)> {
    let store = FileStore::open(path).unwrap();
    store.commit_batch(&synced(&[(Table::Meta, b"old", b"1"), (Table::Sign, b"vote", b"1")])).unwrap();
    all_rows(&store)
}

/// Fills the new store with every old row and one more.
fn fill(from: &FileStore, to: &FileStore) -> Result<(), StoreError> {
    let mut batch = synced(&[(Table::Meta, b"new", b"2")]);
    all_rows(from).into_iter().for_each(|(table, (key, value))| batch.put(table, key, value));
    to.commit_batch(&batch)
}

#[test]
fn a_rebuilt_store_takes_the_old_ones_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(matches!(FileStore::rebuild(path, fill), Err(StoreError::Absent { .. })));
    assert_eq!(fs::read_dir(path).unwrap().count(), 0, "nothing is created");
    let before = old_store(path);
    FileStore::rebuild(path, fill).unwrap();
    let after = rows(path);
    assert_eq!(after.len(), before.len() + 1);
    assert!(before.iter().all(|row| after.contains(row)), "votes too");
    let left: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "lock and store: {left:?}");
}

#[test]
fn a_rebuild_that_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let before = old_store(folder.path());
    let failed = FileStore::rebuild(folder.path(), |from, to| {
        fill(from, to)?;
        Err::<(), _>(StoreError::Failed)
    });
    assert!(matches!(failed, Err(StoreError::Failed)));
    assert_eq!(rows(folder.path()), before);
}

#[test]
fn a_store_in_use_is_not_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let running = FileStore::open(folder.path()).unwrap();
    assert!(matches!(FileStore::rebuild(folder.path(), fill), Err(StoreError::Locked { .. })));
    drop(running);
    FileStore::rebuild(folder.path(), |from, to| {
        assert!(matches!(FileStore::open(folder.path()), Err(StoreError::Locked { .. })), "held throughout");
        fill(from, to)
    })
    .unwrap();
}

#[test]
fn an_interrupted_replacement_brings_back_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let before = old_store(path);
    // Stopped after the old store was moved away, before the new one came.
    fs::rename(path.join("store"), path.join("replaced")).unwrap();
    assert!(verify(path).unwrap().is_sound());
    assert_eq!(rows(path), before);
    // Stopped after the new one came, before the old one was removed.
    copy_folder(&path.join("store"), &path.join("replaced"));
    assert_eq!(rows(path), before);
    assert!(!path.join("replaced").exists());
}
