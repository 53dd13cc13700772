//! The coins part of the state root: a two-level Merkle-sum tree over all unspent outputs.
//!
//! | level | key | leaf |
//! |---|---|---|
//! | upper | H(owner) | owner, root and sum and count of the owner's tree |
//! | lower, one per owner | H(outpoint) | outpoint, amount |
//!
//! So one path proves an owner's whole balance, and the root proves the supply. A branch is
//! `H(hash sum count ‖ hash sum count)` over its two sides; nothing is 32 zero bytes with sum and count 0.
//!
//! Invariants
//! * The form depends on the set of coins only, never on the order they came and went in.
//! * Sums stay below [`Amount::SUPPLY_LIMIT`](crate::amount::Amount::SUPPLY_LIMIT), in what is built and in what is verified.
//! * Leaf depth, and so every recursion, is at most 256 in each level.
//! * A subtree in memory always has the summary its branch commits to: loaded rows and proofs are checked on arrival.
//!
//! [`CoinTree`] is persistent: cloning is free and clones share what is equal, so trying a block is a clone
//! and an `apply`, forgotten if not decided. Parts may be absent (*stubs*): of a tree kept in rows only the
//! upper levels stay in memory, and a tree rebuilt from a [`Multiproof`] has nothing but what a block needs.
//!
//! It does no I/O: `missing…` names the rows to read, [`CoinTree::graft`] takes them, and
//! [`CoinTree::changed_rows`] names the rows to write. What a coin may be spent by is not its concern.

mod chunk;
mod key;
mod leaf;
mod load;
mod multiproof;
mod node;
mod proof;
mod rows;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use chunk::{CHUNK_COINS_MAX, Chunk, ChunkCoins};
pub use key::{PageKey, Position};
pub use multiproof::Multiproof;
pub use node::Summary;
pub use proof::{
    AbsenceProof, CoinProof, OWNER_COINS_MAX, OtherCoin, OwnerCoinsProof, OwnerPlace, OwnerProof, Path,
    ProofError,
};
pub use rows::{PAGE_COINS, RowChange, page_coins};

use crate::hash::{Hash, Owner};
use crate::transaction::{OutPoint, Output};
use key::Prefix;
use leaf::{CoinLeaf, OwnerId, OwnerLeaf, coin_key, owner_key};
use node::{Change, Node, update};

/// Why the tree cannot be read or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A coin to insert is already there.
    #[error("coin {0:?} is already in the tree")]
    AlreadyPresent(OutPoint),
    /// A coin to remove is not there, or not its owner's.
    #[error("coin {0:?} is not in the tree")]
    NotPresent(OutPoint),
    /// A coin to remove has another amount.
    #[error("coin {0:?} has another amount")]
    WrongOutput(OutPoint),
    /// Amounts add up to the supply limit or beyond.
    #[error("amounts reach the supply limit")]
    Overflow,
    /// This row must be loaded first.
    #[error("{0} is not in memory")]
    Missing(PageKey),
    /// A stored row is absent or is not what the tree commits to.
    #[error("{0} is damaged or absent")]
    Damaged(PageKey),
    /// The tree has no such row.
    #[error("{0} belongs to no subtree")]
    Unexpected(PageKey),
}

/// One change to the set of coins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// A coin is made. The outpoint has never been used before.
    Insert(OutPoint, Output),
    /// A coin is spent; the output is what it is believed to be.
    Remove(OutPoint, Output),
}

impl Op {
    /// The coin.
    #[must_use]
    pub const fn coin(&self) -> (&OutPoint, &Output) {
        match self {
            Self::Insert(outpoint, output) | Self::Remove(outpoint, output) => (outpoint, output),
        }
    }

    /// The change that takes this one back. To undo many, reverse their order too.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Insert(outpoint, output) => Self::Remove(outpoint, output),
            Self::Remove(outpoint, output) => Self::Insert(outpoint, output),
        }
    }
}

/// The set of unspent outputs, committed to. Cloning shares everything.
#[derive(Clone)]
pub struct CoinTree {
    root: Node<OwnerLeaf>,
}

impl Default for CoinTree {
    fn default() -> Self {
        Self::empty()
    }
}

impl CoinTree {
    /// No coins.
    #[must_use]
    pub const fn empty() -> Self {
        Self { root: Node::Empty }
    }

    /// A tree of which only the summary is known; the rest is loaded on demand.
    #[must_use]
    pub fn unloaded(summary: Summary) -> Self {
        Self { root: Node::stub(summary) }
    }

    /// Root hash, total amount and number of coins.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.root.summary()
    }

    /// How many coins are in memory.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.root.resident()
    }

    /// Applies changes in order and gives the new summary. On an error nothing has changed.
    pub fn apply(&mut self, ops: &[Op]) -> Result<Summary, TreeError> {
        let items = sorted(ops);
        let changes: Vec<OwnerChange<'_>> =
            items.chunk_by(|a, b| a.owner_key == b.owner_key).filter_map(OwnerChange::new).collect();
        self.root = update(&self.root, 0, &changes, None)?;
        Ok(self.summary())
    }

    /// The coin at `outpoint` if it is unspent and `owner`'s.
    pub fn coin(&self, owner: &Owner, outpoint: &OutPoint) -> Result<Option<Output>, TreeError> {
        let Some(leaf) = self.owner_leaf(owner)? else { return Ok(None) };
        let key = coin_key(outpoint);
        match leaf.coins.descend(&key, 0, |_| ()) {
            (Node::Leaf(coin), _) if coin.key == key => {
                Ok(Some(Output { amount: coin.amount, owner: *owner }))
            }
            (node, depth) => known_absent(node, Some(&leaf.id.key), &key, depth).map(|()| None),
        }
    }

    /// Everything `owner` has: the summary of the owner's tree.
    pub fn balance(&self, owner: &Owner) -> Result<Summary, TreeError> {
        Ok(self.owner_leaf(owner)?.map_or(Summary::EMPTY, |leaf| leaf.coins.summary()))
    }

    fn owner_leaf(&self, owner: &Owner) -> Result<Option<&Arc<OwnerLeaf>>, TreeError> {
        let key = owner_key(owner);
        match self.root.descend(&key, 0, |_| ()) {
            (Node::Leaf(leaf), _) if leaf.id.key == key => Ok(Some(leaf)),
            (node, depth) => known_absent(node, None, &key, depth).map(|()| None),
        }
    }
}

/// Where a search ended without its leaf, it is absent, unless the end is not in memory.
fn known_absent<L>(node: &Node<L>, scope: Option<&Hash>, key: &Hash, depth: u16) -> Result<(), TreeError> {
    match node {
        Node::Stub(summary) => {
            Err(TreeError::Missing(PageKey::new(scope, Prefix::of(key, depth), summary.count)))
        }
        _ => Ok(()),
    }
}

/// A change with its keys.
struct Item<'a> {
    owner_key: Hash,
    coin_key: Hash,
    op: &'a Op,
}

/// In key order; changes of one coin keep their order.
fn sorted(ops: &[Op]) -> Vec<Item<'_>> {
    let mut items: Vec<Item<'_>> = Vec::with_capacity(ops.len());
    for op in ops {
        let (outpoint, output) = op.coin();
        // One owner's coins mostly come together.
        let owner_key = match items.last() {
            Some(last) if last.op.coin().1.owner == output.owner => last.owner_key,
            _ => owner_key(&output.owner),
        };
        items.push(Item { owner_key, coin_key: coin_key(outpoint), op });
    }
    items.sort_by(|a, b| (&a.owner_key, &a.coin_key).cmp(&(&b.owner_key, &b.coin_key)));
    items
}

/// All changes to one owner's coins; never none.
struct OwnerChange<'a> {
    id: OwnerId,
    items: &'a [Item<'a>],
}

impl<'a> OwnerChange<'a> {
    fn new(items: &'a [Item<'a>]) -> Option<Self> {
        let first = items.first()?;
        let id = OwnerId { key: first.owner_key, owner: first.op.coin().1.owner };
        Some(Self { id, items })
    }
}

impl Change<OwnerLeaf> for OwnerChange<'_> {
    fn key(&self) -> &Hash {
        &self.id.key
    }

    fn apply(&self, leaf: Option<&Arc<OwnerLeaf>>) -> Result<Option<Arc<OwnerLeaf>>, TreeError> {
        let changes: Vec<CoinChange<'_>> =
            self.items.chunk_by(|a, b| a.coin_key == b.coin_key).filter_map(CoinChange::new).collect();
        let coins = leaf.map_or(&Node::Empty, |leaf| &leaf.coins);
        let coins = update(coins, 0, &changes, Some(&self.id.key))?;
        Ok(OwnerLeaf::new(self.id, coins))
    }
}

/// All changes to one coin, in order; never none.
struct CoinChange<'a> {
    key: Hash,
    items: &'a [Item<'a>],
}

impl<'a> CoinChange<'a> {
    fn new(items: &'a [Item<'a>]) -> Option<Self> {
        Some(Self { key: items.first()?.coin_key, items })
    }
}

impl Change<CoinLeaf> for CoinChange<'_> {
    fn key(&self) -> &Hash {
        &self.key
    }

    fn apply(&self, leaf: Option<&Arc<CoinLeaf>>) -> Result<Option<Arc<CoinLeaf>>, TreeError> {
        let mut coin = leaf.cloned();
        for item in self.items {
            coin = match (item.op, coin) {
                (Op::Insert(outpoint, output), None) => {
                    let leaf = CoinLeaf::new(self.key, *outpoint, output.amount);
                    Some(Arc::new(leaf.ok_or(TreeError::Overflow)?))
                }
                (Op::Insert(outpoint, _), Some(_)) => return Err(TreeError::AlreadyPresent(*outpoint)),
                (Op::Remove(outpoint, _), None) => return Err(TreeError::NotPresent(*outpoint)),
                (Op::Remove(outpoint, output), Some(coin)) if coin.amount != output.amount => {
                    return Err(TreeError::WrongOutput(*outpoint));
                }
                (Op::Remove(..), Some(_)) => None,
            };
        }
        Ok(coin)
    }
}
