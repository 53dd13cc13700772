//! Positions in the tree: bits of a key, prefixes, the names of stored rows, and the order of coins.

use core::cmp::Ordering;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::coin::{coin_key, owner_key};
use super::rows::{BAND_LEVELS, PAGE_COINS};
use crate::hash::{Hash, Owner};
use crate::transaction::OutPoint;

/// Bits in a key: no leaf is deeper.
pub(super) const DEPTH_MAX: u16 = 256;

/// The bit of `key` that chooses the side below `depth`, most significant first; `true` is right.
pub(super) fn bit(key: &Hash, depth: u16) -> bool {
    key.0.get(usize::from(depth / 8)).is_some_and(|byte| byte >> (7 - depth % 8) & 1 == 1)
}

/// The first bits of a key. The bits beyond are zero, so it is also the smallest key below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefix {
    path: Hash,
    bits: u16,
}

impl Prefix {
    /// The whole tree.
    pub(super) const ROOT: Self = Self { path: Hash::ZERO, bits: 0 };

    /// The first `bits` bits of `key`.
    pub(super) fn of(key: &Hash, bits: u16) -> Self {
        let mut path = *key;
        for (at, byte) in (0u16..).zip(&mut path.0) {
            let kept = bits.saturating_sub(8 * at).min(8);
            *byte &= !0xFFu8.checked_shr(u32::from(kept)).unwrap_or(0);
        }
        Self { path, bits }
    }

    /// One bit further.
    pub(super) fn child(mut self, right: bool) -> Self {
        if let (true, Some(byte)) = (right, self.path.0.get_mut(usize::from(self.bits / 8))) {
            *byte |= 0x80 >> (self.bits % 8);
        }
        self.bits += 1;
        self
    }

    /// Where the band begins that this place is in.
    pub(super) fn band(&self) -> Self {
        Self::of(&self.path, self.bits - self.bits % BAND_LEVELS)
    }

    pub(super) const fn bits(&self) -> u16 {
        self.bits
    }

    /// The smallest key below.
    pub(super) const fn first(&self) -> &Hash {
        &self.path
    }

    /// The largest key below.
    pub(super) fn last(&self) -> Hash {
        let mut last = self.path;
        for (at, byte) in (0u16..).zip(&mut last.0) {
            let kept = self.bits.saturating_sub(8 * at).min(8);
            *byte |= 0xFFu8.checked_shr(u32::from(kept)).unwrap_or(0);
        }
        last
    }

    pub(super) fn covers(&self, key: &Hash) -> bool {
        Self::of(key, self.bits) == *self
    }

    fn to_bytes(self) -> [u8; 34] {
        let mut bytes = [0; 34];
        bytes[..32].copy_from_slice(&self.path.0);
        bytes[32..].copy_from_slice(&self.bits.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; 34]) -> Option<Self> {
        let (path, bits) = bytes.split_first_chunk()?;
        let (path, bits) = (Hash(*path), u16::from_be_bytes(*bits.first_chunk()?));
        (bits <= DEPTH_MAX && Self::of(&path, bits).path == path).then_some(Self { path, bits })
    }
}

/// Names one stored row of the tree.
///
/// A *page* holds all coins of a largest subtree with at most 16 coins; a *band* holds up to four levels of
/// branches above pages. As bytes, all bands come first, every band after those above it. Then all pages in
/// the tree's key order, those of one owner next to each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PageKey {
    page: bool,
    owner: Option<Hash>,
    prefix: Prefix,
}

const BAND: u8 = 0;
const PAGE: u8 = 1;
/// Between owner key and coin prefix: sorts an owner's tree as if it hung below the owner's full key.
const BELOW_OWNER: [u8; 2] = DEPTH_MAX.to_be_bytes();

impl PageKey {
    /// The row that begins at this subtree; its count of coins tells page from band.
    pub(super) fn new(scope: Option<&Hash>, prefix: Prefix, count: u64) -> Self {
        Self { page: count <= PAGE_COINS, owner: scope.copied(), prefix }
    }

    /// Whether the row holds coins, not branches.
    #[must_use]
    pub const fn is_page(&self) -> bool {
        self.page
    }

    /// Where what the row holds begins.
    #[must_use]
    pub fn begins(&self) -> Position {
        Position::range(self.owner.as_ref(), &self.prefix).0
    }

    pub(super) const fn owner(&self) -> Option<&Hash> {
        self.owner.as_ref()
    }

    pub(super) const fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The row key in a byte-ordered table.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(69);
        bytes.push(if self.page { PAGE } else { BAND });
        if let Some(owner) = &self.owner {
            bytes.extend_from_slice(&owner.0);
            bytes.extend_from_slice(&BELOW_OWNER);
        }
        bytes.extend_from_slice(&self.prefix.to_bytes());
        bytes
    }

    /// Reads a row key; `None` if no row has it.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        let page = match kind {
            BAND => false,
            PAGE => true,
            _ => return None,
        };
        let (owner, prefix) = match rest.len() {
            34 => (None, rest),
            68 => {
                let (owner, below) = rest.split_first_chunk()?;
                (Some(Hash(*owner)), below.strip_prefix(&BELOW_OWNER)?)
            }
            _ => return None,
        };
        Some(Self { page, owner, prefix: Prefix::from_bytes(prefix.first_chunk()?)? })
    }

    /// The bytes every band begins with and no page does: scanned at start.
    pub const BANDS: [u8; 1] = [BAND];
    /// The bytes every page begins with and no band does: scanned for all coins.
    pub const PAGES: [u8; 1] = [PAGE];
}

impl Ord for PageKey {
    /// The order of the bytes.
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |key: &Self| match key.owner {
            None => (key.page, key.prefix.path, key.prefix.bits, None),
            Some(owner) => (key.page, owner, DEPTH_MAX, Some(key.prefix)),
        };
        rank(self).cmp(&rank(other))
    }
}

impl PartialOrd for PageKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.page { "page " } else { "band " })?;
        if let Some(owner) = &self.owner {
            write!(f, "{owner}:")?;
        }
        let digits = usize::from(self.prefix.bits.div_ceil(8));
        self.prefix.path.0.iter().take(digits).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "/{}", self.prefix.bits)
    }
}

/// A place in the order of all coins: by owner key, then by coin key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub(super) owner: Hash,
    pub(super) coin: Hash,
}

impl Position {
    /// Before every coin.
    pub const START: Self = Self { owner: Hash::ZERO, coin: Hash::ZERO };

    /// The place of a coin.
    #[must_use]
    pub fn of(owner: &Owner, outpoint: &OutPoint) -> Self {
        Self { owner: owner_key(owner), coin: coin_key(outpoint) }
    }

    /// Before every coin of `owner`, after every coin of owners before.
    #[must_use]
    pub fn of_owner(owner: &Owner) -> Self {
        Self { owner: owner_key(owner), coin: Hash::ZERO }
    }

    /// The next place; `None` after the last.
    pub(super) fn successor(mut self) -> Option<Self> {
        let bytes = self.coin.0.iter_mut().rev().chain(self.owner.0.iter_mut().rev());
        for byte in bytes {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                return Some(self);
            }
        }
        None
    }

    /// The first place at or below a subtree, and the last.
    pub(super) fn range(scope: Option<&Hash>, prefix: &Prefix) -> (Self, Self) {
        match scope {
            None => (
                Self { owner: *prefix.first(), coin: Hash::ZERO },
                Self { owner: prefix.last(), coin: Hash([0xFF; 32]) },
            ),
            Some(owner) => {
                (Self { owner: *owner, coin: *prefix.first() }, Self { owner: *owner, coin: prefix.last() })
            }
        }
    }
}
