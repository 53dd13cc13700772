//! The vote keeper's traces against the vote set.

use std::sync::Arc;

use serde_json::Value;
use timecoin_core::consensus::{Insertion, VoteSet};
use timecoin_core::validators::ValidatorIndex;
use timecoin_core::vote::{Phase, ViewNumber};

use crate::trace::{block, height, int, items, tag, text, validator_set, view, vote};
use crate::traces;

/// What the vote keeper reports.
#[derive(Debug, PartialEq, Eq)]
enum Report {
    None,
    Any(Phase, ViewNumber),
    Nil(ViewNumber),
    Block(Phase, ViewNumber, timecoin_core::hash::BlockId),
    Skip(ViewNumber),
}

fn expected(emitted: &Value) -> Report {
    let value = &emitted["value"];
    let round = || view(value).expect("a view");
    let pair = || (view(&items(value)[0]).expect("a view"), block(text(&items(value)[1])));
    match tag(emitted) {
        "NoVKOutput" => Report::None,
        "PolkaAnyVKOutput" => Report::Any(Phase::Prepare, round()),
        "PolkaNilVKOutput" => Report::Nil(round()),
        "PolkaValueVKOutput" => Report::Block(Phase::Prepare, pair().0, pair().1),
        "PrecommitAnyVKOutput" => Report::Any(Phase::Commit, round()),
        "PrecommitValueVKOutput" => Report::Block(Phase::Commit, pair().0, pair().1),
        "SkipVKOutput" => Report::Skip(round()),
        other => panic!("unknown output {other}"),
    }
}

/// Inserts the vote and says what became true with it.
fn report(votes: &mut VoteSet, value: &Value, validator: ValidatorIndex, current: ViewNumber) -> Report {
    let vote = vote(value, validator);
    let (round, phase) = (vote.data.view, vote.data.phase);
    let (any, ahead) = (votes.is_quorum_any(round, phase), votes.ahead());
    let outcome = votes.insert(vote);
    if round > current {
        return votes.ahead().filter(|now| Some(*now) != ahead).map_or(Report::None, Report::Skip);
    }
    match outcome {
        Insertion::Counted(Some(data)) => match data.block {
            Some(block) => Report::Block(phase, round, block),
            None if phase == Phase::Prepare => Report::Nil(round),
            None => Report::Any(phase, round),
        },
        Insertion::Counted(None) if !any && votes.is_quorum_any(round, phase) => Report::Any(phase, round),
        _ => Report::None,
    }
}

#[test]
fn vote_keeper_traces() {
    let mut reports = 0;
    for (name, trace) in traces(|name| name.starts_with("votekeeperTest")) {
        let states = items(&trace["states"]);
        // One trace, addVoteTest, consists of a single state without variables: there is nothing to compare.
        let Some(keeper) = states[0].get("bookkeeper") else {
            assert!(name.ends_with("addVoteTest") && states.len() == 1, "{name} has no vote keeper");
            continue;
        };
        let (set, places) = validator_set(&keeper["validatorSet"]);
        let mut votes = VoteSet::new(height(&keeper["height"]), Arc::new(set));
        let mut entered = ViewNumber(0);
        for (number, state) in states.iter().enumerate().skip(1) {
            let [value, weight, current] = items(&state["weightedVote"]["value"]) else {
                panic!("{name} {number}: no vote")
            };
            let current = view(current).expect("a view");
            if current > entered {
                votes.enter(current);
                entered = current;
            }
            let (_, place) =
                places.iter().find(|(name, _)| name == text(&value["srcAddress"])).expect("a member");
            assert!(int(weight) > 0);
            let found = report(&mut votes, value, *place, current);
            assert_eq!(found, expected(&state["lastEmitted"]), "{name}, state {number}");
            reports += usize::from(found != Report::None);
        }
    }
    assert!(reports == 0 || reports >= 8, "traces replayed, but only {reports} reports seen");
}
