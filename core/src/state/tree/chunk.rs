//! Snapshots in chunks: consecutive coins with the summaries of everything left and right of them.
//!
//! Each chunk is checked against the root as it arrives. It says where the next begins, and that nothing
//! between is left out is part of the check, so chunks followed to the end are the whole tree.

use serde::{Deserialize, Serialize};

use super::coin::{Coin, Coins, Level, OwnerId};
use super::key::{PageKey, Position, Prefix};
use super::multiproof::{BRANCH, COINS, LEAF, write_whole};
use super::node::{Node, Part, Summary};
use super::proof::ProofError;
use super::rows::Scope;
use super::view::{Leaf, Top, View};
use super::wire::{Packed, write_coins};
use super::{CoinTree, TreeError};
use crate::codec::{FRAME_SIZE_MAX, Wire};
use crate::hash::Hash;
use crate::transaction::{OutPoint, Output};

/// The most coins in a chunk.
pub const CHUNK_COINS_MAX: u64 = 32_768;

/// Consecutive coins of the tree, proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk(Packed);

impl Wire for Chunk {
    const SIZE_MAX: usize = FRAME_SIZE_MAX;
}

/// What a chunk proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkCoins {
    /// Every coin from where the chunk begins up to `next`, in the tree's order.
    pub coins: Vec<(OutPoint, Output)>,
    /// Where the next chunk begins; `None` at the end of the tree.
    pub next: Option<Position>,
}

impl Chunk {
    /// The coins from `from` on, at most `coins_max` (and at least one, if there is one). Needs what
    /// [`CoinTree::missing_from`] names.
    pub fn build(tree: &CoinTree, from: &Position, coins_max: u64) -> Result<Self, TreeError> {
        let left = coins_max.clamp(1, CHUNK_COINS_MAX);
        let mut writer = Writer { out: Vec::new(), from: *from, left };
        writer.subtree(View::Node(&tree.root), Prefix::ROOT, None)?;
        Ok(Self(Packed(writer.out)))
    }

    /// Checks that these are all coins from `from` on up to the next chunk, in the tree with this root.
    pub fn verify(&self, from: &Position, root: &Summary) -> Result<ChunkCoins, ProofError> {
        let tree = CoinTree::from_parts(&self.0.0, root, &[])?;
        let mut found = Found { from: *from, coins: Vec::new(), next: None };
        found.subtree(&tree.root, Prefix::ROOT, None)?;
        match found.next {
            Some(_) if found.coins.is_empty() => Err(ProofError::OffTopic),
            next => Ok(ChunkCoins { coins: found.coins, next }),
        }
    }

    /// Bytes of the chunk.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.0.0.len()
    }
}

impl CoinTree {
    /// The rows to graft before a chunk from `from` on can be built. Ask again until nothing is missing.
    #[must_use]
    pub fn missing_from(&self, from: &Position, coins_max: u64) -> Vec<PageKey> {
        let left = coins_max.clamp(1, CHUNK_COINS_MAX);
        let mut search = Search { keys: Vec::new(), from: *from, left };
        search.subtree(&self.root, Prefix::ROOT, None);
        search.keys
    }
}

/// Writes a chunk.
struct Writer {
    out: Vec<u8>,
    from: Position,
    /// How many coins still fit.
    left: u64,
}

impl Writer {
    fn subtree<L: Level>(
        &mut self,
        view: View<'_, L>,
        prefix: Prefix,
        scope: Scope<'_>,
    ) -> Result<(), TreeError> {
        let owner = scope.map(|id| &id.key);
        let count = view.count();
        let (first, last) = Position::range(owner, &prefix);
        let is_past = first >= self.from;
        if count == 0 || last < self.from || is_past && self.left == 0 {
            write_whole(&mut self.out, &view.summary(prefix.bits()));
            return Ok(());
        }
        let missing = || TreeError::Missing(PageKey::new(owner, prefix, count));
        if is_past
            && count <= self.left
            && let Some(coins) = view.coins()
        {
            self.left -= count;
            self.coins(&coins);
            return Ok(());
        }
        match view.top(prefix.bits()) {
            Top::Branch(left, right) => {
                self.out.push(BRANCH);
                self.subtree(left, prefix.child(false), scope)?;
                self.subtree(right, prefix.child(true), scope)
            }
            Top::Leaf(Leaf::Owner(id, coins)) => self.owner(id, coins),
            // Whether it lies before `from` shows only in full.
            Top::Leaf(Leaf::Coin(coin)) => {
                self.coins(&[coin]);
                Ok(())
            }
            Top::Empty | Top::Stub(_) => Err(missing()),
        }
    }

    fn owner(&mut self, id: &OwnerId, coins: View<'_, Coins>) -> Result<(), TreeError> {
        self.out.push(LEAF);
        self.out.extend_from_slice(id.owner.as_bytes());
        self.subtree(coins, Prefix::ROOT, Some(id))
    }

    #[inline(never)]
    fn coins(&mut self, coins: &[&Coin]) {
        self.out.push(COINS);
        let at = self.out.len();
        self.out.extend([0; 2]);
        let runs = write_coins(&mut self.out, coins);
        if let Some(place) = self.out.get_mut(at..at + 2) {
            place.copy_from_slice(&runs.to_le_bytes());
        }
    }
}

/// Reads what a chunk proves off the tree rebuilt from it.
struct Found {
    from: Position,
    coins: Vec<(OutPoint, Output)>,
    next: Option<Position>,
}

impl Found {
    fn subtree<L: Level>(
        &mut self,
        node: &Node<L>,
        prefix: Prefix,
        scope: Scope<'_>,
    ) -> Result<(), ProofError> {
        match &node.part {
            Part::Empty => Ok(()),
            Part::Branch(branch) => {
                self.subtree(&branch.left, prefix.child(false), scope)?;
                self.subtree(&branch.right, prefix.child(true), scope)
            }
            Part::Stub => {
                let (first, last) = Position::range(scope.map(|id| &id.key), &prefix);
                if last < self.from {
                    return Ok(());
                }
                if first < self.from {
                    return Err(ProofError::OffTopic);
                }
                self.next.get_or_insert(first);
                Ok(())
            }
            Part::Large(large) => {
                let owner = L::owner(large);
                self.subtree(&owner.coins, Prefix::ROOT, Some(&owner.id))
            }
            Part::List(coins) => {
                let found = coins.iter().filter(|coin| coin.position() >= self.from);
                let before = self.coins.len();
                self.coins.extend(found.map(|coin| (coin.outpoint, coin.output())));
                // Coins beyond what was left out belong to another chunk.
                let is_beyond = self.next.is_some() && self.coins.len() > before;
                if is_beyond { Err(ProofError::OffTopic) } else { Ok(()) }
            }
        }
    }
}

/// Finds the rows a chunk needs, the way [`Writer`] goes.
struct Search {
    keys: Vec<PageKey>,
    from: Position,
    left: u64,
}

impl Search {
    fn subtree<L: Level>(&mut self, node: &Node<L>, prefix: Prefix, scope: Option<&Hash>) {
        let (first, last) = Position::range(scope, &prefix);
        if last < self.from || first >= self.from && self.left == 0 {
            return;
        }
        match &node.part {
            Part::Empty => {}
            Part::Stub => {
                self.keys.push(PageKey::new(scope, prefix, node.count()));
                self.left = self.left.saturating_sub(node.count());
            }
            Part::Branch(branch) => {
                self.subtree(&branch.left, prefix.child(false), scope);
                self.subtree(&branch.right, prefix.child(true), scope);
            }
            Part::Large(large) => {
                let owner = L::owner(large);
                self.subtree(&owner.coins, Prefix::ROOT, Some(&owner.id.key));
            }
            Part::List(coins) => {
                let found = coins.iter().filter(|coin| coin.position() >= self.from).count() as u64;
                self.left = self.left.saturating_sub(found);
            }
        }
    }
}
