//! Subtrees in the making: their form first, then all their hashes together, then the nodes.

use std::sync::Arc;

use super::TreeError;
use super::coin::{Coin, Coins, Level, split};
use super::joins::{Joins, Promise};
use super::key::{PageKey, Prefix};
use super::node::{LIST_COINS, ListCoins, Node, OwnerNode, Part, Summary, merged_list};
use crate::hash::Hash;

/// Coins, or changes, that are worked on together: enough to hash many branches at once, few enough to stay in
/// the processor's caches.
pub(super) const TOGETHER: usize = 64;

/// A subtree whose hashes are still to be worked out.
pub(super) enum Draft<L: Level> {
    /// Nothing is open.
    Node(Node<L>),
    List(Promise, Arc<[Coin]>),
    /// The sides are at this place among the branches.
    Branch(Promise, usize),
}

impl<L: Level> Draft<L> {
    fn promise(&self) -> Promise {
        match self {
            Self::Node(node) => Promise::kept(node.summary()),
            Self::List(promise, _) | Self::Branch(promise, _) => *promise,
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Node(Node { part: Part::Empty, .. }))
    }

    fn is_stub(&self) -> bool {
        matches!(self, Self::Node(Node { part: Part::Stub, .. }))
    }

    fn is_leaf(&self) -> bool {
        match self {
            Self::Node(node) => node.is_leaf(),
            Self::List(_, coins) => L::is_leaf(coins),
            Self::Branch(..) => false,
        }
    }

    fn list_coins(&self) -> Option<ListCoins<'_>> {
        match self {
            Self::Node(node) => node.list_coins(),
            Self::List(_, coins) => Some(Some(coins)),
            Self::Branch(..) => None,
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
    pub(super) fn at(&self, scope: Option<&Hash>, key: &Hash, depth: u16) -> TreeError {
        match *self {
            Self::Overflow => TreeError::Overflow,
            Self::UnknownSide { right, count } => {
                TreeError::Missing(PageKey::new(scope, Prefix::of(key, depth).child(right), count))
            }
        }
    }
}

/// The branches of drafts.
pub(super) struct Drafts<L: Level> {
    joins: Joins,
    branches: Vec<Option<(Draft<L>, Draft<L>)>>,
}

impl<L: Level> Drafts<L> {
    pub(super) fn new() -> Self {
        Self { joins: Joins::default(), branches: Vec::new() }
    }

    /// The branch over two sides as they are, empty or not: a list where both are and it fits. `None` on overflow.
    fn branch(&mut self, left: Draft<L>, right: Draft<L>) -> Option<Draft<L>> {
        let promise = self.joins.join(&left.promise(), &right.promise())?;
        if let Some(coins) = merged_list(promise.count(), left.list_coins(), right.list_coins()) {
            return Some(Draft::List(promise, coins));
        }
        self.branches.push(Some((left, right)));
        Some(Draft::Branch(promise, self.branches.len() - 1))
    }

    /// The subtree over two changed sides: a lone leaf moves up, so the form never depends on history.
    pub(super) fn join(&mut self, left: Draft<L>, right: Draft<L>) -> Result<Draft<L>, Unjoinable> {
        let on_right = left.is_empty();
        if on_right || right.is_empty() {
            let side = if on_right { &right } else { &left };
            if side.is_leaf() || side.is_empty() {
                return Ok(if on_right { right } else { left });
            }
            // More than one coin are a branch, unless one leaf can hold them.
            if L::HOLDS_MANY && side.is_stub() {
                return Err(Unjoinable::UnknownSide { right: on_right, count: side.promise().count() });
            }
        }
        self.branch(left, right).ok_or(Unjoinable::Overflow)
    }

    /// The subtree at `depth` of sorted and prepared coins, all below it. `None` on overflow.
    pub(super) fn build(&mut self, coins: &[Coin], depth: u16) -> Option<Draft<L>> {
        if coins.len() as u64 <= LIST_COINS {
            let promise = self.summarize(coins, depth)?;
            return Some(match promise.count() {
                0 => Draft::Node(Node::EMPTY),
                _ => Draft::List(promise, Arc::from(coins)),
            });
        }
        if L::is_leaf(coins) {
            let id = coins.first()?.id;
            return Node::owner(OwnerNode { id, coins: build::<Coins>(coins.to_vec(), 0)? }).map(Draft::Node);
        }
        let (left, right) = split::<L>(coins, depth);
        let left = self.build(left, depth + 1)?;
        let right = self.build(right, depth + 1)?;
        self.branch(left, right)
    }

    /// As [`super::coin::summarize`].
    fn summarize(&mut self, coins: &[Coin], depth: u16) -> Option<Promise> {
        if coins.is_empty() {
            return Some(Promise::kept(Summary::EMPTY));
        }
        if L::is_leaf(coins) {
            return Some(Promise::kept(L::leaf_summary(coins)));
        }
        let (left, right) = split::<L>(coins, depth);
        let left = self.summarize(left, depth + 1)?;
        let right = self.summarize(right, depth + 1)?;
        self.joins.join(&left, &right)
    }

    /// As [`Drafts::build`], however many coins there are.
    pub(super) fn build_node(&mut self, coins: &[Coin], depth: u16) -> Option<Node<L>> {
        if coins.len() <= TOGETHER || L::is_leaf(coins) {
            let draft = self.build(coins, depth)?;
            return Some(self.finish(draft));
        }
        let (left, right) = split::<L>(coins, depth);
        Node::branch(self.build_node(left, depth + 1)?, self.build_node(right, depth + 1)?)
    }

    /// Works out all hashes, and makes the nodes of the one draft there is.
    pub(super) fn finish(&mut self, draft: Draft<L>) -> Node<L> {
        self.joins.settle(&L::BRANCH);
        let node = self.node(draft);
        self.joins.clear();
        self.branches.clear();
        node
    }

    fn node(&mut self, draft: Draft<L>) -> Node<L> {
        match draft {
            Draft::Node(node) => node,
            Draft::List(promise, coins) => Node::list(self.joins.summary(&promise), coins),
            Draft::Branch(promise, at) => {
                let sides = self.branches.get_mut(at).and_then(Option::take);
                let (left, right) = sides.expect("a draft is used once");
                let left = self.node(left);
                let right = self.node(right);
                Node::branch_of(self.joins.summary(&promise), left, right)
            }
        }
    }
}

/// The subtree at `depth` of sorted coins, all below it. `None` on overflow.
pub(super) fn build<L: Level>(mut coins: Vec<Coin>, depth: u16) -> Option<Node<L>> {
    L::prepare(&mut coins)?;
    Drafts::new().build_node(&coins, depth)
}
