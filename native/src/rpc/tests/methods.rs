//! Every method of the table, with good parameters and bad ones; every answer is held against the table's shape.

use std::collections::BTreeSet;

use timecoin_core::answer::{BalanceAnswer, CoinsAnswer, Opening, Question};
use timecoin_core::certificate::Certificate;
use timecoin_core::codec::{Wire, encode};
use timecoin_core::receipt::Receipt;
use timecoin_core::state::tree::CoinProof;
use timecoin_core::vote::Height;

use super::*;
use crate::rpc::methods;

/// A method, parameters it takes, and parameters it refuses with a word.
struct Case {
    method: &'static str,
    good: Vec<Value>,
    bad: Vec<(Value, &'static str)>,
}

fn case<const G: usize, const B: usize>(
    method: &'static str,
    good: [Value; G],
    bad: [(Value, &'static str); B],
) -> Case {
    Case { method, good: good.into(), bad: bad.into() }
}

const WRONG: &str = "invalid_params";

/// What the cases are about: a node with a final payment.
struct Facts {
    txid: String,
    block: Value,
    address: String,
    coin: Value,
    masternode: Value,
    signed: SignedTransaction,
}

async fn facts(node: &TestNode) -> Facts {
    let txid = node.pay(0).await;
    let block = node.call("gettransaction", json!([txid])).await["at"]["block"].clone();
    let coin = node.coin(1).await;
    let address = node.net.address_of(&node.net.payer);
    let signed = node.payment(&coin, &address).await;
    let masternode = node.call("masternodelist", json!([])).await["masternodes"][0].clone();
    Facts { txid, block, address, coin, masternode, signed }
}

fn block_cases(facts: &Facts) -> Vec<Case> {
    let Facts { block, .. } = facts;
    let nowhere = || (json!(["cd".repeat(32)]), "not_found");
    vec![
        case("getblockchaininfo", [json!([])], [(json!([1]), WRONG)]),
        case("getblockcount", [json!([]), json!({})], [(json!({ "a": 1 }), WRONG)]),
        case(
            "getblockhash",
            [json!([0])],
            [
                (json!([u64::MAX]), "not_found"),
                (json!(["0"]), WRONG),
                (json!([-1]), WRONG),
                (json!([0.5]), WRONG),
                (json!([1e300]), WRONG),
                (json!([]), WRONG),
            ],
        ),
        case(
            "getblock",
            [json!([0]), json!([1, false]), json!([block, true]), json!({ "block": 0, "verbose": true })],
            [
                nowhere(),
                (json!([9_007_199_254_740_993u64]), "not_found"),
                (json!([0, "yes"]), WRONG),
                (json!(["zz"]), WRONG),
                (json!([[0]]), WRONG),
                (json!([{ "a": 0 }]), WRONG),
                (json!([true]), WRONG),
            ],
        ),
        case("getrawblock", [json!([0]), json!([block])], [nowhere(), (json!([-3]), WRONG)]),
        case("getblockheader", [json!([0]), json!([block])], [nowhere(), (json!([-3]), WRONG)]),
        case(
            "getlightblock",
            [json!([1]), json!([block])],
            [(json!([0]), "not_found"), (json!([1.5]), WRONG)],
        ),
        case(
            "ask",
            [json!([to_hex(&encode(&Question::Block(Height(1))))])],
            [(json!(["00"]), WRONG), (json!([7]), WRONG)],
        ),
        case(
            "getfilters",
            [json!([0]), json!([0, 1]), json!([1_000_000]), json!([u64::MAX, 100])],
            [(json!([0, 101]), WRONG), (json!(["0"]), WRONG), (json!([]), WRONG)],
        ),
        case(
            "getvalidators",
            [json!([]), json!([1])],
            [(json!([1_000_000]), "not_found"), (json!(["1"]), WRONG)],
        ),
    ]
}

fn transaction_cases(facts: &Facts) -> Vec<Case> {
    let Facts { txid, address, coin, signed, .. } = facts;
    let unknown = || (json!(["ab".repeat(32)]), "not_found");
    let garbled = || (json!([format!("{}0", &txid[1..])]), "not_found");
    let short = || (json!([&txid[2..]]), WRONG);
    let input = json!({ "txid": coin["txid"], "index": coin["index"] });
    let output = json!({ "address": address, "amount": "1" });
    let mut forged = signed.clone();
    forged.transaction.memo = b"altered".to_vec();
    vec![
        case(
            "getrawtransaction",
            [json!([txid]), json!([txid, true])],
            [unknown(), short(), (json!([7]), WRONG)],
        ),
        case("gettransaction", [json!([txid])], [unknown(), garbled(), short()]),
        case(
            "createrawtransaction",
            [
                json!([[input], [output]]),
                json!({ "inputs": [input], "outputs": [output, output], "memo": "thanks", "expires_at": 1 }),
            ],
            [
                (json!([[], [output]]), WRONG),
                (json!([[input], []]), WRONG),
                (json!([[input, input], [output]]), WRONG),
                (json!([[input], [{ "address": address, "amount": 1 }]]), WRONG),
                (json!([[input], [{ "address": address, "amount": "-1" }]]), WRONG),
                (json!([[input], [{ "address": address, "amount": "0.000000001" }]]), WRONG),
                (json!([[input], [{ "address": "dtime1", "amount": "1" }]]), WRONG),
                (json!([[input], [{ "address": address, "amount": "1", "memo": "" }]]), WRONG),
                (json!([[input], [{ "address": address, "amount": "100.00000001" }]]), "value_created"),
                (json!([[input], [output], 1, "m".repeat(81)]), "memo_too_long"),
                (json!([[{ "txid": txid, "index": 1 }], [output]]), "coin_unknown_or_spent"),
                (json!([[{ "txid": "00".repeat(32), "index": 0 }], [output]]), "coin_unknown_or_spent"),
                (json!([vec![input.clone(); 101], [output]]), WRONG),
            ],
        ),
        case("decoderawtransaction", [json!([hex(signed)])], [(json!(["00"]), WRONG), (json!(["0"]), WRONG)]),
        case(
            "sendrawtransaction",
            [json!([hex(signed)])],
            [
                (json!([hex(&forged)]), "signature"),
                (json!([format!("{}00", hex(signed))]), WRONG),
                (json!([""]), WRONG),
                (json!(["not hexadecimal"]), WRONG),
                (json!([7]), WRONG),
            ],
        ),
        case("gettransactionfinality", [json!([txid])], [unknown(), short()]),
        case(
            "waittransactionfinality",
            [json!([txid]), json!([txid, 10])],
            [(json!(["ab".repeat(32), 10]), "timeout"), (json!([txid, -1]), WRONG), short()],
        ),
        case("getreceipt", [json!([txid])], [unknown(), short()]),
        case("getmempoolinfo", [json!([])], [(json!([1]), WRONG)]),
        case("getrawmempool", [json!([])], [(json!({ "verbose": true }), WRONG)]),
        case("estimatefee", [json!([]), json!([250])], [(json!(["250"]), WRONG), (json!([-1]), WRONG)]),
    ]
}

fn other_cases(facts: &Facts) -> Vec<Case> {
    let Facts { txid, address, masternode, .. } = facts;
    let foreign = address.replacen("dtime", "ttime", 1);
    let typo = if address.ends_with('q') { "p" } else { "q" };
    let mistyped = format!("{}{typo}", &address[..address.len() - 1]);
    let wrong = || [(json!([foreign]), WRONG), (json!([mistyped]), WRONG), (json!([7]), WRONG)];
    vec![
        case("getbalance", [json!([address]), json!({ "address": address })], wrong()),
        case(
            "getbalances",
            [json!([[]]), json!([[address, address]])],
            [(json!([address]), WRONG), (json!([vec![address; 501]]), WRONG), (json!([[mistyped]]), WRONG)],
        ),
        case("listunspent", [json!([address])], wrong()),
        case(
            "listunspentmulti",
            [json!([[address]])],
            [(json!([vec![address; 21]]), WRONG), (json!([[foreign]]), WRONG)],
        ),
        case(
            "gettxout",
            [json!([txid, 0]), json!([txid, 7]), json!(["ab".repeat(32), 0])],
            [(json!([txid]), WRONG), (json!([txid, 1u64 << 32]), WRONG), (json!([txid, "0"]), WRONG)],
        ),
        case("gettxoutsetinfo", [json!([])], [(json!([0]), WRONG)]),
        case(
            "getaddresshistory",
            [json!([address]), json!([address, 0, 1]), json!([address, u64::MAX, 200])],
            [(json!([address, 0, 201]), WRONG), (json!([mistyped]), WRONG)],
        ),
        case("validateaddress", [json!([address]), json!([mistyped]), json!([""])], [(json!([7]), WRONG)]),
        case("masternodelist", [json!([])], [(json!(["active"]), WRONG)]),
        case(
            "masternodestatus",
            [json!([masternode["masternode"]]), json!([masternode["operator"]])],
            [(json!(["ab".repeat(32)]), "not_found"), (json!(["a name"]), WRONG)],
        ),
        case("getconsensusinfo", [json!([])], [(json!([1]), WRONG)]),
        case("getnetworkinfo", [json!([])], [(json!([1]), WRONG)]),
        case("getpeerinfo", [json!([])], [(json!([1]), WRONG)]),
        case("listbanned", [json!([])], [(json!([1]), WRONG)]),
        case("subscribe", [], [(json!(["blocks"]), "needs_socket")]),
        case("unsubscribe", [], [(json!([1]), "needs_socket")]),
        case("uptime", [json!([])], [(json!([1]), WRONG)]),
        case("rpc.discover", [json!([])], [(json!([1]), WRONG)]),
        case("overridequarantine", [], [(json!([1]), "unauthorized")]),
        case("stop", [], [(json!([]), "unauthorized")]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_answers_as_the_table_says() {
    let node = TestNode::start().await;
    let facts = facts(&node).await;
    let cases: Vec<_> =
        [block_cases(&facts), transaction_cases(&facts), other_cases(&facts)].into_iter().flatten().collect();
    let covered: BTreeSet<_> = cases.iter().map(|case| case.method).collect();
    assert_eq!(covered, methods().map(|method| method.name).collect(), "every method has its case");
    for Case { method, good, bad } in cases {
        let entry = methods().find(|entry| entry.name == method).unwrap();
        assert!(!bad.is_empty(), "{method}");
        for (params, word) in bad {
            assert_eq!(node.refused(method, params.clone()).await, word, "{method} {params}");
        }
        for params in good {
            let result = node.call(method, params.clone()).await;
            let fits = entry.result.check(&result);
            fits.unwrap_or_else(|objection| panic!("{method} {params}: result{objection}"));
        }
    }
    node.stop().await;
}

fn from_hex<T: Wire>(value: &Value) -> T {
    decode(&hex_to_vec(value.as_str().unwrap()).unwrap()).unwrap()
}

/// A block's rows are written before its state is visible. Who hears of finality then reads a balance, and must find
/// the payment in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_final_only_once_balances_show_it() {
    let node = TestNode::start().await;
    let state = node.running.as_ref().unwrap().handle.state.clone();
    let before = state.load_full();
    let txid = node.pay(0).await;
    let after = state.swap(before);
    assert_eq!(node.refused("gettransactionfinality", json!([txid])).await, "not_found", "rows alone");
    assert_eq!(node.refused("waittransactionfinality", json!([txid, 1])).await, "timeout", "rows alone");
    state.store(after);
    assert_eq!(node.call("gettransactionfinality", json!([txid])).await["final"], true);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_show_the_answers_against_a_certified_header() {
    let node = TestNode::start().await;
    let txid = node.pay(0).await;
    let owner = owner_of(&node.net.payer);
    let address = node.net.address_of(&node.net.payer);
    let certifies = |opening: &Opening, answer: &Value| {
        let certificate: Certificate = from_hex(&answer["certificate"]);
        assert_eq!(certificate.data.block, Some(opening.header.id()));
        assert_eq!(answer["at"]["block"], json!(opening.header.id()));
    };

    let answer = node.call("getbalance", json!([address])).await;
    let proof: BalanceAnswer = from_hex(&answer["proof"]);
    let (balance, coins) = proof.verify(&owner).unwrap();
    assert_eq!((json!(balance), json!(coins)), (answer["balance"].clone(), answer["coins"].clone()));
    assert_eq!(answer["balance"], "1999.999");
    certifies(&proof.opening, &answer);

    let answer = node.call("listunspent", json!([address])).await;
    let proof: CoinsAnswer = from_hex(&answer["proof"]);
    assert_eq!(proof.verify(&owner).unwrap().len(), 20);
    certifies(&proof.opening, &answer);

    let answer = node.call("gettxout", json!([txid, 0])).await;
    let (opening, coin): (Opening, CoinProof) = (from_hex(&answer["opening"]), from_hex(&answer["proof"]));
    certifies(&opening, &answer);
    coin.verify(&opening.coins().unwrap()).unwrap();
    assert_eq!(json!(coin.output.amount), answer["amount"]);
    assert_eq!(json!(coin.outpoint.txid), answer["txid"]);

    let answer = node.call("getreceipt", json!([txid])).await;
    let receipt = Receipt::from_text(answer["text"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&receipt.to_json()).unwrap(), answer["receipt"]);

    let sums = node.call("gettxoutsetinfo", json!([])).await;
    assert_eq!(sums["supply"], sums["issued"], "the supply equation, as answered");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_transaction_is_shown_as_such_and_its_double_spend_is_refused() {
    let node = TestNode::relay().await;
    let coin = node.coin(0).await;
    let signed = node.payment(&coin, &node.net.address_of(&node.net.payer)).await;
    let txid = node.call("sendrawtransaction", json!([hex(&signed)])).await;
    assert_eq!(node.refused("sendrawtransaction", json!([hex(&signed)])).await, "already_pending");
    let other = node.payment(&coin, &node.net.address_of(&SecretKey::from_seed(&[9; 32]))).await;
    assert_eq!(node.refused("sendrawtransaction", json!([hex(&other)])).await, "double_spend");

    for (method, expected) in [("gettransactionfinality", "pending"), ("gettransaction", "pending")] {
        let shown = node.call(method, json!([txid])).await;
        let entry = methods().find(|entry| entry.name == method).unwrap();
        entry.result.check(&shown).unwrap();
        assert_eq!((&shown["phase"], &shown["final"]), (&json!(expected), &json!(false)), "{method}");
    }
    assert_eq!(node.call("getrawtransaction", json!([txid])).await, hex(&signed));
    assert_eq!(node.call("getrawmempool", json!([])).await, json!([txid]));
    assert_eq!(node.call("getmempoolinfo", json!([])).await["size"], 1);
    assert_eq!(node.refused("getreceipt", json!([txid])).await, "not_found", "nothing final, no receipt");
    // What is pending may be spent on.
    let pending = json!({ "txid": txid, "index": 0, "amount": "99.999" });
    let child = node.payment(&pending, &node.net.address_of(&node.net.payer)).await;
    node.call("sendrawtransaction", json!([hex(&child)])).await;
    assert_eq!(node.call("getmempoolinfo", json!([])).await["size"], 2);
    let balance = node.call("getbalance", json!([node.net.address_of(&node.net.payer)])).await;
    assert_eq!(balance["balance"], "2000", "balances are of final blocks");
    assert_eq!(balance["certificate"], json!(null), "genesis has none");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_needs_the_token_and_then_stops() {
    let node = TestNode::relay().await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"stop"}"#;
    let wrong = ["Authorization: Bearer wrong", "Authorization: Basic dG9rZW4=", "Cookie: token=x"];
    for header in wrong {
        let answer =
            node.request("POST", "/rpc", &["Content-Type: application/json", header], call.as_bytes()).await;
        assert_eq!(answer.json()["error"]["data"]["code"], "unauthorized", "{header}");
    }
    let token = format!("Authorization: Bearer {TOKEN}");
    let headers = ["Content-Type: application/json", token.as_str()];
    let idle = r#"{"jsonrpc":"2.0","id":1,"method":"overridequarantine","params":[1]}"#;
    let answer = node.request("POST", "/rpc", &headers, idle.as_bytes()).await;
    assert_eq!(answer.json()["error"]["data"]["code"], "not_found", "there is no quarantine");
    let answer = node.request("POST", "/rpc", &headers, call.as_bytes()).await;
    assert_eq!(answer.json()["result"], "stopping");
    let mut node = node;
    let reason = timeout(WAIT, node.running.take().unwrap().wait()).await.expect("it stops");
    assert!(matches!(reason, StopReason::Requested), "{reason}");
}
