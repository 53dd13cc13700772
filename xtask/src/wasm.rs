//! The WebAssembly modules: compiled, given their JavaScript side, and tested under Node.
//!
//! `wasm-bindgen` is called as a library pinned beside the crate, so no tool of a matching version has to be installed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, iter};

use wasm_bindgen_cli_support::Bindgen;

use crate::workspace::{Failure, Workspace, modified, run, test_files};
use crate::{setup, test, web};

/// A package that becomes a module of its own.
pub(crate) struct Module {
    package: &'static str,
    features: &'static [&'static str],
    profile: &'static str,
    flags: &'static [&'static str],
}

/// The light node, and everything else a page can do.
pub(crate) const WEB: Module =
    Module { package: "timecoin-web", features: &[], profile: "wasm", flags: COMPACT };

/// The smaller of SHA-2's two forms.
const COMPACT: &[&str] = &["--cfg", "sha2_backend=\"soft\"", "--cfg", "sha2_backend_soft=\"compact\""];

/// The same with the line-JSON tools, and the replay of traces, for tests under Node.
const TOOLS: Module = Module { features: &["tool", "testing"], ..WEB };

/// The same for the measurements in pages: what ships, and what is measured.
pub(crate) const MEASURED: &Module = &TOOLS;

/// The full validator.
pub(crate) const VALIDATOR: Module =
    Module { package: "timecoin-validator", features: &[], profile: "wasm", flags: COMPACT };

/// The check of receipts alone: small before fast.
pub(crate) const VERIFIER: Module =
    Module { package: "timecoin-verifier", features: &[], profile: "verifier", flags: COMPACT };

/// Whom the JavaScript side is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// CommonJS, for our tests.
    Node,
    /// A module of the web, which is handed the address of the payload.
    Web,
}

impl Module {
    /// The name of the files, without an extension.
    pub(crate) fn name(&self) -> String {
        self.package.replace('-', "_")
    }

    /// Builds the package; returns the module as the compiler left it.
    pub(crate) fn compile(&self, workspace: &Workspace) -> Result<PathBuf, Failure> {
        setup::wasm_target()?;
        let Self { package, features, profile, flags } = self;
        let arguments = ["build", "--package", package, "--target", setup::WASM, "--profile", profile];
        let mut build = workspace.cargo(arguments);
        build.args(["--features", &features.join(",")]);
        build.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", encoded_flags(workspace, flags));
        run(&mut build)?;
        Ok(workspace.target.join(setup::WASM).join(profile).join(self.name() + ".wasm"))
    }

    /// Puts the payload and its JavaScript side into `folder`.
    pub(crate) fn bind(&self, compiled: &Path, host: Host, folder: &Path) -> Result<(), Failure> {
        let mut bindgen = Bindgen::new();
        bindgen.input_path(compiled).typescript(host == Host::Web);
        bindgen.remove_name_section(host == Host::Web).remove_producers_section(true);
        let bindgen = match host {
            Host::Node => bindgen.nodejs(true),
            Host::Web => bindgen.web(true).map(|bindgen| bindgen.omit_default_module_path(true)),
        };
        bindgen.and_then(|bindgen| bindgen.generate(folder)).map_err(|error| Failure::Bindgen(error.into()))
    }
}

/// Flags for the compiler, which leave no trace of where this machine keeps things: the same sources give the same
/// payload in any folder.
fn encoded_flags(workspace: &Workspace, flags: &[&str]) -> OsString {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    // The folder of a registry is called after the server asked, which need not be the same everywhere.
    let registries =
        cargo_home.iter().filter_map(|folder| folder.join("registry").join("src").read_dir().ok());
    let registries: Vec<_> =
        registries.flatten().filter_map(|entry| Some((entry.ok()?.path(), "/crates"))).collect();
    // Of several that fit, the compiler takes the last.
    let folders = iter::once((workspace.root.clone(), "/timecoin"))
        .chain(cargo_home.map(|folder| (folder, "/cargo")))
        .chain(registries);
    let mut encoded = OsString::from(flags.join("\u{1f}"));
    for (from, to) in folders {
        if !encoded.is_empty() {
            encoded.push("\u{1f}");
        }
        encoded.push("--remap-path-prefix=");
        encoded.push(from);
        encoded.push(format!("={to}"));
    }
    encoded
}

/// Writes down what builds for other machines are compared with, natively, unless this build has. Returns its folder.
pub(crate) fn record(workspace: &Workspace) -> Result<PathBuf, Failure> {
    test::build(workspace)?;
    let folder = workspace.target.join("trace");
    let recorder = test::program(workspace, "trace");
    // The recorder writes this file last.
    if modified(&folder.join("verdicts.txt"))? < modified(&recorder)? {
        run(Command::new(recorder).arg(&folder))?;
    }
    Ok(folder)
}

/// Runs every test under `tests/wasm/` against the modules.
pub(crate) fn test(workspace: &Workspace) -> Result<(), Failure> {
    setup::node()?;
    let folder = workspace.target.join("wasm-bindgen").join("nodejs");
    TOOLS.bind(&TOOLS.compile(workspace)?, Host::Node, &folder)?;
    let node_module = folder.join(WEB.name() + ".js");
    let trace = record(workspace)?;
    web::package(workspace)?;
    let files = test_files(&workspace.root.join("tests").join("wasm"))?;
    let node = &mut Command::new("node");
    run(node
        .args(["--test", "--test-reporter=spec"])
        .args(files)
        .current_dir(&workspace.root)
        .env("TIMECOIN_WASM", node_module)
        .env("TIMECOIN_TRACE", trace))
}
