//! The tree against a model that recomputes the root from scratch by the definition.

mod chunks;
mod partial;
mod proofs;
mod storage;
mod updates;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::coin::{coin_key, owner_key};
use super::*;
use crate::amount::Amount;
use crate::hash::TxId;

/// An owner by number: most have hashed keys, from 100 on keys that share all but the last byte.
pub(super) fn owner(number: u8) -> Owner {
    let mut id = [0; 32];
    if number >= 100 {
        id[..8].fill(0xEE);
    }
    id[31] = number;
    Owner(Hash(id))
}

/// An outpoint by number: most have hashed keys, from 1,000 on keys that share all but the last bits.
pub(super) fn outpoint(number: u32) -> OutPoint {
    let mut id = [0; 32];
    id[..8].fill(if number >= 1000 { 0xEE } else { 1 });
    OutPoint { txid: TxId(Hash(id)), index: number }
}

pub(super) fn output(owner_number: u8, amount: u64) -> Output {
    Output { amount: Amount(amount), owner: owner(owner_number) }
}

/// The set of coins, and nothing else.
#[derive(Clone, Default)]
pub(super) struct Model(pub(super) BTreeMap<OutPoint, Output>);

impl Model {
    pub(super) fn apply(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::Insert(outpoint, output) => assert_eq!(self.0.insert(*outpoint, *output), None),
                Op::Remove(outpoint, output) => assert_eq!(self.0.remove(outpoint), Some(*output)),
            }
        }
    }

    pub(super) fn inserts(&self) -> Vec<Op> {
        self.0.iter().map(|(outpoint, output)| Op::Insert(*outpoint, *output)).collect()
    }

    pub(super) fn tree(&self) -> CoinTree {
        let mut tree = CoinTree::empty();
        tree.apply(&self.inserts()).unwrap();
        tree
    }

    pub(super) fn balance(&self, owner: &Owner) -> (u64, u64) {
        let own = self.0.values().filter(|output| output.owner == *owner);
        own.fold((0, 0), |(sum, count), output| (sum + output.amount.0, count + 1))
    }

    /// The root by the definition, with hashes of its own.
    pub(super) fn root(&self) -> Summary {
        let mut owners: BTreeMap<Hash, (Owner, Leaves)> = BTreeMap::new();
        for (outpoint, output) in &self.0 {
            let hash = keyed(
                "timecoin coin leaf",
                &[
                    &outpoint.txid.as_bytes()[..],
                    &outpoint.index.to_le_bytes(),
                    &output.amount.0.to_le_bytes(),
                ],
            );
            let leaf = Summary { hash, sum: output.amount, count: 1 };
            let (_, coins) = owners.entry(owner_key(&output.owner)).or_insert((output.owner, vec![]));
            coins.push((coin_key(outpoint), leaf));
        }
        let leaves = owners.into_iter().map(|(key, (owner, mut coins))| {
            coins.sort_by_key(|(key, _)| *key);
            let lower = definition(&coins, 0, "timecoin coin branch");
            let hash = keyed("timecoin owner leaf", &[owner.as_bytes(), &bytes(&lower)]);
            (key, Summary { hash, ..lower })
        });
        definition(&leaves.collect::<Vec<_>>(), 0, "timecoin owner branch")
    }
}

type Leaves = Vec<(Hash, Summary)>;

fn keyed(tag: &str, pieces: &[&[u8]]) -> Hash {
    let mut key = [0; 32];
    key[..tag.len()].copy_from_slice(tag.as_bytes());
    let mut covered = pieces.concat();
    covered.resize(covered.len().next_multiple_of(64), 0);
    Hash(*blake3::keyed_hash(&key, &covered).as_bytes())
}

fn bytes(summary: &Summary) -> Vec<u8> {
    [&summary.hash.0[..], &summary.sum.0.to_le_bytes(), &summary.count.to_le_bytes()].concat()
}

fn definition(leaves: &[(Hash, Summary)], depth: usize, tag: &str) -> Summary {
    match leaves {
        [] => Summary { hash: Hash([0; 32]), sum: Amount(0), count: 0 },
        [(_, leaf)] => *leaf,
        _ => {
            let right = |key: &Hash| key.0[depth / 8] >> (7 - depth % 8) & 1 == 1;
            let split = leaves.iter().take_while(|(key, _)| !right(key)).count();
            let left = definition(&leaves[..split], depth + 1, tag);
            let right = definition(&leaves[split..], depth + 1, tag);
            Summary {
                hash: keyed(tag, &[&bytes(&left), &[0; 16], &bytes(&right)]),
                sum: Amount(left.sum.0 + right.sum.0),
                count: left.count + right.count,
            }
        }
    }
}

/// One step of a random history: make a coin, or spend one of those there are.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Make { owner: u8, close: bool, amount: u64 },
    Spend(prop::sample::Index),
}

/// Batches of steps. Owner 0 has the most coins; some owners and coins share long prefixes.
pub(super) fn history(batches: usize, steps: usize) -> impl Strategy<Value = Vec<Vec<Step>>> {
    let owner = prop_oneof![4 => Just(0u8), 3 => 1..60u8, 2 => 100..110u8];
    let step = prop_oneof![
        3 => (owner, any::<bool>(), 0..1_000_000u64)
            .prop_map(|(owner, close, amount)| Step::Make { owner, close, amount }),
        2 => any::<prop::sample::Index>().prop_map(Step::Spend),
    ];
    prop::collection::vec(prop::collection::vec(step, 0..steps), 1..batches)
}

/// The changes a batch of steps means for these coins; `next` numbers new coins.
pub(super) fn changes(model: &mut Model, steps: &[Step], next: &mut u32) -> Vec<Op> {
    let mut ops = Vec::new();
    for step in steps {
        let op = match step {
            Step::Make { owner, close, amount } => {
                *next += 1;
                let number = if *close { *next % 2 * 7 + 1000 + *next * 2 } else { *next % 1000 };
                let outpoint = outpoint(number);
                if model.0.contains_key(&outpoint) {
                    continue;
                }
                Op::Insert(outpoint, output(*owner, *amount))
            }
            Step::Spend(_) if model.0.is_empty() => continue,
            Step::Spend(index) => {
                let (outpoint, output) = model.0.iter().nth(index.index(model.0.len())).unwrap();
                Op::Remove(*outpoint, *output)
            }
        };
        model.apply(&[op]);
        ops.push(op);
    }
    ops
}
