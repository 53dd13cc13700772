//! Power failures at every moment, and clocks that say anything.

use std::collections::BTreeSet;

use timecoin_core::amount::Amount;
use timecoin_core::message::Message;
use timecoin_core::node::Event;
use timecoin_core::sync::wire::Status;
use timecoin_core::testing::chain::{certify, commit_data, key};
use timecoin_core::testing::ledger::{Ledger, RICH, ledger_spec, owner};
use timecoin_core::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use crate::world::{Moment, World};

/// Two payments, each final everywhere; one node loses power at a commit. Returns whether it did.
fn payments_with_a_power_failure(victim: usize, commit: u32, moment: Moment, kept: usize) -> bool {
    let mut world = World::new(ledger_spec(4, 4));
    let ledger = Ledger::new(world.chain.spec.consensus.clone());
    let coins = ledger.coins_of(&owner(RICH));
    let pay = |at: usize, to| ledger.payment(RICH, coins[at], to, Amount(5_000_000)).sign(&ledger.chain);
    let list = [pay(0, 201), pay(1, 202)];
    let ids = [0, 1].map(|at: usize| list[at].transaction.id());
    world.nodes[victim].1.die(commit, moment);
    world.submit((victim + 1) % 4, list[0].clone());
    world.run(|world| world.is_final(ids[0]) || !world.is_up(victim));
    world.submit((victim + 2) % 4, list[1].clone());
    world.run(|world| !world.is_up(victim) || world.is_final(ids[1]));
    let failed = !world.is_up(victim);
    world.nodes[victim].1.spare();
    let before = world.heights().into_iter().flatten().max().unwrap();
    world.power_off(victim, kept);
    world.open(victim);
    world.join(victim);
    let name = format!("node {victim} at commit {commit}, {moment:?}, {kept} kept");
    let is_done = |world: &World| {
        (0..4).all(|at| world.is_up(at) && world.node(at).mempool().is_empty()) && world.all_at(before + 1)
    };
    assert!(world.reaches(3_000, is_done), "{name}: {:?}", world.heights());
    let height = world.heights().into_iter().flatten().max().unwrap();
    let level = |world: &World| (0..4).all(|at| world.node(at).state().height().0 == height);
    if !world.reaches(200, level) {
        world.run(|world| world.all_at(height));
    }
    let lowest = world.heights().into_iter().flatten().min().unwrap();
    let roots: BTreeSet<_> = (0..4)
        .map(|at| world.node(at).state())
        .filter(|state| state.height().0 == lowest)
        .map(|state| (state.id, state.header.state_root))
        .collect();
    assert_eq!(roots.len(), 1, "{name}");
    for at in 0..4 {
        let reopened = {
            let header = world.node(at).state().header.clone();
            world.power_off(at, 0);
            world.open(at);
            (header, world.node(at).state().header.clone())
        };
        assert_eq!(reopened.0, reopened.1, "{name}: node {at} comes back as it was");
    }
    for to in [201, 202] {
        assert_eq!(world.balance(victim, &owner(to)), Amount(5_000_000), "{name}");
    }
    failed
}

#[test]
fn lesson_09_a_power_failure_at_any_commit_ends_in_the_same_state() {
    for moment in [Moment::BeforeCommit, Moment::BeforeVotes, Moment::AfterCommit] {
        for kept in [0, usize::MAX] {
            let mut commit = 0;
            // Every commit of the run, on whichever node it is.
            while payments_with_a_power_failure(commit as usize % 4, commit, moment, kept) {
                commit += 1;
            }
            assert!(commit >= 6, "the run has {commit} commits");
        }
    }
}

/// A validator that is alone has nobody to ask for what it lost.
#[test]
fn lesson_09_a_lone_validator_goes_on_after_a_power_failure_at_any_commit() {
    for moment in [Moment::BeforeCommit, Moment::BeforeVotes, Moment::AfterCommit] {
        for commit in 0.. {
            let mut world = World::new(ledger_spec(1, 2));
            let ledger = Ledger::new(world.chain.spec.consensus.clone());
            let coins = ledger.coins_of(&owner(RICH));
            let list =
                [201, 202].map(|to| ledger.payment(RICH, coins[to as usize - 201], to, Amount(5_000_000)));
            let [first, second] = list.map(|payment| payment.sign(&ledger.chain));
            world.nodes[0].1.die(commit, moment);
            world.submit(0, first.clone());
            let txid = first.transaction.id();
            world.run(|world| !world.is_up(0) || world.is_final(txid));
            if world.is_up(0) {
                assert!(commit >= 1, "the payment takes commits");
                break;
            }
            world.power_off(0, 0);
            world.open(0);
            let name = format!("commit {commit}, {moment:?}");
            if world.balance(0, &owner(201)) == Amount(0) && world.node(0).mempool().is_empty() {
                world.submit(0, first);
            }
            let txid = second.transaction.id();
            world.submit(0, second);
            assert!(world.reaches(300, |world| world.is_final(txid)), "{name}: {:?}", world.notices.last());
            for to in [201, 202] {
                assert_eq!(world.balance(0, &owner(to)), Amount(5_000_000), "{name}");
            }
        }
    }
}

/// All nodes at once, between any two commits.
#[test]
fn lesson_09_a_power_failure_everywhere_loses_nothing_final() {
    for commits in 1..12 {
        let mut world = World::new(ledger_spec(4, 1));
        let ledger = Ledger::new(world.chain.spec.consensus.clone());
        let coin = ledger.coins_of(&owner(RICH))[0];
        let paid = ledger.payment(RICH, coin, 201, Amount(5_000_000)).sign(&ledger.chain);
        let txid = paid.transaction.id();
        let start = world.nodes[0].1.commits();
        world.submit(0, paid);
        world.run(|world| world.nodes[0].1.commits() - start >= commits || world.is_final(txid));
        let was_final = world.is_final(txid);
        let tips: Vec<_> = (0..4).map(|at| world.node(at).state().header.clone()).collect();
        (0..4).for_each(|at| world.power_off(at, 0));
        (0..4).for_each(|at| world.open(at));
        for (at, tip) in tips.iter().enumerate() {
            assert_eq!(world.node(at).state().header, *tip, "node {at} after {commits} commits");
        }
        world.connect_all();
        let height = tips.iter().map(|tip| tip.height.0).max().unwrap();
        world.run(|world| world.all_at(height + 1));
        let balance = world.balance(1, &owner(201));
        assert!(!was_final || balance == Amount(5_000_000), "what was final stays");
    }
}

#[test]
fn lesson_13_heights_come_from_certificates_only() {
    // Nobody to talk to: years pass, in leaps, and the chain is where it was.
    let mut world = World::empty(ledger_spec(4, 1), 5);
    (0..5).for_each(|at| world.open(at));
    for years in 0..40 {
        world.now = world.now.plus(years * 31_536_000_000);
        for at in 0..5 {
            for _ in 0..10 {
                world.event(at, Event::Tick);
            }
        }
    }
    assert_eq!(world.heights(), [Some(0); 5]);

    // A stranger claims heights, in every way there is but a certificate of the set in force.
    let ledger = Ledger::new(world.chain.spec.consensus.clone());
    let applied = ledger.derive(ledger.draft(10_000, Vec::new())).unwrap();
    let mut header = applied.block.header.clone();
    header.height = Height(51_322);
    let set = &ledger.state.validators;
    let two: Vec<_> = set.iter().take(2).map(|(_, member)| ledger.key(&member.key).unwrap()).collect();
    let weak = certify(commit_data(&applied.block.header), set, two, &ledger.chain);
    let strangers: Vec<_> = (60..64).map(key).collect();
    let foreign = timecoin_core::testing::chain::validator_set(
        &strangers.iter().map(|key| (key.public_key(), 1)).collect::<Vec<_>>(),
    );
    let forged = certify(commit_data(&header), &foreign, &strangers, &ledger.chain);
    let status = |height, certificate| {
        Message::Status(Box::new(Status { lowest: Height(0), height: Height(height), certificate }))
    };
    let vote = |height, view| {
        let data = VoteData {
            phase: Phase::Commit,
            height: Height(height),
            view: ViewNumber(view),
            block: Some(applied.state.id),
            valid_view: None,
        };
        Message::Votes(vec![Vote::sign(data, 0, &ledger.chain, &strangers[0])])
    };
    let claims = [
        status(51_322, None),
        status(u64::MAX, None),
        status(1, Some(weak.clone())),
        status(51_322, Some(forged.clone())),
        Message::Certificate(weak),
        Message::Certificate(forged),
        Message::Block(Box::new(applied.block.clone())),
        vote(51_322, 0),
        vote(u64::MAX, u32::MAX),
        vote(1, u32::MAX),
    ];
    for at in [0, 4] {
        for claim in &claims {
            world.connect(at, 9);
            world.say(at, 9, claim);
            for _ in 0..5 {
                world.tick();
            }
            assert_eq!(world.node(at).state().height(), Height(0), "{claim:?}");
        }
        // The certificate of the set in force, and the block: that is a height.
        let keys: Vec<_> = set.iter().take(3).map(|(_, member)| ledger.key(&member.key).unwrap()).collect();
        let certificate = certify(commit_data(&applied.block.header), set, keys, &ledger.chain);
        world.connect(at, 9);
        world.say(at, 9, &Message::Certificate(certificate));
        world.say(at, 9, &Message::Block(Box::new(applied.block.clone())));
        assert_eq!(world.node(at).state().id, applied.state.id);
    }
}
