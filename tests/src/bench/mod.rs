//! What `cargo xtask bench` measures, one file per subject. Each has a `run` that gives its figures.

pub mod tree;

/// One measured number.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Figure {
    /// What was measured, with the size it was measured at.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

impl Figure {
    /// A figure.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit }
    }
}

/// Runs something once; gives the result and the seconds it took.
#[allow(clippy::disallowed_methods, reason = "the one clock of the benches; what is measured has none")]
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

/// How many of something happened per second.
#[must_use]
pub fn rate(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds.max(f64::MIN_POSITIVE)
}
