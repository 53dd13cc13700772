//! The guards of the rules ("upon …"), over votes, proposals and verdicts.

use crate::hash::BlockId;
use crate::time::Time;
use crate::vote::{Phase, ViewNumber, VoteData};

use super::open::Open;
use super::round::{Event, Round, Step};

impl Open {
    /// Applies rules until no guard holds.
    pub(super) fn run(&mut self, now: Time) {
        if self.round.step == Step::Decided {
            return;
        }
        loop {
            self.ask();
            self.learn();
            let Some(event) = self.enabled() else { break };
            let action = self.round.apply(event);
            self.note(event);
            action.into_iter().for_each(|action| self.perform(action, now));
        }
        self.wake(now);
    }

    /// The first rule whose guard holds.
    pub(super) fn enabled(&self) -> Option<Event> {
        let Round { view, step, .. } = self.round;
        if step == Step::Decided {
            return None;
        }
        if let Some(VoteData { block: Some(block), .. }) = self.votes.decided() {
            return Some(Event::CommitBlock(block));
        }
        if let Some(ahead) = self.votes.ahead().filter(|ahead| *ahead > view) {
            return Some(Event::Ahead(ahead));
        }
        let proposal = self.judged_proposal();
        if step == Step::PrePrepare
            && let Some(event) = proposal.and_then(|proposal| self.answer(proposal))
        {
            return Some(event);
        }
        let prepared = self.votes.quorum(view, Phase::Prepare);
        if step == Step::Prepare && prepared == Some((None, None)) {
            return Some(Event::PrepareNil);
        }
        if let (Step::Prepare | Step::Commit, false, Some((block, valid_view, true))) =
            (step, self.done.prepared, proposal)
            && prepared == Some((Some(block), valid_view))
        {
            return Some(Event::PrepareBlock(block));
        }
        let prepare_any = self.votes.is_quorum_any(view, Phase::Prepare);
        if step == Step::Prepare && !self.done.prepare_timeout && prepare_any {
            return Some(Event::PrepareAny);
        }
        let commit_any = self.votes.is_quorum_any(view, Phase::Commit);
        let started = self.done.commit_timeout && (self.done.commit_timeout_at_once || !self.is_empty_view());
        (commit_any && !started).then_some(Event::CommitAny)
    }

    /// L22 or L28, where the guard holds.
    pub(super) fn answer(&self, proposal: (BlockId, Option<ViewNumber>, bool)) -> Option<Event> {
        match proposal {
            (block, None, acceptable) => Some(Event::Proposal { block, acceptable }),
            (block, Some(valid_view), acceptable) => self
                .votes
                .is_prepared(valid_view, block)
                .then_some(Event::ProposalPreparedBefore { block, valid_view, acceptable }),
        }
    }

    /// The proposal of the current view: the one a quorum prepared, or else the first seen. A quorum of
    /// Prepares says what was proposed as surely as the proposer's signature does.
    pub(super) fn proposal(&self) -> Option<(BlockId, Option<ViewNumber>)> {
        let view = self.round.view;
        if let Some((Some(block), valid_view)) = self.votes.quorum(view, Phase::Prepare) {
            return Some((block, valid_view));
        }
        let data = self.votes.proposal(view)?.data;
        Some((data.block?, data.valid_view))
    }

    pub(super) fn judged_proposal(&self) -> Option<(BlockId, Option<ViewNumber>, bool)> {
        let (block, valid_view) = self.proposal()?;
        let acceptable = self.checks.get(&block).copied().flatten()?;
        Some((block, valid_view, acceptable))
    }

    /// Whether a quorum committed nil: nothing can be decided in this view.
    pub(super) fn is_empty_view(&self) -> bool {
        self.votes.quorum(self.round.view, Phase::Commit) == Some((None, None))
    }

    /// Marks what is done only the first time in a view.
    pub(super) fn note(&mut self, event: Event) {
        match event {
            Event::PrepareAny => self.done.prepare_timeout = true,
            Event::CommitAny => {
                self.done.commit_timeout = true;
                self.done.commit_timeout_at_once = self.is_empty_view();
            }
            Event::PrepareBlock(block) => {
                self.done.prepared = true;
                let view = self.round.view;
                let choice = self.votes.quorum(view, Phase::Prepare).unwrap_or((Some(block), None));
                self.valid = self.votes.certificate(self.data(Phase::Prepare, view, choice));
                if self.round.locked == Some((block, view)) {
                    self.locked.clone_from(&self.valid);
                }
            }
            _ => {}
        }
    }
}
