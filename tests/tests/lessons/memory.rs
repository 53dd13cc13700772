//! What a node holds after much has happened, and what it takes for known.

use std::collections::BTreeSet;

use timecoin_core::amount::Amount;
use timecoin_core::codec::encode;
use timecoin_core::message::{IDS_MAX, Message};
use timecoin_core::node::Event;
use timecoin_core::rows::Table;
use timecoin_core::testing::ledger::{Ledger, Payment, RICH, ledger_spec, owner};
use timecoin_core::transaction::{Action, OutPoint, Output, SignedTransaction};

use crate::world::{World, id};

const COINS: usize = 250;
const ROUNDS: usize = 40;

/// A payment of a whole coin to oneself.
fn again(ledger: &Ledger, coin: (OutPoint, Output)) -> SignedTransaction {
    let output = Output { amount: Amount(coin.1.amount.0 - 1_000), ..coin.1 };
    let expires_at = ledger.state.header.time.plus(20 * 3_600_000);
    let payment = Payment {
        from: RICH,
        coins: vec![coin],
        outputs: vec![output],
        action: Action::Transfer,
        expires_at,
        also: Vec::new(),
    };
    payment.sign(&ledger.chain)
}

/// Everything a node holds that could grow: votes, pending transactions, and the rows of both.
fn held(world: &World, at: usize) -> [usize; 5] {
    let rows = |table| world.rows(at, table).len();
    let node = world.node(at);
    [node.vote_count(), node.mempool().len(), rows(Table::Mempool), rows(Table::Sign), rows(Table::Candidate)]
}

#[test]
fn lesson_07_ten_thousand_finalized_transactions_leave_memory_flat() {
    let mut world = World::new(ledger_spec(4, COINS as u64));
    let ledger = Ledger::new(world.chain.spec.consensus.clone());
    let mut coins = ledger.coins_of(&owner(RICH));
    let mut finalized = BTreeSet::new();
    let mut largest = [0; 5];
    for round in 0..ROUNDS {
        let list: Vec<_> = coins.iter().map(|coin| again(&ledger, *coin)).collect();
        coins = list
            .iter()
            .map(|signed| {
                (OutPoint { txid: signed.transaction.id(), index: 0 }, signed.transaction.outputs[0])
            })
            .collect();
        let ids: Vec<_> = coins.iter().map(|(outpoint, _)| outpoint.txid).collect();
        world.notices.clear();
        world.recorded = Some(Vec::new());
        for (at, signed) in (0..4).cycle().zip(list) {
            world.submit(at, signed);
        }
        world.run(|world| (0..4).all(|at| world.node(at).mempool().is_empty()));
        assert!(ids.iter().all(|txid| world.is_final(*txid)), "round {round}");
        finalized.extend(ids);
        // All votes, certificates and proposals of this round again, late by now, from wherever they came.
        for frame in world.recorded.take().unwrap() {
            let late = timecoin_core::codec::decode::<Message>(&frame.bytes);
            if matches!(late, Ok(Message::Votes(_) | Message::Certificate(_) | Message::Proposal(_))) {
                world.event(frame.to, Event::Frame(id(frame.from), frame.bytes));
            }
        }
        assert!(world.offences.is_empty(), "nobody is blamed for being late: {:?}", world.offences);
        for at in 0..4 {
            for (largest, now) in largest.iter_mut().zip(held(&world, at)) {
                assert!(round < ROUNDS / 4 || now <= *largest + 8, "round {round}: {now} after {largest}");
                *largest = (*largest).max(now);
            }
        }
    }
    assert_eq!(finalized.len(), COINS * ROUNDS);
    let [votes, pending, pending_rows, sign_rows, candidate_rows] = largest;
    assert!(votes <= 22 * 4, "{votes} votes of four validators");
    assert_eq!((pending, pending_rows), (0, 0));
    assert!(sign_rows <= 12 && candidate_rows <= 4, "{sign_rows} and {candidate_rows}");
}

#[test]
fn lesson_12_fifty_thousand_distinct_transactions_are_all_new_and_none_is_new_twice() {
    const COUNT: usize = 50_000;
    let mut world = World::empty(ledger_spec(4, COUNT as u64), 4);
    world.open(0);
    let ledger = Ledger::new(world.chain.spec.consensus.clone());
    let (giver, taker) = (8, 9);
    world.connect(0, giver);
    world.connect(0, taker);
    world.heard.clear();
    let list: Vec<_> = ledger.coins_of(&owner(RICH)).into_iter().map(|coin| again(&ledger, coin)).collect();
    assert_eq!(list.len(), COUNT);
    let ids: BTreeSet<_> = list.iter().map(|signed| signed.transaction.id()).collect();
    assert_eq!(ids.len(), COUNT);
    let messages: Vec<_> = list.chunks(500).map(|list| Message::Transactions(list.to_vec())).collect();
    for message in &messages {
        assert!(Message::from_frame(&encode(message)).is_ok(), "what may be sent");
        world.say(0, giver, message);
        world.now = world.now.plus(50);
        world.event(0, Event::Tick);
    }
    assert_eq!(world.node(0).mempool().len(), COUNT, "no distinct one is taken for known");
    for message in &messages {
        world.say(0, giver, message);
        world.say(0, taker, message);
    }
    assert_eq!(world.node(0).mempool().len(), COUNT, "and no known one for new");
    world.now = world.now.plus(50);
    world.event(0, Event::Tick);
    let mut offered = Vec::new();
    for (_, message) in &world.heard {
        if let Message::Have(ids) = message {
            assert!(ids.len() <= IDS_MAX);
            offered.extend(ids.iter().copied());
        }
    }
    assert_eq!(offered.into_iter().collect::<BTreeSet<_>>(), ids, "every one is offered to who lacks it");
    assert!(world.offences.is_empty());
}
