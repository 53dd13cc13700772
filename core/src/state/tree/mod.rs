//! The coins part of the state root: a two-level Merkle-sum tree over all unspent outputs.
//!
//! | level | key | leaf |
//! |---|---|---|
//! | upper | H(owner) | owner, root and sum and count of the owner's tree |
//! | lower, one per owner | H(outpoint) | outpoint, amount |
//!
//! So one path proves an owner's whole balance, and the root proves the supply. A branch is
//! `H(hash sum count 0… ‖ hash sum count 0…)` over its two sides, each of which fills a block of the hash; nothing
//! is 32 zero bytes with sum and count 0.
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
mod coin;
mod draft;
mod joins;
mod key;
mod load;
mod multiproof;
mod node;
mod partial;
mod proof;
mod rows;
mod update;
mod view;
mod wire;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use chunk::{CHUNK_COINS_MAX, Chunk, ChunkCoins};
pub use key::{PageKey, Position};
pub use multiproof::Multiproof;
pub use node::Summary;
pub use partial::{FILL_ROWS, Fill, Wanted};
pub use proof::{
    AbsenceProof, CoinProof, OWNER_COINS_MAX, OtherCoin, OwnerCoinsProof, OwnerPlace, OwnerProof, Path,
    ProofError,
};
pub use rows::{PAGE_COINS, RowChange, page_coins};

use crate::hash::{Hash, Owner};
use crate::transaction::{OutPoint, Output};
use coin::{Coin, Coins, LeafHashes, OwnerId, Owners, coin_key, leaf_hashes, owner_key, plant, positions};
use key::Prefix;
use node::Node;
use update::Updater;
use view::{Leaf, Top, View};

/// Why the tree cannot be read or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A coin to insert is already there.
    #[error("coin {0} is already in the tree")]
    AlreadyPresent(OutPoint),
    /// A coin to remove is not there, or not its owner's.
    #[error("coin {0} is not in the tree")]
    NotPresent(OutPoint),
    /// A coin to remove has another amount.
    #[error("coin {0} has another amount")]
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
    root: Node<Owners>,
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
        Self { root: Node::EMPTY }
    }

    /// The tree of these coins, no two of which have one outpoint.
    pub fn of(coins: &[(OutPoint, Output)]) -> Result<Self, TreeError> {
        let coin = |(outpoint, output): &(OutPoint, Output)| {
            let owner = OwnerId { key: owner_key(&output.owner), owner: output.owner };
            Coin::new(owner, coin_key(outpoint), *outpoint, output.amount)
        };
        let coins: Option<Vec<Coin>> = coins.iter().map(coin).collect();
        let mut coins = coins.ok_or(TreeError::Overflow)?;
        coins.sort_unstable_by_key(Coin::position);
        Ok(Self { root: plant(coins, 0).ok_or(TreeError::Overflow)? })
    }

    /// A tree of which only the summary is known; the rest is loaded on demand.
    #[must_use]
    pub fn unloaded(summary: Summary) -> Self {
        Self { root: Node::stub(summary) }
    }

    /// Root hash, total amount and number of coins.
    #[must_use]
    pub const fn summary(&self) -> Summary {
        self.root.summary()
    }

    /// How many coins are in memory.
    #[must_use]
    pub const fn resident(&self) -> u64 {
        self.root.resident()
    }

    /// Applies changes in order and gives the new summary. On an error nothing has changed.
    pub fn apply(&mut self, ops: &[Op]) -> Result<Summary, TreeError> {
        let mut items = sorted(ops);
        hash_leaves(&mut items);
        self.root = Updater::new(None).update(Some(&self.root), 0, &items)?;
        Ok(self.summary())
    }

    /// The coin at `outpoint` if it is unspent and `owner`'s.
    pub fn coin(&self, owner: &Owner, outpoint: &OutPoint) -> Result<Option<Output>, TreeError> {
        let owner_key = owner_key(owner);
        let Some(coins) = self.coins_of(&owner_key)? else { return Ok(None) };
        let key = coin_key(outpoint);
        match coins.descend(&key, |_, _| ()) {
            (Top::Leaf(Leaf::Coin(coin)), _) if coin.key == key => Ok(Some(coin.output())),
            (Top::Stub(summary), depth) => Err(missing(Some(&owner_key), &key, depth, &summary)),
            _ => Ok(None),
        }
    }

    /// Everything `owner` has: the summary of the owner's tree.
    pub fn balance(&self, owner: &Owner) -> Result<Summary, TreeError> {
        Ok(self.coins_of(&owner_key(owner))?.map_or(Summary::EMPTY, |coins| coins.summary(0)))
    }

    /// The lower tree of the owner with this key.
    fn coins_of(&self, key: &Hash) -> Result<Option<View<'_, Coins>>, TreeError> {
        match View::Node(&self.root).descend(key, |_, _| ()) {
            (Top::Leaf(Leaf::Owner(id, coins)), _) if id.key == *key => Ok(Some(coins)),
            (Top::Stub(summary), depth) => Err(missing(None, key, depth, &summary)),
            _ => Ok(None),
        }
    }
}

/// The search for `key` ended at a stub.
fn missing(scope: Option<&Hash>, key: &Hash, depth: u16, summary: &Summary) -> TreeError {
    TreeError::Missing(PageKey::new(scope, Prefix::of(key, depth), summary.count))
}

/// A change with where it happens.
struct Item<'a> {
    position: Position,
    /// Its place among the changes.
    at: usize,
    op: &'a Op,
    /// Of a coin that is made, once they are worked out.
    hashes: Option<LeafHashes>,
}

impl Item<'_> {
    /// Whether it makes this coin, or one that was in its place.
    fn makes(&self, coin: &Coin) -> bool {
        matches!(self.op, Op::Insert(..)) && coin.cmp_position(&self.position).is_eq()
    }
}

/// In the tree's order; changes of one coin keep theirs.
fn sorted(ops: &[Op]) -> Vec<Item<'_>> {
    let positions = positions(ops.iter().map(|op| {
        let (outpoint, output) = op.coin();
        (&output.owner, outpoint)
    }));
    let item = |(at, (op, position))| Item { position, at, op, hashes: None };
    let mut items: Vec<Item<'_>> = ops.iter().zip(positions).enumerate().map(item).collect();
    items.sort_unstable_by(|one, two| one.position.cmp(&two.position).then(one.at.cmp(&two.at)));
    items
}

/// Works out the hashes of all coins that are made.
fn hash_leaves(items: &mut [Item<'_>]) {
    let is_made = |item: &&mut Item<'_>| matches!(item.op, Op::Insert(..));
    let made: Vec<_> = items.iter_mut().filter(is_made).collect();
    let coins: Vec<_> = made.iter().map(|item| item.op.coin()).collect();
    let hashes = leaf_hashes(&coins);
    made.into_iter().zip(hashes).for_each(|(item, hashes)| item.hashes = Some(hashes));
}

/// Applies sorted changes to sorted coins; the outcome replaces what is in `merged`.
fn merge(coins: &[Coin], items: &[Item<'_>], merged: &mut Vec<Coin>) -> Result<(), TreeError> {
    merged.clear();
    merged.reserve(coins.len() + items.len());
    let mut rest = coins;
    for changes in items.chunk_by(|a, b| a.position == b.position) {
        let Some(Item { position, .. }) = changes.first() else { continue };
        let (before, from) = rest.split_at(rest.partition_point(|coin| coin.cmp_position(position).is_lt()));
        merged.extend_from_slice(before);
        let (present, after) = match from.split_first() {
            Some((coin, after)) if coin.cmp_position(position).is_eq() => (Some(*coin), after),
            _ => (None, from),
        };
        merged.extend(change_coin(present, changes)?);
        rest = after;
    }
    merged.extend_from_slice(rest);
    for changes in items.chunk_by(|a, b| a.position.owner == b.position.owner) {
        let Some(Item { position: Position { owner, .. }, .. }) = changes.first() else { continue };
        let from = merged.partition_point(|coin| coin.id.key < *owner);
        let Some(own) = merged.get_mut(from..) else { continue };
        let count = own.iter().take_while(|coin| coin.id.key == *owner).count();
        match own.get_mut(..count) {
            // A coin made just now knows the hash of an owner who has nothing else.
            Some([coin]) if changes.iter().any(|item| item.makes(coin)) => {}
            own => own.into_iter().flatten().for_each(|coin| coin.owner_hash = Hash::ZERO),
        }
    }
    Ok(())
}

/// Applies all changes at one position in order.
fn change_coin(mut coin: Option<Coin>, changes: &[Item<'_>]) -> Result<Option<Coin>, TreeError> {
    for Item { position, op, hashes, .. } in changes {
        coin = match (op, coin) {
            (Op::Insert(outpoint, output), None) => {
                let id = OwnerId { key: position.owner, owner: output.owner };
                let (key, amount) = (position.coin, output.amount);
                let coin = match hashes {
                    Some(hashes) => Coin::hashed(id, key, *outpoint, amount, *hashes),
                    None => Coin::new(id, key, *outpoint, amount),
                };
                Some(coin.ok_or(TreeError::Overflow)?)
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
