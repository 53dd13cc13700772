//! What must be in memory before something can be done, and how it gets there and out again.

use std::sync::Arc;

use super::key::{PageKey, Position, Prefix, bit};
use super::leaf::{CoinLeaf, Content, Leaf, OwnerLeaf};
use super::node::{Node, Summary};
use super::rows::{BAND_LEVELS, Level, PAGE_COINS, Scope, decode_row};
use super::{CoinTree, TreeError};
use crate::hash::{Hash, Owner};
use crate::transaction::OutPoint;

impl CoinTree {
    /// Rebuilds the upper levels from all bands, in key order, checked against `summary`.
    pub fn load<'a>(
        summary: Summary,
        bands: impl IntoIterator<Item = (PageKey, &'a [u8])>,
    ) -> Result<Self, TreeError> {
        let mut tree = Self::unloaded(summary);
        bands.into_iter().try_for_each(|(key, row)| tree.graft(&key, Some(row)))?;
        Ok(tree)
    }

    /// The rows to graft before changes to these coins can be applied and stored, or the coins proved. Ask
    /// again after grafting until nothing is missing: once, where all bands are in memory.
    ///
    /// Any of the coins may go, so this includes neighbours that would move up or end up in the same page.
    #[must_use]
    pub fn missing(&self, coins: &[(Owner, OutPoint)]) -> Vec<PageKey> {
        let mut positions: Vec<Position> =
            coins.iter().map(|(owner, outpoint)| Position::of(owner, outpoint)).collect();
        positions.sort_unstable();
        positions.dedup();
        let mut keys = Vec::new();
        unloaded_for(&self.root, Prefix::ROOT, &positions, None, &mut keys);
        keys
    }

    /// The row to graft before `owner`'s balance can be read or proved.
    #[must_use]
    pub fn missing_balance(&self, owner: &Owner) -> Option<PageKey> {
        match self.balance(owner) {
            Err(TreeError::Missing(key)) => Some(key),
            _ => None,
        }
    }

    /// The rows to graft before all coins of `owner` can be read or proved. Ask again until nothing is missing.
    #[must_use]
    pub fn missing_coins(&self, owner: &Owner) -> Vec<PageKey> {
        let mut keys = Vec::from_iter(self.missing_balance(owner));
        if let Ok(Some(leaf)) = self.owner_leaf(owner) {
            unloaded_below(&leaf.coins, Prefix::ROOT, Some(&leaf.id.key), &mut keys);
        }
        keys
    }

    /// Takes a stored row in, after checking it against what the tree commits to; `None` if the store has no
    /// such row. A row already in memory is left alone.
    pub fn graft(&mut self, key: &PageKey, row: Option<&[u8]>) -> Result<(), TreeError> {
        match key.owner() {
            None => {
                let Some(content) = row_content(&self.root, key, row, None)? else { return Ok(()) };
                let place = self.root.place(key.prefix(), content.resident());
                *place.ok_or(TreeError::Unexpected(*key))? = content;
            }
            Some(owner_key) => {
                let (Node::Leaf(leaf), depth) = self.root.descend(owner_key, 0, |_| ()) else {
                    return Err(TreeError::Unexpected(*key));
                };
                if leaf.id.key != *owner_key || leaf.coins.count() <= PAGE_COINS {
                    return Err(TreeError::Unexpected(*key));
                }
                let Some(content) = row_content(&leaf.coins, key, row, Some(&leaf.id))? else {
                    return Ok(());
                };
                let loaded = content.resident();
                let place = match self.root.place(&Prefix::of(owner_key, depth), loaded) {
                    Some(Node::Leaf(leaf)) => Arc::make_mut(leaf).coins.place(key.prefix(), loaded),
                    _ => None,
                };
                *place.ok_or(TreeError::Unexpected(*key))? = content;
            }
        }
        Ok(())
    }

    /// Drops all coins from memory and keeps the upper levels, about one branch and a half per page.
    pub fn prune(&mut self) {
        self.root = pruned(&self.root);
    }
}

/// Every row of a subtree that is not in memory and that what is in memory can name.
pub(super) fn unloaded_below<L: Leaf>(
    node: &Node<L>,
    prefix: Prefix,
    scope: Option<&Hash>,
    keys: &mut Vec<PageKey>,
) {
    match node {
        Node::Empty => {}
        Node::Stub(summary) => keys.push(PageKey::new(scope, prefix, summary.count)),
        Node::Leaf(leaf) => {
            if let Content::Owner(owner) = leaf.content() {
                unloaded_below(&owner.coins, Prefix::ROOT, Some(&owner.id.key), keys);
            }
        }
        Node::Branch(branch) => {
            unloaded_below(&branch.left, prefix.child(false), scope, keys);
            unloaded_below(&branch.right, prefix.child(true), scope, keys);
        }
    }
}

/// The rows not in memory that changes at `positions`, sorted and within the subtree, may touch.
fn unloaded_for<L: Level>(
    node: &Node<L>,
    prefix: Prefix,
    positions: &[Position],
    scope: Option<&Hash>,
    keys: &mut Vec<PageKey>,
) {
    if positions.is_empty() {
        return;
    }
    let (count, touched) = (node.count(), positions.len() as u64);
    if matches!(node, Node::Stub(_)) || may_become_page(count, touched) {
        return unloaded_below(node, prefix, scope, keys);
    }
    match node {
        Node::Empty | Node::Stub(_) => {}
        Node::Leaf(leaf) => {
            if let Content::Owner(owner) = leaf.content() {
                let from = positions.partition_point(|position| position.owner < owner.id.key);
                let (_, own) = positions.split_at(from);
                let (own, _) = own.split_at(own.partition_point(|position| position.owner == owner.id.key));
                unloaded_for(&owner.coins, Prefix::ROOT, own, Some(&owner.id.key), keys);
            }
        }
        Node::Branch(branch) => {
            let split = positions.partition_point(|position| !bit(L::key_of(position), prefix.bits()));
            let (left, right) = positions.split_at(split);
            unloaded_for(&branch.left, prefix.child(false), left, scope, keys);
            unloaded_for(&branch.right, prefix.child(true), right, scope, keys);
            // A side left alone moves up if it is a leaf. In a lower tree only a page can be one.
            for (side, (going, going_positions), staying_positions) in
                [(true, (&branch.left, left), right), (false, (&branch.right, right), left)]
            {
                let (staying, _) = branch.sides(side);
                let may_empty = going.count() <= going_positions.len() as u64;
                let alone = L::HOLDS_MANY && may_empty && staying_positions.is_empty();
                if let (true, Node::Stub(summary)) = (alone, staying) {
                    keys.push(PageKey::new(scope, prefix.child(side), summary.count));
                }
            }
        }
    }
}

/// Whether removing this many coins can make one page of a subtree that is more than one now.
const fn may_become_page(count: u64, touched: u64) -> bool {
    count > PAGE_COINS && count.saturating_sub(touched) <= PAGE_COINS
}

/// What the row at `key` puts in place of the stub there, or `None` if that is in memory already.
fn row_content<L: Level>(
    root: &Node<L>,
    key: &PageKey,
    row: Option<&[u8]>,
    scope: Scope<'_>,
) -> Result<Option<Node<L>>, TreeError> {
    let prefix = key.prefix();
    let mut node = root;
    for depth in 0..prefix.bits() {
        let Node::Branch(branch) = node else { return Err(TreeError::Unexpected(*key)) };
        if node.count() <= PAGE_COINS {
            return Err(TreeError::Unexpected(*key));
        }
        (node, _) = branch.sides(bit(prefix.first(), depth));
    }
    let is_row = key.is_page() || prefix.bits().is_multiple_of(BAND_LEVELS);
    let count = node.count();
    if !is_row || count == 0 || key.is_page() != (count <= PAGE_COINS) {
        return Err(TreeError::Unexpected(*key));
    }
    let Node::Stub(summary) = node else { return Ok(None) };
    let content = row.and_then(|row| decode_row(row, prefix, scope, summary));
    content.map(Some).ok_or(TreeError::Damaged(*key))
}

fn pruned<L: Prune>(node: &Node<L>) -> Node<L> {
    if node.resident() == 0 {
        return node.clone();
    }
    match node {
        _ if node.count() <= PAGE_COINS => Node::stub(node.summary()),
        Node::Branch(branch) => Node::branch_of(node.summary(), pruned(&branch.left), pruned(&branch.right)),
        Node::Leaf(leaf) => Node::Leaf(L::pruned(leaf)),
        Node::Empty | Node::Stub(_) => node.clone(),
    }
}

/// Pruning within a leaf.
trait Prune: Leaf {
    fn pruned(leaf: &Arc<Self>) -> Arc<Self>;
}

impl Prune for OwnerLeaf {
    fn pruned(leaf: &Arc<Self>) -> Arc<Self> {
        let mut leaf = Self::clone(leaf);
        leaf.coins = pruned(&leaf.coins);
        Arc::new(leaf)
    }
}

impl Prune for CoinLeaf {
    fn pruned(leaf: &Arc<Self>) -> Arc<Self> {
        Arc::clone(leaf)
    }
}
