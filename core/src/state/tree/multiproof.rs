//! The part of the tree a block touches, in one proof: enough to check what it spends and to apply it.
//!
//! The tree in depth-first order. Off the paths of the block's coins everything is a summary, except that a
//! sibling left alone by removals is opened one level: whether it is a leaf decides if it moves up. Coins the
//! block itself names are not repeated, so both sides need the same changes.

use serde::{Deserialize, Serialize};

use super::coin::{Coin, Coins, Level, OwnerId, Owners, coin_key};
use super::draft::build;
use super::key::{DEPTH_MAX, PageKey, Prefix, bit};
use super::node::{Node, OwnerNode, Summary};
use super::proof::ProofError;
use super::rows::{Scope, place_coins};
use super::view::{Leaf, Top, View};
use super::wire::{Packed, Reader, read_run, write_coin, write_summary};
use super::{CoinTree, Item, Op, TreeError, sorted};
use crate::codec::{FRAME_SIZE_MAX, Wire};
use crate::hash::Hash;

pub(super) const EMPTY: u8 = 0;
pub(super) const BRANCH: u8 = 1;
/// A leaf in full.
pub(super) const LEAF: u8 = 2;
/// A leaf the changes name: which one of those below this place, counted from 0, in a byte.
const KNOWN: u8 = 3;
/// A whole subtree as its coins: number of runs, then the runs.
pub(super) const COINS: u8 = 4;

/// The part of the tree that a list of changes touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multiproof(Packed);

impl Wire for Multiproof {
    const SIZE_MAX: usize = FRAME_SIZE_MAX;
}

impl Multiproof {
    /// The proof for these changes. Needs what [`CoinTree::missing`] names for their coins.
    pub fn build(tree: &CoinTree, ops: &[Op]) -> Result<Self, TreeError> {
        let mut bytes = Vec::new();
        write_touched(&mut bytes, View::Node(&tree.root), Prefix::ROOT, &sorted(ops), None)?;
        Ok(Self(Packed(bytes)))
    }

    /// The tree with this root, as far as the changes touch it: reading their coins and applying them works as
    /// on the whole tree.
    pub fn into_tree(self, root: &Summary, ops: &[Op]) -> Result<CoinTree, ProofError> {
        CoinTree::from_parts(&self.0.0, root, &sorted(ops))
    }

    /// Bytes of the proof.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.0.0.len()
    }
}

impl CoinTree {
    /// Reads part of a tree and checks it against the root.
    pub(super) fn from_parts(bytes: &[u8], root: &Summary, known: &[Item<'_>]) -> Result<Self, ProofError> {
        let mut reader = Reader(bytes);
        let tree = read(&mut reader, Prefix::ROOT, known, None)?;
        if !reader.is_done() {
            return Err(ProofError::Malformed);
        }
        if tree.summary() != *root {
            return Err(ProofError::RootMismatch);
        }
        Ok(Self { root: tree })
    }
}

/// Reading leaves, which the levels do differently.
pub(super) trait ReadLeaf: Level {
    /// Reads what follows [`LEAF`] or [`KNOWN`].
    fn read_leaf(
        reader: &mut Reader<'_>,
        mark: u8,
        known: &[Item<'_>],
        scope: Scope<'_>,
    ) -> Result<(Hash, Node<Self>), ProofError>;
}

impl ReadLeaf for Owners {
    fn read_leaf(
        reader: &mut Reader<'_>,
        mark: u8,
        known: &[Item<'_>],
        _: Scope<'_>,
    ) -> Result<(Hash, Node<Self>), ProofError> {
        let id = if mark == KNOWN {
            let item = read_known(reader, known)?;
            OwnerId { key: item.position.owner, owner: item.op.coin().1.owner }
        } else {
            OwnerId::of(&reader.owner().ok_or(ProofError::Malformed)?)
        };
        let coins = read(reader, Prefix::ROOT, items_of(known, &id.key), Some(&id))?;
        let leaf = Node::owner(OwnerNode { id, coins }).ok_or(ProofError::Overflow)?;
        if leaf.count() > 0 { Ok((id.key, leaf)) } else { Err(ProofError::Malformed) }
    }
}

impl ReadLeaf for Coins {
    fn read_leaf(
        reader: &mut Reader<'_>,
        mark: u8,
        known: &[Item<'_>],
        scope: Scope<'_>,
    ) -> Result<(Hash, Node<Self>), ProofError> {
        let id = *scope.ok_or(ProofError::Malformed)?;
        let (key, outpoint, amount) = if mark == KNOWN {
            let item = read_known(reader, known)?;
            let (outpoint, output) = item.op.coin();
            (item.position.coin, *outpoint, output.amount)
        } else {
            let (outpoint, amount) = reader.coin().ok_or(ProofError::Malformed)?;
            (coin_key(&outpoint), outpoint, amount)
        };
        let coin = Coin::new(id, key, outpoint, amount).ok_or(ProofError::Overflow)?;
        Ok((key, build(vec![coin], 0).ok_or(ProofError::Overflow)?))
    }
}

fn read_known<'a, 'b>(reader: &mut Reader<'_>, known: &'a [Item<'b>]) -> Result<&'a Item<'b>, ProofError> {
    let at = reader.byte().ok_or(ProofError::Malformed)?;
    known.get(usize::from(at)).ok_or(ProofError::Malformed)
}

/// The part of sorted changes that is one owner's.
fn items_of<'a, 'b>(items: &'a [Item<'b>], owner_key: &Hash) -> &'a [Item<'b>] {
    let from = items.partition_point(|item| item.position.owner < *owner_key);
    let (_, own) = items.split_at(from);
    own.split_at(own.partition_point(|item| item.position.owner == *owner_key)).0
}

/// Splits sorted changes by the bit below `depth`.
fn split_items<'a, 'b, L: Level>(items: &'a [Item<'b>], depth: u16) -> (&'a [Item<'b>], &'a [Item<'b>]) {
    items.split_at(items.partition_point(|item| !bit(L::key(&item.position), depth)))
}

/// Reads the subtree at `prefix`; the changes are those below it.
fn read<L: ReadLeaf>(
    reader: &mut Reader<'_>,
    prefix: Prefix,
    known: &[Item<'_>],
    scope: Scope<'_>,
) -> Result<Node<L>, ProofError> {
    match reader.byte().ok_or(ProofError::Malformed)? {
        EMPTY => Ok(Node::EMPTY),
        BRANCH if prefix.bits() < DEPTH_MAX => {
            let (left, right) = split_items::<L>(known, prefix.bits());
            let left: Node<L> = read(reader, prefix.child(false), left, scope)?;
            let right = read(reader, prefix.child(true), right, scope)?;
            // As `Node::join` leaves it: never nothing, never a leaf alone.
            let alone = left.count() == 0 && right.is_leaf() || right.count() == 0 && left.is_leaf();
            if alone || left.count() == 0 && right.count() == 0 {
                return Err(ProofError::Malformed);
            }
            Node::branch(left, right).ok_or(ProofError::Overflow)
        }
        mark @ (LEAF | KNOWN) => {
            let (key, leaf) = L::read_leaf(reader, mark, known, scope)?;
            if prefix.covers(&key) { Ok(leaf) } else { Err(ProofError::Malformed) }
        }
        COINS => read_coins(reader, &prefix, scope),
        mark => Ok(Node::stub(reader.summary(mark).ok_or(ProofError::Malformed)?)),
    }
}

#[inline(never)]
fn read_coins<L: Level>(
    reader: &mut Reader<'_>,
    prefix: &Prefix,
    scope: Scope<'_>,
) -> Result<Node<L>, ProofError> {
    let mut coins = Vec::new();
    let runs = reader.u16().filter(|runs| *runs > 0).ok_or(ProofError::Malformed)?;
    for _ in 0..runs {
        read_run(reader, &mut coins).ok_or(ProofError::Malformed)?;
    }
    place_coins(&coins, prefix, scope).ok_or(ProofError::Malformed)
}

/// Writes a subtree that nothing below is needed of.
pub(super) fn write_whole(out: &mut Vec<u8>, summary: &Summary) {
    if summary.count == 0 { out.push(EMPTY) } else { write_summary(out, summary) }
}

/// Writes the subtree at `prefix` as far as the changes, those below it, touch it.
fn write_touched<L: Level>(
    out: &mut Vec<u8>,
    view: View<'_, L>,
    prefix: Prefix,
    items: &[Item<'_>],
    scope: Option<&Hash>,
) -> Result<(), TreeError> {
    if items.is_empty() {
        write_whole(out, &view.summary(prefix.bits()));
        return Ok(());
    }
    match view.top(prefix.bits()) {
        Top::Empty => out.push(EMPTY),
        Top::Stub(stub) => return Err(TreeError::Missing(PageKey::new(scope, prefix, stub.count))),
        Top::Leaf(leaf) => write_leaf(out, leaf, items)?,
        Top::Branch(left, right) => {
            out.push(BRANCH);
            let (left_items, right_items) = split_items::<L>(items, prefix.bits());
            let sides = [(left, left_items, right, right_items), (right, right_items, left, left_items)];
            for (on_right, (side, own, other, others)) in [false, true].into_iter().zip(sides) {
                let alone = own.is_empty() && may_empty(other.count(), others);
                let prefix = prefix.child(on_right);
                if L::HOLDS_MANY && alone && side.count() > 1 {
                    write_opened(out, side, prefix, scope)?;
                } else {
                    write_touched(out, side, prefix, own, scope)?;
                }
            }
        }
    }
    Ok(())
}

/// Whether the changes may leave nothing of a subtree.
fn may_empty(count: u64, items: &[Item<'_>]) -> bool {
    let removals = items.iter().filter(|item| matches!(item.op, Op::Remove(..))).count() as u64;
    removals > 0 && removals >= count
}

/// Writes a subtree so that a leaf can be told from a branch.
#[inline(never)]
fn write_opened<L: Level>(
    out: &mut Vec<u8>,
    view: View<'_, L>,
    prefix: Prefix,
    scope: Option<&Hash>,
) -> Result<(), TreeError> {
    match view.top(prefix.bits()) {
        Top::Branch(left, right) => {
            out.push(BRANCH);
            write_whole(out, &left.summary(prefix.bits() + 1));
            write_whole(out, &right.summary(prefix.bits() + 1));
            Ok(())
        }
        Top::Leaf(leaf) => write_leaf(out, leaf, &[]),
        Top::Empty | Top::Stub(_) => Err(TreeError::Missing(PageKey::new(scope, prefix, view.count()))),
    }
}

#[inline(never)]
fn write_leaf(out: &mut Vec<u8>, leaf: Leaf<'_>, items: &[Item<'_>]) -> Result<(), TreeError> {
    match leaf {
        Leaf::Owner(id, coins) => {
            let known = items.iter().position(|item| item.position.owner == id.key);
            if !write_known(out, known) {
                out.push(LEAF);
                out.extend_from_slice(id.owner.as_bytes());
            }
            write_touched(out, coins, Prefix::ROOT, items_of(items, &id.key), Some(&id.key))?;
        }
        Leaf::Coin(coin) => {
            let same = |item: &Item<'_>| {
                let (outpoint, output) = item.op.coin();
                *outpoint == coin.outpoint && output.amount == coin.amount
            };
            if !write_known(out, items.iter().position(same)) {
                out.push(LEAF);
                write_coin(out, &coin.outpoint, coin.amount);
            }
        }
    }
    Ok(())
}

fn write_known(out: &mut Vec<u8>, known: Option<usize>) -> bool {
    let Some(at) = known.and_then(|at| u8::try_from(at).ok()) else { return false };
    out.extend([KNOWN, at]);
    true
}
