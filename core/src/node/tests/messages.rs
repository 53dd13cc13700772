//! Messages: every kind is sent by a node somewhere, and does something where it arrives.

use super::*;
use crate::hash::BlockId;
use crate::peer::quota::CostClass;
use crate::sync::wire::{BODIES_MAX, Query, RequestId};
use crate::vote::{Phase, Vote, VoteData};

/// A line of validators: everything between the ends passes the two in the middle.
fn line() -> World {
    let mut world = World::alone(4, true);
    for (one, other) in [(2, 3), (1, 2), (0, 1)] {
        world.connect(one, other);
        world.run(|world| world.frames.is_empty());
    }
    world
}

fn pay(world: &mut World, from: (u8, (OutPoint, Output)), to: u8, at: usize) -> (TxId, (OutPoint, Output)) {
    let signed = payment(&world.chain, from.0, from.1, to, 5_000_000, world.now);
    let txid = signed.transaction.id();
    let change = (OutPoint { txid, index: 1 }, signed.transaction.outputs[1]);
    world.submit(at, signed);
    (txid, change)
}

/// Payments across a line; one end misses transactions and parts of blocks.
fn across_a_line(world: &mut World) {
    let coin = genesis_coin(&world.chain);
    let (txid, change) = pay(world, (200, coin), 201, 0);
    world.run(|world| world.is_final(txid));
    world.lost = |to, kind| to == 3 && matches!(kind, MessageKind::Transactions | MessageKind::Have);
    let (txid, change) = pay(world, (200, change), 202, 0);
    world.run(|world| world.is_final(txid));
    world.lost = |to, kind| {
        to == 3 && matches!(kind, MessageKind::Transactions | MessageKind::Have | MessageKind::Parts)
    };
    let (txid, _) = pay(world, (200, change), 203, 0);
    world.run(|world| world.is_final(txid));
    world.lost = |_, _| false;
}

/// A validator signs two votes, and one node sees both.
fn equivocation(world: &mut World) {
    let set = world.nodes[1].0.state().validators.clone();
    let height = world.nodes[1].0.state().height().next();
    let view = world.nodes[1].0.consensus().unwrap().view;
    let index = set.index_of(&key(4).public_key()).unwrap();
    let vote = |block| {
        let data = VoteData { phase: Phase::Prepare, height, view, block, valid_view: None };
        Vote::sign(data, index, &world.chain.id, &key(4))
    };
    let votes = vec![vote(None), vote(Some(BlockId(Hash([7; 32]))))];
    world.frames.push_back((2, 1, crate::codec::encode(&Message::Votes(votes))));
    let is_known = |world: &World, at| {
        world.notices.iter().any(|(seen, notice)| *seen == at && matches!(notice, Notice::Evidence(_)))
    };
    world.run(|world| is_known(world, 0) && is_known(world, 1));
}

/// A node comes back far behind, and the first peer that it asks is tired of its key.
fn catching_up(world: &mut World) {
    world.asleep = Some(3);
    world.run(|world| world.heights()[..3].iter().all(|height| *height >= 20));
    world.asleep = None;
    for other in 0..3 {
        world.disconnect(3, other);
    }
    let query = Query::Bodies { from: Height(1), count: BODIES_MAX, size_max: 4 << 20 };
    let asks = CostClass::Serve.allowance().burst / (4 << 20);
    for other in 0..2 {
        for at in 0..asks {
            let message = Message::Query(RequestId(at), query);
            let size = crate::codec::encode(&message).len();
            let event = Event::Message(id(3), message, size);
            assert!(world.gates[other].admit(event, world.now, &mut Vec::new()).is_some());
        }
    }
    for other in 0..3 {
        world.connect(3, other);
    }
    world.run(|world| world.heights().iter().all(|height| *height >= 20));
}

#[test]
fn lesson_15_every_kind_of_message_is_sent_and_acted_upon() {
    assert_eq!(MessageKind::ALL.len(), MessageKind::Phases as usize + 1);
    assert!(MessageKind::ALL.iter().enumerate().all(|(tag, kind)| *kind as usize == tag));
    let mut one = line();
    across_a_line(&mut one);
    equivocation(&mut one);
    let mut other = World::new(4);
    catching_up(&mut other);
    let answered = super::light::a_light_node_asks();
    one.sent.extend(&answered.sent);
    one.acted.extend(&answered.acted);
    // What only light nodes send and are sent: see `light.rs` for what it says.
    one.sent.insert(MessageKind::Ask);
    one.acted.extend([MessageKind::Answer, MessageKind::Phases]);
    let sent: BTreeSet<_> = one.sent.union(&other.sent).copied().collect();
    let acted: BTreeSet<_> = one.acted.union(&other.acted).copied().collect();
    let all = BTreeSet::from(MessageKind::ALL);
    assert_eq!(all.difference(&sent).collect::<Vec<_>>(), Vec::<&MessageKind>::new(), "never sent");
    assert_eq!(all.difference(&acted).collect::<Vec<_>>(), Vec::<&MessageKind>::new(), "without effect");
}

#[test]
fn peers_told_of_are_dialled_and_round_trips_are_measured() {
    let mut world = line();
    world.run(|world| world.dials.iter().any(|(at, dial)| *at == 0 && dial.key == Some(id(2).0)));
    world.run(|world| {
        world.nodes.iter().all(|(node, _)| node.peers().all(|peer| peer.round_trip_ms.is_some()))
    });
    assert!(world.dials.iter().all(|(at, dial)| dial.key != Some(id(*at).0)), "nobody dials itself");
}

#[test]
fn a_pong_that_answers_no_ping_measures_nothing() {
    let mut world = World::new(2);
    world.frames.clear();
    world.event(0, Event::Frame(id(1), crate::codec::encode(&Message::Pong(1))));
    assert_eq!(world.nodes[0].0.peers().next().unwrap().round_trip_ms, None);
}

/// Whether a message is gossip, which crosses an edge once, or an exchange between two, which may be repeated.
fn is_gossip(kind: MessageKind) -> bool {
    match kind {
        MessageKind::Transactions
        | MessageKind::Have
        | MessageKind::Proposal
        | MessageKind::Votes
        | MessageKind::Certificate
        | MessageKind::Evidence
        | MessageKind::Status
        | MessageKind::Peers => true,
        MessageKind::Ping
        | MessageKind::Pong
        | MessageKind::Want
        | MessageKind::WantParts
        | MessageKind::Parts
        | MessageKind::WantBlock
        | MessageKind::Block
        | MessageKind::Query
        | MessageKind::Response
        | MessageKind::Busy
        | MessageKind::Ask
        | MessageKind::Answer
        | MessageKind::Phases
        | MessageKind::WantPeers => false,
    }
}

#[test]
fn a_message_crosses_an_edge_at_most_once_each_way() {
    for mut world in [World::new(4), line()] {
        let coin = genesis_coin(&world.chain);
        pay(&mut world, (200, coin), 201, 0);
        world.run(|world| world.heights().iter().all(|height| *height >= 3));
        let mut crossed = BTreeSet::new();
        for (from, to, bytes) in &world.log {
            let message = Message::from_frame(bytes).unwrap();
            let pieces = match &message {
                Message::Votes(votes) => votes.iter().map(crate::codec::encode).collect(),
                message if is_gossip(message.kind()) => vec![bytes.clone()],
                _ => Vec::new(),
            };
            for piece in pieces {
                assert!(crossed.insert((*from, *to, piece)), "{from} to {to} again: {message:?}");
            }
        }
        assert!(!crossed.is_empty());
    }
}
