//! One sparse Merkle-sum tree with structural sharing, the same for both levels.
//!
//! A leaf sits at its shortest unique depth; a branch is where at least two leaves still share the path, so
//! one of its sides may be empty. A subtree of few coins that are all known is one flat list, whose inner
//! branches exist in hashes only. Every recursion descends one bit per call: at most 256 calls a level.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::coin::{Coin, Coins, Level, OwnerId, build, build_page, owner_leaf_hash};
use super::key::{PageKey, Prefix, bit};
use super::{Item, PAGE_COINS, TreeError, merge};
use crate::amount::Amount;
use crate::hash::{Hash, Tag};

/// Bytes of a summary where a hash covers it: hash, sum, count.
pub(super) const SUMMARY_SIZE: usize = 48;

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
        let mut bytes = [0; 2 * SUMMARY_SIZE];
        bytes[..SUMMARY_SIZE].copy_from_slice(&left.to_bytes());
        bytes[SUMMARY_SIZE..].copy_from_slice(&right.to_bytes());
        Some(Self { hash: tag.hash(&[&bytes]), sum, count })
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
    /// All of at least one coin and at most a page full, in order.
    Page(Arc<[Coin]>),
    /// A leaf that is not within a page: too large, or not known in full.
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
            Part::Page(coins) => Part::Page(Arc::clone(coins)),
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

/// Why two sides make no branch.
pub(super) enum Unjoinable {
    Overflow,
    /// This side, `true` for right, must be known to be a leaf or a branch: a leaf moves up.
    UnknownSide {
        right: bool,
        count: u64,
    },
}

impl Unjoinable {
    /// The error, at `depth` on the path of `key`.
    fn at(&self, scope: Option<&Hash>, key: &Hash, depth: u16) -> TreeError {
        match *self {
            Self::Overflow => TreeError::Overflow,
            Self::UnknownSide { right, count } => {
                TreeError::Missing(PageKey::new(scope, Prefix::of(key, depth).child(right), count))
            }
        }
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
    pub(super) fn page(summary: Summary, coins: Arc<[Coin]>) -> Self {
        let part = if coins.is_empty() { Part::Empty } else { Part::Page(coins) };
        Self { summary, resident: summary.count, part }
    }

    /// An owner's leaf: in a page if all coins are known and few. `None` in the lower tree or on overflow.
    pub(super) fn owner(owner: OwnerNode) -> Option<Self> {
        let lower = owner.coins.summary;
        if let Part::Page(coins) = &owner.coins.part {
            let mut coins = coins.to_vec();
            // In a lower page these are left over from when the owner was small.
            coins.iter_mut().for_each(|coin| coin.owner_hash = Hash::ZERO);
            return build(coins, 0);
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
            Part::Empty | Part::Stub | Part::Page(_) => {}
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

    /// Whether this is known to be one leaf.
    pub(super) fn is_leaf(&self) -> bool {
        match &self.part {
            Part::Empty | Part::Branch(_) => false,
            Part::Stub => self.summary.count == 1,
            Part::Page(coins) => L::is_leaf(coins),
            Part::Large(_) => true,
        }
    }

    /// The branch over two sides as they are, empty or not: a page where both are and it fits. `None` on overflow.
    pub(super) fn branch(left: Self, right: Self) -> Option<Self> {
        let summary = Summary::join(&L::BRANCH, &left.summary, &right.summary)?;
        if summary.count <= PAGE_COINS {
            match (&left.part, &right.part) {
                (Part::Page(one), Part::Page(two)) => {
                    return Some(Self::page(summary, one.iter().chain(two.iter()).copied().collect()));
                }
                (Part::Page(one), Part::Empty) | (Part::Empty, Part::Page(one)) => {
                    return Some(Self::page(summary, Arc::clone(one)));
                }
                _ => {}
            }
        }
        Some(Self::branch_of(summary, left, right))
    }

    /// A branch whose summary is known to be right.
    pub(super) fn branch_of(summary: Summary, left: Self, right: Self) -> Self {
        let resident = left.resident + right.resident;
        Self { summary, resident, part: Part::Branch(Arc::new(Branch { left, right })) }
    }

    /// The subtree over two changed sides: a lone leaf moves up, so the form never depends on history.
    fn join(left: Self, right: Self) -> Result<Self, Unjoinable> {
        let on_right = matches!(left.part, Part::Empty);
        if on_right || matches!(right.part, Part::Empty) {
            let side = if on_right { &right } else { &left };
            if side.is_leaf() || matches!(side.part, Part::Empty) {
                return Ok(if on_right { right } else { left });
            }
            // More than one coin are a branch, unless one leaf can hold them.
            if L::HOLDS_MANY && matches!(side.part, Part::Stub) {
                return Err(Unjoinable::UnknownSide { right: on_right, count: side.count() });
            }
        }
        Self::branch(left, right).ok_or(Unjoinable::Overflow)
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
    pub(super) fn each_page<'a>(&'a self, each: &mut impl FnMut(&'a [Coin])) -> bool {
        match &self.part {
            Part::Empty => true,
            Part::Stub => false,
            Part::Page(coins) => {
                each(coins);
                true
            }
            Part::Large(large) => L::owner(large).coins.each_page(each),
            Part::Branch(branch) => branch.left.each_page(each) && branch.right.each_page(each),
        }
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

/// Applies sorted changes to a tree; for the lower tree of an owner, `scope` is the owner's key.
pub(super) struct Updater<'a> {
    scope: Option<&'a Hash>,
    /// Coins of one page while they change, kept to be allocated once.
    coins: Vec<Coin>,
}

impl<'a> Updater<'a> {
    pub(super) const fn new(scope: Option<&'a Hash>) -> Self {
        Self { scope, coins: Vec::new() }
    }

    /// The subtree at `depth` after these changes, all below it. Every branch above a change is hashed once.
    pub(super) fn update<L: Level>(
        &mut self,
        node: &Node<L>,
        depth: u16,
        items: &[Item<'_>],
    ) -> Result<Node<L>, TreeError> {
        let Some(first) = items.first() else { return Ok(node.clone()) };
        let key = L::key(&first.position);
        let split = || items.split_at(items.partition_point(|item| !bit(L::key(&item.position), depth)));
        let (left, right) = match &node.part {
            Part::Empty => return self.rebuild(&[], depth, items),
            Part::Page(coins) => return self.rebuild(coins, depth, items),
            Part::Stub => {
                let prefix = Prefix::of(key, depth);
                return Err(TreeError::Missing(PageKey::new(self.scope, prefix, node.count())));
            }
            Part::Branch(branch) => {
                let (left, right) = split();
                (self.update(&branch.left, depth + 1, left)?, self.update(&branch.right, depth + 1, right)?)
            }
            Part::Large(large) => {
                let owner = L::owner(large);
                if items.iter().all(|item| item.position.owner == owner.id.key) {
                    return update_owner(owner, items);
                }
                // Other owners come: the leaf moves down until their paths part.
                let empty = &Node::EMPTY;
                let (on_left, on_right) =
                    if bit(&owner.id.key, depth) { (empty, node) } else { (node, empty) };
                let (left, right) = split();
                (self.update(on_left, depth + 1, left)?, self.update(on_right, depth + 1, right)?)
            }
        };
        Node::join(left, right).map_err(|reason| reason.at(self.scope, key, depth))
    }

    /// The changes meet coins in one list, or none.
    #[inline(never)]
    fn rebuild<L: Level>(
        &mut self,
        coins: &[Coin],
        depth: u16,
        items: &[Item<'_>],
    ) -> Result<Node<L>, TreeError> {
        merge(coins, items, &mut self.coins)?;
        let node = if self.coins.len() as u64 <= PAGE_COINS {
            build_page(&mut self.coins, depth)
        } else {
            build(core::mem::take(&mut self.coins), depth)
        };
        node.ok_or(TreeError::Overflow)
    }
}

#[inline(never)]
fn update_owner<L: Level>(owner: &OwnerNode, items: &[Item<'_>]) -> Result<Node<L>, TreeError> {
    let coins = Updater::new(Some(&owner.id.key)).update(&owner.coins, 0, items)?;
    Node::owner(OwnerNode { id: owner.id, coins }).ok_or(TreeError::Overflow)
}
