//! Taking up a height after a restart, and stalls.

use crate::consensus::{Input, Output, SignRecord, Step};
use crate::vote::{Phase, ViewNumber};

use super::model::{Bench, block, signs};

fn record(
    bench: &Bench,
    phase: Phase,
    view: u32,
    name: Option<u64>,
    locked: Option<(u64, u32)>,
) -> SignRecord {
    let me = 3;
    let locked = locked.map(|(name, view)| (block(name), ViewNumber(view)));
    SignRecord { vote: bench.vote(me, phase, view, name.map(block), None), locked, valid: locked }
}

fn restarted(records: impl Fn(&Bench) -> Vec<SignRecord>) -> (Bench, Vec<Output>) {
    let mut bench = Bench::of(&[1; 4], Some(3));
    bench.engine = crate::consensus::Consensus::new();
    let records = records(&bench);
    let start = bench.start(Some(3));
    let outputs = bench.give(Input::Start(super::super::HeightStart { records, ..start }));
    (bench, outputs)
}

#[test]
fn a_restart_takes_up_view_step_and_locks_and_sends_the_same_bytes() {
    type Case =
        (&'static str, Vec<(Phase, u32, Option<u64>, Option<(u64, u32)>)>, u32, Step, Option<(u64, u32)>);
    let table: [Case; 3] = [
        ("prepared nil", vec![(Phase::Prepare, 0, None, None)], 0, Step::Prepare, None),
        (
            "committed",
            vec![(Phase::Commit, 1, Some(7), Some((7, 1))), (Phase::Prepare, 1, Some(7), None)],
            1,
            Step::Commit,
            Some((7, 1)),
        ),
        (
            "a later view",
            vec![(Phase::Commit, 0, Some(7), Some((7, 0))), (Phase::Prepare, 4, None, Some((7, 0)))],
            4,
            Step::Prepare,
            Some((7, 0)),
        ),
    ];
    for (name, places, view, step, locked) in table {
        let make = |bench: &Bench| {
            places
                .iter()
                .map(|(phase, view, block, locked)| record(bench, *phase, *view, *block, *locked))
                .collect::<Vec<_>>()
        };
        let (bench, outputs) = restarted(make);
        let state = bench.engine.state().unwrap();
        assert_eq!((state.view.0, state.step), (view, step), "{name}");
        assert_eq!(state.locked, locked.map(|(name, view)| (block(name), ViewNumber(view))), "{name}");
        assert!(signs(&outputs).is_empty(), "{name}: nothing new is signed");
        let sent = outputs.iter().find_map(|output| match output {
            Output::Rebroadcast { votes, .. } => Some(votes.clone()),
            _ => None,
        });
        let mut expected: Vec<_> = make(&bench).iter().map(|record| record.vote).collect();
        expected.sort_by_key(|vote| (vote.data.view, vote.data.phase));
        assert_eq!(sent, Some(expected), "{name}");
    }
}

#[test]
fn a_restored_lock_is_kept_in_the_next_view() {
    let (mut bench, _) = restarted(|bench| vec![record(bench, Phase::Commit, 0, Some(7), Some((7, 0)))]);
    bench.votes(0..2, Phase::Prepare, 1, None);
    assert_eq!(bench.view(), 1);
    bench.propose(1, block(8));
    let signed = signs(&bench.accept(block(8)));
    assert!(signed.len() == 1 && signed[0].block.is_none(), "locked on another block: {signed:?}");
}

#[test]
fn a_restart_remembers_the_prepared_block_it_committed_nothing_to() {
    let prepared = Some((block(1), ViewNumber(0)));
    let nil = |bench: &Bench| record(bench, Phase::Commit, 0, None, None);
    let (bench, _) = restarted(|bench| vec![SignRecord { valid: prepared, ..nil(bench) }]);
    let state = bench.engine.state().unwrap();
    assert_eq!((state.locked, state.valid), (None, prepared));
}

#[test]
fn records_of_another_height_are_ignored() {
    let (bench, outputs) = restarted(|bench| {
        let mut record = record(bench, Phase::Commit, 3, Some(7), Some((7, 3)));
        record.vote.data.height = crate::vote::Height(4);
        vec![record]
    });
    let state = bench.engine.state().unwrap();
    assert_eq!((state.view, state.step, state.locked), (ViewNumber(0), Step::PrePrepare, None));
    assert_eq!(outputs, [Output::EnteredView(ViewNumber(0))]);
}

#[test]
fn a_proposer_that_restarts_does_not_build_again() {
    let mut bench = Bench::idle(&[1; 4]);
    let me = bench.proposer(0);
    let own = SignRecord {
        vote: bench.vote(me, Phase::PrePrepare, 0, Some(block(1)), None),
        locked: None,
        valid: None,
    };
    bench.engine = crate::consensus::Consensus::new();
    let start = bench.start(Some(me));
    let mut outputs = bench.give(Input::Start(super::super::HeightStart { records: vec![own], ..start }));
    assert!(outputs.contains(&Output::Check(block(1))), "{outputs:?}");
    outputs.extend(bench.give(Input::Work));
    outputs.extend(bench.accept(block(1)));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Build { .. })));
    assert_eq!(signs(&outputs).len(), 1, "it prepares its own proposal");
}

#[test]
fn a_stall_sends_everything_again_that_may_be_missing() {
    let mut bench = Bench::new(&[1; 4]);
    bench.votes(0..3, Phase::Commit, 0, None);
    bench.wait();
    assert_eq!(bench.view(), 1);
    bench.votes([0], Phase::Prepare, 1, None);
    bench.propose(1, block(1));
    for _ in 0..20 {
        let outputs = bench.wait();
        let Some(Output::Rebroadcast { votes, certificates, proposal }) =
            outputs.iter().find(|output| matches!(output, Output::Rebroadcast { .. }))
        else {
            continue;
        };
        let phases: Vec<_> = votes.iter().map(|vote| (vote.data.phase, vote.data.view.0)).collect();
        assert_eq!(phases, [(Phase::PrePrepare, 1), (Phase::Prepare, 1)]);
        assert_eq!(*proposal, Some(block(1)));
        let empty_view: Vec<_> = certificates.iter().map(|held| (held.data.phase, held.data.block)).collect();
        assert_eq!(empty_view, [(Phase::Commit, None)], "what let us into view 1");
        return;
    }
    panic!("nothing was sent again");
}
