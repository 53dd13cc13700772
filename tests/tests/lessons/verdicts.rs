//! The same block gets the same verdict by whatever path it comes.

use timecoin_core::amount::Amount;
use timecoin_core::block::{Block, Header};
use timecoin_core::certificate::Certificate;
use timecoin_core::codec::encode;
use timecoin_core::hash::Hash;
use timecoin_core::message::Message;
use timecoin_core::node::{Job, Notice};
use timecoin_core::rows::{Batch, Table};
use timecoin_core::schema::candidate_key;
use timecoin_core::state::{Applied, BlockError, VerifiedBlock, validate};
use timecoin_core::store::Store as _;
use timecoin_core::sync::wire::{LightBlock, Query, Response, Status};
use timecoin_core::testing::chain::{certify, commit_data, key};
use timecoin_core::testing::ledger::{Ledger, RICH, ledger_spec, owner};
use timecoin_core::time::Time;
use timecoin_core::transaction::{Output, SignedTransaction};
use timecoin_core::vote::{Height, Phase, Vote, VoteData};

use crate::votes::proposal;
use crate::world::World;

const STRANGER: usize = 9;

/// A chain one block before the end of its first epoch, and the block that ends it, with a payment in it.
/// Node 0 proposes that block, or does not; either way it has signed nothing so far.
fn sample(proposes: bool) -> (Ledger, Vec<(Applied, Certificate)>, Applied) {
    let candidates = (4..60).map(sample_of);
    let is_wanted = |good: &Applied| (good.block.header.proposer == key(1).public_key()) == proposes;
    candidates.into_iter().find(|(_, _, good)| is_wanted(good)).expect("everybody's turn comes")
}

/// The same on a chain with so many coins: who proposes depends on the names of the genesis coins.
fn sample_of(coins: u64) -> (Ledger, Vec<(Applied, Certificate)>, Applied) {
    let mut ledger = Ledger::new(ledger_spec(4, coins));
    let mut before = Vec::new();
    for _ in 0..4 {
        let applied = ledger.derive(ledger.draft(60_000, Vec::new())).unwrap();
        let certificate = ledger.certify(&applied, |operator| *operator != key(1).public_key());
        ledger.accept(&applied, certificate.clone());
        before.push((applied, certificate));
    }
    let coin = ledger.coins_of(&owner(RICH))[0];
    let payment = ledger.payment(RICH, coin, 7, Amount(5_000_000)).sign(&ledger.chain);
    let draft = ledger.draft(60_000, vec![ledger.verify(payment).unwrap()]);
    let good = ledger.derive(draft).unwrap();
    assert_eq!(good.block.body.transactions.len(), 2, "a reward and a payment");
    (ledger, before, good)
}

/// Lets the header commit to whatever the body is now.
fn recommit(block: &mut Block) {
    block.header.transactions_root = block.body.transactions_root();
}

fn reward(block: &mut Block) -> &mut SignedTransaction {
    &mut block.body.transactions[0]
}

fn payment(block: &mut Block) -> &mut SignedTransaction {
    &mut block.body.transactions[1]
}

type Spoil = fn(&mut Block);

/// What bad proposers may want.
const BAD: [(&str, Spoil); 14] = [
    ("mints by the supply", |block| block.header.supply.0 += 21_000_000 * 100_000_000),
    ("mints by the state", |block| block.header.state_root.0 = Hash([7; 32])),
    ("wrong Merkle root", |block| block.header.transactions_root = Hash([7; 32])),
    ("unsigned spend", |block| {
        payment(block).witnesses.clear();
        recommit(block);
    }),
    ("forged spend", |block| {
        payment(block).witnesses[0].signatures[0].signature.0[9] ^= 1;
        recommit(block);
    }),
    ("spends more than there is", |block| {
        payment(block).transaction.outputs[0].amount.0 += 21_000_000 * 100_000_000;
        recommit(block);
    }),
    ("spends twice", |block| {
        let again = payment(block).clone();
        block.body.transactions.push(again);
        recommit(block);
    }),
    ("pays itself a larger reward", |block| {
        reward(block).transaction.outputs[0].amount.0 += 1;
        recommit(block);
    }),
    ("takes somebody else's reward", |block| {
        reward(block).transaction.outputs[0].owner = owner(66);
        recommit(block);
    }),
    ("leaves the rewards out", |block| {
        block.body.transactions.remove(0);
        recommit(block);
    }),
    ("a set of its own", |block| block.header.next_validators_hash = Hash([7; 32])),
    ("hides what it touches", |block| block.header.filter_hash = Hash([7; 32])),
    ("rewrites history", |block| block.header.history_root = Hash([7; 32])),
    ("another proposer", |block| block.header.proposer = key(66).public_key()),
];

/// Signed by everyone but node 0, whatever it is.
fn certified(ledger: &Ledger, header: &Header) -> Certificate {
    let set = &ledger.state.validators;
    let others = set.iter().filter(|(_, member)| member.key != key(1).public_key());
    let keys: Vec<_> = others.map(|(_, member)| ledger.key(&member.key).unwrap()).collect();
    certify(commit_data(header), set, keys, &ledger.chain)
}

/// What the rules say.
fn by_the_rules(ledger: &Ledger, block: Block) -> Result<(), BlockError> {
    let set = ledger.state.validators.clone();
    let signers = &ledger.state.signers;
    let checked = |_| Some(set.clone());
    let verified = VerifiedBlock::verify(block, &ledger.spec, &ledger.chain, signers, checked, |_| None)?;
    validate(&ledger.spec, &ledger.chain, &ledger.state, verified).map(|_| ())
}

/// A node that has the chain up to the block in question, and hears a stranger.
fn node(ledger: &Ledger, before: &[(Applied, Certificate)], now_of: &Applied) -> World {
    node_at(ledger, before, now_of.block.header.time)
}

/// The same, whose clock shows something else.
fn node_at(ledger: &Ledger, before: &[(Applied, Certificate)], now: Time) -> World {
    let mut world = World::empty((*ledger.spec).clone(), 4);
    world.now = now;
    world.open(0);
    world.connect(0, STRANGER);
    for (applied, certificate) in before {
        // Certified elsewhere; the block is asked for, and given.
        world.say(0, STRANGER, &Message::Certificate(certificate.clone()));
        world.say(0, STRANGER, &Message::Block(Box::new(applied.block.clone())));
    }
    assert_eq!(world.node(0).state().id, ledger.state.id, "{:?}", world.offences);
    world.heard.clear();
    world
}

/// Why the node stopped.
fn verdict(world: &World) -> Result<(), BlockError> {
    let stopped = world.notices.iter().find_map(|(_, notice)| match notice {
        Notice::InvalidDecision { error, .. } => Some(error.clone()),
        _ => None,
    });
    stopped.map_or(Ok(()), Err)
}

/// Proposed and decided while the node takes part.
fn by_gossip(ledger: &Ledger, before: &[(Applied, Certificate)], good: &Applied, bad: &Block) -> World {
    let mut world = node(ledger, before, good);
    let mut offered = proposal(ledger, good);
    let paid = bad.body.transactions.iter().filter(|signed| !signed.spent.is_empty());
    offered.transactions = paid.map(|signed| signed.transaction.id()).collect();
    offered.header = bad.header.clone();
    let data = VoteData { block: Some(bad.header.id()), ..offered.vote.data };
    let secret = ledger.state.validators.validator(offered.vote.validator).unwrap().key;
    offered.vote = Vote::sign(data, offered.vote.validator, &ledger.chain, ledger.key(&secret).unwrap());
    let payments = good.block.body.transactions[1..].to_vec();
    world.say(0, STRANGER, &Message::Transactions(payments));
    world.say(0, STRANGER, &Message::Proposal(Box::new(offered)));
    answer(&mut world, bad);
    world
}

/// The stranger gives the whole block where it is asked for it.
fn answer(world: &mut World, block: &Block) {
    let wanted = Message::WantBlock(block.header.id());
    for _ in 0..12 {
        if world.heard.iter().any(|(_, message)| *message == wanted) {
            world.heard.clear();
            world.say(0, STRANGER, &Message::Block(Box::new(block.clone())));
        }
        world.tick();
    }
}

fn prepared(world: &World, header: &Header) -> bool {
    let id = Some(header.id());
    world.heard.iter().any(|(_, message)| {
        matches!(message, Message::Votes(votes) if votes.iter().any(|vote| vote.data.phase == Phase::Prepare && vote.data.block == id))
    })
}

fn decide(world: &mut World, ledger: &Ledger, block: &Block) {
    world.say(0, STRANGER, &Message::Certificate(certified(ledger, &block.header)));
    answer(world, block);
}

/// Certified, and fetched as part of a range.
fn by_sync(ledger: &Ledger, before: &[(Applied, Certificate)], good: &Applied, bad: &Block) -> World {
    let mut world = World::empty((*ledger.spec).clone(), 4);
    world.now = good.block.header.time.plus(60_000);
    world.open(0);
    world.connect(0, STRANGER);
    let blocks: Vec<_> =
        before.iter().map(|(applied, _)| applied.block.clone()).chain([bad.clone()]).collect();
    let mut certificates: Vec<_> = before.iter().map(|(_, certificate)| certificate.clone()).collect();
    certificates.push(certified(ledger, &bad.header));
    let status =
        Status { lowest: Height(0), height: bad.header.height, certificate: certificates.last().cloned() };
    world.say(0, STRANGER, &Message::Status(Box::new(status)));
    for _ in 0..40 {
        for (_, message) in std::mem::take(&mut world.heard) {
            let Message::Query(id, query) = message else { continue };
            let within = |from: Height, count: u16| {
                let from = from.0 as usize - 1;
                from..blocks.len().min(from + usize::from(count))
            };
            let answer = match query {
                Query::Headers { from, count } => Response::Headers(
                    within(from, count)
                        .map(|at| LightBlock {
                            header: blocks[at].header.clone(),
                            certificate: certificates[at].clone(),
                            next_validators: (blocks[at].header.validators_hash
                                != blocks[at].header.next_validators_hash)
                                .then(|| (*ledger.state.validators).clone()),
                        })
                        .collect(),
                ),
                Query::Bodies { from, count, .. } => {
                    Response::Bodies(within(from, count).map(|at| blocks[at].body.clone()).collect())
                }
            };
            world.say(0, STRANGER, &Message::Response(id, answer));
        }
        world.tick();
    }
    world
}

/// In the store of a node that starts.
fn by_restart(ledger: &Ledger, before: &[(Applied, Certificate)], good: &Applied, bad: &Block) -> World {
    let mut world = node(ledger, before, good);
    let mut batch = Batch::default();
    batch.put(Table::Candidate, candidate_key(bad.header.height, &bad.header.id()), encode(bad));
    futures::FutureExt::now_or_never(world.nodes[0].1.commit(&batch)).unwrap().unwrap();
    world.nodes[0].0 = None;
    world.open(0);
    world.connect(0, STRANGER);
    world
}

#[test]
fn lesson_05_bad_blocks_get_the_same_verdict_on_every_path() {
    let (ledger, before, good) = sample(false);
    assert_eq!(by_the_rules(&ledger, good.block.clone()), Ok(()));
    for (name, spoil) in BAD {
        let mut bad = good.block.clone();
        spoil(&mut bad);
        let expected = by_the_rules(&ledger, bad.clone());
        assert!(expected.is_err(), "{name}");

        let mut world = by_gossip(&ledger, &before, &good, &bad);
        assert!(!prepared(&world, &bad.header), "{name}: prepared");
        decide(&mut world, &ledger, &bad);
        // A header that lies about its body: no peer can give what nobody has.
        let given = if name == "wrong Merkle root" { Ok(()) } else { expected.clone() };
        assert_eq!(verdict(&world), given, "{name}, proposed and decided");
        assert_eq!(world.node(0).state().id, ledger.state.id, "{name}");

        let mut world = node(&ledger, &before, &good);
        decide(&mut world, &ledger, &bad);
        assert_eq!(verdict(&world), given, "{name}, decided unseen");

        let mut world = by_restart(&ledger, &before, &good, &bad);
        decide(&mut world, &ledger, &bad);
        assert_eq!(verdict(&world), expected, "{name}, from the store");

        // A header that names a set of its own, or lies about its body, is not even fetched.
        let world = by_sync(&ledger, &before, &good, &bad);
        let never_taken = ["wrong Merkle root", "a set of its own"].contains(&name);
        assert_eq!(verdict(&world), if never_taken { Ok(()) } else { expected }, "{name}, by sync");
        let (tip, before) = (world.node(0).state().id, ledger.state.id);
        assert!(tip == before || never_taken, "{name}: what came before is taken");
    }
}

#[test]
fn lesson_05_the_good_block_is_taken_on_every_path() {
    let (ledger, before, good) = sample(false);
    let mut world = by_gossip(&ledger, &before, &good, &good.block);
    assert!(prepared(&world, &good.block.header));
    decide(&mut world, &ledger, &good.block);
    let mut unseen = node(&ledger, &before, &good);
    decide(&mut unseen, &ledger, &good.block);
    let mut restarted = by_restart(&ledger, &before, &good, &good.block);
    decide(&mut restarted, &ledger, &good.block);
    let synced = by_sync(&ledger, &before, &good, &good.block);
    for (name, world) in [("gossip", world), ("unseen", unseen), ("restart", restarted), ("sync", synced)] {
        assert_eq!(verdict(&world), Ok(()), "{name}");
        assert_eq!(world.node(0).state().id, good.state.id, "{name}");
    }
}

/// A node that is to propose cannot be made to propose what the rules refuse.
#[test]
fn lesson_05_own_proposals_are_derived_by_the_same_rules() {
    let (ledger, before, good) = sample(true);
    let proposer = good.block.header.proposer;
    let at = (0..4).find(|at| key(at + 1).public_key() == proposer).unwrap() as usize;
    let mut world = World::empty((*ledger.spec).clone(), 4);
    world.now = good.block.header.time;
    world.open(at);
    world.connect(at, STRANGER);
    for (applied, certificate) in &before {
        world.say(at, STRANGER, &Message::Certificate(certificate.clone()));
        world.say(at, STRANGER, &Message::Block(Box::new(applied.block.clone())));
    }
    let spend = |coin: (timecoin_core::transaction::OutPoint, Output)| {
        ledger.verify(ledger.payment(RICH, coin, 8, Amount(9_000_000)).sign(&ledger.chain)).unwrap()
    };
    let coins = ledger.coins_of(&owner(RICH));
    let mut richer = coins[1];
    richer.1.amount.0 += 1;
    let mut unknown = coins[1];
    unknown.0.index += 70;
    let honest = spend(coins[0]);
    let list = vec![spend(richer), honest.clone(), honest.clone(), spend(unknown)];
    let draft = ledger.draft(60_000, list);
    assert!(ledger.derive(draft.clone()).is_err());
    world.job(at, Job::Derive(Box::new(draft)));
    world.submit(at, honest.signed().clone());
    for _ in 0..10 {
        world.tick();
    }
    let proposed: Vec<_> = world
        .heard
        .iter()
        .filter_map(|(_, message)| match message {
            Message::Proposal(proposal) if proposal.header.height == Height(5) => Some(proposal),
            _ => None,
        })
        .collect();
    assert!(!proposed.is_empty());
    for proposal in proposed {
        assert!(proposal.transactions.iter().all(|txid| *txid == honest.txid()), "only what is good");
    }
    assert!(!world.node(at).is_halted());
}

/// Whose clock is slow takes no part in what it finds too early, and follows a quorum that does not.
#[test]
fn case_19_a_header_ahead_of_the_clock_by_more_than_the_drift_is_not_prepared() {
    let (ledger, before, good) = sample(false);
    let (drift, time) = (ledger.rules().clock_drift_max_ms, good.block.header.time.0);
    for (ahead_ms, prepares) in [(0, true), (drift, true), (drift + 1, false), (50_000, false)] {
        let mut world = node_at(&ledger, &before, Time(time - ahead_ms));
        let payments = good.block.body.transactions[1..].to_vec();
        world.say(0, STRANGER, &Message::Transactions(payments));
        world.say(0, STRANGER, &Message::Proposal(Box::new(proposal(&ledger, &good))));
        assert_eq!(prepared(&world, &good.block.header), prepares, "{ahead_ms} ms ahead");
        let says_nil = world.heard.iter().any(|(_, message)| {
            matches!(message, Message::Votes(votes) if votes.iter().any(|vote| vote.data.phase == Phase::Prepare && vote.data.block.is_none()))
        });
        assert_eq!(says_nil, !prepares, "{ahead_ms} ms ahead");
        decide(&mut world, &ledger, &good.block);
        assert_eq!(world.node(0).state().id, good.state.id, "{ahead_ms} ms ahead");
    }
}

/// A relay cannot change a header, but it can change the list of ids that comes with it. That used to make a good
/// block invalid where it was heard from that relay, and stop the node once the others had decided it.
#[test]
fn lesson_05_a_relay_that_changes_a_proposal_discredits_nothing() {
    let (ledger, before, good) = sample(false);
    let mut world = node(&ledger, &before, &good);
    let payments = good.block.body.transactions[1..].to_vec();
    world.say(0, STRANGER, &Message::Transactions(payments));
    let honest = proposal(&ledger, &good);
    for change in [|ids: &mut Vec<_>| ids.clear(), |ids: &mut Vec<_>| ids.push(ids[0])] {
        let mut changed = honest.clone();
        change(&mut changed.transactions);
        world.say(0, STRANGER, &Message::Proposal(Box::new(changed)));
    }
    answer(&mut world, &good.block);
    assert_eq!(world.offences, [], "who relays is not to blame");
    assert!(prepared(&world, &good.block.header));
    decide(&mut world, &ledger, &good.block);
    assert_eq!(world.node(0).state().id, good.state.id);
}

/// One payment signed twice is two sets of bytes under one id. Nodes that held the other copy took the block that
/// confirms it for invalid: whoever signed twice could stop them.
#[test]
fn lesson_05_a_payer_who_signs_twice_stops_nobody() {
    let (ledger, before, _) = sample(false);
    let coin = ledger.coins_of(&owner(RICH))[0];
    // Two of three keys own a coin; any two may sign.
    let keys: Vec<_> = {
        let mut keys: Vec<_> = (301..304).map(key).collect();
        keys.sort_by_key(timecoin_core::keys::SecretKey::public_key);
        keys
    };
    let lock = timecoin_core::lock::Lock::Threshold {
        required: 2,
        keys: keys.iter().map(timecoin_core::keys::SecretKey::public_key).collect(),
    };
    let mut funding = ledger.payment(RICH, coin, 7, Amount(5_000_000));
    funding.outputs[0].owner = lock.owner();
    let funding = funding.sign(&ledger.chain);
    let held = (
        timecoin_core::transaction::OutPoint { txid: funding.transaction.id(), index: 0 },
        funding.transaction.outputs[0],
    );
    let unsigned = ledger.payment(301, held, 7, Amount(1_000_000)).sign(&ledger.chain);
    let signed_by = |pair: [u8; 2]| {
        let sighash = unsigned.transaction.sighash(&ledger.chain, &unsigned.spent);
        let signatures = pair.map(|at| timecoin_core::lock::KeySignature {
            key: at,
            signature: keys[usize::from(at)].sign(&sighash.0),
        });
        let witness = timecoin_core::lock::Witness { lock: lock.clone(), signatures: signatures.to_vec() };
        SignedTransaction { witnesses: vec![witness], ..unsigned.clone() }
    };
    let (one, other) = (signed_by([0, 1]), signed_by([1, 2]));
    assert_eq!(one.transaction.id(), other.transaction.id());
    let list = [funding.clone(), one].map(|signed| ledger.verify(signed).unwrap());
    let good = ledger.derive(ledger.draft(60_000, list.to_vec())).unwrap();

    let mut world = node(&ledger, &before, &good);
    world.say(0, STRANGER, &Message::Transactions(vec![funding, other]));
    assert_eq!(world.node(0).mempool().len(), 2);
    world.say(0, STRANGER, &Message::Proposal(Box::new(proposal(&ledger, &good))));
    answer(&mut world, &good.block);
    assert!(prepared(&world, &good.block.header), "it has the block whole and finds it good");
    decide(&mut world, &ledger, &good.block);
    assert_eq!((verdict(&world), world.node(0).state().id), (Ok(()), good.state.id));
}

/// A proposal of more transactions than one message may ask for: honest peers asked for all at once, and were
/// taken for offenders.
#[test]
fn lesson_05_a_proposal_that_names_too_much_is_the_senders_fault_and_asks_stay_in_bounds() {
    let (ledger, before, good) = sample(false);
    let mut world = node(&ledger, &before, &good);
    let mut large = proposal(&ledger, &good);
    let id = large.transactions[0];
    large.transactions = vec![id; 3_758];
    world.say(0, STRANGER, &Message::Proposal(Box::new(large.clone())));
    assert!(world.offences.is_empty());
    assert!(
        world.heard.iter().all(|(_, message)| Message::from_frame(&encode(message)).is_ok()),
        "what it asks may be asked"
    );
    large.transactions.push(id);
    world.say(0, STRANGER, &Message::Proposal(Box::new(large)));
    assert_eq!(world.offences.len(), 1);
}
