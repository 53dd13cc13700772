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
}
