//! Which blocks to ask for between a trusted and a wanted height.
//!
//! Asks for the target first; where too much of the weight changed on the way, for a block in between, and so on
//! down to direct successors. Blocks once received are kept and tried again from nearer, so each certificate is
//! checked once. Sets change in the last block of an epoch only, so those are preferred as blocks in between.

use super::verify::verify_checked;
use super::{CheckedBlock, LightBlock, LightError, Options, Trusted, Verdict};
use crate::time::Time;
use crate::vote::Height;

/// What the driver of a bisection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Get the light block of this height and feed it.
    Need(Height),
    /// The target is trusted.
    Done,
    /// A block could not be trusted; nothing more will be.
    Failed(LightError),
}

/// Moves trust to a target height, by blocks from one peer.
#[derive(Clone, Debug)]
pub struct Bisection {
    options: Options,
    trusted: Trusted,
    target: Height,
    /// Checked blocks not yet trusted, each lower than the one before.
    pending: Vec<CheckedBlock>,
    trace: Vec<LightBlock>,
    certificates_checked: u64,
    failure: Option<LightError>,
}

impl Bisection {
    /// Starts from what is trusted. A target below it fails.
    #[must_use]
    pub fn new(trusted: Trusted, target: Height, options: Options) -> Self {
        let below = LightError::HeightNotAbove { trusted: trusted.height, found: target };
        Self {
            failure: (target < trusted.height).then_some(below),
            options,
            trusted,
            target,
            pending: Vec::new(),
            trace: Vec::new(),
            certificates_checked: 0,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn progress(&self) -> Progress {
        if let Some(error) = self.failure {
            return Progress::Failed(error);
        }
        if self.trusted.height == self.target {
            return Progress::Done;
        }
        Progress::Need(match self.pending.last() {
            Some(nearest) => self.between(nearest.block().header.height),
            None => self.target,
        })
    }

    /// Takes the block asked for. A block from this clock's future, or expired trust, fails like anything else:
    /// see [`LightError::blames_sender`].
    pub fn feed(&mut self, block: LightBlock, now: Time) -> Progress {
        if let Progress::Need(expected) = self.progress()
            && let Err(error) = self.take(block, expected, now)
        {
            self.failure = Some(error);
        }
        self.progress()
    }

    /// The newest block trusted so far.
    #[must_use]
    pub fn trusted(&self) -> &Trusted {
        &self.trusted
    }

    /// The blocks trusted on the way, in order: each is vouched for by the one before.
    #[must_use]
    pub fn trace(&self) -> &[LightBlock] {
        &self.trace
    }

    /// The newest block trusted and the way there.
    #[must_use]
    pub fn into_parts(self) -> (Trusted, Vec<LightBlock>) {
        (self.trusted, self.trace)
    }

    /// How many certificates had their signatures verified.
    #[must_use]
    pub fn certificates_checked(&self) -> u64 {
        self.certificates_checked
    }

    fn take(&mut self, block: LightBlock, expected: Height, now: Time) -> Result<(), LightError> {
        let found = block.header.height;
        if found != expected {
            return Err(LightError::UnexpectedHeight { expected, found });
        }
        block.commit(block.header.id()).check_place(&self.trusted, &self.options, now)?;
        self.certificates_checked += 1;
        self.pending.push(block.into_checked(&self.options)?);
        while let Some(nearest) = self.pending.last() {
            match verify_checked(&self.trusted, nearest, &self.options, now) {
                Verdict::Success(trusted) => {
                    self.trusted = trusted;
                    self.trace.extend(self.pending.pop().map(CheckedBlock::into_block));
                }
                Verdict::NotEnoughTrust { .. } => break,
                Verdict::Invalid(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A height strictly between what is trusted and `high`, which is no direct successor of it.
    fn between(&self, high: Height) -> Height {
        let Height(low) = self.trusted.height;
        let middle = low + (high.0 - low) / 2;
        let epoch = self.options.rules(Height(middle)).epoch_blocks;
        let down = middle - middle % epoch;
        let candidates = [down, down.saturating_add(epoch)];
        Height(candidates.into_iter().find(|at| (low + 1..high.0).contains(at)).unwrap_or(middle))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::light::verify;
    use crate::testing::chain::TestChain;

    #[test]
    fn bisection_needs_one_block_where_the_sets_barely_change() {
        let chain = TestChain::new(20, 10, 1, 60);
        let (bisection, asked) = run(&chain, Height(0), Height(60));
        assert_eq!(bisection.progress(), Progress::Done);
        assert_eq!(bisection.trusted(), &chain.trusted(Height(60)));
        assert!(asked.len() <= 2, "{asked:?}");
    }

    #[test]
    fn bisection_goes_epoch_by_epoch_where_the_sets_change_completely() {
        let chain = TestChain::new(4, 10, 4, 80);
        let (bisection, asked) = run(&chain, Height(3), Height(77));
        assert_eq!(bisection.trusted(), &chain.trusted(Height(77)));
        let heights: Vec<_> = bisection.trace().iter().map(|block| block.header.height.0).collect();
        assert_eq!(heights, [10, 20, 30, 40, 50, 60, 70, 77]);
        assert_eq!(asked.len(), 8, "no block is asked for twice or in vain: {asked:?}");
        assert_eq!(bisection.certificates_checked(), 8);
    }

    #[test]
    fn a_bisection_fails_for_good_on_a_bad_block() {
        let chain = TestChain::new(4, 10, 4, 40);
        let now = chain.header(Height(40)).time;
        let mut bisection = Bisection::new(chain.trusted(Height(1)), Height(40), chain.options());
        assert_eq!(bisection.progress(), Progress::Need(Height(40)));
        let error = LightError::UnexpectedHeight { expected: Height(40), found: Height(39) };
        assert_eq!(bisection.feed(chain.light_block(Height(39)), now), Progress::Failed(error));
        assert_eq!(bisection.feed(chain.light_block(Height(40)), now), Progress::Failed(error));
        assert_eq!(bisection.trusted(), &chain.trusted(Height(1)));
        let mut above = Bisection::new(chain.trusted(Height(1)), Height(30), chain.options());
        let error = LightError::UnexpectedHeight { expected: Height(30), found: Height(31) };
        assert_eq!(above.feed(chain.light_block(Height(31)), now), Progress::Failed(error));
        let below = Bisection::new(chain.trusted(Height(5)), Height(4), chain.options());
        let error = LightError::HeightNotAbove { trusted: Height(5), found: Height(4) };
        assert_eq!(below.progress(), Progress::Failed(error));
        let there = Bisection::new(chain.trusted(Height(5)), Height(5), chain.options());
        assert_eq!(there.progress(), Progress::Done);
    }

    /// Runs a bisection with an honest peer; also says which heights were asked for.
    fn run(chain: &TestChain, from: Height, to: Height) -> (Bisection, Vec<Height>) {
        let now = chain.header(chain.tip()).time;
        let mut bisection = Bisection::new(chain.trusted(from), to, chain.options());
        let mut asked = Vec::new();
        while let Progress::Need(height) = bisection.progress() {
            asked.push(height);
            bisection.feed(chain.light_block(height), now);
        }
        (bisection, asked)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        /// Skipping ends where going block by block ends, however fast the sets change.
        #[test]
        fn bisection_trusts_the_same_head_as_every_block_in_turn(
            validators in prop::sample::select(&[1u64, 4, 7, 31][..]),
            share in 0u64..=4,
            epoch_blocks in 1u64..9,
            blocks in 2u64..40,
            from in 0u64..40,
        ) {
            let chain = TestChain::new(validators, epoch_blocks, validators * share / 4, blocks);
            let (options, now) = (chain.options(), chain.header(chain.tip()).time);
            let from = Height(from % blocks);
            let mut sequential = chain.trusted(from);
            for height in (from.0 + 1..=blocks).map(Height) {
                sequential = match verify(&sequential, &chain.light_block(height), &options, now) {
                    Verdict::Success(trusted) => trusted,
                    other => panic!("{height}: {other:?}"),
                };
            }
            let (bisection, asked) = run(&chain, from, chain.tip());
            prop_assert_eq!(bisection.trusted(), &sequential);
            prop_assert_eq!(bisection.certificates_checked(), asked.len() as u64);
            prop_assert!(asked.len() as u64 <= blocks - from.0, "never more than block by block: {:?}", asked);
            let replayed = bisection.trace().iter().try_fold(chain.trusted(from), |trusted, block| {
                match verify(&trusted, block, &options, now) {
                    Verdict::Success(trusted) => Some(trusted),
                    _ => None,
                }
            });
            prop_assert_eq!(replayed, Some(sequential), "each block of the trace is vouched for by the last");
        }
    }

    #[test]
    fn a_hundred_validators_over_a_hundred_epochs_take_few_certificates() {
        // One of a hundred replaced per epoch: a third is left after sixty-six epochs.
        let slow = TestChain::new(100, 10, 1, 1000);
        let (bisection, asked) = run(&slow, Height(0), Height(1000));
        assert_eq!(bisection.trusted().id, slow.header(Height(1000)).id());
        assert!(asked.len() <= 4, "{} certificates: {asked:?}", asked.len());
        // A third per epoch: about one certificate per epoch, never one per block.
        let fast = TestChain::new(100, 10, 34, 200);
        let (bisection, asked) = run(&fast, Height(0), Height(200));
        assert_eq!(bisection.trusted().id, fast.header(Height(200)).id());
        assert!(asked.len() <= 20, "{} certificates: {asked:?}", asked.len());
    }
}
