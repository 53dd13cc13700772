//! A wallet's secret: recovery words, and how they are laid out in a keystore.
//!
//! Entropy is an argument, as everywhere here. What is wrong with the content of a keystore that opens is not the
//! password's fault, and said so.

use zeroize::Zeroizing;

use super::keystore::{KdfCost, Keystore, KeystoreEntropy, KeystoreError};
use super::mnemonic::{Mnemonic, MnemonicError, Seed};

/// The first byte of a keystore's content: entropy of recovery words follows.
const ENTROPY: u8 = 1;

/// Why a keystore gives no recovery words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It does not open.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// It holds something else than a wallet's secret.
    #[error("the keystore does not hold a wallet's secret")]
    Content,
}

/// Recovery words. Wiped on drop, never printed by `Debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret(Mnemonic);

impl Secret {
    /// The words of fresh entropy: 16 bytes make 12 words, 32 bytes make 24.
    pub fn from_entropy(entropy: &[u8]) -> Result<Self, MnemonicError> {
        Mnemonic::from_entropy(entropy).map(Self)
    }

    /// The words as their owner wrote them down.
    pub fn from_words(words: &str) -> Result<Self, MnemonicError> {
        words.parse().map(Self)
    }

    /// The words in one line, to be shown to their owner.
    #[must_use]
    pub fn phrase(&self) -> Zeroizing<String> {
        self.0.phrase()
    }

    /// The words, in order.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.0.words()
    }

    /// What keys are derived from.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.0.seed("")
    }

    /// Encrypts the words.
    pub fn seal(
        &self,
        password: &str,
        cost: KdfCost,
        entropy: KeystoreEntropy,
    ) -> Result<Keystore, KeystoreError> {
        let content = Zeroizing::new([&[ENTROPY], self.0.entropy().as_slice()].concat());
        Keystore::encrypt(&content, password, cost, entropy)
    }

    /// Decrypts the words.
    pub fn open(keystore: &Keystore, password: &str) -> Result<Self, SecretError> {
        match keystore.decrypt(password)?.as_bytes() {
            [ENTROPY, entropy @ ..] => Self::from_entropy(entropy).map_err(|_| SecretError::Content),
            _ => Err(SecretError::Content),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: KdfCost = KdfCost { memory_kib: 8, passes: 1, lanes: 1 };
    const ONCE: KeystoreEntropy = KeystoreEntropy { salt: [3; 16], nonce: [4; 24] };

    #[test]
    fn words_come_back_with_the_password_only() {
        for size in [16, 32] {
            let secret = Secret::from_entropy(&vec![7; size]).unwrap();
            let keystore = secret.seal("secret", CHEAP, ONCE).unwrap();
            assert_eq!(Secret::open(&keystore, "secret"), Ok(secret.clone()));
            assert_eq!(Secret::from_words(&secret.phrase()), Ok(secret));
            let wrong = SecretError::Keystore(KeystoreError::WrongPasswordOrDamaged);
            assert_eq!(Secret::open(&keystore, "Secret"), Err(wrong));
        }
    }

    #[test]
    fn a_keystore_of_something_else_says_so() {
        let table: [(&str, &[u8]); 3] = [("empty", &[]), ("no entropy", &[1]), ("another kind", &[2; 17])];
        for (name, content) in table {
            let keystore = Keystore::encrypt(content, "secret", CHEAP, ONCE).unwrap();
            assert_eq!(Secret::open(&keystore, "secret"), Err(SecretError::Content), "{name}");
        }
    }
}
