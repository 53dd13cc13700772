//! Recovery words (BIP-39, English list) and the seed they stand for.

use core::fmt;
use core::str::FromStr;

use bip39::Language;
use zeroize::Zeroizing;

use super::nfkd;

/// Recovery words with a valid checksum. Wiped on drop, never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Mnemonic(bip39::Mnemonic);

/// The 64-byte seed of a wallet. Wiped on drop, never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed(Zeroizing<[u8; 64]>);

/// Why words, or entropy for them, are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MnemonicError {
    /// Not a number of words that exists.
    #[error("{found} recovery words: there must be 12, 15, 18, 21 or 24")]
    WordCount {
        /// Words found.
        found: usize,
    },
    /// A word that is not on the list.
    #[error("recovery word {position} is not on the English list: check its spelling")]
    UnknownWord {
        /// Which word, counted from 1.
        position: usize,
    },
    /// Every word is on the list, but not these together.
    #[error("these recovery words do not belong together: one is wrong, or the order is")]
    Checksum,
    /// Entropy of a size that makes no words.
    #[error("{found} bytes of entropy: there must be 16, 20, 24, 28 or 32")]
    EntropyLength {
        /// Bytes given.
        found: usize,
    },
}

impl Mnemonic {
    /// The words of fresh entropy: 16 bytes make 12 words, 32 bytes make 24.
    pub fn from_entropy(entropy: &[u8]) -> Result<Self, MnemonicError> {
        let length = MnemonicError::EntropyLength { found: entropy.len() };
        bip39::Mnemonic::from_entropy_in(Language::English, entropy).map(Self).map_err(|_| length)
    }

    /// The words, in order.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.0.words()
    }

    /// The words in one line, to show to their owner.
    #[must_use]
    pub fn phrase(&self) -> Zeroizing<String> {
        let mut phrase = Zeroizing::new(String::with_capacity(24 * 9));
        for word in self.words() {
            if !phrase.is_empty() {
                phrase.push(' ');
            }
            phrase.push_str(word);
        }
        phrase
    }

    /// The entropy the words encode, for encrypted storage only.
    #[must_use]
    pub fn entropy(&self) -> Zeroizing<Vec<u8>> {
        let (entropy, size) = self.0.to_entropy_array();
        let entropy = Zeroizing::new(entropy);
        Zeroizing::new(entropy.get(..size).unwrap_or_default().to_vec())
    }

    /// The seed under a passphrase; the empty passphrase is the usual one. Costs 2,048 rounds of HMAC-SHA512.
    #[must_use]
    pub fn seed(&self, passphrase: &str) -> Seed {
        Seed(Zeroizing::new(self.0.to_seed_normalized(&nfkd(passphrase))))
    }
}

impl FromStr for Mnemonic {
    type Err = MnemonicError;

    /// Reads words in any letter case, separated by any white space.
    fn from_str(text: &str) -> Result<Self, MnemonicError> {
        // English words are ASCII: what is not has no form that is one.
        let text = Zeroizing::new(text.to_ascii_lowercase());
        bip39::Mnemonic::parse_in_normalized(Language::English, &text).map(Self).map_err(
            |error| match error {
                bip39::Error::BadWordCount(found) => MnemonicError::WordCount { found },
                bip39::Error::UnknownWord(at) => MnemonicError::UnknownWord { position: at + 1 },
                bip39::Error::BadEntropyBitCount(_)
                | bip39::Error::InvalidChecksum
                | bip39::Error::AmbiguousLanguages(_) => MnemonicError::Checksum,
            },
        )
    }
}

impl fmt::Debug for Mnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mnemonic(…)")
    }
}

impl Seed {
    /// The 64 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_through_text_and_entropy() {
        for size in [16, 32] {
            let words = Mnemonic::from_entropy(&vec![0xa5; size]).unwrap();
            assert_eq!(words.words().count(), size / 4 * 3);
            assert_eq!(words.phrase().parse(), Ok(words.clone()));
            assert_eq!(words.phrase().to_uppercase().replace(' ', "\n\t").parse(), Ok(words.clone()));
            assert_eq!(*words.entropy(), vec![0xa5; size]);
        }
    }

    #[test]
    fn bad_words_are_refused_and_the_wrong_one_is_named() {
        use MnemonicError::{Checksum, UnknownWord, WordCount};
        let eleven = "abandon ".repeat(11);
        let table = [
            ("nothing", String::new(), WordCount { found: 0 }),
            ("eleven", eleven.clone(), WordCount { found: 11 }),
            ("too many", "abandon ".repeat(5000), WordCount { found: 5000 }),
            ("misspelt first", format!("abandom {eleven}"), UnknownWord { position: 1 }),
            ("misspelt last", format!("{eleven} abouts"), UnknownWord { position: 12 }),
            ("accents", format!("{eleven} \u{e9}"), UnknownWord { position: 12 }),
            ("wrong last", format!("{eleven} abandon"), Checksum),
            ("wrong order", format!("about {eleven}"), Checksum),
        ];
        for (name, text, error) in table {
            assert_eq!(text.parse::<Mnemonic>(), Err(error), "{name}");
        }
        assert_eq!(format!("{eleven} about").parse::<Mnemonic>().map(|_| ()), Ok(()));
    }

    #[test]
    fn entropy_of_another_size_is_refused() {
        for found in [0, 15, 17, 33, 64] {
            let refused = Err(MnemonicError::EntropyLength { found });
            assert_eq!(Mnemonic::from_entropy(&vec![1; found]), refused);
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let words = Mnemonic::from_entropy(&[0; 16]).unwrap();
        assert_eq!(format!("{words:?} {:?}", words.seed("")), "Mnemonic(…) Seed(…)");
    }
}
