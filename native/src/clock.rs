//! The only place that reads the system's clocks.
//!
//! Time never decreases within a process. When the system's clock is set back, ours does not stop, which would
//! stop every timer: it runs at half speed until the system has caught up.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    let now = advance(before, wall, read_at.elapsed());
    // Kept as it was while nothing moves, so that many quick readings add up.
    if now != before || last.is_none() {
        *last = Some((now, Instant::now()));
    }
    now
}

/// The time after `last`, when the system says `wall` and `elapsed` went by on a clock that nobody sets.
fn advance(last: Time, wall: Time, elapsed: Duration) -> Time {
    let at_half_speed = last.plus(u64::try_from(elapsed.as_millis() / 2).unwrap_or(u64::MAX));
    if wall >= last { wall } else { at_half_speed }
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
    fn follows_the_system_forward_and_slows_when_it_is_set_back() {
        let cases = [
            ("forward", 1_000, 1_500, 500, 1_500),
            ("a jump forward", 1_000, 9_000, 5, 9_000),
            ("standing still", 1_000, 1_000, 5, 1_000),
            ("set back", 9_000, 1_000, 600, 9_300),
            ("set back, read at once", 9_000, 1_000, 1, 9_000),
            ("caught up", 9_000, 9_001, 600, 9_001),
        ];
        for (name, last, wall, elapsed, expected) in cases {
            let now = advance(Time(last), Time(wall), Duration::from_millis(elapsed));
            assert_eq!(now, Time(expected), "{name}");
        }
    }

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
