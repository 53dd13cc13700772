//! What a rule must not do where its guard does not hold. Written when planted faults (`tests/mutants/consensus.txt`) were noticed by no
//! other test.

use crate::consensus::{Input, Output, Step};
use crate::evidence::{Evidence, EvidenceError};
use crate::vote::{Height, Phase, ViewNumber};

use super::model::{Bench, CHAIN, block, signs, validators};

#[test]
fn the_newest_prepared_block_is_the_one_remembered() {
    let mut bench = Bench::new(&[1; 4]);
    bench.votes(0..2, Phase::Prepare, 4, None);
    assert_eq!(bench.view(), 4);
    let mut learn = |view, name| {
        let certificate = bench.certificate(0..3, Phase::Prepare, view, Some(block(name)));
        let asked = bench.give(Input::Certificate(certificate)).contains(&Output::Check(block(name)));
        bench.accept(block(name));
        (asked, bench.engine.valid_block())
    };
    assert_eq!(learn(1, 1), (true, Some((block(1), ViewNumber(1)))));
    assert_eq!(learn(2, 2), (true, Some((block(2), ViewNumber(2)))));
    assert_eq!(learn(0, 3), (false, Some((block(2), ViewNumber(2)))));
}

#[test]
fn a_block_found_invalid_is_not_committed_to_whoever_prepared_it() {
    let mut bench = Bench::new(&[1; 4]);
    let bad = block(1);
    bench.propose(0, bad);
    let signed = signs(&bench.give(Input::BlockVerdict { block: bad, valid: false }));
    assert!(matches!(signed[..], [data] if (data.phase, data.block) == (Phase::Prepare, None)), "{signed:?}");
    assert!(signs(&bench.votes(0..3, Phase::Prepare, 0, Some(bad))).is_empty());
    assert_eq!(bench.engine.state().unwrap().locked, None);
    let waited = bench.wait_for_vote();
    assert_eq!((waited.phase, waited.block), (Phase::Commit, None));
}

#[test]
fn a_proposal_waits_for_the_quorum_that_it_says_prepared_it() {
    let mut bench = Bench::new(&[1; 4]);
    let right = block(1);
    bench.leave_view_0();
    let proposal = bench.vote(bench.proposer(1), Phase::PrePrepare, 1, Some(right), Some(0));
    bench.give(Input::Proposal(proposal, None));
    assert!(signs(&bench.accept(right)).is_empty(), "the claim alone is nothing");
    assert_eq!(bench.engine.state().unwrap().step, Step::PrePrepare);
    let prepared = bench.certificate(0..3, Phase::Prepare, 0, Some(right));
    let signed = signs(&bench.give(Input::Certificate(prepared)));
    let last = signed.last().map(|data| (data.phase, data.block, data.valid_view));
    assert_eq!(last, Some((Phase::Prepare, Some(right), Some(ViewNumber(0)))));
}

#[test]
fn a_block_built_for_a_view_that_is_over_is_not_proposed() {
    let (set, _) = validators(&[1; 4]);
    let me = set.proposer(5, 0, |_| false);
    let mut bench = Bench::of(&[1; 4], Some(me));
    bench.give(Input::Work);
    assert!(bench.wait().contains(&Output::Build { view: ViewNumber(0) }));
    let others = (0..4).filter(|index| *index != me).take(2);
    // The fifth view is the first one's proposer's again.
    let outputs = bench.votes(others, Phase::Prepare, 4, None);
    assert!(outputs.contains(&Output::Build { view: ViewNumber(4) }), "{outputs:?}");
    let mut built =
        |view, name| signs(&bench.give(Input::Built { view: ViewNumber(view), block: block(name) }));
    assert!(built(0, 1).is_empty(), "it was asked for in another view");
    let last = built(4, 2).pop().map(|data| (data.phase, data.block, data.valid_view));
    assert_eq!(last, Some((Phase::PrePrepare, Some(block(2)), None)));
}

#[test]
fn votes_for_the_next_height_count_only_where_its_set_is_the_same() {
    for (name, weights, kept) in [("the same", &[1; 4], 2), ("another of that size", &[2; 4], 0)] {
        let mut bench = Bench::new(&[1; 4]);
        let decision = bench.certificate(0..3, Phase::Commit, 0, Some(block(1)));
        bench.give(Input::Certificate(decision));
        bench.height = Height(6);
        bench.votes(0..2, Phase::Prepare, 0, Some(block(2)));
        bench.set = validators(weights).0;
        let start = bench.start(Some(3));
        bench.give(Input::Start(start));
        assert_eq!(bench.engine.votes_of(ViewNumber(0)).len(), kept, "{name}");
    }
}

#[test]
fn a_quorum_for_nil_leaves_the_decision_open() {
    let mut bench = Bench::new(&[1; 4]);
    bench.votes(0..3, Phase::Commit, 0, None);
    let mut outputs = Vec::new();
    for from in 0..3 {
        outputs = bench.votes([from], Phase::Commit, 1, Some(block(1)));
    }
    assert!(outputs.iter().any(|output| matches!(output, Output::Decide { .. })), "{outputs:?}");
}

#[test]
fn votes_that_do_not_contradict_each_other_are_no_evidence() {
    let bench = Bench::idle(&[1; 4]);
    let first = bench.vote(0, Phase::Prepare, 0, Some(block(1)), None);
    let table = [
        ("one vote twice", first),
        ("another view", bench.vote(0, Phase::Prepare, 1, Some(block(2)), None)),
        ("another phase", bench.vote(0, Phase::Commit, 0, Some(block(2)), None)),
        ("another validator", bench.vote(1, Phase::Prepare, 0, Some(block(2)), None)),
    ];
    for (name, second) in table {
        let evidence = Evidence::new(first, second);
        assert_eq!(evidence.verify(&bench.set, &CHAIN), Err(EvidenceError::NoConflict), "{name}");
    }
}
