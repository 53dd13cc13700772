//! The sign rule.

use std::sync::Arc;

use crate::codec::{decode, encode};
use crate::consensus::sign::Position;
use crate::consensus::{QuarantineReason, SignRefusal, Signer, SignerMemory};
use crate::keys::SecretKey;
use crate::validators::ValidatorSet;
use crate::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use super::model::{CHAIN, block, validators};

fn data(height: u64, view: u32, phase: Phase, name: Option<u64>) -> VoteData {
    VoteData {
        phase,
        height: Height(height),
        view: ViewNumber(view),
        block: name.map(block),
        valid_view: None,
    }
}

fn position(height: u64, view: u32, phase: Phase) -> Position {
    Position { height: Height(height), view: ViewNumber(view), phase }
}

fn key() -> (Arc<ValidatorSet>, SecretKey) {
    let (set, keys) = validators(&[1; 4]);
    (set, keys[0].clone())
}

fn signer(memory: SignerMemory) -> Signer {
    Signer::new(key().1, CHAIN, memory)
}

fn sign(signer: &mut Signer, data: VoteData) -> Result<Vote, SignRefusal> {
    signer.sign(data, 0, None, None).map(|record| record.vote)
}

#[test]
fn the_same_question_gets_the_same_bytes_and_another_none() {
    let mut signer = signer(SignerMemory::Born);
    let commit = data(5, 1, Phase::Commit, Some(1));
    let first = sign(&mut signer, commit).unwrap();
    assert_eq!(sign(&mut signer, commit), Ok(first));
    let at = position(5, 1, Phase::Commit);
    let table = [
        ("another block", data(5, 1, Phase::Commit, Some(2)), SignRefusal::Conflict(at)),
        ("nil", data(5, 1, Phase::Commit, None), SignRefusal::Conflict(at)),
        ("an earlier phase", data(5, 1, Phase::Prepare, Some(1)), SignRefusal::Past(at)),
        ("an earlier view", data(5, 0, Phase::Commit, Some(1)), SignRefusal::Past(at)),
        ("an earlier height", data(4, 9, Phase::Commit, Some(1)), SignRefusal::Past(at)),
    ];
    for (name, data, refusal) in table {
        assert_eq!(sign(&mut signer, data), Err(refusal), "{name}");
    }
    assert!(sign(&mut signer, data(5, 2, Phase::PrePrepare, Some(2))).is_ok());
    assert_eq!(signer.memory(), SignerMemory::Last(position(5, 2, Phase::PrePrepare)));
}

#[test]
fn case_22_after_a_restart_the_record_is_sent_again_and_without_it_nothing() {
    let mut before = signer(SignerMemory::Born);
    let prepare = data(5, 0, Phase::Prepare, Some(1));
    let record = before.sign(prepare, 0, None, Some((block(1), ViewNumber(0)))).unwrap();
    let row: crate::consensus::SignRecord = decode(&encode(&record)).unwrap();
    let memory: SignerMemory = decode(&encode(&before.memory())).unwrap();
    assert_eq!(row, record);
    let mut after = signer(memory);
    assert_eq!(sign(&mut after, prepare), Err(SignRefusal::RecordMissing(position(5, 0, Phase::Prepare))));
    after.restore([row]);
    assert_eq!(sign(&mut after, prepare), Ok(record.vote));
    let other = data(5, 0, Phase::Prepare, None);
    assert_eq!(sign(&mut after, other), Err(SignRefusal::Conflict(position(5, 0, Phase::Prepare))));
    // Torn in between: the record is durable, the memory is not. The record alone is enough.
    let mut torn = signer(SignerMemory::Born);
    torn.restore([row]);
    assert_eq!(sign(&mut torn, other), Err(SignRefusal::Conflict(position(5, 0, Phase::Prepare))));
}

#[test]
fn case_21_a_cleared_store_is_silent_at_every_height_it_could_have_voted_in() {
    let mut signer = signer(SignerMemory::Missing);
    let refused = |outcome| matches!(outcome, Err(SignRefusal::Quarantined(_)));
    assert!(refused(sign(&mut signer, data(1, 0, Phase::Prepare, None))));
    signer.observe_height(Height(10));
    signer.observe_height(Height(12));
    signer.observe_height(Height(9));
    assert!(refused(sign(&mut signer, data(13, 0, Phase::Prepare, None))), "it still listens");
    signer.finish_listening();
    signer.observe_height(Height(13));
    let quarantine = signer.quarantine().unwrap();
    assert_eq!((quarantine.reason, quarantine.until), (QuarantineReason::MemoryMissing, Height(12)));
    for height in [1, 11, 12] {
        assert!(refused(sign(&mut signer, data(height, 7, Phase::Commit, Some(1)))), "{height}");
    }
    assert!(sign(&mut signer, data(13, 0, Phase::Prepare, None)).is_ok());
    assert_eq!(signer.quarantine(), None);
}

#[test]
fn case_21_a_rolled_back_store_is_found_out_by_its_own_votes() {
    let (set, key) = key();
    let mut signer = Signer::new(key.clone(), CHAIN, SignerMemory::Last(position(5, 0, Phase::Commit)));
    let own = Vote::sign(data(8, 0, Phase::Prepare, Some(1)), 0, &CHAIN, &key);
    signer.observe(&own, &set);
    let quarantine = signer.quarantine().unwrap();
    assert_eq!((quarantine.reason, quarantine.until), (QuarantineReason::RolledBack, Height(8)));
    signer.finish_listening();
    assert!(sign(&mut signer, data(8, 1, Phase::Prepare, None)).is_err());
    assert!(sign(&mut signer, data(9, 0, Phase::Prepare, None)).is_ok());
}

#[test]
fn case_20_a_key_heard_elsewhere_never_signs_again() {
    let (set, key) = key();
    let vote = |height, name| Vote::sign(data(height, 0, Phase::Prepare, name), 0, &CHAIN, &key);
    // Active, and something it never signed is heard.
    let mut active = signer(SignerMemory::Born);
    sign(&mut active, data(5, 0, Phase::Prepare, Some(1))).unwrap();
    active.observe(&vote(5, Some(1)), &set);
    assert!(sign(&mut active, data(5, 0, Phase::Commit, Some(1))).is_ok(), "its own vote is no news");
    active.observe(&vote(5, Some(2)), &set);
    let refusal = SignRefusal::KeyInUseElsewhere(position(5, 0, Phase::Prepare));
    assert_eq!(sign(&mut active, data(6, 0, Phase::Prepare, None)), Err(refusal));
    // Listening, and the key goes on voting: that is not a former self.
    let mut listening = signer(SignerMemory::Missing);
    listening.observe(&vote(7, None), &set);
    listening.observe(&vote(7, Some(1)), &set);
    assert!(!matches!(
        sign(&mut listening, data(7, 3, Phase::Prepare, None)),
        Err(SignRefusal::KeyInUseElsewhere(_))
    ));
    listening.observe(&vote(8, None), &set);
    listening.finish_listening();
    let refusal = SignRefusal::KeyInUseElsewhere(position(8, 0, Phase::Prepare));
    assert_eq!(sign(&mut listening, data(99, 0, Phase::Prepare, None)), Err(refusal));
}

#[test]
fn votes_of_others_mean_nothing_to_a_signer() {
    let (set, keys) = validators(&[1; 4]);
    let mut signer = signer(SignerMemory::Born);
    let other = Vote::sign(data(90, 0, Phase::Prepare, None), 1, &CHAIN, &keys[1]);
    signer.observe(&other, &set);
    assert_eq!(signer.quarantine(), None);
    assert!(sign(&mut signer, data(5, 0, Phase::Prepare, None)).is_ok());
}

#[test]
fn an_operator_can_end_a_quarantine_by_naming_a_height() {
    let mut signer = signer(SignerMemory::Missing);
    signer.observe_height(Height(40));
    signer.override_quarantine(Height(12));
    assert!(sign(&mut signer, data(11, 5, Phase::Commit, None)).is_err());
    assert!(sign(&mut signer, data(12, 0, Phase::Prepare, None)).is_ok());
}

/// The store is put back to every earlier moment; what was signed since is heard in the first vote. Whatever
/// is then asked, nothing conflicts with what was signed before.
#[test]
fn case_21_rollback_at_every_point_never_signs_twice() {
    let (set, key) = key();
    let mut asked = Vec::new();
    for height in 5..8 {
        for view in 0..3 {
            asked.extend([Phase::Prepare, Phase::Commit].map(|phase| data(height, view, phase, Some(1))));
        }
    }
    let mut first = signer(SignerMemory::Born);
    let records: Vec<_> = asked.iter().map(|data| first.sign(*data, 0, None, None).unwrap()).collect();
    for kept in 0..records.len() {
        let memory = match kept.checked_sub(1) {
            None => SignerMemory::Missing,
            Some(last) => SignerMemory::Last(Position::from(&asked[last])),
        };
        let mut second = Signer::new(key.clone(), CHAIN, memory);
        let open = records[..kept].last().map(|record| record.vote.data.height);
        second
            .restore(records[..kept].iter().filter(|record| Some(record.vote.data.height) == open).copied());
        records.iter().for_each(|record| second.observe(&record.vote, &set));
        second.observe_height(Height(8));
        second.finish_listening();
        for data in &asked {
            let other = VoteData { block: None, ..*data };
            assert!(sign(&mut second, other).is_err(), "{kept} of {} records kept: {other:?}", records.len());
        }
    }
}
