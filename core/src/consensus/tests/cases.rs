//! The cases of the list of adversaries that concern one engine, by their number there.

use crate::certificate::Certificate;
use crate::consensus::{Input, Output, Step};
use crate::time::Time;
use crate::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use super::model::{Bench, CHAIN, block, evidence, signs};

#[test]
fn case_1_only_the_first_proposal_counts_unless_a_quorum_prepared_the_other() {
    let mut bench = Bench::new(&[1; 4]);
    let (one, other) = (block(1), block(2));
    assert!(bench.propose(0, one).contains(&Output::Check(one)));
    let outputs = bench.propose(0, other);
    let proof = evidence(&outputs);
    assert!(matches!(proof[..], [proof] if proof.verify(&bench.set, &CHAIN).is_ok()), "{outputs:?}");
    assert!(!outputs.contains(&Output::Check(other)), "the second proposal is not considered");
    assert!(evidence(&bench.propose(0, block(3))).is_empty(), "one pair is enough");
    let signed = signs(&bench.accept(one));
    assert_eq!(signed.iter().map(|data| data.block).collect::<Vec<_>>(), [Some(one)]);
    // The others prepared the other block: that proves what was proposed, and it can be committed.
    let outputs = bench.votes(0..3, Phase::Prepare, 0, Some(other));
    assert!(outputs.contains(&Output::Check(other)), "{outputs:?}");
    let signed = signs(&bench.accept(other));
    assert!(matches!(signed[..], [VoteData { phase: Phase::Commit, block, .. }] if block == Some(other)));
    assert_eq!(bench.engine.valid_block(), Some((other, ViewNumber(0))));
}

#[test]
fn case_2_a_certificate_counts_as_a_whole_whatever_its_signers_told_us_before() {
    let mut bench = Bench::new(&[1; 4]);
    let right = block(1);
    bench.propose(0, right);
    bench.accept(right);
    bench.votes([0], Phase::Prepare, 0, Some(block(9)));
    let certificate = bench.certificate(0..3, Phase::Prepare, 0, Some(right));
    let outputs = bench.give(Input::Certificate(certificate));
    assert_eq!(evidence(&outputs).len(), 1, "validator 0 said two things: {outputs:?}");
    assert!(
        matches!(signs(&outputs)[..], [VoteData { phase: Phase::Commit, block, .. }] if block == Some(right))
    );
}

#[test]
fn case_3_two_certificates_for_one_height_are_a_fork() {
    let mut bench = Bench::new(&[1; 4]);
    let ours = bench.certificate(0..3, Phase::Commit, 0, Some(block(1)));
    let theirs = bench.certificate(1..4, Phase::Commit, 7, Some(block(2)));
    let outputs = bench.give(Input::Certificate(ours.clone()));
    assert!(outputs.contains(&Output::Decide { block: block(1), certificate: ours.clone() }));
    let outputs = bench.give(Input::Certificate(theirs.clone()));
    assert_eq!(outputs, [Output::Fork { ours: ours.clone(), theirs: theirs.clone() }]);
    // Also one height later.
    bench.height = Height(6);
    let start = bench.start(Some(0));
    bench.give(Input::Start(super::super::HeightStart { parent_certificate: Some(ours.clone()), ..start }));
    assert_eq!(bench.give(Input::Certificate(theirs.clone())), [Output::Fork { ours, theirs }]);
}

#[test]
fn case_4_the_prepares_of_a_quorum_must_agree_on_the_valid_view() {
    let mut bench = Bench::new(&[1; 4]);
    let right = block(1);
    bench.leave_view_0();
    let prepared = bench.certificate(0..3, Phase::Prepare, 0, Some(right));
    let proposal = bench.vote(bench.proposer(1), Phase::PrePrepare, 1, Some(right), Some(0));
    bench.give(Input::Proposal(proposal, Some(prepared)));
    let outputs = bench.accept(right);
    // Line 30: the vote names the valid view it relies on.
    let expected = bench.vote(0, Phase::Prepare, 1, Some(right), Some(0)).data;
    assert!(signs(&outputs).last() == Some(&expected) && bench.engine.state().unwrap().step == Step::Prepare);
    // Prepares that hide it do not add up with those that do not.
    let two: Vec<_> = (0..2).map(|from| bench.vote(from, Phase::Prepare, 1, Some(right), Some(0))).collect();
    bench.give(Input::Votes(two));
    let hiding = bench.vote(2, Phase::Prepare, 1, Some(right), None);
    assert!(signs(&bench.give(Input::Votes(vec![hiding]))).is_empty());
    let honest = bench.vote(2, Phase::Prepare, 1, Some(right), Some(0));
    assert_eq!(evidence(&bench.give(Input::Votes(vec![honest]))).len(), 1, "hiding it is equivocation");
    let last = bench.vote(3, Phase::Prepare, 1, Some(right), Some(0));
    assert_eq!(signs(&bench.give(Input::Votes(vec![last]))).len(), 1);
    assert_eq!(bench.engine.state().unwrap().locked, Some((right, ViewNumber(1))));
}

#[test]
fn case_7_far_future_views_cost_one_vote_and_move_nobody() {
    let mut bench = Bench::new(&[1; 4]);
    let before = bench.engine.vote_count();
    let template = bench.vote(0, Phase::Prepare, 2, Some(block(1)), None);
    for number in 0..100_000u32 {
        let view = ViewNumber(2 + number.wrapping_mul(2_654_435_761) % (u32::MAX - 2));
        let vote = Vote { data: VoteData { view, ..template.data }, ..template };
        assert!(bench.give(Input::Votes(vec![vote])).is_empty());
    }
    assert_eq!(bench.engine.vote_count(), before + 1);
    assert_eq!(bench.view(), 0, "a quarter of the weight moves nobody");
    bench.votes([0], Phase::Commit, u32::MAX, None);
    bench.votes([1], Phase::Commit, u32::MAX, None);
    assert_eq!(bench.view(), u32::MAX, "half of it does, to the end of the views");
    bench.votes(0..3, Phase::Commit, u32::MAX, None);
    for _ in 0..5 {
        bench.wait();
    }
    assert_eq!(bench.view(), u32::MAX, "there is no next view to wrap around to");
}

#[test]
fn case_8_far_heights_cost_nothing() {
    let mut bench = Bench::new(&[1; 4]);
    let template = bench.vote(0, Phase::Prepare, 0, Some(block(1)), None);
    for number in 0..100_000u64 {
        let height = Height(7 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (u64::MAX - 7));
        let vote = Vote { data: VoteData { height, ..template.data }, ..template };
        assert!(bench.give(Input::Votes(vec![vote])).is_empty());
    }
    assert_eq!(bench.engine.vote_count(), 0);
}

#[test]
fn case_9_votes_of_the_next_height_are_few_and_used_when_it_opens() {
    let mut bench = Bench::new(&[1; 4]);
    bench.height = Height(6);
    for view in (0..100_000).step_by(10) {
        for phase in [Phase::PrePrepare, Phase::Prepare, Phase::Commit] {
            let template = bench.vote(1, phase, 0, Some(block(1)), None);
            let vote = Vote { data: VoteData { view: ViewNumber(view), ..template.data }, ..template };
            bench.give(Input::Votes(vec![vote]));
        }
    }
    assert_eq!(bench.engine.vote_count(), 3);
    bench.votes([0, 2, 3], Phase::Commit, 0, Some(block(2)));
    let decision = {
        bench.height = Height(5);
        bench.certificate(0..3, Phase::Commit, 0, Some(block(1)))
    };
    bench.give(Input::Certificate(decision));
    bench.height = Height(6);
    let start = bench.start(Some(0));
    let mut other_set = bench.engine.clone();
    let outputs = bench.give(Input::Start(start.clone()));
    let decided = |outputs: &[Output]| outputs.iter().any(|output| matches!(output, Output::Decide { .. }));
    assert!(decided(&outputs), "three Commits waited for height 6: {outputs:?}");
    let (set, _) = super::model::validators(&[2, 1, 1, 1]);
    let outputs = other_set.handle(Input::Start(super::super::HeightStart { set, ..start }), Time(0));
    assert!(!decided(&outputs), "votes of another set say nothing");
    assert_eq!(other_set.vote_count(), 0);
}

#[test]
fn case_14_positions_outside_the_set_are_ignored() {
    let mut bench = Bench::new(&[1; 4]);
    let good = bench.vote(0, Phase::Commit, 0, Some(block(1)), None);
    for validator in [4, 5, 255, 256, u16::MAX] {
        assert!(bench.give(Input::Votes(vec![Vote { validator, ..good }])).is_empty());
        let data = VoteData { phase: Phase::PrePrepare, ..good.data };
        assert!(bench.give(Input::Proposal(Vote { data, validator, ..good }, None)).is_empty());
    }
    assert_eq!(bench.engine.vote_count(), 0);
    let mut certificate = bench.certificate(0..3, Phase::Commit, 0, Some(block(1)));
    assert!(!certificate.insert(&Vote { validator: u16::MAX, ..good }));
}

#[test]
fn case_15_exactly_two_thirds_decide_nothing_and_exactly_one_third_jumps_nowhere() {
    for (weights, two_thirds, one_third) in
        [(&[1, 1, 1][..], 2, 1), (&[2, 2, 2], 2, 1), (&[1; 6], 4, 2), (&[4, 2, 2, 2, 2], 3, 1)]
    {
        let mut bench = Bench::new(weights);
        bench.votes(0..one_third, Phase::Prepare, 4, None);
        assert_eq!(bench.view(), 0, "{weights:?}: exactly one third is ahead");
        bench.votes(0..two_thirds, Phase::Commit, 0, Some(block(1)));
        assert_ne!(bench.engine.state().unwrap().step, Step::Decided, "{weights:?}");
        let outputs = bench.votes([two_thirds], Phase::Commit, 0, Some(block(1)));
        assert!(outputs.iter().any(|output| matches!(output, Output::Decide { .. })), "{weights:?}");
    }
}

#[test]
fn case_23_a_thawed_node_drains_its_input_before_its_timers() {
    let mut bench = Bench::new(&[1; 4]);
    bench.wait();
    bench.now = bench.now.plus(3_600_000);
    let mut signed = Vec::new();
    for view in 0..2_000 {
        for phase in [Phase::Prepare, Phase::Commit] {
            signed.extend(signs(&bench.votes([0, 1], phase, view, None)));
        }
    }
    // All its timers of view 0 are an hour late, and two validators have gone on without it.
    signed.extend(signs(&bench.give(Input::Tick)));
    assert!(signed.is_empty(), "no votes for dead views: {signed:?}");
    assert_eq!(bench.view(), 1999);
    let next = bench.wait_for_vote();
    assert_eq!((next.view, next.phase, next.block), (ViewNumber(1999), Phase::Prepare, None));
}

#[test]
fn a_commit_certificate_of_any_view_decides_and_collects_late_commits() {
    for view in [0, 3, 900] {
        let mut bench = Bench::new(&[1; 4]);
        bench.votes(0..2, Phase::Prepare, 100, None);
        assert_eq!(bench.view(), 100);
        let certificate = bench.certificate(0..3, Phase::Commit, view, Some(block(1)));
        let outputs = bench.give(Input::Certificate(certificate.clone()));
        assert!(
            outputs.contains(&Output::Decide { block: block(1), certificate: certificate.clone() }),
            "{view}"
        );
        assert_eq!(bench.engine.deadline(), Time::NEVER);
        let late = bench.vote(3, Phase::Commit, view, Some(block(1)), None);
        bench.height = Height(6);
        let start = bench.start(Some(0));
        bench.give(Input::Start(super::super::HeightStart {
            parent_certificate: Some(certificate.clone()),
            ..start
        }));
        bench.give(Input::Votes(vec![late]));
        let full = bench.engine.parent_certificate().expect("there is a parent");
        assert_eq!((full.signers.count(), full.verify(&bench.set, &CHAIN)), (4, Ok(())));
    }
}

/// Commits of a view that is long over decide a validator that is locked on another block: one by one where it knew
/// that view to be prepared, and as a certificate always. It commits to nothing more.
#[test]
fn a_late_commit_quorum_of_an_old_view_decides_a_validator_locked_on_another_block() {
    let (locked, right) = (block(1), block(2));
    for (name, knew_prepared, certified) in [
        ("one by one", true, false),
        ("certified", true, true),
        ("certified, never seen prepared", false, true),
    ] {
        let mut bench = Bench::new(&[1; 4]);
        let me = (0..4).rev().find(|index| *index != bench.proposer(0)).expect("there are four");
        let others: Vec<_> = (0..4).filter(|index| *index != me).collect();
        bench.propose(0, locked);
        bench.accept(locked);
        bench.votes(others.clone(), Phase::Prepare, 0, Some(locked));
        // The others did not see that quorum, and are free in view 1. Their block never arrives here.
        let seen = if knew_prepared { 3 } else { 2 };
        bench.votes(others[..seen].to_vec(), Phase::Prepare, 1, Some(right));
        bench.votes(others[..2].to_vec(), Phase::Prepare, 4, None);
        let state = bench.engine.state().expect("a height is open");
        assert_eq!((state.view.0, state.locked), (4, Some((locked, ViewNumber(0)))), "{name}");
        let mut outputs = Vec::new();
        if certified {
            let certificate = bench.certificate(others.clone(), Phase::Commit, 1, Some(right));
            outputs = bench.give(Input::Certificate(certificate));
        } else {
            for from in others {
                outputs = bench.votes([from], Phase::Commit, 1, Some(right));
            }
        }
        let decided = outputs.iter().find_map(|output| match output {
            Output::Decide { block, certificate } => Some((*block, certificate.verify(&bench.set, &CHAIN))),
            _ => None,
        });
        assert_eq!(decided, Some((right, Ok(()))), "{name}: {outputs:?}");
        assert!(signs(&outputs).is_empty() && evidence(&outputs).is_empty(), "{name}: {outputs:?}");
    }
}

#[test]
fn a_prepare_certificate_of_a_higher_view_moves_there_and_gets_our_commit() {
    let mut bench = Bench::new(&[1; 4]);
    let right = block(1);
    let certificate: Certificate = bench.certificate(0..3, Phase::Prepare, 6, Some(right));
    let outputs = bench.give(Input::Certificate(certificate.clone()));
    assert!(outputs.contains(&Output::EnteredView(ViewNumber(6))) && outputs.contains(&Output::Check(right)));
    assert!(outputs.contains(&Output::Certificate(certificate)), "new to us, so pass it on: {outputs:?}");
    let nil = |phase| bench.vote(0, phase, 5, None, None).data;
    let ours = |phase| bench.vote(0, phase, 6, Some(right), None).data;
    let [prepare, commit] = [Phase::Prepare, Phase::Commit];
    let expected = [nil(prepare), nil(commit), ours(prepare), ours(commit)];
    assert_eq!(signs(&bench.accept(right)), expected);
}

#[test]
fn who_goes_on_without_voting_leaves_votes_of_nil_behind_for_those_who_stay() {
    type Case = (&'static str, &'static [Phase], u32, &'static [(Phase, u32)]);
    let table: [Case; 4] = [
        ("not a vote", &[], 1, &[(Phase::Prepare, 0), (Phase::Commit, 0)]),
        ("a Prepare", &[Phase::Prepare], 1, &[(Phase::Commit, 0)]),
        ("both", &[Phase::Prepare, Phase::Commit], 1, &[]),
        ("both, views ago", &[Phase::Prepare, Phase::Commit], 7, &[(Phase::Prepare, 6), (Phase::Commit, 6)]),
    ];
    for (name, cast, view, left) in table {
        let mut bench = Bench::new(&[1; 4]);
        for phase in cast {
            let cast = match phase {
                Phase::Commit => signs(&bench.votes(0..3, Phase::Prepare, 0, None)).pop(),
                _ => Some(bench.wait_for_vote()),
            };
            assert_eq!(cast.map(|data| (data.phase, data.view.0)), Some((*phase, 0)), "{name}");
        }
        let on = bench.votes(0..2, Phase::Prepare, view, None);
        assert!(signs(&on).iter().all(|data| data.view.0 == 0), "{name}: nothing before it has to vote");
        assert_eq!(bench.view(), view, "{name}");
        let mut signed = Vec::new();
        while signed.is_empty() {
            signed = signs(&bench.wait());
        }
        let own = signed.pop().map(|data| (data.phase, data.view.0, data.block));
        assert_eq!(own, Some((Phase::Prepare, view, None)), "{name}");
        let places: Vec<_> = signed.iter().map(|data| (data.phase, data.view.0)).collect();
        assert_eq!(places, left, "{name}");
        assert!(signed.iter().all(|data| data.block.is_none()), "{name}");
    }
}

#[test]
fn an_empty_view_costs_no_wait() {
    let mut bench = Bench::new(&[1; 4]);
    bench.votes(0..2, Phase::Commit, 0, None);
    bench.votes([3], Phase::Commit, 0, Some(block(1)));
    assert!(bench.engine.deadline() > bench.now, "a quorum for something: the full timeout");
    bench.votes([2], Phase::Commit, 0, None);
    assert_eq!(bench.engine.deadline(), bench.now, "a quorum for nil: at once");
    bench.wait();
    assert_eq!(bench.view(), 1);
}

#[test]
fn the_last_of_the_views_ahead_that_a_third_has_reached_is_entered() {
    let mut bench = Bench::new(&[1; 7]);
    bench.votes([0], Phase::Prepare, 1, None);
    bench.votes([1], Phase::Prepare, 900, None);
    assert_eq!(bench.view(), 0);
    bench.votes([2], Phase::Prepare, 7, None);
    assert_eq!(bench.view(), 1, "three of seven have reached view 1, two view 7, one view 900");
    bench.votes([0], Phase::Prepare, 9, None);
    assert_eq!(bench.view(), 7);
}

#[test]
fn a_follower_keeps_up_and_signs_nothing() {
    let mut bench = Bench::of(&[1; 4], None);
    bench.give(Input::Work);
    let right = block(1);
    let mut outputs = bench.propose(0, right);
    outputs.extend(bench.accept(right));
    outputs.extend(bench.votes(0..3, Phase::Prepare, 0, Some(right)));
    outputs.extend(bench.votes(0..3, Phase::Commit, 0, Some(right)));
    assert!(signs(&outputs).is_empty());
    assert!(outputs.iter().any(|output| matches!(output, Output::Decide { .. })));
    let formed = outputs.iter().filter(|output| matches!(output, Output::Certificate(_))).count();
    assert_eq!(formed, 2, "one certificate per phase");
}

#[test]
fn a_hidden_lock_is_shown_from_view_2_on_and_taken_over() {
    let mut holder = Bench::new(&[1; 4]);
    let hidden = block(1);
    holder.propose(0, hidden);
    holder.accept(hidden);
    holder.votes(0..3, Phase::Prepare, 0, Some(hidden));
    assert_eq!(holder.engine.state().unwrap().locked, Some((hidden, ViewNumber(0))));
    let shown = |outputs: &[Output]| {
        outputs.iter().find_map(|output| match output {
            Output::Rebroadcast { certificates, proposal: Some(_), .. } => certificates.first().cloned(),
            _ => None,
        })
    };
    let outputs = holder.votes(0..2, Phase::Prepare, 1, None);
    assert!(holder.view() == 1 && shown(&outputs).is_none());
    let outputs = holder.votes(0..2, Phase::Prepare, 2, None);
    let certificate = shown(&outputs).expect("the lock is shown");
    // Someone who never saw it can propose that block now.
    let mut other = Bench::new(&[1; 4]);
    other.votes(0..2, Phase::Prepare, 2, None);
    other.give(Input::Certificate(certificate));
    other.accept(hidden);
    assert_eq!(other.engine.valid_block(), Some((hidden, ViewNumber(0))));
    assert_eq!(other.engine.state().unwrap().locked, None);
    assert!(other.engine.prepare_certificate(ViewNumber(0)).is_some());
}
