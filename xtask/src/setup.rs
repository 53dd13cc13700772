//! What a fresh machine lacks: installed where `rustup` can, asked for where it cannot. Says nothing when all is there.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::workspace::{Failure, Workspace, run};

/// The target of everything that runs in a page.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// The oldest Node whose test runner and wasm support we rely on.
const NODE_MAJOR: u32 = 20;

/// The components and programs the whole test run needs.
pub(crate) fn for_tests(workspace: &Workspace) -> Result<(), Failure> {
    for (component, probe) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !succeeds(&mut workspace.cargo([probe, "--version"])) {
            println!("set-up: adding {component}");
            run(Command::new("rustup").args(["component", "add", component]))?;
        }
    }
    wasm_target()?;
    node()
}

/// Adds the standard library for wasm, unless the compiler in use has it.
pub(crate) fn wasm_target() -> Result<(), Failure> {
    let asked = Command::new("rustc").args(["--print", "target-libdir", "--target", WASM]).output();
    if asked.is_ok_and(|answer| Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_dir()) {
        return Ok(());
    }
    println!("set-up: adding the target {WASM}");
    run(Command::new("rustup").args(["target", "add", WASM]))
}

/// Checks that a usable Node is on the path.
pub(crate) fn node() -> Result<(), Failure> {
    let unusable = |found: String| Failure::Node { required: NODE_MAJOR, found };
    let answer = Command::new("node").arg("--version").output();
    let answer = answer.map_err(|error| unusable(format!("`node` does not start: {error}")))?;
    let version = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    match major(&version) {
        Some(major) if major >= NODE_MAJOR => Ok(()),
        _ => Err(unusable(format!("`node --version` says {version:?}"))),
    }
}

/// The first number of `v20.1.2`.
fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn node_versions() {
        for (version, expected) in
            [("v20.20.2", Some(20)), ("v9.0.0", Some(9)), ("", None), ("20.1.0", None), ("v.1", None)]
        {
            assert_eq!(major(version), expected, "{version:?}");
        }
    }
}
