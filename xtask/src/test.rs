//! `cargo xtask test`: every check, in order, each timed; all of them run even when one fails. What takes minutes, passed before and
//! depends on nothing that has changed since is not run again.
//!
//! Steps share Cargo's output: clippy and docs use the same checked dependencies, and programs and tests are built
//! with one set of features.

use std::env::consts::EXE_EXTENSION;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::workspace::{Failure, Workspace, run};
use crate::{browsers, passed, reproducible, setup, tidy, wasm, web};

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// For a step that is remembered when it passes: files and folders, by the beginning of their paths, that it does not depend on.
    remembered: Option<&'static [&'static str]>,
}

impl Step {
    const fn new(name: &'static str, run: fn(&Workspace, Extent) -> Result<(), Failure>) -> Self {
        Self { name, run, remembered: None }
    }

    const fn remembered(self, left_out: &'static [&'static str]) -> Self {
        Self { remembered: Some(left_out), ..self }
    }

    /// What the outcome depends on; none where the step is always run.
    fn fingerprint(&self, workspace: &Workspace, extent: Extent) -> Option<String> {
        let vectors = passed::listing(&workspace.root.join(EXTERNAL_VECTORS));
        let further = [format!("{extent:?}"), vectors, browsers::installed()];
        passed::fingerprint(workspace, self.remembered?, &further)
    }
}

/// No test reads these.
const TEXTS: &str = "docs/adr/";

const STEPS: &[Step] = &[
    Step::new("set-up", |workspace, _| setup::for_tests(workspace)),
    Step::new("tidy", |workspace, _| tidy::run(workspace)),
    Step::new("format", |workspace, _| cargo(workspace, "fmt --all --check")),
    Step::new("clippy", |workspace, _| cargo(workspace, "clippy --workspace --all-targets -- -D warnings")),
    Step::new("clippy wasm32", |workspace, _| {
        let packages =
            ["core", "web", "validator", "verifier"].map(|name| format!("--package timecoin-{name} "));
        cargo(workspace, &format!("clippy {} --target {} -- -D warnings", packages.concat(), setup::WASM))
    }),
    Step::new("docs", |workspace, _| docs(workspace)),
    Step::new("build", |workspace, _| build(workspace)),
    // Not `--doc`: tidy sees to it that there is nothing to run, and looking for it reads every crate once more.
    Step::new("tests", |workspace, _| {
        cargo(workspace, "test --workspace --exclude xtask --lib --bins --tests --no-fail-fast")
    })
    .remembered(&[
        "www/",
        "tests/browser/",
        "tests/bundlers/",
        "tests/measure/",
        "tests/wasm/",
        "xtask/",
        TEXTS,
    ]),
    Step::new("tests of xtask", |workspace, _| cargo(workspace, "test --package xtask --bins")),
    Step::new("simulator", simulator).remembered(&[
        "www/",
        "web/",
        "tests/browser/",
        "tests/bundlers/",
        "tests/measure/",
        "tests/wasm/",
        "tests/tests/",
        "docs/",
    ]),
    Step::new("wasm under Node", |workspace, _| wasm::test(workspace)).remembered(&[
        "www/",
        "tests/browser/",
        "tests/bundlers/",
        "tests/measure/",
        "tests/tests/",
        TEXTS,
    ]),
    Step::new("reproducible", |workspace, _| reproducible::test(workspace, reproducible::Payloads::Smallest))
        .remembered(&["www/", "tests/", "docs/"]),
    Step::new("bundlers", |workspace, _| web::test_bundlers(workspace)).remembered(&[
        "www/",
        "tests/browser/",
        "tests/measure/",
        "tests/tests/",
        "tests/wasm/",
        TEXTS,
    ]),
    Step::new("browsers", browsers::test).remembered(&[
        "tests/bundlers/",
        "tests/measure/",
        "tests/tests/",
        "tests/wasm/",
        TEXTS,
    ]),
];

/// Runs every step and reports them all; `again` also those that have passed and would do so once more.
pub(crate) fn run_steps(workspace: &Workspace, extent: Extent, again: bool) -> Result<(), Failure> {
    let start = now();
    let mut report = Vec::new();
    for (at, step) in STEPS.iter().enumerate() {
        println!("\n[{}/{}] {}", at + 1, STEPS.len(), step.name);
        let begin = now();
        let fingerprint = step.fingerprint(workspace, extent);
        let noted =
            fingerprint.as_ref().filter(|fingerprint| passed::is_noted(workspace, step.name, fingerprint));
        if noted.is_some() && !again {
            let row = format!(
                "  ok     before     {}: nothing that it depends on has changed since it passed",
                step.name
            );
            println!("{row}");
            report.push((row, true));
            continue;
        }
        let outcome = (step.run)(workspace, extent);
        if let (Ok(()), Some(fingerprint)) = (&outcome, &fingerprint) {
            passed::write_down(workspace, step.name, fingerprint);
        }
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

/// Where [`build`] puts a program.
pub(crate) fn program(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.target.join("debug").join(name).with_extension(EXE_EXTENSION)
}

fn cargo(workspace: &Workspace, line: &str) -> Result<(), Failure> {
    run(&mut workspace.cargo(line.split_whitespace()))
}

/// Many seeds of whole networks with faults, and validators that run twice; `cargo xtask sim --seeds 2000` and `--twins 4` run more of
/// them. Not in release mode, like those: to build everything once more takes longer than what it saves here.
fn simulator(workspace: &Workspace, extent: Extent) -> Result<(), Failure> {
    build(workspace)?;
    let seeds = if extent == Extent::Fast { "10" } else { "50" };
    let program = program(workspace, "sim");
    run(Command::new(&program).args(["--seeds", seeds]))?;
    run(Command::new(&program).args(["--twins", "3"]))
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
