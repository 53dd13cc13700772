//! The round state machine: one pure transition per rule of arXiv 1807.04938, algorithm 1.
//!
//! | paper | here |
//! |---|---|
//! | round | view |
//! | propose, prevote, precommit | PrePrepare, Prepare, Commit |
//! | lockedValue, lockedRound | [`Round::locked`] |
//! | validValue, validRound | [`Round::valid`] |
//!
//! Invariants: the view never decreases; the step never goes back within a view; at most one vote per view
//! and phase comes out; a locked block was prepared by a quorum in the view of its lock.
//!
//! It does not count votes, judge blocks or keep time: the engine evaluates the guards ("upon …") and
//! applies the matching event. "For the first time" guards are the engine's, too.

use crate::hash::BlockId;
use crate::vote::{Height, Phase, ViewNumber, VoteData};

/// A block and the view in which a quorum prepared it.
pub type Prepared = (BlockId, ViewNumber);

/// How far this validator has come in its view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The height has not begun.
    Unstarted,
    /// Waiting for the proposal.
    PrePrepare,
    /// The Prepare vote is cast.
    Prepare,
    /// The Commit vote is cast.
    Commit,
    /// The height is decided.
    Decided,
}

/// The state of one validator at one height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// The height being decided.
    pub height: Height,
    /// The current view.
    pub view: ViewNumber,
    /// Progress within the view.
    pub step: Step,
    /// What this validator committed to last, and in which view.
    pub locked: Option<Prepared>,
    /// The newest block known to be prepared by a quorum.
    pub valid: Option<Prepared>,
}

/// A rule whose guard holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A view begins (L11).
    Enter {
        /// Which view.
        view: ViewNumber,
        /// Whether this validator proposes in it.
        proposer: bool,
    },
    /// The fresh block asked for is there (L18, L19).
    Built(BlockId),
    /// A proposal without a valid view (L22).
    Proposal {
        /// The block proposed.
        block: BlockId,
        /// The verdict on it.
        acceptable: bool,
    },
    /// A proposal of a block that a quorum prepared in an earlier view (L28).
    ProposalPreparedBefore {
        /// The block proposed.
        block: BlockId,
        /// The view in which a quorum prepared it.
        valid_view: ViewNumber,
        /// The verdict on it.
        acceptable: bool,
    },
    /// A quorum cast Prepare votes of any kind (L34).
    PrepareAny,
    /// A quorum prepared the acceptable proposal of this view (L36).
    PrepareBlock(BlockId),
    /// A quorum prepared nil (L44).
    PrepareNil,
    /// A quorum cast Commit votes of any kind (L47).
    CommitAny,
    /// A quorum committed a block in some view (L49).
    CommitBlock(BlockId),
    /// More than a third of the weight is in a higher view (L55).
    Ahead(ViewNumber),
    /// No proposal came in time (L57).
    ProposeTimeout,
    /// No decisive Prepare quorum came in time (L61).
    PrepareTimeout,
    /// No Commit quorum for a block came in time (L65).
    CommitTimeout,
}

/// What a transition asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a fresh block and propose it.
    Build,
    /// Wait for the proposal, for at most the propose timeout.
    AwaitProposal,
    /// Sign and send this vote; a vote of phase PrePrepare is a proposal.
    Sign(VoteData),
    /// Start the timeout of this phase.
    StartTimeout(Phase),
    /// Go to another view.
    GoTo(ViewNumber),
    /// The height is decided.
    Decide(BlockId),
}

impl Round {
    /// A height not yet begun.
    #[must_use]
    pub const fn new(height: Height) -> Self {
        Self { height, view: ViewNumber(0), step: Step::Unstarted, locked: None, valid: None }
    }

    /// Applies a rule. `None` where its step guard does not hold, or nothing is to be done.
    pub fn apply(&mut self, event: Event) -> Option<Action> {
        match (self.step, event) {
            (Step::Decided, _) => None,
            // L11: StartRound.
            (_, Event::Enter { view, proposer }) => self.enter(view, proposer),
            // L19: broadcast the proposal of the fresh value.
            (Step::PrePrepare, Event::Built(block)) => Some(self.propose(block, None)),
            // L22: a proposal without valid round.
            (Step::PrePrepare, Event::Proposal { block, acceptable }) => {
                // L23: valid(v) and (lockedRound = -1 or lockedValue = v).
                let free = self.locked.is_none_or(|(locked, _)| locked == block);
                Some(self.prepare((acceptable && free).then_some((block, None))))
            }
            // L28: a proposal with a quorum of Prepares in its valid round, which is below this round.
            (Step::PrePrepare, Event::ProposalPreparedBefore { block, valid_view, acceptable })
                if valid_view < self.view =>
            {
                // L29: valid(v) and (lockedRound <= vr or lockedValue = v).
                let free = self.locked.is_none_or(|(locked, view)| view <= valid_view || locked == block);
                Some(self.prepare((acceptable && free).then_some((block, Some(valid_view)))))
            }
            // L34, L35: schedule OnTimeoutPrevote.
            (Step::Prepare, Event::PrepareAny) => Some(Action::StartTimeout(Phase::Prepare)),
            // L36 to L41: lock and commit.
            (Step::Prepare, Event::PrepareBlock(block)) => {
                self.locked = Some((block, self.view));
                self.valid = Some((block, self.view));
                Some(self.commit(Some(block)))
            }
            // L42, L43: already committed in this round, remember only the valid value.
            (Step::Commit, Event::PrepareBlock(block)) => {
                self.valid = Some((block, self.view));
                None
            }
            // L44 to L46.
            (Step::Prepare, Event::PrepareNil) => Some(self.commit(None)),
            // L47, L48: schedule OnTimeoutPrecommit.
            (Step::PrePrepare | Step::Prepare | Step::Commit, Event::CommitAny) => {
                Some(Action::StartTimeout(Phase::Commit))
            }
            // L49 to L54: decide, whatever the step.
            (_, Event::CommitBlock(block)) => {
                self.step = Step::Decided;
                Some(Action::Decide(block))
            }
            // L55, L56: f+1 messages of a higher round.
            (_, Event::Ahead(view)) if view > self.view => Some(Action::GoTo(view)),
            // L57 to L60.
            (Step::PrePrepare, Event::ProposeTimeout) => Some(self.prepare(None)),
            // L61 to L64.
            (Step::Prepare, Event::PrepareTimeout) => Some(self.commit(None)),
            // L65 to L67; the last representable view has no successor.
            (Step::PrePrepare | Step::Prepare | Step::Commit, Event::CommitTimeout) => {
                self.view.0.checked_add(1).map(|next| Action::GoTo(ViewNumber(next)))
            }
            _ => None,
        }
    }

    /// Takes over a newer prepared block learned from a certificate of an earlier view. Only a proposer's
    /// choice depends on it, so it needs no lock rule.
    pub fn learn_valid(&mut self, block: BlockId, view: ViewNumber) {
        if self.valid.is_none_or(|(_, known)| known < view) {
            self.valid = Some((block, view));
        }
    }

    /// L11 to L21.
    fn enter(&mut self, view: ViewNumber, proposer: bool) -> Option<Action> {
        if self.step != Step::Unstarted && view <= self.view {
            return None;
        }
        self.view = view;
        self.step = Step::PrePrepare;
        match self.valid {
            _ if !proposer => Some(Action::AwaitProposal),
            // L16: the newest prepared value goes first.
            Some((block, valid_view)) => Some(self.propose(block, Some(valid_view))),
            // L18: getValue().
            None => Some(Action::Build),
        }
    }

    fn propose(&self, block: BlockId, valid_view: Option<ViewNumber>) -> Action {
        Action::Sign(self.vote(Phase::PrePrepare, Some(block), valid_view))
    }

    fn prepare(&mut self, choice: Option<(BlockId, Option<ViewNumber>)>) -> Action {
        self.step = Step::Prepare;
        let (block, valid_view) = choice.map_or((None, None), |(block, valid)| (Some(block), valid));
        Action::Sign(self.vote(Phase::Prepare, block, valid_view))
    }

    fn commit(&mut self, block: Option<BlockId>) -> Action {
        self.step = Step::Commit;
        Action::Sign(self.vote(Phase::Commit, block, None))
    }

    fn vote(&self, phase: Phase, block: Option<BlockId>, valid_view: Option<ViewNumber>) -> VoteData {
        VoteData { phase, height: self.height, view: self.view, block, valid_view }
    }
}
