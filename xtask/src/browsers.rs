//! The tests in real browsers: what they need installed, and their start under Node.
//!
//! The rig and its tests are `tests/browser/`; which browsers they drive is decided here.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use wasm_bindgen_cli_support::Bindgen;

use crate::setup;
use crate::test::{self, Extent};
use crate::workspace::{Failure, Workspace, modified, run, test_files};
use crate::{wasm, web};

/// A program the tests start, and the Debian package it comes in.
struct Program {
    name: &'static str,
    package: &'static str,
    extent: Extent,
}

const PROGRAMS: &[Program] = &[
    Program { name: "chromium", package: "chromium", extent: Extent::Fast },
    Program { name: "firefox-esr", package: "firefox-esr", extent: Extent::Full },
    Program { name: "WebKitWebDriver", package: "webkit2gtk-driver", extent: Extent::Full },
    Program { name: "Xvfb", package: "xvfb", extent: Extent::Full },
    Program { name: "dbus-run-session", package: "dbus", extent: Extent::Full },
];

/// What the names of files begin with whose tests wait for minutes and work for seconds: they run beside the others.
const WAITING: &[&str] = &["absence", "validator-"];
/// The one among them that waits for ten minutes.
const LONGEST: &str = "validator-frozen.test.mjs";

/// Files that may be run again: more than these fail for a reason that is everywhere.
const AGAIN_MAX: usize = 4;

/// Runs every test under `tests/browser/`: in Chromium alone, or in all three browsers.
pub(crate) fn test(workspace: &Workspace, extent: Extent) -> Result<(), Failure> {
    set_up(workspace, extent)?;
    let module = build(workspace)?;
    web::package(workspace)?;
    let trace = wasm::record(workspace)?;
    let files = test_files(&workspace.root.join("tests").join("browser"))?;
    let waits = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        WAITING.iter().any(|prefix| name.starts_with(prefix))
    };
    let (mut waiting, working): (Vec<_>, Vec<_>) = files.into_iter().partition(waits);
    // They are begun in this order.
    waiting.sort_by_key(|file| !file.ends_with(LONGEST));
    if extent == Extent::Fast {
        waiting.retain(|file| !file.ends_with(LONGEST));
    }
    let output = workspace.target.join("browser");
    let node = |files: Vec<PathBuf>, concurrency: usize, failures: &Path| {
        fs::create_dir_all(&output).map_err(|source| Failure::Write { path: output.clone(), source })?;
        let mut node = Command::new("node");
        node.args(["--test", "--test-timeout=900000", &format!("--test-concurrency={concurrency}")]);
        node.args(["--test-reporter=spec", "--test-reporter-destination=stdout"]);
        node.arg("--test-reporter=./tests/browser/rig/failures.mjs");
        node.arg("--test-reporter-destination").arg(failures).args(files);
        node.current_dir(&workspace.root).env("TIMECOIN_MODULE", &module).env("TIMECOIN_TRACE", &trace);
        with_programs(workspace, &mut node)?;
        node.env("TIMECOIN_BROWSER_OUTPUT", &output);
        if extent == Extent::Fast {
            node.env("TIMECOIN_BROWSERS", "chromium");
        }
        Ok::<_, Failure>(node)
    };
    // The others run in turn while the longest waits.
    let lists = ["waiting", "working"].map(|lane| output.join(lane).with_extension("failures"));
    let mut waiting = node(waiting, 2, &lists[0])?;
    let mut working = node(working, 1, &lists[1])?;
    let outcome = thread::scope(|scope| {
        let waiting = scope.spawn(|| run(&mut waiting));
        let worked = run(&mut working);
        let waited = waiting.join().unwrap_or_else(|panic| resume_unwind(panic));
        worked.and(waited)
    });
    if outcome.is_ok() {
        return outcome;
    }
    // Several browsers on a small machine take each other's time, and end each other: what failed beside others is asked again alone.
    let failed = failures(&lists)?;
    let (browsers, failed): (Vec<_>, Vec<_>) =
        failed.into_iter().partition(|(_, words)| words.starts_with('@'));
    let files: BTreeSet<_> = failed.iter().map(|(file, _)| file.as_str()).collect();
    if files.is_empty() || files.len() > AGAIN_MAX {
        return outcome;
    }
    let told: String = failed.iter().map(|(file, words)| format!("  {file}: {words}\n")).collect();
    println!("again, alone, after these failed beside others:\n{told}");
    let mut again = node(files.iter().map(|file| workspace.root.join(file)).collect(), 1, &lists[0])?;
    // Where each of them failed in some browsers, in those.
    if browsers.iter().all(|(_, name)| name != "@all") {
        let names: BTreeSet<_> = browsers.iter().map(|(_, name)| name.trim_start_matches('@')).collect();
        again.env("TIMECOIN_BROWSERS", names.into_iter().collect::<Vec<_>>().join(","));
    }
    let outcome = run(&mut again);
    let word = if outcome.is_ok() { "passed" } else { "failed" };
    println!("{word} a second time, after these had failed beside others:\n{told}");
    outcome
}

/// The tests that failed: the file of each, and its name with what it said.
fn failures(lists: &[PathBuf]) -> Result<Vec<(String, String)>, Failure> {
    let mut failures = Vec::new();
    for path in lists {
        let list = fs::read_to_string(path).map_err(|source| Failure::Read { path: path.clone(), source })?;
        failures.extend(
            list.lines()
                .filter_map(|line| line.split_once('\t'))
                .map(|(file, words)| (file.into(), words.into())),
        );
    }
    Ok(failures)
}

/// Builds the programs that pages talk to, and says where they are.
pub(crate) fn with_programs(workspace: &Workspace, node: &mut Command) -> Result<(), Failure> {
    test::build(workspace)?;
    for (variable, program) in
        [("TIMECOIN", "timecoin"), ("TIMECOIN_LIAR", "liar"), ("TIMECOIN_RELAY", "relay")]
    {
        node.env(variable, test::program(workspace, program));
    }
    Ok(())
}

/// Builds the module with what only tests call; quickly, for it is not the one that ships. Returns its folder.
fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    setup::wasm_target()?;
    let package = ["build", "--package", "timecoin-web", "--features", "testing", "--target", setup::WASM];
    run(&mut workspace.cargo(package))?;
    let module = workspace.target.join(setup::WASM).join("debug").join("timecoin_web.wasm");
    let folder = workspace.target.join("wasm-bindgen").join("testing");
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).typescript(false);
    let generated = bindgen.web(true).and_then(|bindgen| bindgen.generate(&folder));
    generated.map_err(|error| Failure::Bindgen(error.into()))?;
    Ok(folder)
}

/// Installs what is missing, and says so.
fn set_up(workspace: &Workspace, extent: Extent) -> Result<(), Failure> {
    setup::node()?;
    let wanted = PROGRAMS.iter().filter(|program| extent == Extent::Full || program.extent == Extent::Fast);
    let missing: Vec<&str> =
        wanted.filter(|program| !is_on_path(program.name)).map(|program| program.package).collect();
    if !missing.is_empty() {
        println!("set-up: installing {} by apt-get", missing.join(", "));
        let mut install = Command::new("apt-get");
        install.args(["install", "--yes", "--no-install-recommends"]).args(&missing);
        install.env("DEBIAN_FRONTEND", "noninteractive");
        // The lists of packages may be missing, or older than what is to be had.
        if run(&mut install).is_err() {
            run(Command::new("apt-get").args(["update", "--quiet"]))?;
            run(&mut install)?;
        }
    }
    node_modules(&workspace.root.join("www"))
}

/// Installs a folder's locked development packages, unless they are there and no older than the lockfile.
pub(crate) fn node_modules(folder: &Path) -> Result<(), Failure> {
    let lockfile = modified(&folder.join("package-lock.json"))?;
    // npm writes this file last.
    let installed = modified(&folder.join("node_modules").join(".package-lock.json"))?;
    if lockfile.is_none() || installed >= lockfile {
        return Ok(());
    }
    eprintln!("set-up: installing the packages of {}", folder.display());
    // Standard output may be read by a program: `devnet --json`.
    run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder).stdout(io::stderr()))
}

fn is_on_path(program: &str) -> bool {
    on_path(program).is_some()
}

fn on_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The browsers and what drives them, each with its size and time.
pub(crate) fn installed() -> String {
    let describe = |program: &Program| {
        let found = on_path(program.name).and_then(|path| fs::metadata(path).ok());
        format!("{} {:?}\n", program.name, found.map(|found| (found.len(), found.modified().ok())))
    };
    PROGRAMS.iter().map(describe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_on_the_path() {
        assert!(is_on_path("cargo"));
        assert!(!is_on_path("no-such-program-anywhere"));
    }

    #[test]
    fn a_folder_without_lockfile_needs_no_packages() {
        assert_eq!(
            modified(Path::new("no-such-folder/package-lock.json")).expect("absent is no failure"),
            None
        );
        node_modules(Path::new("no-such-folder")).expect("there is nothing to install");
    }
}
