//! The vote set: counting, evidence, memory.

use proptest::prelude::*;

use crate::consensus::{Insertion, VoteRefusal, VoteSet};
use crate::vote::{Height, Phase, ViewNumber, VoteData};

use super::model::{Bench, CHAIN, block};
use crate::testing::Rng;

fn votes(bench: &Bench) -> VoteSet {
    VoteSet::new(bench.height, bench.set.clone())
}

#[test]
fn the_first_vote_counts_and_the_second_is_evidence_once() {
    let bench = Bench::idle(&[1; 4]);
    let mut held = votes(&bench);
    let first = bench.vote(0, Phase::Prepare, 0, Some(block(1)), None);
    let second = bench.vote(0, Phase::Prepare, 0, None, None);
    assert_eq!(held.insert(first), Insertion::Counted(None));
    assert_eq!(held.insert(first), Insertion::Duplicate);
    let Insertion::Conflict(Some(proof)) = held.insert(second) else { panic!("evidence") };
    assert!(proof.verify(&bench.set, &CHAIN).is_ok());
    for name in 2..2000 {
        let vote = bench.vote(0, Phase::Prepare, 0, Some(block(name)), None);
        assert_eq!(held.insert(vote), Insertion::Conflict(None));
    }
    assert_eq!((held.len(), held.weight(ViewNumber(0))), (1, 1), "its weight counts once");
    assert!(held.quorum(ViewNumber(0), Phase::Prepare).is_none());
}

#[test]
fn weights_count_and_heads_do_not() {
    let bench = Bench::idle(&[5, 1, 1, 1]);
    let mut held = votes(&bench);
    for from in 1..4 {
        held.insert(bench.vote(from, Phase::Prepare, 0, None, None));
    }
    assert!(!held.is_quorum_any(ViewNumber(0), Phase::Prepare), "three of eight");
    let heavy = bench.vote(0, Phase::Prepare, 0, Some(block(1)), None);
    assert_eq!(held.insert(heavy), Insertion::Counted(None));
    assert!(held.is_quorum_any(ViewNumber(0), Phase::Prepare));
    assert_eq!(held.quorum(ViewNumber(0), Phase::Prepare), None, "five of eight agree");
}

#[test]
fn what_is_of_no_use_is_refused_by_name() {
    let bench = Bench::idle(&[1; 4]);
    let mut held = votes(&bench);
    held.enter(ViewNumber(5));
    let good = bench.vote(0, Phase::Prepare, 5, Some(block(1)), None);
    let with = |change: fn(&mut VoteData)| {
        let mut vote = good;
        change(&mut vote.data);
        vote
    };
    let table = [
        ("old view", with(|data| data.view = ViewNumber(3)), VoteRefusal::PastView(ViewNumber(3))),
        ("old height", with(|data| data.height = Height(4)), VoteRefusal::Height(Height(4))),
        ("far height", with(|data| data.height = Height(7)), VoteRefusal::Height(Height(7))),
        ("valid view ahead", with(|data| data.valid_view = Some(ViewNumber(5))), VoteRefusal::NotWellFormed),
        ("unknown", crate::vote::Vote { validator: 4, ..good }, VoteRefusal::UnknownValidator(4)),
    ];
    for (name, vote, refusal) in table {
        assert_eq!(held.insert(vote), Insertion::Refused(refusal), "{name}");
    }
    assert!(held.is_empty());
}

#[test]
fn late_commits_of_an_old_prepared_view_still_decide() {
    let bench = Bench::idle(&[1; 4]);
    let mut held = votes(&bench);
    for from in 0..3 {
        held.insert(bench.vote(from, Phase::Prepare, 0, Some(block(1)), None));
    }
    held.insert(bench.vote(0, Phase::Commit, 0, Some(block(1)), None));
    held.insert(bench.vote(3, Phase::Commit, 0, None, None));
    held.enter(ViewNumber(6));
    assert!(held.is_prepared(ViewNumber(0), block(1)));
    assert_eq!(held.len(), 1, "of an old view only the Commits for a block are kept");
    held.insert(bench.vote(1, Phase::Commit, 0, Some(block(1)), None));
    let last = bench.vote(2, Phase::Commit, 0, Some(block(1)), None);
    assert_eq!(held.insert(last), Insertion::Counted(Some(last.data)));
    assert_eq!(held.decided(), Some(last.data));
    assert!(held.certificate(last.data).is_some_and(|held| held.verify(&bench.set, &CHAIN).is_ok()));
}

#[test]
fn whom_a_certificate_contradicts_counts_for_what_it_says_alone() {
    let bench = Bench::idle(&[1; 4]);
    let mut held = votes(&bench);
    let (one, other) = (Some(block(1)), Some(block(2)));
    for from in 0..2 {
        held.insert(bench.vote(from, Phase::Prepare, 0, one, None));
    }
    held.certify(&bench.certificate(0..3, Phase::Prepare, 0, other));
    assert_eq!(held.insert(bench.vote(3, Phase::Prepare, 0, one, None)), Insertion::Counted(None));
    assert_eq!(held.quorum(ViewNumber(0), Phase::Prepare), Some((other, None)));
}

#[test]
fn of_prepared_views_long_over_the_newest_eight_are_kept() {
    let bench = Bench::idle(&[1; 4]);
    let mut held = votes(&bench);
    for view in 0..20 {
        held.enter(ViewNumber(view));
        held.certify(&bench.certificate(0..3, Phase::Prepare, view, Some(block(1))));
        held.insert(bench.vote(0, Phase::Commit, view, Some(block(1)), None));
    }
    let prepared: Vec<_> = (0..20).filter(|view| held.is_prepared(ViewNumber(*view), block(1))).collect();
    assert_eq!(prepared, (10..20).collect::<Vec<_>>());
    // Three Prepares and a Commit of each of the two views that are near.
    assert_eq!(held.len(), 8 + 2 * 4);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random votes of everyone, random view changes and certificates: the bound holds after each.
    #[test]
    fn memory_is_bounded_whatever_is_sent(seed: u64, members in 3usize..8) {
        let bench = Bench::idle(&vec![1; members]);
        let mut held = votes(&bench);
        let mut dice = Rng::new(seed);
        let mut view = 0u32;
        let template = bench.vote(0, Phase::Prepare, 0, None, None);
        for _ in 0..3000 {
            if dice.chance(20) {
                view += 1 + dice.below(3) as u32;
                for vote in held.enter(ViewNumber(view)) {
                    held.insert(vote);
                }
            }
            let near = view.saturating_sub(12) + dice.below(16) as u32;
            let at = if dice.chance(100) { dice.below(u64::from(u32::MAX)) as u32 } else { near };
            let phase = [Phase::PrePrepare, Phase::Prepare, Phase::Prepare, Phase::Commit][dice.below(4) as usize];
            let name = (phase == Phase::PrePrepare || dice.chance(900)).then(|| block(u64::from(at)));
            let height = Height(bench.height.0 + u64::from(dice.chance(200)));
            let data = VoteData { phase, height, view: ViewNumber(at), block: name, valid_view: None };
            let validator = dice.below(members as u64) as u16;
            held.insert(crate::vote::Vote { data, validator, ..template });
            // The engine holds two certificates besides.
            prop_assert!(held.len() + 2 * members <= 22 * members, "{} votes of {members}", held.len());
        }
    }
}
