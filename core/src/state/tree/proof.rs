//! Proofs about one coin or one owner, checked against a root's [`Summary`].
//!
//! Who verifies knows the summary, from a header or by rebuilding it. A path lists the side not taken at every
//! branch from the root down; empty sides cost one bit. A leaf that is not there is proved absent by what is
//! at the end of its path: nothing, or another leaf alone.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::coin::{Coin, Coins, Level, OwnerId, Owners, coin_key, owner_key, owner_leaf_hash};
use super::key::{DEPTH_MAX, PageKey, Prefix, bit};
use super::node::Summary;
use super::rows::place_coins;
use super::view::{Leaf, Top, View};
use super::wire::{Packed, Reader, write_summary};
use super::{CoinTree, TreeError, missing};
use crate::amount::Amount;
use crate::codec::Wire;
use crate::hash::{Hash, Owner};
use crate::transaction::{OutPoint, Output};

/// The most coins [`OwnerCoinsProof`] lists; an owner with more is read in [chunks](super::Chunk).
pub const OWNER_COINS_MAX: u64 = 32_768;

/// Why a proof does not prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The proof is not in the one form it can have.
    #[error("the proof is malformed")]
    Malformed,
    /// Amounts add up to the supply limit or beyond, or counts wrap.
    #[error("the proof's sums are impossible")]
    Overflow,
    /// The proof leads to another root.
    #[error("the proof leads to another root")]
    RootMismatch,
    /// The proof is not about what is asked.
    #[error("the proof is about something else")]
    OffTopic,
}

/// The sides not taken from the root down; the last is not empty, or the leaf would sit higher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(Vec<Summary>);

impl Path {
    const SIZE_MAX: usize = 8 + 2 + 32 + DEPTH_MAX as usize * (1 + 32 + 8 + 8);

    /// A forged copy.
    #[cfg(test)]
    pub(super) fn with_sides(&self, forge: impl FnMut(&mut Summary)) -> Self {
        let mut path = self.clone();
        path.0.iter_mut().for_each(forge);
        path
    }

    /// How deep the path leads.
    fn depth(&self) -> u16 {
        u16::try_from(self.0.len()).unwrap_or(u16::MAX)
    }

    /// The root above `end`, which is at the end of the path of `key`.
    fn climb<L: Level>(&self, key: &Hash, end: Summary) -> Result<Summary, ProofError> {
        if self.0.last().is_some_and(|side| side.count == 0) || self.depth() > DEPTH_MAX {
            return Err(ProofError::Malformed);
        }
        let mut below = end;
        for (depth, side) in (0..self.depth()).zip(&self.0).rev() {
            let (left, right) = if bit(key, depth) { (side, &below) } else { (&below, side) };
            below = Summary::join(&L::BRANCH, left, right).ok_or(ProofError::Overflow)?;
        }
        Ok(below)
    }

    /// Depth, one bit per side from the most significant on, the sides that are not empty.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.depth().to_le_bytes().to_vec();
        let bit = |(at, side): (usize, &Summary)| if side.count > 0 { 0x80 >> at } else { 0 };
        bytes.extend(self.0.chunks(8).map(|sides| sides.iter().enumerate().map(bit).sum::<u8>()));
        let present = self.0.iter().filter(|side| side.count > 0);
        present.for_each(|side| write_summary(&mut bytes, side));
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let depth = reader.u16().filter(|depth| *depth <= DEPTH_MAX)?;
        let mut bitmap = Hash::ZERO;
        let present = reader.take(usize::from(depth.div_ceil(8)))?;
        bitmap.0.get_mut(..present.len())?.copy_from_slice(present);
        if Prefix::of(&bitmap, depth).first() != &bitmap {
            return None;
        }
        let mut sides = Vec::new();
        for at in 0..depth {
            sides.push(if bit(&bitmap, at) {
                let mark = reader.byte()?;
                reader.summary(mark)?
            } else {
                Summary::EMPTY
            });
        }
        reader.is_done().then_some(Self(sides))
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Packed(self.to_bytes()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Packed(bytes) = Packed::deserialize(deserializer)?;
        Self::from_bytes(&bytes).ok_or_else(|| D::Error::custom("malformed path"))
    }
}

/// Proves that a coin is unspent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinProof {
    /// The coin.
    pub outpoint: OutPoint,
    /// Its amount and owner.
    pub output: Output,
    /// Through the owner's coins.
    pub lower: Path,
    /// Through the owners.
    pub upper: Path,
}

impl CoinProof {
    /// Checks that the coin is in the tree with this root.
    pub fn verify(&self, root: &Summary) -> Result<(), ProofError> {
        let owner = &self.output.owner;
        let leaf = coin_summary(&self.outpoint, self.output.amount)?;
        let lower = self.lower.climb::<Coins>(&coin_key(&self.outpoint), leaf)?;
        expect_root(self.upper.climb::<Owners>(&owner_key(owner), owner_summary(owner, &lower))?, root)
    }
}

/// What is at the end of an owner's path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnerPlace {
    /// The owner, with this tree of coins: its sum is the whole balance.
    Here(Summary),
    /// Nothing: the owner has no coins.
    Empty,
    /// Another owner alone, so this one has no coins.
    Other {
        /// That owner.
        owner: Owner,
        /// That owner's tree.
        coins: Summary,
    },
}

/// Proves everything an owner has: the balance and the number of coins, none left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerProof {
    /// Whose balance.
    pub owner: Owner,
    /// What the tree holds for the owner.
    pub place: OwnerPlace,
    /// Through the owners.
    pub path: Path,
}

impl OwnerProof {
    /// The summary of all the owner's coins in the tree with this root; empty if there are none.
    pub fn verify(&self, root: &Summary) -> Result<Summary, ProofError> {
        let key = owner_key(&self.owner);
        let (coins, end) = match &self.place {
            OwnerPlace::Here(coins) if coins.count > 0 => (*coins, owner_summary(&self.owner, coins)),
            OwnerPlace::Empty => (Summary::EMPTY, Summary::EMPTY),
            OwnerPlace::Other { owner, coins } if coins.count > 0 => {
                check_other(&key, &owner_key(owner), &self.path)?;
                (Summary::EMPTY, owner_summary(owner, coins))
            }
            OwnerPlace::Here(_) | OwnerPlace::Other { .. } => return Err(ProofError::Malformed),
        };
        expect_root(self.path.climb::<Owners>(&key, end)?, root)?;
        Ok(coins)
    }
}

/// Another coin, alone where the one asked for would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherCoin {
    /// That coin.
    pub outpoint: OutPoint,
    /// Its amount.
    pub amount: Amount,
}

/// Proves that a coin is not among an owner's unspent coins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsenceProof {
    /// The coin.
    pub outpoint: OutPoint,
    /// The owner's tree.
    pub owner: OwnerProof,
    /// What is where the coin would be in the owner's tree.
    pub other: Option<OtherCoin>,
    /// Through the owner's coins; unused (empty) if the owner has none.
    pub lower: Path,
}

impl AbsenceProof {
    /// Checks that the owner has no such coin in the tree with this root.
    pub fn verify(&self, root: &Summary) -> Result<(), ProofError> {
        let coins = self.owner.verify(root)?;
        let key = coin_key(&self.outpoint);
        let end = match &self.other {
            None => Summary::EMPTY,
            Some(other) => {
                check_other(&key, &coin_key(&other.outpoint), &self.lower)?;
                coin_summary(&other.outpoint, other.amount)?
            }
        };
        expect_root(self.lower.climb::<Coins>(&key, end)?, &coins)
    }
}

/// Proves an owner's balance and lists every coin it is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerCoinsProof {
    /// The owner's tree.
    pub owner: OwnerProof,
    /// Its coins, in the tree's order.
    pub coins: Vec<(OutPoint, Amount)>,
}

impl OwnerCoinsProof {
    /// Checks that these are all the owner's coins, and gives their sum and count.
    pub fn verify(&self, root: &Summary) -> Result<Summary, ProofError> {
        let summary = self.owner.verify(root)?;
        if self.coins.len() as u64 != summary.count || summary.count > OWNER_COINS_MAX {
            return Err(ProofError::Malformed);
        }
        let owner = self.owner.owner;
        let coins: Vec<(OutPoint, Output)> =
            self.coins.iter().map(|&(outpoint, amount)| (outpoint, Output { amount, owner })).collect();
        let tree = place_coins::<Coins>(&coins, &Prefix::ROOT, Some(&OwnerId::of(&owner)));
        expect_root(tree.ok_or(ProofError::Malformed)?.summary(), &summary)?;
        Ok(summary)
    }
}

impl Wire for CoinProof {
    const SIZE_MAX: usize = 36 + 40 + 2 * Path::SIZE_MAX;
}

impl Wire for OwnerProof {
    const SIZE_MAX: usize = 32 + 4 + 80 + Path::SIZE_MAX;
}

impl Wire for AbsenceProof {
    const SIZE_MAX: usize = 36 + OwnerProof::SIZE_MAX + 1 + 44 + Path::SIZE_MAX;
}

impl Wire for OwnerCoinsProof {
    const SIZE_MAX: usize = OwnerProof::SIZE_MAX + 8 + OWNER_COINS_MAX as usize * 44;
}

fn coin_summary(outpoint: &OutPoint, amount: Amount) -> Result<Summary, ProofError> {
    // The owner plays no part in the lower leaf.
    let id = OwnerId { key: Hash::ZERO, owner: Owner::default() };
    let coin = Coin::new(id, coin_key(outpoint), *outpoint, amount).ok_or(ProofError::Overflow)?;
    Ok(coin.summary())
}

fn owner_summary(owner: &Owner, coins: &Summary) -> Summary {
    Summary { hash: owner_leaf_hash(owner, coins), ..*coins }
}

/// Another leaf proves absence if it is alone on the path of `key` and not at `key` itself.
fn check_other(key: &Hash, other: &Hash, path: &Path) -> Result<(), ProofError> {
    let on_path = Prefix::of(key, path.depth()).covers(other);
    if on_path && key != other { Ok(()) } else { Err(ProofError::OffTopic) }
}

fn expect_root(reached: Summary, root: &Summary) -> Result<(), ProofError> {
    if reached.sum >= Amount::SUPPLY_LIMIT {
        return Err(ProofError::Overflow);
    }
    if reached == *root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

impl CoinTree {
    /// Proves that `owner` has the unspent coin; `None` if not. Needs what [`CoinTree::missing`] names.
    pub fn prove_coin(&self, owner: &Owner, outpoint: &OutPoint) -> Result<Option<CoinProof>, TreeError> {
        let Some(output) = self.coin(owner, outpoint)? else { return Ok(None) };
        let (_, upper) = self.owner_path(owner)?;
        let (_, lower) = self.coin_path(owner, outpoint)?;
        Ok(Some(CoinProof { outpoint: *outpoint, output, lower, upper }))
    }

    /// Proves that `owner` has no such coin; `None` if the coin is there. Needs what [`CoinTree::missing`] names.
    pub fn prove_absence(
        &self,
        owner: &Owner,
        outpoint: &OutPoint,
    ) -> Result<Option<AbsenceProof>, TreeError> {
        if self.coin(owner, outpoint)?.is_some() {
            return Ok(None);
        }
        let (end, lower) = self.coin_path(owner, outpoint)?;
        let other = match end {
            Some(Leaf::Coin(coin)) => Some(OtherCoin { outpoint: coin.outpoint, amount: coin.amount }),
            _ => None,
        };
        Ok(Some(AbsenceProof { outpoint: *outpoint, owner: self.prove_owner(owner)?, other, lower }))
    }

    /// Proves all `owner` has. Needs what [`CoinTree::missing_balance`] names.
    pub fn prove_owner(&self, owner: &Owner) -> Result<OwnerProof, TreeError> {
        let (end, path) = self.owner_path(owner)?;
        let place = match end {
            Some(Leaf::Owner(id, coins)) if id.owner == *owner => OwnerPlace::Here(coins.summary(0)),
            Some(Leaf::Owner(id, coins)) => OwnerPlace::Other { owner: id.owner, coins: coins.summary(0) },
            _ => OwnerPlace::Empty,
        };
        Ok(OwnerProof { owner: *owner, place, path })
    }

    /// Proves all `owner` has, coin by coin; `None` if that is more than [`OWNER_COINS_MAX`]. Needs what
    /// [`CoinTree::missing_coins`] names.
    pub fn prove_owner_coins(&self, owner: &Owner) -> Result<Option<OwnerCoinsProof>, TreeError> {
        let proof = self.prove_owner(owner)?;
        if self.balance(owner)?.count > OWNER_COINS_MAX {
            return Ok(None);
        }
        let coins = self.owner_coins(owner)?;
        Ok(Some(OwnerCoinsProof { owner: proof, coins }))
    }

    /// All coins of `owner`, in the tree's order. Needs what [`CoinTree::missing_coins`] names.
    pub fn owner_coins(&self, owner: &Owner) -> Result<Vec<(OutPoint, Amount)>, TreeError> {
        let key = owner_key(owner);
        let Some(view) = self.coins_of(&key)? else { return Ok(Vec::new()) };
        let Some(coins) = view.coins() else {
            let missing = self.missing_coins(owner).first().copied();
            let whole = PageKey::new(Some(&key), Prefix::ROOT, view.count());
            return Err(TreeError::Missing(missing.unwrap_or(whole)));
        };
        Ok(coins.iter().map(|coin| (coin.outpoint, coin.amount)).collect())
    }

    /// The path of an owner and the leaf at its end.
    fn owner_path(&self, owner: &Owner) -> Result<(Option<Leaf<'_>>, Path), TreeError> {
        path_to(View::Node(&self.root), &owner_key(owner), None)
    }

    /// The path of a coin in its owner's tree and the leaf at its end.
    fn coin_path(&self, owner: &Owner, outpoint: &OutPoint) -> Result<(Option<Leaf<'_>>, Path), TreeError> {
        let key = owner_key(owner);
        match self.coins_of(&key)? {
            Some(coins) => path_to(coins, &coin_key(outpoint), Some(&key)),
            None => Ok((None, Path::default())),
        }
    }
}

fn path_to<'a, L: Level>(
    tree: View<'a, L>,
    key: &Hash,
    scope: Option<&Hash>,
) -> Result<(Option<Leaf<'a>>, Path), TreeError> {
    let mut path = Path::default();
    match tree.descend(key, |side, depth| path.0.push(side.summary(depth))) {
        (Top::Stub(summary), depth) => Err(missing(scope, key, depth, &summary)),
        (Top::Leaf(leaf), _) => Ok((Some(leaf), path)),
        (Top::Empty | Top::Branch(..), _) => Ok((None, path)),
    }
}
