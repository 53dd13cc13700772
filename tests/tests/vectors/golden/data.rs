//! Transactions: id, sighash, witnesses, every action; logs and filters.

use serde_json::json;
use timecoin_core::amount::Amount;
use timecoin_core::hash::{BlockId, Hash, MasternodeId, TxId, to_hex};
use timecoin_core::lock::Lock;
use timecoin_core::merkle::{Blake, ConsistencyProof, Frontier, LogHash};
use timecoin_core::testing::chain::key;
use timecoin_core::time::Time;
use timecoin_core::transaction::{
    Action, Class, OutPoint, Output, SignedTransaction, TRANSACTION_VERSION, Tier, Transaction,
    TransactionLimits, VerifiedTransaction,
};
use timecoin_core::wallet::build::{OperatorConsent, Registration, TransactionBuilder};
use timecoin_core::wallet::coins::Spendable;

use super::{CHAIN, Vectors, owner};

const LIMITS: TransactionLimits =
    TransactionLimits { size_max: 100_000, output_min: Amount(1000), fee_per_kb_min: 1000 };

/// A lock of key `number`, or two of keys 1, 2, 3 for number 0.
fn lock(number: u64) -> Lock {
    if number > 0 {
        return Lock::Key(key(number).public_key());
    }
    let mut keys: Vec<_> = (1..=3).map(|number| key(number).public_key()).collect();
    keys.sort_unstable();
    Lock::Threshold { required: 2, keys }
}

fn coin(number: u8, grains: u64, lock: Lock) -> Spendable {
    let outpoint = OutPoint { txid: TxId(Hash([number; 32])), index: u32::from(number) };
    Spendable { outpoint, output: Output { amount: Amount(grains), owner: lock.owner() }, lock }
}

/// One of each shape and action, signed.
pub(super) fn transactions() -> Vec<(&'static str, SignedTransaction)> {
    let builder = || TransactionBuilder::new(CHAIN, LIMITS, Time(1_700_000_000_000));
    let own = lock(1).owner();
    let pay = |amount| builder().pay(owner(9), Amount(amount));
    let rich = [coin(7, 200_000_000_000, lock(1))];
    let many: Vec<_> = (1..=6).map(|number| coin(number, 50_000, lock(u64::from(number) % 3))).collect();
    let consent = OperatorConsent::sign(&CHAIN, &own, &key(5));
    let registration =
        Registration { tier: Tier::Bronze, class: Class::Browser, owner: own, payout: owner(8), consent };
    let masternode = MasternodeId(Hash([6; 32]));
    let built = [
        ("one coin, change", pay(60_000).fund(&rich, own)),
        ("a memo", pay(60_000).memo("thank you").fund(&rich, own)),
        ("three owners, one of them two of three", pay(270_000).fund(&many, own)),
        ("all coins, no change", builder().fund_with_all(&many, owner(9))),
        ("a higher fee", pay(60_000).fee_per_kb(12_345).fund(&rich, own)),
        ("register", builder().register_masternode(&registration).fund(&rich, own)),
        ("retire, paid by another", builder().retire_masternode(masternode, lock(4)).fund(&rich, own)),
        (
            "rotate",
            builder().rotate_operator(masternode, key(4).public_key(), lock(1), consent).fund(&rich, own),
        ),
    ];
    let keys: Vec<_> = (1..=4).map(key).collect();
    let sign = |(name, unsigned): (&'static str, Result<_, _>)| {
        let unsigned: timecoin_core::wallet::build::Unsigned = unsigned.expect("there are coins");
        let signed = unsigned.sign(&keys).expect("there are keys");
        VerifiedTransaction::verify(signed.clone(), &CHAIN, &LIMITS).expect("valid");
        (name, signed)
    };
    let reward = Transaction {
        version: TRANSACTION_VERSION,
        inputs: Vec::new(),
        outputs: vec![Output { amount: Amount(123_456_789), owner: owner(1) }],
        action: Action::Reward { height: 100 },
        expires_at: Time::NEVER,
        memo: Vec::new(),
    };
    let reward = SignedTransaction { transaction: reward, spent: Vec::new(), witnesses: Vec::new() };
    built.into_iter().map(sign).chain([("a reward", reward)]).collect()
}

#[test]
fn transactions_of_every_kind() {
    let mut vectors = Vectors::about("Signed transactions: bytes, id, commitment, sighash, fee.");
    for (name, signed) in transactions() {
        let derived = vectors.bytes(name, "transaction", &signed);
        assert_eq!(derived["txid"], json!(signed.transaction.id()), "{name}");
        let sighash = signed.transaction.sighash(&CHAIN, &signed.spent);
        assert_eq!(derived["sighash"], json!(sighash), "{name}");
        let line = json!({ "hex": to_hex(&timecoin_core::codec::encode(&signed)), "chain": CHAIN });
        let decoded = vectors.ask(name, "decode-transaction", &line);
        assert_eq!(decoded["txid"], derived["txid"], "{name}");
    }
    let bad = json!({ "hex": "0100" });
    vectors.refuse("cut short", "decode-transaction", &bad, "malformed-encoding");
    vectors.compare("transactions.json");
}

#[test]
fn logs() {
    let mut vectors = Vectors::about("Merkle logs after RFC 6962 over our hash: roots, proofs, frontiers.");
    let data: Vec<String> = (0..9u8).map(|at| to_hex(&vec![at; usize::from(at)])).collect();
    let leaves: Vec<Hash> = (0..9u8).map(|at| Blake::leaf(&vec![at; usize::from(at)])).collect();
    let mut roots = Vec::new();
    let mut frontier = Frontier::default();
    for size in 0..=9 {
        let mut line = json!({ "leaves": data[..size] });
        if size > 0 {
            line["prove"] = json!(size / 2);
        }
        let answer = vectors.ask(&format!("{size} leaves"), "merkle-root", &line);
        let derived = vectors.bytes(&format!("frontier of {size}"), "frontier", &frontier);
        assert_eq!(derived["root"], answer["root"], "{size}");
        if size > 0 {
            let check = json!({
                "kind": "inclusion",
                "root": answer["root"],
                "data": data[size / 2],
                "proof": answer["proof"],
            });
            assert_eq!(vectors.ask("which holds", "verify-proof", &check)["valid"], true, "{size}");
        }
        roots.push(answer["root"].clone());
        if let Some(leaf) = leaves.get(size) {
            frontier.append::<Blake>(*leaf);
        }
    }
    for old in 1..=9 {
        let proof = ConsistencyProof::from_leaves::<Blake>(&leaves, old).expect("a proof");
        vectors.bytes(&format!("9 extends {old}"), "consistency-proof", &proof);
        let at = old as usize;
        let mut check =
            json!({ "kind": "consistency", "old_root": roots[at], "new_root": roots[9], "proof": proof });
        assert_eq!(vectors.ask("which holds", "verify-proof", &check)["valid"], true, "{old}");
        check["new_root"] = roots[8].clone();
        assert_eq!(vectors.ask("but not of 8", "verify-proof", &check)["valid"], false, "{old}");
    }
    vectors.compare("merkle.json");
}

#[test]
fn filters() {
    let mut vectors = Vectors::about("Block filters: bytes and hash for a parent id and a set of owners.");
    let parent = BlockId(Hash([0xb1; 32]));
    for count in [0u8, 1, 2, 3, 30] {
        let owners: Vec<_> = (0..count).map(owner).collect();
        let line = json!({ "parent": parent, "owners": owners });
        let made = vectors.ask(&format!("{count} owners"), "filter", &line);
        for (name, asked, matches) in [("holds one", owner(0), count > 0), ("not another", owner(200), false)]
        {
            let line = json!({ "parent": parent, "owners": [asked], "filter": made["filter"] });
            assert_eq!(vectors.ask(name, "filter", &line)["matches"], matches, "{count}");
        }
    }
    let broken = json!({ "parent": parent, "owners": [], "filter": "01" });
    vectors.refuse("no filter", "filter", &broken, "filter-truncated");
    vectors.compare("filters.json");
}
