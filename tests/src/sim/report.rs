//! What a run found out, for people and for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use timecoin_core::hash::Hash;

use super::failure::Failure;

/// The result of one seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Validators at genesis.
    pub validators: usize,
    /// Final heights.
    pub heights: u64,
    /// Final transactions, genesis and rewards included.
    pub transactions: u64,
    /// Occurrences.
    pub steps: u64,
    /// Virtual time that passed.
    pub virtual_ms: u64,
    /// How many heights each view decided.
    pub views: BTreeMap<u32, u64>,
    /// How often each kind of fault struck.
    pub faults: BTreeMap<&'static str, u64>,
    /// Hash over everything that happened: equal for equal seeds.
    pub trace: Hash,
    /// What went wrong.
    pub failure: Option<Failure>,
}

/// The results of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Seeds run.
    pub seeds: u64,
    /// Final heights.
    pub heights: u64,
    /// Final transactions.
    pub transactions: u64,
    /// Occurrences.
    pub steps: u64,
    /// Virtual time.
    pub virtual_ms: u64,
    /// How many heights each view decided.
    pub views: BTreeMap<u32, u64>,
    /// How often each kind of fault struck.
    pub faults: BTreeMap<&'static str, u64>,
    /// Seeds that failed, and why.
    pub failures: Vec<(u64, Failure)>,
}

impl Outcome {
    /// The command that runs this seed again, with the arguments of the present run.
    #[must_use]
    pub fn replay(&self, arguments: &str) -> String {
        format!("cargo xtask sim --seeds 1 --start {}{arguments}", self.seed)
    }

    /// As one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "seed": self.seed,
            "validators": self.validators,
            "heights": self.heights,
            "transactions": self.transactions,
            "steps": self.steps,
            "virtual_ms": self.virtual_ms,
            "trace": self.trace.to_string(),
            "failure": self.failure.as_ref().map(ToString::to_string),
        })
    }
}

impl Summary {
    /// Adds a result.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.heights += outcome.heights;
        self.transactions += outcome.transactions;
        self.steps += outcome.steps;
        self.virtual_ms += outcome.virtual_ms;
        outcome.views.iter().for_each(|(view, count)| *self.views.entry(*view).or_default() += count);
        outcome.faults.iter().for_each(|(kind, count)| *self.faults.entry(kind).or_default() += count);
        self.failures.extend(outcome.failure.clone().map(|failure| (outcome.seed, failure)));
    }

    /// As JSON; `elapsed_ms` is real time.
    #[must_use]
    pub fn to_json(&self, elapsed_ms: u64) -> Value {
        let failures =
            self.failures.iter().map(|(seed, failure)| json!({"seed": seed, "failure": failure.to_string()}));
        json!({
            "seeds": self.seeds,
            "failed": self.failures.len(),
            "failures": failures.collect::<Vec<_>>(),
            "heights": self.heights,
            "transactions": self.transactions,
            "steps": self.steps,
            "steps_per_second": self.steps_per_second(elapsed_ms),
            "elapsed_ms": elapsed_ms,
            "virtual_ms": self.virtual_ms,
            "views": self.views.iter().map(|(view, count)| (view.to_string(), json!(count)))
                .collect::<serde_json::Map<_, _>>(),
            "faults": self.faults,
        })
    }

    /// As a few lines of text; `elapsed_ms` is real time.
    #[must_use]
    pub fn to_text(&self, elapsed_ms: u64) -> String {
        let list = |pairs: Vec<(String, u64)>| {
            pairs.into_iter().map(|(name, count)| format!("{name}: {count}")).collect::<Vec<_>>().join(", ")
        };
        let views = self.views.iter().map(|(view, count)| (view.to_string(), *count)).collect();
        let faults = self.faults.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        format!(
            "{} seeds, {} failed; {} heights, {} transactions, {} s of virtual time\n\
             {} steps in {:.1} s: {} per second\n\
             heights by deciding view: {}\n\
             faults: {}",
            self.seeds,
            self.failures.len(),
            self.heights,
            self.transactions,
            self.virtual_ms / 1000,
            self.steps,
            elapsed_ms as f64 / 1000.0,
            self.steps_per_second(elapsed_ms),
            list(views),
            list(faults),
        )
    }

    fn steps_per_second(&self, elapsed_ms: u64) -> u64 {
        self.steps.saturating_mul(1000) / elapsed_ms.max(1)
    }
}
