//! What must be in memory before something can be done, and how it gets there and out again.

use super::coin::{Level, owner_key};
use super::key::{PageKey, Position, Prefix, bit};
use super::node::{Node, Part, Summary};
use super::rows::{BAND_LEVELS, PAGE_COINS, Scope, decode_row};
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
        let key = owner_key(owner);
        let mut keys = Vec::new();
        match self.root.descend(&key, 0) {
            (Node { part: Part::Large(large), .. }, _) if large.id.key == key => {
                unloaded_below(&large.coins, Prefix::ROOT, Some(&key), &mut keys);
            }
            _ => keys.extend(self.missing_balance(owner)),
        }
        keys
    }

    /// Takes a stored row in, after checking it against what the tree commits to; `None` if the store has no
    /// such row. A row already in memory is left alone.
    pub fn graft(&mut self, key: &PageKey, row: Option<&[u8]>) -> Result<(), TreeError> {
        match key.owner() {
            None => {
                let Some((content, loaded)) = row_content(&self.root, key, row, None)? else {
                    return Ok(());
                };
                let place = self.root.place(key.prefix(), loaded);
                *place.ok_or(TreeError::Unexpected(*key))? = content;
            }
            Some(owner_key) => {
                let (node, depth) = self.root.descend(owner_key, 0);
                let Part::Large(large) = &node.part else { return Err(TreeError::Unexpected(*key)) };
                if large.id.key != *owner_key || large.coins.count() <= PAGE_COINS {
                    return Err(TreeError::Unexpected(*key));
                }
                let Some((content, loaded)) = row_content(&large.coins, key, row, Some(&large.id))? else {
                    return Ok(());
                };
                let place = self.root.place(&Prefix::of(owner_key, depth), loaded);
                let coins = place.and_then(|leaf| leaf.large_coins(loaded));
                let place = coins.and_then(|coins| coins.place(key.prefix(), loaded));
                *place.ok_or(TreeError::Unexpected(*key))? = content;
            }
        }
        Ok(())
    }

    /// Drops all coins from memory and keeps the upper levels, about one branch and a half per page.
    pub fn prune(&mut self) {
        self.root.prune();
    }
}

/// Every row of a subtree that is not in memory and that what is in memory can name.
pub(super) fn unloaded_below<L: Level>(
    node: &Node<L>,
    prefix: Prefix,
    scope: Option<&Hash>,
    keys: &mut Vec<PageKey>,
) {
    match &node.part {
        _ if node.is_whole() => {}
        _ if node.count() <= PAGE_COINS => keys.push(PageKey::new(scope, prefix, node.count())),
        Part::Empty | Part::List(_) => {}
        Part::Stub => {
            let band = PageKey::new(scope, prefix.band(), node.count());
            // Where a proof left several parts of one band out.
            if keys.last() != Some(&band) {
                keys.push(band);
            }
        }
        Part::Large(large) => {
            let owner = L::owner(large);
            unloaded_below(&owner.coins, Prefix::ROOT, Some(&owner.id.key), keys);
        }
        Part::Branch(branch) => {
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
    if matches!(node.part, Part::Stub) || count <= PAGE_COINS || may_become_page(count, touched) {
        return unloaded_below(node, prefix, scope, keys);
    }
    match &node.part {
        Part::Empty | Part::Stub | Part::List(_) => {}
        Part::Large(large) => {
            let owner = L::owner(large);
            let from = positions.partition_point(|position| position.owner < owner.id.key);
            let (_, own) = positions.split_at(from);
            let (own, _) = own.split_at(own.partition_point(|position| position.owner == owner.id.key));
            unloaded_for(&owner.coins, Prefix::ROOT, own, Some(&owner.id.key), keys);
        }
        Part::Branch(branch) => {
            let split = positions.partition_point(|position| !bit(L::key(position), prefix.bits()));
            let (left, right) = positions.split_at(split);
            unloaded_for(&branch.left, prefix.child(false), left, scope, keys);
            unloaded_for(&branch.right, prefix.child(true), right, scope, keys);
            // A side left alone moves up if it is a leaf. In a lower tree only a page can be one.
            for (side, going, staying) in [(true, left, right), (false, right, left)] {
                let (stays, goes) = branch.sides(side);
                let may_empty = goes.count() <= going.len() as u64;
                let alone = L::HOLDS_MANY && may_empty && staying.is_empty();
                if alone && matches!(stays.part, Part::Stub) {
                    unloaded_below(stays, prefix.child(side), scope, keys);
                }
            }
        }
    }
}

/// Whether removing this many coins can make one page of a subtree that is more than one now.
const fn may_become_page(count: u64, touched: u64) -> bool {
    count > PAGE_COINS && count.saturating_sub(touched) <= PAGE_COINS
}

/// What is at `key` with the row, and how many more coins that puts in memory; `None` if the row is there already.
fn row_content<L: Level>(
    root: &Node<L>,
    key: &PageKey,
    row: Option<&[u8]>,
    scope: Scope<'_>,
) -> Result<Option<(Node<L>, u64)>, TreeError> {
    let prefix = key.prefix();
    let mut node = root;
    for depth in 0..prefix.bits() {
        let Part::Branch(branch) = &node.part else { return Err(TreeError::Unexpected(*key)) };
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
    if node.has_row(prefix.bits()) {
        return Ok(None);
    }
    let content = row.and_then(|row| decode_row(row, prefix, scope, &node.summary()));
    let mut merged = node.clone();
    merged.merge(&content.ok_or(TreeError::Damaged(*key))?);
    let loaded = merged.resident() - node.resident();
    Ok(Some((merged, loaded)))
}
