//! The leaves of both levels, their keys and their hashes.
//!
//! A leaf hash does not depend on the depth the leaf sits at, so neighbours come and go without touching it.
//! The key is bound through what it is the hash of.

use std::sync::Arc;

use super::node::{Node, Summary};
use crate::amount::Amount;
use crate::hash::{Hash, Owner, Tag};
use crate::transaction::{OutPoint, Output};

/// What the two levels have in common.
pub(super) trait Leaf: Sized {
    /// The domain of this level's branches.
    const BRANCH: Tag;
    /// Whether one leaf may hold more than one coin, so that a count above 1 does not tell leaf from branch.
    const HOLDS_MANY: bool;

    fn key(&self) -> &Hash;
    fn summary(&self) -> Summary;
    fn content(&self) -> Content<'_>;
}

/// Which level a leaf belongs to.
pub(super) enum Content<'a> {
    Owner(&'a OwnerLeaf),
    Coin(&'a CoinLeaf),
}

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

/// A coin in its owner's tree.
pub(super) struct CoinLeaf {
    pub(super) key: Hash,
    pub(super) outpoint: OutPoint,
    pub(super) amount: Amount,
    hash: Hash,
}

impl CoinLeaf {
    /// `None` where the amount alone reaches the supply limit.
    pub(super) fn new(key: Hash, outpoint: OutPoint, amount: Amount) -> Option<Self> {
        const LEAF: Tag = Tag::new("timecoin coin leaf");
        let amount = Amount::ZERO.checked_add(amount)?;
        let mut bytes = [0; 44];
        bytes[..36].copy_from_slice(&outpoint.to_bytes());
        bytes[36..].copy_from_slice(&amount.0.to_le_bytes());
        Some(Self { key, outpoint, amount, hash: LEAF.hash(&[&bytes]) })
    }

    pub(super) fn coin(&self, owner: &Owner) -> (OutPoint, Output) {
        (self.outpoint, Output { amount: self.amount, owner: *owner })
    }
}

impl Leaf for CoinLeaf {
    const BRANCH: Tag = Tag::new("timecoin coin branch");
    const HOLDS_MANY: bool = false;

    fn key(&self) -> &Hash {
        &self.key
    }

    fn summary(&self) -> Summary {
        Summary { hash: self.hash, sum: self.amount, count: 1 }
    }

    fn content(&self) -> Content<'_> {
        Content::Coin(self)
    }
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

/// An owner with at least one coin.
#[derive(Clone)]
pub(super) struct OwnerLeaf {
    pub(super) id: OwnerId,
    pub(super) coins: Node<CoinLeaf>,
    hash: Hash,
}

impl OwnerLeaf {
    /// `None` without coins: such an owner has no leaf.
    pub(super) fn new(id: OwnerId, coins: Node<CoinLeaf>) -> Option<Arc<Self>> {
        let lower = coins.summary();
        (lower.count > 0).then(|| Arc::new(Self { id, coins, hash: owner_leaf_hash(&id.owner, &lower) }))
    }
}

/// The hash of an upper leaf: an owner and the summary of the owner's tree.
pub(super) fn owner_leaf_hash(owner: &Owner, lower: &Summary) -> Hash {
    const LEAF: Tag = Tag::new("timecoin owner leaf");
    let mut bytes = [0; 80];
    bytes[..32].copy_from_slice(owner.as_bytes());
    bytes[32..].copy_from_slice(&lower.to_bytes());
    LEAF.hash(&[&bytes])
}

impl Leaf for OwnerLeaf {
    const BRANCH: Tag = Tag::new("timecoin owner branch");
    const HOLDS_MANY: bool = true;

    fn key(&self) -> &Hash {
        &self.id.key
    }

    fn summary(&self) -> Summary {
        Summary { hash: self.hash, ..self.coins.summary() }
    }

    fn content(&self) -> Content<'_> {
        Content::Owner(self)
    }
}
