//! `cargo xtask test`: every check, in order, each timed; all of them run even when one fails.
//!
//! Steps share Cargo's output: clippy and docs use the same checked dependencies, and programs and tests are built
//! with one set of features.

use std::time::{Duration, Instant};

use crate::workspace::{Failure, Workspace, run};
use crate::{browsers, reproducible, setup, tidy, wasm, web};

/// How much is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything that needs no long simulation and no second browser.
    Fast,
    /// Everything.
    Full,
}

/// Vectors of others, which are no part of the repository; tests that read them pass over them where they are absent.
const EXTERNAL_VECTORS: &str = "../shared/vectors";

struct Step {
    name: &'static str,
    run: fn(&Workspace, Extent) -> Result<(), Failure>,
}

const STEPS: &[Step] = &[
    Step { name: "set-up", run: |workspace, _| setup::for_tests(workspace) },
    Step { name: "tidy", run: |workspace, _| tidy::run(workspace) },
    Step { name: "format", run: |workspace, _| cargo(workspace, "fmt --all --check") },
    Step {
        name: "clippy",
        run: |workspace, _| cargo(workspace, "clippy --workspace --all-targets -- -D warnings"),
    },
    Step {
        name: "clippy wasm32",
        run: |workspace, _| {
            let packages = "--package timecoin-core --package timecoin-web --package timecoin-verifier";
            cargo(workspace, &format!("clippy {packages} --target {} -- -D warnings", setup::WASM))
        },
    },
    Step { name: "docs", run: |workspace, _| docs(workspace) },
    Step { name: "build", run: |workspace, _| build(workspace) },
    Step {
        name: "tests",
        // Not `--doc`: tidy sees to it that there is nothing to run, and looking for it reads every crate once more.
        run: |workspace, _| {
            cargo(workspace, "test --workspace --exclude xtask --lib --bins --tests --no-fail-fast")
        },
    },
    Step { name: "tests of xtask", run: |workspace, _| cargo(workspace, "test --package xtask --bins") },
    Step { name: "simulator", run: simulator },
    Step { name: "wasm under Node", run: |workspace, _| wasm::test(workspace) },
    Step {
        name: "reproducible",
        run: |workspace, _| reproducible::test(workspace, reproducible::Payloads::Smallest),
    },
    Step { name: "bundlers", run: |workspace, _| web::test_bundlers(workspace) },
    Step { name: "browsers", run: browsers::test },
];

/// Runs every step and reports them all.
pub(crate) fn run_steps(workspace: &Workspace, extent: Extent) -> Result<(), Failure> {
    let start = now();
    let mut report = Vec::new();
    for (at, step) in STEPS.iter().enumerate() {
        println!("\n[{}/{}] {}", at + 1, STEPS.len(), step.name);
        let begin = now();
        let outcome = (step.run)(workspace, extent);
        let row = row(step.name, begin.elapsed(), &outcome);
        println!("{row}");
        report.push((row, outcome.is_ok()));
    }
    println!("\nSummary");
    for (row, _) in &report {
        println!("{row}");
    }
    if !workspace.root.join(EXTERNAL_VECTORS).is_dir() {
        println!("  NOT RUN: external vectors, because the folder {EXTERNAL_VECTORS} is absent");
    }
    let failed = report.iter().filter(|(_, passed)| !passed).count();
    println!("{} passed, {failed} failed in {:.0} s", report.len() - failed, start.elapsed().as_secs_f64());
    if failed == 0 { Ok(()) } else { Err(Failure::Steps(failed)) }
}

fn row(name: &str, took: Duration, outcome: &Result<(), Failure>) -> String {
    let seconds = took.as_secs_f64();
    match outcome {
        Ok(()) => format!("  ok     {seconds:7.1} s  {name}"),
        Err(failure) => format!("  FAILED {seconds:7.1} s  {name}: {failure}"),
    }
}

/// Programs and tests, as every step needs them: tests start our programs, which `cargo test` alone does not build.
///
/// Always this selection: which features the dependencies have depends on what is built together, and what is built with
/// other features is built once more. So the runner itself is built and tested alone, as the alias builds it.
pub(crate) fn build(workspace: &Workspace) -> Result<(), Failure> {
    cargo(workspace, "build --workspace --exclude xtask --bins --tests")
}

fn cargo(workspace: &Workspace, line: &str) -> Result<(), Failure> {
    run(&mut workspace.cargo(line.split_whitespace()))
}

/// Many seeds of whole networks with faults; `cargo xtask sim --seeds 2000` runs more of them.
fn simulator(workspace: &Workspace, extent: Extent) -> Result<(), Failure> {
    let seeds = if extent == Extent::Fast { 10 } else { 50 };
    cargo(workspace, &format!("run --release --package timecoin-tests --bin sim -- --seeds {seeds}"))
}

fn docs(workspace: &Workspace) -> Result<(), Failure> {
    let flags = std::env::var("RUSTDOCFLAGS").unwrap_or_default();
    let command = &mut workspace.cargo(["doc", "--workspace", "--no-deps"]);
    run(command.env("RUSTDOCFLAGS", format!("{flags} -D warnings")))
}

#[expect(clippy::disallowed_methods, reason = "the runner times its steps and never runs in wasm")]
fn now() -> Instant {
    Instant::now()
}
