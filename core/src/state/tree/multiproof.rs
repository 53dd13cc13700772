//! The part of the tree a block touches, in one proof: enough to check what it spends and to apply it.
//!
//! The tree in depth-first order. Off the paths of the block's coins everything is a summary, except that a
//! sibling left alone by removals is opened one level: whether it is a leaf decides if it moves up. Coins the
//! block itself names are not repeated, so both sides need the same changes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::key::{DEPTH_MAX, PageKey, Prefix, bit};
use super::leaf::{CoinLeaf, Content, Leaf, OwnerId, OwnerLeaf, coin_key};
use super::node::{Node, Summary};
use super::proof::ProofError;
use super::rows::{Level, Scope};
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
        write_touched(&mut bytes, &tree.root, Prefix::ROOT, &sorted(ops), None)?;
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

/// What reading and writing parts needs to know of a level.
pub(super) trait Part: Level {
    fn key_of_item<'a>(item: &'a Item<'_>) -> &'a Hash;
    /// Reads what follows [`LEAF`] or [`KNOWN`].
    fn read_part(reader: &mut Reader<'_>, mark: u8, known: &[Item<'_>]) -> Result<Arc<Self>, ProofError>;
}

impl Part for OwnerLeaf {
    fn key_of_item<'a>(item: &'a Item<'_>) -> &'a Hash {
        &item.owner_key
    }

    fn read_part(reader: &mut Reader<'_>, mark: u8, known: &[Item<'_>]) -> Result<Arc<Self>, ProofError> {
        let id = if mark == KNOWN {
            let item = read_known(reader, known)?;
            OwnerId { key: item.owner_key, owner: item.op.coin().1.owner }
        } else {
            OwnerId::of(&reader.owner().ok_or(ProofError::Malformed)?)
        };
        let coins = read(reader, Prefix::ROOT, items_of(known, &id.key), Some(&id))?;
        Self::new(id, coins).ok_or(ProofError::Malformed)
    }
}

impl Part for CoinLeaf {
    fn key_of_item<'a>(item: &'a Item<'_>) -> &'a Hash {
        &item.coin_key
    }

    fn read_part(reader: &mut Reader<'_>, mark: u8, known: &[Item<'_>]) -> Result<Arc<Self>, ProofError> {
        let leaf = if mark == KNOWN {
            let item = read_known(reader, known)?;
            let (outpoint, output) = item.op.coin();
            Self::new(item.coin_key, *outpoint, output.amount)
        } else {
            let (outpoint, amount) = reader.coin().ok_or(ProofError::Malformed)?;
            Self::new(coin_key(&outpoint), outpoint, amount)
        };
        leaf.map(Arc::new).ok_or(ProofError::Overflow)
    }
}

fn read_known<'a, 'b>(reader: &mut Reader<'_>, known: &'a [Item<'b>]) -> Result<&'a Item<'b>, ProofError> {
    let at = reader.byte().ok_or(ProofError::Malformed)?;
    known.get(usize::from(at)).ok_or(ProofError::Malformed)
}

/// The part of sorted changes that is one owner's.
fn items_of<'a, 'b>(items: &'a [Item<'b>], owner_key: &Hash) -> &'a [Item<'b>] {
    let from = items.partition_point(|item| item.owner_key < *owner_key);
    let (_, own) = items.split_at(from);
    own.split_at(own.partition_point(|item| item.owner_key == *owner_key)).0
}

/// Reads the subtree at `prefix`; the changes are those below it.
fn read<L: Part>(
    reader: &mut Reader<'_>,
    prefix: Prefix,
    known: &[Item<'_>],
    scope: Scope<'_>,
) -> Result<Node<L>, ProofError> {
    match reader.byte().ok_or(ProofError::Malformed)? {
        EMPTY => Ok(Node::Empty),
        BRANCH if prefix.bits() < DEPTH_MAX => {
            let split = known.partition_point(|item| !bit(L::key_of_item(item), prefix.bits()));
            let (left, right) = known.split_at(split);
            let left = read(reader, prefix.child(false), left, scope)?;
            let right = read(reader, prefix.child(true), right, scope)?;
            join_read(left, right)
        }
        mark @ (LEAF | KNOWN) => {
            let leaf = L::read_part(reader, mark, known)?;
            prefix.covers(leaf.key()).then_some(Node::Leaf(leaf)).ok_or(ProofError::Malformed)
        }
        COINS => read_coins(reader, &prefix, scope),
        mark => Ok(Node::Stub(reader.summary(mark).ok_or(ProofError::Malformed)?)),
    }
}

/// A branch as read: it has the form [`Node::join`] gives it.
fn join_read<L: Leaf>(left: Node<L>, right: Node<L>) -> Result<Node<L>, ProofError> {
    match (&left, &right) {
        (Node::Empty, Node::Empty | Node::Leaf(_)) | (Node::Leaf(_), Node::Empty) => {
            return Err(ProofError::Malformed);
        }
        _ => {}
    }
    Node::branch(left, right).ok_or(ProofError::Overflow)
}

#[inline(never)]
fn read_coins<L: Part>(
    reader: &mut Reader<'_>,
    prefix: &Prefix,
    scope: Scope<'_>,
) -> Result<Node<L>, ProofError> {
    let mut coins = Vec::new();
    let runs = reader.u16().filter(|runs| *runs > 0).ok_or(ProofError::Malformed)?;
    for _ in 0..runs {
        read_run(reader, &mut coins).ok_or(ProofError::Malformed)?;
    }
    L::build(&coins, prefix, scope).ok_or(ProofError::Malformed)
}

/// Writes a subtree that nothing below is needed of.
pub(super) fn write_whole(out: &mut Vec<u8>, summary: &Summary) {
    if summary.count == 0 { out.push(EMPTY) } else { write_summary(out, summary) }
}

/// Writes the subtree at `prefix` as far as the changes, those below it, touch it.
fn write_touched<L: Part>(
    out: &mut Vec<u8>,
    node: &Node<L>,
    prefix: Prefix,
    items: &[Item<'_>],
    scope: Option<&Hash>,
) -> Result<(), TreeError> {
    match node {
        _ if items.is_empty() => write_whole(out, &node.summary()),
        Node::Empty => out.push(EMPTY),
        Node::Stub(summary) => return Err(TreeError::Missing(PageKey::new(scope, prefix, summary.count))),
        Node::Leaf(leaf) => write_leaf(out, leaf.content(), items)?,
        Node::Branch(branch) => {
            out.push(BRANCH);
            let split = items.partition_point(|item| !bit(L::key_of_item(item), prefix.bits()));
            let (left, right) = items.split_at(split);
            for (on_right, own, others) in [(false, left, right), (true, right, left)] {
                let (side, other) = branch.sides(on_right);
                if own.is_empty() && L::HOLDS_MANY && may_empty(other, others) && side.count() > 1 {
                    write_opened(out, side, prefix.child(on_right), scope)?;
                } else {
                    write_touched(out, side, prefix.child(on_right), own, scope)?;
                }
            }
        }
    }
    Ok(())
}

/// Whether the changes may leave nothing of this subtree.
fn may_empty<L: Leaf>(node: &Node<L>, items: &[Item<'_>]) -> bool {
    let removals = items.iter().filter(|item| matches!(item.op, Op::Remove(..))).count() as u64;
    removals > 0 && removals >= node.count()
}

/// Writes a subtree so that a leaf can be told from a branch.
fn write_opened<L: Part>(
    out: &mut Vec<u8>,
    node: &Node<L>,
    prefix: Prefix,
    scope: Option<&Hash>,
) -> Result<(), TreeError> {
    match node {
        Node::Branch(branch) => {
            out.push(BRANCH);
            write_whole(out, &branch.left.summary());
            write_whole(out, &branch.right.summary());
            Ok(())
        }
        Node::Leaf(leaf) => write_leaf(out, leaf.content(), &[]),
        Node::Empty | Node::Stub(_) => Err(TreeError::Missing(PageKey::new(scope, prefix, node.count()))),
    }
}

#[inline(never)]
fn write_leaf(out: &mut Vec<u8>, leaf: Content<'_>, items: &[Item<'_>]) -> Result<(), TreeError> {
    match leaf {
        Content::Owner(owner) => {
            let known = items.iter().position(|item| item.owner_key == owner.id.key);
            if !write_known(out, known) {
                out.push(LEAF);
                out.extend_from_slice(owner.id.owner.as_bytes());
            }
            let own = items_of(items, &owner.id.key);
            write_touched(out, &owner.coins, Prefix::ROOT, own, Some(&owner.id.key))?;
        }
        Content::Coin(coin) => {
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
