//! The state: the coins' tree and its proofs, the registry, the accounting, what the state root is the hash of.

use serde_json::{Value, json};
use timecoin_core::amount::Amount;
use timecoin_core::answer::{BalanceAnswer, CoinsAnswer, Opening};
use timecoin_core::hash::{Hash, TxId};
use timecoin_core::spec::GenesisMasternode;
use timecoin_core::state::genesis;
use timecoin_core::state::tree::{Chunk, CoinTree, Multiproof, Op, Position};
use timecoin_core::testing::chain::{dev_spec, key};
use timecoin_core::transaction::{Class, OutPoint, Output, Tier};

use super::{Vectors, owner};

fn coin(number: u8) -> (OutPoint, Output) {
    let outpoint = OutPoint { txid: TxId(Hash([number; 32])), index: u32::from(number) };
    (outpoint, Output { amount: Amount(1000 * u64::from(number)), owner: owner(number % 4) })
}

fn line(ops: &[Op]) -> Value {
    let operation = |op: &Op| {
        let (OutPoint { txid, index }, Output { amount, owner }) = op.coin();
        let name = if matches!(op, Op::Insert(..)) { "insert" } else { "remove" };
        json!({ "op": name, "txid": txid, "index": index, "owner": owner, "amount": amount })
    };
    json!({ "operations": ops.iter().map(operation).collect::<Vec<_>>() })
}

#[test]
fn coins() {
    let mut vectors = Vectors::about("Roots of the coins' tree with sum and count, and every kind of proof.");
    let insert = |number| Op::Insert(coin(number).0, coin(number).1);
    let remove = |number| Op::Remove(coin(number).0, coin(number).1);
    vectors.ask("no coins", "state-root", &line(&[]));
    for count in [1, 2, 3, 5, 20] {
        let ops: Vec<_> = (1..=count).map(insert).collect();
        vectors.ask(&format!("{count} coins"), "state-root", &line(&ops));
    }
    let mut ops: Vec<_> = (1..=20).map(insert).collect();
    let twenty = vectors.ask("twenty again", "state-root", &line(&ops));
    ops.extend((21..=40).map(insert));
    ops.extend((21..=40).rev().map(remove));
    let back = vectors.ask("forty, then twenty", "state-root", &line(&ops));
    assert_eq!(back, twenty, "the form does not depend on history");
    vectors.refuse("a coin twice", "state-root", &line(&[insert(1), insert(1)]), "coin-already-present");
    vectors.refuse("a coin that is not there", "state-root", &line(&[remove(1)]), "coin-not-present");

    let mut tree = CoinTree::empty();
    let root = tree.apply(&ops[..20]).expect("twenty coins");
    let (outpoint, output) = coin(7);
    let check = |vectors: &mut Vectors, kind: &str, proof: Value, valid: bool| {
        let line = json!({ "kind": kind, "root": root, "proof": proof });
        let answer = vectors.ask(if valid { "which holds" } else { "which does not" }, "verify-proof", &line);
        assert_eq!(answer["valid"], valid, "{kind}: {answer}");
    };
    let proof = tree.prove_coin(&output.owner, &outpoint).expect("in memory").expect("there");
    vectors.bytes("a coin", "coin-proof", &proof);
    check(&mut vectors, "coin", json!(proof), true);
    let mut forged = proof.clone();
    forged.output.amount = Amount(7001);
    check(&mut vectors, "coin", json!(forged), false);
    let proof = tree.prove_absence(&output.owner, &coin(99).0).expect("in memory").expect("not there");
    vectors.bytes("no such coin", "absence-proof", &proof);
    check(&mut vectors, "absence", json!(proof), true);
    for (name, asked) in [("an owner", owner(2)), ("an owner without coins", owner(77))] {
        let proof = tree.prove_owner(&asked).expect("in memory");
        vectors.bytes(name, "owner-proof", &proof);
        check(&mut vectors, "owner", json!(proof), true);
    }
    let proof = tree.prove_owner_coins(&owner(2)).expect("in memory").expect("few coins");
    vectors.bytes("all coins of an owner", "owner-coins-proof", &proof);
    check(&mut vectors, "owner-coins", json!(proof), true);
    let ops = [remove(3), remove(4), insert(50)];
    vectors.bytes(
        "what three changes touch",
        "multiproof",
        &Multiproof::build(&tree, &ops).expect("in memory"),
    );
    let chunk = Chunk::build(&tree, &Position::START, 8).expect("in memory");
    vectors.bytes("the first eight coins", "chunk", &chunk);
    vectors.compare("coins.json");
}

#[test]
fn state_roots() {
    let mut vectors =
        Vectors::about("Registry, accounting and state root of a genesis block; proved balances.");
    let mut spec = dev_spec();
    spec.allocations = (1..=5).map(|number| coin(number).1).collect();
    spec.masternodes.extend((1..4u8).map(|number| GenesisMasternode {
        tier: [Tier::Bronze, Tier::Silver, Tier::Gold][usize::from(number % 3)],
        class: if number == 2 { Class::Browser } else { Class::Server },
        owner: owner(number),
        operator: key(u64::from(number)).public_key(),
        payout: owner(number + 100),
    }));
    let applied = genesis(&spec).expect("a sound spec");
    let (state, header) = (&applied.state, &applied.block.header);
    let derived = vectors.bytes("the registry", "registry", &*state.registry);
    assert_eq!(derived["root"], json!(state.registry.root()));
    let derived = vectors.bytes("the accounting", "accounting", &*state.accounting);
    assert_eq!(derived["hash"], json!(state.accounting.hash()));
    let derived = vectors.bytes("the state", "state-commitment", &state.commitment());
    assert_eq!(derived["root"], json!(header.state_root));
    vectors.bytes("the header", "header", header);
    vectors.bytes("the block", "block", &applied.block);
    vectors.bytes("the filter", "filter", &applied.filter);
    vectors.bytes("the validators", "validator-set", &*state.validators);

    let opening = Opening { header: header.clone(), commitment: state.commitment() };
    for asked in [owner(1), owner(99)] {
        let proof = state.coins.prove_owner(&asked).expect("in memory");
        let answer = BalanceAnswer { opening: opening.clone(), proof };
        vectors.bytes("a balance", "balance-answer", &answer);
        let mut line = json!({ "kind": "balance", "owner": asked, "proof": answer });
        let found = vectors.ask("which holds", "verify-proof", &line);
        assert_eq!(found["valid"], true, "{found}");
        line["owner"] = json!(owner(50));
        vectors.refuse("of someone else", "verify-proof", &line, "answer-other-owner");
        let proof = state.coins.prove_owner_coins(&asked).expect("in memory").expect("few coins");
        let answer = CoinsAnswer { opening: opening.clone(), proof };
        vectors.bytes("the coins", "coins-answer", &answer);
        let line = json!({ "kind": "coins", "owner": asked, "proof": answer });
        assert_eq!(vectors.ask("which hold", "verify-proof", &line)["valid"], true);
    }
    vectors.compare("state.json");
}
