//! Time as data. The core never reads a clock: the driver passes `now`.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, as read by a driver or written by a proposer in a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Time {
    /// A moment that is never reached: the deadline of a machine that waits for nothing.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `duration_ms` later; saturates at [`Time::NEVER`].
    #[must_use]
    pub const fn plus(self, duration_ms: u64) -> Self {
        Self(self.0.saturating_add(duration_ms))
    }

    /// Milliseconds from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The time after `self`, when a clock that may be set shows `wall` and `elapsed_ms` went by on one that nobody sets. It
    /// never decreases. Where the clock was set back, time does not stop, which would stop every timer: it runs at half
    /// speed until the clock has caught up.
    #[must_use]
    pub const fn advanced(self, wall: Self, elapsed_ms: u64) -> Self {
        if wall.0 >= self.0 { wall } else { self.plus(elapsed_ms / 2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_follows_a_clock_forward_and_slows_when_it_is_set_back() {
        let cases = [
            ("forward", 1_000, 1_500, 500, 1_500),
            ("a jump forward", 1_000, 9_000, 5, 9_000),
            ("standing still", 1_000, 1_000, 5, 1_000),
            ("set back", 9_000, 1_000, 600, 9_300),
            ("set back, read at once", 9_000, 1_000, 1, 9_000),
            ("caught up", 9_000, 9_001, 600, 9_001),
        ];
        for (name, last, wall, elapsed_ms, expected) in cases {
            assert_eq!(Time(last).advanced(Time(wall), elapsed_ms), Time(expected), "{name}");
        }
    }
}
