//! Tagged hashing: BLAKE3 keyed with a distinct domain tag per purpose, and the id types built on it.

use core::fmt;
use core::str::FromStr;

use blake3::IncrementCounter;
use blake3::platform::{Platform, words_from_le_bytes_32};
use serde::{Deserialize, Serialize};

/// A 32-byte hash value. In text: 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hash(#[serde(with = "crate::codec::byte_array")] pub [u8; 32]);

impl Hash {
    /// All zero bytes: the value of "nothing here" where a format says so.
    pub const ZERO: Self = Self([0; 32]);
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not exactly the hexadecimal digits expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {digits} hexadecimal digits")]
pub struct HexError {
    /// How many digits the value has.
    pub digits: usize,
}

/// Decodes exactly `N` bytes of hexadecimal, upper or lower case.
pub fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let mut bytes = [0; N];
    let decoded = hex_to_vec(text).filter(|decoded| decoded.len() == N).ok_or(HexError { digits: 2 * N })?;
    bytes.copy_from_slice(&decoded);
    Ok(bytes)
}

/// Decodes hexadecimal of any even length; `None` where a digit is wrong or missing.
#[must_use]
pub fn hex_to_vec(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| if let [high, low] = pair { Some(digit(*high)? << 4 | digit(*low)?) } else { None })
        .collect()
}

/// Lowercase hexadecimal of any bytes.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

impl FromStr for Hash {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        from_hex(text).map(Self)
    }
}

/// A domain tag: one per purpose, so that no hash of one kind is ever a valid hash of another.
#[derive(Clone, Copy)]
pub struct Tag([u8; 32]);

impl Tag {
    /// A tag from its name, zero-padded to the 32 bytes of a BLAKE3 key.
    ///
    /// # Panics
    /// If the name is longer than 32 bytes; meant for constants.
    #[must_use]
    pub const fn new(name: &str) -> Self {
        let name = name.as_bytes();
        assert!(name.len() <= 32, "tag name fits the key");
        let mut key = [0; 32];
        let mut at = 0;
        while at < name.len() {
            key[at] = name[at];
            at += 1;
        }
        Self(key)
    }

    /// A hasher under this tag, for input that arrives in pieces.
    #[must_use]
    pub fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.0)
    }

    /// The hash of the pieces, concatenated.
    #[must_use]
    pub fn hash(&self, pieces: &[&[u8]]) -> Hash {
        if let [piece] = pieces {
            return Hash(*blake3::keyed_hash(&self.0, piece).as_bytes());
        }
        let mut hasher = self.hasher();
        for piece in pieces {
            hasher.update(piece);
        }
        Hash(*hasher.finalize().as_bytes())
    }

    /// The hash of each of these inputs, as [`Tag::hash`] gives it; where the processor can work on several at
    /// once, in a fraction of the time. An input is one or more whole blocks of 64 bytes, and at most 16.
    pub fn hash_each<const N: usize>(&self, inputs: &[[u8; N]], mut each: impl FnMut(usize, Hash)) {
        const { assert!(N > 0 && N.is_multiple_of(BLOCK) && N <= 16 * BLOCK, "whole blocks of one chunk") };
        let Some(first) = inputs.first() else { return };
        let (platform, key) = (Platform::detect(), words_from_le_bytes_32(&self.0));
        let mut hashes = [0; 32 * LANES];
        for (start, some) in (0..).step_by(LANES).zip(inputs.chunks(LANES)) {
            let mut lanes = [first; LANES];
            lanes.iter_mut().zip(some).for_each(|(lane, input)| *lane = input);
            // Lanes left empty cost nothing; a smaller number than the processor has costs one after the other.
            let used = some.len().next_power_of_two();
            let used = if used <= platform.simd_degree() { used } else { some.len() };
            let (lanes, out) = (lanes.get(..used), hashes.get_mut(..32 * used));
            let (Some(lanes), Some(out)) = (lanes, out) else { unreachable!("no more inputs than lanes") };
            platform.hash_many(lanes, &key, 0, IncrementCounter::No, KEYED, START, END | ROOT, out);
            let (found, _) = out.as_chunks();
            (start..).zip(found.iter().take(some.len())).for_each(|(at, hash)| each(at, Hash(*hash)));
        }
    }
}

/// Bytes BLAKE3 takes in at once.
const BLOCK: usize = 64;
/// Inputs it works on at once on the largest processors.
const LANES: usize = 16;
/// BLAKE3's flags for a keyed hash, for the first and the last block of a chunk, and for the root of its tree.
const KEYED: u8 = 1 << 4;
const START: u8 = 1;
const END: u8 = 1 << 1;
const ROOT: u8 = 1 << 3;

/// Declares 32-byte id types that print and parse as hexadecimal.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub Hash);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                text.parse().map(Self)
            }
        }

        impl $name {
            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0.0
            }
        }
    )*};
}

ids! {
    /// Identifies a chain: the hash of the consensus part of its chain spec.
    ChainId;
    /// Identifies a block: the hash of its header.
    BlockId;
    /// Identifies a transaction: the hash of its canonical bytes without witnesses.
    TxId;
    /// Identifies a masternode: the hash of its collateral's outpoint.
    MasternodeId;
    /// Who owns a coin: the hash of the lock that spends it.
    Owner;
    /// Commits to everything validation reads: coins, registry, accounting.
    StateRoot;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_separate_domains() {
        let (one, two) = (Tag::new("timecoin one"), Tag::new("timecoin two"));
        assert_ne!(one.hash(&[b"x"]), two.hash(&[b"x"]));
        assert_eq!(one.hash(&[b"ab", b"c"]), one.hash(&[b"abc"]));
    }

    #[test]
    fn many_hashes_at_once_are_those_of_each() {
        fn check<const N: usize>() {
            let tag = Tag::new("timecoin test");
            for count in (0..40).chain([63, 64, 65, 200]) {
                let input = |at: usize| core::array::from_fn(|byte| (at * 31 + byte * 7) as u8);
                let inputs: Vec<[u8; N]> = (0..count).map(input).collect();
                let mut hashes = vec![Hash::ZERO; count];
                tag.hash_each(&inputs, |at, hash| hashes[at] = hash);
                let expected: Vec<Hash> = inputs.iter().map(|input| tag.hash(&[input])).collect();
                assert_eq!(hashes, expected, "{count} inputs of {N} bytes");
            }
        }
        check::<64>();
        check::<128>();
        check::<1024>();
    }

    #[test]
    fn hex_round_trip_and_errors() {
        let hash = Tag::new("t").hash(&[b"x"]);
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for bad in ["", "00", &"g".repeat(64), &"é".repeat(32), &"0".repeat(63), &"0".repeat(66)] {
            assert_eq!(bad.parse::<Hash>(), Err(HexError { digits: 64 }), "{bad}");
        }
    }
}
