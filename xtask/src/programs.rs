//! Commands that build one of our programs in release mode and become it.

use std::ffi::OsString;
use std::process::Command;

use crate::web;
use crate::workspace::{Failure, Workspace, become_program, run};

/// Starts a local network: builds `timecoin` and, unless told `--no-web`, the page it serves; then is `timecoin devnet`
/// with the same arguments.
///
/// Building reports to stderr only, so that `--json` output stays clean. A network without its page is still one.
pub(crate) fn devnet(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    let asked = |option: &str| arguments.iter().any(|argument| argument == option);
    let wanted = !["--no-web", "--web", "--help", "-h"].into_iter().any(asked);
    if wanted && let Err(failure) = web::build(workspace) {
        eprintln!("the page could not be built: {failure}");
    }
    start(workspace, "timecoin-native", "timecoin", &[&["devnet".into()], arguments].concat())
}

/// Runs the simulator.
pub(crate) fn sim(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    start(workspace, "timecoin-tests", "sim", arguments)
}

/// Runs the benchmarks, one of which runs `timecoin devnet`.
pub(crate) fn bench(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    build(workspace, "timecoin-native", "timecoin")?;
    start(workspace, "timecoin-tests", "bench", arguments)
}

/// Builds and becomes a program. It starts in the caller's folder: arguments may be relative paths.
fn start(workspace: &Workspace, package: &str, name: &str, arguments: &[OsString]) -> Result<(), Failure> {
    build(workspace, package, name)?;
    let program = workspace.target.join("release").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    become_program(Command::new(program).args(arguments))
}

/// Builds a program as it is measured.
pub(crate) fn build(workspace: &Workspace, package: &str, name: &str) -> Result<(), Failure> {
    run(&mut workspace.cargo(["build", "--release", "--package", package, "--bin", name]))
}
