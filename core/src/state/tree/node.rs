//! One sparse Merkle-sum tree with structural sharing, the same for both levels.
//!
//! A leaf sits at its shortest unique depth; a branch is where at least two leaves still share the path, so
//! one of its sides may be empty. Every recursion descends one bit per call: at most 256 calls a level.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::TreeError;
use super::key::{PageKey, Prefix, bit};
use super::leaf::{Content, Leaf};
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
pub(super) enum Node<L> {
    Empty,
    /// A subtree known only by its summary, which is not empty.
    Stub(Summary),
    Leaf(Arc<L>),
    Branch(Arc<Branch<L>>),
}

/// A path shared by at least two leaves.
pub(super) struct Branch<L> {
    summary: Summary,
    /// Coins below that are in memory: shows `prune` where to go.
    resident: u64,
    pub(super) left: Node<L>,
    pub(super) right: Node<L>,
}

impl<L> Clone for Node<L> {
    fn clone(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Stub(summary) => Self::Stub(*summary),
            Self::Leaf(leaf) => Self::Leaf(Arc::clone(leaf)),
            Self::Branch(branch) => Self::Branch(Arc::clone(branch)),
        }
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

impl<L: Leaf> Node<L> {
    /// A subtree of which only the summary is known.
    pub(super) fn stub(summary: Summary) -> Self {
        if summary == Summary::EMPTY { Self::Empty } else { Self::Stub(summary) }
    }

    pub(super) fn summary(&self) -> Summary {
        match self {
            Self::Empty => Summary::EMPTY,
            Self::Stub(summary) => *summary,
            Self::Leaf(leaf) => leaf.summary(),
            Self::Branch(branch) => branch.summary,
        }
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Stub(summary) => summary.count,
            Self::Leaf(leaf) => leaf.summary().count,
            Self::Branch(branch) => branch.summary.count,
        }
    }

    /// Coins in memory.
    pub(super) fn resident(&self) -> u64 {
        match self {
            Self::Empty | Self::Stub(_) => 0,
            Self::Branch(branch) => branch.resident,
            Self::Leaf(leaf) => match leaf.content() {
                Content::Coin(_) => 1,
                Content::Owner(owner) => owner.coins.resident(),
            },
        }
    }

    /// The branch over two sides as they are, empty or not.
    pub(super) fn branch(left: Self, right: Self) -> Option<Self> {
        let summary = Summary::join(&L::BRANCH, &left.summary(), &right.summary())?;
        Some(Self::branch_of(summary, left, right))
    }

    /// A branch whose summary is known to be right.
    pub(super) fn branch_of(summary: Summary, left: Self, right: Self) -> Self {
        let resident = left.resident() + right.resident();
        Self::Branch(Arc::new(Branch { summary, resident, left, right }))
    }

    /// The subtree over two changed sides: a lone leaf moves up, so the form never depends on history.
    pub(super) fn join(left: Self, right: Self) -> Result<Self, Unjoinable> {
        match (&left, &right) {
            (Self::Empty, Self::Empty | Self::Leaf(_)) => return Ok(right),
            (Self::Leaf(_), Self::Empty) => return Ok(left),
            (Self::Empty, Self::Stub(side)) | (Self::Stub(side), Self::Empty) => {
                // One coin is one leaf. More are a branch, unless one leaf can hold them.
                let on_right = matches!(left, Self::Empty);
                if side.count == 1 {
                    return Ok(if on_right { right } else { left });
                }
                if L::HOLDS_MANY {
                    return Err(Unjoinable::UnknownSide { right: on_right, count: side.count });
                }
            }
            _ => {}
        }
        Self::branch(left, right).ok_or(Unjoinable::Overflow)
    }

    /// The subtree at `depth` over leaves in strictly ascending key order, all below it. `None` on overflow.
    pub(super) fn build(depth: u16, leaves: &[Arc<L>]) -> Option<Self> {
        match leaves {
            [] => Some(Self::Empty),
            [leaf] => Some(Self::Leaf(Arc::clone(leaf))),
            _ => {
                let split = leaves.partition_point(|leaf| !bit(leaf.key(), depth));
                let (left, right) = leaves.split_at(split);
                Self::branch(Self::build(depth + 1, left)?, Self::build(depth + 1, right)?)
            }
        }
    }

    /// Follows `key` from `depth` as far as branches go, and tells each side not taken. Returns where it ended.
    pub(super) fn descend(&self, key: &Hash, depth: u16, mut sibling: impl FnMut(Summary)) -> (&Self, u16) {
        let (mut node, mut depth) = (self, depth);
        while let Self::Branch(branch) = node {
            let (taken, other) = branch.sides(bit(key, depth));
            sibling(other.summary());
            (node, depth) = (taken, depth + 1);
        }
        (node, depth)
    }

    /// The node at `prefix`, to put something there with `loaded` more coins in memory and the same summary.
    /// Branches on the way that are shared are copied. `None` if the tree ends above.
    pub(super) fn place(&mut self, prefix: &Prefix, loaded: u64) -> Option<&mut Self> {
        let mut node = self;
        for depth in 0..prefix.bits() {
            let Self::Branch(branch) = node else { return None };
            let branch = Arc::make_mut(branch);
            branch.resident += loaded;
            node = if bit(prefix.first(), depth) { &mut branch.right } else { &mut branch.left };
        }
        Some(node)
    }

    /// Calls `each` on every leaf in key order; `false` if a part is not in memory.
    pub(super) fn each_leaf(&self, each: &mut impl FnMut(&L) -> bool) -> bool {
        match self {
            Self::Empty => true,
            Self::Stub(_) => false,
            Self::Leaf(leaf) => each(leaf),
            Self::Branch(branch) => branch.left.each_leaf(each) && branch.right.each_leaf(each),
        }
    }
}

impl<L> Clone for Branch<L> {
    fn clone(&self) -> Self {
        Self { left: self.left.clone(), right: self.right.clone(), ..*self }
    }
}

impl<L> Branch<L> {
    /// The side `right` names, then the other.
    pub(super) fn sides(&self, right: bool) -> (&Node<L>, &Node<L>) {
        if right { (&self.right, &self.left) } else { (&self.left, &self.right) }
    }
}

/// What happens to the leaf at one key.
pub(super) trait Change<L> {
    fn key(&self) -> &Hash;
    fn apply(&self, leaf: Option<&Arc<L>>) -> Result<Option<Arc<L>>, TreeError>;
}

/// Applies changes with strictly ascending keys to the subtree at `depth`. Every branch above a change is
/// hashed once. `scope` is the owner key of a lower tree.
pub(super) fn update<L: Leaf, C: Change<L>>(
    node: &Node<L>,
    depth: u16,
    changes: &[C],
    scope: Option<&Hash>,
) -> Result<Node<L>, TreeError> {
    let Some(first) = changes.first() else { return Ok(node.clone()) };
    match node {
        Node::Stub(summary) => {
            let prefix = Prefix::of(first.key(), depth);
            Err(TreeError::Missing(PageKey::new(scope, prefix, summary.count)))
        }
        Node::Empty => update_leaf(None, depth, changes),
        Node::Leaf(leaf) => update_leaf(Some(leaf), depth, changes),
        Node::Branch(branch) => {
            let (left, right) = changes.split_at(changes.partition_point(|change| !bit(change.key(), depth)));
            let left = update(&branch.left, depth + 1, left, scope)?;
            let right = update(&branch.right, depth + 1, right, scope)?;
            Node::join(left, right).map_err(|reason| reason.at(scope, first.key(), depth))
        }
    }
}

/// The changes meet a subtree of one leaf or none.
#[inline(never)]
fn update_leaf<L: Leaf, C: Change<L>>(
    mut present: Option<&Arc<L>>,
    depth: u16,
    changes: &[C],
) -> Result<Node<L>, TreeError> {
    let mut leaves = Vec::with_capacity(changes.len() + 1);
    for change in changes {
        leaves.extend(present.take_if(|leaf| leaf.key() < change.key()).cloned());
        let meets = present.take_if(|leaf| leaf.key() == change.key());
        leaves.extend(change.apply(meets)?);
    }
    leaves.extend(present.cloned());
    Node::build(depth, &leaves).ok_or(TreeError::Overflow)
}
