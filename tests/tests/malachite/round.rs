//! One validator's round machine. Every rule is offered at any moment, with any block: the machines agree on what it does and on what
//! they remember.
//!
//! malachite notes itself which timeouts of a round run, and starts each once; here the engine does.

use std::collections::BTreeSet;

use malachitebft_core_state_machine::input::Input;
use malachitebft_core_state_machine::output::Output;
use malachitebft_core_state_machine::state::{RoundValue, State, Step as TheirStep};
use malachitebft_core_state_machine::state_machine::Info;
use malachitebft_core_types::{NilOrVal, Round as TheirRound, TimeoutKind, VoteType};
use timecoin_core::consensus::Prepared;
use timecoin_core::consensus::round::{Action, Event, Round, Step};
use timecoin_core::hash::BlockId;
use timecoin_core::testing::Rng;
use timecoin_core::vote::{Height, Phase, ViewNumber, VoteData};

use super::context::{Block, Chain, HEIGHT, Name, Place, Proposed, Said, block};
use super::play_seeds;

const BLOCKS: u64 = 3;
/// Inputs of one height, unless it is decided before.
const INPUTS_MAX: u64 = 60;
const ME: Place = Place(0);
const OTHER: Place = Place(1);

fn name(block: BlockId) -> Name {
    Name::from(block.0.0[0])
}

/// What a rule asked for, as both say it.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Build,
    AwaitProposal,
    Propose(Name, Option<u32>),
    Prepare(Option<Name>),
    Commit(Option<Name>),
    Timeout(Phase),
    GoTo(u32),
    Decide(Name),
}

struct Pair {
    ours: Round,
    theirs: State<Chain>,
    proposer: bool,
    /// Timeouts that run in this view.
    timeouts: BTreeSet<Phase>,
}

impl Pair {
    fn new() -> Self {
        let theirs = State::new(HEIGHT, TheirRound::Nil);
        Self { ours: Round::new(Height(1)), theirs, proposer: false, timeouts: BTreeSet::new() }
    }

    /// Applies a rule to both, and compares.
    fn apply(&mut self, event: Event, input: Input<Chain>) -> Asked {
        let (before, what) = ((self.ours, self.theirs.clone()), (event, input.clone()));
        let mut ours = asked(self.ours.apply(event));
        let round = if let Input::NewRound(round) = input { round } else { self.theirs.round };
        let info = Info::new(round, &ME, if self.proposer { &ME } else { &OTHER });
        let transition = self.theirs.clone().apply(&Chain, &info, input);
        self.theirs = transition.next_state;
        let theirs = transition.output.map_or(Asked::Nothing, said_by_them);
        if let Asked::Timeout(phase) = ours
            && !self.timeouts.insert(phase)
        {
            ours = Asked::Nothing;
        }
        assert_eq!(ours, theirs, "{what:?}, to {before:?}");
        if !matches!(ours, Asked::GoTo(_)) {
            assert_eq!(self.ours, self.theirs(), "{what:?}, to {before:?}");
        }
        ours
    }

    fn enter(&mut self, view: u32, proposer: bool) {
        self.proposer = proposer;
        self.timeouts.clear();
        let event = Event::Enter { view: ViewNumber(view), proposer };
        self.apply(event, Input::NewRound(TheirRound::new(view)));
    }

    /// What malachite remembers.
    fn theirs(&self) -> Round {
        let step = match self.theirs.step {
            TheirStep::Unstarted => Step::Unstarted,
            TheirStep::Propose => Step::PrePrepare,
            TheirStep::Prevote => Step::Prepare,
            TheirStep::Precommit => Step::Commit,
            TheirStep::Commit => Step::Decided,
        };
        let prepared = |held: &Option<RoundValue<Block>>| -> Option<Prepared> {
            let RoundValue { value, round } = held.as_ref()?;
            Some((block(value.0), ViewNumber(round.as_u32()?)))
        };
        Round {
            height: Height(1),
            view: ViewNumber(self.theirs.round.as_u32().expect("a round has begun")),
            step,
            locked: prepared(&self.theirs.locked),
            valid: prepared(&self.theirs.valid),
        }
    }
}

fn asked(action: Option<Action>) -> Asked {
    match action {
        None => Asked::Nothing,
        Some(Action::Build) => Asked::Build,
        Some(Action::AwaitProposal) => Asked::AwaitProposal,
        Some(Action::StartTimeout(phase)) => Asked::Timeout(phase),
        Some(Action::GoTo(view)) => Asked::GoTo(view.0),
        Some(Action::Decide(block)) => Asked::Decide(name(block)),
        Some(Action::Sign(VoteData { phase, block, valid_view, .. })) => match (phase, block.map(name)) {
            (Phase::PrePrepare, Some(block)) => Asked::Propose(block, valid_view.map(|view| view.0)),
            (Phase::PrePrepare, None) => panic!("nil is not proposed"),
            // That a Prepare names the valid view is our own.
            (Phase::Prepare, block) => Asked::Prepare(block),
            (Phase::Commit, block) => Asked::Commit(block),
        },
    }
}

fn said_by_them(output: Output<Chain>) -> Asked {
    match output {
        Output::NewRound(round) => Asked::GoTo(round.as_u32().expect("a round")),
        Output::Proposal(Proposed { block, valid, .. }) => Asked::Propose(block.0, valid.as_u32()),
        Output::GetValueAndScheduleTimeout(..) => Asked::Build,
        Output::Decision(_, proposal) => Asked::Decide(proposal.block.0),
        Output::ScheduleTimeout(timeout) => match timeout.kind {
            TimeoutKind::Propose => Asked::AwaitProposal,
            TimeoutKind::Prevote => Asked::Timeout(Phase::Prepare),
            TimeoutKind::Precommit => Asked::Timeout(Phase::Commit),
            other => panic!("a timeout of another kind: {other:?}"),
        },
        Output::Vote(Said { kind, choice, .. }) => {
            let choice = if let NilOrVal::Val(block) = choice { Some(block) } else { None };
            match kind {
                VoteType::Prevote => Asked::Prepare(choice),
                VoteType::Precommit => Asked::Commit(choice),
            }
        }
    }
}

/// One height; how many inputs it had.
fn play(seed: u64) -> u64 {
    let mut dice = Rng::new(seed);
    let mut pair = Pair::new();
    pair.enter(0, dice.chance(300));
    for input in 1..=INPUTS_MAX {
        let ViewNumber(view) = pair.ours.view;
        let round = TheirRound::new(view);
        let number = 1 + dice.below(BLOCKS);
        let (block, value) = (block(number), Block(number));
        let proposal = |valid| Proposed { round, block: value, valid };
        let acceptable = dice.chance(700);
        // A little above the view at times: neither may take it.
        let earlier = dice.below(u64::from(view) + 2) as u32;
        let (event, input_of_theirs) = match dice.below(13) {
            // Only a proposer's block is ever there.
            0 if pair.proposer => (Event::Built(block), Input::ProposeValue(value)),
            0 | 1 => {
                let theirs = if acceptable {
                    Input::Proposal(proposal(TheirRound::Nil))
                } else {
                    Input::InvalidProposal
                };
                (Event::Proposal { block, acceptable }, theirs)
            }
            2 | 3 => {
                let proposal = proposal(TheirRound::new(earlier));
                let theirs = if acceptable {
                    Input::ProposalAndPolkaPrevious(proposal)
                } else {
                    Input::InvalidProposalAndPolkaPrevious(proposal)
                };
                let valid_view = ViewNumber(earlier);
                (Event::ProposalPreparedBefore { block, valid_view, acceptable }, theirs)
            }
            4 => (Event::PrepareAny, Input::PolkaAny),
            5 | 6 => (Event::PrepareBlock(block), Input::ProposalAndPolkaCurrent(proposal(TheirRound::Nil))),
            7 => (Event::PrepareNil, Input::PolkaNil),
            8 => (Event::CommitAny, Input::PrecommitAny),
            9 if dice.chance(50) => {
                (Event::CommitBlock(block), Input::ProposalAndPrecommitValue(proposal(TheirRound::Nil)))
            }
            9 => {
                let ahead = (view + 2).saturating_sub(dice.below(4) as u32);
                (Event::Ahead(ViewNumber(ahead)), Input::SkipRound(TheirRound::new(ahead)))
            }
            10 => (Event::ProposeTimeout, Input::TimeoutPropose),
            11 => (Event::PrepareTimeout, Input::TimeoutPrevote),
            _ => (Event::CommitTimeout, Input::TimeoutPrecommit),
        };
        match pair.apply(event, input_of_theirs) {
            Asked::GoTo(view) => pair.enter(view, dice.chance(300)),
            Asked::Decide(_) => return input,
            _ => {}
        }
    }
    INPUTS_MAX
}

#[test]
fn the_round_machine_does_what_malachites_does() {
    play_seeds(play);
}
