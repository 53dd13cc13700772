//! The deadlines of a view. Deadlines are compared with `now`, never counted, and belong to the current view:
//! entering another one drops them.

use crate::time::Time;
use crate::vote::{Phase, ViewNumber};

use super::{HeightStart, Timeouts};

impl Timeouts {
    /// How long to wait in a phase of `view`.
    #[must_use]
    pub fn duration_ms(&self, phase: Phase, view: ViewNumber) -> u64 {
        let base_ms = match phase {
            Phase::PrePrepare => self.propose_ms,
            Phase::Prepare => self.prepare_ms,
            Phase::Commit => self.commit_ms,
        };
        base_ms.saturating_add(self.growth_ms.saturating_mul(u64::from(view.0))).min(self.max_ms)
    }
}

/// The running timers of a view; [`Time::NEVER`] where one is not running.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers {
    pub(super) propose: Time,
    pub(super) prepare: Time,
    pub(super) commit: Time,
    pub(super) rebroadcast: Time,
}

impl Timers {
    /// None is running.
    pub(super) const STOPPED: Self =
        Self { propose: Time::NEVER, prepare: Time::NEVER, commit: Time::NEVER, rebroadcast: Time::NEVER };

    /// The timers with which a view begins.
    pub(super) fn begin(timeouts: &Timeouts, view: ViewNumber, now: Time) -> Self {
        let propose = now.plus(timeouts.duration_ms(Phase::PrePrepare, view));
        Self { propose, rebroadcast: propose, ..Self::STOPPED }
    }

    pub(super) fn earliest(&self) -> Time {
        self.propose.min(self.prepare).min(self.commit).min(self.rebroadcast)
    }
}

/// Stops the timer if it is due, and says whether it was.
pub(super) fn is_due(timer: &mut Time, now: Time) -> bool {
    let due = *timer <= now;
    if due {
        *timer = Time::NEVER;
    }
    due
}

/// What this node has seen that asks for a block, in view 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    /// This node proposes.
    pub(super) proposer: bool,
    /// Work was reported.
    pub(super) work: bool,
    /// A proposal is known, or more than a third of the weight has voted.
    pub(super) others: bool,
}

impl Demand {
    /// When this node is to propose, or to begin to wait for the proposal.
    pub(super) fn due(self, start: &HeightStart) -> Time {
        let timeouts = &start.timeouts;
        let earliest = start.parent_time.plus(timeouts.block_interval_min_ms);
        let heartbeat = start.parent_time.plus(timeouts.heartbeat_ms).max(earliest);
        match self {
            Self { proposer: false, others: true, .. } => Time(0),
            Self { others: true, .. } | Self { work: true, .. } => earliest,
            Self { proposer: true, .. } => heartbeat,
            // The proposer's clock may be a little behind, and its block takes time to arrive.
            Self { proposer: false, .. } => heartbeat.plus(timeouts.propose_ms),
        }
    }
}
