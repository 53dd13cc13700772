//! The file store under a chain with a million coins: blocks applied and made durable, pages read, votes through
//! the journal against votes through the engine, and what it takes on disk.

use std::io::Write;
use std::path::Path;

use timecoin_core::codec::encode;
use timecoin_core::hash::Tag;
use timecoin_core::rows::{Batch, Key, ReadSet, Table};
use timecoin_core::schema::{
    ActivityRow, TransactionPlace, activity_key, meta, tip_row, transaction_key, write_block,
};
use timecoin_core::state::tree::{CoinTree, PageKey};
use timecoin_core::state::{ChainState, Draft, planned_changes};
use timecoin_core::store::Range;
use timecoin_core::vote::Height;
use timecoin_native::store::FileStore;

use super::chain::{BLOCK, Economy};
use super::{Extent, Figure, median, rate, waited};

/// Rows in a batch while the store is filled.
const CHUNK: usize = 20_000;
/// Votes cast for one figure, and bytes of one.
const VOTES: usize = 300;
const VOTE_BYTES: usize = 120;
/// Pages read for one figure.
const READS: usize = 20_000;

/// All figures of the file store.
///
/// # Panics
/// If the disk does not take it.
#[must_use]
pub fn run(extent: Extent) -> Vec<Figure> {
    let (coins, blocks) = match extent {
        Extent::Usual => (1_000_000, 20),
        Extent::Full => (1_000_000, 100),
    };
    let folder = tempfile::tempdir().expect("a folder for the bench");
    let mut economy = Economy::new(coins, blocks);
    let mut bench = Bench {
        store: FileStore::open(folder.path()).expect("a new store opens"),
        name: format!("store, {coins} coins"),
        figures: Vec::new(),
    };
    bench.fill(&economy, coins);
    bench.open(folder.path());
    economy.state.coins.prune();
    bench.blocks(&economy, blocks);
    bench.reads();
    bench.votes();
    bench.disk(folder.path());
    bench.open(folder.path());
    bench.figures
}

struct Bench {
    store: FileStore,
    name: String,
    figures: Vec<Figure>,
}

impl Bench {
    fn figure(&mut self, name: &str, value: f64, unit: &'static str, beside: Option<&'static str>) {
        self.figures.push(Figure { name: format!("{}: {name}", self.name), value, unit, beside });
    }

    fn commit(&self, batch: &Batch) {
        self.store.commit_batch(batch).expect("the disk takes it");
    }

    /// Writes what a node has after it made these coins: the tree, and each coin in the two indexes.
    fn fill(&mut self, economy: &Economy, coins: usize) {
        let tree = economy.state.coins.changed_rows(&CoinTree::empty()).expect("all in memory");
        let mut rows = tree.len();
        let ((), seconds) = waited(|| {
            for some in tree.chunks(CHUNK) {
                let mut batch = Batch::default();
                for (key, row) in some {
                    batch.put(Table::Tree, key.to_bytes(), row.as_deref().unwrap_or_default());
                }
                self.commit(&batch);
            }
            let mut batch = Batch::default();
            for (number, (outpoint, output)) in economy.coins().enumerate() {
                let height = Height((number / BLOCK) as u64);
                let row = ActivityRow { outpoint, output, made: true };
                let position = (number % BLOCK) as u32;
                batch.put(Table::Activity, activity_key(&output.owner, height, position), encode(&row));
                let place = TransactionPlace { height, index: position };
                batch.put(Table::TransactionIndex, transaction_key(&outpoint.txid), encode(&place));
                rows += 2;
                if batch.len() >= CHUNK || number + 1 == coins {
                    self.commit(&std::mem::take(&mut batch));
                }
            }
            batch.put(Table::Meta, meta::TIP, encode(&tip_row(&economy.state)));
            batch.sync();
            self.commit(&batch);
        });
        self.figure("filled", rate(rows, seconds), "rows/s", None);
        let stats = self.store.stats().expect("the disk answers");
        let bytes_of =
            |table| stats.tables.iter().find(|stats| stats.table == table).map_or(0, |one| one.bytes);
        let megabytes = stats.rows_bytes as f64 / 1e6;
        self.figure(
            "on disk, indexes and engine journals included",
            megabytes,
            "MB",
            Some("probe, coins alone: fjall 164 MB, redb 538 MB"),
        );
        self.figure("of which the state tree", bytes_of(Table::Tree) as f64 / 1e6, "MB", None);
    }

    /// Closes the store and opens it again, with the upper levels of the tree.
    fn open(&mut self, path: &Path) {
        let other = tempfile::tempdir().expect("a folder for the bench");
        self.store = FileStore::open(other.path()).expect("a new store opens");
        let (store, seconds) = waited(|| FileStore::open(path).expect("the store is sound"));
        let rows = Range::prefix(&PageKey::BANDS);
        let (bands, reading) =
            waited(|| store.snapshot().and_then(|rows_of| rows_of.scan(Table::Tree, &rows, usize::MAX)));
        let bands = bands.expect("the store is sound").len();
        self.store = store;
        self.figure("opened", seconds * 1e3, "ms", None);
        self.figure(&format!("upper levels read ({bands} rows)"), reading * 1e3, "ms", None);
    }

    fn blocks(&mut self, economy: &Economy, blocks: usize) {
        let mut state = economy.state.clone();
        let (mut loading, mut deriving, mut writing, mut whole) = (vec![], vec![], vec![], vec![]);
        let mut rows = 0;
        for number in 0..blocks {
            let transactions = economy.verify(economy.payments(number));
            let draft = economy.block(&state, transactions);
            let ((), load) = waited(|| self.load(economy, &mut state, &draft));
            let (applied, derive) = waited(|| economy.derive(&state, draft));
            let (written, write) = waited(|| {
                let mut batch = Batch::default();
                write_block(&mut batch, Some(&state), &applied, None).expect("all loaded");
                batch.sync();
                self.commit(&batch);
                batch.len()
            });
            rows += written;
            state = applied.state;
            state.coins.prune();
            loading.push(load);
            deriving.push(derive);
            writing.push(write);
            whole.push(load + derive + write);
        }
        assert_ne!(state.id, economy.tip(), "the chain has grown");
        let name = format!("durable block of {BLOCK} payments");
        let mut figure = |what: &str, times: Vec<f64>, beside| {
            self.figure(&format!("{name}{what}"), median(times) * 1e3, "ms", beside);
        };
        figure("", whole, Some("earlier node 48 ms, without a state root"));
        figure(", pages loaded and checked", loading, None);
        figure(", state derived", deriving, None);
        figure(", rows made and synced", writing, Some("probe, 2,000 bare rows: fjall 16 ms, redb 92 ms"));
        self.figure(&format!("{name}, rows written"), rows as f64 / blocks as f64, "rows", None);
    }

    /// What the node does before it handles a block: names the pages it touches, reads them and takes them in.
    fn load(&self, economy: &Economy, state: &mut ChainState, draft: &Draft) {
        let changes = planned_changes(&economy.spec, &economy.id, state, draft).expect("a good block");
        let missing = state.coins.missing(&changes.coins());
        let mut reads = ReadSet::default();
        missing.iter().for_each(|key| reads.insert(Table::Tree, key.to_bytes()));
        let view =
            self.store.snapshot().and_then(|snapshot| snapshot.load(&reads)).expect("the disk answers");
        for key in missing {
            let row = view.row(Table::Tree, &key.to_bytes());
            state.coins.graft(&key, row.map(|row| &row[..])).expect("good rows");
        }
    }

    fn reads(&mut self) {
        let snapshot = self.store.snapshot().expect("the store is sound");
        let pages = Range::prefix(&PageKey::PAGES);
        let rows = snapshot.scan(Table::Tree, &pages, usize::MAX).expect("the store is sound");
        let pages: Vec<Key> = rows.into_iter().map(|(key, _)| key).collect();
        for (name, spread) in [("anywhere", pages.len()), ("among 2,000", 2 * BLOCK)] {
            let keys: Vec<&Key> = (0..READS).map(|at| &pages[at * 7_919 % spread]).collect();
            let (found, seconds) = waited(|| {
                let row = |key: &&Key| snapshot.row(Table::Tree, key).expect("the disk answers");
                keys.iter().filter(|key| row(key).is_some()).count()
            });
            assert_eq!(found, READS, "every page is there");
            let beside = Some("probe, small rows: fjall 10.9 µs, redb 2.9 µs");
            self.figure(&format!("page read, {name}"), seconds * 1e6 / READS as f64, "µs", beside);
        }
    }

    fn votes(&mut self) {
        for (name, table) in [("journal", Table::Sign), ("engine", Table::Meta)] {
            let times = (0..VOTES).map(|number| {
                let mut batch = Batch::default();
                batch.put(table, [&b"vote"[..], &number.to_be_bytes()].concat(), noise(number, VOTE_BYTES));
                if let Some(old) = number.checked_sub(20) {
                    batch.delete(table, [&b"vote"[..], &old.to_be_bytes()].concat());
                }
                batch.sync();
                waited(|| self.commit(&batch)).1
            });
            let microseconds = median(times.collect()) * 1e6;
            self.figure(&format!("vote made durable by the {name}"), microseconds, "µs", None);
        }
    }

    /// What the disk itself takes for as much as a vote: a slot of a file that is there already, overwritten.
    fn disk(&mut self, path: &Path) {
        const SLOT: usize = 4096;
        let path = path.join("slots");
        std::fs::write(&path, noise(0, VOTES * SLOT)).expect("the disk takes it");
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).expect("a file just written");
        file.sync_all().expect("the disk takes it");
        let times = (0..VOTES).map(|number| {
            let bytes = noise(number, SLOT);
            waited(|| file.write_all(&bytes).and_then(|()| file.sync_data()).expect("the disk takes it")).1
        });
        let microseconds = median(times.collect()) * 1e6;
        self.figure(
            "one slot overwritten and synced, nothing else",
            microseconds,
            "µs",
            Some("probe 100 µs"),
        );
    }
}

/// Bytes that do not compress.
fn noise(seed: usize, length: usize) -> Vec<u8> {
    const NAME: Tag = Tag::new("bench bytes");
    let mut bytes = vec![0; length];
    NAME.hasher().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}
