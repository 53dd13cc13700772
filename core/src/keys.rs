//! Keys and signatures: one definition of a valid signature for every path and platform.
//!
//! The rule is ZIP-215 (cofactored, any encoding of points): the only rule under which single and batch
//! verification agree on every input. No other crate's `verify` may be called anywhere (`clippy.toml`).

use core::fmt;
use core::str::FromStr;

use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_zebra::{VerificationKey, VerificationKeyBytes, batch};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::codec::byte_array;
use crate::hash::{HexError, Tag, from_hex, to_hex};

/// An ed25519 public key in its 32-byte encoding. Bytes are not checked here; see [`PublicKey::check`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublicKey(#[serde(with = "byte_array")] pub [u8; 32]);

/// An ed25519 signature, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Signature(#[serde(with = "byte_array")] pub [u8; 64]);

/// Why a public key may not enter the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a point, or not the canonical encoding of one.
    #[error("not a canonical ed25519 public key")]
    NotCanonical,
    /// One of the eight points of small order, for which signatures prove nothing.
    #[error("an ed25519 public key of small order")]
    SmallOrder,
}

impl PublicKey {
    /// Whether the key may enter the state: canonical and not of small order.
    pub fn check(&self) -> Result<(), KeyError> {
        self.check_encoding()?;
        CompressedEdwardsY(self.0).decompress().map(drop).ok_or(KeyError::NotCanonical)
    }

    /// What [`PublicKey::check`] finds without computing the point: enough where a signature by the key is
    /// verified too, because that fails unless there is a point.
    pub fn check_encoding(&self) -> Result<(), KeyError> {
        let mut y = self.0;
        y[31] &= 0x7F;
        let is_negative = y != self.0;
        // The points with y = ±1 have x = 0, which is not negative.
        let has_no_x = y == ORDER_1 || y == ORDER_2;
        let is_reduced = y.iter().rev().lt(FIELD.iter().rev());
        if !is_reduced || has_no_x && is_negative {
            return Err(KeyError::NotCanonical);
        }
        if has_no_x || y == ORDER_4 || ORDER_8.contains(&y) {
            return Err(KeyError::SmallOrder);
        }
        Ok(())
    }
}

/// 2^255 − 19, little-endian: the y of a canonical encoding is below.
const FIELD: [u8; 32] = y_bytes(0xED, 0xFF, 0x7F);
/// The y of the points of small order: of order 1, 2 and 4, and of the two pairs of order 8.
const ORDER_1: [u8; 32] = y_bytes(1, 0, 0);
const ORDER_2: [u8; 32] = y_bytes(0xEC, 0xFF, 0x7F);
const ORDER_4: [u8; 32] = [0; 32];
const ORDER_8: [[u8; 32]; 2] = [
    [
        0x26, 0xE8, 0x95, 0x8F, 0xC2, 0xB2, 0x27, 0xB0, 0x45, 0xC3, 0xF4, 0x89, 0xF2, 0xEF, 0x98, 0xF0, 0xD5,
        0xDF, 0xAC, 0x05, 0xD3, 0xC6, 0x33, 0x39, 0xB1, 0x38, 0x02, 0x88, 0x6D, 0x53, 0xFC, 0x05,
    ],
    [
        0xC7, 0x17, 0x6A, 0x70, 0x3D, 0x4D, 0xD8, 0x4F, 0xBA, 0x3C, 0x0B, 0x76, 0x0D, 0x10, 0x67, 0x0F, 0x2A,
        0x20, 0x53, 0xFA, 0x2C, 0x39, 0xCC, 0xC6, 0x4E, 0xC7, 0xFD, 0x77, 0x92, 0xAC, 0x03, 0x7A,
    ],
];

const fn y_bytes(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        from_hex(text).map(Self)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// One signature to check: who is said to have signed which bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBytes {
    /// The signer.
    pub key: PublicKey,
    /// The bytes signed.
    pub message: Vec<u8>,
    /// The signature.
    pub signature: Signature,
}

/// Whether `signature` is `key`'s over `message` (ZIP-215).
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one definition everything else is told to use")]
pub fn verify(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    VerificationKey::try_from(key.0)
        .is_ok_and(|key| key.verify(&ed25519_zebra::Signature::from(signature.0), message).is_ok())
}

/// Whether every signature is valid: the same verdict as calling [`verify`] on each.
///
/// The batch coefficients are derived from a hash of the whole batch, so the verdict is a function of the
/// bytes, and no signer can choose a signature after knowing them.
#[must_use]
pub fn verify_batch(items: &[SignedBytes]) -> bool {
    match items {
        [item] => verify(&item.key, &item.message, &item.signature),
        _ => verify_together(items),
    }
}

/// [`verify_batch`] without the quicker way for one signature, whose tables are most of what it costs to carry.
#[must_use]
pub(crate) fn verify_together(items: &[SignedBytes]) -> bool {
    const BATCH: Tag = Tag::new("timecoin signature batch");
    let mut transcript = BATCH.hasher();
    let mut verifier = batch::Verifier::new();
    for item in items {
        transcript.update(&item.key.0);
        transcript.update(&item.signature.0);
        transcript.update(&(item.message.len() as u64).to_le_bytes());
        transcript.update(&item.message);
        let signature = ed25519_zebra::Signature::from(item.signature.0);
        verifier.queue(batch::Item::from((VerificationKeyBytes::from(item.key.0), signature, &item.message)));
    }
    verifier.verify(Coefficients { transcript: transcript.finalize().into(), drawn: 0 }).is_ok()
}

/// The positions of the invalid signatures, in order: empty where all are valid. A failed batch is settled one by one.
#[must_use]
pub fn invalid_signatures(items: &[SignedBytes]) -> Vec<usize> {
    if verify_batch(items) {
        return Vec::new();
    }
    let valid = |item: &SignedBytes| verify(&item.key, &item.message, &item.signature);
    items.iter().enumerate().filter(|(_, item)| !valid(item)).map(|(at, _)| at).collect()
}

/// Hashes of the batch transcript with a counter, read as the random source of the batch equation.
struct Coefficients {
    transcript: [u8; 32],
    drawn: u64,
}

impl rand_core::TryRng for Coefficients {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        const COEFFICIENT: Tag = Tag::new("timecoin batch coefficient");
        for part in bytes.chunks_mut(32) {
            let block = COEFFICIENT.hash(&[&self.transcript, &self.drawn.to_le_bytes()]).0;
            part.iter_mut().zip(block).for_each(|(byte, drawn)| *byte = drawn);
            self.drawn += 1;
        }
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Coefficients {}

/// A signing key. The seed is wiped on drop and never printed.
#[derive(Clone)]
pub struct SecretKey(ed25519_dalek::SigningKey);

impl SecretKey {
    /// The key of a 32-byte seed (RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The 32-byte seed, for encrypted storage only.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs bytes that already carry their domain tag and chain id.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        use ed25519_dalek::Signer;
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(seed: u8, message: &[u8]) -> SignedBytes {
        let key = SecretKey::from_seed(&[seed; 32]);
        SignedBytes { key: key.public_key(), message: message.to_vec(), signature: key.sign(message) }
    }

    #[test]
    fn batch_and_single_agree() {
        let mut items: Vec<_> = (0..8).map(|seed| signed(seed, &[seed; 9])).collect();
        assert!(verify_batch(&items));
        assert!(verify_batch(&[]));
        for item in &items {
            assert!(verify_together(core::slice::from_ref(item)));
        }
        items[3].signature.0[0] ^= 1;
        items[5].message.push(0);
        assert_eq!(invalid_signatures(&items), [3, 5]);
        assert!(!verify_together(&items[3..4]));
    }

    /// The definition that [`PublicKey::check`] is a quick form of.
    fn check_by_the_book(key: &PublicKey) -> Result<(), KeyError> {
        let point = CompressedEdwardsY(key.0).decompress().ok_or(KeyError::NotCanonical)?;
        if point.compress().0 != key.0 {
            return Err(KeyError::NotCanonical);
        }
        if point.is_small_order() { Err(KeyError::SmallOrder) } else { Ok(()) }
    }

    #[test]
    fn the_quick_key_check_is_the_definition() {
        let torsion = curve25519_dalek::constants::EIGHT_TORSION.map(|point| point.compress().0);
        for small in torsion {
            assert_eq!(PublicKey(small).check_encoding(), Err(KeyError::SmallOrder));
        }
        // Near 0, near the field's order and the top, and around every point of small order; either sign.
        let edges = [[0; 32], FIELD, [0xFF; 32]].into_iter().chain(torsion).flat_map(|edge| {
            (0..=255).map(move |low| {
                let mut near = edge;
                near[0] = low;
                near
            })
        });
        let random = (0..2_000u32).map(|at| Tag::new("key").hash(&[&at.to_le_bytes()]).0);
        let mut verdicts = [0; 3];
        for bytes in edges.chain(random) {
            for sign in [0, 0x80] {
                let mut key = PublicKey(bytes);
                key.0[31] ^= sign;
                let expected = check_by_the_book(&key);
                assert_eq!(key.check(), expected, "{key}");
                let verdict = match expected {
                    Ok(()) => 0,
                    Err(KeyError::NotCanonical) => 1,
                    Err(KeyError::SmallOrder) => 2,
                };
                verdicts[verdict] += 1;
            }
        }
        assert!(verdicts.iter().all(|count| *count >= 8), "every verdict occurs: {verdicts:?}");
    }

    #[test]
    fn secrets_are_not_printed() {
        let key = SecretKey::from_seed(&[0xab; 32]);
        assert!(!format!("{key:?}").contains("abab"));
    }

    #[test]
    fn keys_of_small_order_and_odd_encodings_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey(identity).check(), Err(KeyError::SmallOrder));
        let mut not_reduced = [0xff; 32];
        not_reduced[31] = 0x7f;
        assert_eq!(PublicKey(not_reduced).check(), Err(KeyError::NotCanonical));
        assert_eq!(SecretKey::from_seed(&[1; 32]).public_key().check(), Ok(()));
    }
}
