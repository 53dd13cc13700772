//! The WebAssembly module: built, given its JavaScript side, and tested under Node.
//!
//! `wasm-bindgen` is called as a library pinned beside the crate, so no tool of a matching version has to be installed.

use std::path::PathBuf;
use std::process::Command;

use wasm_bindgen_cli_support::Bindgen;

use crate::setup;
use crate::workspace::{Failure, Workspace, run, test_files};

/// Builds `timecoin-web` for Node; returns the CommonJS file to `require`.
fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    setup::wasm_target()?;
    run(&mut workspace.cargo([
        "build",
        "--package",
        "timecoin-web",
        "--target",
        setup::WASM,
        "--profile",
        "wasm",
    ]))?;
    let module = workspace.target.join(setup::WASM).join("wasm").join("timecoin_web.wasm");
    let folder = workspace.target.join("wasm-bindgen").join("nodejs");
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).typescript(false);
    let generated = bindgen.nodejs(true).and_then(|bindgen| bindgen.generate(&folder));
    generated.map_err(|error| Failure::Bindgen(error.into()))?;
    Ok(folder.join("timecoin_web.js"))
}

/// Runs every test under `tests/wasm/` against the module.
pub(crate) fn test(workspace: &Workspace) -> Result<(), Failure> {
    setup::node()?;
    let module = build(workspace)?;
    let files = test_files(&workspace.root.join("tests").join("wasm"))?;
    let node = &mut Command::new("node");
    run(node
        .args(["--test", "--test-reporter=spec"])
        .args(files)
        .current_dir(&workspace.root)
        .env("TIMECOIN_WASM", module))
}
