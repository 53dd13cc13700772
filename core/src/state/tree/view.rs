//! Reading a subtree branch by branch, whether its branches are in memory or only implied by a list of coins.

use super::coin::{Coin, Coins, Level, OwnerId, split, summarize};
use super::key::bit;
use super::node::{Node, Part, Summary};
use crate::hash::Hash;

/// A subtree: as a node, or as the coins of a part of a list.
pub(super) enum View<'a, L: Level> {
    Node(&'a Node<L>),
    Coins(&'a [Coin]),
}

/// The top of a subtree.
pub(super) enum Top<'a, L: Level> {
    Empty,
    Stub(Summary),
    Leaf(Leaf<'a>),
    Branch(View<'a, L>, View<'a, L>),
}

/// A leaf of either level.
pub(super) enum Leaf<'a> {
    Owner(&'a OwnerId, View<'a, Coins>),
    Coin(&'a Coin),
}

impl<L: Level> Clone for View<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L: Level> Copy for View<'_, L> {}

impl<'a, L: Level> View<'a, L> {
    /// The summary of the subtree, which is at `depth`.
    pub(super) fn summary(self, depth: u16) -> Summary {
        match self {
            Self::Node(node) => node.summary(),
            Self::Coins(coins) => summarize::<L>(coins, depth).expect("the list they are from adds up"),
        }
    }

    pub(super) const fn count(self) -> u64 {
        match self {
            Self::Node(node) => node.count(),
            Self::Coins(coins) => coins.len() as u64,
        }
    }

    /// The top of the subtree, which is at `depth`.
    pub(super) fn top(self, depth: u16) -> Top<'a, L> {
        let coins = match self {
            Self::Coins(coins) => coins,
            Self::Node(node) => match &node.part {
                Part::Empty => return Top::Empty,
                Part::Stub => return Top::Stub(node.summary()),
                Part::Branch(branch) => {
                    return Top::Branch(Self::Node(&branch.left), Self::Node(&branch.right));
                }
                Part::Large(large) => {
                    let owner = L::owner(large);
                    return Top::Leaf(Leaf::Owner(&owner.id, View::Node(&owner.coins)));
                }
                Part::List(coins) => coins,
            },
        };
        match coins.first() {
            None => Top::Empty,
            Some(first) if L::is_leaf(coins) => Top::Leaf(L::leaf(first, coins)),
            Some(_) => {
                let (left, right) = split::<L>(coins, depth);
                Top::Branch(Self::Coins(left), Self::Coins(right))
            }
        }
    }

    /// Follows `key` down from the root, and tells each side not taken with its depth. Returns where that ends,
    /// which is no branch.
    pub(super) fn descend(self, key: &Hash, mut sibling: impl FnMut(Self, u16)) -> (Top<'a, L>, u16) {
        let (mut top, mut depth) = (self.top(0), 0);
        while let Top::Branch(left, right) = top {
            let (taken, other) = if bit(key, depth) { (right, left) } else { (left, right) };
            depth += 1;
            sibling(other, depth);
            top = taken.top(depth);
        }
        (top, depth)
    }

    /// All coins in order; `None` if a part is not in memory.
    pub(super) fn coins(self) -> Option<Vec<&'a Coin>> {
        match self {
            Self::Coins(coins) => Some(coins.iter().collect()),
            Self::Node(node) => {
                let mut coins = Vec::new();
                node.each_list(&mut |list| coins.extend(list)).then_some(coins)
            }
        }
    }
}
