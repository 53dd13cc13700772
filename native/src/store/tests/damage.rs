//! Damaged stores are refused or reported, never repaired in silence.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;

/// How many bytes decay, one at a time.
const FLIPS: u32 = 20;

/// A store with rows in tables on disk and rows only in the engine's journal, closed.
fn sound_store(path: &Path) -> Vec<(Table, Row)> {
    let store = FileStore::open(path).unwrap();
    for round in 0..3u8 {
        for number in 0..20u8 {
            let mut batch = synced(&[(Table::Sign, &[round, number], &[number; 120])]);
            for at in 0..40u8 {
                batch.put(Table::Tree, [number, at, round], vec![at; 300]);
                batch.put(Table::Header, [at, number, round], vec![number; 100]);
            }
            store.commit_batch(&batch).unwrap();
        }
        if round < 2 {
            store.0.engine.flush();
        }
    }
    all_rows(&store)
}

/// Every file of a store with its bytes.
fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    found
}

#[test]
fn verification_finds_a_sound_store_sound_and_leaves_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(verify(folder.path()), Err(StoreError::Absent { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is created");
    let rows = sound_store(folder.path());
    let before = files(folder.path());
    let report = verify(folder.path()).unwrap();
    assert!(report.is_sound(), "{:?}", report.faults);
    assert_eq!(report.tables.iter().map(|table| table.rows).sum::<u64>(), rows.len() as u64);
    let bytes: usize = rows.iter().map(|(_, (key, value))| key.len() + value.len()).sum();
    assert_eq!(report.tables.iter().map(|table| table.bytes).sum::<u64>(), bytes as u64);
    assert!(before == files(folder.path()), "no file was changed, made or removed");
}

#[test]
fn stores_that_lack_a_part_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    sound_store(&folder.path().join("sound"));
    let journal = |path: &Path| {
        let files = fs::read_dir(path.join("store/rows")).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|end| end == "jnl")).collect::<Vec<_>>()
    };
    type Break<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Break<'_>); 8] = [
        ("format gone", &|path| fs::remove_file(path.join("store/format")).unwrap()),
        ("format unreadable", &|path| fs::write(path.join("store/format"), "one").unwrap()),
        ("format zero", &|path| fs::write(path.join("store/format"), "0\n").unwrap()),
        ("rows gone", &|path| fs::remove_dir_all(path.join("store/rows")).unwrap()),
        ("engine version gone", &|path| fs::remove_file(path.join("store/rows/version")).unwrap()),
        ("tables gone", &|path| fs::remove_dir_all(path.join("store/rows/keyspaces")).unwrap()),
        ("engine journals gone", &|path| {
            journal(path).iter().for_each(|file| fs::remove_file(file).unwrap());
        }),
        ("votes gone", &|path| fs::remove_file(path.join("store/sign.journal")).unwrap()),
    ];
    for (name, damage) in cases {
        let path = folder.path().join(name);
        copy_folder(&folder.path().join("sound"), &path);
        damage(&path);
        let before = files(&path.join("store"));
        let report = verify(&path).unwrap();
        assert!(matches!(report.faults.as_slice(), [Fault::Unopenable(_)]), "{name}: {report:?}");
        assert!(before == files(&path.join("store")), "{name}: verification changes nothing");
        let refused = FileStore::open(&path).err();
        assert!(matches!(refused, Some(StoreError::Damaged { .. })), "{name}: {refused:?}");
        let refused = FileStore::open(&path).err();
        assert!(matches!(refused, Some(StoreError::Damaged { .. })), "{name}, again: {refused:?}");
    }
}

#[test]
fn a_store_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(FileStore::open(folder.path()).unwrap());
    fs::write(folder.path().join("store/format"), "2\n").unwrap();
    for refused in [FileStore::open(folder.path()).err(), verify(folder.path()).err()] {
        assert!(matches!(refused, Some(StoreError::Newer { found: 2, supported: 1, .. })), "{refused:?}");
    }
}

/// Bytes decay anywhere: either the check says so, or no row is concerned.
#[test]
fn decay_is_reported_or_harmless() {
    let mut draws = seeded("decay_is_reported_or_harmless");
    let folder = tempfile::tempdir().unwrap();
    let (sound, damaged) = (folder.path().join("sound"), folder.path().join("damaged"));
    let expected = sound_store(&sound);
    let files: Vec<_> = files(&sound.join("store"))
        .into_iter()
        .map(|(path, bytes)| {
            // The tail of preallocated files is zeros, and nothing is to be found there.
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            (path.strip_prefix(&sound).unwrap().to_path_buf(), bytes, used as u64)
        })
        .filter(|(.., used)| *used > 0)
        .collect();
    let mut reported = 0;
    for _ in 0..FLIPS {
        let (file, bytes, used) = &files[draws.below(files.len() as u64) as usize];
        let at = draws.below(*used) as usize;
        let flip = 1 << draws.below(8);
        let _ = fs::remove_dir_all(&damaged);
        copy_folder(&sound, &damaged);
        let mut bytes = bytes.clone();
        bytes[at] ^= flip;
        fs::write(damaged.join(file), bytes).unwrap();
        let report = match verify(&damaged) {
            Ok(report) => report,
            // The one digit of the format became a higher one.
            Err(StoreError::Newer { .. }) if file.ends_with("format") => continue,
            Err(error) => panic!("byte {at} of {}: {error}", file.display()),
        };
        if report.is_sound() {
            let found = all_rows(&FileStore::open(&damaged).unwrap());
            assert!(found == expected, "byte {at} of {}, {flip}: lost in silence", file.display());
        } else {
            reported += 1;
        }
    }
    println!("{reported} of {FLIPS} reported");
    assert!(reported > 0);
}

#[test]
fn where_the_engines_journal_is_damaged_is_said() {
    let folder = tempfile::tempdir().unwrap();
    sound_store(folder.path());
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|end| end == "jnl");
    let journals = files(&folder.path().join("store/rows")).into_iter().filter(|(path, _)| is_journal(path));
    for (path, mut bytes) in journals {
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or_default();
        if used > 0 {
            bytes[used / 2] ^= 0x55;
            fs::write(path, bytes).unwrap();
        }
    }
    let report = verify(folder.path()).unwrap();
    let said: Vec<_> = report.faults.iter().map(ToString::to_string).collect();
    assert!(said.len() == 1 && said[0].contains("the .jnl files in store/rows"), "{said:?}");
}
