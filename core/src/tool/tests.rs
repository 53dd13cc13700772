use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::codec::encode;
use crate::hash::to_hex;
use crate::keys::SecretKey;
use crate::state::tree::{CoinTree, Op};
use crate::testing::chain::dev_spec;

fn ask(command: &str, input: &Value) -> Value {
    let answer = run(command, &input.to_string());
    assert!(!answer.contains('\n'), "one line");
    serde_json::from_str(&answer).expect("JSON")
}

fn code(command: &str, line: &str) -> String {
    let answer: Value = serde_json::from_str(&run(command, line)).expect("JSON");
    answer["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn commands_are_known_by_name() {
    assert!(commands().is_sorted());
    assert_eq!(code("no-such", "{}"), "unknown-command");
    for command in commands() {
        assert_eq!(code(command, "{}"), "unexpected-json", "{command}");
        assert_eq!(code(command, "{\""), "malformed-json", "{command}");
        assert_eq!(code(command, "[]"), "unexpected-json", "{command}");
        assert_eq!(code(command, &" ".repeat(LINE_SIZE_MAX + 1)), "too-large", "{command}");
    }
}

#[test]
fn signatures_single_and_batched() {
    let key = SecretKey::from_seed(&[1; 32]);
    let good = |message: &str| {
        let signature = to_hex(&key.sign(message.as_bytes()).0);
        json!({ "public_key": key.public_key(), "message": to_hex(message.as_bytes()), "signature": signature })
    };
    let mut bad = good("two");
    bad["message"] = json!("");
    let mut short = good("three");
    short["signature"] = json!("00");
    assert_eq!(ask("verify-signature", &good("one")), json!({ "valid": true }));
    assert_eq!(ask("verify-signature", &bad), json!({ "valid": false }));
    assert_eq!(ask("verify-signature", &short), json!({ "valid": false }), "no signature has that length");
    let batch = |items: &[Value]| ask("verify-signature", &json!({ "batch": items }));
    assert_eq!(batch(&[good("a"), good("b")]), json!({ "valid": true, "results": [true, true] }));
    assert_eq!(batch(&[good("a"), bad]), json!({ "valid": false, "results": [true, false] }));
    assert_eq!(batch(&[short, good("b")]), json!({ "valid": false, "results": [false, true] }));
    assert_eq!(batch(&[]), json!({ "valid": true, "results": [] }));
    let small = json!({ "public_key": "00".repeat(32) });
    assert_eq!(ask("verify-key", &small)["error"]["code"], "key-of-small-order");
    assert_eq!(ask("verify-key", &json!({ "public_key": "00" }))["valid"], false);
    assert_eq!(ask("verify-key", &json!({ "public_key": key.public_key() })), json!({ "valid": true }));
}

#[test]
fn what_is_asked_twice_or_in_bad_numbers_is_refused() {
    let owner = "00".repeat(32);
    let table = [
        ("repeated key", "address", format!(r#"{{"owner":"{owner}","owner":"{owner}"}}"#), "unexpected-json"),
        ("unknown key", "address", format!(r#"{{"owner":"{owner}","more":1}}"#), "unexpected-json"),
        ("two of four", "address", format!(r#"{{"owner":"{owner}","address":"x"}}"#), "unexpected-json"),
        ("not an address", "address", r#"{"address":"x"}"#.into(), "malformed-address"),
        ("huge number", "merkle-root", r#"{"leaves":[],"prove":1e999}"#.into(), "malformed-json"),
        ("fraction", "merkle-root", r#"{"leaves":[],"prove":1.5}"#.into(), "unexpected-json"),
        ("negative", "merkle-root", r#"{"leaves":[],"prove":-1}"#.into(), "unexpected-json"),
        (
            "beyond 64 bits",
            "merkle-root",
            r#"{"leaves":[],"prove":18446744073709551616}"#.into(),
            "unexpected-json",
        ),
        ("no such leaf", "merkle-root", r#"{"leaves":["00"],"prove":1}"#.into(), "out-of-range"),
        ("nested", "state-root", format!("{{\"operations\":{}", "[".repeat(100_000)), "malformed-json"),
        ("half a byte", "mnemonic", r#"{"entropy":"000"}"#.into(), "malformed-hex"),
        ("repeated kind", "verify-proof", r#"{"kind":"coin","kind":"owner"}"#.into(), "unexpected-json"),
        ("unknown kind", "verify-proof", r#"{"kind":"x"}"#.into(), "unexpected-json"),
        ("unknown type", "codec-roundtrip", r#"{"type":"x","hex":""}"#.into(), "unknown-type"),
        ("nothing", "codec-roundtrip", r#"{"type":"vote","hex":""}"#.into(), "malformed-encoding"),
        (
            "trailing",
            "codec-roundtrip",
            format!(r#"{{"type":"frontier","hex":"{}"}}"#, "00".repeat(17)),
            "trailing-bytes",
        ),
        (
            "large",
            "codec-roundtrip",
            format!(r#"{{"type":"vote","hex":"{}"}}"#, "00".repeat(129)),
            "too-large",
        ),
        ("not hardened", "derive", format!(r#"{{"seed":"{owner}","path":"m/0"}}"#), "path-not-hardened"),
        ("misspelt", "mnemonic", format!(r#"{{"words":"{}abot"}}"#, "abandon ".repeat(11)), "unknown-word"),
    ];
    for (name, command, line, expected) in table {
        assert_eq!(code(command, &line), expected, "{name}: {}", run(command, &line));
    }
}

#[test]
fn proofs_hold_and_changed_ones_do_not() {
    let log = ask("merkle-root", &json!({ "leaves": ["00", "01", "02"], "prove": 2 }));
    let request = |data: &str, proof: &Value| json!({ "kind": "inclusion", "root": log["root"], "data": data, "proof": proof });
    assert_eq!(ask("verify-proof", &request("02", &log["proof"])), json!({ "valid": true }));
    assert_eq!(ask("verify-proof", &request("02", &log["hex"])), json!({ "valid": true }));
    let wrong = ask("verify-proof", &request("01", &log["proof"]));
    assert_eq!((&wrong["valid"], &wrong["error"]["code"]), (&json!(false), &json!("proof-root-mismatch")));

    let outpoint = crate::transaction::OutPoint::default();
    let owner = crate::hash::Owner::default();
    let output = crate::transaction::Output { amount: crate::amount::Amount(5), owner };
    let mut tree = CoinTree::empty();
    let root = tree.apply(&[Op::Insert(outpoint, output)]).unwrap();
    let operation =
        json!({ "op": "insert", "txid": outpoint.txid, "index": 0, "owner": owner, "amount": "0.00000005" });
    let answer = ask("state-root", &json!({ "operations": [operation] }));
    assert_eq!(answer, json!({ "root": root.hash, "sum": "0.00000005", "count": 1 }));
    let twice = json!({ "operations": [operation, operation] });
    assert_eq!(ask("state-root", &twice)["error"]["code"], "coin-already-present");
    let owner_proof = tree.prove_owner(&owner).unwrap();
    let proof = to_hex(&encode(&owner_proof));
    for proof in [json!(proof), json!(owner_proof)] {
        let request = json!({ "kind": "owner", "root": root, "proof": proof });
        assert_eq!(ask("verify-proof", &request), json!({ "valid": true, "sum": "0.00000005", "count": 1 }));
    }
    let coin = tree.prove_coin(&owner, &outpoint).unwrap().unwrap();
    let request = json!({ "kind": "coin", "root": root, "proof": coin });
    assert_eq!(ask("verify-proof", &request)["output"]["amount"], "0.00000005");
    let other_root = json!({ "hash": root.hash, "sum": "0.00000006", "count": 1 });
    let request = json!({ "kind": "coin", "root": other_root, "proof": coin });
    assert_eq!(ask("verify-proof", &request)["error"]["code"], "proof-root-mismatch");
}

#[test]
fn a_chain_spec_has_an_id() {
    let consensus = dev_spec();
    let answer = ask("chain-id", &json!({ "consensus": consensus }));
    assert_eq!(answer["chain"], json!(consensus.id()));
}

proptest! {
    #[test]
    fn hostile_lines_get_one_json_object(line in "\\PC{0,80}", at in 0..COMMANDS.len()) {
        let answer: Value = serde_json::from_str(&run(COMMANDS[at].0, &line)).expect("JSON");
        prop_assert!(answer["error"]["code"].is_string());
    }

    #[test]
    fn hostile_bytes_get_one_json_object(bytes: Vec<u8>, at in 0..27usize, small in 0..4usize) {
        let name = data::TYPES[at].0;
        let bytes = if small == 0 { bytes } else { vec![0; bytes.len() * small] };
        let answer = ask("codec-roundtrip", &json!({ "type": name, "hex": to_hex(&bytes) }));
        prop_assert!(answer["same"] == json!(true) || answer["error"]["code"].is_string(), "{}", answer);
    }
}
