//! BIP-39's English vectors: entropy, words, and the seed under the passphrase `TREZOR`.

use timecoin_core::hash::{hex_to_vec, to_hex};
use timecoin_core::wallet::mnemonic::Mnemonic;

use super::vector_json;

#[test]
fn entropy_words_and_seed_are_exact() {
    let Some(file) = vector_json("bip39-english.json") else { return };
    let cases = file.as_array().expect("a list");
    assert!(cases.len() >= 12, "{}", cases.len());
    for case in cases {
        let column = |at: usize| case[at].as_str().expect("a text");
        let (entropy, phrase, seed) = (column(0), column(1), column(2));
        let words: Mnemonic = phrase.parse().expect("valid words");
        assert_eq!(to_hex(&words.entropy()), entropy);
        assert_eq!(to_hex(words.seed("TREZOR").as_bytes()), seed, "{phrase}");
        let generated =
            Mnemonic::from_entropy(&hex_to_vec(entropy).expect("hexadecimal")).expect("a valid size");
        assert_eq!(*generated.phrase(), phrase);
    }
}
