//! What counts as a vote.

use timecoin_core::certificate::{Bitmap, Certificate};
use timecoin_core::keys::{SecretKey, Signature};
use timecoin_core::message::{Message, Proposal};
use timecoin_core::peer::score::Offence;
use timecoin_core::state::Applied;
use timecoin_core::testing::chain::key;
use timecoin_core::testing::ledger::{Ledger, ledger_spec};
use timecoin_core::validators::ValidatorIndex;
use timecoin_core::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use crate::world::{World, id};

/// A proposal of a derived block in view 0.
pub(crate) fn proposal(ledger: &Ledger, applied: &Applied) -> Proposal {
    let header = applied.block.header.clone();
    let body = &applied.block.body;
    let data = VoteData { phase: Phase::PrePrepare, ..commit(&applied.state.id, header.height) };
    let index = ledger.state.validators.index_of(&header.proposer).unwrap();
    let secret = ledger.key(&header.proposer).unwrap();
    let paid = body.transactions.iter().filter(|signed| !signed.spent.is_empty());
    Proposal {
        vote: Vote::sign(data, index, &ledger.chain, secret),
        transactions: paid.map(|signed| signed.transaction.id()).collect(),
        evidence: body.evidence.clone(),
        parent_certificate: body.parent_certificate.clone(),
        prepare_certificate: None,
        header,
    }
}

fn commit(block: &timecoin_core::hash::BlockId, height: Height) -> VoteData {
    VoteData { phase: Phase::Commit, height, view: ViewNumber(0), block: Some(*block), valid_view: None }
}

#[test]
fn lesson_04_unknown_unsigned_and_duplicate_votes_count_nothing() {
    let spec = ledger_spec(4, 1);
    let ledger = Ledger::new(spec.clone());
    let applied = ledger.derive(ledger.draft(10_000, Vec::new())).unwrap();
    let set = ledger.state.validators.clone();
    let proposer = set.index_of(&applied.block.header.proposer).unwrap();
    let operator_of = |at: usize| key(at as u64 + 1).public_key();
    let alone = (0..4).find(|at| set.index_of(&operator_of(*at)) != Some(proposer)).unwrap();
    let me = set.index_of(&operator_of(alone)).unwrap();
    let others: Vec<ValidatorIndex> = (0..4).filter(|index| *index != me).collect();

    // One node is on; a stranger tells it whatever it likes.
    let mut world = World::empty(spec, 4);
    world.now = applied.block.header.time;
    world.open(alone);
    let stranger = 9;
    world.connect(alone, stranger);
    world.say(alone, stranger, &Message::Proposal(Box::new(proposal(&ledger, &applied))));
    let data = |phase| VoteData { phase, ..commit(&applied.state.id, Height(1)) };
    let vote = |phase, index, secret: &SecretKey| Vote::sign(data(phase), index, &ledger.chain, secret);
    let real = |phase, index: ValidatorIndex| {
        vote(phase, index, ledger.key(&set.validator(index).unwrap().key).unwrap())
    };
    let prepared = |world: &World| {
        world.heard.iter().any(|(_, message)| matches!(message, Message::Votes(votes) if votes.iter().any(|vote| vote.data == data(Phase::Prepare))))
    };
    assert!(prepared(&world), "the node takes part: {:?} {:?}", world.heard, world.notices);
    let held = world.node(alone).vote_count();

    for phase in [Phase::Prepare, Phase::Commit] {
        for index in 0..8 {
            // Unknown: a key that is in no set, under any position.
            world.say(alone, stranger, &Message::Votes(vec![vote(phase, index, &key(77))]));
            // Unsigned.
            let unsigned = Vote { signature: Signature([0; 64]), ..vote(phase, index, &key(77)) };
            world.say(alone, stranger, &Message::Votes(vec![unsigned]));
            // Signed by a member, under another's position.
            let stolen = vote(phase, index, ledger.key(&set.validator(proposer).unwrap().key).unwrap());
            if index != proposer {
                world.say(alone, stranger, &Message::Votes(vec![stolen]));
            }
        }
    }
    assert_eq!(world.offences.len(), 2 * (8 + 8 + 7));
    assert!(world.offences.iter().all(|offence| *offence == (id(stranger), Offence::InvalidSignature)));
    assert_eq!(world.node(alone).vote_count(), held, "none of them is kept");

    // Duplicates: the same member a thousand times, one by one and many in a message.
    for phase in [Phase::Prepare, Phase::Commit] {
        for _ in 0..50 {
            world.say(alone, stranger, &Message::Votes(vec![real(phase, proposer); 20]));
        }
    }
    assert!(world.node(alone).vote_count() <= held + 2, "each counts once");
    // Certificates: too few signers, one signer twice, unknown signers.
    let too_few = {
        let mut signers = Bitmap::empty(4);
        others.iter().take(2).for_each(|index| signers.insert(*index));
        let signatures = others.iter().take(2).map(|index| real(Phase::Commit, *index).signature).collect();
        Certificate { data: data(Phase::Commit), signers, signatures }
    };
    let mut repeated = too_few.clone();
    repeated.signatures.push(repeated.signatures[0]);
    let mut padded = too_few.clone();
    padded.signers.insert(me);
    padded.signatures.push(Signature([0; 64]));
    for certificate in [too_few, repeated, padded] {
        world.offences.clear();
        world.say(alone, stranger, &Message::Certificate(certificate));
        assert_eq!(world.offences, [(id(stranger), Offence::InvalidCertificate)]);
    }
    for _ in 0..20 {
        world.tick();
    }
    assert_eq!(world.node(alone).state().height(), Height(0), "nothing of this is a quorum");
}

#[test]
fn lesson_04_real_votes_of_a_quorum_do_count() {
    let spec = ledger_spec(4, 1);
    let ledger = Ledger::new(spec.clone());
    let applied = ledger.derive(ledger.draft(10_000, Vec::new())).unwrap();
    let set = ledger.state.validators.clone();
    let me = (0..4).find(|at| key(at + 1).public_key() != applied.block.header.proposer).unwrap() as usize;
    let mut world = World::empty(spec, 4);
    world.now = applied.block.header.time;
    world.open(me);
    world.connect(me, 9);
    world.say(me, 9, &Message::Proposal(Box::new(proposal(&ledger, &applied))));
    let own = key(me as u64 + 1).public_key();
    let others: Vec<_> = set.iter().filter(|(_, member)| member.key != own).collect();
    for phase in [Phase::Prepare, Phase::Commit] {
        for (index, member) in others.iter().take(2) {
            assert_eq!(world.node(me).state().height(), Height(0));
            let data = VoteData { phase, ..commit(&applied.state.id, Height(1)) };
            let vote = Vote::sign(data, *index, &ledger.chain, ledger.key(&member.key).unwrap());
            world.say(me, 9, &Message::Votes(vec![vote]));
        }
    }
    assert_eq!(world.node(me).state().id, applied.state.id, "its own vote and two others'");
}
