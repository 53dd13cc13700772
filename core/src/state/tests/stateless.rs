//! A block is judged the same by who has every coin and by who has only a proof of those it touches.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::codec::{decode, encode};
use crate::state::tree::{CoinTree, Multiproof};
use crate::testing::Rng;
use crate::testing::ledger::Ledger;
use crate::testing::model::{extend, spec};
use crate::testing::verdicts::{GOOD, Recording, Verdict, judge, record};

/// Blocks that may be good all the same: a turned bit may be one of those that are free to choose, and where others are absent two views in
/// a row may have the same proposer.
fn may_be_good(Verdict { name, .. }: &Verdict) -> bool {
    [GOOD, "view"].contains(&name.as_str()) || name.starts_with("byte ")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_verdict_is_the_same_with_local_rows_and_with_a_proof(seed: u64) {
        let recording: Recording = decode(&encode(&record(seed, 20))).unwrap();
        for verdict in judge(&recording).unwrap() {
            prop_assert_eq!(&verdict.local, &verdict.proved, "{}", verdict);
            prop_assert!(verdict.local.is_err() || may_be_good(&verdict), "{}", verdict);
            prop_assert!(verdict.local.is_ok() || verdict.name != GOOD, "{}", verdict);
        }
    }
}

/// What is called bad is bad, each in its own way and not all for one reason.
#[test]
fn every_way_to_spoil_a_block_is_found_out() {
    let verdicts = judge(&record(1, 60)).unwrap();
    let mut reasons = BTreeMap::<_, usize>::new();
    for Verdict { local, .. } in &verdicts {
        if let Err(reason) = local {
            let words = reason.replace(|letter: char| letter.is_ascii_digit(), "");
            *reasons.entry(words.chars().take(24).collect::<String>()).or_default() += 1;
        }
    }
    assert!(reasons.len() >= 20, "{reasons:#?}");
}

/// The header says what the coins are: a proof of other coins is no proof.
#[test]
fn a_proof_of_another_state_is_refused() {
    let (mut ledger, mut dice) = (Ledger::new(spec()), Rng::new(1));
    let mut older = ledger.state.coins.clone();
    for _ in 0..6 {
        let parent = ledger.clone();
        let applied = extend(&mut ledger, &mut dice);
        let ops = applied.changes.ops();
        if ops.is_empty() {
            continue;
        }
        let root = parent.state.commitment().coins;
        let proof = Multiproof::build(&parent.state.coins, &ops).unwrap();
        assert!(proof.clone().into_tree(&root, &ops).is_ok());
        assert!(proof.clone().into_tree(&ledger.state.commitment().coins, &ops).is_err());
        if older.summary() != root {
            let stale = Multiproof::build(&older, &ops).unwrap();
            assert!(stale.into_tree(&root, &ops).is_err());
        }
        let missing = CoinTree::unloaded(root).apply(&ops);
        assert!(missing.is_err(), "without rows or proof nothing is known");
        older = parent.state.coins;
    }
}
