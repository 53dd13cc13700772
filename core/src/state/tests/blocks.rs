//! What holds after every block, and the verdict on blocks that are not what they should be.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::amount::Amount;
use crate::block::{Block, Header};
use crate::codec::{decode, encode};
use crate::hash::{BlockId, Hash, StateRoot};
use crate::spec::{ConsensusSpec, Rules, RulesFrom};
use crate::state::registry::Status;
use crate::state::tree::{CoinTree, Op, TreeError};
use crate::state::{Applied, BlockError, Draft, VerifiedBlock, validate};
use crate::testing::Rng;
use crate::testing::chain::key;
use crate::testing::ledger::{Ledger, RICH, ledger_spec, owner};
use crate::testing::model::{draft, extend, spec};
use crate::time::Time;
use crate::transaction::{Action, TransactionError, VerifiedTransaction};
use crate::vote::{Height, ViewNumber};

/// Everything that any block must keep.
fn assert_sound(ledger: &Ledger, parent: &Ledger) {
    let (state, before) = (&ledger.state, &parent.state);
    let commitment = state.commitment();
    assert_eq!(commitment.root(), state.header.state_root);
    assert_eq!(state.header.supply, ledger.spec.issued(state.header.time), "coins + pool = issued");
    assert_eq!(commitment.supply(), Some(state.header.supply));
    let sum = Amount::checked_sum(ledger.coins.values().map(|output| output.amount)).unwrap();
    assert_eq!((commitment.coins.sum, commitment.coins.count), (sum, ledger.coins.len() as u64));
    for node in state.registry.iter() {
        let collateral = ledger.coins.get(&node.collateral);
        assert_eq!(collateral.map(|coin| coin.amount), Some(node.tier.collateral()), "{}", node.id);
        assert_eq!(state.registry.of_operator(&node.operator).map(|node| node.id), Some(node.id));
    }
    let rules = ledger.spec.rules(state.height());
    let closes = state.height().0 % rules.epoch_blocks == 0;
    assert_eq!(state.header.validators_hash, before.validators.hash());
    assert!(closes || state.validators.hash() == before.validators.hash(), "sets change at epochs only");
    if closes && let Ok(expected) = state.registry.validators(rules) {
        assert_eq!(*state.validators, expected, "the set is what the registry says");
        let class = |id| state.registry.node(id).map(|node| node.class);
        let tabs = expected
            .iter()
            .filter(|(_, member)| class(&member.masternode) == Some(crate::transaction::Class::Browser));
        assert!(4 * tabs.map(|(_, member)| member.weight).sum::<u64>() <= expected.total());
    }
    assert_eq!(state.accounting.participation.len(), state.validators.len());
}

fn from_wire(ledger: &Ledger, block: &Block) -> Result<VerifiedBlock, BlockError> {
    let block: Block = decode(&encode(block)).unwrap();
    let (set, signers) = (ledger.state.validators.clone(), &ledger.state.signers);
    VerifiedBlock::verify(block, &ledger.spec, &ledger.chain, signers, |_| Some(set.clone()), |_| None)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_block_keeps_the_supply_the_collateral_and_the_sets(seed: u64) {
        let (mut ledger, mut dice) = (Ledger::new(spec()), Rng::new(seed));
        for _ in 0..40 {
            let parent = ledger.clone();
            let applied = extend(&mut ledger, &mut dice);
            assert_sound(&ledger, &parent);
            // Others see bytes, and come to the same.
            let verified = from_wire(&parent, &applied.block).unwrap();
            let validated = validate(&parent.spec, &parent.chain, &parent.state, verified).unwrap();
            prop_assert_eq!(validated.state.id, ledger.state.id);
            prop_assert_eq!(validated.changes, applied.changes);
        }
        let mut tree = CoinTree::empty();
        let ops: Vec<_> = ledger.coins.iter().map(|(at, coin)| Op::Insert(*at, *coin)).collect();
        prop_assert_eq!(tree.apply(&ops).unwrap(), ledger.state.coins.summary(), "the form depends on the coins only");
    }
}

#[test]
fn random_chains_do_everything_there_is() {
    let mut seen = BTreeSet::new();
    for seed in 0..4 {
        let (mut ledger, mut dice) = (Ledger::new(spec()), Rng::new(seed));
        for _ in 0..80 {
            let applied = extend(&mut ledger, &mut dice);
            for signed in &applied.block.body.transactions {
                seen.insert(match signed.transaction.action {
                    Action::Transfer => "pay",
                    Action::RegisterMasternode { .. } => "register",
                    Action::RetireMasternode { .. } => "retire",
                    Action::RotateOperator { .. } => "rotate",
                    Action::Reward { .. } => "reward",
                });
            }
            let ejected =
                |node: &crate::state::registry::Masternode| matches!(node.status, Status::Ejected { .. });
            seen.extend(ledger.state.registry.iter().any(ejected).then_some("eject"));
            seen.extend((ledger.state.validators.len() > 4).then_some("larger set"));
        }
    }
    let all = ["eject", "larger set", "pay", "register", "retire", "reward", "rotate"];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
}

/// A ledger with a few blocks, and a draft with payments in it.
fn sample() -> (Ledger, Draft) {
    let mut ledger = Ledger::new(ledger_spec(4, 10));
    for _ in 0..3 {
        ledger.extend(1_000, Vec::new(), Vec::new()).unwrap();
    }
    let coins = ledger.coins_of(&owner(RICH));
    let pay = |coin| ledger.verify(ledger.payment(RICH, coin, 7, Amount(5_000)).sign(&ledger.chain)).unwrap();
    let transactions = coins.into_iter().take(3).map(pay).collect();
    let draft = ledger.draft(1_000, transactions);
    (ledger, draft)
}

#[test]
fn a_header_that_does_not_follow_is_refused_by_the_name_of_its_field() {
    let (ledger, draft) = sample();
    let good = ledger.derive(draft.clone()).unwrap().block.header;
    type Change = fn(&mut Header);
    let table: [(&str, Change); 12] = [
        ("version", |header| header.version += 1),
        ("height", |header| header.height = Height(99)),
        ("parent", |header| header.parent = BlockId::default()),
        ("transactions_root", |header| header.transactions_root = Hash::ZERO),
        ("state_root", |header| header.state_root = StateRoot(Hash::ZERO)),
        ("supply", |header| header.supply.0 += 21_000_000 * 100_000_000),
        ("filter_hash", |header| header.filter_hash = Hash::ZERO),
        ("history_root", |header| header.history_root = Hash::ZERO),
        ("validators_hash", |header| header.validators_hash = Hash::ZERO),
        ("next_validators_hash", |header| header.next_validators_hash = Hash::ZERO),
        ("evidence_root", |header| header.evidence_root = Hash::ZERO),
        ("parent_certificate_hash", |header| header.parent_certificate_hash = Hash::ZERO),
    ];
    for (name, change) in table {
        let mut header = good.clone();
        change(&mut header);
        let block = VerifiedBlock::new(
            header,
            draft.transactions.clone(),
            Vec::new(),
            draft.parent_certificate.clone(),
        );
        let verdict =
            validate(&ledger.spec, &ledger.chain, &ledger.state, block).map(|applied| applied.state.id);
        assert_eq!(verdict, Err(BlockError::Header { field: name }), "{name}");
    }
}

/// The verdict on a draft.
fn verdict(ledger: &Ledger, draft: Draft) -> Result<BlockId, BlockError> {
    ledger.derive(draft).map(|applied| applied.state.id)
}

#[test]
fn a_block_stands_in_its_place_in_its_time_by_its_proposer_with_its_certificate() {
    let (ledger, good) = sample();
    let header = &ledger.state.header;
    let earliest = header.time.plus(ledger.rules().block_interval_min_ms);
    assert!(verdict(&ledger, Draft { time: earliest, ..good.clone() }).is_ok());
    for time in [Time(0), header.time, Time(earliest.0 - 1)] {
        let early = verdict(&ledger, Draft { time, ..good.clone() });
        assert_eq!(early, Err(BlockError::TooEarly { time, earliest }));
    }
    for view in (0..4).map(ViewNumber) {
        let due = ledger.state.validators.validator(ledger.state.proposer(ledger.rules(), view)).unwrap().key;
        for (_, member) in ledger.state.validators.iter() {
            let found = verdict(&ledger, Draft { view, proposer: member.key, ..good.clone() });
            assert_eq!(found.is_ok(), member.key == due, "view {view}");
        }
    }
    let refused = Err(BlockError::ParentCertificate);
    assert_eq!(verdict(&ledger, Draft { parent_certificate: None, ..good.clone() }), refused);
    let mut older = ledger.clone();
    older.extend(1_000, Vec::new(), Vec::new()).unwrap();
    let other = older.draft(1_000, Vec::new()).parent_certificate;
    assert_eq!(verdict(&ledger, Draft { parent_certificate: other, ..good }), refused);
}

#[test]
fn coins_are_spent_once_and_as_they_are() {
    let (ledger, good) = sample();
    let first = good.transactions[0].clone();
    let (outpoint, _) = first.spends().next().map(|(at, coin)| (*at, *coin)).unwrap();
    let spend =
        |payment: crate::testing::ledger::Payment| ledger.verify(payment.sign(&ledger.chain)).unwrap();
    let coin = ledger.coins_of(&owner(RICH))[0];
    let again = spend(ledger.payment(RICH, coin, 8, Amount(7_000)));
    let twice = Draft { transactions: vec![first.clone(), again], ..good.clone() };
    assert!(
        matches!(verdict(&ledger, twice), Err(BlockError::Refused { error, .. }) if *error == BlockError::CoinSpent(outpoint))
    );
    let repeated = Draft { transactions: vec![first.clone(), first.clone()], ..good.clone() };
    assert!(
        matches!(verdict(&ledger, repeated), Err(BlockError::Refused { error, .. }) if *error == BlockError::CoinSpent(outpoint))
    );
    // A coin made in the block can be spent in it, but not before it is made, nor as another.
    let made = first.makes().nth(1).map(|(at, coin)| (at, *coin)).unwrap();
    let child = spend(ledger.payment(RICH, made, 9, Amount(1_000)));
    let ordered = Draft { transactions: vec![first.clone(), child.clone()], ..good.clone() };
    assert!(verdict(&ledger, ordered).is_ok());
    let reversed = Draft { transactions: vec![child, first.clone()], ..good.clone() };
    assert_eq!(verdict(&ledger, reversed), Err(BlockError::Coin(TreeError::NotPresent(made.0))));
    let mut richer = made;
    richer.1.amount.0 += 1;
    let claims = spend(ledger.payment(RICH, richer, 9, Amount(1_000)));
    let wrong = Draft { transactions: vec![first, claims], ..good.clone() };
    assert!(
        matches!(verdict(&ledger, wrong), Err(BlockError::Refused { error, .. }) if *error == BlockError::CoinMismatch(made.0))
    );
    let mut stranger = coin;
    stranger.0.index += 1_000;
    let unknown =
        Draft { transactions: vec![spend(ledger.payment(RICH, stranger, 9, Amount(1_000)))], ..good.clone() };
    assert_eq!(verdict(&ledger, unknown), Err(BlockError::Coin(TreeError::NotPresent(stranger.0))));
    let mut bigger = coin;
    bigger.1.amount.0 *= 2;
    let minted = Draft { transactions: vec![spend(ledger.payment(RICH, bigger, 9, Amount(1_000)))], ..good };
    assert_eq!(verdict(&ledger, minted), Err(BlockError::Coin(TreeError::WrongOutput(coin.0))));
}

#[test]
fn expiry_is_inclusive_and_not_too_far_ahead() {
    let (ledger, good) = sample();
    let coin = ledger.coins_of(&owner(RICH))[0];
    let time = good.time;
    let far = time.plus(ledger.rules().expiry_max_ms);
    for (expires_at, fits) in
        [(Time(time.0 - 1), false), (time, true), (far, true), (far.plus(1), false), (Time::NEVER, false)]
    {
        let mut payment = ledger.payment(RICH, coin, 7, Amount(5_000));
        payment.expires_at = expires_at;
        let transaction = ledger.verify(payment.sign(&ledger.chain)).unwrap();
        let txid = transaction.txid();
        let found = verdict(&ledger, Draft { transactions: vec![transaction], ..good.clone() });
        let expected = BlockError::Expiry { txid, expires_at, time };
        match found {
            Ok(_) => assert!(fits, "{expires_at:?}"),
            Err(BlockError::Refused { error, .. }) => assert!(!fits && *error == expected, "{expires_at:?}"),
            Err(error) => panic!("{expires_at:?}: {error}"),
        }
    }
}

/// A proposal whose transactions are too large was taken by who had them all, and refused by who got the block whole.
#[test]
fn a_block_that_is_too_large_is_refused_however_it_comes() {
    let (ledger, good) = sample();
    let size: usize = good.transactions.iter().map(|transaction| transaction.size()).sum();
    let with_max = |block_size_max: u32| {
        let mut ledger = ledger.clone();
        let rules = Rules { block_size_max, ..ledger.rules().clone() };
        ledger.spec =
            ConsensusSpec { rules: vec![RulesFrom { from: Height(0), rules }], ..(*ledger.spec).clone() }
                .into();
        ledger
    };
    let block = with_max(size as u32).derive(good.clone()).unwrap().block;
    assert!(from_wire(&with_max(size as u32), &block).is_ok());
    let (small, size_max) = (with_max(size as u32 - 1), size - 1);
    let refused = BlockError::Size { size, size_max };
    assert_eq!(verdict(&small, good).unwrap_err(), refused);
    assert_eq!(from_wire(&small, &block).unwrap_err(), refused);
}

/// The reward is the rules' doing and takes no room: a full block closes an epoch all the same.
#[test]
fn a_full_block_closes_an_epoch() {
    let (mut ledger, _) = sample();
    ledger.extend(60_000, Vec::new(), Vec::new()).unwrap();
    let coin = ledger.coins_of(&owner(RICH))[0];
    let payment = ledger.verify(ledger.payment(RICH, coin, 7, Amount(5_000)).sign(&ledger.chain)).unwrap();
    let rules = Rules {
        block_size_max: payment.size() as u32,
        transaction_size_max: payment.size() as u32,
        ..ledger.rules().clone()
    };
    ledger.spec =
        ConsensusSpec { rules: vec![RulesFrom { from: Height(0), rules }], ..(*ledger.spec).clone() }.into();
    let Applied { block, .. } = ledger.derive(ledger.draft(1_000, vec![payment])).unwrap();
    assert!(matches!(block.body.transactions[..], [ref reward, _] if reward.spent.is_empty()));
    let verified = from_wire(&ledger, &block).unwrap();
    assert!(validate(&ledger.spec, &ledger.chain, &ledger.state, verified).is_ok());
}

/// A transaction waits under the rules of its day and is judged by those of its block's height.
#[test]
fn limits_are_those_of_the_height() {
    type Change = fn(&mut Rules);
    type Expected = fn(&TransactionError) -> bool;
    let table: [(&str, Change, Expected); 3] = [
        (
            "fee",
            |rules| rules.fee_per_kb_min = 1_000_000_000,
            |error| matches!(error, TransactionError::FeeTooLow { .. }),
        ),
        (
            "output",
            |rules| rules.output_min = Amount(5_001),
            |error| matches!(error, TransactionError::OutputTooSmall { index: 0, .. }),
        ),
        (
            "size",
            |rules| rules.transaction_size_max = 279,
            |error| matches!(error, TransactionError::Size { .. }),
        ),
    ];
    for (name, change, expected) in table {
        let (mut ledger, draft) = sample();
        assert!(verdict(&ledger, draft.clone()).is_ok());
        let mut rules = ledger.rules().clone();
        change(&mut rules);
        let mut spec = (*ledger.spec).clone();
        spec.rules.push(RulesFrom { from: ledger.state.height().next(), rules });
        ledger.spec = spec.into();
        let Err(BlockError::Refused { error, .. }) = verdict(&ledger, draft) else { panic!("{name}") };
        assert!(matches!(*error, BlockError::Limits(ref error) if expected(error)), "{name}: {error}");
    }
}

#[test]
fn nobody_makes_money_by_a_reward_transaction() {
    let (ledger, good) = sample();
    let reward = crate::state::apply::reward_transaction(
        ledger.state.height().next(),
        vec![crate::transaction::Output { amount: Amount(1), owner: owner(7) }],
    );
    let limits = ledger.rules().transaction_limits();
    assert!(VerifiedTransaction::verify(reward.clone(), &ledger.chain, &limits).is_err());
    let mut block = ledger.derive(good).unwrap().block;
    // In front, where a due reward stands, it is not looked at, and so not what the header commits to.
    block.body.transactions.insert(0, reward.clone());
    block.header.transactions_root = block.body.transactions_root();
    let verified = from_wire(&ledger, &block).unwrap();
    let found =
        validate(&ledger.spec, &ledger.chain, &ledger.state, verified).map(|applied| applied.state.id);
    assert_eq!(found, Err(BlockError::Header { field: "transactions_root" }));
    block.body.transactions.swap(0, 1);
    assert!(matches!(from_wire(&ledger, &block), Err(BlockError::Transaction { index: 1, .. })));
}

#[test]
fn the_memo_and_the_smallest_transaction_have_their_sizes() {
    let (ledger, _) = sample();
    let coin = ledger.coins_of(&owner(RICH))[0];
    let mut payment = ledger.payment(RICH, coin, 7, Amount(5_000));
    payment.outputs.truncate(1);
    let smallest = payment.clone().sign(&ledger.chain);
    assert_eq!(encode(&smallest).len(), crate::transaction::SIGNED_SIZE_MIN);
    for (size, fits) in [(0, true), (80, true), (81, false), (1_000, false)] {
        let mut transaction = smallest.transaction.clone();
        transaction.memo = vec![7; size];
        let signed = crate::transaction::sign(transaction, vec![coin.1], &ledger.chain, &[key(RICH)]);
        let expected = if fits { Ok(()) } else { Err(TransactionError::MemoSize(size)) };
        assert_eq!(ledger.verify(signed).map(|_| ()), expected);
    }
}

#[test]
fn the_model_draws_the_same_chain_from_the_same_seed() {
    let ledger = Ledger::new(spec());
    let one = verdict(&ledger, draft(&ledger, &mut Rng::new(5)));
    assert_eq!(one, verdict(&ledger, draft(&ledger, &mut Rng::new(5))));
    assert_ne!(one, verdict(&ledger, draft(&ledger, &mut Rng::new(6))));
}
