//! The open height: takes in what happens, and turns what the round state machine asks for into outputs.

use std::collections::BTreeMap;

use crate::certificate::Certificate;
use crate::hash::BlockId;
use crate::time::Time;
use crate::validators::ValidatorIndex;
use crate::vote::{Phase, ViewNumber, Vote, VoteData};

use super::round::{Action, Event, Round, Step};
use super::sign::SignRecord;
use super::timers::{Demand, Timers, is_due};
use super::votes::{Choice, Insertion, VoteSet};
use super::{HeightStart, Output};

/// The open height.
#[derive(Clone, Debug)]
pub(super) struct Open {
    /// What the height began with; its records are moved into `votes`.
    pub(super) start: HeightStart,
    pub(super) round: Round,
    pub(super) votes: VoteSet,
    pub(super) timers: Timers,
    /// The state in which the view before was left, until something is signed in this one.
    left: Option<Round>,
    /// View 0 has begun, but nothing asks for a block yet.
    pub(super) idle: bool,
    /// Work was reported.
    pub(super) work: bool,
    pub(super) done: Done,
    /// Blocks whose verdict was asked for in the current view, and the answer.
    pub(super) checks: BTreeMap<BlockId, Option<bool>>,
    /// Proof of `round.valid` and of `round.locked`, where known.
    pub(super) valid: Option<Certificate>,
    pub(super) locked: Option<Certificate>,
    /// A prepare certificate of an earlier view, newer than `valid`, until its block is checked.
    pub(super) candidate: Option<Certificate>,
    /// The certificate that decided this height.
    pub(super) decided: Option<Certificate>,
    pub(super) outputs: Vec<Output>,
}

/// What was done "for the first time" in the current view.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) proposed: bool,
    pub(super) prepare_timeout: bool,
    pub(super) commit_timeout: bool,
    pub(super) commit_timeout_at_once: bool,
    pub(super) prepared: bool,
}

impl Open {
    pub(super) fn new(start: HeightStart) -> Self {
        Self {
            round: Round::new(start.height),
            votes: VoteSet::new(start.height, start.set.clone()),
            timers: Timers::STOPPED,
            left: None,
            idle: false,
            work: false,
            done: Done::default(),
            checks: BTreeMap::new(),
            valid: None,
            locked: None,
            candidate: None,
            decided: None,
            outputs: Vec::new(),
            start,
        }
    }

    pub(super) fn proposer(&self, view: ViewNumber) -> ValidatorIndex {
        let absent = |index| self.start.absent.contains(index);
        self.start.set.proposer(self.start.height.0, view.0, absent)
    }

    pub(super) fn is_proposer(&self) -> bool {
        self.start.me == Some(self.proposer(self.round.view))
    }

    pub(super) fn data(&self, phase: Phase, view: ViewNumber, (block, valid_view): Choice) -> VoteData {
        VoteData { phase, height: self.start.height, view, block, valid_view }
    }

    // ---- beginnings ----

    pub(super) fn begin_height(&mut self, now: Time) {
        let mut records = core::mem::take(&mut self.start.records);
        records.retain(|record| record.vote.data.height == self.start.height);
        records.sort_by_key(|record| (record.vote.data.view, record.vote.data.phase));
        match records.last().copied() {
            Some(last) => self.resume(&records, &last, now),
            None => {
                let proposer = self.is_proposer();
                self.idle = true;
                // The block is asked for when there is a reason: see `wake`.
                self.round.apply(Event::Enter { view: ViewNumber(0), proposer });
                self.outputs.push(Output::EnteredView(ViewNumber(0)));
            }
        }
    }

    /// Takes up a height in which this node has voted before: same view, same step, same locks, and the same
    /// signed bytes are sent again.
    pub(super) fn resume(&mut self, records: &[SignRecord], last: &SignRecord, now: Time) {
        let VoteData { view, phase, .. } = last.vote.data;
        self.round = Round {
            height: self.start.height,
            view,
            step: match phase {
                Phase::PrePrepare => Step::PrePrepare,
                Phase::Prepare => Step::Prepare,
                Phase::Commit => Step::Commit,
            },
            locked: last.locked,
            valid: last.valid,
        };
        self.done.proposed = true;
        self.timers = Timers::begin(&self.start.timeouts, view, now);
        self.votes.enter(view);
        let blocks = [last.locked, last.valid].into_iter().flatten().map(|(block, _)| block);
        blocks.for_each(|block| self.check(block));
        let votes: Vec<Vote> = records.iter().map(|record| record.vote).collect();
        self.outputs.push(Output::EnteredView(view));
        votes.iter().for_each(|vote| self.vote(*vote));
        let proposal = votes.iter().rfind(|vote| vote.data.phase == Phase::PrePrepare);
        let proposal = proposal.and_then(|vote| vote.data.block);
        self.outputs.push(Output::Rebroadcast { votes, certificates: Vec::new(), proposal });
    }

    /// Enters a view above the current one.
    pub(super) fn enter(&mut self, view: ViewNumber, now: Time) {
        let proposer = self.start.me == Some(self.proposer(view));
        let before = self.round;
        let Some(action) = self.round.apply(Event::Enter { view, proposer }) else { return };
        self.left = Some(before);
        self.idle = false;
        self.done = Done { proposed: matches!(action, Action::Sign(_)), ..Done::default() };
        self.timers = Timers::begin(&self.start.timeouts, view, now);
        self.forget_checks();
        self.outputs.push(Output::EnteredView(view));
        for vote in self.votes.enter(view) {
            self.vote(vote);
        }
        self.perform(action, now);
        // A lock that no one else saw would stall the height: show it.
        let certificates = self.held_certificates();
        if view >= ViewNumber(2) && !certificates.is_empty() {
            let proposal = self.round.locked.or(self.round.valid).map(|(block, _)| block);
            self.outputs.push(Output::Rebroadcast { votes: Vec::new(), certificates, proposal });
        }
    }

    /// Asks for the signature of a vote in this view, and with the first one for votes of nil in the view before, where this
    /// node has not voted in it. Whoever is left there may need them to leave it: the votes that let this node go on can be
    /// lost with who held them, and a third of the weight or less in a higher view moves nobody. A Commit of nil supports
    /// no block, and a block of that view no longer gets this node's Commit anyway: the paper's proofs hold as they are.
    fn sign(&mut self, data: VoteData) {
        if self.start.me.is_none() {
            return;
        }
        if let Some(before) = self.left.take()
            && let Some(last) = data.view.0.checked_sub(1).map(ViewNumber)
        {
            let missing = |step| before.view < last || before.step < step;
            let phases = [(Phase::Prepare, Step::Prepare), (Phase::Commit, Step::Commit)];
            let phases = phases.into_iter().filter(|(_, step)| missing(*step));
            let votes = phases.map(|(phase, _)| Output::Sign(self.data(phase, last, (None, None))));
            let votes: Vec<_> = votes.collect();
            self.outputs.extend(votes);
        }
        self.outputs.push(Output::Sign(data));
    }

    /// Ends the idle wait of view 0 once there is a reason for a block.
    pub(super) fn wake(&mut self, now: Time) {
        if !self.idle || self.demand().due(&self.start) > now {
            return;
        }
        self.idle = false;
        self.timers = Timers { commit: self.timers.commit, ..self.begin_timers(now) };
        if self.round.step == Step::PrePrepare && self.is_proposer() {
            self.outputs.push(Output::Build { view: self.round.view });
        }
    }

    pub(super) fn begin_timers(&self, now: Time) -> Timers {
        Timers { prepare: self.timers.prepare, ..Timers::begin(&self.start.timeouts, self.round.view, now) }
    }

    pub(super) fn demand(&self) -> Demand {
        let voted = self.start.set.is_honest_share(self.votes.weight(self.round.view));
        Demand { proposer: self.is_proposer(), work: self.work, others: voted || self.proposal().is_some() }
    }

    pub(super) fn deadline(&self) -> Time {
        if self.round.step == Step::Decided {
            return Time::NEVER;
        }
        let due = if self.idle { self.demand().due(&self.start) } else { Time::NEVER };
        due.min(self.timers.earliest())
    }

    // ---- inputs ----

    pub(super) fn vote(&mut self, vote: Vote) {
        let data = vote.data;
        let here = data.height == self.start.height;
        if here && data.phase == Phase::PrePrepare && vote.validator != self.proposer(data.view) {
            return;
        }
        match self.votes.insert(vote) {
            Insertion::Counted(Some(data)) => {
                let certificate = self.votes.certificate(data);
                self.outputs.extend(certificate.map(Output::Certificate));
            }
            Insertion::Conflict(Some(evidence)) => self.outputs.push(Output::Evidence(*evidence)),
            Insertion::Counted(None)
            | Insertion::Conflict(None)
            | Insertion::Duplicate
            | Insertion::Refused(_) => {}
        }
        if let Some(decided) = &mut self.decided {
            decided.insert(&vote);
        }
    }

    pub(super) fn certificate(&mut self, certificate: Certificate, now: Time) {
        let data = certificate.data;
        let is_decision = data.phase == Phase::Commit && data.block.is_some();
        if data.view > self.round.view && !is_decision {
            // A quorum is in that view.
            self.enter(data.view, now);
        }
        let (evidence, formed) = self.votes.certify(&certificate);
        self.outputs.extend(evidence.into_iter().map(Output::Evidence));
        if formed {
            self.outputs.push(Output::Certificate(certificate.clone()));
        }
        // A lock taken up after a restart has no proof until it is handed in again.
        if data.phase == Phase::Prepare && data.block.is_some() {
            let proved = data.block.map(|block| (block, data.view));
            let held = [(self.round.valid, &mut self.valid), (self.round.locked, &mut self.locked)];
            for (_, proof) in held.into_iter().filter(|(prepared, _)| *prepared == proved) {
                proof.get_or_insert_with(|| certificate.clone());
            }
        }
        if is_decision {
            self.decided = Some(certificate);
        } else if data.phase == Phase::Prepare && data.block.is_some() && data.view < self.round.view {
            let known = [self.round.valid.map(|(_, view)| view), self.candidate_view()];
            if known.into_iter().flatten().all(|known| known < data.view) {
                self.candidate = Some(certificate);
            }
        }
        self.run(now);
    }

    pub(super) fn candidate_view(&self) -> Option<ViewNumber> {
        self.candidate.as_ref().map(|candidate| candidate.data.view)
    }

    pub(super) fn verdict(&mut self, block: BlockId, valid: bool) {
        if let Some(check) = self.checks.get_mut(&block) {
            *check = Some(valid);
        }
    }

    pub(super) fn built(&mut self, view: ViewNumber, block: BlockId, now: Time) {
        if view != self.round.view || self.done.proposed || self.idle || !self.is_proposer() {
            return;
        }
        self.checks.insert(block, Some(true));
        if let Some(action) = self.round.apply(Event::Built(block)) {
            self.done.proposed = true;
            self.perform(action, now);
        }
    }

    /// Fires what is due. The end of the view comes first: after a long gap the votes it would have had no
    /// time to cast in this view are useless.
    pub(super) fn tick(&mut self, now: Time) {
        if self.round.step == Step::Decided {
            return;
        }
        let events = [
            (is_due(&mut self.timers.commit, now), Event::CommitTimeout),
            (is_due(&mut self.timers.prepare, now), Event::PrepareTimeout),
            (is_due(&mut self.timers.propose, now), Event::ProposeTimeout),
        ];
        let view = self.round.view;
        for (_, event) in events.into_iter().filter(|(due, _)| *due) {
            if self.round.view == view {
                let action = self.round.apply(event);
                action.into_iter().for_each(|action| self.perform(action, now));
            }
        }
        if is_due(&mut self.timers.rebroadcast, now) {
            let again_ms = self.start.timeouts.duration_ms(Phase::PrePrepare, self.round.view);
            self.timers.rebroadcast = now.plus(again_ms.max(1));
            self.rebroadcast();
        }
    }

    pub(super) fn perform(&mut self, action: Action, now: Time) {
        let view = self.round.view;
        match action {
            Action::Build => self.outputs.push(Output::Build { view }),
            Action::AwaitProposal => {}
            Action::Sign(data) => self.sign(data),
            Action::StartTimeout(Phase::Prepare) => {
                self.timers.prepare = now.plus(self.start.timeouts.duration_ms(Phase::Prepare, view));
            }
            Action::StartTimeout(Phase::Commit) => {
                // An empty view costs no wait.
                let full_ms = self.start.timeouts.duration_ms(Phase::Commit, view);
                self.timers.commit = now.plus(if self.is_empty_view() { 0 } else { full_ms });
            }
            Action::StartTimeout(Phase::PrePrepare) => {}
            Action::GoTo(view) => self.enter(view, now),
            Action::Decide(block) => self.decide(block),
        }
    }

    pub(super) fn decide(&mut self, block: BlockId) {
        self.timers = Timers::STOPPED;
        self.idle = false;
        if self.decided.is_none() {
            self.decided = self.votes.decided().and_then(|data| self.votes.certificate(data));
        }
        if let Some(certificate) = self.decided.clone() {
            self.outputs.push(Output::Decide { block, certificate });
        }
    }

    // ---- blocks ----

    /// Asks for the verdicts that a rule waits for.
    pub(super) fn ask(&mut self) {
        let proposal = self.proposal().map(|(block, _)| block);
        let candidate = self.candidate.as_ref().and_then(|candidate| candidate.data.block);
        [proposal, candidate].into_iter().flatten().for_each(|block| self.check(block));
    }

    pub(super) fn check(&mut self, block: BlockId) {
        if self.checks.contains_key(&block) {
            return;
        }
        self.checks.insert(block, None);
        self.outputs.push(Output::Check(block));
    }

    /// Keeps the verdicts on prepared blocks; others are asked for again if they come up again.
    pub(super) fn forget_checks(&mut self) {
        let candidate = self.candidate.as_ref().and_then(|candidate| candidate.data.block);
        let prepared = [self.round.valid, self.round.locked].map(|prepared| prepared.map(|(block, _)| block));
        self.checks.retain(|block, _| prepared.contains(&Some(*block)) || candidate == Some(*block));
    }

    /// Takes over the candidate once its block is known to be valid.
    pub(super) fn learn(&mut self) {
        let Some(VoteData { block: Some(block), view, .. }) = self.candidate.as_ref().map(|held| held.data)
        else {
            return;
        };
        match self.checks.get(&block) {
            Some(Some(true)) => {
                self.round.learn_valid(block, view);
                if self.round.valid == Some((block, view)) {
                    self.valid = self.candidate.take();
                }
                self.candidate = None;
            }
            Some(Some(false)) => self.candidate = None,
            _ => {}
        }
    }

    // ---- sending again ----

    pub(super) fn held_certificates(&self) -> Vec<Certificate> {
        let locked = self.locked.iter().filter(|locked| Some(*locked) != self.valid.as_ref());
        self.valid.iter().chain(locked).cloned().collect()
    }

    /// Sends everything a peer needs to come to where this node is: the quorums of this view and of the end of
    /// the previous one as certificates where they agree, and the votes without one.
    pub(super) fn rebroadcast(&mut self) {
        let view = self.round.view;
        let mut certificates = self.held_certificates();
        let mut votes = Vec::new();
        let previous = view.0.checked_sub(1).map(|view| (ViewNumber(view), Phase::Commit));
        let current = [Phase::PrePrepare, Phase::Prepare, Phase::Commit].map(|phase| (view, phase));
        for (view, phase) in previous.into_iter().chain(current) {
            let quorum = self.votes.quorum(view, phase).map(|choice| self.data(phase, view, choice));
            if let Some(certificate) = quorum.and_then(|data| self.votes.certificate(data))
                && !certificates.contains(&certificate)
            {
                certificates.push(certificate);
            }
            let of_phase = self.votes.votes_of(view).filter(|vote| vote.data.phase == phase);
            votes.extend(of_phase.filter(|vote| Some(vote.data) != quorum).copied());
        }
        let proposal = self.proposal().map(|(block, _)| block);
        if !votes.is_empty() || !certificates.is_empty() {
            self.outputs.push(Output::Rebroadcast { votes, certificates, proposal });
        }
    }
}
