//! Block filters: which owners a block touches, in about 22 bits per owner (BIP-158).
//!
//! A Golomb-coded set with BIP-158's parameters over SipHash-2-4, so that a wallet can find its blocks without
//! telling anyone what it looks for. Unlike BIP-158 the count in front is a `u32`, little-endian. The set of no
//! owner is the empty byte string. [`Filter::build`] is deterministic: validators rebuild a filter and compare.
//!
//! A match may be false (1 in 784,931 per owner asked for), a missing match never is, provided the filter is
//! the one its header commits to ([`Filter::hash`]): a malicious filter can be well-formed and lie.

use core::hash::Hasher;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use crate::codec::Wire;
use crate::hash::{Hash, Owner, Tag};

/// BIP-158 `P`: bits of the binary part of each difference.
const GOLOMB_BITS: u32 = 19;
/// BIP-158 `M`: one false match in this many.
const FALSE_POSITIVE_RATE: u64 = 784_931;
const COUNT_SIZE: usize = 4;

/// The filter of one block, encoded. Bytes from a peer are checked when they are searched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter(pub Vec<u8>);

impl Wire for Filter {
    /// Far above what the owners of the largest block need.
    const SIZE_MAX: usize = 8 + (1 << 20);
}

/// Why bytes are not a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The bytes end inside the count or inside an entry, or cannot hold as many entries as they claim.
    #[error("the filter ends early")]
    Truncated,
    /// A count of zero: the empty set is the empty byte string.
    #[error("the filter claims to hold nothing")]
    ZeroCount,
    /// An entry beyond the range of the hash.
    #[error("the filter holds an entry out of range")]
    OutOfRange,
    /// Bytes, or bits that are not zero, after the last entry.
    #[error("the filter goes on after its last entry")]
    TrailingBits,
}

impl Filter {
    /// The filter of these owners under a key bound to the block.
    #[must_use]
    pub fn build(key: [u8; 16], owners: &BTreeSet<Owner>) -> Self {
        let Some(range) = Range::new(key, owners.len()) else { return Self::default() };
        let mut entries: Vec<_> = owners.iter().map(|owner| range.entry(owner.as_bytes())).collect();
        entries.sort_unstable();
        Self(encode_entries(range.count, &entries))
    }

    /// Whether the block may touch any of `owners`. Reads the whole filter, so a malformed one is an error
    /// whatever is asked; cost is linear in the filter, and nothing is allocated by what it claims.
    pub fn matches_any(&self, key: [u8; 16], owners: &[Owner]) -> Result<bool, FilterError> {
        let Some((count, body)) = self.0.split_first_chunk::<COUNT_SIZE>() else {
            return if self.0.is_empty() { Ok(false) } else { Err(FilterError::Truncated) };
        };
        let count = u32::from_le_bytes(*count);
        let range = Range { key, count };
        if count == 0 {
            return Err(FilterError::ZeroCount);
        }
        let mut wanted: Vec<_> = owners.iter().map(|owner| range.entry(owner.as_bytes())).collect();
        wanted.sort_unstable();
        let mut wanted = wanted.into_iter().peekable();
        let (mut bits, mut entry, mut found) = (BitReader { bytes: body, at: 0 }, 0u64, false);
        for _ in 0..count {
            let difference = bits.golomb()?;
            entry = entry
                .checked_add(difference)
                .filter(|entry| *entry < range.end())
                .ok_or(FilterError::OutOfRange)?;
            while wanted.next_if(|candidate| *candidate < entry).is_some() {}
            found |= wanted.peek() == Some(&entry);
        }
        bits.finish()?;
        Ok(found)
    }

    /// What a header commits to.
    #[must_use]
    pub fn hash(&self) -> Hash {
        const FILTER: Tag = Tag::new("timecoin block filter");
        FILTER.hash(&[&self.0])
    }
}

/// Where a set of `count` items hashes to: `0 .. count * M`.
struct Range {
    key: [u8; 16],
    count: u32,
}

impl Range {
    /// `None` for the empty set.
    fn new(key: [u8; 16], count: usize) -> Option<Self> {
        let count = u32::try_from(count).expect("a block touches fewer than 2^32 owners");
        (count > 0).then_some(Self { key, count })
    }

    fn end(&self) -> u64 {
        u64::from(self.count) * FALSE_POSITIVE_RATE
    }

    /// BIP-158 `hash_to_range`: the hash scaled by multiplication, without the bias of a remainder.
    fn entry(&self, item: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(item);
        let scaled = u128::from(hasher.finish()) * u128::from(self.end());
        u64::try_from(scaled >> 64).expect("the upper half of a 128-bit product")
    }
}

/// The count, then the differences of the sorted entries, Golomb-Rice coded, padded with zero bits.
fn encode_entries(count: u32, entries: &[u64]) -> Vec<u8> {
    let mut bits = BitWriter { bytes: count.to_le_bytes().to_vec(), free: 0 };
    let mut last = 0;
    for entry in entries {
        let difference = entry - last;
        last = *entry;
        (0..difference >> GOLOMB_BITS).for_each(|_| bits.push(true));
        bits.push(false);
        (0..GOLOMB_BITS).rev().for_each(|bit| bits.push(difference >> bit & 1 == 1));
    }
    bits.bytes
}

/// Writes bits from the most significant down.
struct BitWriter {
    bytes: Vec<u8>,
    /// Unused bits in the last byte.
    free: u32,
}

impl BitWriter {
    fn push(&mut self, bit: bool) {
        if self.free == 0 {
            self.bytes.push(0);
            self.free = 8;
        }
        self.free -= 1;
        let last = self.bytes.last_mut().expect("a byte with a free bit");
        *last |= u8::from(bit) << self.free;
    }
}

/// Reads bits from the most significant down.
struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl BitReader<'_> {
    fn next(&mut self) -> Result<bool, FilterError> {
        let byte = self.bytes.get(self.at / 8).ok_or(FilterError::Truncated)?;
        let bit = byte << (self.at % 8) & 0x80 != 0;
        self.at += 1;
        Ok(bit)
    }

    fn golomb(&mut self) -> Result<u64, FilterError> {
        let mut value = 0u64;
        while self.next()? {
            value += 1;
        }
        for _ in 0..GOLOMB_BITS {
            value = value << 1 | u64::from(self.next()?);
        }
        Ok(value)
    }

    /// Only the zero bits that fill the last byte may be left.
    fn finish(mut self) -> Result<(), FilterError> {
        while !self.at.is_multiple_of(8) {
            if self.next()? {
                return Err(FilterError::TrailingBits);
            }
        }
        if self.at / 8 == self.bytes.len() { Ok(()) } else { Err(FilterError::TrailingBits) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::hash::hex_to_vec;

    const KEY: [u8; 16] = *b"sixteen byte key";

    fn owner(name: u64) -> Owner {
        Owner(Tag::new("test owner").hash(&[&name.to_le_bytes()]))
    }

    fn owners(names: core::ops::Range<u64>) -> BTreeSet<Owner> {
        names.map(owner).collect()
    }

    /// The genesis row of BIP-158's testnet table: one script, filter `019dfca8` (its count is one byte).
    #[test]
    fn entries_are_coded_as_in_bip_158() {
        let block = hex_to_vec("43497fd7f826957108f4a30fd9cec3aeba79972084e90ead01ea330900000000").unwrap();
        let script = hex_to_vec(
            "4104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c\
             384df7ba0b8d578a4c702b6bf11d5fac",
        );
        let range = Range::new(block[..16].try_into().unwrap(), 1).unwrap();
        assert_eq!(encode_entries(1, &[range.entry(&script.unwrap())]), [1, 0, 0, 0, 0x9d, 0xfc, 0xa8]);
    }

    #[test]
    fn the_empty_set_is_no_bytes_and_matches_nothing() {
        let filter = Filter::build(KEY, &BTreeSet::new());
        assert_eq!(filter, Filter(vec![]));
        assert_eq!(filter.matches_any(KEY, &[owner(1)]), Ok(false));
        assert_ne!(filter.hash(), Hash::ZERO);
    }

    #[test]
    fn false_matches_are_as_rare_as_promised_and_size_is_near_22_bits() {
        let filter = Filter::build(KEY, &owners(0..2000));
        assert!(filter.0.len() < 2000 * 23 / 8, "{} bytes", filter.0.len());
        let hits = (0..400).filter(|batch| {
            let strangers: Vec<_> = (10_000 + batch * 1000..10_000 + (batch + 1) * 1000).map(owner).collect();
            filter.matches_any(KEY, &strangers) == Ok(true)
        });
        // 400,000 questions at 1 in 784,931: more than six hits would be chance once in a million.
        assert!(hits.count() <= 6);
    }

    #[test]
    fn another_key_is_another_filter() {
        let set = owners(0..50);
        assert_ne!(Filter::build(KEY, &set), Filter::build([7; 16], &set));
        assert_ne!(Filter::build(KEY, &set).hash(), Filter::build([7; 16], &set).hash());
    }

    #[test]
    fn malformed_filters_are_refused() {
        use FilterError::{OutOfRange, TrailingBits, Truncated, ZeroCount};
        let good = Filter::build(KEY, &owners(0..3)).0;
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            bytes
        };
        let table: [(&str, Vec<u8>, FilterError); 8] = [
            ("inside the count", vec![1, 0, 0], Truncated),
            ("count only", vec![1, 0, 0, 0], Truncated),
            ("zero count", vec![0, 0, 0, 0], ZeroCount),
            ("cut short", with(&|bytes| bytes.truncate(bytes.len() - 1)), Truncated),
            ("a byte more", with(&|bytes| bytes.push(0)), TrailingBits),
            ("claims four billion", with(&|bytes| bytes[..4].fill(0xff)), Truncated),
            ("padding not zero", vec![1, 0, 0, 0, 0, 0, 1], TrailingBits),
            ("entry beyond the range", [&[1, 0, 0, 0][..], &[0xff; 8], &[0; 8]].concat(), OutOfRange),
        ];
        for (name, bytes, error) in table {
            assert_eq!(Filter(bytes).matches_any(KEY, &[owner(0)]), Err(error), "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_member_matches(names in vec(0u64..10_000, 1..200), key: [u8; 16], strangers in vec(20_000u64..30_000, 0..5)) {
            let filter = Filter::build(key, &names.iter().copied().map(owner).collect());
            for name in &names {
                let asked: Vec<_> = strangers.iter().chain([name]).copied().map(owner).collect();
                prop_assert_eq!(filter.matches_any(key, &asked), Ok(true));
            }
            prop_assert_eq!(filter.matches_any(key, &[]), Ok(false));
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in vec(any::<u8>(), 0..200), key: [u8; 16]) {
            let _verdict = Filter(bytes).matches_any(key, &[owner(1), owner(2)]);
        }
    }
}
