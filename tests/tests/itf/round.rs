//! The state machine's trace against the round state machine.

use serde_json::Value;
use timecoin_core::consensus::Step;
use timecoin_core::consensus::round::{Action, Event, Round};
use timecoin_core::vote::{Phase, ViewNumber, VoteData};

use crate::trace::{block, choice, height, items, phase, tag, text, view};
use crate::traces;

fn event(input: &Value, round: &Round) -> Event {
    let value = &input["value"];
    let rejected = block("rejected");
    match tag(input) {
        "NewRoundProposerCInput" => Event::Enter { view: view(value).expect("a view"), proposer: true },
        "NewRoundCInput" => Event::Enter { view: view(value).expect("a view"), proposer: false },
        "ProposeValueCInput" => Event::Built(block(text(value))),
        "ProposalCInput" => {
            let block = choice(&items(value)[1]).expect("a proposal has a value");
            Event::Proposal { block, acceptable: true }
        }
        "ProposalInvalidCInput" => Event::Proposal { block: rejected, acceptable: false },
        "PolkaAnyCInput" => Event::PrepareAny,
        "PolkaNilCInput" => Event::PrepareNil,
        "PrecommitAnyCInput" => Event::CommitAny,
        "TimeoutProposeCInput" => Event::ProposeTimeout,
        "TimeoutPrevoteCInput" => Event::PrepareTimeout,
        "TimeoutPrecommitCInput" => Event::CommitTimeout,
        other => panic!("unknown input {other} in {round:?}"),
    }
}

fn expected(output: &Value, of: &Round) -> Option<Action> {
    let value = &output["value"];
    let data = |phase, view: ViewNumber, block, valid_view| {
        Action::Sign(VoteData { phase, height: of.height, view, block, valid_view })
    };
    match tag(output) {
        "NoConsensusOutput" => None,
        "GetValueAndScheduleTimeoutOutput" => Some(Action::Build),
        "ProposalOutput" => {
            let at = view(&value["round"]).expect("a view");
            Some(data(
                Phase::PrePrepare,
                at,
                Some(block(text(&value["proposal"]))),
                view(&value["validRound"]),
            ))
        }
        "VoteOutput" => {
            let at = view(&value["round"]).expect("a view");
            Some(data(phase(&value["voteType"]), at, choice(&value["valueId"]), None))
        }
        "TimeoutOutput" => Some(match tag(&items(value)[1]) {
            "ProposeTimeout" => Action::AwaitProposal,
            "PrevoteTimeout" => Action::StartTimeout(Phase::Prepare),
            _ => Action::StartTimeout(Phase::Commit),
        }),
        "SkipRoundOutput" => Some(Action::GoTo(view(value).expect("a view"))),
        other => panic!("unknown output {other}"),
    }
}

#[test]
fn state_machine_traces() {
    for (name, trace) in traces(|name| name.starts_with("consensusTest")) {
        let states = items(&trace["states"]);
        let mut round = Round::new(height(&states[0]["state"]["height"]));
        for (number, state) in states.iter().enumerate().skip(1) {
            let action = round.apply(event(&state["input"], &round));
            assert_eq!(action, expected(&state["output"], &round), "{name}, state {number}");
            let then = &state["state"];
            let step = tag(&then["step"]);
            // The model marks the time between two rounds; here the next round begins at once.
            if step != "UnstartedStep" {
                assert_eq!(step_name(round.step), step, "{name}, state {number}");
                assert_eq!(Some(round.view), view(&then["round"]), "{name}, state {number}");
            }
            assert_eq!(round.locked.map(|(_, at)| at), view(&then["lockedRound"]), "{name}, state {number}");
            assert_eq!(round.valid.map(|(_, at)| at), view(&then["validRound"]), "{name}, state {number}");
        }
    }
}

/// The model's name of a step.
pub(crate) fn step_name(step: Step) -> &'static str {
    match step {
        Step::Unstarted => "NoStep",
        Step::PrePrepare => "ProposeStep",
        Step::Prepare => "PrevoteStep",
        Step::Commit => "PrecommitStep",
        Step::Decided => "CommitStep",
    }
}
