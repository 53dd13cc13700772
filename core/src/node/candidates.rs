//! Blocks of the open height: proposals being completed, validated, and kept until the height is decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::block::transaction_leaf;
use crate::certificate::Certificate;
use crate::evidence::Evidence;
use crate::hash::{BlockId, TxId};
use crate::merkle::{Blake, root};
use crate::message::{IDS_MAX, Proposal};
use crate::peer::handshake::PeerId;
use crate::state::{Applied, BlockError, VerifiedBlock};
use crate::time::Time;
use crate::transaction::VerifiedTransaction;
use crate::vote::ViewNumber;

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
    /// Whether what is here is known to be what the header commits to; otherwise it may be others' doing.
    pub(super) whole: bool,
    /// Whether what was put together from a proposal was not the block.
    distrusted: bool,
    /// Whom it was asked of last, and when.
    pub(super) wanted: Option<(PeerId, Time)>,
}

/// The candidates of the open height, by id.
#[derive(Default)]
pub(super) struct Candidates(BTreeMap<BlockId, Candidate>);

impl Candidates {
    /// The candidate, made if new. Where there are too many, one that consensus never asked about goes, or else
    /// the one whose proposal is oldest, but none of those to `keep`; a block that is needed again is fetched again.
    pub(super) fn entry(&mut self, block: BlockId, keep: &[BlockId], now: Time) -> Option<&mut Candidate> {
        if !self.0.contains_key(&block) && self.0.len() >= CANDIDATES_MAX {
            let others = self.0.iter().filter(|(id, _)| !keep.contains(id));
            let unneeded = others.min_by_key(|(_, candidate)| (candidate.asked, candidate.view()));
            let unneeded = *unneeded?.0;
            self.0.remove(&unneeded);
        }
        Some(self.0.entry(block).or_insert_with(|| Candidate {
            progress: Progress::Named,
            proposal: None,
            seen: now,
            asked: false,
            whole: false,
            distrusted: false,
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
    /// The view of its newest proposal, where there was one.
    fn view(&self) -> Option<ViewNumber> {
        self.proposal.as_ref().map(|proposal| proposal.vote.data.view)
    }

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

    /// Forgets what was put together, to ask for the whole block at once.
    pub(super) fn distrust(&mut self) {
        self.progress = Progress::Named;
        self.distrusted = true;
        self.wanted = None;
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
            Progress::Named => self.asked || self.distrusted,
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
        let transactions: Vec<_> = found.drain(..).flatten().collect();
        let header = checked.proposal.header.clone();
        let leaves = transactions.iter().map(|transaction| transaction_leaf(transaction.signed()));
        let proposal = &checked.proposal;
        // In the last block of an epoch the reward is not here yet: that one cannot be told before it is derived.
        self.whole = root::<Blake>(leaves) == header.transactions_root
            && Evidence::root(&proposal.evidence) == header.evidence_root
            && Certificate::hash(proposal.parent_certificate.as_ref()) == header.parent_certificate_hash;
        let (evidence, parent) = (core::mem::take(&mut checked.evidence), checked.parent_certificate.take());
        self.progress =
            Progress::Complete(Box::new(VerifiedBlock::new(header, transactions, evidence, parent)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{Hash, Tag};
    use crate::testing::chain::{TestChain, commit_data, key};
    use crate::vote::{Height, Vote};

    fn block(number: u64) -> BlockId {
        BlockId(Tag::new("a candidate").hash(&[&number.to_le_bytes()]))
    }

    fn proposal(view: u32, ids: usize) -> Proposal {
        let chain = TestChain::new(4, 100, 0, 1);
        let header = chain.header(Height(1)).clone();
        let mut data = commit_data(&header);
        data.view = ViewNumber(view);
        Proposal {
            vote: Vote::sign(data, 0, &chain.spec().id(), &key(1)),
            header,
            transactions: (0..ids).map(|at| TxId(Tag::new("id").hash(&[&at.to_le_bytes()]))).collect(),
            evidence: Vec::new(),
            parent_certificate: None,
            prepare_certificate: None,
        }
    }

    /// Once every candidate had been asked about there was no room for any more: after sixteen views without a
    /// decision a node could not judge another proposal.
    #[test]
    fn there_is_always_room_for_the_newest_proposal() {
        let mut candidates = Candidates::default();
        let kept = [block(3), block(5)];
        for number in 0..200 {
            let candidate = candidates.entry(block(number), &kept, Time(0)).expect("there is room");
            candidate.asked = true;
            candidate.proposal = Some(Arc::new(proposal(number as u32, 0)));
            assert!(candidates.iter().count() <= CANDIDATES_MAX);
        }
        assert!(kept.iter().all(|block| candidates.candidate(block).is_some()), "what must stay stays");
        assert!(candidates.candidate(&block(186)).is_some() && candidates.candidate(&block(184)).is_none());
        candidates.entry(BlockId(Hash::ZERO), &kept, Time(0)).expect("there is room").asked = false;
        candidates.entry(block(300), &kept, Time(0)).expect("there is room");
        assert!(candidates.candidate(&BlockId(Hash::ZERO)).is_none(), "what nobody asked about goes first");
    }

    #[test]
    fn no_more_is_asked_for_than_one_message_may_name() {
        let mut candidates = Candidates::default();
        let candidate = candidates.entry(block(1), &[], Time(0)).expect("there is room");
        let checked =
            CheckedProposal { proposal: proposal(0, 5_000), evidence: Vec::new(), parent_certificate: None };
        candidate.propose(Box::new(checked), |_| None);
        let lacking = candidate.lacking();
        assert_eq!((lacking.len(), lacking.last()), (IDS_MAX, Some(&(IDS_MAX as u32 - 1))));
    }
}
