//! Coins as the tree holds them, their keys and hashes, and what tells the two levels apart.
//!
//! A leaf hash does not depend on the depth the leaf sits at, so neighbours come and go without touching it.
//! The key is bound through what it is the hash of.
//!
//! What is hashed is filled up with zero bytes to whole blocks of the hash, so that many can be hashed at once.

use core::cmp::Ordering;
use core::convert::Infallible;
use std::sync::Arc;

use super::key::{Position, bit};
use super::node::{LIST_COINS, Node, OwnerNode, Summary};
use super::view::{Leaf, View};
use crate::amount::Amount;
use crate::hash::{Hash, Owner, Tag};
use crate::transaction::{OutPoint, Output};

const OWNER_KEY: Tag = Tag::new("timecoin owner key");
const COIN_KEY: Tag = Tag::new("timecoin coin key");
const OWNER_LEAF: Tag = Tag::new("timecoin owner leaf");
const COIN_LEAF: Tag = Tag::new("timecoin coin leaf");

/// Bytes of one block of the hash, and of two.
const ONE: usize = 64;
pub(super) const TWO: usize = 128;

/// These bytes, then zeros.
fn filled<const N: usize>(pieces: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut rest = &mut bytes[..];
    for piece in pieces {
        let (place, after) = rest.split_at_mut(piece.len());
        place.copy_from_slice(piece);
        rest = after;
    }
    bytes
}

/// The position of an owner in the upper tree.
#[must_use]
pub(super) fn owner_key(owner: &Owner) -> Hash {
    #[cfg(test)]
    if let Some(key) = chosen_key(owner.as_bytes(), 0) {
        return key;
    }
    OWNER_KEY.hash(&[&filled::<ONE>(&[owner.as_bytes()])])
}

/// The position of a coin in its owner's lower tree.
#[must_use]
pub(super) fn coin_key(outpoint: &OutPoint) -> Hash {
    #[cfg(test)]
    if let Some(key) = chosen_key(outpoint.txid.as_bytes(), outpoint.index) {
        return key;
    }
    COIN_KEY.hash(&[&filled::<ONE>(&[&outpoint.to_bytes()])])
}

/// The positions of many coins, those of one owner mostly next to each other.
pub(super) fn positions<'a>(
    coins: impl ExactSizeIterator<Item = (&'a Owner, &'a OutPoint)>,
) -> Vec<Position> {
    let count = coins.len();
    let (mut owners, mut outpoints): (Vec<[u8; ONE]>, Vec<[u8; ONE]>) = (Vec::new(), Vec::new());
    let mut owner_at = Vec::with_capacity(count);
    let mut last = None;
    outpoints.reserve(count);
    #[cfg(test)]
    let mut chosen = Vec::new();
    for (owner, outpoint) in coins {
        if last.replace(owner) != Some(owner) {
            owners.push(filled(&[owner.as_bytes()]));
        }
        owner_at.push(owners.len() - 1);
        outpoints.push(filled(&[&outpoint.to_bytes()]));
        #[cfg(test)]
        chosen.push((chosen_key(owner.as_bytes(), 0), chosen_key(outpoint.txid.as_bytes(), outpoint.index)));
    }
    let (mut owner_keys, mut coin_keys) = (vec![Hash::ZERO; owners.len()], vec![Hash::ZERO; count]);
    OWNER_KEY.hash_each(&owners, |at, key| put(&mut owner_keys, at, key));
    COIN_KEY.hash_each(&outpoints, |at, key| put(&mut coin_keys, at, key));
    let owner = |at: usize| owner_keys.get(at).copied().unwrap_or_default();
    let position = |(at, coin)| Position { owner: owner(at), coin };
    let found = owner_at.into_iter().zip(coin_keys).map(position);
    #[cfg(test)]
    let found = found.zip(chosen).map(|(found, (owner, coin))| Position {
        owner: owner.unwrap_or(found.owner),
        coin: coin.unwrap_or(found.coin),
    });
    found.collect()
}

pub(super) fn put(hashes: &mut [Hash], at: usize, hash: Hash) {
    if let Some(place) = hashes.get_mut(at) {
        *place = hash;
    }
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
    OWNER_LEAF.hash(&[&owner_leaf(owner, coins)])
}

fn owner_leaf(owner: &Owner, coins: &Summary) -> [u8; TWO] {
    filled(&[owner.as_bytes(), &coins.to_bytes()])
}

fn coin_leaf(outpoint: &OutPoint, amount: Amount) -> [u8; ONE] {
    filled(&[&outpoint.to_bytes(), &amount.0.to_le_bytes()])
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

/// The hash of a coin's leaf, and the hash of its owner's leaf while the owner has nothing else.
#[derive(Clone, Copy, Default)]
pub(super) struct LeafHashes {
    pub(super) coin: Hash,
    pub(super) owner: Hash,
}

/// The hashes of many new coins, all at once.
pub(super) fn leaf_hashes(coins: &[(&OutPoint, &Output)]) -> Vec<LeafHashes> {
    let mut found = vec![LeafHashes::default(); coins.len()];
    let leaves: Vec<[u8; ONE]> =
        coins.iter().map(|(outpoint, output)| coin_leaf(outpoint, output.amount)).collect();
    COIN_LEAF.hash_each(&leaves, |at, hash| {
        if let Some(found) = found.get_mut(at) {
            found.coin = hash;
        }
    });
    let owner = |((_, output), hashes): (&(&OutPoint, &Output), &LeafHashes)| {
        let Output { amount: sum, owner } = **output;
        owner_leaf(&owner, &Summary { hash: hashes.coin, sum, count: 1 })
    };
    let leaves: Vec<[u8; TWO]> = coins.iter().zip(&found).map(owner).collect();
    OWNER_LEAF.hash_each(&leaves, |at, hash| {
        if let Some(found) = found.get_mut(at) {
            found.owner = hash;
        }
    });
    found
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
    /// On the first coin of an owner in a list of the upper tree: the hash of the owner's leaf. Zero until computed.
    pub(super) owner_hash: Hash,
}

impl Coin {
    /// `None` where the amount alone reaches the supply limit.
    pub(super) fn new(id: OwnerId, key: Hash, outpoint: OutPoint, amount: Amount) -> Option<Self> {
        let hash = COIN_LEAF.hash(&[&coin_leaf(&outpoint, amount)]);
        Self::hashed(id, key, outpoint, amount, LeafHashes { coin: hash, owner: Hash::ZERO })
    }

    /// As [`Coin::new`], with the hashes of its leaf and of an owner who has nothing else.
    pub(super) fn hashed(
        id: OwnerId,
        key: Hash,
        outpoint: OutPoint,
        amount: Amount,
        hashes: LeafHashes,
    ) -> Option<Self> {
        let amount = Amount::ZERO.checked_add(amount)?;
        Some(Self { id, key, outpoint, amount, hash: hashes.coin, owner_hash: hashes.owner })
    }

    pub(super) fn position(&self) -> Position {
        Position { owner: self.id.key, coin: self.key }
    }

    /// Its place compared with another.
    pub(super) fn cmp_position(&self, other: &Position) -> Ordering {
        self.id.key.cmp(&other.owner).then_with(|| self.key.cmp(&other.coin))
    }

    pub(super) fn output(&self) -> Output {
        Output { amount: self.amount, owner: self.id.owner }
    }

    /// Reads a little of every 64 bytes of it. What it gives means nothing.
    pub(super) fn touch(&self) -> u64 {
        let [key, .., hash] = self.key.0;
        self.amount.0 ^ u64::from(self.id.key.0[0] ^ key ^ hash ^ self.owner_hash.0[31])
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
    /// A leaf that is not within a list, if this level has such.
    type Large;

    /// This level's key of a position.
    fn key(position: &Position) -> &Hash;
    /// This level's key of a coin.
    fn coin_key(coin: &Coin) -> &Hash;
    /// Whether these coins, not none, are one leaf.
    fn is_leaf(coins: &[Coin]) -> bool;
    /// Computes what [`Level::leaf_summary`] needs of leaves that fit a list.
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
            if run.first()?.owner_hash == Hash::ZERO && run.len() as u64 <= LIST_COINS {
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
