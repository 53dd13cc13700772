//! How the tree is laid out in stored rows.
//!
//! A page holds the coins of a largest subtree with at most [`PAGE_COINS`] coins, whichever level it is in:
//! owners with few coins share pages, an owner with many has pages of its own. A band holds the branches
//! above pages, cut where the depth is a multiple of [`BAND_LEVELS`]; its lower edge is summaries. Both cuts
//! depend on content only. What a row says is checked against the summary the tree above it commits to.

use std::collections::BTreeMap;

use super::coin::{Coin, Coins, Level, OwnerId, leaf_hashes, positions};
use super::draft::build;
use super::key::{PageKey, Prefix, bit};
use super::load::unloaded_below;
use super::node::{Node, OwnerNode, Part, Summary};
use super::view::View;
use super::wire::{Reader, read_run, write_coins, write_summary};
use super::{CoinTree, TreeError};
use crate::hash::Hash;
use crate::transaction::{OutPoint, Output};

/// The most coins in a page.
pub const PAGE_COINS: u64 = 16;
/// Branch levels in a band.
pub(super) const BAND_LEVELS: u16 = 4;

/// A row to write, or with `None` to delete.
pub type RowChange = (PageKey, Option<Vec<u8>>);

/// The owner whose lower tree is meant, `None` for the upper tree.
pub(super) type Scope<'a> = Option<&'a OwnerId>;

/// The subtree of these coins; `None` if they are out of order or out of place.
pub(super) fn place_coins<L: Level>(
    listed: &[(OutPoint, Output)],
    prefix: &Prefix,
    scope: Scope<'_>,
) -> Option<Node<L>> {
    let positions = positions(listed.iter().map(|(outpoint, output)| (&output.owner, outpoint)));
    let of: Vec<_> = listed.iter().map(|(outpoint, output)| (outpoint, output)).collect();
    let hashes = leaf_hashes(&of);
    let mut coins: Vec<Coin> = Vec::with_capacity(listed.len());
    for (((outpoint, output), position), hashes) in listed.iter().zip(positions).zip(hashes) {
        let id = OwnerId { key: position.owner, owner: output.owner };
        let mut coin = Coin::hashed(id, position.coin, *outpoint, output.amount, hashes)?;
        let in_order = coins.last().is_none_or(|last| last.position() < coin.position());
        let in_place = scope.is_none_or(|scope| *scope == id) && prefix.covers(L::coin_key(&coin));
        if !in_order || !in_place {
            return None;
        }
        // What an owner's leaf is if there is but one coin, or else not known yet.
        if let Some(last) = coins.last_mut().filter(|last| last.id.key == id.key) {
            last.owner_hash = Hash::ZERO;
            coin.owner_hash = Hash::ZERO;
        }
        coins.push(coin);
    }
    build(coins, prefix.bits())
}

/// The coins in a page, in the tree's order; `None` if it is no page.
#[must_use]
pub fn page_coins(row: &[u8]) -> Option<Vec<(OutPoint, Output)>> {
    let (mut reader, mut coins) = (Reader(row), Vec::new());
    while !reader.is_done() {
        read_run(&mut reader, &mut coins)?;
    }
    Some(coins)
}

const EMPTY: u8 = 0;
const BRANCH: u8 = 1;
const LEAF: u8 = 2;

/// Whether a subtree below the top of a band is in a row of its own.
pub(super) fn is_edge(count: u64, depth: u16, top: u16) -> bool {
    depth > top && (count <= PAGE_COINS || depth.is_multiple_of(BAND_LEVELS))
}

/// Writes the band whose top is at depth `top`, from the subtree at `depth`. `false` if a part is not in memory.
fn write_band<L: Level>(out: &mut Vec<u8>, node: &Node<L>, depth: u16, top: u16) -> bool {
    match &node.part {
        Part::Empty => out.push(EMPTY),
        _ if is_edge(node.count(), depth, top) => write_summary(out, &node.summary()),
        Part::Branch(branch) => {
            out.push(BRANCH);
            return write_band(out, &branch.left, depth + 1, top)
                && write_band(out, &branch.right, depth + 1, top);
        }
        Part::Large(large) => {
            let owner = L::owner(large);
            out.push(LEAF);
            out.extend_from_slice(owner.id.owner.as_bytes());
            write_summary(out, &owner.coins.summary());
        }
        // A list is beyond the edge.
        Part::Stub | Part::List(_) => return false,
    }
    true
}

fn read_band<L: Level>(reader: &mut Reader<'_>, prefix: Prefix, top: u16) -> Option<Node<L>> {
    match reader.byte()? {
        EMPTY => Some(Node::EMPTY),
        BRANCH if prefix.bits() < top + BAND_LEVELS => {
            let left = read_band(reader, prefix.child(false), top)?;
            Node::branch(left, read_band(reader, prefix.child(true), top)?)
        }
        LEAF => {
            let id = OwnerId::of(&reader.owner()?);
            let mark = reader.byte()?;
            let coins = Node::stub(reader.summary(mark)?);
            prefix.covers(&id.key).then(|| Node::owner(OwnerNode { id, coins }))?
        }
        mark => Some(Node::stub(reader.summary(mark)?)),
    }
}

/// The row of the subtree at `prefix`; `None` if a part it holds is not in memory.
pub(super) fn encode_row<L: Level>(node: &Node<L>, prefix: &Prefix) -> Option<Vec<u8>> {
    // A full band is 16 summaries of some 40 bytes; a full page of one-coin owners is a little more.
    let mut row = Vec::with_capacity(1024);
    if node.count() <= PAGE_COINS {
        write_coins(&mut row, &View::Node(node).coins()?);
        return Some(row);
    }
    write_band(&mut row, node, prefix.bits(), prefix.bits()).then_some(row)
}

/// The subtree a row holds, if that is what `summary` commits to and the row is as [`encode_row`] writes it.
pub(super) fn decode_row<L: Level>(
    row: &[u8],
    prefix: &Prefix,
    scope: Scope<'_>,
    summary: &Summary,
) -> Option<Node<L>> {
    let node = if summary.count <= PAGE_COINS {
        place_coins(&page_coins(row)?, prefix, scope)?
    } else {
        let node = read_band(&mut Reader(row), *prefix, prefix.bits())?;
        (encode_row(&node, prefix)? == row).then_some(node)?
    };
    (node.summary() == *summary).then_some(node)
}

impl CoinTree {
    /// The rows to write (`Some`) and to delete (`None`) to turn the stored `base` into this tree, by key.
    ///
    /// This tree must come from `base` by [`CoinTree::apply`], after everything [`CoinTree::missing`] named was
    /// grafted into `base`; otherwise a row can be [`TreeError::Missing`]. The work depends on what changed only.
    pub fn changed_rows(&self, base: &Self) -> Result<Vec<RowChange>, TreeError> {
        let (rows, unknown) = self.known_changed_rows(base);
        unknown.first().map_or(Ok(rows), |key| Err(TreeError::Missing(*key)))
    }

    /// As [`Self::changed_rows`], for trees known in part: the rows that can be told, and the keys of those that would
    /// have to be written and cannot. What was stored under these keys is deleted.
    #[must_use]
    pub fn known_changed_rows(&self, base: &Self) -> (Vec<RowChange>, Vec<PageKey>) {
        let mut listing = Listing { rows: BTreeMap::new(), unknown: Vec::new(), content: false };
        listing.subtree(&base.root, Other::here(&self.root), Prefix::ROOT, None);
        // What was stored below a part of the base that is not known is not stored either.
        listing.unknown.clear();
        listing.content = true;
        listing.subtree(&self.root, Other::here(&base.root), Prefix::ROOT, None);
        (listing.rows.into_iter().collect(), listing.unknown)
    }
}

/// What the tree compared with has where a subtree is.
struct Other<'a, L: Level> {
    node: Option<&'a Node<L>>,
    /// Whether `node` is at the very place; otherwise it is a leaf further up.
    here: bool,
}

impl<'a, L: Level> Other<'a, L> {
    fn here(node: &'a Node<L>) -> Self {
        Self { node: Some(node), here: true }
    }

    const fn nothing() -> Self {
        Self { node: None, here: true }
    }

    /// What it has left and right below `depth`.
    fn sides(self, depth: u16) -> (Self, Self) {
        match self.node.map(|node| &node.part) {
            Some(Part::Branch(branch)) => (Self::here(&branch.left), Self::here(&branch.right)),
            Some(Part::Large(large)) => {
                let above = Self { node: self.node, here: false };
                let right = bit(&L::owner(large).id.key, depth);
                if right { (Self::nothing(), above) } else { (above, Self::nothing()) }
            }
            _ => (Self::nothing(), Self::nothing()),
        }
    }

    /// The lower tree it has for the large owner with this key.
    fn coins_of(&self, key: &Hash, depth: u16) -> Option<&'a Node<Coins>> {
        let Part::Large(large) = &self.node?.descend(key, depth).0.part else { return None };
        let owner = L::owner(large);
        (owner.id.key == *key).then_some(&owner.coins)
    }
}

/// Collects row keys, with the rows' content or, for rows to delete, without.
struct Listing {
    rows: BTreeMap<PageKey, Option<Vec<u8>>>,
    /// Rows whose content is not known in full.
    unknown: Vec<PageKey>,
    content: bool,
}

impl Listing {
    /// Lists the rows of a subtree that is in no page above, except where the other tree, also in no page
    /// above, has the same.
    fn subtree<L: Level>(&mut self, node: &Node<L>, other: Other<'_, L>, prefix: Prefix, scope: Scope<'_>) {
        let count = node.count();
        let same = |other: &Node<L>| other.summary() == node.summary();
        if count == 0 || other.here && other.node.is_some_and(same) {
            return;
        }
        if count <= PAGE_COINS || prefix.bits().is_multiple_of(BAND_LEVELS) {
            self.row(node, prefix, scope);
        }
        if count <= PAGE_COINS {
            return;
        }
        let node_of = other.node.filter(|other| other.count() > PAGE_COINS);
        self.below(node, Other { node: node_of, here: other.here }, prefix, scope);
    }

    fn row<L: Level>(&mut self, node: &Node<L>, prefix: Prefix, scope: Scope<'_>) {
        let row = self.content.then(|| encode_row(node, &prefix)).flatten();
        if self.content && row.is_none() {
            self.unknown.extend(unloaded(node, prefix, scope));
        }
        self.rows.insert(PageKey::new(scope.map(|owner| &owner.key), prefix, node.count()), row);
    }

    /// The rows below a branch or a large owner's leaf.
    fn below<L: Level>(&mut self, node: &Node<L>, other: Other<'_, L>, prefix: Prefix, scope: Scope<'_>) {
        match &node.part {
            Part::Branch(branch) => {
                let (left, right) = other.sides(prefix.bits());
                self.subtree(&branch.left, left, prefix.child(false), scope);
                self.subtree(&branch.right, right, prefix.child(true), scope)
            }
            Part::Large(large) => {
                let owner = L::owner(large);
                let coins = other.coins_of(&owner.id.key, prefix.bits());
                let coins = coins.filter(|coins| coins.count() > PAGE_COINS);
                let coins = coins.map_or(Other::nothing(), Other::here);
                self.subtree(&owner.coins, coins, Prefix::ROOT, Some(&owner.id));
            }
            Part::Stub => self.unknown.extend(unloaded(node, prefix, scope)),
            Part::Empty | Part::List(_) => {}
        }
    }
}

/// The first row that is to be loaded before a subtree is known.
fn unloaded<L: Level>(node: &Node<L>, prefix: Prefix, scope: Scope<'_>) -> Option<PageKey> {
    let mut keys = Vec::new();
    unloaded_below(node, prefix, scope.map(|owner| &owner.key), &mut keys);
    keys.first().copied()
}
