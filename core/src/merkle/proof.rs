//! Inclusion and consistency proofs (RFC 6962, sections 2.1.1 and 2.1.2).
//!
//! Builder and verifier walk the same list of sibling subtrees, so a path of any other length is refused.

use serde::{Deserialize, Serialize};

use super::{LOG_SIZE_MAX, LogHash, NodeKey, join_peaks, root};
use crate::codec::Wire;
use crate::hash::Hash;

/// The most hashes a path can have.
pub const PATH_LENGTH_MAX: usize = 64;

/// Why a proof does not prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index or the old size is not inside the log, or the log is larger than allowed.
    #[error("the proof names a position outside the log")]
    OutOfRange,
    /// The path has another length than the positions demand.
    #[error("the path has {found} hashes where {expected} are needed")]
    PathLength {
        /// Hashes needed.
        expected: usize,
        /// Hashes in the proof.
        found: usize,
    },
    /// The path leads to another root.
    #[error("the path leads to another root")]
    RootMismatch,
}

/// Why a proof cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The index or the old size is not inside the log.
    #[error("the position asked for is outside the log")]
    OutOfRange,
    /// The reader does not have this full subtree.
    #[error("log node {0:?} is missing")]
    MissingNode(NodeKey),
}

/// Proves that a leaf is at `index` in the log of `size` leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InclusionProof {
    /// The leaf's position, from 0.
    pub index: u64,
    /// Leaves in the log.
    pub size: u64,
    /// Sibling subtrees from the leaf up.
    pub path: Vec<Hash>,
}

impl InclusionProof {
    /// Checks that `leaf` (a leaf hash) is in the log with this root. The caller knows `size` to be the root's.
    pub fn verify<H: LogHash>(&self, root: &Hash, leaf: &Hash) -> Result<(), ProofError> {
        let siblings = inclusion_siblings(self.index, self.size).ok_or(ProofError::OutOfRange)?;
        check_length(&self.path, siblings.len())?;
        let climb = |hash, (sibling, other): (&Subtree, &Hash)| match sibling.side {
            Side::Left => H::node(other, &hash),
            Side::Right => H::node(&hash, other),
        };
        let reached = siblings.iter().zip(&self.path).fold(*leaf, climb);
        if reached == *root { Ok(()) } else { Err(ProofError::RootMismatch) }
    }

    /// On which side each sibling stands, lowest first: a set bit for the left. With the path this says all that
    /// the root binds; `None` outside the log.
    #[must_use]
    pub fn left_siblings(&self) -> Option<u64> {
        let siblings = inclusion_siblings(self.index, self.size)?;
        let lefts = (0..).zip(&siblings).filter(|(_, sibling)| matches!(sibling.side, Side::Left));
        Some(lefts.fold(0, |bits, (level, _)| bits | 1u64 << level))
    }

    /// Proves `leaves[index]` in the log of all `leaves`; `None` if there is no such leaf.
    #[must_use]
    pub fn from_leaves<H: LogHash>(leaves: &[Hash], index: u64) -> Option<Self> {
        let size = leaves.len() as u64;
        let siblings = inclusion_siblings(index, size)?;
        Some(Self { index, size, path: path_from_leaves::<H>(leaves, &siblings)? })
    }

    /// Proves the leaf at `index` from stored full subtrees.
    pub fn from_nodes<H: LogHash>(
        index: u64,
        size: u64,
        node: impl FnMut(NodeKey) -> Option<Hash>,
    ) -> Result<Self, BuildError> {
        let siblings = inclusion_siblings(index, size).ok_or(BuildError::OutOfRange)?;
        Ok(Self { index, size, path: path_from_nodes::<H>(&siblings, node)? })
    }

    /// The full subtrees [`InclusionProof::from_nodes`] will read, so that they can be loaded first; `None` outside the log.
    #[must_use]
    pub fn reads(index: u64, size: u64) -> Option<Vec<NodeKey>> {
        Some(inclusion_siblings(index, size)?.iter().flat_map(Subtree::peaks).collect())
    }
}

impl Wire for InclusionProof {
    const SIZE_MAX: usize = 8 + 8 + 8 + PATH_LENGTH_MAX * 32;
}

/// Proves that the log of `new_size` leaves begins with the log of `old_size` leaves.
///
/// Every log begins with the empty one, so an old size of 0 proves nothing and is refused, except between two empty logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistencyProof {
    /// Leaves in the older log.
    pub old_size: u64,
    /// Leaves in the newer log.
    pub new_size: u64,
    /// Subtrees from the deepest up.
    pub path: Vec<Hash>,
}

impl ConsistencyProof {
    /// Checks that the log with `new_root` extends the log with `old_root`. The caller knows both sizes to be the roots'.
    pub fn verify<H: LogHash>(&self, old_root: &Hash, new_root: &Hash) -> Result<(), ProofError> {
        let route = ConsistencyRoute::new(self.old_size, self.new_size).ok_or(ProofError::OutOfRange)?;
        check_length(&self.path, route.path_length())?;
        let (seed, path) = match self.path.split_first() {
            Some((seed, rest)) if route.seed.is_some() => (seed, rest),
            _ => (old_root, &self.path[..]),
        };
        let (mut old, mut new) = (*seed, *seed);
        for (sibling, hash) in route.siblings.iter().zip(path) {
            match sibling.side {
                Side::Left => (old, new) = (H::node(hash, &old), H::node(hash, &new)),
                Side::Right => new = H::node(&new, hash),
            }
        }
        let empty_log_is_empty = self.new_size > 0 || *new_root == H::empty();
        if old == *old_root && new == *new_root && empty_log_is_empty {
            Ok(())
        } else {
            Err(ProofError::RootMismatch)
        }
    }

    /// Proves that `leaves` extends its first `old_size` entries; `None` if it has fewer, or for an old size of 0.
    #[must_use]
    pub fn from_leaves<H: LogHash>(leaves: &[Hash], old_size: u64) -> Option<Self> {
        let new_size = leaves.len() as u64;
        let subtrees = ConsistencyRoute::new(old_size, new_size)?.into_subtrees();
        Some(Self { old_size, new_size, path: path_from_leaves::<H>(leaves, &subtrees)? })
    }

    /// Proves the extension from stored full subtrees.
    pub fn from_nodes<H: LogHash>(
        old_size: u64,
        new_size: u64,
        node: impl FnMut(NodeKey) -> Option<Hash>,
    ) -> Result<Self, BuildError> {
        let route = ConsistencyRoute::new(old_size, new_size).ok_or(BuildError::OutOfRange)?;
        Ok(Self { old_size, new_size, path: path_from_nodes::<H>(&route.into_subtrees(), node)? })
    }

    /// The full subtrees [`ConsistencyProof::from_nodes`] will read, so that they can be loaded first; `None` where no proof exists.
    #[must_use]
    pub fn reads(old_size: u64, new_size: u64) -> Option<Vec<NodeKey>> {
        let subtrees = ConsistencyRoute::new(old_size, new_size)?.into_subtrees();
        Some(subtrees.iter().flat_map(Subtree::peaks).collect())
    }
}

impl Wire for ConsistencyProof {
    const SIZE_MAX: usize = 8 + 8 + 8 + PATH_LENGTH_MAX * 32;
}

/// On which side of the climbing hash a sibling stands.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// A subtree over the leaves `start..end`; only the rightmost of a log is not full.
struct Subtree {
    start: u64,
    end: u64,
    side: Side,
}

impl Subtree {
    /// The full subtrees it consists of, largest first. `start` is a multiple of the largest.
    fn peaks(&self) -> Vec<NodeKey> {
        let (mut start, mut peaks) = (self.start, Vec::new());
        while let Some(level) = (self.end - start).checked_ilog2() {
            peaks.push((level, start >> level));
            start += 1 << level;
        }
        peaks
    }
}

/// Where the tree over `start..end` splits: after the largest power of two below its size, which is at least 2.
fn split(start: u64, end: u64) -> u64 {
    start + (1 << (end - start - 1).ilog2())
}

/// The siblings on the way from a leaf to the root (RFC 6962 `PATH`); `None` outside the log.
fn inclusion_siblings(index: u64, size: u64) -> Option<Vec<Subtree>> {
    if index >= size || size > LOG_SIZE_MAX {
        return None;
    }
    let (mut start, mut end, mut siblings) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = split(start, end);
        if index < middle {
            siblings.push(Subtree { start: middle, end, side: Side::Right });
            end = middle;
        } else {
            siblings.push(Subtree { start, end: middle, side: Side::Left });
            start = middle;
        }
    }
    siblings.reverse();
    Some(siblings)
}

/// The subtrees of a consistency proof (RFC 6962 `SUBPROOF`).
struct ConsistencyRoute {
    /// The subtree where the old log ends; `None` where that is the whole old log, whose root the verifier has.
    seed: Option<Subtree>,
    /// The siblings from there to the new root.
    siblings: Vec<Subtree>,
}

impl ConsistencyRoute {
    fn new(old_size: u64, new_size: u64) -> Option<Self> {
        if old_size > new_size || new_size > LOG_SIZE_MAX || (old_size == 0 && new_size > 0) {
            return None;
        }
        let (mut start, mut end, mut siblings) = (0, new_size, Vec::new());
        while end != old_size {
            let middle = split(start, end);
            if old_size <= middle {
                siblings.push(Subtree { start: middle, end, side: Side::Right });
                end = middle;
            } else {
                siblings.push(Subtree { start, end: middle, side: Side::Left });
                start = middle;
            }
        }
        siblings.reverse();
        let seed = (start > 0).then_some(Subtree { start, end, side: Side::Right });
        Some(Self { seed, siblings })
    }

    fn path_length(&self) -> usize {
        self.siblings.len() + usize::from(self.seed.is_some())
    }

    fn into_subtrees(self) -> Vec<Subtree> {
        self.seed.into_iter().chain(self.siblings).collect()
    }
}

fn check_length(path: &[Hash], expected: usize) -> Result<(), ProofError> {
    let found = path.len();
    if found == expected { Ok(()) } else { Err(ProofError::PathLength { expected, found }) }
}

fn path_from_leaves<H: LogHash>(leaves: &[Hash], subtrees: &[Subtree]) -> Option<Vec<Hash>> {
    let range = |tree: &Subtree| Some(usize::try_from(tree.start).ok()?..usize::try_from(tree.end).ok()?);
    subtrees.iter().map(|tree| Some(root::<H>(leaves.get(range(tree)?)?.iter().copied()))).collect()
}

fn path_from_nodes<H: LogHash>(
    subtrees: &[Subtree],
    mut node: impl FnMut(NodeKey) -> Option<Hash>,
) -> Result<Vec<Hash>, BuildError> {
    let mut read = |key| node(key).ok_or(BuildError::MissingNode(key));
    let mut path = Vec::with_capacity(subtrees.len());
    for tree in subtrees {
        let peaks = tree.peaks().into_iter().map(&mut read).collect::<Result<Vec<_>, _>>()?;
        path.push(join_peaks::<H>(&peaks).unwrap_or_else(H::empty));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::tests::leaves;
    use super::super::{Blake, Frontier};
    use super::*;
    use crate::codec::{decode, encode};

    const SIZE: u64 = 40;

    fn stored(leaves: &[Hash]) -> BTreeMap<NodeKey, Hash> {
        let (mut frontier, mut nodes) = (Frontier::default(), BTreeMap::new());
        for leaf in leaves {
            nodes.extend(frontier.appended_nodes::<Blake>(*leaf));
            frontier.append::<Blake>(*leaf);
        }
        nodes
    }

    #[test]
    fn every_leaf_of_every_size_is_proved_from_leaves_and_from_nodes() {
        let all = leaves(SIZE);
        let nodes = stored(&all);
        for size in 1..=SIZE {
            let log = &all[..size as usize];
            let root = root::<Blake>(log.iter().copied());
            for index in 0..size {
                let proof = InclusionProof::from_leaves::<Blake>(log, index).unwrap();
                assert_eq!(proof.verify::<Blake>(&root, &all[index as usize]), Ok(()), "{index} in {size}");
                let read = |key| nodes.get(&key).copied();
                assert_eq!(InclusionProof::from_nodes::<Blake>(index, size, read), Ok(proof.clone()));
                assert_eq!(decode(&encode(&proof)), Ok(proof.clone()));
                let other = all[(index as usize + 1) % all.len()];
                assert_eq!(proof.verify::<Blake>(&root, &other), Err(ProofError::RootMismatch));
            }
        }
    }

    #[test]
    fn every_prefix_of_every_size_is_proved_from_leaves_and_from_nodes() {
        let all = leaves(SIZE);
        let nodes = stored(&all);
        let roots: Vec<_> =
            (0..=SIZE).map(|size| root::<Blake>(all[..size as usize].iter().copied())).collect();
        for new in 1..=SIZE {
            for old in 1..=new {
                let proof = ConsistencyProof::from_leaves::<Blake>(&all[..new as usize], old).unwrap();
                let (old_root, new_root) = (&roots[old as usize], &roots[new as usize]);
                assert_eq!(proof.verify::<Blake>(old_root, new_root), Ok(()), "{old} in {new}");
                let read = |key| nodes.get(&key).copied();
                assert_eq!(ConsistencyProof::from_nodes::<Blake>(old, new, read), Ok(proof.clone()));
                for wrong in roots.iter().filter(|wrong| *wrong != old_root && *wrong != new_root) {
                    assert_eq!(proof.verify::<Blake>(old_root, wrong), Err(ProofError::RootMismatch));
                    assert_eq!(proof.verify::<Blake>(wrong, new_root), Err(ProofError::RootMismatch));
                }
            }
        }
    }

    #[test]
    fn empty_logs() {
        let empty = Blake::empty();
        let proof = |old_size, new_size, path| ConsistencyProof { old_size, new_size, path };
        assert_eq!(proof(0, 0, vec![]).verify::<Blake>(&empty, &empty), Ok(()));
        assert_eq!(
            proof(0, 0, vec![]).verify::<Blake>(&Hash::ZERO, &Hash::ZERO),
            Err(ProofError::RootMismatch)
        );
        let too_long = Err(ProofError::PathLength { expected: 0, found: 1 });
        assert_eq!(proof(0, 0, vec![empty]).verify::<Blake>(&empty, &empty), too_long);
        assert_eq!(proof(0, 1, vec![]).verify::<Blake>(&empty, &empty), Err(ProofError::OutOfRange));
        assert_eq!(InclusionProof::from_leaves::<Blake>(&[], 0), None);
    }

    #[test]
    fn builders_name_the_missing_node_and_only_read_what_they_announce() {
        let all = leaves(SIZE);
        let nodes = stored(&all);
        for (index, size) in [(0, 40), (17, 33), (39, 40), (5, 7)] {
            let reads = InclusionProof::reads(index, size).unwrap();
            let announced = |key| reads.contains(&key).then(|| nodes[&key]);
            assert!(InclusionProof::from_nodes::<Blake>(index, size, announced).is_ok());
            let missing = Err(BuildError::MissingNode(reads[0]));
            assert_eq!(InclusionProof::from_nodes::<Blake>(index, size, |_| None), missing);
        }
        assert_eq!(InclusionProof::from_nodes::<Blake>(7, 7, |_| None), Err(BuildError::OutOfRange));
        assert_eq!(ConsistencyProof::reads(8, 7), None);
        assert_eq!(ConsistencyProof::reads(3, 7).unwrap(), [(0, 2), (0, 3), (1, 0), (1, 2), (0, 6)]);
    }

    #[test]
    fn the_longest_paths_fit_the_limit() {
        assert_eq!(inclusion_siblings(0, LOG_SIZE_MAX).unwrap().len(), 63);
        assert_eq!(
            ConsistencyRoute::new(LOG_SIZE_MAX - 1, LOG_SIZE_MAX).unwrap().path_length(),
            PATH_LENGTH_MAX
        );
        assert!(inclusion_siblings(0, LOG_SIZE_MAX + 1).is_none());
        assert!(ConsistencyRoute::new(u64::MAX, u64::MAX).is_none());
    }

    proptest! {
        #[test]
        fn changed_paths_are_refused(size in 2u64..300, at: prop::sample::Index, spot: prop::sample::Index, bit in 0u8..8) {
            let log = leaves(size);
            let root = root::<Blake>(log.iter().copied());
            let index = at.index(log.len());
            let good = InclusionProof::from_leaves::<Blake>(&log, index as u64).unwrap();
            let spot = spot.index(good.path.len());
            let refused = |change: &dyn Fn(&mut Vec<Hash>)| {
                let mut bad = good.clone();
                change(&mut bad.path);
                bad.verify::<Blake>(&root, &log[index]).is_err()
            };
            prop_assert!(refused(&|path| path[spot].0[spot % 32] ^= 1 << bit));
            prop_assert!(refused(&|path| path.push(root)));
            prop_assert!(refused(&|path| path.insert(0, log[index])));
            prop_assert!(refused(&|path| path.truncate(spot)));
        }

        #[test]
        fn hostile_proofs_never_panic(a: u64, b: u64, length in 0usize..70) {
            let path = vec![Hash::ZERO; length];
            let inclusion = InclusionProof { index: a, size: b, path: path.clone() };
            prop_assert!(inclusion.verify::<Blake>(&Hash::ZERO, &Hash::ZERO).is_err());
            let consistency = ConsistencyProof { old_size: a, new_size: b, path };
            prop_assert!(consistency.verify::<Blake>(&Hash::ZERO, &Hash([1; 32])).is_err());
        }
    }
}
