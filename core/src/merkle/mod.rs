//! Append-only Merkle logs after RFC 6962, generic over the hash.
//!
//! The tree over `n > 1` leaves splits at the largest power of two below `n`. So every log is a row of full
//! subtrees, largest first (its *peaks*), and a node `(level, index)`, the full subtree over the leaves
//! `index << level .. (index + 1) << level`, never changes once it is complete: storage keeps those.
//!
//! * [`root`] of a known list, [`Frontier`] for a log that grows.
//! * [`InclusionProof`], [`ConsistencyProof`]: built from leaves or from stored nodes, verified exactly.
//!
//! A root does not commit to its size: the size a proof names must come from where the root came from (a
//! header gives both). What is no concern of this module: what a leaf means, and where nodes are stored.

mod proof;

use serde::{Deserialize, Serialize};

pub use proof::{BuildError, ConsistencyProof, InclusionProof, PATH_LENGTH_MAX, ProofError};

use crate::codec::Wire;
use crate::hash::{Hash, Tag};

/// The most leaves a log may have.
pub const LOG_SIZE_MAX: u64 = 1 << 63;

/// The hash of a log: leaves and nodes must never collide (RFC 6962, section 2.1).
pub trait LogHash {
    /// The hash of a leaf's content.
    fn leaf(data: &[u8]) -> Hash;
    /// The hash over two subtrees.
    fn node(left: &Hash, right: &Hash) -> Hash;
    /// The root of the empty log.
    fn empty() -> Hash;
}

/// The chain's logs: BLAKE3 under one domain tag per role, in place of RFC 6962's prefix bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blake {}

impl LogHash for Blake {
    fn leaf(data: &[u8]) -> Hash {
        const LEAF: Tag = Tag::new("timecoin log leaf");
        LEAF.hash(&[data])
    }

    fn node(left: &Hash, right: &Hash) -> Hash {
        const NODE: Tag = Tag::new("timecoin log node");
        let mut pair = [0; 64];
        let (low, high) = pair.split_at_mut(32);
        low.copy_from_slice(&left.0);
        high.copy_from_slice(&right.0);
        NODE.hash(&[&pair])
    }

    fn empty() -> Hash {
        const EMPTY: Tag = Tag::new("timecoin log empty");
        EMPTY.hash(&[])
    }
}

/// Where a full subtree is: `(level, index)` covers the leaves `index << level .. (index + 1) << level`.
pub type NodeKey = (u32, u64);

/// The root of a log with these leaf hashes.
pub fn root<H: LogHash>(leaves: impl IntoIterator<Item = Hash>) -> Hash {
    let mut frontier = Frontier::default();
    leaves.into_iter().for_each(|leaf| frontier.append::<H>(leaf));
    frontier.root::<H>()
}

/// All that is needed to append to a log: its size and its peaks, at most 64 hashes.
///
/// Invariant: one peak per set bit of the size, largest subtree first; kept by decoding too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedFrontier")]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// How many leaves the log has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the full subtrees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends a leaf hash.
    ///
    /// # Panics
    /// If the log already has [`LOG_SIZE_MAX`] leaves.
    pub fn append<H: LogHash>(&mut self, leaf: Hash) {
        let mut full = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak per set bit of the size");
            full = H::node(&left, &full);
        }
        assert!(self.size < LOG_SIZE_MAX, "log size stays below 2^63");
        self.peaks.push(full);
        self.size += 1;
    }

    /// The nodes that appending `leaf` completes, lowest first, for a store to keep. The first is the leaf.
    #[must_use]
    pub fn appended_nodes<H: LogHash>(&self, leaf: Hash) -> Vec<(NodeKey, Hash)> {
        let mut nodes = vec![((0, self.size), leaf)];
        let mut full = leaf;
        for (level, left) in (1..=self.size.trailing_ones()).zip(self.peaks.iter().rev()) {
            full = H::node(left, &full);
            nodes.push(((level, self.size >> level), full));
        }
        nodes
    }

    /// The root of the log.
    #[must_use]
    pub fn root<H: LogHash>(&self) -> Hash {
        join_peaks::<H>(&self.peaks).unwrap_or_else(H::empty)
    }
}

impl Wire for Frontier {
    const SIZE_MAX: usize = 8 + 8 + 64 * 32;
}

/// A frontier as it arrives, before its invariant is checked.
#[derive(Deserialize)]
struct UncheckedFrontier {
    size: u64,
    peaks: Vec<Hash>,
}

/// The number of peaks does not fit the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a log of {size} leaves with {peaks} peaks")]
pub struct FrontierError {
    /// The size claimed.
    pub size: u64,
    /// How many peaks came with it.
    pub peaks: usize,
}

impl TryFrom<UncheckedFrontier> for Frontier {
    type Error = FrontierError;

    fn try_from(UncheckedFrontier { size, peaks }: UncheckedFrontier) -> Result<Self, FrontierError> {
        if size > LOG_SIZE_MAX || peaks.len() != size.count_ones() as usize {
            return Err(FrontierError { size, peaks: peaks.len() });
        }
        Ok(Self { size, peaks })
    }
}

/// The root over a row of full subtrees, largest first; `None` for an empty row.
fn join_peaks<H: LogHash>(peaks: &[Hash]) -> Option<Hash> {
    let (last, rest) = peaks.split_last()?;
    Some(rest.iter().rev().fold(*last, |right, left| H::node(left, &right)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::codec::{CodecError, decode, encode};

    pub(super) fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|at| Blake::leaf(&at.to_le_bytes())).collect()
    }

    /// RFC 6962, section 2.1, word for word.
    fn definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Blake::empty(),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                Blake::node(&definition(&leaves[..split]), &definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn roots_follow_the_definition() {
        let leaves = leaves(130);
        let mut frontier = Frontier::default();
        for size in 0..leaves.len() {
            assert_eq!(frontier.root::<Blake>(), definition(&leaves[..size]), "size {size}");
            assert_eq!(
                root::<Blake>(leaves[..size].iter().copied()),
                definition(&leaves[..size]),
                "size {size}"
            );
            assert_eq!(frontier.size(), size as u64);
            frontier.append::<Blake>(leaves[size]);
        }
    }

    #[test]
    fn appended_nodes_are_exactly_the_full_subtrees() {
        let leaves = leaves(100);
        let (mut frontier, mut stored) = (Frontier::default(), BTreeMap::new());
        for leaf in &leaves {
            for (key, hash) in frontier.appended_nodes::<Blake>(*leaf) {
                assert_eq!(stored.insert(key, hash), None, "a node is completed once: {key:?}");
            }
            frontier.append::<Blake>(*leaf);
        }
        for ((level, index), hash) in &stored {
            let range = (index << level) as usize..((index + 1) << level) as usize;
            assert_eq!(*hash, definition(&leaves[range]), "{level} {index}");
        }
        let full: usize = (0..7).map(|level| leaves.len() >> level).sum();
        assert_eq!(stored.len(), full);
    }

    #[test]
    fn leaf_node_and_empty_are_distinct() {
        let pair = [[1; 32], [2; 32]];
        assert_ne!(Blake::leaf(pair.as_flattened()), Blake::node(&Hash(pair[0]), &Hash(pair[1])));
        assert_ne!(Blake::leaf(&[]), Blake::empty());
    }

    #[test]
    fn a_frontier_survives_the_codec_and_a_damaged_one_is_refused() {
        let mut frontier = Frontier::default();
        leaves(11).into_iter().for_each(|leaf| frontier.append::<Blake>(leaf));
        let bytes = encode(&frontier);
        assert_eq!(decode::<Frontier>(&bytes), Ok(frontier));
        for size in [0u64, 3, 12, 15, u64::MAX] {
            let damaged = [&size.to_le_bytes()[..], &bytes[8..]].concat();
            assert_eq!(decode::<Frontier>(&damaged), Err(CodecError::Malformed), "size {size}");
        }
    }
}
