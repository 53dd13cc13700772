//! A block is judged the same by who has every coin and by who has only a proof of those it touches.

use proptest::prelude::*;

use super::model::{draft, extend, spec};
use crate::amount::Amount;
use crate::block::Header;
use crate::codec::{decode, encode};
use crate::hash::Hash;
use crate::state::BlockError;
use crate::state::tree::{CoinTree, Multiproof};
use crate::state::{ChainState, Draft, VerifiedBlock, planned_changes, validate};
use crate::testing::Rng;
use crate::testing::ledger::{Ledger, RICH, owner};

/// The state as someone has it who was handed a proof for this draft, and nothing else of the coins.
fn rebuilt(ledger: &Ledger, draft: &Draft) -> Result<ChainState, BlockError> {
    let changes = planned_changes(&ledger.spec, &ledger.chain, &ledger.state, draft)?;
    let proof = Multiproof::build(&ledger.state.coins, &changes.ops()).unwrap();
    let proof: Multiproof = decode(&encode(&proof)).unwrap();
    let coins = proof.into_tree(&ledger.state.commitment().coins, &changes.ops()).unwrap();
    assert!(coins.resident() <= ledger.state.coins.resident());
    Ok(ChainState { coins, ..ledger.state.clone() })
}

fn verdicts(ledger: &Ledger, header: Header, draft: &Draft) -> [Result<Hash, BlockError>; 2] {
    let block = || {
        let Draft { transactions, evidence, parent_certificate, .. } = draft.clone();
        VerifiedBlock::new(header.clone(), transactions, evidence, parent_certificate)
    };
    let judge = |state: &ChainState| {
        validate(&ledger.spec, &ledger.chain, state, block()).map(|applied| applied.state.id.0)
    };
    [judge(&ledger.state), rebuilt(ledger, block().draft()).and_then(|state| judge(&state))]
}

/// Makes a good draft bad in one way, by number.
fn spoil(ledger: &Ledger, good: &Draft, header: &mut Header, way: u64) -> Option<Draft> {
    let mut draft = good.clone();
    let first = good.transactions.first();
    let mut coin = *ledger.coins_of(&owner(RICH)).iter().find(|(at, _)| {
        let taken = good.transactions.iter().flat_map(|transaction| transaction.spends());
        ledger.state.registry.of_collateral(at).is_none() && taken.into_iter().all(|(spent, _)| spent != at)
    })?;
    match way {
        0 => header.state_root.0 = Hash::ZERO,
        1 => header.supply.0 += 1,
        2 => header.filter_hash = Hash::ZERO,
        3 => header.next_validators_hash = Hash::ZERO,
        // Spent twice, never made, of another amount, of another owner, minted.
        4 => draft.transactions.push(first?.clone()),
        5 => coin.0.index += 9_000,
        6 => coin.1.amount.0 += 1,
        7 => coin.0.txid.0 = Hash([9; 32]),
        8 => draft.transactions = draft.transactions.split_off(1.min(good.transactions.len())),
        _ => return None,
    }
    if (5..8).contains(&way) {
        let payment = ledger.payment(RICH, coin, RICH + 1, Amount(5_000)).sign(&ledger.chain);
        draft.transactions.push(ledger.verify(payment).unwrap());
    }
    Some(draft)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_verdict_is_the_same_with_local_rows_and_with_a_proof(seed: u64) {
        let (mut ledger, mut dice) = (Ledger::new(spec()), Rng::new(seed));
        for _ in 0..20 {
            let good = draft(&ledger, &mut dice);
            let applied = ledger.derive(good.clone()).unwrap();
            let header = applied.block.header.clone();
            let [local, proved] = verdicts(&ledger, header.clone(), &good);
            prop_assert_eq!(&local, &Ok(applied.state.id.0));
            prop_assert_eq!(local, proved);
            for way in 0..9 {
                let mut header = header.clone();
                let Some(bad) = spoil(&ledger, &good, &mut header, way) else { continue };
                let [local, proved] = verdicts(&ledger, header, &bad);
                prop_assert!(local.is_err() || good.transactions.is_empty() && way == 8, "way {} is bad", way);
                prop_assert_eq!(local, proved, "way {}", way);
            }
            extend(&mut ledger, &mut dice);
        }
    }
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
