//! Emission and rewards, recomputed from the blocks alone.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::amount::Amount;
use crate::hash::MasternodeId;
use crate::spec::{ConsensusSpec, Rules, RulesFrom};
use crate::state::registry::Status;
use crate::testing::Rng;
use crate::testing::chain::key;
use crate::testing::ledger::{Ledger, ledger_spec, masternode, owner};
use crate::testing::model::{certificate, draft, spec};
use crate::transaction::{Action, Class, Output, Tier};
use crate::vote::Height;

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// What every epoch pays, to the grain: shares of the pool by weight × blocks signed, rounded down; the rest
    /// stays. Who signed is read off the certificates in the blocks.
    #[test]
    fn epochs_pay_by_weight_and_participation_to_the_grain(seed: u64) {
        let (mut ledger, mut dice) = (Ledger::new(spec()), Rng::new(seed));
        let mut signed = BTreeMap::<MasternodeId, u64>::new();
        let mut pool = Amount::ZERO;
        for _ in 0..30 {
            let before = ledger.state.clone();
            let draft = draft(&ledger, &mut dice);
            let fees = draft.transactions.iter().map(|transaction| transaction.fee().0).sum::<u64>();
            let issued = ledger.spec.issued(draft.time).0 - ledger.spec.issued(before.header.time).0;
            pool.0 += fees + issued;
            let applied = ledger.derive(draft).unwrap();
            let height = applied.state.height().0;
            // The first block of an epoch carries the certificate of the epoch before.
            if height % 5 != 1 && let Some(parent) = &applied.block.body.parent_certificate {
                for index in parent.signers.iter() {
                    *signed.entry(before.signers.validator(index).unwrap().masternode).or_default() += 1;
                }
            }
            let reward = applied.block.body.transactions.first();
            let reward = reward.filter(|first| matches!(first.transaction.action, Action::Reward { .. }));
            if height % 5 == 0 {
                let registry = &applied.state.registry;
                let members = before.validators.iter().filter_map(|(_, member)| {
                    let node = registry.node(&member.masternode)?;
                    let counts = !matches!(node.status, Status::Ejected { .. });
                    let signed = signed.get(&member.masternode).copied().unwrap_or(0);
                    counts.then(|| (node.payout, u128::from(member.weight) * u128::from(signed)))
                });
                let members: Vec<_> = members.collect();
                let total: u128 = members.iter().map(|(_, earned)| earned).sum();
                let nobody = total == 0;
                let expected: Vec<_> = members
                    .into_iter()
                    .map(|(owner, earned)| Output { amount: Amount((u128::from(pool.0) * earned).checked_div(total).unwrap_or(0) as u64), owner })
                    .filter(|output| output.amount >= ledger.rules().output_min)
                    .collect();
                let paid: u64 = expected.iter().map(|output| output.amount.0).sum();
                prop_assert!(nobody || paid <= pool.0 && pool.0 - paid < 2_000 * 260, "only roundings and dust stay");
                pool.0 -= paid;
                prop_assert_eq!(reward.map(|reward| reward.transaction.outputs.clone()).unwrap_or_default(), expected);
                signed.clear();
            } else {
                prop_assert!(reward.is_none(), "height {}", height);
            }
            prop_assert_eq!(applied.state.accounting.pool, pool);
            let certificate = certificate(&ledger, &applied, &mut dice);
            ledger.accept(&applied, certificate);
        }
    }
}

/// A chain of these masternodes, all of whose blocks are signed by those whose keys are `present`.
fn after_one_epoch(nodes: &[(Tier, Class)], present: impl Fn(u64) -> bool) -> Ledger {
    let masternodes = (1..).zip(nodes).map(|(number, (tier, class))| masternode(number, *tier, *class));
    let mut ledger = Ledger::new(ConsensusSpec { masternodes: masternodes.collect(), ..ledger_spec(0, 1) });
    for _ in 0..5 {
        let applied = ledger.derive(ledger.draft(120_000, Vec::new())).unwrap();
        let certificate = ledger.certify(&applied, |operator| {
            (1..100).any(|number| key(number).public_key() == *operator && present(number))
        });
        ledger.accept(&applied, certificate);
    }
    ledger
}

#[test]
fn rewards_follow_weight_and_presence() {
    use Class::{Browser, Server};
    use Tier::{Bronze, Gold, Silver};
    let income = |ledger: &Ledger, number: u64| -> u64 {
        let coins = ledger.coins_of(&owner(100 + number));
        let collateral = |at| ledger.state.registry.of_collateral(at).is_some();
        coins.iter().filter(|(at, _)| !collateral(at)).map(|(_, coin)| coin.amount.0).sum()
    };
    // 600 s of chain time: 100 TIME.
    let whole = Amount::from_time(100).0;
    let ledger = after_one_epoch(&[(Bronze, Server); 4], |_| true);
    assert_eq!((1..=4).map(|number| income(&ledger, number)).collect::<Vec<_>>(), [whole / 4; 4]);
    let ledger = after_one_epoch(&[(Bronze, Server); 4], |number| number != 3);
    assert_eq!(income(&ledger, 3), 0, "who did not sign gets nothing");
    assert_eq!(income(&ledger, 1), whole / 3);
    let ledger = after_one_epoch(&[(Gold, Server), (Silver, Server), (Bronze, Server)], |_| true);
    assert_eq!((income(&ledger, 1), income(&ledger, 2)), (whole * 100 / 111, whole * 10 / 111));
    let ledger = after_one_epoch(&[(Bronze, Server), (Gold, Browser)], |_| true);
    assert_eq!(
        income(&ledger, 2),
        whole * 333_333 / 1_333_333,
        "the browser class earns as it votes: a quarter"
    );
    assert_eq!(ledger.state.accounting.pool.0 + income(&ledger, 1) + income(&ledger, 2), whole);
}

#[test]
fn emission_is_linear_in_chain_time_and_stops_at_the_supply_limit() {
    let spec = ledger_spec(4, 1);
    let genesis = spec.genesis_supply().unwrap();
    let at = |ms| spec.issued(spec.genesis_time.plus(ms)).0 - genesis.0;
    assert_eq!((at(0), at(600_000), at(60), at(1)), (0, 10_000_000_000, 1_000_000, 16_666));
    assert_eq!(at(6_000_000_000), 100_000_000_000_000);
    let limit = Amount::SUPPLY_LIMIT.0 - 1;
    assert_eq!(spec.issued(crate::time::Time::NEVER).0, limit);
    // A chain that reaches it goes on without emission.
    let rules =
        Rules { epoch_blocks: 5, emission: Amount(limit / 2), emission_interval_ms: 1_000, ..Rules::dev() };
    let rules = vec![RulesFrom { from: Height(0), rules }];
    let mut ledger = Ledger::new(ConsensusSpec { rules, ..spec });
    for _ in 0..12 {
        ledger.extend(900, Vec::new(), Vec::new()).unwrap();
        assert_eq!(ledger.state.header.supply, ledger.spec.issued(ledger.state.header.time));
    }
    assert_eq!(ledger.state.header.supply.0, limit);
}
