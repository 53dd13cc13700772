//! Where trust starts.

use super::{Options, Trusted};
use crate::block::Header;
use crate::spec::{ChainSpec, Checkpoint};
use crate::state::{GenesisError, genesis};
use crate::time::Time;
use crate::validators::ValidatorSet;

/// A block the host trusts from outside the chain: a checkpoint, or genesis. Young enough by the host's policy.
///
/// The set that signs next is named by its hash: any peer can hand it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor(Checkpoint);

/// The points a chain spec names: genesis, then its checkpoints.
pub fn trusted_points(spec: &ChainSpec) -> Result<Vec<Checkpoint>, GenesisError> {
    let genesis = Checkpoint::of(&genesis(&spec.consensus)?.block.header);
    Ok([&[genesis], &spec.checkpoints[..]].concat())
}

/// Why nothing can be trusted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// Too old to exclude a long-range attack.
    #[error("the checkpoint is {age_ms} ms old; below {limit_ms} ms are trusted: get a newer one")]
    CheckpointExpired {
        /// Age of the checkpoint.
        age_ms: u64,
        /// Ages below this are trusted.
        limit_ms: u64,
    },
    /// Ahead of this clock by more than the drift allowed.
    #[error("the checkpoint is of {time}, ahead of {now}: check this device's clock")]
    FromFuture {
        /// Time of the checkpoint.
        time: Time,
        /// This clock.
        now: Time,
    },
    /// Not the set the checkpoint names.
    #[error("these are not the validators of the checkpoint")]
    Validators,
}

impl Anchor {
    /// Trusts a checkpoint of the chain spec, or one the host got elsewhere.
    pub fn from_checkpoint(
        checkpoint: Checkpoint,
        options: &Options,
        now: Time,
    ) -> Result<Self, AnchorError> {
        let (time, limit_ms) = (checkpoint.time, options.trust_period_ms);
        if time > now.plus(options.clock_drift_ms) {
            return Err(AnchorError::FromFuture { time, now });
        }
        let age_ms = now.since(time);
        if age_ms >= limit_ms {
            return Err(AnchorError::CheckpointExpired { age_ms, limit_ms });
        }
        Ok(Self(checkpoint))
    }

    /// Trusts the genesis block made from the chain spec: good while the chain is younger than the policy allows.
    pub fn from_genesis(genesis: &Header, options: &Options, now: Time) -> Result<Self, AnchorError> {
        Self::from_checkpoint(Checkpoint::of(genesis), options, now)
    }

    /// The block trusted.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.0
    }

    /// What to verify from, given the set that signs next.
    pub fn with_validators(self, next_validators: ValidatorSet) -> Result<Trusted, AnchorError> {
        let Self(Checkpoint { height, block, validators, time }) = self;
        if next_validators.hash() != validators {
            return Err(AnchorError::Validators);
        }
        Ok(Trusted { height, id: block, time, next_validators })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::light::{AgePolicy, LightError};
    use crate::testing::chain::TestChain;
    use crate::vote::Height;

    #[test]
    fn a_checkpoint_of_exactly_the_unbonding_period_is_expired() {
        let chain = TestChain::new(4, 10, 0, 12);
        let checkpoint = Checkpoint::of(chain.header(Height(5)));
        let unbonding_ms = AgePolicy::Unbonding.limit_ms(chain.spec());
        let table = [
            ("unbonding, just young enough", AgePolicy::Unbonding, unbonding_ms - 1, None),
            ("unbonding, exactly", AgePolicy::Unbonding, unbonding_ms, Some(unbonding_ms)),
            (
                "trust period, exactly",
                AgePolicy::TrustPeriod,
                unbonding_ms / 3 * 2,
                Some(unbonding_ms / 3 * 2),
            ),
            ("trust period, just young enough", AgePolicy::TrustPeriod, unbonding_ms / 3 * 2 - 1, None),
            ("any age", AgePolicy::AnyAge, 100 * unbonding_ms, None),
        ];
        for (name, policy, age_ms, limit) in table {
            let options = Options::new(chain.spec().clone(), policy);
            let found = Anchor::from_checkpoint(checkpoint, &options, checkpoint.time.plus(age_ms));
            let expected = limit.map(|limit_ms| AnchorError::CheckpointExpired { age_ms, limit_ms });
            assert_eq!(found.err(), expected, "{name}");
        }
    }

    #[test]
    fn a_checkpoint_from_the_future_or_with_other_validators_is_refused() {
        let chain = TestChain::new(4, 10, 1, 25);
        let options = Options::new(chain.spec().clone(), AgePolicy::Unbonding);
        let checkpoint = Checkpoint::of(chain.header(Height(5)));
        let Time(at) = checkpoint.time;
        let now = Time(at - options.clock_drift_ms - 1);
        let error = AnchorError::FromFuture { time: checkpoint.time, now };
        assert_eq!(Anchor::from_checkpoint(checkpoint, &options, now), Err(error));
        let anchor = Anchor::from_checkpoint(checkpoint, &options, now.plus(1)).unwrap();
        assert_eq!(
            anchor.with_validators(chain.validators(Height(20)).clone()),
            Err(AnchorError::Validators)
        );
        let trusted = anchor.with_validators(chain.validators(Height(6)).clone()).unwrap();
        assert_eq!(trusted, chain.trusted(Height(5)));
        let late = checkpoint.time.plus(options.trust_period_ms);
        let (age_ms, limit_ms) = (options.trust_period_ms, options.trust_period_ms);
        assert_eq!(trusted.check_age(&options, late), Err(LightError::Expired { age_ms, limit_ms }));
    }

    #[test]
    fn genesis_is_an_anchor_while_the_chain_is_young() {
        let chain = TestChain::new(4, 10, 0, 3);
        let options = Options::new(chain.spec().clone(), AgePolicy::TrustPeriod);
        let genesis = chain.header(Height(0));
        assert!(Anchor::from_genesis(genesis, &options, chain.header(Height(3)).time).is_ok());
        let late = Anchor::from_genesis(genesis, &options, genesis.time.plus(options.trust_period_ms));
        assert!(matches!(late, Err(AnchorError::CheckpointExpired { .. })));
    }

    #[test]
    fn a_spec_names_genesis_and_its_checkpoints() {
        let consensus = crate::testing::chain::dev_spec();
        let first = genesis(&consensus).unwrap();
        let checkpoint = Checkpoint { height: Height(7), ..Checkpoint::of(&first.block.header) };
        let spec = ChainSpec { consensus, bootstrap: Vec::new(), checkpoints: vec![checkpoint] };
        let points = trusted_points(&spec).unwrap();
        assert_eq!(points, [Checkpoint::of(&first.block.header), checkpoint]);
        let options = Options::new(spec.consensus.into(), AgePolicy::TrustPeriod);
        let anchor = Anchor::from_checkpoint(points[0], &options, points[0].time).unwrap();
        let trusted = anchor.with_validators((*first.state.validators).clone()).unwrap();
        assert_eq!((trusted.height, trusted.id), (Height(0), first.state.id));
    }
}
