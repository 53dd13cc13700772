//! Payments go through, refused ones leave nothing, and nobody waits for ever.

use timecoin_core::amount::Amount;
use timecoin_core::message::Message;
use timecoin_core::node::Notice;
use timecoin_core::rows::Table;
use timecoin_core::testing::ledger::{Ledger, Payment, RICH, ledger_spec, masternode, owner};
use timecoin_core::transaction::{Class, OutPoint, Tier};
use timecoin_core::vote::ViewNumber;

use crate::world::World;

#[test]
fn lesson_01_sign_submit_finalize_spend_again() {
    let mut world = World::new(ledger_spec(4, 1));
    let ledger = Ledger::new(world.chain.spec.consensus.clone());
    let coin = ledger.coins_of(&owner(RICH))[0];
    let first = ledger.payment(RICH, coin, 201, Amount(5_000_000)).sign(&ledger.chain);
    let txid = first.transaction.id();
    world.submit(1, first.clone());
    world.run(|world| world.is_final(txid));
    let received = (OutPoint { txid, index: 0 }, first.transaction.outputs[0]);
    let second = ledger.payment(201, received, 202, Amount(1_000_000)).sign(&ledger.chain);
    let txid = second.transaction.id();
    world.submit(2, second);
    world.run(|world| world.is_final(txid));
    let roots: std::collections::BTreeSet<_> =
        (0..4).map(|at| world.node(at).state().header.state_root).collect();
    assert_eq!(roots.len(), 1, "one state everywhere");
}

#[test]
fn lesson_02_a_rejected_transaction_leaves_no_trace_and_its_coin_spends_at_once() {
    let mut world = World::new(ledger_spec(4, 8));
    let ledger = Ledger::new(world.chain.spec.consensus.clone());
    let coin = ledger.coins_of(&owner(RICH))[0];
    let collateral = ledger.coins_of(&owner(101))[0];
    let pay = |change: &dyn Fn(&mut Payment)| {
        let mut payment = ledger.payment(RICH, coin, 201, Amount(5_000_000));
        change(&mut payment);
        payment.sign(&ledger.chain)
    };
    let good = pay(&|_| ());
    let mut forged = good.clone();
    forged.witnesses[0].signatures[0].signature.0[7] ^= 1;
    let mut unsigned = good.clone();
    unsigned.witnesses.clear();
    let mut long = good.clone();
    long.transaction.memo = vec![0; 81];
    let genesis_time = ledger.state.header.time;
    let table = [
        ("forged signature", forged),
        ("no signature", unsigned),
        ("memo too long", long),
        ("somebody else's key", pay(&|payment| payment.from = 202)),
        ("makes money", pay(&|payment| payment.outputs[0].amount.0 *= 1_000_000)),
        ("no fee", pay(&|payment| payment.outputs[0].amount.0 += 10_000)),
        ("dust", pay(&|payment| payment.outputs[0].amount.0 = 1)),
        ("claims another amount", pay(&|payment| payment.coins[0].1.amount.0 += 1)),
        ("unknown coin", pay(&|payment| payment.coins[0].0.index += 500)),
        ("the same coin twice", pay(&|payment| payment.coins.push(coin))),
        ("expired", pay(&|payment| payment.expires_at = genesis_time)),
        ("expires in years", pay(&|payment| payment.expires_at = genesis_time.plus(1 << 40))),
        ("locked collateral", ledger.payment(101, collateral, 201, Amount(5_000_000)).sign(&ledger.chain)),
    ];
    let mut names = Vec::new();
    for (name, bad) in table {
        names.push(format!("{name}: {:?}", world.refusal(2, bad)));
        assert!(world.node(2).mempool().is_empty(), "{name}");
        assert!(world.rows(2, Table::Mempool).is_empty(), "{name}");
        assert!(!world.node(2).mempool().is_spent(&coin.0), "{name}: the coin is free");
    }
    assert_eq!(world.node(2).mempool().bytes(), 0, "{names:?}");
    let txid = good.transaction.id();
    world.submit(2, good);
    world.run(|world| world.is_final(txid));
    let dropped = world.notices.iter().filter(|(_, notice)| matches!(notice, Notice::Dropped(_))).count();
    assert_eq!(dropped, 0);
    assert!(world.rows(2, Table::Mempool).is_empty());
}

/// The proposer of the first view, as a node.
fn first_proposer(world: &World) -> usize {
    let state = world.node(0).state();
    let rules = world.chain.spec.consensus.rules(state.height().next());
    let index = state.proposer(rules, ViewNumber(0));
    let operator = state.validators.validator(index).unwrap().key;
    let masternodes = &world.chain.spec.consensus.masternodes;
    masternodes.iter().position(|node| node.operator == operator).unwrap()
}

/// Everything of a proposer but its proposals gets through, or its proposals without what is in them.
#[test]
fn lesson_03_a_stalled_view_changes_and_the_payment_goes_through() {
    // A filter is a plain function: one world for each proposer it may silence.
    fn silence<const FROM: usize, const WHAT: usize>(from: usize, _: usize, message: &Message) -> bool {
        from != FROM
            || match WHAT {
                0 => !matches!(message, Message::Proposal(_)),
                1 => !matches!(
                    message,
                    Message::Transactions(_) | Message::Parts { .. } | Message::Block(_) | Message::Have(_)
                ),
                _ => false,
            }
    }
    let filters: [[crate::world::Filter; 3]; 4] = [
        [silence::<0, 0>, silence::<0, 1>, silence::<0, 2>],
        [silence::<1, 0>, silence::<1, 1>, silence::<1, 2>],
        [silence::<2, 0>, silence::<2, 1>, silence::<2, 2>],
        [silence::<3, 0>, silence::<3, 1>, silence::<3, 2>],
    ];
    for (what, name) in ["proposals", "what is in them", "everything"].into_iter().enumerate() {
        let mut world = World::new(ledger_spec(4, 4));
        let stalls = first_proposer(&world);
        world.deliver();
        world.filter = filters[stalls][what];
        let ledger = Ledger::new(world.chain.spec.consensus.clone());
        let coins = ledger.coins_of(&owner(RICH));
        let own = ledger.payment(RICH, coins[0], 201, Amount(5_000_000)).sign(&ledger.chain);
        let others = ledger.payment(RICH, coins[1], 202, Amount(5_000_000)).sign(&ledger.chain);
        let [own_id, others_id] = [&own, &others].map(|signed| signed.transaction.id());
        world.submit(stalls, own);
        world.submit((stalls + 1) % 4, others);
        let is_final_elsewhere = |world: &World, txid| {
            (0..4).filter(|at| *at != stalls).all(|node| {
                world.notices.iter().any(|(at, notice)| {
                    *at == node && matches!(notice, Notice::Phase(timecoin_core::node::TransactionPhase::Finalized, ids) if ids.contains(&txid))
                })
            })
        };
        world.run(|world| is_final_elsewhere(world, others_id));
        let changed = world.notices.iter().any(|(_, notice)| {
            matches!(notice, Notice::Finalized { certificate, .. } if certificate.data.view > ViewNumber(0))
        });
        assert!(changed, "{name}: the view changed");
        world.filter = |_, _, _| true;
        world.run(|world| world.is_final(own_id) || is_final_elsewhere(world, own_id));
        let height = world.heights().into_iter().flatten().max().unwrap();
        world.run(|world| world.all_at(height));
    }
}

/// The weight of the chain's state decides, whoever is there to count.
#[test]
fn lesson_04_light_majorities_finalize_nothing_and_weight_does() {
    let tiers = [Tier::Gold, Tier::Bronze, Tier::Bronze, Tier::Bronze];
    let spec = || {
        let nodes = (1..).zip(tiers).map(|(number, tier)| masternode(number, tier, Class::Server));
        timecoin_core::spec::ConsensusSpec { masternodes: nodes.collect(), ..ledger_spec(0, 1) }
    };
    let mut light = World::empty(spec(), 4);
    (1..4).for_each(|at| light.open(at));
    light.connect_all();
    assert!(!light.reaches(400, |world| !world.all_at(0) || world.all_at(1)), "three of 103 finalize");
    let mut heavy = World::empty(spec(), 4);
    heavy.open(0);
    heavy.run(|world| world.all_at(3));
}
