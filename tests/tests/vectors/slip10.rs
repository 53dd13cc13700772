//! SLIP-0010's first ed25519 chain: private key, chain code and public key at each step.

use timecoin_core::hash::{hex_to_vec, to_hex};
use timecoin_core::wallet::derive::{DeriveError, ExtendedKey, Path};

use super::vector_json;

#[test]
fn every_step_is_exact_and_must_be_hardened() {
    let Some(file) = vector_json("slip10-ed25519.json") else { return };
    let seed = hex_to_vec(file["seed"].as_str().expect("a text")).expect("hexadecimal");
    let chains = file["chains"].as_array().expect("a list");
    assert!(chains.len() >= 6, "{}", chains.len());
    for chain in chains {
        let text = |name: &str| chain[name].as_str().expect("a text");
        let path: Path = text("path").parse().expect("a hardened path");
        let key = ExtendedKey::derive(&seed, &path).expect("a seed of 16 bytes");
        assert_eq!(to_hex(&*key.secret_key().seed()), text("private"), "{path}");
        assert_eq!(to_hex(key.chain_code()), text("chain_code"), "{path}");
        // The vectors put a zero byte before each public key.
        assert_eq!(format!("00{}", key.public_key()), text("public"), "{path}");
        if let Some(step) = text("path").strip_suffix('\'') {
            assert!(matches!(step.parse::<Path>(), Err(DeriveError::NotHardened { .. })), "{step}");
        }
    }
}
