//! A process that writes is killed at random moments; what it was told is stored must be there.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

const FOLDER: &str = "TIMECOIN_CRASH_FOLDER";
const FIRST: &str = "TIMECOIN_CRASH_FIRST";
const KILLS: u64 = 30;
const LAST: &[u8] = b"last";

/// The writer's batch number `number`: every third casts a vote and withdraws an old one, every sixth nothing else.
fn batch(number: u64) -> Batch {
    let mut draws = Rng::new(number);
    let mut batch = Batch::default();
    if number.is_multiple_of(3) {
        batch.put(Table::Sign, number.to_be_bytes(), vec![number as u8; 120]);
        if let Some(old) = number.checked_sub(30) {
            batch.delete(Table::Sign, old.to_be_bytes());
        }
    }
    if !number.is_multiple_of(6) {
        batch.put(Table::Meta, LAST, number.to_be_bytes());
        for _ in 0..draws.below(40) {
            let table = [Table::Tree, Table::Mempool, Table::Header][draws.below(3) as usize];
            let key = draws.below(200).to_be_bytes();
            if draws.below(3) == 0 {
                batch.delete(table, key);
            } else {
                batch.put(table, key, vec![number as u8; draws.below(3_000) as usize]);
            }
        }
    }
    if draws.below(2) == 0 {
        batch.sync();
    }
    batch
}

/// The process to be killed: does nothing when run as a test.
#[test]
fn writer() {
    let (Ok(folder), Ok(first)) = (std::env::var(FOLDER), std::env::var(FIRST)) else { return };
    let store = FileStore::open(folder).unwrap();
    for number in first.parse().unwrap().. {
        store.commit_batch(&batch(number)).unwrap();
        println!("\nstored {number}");
    }
}

#[derive(Default)]
struct Model(BTreeMap<(Table, Key), Value>);

impl Model {
    fn apply(&mut self, number: u64) {
        for (table, key, value) in batch(number).iter() {
            match value {
                Some(value) => self.0.insert((table, key.clone()), value.clone()),
                None => self.0.remove(&(table, key.clone())),
            };
        }
    }

    fn rows(&self, votes: bool) -> Vec<(Table, Row)> {
        let rows = self.0.iter().filter(|((table, _), _)| is_row(*table) != votes);
        rows.map(|((table, key), value)| (*table, (key.clone(), value.clone()))).collect()
    }
}

#[test]
fn what_was_stored_survives_kill_9() {
    let mut draws = seeded("what_was_stored_survives_kill_9");
    let folder = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let mut stored = 0; // the last batch that is known to be stored
    for kill in 0..KILLS {
        let stored_before = stored;
        stored = run_and_kill(folder.path(), stored + 1, Duration::from_micros(draws.below(150_000)));
        (stored_before + 1..=stored).for_each(|number| model.apply(number));
        let store = FileStore::open(folder.path()).unwrap();
        let (found_votes, found_rows): (Vec<_>, Vec<_>) =
            all_rows(&store).into_iter().partition(|(table, _)| !is_row(*table));

        // The rows of the batch in flight are there whole or not at all, and its vote only where they are.
        let mut with_next = Model(model.0.clone());
        with_next.apply(stored + 1);
        let has_next = found_rows == with_next.rows(false);
        let whole = has_next || found_rows == model.rows(false);
        assert!(whole, "kill {kill}: the rows are those of batch {stored} or of the next");
        let next = batch(stored + 1);
        let is_cast = |(table, key, value): (Table, &Key, Option<&Value>)| {
            let cast = |vote: &(Table, Row)| vote.1.0 == *key && Some(&vote.1.1) == value;
            !is_row(table) && found_votes.iter().any(cast)
        };
        assert!(has_next || !next.iter().any(is_cast), "kill {kill}: no vote without the rows of its batch");
        let withdrawn =
            |row: &(Table, Row)| next.iter().any(|(table, key, _)| (table, key) == (row.0, &row.1.0));
        for vote in model.rows(true) {
            assert!(found_votes.contains(&vote) || withdrawn(&vote), "kill {kill}: {vote:?} is kept");
        }
        for (_, (key, value)) in found_votes {
            let number = u64::from_be_bytes(key.as_slice().try_into().unwrap());
            let cast = batch(number);
            let mut cast = cast.iter().filter(|(table, at, _)| !is_row(*table) && **at == key);
            assert!(number <= stored + 1, "kill {kill}: no vote from nowhere");
            assert_eq!(cast.next().and_then(|(_, _, cast)| cast), Some(&value), "kill {kill}");
        }
        drop(store);
        assert!(verify(folder.path()).unwrap().is_sound(), "kill {kill}");
    }
    println!("{KILLS} kills over {stored} batches");
    assert!(stored > KILLS, "the writer wrote");
}

/// Lets a writer run for a while from batch `first` on, kills it and says which batch it last reported.
fn run_and_kill(folder: &Path, first: u64, after: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["store::tests::crash::writer", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let number = |line: String| line.strip_prefix("stored ").and_then(|number| number.parse().ok());
    let started = lines.by_ref().find_map(number).unwrap();
    // The pipe is small: read on, so that the writer is not held up.
    let reader = std::thread::spawn(move || lines.filter_map(number).last());
    std::thread::sleep(after);
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    reader.join().unwrap().unwrap_or(started)
}
