//! Branches whose hashes are worked out together: those of one height do not need each other.

use super::coin::{TWO, put};
use super::node::{SIDE, Summary};
use crate::hash::{Hash, Tag};

/// The summary of a subtree, but for its hash if that is still to be worked out.
#[derive(Clone, Copy)]
pub(super) struct Promise {
    /// Sum and count are right from the start.
    summary: Summary,
    at: Option<Place>,
}

/// Which of the branches to hash.
#[derive(Clone, Copy)]
struct Place {
    height: u32,
    index: u32,
}

impl Promise {
    pub(super) const fn kept(summary: Summary) -> Self {
        Self { summary, at: None }
    }

    pub(super) const fn count(&self) -> u64 {
        self.summary.count
    }
}

/// Branches to hash, by how many such are below.
#[derive(Default)]
pub(super) struct Joins {
    heights: Vec<Height>,
}

#[derive(Default)]
struct Height {
    /// What the hashes cover, but for hashes still to come.
    inputs: Vec<[u8; TWO]>,
    /// Where those come from: left, right.
    sides: Vec<[Option<Place>; 2]>,
    hashes: Vec<Hash>,
}

impl Joins {
    /// The branch over two sides. `None` where a sum reaches the supply limit or a count wraps.
    pub(super) fn join(&mut self, left: &Promise, right: &Promise) -> Option<Promise> {
        let sum = left.summary.sum.checked_add(right.summary.sum)?;
        let count = left.summary.count.checked_add(right.summary.count)?;
        let sides = [left.at, right.at];
        let height = sides.into_iter().flatten().map(|place| place.height + 1).max().unwrap_or(0);
        while self.heights.len() <= height as usize {
            self.heights.push(Height::default());
        }
        let here = self.heights.get_mut(height as usize)?;
        let at = Some(Place { height, index: u32::try_from(here.inputs.len()).ok()? });
        here.inputs.push(Summary::branch_bytes(&left.summary, &right.summary));
        here.sides.push(sides);
        Some(Promise { summary: Summary { hash: Hash::ZERO, sum, count }, at })
    }

    /// Works out all hashes.
    pub(super) fn settle(&mut self, tag: &Tag) {
        for height in 0..self.heights.len() {
            let (below, rest) = self.heights.split_at_mut(height);
            let Some(Height { inputs, sides, hashes }) = rest.first_mut() else { continue };
            for (input, sides) in inputs.iter_mut().zip(sides) {
                for (side, place) in input.chunks_exact_mut(SIDE).zip(sides) {
                    let hash = place.and_then(|place| hash_at(below, place));
                    if let (Some(hash), Some(to)) = (hash, side.first_chunk_mut()) {
                        *to = hash.0;
                    }
                }
            }
            hashes.resize(inputs.len(), Hash::ZERO);
            tag.hash_each(inputs, |at, hash| put(hashes, at, hash));
        }
    }

    /// The summary, once [`Joins::settle`] has been called.
    pub(super) fn summary(&self, promise: &Promise) -> Summary {
        let hash = promise.at.and_then(|place| hash_at(&self.heights, place));
        Summary { hash: hash.unwrap_or(promise.summary.hash), ..promise.summary }
    }

    /// Forgets all branches; keeps the room.
    pub(super) fn clear(&mut self) {
        for Height { inputs, sides, hashes } in &mut self.heights {
            inputs.clear();
            sides.clear();
            hashes.clear();
        }
    }
}

fn hash_at(heights: &[Height], place: Place) -> Option<Hash> {
    heights.get(place.height as usize)?.hashes.get(place.index as usize).copied()
}
