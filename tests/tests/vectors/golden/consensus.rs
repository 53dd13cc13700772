//! What validators sign and what it adds up to: votes, certificates, evidence, sets, headers, blocks, receipts.

use serde_json::json;
use timecoin_core::block::{Block, Body, Header};
use timecoin_core::certificate::Certificate;
use timecoin_core::codec::encode;
use timecoin_core::evidence::Evidence;
use timecoin_core::hash::{BlockId, Hash, to_hex};
use timecoin_core::message::Message;
use timecoin_core::receipt::{PastBlock, Payment, Receipt};
use timecoin_core::spec::{ChainSpec, Checkpoint};
use timecoin_core::testing::chain::{TestChain, certify, dev_spec, key, validator_set};
use timecoin_core::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use super::{CHAIN, Vectors, data};

fn vote_data(phase: Phase, block: Option<u8>, valid_view: Option<u32>) -> VoteData {
    VoteData {
        phase,
        height: Height(77),
        view: ViewNumber(3),
        block: block.map(|byte| BlockId(Hash([byte; 32]))),
        valid_view: valid_view.map(ViewNumber),
    }
}

#[test]
fn votes_and_certificates() {
    let mut vectors = Vectors::about("Votes with the bytes signed, certificates, evidence, validator sets.");
    let commit = vote_data(Phase::Commit, Some(0xaa), None);
    let table = [
        ("a proposal", vote_data(Phase::PrePrepare, Some(0xaa), None)),
        ("a proposal prepared before", vote_data(Phase::PrePrepare, Some(0xaa), Some(1))),
        ("prepare", vote_data(Phase::Prepare, Some(0xaa), None)),
        ("prepare, prepared before", vote_data(Phase::Prepare, Some(0xaa), Some(2))),
        ("prepare nil", vote_data(Phase::Prepare, None, None)),
        ("commit", commit),
        ("commit nil", vote_data(Phase::Commit, None, None)),
    ];
    for (name, data) in table {
        let derived = vectors.bytes(name, "vote", &Vote::sign(data, 2, &CHAIN, &key(1)));
        assert_eq!(derived["sign_bytes"], to_hex(&data.sign_bytes(&CHAIN)), "{name}");
    }
    let keys: Vec<_> = (0..10).map(key).collect();
    let members: Vec<_> = keys.iter().zip(1..).map(|(key, weight)| (key.public_key(), weight)).collect();
    for size in [1, 4, 10] {
        let set = validator_set(&members[..size]);
        let derived = vectors.bytes(&format!("a set of {size}"), "validator-set", &set);
        assert_eq!(derived["hash"], json!(set.hash()));
        let certificate = certify(commit, &set, keys.iter().take(size).rev().take(size / 4 * 3 + 1), &CHAIN);
        certificate.verify(&set, &CHAIN).expect("a quorum");
        let derived = vectors.bytes(&format!("a certificate of {size}"), "certificate", &certificate);
        assert_eq!(derived["hash"], json!(Certificate::hash(Some(&certificate))));
    }
    let vote = |block| Vote::sign(vote_data(Phase::Commit, block, None), 2, &CHAIN, &key(1));
    let evidence = Evidence::new(vote(Some(0xaa)), vote(None));
    let derived = vectors.bytes("evidence", "evidence", &evidence);
    assert_eq!(derived["root"], json!(Evidence::root(&[evidence])));
    vectors.bytes("a message of votes", "message", &Message::Votes(vec![vote(None), vote(Some(1))]));
    let swapped = vectors.ask(
        "members out of order",
        "codec-roundtrip",
        &json!({ "type": "validator-set", "hex": format!("02{}{}", "00".repeat(7), swapped_members()) }),
    );
    assert_eq!(swapped["error"]["code"], "malformed-encoding");
    vectors.compare("consensus.json");
}

/// Two members in the wrong order, by weight.
fn swapped_members() -> String {
    let set = validator_set(&[(key(1).public_key(), 1), (key(2).public_key(), 2)]);
    let members: Vec<_> = set.iter().map(|(_, member)| to_hex(&encode(member))).collect();
    members.into_iter().rev().collect()
}

#[test]
fn blocks() {
    let mut vectors =
        Vectors::about("Headers with their ids, bodies with their roots, whole blocks, chain ids.");
    let spec = dev_spec();
    let answer = vectors.ask("a chain spec", "chain-id", &json!({ "consensus": spec }));
    assert_eq!(answer["chain"], json!(spec.id()));

    let chain = TestChain::new(4, 5, 1, 12);
    for height in [0, 1, 6].map(Height) {
        let name = format!("header {height}");
        let derived = vectors.bytes(&name, "header", chain.header(height));
        assert_eq!(derived["id"], json!(chain.header(height).id()));
    }
    vectors.bytes("a light block", "light-block", &chain.light_block(Height(6)));
    vectors.bytes("a trusted block", "trusted", &chain.trusted(Height(6)));

    let certificate = chain.certificate(chain.header(Height(6)));
    let transactions: Vec<_> = data::transactions().into_iter().take(3).map(|(_, signed)| signed).collect();
    let full = Body { transactions, evidence: Vec::new(), parent_certificate: Some(certificate) };
    for (name, body) in [("no transactions", Body::default()), ("three transactions", full)] {
        let header = Header {
            transactions_root: body.transactions_root(),
            parent_certificate_hash: Certificate::hash(body.parent_certificate.as_ref()),
            ..chain.header(Height(7)).clone()
        };
        let derived = vectors.bytes(name, "body", &body);
        assert_eq!(derived["transactions_root"], json!(body.transactions_root()), "{name}");
        let block = Block { header, body };
        let line = json!({ "hex": to_hex(&encode(&block)), "chain": CHAIN });
        let decoded = vectors.ask(name, "decode-block", &line);
        assert_eq!(decoded["id"], json!(block.header.id()), "{name}");
        let committed = json!({
            "transactions_root": true,
            "evidence_root": true,
            "parent_certificate_hash": true,
        });
        assert_eq!(decoded["committed"], committed, "{name}");
    }
    vectors.compare("blocks.json");
}

#[test]
fn receipts() {
    let mut vectors = Vectors::about("Receipts, with and without certificates, for payments old and new.");
    let chain = TestChain::new(4, 5, 1, 12);
    let spec = |checkpoint: Checkpoint| ChainSpec {
        consensus: (**chain.spec()).clone(),
        bootstrap: Vec::new(),
        checkpoints: vec![checkpoint],
    };
    let payment = |height| Payment::in_block(&chain.body(height).transactions, 1).expect("two transactions");
    let past = |height, tip| PastBlock {
        header: chain.header(height).clone(),
        proof: chain.history_proof(height, tip),
    };
    let (anchor, old, tip) = (Height(6), Height(3), Height(9));
    let trace = [chain.light_block(tip)];
    let trusted = chain.trusted(anchor);
    let header = chain.header(anchor);
    let now = chain.header(chain.tip()).time.plus(5000);
    let certified =
        |height, past| Receipt::under_trace(&trusted, &trace, past, payment(height)).expect("a trace");
    let table = [
        ("in the certified block", certified(tip, None)),
        ("before the certified block", certified(old, Some(past(old, tip)))),
        ("before the anchor", Receipt::under_anchor(header.clone(), Some(past(old, anchor)), payment(old))),
    ];
    for (name, receipt) in table {
        let derived = vectors.bytes(name, "receipt", &receipt);
        let spec = spec(Checkpoint::of(header));
        let mut line = json!({ "receipt": derived["text"], "spec": spec, "now": now });
        let answer = vectors.ask(name, "verify-receipt", &line);
        assert_eq!(answer["valid"], true, "{name}: {answer}");
        line["receipt"] = json!(receipt);
        assert_eq!(vectors.ask("the same in JSON", "verify-receipt", &line), answer, "{name}");
        line["receipt"]["payment"]["transaction"]["outputs"][0]["amount"] = json!("1");
        vectors.refuse("another amount", "verify-receipt", &line, "receipt-transaction");
        let late = json!({ "receipt": receipt, "spec": spec, "now": now.plus(1 << 40) });
        vectors.refuse("too old an anchor", "verify-receipt", &late, "checkpoint-expired");
        let unknown = ChainSpec { checkpoints: Vec::new(), ..spec };
        let unknown = json!({ "receipt": receipt, "spec": unknown, "now": now });
        vectors.refuse("an anchor not trusted", "verify-receipt", &unknown, "receipt-unknown-anchor");
    }
    let (line, answer) = large_receipt();
    assert_eq!(vectors.ask("signed by 67 of 100", "verify-receipt", &line), answer);
    vectors.compare("receipts.json");
}

/// A receipt with the certificate of a large set, as `cargo xtask bench web` measures it; and what it proves.
fn large_receipt() -> (serde_json::Value, serde_json::Value) {
    let chain = TestChain::new(100, 5, 0, 7);
    let (anchor, tip) = (Height(6), Height(7));
    let payment = Payment::in_block(&chain.body(tip).transactions, 1).expect("two transactions");
    let trace = [chain.light_block(tip)];
    assert_eq!(trace[0].certificate.signatures.len(), 67);
    let receipt = Receipt::under_trace(&chain.trusted(anchor), &trace, None, payment).expect("a trace");
    let checkpoints = vec![Checkpoint::of(chain.header(anchor))];
    let spec = ChainSpec { consensus: (**chain.spec()).clone(), bootstrap: Vec::new(), checkpoints };
    let now = chain.header(tip).time.plus(5000);
    let proved = receipt.verify(&spec.checkpoints, &chain.options(), now).expect("it holds");
    let line = json!({ "receipt": receipt.to_text(), "spec": spec, "now": now });
    let answer = serde_json::from_str(&timecoin_core::tool::run("verify-receipt", &line.to_string()));
    let answer: serde_json::Value = answer.expect("tools answer in JSON");
    assert_eq!((&answer["valid"], &answer["txid"]), (&json!(true), &json!(proved.txid)));
    (line, answer)
}
