//! Keys from a seed: SLIP-0010 for ed25519, where every step is hardened.
//!
//! Each account's keys are at [`Path::account`]. A step that is not hardened does not exist for ed25519 and is
//! refused, never silently hardened.

use core::fmt;
use core::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use zeroize::Zeroizing;

use crate::keys::{PublicKey, SecretKey};

/// The purpose and coin type every TimeCoin path begins with: `m/44'/5719'`.
pub const COIN_TYPE: u32 = 5719;

const PURPOSE: u32 = 44;
const HARDENED: u32 = 1 << 31;
const DEPTH_MAX: usize = 255;

/// Why a path or a seed is refused. Steps are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeriveError {
    /// Not of the form `m/44'/5719'/0'/0'/0'`.
    #[error("not a derivation path: write it like m/44'/5719'/0'/0'/0'")]
    Malformed,
    /// A step without its mark; ed25519 has hardened steps only.
    #[error("step {step} of the path must be hardened: put ' after its number")]
    NotHardened {
        /// Which step.
        step: usize,
    },
    /// A step's number is 2^31 or more.
    #[error("the number in step {step} of the path is too large")]
    IndexTooLarge {
        /// Which step.
        step: usize,
    },
    /// More than 255 steps.
    #[error("the path has too many steps")]
    TooDeep,
    /// SLIP-0010 takes seeds of 16 to 64 bytes.
    #[error("a seed of {found} bytes: it must have 16 to 64")]
    SeedLength {
        /// Bytes given.
        found: usize,
    },
}

/// Hardened steps from the master key, without their marks.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<u32>);

impl Path {
    /// Where key `index` of an account is: `m/44'/5719'/account'/0'/index'`.
    pub fn account(account: u32, index: u32) -> Result<Self, DeriveError> {
        if account >= HARDENED {
            return Err(DeriveError::IndexTooLarge { step: 3 });
        }
        if index >= HARDENED {
            return Err(DeriveError::IndexTooLarge { step: 5 });
        }
        Ok(Self(vec![PURPOSE, COIN_TYPE, account, 0, index]))
    }
}

impl FromStr for Path {
    type Err = DeriveError;

    /// Reads `m`, then steps marked `'` or `h`.
    fn from_str(text: &str) -> Result<Self, DeriveError> {
        let mut parts = text.split('/');
        if parts.next() != Some("m") {
            return Err(DeriveError::Malformed);
        }
        let mut steps = Vec::new();
        for (step, part) in (1..).zip(parts) {
            if step > DEPTH_MAX {
                return Err(DeriveError::TooDeep);
            }
            let number = part.strip_suffix(['\'', 'h']);
            let digits = number.unwrap_or(part);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(DeriveError::Malformed);
            }
            if number.is_none() {
                return Err(DeriveError::NotHardened { step });
            }
            let index = digits.parse().ok().filter(|index| *index < HARDENED);
            steps.push(index.ok_or(DeriveError::IndexTooLarge { step })?);
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("m")?;
        self.0.iter().try_for_each(|index| write!(f, "/{index}'"))
    }
}

/// A key and what its children are derived with. Wiped on drop, never printed by `Debug`.
#[derive(Clone)]
pub struct ExtendedKey {
    key: Zeroizing<[u8; 32]>,
    chain_code: Zeroizing<[u8; 32]>,
}

impl ExtendedKey {
    /// The key at `path` below the master key of `seed`.
    pub fn derive(seed: &[u8], path: &Path) -> Result<Self, DeriveError> {
        if !(16..=64).contains(&seed.len()) {
            return Err(DeriveError::SeedLength { found: seed.len() });
        }
        let master = Self::hashed(b"ed25519 seed", &[seed]);
        Ok(path.0.iter().fold(master, |parent, index| parent.child(*index)))
    }

    /// SLIP-0010 hardened private derivation.
    fn child(&self, index: u32) -> Self {
        let number = (HARDENED | index).to_be_bytes();
        Self::hashed(&*self.chain_code, &[&[0], &*self.key, &number])
    }

    fn hashed(key: &[u8], pieces: &[&[u8]]) -> Self {
        let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes keys of any length");
        pieces.iter().for_each(|piece| mac.update(piece));
        let hash: Zeroizing<[u8; 64]> = Zeroizing::new(mac.finalize().into_bytes().into());
        let mut derived = Self { key: Zeroizing::default(), chain_code: Zeroizing::default() };
        let (left, right) = hash.split_at(32);
        derived.key.copy_from_slice(left);
        derived.chain_code.copy_from_slice(right);
        derived
    }

    /// The signing key.
    #[must_use]
    pub fn secret_key(&self) -> SecretKey {
        SecretKey::from_seed(&self.key)
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.secret_key().public_key()
    }

    /// The chain code: secret too, since with it one key gives the keys below.
    #[must_use]
    pub fn chain_code(&self) -> &[u8; 32] {
        &self.chain_code
    }
}

impl fmt::Debug for ExtendedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtendedKey(of {})", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_round_trip() {
        for text in ["m", "m/0'", "m/44'/5719'/0'/0'/7'", "m/2147483647'"] {
            assert_eq!(text.parse::<Path>().unwrap().to_string(), text);
        }
        assert_eq!("m/44h/5719h/3h/0h/9h".parse(), Path::account(3, 9));
        assert_eq!(Path::account(3, 9).unwrap().to_string(), "m/44'/5719'/3'/0'/9'");
    }

    #[test]
    fn bad_paths_are_refused() {
        use DeriveError::{IndexTooLarge, Malformed, NotHardened, TooDeep};
        let deep = format!("m{}", "/0'".repeat(256));
        let table = [
            ("empty", "", Malformed),
            ("no master", "44'/0'", Malformed),
            ("capital master", "M/0'", Malformed),
            ("empty step", "m/", Malformed),
            ("empty step inside", "m//0'", Malformed),
            ("sign", "m/+1'", Malformed),
            ("two marks", "m/1''", Malformed),
            ("not hardened", "m/44'/0", NotHardened { step: 2 }),
            ("too large", "m/2147483648'", IndexTooLarge { step: 1 }),
            ("far too large", "m/0'/99999999999999999999'", IndexTooLarge { step: 2 }),
            ("too deep", &deep, TooDeep),
        ];
        for (name, text, error) in table {
            assert_eq!(text.parse::<Path>(), Err(error), "{name}");
        }
        assert_eq!(Path::account(1 << 31, 0), Err(IndexTooLarge { step: 3 }));
        assert_eq!(Path::account(0, 1 << 31), Err(IndexTooLarge { step: 5 }));
    }

    #[test]
    fn seeds_of_other_sizes_are_refused() {
        for (size, taken) in [(0, false), (15, false), (16, true), (64, true), (65, false)] {
            let derived = ExtendedKey::derive(&vec![1; size], &Path::default());
            assert_eq!(derived.is_ok(), taken, "{size}");
        }
    }

    #[test]
    fn accounts_and_indexes_have_keys_of_their_own() {
        let key = |account, index| {
            ExtendedKey::derive(&[9; 64], &Path::account(account, index).unwrap()).unwrap().public_key()
        };
        assert_eq!(key(0, 1), key(0, 1));
        assert_ne!(key(0, 1), key(1, 0));
        assert_ne!(key(0, 0), key(0, 1));
    }
}
