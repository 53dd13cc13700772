//! Case 25 of the list of adversaries, with whole nodes: every member of the set changes at once.

use timecoin_core::amount::Amount;
use timecoin_core::message::Message;
use timecoin_core::node::Notice;
use timecoin_core::peer::score::Offence;
use timecoin_core::spec::ConsensusSpec;
use timecoin_core::testing::chain::{certify, key};
use timecoin_core::testing::ledger::{Ledger, Payment, RICH, ledger_spec, owner};
use timecoin_core::transaction::{Action, Class, Output, Tier, operator_statement};
use timecoin_core::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use crate::world::{World, id};

fn spec() -> ConsensusSpec {
    let coin = Output { amount: Amount::from_time(2_000), owner: owner(RICH) };
    ConsensusSpec { allocations: vec![coin; 8], ..ledger_spec(4, 1) }
}

/// Eight nodes: validators 1 to 4 retire in the first block, 5 to 8 register in it.
fn handover() -> World {
    let mut world = World::empty(spec(), 8);
    (0..8).for_each(|at| world.open(at));
    world.connect_all();
    let ledger = Ledger::new(spec());
    let coins = ledger.coins_of(&owner(RICH));
    let mut ids = Vec::new();
    for number in 1..=4u64 {
        let coin = coins[number as usize - 1];
        let payment = ledger.payment(RICH, coin, RICH, Amount::from_time(1_000));
        let secret = key(4 + number);
        let operator = secret.public_key();
        let operator_proof = secret.sign(&operator_statement(&ledger.chain, &owner(RICH), &operator));
        let (tier, class, payout) = (Tier::Bronze, Class::Server, owner(200 + number));
        let register = Action::RegisterMasternode { tier, class, operator, operator_proof, payout };
        let coin = coins[number as usize + 3];
        let masternode = ledger.state.registry.of_operator(&key(number).public_key()).unwrap().id;
        let retire = Payment {
            action: Action::RetireMasternode { masternode },
            also: vec![100 + number],
            ..ledger.payment(RICH, coin, RICH, Amount::from_time(1))
        };
        for payment in [Payment { action: register, ..payment }, retire] {
            let signed = payment.sign(&ledger.chain);
            ids.push(signed.transaction.id());
            world.submit(number as usize - 1, signed);
        }
    }
    world.run(|world| ids.iter().all(|txid| world.is_final(*txid)));
    world
}

fn signed_at(world: &World, height: u64) -> Vec<usize> {
    let mut signers: Vec<_> = world
        .notices
        .iter()
        .filter(|(_, notice)| matches!(notice, Notice::Signed(_, at, _) if at.0 == height))
        .map(|(at, _)| *at)
        .collect();
    signers.sort_unstable();
    signers.dedup();
    signers
}

#[test]
fn case_25_a_set_that_changes_completely_takes_over_at_the_epoch() {
    let mut world = handover();
    world.run(|world| world.all_at(8));
    for height in 1..=5 {
        assert!(signed_at(&world, height).iter().all(|at| *at < 4), "height {height} is the old set's");
    }
    for height in 6..=8 {
        let signers = signed_at(&world, height);
        assert!(signers.len() >= 3 && signers.iter().all(|at| *at >= 4), "height {height}: {signers:?}");
    }
    let certified: Vec<_> = world
        .notices
        .iter()
        .filter_map(|(at, notice)| match notice {
            Notice::Finalized { block, certificate, .. } if *at == 0 => {
                Some((block.clone(), certificate.clone()))
            }
            _ => None,
        })
        .collect();
    let genesis = Ledger::new(spec());
    let (old, chain) = (&genesis.state.validators, &genesis.chain);
    let new = &world.node(0).state().validators;
    for (block, certificate) in certified {
        let (right, wrong) = if block.header.height.0 <= 5 { (old, new) } else { (new, old) };
        assert_eq!(block.header.validators_hash, right.hash());
        assert_eq!(certificate.verify(right, chain), Ok(()));
        assert!(certificate.verify(wrong, chain).is_err());
    }
}

#[test]
fn case_25_votes_of_the_old_set_count_nothing_in_the_new_epoch() {
    let mut world = handover();
    world.run(|world| world.heights().contains(&Some(5)));
    let tip = (0..8).find(|at| world.node(*at).state().height() == Height(5)).unwrap();
    let genesis = Ledger::new(spec());
    let old = &genesis.state.validators;
    let data = VoteData {
        phase: Phase::Commit,
        height: Height(6),
        view: ViewNumber(0),
        block: Some(genesis.state.id),
        valid_view: None,
    };
    world.connect(tip, 20);
    for (index, member) in old.iter() {
        world.offences.clear();
        let vote = Vote::sign(data, index, &genesis.chain, genesis.key(&member.key).unwrap());
        world.say(tip, 20, &Message::Votes(vec![vote]));
        assert_eq!(world.offences, [(id(20), Offence::InvalidSignature)]);
    }
    world.offences.clear();
    let keys: Vec<_> = old.iter().map(|(_, member)| genesis.key(&member.key).unwrap()).collect();
    world.say(tip, 20, &Message::Certificate(certify(data, old, keys, &genesis.chain)));
    assert_eq!(world.offences, [(id(20), Offence::InvalidCertificate)]);
    assert_eq!(world.node(tip).state().height(), Height(5));
    world.run(|world| world.all_at(7));
}

#[test]
fn case_25_power_failures_at_the_boundary_decide_nothing_twice() {
    for height in 4..=6 {
        let mut world = handover();
        world.run(|world| world.heights().contains(&Some(height)));
        let tips: Vec<_> = (0..8).map(|at| world.node(at).state().id).collect();
        (0..8).for_each(|at| world.power_off(at, 0));
        (0..8).for_each(|at| world.open(at));
        assert_eq!((0..8).map(|at| world.node(at).state().id).collect::<Vec<_>>(), tips);
        world.connect_all();
        world.run(|world| world.all_at(8));
        let mut decided = std::collections::BTreeMap::new();
        for (_, notice) in &world.notices {
            if let Notice::Finalized { block, .. } = notice {
                let first = decided.entry(block.header.height).or_insert(block.header.id());
                assert_eq!(*first, block.header.id(), "height {} is decided once", block.header.height);
            }
        }
    }
}

#[test]
fn case_25_a_new_set_without_a_quorum_waits_and_goes_on_when_it_has_one() {
    let mut world = handover();
    world.power_off(6, 0);
    world.power_off(7, 0);
    assert!(!world.reaches(600, |world| !world.all_at(0) || world.heights().contains(&Some(6))));
    assert!(world.all_at(5), "the old set finished its epoch: {:?}", world.heights());
    world.open(6);
    world.join(6);
    world.run(|world| world.all_at(8));
    assert!(
        !world
            .notices
            .iter()
            .any(|(_, notice)| matches!(notice, Notice::Fork { .. } | Notice::InvalidDecision { .. }))
    );
}
