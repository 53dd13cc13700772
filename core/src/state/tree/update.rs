//! Applying sorted changes to a tree: every branch above a change is hashed once, many of them together.

use super::coin::{Coin, Level};
use super::draft::{Draft, Drafts, TOGETHER};
use super::key::{PageKey, Prefix, bit};
use super::node::{Node, OwnerNode, Part};
use super::{Item, TreeError, merge};
use crate::hash::Hash;

/// Applies sorted changes to a tree; for the lower tree of an owner, `scope` is the owner's key.
pub(super) struct Updater<'a, L: Level> {
    scope: Option<&'a Hash>,
    drafts: Drafts<L>,
    /// Coins of one list while they change, kept to be allocated once.
    coins: Vec<Coin>,
}

/// What changes meet.
enum Meeting<'a, 'b, L: Level> {
    /// Coins in one list, or none.
    Coins(&'a [Coin]),
    /// Nothing that is known.
    Stub(u64),
    /// The leaf of the owner whose coins change.
    Owner(&'a OwnerNode),
    /// Two sides, each with its changes.
    Sides([(Option<&'a Node<L>>, &'b [Item<'b>]); 2]),
}

/// What these changes meet, not none, at `depth`; no node is an empty one.
fn meet<'a, 'b, L: Level>(
    node: Option<&'a Node<L>>,
    depth: u16,
    items: &'b [Item<'b>],
) -> Meeting<'a, 'b, L> {
    let sides = |left, right| {
        let (on_left, on_right) =
            items.split_at(items.partition_point(|item| !bit(L::key(&item.position), depth)));
        Meeting::Sides([(left, on_left), (right, on_right)])
    };
    let Some(node) = node else { return Meeting::Coins(&[]) };
    match &node.part {
        Part::Empty => Meeting::Coins(&[]),
        Part::List(coins) => Meeting::Coins(coins),
        Part::Stub => Meeting::Stub(node.count()),
        Part::Branch(branch) => sides(Some(&branch.left), Some(&branch.right)),
        Part::Large(large) => {
            let owner = L::owner(large);
            if items.iter().all(|item| item.position.owner == owner.id.key) {
                return Meeting::Owner(owner);
            }
            // Other owners come: the leaf moves down until their paths part.
            if bit(&owner.id.key, depth) { sides(None, Some(node)) } else { sides(Some(node), None) }
        }
    }
}

/// Reads what the changes will touch, one level after the other. A processor waits for many reads at once if none
/// has to tell where the next one is; following one path after the other, it would wait for each.
fn fetch<L: Level>(node: Option<&Node<L>>, mut depth: u16, items: &[Item<'_>]) {
    let mut level: Vec<(&Node<L>, &[Item<'_>])> = node.into_iter().map(|node| (node, items)).collect();
    let mut next: Vec<(&Node<L>, &[Item<'_>])> = Vec::new();
    let mut shared: Vec<&Node<L>> = Vec::new();
    while !level.is_empty() {
        let read = level.iter().fold(0, |read, (node, _)| read ^ node.touch());
        let read = shared.drain(..).fold(read, |read, node| read ^ node.touch_count());
        core::hint::black_box(read);
        for (node, items) in level.drain(..) {
            let Part::Branch(branch) = &node.part else { continue };
            let (left, right) =
                items.split_at(items.partition_point(|item| !bit(L::key(&item.position), depth)));
            for (node, items) in [(&branch.left, left), (&branch.right, right)] {
                if items.is_empty() { shared.push(node) } else { next.push((node, items)) }
            }
        }
        core::mem::swap(&mut level, &mut next);
        depth += 1;
    }
    core::hint::black_box(shared.iter().fold(0, |read, node| read ^ node.touch_count()));
}

impl<'a, L: Level> Updater<'a, L> {
    pub(super) fn new(scope: Option<&'a Hash>) -> Self {
        Self { scope, drafts: Drafts::new(), coins: Vec::new() }
    }

    /// The subtree at `depth` after these changes, all below it.
    pub(super) fn update(
        &mut self,
        node: Option<&Node<L>>,
        depth: u16,
        items: &[Item<'_>],
    ) -> Result<Node<L>, TreeError> {
        if items.len() <= TOGETHER {
            fetch(node, depth, items);
            let draft = self.draft(node, depth, items)?;
            return Ok(self.drafts.finish(draft));
        }
        match meet(node, depth, items) {
            Meeting::Sides([(left, on_left), (right, on_right)]) => {
                let left = Draft::Node(self.update(left, depth + 1, on_left)?);
                let right = Draft::Node(self.update(right, depth + 1, on_right)?);
                let draft = self.join(left, right, depth, items)?;
                Ok(self.drafts.finish(draft))
            }
            Meeting::Coins(coins) => {
                merge(coins, items, &mut self.coins)?;
                L::prepare(&mut self.coins).ok_or(TreeError::Overflow)?;
                self.drafts.build_node(&self.coins, depth).ok_or(TreeError::Overflow)
            }
            Meeting::Owner(owner) => update_owner(owner, items),
            Meeting::Stub(count) => Err(self.missing(count, depth, items)),
        }
    }

    fn draft(
        &mut self,
        node: Option<&Node<L>>,
        depth: u16,
        items: &[Item<'_>],
    ) -> Result<Draft<L>, TreeError> {
        if items.is_empty() {
            return Ok(Draft::Node(node.cloned().unwrap_or(Node::EMPTY)));
        }
        match meet(node, depth, items) {
            Meeting::Sides([(left, on_left), (right, on_right)]) => {
                let left = self.draft(left, depth + 1, on_left)?;
                let right = self.draft(right, depth + 1, on_right)?;
                self.join(left, right, depth, items)
            }
            Meeting::Coins(coins) => self.rebuild(coins, depth, items),
            Meeting::Owner(owner) => update_owner(owner, items).map(Draft::Node),
            Meeting::Stub(count) => Err(self.missing(count, depth, items)),
        }
    }

    #[inline(never)]
    fn rebuild(&mut self, coins: &[Coin], depth: u16, items: &[Item<'_>]) -> Result<Draft<L>, TreeError> {
        merge(coins, items, &mut self.coins)?;
        L::prepare(&mut self.coins).ok_or(TreeError::Overflow)?;
        self.drafts.build(&self.coins, depth).ok_or(TreeError::Overflow)
    }

    fn join(
        &mut self,
        left: Draft<L>,
        right: Draft<L>,
        depth: u16,
        items: &[Item<'_>],
    ) -> Result<Draft<L>, TreeError> {
        self.drafts.join(left, right).map_err(|reason| reason.at(self.scope, first_key::<L>(items), depth))
    }

    fn missing(&self, count: u64, depth: u16, items: &[Item<'_>]) -> TreeError {
        TreeError::Missing(PageKey::new(self.scope, Prefix::of(first_key::<L>(items), depth), count))
    }
}

/// The key of the first of some changes.
fn first_key<'a, L: Level>(items: &'a [Item<'_>]) -> &'a Hash {
    items.first().map_or(&Hash::ZERO, |item| L::key(&item.position))
}

#[inline(never)]
fn update_owner<L: Level>(owner: &OwnerNode, items: &[Item<'_>]) -> Result<Node<L>, TreeError> {
    let coins = Updater::new(Some(&owner.id.key)).update(Some(&owner.coins), 0, items)?;
    Node::owner(OwnerNode { id: owner.id, coins }).ok_or(TreeError::Overflow)
}
