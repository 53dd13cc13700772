//! The votes of a height: who is counted, for what, which quorums that makes, and who is ahead.
//!
//! malachite keeps every vote of every round; here only the newest vote of those far ahead is kept. So who has reached a round is what
//! is compared: more than a third of the weight, each by its highest vote.

use std::collections::BTreeMap;
use std::sync::Arc;

use malachitebft_core_types::{NilOrVal, Round, SignedMessage, Threshold, ThresholdParams, VoteType};
use malachitebft_core_votekeeper::keeper::VoteKeeper;
use timecoin_core::consensus::{Insertion, VoteSet};
use timecoin_core::hash::{Hash, MasternodeId, Tag};
use timecoin_core::keys::{PublicKey, Signature};
use timecoin_core::testing::Rng;
use timecoin_core::validators::{Validator, ValidatorIndex, ValidatorSet};
use timecoin_core::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use super::context::{Chain, Members, Name, Place, Said, block};
use super::play_seeds;

const SIZES: [usize; 6] = [1, 4, 7, 10, 21, 100];
const BLOCKS: u64 = 2;
const WEIGHT_MAX: u64 = 50;

fn set(weights: &[u64]) -> ValidatorSet {
    let member = |(at, weight): (usize, &u64)| Validator {
        key: PublicKey(Tag::new("malachite").hash(&[&at.to_le_bytes()]).0),
        weight: *weight,
        masternode: MasternodeId(Hash([0; 32])),
    };
    ValidatorSet::new(weights.iter().enumerate().map(member).collect()).expect("a set")
}

struct Pair {
    set: Arc<ValidatorSet>,
    view: u32,
    ours: VoteSet,
    theirs: VoteKeeper<Chain>,
}

impl Pair {
    fn new(weights: &[u64], view: u32) -> Self {
        let set = Arc::new(set(weights));
        let mut ours = VoteSet::new(Height(1), set.clone());
        assert!(ours.enter(ViewNumber(view)).is_empty());
        let members = Members::new(set.iter().map(|(_, member)| member.weight));
        Self { set, view, ours, theirs: VoteKeeper::new(members, ThresholdParams::default()) }
    }

    fn insert(&mut self, from: ValidatorIndex, phase: Phase, view: u32, choice: Option<Name>) {
        let data = VoteData {
            phase,
            height: Height(1),
            view: ViewNumber(view),
            block: choice.map(block),
            valid_view: None,
        };
        let said = Said {
            kind: if phase == Phase::Prepare { VoteType::Prevote } else { VoteType::Precommit },
            round: Round::new(view),
            choice: choice.map_or(NilOrVal::Nil, NilOrVal::Val),
            from: Place(from),
        };
        let theirs = SignedMessage::new(said, ());
        let (known, conflicts) =
            (self.theirs.has_vote(&theirs), self.theirs.conflicting_vote(&theirs).is_some());
        self.theirs.apply_vote(theirs, Round::new(self.view));
        let ours = self.ours.insert(Vote { data, validator: from, signature: Signature([0; 64]) });
        // Of those far ahead one vote is kept, whatever its phase.
        if view <= self.view + 1 {
            let expected = (known, conflicts);
            let found = (ours == Insertion::Duplicate, matches!(ours, Insertion::Conflict(_)));
            assert_eq!(found, expected, "{data:?} by {from}");
        }
        self.compare(view);
    }

    fn compare(&self, view: u32) {
        let blocks: Vec<Option<Name>> = std::iter::once(None).chain((1..=BLOCKS).map(Some)).collect();
        let met = |kind, threshold| self.theirs.is_threshold_met(&Round::new(view), kind, threshold);
        if view <= self.view + 1 {
            for (phase, kind) in [(Phase::Prepare, VoteType::Prevote), (Phase::Commit, VoteType::Precommit)] {
                let threshold = |choice: &Option<Name>| choice.map_or(Threshold::Nil, Threshold::Value);
                let theirs = blocks.iter().find(|choice| met(kind, threshold(choice)));
                let ours = self.ours.quorum(ViewNumber(view), phase);
                assert_eq!(ours, theirs.map(|choice| (choice.map(block), None)), "{phase:?} of view {view}");
                let any = self.ours.is_quorum_any(ViewNumber(view), phase);
                assert_eq!(any, met(kind, Threshold::Any), "{phase:?} of view {view}");
            }
        }
        assert_eq!(self.ours.ahead(), self.ahead().map(ViewNumber), "from view {}", self.view);
        let decided = (self.view.saturating_sub(1)..=self.view + 1).any(|view| {
            let met = |name| {
                self.theirs.is_threshold_met(&Round::new(view), VoteType::Precommit, Threshold::Value(name))
            };
            (1..=BLOCKS).any(met)
        });
        assert_eq!(self.ours.decided().is_some(), decided);
    }

    /// The highest round that more than a third of the weight has reached.
    fn ahead(&self) -> Option<u32> {
        let mut highest = BTreeMap::new();
        for (round, votes) in self.theirs.all_rounds() {
            let round = round.as_u32().expect("a round");
            if round > self.view {
                highest.extend(votes.addresses_weights().get_inner().keys().map(|place| (*place, round)));
            }
        }
        let mut weights = BTreeMap::<u32, u64>::new();
        for (Place(place), round) in highest {
            *weights.entry(round).or_default() += self.set.validator(place).expect("a member").weight;
        }
        let mut weight = 0;
        let mut reached = weights.into_iter().rev().filter(|(_, more)| {
            weight += more;
            3 * weight > self.set.total()
        });
        reached.next().map(|(round, _)| round)
    }
}

/// One height in one view; how many votes came.
fn play(seed: u64) -> u64 {
    let mut dice = Rng::new(seed);
    let size = dice.pick(&SIZES).expect("a size");
    let even = dice.chance(300);
    let weights: Vec<_> = (0..size).map(|_| if even { 1 } else { 1 + dice.below(WEIGHT_MAX) }).collect();
    let mut pair = Pair::new(&weights, dice.below(4) as u32);
    let lowest = pair.view.saturating_sub(1);
    // Most vote for one block, or there would hardly ever be a quorum.
    let favourite = dice.below(BLOCKS + 1);
    let far = if dice.chance(500) { 4 } else { 0 };
    let votes = 4 * size as u64;
    for _ in 0..votes {
        let from = dice.below(size as u64) as ValidatorIndex;
        let phase = if dice.chance(500) { Phase::Prepare } else { Phase::Commit };
        let view = lowest + dice.below(u64::from(pair.view + 2 - lowest) + far) as u32;
        let choice = if dice.chance(850) { favourite } else { dice.below(BLOCKS + 1) };
        pair.insert(from, phase, view, (choice > 0).then_some(choice));
    }
    votes
}

#[test]
fn votes_are_counted_as_malachite_counts_them() {
    play_seeds(play);
}
