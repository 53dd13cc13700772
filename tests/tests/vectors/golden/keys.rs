//! Keys: signatures, locks and owners, addresses, words, paths.

use serde_json::{Value, json};
use timecoin_core::hash::to_hex;
use timecoin_core::lock::Lock;
use timecoin_core::testing::chain::key;

use super::{Vectors, owner};

fn threshold(required: u8, numbers: &[u64]) -> Lock {
    let mut keys: Vec<_> = numbers.iter().map(|number| key(*number).public_key()).collect();
    keys.sort_unstable();
    Lock::Threshold { required, keys }
}

fn signed(message: &[u8]) -> Value {
    let signature = to_hex(&key(1).sign(message).0);
    json!({ "public_key": key(1).public_key(), "message": to_hex(message), "signature": signature })
}

#[test]
fn keys_and_addresses() {
    let mut vectors = Vectors::about("Signatures, keys, locks and owners, addresses.");
    vectors.ask("a valid signature", "verify-signature", &signed(b"a message"));
    vectors.ask("of nothing", "verify-signature", &signed(b""));
    let mut other = signed(b"a message");
    other["message"] = json!("00");
    vectors.ask("of another message", "verify-signature", &other);
    let batch = json!({ "batch": [signed(b"1"), other, signed(b"3")] });
    let answer = vectors.ask("a batch with one that is not valid", "verify-signature", &batch);
    assert_eq!(answer, json!({ "valid": false, "results": [true, false, true] }));
    let batch = json!({ "batch": [signed(b"1"), signed(b"2"), signed(b"3")] });
    vectors.ask("a valid batch", "verify-signature", &batch);
    let half = json!({ "public_key": "0", "message": "", "signature": "" });
    vectors.refuse("half a byte", "verify-signature", &half, "malformed-hex");

    vectors.ask("a sound key", "verify-key", &json!({ "public_key": key(1).public_key() }));
    let identity = json!({ "public_key": format!("01{}", "00".repeat(31)) });
    vectors.refuse("a key of small order", "verify-key", &identity, "key-of-small-order");
    let odd = json!({ "public_key": format!("{}7f", "ff".repeat(31)) });
    vectors.refuse("a key that is not canonical", "verify-key", &odd, "key-not-canonical");

    for network in ["main", "test", "dev"] {
        let made = vectors.ask(network, "address", &json!({ "owner": owner(0x5a), "network": network }));
        let read = vectors.ask("and back", "address", &json!({ "address": made["address"] }));
        assert_eq!(made, read);
    }
    vectors.ask("of one key", "address", &json!({ "public_key": key(1).public_key() }));
    for (name, lock) in [
        ("a lock of one key", Lock::Key(key(1).public_key())),
        ("two of three", threshold(2, &[1, 2, 3])),
        ("sixteen of sixteen", threshold(16, &(1..=16).collect::<Vec<_>>())),
    ] {
        let answer = vectors.ask(name, "address", &json!({ "lock": lock }));
        assert_eq!(answer["owner"], json!(lock.owner()), "{name}");
    }
    vectors.refuse("four of three", "address", &json!({ "lock": threshold(4, &[1, 2, 3]) }), "lock-required");
    let damaged = json!({ "address": "time1qqqqq" });
    vectors.refuse("a damaged address", "address", &damaged, "address-checksum");
    vectors.compare("keys.json");
}

#[test]
fn words_and_paths() {
    let mut vectors = Vectors::about("Recovery words to seed (BIP-39), seed and path to keys (SLIP-0010).");
    let words = vectors.ask("from entropy", "mnemonic", &json!({ "entropy": "5a".repeat(16) }));
    let twenty_four = json!({ "entropy": "00".repeat(32), "passphrase": "caf\u{e9}" });
    vectors.ask("24 words with a passphrase", "mnemonic", &twenty_four);
    let again = vectors.ask("from words", "mnemonic", &json!({ "words": words["words"] }));
    assert_eq!(again, words);
    vectors.refuse("too few words", "mnemonic", &json!({ "words": "abandon about" }), "word-count");
    for path in
        ["m", "m/0'", "m/44'/5719'/0'/0'/0'", "m/44'/5719'/0'/0'/1'", "m/44'/5719'/2147483647'/0'/19'"]
    {
        vectors.ask(path, "derive", &json!({ "seed": words["seed"], "path": path }));
    }
    let soft = json!({ "seed": words["seed"], "path": "m/44'/0" });
    vectors.refuse("not hardened", "derive", &soft, "path-not-hardened");
    vectors.compare("wallet.json");
}
