//! Snapshots in chunks: consecutive coins with the summaries of everything left and right of them.
//!
//! Each chunk is checked against the root as it arrives. It says where the next begins, and that nothing
//! between is left out is part of the check, so chunks followed to the end are the whole tree.

use serde::{Deserialize, Serialize};

use super::key::{PageKey, Position, Prefix};
use super::leaf::{Content, OwnerLeaf};
use super::multiproof::{BRANCH, COINS, LEAF, Part, write_whole};
use super::node::{Node, Summary};
use super::proof::ProofError;
use super::rows::{Level, Scope, unloaded};
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
        writer.subtree(&tree.root, Prefix::ROOT, None)?;
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
    fn subtree<L: Part>(
        &mut self,
        node: &Node<L>,
        prefix: Prefix,
        scope: Scope<'_>,
    ) -> Result<(), TreeError> {
        let summary = node.summary();
        let (first, last) = Position::range(scope.map(|owner| &owner.key), &prefix);
        let is_past = first >= self.from;
        if summary.count == 0 || last < self.from || is_past && self.left == 0 {
            write_whole(&mut self.out, &summary);
            return Ok(());
        }
        if is_past && summary.count <= self.left {
            self.left -= summary.count;
            return self.coins(node, prefix, scope);
        }
        match node {
            Node::Branch(branch) => {
                self.out.push(BRANCH);
                self.subtree(&branch.left, prefix.child(false), scope)?;
                self.subtree(&branch.right, prefix.child(true), scope)
            }
            Node::Leaf(leaf) => match leaf.content() {
                Content::Owner(owner) => self.owner(owner),
                // Whether it lies before `from` shows only in full.
                Content::Coin(_) => self.coins(node, prefix, scope),
            },
            Node::Empty | Node::Stub(_) => Err(unloaded(node, prefix, scope)),
        }
    }

    fn owner(&mut self, owner: &OwnerLeaf) -> Result<(), TreeError> {
        self.out.push(LEAF);
        self.out.extend_from_slice(owner.id.owner.as_bytes());
        self.subtree(&owner.coins, Prefix::ROOT, Some(&owner.id))
    }

    #[inline(never)]
    fn coins<L: Level>(&mut self, node: &Node<L>, prefix: Prefix, scope: Scope<'_>) -> Result<(), TreeError> {
        let coins = L::coins(node, scope).ok_or_else(|| unloaded(node, prefix, scope))?;
        self.out.push(COINS);
        let at = self.out.len();
        self.out.extend([0; 2]);
        let runs = write_coins(&mut self.out, &coins);
        if let Some(place) = self.out.get_mut(at..at + 2) {
            place.copy_from_slice(&runs.to_le_bytes());
        }
        Ok(())
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
        match node {
            Node::Empty => Ok(()),
            Node::Branch(branch) => {
                self.subtree(&branch.left, prefix.child(false), scope)?;
                self.subtree(&branch.right, prefix.child(true), scope)
            }
            Node::Stub(_) => {
                let (first, last) = Position::range(scope.map(|owner| &owner.key), &prefix);
                if last < self.from {
                    return Ok(());
                }
                if first < self.from {
                    return Err(ProofError::OffTopic);
                }
                self.next.get_or_insert(first);
                Ok(())
            }
            Node::Leaf(leaf) => match (leaf.content(), scope) {
                (Content::Owner(owner), _) => self.subtree(&owner.coins, Prefix::ROOT, Some(&owner.id)),
                (Content::Coin(coin), Some(id)) => {
                    let position = Position { owner: id.key, coin: coin.key };
                    if position < self.from {
                        return Ok(());
                    }
                    self.coins.push(coin.coin(&id.owner));
                    // A coin beyond what was left out belongs to another chunk.
                    if self.next.is_some() { Err(ProofError::OffTopic) } else { Ok(()) }
                }
                (Content::Coin(_), None) => Err(ProofError::Malformed),
            },
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
        match node {
            Node::Empty => {}
            Node::Stub(summary) => {
                self.keys.push(PageKey::new(scope, prefix, summary.count));
                self.left = self.left.saturating_sub(summary.count);
            }
            Node::Branch(branch) => {
                self.subtree(&branch.left, prefix.child(false), scope);
                self.subtree(&branch.right, prefix.child(true), scope);
            }
            Node::Leaf(leaf) => match leaf.content() {
                Content::Owner(owner) => self.subtree(&owner.coins, Prefix::ROOT, Some(&owner.id.key)),
                Content::Coin(coin) => {
                    let before =
                        scope.is_some_and(|owner| Position { owner: *owner, coin: coin.key } < self.from);
                    self.left -= u64::from(!before && self.left > 0);
                }
            },
        }
    }
}
