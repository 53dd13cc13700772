//! The traces of whole validators against the engine.
//!
//! Each validator of a trace is replayed alone: external inputs (start, proposal, vote, certificate, value to
//! propose, timeout) are handed to an engine of its own, and between one external input and the next the votes,
//! proposals and decisions that come out are compared, and the state when the model has no work left.
//!
//! How the model's world is mapped to ours:
//! * All members weigh 1 and the model's proposers go round from v2. Names are therefore given the positions, at
//!   each height, at which our proposer choice follows the same order.
//! * Model votes have no valid view: a Prepare gets the one of the proposal it answers.
//! * Votes that the model's vote keeper holds before a validator starts are handed in right after the start.
//! * The model counts a validator's own votes when they are delivered to it, so none is fed back here.
//! * A block's verdict is given once its proposal was delivered: the model has no blocks apart from proposals.
//! * A timeout of the model becomes a tick at a time at which that timer is due and the later ones are not.
//!
//! Exceptions, each with its reason: see [`EXCEPTIONS`].

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde_json::Value;
use timecoin_core::certificate::{Bitmap, Certificate};
use timecoin_core::consensus::{Consensus, HeightStart, Input, Output, Step, Timeouts};
use timecoin_core::hash::BlockId;
use timecoin_core::keys::Signature;
use timecoin_core::time::Time;
use timecoin_core::validators::{ValidatorIndex, ValidatorSet};
use timecoin_core::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use crate::round::step_name;
use crate::trace::{at, block as named, choice, height, items, phase, tag, text, validator_set, view, vote};
use crate::traces;

const TIMEOUTS: Timeouts = Timeouts {
    propose_ms: 10,
    prepare_ms: 10,
    commit_ms: 1_000_000,
    growth_ms: 0,
    max_ms: 1_000_000,
    block_interval_min_ms: 0,
    heartbeat_ms: 1_000_000_000,
};
const PROPOSERS: [&str; 4] = ["v2", "v3", "v4", "v1"];

/// What is not compared at a state of a trace, and why.
struct Exception {
    trace: &'static str,
    validator: &'static str,
    states: RangeInclusive<usize>,
    /// Only the valid value and round; otherwise nothing is compared.
    only_valid: bool,
    #[expect(unused, reason = "for the reader")]
    reason: &'static str,
}

const EXCEPTIONS: [Exception; 4] = [
    Exception {
        trace: "heightLogicTest.catchUpToHigherRoundAfterHeightChangeTest",
        validator: "v4",
        states: 212..=212,
        only_valid: false,
        reason: "a commit quorum decides at once; the model, which holds it from the start, skips to its round \
                 and waits for the proposal",
    },
    Exception {
        trace: "decideForPastRoundTest.decidePastTest",
        validator: "v4",
        states: 52..=54,
        only_valid: false,
        reason: "a commit certificate decides at once; the model waits for the proposal, two states later",
    },
    Exception {
        trace: "someMultiRoundTest.DecideFutureRoundTest",
        validator: "v4",
        states: 127..=127,
        only_valid: false,
        reason: "the model skips to round 1, whose proposal it holds, and is given the next vote before it \
                 gets to prevote; the engine has no work left over between inputs and votes at once",
    },
    Exception {
        trace: "hiddenLockTest.hiddenTest",
        validator: "v1",
        states: 93..=154,
        only_valid: true,
        reason: "a prepare certificate of an earlier view shown by the holder of a hidden lock makes its block \
                 the valid one here, so that anyone can propose it; the model keeps it for line 28 only",
    },
];

/// What a validator says that others can see.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Effect {
    Vote(Phase, ViewNumber, Option<BlockId>),
    Proposal(ViewNumber, BlockId, Option<ViewNumber>),
    Build(ViewNumber),
    Decide(BlockId),
}

struct Replay<'a> {
    name: &'a str,
    validator: String,
    set: Arc<ValidatorSet>,
    engine: Consensus,
    now: Time,
    /// Valid views of proposals, by place and value.
    valid_views: BTreeMap<(Height, ViewNumber, BlockId), Option<ViewNumber>>,
    /// Blocks that came with a proposal.
    seen: BTreeSet<BlockId>,
    expected: Vec<Effect>,
    /// The newest view entered.
    entered: ViewNumber,
    found: Vec<Effect>,
    last: Option<(usize, &'a Value)>,
    compared: usize,
}

fn place(set: &ValidatorSet, height: Height, name: &str) -> ValidatorIndex {
    let turn = PROPOSERS.iter().position(|proposer| *proposer == name).expect("a validator of the model");
    set.proposer(height.0, u32::try_from(turn).expect("small"), |_| false)
}

impl<'a> Replay<'a> {
    fn feed(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for output in self.engine.handle(input, self.now) {
                match output {
                    Output::Check(id) if self.seen.contains(&id) => {
                        inputs.push(Input::BlockVerdict { block: id, valid: id != named("invalid") });
                    }
                    Output::Check(_) => {}
                    Output::Sign(VoteData { phase: Phase::PrePrepare, view, block, valid_view, .. }) => {
                        self.found.push(Effect::Proposal(view, block.expect("a block"), valid_view));
                    }
                    // Left behind for those who stay in the view before, which the model's validators do not do.
                    Output::Sign(data) if data.view < self.entered => {
                        assert_eq!(data.block, None, "{}", self.name)
                    }
                    Output::Sign(data) => self.found.push(Effect::Vote(data.phase, data.view, data.block)),
                    Output::Build { view } => self.found.push(Effect::Build(view)),
                    Output::Decide { block, .. } => self.found.push(Effect::Decide(block)),
                    Output::Fork { .. } => panic!("{}: fork", self.name),
                    Output::EnteredView(view) => self.entered = view,
                    Output::Certificate(_) | Output::Evidence(_) | Output::Rebroadcast { .. } => {}
                }
            }
        }
    }

    fn vote(&self, value: &Value) -> Vote {
        let place = place(&self.set, height(&value["height"]), text(&value["srcAddress"]));
        let mut vote = vote(value, place);
        if let (Phase::Prepare, Some(block)) = (vote.data.phase, vote.data.block) {
            let key = (vote.data.height, vote.data.view, block);
            vote.data.valid_view = self.valid_views.get(&key).copied().flatten();
        }
        vote
    }

    fn start(&mut self, after: &Value) {
        let height = height(&after["es"]["cs"]["height"]);
        self.feed(Input::Start(HeightStart {
            height,
            set: self.set.clone(),
            absent: Bitmap::empty(self.set.len()),
            timeouts: TIMEOUTS,
            me: Some(place(&self.set, height, &self.validator)),
            parent_time: Time(0),
            parent_certificate: None,
            records: Vec::new(),
        }));
        self.feed(Input::Work);
        for round in items(&after["es"]["bk"]["rounds"]) {
            for kind in ["prevotes", "precommits"] {
                for value in items(&round[1][kind]["receivedVotes"]) {
                    let vote = self.vote(value);
                    self.feed(Input::Votes(vec![vote]));
                }
            }
        }
    }

    fn timeout(&mut self, kind: &str) {
        let step = self.engine.state().map(|state| state.step);
        let wait_ms = match (kind, step) {
            ("ProposeTimeout", Some(Step::PrePrepare)) => TIMEOUTS.propose_ms,
            ("PrevoteTimeout", Some(Step::Prepare)) => TIMEOUTS.prepare_ms,
            ("PrecommitTimeout", _) => TIMEOUTS.commit_ms,
            // The model drops a timeout that is late for its step.
            ("ProposeTimeout" | "PrevoteTimeout", _) => return,
            other => panic!("unknown timeout {other:?}"),
        };
        self.now = self.now.plus(wait_ms);
        self.feed(Input::Tick);
    }

    fn external(&mut self, input: &Value) {
        let value = &input["value"];
        match tag(input) {
            // The first start is seen by the validator's own state.
            "StartDInput" => {}
            "ProposalDInput" => {
                let data = proposal(value);
                let validator = place(&self.set, data.height, text(&value["srcAddress"]));
                let vote = Vote { data, validator, signature: Signature([0; 64]) };
                self.feed(Input::Proposal(vote, None));
                let block = data.block.expect("a proposal has a block");
                if self.seen.insert(block) {
                    self.feed(Input::BlockVerdict { block, valid: block != named("invalid") });
                }
            }
            "VoteDInput" => {
                let vote = self.vote(value);
                self.feed(Input::Votes(vec![vote]));
            }
            "CertificateDInput" => {
                let votes: Vec<_> = items(value).iter().map(|value| self.vote(value)).collect();
                let certificate = Certificate::from_votes(votes[0].data, &votes, &self.set);
                self.feed(Input::Certificate(certificate.expect("a quorum")));
            }
            "ProposeValueDInput" => {
                let view = self.engine.state().expect("started").view;
                self.feed(Input::Built { view, block: named(text(value)) });
            }
            "TimeoutDInput" => self.timeout(tag(value)),
            other => panic!("unknown input {other}"),
        }
    }

    fn expect(&mut self, output: &Value) {
        let value = &output["value"];
        let effect = match tag(output) {
            "VoteOutput" => {
                let at = view(&value["round"]).expect("a view");
                Effect::Vote(phase(&value["voteType"]), at, choice(&value["valueId"]))
            }
            "ProposalOutput" => {
                let at = view(&value["round"]).expect("a view");
                Effect::Proposal(at, named(text(&value["proposal"])), view(&value["validRound"]))
            }
            "GetValueAndScheduleTimeoutOutput" => Effect::Build(view(&items(value)[1]).expect("a view")),
            "DecidedOutput" => Effect::Decide(named(text(&items(value)[1]))),
            // Timers are seen by what they cause; errors of the model's driver have no counterpart.
            "NoConsensusOutput" | "TimeoutOutput" | "SkipRoundOutput" | "ErrorOutput" => return,
            other => panic!("unknown output {other}"),
        };
        self.expected.push(effect);
    }

    /// Compares what happened since the last external input.
    fn compare(&mut self) {
        let Some((number, node)) = self.last.take() else { return };
        let place = format!("{} {} up to state {number}", self.name, self.validator);
        let exception = EXCEPTIONS.iter().find(|except| {
            except.trace == self.name && except.validator == self.validator && except.states.contains(&number)
        });
        let (found, expected) = (take(&mut self.found), take(&mut self.expected));
        if exception.is_some_and(|except| !except.only_valid) {
            return;
        }
        assert_eq!(found, expected, "{place}: effects");
        let (model, Some(ours)) = (&node["es"]["cs"], self.engine.state()) else { return };
        let step = tag(&model["step"]);
        assert_eq!(ours.height, height(&model["height"]), "{place}");
        if step != "UnstartedStep" {
            assert_eq!(step_name(ours.step), step, "{place}");
            assert_eq!(Some(ours.view), view(&model["round"]), "{place}");
        }
        let pair = |value: &str, round: &str| choice(&model[value]).zip(view(&model[round]));
        assert_eq!(ours.locked, pair("lockedValue", "lockedRound"), "{place}: locked");
        if exception.is_none() {
            assert_eq!(ours.valid, pair("validValue", "validRound"), "{place}: valid");
        }
        self.compared += 1;
    }
}

fn proposal(value: &Value) -> VoteData {
    VoteData {
        phase: Phase::PrePrepare,
        height: height(&value["height"]),
        view: view(&value["round"]).expect("a view"),
        block: Some(named(text(&value["proposal"]))),
        valid_view: view(&value["validRound"]),
    }
}

/// The validator, input and output of a state, which older traces write as a tuple.
fn history<'a>(state: &'a Value, key: &str) -> (&'a str, &'a Value, &'a Value) {
    let entry = &state[key];
    if entry["#tup"].is_array() {
        let [validator, input, output] = items(entry) else { panic!("three parts") };
        return (text(validator), input, output);
    }
    (text(&entry["validator"]), &entry["input"], &entry["output"])
}

fn variable<'a>(trace: &'a Value, suffix: &str) -> &'a str {
    let names = items(&trace["vars"]).iter().map(text);
    names.into_iter().find(|name| name.ends_with(suffix)).expect("the variable")
}

fn replay(name: &str, trace: &Value, validator: &str) -> usize {
    let (system, hist) = (variable(trace, "system"), variable(trace, "_hist"));
    let states = items(&trace["states"]);
    let (set, _) = validator_set(&at(&states[0][system], validator)["es"]["valset"]);
    let mut valid_views = BTreeMap::new();
    for state in states {
        let (_, input, _) = history(state, hist);
        if tag(input) == "ProposalDInput" {
            let data = proposal(&input["value"]);
            let block = data.block.expect("a proposal has a block");
            valid_views.insert((data.height, data.view, block), data.valid_view);
        }
    }
    let mut replay = Replay {
        name,
        validator: validator.to_owned(),
        set: Arc::new(set),
        engine: Consensus::new(),
        now: Time(1),
        valid_views,
        seen: BTreeSet::new(),
        expected: Vec::new(),
        entered: ViewNumber(0),
        found: Vec::new(),
        last: None,
        compared: 0,
    };
    for number in 1..states.len() {
        let (who, input, output) = history(&states[number], hist);
        let before = at(&states[number - 1][system], validator);
        let after = at(&states[number][system], validator);
        // Where the history and the validator stay the same, or the validator only gets ready for another
        // height, the model did something else.
        let repeated = states[number][hist] == states[number - 1][hist]
            && (before["es"] == after["es"] || tag(&after["es"]["cs"]["step"]) == "NoStep");
        if who != validator || repeated {
            continue;
        }
        if before["es"]["started"] == false && after["es"]["started"] == true {
            // Some traces show only what the start led to.
            replay.compare();
            replay.start(after);
        } else if !matches!(tag(input), "StepChangeDInput" | "PendingDInput" | "NoDInput") {
            replay.compare();
            replay.external(input);
        }
        replay.expect(output);
        replay.last = Some((number, after));
    }
    replay.compare();
    replay.compared
}

#[test]
fn validator_traces() {
    let mut compared = 0;
    let mut replayed = 0;
    let of_engine = |name: &str| !name.starts_with("votekeeperTest") && !name.starts_with("consensusTest");
    for (name, trace) in traces(of_engine) {
        let system = variable(&trace, "system");
        let names: Vec<_> =
            items(&items(&trace["states"])[0][system]).iter().map(|pair| text(&pair[0]).to_owned()).collect();
        for validator in names {
            compared += replay(&name, &trace, &validator);
        }
        replayed += 1;
    }
    assert!(
        replayed == 0 || (replayed == 15 && compared > 600),
        "{replayed} traces, {compared} states compared"
    );
}
