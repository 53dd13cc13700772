//! What `cargo xtask bench` measures, one file per subject. Each has a `run` that gives its figures.
//!
//! Where two figures are to be compared, both are measured in one run and the ratio is a figure of its own: a
//! ratio carries over to other machines, a time does not. Beside a figure stands what it is to be held against.
//! What only computes is measured in processor time, what waits (`store`, `devnet`) by the clock.

pub mod blocks;
mod chain;
pub mod devnet;
pub mod light;
pub mod mempool;
pub mod store;
pub mod transactions;
pub mod tree;
pub mod votes;

/// One measured number.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Figure {
    /// What was measured, with the size it was measured at.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// What to hold it against: the earlier node, another project's code, or an aim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beside: Option<&'static str>,
}

impl Figure {
    /// A figure.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, beside: None }
    }

    /// The same with something to hold it against.
    #[must_use]
    pub fn beside(self, other: &'static str) -> Self {
        Self { beside: Some(other), ..self }
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// What every figure needs.
    #[default]
    Usual,
    /// More sizes, and longer.
    Full,
}

/// Something to measure.
pub struct Subject {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it measures.
    pub about: &'static str,
    /// Measures.
    pub run: fn(Extent) -> Vec<Figure>,
}

/// Everything there is to measure, in the order it is measured.
pub const SUBJECTS: [Subject; 8] = [
    Subject { name: "votes", about: "votes, quorums and certificates", run: votes::run },
    Subject { name: "transactions", about: "verifying transactions", run: transactions::run },
    Subject { name: "mempool", about: "admission and lookup", run: mempool::run },
    Subject { name: "blocks", about: "validating a block of 1,000 payments", run: blocks::run },
    Subject { name: "tree", about: "changes and proofs of the state tree", run: tree::run },
    Subject { name: "light", about: "a light client from genesis to a million heights on", run: light::run },
    Subject { name: "store", about: "blocks and votes on disk with a million coins", run: store::run },
    Subject {
        name: "devnet",
        about: "real processes: time to finality, payments per second",
        run: devnet::run,
    },
];

/// Runs something once on this thread; gives the result and the seconds of processor time it took, so that what
/// else the machine does does not count (where the system does not tell: the time that passed).
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    #[cfg(unix)]
    {
        use rustix::time::{ClockId, clock_gettime};
        let now = || clock_gettime(ClockId::ThreadCPUTime);
        let start = now();
        let result = work();
        let spent = now() - start;
        (result, spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9)
    }
    #[cfg(not(unix))]
    waited(work)
}

/// Runs something once; gives the result and the seconds that passed: for what waits for a disk or for others.
#[allow(clippy::disallowed_methods, reason = "the one clock of the benches; what is measured has none")]
pub fn waited<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

/// How many of something happened per second.
#[must_use]
pub fn rate(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds.max(f64::MIN_POSITIVE)
}

/// The middle one of some times.
#[must_use]
pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The median time of doing something so often, in seconds.
pub fn median_of<T>(times: usize, mut work: impl FnMut() -> T) -> f64 {
    median((0..times).map(|_| timed(|| std::hint::black_box(work())).1).collect())
}
