//! The engine's outside: heights following each other, and the certificate of the one before.

use crate::certificate::Certificate;
use crate::time::Time;
use crate::vote::{Phase, ViewNumber, Vote};

use super::open::Open;
use super::round::{Prepared, Round};
use super::{ConsensusState, HeightStart, Input, Output};

/// The consensus machine: decides one height after another.
///
/// Feed it with [`Consensus::handle`], carry out what comes back in order, and call it with [`Input::Tick`] at
/// [`Consensus::deadline`]. After [`Output::Decide`] it waits for the next [`Input::Start`].
#[derive(Clone, Debug, Default)]
pub struct Consensus {
    open: Option<Open>,
    /// The certificate of the height before the open one.
    parent: Option<Certificate>,
}

impl Consensus {
    /// A machine that waits for its first [`Input::Start`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened and returns what is to be done, in order.
    pub fn handle(&mut self, input: Input, now: Time) -> Vec<Output> {
        match input {
            Input::Start(start) => self.start(start, now),
            Input::Proposal(vote, certificate) => {
                self.proposal_certificate(&vote, certificate, now);
                self.vote(vote, now);
            }
            Input::Votes(votes) => votes.into_iter().for_each(|vote| self.vote(vote, now)),
            Input::Certificate(certificate) => self.certificate(certificate, now),
            Input::BlockVerdict { block, valid } => self.with_open(|open| open.verdict(block, valid)),
            Input::Built { view, block } => self.with_open(|open| open.built(view, block, now)),
            Input::Work => self.with_open(|open| open.work = true),
            Input::Tick => self.with_open(|open| open.tick(now)),
        }
        let Some(open) = &mut self.open else { return Vec::new() };
        open.run(now);
        core::mem::take(&mut open.outputs)
    }

    /// When to call with [`Input::Tick`] if nothing else happens.
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.open.as_ref().map_or(Time::NEVER, Open::deadline)
    }

    /// Where consensus stands; `None` before the first height begins.
    #[must_use]
    pub fn state(&self) -> Option<ConsensusState> {
        let open = self.open.as_ref()?;
        let Round { height, view, step, locked, valid } = open.round;
        Some(ConsensusState { height, view, step, locked, valid, proposer: open.proposer(view) })
    }

    /// The certificate of the height before the open one, with the Commits that came late.
    #[must_use]
    pub fn parent_certificate(&self) -> Option<&Certificate> {
        self.parent.as_ref()
    }

    /// The newest prepared block of the open height, and in which view it was prepared.
    #[must_use]
    pub fn valid_block(&self) -> Option<Prepared> {
        self.open.as_ref()?.round.valid
    }

    /// A prepare certificate for a block in `view`, to be sent along with a proposal of that valid view.
    #[must_use]
    pub fn prepare_certificate(&self, view: ViewNumber) -> Option<Certificate> {
        let open = self.open.as_ref()?;
        let held = [&open.valid, &open.locked].into_iter().flatten();
        if let Some(certificate) = held.into_iter().find(|held| held.data.view == view) {
            return Some(certificate.clone());
        }
        let choice = open.votes.quorum(view, Phase::Prepare).filter(|(block, _)| block.is_some())?;
        open.votes.certificate(open.data(Phase::Prepare, view, choice))
    }

    /// How many votes are held, never more than 22 per validator.
    #[must_use]
    pub fn vote_count(&self) -> usize {
        let Some(open) = &self.open else { return 0 };
        let certificates = [&open.valid, &open.locked, &open.candidate].into_iter().flatten();
        open.votes.len() + certificates.map(|certificate| certificate.signatures.len()).sum::<usize>()
    }

    /// The votes held of one view of the open height.
    #[must_use]
    pub fn votes_of(&self, view: ViewNumber) -> Vec<Vote> {
        self.open.as_ref().map_or_else(Vec::new, |open| open.votes.votes_of(view).copied().collect())
    }

    fn with_open(&mut self, act: impl FnOnce(&mut Open)) {
        if let Some(open) = &mut self.open {
            act(open);
        }
    }

    fn start(&mut self, start: HeightStart, now: Time) {
        let before = self.open.take();
        self.parent.clone_from(&start.parent_certificate);
        let mut kept = Vec::new();
        if let Some(before) = before.filter(|open| open.start.height.next() == start.height) {
            // Ours may have collected Commits that came after the decision.
            if let (Some(given), Some(own)) = (&self.parent, &before.decided)
                && given.data == own.data
                && own.signatures.len() > given.signatures.len()
            {
                self.parent = Some(own.clone());
            }
            if before.start.set.hash() == start.set.hash() {
                kept = before.votes.into_next();
            }
        }
        let mut open = Open::new(start);
        open.begin_height(now);
        kept.into_iter().for_each(|vote| open.vote(vote));
        self.open = Some(open);
    }

    fn vote(&mut self, vote: Vote, now: Time) {
        if let Some(parent) = &mut self.parent
            && parent.data.height == vote.data.height
        {
            parent.insert(&vote);
            return;
        }
        let Some(open) = &mut self.open else { return };
        open.vote(vote);
        open.run(now);
    }

    /// A proposal's certificate counts only if it is the one its valid view needs.
    fn proposal_certificate(&mut self, vote: &Vote, certificate: Option<Certificate>, now: Time) {
        if let Some(certificate) = certificate
            && certificate.data.phase == Phase::Prepare
            && certificate.data.height == vote.data.height
            && Some(certificate.data.view) == vote.data.valid_view
            && certificate.data.block == vote.data.block
        {
            self.certificate(certificate, now);
        }
    }

    fn certificate(&mut self, certificate: Certificate, now: Time) {
        let Some(open) = &mut self.open else { return };
        let height = certificate.data.height;
        let is_decision = certificate.data.phase == Phase::Commit && certificate.data.block.is_some();
        let known = match &mut self.parent {
            Some(parent) if parent.data.height == height => Some(parent),
            _ if height == open.start.height => open.decided.as_mut(),
            _ => return,
        };
        let Some(known) = known else { return open.certificate(certificate, now) };
        if is_decision && known.data.block != certificate.data.block {
            open.outputs.push(Output::Fork { ours: known.clone(), theirs: certificate });
        } else {
            certificate.votes().for_each(|vote| {
                known.insert(&vote);
            });
        }
    }
}
