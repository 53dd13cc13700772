//! What the host decides about trust.

use std::sync::Arc;

use crate::hash::ChainId;
use crate::spec::{ConsensusSpec, Rules};
use crate::vote::Height;

/// How old something trusted may be. Long-range attacks use keys whose collateral is free again; only what the
/// host learnt recently excludes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgePolicy {
    /// Two thirds of the unbonding period, so that evidence still reaches the chain in time. For wallets.
    TrustPeriod,
    /// The unbonding period: collateral was still locked when `now` was read.
    Unbonding,
    /// Any age: the host vouches for its anchor by other means, and says so to whoever reads the result.
    AnyAge,
}

impl AgePolicy {
    /// The age at which trust ends, the least under any of the spec's rules.
    #[must_use]
    pub fn limit_ms(self, spec: &ConsensusSpec) -> u64 {
        let unbonding_ms = spec.rules.iter().map(|entry| entry.rules.unbonding_ms).min().unwrap_or(0);
        match self {
            Self::TrustPeriod => unbonding_ms / 3 * 2 + unbonding_ms % 3 * 2 / 3,
            Self::Unbonding => unbonding_ms,
            Self::AnyAge => u64::MAX,
        }
    }
}

/// The share of the trusted weight that must have signed a block that does not directly follow: strictly more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    numerator: u64,
    denominator: u64,
}

/// Not a fraction from 1/3 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a trust threshold is a fraction from 1/3 to 1")]
pub struct ThresholdError;

impl Threshold {
    /// One third: at least one honest validator signed.
    pub const ONE_THIRD: Self = Self { numerator: 1, denominator: 3 };

    /// A fraction from 1/3 to 1; 1 can never be exceeded and allows direct successors only.
    pub fn new(numerator: u64, denominator: u64) -> Result<Self, ThresholdError> {
        let third = 3 * u128::from(numerator) >= u128::from(denominator);
        if third && numerator <= denominator && denominator > 0 {
            Ok(Self { numerator, denominator })
        } else {
            Err(ThresholdError)
        }
    }

    /// Whether `weight` is more than this share of `total`.
    #[must_use]
    pub const fn is_exceeded(self, weight: u64, total: u64) -> bool {
        weight as u128 * self.denominator as u128 > total as u128 * self.numerator as u128
    }
}

/// What light verification depends on besides the blocks and the time.
#[derive(Clone, Debug)]
pub struct Options {
    /// A trusted header of this age or more is expired.
    pub trust_period_ms: u64,
    /// A header's time may be ahead of the clock by at most this.
    pub clock_drift_ms: u64,
    /// Overlap needed to skip.
    pub trust_threshold: Threshold,
    chain: ChainId,
    spec: Arc<ConsensusSpec>,
}

impl Options {
    /// Options for a chain: its own clock drift, one third of overlap, and the age the host decided on.
    ///
    /// The spec must have been checked.
    #[must_use]
    pub fn new(spec: Arc<ConsensusSpec>, policy: AgePolicy) -> Self {
        Self {
            trust_period_ms: policy.limit_ms(&spec),
            clock_drift_ms: spec.rules(Height(0)).clock_drift_max_ms,
            trust_threshold: Threshold::ONE_THIRD,
            chain: spec.id(),
            spec,
        }
    }

    /// The chain whose signatures count.
    #[must_use]
    pub const fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// The chain's numbers.
    #[must_use]
    pub fn spec(&self) -> &ConsensusSpec {
        &self.spec
    }

    pub(super) fn rules(&self, height: Height) -> &Rules {
        self.spec.rules(height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::chain::dev_spec;

    #[test]
    fn thresholds_are_strict_and_bounded() {
        for (numerator, denominator) in [(0, 0), (1, 0), (0, 1), (1, 4), (333, 1000), (2, 1), (4, 3)] {
            assert_eq!(
                Threshold::new(numerator, denominator),
                Err(ThresholdError),
                "{numerator}/{denominator}"
            );
        }
        let third = Threshold::new(1, 3).unwrap();
        assert_eq!(third, Threshold::ONE_THIRD);
        for (weight, total, exceeded) in [
            (0, 0, false),
            (1, 3, false),
            (1, 2, true),
            (33, 99, false),
            (34, 100, true),
            (33, 100, false),
            (u64::MAX / 3, u64::MAX, false),
            (u64::MAX, u64::MAX, true),
        ] {
            assert_eq!(third.is_exceeded(weight, total), exceeded, "{weight} of {total}");
        }
        assert!(!Threshold::new(1, 1).unwrap().is_exceeded(u64::MAX, u64::MAX));
    }

    #[test]
    fn the_age_limit_is_the_least_of_all_rules() {
        let mut spec = dev_spec();
        spec.rules[0].rules.unbonding_ms = 2_100_001;
        let mut later = spec.rules[0].clone();
        later.from = Height(10);
        later.rules.unbonding_ms = 1_000;
        for (name, policy, limit_ms) in [
            ("two thirds", AgePolicy::TrustPeriod, 1_400_000),
            ("all of it", AgePolicy::Unbonding, 2_100_001),
            ("any", AgePolicy::AnyAge, u64::MAX),
        ] {
            assert_eq!(policy.limit_ms(&spec), limit_ms, "{name}");
        }
        spec.rules.push(later);
        assert_eq!(AgePolicy::Unbonding.limit_ms(&spec), 1_000);
    }
}
