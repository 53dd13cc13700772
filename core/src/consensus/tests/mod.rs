//! Properties of the whole machine: agreement, no conflicting signature, progress, bounded memory.

mod cases;
mod demand;
mod guards;
mod model;
mod recovery;
mod sign;
mod signed;
mod votes;

use proptest::prelude::*;

use crate::time::Time;
use crate::vote::{Phase, VoteData};

use self::model::{Faults, Model, TIMEOUTS};

const QUIET: Faults =
    Faults { loss: 0, duplicate: 0, crash: 0, freeze: 0, delay_max_ms: 20, liar: false, invalid: 0 };

#[test]
fn quiet_networks_decide_in_view_0() {
    for weights in [&[1][..], &[1, 1], &[1, 1, 1], &[1; 4], &[100, 10, 10, 1, 1], &[1; 7]] {
        let mut model = Model::new(weights, 1, QUIET);
        model.run(Time(300_000));
        let heights = model.heights();
        assert!(heights.iter().all(|height| *height >= 50), "{weights:?} reached {heights:?}");
        assert_eq!(model.view_max.0, 0, "{weights:?}");
    }
}

/// Heartbeat blocks are all that happens, each in view 0, whoever proposes and however the clocks of their parents'
/// decisions differ.
#[test]
fn an_empty_chain_idles_for_hours_without_burning_views() {
    const HOURS: u64 = 6;
    for seed in 0..3 {
        let mut model = Model::idle(&[1; 4], seed, Faults { delay_max_ms: 800, ..QUIET });
        model.run(Time(HOURS * 3_600_000));
        let heartbeats = (HOURS * 3_600_000 / TIMEOUTS.heartbeat_ms) as usize;
        let heights = model.heights();
        let expected = heartbeats * 9 / 10..=heartbeats;
        assert!(heights.iter().all(|height| expected.contains(height)), "seed {seed}: {heights:?}");
        assert_eq!(model.view_max.0, 0, "seed {seed}");
    }
}

/// More than a third of the weight is gone for an hour, and every message to and from it is lost. Nothing is decided
/// meanwhile; back, with nothing but what was durable or with all its memory, it needs nobody to lend a hand.
#[test]
fn more_than_a_third_silent_for_an_hour_and_back_resumes_by_itself() {
    for (seed, weights, gone) in [
        (0, &[1; 4][..], &[0, 2][..]),
        (1, &[1; 4], &[1, 2, 3]),
        (2, &[1; 7], &[2, 4, 6]),
        (3, &[10, 4, 4, 1], &[0]),
    ] {
        for restarted in [false, true] {
            let name = format!("seed {seed}, {restarted}");
            let mut model = Model::new(weights, seed, QUIET);
            model.run(Time(20_000 + 411 * seed));
            model.gone.extend(gone);
            let before = model.heights();
            model.run(model.now.plus(3_600_000));
            let top = before.iter().max().copied().unwrap_or(0);
            // A quorum of Commits may have been on its way.
            assert!(model.heights().iter().all(|height| *height <= top + 1), "{name}: {:?}", model.heights());
            let top = model.heights().into_iter().max().unwrap_or(0);
            let view = model.view_max.0;
            for at in core::mem::take(&mut model.gone) {
                if restarted {
                    model.crash(at);
                }
            }
            model.run(model.now.plus(120_000));
            assert!(model.heights().iter().all(|height| *height > top + 5), "{name}: {:?}", model.heights());
            let decided = model.nodes[0].chain[top].1.data.view.0;
            assert!(decided <= view + 2, "{name}: decided in view {decided}, {view} was the highest before");
            assert!(model.evidence.is_empty(), "{name}");
        }
    }
}

#[test]
fn a_crash_at_any_vote_never_signs_twice() {
    for seed in 0..24 {
        // Three in ten votes are durable but never sent, because the node dies in between.
        let faults = Faults { crash: 30, ..QUIET };
        let mut model = Model::new(&[1; 4], seed, faults);
        model.run(Time(60_000));
        let before = model.heights();
        model.heal();
        model.run(Time(200_000));
        let after = model.heights();
        assert!(after.iter().min() > before.iter().max(), "seed {seed}: {before:?} then {after:?}");
        assert!(model.evidence.is_empty(), "seed {seed}: {:?}", model.evidence);
    }
}

/// Case 1 with a whole network: the liar proposes two blocks, one to each half.
#[test]
fn lying_proposers_become_evidence_and_do_not_stall() {
    for seed in 0..12 {
        let mut model = Model::new(&[1; 4], seed, Faults { liar: true, ..QUIET });
        model.run(Time(150_000));
        assert!(model.heights().iter().all(|height| *height >= 15), "seed {seed}: {:?}", model.heights());
        let proposals =
            model.evidence.iter().filter(|evidence| evidence.first.data.phase == Phase::PrePrepare);
        assert!(proposals.count() > 0, "seed {seed}: two proposals by one proposer are evidence");
        assert!(model.evidence.iter().all(|evidence| evidence.first.validator == 0), "seed {seed}");
    }
}

/// Commit(A, v0) then Prepare(B, v2) is amnesia unless a quorum prepared B at v0 or later.
fn assert_no_amnesia(model: &Model) {
    let votes: Vec<(usize, VoteData)> = model.signed.iter().map(|(place, data)| (place.0, *data)).collect();
    for (who, commit) in votes.iter().filter(|(_, data)| data.phase == Phase::Commit && data.block.is_some())
    {
        for (_, prepare) in votes.iter().filter(|(other, data)| {
            other == who
                && data.phase == Phase::Prepare
                && data.height == commit.height
                && data.view > commit.view
                && data.block.is_some()
                && data.block != commit.block
        }) {
            assert!(
                prepare.valid_view.is_some_and(|valid_view| valid_view >= commit.view),
                "validator {who} would stand accused: {commit:?} then {prepare:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_faults_never_break_agreement_and_healing_resumes(
        seed: u64,
        members in 4usize..=7,
        loss in 0u64..60,
        duplicate in 0u64..30,
        crash in 0u64..10,
        freeze in 0u64..3,
        delay_max_ms in 1u64..4000,
        liar: bool,
        invalid in 0u64..10,
    ) {
        let faults = Faults { loss, duplicate, crash, freeze, delay_max_ms, liar, invalid };
        let mut model = Model::new(&vec![1; members], seed, faults);
        model.run(Time(120_000));
        model.heal();
        let healed_at = model.now;
        let before = model.heights();
        // Old messages may still be on the way, and timeouts have grown with the views.
        let longest_ms = (8 + u64::from(model.view_max.0)) * 4 * 4000;
        model.run(healed_at.plus(longest_ms));
        let after = model.heights();
        let highest = before.iter().max().copied().unwrap_or(0);
        prop_assert!(
            after.iter().all(|height| *height > highest),
            "no progress: {before:?} then {after:?}, up to view {}", model.view_max
        );
        assert_no_amnesia(&model);
        for evidence in &model.evidence {
            prop_assert!(liar && evidence.first.validator == 0, "an honest validator is accused: {evidence:?}");
        }
    }
}
