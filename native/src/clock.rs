//! The only place that reads the system's clocks.
//!
//! Time never decreases within a process: see [`Time::advanced`].

use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use timecoin_core::time::Time;

static LAST: Mutex<Option<(Time, Instant)>> = Mutex::new(None);

/// The time now: the system's, made never to decrease.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one reader of the clocks; everyone else calls this")]
pub fn now() -> Time {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = Time(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let (before, read_at) = last.unwrap_or((wall, Instant::now()));
    let elapsed_ms = u64::try_from(read_at.elapsed().as_millis()).unwrap_or(u64::MAX);
    let now = before.advanced(wall, elapsed_ms);
    // Kept as it was while nothing moves, so that many quick readings add up.
    if now != before || last.is_none() {
        *last = Some((now, Instant::now()));
    }
    now
}

/// Measures how long something takes, in finer steps than [`now`] has.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this module reads the clocks for everyone else")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since the start.
    #[must_use]
    pub fn elapsed_us(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_decreases() {
        let mut before = now();
        for _ in 0..1_000 {
            let time = now();
            assert!(time >= before);
            before = time;
        }
        assert!(before > Time(1_700_000_000_000), "milliseconds since 1970");
    }
}
