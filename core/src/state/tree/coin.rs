//! Coins as the tree holds them, their keys and hashes, and what tells the two levels apart.
//!
//! A leaf hash does not depend on the depth the leaf sits at, so neighbours come and go without touching it.
//! The key is bound through what it is the hash of.

use core::convert::Infallible;
use std::sync::Arc;

use super::key::{Position, bit};
use super::node::{Node, OwnerNode, Summary};
use super::view::{Leaf, View};
use crate::amount::Amount;
use crate::hash::{Hash, Owner, Tag};
use crate::transaction::{OutPoint, Output};

/// The position of an owner in the upper tree.
#[must_use]
pub(super) fn owner_key(owner: &Owner) -> Hash {
    const KEY: Tag = Tag::new("timecoin owner key");
    #[cfg(test)]
    if let Some(key) = chosen_key(owner.as_bytes(), 0) {
        return key;
    }
    KEY.hash(&[owner.as_bytes()])
}

/// The position of a coin in its owner's lower tree.
#[must_use]
pub(super) fn coin_key(outpoint: &OutPoint) -> Hash {
    const KEY: Tag = Tag::new("timecoin coin key");
    #[cfg(test)]
    if let Some(key) = chosen_key(outpoint.txid.as_bytes(), outpoint.index) {
        return key;
    }
    KEY.hash(&[&outpoint.to_bytes()])
}

/// Tests choose keys, to share long prefixes: an id that begins with eight `0xEE` is its own key.
#[cfg(test)]
fn chosen_key(id: &[u8; 32], index: u32) -> Option<Hash> {
    let mut key = *id;
    key[28..].iter_mut().zip(index.to_be_bytes()).for_each(|(byte, index)| *byte ^= index);
    id.starts_with(&[0xEE; 8]).then_some(Hash(key))
}

/// The hash of an upper leaf: an owner and the summary of the owner's tree.
pub(super) fn owner_leaf_hash(owner: &Owner, coins: &Summary) -> Hash {
    const LEAF: Tag = Tag::new("timecoin owner leaf");
    let mut bytes = [0; 80];
    bytes[..32].copy_from_slice(owner.as_bytes());
    bytes[32..].copy_from_slice(&coins.to_bytes());
    LEAF.hash(&[&bytes])
}

/// An owner and where the owner is in the upper tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct OwnerId {
    pub(super) key: Hash,
    pub(super) owner: Owner,
}

impl OwnerId {
    pub(super) fn of(owner: &Owner) -> Self {
        Self { key: owner_key(owner), owner: *owner }
    }
}

/// An unspent coin with the hashes that are needed of it again and again.
#[derive(Clone, Copy)]
pub(super) struct Coin {
    pub(super) id: OwnerId,
    pub(super) key: Hash,
    pub(super) outpoint: OutPoint,
    pub(super) amount: Amount,
    /// The hash of the lower leaf.
    hash: Hash,
    /// On the first coin of an owner in a page of the upper tree: the hash of the owner's leaf. Zero until computed.
    pub(super) owner_hash: Hash,
}

impl Coin {
    /// `None` where the amount alone reaches the supply limit.
    pub(super) fn new(id: OwnerId, key: Hash, outpoint: OutPoint, amount: Amount) -> Option<Self> {
        const LEAF: Tag = Tag::new("timecoin coin leaf");
        let amount = Amount::ZERO.checked_add(amount)?;
        let mut bytes = [0; 44];
        bytes[..36].copy_from_slice(&outpoint.to_bytes());
        bytes[36..].copy_from_slice(&amount.0.to_le_bytes());
        Some(Self { id, key, outpoint, amount, hash: LEAF.hash(&[&bytes]), owner_hash: Hash::ZERO })
    }

    pub(super) fn position(&self) -> Position {
        Position { owner: self.id.key, coin: self.key }
    }

    pub(super) fn output(&self) -> Output {
        Output { amount: self.amount, owner: self.id.owner }
    }

    /// The summary of the lower leaf.
    pub(super) fn summary(&self) -> Summary {
        Summary { hash: self.hash, sum: self.amount, count: 1 }
    }
}

/// One of the two levels of the tree.
pub(super) trait Level: Sized {
    /// The domain of this level's branches.
    const BRANCH: Tag;
    /// Whether one leaf may hold more than one coin, so that a count above 1 does not tell leaf from branch.
    const HOLDS_MANY: bool;
    /// A leaf that is not within a page, if this level has such.
    type Large;

    /// This level's key of a position.
    fn key(position: &Position) -> &Hash;
    /// This level's key of a coin.
    fn coin_key(coin: &Coin) -> &Hash;
    /// Whether these coins, not none, are one leaf.
    fn is_leaf(coins: &[Coin]) -> bool;
    /// Computes what [`Level::leaf_summary`] needs.
    fn prepare(coins: &mut [Coin]) -> Option<()>;
    /// The summary of the leaf these prepared coins are.
    fn leaf_summary(coins: &[Coin]) -> Summary;
    /// The leaf these coins are, of which `first` is the first.
    fn leaf<'a>(first: &'a Coin, coins: &'a [Coin]) -> Leaf<'a>;
    /// The owner a large leaf is.
    fn owner(large: &Self::Large) -> &OwnerNode;
    /// The coins of a large leaf, for change; the leaf is copied if it is shared.
    fn coins_mut(large: &mut Arc<Self::Large>) -> Option<&mut Node<Coins>>;
    /// The large leaf an owner is, at the level that has them.
    fn large(owner: OwnerNode) -> Option<Arc<Self::Large>>;
}

/// The upper level: owners.
pub(super) enum Owners {}

/// The lower level: the coins of one owner.
pub(super) enum Coins {}

impl Level for Owners {
    const BRANCH: Tag = Tag::new("timecoin owner branch");
    const HOLDS_MANY: bool = true;
    type Large = OwnerNode;

    fn key(position: &Position) -> &Hash {
        &position.owner
    }

    fn coin_key(coin: &Coin) -> &Hash {
        &coin.id.key
    }

    fn is_leaf(coins: &[Coin]) -> bool {
        coins.first().map(Self::coin_key) == coins.last().map(Self::coin_key)
    }

    fn prepare(coins: &mut [Coin]) -> Option<()> {
        for run in coins.chunk_by_mut(|a, b| a.id.key == b.id.key) {
            if run.first()?.owner_hash == Hash::ZERO {
                let lower = summarize::<Coins>(run, 0)?;
                let first = run.first_mut()?;
                first.owner_hash = owner_leaf_hash(&first.id.owner, &lower);
            }
        }
        Some(())
    }

    fn leaf_summary(coins: &[Coin]) -> Summary {
        let hash = coins.first().map_or(Hash::ZERO, |first| first.owner_hash);
        // Computing the hash has shown that the sum is in range.
        let sum = Amount(coins.iter().map(|coin| coin.amount.0).sum());
        Summary { hash, sum, count: coins.len() as u64 }
    }

    fn leaf<'a>(first: &'a Coin, coins: &'a [Coin]) -> Leaf<'a> {
        Leaf::Owner(&first.id, View::Coins(coins))
    }

    fn owner(large: &OwnerNode) -> &OwnerNode {
        large
    }

    fn coins_mut(large: &mut Arc<OwnerNode>) -> Option<&mut Node<Coins>> {
        Some(&mut Arc::make_mut(large).coins)
    }

    fn large(owner: OwnerNode) -> Option<Arc<OwnerNode>> {
        Some(Arc::new(owner))
    }
}

impl Level for Coins {
    const BRANCH: Tag = Tag::new("timecoin coin branch");
    const HOLDS_MANY: bool = false;
    type Large = Infallible;

    fn key(position: &Position) -> &Hash {
        &position.coin
    }

    fn coin_key(coin: &Coin) -> &Hash {
        &coin.key
    }

    fn is_leaf(coins: &[Coin]) -> bool {
        coins.len() == 1
    }

    fn prepare(_: &mut [Coin]) -> Option<()> {
        Some(())
    }

    fn leaf_summary(coins: &[Coin]) -> Summary {
        coins.first().map_or(Summary::EMPTY, Coin::summary)
    }

    fn leaf<'a>(first: &'a Coin, _: &'a [Coin]) -> Leaf<'a> {
        Leaf::Coin(first)
    }

    fn owner(large: &Infallible) -> &OwnerNode {
        match *large {}
    }

    fn coins_mut(large: &mut Arc<Infallible>) -> Option<&mut Node<Coins>> {
        match **large {}
    }

    fn large(_: OwnerNode) -> Option<Arc<Infallible>> {
        None
    }
}

/// Splits sorted coins by the bit below `depth`.
pub(super) fn split<L: Level>(coins: &[Coin], depth: u16) -> (&[Coin], &[Coin]) {
    coins.split_at(coins.partition_point(|coin| !bit(L::coin_key(coin), depth)))
}

/// The summary of the subtree at `depth` that these sorted and prepared coins are. `None` on overflow.
pub(super) fn summarize<L: Level>(coins: &[Coin], depth: u16) -> Option<Summary> {
    if coins.is_empty() {
        return Some(Summary::EMPTY);
    }
    if L::is_leaf(coins) {
        return Some(L::leaf_summary(coins));
    }
    let (left, right) = split::<L>(coins, depth);
    let left = summarize::<L>(left, depth + 1)?;
    Summary::join(&L::BRANCH, &left, &summarize::<L>(right, depth + 1)?)
}

/// The subtree at `depth` of sorted coins, all below it. `None` on overflow.
pub(super) fn build<L: Level>(mut coins: Vec<Coin>, depth: u16) -> Option<Node<L>> {
    if coins.len() as u64 <= super::PAGE_COINS {
        return build_page(&mut coins, depth);
    }
    if L::is_leaf(&coins) {
        let id = coins.first()?.id;
        return Node::owner(OwnerNode { id, coins: build::<Coins>(coins, 0)? });
    }
    let right = coins.split_off(coins.partition_point(|coin| !bit(L::coin_key(coin), depth)));
    Node::branch(build(coins, depth + 1)?, build(right, depth + 1)?)
}

/// As [`build`], of no more coins than fit a page.
pub(super) fn build_page<L: Level>(coins: &mut [Coin], depth: u16) -> Option<Node<L>> {
    L::prepare(coins)?;
    let summary = summarize::<L>(coins, depth)?;
    Some(Node::page(summary, Arc::from(&*coins)))
}
