//! The state tree: changes per second in memory and through stored rows, proofs, and how coins are spread over
//! owners making no difference.

use std::collections::BTreeMap;

use timecoin_core::amount::Amount;
use timecoin_core::codec::encode;
use timecoin_core::hash::{Hash, Owner, Tag, TxId};
use timecoin_core::state::tree::{Chunk, CoinTree, Multiproof, Op, PageKey, Position};
use timecoin_core::transaction::{OutPoint, Output};

use super::{Extent, Figure, rate, timed};

/// Coins spent, and as many made, in a block.
const BLOCK: usize = 1_000;
/// Blocks applied for one figure.
const BLOCKS: usize = 20;

/// How coins are spread over owners.
#[derive(Clone, Copy)]
enum Spread {
    OneEach,
    TwentyEach,
    OneOwner,
}

impl Spread {
    const fn name(self) -> &'static str {
        match self {
            Self::OneEach => "1 coin per owner",
            Self::TwentyEach => "20 coins per owner",
            Self::OneOwner => "one owner",
        }
    }

    fn coin(self, number: usize) -> (OutPoint, Output) {
        const NAME: Tag = Tag::new("bench");
        let hash = |kind: u8, number: usize| NAME.hash(&[&[kind], &number.to_le_bytes()]);
        let owner = match self {
            Self::OneEach => number,
            // Neighbours in time are not neighbours in ownership.
            Self::TwentyEach => (number % 20_011) * 31 + number / 400_220,
            Self::OneOwner => 0,
        };
        let id = hash(0, number);
        // 1 to 1,000 TIME, like payments.
        let [low, high, ..] = id.0;
        let time = (u64::from(low) * 256 + u64::from(high)) % 1_000 + 1;
        let output = Output { amount: Amount(time * 100_000_000), owner: Owner(hash(1, owner)) };
        (OutPoint { txid: TxId(id), index: 0 }, output)
    }

    fn insert(self, number: usize) -> Op {
        let (outpoint, output) = self.coin(number);
        Op::Insert(outpoint, output)
    }

    /// A block: coins from all over the set go, new ones come.
    fn block(self, coins: usize, number: usize) -> Vec<Op> {
        let stride = coins / BLOCK;
        let spent = (0..BLOCK).map(|at| self.insert(at * stride + number).reversed());
        let made = (0..BLOCK).map(|at| self.insert(coins + number * BLOCK + at));
        spent.chain(made).collect()
    }
}

/// All figures of the state tree.
#[must_use]
pub fn run(extent: Extent) -> Vec<Figure> {
    let mut figures = Vec::new();
    let sizes: &[(Spread, usize)] = match extent {
        Extent::Usual => {
            &[(Spread::OneEach, 100_000), (Spread::OneEach, 1_000_000), (Spread::OneOwner, 1_000_000)]
        }
        Extent::Full => &[
            (Spread::OneEach, 100_000),
            (Spread::OneEach, 1_000_000),
            (Spread::TwentyEach, 1_000_000),
            (Spread::OneOwner, 1_000_000),
            (Spread::OneEach, 4_000_000),
        ],
    };
    for (spread, coins) in sizes {
        let mut bench = Bench { spread: *spread, coins: *coins, figures: &mut figures };
        let tree = bench.inserts();
        bench.proofs(&tree);
        bench.multiproof(&tree);
        bench.chunk(&tree);
        bench.blocks_in_memory(&tree);
        bench.blocks_through_rows(tree);
    }
    figures
}

struct Bench<'a> {
    spread: Spread,
    coins: usize,
    figures: &'a mut Vec<Figure>,
}

impl Bench<'_> {
    fn figure(&mut self, name: &str, value: f64, unit: &'static str) {
        self.figure_beside(name, value, unit, None);
    }

    fn figure_beside(&mut self, name: &str, value: f64, unit: &'static str, beside: Option<&'static str>) {
        let name = format!("tree, {} coins, {}: {name}", self.coins, self.spread.name());
        self.figures.push(Figure { name, value, unit, beside });
    }

    fn inserts(&mut self) -> CoinTree {
        let ops: Vec<Op> = (0..self.coins).map(|number| self.spread.insert(number)).collect();
        let single = 20_000;
        let mut tree = CoinTree::empty();
        let ((), seconds) = timed(|| {
            for block in ops.chunks(2 * BLOCK) {
                tree.apply(block).expect("new coins");
            }
        });
        let anchor = match self.coins {
            100_000 => Some("probe, SHA-256: 379,000 to 431,000 1/s"),
            1_000_000 => Some("probe, SHA-256: 169,000 to 188,000 1/s; MS-SMT 18,000; JMT 26,000"),
            _ => None,
        };
        self.figure_beside("inserts, 2,000 at a time", rate(self.coins, seconds), "1/s", anchor);
        let mut one_by_one = tree.clone();
        let more: Vec<Op> = (0..single).map(|number| self.spread.insert(self.coins * 2 + number)).collect();
        let ((), seconds) = timed(|| {
            for op in &more {
                one_by_one.apply(std::slice::from_ref(op)).expect("new coins");
            }
        });
        self.figure("inserts, one at a time", rate(single, seconds), "1/s");
        tree
    }

    fn blocks_in_memory(&mut self, tree: &CoinTree) {
        let blocks: Vec<Vec<Op>> = (0..BLOCKS).map(|number| self.spread.block(self.coins, number)).collect();
        let mut tree = tree.clone();
        let ((), seconds) = timed(|| {
            for block in &blocks {
                let mut next = tree.clone();
                next.apply(block).expect("good blocks");
                tree = next;
            }
        });
        self.figure("updates of 1,000 + 1,000, in memory", rate(2 * BLOCK * BLOCKS, seconds), "1/s");
    }

    fn blocks_through_rows(&mut self, mut tree: CoinTree) {
        let mut store: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let rows = tree.changed_rows(&CoinTree::empty()).expect("all in memory");
        store.extend(rows.into_iter().filter_map(|(key, row)| Some((key.to_bytes(), row?))));
        let bytes: usize = store.iter().map(|(key, row)| key.len() + row.len()).sum();
        self.figure("stored", bytes as f64 / self.coins as f64, "bytes/coin");
        self.figure("stored rows", store.len() as f64 / self.coins as f64, "rows/coin");
        tree.prune();

        let blocks: Vec<Vec<Op>> = (0..BLOCKS).map(|number| self.spread.block(self.coins, number)).collect();
        let (mut written, mut loaded, mut bytes) = (0, 0, 0);
        let mut seconds = 0.0;
        for block in &blocks {
            let coins: Vec<(Owner, OutPoint)> =
                block.iter().map(|op| (op.coin().1.owner, *op.coin().0)).collect();
            // The store's own time is not the tree's: rows are looked up and put away outside the clock.
            let (missing, naming) = timed(|| tree.missing(&coins));
            let rows: Vec<Option<&Vec<u8>>> = missing.iter().map(|key| store.get(&key.to_bytes())).collect();
            let (changed, working) = timed(|| {
                for (key, row) in missing.iter().zip(&rows) {
                    tree.graft(key, row.map(Vec::as_slice)).expect("good rows");
                }
                let mut next = tree.clone();
                next.apply(block).expect("good blocks");
                let changed = next.changed_rows(&tree).expect("all loaded");
                next.prune();
                tree = next;
                changed
            });
            seconds += naming + working;
            loaded += missing.len();
            written += changed.len();
            for (key, row) in changed {
                bytes += row.as_ref().map_or(0, Vec::len);
                match row {
                    Some(row) => store.insert(key.to_bytes(), row),
                    None => store.remove(&key.to_bytes()),
                };
            }
        }
        let updates = 2 * BLOCK * BLOCKS;
        self.figure("updates of 1,000 + 1,000, through rows", rate(updates, seconds), "1/s");
        self.figure("rows loaded per update", loaded as f64 / updates as f64, "rows");
        self.figure("rows written per update", written as f64 / updates as f64, "rows");
        self.figure("bytes written per update", bytes as f64 / updates as f64, "bytes");

        let bands: Vec<(PageKey, &[u8])> = store
            .range(PageKey::BANDS.to_vec()..PageKey::PAGES.to_vec())
            .filter_map(|(key, row)| Some((PageKey::from_bytes(key)?, &row[..])))
            .collect();
        let summary = tree.summary();
        let (restarted, seconds) = timed(|| CoinTree::load(summary, bands).expect("good rows"));
        assert_eq!(restarted.summary(), summary, "a restart finds the same root");
        self.figure("upper levels loaded at start", seconds * 1e3, "ms");
    }

    fn proofs(&mut self, tree: &CoinTree) {
        let root = tree.summary();
        let asked: Vec<(OutPoint, Output)> =
            (0..BLOCK).map(|at| self.spread.coin(at * (self.coins / BLOCK))).collect();
        let (proofs, building) = timed(|| {
            let prove = |(outpoint, output): &(OutPoint, Output)| tree.prove_coin(&output.owner, outpoint);
            asked.iter().filter_map(|coin| prove(coin).expect("in memory")).collect::<Vec<_>>()
        });
        let (verified, verifying) =
            timed(|| proofs.iter().filter(|proof| proof.verify(&root).is_ok()).count());
        assert_eq!(verified, BLOCK, "every coin is proved");
        let bytes: usize = proofs.iter().map(|proof| encode(proof).len()).sum();
        let anchor = (self.coins == 1_000_000).then_some("probe 819; MS-SMT 845; JMT 1,390 bytes");
        self.figure_beside("coin proof", bytes as f64 / BLOCK as f64, "bytes", anchor);
        self.figure("coin proof built", building * 1e6 / BLOCK as f64, "µs");
        self.figure("coin proof verified", verifying * 1e6 / BLOCK as f64, "µs");
        let balances = asked.iter().map(|(_, output)| tree.prove_owner(&output.owner).expect("in memory"));
        let bytes: usize = balances.map(|proof| encode(&proof).len()).sum();
        self.figure("balance proof", bytes as f64 / BLOCK as f64, "bytes");
    }

    fn multiproof(&mut self, tree: &CoinTree) {
        let root = tree.summary();
        let block = self.spread.block(self.coins, 1);
        let (spent, _) = block.split_at(BLOCK);
        let proof = Multiproof::build(tree, spent).expect("in memory");
        let anchor = (self.coins == 1_000_000).then_some("probe 378 bytes");
        let size = proof.size() as f64 / BLOCK as f64;
        self.figure_beside("multiproof of 1,000 spends", size, "bytes/coin", anchor);
        let (proof, building) = timed(|| Multiproof::build(tree, &block).expect("in memory"));
        self.figure("multiproof of 1,000 + 1,000", proof.size() as f64 / block.len() as f64, "bytes/update");
        let (part, verifying) = timed(|| proof.into_tree(&root, &block).expect("a good proof"));
        let (_, applying) = timed(|| part.clone().apply(&block).expect("a good block"));
        self.figure("multiproof of 1,000 + 1,000 built", building * 1e3, "ms");
        self.figure("multiproof of 1,000 + 1,000 verified", verifying * 1e3, "ms");
        self.figure("block applied to a multiproof", applying * 1e3, "ms");
    }

    fn chunk(&mut self, tree: &CoinTree) {
        let root = tree.summary();
        let from = Position::of_owner(&Owner(Hash::ZERO));
        let from = if matches!(self.spread, Spread::OneOwner) { Position::START } else { from };
        let chunk = Chunk::build(tree, &from, 10_000).expect("in memory");
        let (found, seconds) = timed(|| chunk.verify(&from, &root).expect("a good chunk"));
        let count = found.coins.len();
        self.figure("snapshot chunk", chunk.size() as f64 / count as f64, "bytes/coin");
        self.figure("snapshot chunk verified", rate(count, seconds), "coins/s");
    }
}
