//! The vote journal: replay, torn writes, decay, compaction, growth.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::journal::{SLOT, SignJournal};
use super::*;

type Model = BTreeMap<Vec<u8>, Value>;

fn create(path: &Path) -> SignJournal {
    SignJournal::create(path, [7; 32]).unwrap();
    SignJournal::open(path).unwrap()
}

fn rows(journal: &SignJournal) -> Model {
    journal.rows().iter().map(|(key, value)| (key.to_vec(), value.clone())).collect()
}

fn put(journal: &mut SignJournal, key: &[u8], value: &[u8], sync: bool) {
    let value = Value::from(value);
    journal.append([(key, Some(&value))].into_iter(), sync).unwrap();
}

/// One append of a test: keys with the sizes of their values, none for a deletion.
type Step = (Vec<(u8, Option<u16>)>, bool);

fn apply(journal: &mut SignJournal, model: &mut Model, (changes, sync): &Step) {
    let rows: Vec<_> = changes
        .iter()
        .map(|(key, size)| (vec![*key], size.map(|size| Value::from(vec![*key; size.into()]))))
        .collect();
    journal.append(rows.iter().map(|(key, value)| (key.as_slice(), value.as_ref())), *sync).unwrap();
    for (key, value) in rows {
        match value {
            Some(value) => model.insert(key, value),
            None => model.remove(&key),
        };
    }
}

fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let change = (0u8..6, proptest::option::weighted(0.7, 0u16..6_000));
    vec((vec(change, 1..4), any::<bool>()), 1..count)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_reopened_journal_has_the_rows(rounds in vec(steps(40), 1..4)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sign.journal");
        let (mut journal, mut model) = (create(&path), Model::new());
        for round in rounds {
            round.iter().for_each(|step| apply(&mut journal, &mut model, step));
            prop_assert_eq!(&rows(&journal), &model);
            journal = SignJournal::open(&path).unwrap();
            prop_assert_eq!(&rows(&journal), &model);
        }
    }

    /// Whatever part of the newest, unacknowledged record reached the disk: all or nothing is read back.
    #[test]
    fn a_torn_record_is_dropped_whole(before in steps(90), last in steps(2), mask in vec(any::<bool>(), 64)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sign.journal");
        let (mut journal, mut model) = (create(&path), Model::new());
        before.iter().for_each(|step| apply(&mut journal, &mut model, step));
        let old = fs::read(&path).unwrap();
        let without = model.clone();
        apply(&mut journal, &mut model, &last[0]);
        let new = fs::read(&path).unwrap();
        prop_assume!(old.len() == new.len()); // a larger file replaces the old one by rename
        let mut torn = old.clone();
        let sectors = old.chunks(512).zip(new.chunks(512)).enumerate().filter(|(_, (old, new))| old != new);
        for (turn, (sector, _)) in sectors.enumerate() {
            if mask[turn % mask.len()] {
                let range = sector * 512..(sector + 1) * 512;
                torn[range.clone()].copy_from_slice(&new[range]);
            }
        }
        fs::write(&path, &torn).unwrap();
        let mut journal = SignJournal::open(&path).unwrap();
        let found = rows(&journal);
        prop_assert!(found == without || found == model, "{found:?}");
        let mut model = found;
        apply(&mut journal, &mut model, &last[0]);
        drop(journal);
        prop_assert_eq!(rows(&SignJournal::open(&path).unwrap()), model);
    }
}

#[test]
fn a_stale_record_after_a_torn_one_never_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sign.journal");
    let mut journal = create(&path);
    put(&mut journal, b"a", b"1", true);
    let before = fs::read(&path).unwrap();
    put(&mut journal, b"b", b"2", false);
    put(&mut journal, b"c", b"3", false);
    drop(journal);
    // Neither was acknowledged; the disk wrote the second and not the first.
    let mut torn = fs::read(&path).unwrap();
    let first = (0..torn.len()).find(|at| torn[*at] != before[*at]).unwrap();
    let slot = first / SLOT as usize * SLOT as usize;
    torn[slot..slot + SLOT as usize].fill(0);
    fs::write(&path, &torn).unwrap();
    let mut journal = SignJournal::open(&path).unwrap();
    assert_eq!(rows(&journal).keys().collect::<Vec<_>>(), [b"a"]);
    put(&mut journal, b"d", b"4", true);
    drop(journal);
    assert_eq!(rows(&SignJournal::open(&path).unwrap()).keys().collect::<Vec<_>>(), [b"a", b"d"]);
}

#[test]
fn a_decayed_durable_record_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sign.journal");
    let mut journal = create(&path);
    let before = fs::read(&path).unwrap();
    (0..5u8).for_each(|at| put(&mut journal, &[at], &[at; 100], true));
    drop(journal);
    let sound = fs::read(&path).unwrap();
    let first = (0..sound.len()).find(|at| sound[*at] != before[*at]).unwrap() / SLOT as usize;
    // The checkpoint before the votes, and every vote but the newest, which could as well be torn.
    for slot in first - 1..first + 4 {
        for byte in [0, 5, 40, 70] {
            let mut decayed = sound.clone();
            decayed[slot * SLOT as usize + byte] ^= 1;
            fs::write(&path, &decayed).unwrap();
            let refused = SignJournal::open(&path).err();
            let damage = |error| match error {
                StoreError::Damaged { damage: Damage::JournalRecord { slot }, .. } => Some(slot),
                _ => None,
            };
            // An empty checkpoint ends before the last of these bytes.
            if slot >= first || byte < 64 {
                assert_eq!(refused.and_then(damage), Some(slot as u64), "byte {byte} of slot {slot}");
            }
        }
    }
    let mut decayed = sound.clone();
    decayed[9] ^= 1;
    fs::write(&path, &decayed).unwrap();
    let refused = SignJournal::open(&path);
    assert!(matches!(refused, Err(StoreError::Damaged { damage: Damage::JournalHeader, .. })));
    fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    assert!(SignJournal::open(&path).is_err(), "a file cut short");
}

#[test]
fn votes_overwrite_and_do_not_grow_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sign.journal");
    let mut journal = create(&path);
    let size = fs::metadata(&path).unwrap().len();
    assert_eq!(size, journal.bytes());
    for height in 0..2_000u64 {
        put(&mut journal, &height.to_be_bytes(), &[1; 120], false);
        if let Some(old) = height.checked_sub(10) {
            journal.append([(old.to_be_bytes().as_slice(), None)].into_iter(), false).unwrap();
        }
    }
    assert_eq!(rows(&journal).len(), 10);
    drop(journal);
    assert_eq!(fs::metadata(&path).unwrap().len(), size);
    assert_eq!(rows(&SignJournal::open(&path).unwrap()).len(), 10);
}

#[test]
fn rows_that_outgrow_an_area_move_to_a_larger_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sign.journal");
    let mut journal = create(&path);
    journal.mark(42).unwrap();
    let size = journal.bytes();
    (0..40u8).for_each(|at| put(&mut journal, &[at], &vec![at; 100_000], true));
    assert!(journal.bytes() > size);
    let expected = rows(&journal);
    assert_eq!(expected.len(), 40);
    drop(journal);
    fs::write(folder.path().join("sign.journal.larger"), b"interrupted").unwrap();
    let journal = SignJournal::open(&path).unwrap();
    assert_eq!(rows(&journal), expected);
    assert_eq!(journal.marked(), 42);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn marks_take_turns_and_survive_one_torn_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sign.journal");
    let mut journal = create(&path);
    (1..=9).for_each(|commits| journal.mark(commits).unwrap());
    drop(journal);
    let sound = fs::read(&path).unwrap();
    assert_eq!(SignJournal::open(&path).unwrap().marked(), 9);
    for (slot, left) in [(1, 9), (2, 8)] {
        let mut torn = sound.clone();
        torn[slot * SLOT as usize] ^= 1;
        fs::write(&path, &torn).unwrap();
        assert_eq!(SignJournal::open(&path).unwrap().marked(), left, "slot {slot}");
    }
}
