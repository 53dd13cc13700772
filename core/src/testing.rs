//! The conformance suite of the store seam: what every backend must do, run by memory, files and IndexedDB.
//!
//! Nothing here needs a runtime or a thread, so the same suite runs in a browser. A failed expectation
//! panics. It does not cover crashes: what a power cut may take is each backend's own test.

pub mod chain;
pub mod epochs;
pub mod ledger;
pub mod light;
pub mod model;
mod rng;
pub mod sample;
pub mod trace;
pub mod verdicts;

pub use rng::Rng;

use std::collections::BTreeMap;

use crate::rows::{Batch, Key, ReadSet, Table, Value, View};
use crate::store::{Range, Store};

/// Tables the suite writes: backends may keep some of them apart from the rest, votes above all.
const TABLES: [Table; 3] = [Table::Meta, Table::Candidate, Table::Sign];

/// Runs the whole suite. `open` opens the same store every time it is called, empty at first; the suite
/// has dropped the store before it calls again.
///
/// # Panics
/// If the store breaks a rule.
pub async fn store_conformance<S: Store, F: AsyncFn() -> S>(open: F) {
    let store = open().await;
    empty_batches_change_nothing(&store).await;
    loads_name_what_is_absent(&store).await;
    batches_are_applied_whole(&store).await;
    merged_batches_keep_the_later_write(&store).await;
    tables_are_isolated(&store).await;
    scans_are_ordered_and_bounded(&store).await;
    prefixes_end_where_they_should(&store).await;
    heights_ascend(&store).await;
    rows_come_in_all_sizes(&store).await;
    large_batches_fit(&store).await;
    drop(store);
    rows_survive_reopening(&open).await;
    random_writes_match_a_model(&open).await;
}

fn value(bytes: &[u8]) -> Value {
    Value::from(bytes)
}

async fn commit<S: Store>(store: &S, batch: &Batch) {
    store.commit(batch).await.expect("commit succeeds");
}

async fn load<S: Store>(store: &S, reads: &ReadSet) -> View {
    store.load(reads).await.expect("load succeeds")
}

async fn row<S: Store>(store: &S, table: Table, key: &[u8]) -> Option<Value> {
    let mut reads = ReadSet::default();
    reads.insert(table, key);
    load(store, &reads).await.row(table, key).cloned()
}

async fn scan<S: Store>(store: &S, table: Table, range: &Range, limit: usize) -> Vec<(Key, Value)> {
    store.scan(table, range, limit).await.expect("scan succeeds")
}

async fn keys<S: Store>(store: &S, table: Table, range: &Range, limit: usize) -> Vec<Key> {
    scan(store, table, range, limit).await.into_iter().map(|(key, _)| key).collect()
}

async fn clear<S: Store>(store: &S) {
    let mut batch = Batch::default();
    for table in Table::ALL {
        for key in keys(store, table, &Range::default(), usize::MAX).await {
            batch.delete(table, key);
        }
    }
    batch.sync();
    commit(store, &batch).await;
    for table in Table::ALL {
        assert!(keys(store, table, &Range::default(), 1).await.is_empty(), "{} is cleared", table.name());
    }
}

async fn empty_batches_change_nothing<S: Store>(store: &S) {
    for table in Table::ALL {
        assert!(scan(store, table, &Range::default(), 10).await.is_empty(), "a new store is empty");
    }
    let mut batch = Batch::default();
    commit(store, &batch).await;
    batch.sync();
    commit(store, &batch).await;
    assert!(scan(store, Table::Meta, &Range::default(), 10).await.is_empty());
    let view = load(store, &ReadSet::default()).await;
    assert!(!view.is_loaded(Table::Meta, b""));
}

async fn loads_name_what_is_absent<S: Store>(store: &S) {
    let mut batch = Batch::default();
    let mut reads = ReadSet::default();
    for table in TABLES {
        batch.put(table, *b"present", *b"1");
        batch.put(table, *b"hollow", *b"");
        reads.insert(table, *b"present");
        reads.insert(table, *b"hollow");
        reads.insert(table, *b"absent");
    }
    commit(store, &batch).await;
    let view = load(store, &reads).await;
    for table in TABLES {
        assert_eq!(view.row(table, b"present"), Some(&value(b"1")), "{}", table.name());
        assert_eq!(view.row(table, b"hollow"), Some(&value(b"")), "an empty value is a row");
        assert_eq!(view.row(table, b"absent"), None);
        assert!(!view.is_loaded(table, b"other"), "only what was named is loaded");
    }
    clear(store).await;
}

async fn batches_are_applied_whole<S: Store>(store: &S) {
    for table in TABLES {
        let mut batch = Batch::default();
        batch.put(table, *b"a", *b"1");
        batch.put(table, *b"b", *b"1");
        batch.put(Table::Header, *b"a", *b"1");
        batch.sync();
        commit(store, &batch).await;

        let mut batch = Batch::default();
        batch.put(table, *b"a", *b"2");
        batch.put(table, *b"a", *b"3");
        batch.delete(table, *b"b");
        batch.delete(table, *b"never written");
        batch.put(table, *b"c", *b"4");
        batch.delete(table, *b"c");
        batch.delete(table, *b"d");
        batch.put(table, *b"d", *b"5");
        batch.delete(Table::Header, *b"a");
        assert_eq!(row(store, table, b"a").await, Some(value(b"1")), "nothing is seen before the commit");
        commit(store, &batch).await;
        let expected = [(b"a".to_vec(), value(b"3")), (b"d".to_vec(), value(b"5"))];
        assert_eq!(scan(store, table, &Range::default(), 10).await, expected, "{}", table.name());
        assert_eq!(row(store, table, b"b").await, None);
        assert_eq!(row(store, Table::Header, b"a").await, None);

        let mut batch = Batch::default();
        batch.put(table, *b"b", *b"6");
        commit(store, &batch).await;
        assert_eq!(row(store, table, b"b").await, Some(value(b"6")), "a deleted row can be written again");
    }
    clear(store).await;
}

async fn merged_batches_keep_the_later_write<S: Store>(store: &S) {
    for table in TABLES {
        let (mut early, mut late) = (Batch::default(), Batch::default());
        early.put(table, *b"a", *b"early");
        early.put(table, *b"b", *b"early");
        early.delete(table, *b"c");
        late.put(table, *b"a", *b"late");
        late.delete(table, *b"b");
        late.put(table, *b"c", *b"late");
        early.merge(late);
        commit(store, &early).await;
        let expected = [(b"a".to_vec(), value(b"late")), (b"c".to_vec(), value(b"late"))];
        assert_eq!(scan(store, table, &Range::default(), 10).await, expected, "{}", table.name());
    }
    clear(store).await;
}

async fn tables_are_isolated<S: Store>(store: &S) {
    let mut batch = Batch::default();
    for table in Table::ALL {
        batch.put(table, *b"key", [table as u8]);
    }
    commit(store, &batch).await;
    let mut batch = Batch::default();
    for table in Table::ALL {
        assert_eq!(row(store, table, b"key").await, Some(value(&[table as u8])), "{}", table.name());
        assert_eq!(keys(store, table, &Range::default(), 10).await, [b"key"], "{}", table.name());
        if (table as u8).is_multiple_of(2) {
            batch.delete(table, *b"key");
        }
    }
    commit(store, &batch).await;
    for table in Table::ALL {
        let left = row(store, table, b"key").await.is_some();
        assert_eq!(left, table as u8 % 2 == 1, "{}", table.name());
    }
    clear(store).await;
}

async fn scans_are_ordered_and_bounded<S: Store>(store: &S) {
    let all: [&[u8]; 8] = [b"", b"\0", b"\0\0", b"\x01", b"a", b"aa", b"b", b"\xff"];
    for table in TABLES {
        let mut batch = Batch::default();
        all.iter().rev().for_each(|key| batch.put(table, *key, *key));
        commit(store, &batch).await;
        for range in ranges(&all) {
            let within: Vec<_> = all.iter().filter(|key| range.contains(key)).collect();
            for limit in [0, 1, 2, all.len(), usize::MAX] {
                let expected: Vec<_> =
                    within.iter().take(limit).map(|key| (key.to_vec(), value(key))).collect();
                let found = scan(store, table, &range, limit).await;
                assert_eq!(found, expected, "{} {range:?} {limit}", table.name());
            }
        }
        for key in all {
            assert_eq!(row(store, table, key).await, Some(value(key)), "{}", table.name());
        }
    }
    clear(store).await;
}

/// Every pair of bounds out of the keys, one key between them, and open ends; reversed ones included.
fn ranges(keys: &[&[u8]]) -> Vec<Range> {
    let between = Some(b"a\xff".to_vec());
    let bounds: Vec<_> =
        [None, between].into_iter().chain(keys.iter().map(|key| Some(key.to_vec()))).collect();
    let pairs = bounds.iter().flat_map(|start| bounds.iter().map(move |end| (start.clone(), end.clone())));
    pairs.map(|(start, end)| Range { start, end }).collect()
}

async fn prefixes_end_where_they_should<S: Store>(store: &S) {
    let all: [&[u8]; 9] = [b"", b"\0", b"a", b"a\0", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff\x01"];
    for table in TABLES {
        let mut batch = Batch::default();
        all.iter().for_each(|key| batch.put(table, *key, *b"x"));
        commit(store, &batch).await;
        for prefix in all.iter().copied().chain([b"a\xff\xff\xff".as_slice(), b"\xff\xff", b"c"]) {
            let expected: Vec<_> = all.iter().filter(|key| key.starts_with(prefix)).collect();
            let found = keys(store, table, &Range::prefix(prefix), usize::MAX).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{} {prefix:?}", table.name());
        }
    }
    clear(store).await;
}

async fn heights_ascend<S: Store>(store: &S) {
    let heights = [0, 1, 2, 9, 10, 255, 256, 65_535, 65_536, u64::from(u32::MAX) + 1, u64::MAX];
    for table in [Table::Header, Table::Sign] {
        let mut batch = Batch::default();
        heights.iter().rev().for_each(|height| batch.put(table, height.to_be_bytes(), *b"x"));
        commit(store, &batch).await;
        let expected: Vec<_> = heights.iter().map(|height| height.to_be_bytes().to_vec()).collect();
        assert_eq!(keys(store, table, &Range::default(), usize::MAX).await, expected, "{}", table.name());
        let range =
            Range { start: Some(10u64.to_be_bytes().to_vec()), end: Some(256u64.to_be_bytes().to_vec()) };
        assert_eq!(keys(store, table, &range, 10).await.len(), 2, "10 and 255");
    }
    clear(store).await;
}

async fn rows_come_in_all_sizes<S: Store>(store: &S) {
    for table in TABLES {
        for size in [0, 1, 127, 4_095, 4_096, 4_097, 65_536, 1 << 20] {
            let bytes: Vec<_> = (0..size).map(|at: u32| at.to_le_bytes()[at as usize % 3]).collect();
            let mut batch = Batch::default();
            batch.put(table, *b"sized", bytes.as_slice());
            batch.put(table, vec![b'k'; size.min(1_000) as usize], *b"long key");
            commit(store, &batch).await;
            let found = row(store, table, b"sized").await;
            assert!(found.as_deref() == Some(bytes.as_slice()), "{size} bytes in {}", table.name());
            let found = row(store, table, &vec![b'k'; size.min(1_000) as usize]).await;
            assert_eq!(found, Some(value(b"long key")));
        }
    }
    clear(store).await;
}

async fn large_batches_fit<S: Store>(store: &S) {
    const ROWS: u64 = 10_000;
    for table in TABLES {
        let (mut batch, mut reads) = (Batch::default(), ReadSet::default());
        for at in 0..ROWS {
            batch.put(table, at.to_be_bytes(), (at * 7).to_be_bytes());
            reads.insert(table, at.to_be_bytes());
        }
        commit(store, &batch).await;
        let view = load(store, &reads).await;
        for at in 0..ROWS {
            assert_eq!(view.row(table, &at.to_be_bytes()), Some(&value(&(at * 7).to_be_bytes())));
        }
        let found = keys(store, table, &Range::default(), usize::MAX).await;
        assert_eq!(found.len() as u64, ROWS, "{}", table.name());
        assert!(found.is_sorted(), "{}", table.name());
    }
    clear(store).await;
}

async fn rows_survive_reopening<S: Store, F: AsyncFn() -> S>(open: &F) {
    let store = open().await;
    let mut batch = Batch::default();
    for table in Table::ALL {
        batch.put(table, *b"kept", *b"1");
        batch.put(table, *b"deleted", *b"1");
    }
    commit(&store, &batch).await;
    let mut batch = Batch::default();
    for table in Table::ALL {
        batch.delete(table, *b"deleted");
        batch.put(table, *b"", *b"2");
    }
    batch.sync();
    commit(&store, &batch).await;
    drop(store);

    let store = open().await;
    for table in Table::ALL {
        let expected = [(vec![], value(b"2")), (b"kept".to_vec(), value(b"1"))];
        assert_eq!(scan(&store, table, &Range::default(), 10).await, expected, "{}", table.name());
    }
    clear(&store).await;
    drop(store);
    let store = open().await;
    for table in Table::ALL {
        assert!(keys(&store, table, &Range::default(), 1).await.is_empty(), "deletions survive too");
    }
}

async fn random_writes_match_a_model<S: Store, F: AsyncFn() -> S>(open: &F) {
    let mut model = BTreeMap::<(Table, Key), Value>::new();
    // The constant of PCG's generator: any fixed sequence will do.
    let mut state = 1u64;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..4 {
        let store = open().await;
        for _ in 0..100 {
            let mut batch = Batch::default();
            for _ in 0..draw(12) {
                let table = TABLES.into_iter().cycle().nth(draw(3) as usize).expect("a cycle has no end");
                let key = vec![draw(5) as u8; draw(4) as usize];
                if draw(3) == 0 {
                    batch.delete(table, key);
                } else {
                    batch.put(table, key, vec![draw(256) as u8; draw(300) as usize]);
                }
            }
            if draw(4) == 0 {
                batch.sync();
            }
            commit(&store, &batch).await;
            for (table, key, value) in batch.iter() {
                match value {
                    Some(value) => model.insert((table, key.clone()), value.clone()),
                    None => model.remove(&(table, key.clone())),
                };
            }
            let table = TABLES.into_iter().cycle().nth(draw(3) as usize).expect("a cycle has no end");
            let range = Range::prefix(&vec![draw(5) as u8; draw(3) as usize]);
            let expected: Vec<_> = model
                .iter()
                .filter(|((at, key), _)| *at == table && range.contains(key))
                .map(|((_, key), value)| (key.clone(), value.clone()))
                .collect();
            assert_eq!(scan(&store, table, &range, usize::MAX).await, expected);
        }
    }
    clear(&open().await).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn the_memory_store_conforms() {
        let store = MemoryStore::default();
        futures::executor::block_on(store_conformance(async || store.clone()));
    }

    #[test]
    #[should_panic(expected = "a new store is empty")]
    fn the_suite_notices_a_broken_store() {
        let store = MemoryStore::default();
        let mut batch = Batch::default();
        batch.put(Table::Meta, *b"left over", *b"1");
        futures::executor::block_on(async {
            store.commit(&batch).await.expect("memory does not fail");
            store_conformance(async || store.clone()).await;
        });
    }
}
