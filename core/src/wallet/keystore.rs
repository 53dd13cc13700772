//! Secrets at rest: a password through argon2id, then XChaCha20-Poly1305, in a JSON file.
//!
//! The file says how it is encrypted, and that header is authenticated: a changed parameter is the same error
//! as a wrong password, which the cipher cannot tell from a damaged file. Costs are capped when a file is
//! read, so that a hostile file cannot exhaust the machine. What the secret bytes mean is the caller's matter.

use core::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::nfkd;
use crate::codec::encode;
use crate::hash::{from_hex, hex_to_vec, to_hex};
use crate::json;

/// The file format's version.
const VERSION: u32 = 1;
/// Larger files are refused unread.
const FILE_SIZE_MAX: usize = 1 << 20;

/// What turning a password into a key costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KdfCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl KdfCost {
    /// The most a file may ask for: 1 GiB, 10 passes, 4 lanes.
    pub const MAX: Self = Self { memory_kib: 1 << 20, passes: 10, lanes: 4 };

    fn params(self, max: Self) -> Result<Params, KeystoreError> {
        if self.memory_kib > max.memory_kib || self.passes > max.passes || self.lanes > max.lanes {
            return Err(KeystoreError::TooCostly(self));
        }
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .map_err(|_| KeystoreError::TooCheap(self))
    }
}

impl Default for KdfCost {
    /// 64 MiB, 3 passes, 1 lane: a quarter of a second, in a browser too.
    fn default() -> Self {
        Self { memory_kib: 64 << 10, passes: 3, lanes: 1 }
    }
}

/// Fresh random bytes for one encryption, never to be used twice.
#[derive(Clone, Copy, Debug)]
pub struct KeystoreEntropy {
    /// Makes equal passwords different keys.
    pub salt: [u8; 16],
    /// The cipher's nonce.
    pub nonce: [u8; 24],
}

/// Why a keystore cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    /// Not a keystore file at all.
    #[error("not a keystore file: restore the wallet from its words")]
    Malformed,
    /// Written by newer software.
    #[error("keystore version {found} is newer than this software: use a newer program")]
    UnsupportedVersion {
        /// The file's version.
        found: u64,
    },
    /// The file asks for more work than [`KdfCost::MAX`], or than the host allows.
    #[error("the keystore asks for too much work ({} KiB, {} passes, {} lanes): it was changed, restore the wallet from its words", .0.memory_kib, .0.passes, .0.lanes)]
    TooCostly(KdfCost),
    /// Less than argon2 allows: 8 KiB per lane, one pass, one lane.
    #[error("the keystore asks for too little work ({} KiB, {} passes, {} lanes): it was changed, restore the wallet from its words", .0.memory_kib, .0.passes, .0.lanes)]
    TooCheap(KdfCost),
    /// This machine cannot give the memory the file needs.
    #[error("not enough memory to open the keystore: it needs {memory_kib} KiB, close other programs")]
    OutOfMemory {
        /// KiB needed.
        memory_kib: u32,
    },
    /// The password is not the one, or the file was changed: the cipher cannot tell which.
    #[error("wrong password, or the keystore file is damaged")]
    WrongPasswordOrDamaged,
}

/// Decrypted bytes. Wiped on drop, never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(…)")
    }
}

/// An encrypted secret, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keystore {
    cost: KdfCost,
    salt: [u8; 16],
    nonce: [u8; 24],
    ciphertext: Vec<u8>,
}

impl Keystore {
    /// Encrypts `secret` under a password.
    pub fn encrypt(
        secret: &[u8],
        password: &str,
        cost: KdfCost,
        entropy: KeystoreEntropy,
    ) -> Result<Self, KeystoreError> {
        let KeystoreEntropy { salt, nonce } = entropy;
        let mut keystore = Self { cost, salt, nonce, ciphertext: Vec::new() };
        let payload = Payload { msg: secret, aad: &keystore.header() };
        keystore.ciphertext = keystore
            .cipher(password)?
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a secret is far shorter than the cipher's limit");
        Ok(keystore)
    }

    /// The secret, if the password is right and nothing was changed.
    pub fn decrypt(&self, password: &str) -> Result<SecretBytes, KeystoreError> {
        let payload = Payload { msg: &self.ciphertext, aad: &self.header() };
        let secret = self.cipher(password)?.decrypt(&XNonce::from(self.nonce), payload);
        secret
            .map(|secret| SecretBytes(Zeroizing::new(secret)))
            .map_err(|_| KeystoreError::WrongPasswordOrDamaged)
    }

    /// The cipher under the password's key.
    fn cipher(&self, password: &str) -> Result<XChaCha20Poly1305, KeystoreError> {
        // The same characters typed on another system can be other code points: NFKD makes them equal.
        let normal = nfkd(password);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.cost.params(KdfCost::MAX)?);
        let mut key = Zeroizing::new([0; 32]);
        let filled = argon2.hash_password_into(normal.as_bytes(), &self.salt, &mut *key);
        filled.map_err(|_| KeystoreError::OutOfMemory { memory_kib: self.cost.memory_kib })?;
        Ok(XChaCha20Poly1305::new((&*key).into()))
    }

    /// What is authenticated beside the secret.
    fn header(&self) -> Vec<u8> {
        encode(&("timecoin keystore", VERSION, self.cost, self.salt, self.nonce))
    }

    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let KdfCost { memory_kib, passes, lanes } = self.cost;
        let salt = to_hex(&self.salt);
        let file = File {
            version: VERSION,
            kdf: Kdf { name: KdfName::Argon2id, memory_kib, passes, lanes, salt },
            cipher: Cipher { name: CipherName::XChaCha20Poly1305, nonce: to_hex(&self.nonce) },
            ciphertext: to_hex(&self.ciphertext),
        };
        serde_json::to_string_pretty(&file).expect("strings and numbers are JSON")
    }

    /// Reads a file's text; refuses costs beyond the caps before any work is done.
    pub fn from_json(text: &str) -> Result<Self, KeystoreError> {
        Self::from_json_within(text, KdfCost::MAX)
    }

    /// [`Self::from_json`] with caps of the host's own, where it has less memory to give than [`KdfCost::MAX`].
    pub fn from_json_within(text: &str, max: KdfCost) -> Result<Self, KeystoreError> {
        if text.len() > FILE_SIZE_MAX {
            return Err(KeystoreError::Malformed);
        }
        let found = json::version(text).ok_or(KeystoreError::Malformed)?;
        if found != u64::from(VERSION) {
            return Err(KeystoreError::UnsupportedVersion { found });
        }
        let File { kdf, cipher, ciphertext, .. } = json::read(text).map_err(|_| KeystoreError::Malformed)?;
        let Kdf { memory_kib, passes, lanes, salt, .. } = kdf;
        let cost = KdfCost { memory_kib, passes, lanes };
        cost.params(max)?;
        Ok(Self {
            cost,
            salt: from_hex(&salt).map_err(|_| KeystoreError::Malformed)?,
            nonce: from_hex(&cipher.nonce).map_err(|_| KeystoreError::Malformed)?,
            ciphertext: hex_to_vec(&ciphertext).ok_or(KeystoreError::Malformed)?,
        })
    }
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    name: KdfName,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

#[derive(Serialize, Deserialize)]
enum KdfName {
    #[serde(rename = "argon2id")]
    Argon2id,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cipher {
    name: CipherName,
    nonce: String,
}

#[derive(Serialize, Deserialize)]
enum CipherName {
    #[serde(rename = "xchacha20-poly1305")]
    XChaCha20Poly1305,
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: KdfCost = KdfCost { memory_kib: 8, passes: 1, lanes: 1 };
    const SECRET: &[u8] = b"an unlikely secret";

    fn sample() -> Keystore {
        let entropy = KeystoreEntropy { salt: [3; 16], nonce: [4; 24] };
        Keystore::encrypt(SECRET, "pass\u{e9}", CHEAP, entropy).unwrap()
    }

    #[test]
    fn round_trip_through_the_file() {
        let read = Keystore::from_json(&sample().to_json()).unwrap();
        assert_eq!(read, sample());
        assert_eq!(read.decrypt("pass\u{e9}").unwrap().as_bytes(), SECRET);
        assert_eq!(
            read.decrypt("passe\u{301}").unwrap().as_bytes(),
            SECRET,
            "the same characters, decomposed"
        );
        let default = Keystore::encrypt(
            SECRET,
            "",
            KdfCost::default(),
            KeystoreEntropy { salt: [1; 16], nonce: [2; 24] },
        );
        assert_eq!(default.unwrap().decrypt("").unwrap().as_bytes(), SECRET);
    }

    #[test]
    fn a_wrong_password_and_any_change_are_one_error() {
        let wrong = Err(KeystoreError::WrongPasswordOrDamaged);
        for password in ["", "pass", "Pass\u{e9}", "pass\u{e9} "] {
            assert_eq!(sample().decrypt(password), wrong, "{password}");
        }
        type Change = fn(&mut Keystore);
        let changes: [(&str, Change); 8] = [
            ("memory", |keystore| keystore.cost.memory_kib += 1),
            ("passes", |keystore| keystore.cost.passes += 1),
            ("salt", |keystore| keystore.salt[0] ^= 1),
            ("nonce", |keystore| keystore.nonce[23] ^= 1),
            ("first byte", |keystore| keystore.ciphertext[0] ^= 1),
            ("tag", |keystore| *keystore.ciphertext.last_mut().unwrap() ^= 0x80),
            ("cut", |keystore| keystore.ciphertext.truncate(7)),
            ("nothing left", |keystore| keystore.ciphertext.clear()),
        ];
        for (name, change) in changes {
            let mut changed = sample();
            change(&mut changed);
            assert_eq!(changed.decrypt("pass\u{e9}"), wrong, "{name}");
        }
    }

    /// Right key, right nonce, but the header was not authenticated: refused.
    #[test]
    fn the_header_itself_is_authenticated() {
        let mut keystore = sample();
        let cipher = keystore.cipher("pass").unwrap();
        keystore.ciphertext = cipher.encrypt(&XNonce::from(keystore.nonce), SECRET).unwrap();
        assert_eq!(keystore.decrypt("pass"), Err(KeystoreError::WrongPasswordOrDamaged));
    }

    #[test]
    fn bad_files_are_refused_before_any_work() {
        use KeystoreError::{Malformed, TooCheap, TooCostly, UnsupportedVersion};
        let good = sample().to_json();
        let with = |from: &str, to: &str| {
            assert!(good.contains(from), "{from}");
            good.replace(from, to)
        };
        let table = [
            ("empty", String::new(), Malformed),
            ("not JSON", "keystore".into(), Malformed),
            ("nested beyond reason", "[".repeat(100_000), Malformed),
            ("too long", " ".repeat(FILE_SIZE_MAX) + &good, Malformed),
            ("newer", with("\"version\": 1", "\"version\": 2, \"more\": 0"), UnsupportedVersion { found: 2 }),
            ("unknown key", with("\"version\": 1", "\"version\": 1, \"more\": 0"), Malformed),
            ("other kdf", with("argon2id", "scrypt"), Malformed),
            ("other cipher", with("xchacha20", "rot13"), Malformed),
            ("short salt", with("03030303", "030303"), Malformed),
            ("odd digits", with("\"ciphertext\": \"", "\"ciphertext\": \"a"), Malformed),
            (
                "memory",
                with("_kib\": 8", "_kib\": 1048577"),
                TooCostly(KdfCost { memory_kib: 1_048_577, ..CHEAP }),
            ),
            ("passes", with("passes\": 1", "passes\": 11"), TooCostly(KdfCost { passes: 11, ..CHEAP })),
            ("lanes", with("lanes\": 1", "lanes\": 5"), TooCostly(KdfCost { lanes: 5, ..CHEAP })),
            ("no lanes", with("lanes\": 1", "lanes\": 0"), TooCheap(KdfCost { lanes: 0, ..CHEAP })),
            ("no passes", with("passes\": 1", "passes\": 0"), TooCheap(KdfCost { passes: 0, ..CHEAP })),
            ("no memory", with("_kib\": 8", "_kib\": 7"), TooCheap(KdfCost { memory_kib: 7, ..CHEAP })),
        ];
        for (name, text, error) in table {
            assert_eq!(Keystore::from_json(&text), Err(error), "{name}");
        }
        let half = KdfCost { memory_kib: 4, ..CHEAP };
        assert_eq!(Keystore::from_json_within(&good, half), Err(TooCostly(CHEAP)), "a cap of the host's own");
    }

    #[test]
    fn secrets_are_not_printed_or_stored_in_the_clear() {
        let (keystore, digits) = (sample(), to_hex(SECRET));
        assert_eq!(format!("{:?}", keystore.decrypt("pass\u{e9}")), "Ok(SecretBytes(…))");
        assert!(!keystore.to_json().contains(&digits));
    }
}
