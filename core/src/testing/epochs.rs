//! A long chain of epochs for light clients: blocks are made when they are asked for.
//!
//! Headers do not name the block before: whoever goes block by block notices. Skipping verification does not look there,
//! and a million real headers would have to be made first.

use std::sync::Arc;

use crate::address::Network;
use crate::answer::{Nothing, Question, Reply, SparseBlock};
use crate::block::{BLOCK_VERSION, Header};
use crate::certificate::Certificate;
use crate::evidence::Evidence;
use crate::hash::{BlockId, StateRoot, Tag};
use crate::keys::PublicKey;
use crate::light::LightBlock;
use crate::spec::ConsensusSpec;
use crate::state::{ChainState, genesis};
use crate::transaction::{Class, Tier};
use crate::validators::ValidatorSet;
use crate::vote::{Height, ViewNumber};

use super::chain::{certify, commit_data, dev_spec, key, validator_set};
use super::ledger::masternode;

/// A chain whose validators, all of equal weight, are partly replaced in the last block of each epoch.
#[derive(Debug)]
pub struct EpochChain {
    spec: Arc<ConsensusSpec>,
    first: ChainState,
    validators: u64,
    replaced: u64,
}

impl EpochChain {
    /// A chain with this many validators, of which `replaced` change per epoch.
    ///
    /// # Panics
    /// If there are more validators than a set may have.
    #[must_use]
    pub fn new(validators: u64, epoch_blocks: u64, replaced: u64) -> Self {
        let mut spec = ConsensusSpec { network: Network::Dev, ..dev_spec() };
        spec.rules[0].rules.epoch_blocks = epoch_blocks;
        spec.masternodes =
            (0..validators).map(|number| masternode(number, Tier::Bronze, Class::Server)).collect();
        let first = genesis(&spec).expect("the spec has a genesis").state;
        Self { spec: Arc::new(spec), first, validators, replaced }
    }

    /// The chain's numbers.
    #[must_use]
    pub fn spec(&self) -> &Arc<ConsensusSpec> {
        &self.spec
    }

    /// The epoch of a height; genesis and the first blocks are of epoch 0.
    #[must_use]
    pub fn epoch(&self, height: Height) -> u64 {
        height.0.saturating_sub(1) / self.spec.rules(Height(0)).epoch_blocks
    }

    fn numbers(&self, epoch: u64) -> core::ops::Range<u64> {
        epoch * self.replaced..epoch * self.replaced + self.validators
    }

    fn set(&self, epoch: u64) -> ValidatorSet {
        if epoch == 0 {
            return (*self.first.validators).clone();
        }
        let weight = self.first.validators.iter().map(|(_, member)| member.weight).max().unwrap_or(1);
        let members: Vec<_> = self.numbers(epoch).map(|number| (key(number).public_key(), weight)).collect();
        validator_set(&members)
    }

    /// The light block at a height from 1: signed by just a quorum, other members for each height.
    #[must_use]
    pub fn light_block(&self, height: Height) -> LightBlock {
        const BLOCK: Tag = Tag::new("timecoin test epoch");
        let made_up = |what: &[u8]| BLOCK.hash(&[what, &height.0.to_le_bytes()]);
        let (epoch, next) = (self.epoch(height), self.epoch(height.next()));
        let validators = self.set(epoch);
        let next_validators = if epoch == next { validators.clone() } else { self.set(next) };
        let time = self.spec.genesis_time.plus(height.0 * 1000);
        let header = Header {
            version: BLOCK_VERSION,
            height,
            view: ViewNumber(0),
            time,
            parent: BlockId(made_up(b"parent")),
            transactions_root: made_up(b"transactions"),
            state_root: StateRoot(made_up(b"state")),
            supply: self.spec.issued(time),
            filter_hash: made_up(b"filter"),
            history_root: made_up(b"history"),
            validators_hash: validators.hash(),
            next_validators_hash: next_validators.hash(),
            evidence_root: Evidence::root(&[]),
            parent_certificate_hash: Certificate::hash(None),
            proposer: PublicKey::default(),
        };
        let mut keys: Vec<_> = self.numbers(epoch).map(key).collect();
        keys.rotate_left((height.0 * 7 % self.validators) as usize);
        keys.truncate(self.validators as usize * 2 / 3 + 1);
        let certificate = certify(commit_data(&header), &validators, &keys, &self.spec.id());
        LightBlock::new(header, certificate, validators, next_validators)
    }

    /// What a full node of this chain answers: light blocks, and nothing else.
    #[must_use]
    pub fn reply(&self, question: &Question) -> Reply {
        match question {
            Question::LightBlock { height, known } if height.0 > 0 => {
                let block = self.light_block(*height);
                Reply::LightBlock(Box::new(SparseBlock::without(block, known.as_ref())))
            }
            _ => Reply::Nothing(Nothing::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::light::{AgePolicy, Bisection, Options, Progress, Trusted};

    /// Verifies from genesis up to `target`; the certificates checked, and whether it arrived.
    fn verify(chain: &EpochChain, target: Height) -> (u64, Progress) {
        let options = Options::new(chain.spec().clone(), AgePolicy::AnyAge);
        let now = chain.spec().genesis_time.plus(target.0 * 1000);
        let state = &chain.first;
        let next_validators = (*state.validators).clone();
        let start = Trusted { height: Height(0), id: state.id, time: state.header.time, next_validators };
        let mut bisection = Bisection::new(start, target, options);
        while let Progress::Need(height) = bisection.progress() {
            bisection.feed(chain.light_block(height), now);
        }
        (bisection.certificates_checked(), bisection.progress())
    }

    #[test]
    fn forty_epochs_take_few_certificates_where_the_set_barely_changes() {
        let target = Height(400);
        let (unchanged, done) = verify(&EpochChain::new(20, 10, 0), target);
        assert_eq!((unchanged, done), (1, Progress::Done));
        let (barely, done) = verify(&EpochChain::new(20, 10, 1), target);
        assert_eq!(done, Progress::Done);
        assert!(5 * barely <= 5 * 40 / 2, "{barely} for 40 epochs of which each replaces a twentieth");
    }
}
