//! The votes of one height, weighed: who voted what, and which quorums that makes.
//!
//! Votes are held once, indexed by validator position. Per validator are kept at most:
//!
//! | votes | kept | at most |
//! |---|---|---|
//! | views r−1, r, r+1 | one Prepare, one Commit each | 6 |
//! | the 8 newest older views that a quorum prepared | a Commit for a block | 8 |
//! | views above r+1 | the vote of the highest view | 1 |
//! | height h+1 | the newest of each phase | 3 |
//!
//! plus one proposal in each of views r−1, r, r+1. With the two certificates the engine holds that stays
//! below 22 votes per validator ([`VoteSet::len`]), whatever is sent.
//!
//! Invariants: the first vote of a validator in a view and phase counts, a conflicting one never does, and
//! is reported as evidence once. Only a certificate may replace a vote: it proves the quorum as a whole,
//! and the signer's other vote stays evidence. Thresholds are asked of the [`ValidatorSet`], in one place.
//!
//! It does not verify signatures: every vote handed in must have been verified against the set.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::certificate::Certificate;
use crate::evidence::Evidence;
use crate::hash::BlockId;
use crate::validators::{ValidatorIndex, ValidatorSet};
use crate::vote::{Height, Phase, ViewNumber, Vote, VoteData};

/// Older views whose Commits are kept.
const OLD_VIEWS_MAX: usize = 8;

/// What became of a vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Insertion {
    /// It counts; here is the vote data that a quorum agreed on with it.
    Counted(Option<VoteData>),
    /// Already known.
    Duplicate,
    /// It conflicts with an earlier vote, which still counts. Evidence the first time.
    Conflict(Option<Box<Evidence>>),
    /// It is of no use here, and nothing was kept.
    Refused(VoteRefusal),
}

/// Why a vote was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoteRefusal {
    /// No such position in the validator set.
    #[error("validator {0} is not in the set")]
    UnknownValidator(ValidatorIndex),
    /// Fields that cannot occur together.
    #[error("the vote contradicts itself")]
    NotWellFormed,
    /// Neither this height nor the next.
    #[error("height {0} is not open")]
    Height(Height),
    /// A view that no vote of this kind is needed for any more.
    #[error("view {0} is past")]
    PastView(ViewNumber),
}

/// What a vote chose: the block, and its valid view.
pub type Choice = (Option<BlockId>, Option<ViewNumber>);

/// A vote kept, and whether its signer was already reported for contradicting it.
#[derive(Clone, Copy, Debug)]
struct Slot {
    vote: Vote,
    reported: bool,
}

impl Slot {
    const fn new(vote: Vote) -> Self {
        Self { vote, reported: false }
    }

    /// Compares another vote for the same place with the one kept.
    fn meet(&mut self, vote: Vote) -> Insertion {
        if self.vote.data == vote.data {
            return Insertion::Duplicate;
        }
        let fresh = !core::mem::replace(&mut self.reported, true);
        Insertion::Conflict(fresh.then(|| Box::new(Evidence::new(self.vote, vote))))
    }
}

/// The votes of one view and phase.
#[derive(Clone, Debug, Default)]
struct Tally {
    slots: BTreeMap<ValidatorIndex, Slot>,
    weights: BTreeMap<Choice, u64>,
    weight: u64,
    quorum: Option<Choice>,
}

impl Tally {
    fn insert(&mut self, vote: Vote, set: &ValidatorSet) -> Insertion {
        if let Some(slot) = self.slots.get_mut(&vote.validator) {
            return slot.meet(vote);
        }
        self.slots.insert(vote.validator, Slot::new(vote));
        self.weight += weight_of(set, vote.validator);
        Insertion::Counted(self.count(&vote, set))
    }

    /// Counts the vote, replacing what its signer said before. Only for votes out of a certificate.
    fn certify(&mut self, vote: Vote, set: &ValidatorSet) -> (Option<Box<Evidence>>, Option<VoteData>) {
        let outcome = self.insert(vote, set);
        let Insertion::Conflict(evidence) = outcome else {
            return (None, if let Insertion::Counted(quorum) = outcome { quorum } else { None });
        };
        if let Some(slot) = self.slots.get_mut(&vote.validator) {
            let before = (slot.vote.data.block, slot.vote.data.valid_view);
            slot.vote = vote;
            if let Some(weight) = self.weights.get_mut(&before) {
                *weight -= weight_of(set, vote.validator);
            }
        }
        (evidence, self.count(&vote, set))
    }

    /// Adds the vote's weight to its choice, and says if that makes a quorum.
    fn count(&mut self, vote: &Vote, set: &ValidatorSet) -> Option<VoteData> {
        let choice = (vote.data.block, vote.data.valid_view);
        let weight = self.weights.entry(choice).or_default();
        *weight += weight_of(set, vote.validator);
        if set.is_quorum(*weight) && self.quorum != Some(choice) {
            self.quorum = Some(choice);
            return Some(vote.data);
        }
        None
    }

    /// Forgets votes for nil.
    fn drop_nil(&mut self) {
        self.slots.retain(|_, slot| slot.vote.data.block.is_some());
        self.weights.retain(|(block, _), _| block.is_some());
    }

    fn votes(&self) -> impl Iterator<Item = &Vote> {
        self.slots.values().map(|slot| &slot.vote)
    }
}

fn weight_of(set: &ValidatorSet, index: ValidatorIndex) -> u64 {
    set.validator(index).map_or(0, |member| member.weight)
}

/// The votes of one of the views r−1, r, r+1.
#[derive(Clone, Debug, Default)]
struct ViewVotes {
    proposal: Option<Slot>,
    prepare: Tally,
    commit: Tally,
    /// Weight of those who cast a Prepare or a Commit in this view.
    weight: u64,
}

impl ViewVotes {
    fn tally(&self, phase: Phase) -> Option<&Tally> {
        match phase {
            Phase::PrePrepare => None,
            Phase::Prepare => Some(&self.prepare),
            Phase::Commit => Some(&self.commit),
        }
    }

    fn knows(&self, index: ValidatorIndex) -> bool {
        self.prepare.slots.contains_key(&index) || self.commit.slots.contains_key(&index)
    }

    fn votes(&self) -> impl Iterator<Item = &Vote> {
        let proposal = self.proposal.iter().map(|slot| &slot.vote);
        proposal.chain(self.prepare.votes()).chain(self.commit.votes())
    }

    fn len(&self) -> usize {
        usize::from(self.proposal.is_some()) + self.prepare.slots.len() + self.commit.slots.len()
    }
}

/// What is left of a view below r−1 that a quorum prepared.
#[derive(Clone, Debug)]
struct OldView {
    block: BlockId,
    commit: Tally,
}

/// The votes of one height.
#[derive(Clone, Debug)]
pub struct VoteSet {
    height: Height,
    set: Arc<ValidatorSet>,
    /// The current view, r.
    view: ViewNumber,
    /// Views r−1, r, r+1.
    near: BTreeMap<ViewNumber, ViewVotes>,
    /// Prepared views below r−1.
    old: BTreeMap<ViewNumber, OldView>,
    /// Each validator's highest vote above r+1.
    far: BTreeMap<ValidatorIndex, Slot>,
    /// Weight of those with a vote above r.
    ahead: u64,
    /// Each validator's newest vote per phase of the next height.
    next: BTreeMap<(ValidatorIndex, Phase), Slot>,
    /// The first block that a quorum committed.
    decided: Option<VoteData>,
}

impl VoteSet {
    /// No votes yet, in view 0.
    #[must_use]
    pub fn new(height: Height, set: Arc<ValidatorSet>) -> Self {
        Self {
            height,
            set,
            view: ViewNumber(0),
            near: BTreeMap::new(),
            old: BTreeMap::new(),
            far: BTreeMap::new(),
            ahead: 0,
            next: BTreeMap::new(),
            decided: None,
        }
    }

    /// Takes in a verified vote of this height or the next. A PrePrepare of this height must be by the
    /// proposer of its view.
    pub fn insert(&mut self, vote: Vote) -> Insertion {
        if self.set.validator(vote.validator).is_none() {
            return Insertion::Refused(VoteRefusal::UnknownValidator(vote.validator));
        }
        if !vote.data.is_well_formed() {
            return Insertion::Refused(VoteRefusal::NotWellFormed);
        }
        if vote.data.height == self.height {
            self.insert_here(vote)
        } else if Some(vote.data.height.0) == self.height.0.checked_add(1) {
            self.insert_next(vote)
        } else {
            Insertion::Refused(VoteRefusal::Height(vote.data.height))
        }
    }

    fn insert_here(&mut self, vote: Vote) -> Insertion {
        let view = vote.data.view;
        if view > self.view.next() {
            return self.insert_far(vote);
        }
        if view.next() >= self.view {
            return self.insert_near(vote);
        }
        match self.old.get_mut(&view) {
            Some(old) if vote.data.phase == Phase::Commit && vote.data.block.is_some() => {
                let outcome = old.commit.insert(vote, &self.set);
                self.note_decision(&outcome);
                outcome
            }
            _ => Insertion::Refused(VoteRefusal::PastView(view)),
        }
    }

    fn insert_near(&mut self, vote: Vote) -> Insertion {
        let votes = self.near.entry(vote.data.view).or_default();
        let known = votes.knows(vote.validator);
        let outcome = match vote.data.phase {
            Phase::PrePrepare => match &mut votes.proposal {
                Some(slot) => slot.meet(vote),
                None => {
                    votes.proposal = Some(Slot::new(vote));
                    Insertion::Counted(None)
                }
            },
            Phase::Prepare => votes.prepare.insert(vote, &self.set),
            Phase::Commit => votes.commit.insert(vote, &self.set),
        };
        if !known && vote.data.phase != Phase::PrePrepare {
            let weight = weight_of(&self.set, vote.validator);
            votes.weight += weight;
            if vote.data.view > self.view && !self.far.contains_key(&vote.validator) {
                self.ahead += weight;
            }
        }
        self.note_decision(&outcome);
        outcome
    }

    fn insert_far(&mut self, vote: Vote) -> Insertion {
        let ahead_already = self.near.get(&self.view.next()).is_some_and(|near| near.knows(vote.validator));
        match self.far.get_mut(&vote.validator) {
            Some(slot) if slot.vote.data.view > vote.data.view => {
                return Insertion::Refused(VoteRefusal::PastView(vote.data.view));
            }
            Some(slot) if slot.vote.data.view == vote.data.view => {
                // One vote is kept for the view, whatever its phase.
                return if slot.vote.data.phase == vote.data.phase {
                    slot.meet(vote)
                } else {
                    Insertion::Duplicate
                };
            }
            Some(slot) => *slot = Slot::new(vote),
            None => {
                self.far.insert(vote.validator, Slot::new(vote));
                if !ahead_already {
                    self.ahead += weight_of(&self.set, vote.validator);
                }
            }
        }
        Insertion::Counted(None)
    }

    fn insert_next(&mut self, vote: Vote) -> Insertion {
        let key = (vote.validator, vote.data.phase);
        match self.next.get_mut(&key) {
            Some(slot) if slot.vote.data.view > vote.data.view => {
                Insertion::Refused(VoteRefusal::PastView(vote.data.view))
            }
            Some(slot) if slot.vote.data.view == vote.data.view => slot.meet(vote),
            _ => {
                self.next.insert(key, Slot::new(vote));
                Insertion::Counted(None)
            }
        }
    }

    fn note_decision(&mut self, outcome: &Insertion) {
        if let Insertion::Counted(Some(data)) = outcome
            && data.phase == Phase::Commit
            && data.block.is_some()
        {
            self.decided.get_or_insert(*data);
        }
    }

    /// Takes in a verified certificate of this height as a whole: afterwards its quorum holds, whatever its
    /// signers said before. Returns evidence against those it shows contradicting themselves, and whether the
    /// quorum is new. A view above r+1 must be entered first.
    pub fn certify(&mut self, certificate: &Certificate) -> (Vec<Evidence>, bool) {
        let data = certificate.data;
        let past = data.view.next() < self.view;
        let mut evidence = Vec::new();
        let mut formed = false;
        for vote in certificate.votes() {
            let known = self.near.get(&data.view).is_some_and(|near| near.knows(vote.validator));
            let tally = match data.phase {
                Phase::Commit if past => match self.old.get_mut(&data.view) {
                    Some(old) => &mut old.commit,
                    None => continue,
                },
                Phase::Prepare if !past => &mut self.near.entry(data.view).or_default().prepare,
                Phase::Commit => &mut self.near.entry(data.view).or_default().commit,
                Phase::Prepare | Phase::PrePrepare => continue,
            };
            let (proof, quorum) = tally.certify(vote, &self.set);
            evidence.extend(proof.map(|proof| *proof));
            formed |= quorum.is_some();
            if !past && !known {
                let weight = weight_of(&self.set, vote.validator);
                if let Some(near) = self.near.get_mut(&data.view) {
                    near.weight += weight;
                }
                if data.view > self.view && !self.far.contains_key(&vote.validator) {
                    self.ahead += weight;
                }
            }
        }
        match (data.phase, data.block) {
            (Phase::Commit, Some(_)) => formed |= self.decided.replace(data).is_none(),
            (Phase::Prepare, Some(block)) if past => {
                formed |= !self.old.contains_key(&data.view);
                self.keep_old(data.view, block, Tally::default());
            }
            _ => {}
        }
        (evidence, formed)
    }

    /// Moves to a higher view, and drops what the new one does not need. Returns the kept votes of views that
    /// came near: insert them again.
    pub fn enter(&mut self, view: ViewNumber) -> Vec<Vote> {
        self.view = view;
        let keep_from = ViewNumber(view.0.saturating_sub(1));
        let near = self.near.split_off(&keep_from);
        for (past, votes) in core::mem::replace(&mut self.near, near) {
            if let Some((Some(block), _)) = votes.prepare.quorum {
                let mut commit = votes.commit;
                commit.drop_nil();
                self.keep_old(past, block, commit);
            }
        }
        let came_near: Vec<Vote> =
            self.far.values().map(|slot| slot.vote).filter(|vote| vote.data.view <= view.next()).collect();
        self.far.retain(|_, slot| slot.vote.data.view > view.next());
        let ahead = |index| {
            self.far.contains_key(&index)
                || self.near.get(&view.next()).is_some_and(|near| view.next() > view && near.knows(index))
        };
        self.ahead =
            self.set.iter().filter(|(index, _)| ahead(*index)).map(|(_, member)| member.weight).sum();
        came_near
    }

    fn keep_old(&mut self, view: ViewNumber, block: BlockId, commit: Tally) {
        self.old.entry(view).or_insert(OldView { block, commit });
        while self.old.len() > OLD_VIEWS_MAX {
            self.old.pop_first();
        }
    }

    /// The choice a quorum made in a phase of one of the views r−1, r, r+1.
    #[must_use]
    pub fn quorum(&self, view: ViewNumber, phase: Phase) -> Option<Choice> {
        self.near.get(&view)?.tally(phase)?.quorum
    }

    /// Whether a quorum voted in a phase of one of those views, for whatever.
    #[must_use]
    pub fn is_quorum_any(&self, view: ViewNumber, phase: Phase) -> bool {
        self.near
            .get(&view)
            .and_then(|votes| votes.tally(phase))
            .is_some_and(|tally| self.set.is_quorum(tally.weight))
    }

    /// Whether a quorum is known to have prepared `block` in `view`.
    #[must_use]
    pub fn is_prepared(&self, view: ViewNumber, block: BlockId) -> bool {
        let near = self.quorum(view, Phase::Prepare).is_some_and(|(choice, _)| choice == Some(block));
        near || self.old.get(&view).is_some_and(|old| old.block == block)
    }

    /// The vote by which a quorum decided this height.
    #[must_use]
    pub fn decided(&self) -> Option<VoteData> {
        self.decided
    }

    /// The highest view above the current one that more than a third of the weight has reached (L55).
    ///
    /// The paper asks for messages of one and the same view, which every correct process gets in the end. Here
    /// only the newest votes are sent again and kept, so "has reached" is what carries over: the holder of the
    /// view chosen is correct or a correct validator is further ahead still.
    #[must_use]
    pub fn ahead(&self) -> Option<ViewNumber> {
        if !self.set.is_honest_share(self.ahead) {
            return None;
        }
        let next = self.view.next();
        let near = self.near.get(&next).filter(|_| next > self.view);
        let highest = |index: ValidatorIndex| match self.far.get(&index) {
            Some(slot) => Some(slot.vote.data.view),
            None => near.filter(|near| near.knows(index)).map(|_| next),
        };
        let mut reached: Vec<_> = self
            .set
            .iter()
            .filter_map(|(index, member)| highest(index).map(|view| (view, member.weight)))
            .collect();
        reached.sort_unstable_by_key(|(view, _)| core::cmp::Reverse(*view));
        let mut weight = 0;
        for (view, more) in reached {
            weight += more;
            if self.set.is_honest_share(weight) {
                return Some(view);
            }
        }
        None
    }

    /// Weight of those who cast a Prepare or a Commit in one of the views r−1, r, r+1.
    #[must_use]
    pub fn weight(&self, view: ViewNumber) -> u64 {
        self.near.get(&view).map_or(0, |votes| votes.weight)
    }

    /// The first proposal of one of those views.
    #[must_use]
    pub fn proposal(&self, view: ViewNumber) -> Option<&Vote> {
        self.near.get(&view)?.proposal.as_ref().map(|slot| &slot.vote)
    }

    /// The certificate of a quorum whose votes are held.
    #[must_use]
    pub fn certificate(&self, data: VoteData) -> Option<Certificate> {
        let tally = match self.near.get(&data.view) {
            Some(votes) => votes.tally(data.phase)?,
            None if data.phase == Phase::Commit => &self.old.get(&data.view)?.commit,
            None => return None,
        };
        Certificate::from_votes(data, tally.votes(), &self.set)
    }

    /// The votes held of a view not above r+1, in order of phase and validator.
    pub fn votes_of(&self, view: ViewNumber) -> impl Iterator<Item = &Vote> {
        let old = self.old.get(&view).into_iter().flat_map(|old| old.commit.votes());
        self.near.get(&view).into_iter().flat_map(ViewVotes::votes).chain(old)
    }

    /// The votes kept for the next height, to be inserted there if its set is the same.
    #[must_use]
    pub fn into_next(self) -> Vec<Vote> {
        self.next.into_values().map(|slot| slot.vote).collect()
    }

    /// How many votes are held, of any kind.
    #[must_use]
    pub fn len(&self) -> usize {
        let near: usize = self.near.values().map(ViewVotes::len).sum();
        let old: usize = self.old.values().map(|old| old.commit.slots.len()).sum();
        near + old + self.far.len() + self.next.len()
    }

    /// Whether no vote is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
