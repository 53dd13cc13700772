//! Trees known in part: what proofs add to them, and how the rest is filled in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::coin::{Level, OwnerId};
use super::key::{PageKey, Position, Prefix};
use super::node::{Node, Part, Summary, merged_list};
use super::rows::{BAND_LEVELS, PAGE_COINS, Scope, decode_row, encode_row, is_edge};
use super::{CoinTree, RowChange, TreeError};
use crate::codec::Wire;

/// Rows brought at once.
pub const FILL_ROWS: usize = 256;

/// A row that a tree commits to.
#[derive(Clone)]
pub struct Wanted {
    key: PageKey,
    scope: Option<OwnerId>,
    summary: Summary,
    /// Where what it holds begins, and ends.
    range: (Position, Position),
    row: Option<Vec<u8>>,
}

impl Wanted {
    /// Its key.
    #[must_use]
    pub const fn key(&self) -> &PageKey {
        &self.key
    }

    /// The row, where the tree in memory knows it.
    #[must_use]
    pub fn known(&self) -> Option<&[u8]> {
        self.row.as_deref()
    }

    /// Whether a row is the one that the tree commits to.
    #[must_use]
    pub fn is(&self, row: &[u8]) -> bool {
        let (prefix, scope) = (self.key.prefix(), self.scope.as_ref());
        match scope {
            None => decode_row::<super::Owners>(row, prefix, None, &self.summary).is_some(),
            Some(_) => decode_row::<super::Coins>(row, prefix, scope, &self.summary).is_some(),
        }
    }

    /// Where what comes after it begins: below a band, its parts.
    fn next(&self) -> Option<Position> {
        if self.key.is_page() { self.range.1.successor() } else { Some(self.range.0) }
    }
}

/// How far a store has the rows of a tree that is known in part: all of them up to a place in the tree's order. Beyond it
/// it may have some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    from: Position,
    done: bool,
}

impl Wire for Fill {
    const SIZE_MAX: usize = 65;
}

impl Default for Fill {
    /// Nothing is known to be there.
    fn default() -> Self {
        Self { from: Position::START, done: false }
    }
}

impl Fill {
    /// Whether the store has every row.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// The rows to bring next; some may be known already.
    #[must_use]
    pub fn wanted(&self, tree: &CoinTree) -> Vec<Wanted> {
        if self.done { Vec::new() } else { tree.rows_from(&self.from, FILL_ROWS) }
    }

    /// Takes rows that came in for [`Self::wanted`] of this tree or one shortly before, by key; says what to write. What
    /// the tree does not commit to is left aside.
    pub fn take(&mut self, tree: &mut CoinTree, rows: &BTreeMap<PageKey, Vec<u8>>) -> Vec<RowChange> {
        let wanted = self.wanted(tree);
        self.done = wanted.is_empty();
        let (mut changes, mut is_next) = (Vec::new(), true);
        for wanted in wanted {
            let is_known = wanted.row.is_some();
            let row =
                wanted.row.clone().or_else(|| rows.get(&wanted.key).filter(|row| wanted.is(row)).cloned());
            let Some(row) = row else {
                is_next = false;
                continue;
            };
            if !wanted.key.is_page() && !is_known && tree.graft(&wanted.key, Some(&row)).is_err() {
                is_next = false;
                continue;
            }
            changes.push((wanted.key, Some(row)));
            if is_next {
                (self.from, self.done) = wanted.next().map_or((self.from, true), |next| (next, false));
            }
            // The parts of a band that was not known are still to come.
            is_next &= is_known || wanted.key.is_page();
        }
        changes
    }

    /// These rows changed, and could not be written.
    pub fn lost(&mut self, unknown: &[PageKey]) {
        for key in unknown {
            self.from = self.from.min(key.begins());
            self.done = false;
        }
    }

    /// How much of the tree is behind, in percent: coins are spread evenly over the places.
    #[must_use]
    pub fn percent(&self) -> u8 {
        let [high, ..] = self.from.owner.0;
        if self.done { 100 } else { (u16::from(high) * 100 / 256) as u8 }
    }
}

impl CoinTree {
    /// Takes in what another tree with the same root knows.
    pub fn merge(&mut self, proved: &Self) -> Result<(), super::ProofError> {
        if self.summary() != proved.summary() {
            return Err(super::ProofError::RootMismatch);
        }
        self.root.merge(&proved.root);
        Ok(())
    }

    /// The rows from a place on in the tree's order, at most `max`: every band before its parts, and a band that is not
    /// known in place of them. Empty at the end of the tree.
    #[must_use]
    pub fn rows_from(&self, from: &Position, max: usize) -> Vec<Wanted> {
        let mut walk = Walk { from: *from, max, rows: Vec::new() };
        walk.subtree(&self.root, Prefix::ROOT, None);
        walk.rows
    }

    /// The first band that is not in memory, or not in full; none where all are.
    #[must_use]
    pub fn gap(&self) -> Option<PageKey> {
        gap(&self.root, Prefix::ROOT, None)
    }

    /// Whether it is known of each of these coins whether it is unspent.
    #[must_use]
    pub fn has_each(&self, ops: &[super::Op]) -> bool {
        ops.iter().all(|op| {
            let (outpoint, output) = op.coin();
            !matches!(self.coin(&output.owner, outpoint), Err(TreeError::Missing(_)))
        })
    }

    /// Whether changes can be applied to what is known.
    #[must_use]
    pub fn knows(&self, ops: &[super::Op]) -> bool {
        !matches!(self.clone().apply(ops), Err(TreeError::Missing(_)))
    }
}

fn gap<L: Level>(node: &Node<L>, prefix: Prefix, scope: Scope<'_>) -> Option<PageKey> {
    if node.count() <= PAGE_COINS {
        return None;
    }
    if prefix.bits().is_multiple_of(BAND_LEVELS) && !node.has_row(prefix.bits()) {
        return Some(PageKey::new(scope.map(|id| &id.key), prefix, node.count()));
    }
    match &node.part {
        Part::Branch(branch) => gap(&branch.left, prefix.child(false), scope)
            .or_else(|| gap(&branch.right, prefix.child(true), scope)),
        Part::Large(large) => {
            let owner = L::owner(large);
            gap(&owner.coins, Prefix::ROOT, Some(&owner.id))
        }
        Part::Empty | Part::Stub | Part::List(_) => None,
    }
}

impl<L: Level> Node<L> {
    /// Whether what a row would tell of the subtree at this depth is known.
    pub(super) fn has_row(&self, depth: u16) -> bool {
        if self.count() <= PAGE_COINS { self.is_whole() } else { self.has_band(depth, depth) }
    }

    fn has_band(&self, depth: u16, top: u16) -> bool {
        match &self.part {
            _ if is_edge(self.count(), depth, top) => true,
            Part::Empty | Part::Large(_) | Part::List(_) => true,
            Part::Stub => false,
            Part::Branch(branch) => {
                branch.left.has_band(depth + 1, top) && branch.right.has_band(depth + 1, top)
            }
        }
    }

    /// Takes in what another node with the same summary knows.
    pub(super) fn merge(&mut self, other: &Self) {
        if self.is_whole() {
            return;
        }
        if other.is_whole() || matches!(self.part, Part::Stub) {
            *self = other.clone();
            return;
        }
        let merged = match (&self.part, &other.part) {
            (Part::Branch(one), Part::Branch(two)) => {
                let (mut left, mut right) = (one.left.clone(), one.right.clone());
                left.merge(&two.left);
                right.merge(&two.right);
                let summary = self.summary();
                match merged_list(summary.count, left.list_coins(), right.list_coins()) {
                    Some(coins) => Self::list(summary, coins),
                    None => Self::branch_of(summary, left, right),
                }
            }
            (Part::Large(one), Part::Large(two)) => {
                let mut owner = L::owner(one).clone();
                owner.coins.merge(&L::owner(two).coins);
                match Self::owner(owner) {
                    Some(owner) => owner,
                    None => return,
                }
            }
            _ => return,
        };
        *self = merged;
    }
}

/// Collects rows in order.
struct Walk {
    from: Position,
    max: usize,
    rows: Vec<Wanted>,
}

impl Walk {
    /// False once there are enough.
    fn subtree<L: Level>(&mut self, node: &Node<L>, prefix: Prefix, scope: Scope<'_>) -> bool {
        let range = Position::range(scope.map(|id| &id.key), &prefix);
        let (count, is_page) = (node.count(), node.count() <= PAGE_COINS);
        if count == 0 || range.1 < self.from {
            return true;
        }
        let mut is_known = true;
        if is_page || prefix.bits().is_multiple_of(BAND_LEVELS) {
            if self.rows.len() >= self.max {
                return false;
            }
            is_known = is_page || node.has_row(prefix.bits());
            if range.0 >= self.from || is_page || !is_known {
                let key = PageKey::new(scope.map(|id| &id.key), prefix, count);
                let row = encode_row(node, &prefix);
                self.rows.push(Wanted { key, scope: scope.copied(), summary: node.summary(), range, row });
            }
        }
        match &node.part {
            _ if is_page || !is_known => true,
            Part::Branch(branch) => {
                self.subtree(&branch.left, prefix.child(false), scope)
                    && self.subtree(&branch.right, prefix.child(true), scope)
            }
            Part::Large(large) => {
                let owner = L::owner(large);
                self.subtree(&owner.coins, Prefix::ROOT, Some(&owner.id))
            }
            Part::Empty | Part::Stub | Part::List(_) => true,
        }
    }
}
