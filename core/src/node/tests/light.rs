//! Light nodes: told statuses and watched phases and nothing else, and answered with proofs.

use super::*;
use crate::answer::{Located, Nothing, PhaseChange, Question, Reply, WATCHED_MAX};
use crate::codec::encode;
use crate::light::{AgePolicy, Bisection, Options, Progress, Trusted};
use crate::message::Request;
use crate::sync::wire::RequestId;

const LIGHT: usize = 90;

pub(super) fn connect_light(world: &mut World, at: usize) {
    let info = PeerInfo { role: Role::Light, ..info_of(id(LIGHT)) };
    world.event(at, Event::Connected(info));
}

pub(super) fn ask(world: &mut World, at: usize, question: Question) -> Reply {
    let asked = RequestId(world.told.len() as u64);
    world.event(at, Event::Frame(id(LIGHT), encode(&Message::Ask(asked, question))));
    match world.told.pop() {
        Some((_, _, Message::Answer(id, reply))) if id == asked => *reply,
        other => panic!("{other:?}"),
    }
}

/// A light node pays through node 0 and watches; what it was told is in `told`.
pub(super) fn a_light_node_asks() -> World {
    let mut world = World::new(4);
    connect_light(&mut world, 0);
    let signed = payment(&world.chain, 200, genesis_coin(&world.chain), 201, 5_000_000, world.now);
    let txid = signed.transaction.id();
    assert_eq!(ask(&mut world, 0, Question::Watch(vec![txid])), Reply::Watch(Vec::new()), "nothing yet");
    let asked = RequestId(7);
    let frame = encode(&Message::Ask(asked, Question::Submit(Box::new(signed))));
    world.event(0, Event::Frame(id(LIGHT), frame));
    let taken = Message::Answer(asked, Box::new(Reply::Submit(Ok(txid))));
    assert!(world.told.iter().any(|(_, _, message)| *message == taken), "{:?}", world.told);
    world.run(|world| world.is_final(txid));
    world
}

#[test]
fn a_light_node_is_told_statuses_and_phases_and_no_gossip() {
    let world = a_light_node_asks();
    let mut phases = Vec::new();
    for (at, peer, message) in &world.told {
        assert_eq!((*at, *peer), (0, id(LIGHT)), "no other node knows of it");
        match message {
            Message::Phases(changes) => phases.extend(changes.iter().map(|change| change.phase)),
            Message::Status(_) | Message::Ping(_) | Message::Answer(..) => {}
            gossip => panic!("{gossip:?}"),
        }
    }
    use TransactionPhase::{Commit, Finalized, Pending, PrePrepare, Prepare};
    assert_eq!(phases, [Pending, PrePrepare, Prepare, Commit, Finalized].map(Some));
    let heights = world.told.iter().filter_map(|(_, _, message)| match message {
        Message::Status(status) => Some(status.height.0),
        _ => None,
    });
    let told: Vec<_> = heights.collect();
    let expected: Vec<_> = (0..=world.nodes[0].0.state().height().0).collect();
    assert_eq!(told, expected, "on connecting and after every block");
}

#[test]
fn answers_prove_themselves_under_a_certified_header() {
    let mut world = a_light_node_asks();
    let tip = world.nodes[0].0.state().header.clone();
    let options = Options::new(Arc::new(world.chain.spec.consensus.clone()), AgePolicy::AnyAge);
    let first = crate::state::genesis(&world.chain.spec.consensus).unwrap().state;
    let trusted = Trusted {
        height: first.height(),
        id: first.id,
        time: first.header.time,
        next_validators: (*first.validators).clone(),
    };
    let mut bisection = Bisection::new(trusted.clone(), tip.height, options);
    let set = &trusted.next_validators;
    while let Progress::Need(height) = bisection.progress() {
        let Reply::LightBlock(block) =
            ask(&mut world, 0, Question::LightBlock { height, known: Some(set.hash()) })
        else {
            panic!("no light block")
        };
        assert_eq!(block.validators, None, "known sets are left out");
        bisection.feed(block.with(Some(set)).unwrap(), world.now);
    }
    assert_eq!(bisection.progress(), Progress::Done);
    assert_eq!(bisection.trusted().id, tip.id());

    let owners = vec![owner(201), owner(250)];
    let Reply::Balances(answer) = ask(&mut world, 0, Question::Balances(owners.clone())) else { panic!() };
    let balances: Vec<_> =
        answer.each().zip(&owners).map(|(answer, owner)| answer.verify(owner).unwrap()).collect();
    assert_eq!(balances, [(Amount(5_000_000), 1), (Amount::ZERO, 0)]);
    let Reply::Coins(coins) = ask(&mut world, 0, Question::Coins(owner(201))) else { panic!() };
    assert_eq!(coins.opening.header, tip);
    let coins = coins.verify(&owner(201)).unwrap();
    assert_eq!(coins.len(), 1);
    let (outpoint, _) = coins[0];
    let Reply::Coin(opening, Some(proof)) =
        ask(&mut world, 0, Question::Coin { owner: owner(201), outpoint })
    else {
        panic!()
    };
    assert_eq!(proof.verify(&opening.coins().unwrap()), Ok(()));
    let Reply::Registry(registry) = ask(&mut world, 0, Question::Registry) else { panic!() };
    assert_eq!(registry.verify().unwrap().iter().count(), 4);

    let txid = outpoint.txid;
    let Reply::Transaction(located) = ask(&mut world, 0, Question::Transaction(txid)) else { panic!() };
    let Located::Final { header, signed, .. } = *located else { panic!("final") };
    assert_eq!(signed.transaction.id(), txid);
    let asked = Question::History { height: header.height, at: tip.height };
    if header.height < tip.height {
        let Reply::History(past) = ask(&mut world, 0, asked) else { panic!() };
        assert_eq!(past.header, *header);
    }
    let Reply::Filters(filters) = ask(&mut world, 0, Question::Filters { from: Height(1), count: 128 })
    else {
        panic!()
    };
    assert_eq!(filters.last().unwrap().0, tip, "up to the newest");
    assert!(filters.iter().all(|(header, filter)| filter.hash() == header.filter_hash));
    assert_eq!(ask(&mut world, 0, Question::Height(tip.id())), Reply::Height(tip.height));
}

#[test]
fn what_is_unknown_or_refused_is_said_with_a_stable_word() {
    let mut world = a_light_node_asks();
    let unknown = Reply::Nothing(Nothing::Unknown);
    let table = [
        ("genesis has no certificate", Question::LightBlock { height: Height(0), known: None }),
        ("a height to come", Question::Block(Height(99))),
        ("a transaction", Question::Transaction(TxId(Hash([9; 32])))),
        ("a set", Question::Validators(Hash([9; 32]))),
        ("a newer block in an older one's history", Question::History { height: Height(2), at: Height(1) }),
    ];
    for (name, question) in table {
        assert_eq!(ask(&mut world, 0, question), unknown, "{name}");
    }
    let spent = payment(&world.chain, 200, genesis_coin(&world.chain), 203, 1_000_000, world.now);
    let Reply::Submit(Err(refusal)) = ask(&mut world, 0, Question::Submit(Box::new(spent.clone()))) else {
        panic!()
    };
    assert_eq!(refusal.code, "coin_unknown_or_spent");
    let forged = SignedTransaction { witnesses: Vec::new(), ..spent };
    let Reply::Submit(Err(refusal)) = ask(&mut world, 0, Question::Submit(Box::new(forged))) else {
        panic!()
    };
    assert_eq!(refusal.code, "witness", "refused, not taken for an attack");
}

#[test]
fn a_light_node_watches_a_bounded_number_of_transactions() {
    let mut world = World::new(1);
    connect_light(&mut world, 0);
    let ids = |from: u8| (from..from + WATCHED_MAX as u8).map(|at| TxId(Hash([at; 32]))).collect::<Vec<_>>();
    for from in [0, 60, 120] {
        ask(&mut world, 0, Question::Watch(ids(from)));
    }
    let told = |world: &mut World, txid: TxId| {
        let mut step = Step::default();
        step.effects.push(Effect::Notice(Notice::Dropped(txid)));
        world.nodes[0].0.tell_watchers(&mut step);
        step.effects.len() - 1
    };
    assert_eq!(told(&mut world, TxId(Hash([0; 32]))), 0, "of more, the newest are watched");
    assert_eq!(told(&mut world, TxId(Hash([183; 32]))), 1);
    let over = encode(&Message::Ask(RequestId(1), Question::Watch([ids(0), ids(1)].concat())));
    assert!(Message::from_frame(&over).is_err());
}

#[test]
fn questions_are_paid_for_and_refused_with_busy() {
    let mut gate = Gate::default();
    let (mut effects, mut served) = (Vec::new(), 0u32);
    let now = START;
    for at in 0..1_000 {
        let question = Question::Block(Height(1));
        let frame = encode(&Message::Ask(RequestId(at), question));
        served += u32::from(gate.admit(Event::Frame(id(LIGHT), frame), now, &mut effects).is_some());
    }
    assert_eq!(served, 256, "64 MiB at once");
    let first = effects.iter().find_map(|effect| match effect {
        Effect::Send(_, bytes) => Message::from_frame(bytes).ok(),
        _ => None,
    });
    assert!(matches!(
        first,
        Some(Message::Busy { request: Request::Ask(RequestId(256)), retry_after_ms: 1.. })
    ));
    let unasked = Message::Phases(vec![PhaseChange { txid: TxId::default(), phase: None }]);
    let world = World::new(1);
    let refused = plan(world.nodes[0].0.context(), Event::Frame(id(LIGHT), encode(&unasked)));
    assert_eq!(refused.unwrap_err().1, Offence::UnrequestedResponse);
}

#[test]
fn a_silent_light_node_is_dropped_and_never_counts_as_a_peer() {
    let mut world = World::new(1);
    connect_light(&mut world, 0);
    assert_eq!(world.nodes[0].0.peers().count(), 0);
    assert_eq!(world.nodes[0].0.light_peers().count(), 1);
    world.asleep = Some(9);
    let later = world.now.plus(31_000);
    world.run(|world| world.now >= later);
    assert_eq!(world.nodes[0].0.light_peers().count(), 0);
}
