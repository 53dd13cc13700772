//! Blocks on demand: when a proposal is made, and when others begin to wait for one.

use crate::consensus::{Input, Output};
use crate::time::Time;
use crate::vote::{Phase, ViewNumber};

use super::model::{Bench, TIMEOUTS, block, signs, validators};

const WEIGHTS: [u64; 4] = [1; 4];
const BUILD: Output = Output::Build { view: ViewNumber(0) };

fn proposer() -> Bench {
    let (set, _) = validators(&WEIGHTS);
    Bench::of(&WEIGHTS, Some(set.proposer(5, 0, |_| false)))
}

#[test]
fn a_proposer_with_work_waits_for_the_least_interval_only() {
    let mut bench = proposer();
    let opened = bench.now;
    assert!(!bench.give(Input::Work).contains(&BUILD));
    assert_eq!(bench.engine.deadline(), opened.plus(TIMEOUTS.block_interval_min_ms));
    assert!(bench.wait().contains(&BUILD));
    let own = signs(&bench.give(Input::Built { view: ViewNumber(0), block: block(1) }));
    assert!(own.len() == 1 && own[0].phase == Phase::PrePrepare && own[0].block == Some(block(1)));
    assert!(
        bench.give(Input::Built { view: ViewNumber(0), block: block(2) }).is_empty(),
        "one proposal a view"
    );
}

#[test]
fn a_proposer_without_work_makes_a_heartbeat_block() {
    let mut bench = proposer();
    assert_eq!(bench.engine.deadline(), bench.now.plus(TIMEOUTS.heartbeat_ms));
    assert!(bench.wait().contains(&BUILD));
}

#[test]
fn a_block_built_for_another_view_is_not_proposed() {
    let mut bench = proposer();
    bench.give(Input::Work);
    bench.wait();
    bench.votes([0, 1, 2, 3], Phase::Prepare, 1, None);
    assert_eq!(bench.view(), 1);
    assert!(signs(&bench.give(Input::Built { view: ViewNumber(0), block: block(1) })).is_empty());
}

#[test]
fn others_begin_to_wait_when_they_see_a_reason_themselves() {
    let opened = Bench::idle(&WEIGHTS).now;
    let heartbeat = opened.plus(TIMEOUTS.heartbeat_ms);
    let interval = opened.plus(TIMEOUTS.block_interval_min_ms);
    type Reason = fn(&mut Bench);
    let table: [(&str, Reason, Time); 5] = [
        ("none: an overdue heartbeat", |_| {}, heartbeat.plus(TIMEOUTS.propose_ms)),
        ("work", |bench| drop(bench.give(Input::Work)), interval),
        ("a proposal", |bench| drop(bench.propose(0, block(1))), opened.plus(TIMEOUTS.propose_ms)),
        (
            "one vote of four",
            |bench| drop(bench.votes([0], Phase::Prepare, 0, None)),
            heartbeat.plus(TIMEOUTS.propose_ms),
        ),
        (
            "two votes of four",
            |bench| drop(bench.votes([0, 1], Phase::Prepare, 0, None)),
            opened.plus(TIMEOUTS.propose_ms),
        ),
    ];
    for (name, reason, deadline) in table {
        let mut bench = Bench::idle(&WEIGHTS);
        reason(&mut bench);
        assert_eq!(bench.engine.deadline(), deadline, "{name}");
        let vote = bench.wait_for_vote();
        assert_eq!((vote.phase, vote.block), (Phase::Prepare, None), "{name}: the proposer is timed out");
    }
}

#[test]
fn an_idle_chain_burns_no_views() {
    let mut bench = Bench::idle(&WEIGHTS);
    let mut outputs = Vec::new();
    while bench.now < Time(10_000 + TIMEOUTS.heartbeat_ms) {
        bench.now = bench.now.plus(1000);
        outputs.extend(bench.give(Input::Tick));
    }
    assert!(outputs.is_empty() && bench.view() == 0, "{outputs:?}");
}

#[test]
fn timeouts_grow_with_the_view_up_to_a_limit() {
    let table = [
        (Phase::PrePrepare, 0, 2000),
        (Phase::PrePrepare, 3, 3500),
        (Phase::Prepare, 0, 1000),
        (Phase::Commit, 10, 6000),
        (Phase::Commit, 1_000, 60_000),
        (Phase::PrePrepare, u32::MAX, 60_000),
    ];
    for (phase, view, expected) in table {
        assert_eq!(TIMEOUTS.duration_ms(phase, ViewNumber(view)), expected, "{phase:?} in view {view}");
    }
}
