//! Money. Amounts are whole grains and every sum is checked.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Grains in one TIME.
pub const GRAINS_PER_TIME: u64 = 100_000_000;

/// An amount of money in grains (1 TIME = 100,000,000 grains). Arithmetic is checked only.
/// In human-readable formats it is a decimal string of TIME, because JSON numbers lose grains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub u64);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return text.parse().map_err(serde::de::Error::custom);
        }
        u64::deserialize(deserializer).map(Self)
    }
}

impl Amount {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// More than can ever exist: every sum of amounts must stay below 2^63 grains.
    pub const SUPPLY_LIMIT: Self = Self(1 << 63);

    /// `time` whole TIME.
    ///
    /// # Panics
    /// If the amount would reach [`Amount::SUPPLY_LIMIT`]; meant for constants.
    #[must_use]
    pub const fn from_time(time: u64) -> Self {
        assert!(time < Self::SUPPLY_LIMIT.0 / GRAINS_PER_TIME, "amount below the supply limit");
        Self(time * GRAINS_PER_TIME)
    }

    /// The sum, or `None` where it would reach the supply limit.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) if sum < Self::SUPPLY_LIMIT.0 => Some(Self(sum)),
            _ => None,
        }
    }

    /// The difference, or `None` where it would be negative.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// The checked sum of many amounts.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// `self × numerator / denominator`, rounded down, or `None` where the denominator is zero or the
    /// result reaches the supply limit.
    #[must_use]
    pub fn checked_mul_div(self, numerator: u64, denominator: u64) -> Option<Self> {
        let product = u128::from(self.0) * u128::from(numerator);
        let share = u64::try_from(product.checked_div(u128::from(denominator))?).ok()?;
        (share < Self::SUPPLY_LIMIT.0).then_some(Self(share))
    }
}

impl fmt::Display for Amount {
    /// Decimal TIME without trailing zeros: `0.5`, `12`, `0.00000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, grains) = (self.0 / GRAINS_PER_TIME, self.0 % GRAINS_PER_TIME);
        if grains == 0 {
            return write!(f, "{whole}");
        }
        let fraction = format!("{grains:08}");
        write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a decimal number.
    #[error("not a decimal amount of TIME: write it like 12 or 0.5")]
    Malformed,
    /// More than eight digits after the point.
    #[error("an amount has at most eight digits after the point")]
    TooPrecise,
    /// Beyond the supply limit.
    #[error("more money than can exist")]
    TooLarge,
}

impl FromStr for Amount {
    type Err = AmountError;

    /// Parses decimal TIME (`12`, `0.5`); no sign, exponent or grouping.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
            return Err(AmountError::Malformed);
        }
        if fraction.len() > 8 {
            return Err(AmountError::TooPrecise);
        }
        let whole: u64 = whole.parse().map_err(|_| AmountError::TooLarge)?;
        let grains: u64 = format!("{fraction:0<8}").parse().map_err(|_| AmountError::Malformed)?;
        whole
            .checked_mul(GRAINS_PER_TIME)
            .and_then(|value| value.checked_add(grains))
            .filter(|value| *value < Self::SUPPLY_LIMIT.0)
            .map(Self)
            .ok_or(AmountError::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_round_trip() {
        let table =
            [("0", 0), ("1", 100_000_000), ("0.5", 50_000_000), ("0.00000001", 1), ("12.34", 1_234_000_000)];
        for (text, grains) in table {
            assert_eq!(text.parse(), Ok(Amount(grains)), "{text}");
            assert_eq!(Amount(grains).to_string(), text);
        }
    }

    #[test]
    fn bad_texts_are_refused() {
        use AmountError::{Malformed, TooLarge, TooPrecise};
        let table = [
            ("", Malformed),
            (".5", Malformed),
            ("1.", Malformed),
            ("-1", Malformed),
            ("1e3", Malformed),
            ("1.2.3", Malformed),
            ("0.000000001", TooPrecise),
            ("92233720368.54775808", TooLarge),
            ("99999999999999999999", TooLarge),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<Amount>(), Err(error), "{text}");
        }
    }

    #[test]
    fn sums_stop_at_the_supply_limit() {
        let most = Amount(Amount::SUPPLY_LIMIT.0 - 1);
        assert_eq!(most.checked_add(Amount(1)), None);
        assert_eq!(most.checked_add(Amount(u64::MAX)), None);
        assert_eq!(Amount::checked_sum([most, Amount::ZERO]), Some(most));
        assert_eq!(Amount(10).checked_mul_div(1, 3), Some(Amount(3)));
        assert_eq!(most.checked_mul_div(2, 1), None);
        assert_eq!(most.checked_mul_div(1, 0), None);
    }
}
