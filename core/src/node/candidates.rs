//! Blocks of the open height: proposals being completed, validated, and kept until the height is decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::hash::{BlockId, TxId};
use crate::message::{IDS_MAX, Proposal};
use crate::peer::handshake::PeerId;
use crate::state::{Applied, BlockError, VerifiedBlock};
use crate::time::Time;
use crate::transaction::VerifiedTransaction;

use super::event::CheckedProposal;

/// Most candidates kept: one per view that a proposal was seen in, and a few more for equivocators.
pub(super) const CANDIDATES_MAX: usize = 16;

/// A block that was asked for and did not come is asked of another peer.
const WANT_AGAIN_MS: u64 = 500;

/// How far a candidate has come.
pub(super) enum Progress {
    /// Only the id is known, from votes or a certificate.
    Named,
    /// The proposal is here; `None` marks transactions still lacking.
    Partial(Box<CheckedProposal>, Vec<Option<Arc<VerifiedTransaction>>>),
    /// Everything is here; not yet validated.
    Complete(Box<VerifiedBlock>),
    /// Valid, with the state after it.
    Valid(Box<Applied>),
    /// Breaks the rules.
    Invalid(BlockError),
}

/// A block of the open height.
pub(super) struct Candidate {
    pub(super) progress: Progress,
    /// The newest proposal of it, for relaying.
    pub(super) proposal: Option<Arc<Proposal>>,
    /// When its first proposal was seen.
    pub(super) seen: Time,
    /// Whether consensus waits for a verdict.
    pub(super) asked: bool,
    /// Whom it was asked of last, and when.
    pub(super) wanted: Option<(PeerId, Time)>,
}

/// The candidates of the open height, by id.
#[derive(Default)]
pub(super) struct Candidates(BTreeMap<BlockId, Candidate>);

impl Candidates {
    /// The candidate, made if new; `None` where there are too many already.
    pub(super) fn entry(&mut self, block: BlockId, now: Time) -> Option<&mut Candidate> {
        if !self.0.contains_key(&block) && self.0.len() >= CANDIDATES_MAX {
            let unneeded = self.0.iter().find(|(_, candidate)| !candidate.asked).map(|(id, _)| *id)?;
            self.0.remove(&unneeded);
        }
        Some(self.0.entry(block).or_insert_with(|| Candidate {
            progress: Progress::Named,
            proposal: None,
            seen: now,
            asked: false,
            wanted: None,
        }))
    }

    /// When to ask for a candidate next.
    pub(super) fn deadline(&self) -> Time {
        self.0.values().map(Candidate::want_at).min().unwrap_or(Time::NEVER)
    }

    pub(super) fn candidate(&self, block: &BlockId) -> Option<&Candidate> {
        self.0.get(block)
    }

    pub(super) fn candidate_mut(&mut self, block: &BlockId) -> Option<&mut Candidate> {
        self.0.get_mut(block)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.0.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&BlockId, &mut Candidate)> {
        self.0.iter_mut()
    }

    /// The state after a block that was found valid.
    pub(super) fn take_valid(&mut self, block: &BlockId) -> Option<(Box<Applied>, Time)> {
        if !matches!(self.0.get(block)?.progress, Progress::Valid(_)) {
            return None;
        }
        let candidate = self.0.remove(block)?;
        match candidate.progress {
            Progress::Valid(applied) => Some((applied, candidate.seen)),
            Progress::Named | Progress::Partial(..) | Progress::Complete(_) | Progress::Invalid(_) => None,
        }
    }
}

impl Candidate {
    /// Fills in a proposal's transactions from what is at hand.
    pub(super) fn propose(
        &mut self,
        checked: Box<CheckedProposal>,
        find: impl Fn(&TxId) -> Option<Arc<VerifiedTransaction>>,
    ) {
        self.proposal = Some(Arc::new(checked.proposal.clone()));
        if matches!(self.progress, Progress::Named) {
            let found = checked.proposal.transactions.iter().map(find).collect();
            self.progress = Progress::Partial(checked, found);
            self.complete();
        }
    }

    /// Fills in transactions by id, wherever they came from.
    pub(super) fn supply(&mut self, transactions: &[Arc<VerifiedTransaction>]) {
        if let Progress::Partial(checked, found) = &mut self.progress {
            for (txid, slot) in checked.proposal.transactions.iter().zip(found.iter_mut()) {
                if slot.is_none() {
                    *slot = transactions.iter().find(|transaction| transaction.txid() == *txid).cloned();
                }
            }
            self.complete();
        }
    }

    /// When to ask somebody for it; never where that is not needed.
    pub(super) fn want_at(&self) -> Time {
        if self.is_wanting() {
            self.wanted.map_or(Time(0), |(_, at)| at.plus(WANT_AGAIN_MS))
        } else {
            Time::NEVER
        }
    }

    /// Whether somebody must still be asked for it.
    pub(super) fn is_wanting(&self) -> bool {
        match self.progress {
            Progress::Named => self.asked,
            Progress::Partial(..) => true,
            Progress::Complete(_) | Progress::Valid(_) | Progress::Invalid(_) => false,
        }
    }

    /// Positions of the transactions still lacking, as many as one message may ask for.
    pub(super) fn lacking(&self) -> Vec<u32> {
        match &self.progress {
            Progress::Partial(_, found) => {
                let lacking = (0..).zip(found).filter(|(_, slot)| slot.is_none());
                lacking.map(|(at, _)| at).take(IDS_MAX).collect()
            }
            Progress::Named | Progress::Complete(_) | Progress::Valid(_) | Progress::Invalid(_) => Vec::new(),
        }
    }

    fn complete(&mut self) {
        let Progress::Partial(checked, found) = &mut self.progress else { return };
        if found.iter().any(Option::is_none) {
            return;
        }
        let transactions = found.drain(..).flatten().collect();
        let header = checked.proposal.header.clone();
        let (evidence, parent) = (core::mem::take(&mut checked.evidence), checked.parent_certificate.take());
        self.progress =
            Progress::Complete(Box::new(VerifiedBlock::new(header, transactions, evidence, parent)));
    }
}
