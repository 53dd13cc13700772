//! Tests of the store on real files.

mod crash;
mod damage;
mod journal;
mod rebuild;

use std::fs;
use std::path::Path;

use futures::executor::block_on;
use timecoin_core::rows::Value;
use timecoin_core::schema;
use timecoin_core::testing::{Rng, store_conformance};

use super::*;

/// Seeded from `TIMECOIN_SEED` where that is set; prints the seed, so that a failure can be replayed.
fn seeded(test: &str) -> Rng {
    let given = std::env::var("TIMECOIN_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| getrandom::u64().unwrap());
    println!("{test}: TIMECOIN_SEED={seed}");
    Rng::new(seed)
}

fn all_rows(store: &FileStore) -> Vec<(Table, Row)> {
    let snapshot = store.snapshot().unwrap();
    let rows = |table| snapshot.rows(table, &Range::default()).map(move |row| (table, row.unwrap()));
    Table::ALL.into_iter().flat_map(rows).collect()
}

fn synced(rows: &[(Table, &[u8], &[u8])]) -> Batch {
    let mut batch = Batch::default();
    rows.iter().for_each(|(table, key, value)| batch.put(*table, *key, *value));
    batch.sync();
    batch
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_file_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    block_on(store_conformance(async || FileStore::open(folder.path()).unwrap()));
}

#[test]
fn a_folder_has_one_user() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    let refused = |result: Result<FileStore, StoreError>| matches!(result, Err(StoreError::Locked { path }) if path == folder.path());
    assert!(refused(FileStore::open(folder.path())));
    assert!(matches!(verify(folder.path()), Err(StoreError::Locked { .. })));
    let snapshot = store.snapshot().unwrap();
    drop(store);
    assert!(refused(FileStore::open(folder.path())), "a snapshot keeps the store open");
    drop(snapshot);
    FileStore::open(folder.path()).unwrap();
}

#[test]
fn a_failed_commit_fails_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    store.commit_batch(&synced(&[(Table::Meta, b"a", b"1")])).unwrap();
    let snapshot = store.snapshot().unwrap();
    let long = vec![1; 1 << 16];
    let failed = store.commit_batch(&synced(&[(Table::Meta, b"a", b"2"), (Table::Tree, &long, b"")]));
    assert!(matches!(failed, Err(StoreError::KeyTooLong { table: Table::Tree, length: 65_536 })));

    assert!(matches!(store.commit_batch(&Batch::default()), Err(StoreError::Failed)));
    assert!(matches!(block_on(store.load(&ReadSet::default())), Err(StoreError::Failed)));
    assert!(matches!(block_on(store.scan(Table::Meta, &Range::default(), 1)), Err(StoreError::Failed)));
    assert_eq!(snapshot.row(Table::Meta, b"a").unwrap().as_deref(), Some(b"1".as_slice()));
    drop((store, snapshot));
    let store = FileStore::open(folder.path()).unwrap();
    assert_eq!(all_rows(&store), [(Table::Meta, (b"a".to_vec(), Value::from(*b"1")))], "nothing was torn");
}

/// Votes were journaled first: where the disk was full for the block of a Commit, the Commit stayed, and was sent after
/// the restart for a block that nobody had.
#[test]
fn a_vote_is_not_stored_without_the_rows_of_its_batch() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    let long = vec![1; 1 << 16];
    let refused = synced(&[
        (Table::Sign, b"vote", b"1"),
        (Table::Candidate, b"block", b"2"),
        (Table::Tree, &long, b""),
    ]);
    assert!(matches!(store.commit_batch(&refused), Err(StoreError::KeyTooLong { .. })));
    drop(store);
    assert_eq!(all_rows(&FileStore::open(folder.path()).unwrap()), []);
}

#[test]
fn snapshots_show_one_moment_while_commits_go_on() {
    const ROUNDS: u64 = 300;
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    let tables = [Table::Tree, Table::Meta, Table::Sign];
    let batch = |round: u64| {
        let mut batch = Batch::default();
        for table in tables {
            (0..20u8).for_each(|key| batch.put(table, [key], round.to_be_bytes()));
        }
        batch
    };
    store.commit_batch(&batch(0)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while last < ROUNDS {
                    let snapshot = store.snapshot().unwrap();
                    let rows = tables.map(|table| snapshot.scan(table, &Range::default(), 100).unwrap());
                    let rounds: Vec<_> = rows.iter().flatten().map(|(_, value)| value.clone()).collect();
                    assert_eq!(rounds.len(), 60);
                    assert!(rounds.iter().all(|round| round == &rounds[0]), "one moment: {rounds:?}");
                    let round = u64::from_be_bytes((*rounds[0]).try_into().unwrap());
                    assert!(round >= last, "moments follow each other");
                    last = round;
                }
            });
        }
        (1..=ROUNDS).for_each(|round| store.commit_batch(&batch(round)).unwrap());
    });
}

#[test]
fn rows_stream_from_both_ends() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    for table in [Table::Tree, Table::Sign] {
        store
            .commit_batch(&synced(&[(table, b"", b"1"), (table, b"\0", b"2"), (table, b"a", b"3")]))
            .unwrap();
        let snapshot = store.snapshot().unwrap();
        let keys = |rows: Vec<Result<Row, StoreError>>| {
            rows.into_iter().map(|row| row.unwrap().0).collect::<Vec<_>>()
        };
        let forward = keys(snapshot.rows(table, &Range::default()).collect());
        let mut backward = keys(snapshot.rows(table, &Range::default()).rev().collect());
        backward.reverse();
        assert_eq!(forward, [&b""[..], b"\0", b"a"]);
        assert_eq!(forward, backward);
    }
}

#[test]
fn a_backup_has_all_but_what_the_signer_knows() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("a"), folder.path().join("b"));
    let store = FileStore::open(&path).unwrap();
    let signer = [schema::meta::SIGNER, b"key"].concat();
    let mut batch = synced(&[
        (Table::Meta, b"chain", b"1"),
        (Table::Meta, &signer, b"never signed"),
        (Table::Sign, b"vote", b"2"),
    ]);
    for at in 0..3_000u32 {
        batch.put(Table::Tree, at.to_be_bytes(), vec![at as u8; 2_000]);
    }
    store.commit_batch(&batch).unwrap();
    store.backup(&copy).unwrap();
    assert!(matches!(store.backup(&copy), Err(StoreError::Occupied { path }) if path == copy));

    let mut expected = all_rows(&store);
    expected.retain(|(table, (key, _))| *table != Table::Sign && *key != signer);
    assert_eq!(expected.len(), 3_001);
    let restored = FileStore::open(&copy).unwrap();
    assert!(all_rows(&restored) == expected, "the copy has the rows");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left over");
}

#[test]
fn stats_follow_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    let empty = store.stats().unwrap();
    store.commit_batch(&synced(&[(Table::Meta, b"a", b"1"), (Table::Sign, b"v", b"1")])).unwrap();
    let one = store.stats().unwrap();
    assert_eq!((empty.commits, one.commits), (0, 1));
    let rows = |stats: &Stats| stats.tables.iter().map(|table| table.rows).sum::<u64>();
    assert_eq!((rows(&empty), rows(&one)), (0, 2));
    assert!(one.rows_bytes > 0 && one.journal_bytes > 0 && one.free_bytes > 0);
}

#[test]
fn an_interrupted_creation_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("creating/rows")).unwrap();
    fs::write(folder.path().join("creating/rows/half"), b"x").unwrap();
    fs::write(folder.path().join("not ours"), b"x").unwrap();
    drop(FileStore::open(folder.path()).unwrap());
    assert!(!folder.path().join("creating").exists());
    assert!(folder.path().join("not ours").exists());
    assert!(verify(folder.path()).unwrap().is_sound());
}
