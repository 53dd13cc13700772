//! One sparse Merkle-sum tree with structural sharing, the same for both levels.
//!
//! A leaf sits at its shortest unique depth; a branch is where at least two leaves still share the path, so
//! one of its sides may be empty. A subtree of very few coins that are all known is one flat list, whose inner
//! branches exist in hashes only. Every recursion descends one bit per call: at most 256 calls a level.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::PAGE_COINS;
use super::coin::{Coin, Coins, Level, OwnerId, TWO, owner_leaf_hash, plant};
use super::key::{Prefix, bit};
use crate::amount::Amount;
use crate::hash::{Hash, Tag};

/// The most coins in a list. A change hashes and copies the whole list, so fewer make changes cheaper, and more
/// take less memory.
pub(super) const LIST_COINS: u64 = 4;
/// Bytes of a summary where a hash covers it: hash, sum, count.
pub(super) const SUMMARY_SIZE: usize = 48;
/// Bytes of a side of a branch, where a hash covers it: a summary, then zeros up to a whole block of the hash.
pub(super) const SIDE: usize = TWO / 2;

/// What a subtree commits to: its content, how much money that is, and how many coins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The root hash; zero for the empty tree.
    pub hash: Hash,
    /// The sum of all amounts, below the supply limit.
    pub sum: Amount,
    /// The number of coins.
    pub count: u64,
}

impl Summary {
    /// The summary of nothing.
    pub const EMPTY: Self = Self { hash: Hash::ZERO, sum: Amount::ZERO, count: 0 };

    /// The bytes a hash covers: hash, sum, count, integers little-endian.
    pub(super) fn to_bytes(self) -> [u8; SUMMARY_SIZE] {
        let mut bytes = [0; SUMMARY_SIZE];
        bytes[..32].copy_from_slice(&self.hash.0);
        bytes[32..40].copy_from_slice(&self.sum.0.to_le_bytes());
        bytes[40..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }

    /// The branch over two sides. Both sums are hashed: one sum over both would let a prover shift money
    /// from one side to the other. `None` where a sum reaches the supply limit or a count wraps.
    pub(super) fn join(tag: &Tag, left: &Self, right: &Self) -> Option<Self> {
        let sum = left.sum.checked_add(right.sum)?;
        let count = left.count.checked_add(right.count)?;
        Some(Self { hash: tag.hash(&[&Self::branch_bytes(left, right)]), sum, count })
    }

    /// What the hash of a branch covers: each of its sides fills a block.
    pub(super) fn branch_bytes(left: &Self, right: &Self) -> [u8; TWO] {
        let mut bytes = [0; TWO];
        bytes[..SUMMARY_SIZE].copy_from_slice(&left.to_bytes());
        bytes[SIDE..SIDE + SUMMARY_SIZE].copy_from_slice(&right.to_bytes());
        bytes
    }
}

/// A subtree. Cloning shares it.
pub(super) struct Node<L: Level> {
    summary: Summary,
    /// Coins in memory: shows `prune` where to go.
    resident: u64,
    pub(super) part: Part<L>,
}

/// What is known of a subtree.
pub(super) enum Part<L: Level> {
    Empty,
    /// Nothing but the summary, which is not empty.
    Stub,
    /// All of at least one coin and at most [`LIST_COINS`], in order.
    List(Arc<[Coin]>),
    /// A leaf that is not within a list: too large, or not known in full.
    Large(Arc<L::Large>),
    /// A path shared by at least two leaves.
    Branch(Arc<Branch<L>>),
}

/// The two sides of a branch.
pub(super) struct Branch<L: Level> {
    pub(super) left: Node<L>,
    pub(super) right: Node<L>,
}

/// An owner whose coins are a tree of their own.
#[derive(Clone)]
pub(super) struct OwnerNode {
    pub(super) id: OwnerId,
    pub(super) coins: Node<Coins>,
}

impl<L: Level> Clone for Node<L> {
    fn clone(&self) -> Self {
        let part = match &self.part {
            Part::Empty => Part::Empty,
            Part::Stub => Part::Stub,
            Part::List(coins) => Part::List(Arc::clone(coins)),
            Part::Large(large) => Part::Large(Arc::clone(large)),
            Part::Branch(branch) => Part::Branch(Arc::clone(branch)),
        };
        Self { part, ..*self }
    }
}

impl<L: Level> Clone for Branch<L> {
    fn clone(&self) -> Self {
        Self { left: self.left.clone(), right: self.right.clone() }
    }
}

impl<L: Level> Branch<L> {
    /// The side `right` names, then the other.
    pub(super) const fn sides(&self, right: bool) -> (&Node<L>, &Node<L>) {
        if right { (&self.right, &self.left) } else { (&self.left, &self.right) }
    }
}

/// The coins of a list, or of nothing.
pub(super) type ListCoins<'a> = Option<&'a Arc<[Coin]>>;

/// The list over two sides with `count` coins in all, where both are lists or nothing and it fits.
pub(super) fn merged_list(
    count: u64,
    left: Option<ListCoins<'_>>,
    right: Option<ListCoins<'_>>,
) -> Option<Arc<[Coin]>> {
    match (left?, right?) {
        _ if count > LIST_COINS => None,
        (Some(one), Some(two)) => Some(one.iter().chain(two.iter()).copied().collect()),
        (Some(one), None) | (None, Some(one)) => Some(Arc::clone(one)),
        (None, None) => None,
    }
}

impl<L: Level> Node<L> {
    pub(super) const EMPTY: Self = Self { summary: Summary::EMPTY, resident: 0, part: Part::Empty };

    /// A subtree of which only the summary is known.
    pub(super) fn stub(summary: Summary) -> Self {
        let part = if summary == Summary::EMPTY { Part::Empty } else { Part::Stub };
        Self { summary, resident: 0, part }
    }

    /// Coins in order, prepared, with their summary.
    pub(super) fn list(summary: Summary, coins: Arc<[Coin]>) -> Self {
        let part = if coins.is_empty() { Part::Empty } else { Part::List(coins) };
        Self { summary, resident: summary.count, part }
    }

    /// An owner's leaf: in a list if all coins are known and very few. `None` in the lower tree or on overflow.
    pub(super) fn owner(owner: OwnerNode) -> Option<Self> {
        let lower = owner.coins.summary;
        if let Part::List(coins) = &owner.coins.part {
            let mut coins = coins.to_vec();
            // In a lower list these are left over from when the owner was small.
            coins.iter_mut().for_each(|coin| coin.owner_hash = Hash::ZERO);
            return plant(coins, 0);
        }
        let summary = Summary { hash: owner_leaf_hash(&owner.id.owner, &lower), ..lower };
        Some(match owner.coins.part {
            Part::Empty => Self::EMPTY,
            _ => Self { summary, resident: owner.coins.resident, part: Part::Large(L::large(owner)?) },
        })
    }

    /// Turns pages back into stubs. Branches that are shared are copied.
    pub(super) fn prune(&mut self) {
        if self.resident == 0 {
            return;
        }
        self.resident = 0;
        match &mut self.part {
            _ if self.summary.count <= PAGE_COINS => self.part = Part::Stub,
            Part::Branch(branch) => {
                let branch = Arc::make_mut(branch);
                branch.left.prune();
                branch.right.prune();
            }
            Part::Large(large) => L::coins_mut(large).into_iter().for_each(Node::prune),
            Part::Empty | Part::Stub | Part::List(_) => {}
        }
    }

    /// The coins of this large leaf, to load `loaded` more of them.
    pub(super) fn large_coins(&mut self, loaded: u64) -> Option<&mut Node<Coins>> {
        let Part::Large(large) = &mut self.part else { return None };
        self.resident += loaded;
        L::coins_mut(large)
    }

    pub(super) const fn summary(&self) -> Summary {
        self.summary
    }

    pub(super) const fn count(&self) -> u64 {
        self.summary.count
    }

    /// Coins in memory.
    pub(super) const fn resident(&self) -> u64 {
        self.resident
    }

    /// Whether every coin is in memory.
    pub(super) const fn is_whole(&self) -> bool {
        self.resident == self.summary.count
    }

    /// Whether this is known to be one leaf.
    pub(super) fn is_leaf(&self) -> bool {
        match &self.part {
            Part::Empty | Part::Branch(_) => false,
            Part::Stub => self.summary.count == 1,
            Part::List(coins) => L::is_leaf(coins),
            Part::Large(_) => true,
        }
    }

    /// The branch over two sides as they are, empty or not: a list where both are and it fits. `None` on overflow.
    pub(super) fn branch(left: Self, right: Self) -> Option<Self> {
        let summary = Summary::join(&L::BRANCH, &left.summary, &right.summary)?;
        match merged_list(summary.count, left.list_coins(), right.list_coins()) {
            Some(coins) => Some(Self::list(summary, coins)),
            None => Some(Self::branch_of(summary, left, right)),
        }
    }

    /// A branch whose summary is known to be right.
    pub(super) fn branch_of(summary: Summary, left: Self, right: Self) -> Self {
        let resident = left.resident + right.resident;
        Self { summary, resident, part: Part::Branch(Arc::new(Branch { left, right })) }
    }

    /// The coins it is, if it is empty or a list.
    pub(super) fn list_coins(&self) -> Option<ListCoins<'_>> {
        match &self.part {
            Part::Empty => Some(None),
            Part::List(coins) => Some(Some(coins)),
            _ => None,
        }
    }

    /// The node at `prefix`, to put something there with `loaded` more coins in memory and the same summary.
    /// Branches on the way that are shared are copied. `None` if the tree ends above.
    pub(super) fn place(&mut self, prefix: &Prefix, loaded: u64) -> Option<&mut Self> {
        let mut node = self;
        for depth in 0..prefix.bits() {
            let Part::Branch(branch) = &mut node.part else { return None };
            node.resident += loaded;
            let branch = Arc::make_mut(branch);
            node = if bit(prefix.first(), depth) { &mut branch.right } else { &mut branch.left };
        }
        Some(node)
    }

    /// Calls `each` on every list of coins in order; `false` if a part is not in memory.
    pub(super) fn each_list<'a>(&'a self, each: &mut impl FnMut(&'a [Coin])) -> bool {
        match &self.part {
            Part::Empty => true,
            Part::Stub => false,
            Part::List(coins) => {
                each(coins);
                true
            }
            Part::Large(large) => L::owner(large).coins.each_list(each),
            Part::Branch(branch) => branch.left.each_list(each) && branch.right.each_list(each),
        }
    }

    /// Reads a little of every part of what is below, so that it is in the processor's caches. What it gives means
    /// nothing.
    pub(super) fn touch(&self) -> u64 {
        match &self.part {
            Part::Empty | Part::Stub => 0,
            Part::List(coins) => coins.iter().fold(0, |read, coin| read ^ coin.touch()),
            Part::Large(large) => Arc::strong_count(large) as u64,
            Part::Branch(branch) => {
                Arc::strong_count(branch) as u64 ^ branch.left.resident ^ branch.right.resident
            }
        }
    }

    /// As [`Node::touch`], no more than it takes to share the node.
    pub(super) fn touch_count(&self) -> u64 {
        let count = match &self.part {
            Part::Empty | Part::Stub => 0,
            Part::List(coins) => Arc::strong_count(coins),
            Part::Large(large) => Arc::strong_count(large),
            Part::Branch(branch) => Arc::strong_count(branch),
        };
        count as u64
    }

    /// Follows `key` from `depth` as far as branches go. Returns where it ended.
    pub(super) fn descend(&self, key: &Hash, depth: u16) -> (&Self, u16) {
        let (mut node, mut depth) = (self, depth);
        while let Part::Branch(branch) = &node.part {
            (node, depth) = (branch.sides(bit(key, depth)).0, depth + 1);
        }
        (node, depth)
    }
}
