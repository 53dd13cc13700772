//! The npm package `web/` and the app `www/`: made from the wasm modules, TypeScript and Svelte; not made again when
//! nothing changed.
//!
//! Standard output stays clean, for `devnet --json`.
//!
//! No bundler makes the package: it is plain ES modules beside plain `.wasm` files, in the forms that the bundlers of
//! those who use it understand. `wasm-opt` is not used: measured on the verifier, none of `-Os`, `-Oz` and `-O2 -Oz`
//! made the compressed payload smaller.

use std::env::consts::EXE_EXTENSION;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::browsers::{self, node_modules};
use crate::programs;
use crate::setup;
use crate::wasm::{Host, MEASURED, Module, VALIDATOR, VERIFIER, WEB};
use crate::workspace::{Failure, Workspace, run, test_files};

/// The modules of the package, by the name of their facts in `build.ts`.
const MODULES: &[(&str, &Module)] = &[("NODE", &WEB), ("VALIDATOR", &VALIDATOR), ("VERIFIER", &VERIFIER)];

/// Folders whose content is made, not written.
const MADE: &[&str] = &["dist", "dist-fixture", "generated", "node_modules", "target"];

/// Makes the package, then the app over it.
pub(crate) fn build(workspace: &Workspace) -> Result<(), Failure> {
    package(workspace)?;
    app(workspace)
}

/// Makes `web/dist/`.
pub(crate) fn package(workspace: &Workspace) -> Result<(), Failure> {
    setup::node()?;
    let (web, www) = (workspace.root.join("web"), workspace.root.join("www"));
    node_modules(&www)?;
    let compiled = MODULES
        .iter()
        .map(|(name, module)| Ok((*name, *module, module.compile(workspace)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let mut inputs = compiled.iter().map(|(.., path)| path.clone()).collect::<Vec<_>>();
    inputs.extend([web.join("js"), web.join("tsconfig.json"), www.join("package-lock.json")]);
    let (generated, dist) = (web.join("js").join("generated"), web.join("dist"));
    unless_current(workspace, "package", &inputs, &dist, || {
        empty(&generated)?;
        empty(&dist)?;
        for (_, module, path) in &compiled {
            module.bind(path, Host::Web, &generated)?;
        }
        write(&generated.join("build.ts"), &facts(&generated)?)?;
        let compiler = www.join("node_modules").join("typescript").join("bin").join("tsc");
        let compile = |arguments: &[&str]| {
            let mut node = Command::new("node");
            run(node.arg(&compiler).arg("--project").arg(&web).args(arguments).stdout(io::stderr()))
        };
        // Whoever writes a page reads the comments of the declarations; whoever opens it loads the scripts.
        compile(&["--emitDeclarationOnly"])?;
        compile(&["--declaration", "false", "--removeComments"])?;
        publish(&generated, &dist)
    })
}

/// Makes `www/dist/`.
fn app(workspace: &Workspace) -> Result<(), Failure> {
    let www = workspace.root.join("www");
    let inputs = [www.clone(), workspace.root.join("web").join("dist")];
    unless_current(workspace, "app", &inputs, &www.join("dist"), || {
        run(Command::new("npm").args(["run", "build", "--silent"]).current_dir(&www).stdout(io::stderr()))
    })
}

/// Runs the projects that use the package as its users do.
pub(crate) fn test_bundlers(workspace: &Workspace) -> Result<(), Failure> {
    package(workspace)?;
    let files = test_files(&workspace.root.join("tests").join("bundlers"))?;
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=spec"]).args(files).current_dir(&workspace.root);
    run(node.env("TIMECOIN_BUNDLERS", workspace.target.join("bundlers")))
}

/// What the package costs a page, beside the gates.
pub(crate) fn bench(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    package(workspace)?;
    let measured = workspace.target.join("wasm-bindgen").join("measured");
    MEASURED.bind(&MEASURED.compile(workspace)?, Host::Web, &measured)?;
    programs::build(workspace, "timecoin-tests", "sample")?;
    let script = workspace.root.join("tests").join("measure").join("web.mjs");
    let mut node = Command::new("node");
    node.arg(script).args(arguments).current_dir(&workspace.root);
    node.env("TIMECOIN_MEASURED", measured);
    node.env(
        "TIMECOIN_SAMPLE",
        workspace.target.join("release").join("sample").with_extension(EXE_EXTENSION),
    );
    browsers::with_programs(workspace, &mut node)?;
    run(&mut node)
}

/// Version, hash and size of each payload, as a TypeScript module.
fn facts(generated: &Path) -> Result<String, Failure> {
    let mut source = String::from("/** What `cargo xtask web` made; the hash is of the `.wasm` file. */\n");
    for (name, module) in MODULES {
        let payload = read(&generated.join(module.name() + "_bg.wasm"))?;
        let hash = sha256(&payload);
        source += &format!(
            "export const {name} = {{\n  version: '{}',\n  wasm_sha256: '{hash}',\n  bytes: {},\n}};\n",
            env!("CARGO_PKG_VERSION"),
            payload.len()
        );
    }
    Ok(source)
}

/// The hash of a payload, in hexadecimal.
pub(crate) fn sha256(payload: &[u8]) -> String {
    Sha256::digest(payload).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts what was generated into the package: payloads beside the entries, the rest where the entries import it.
fn publish(generated: &Path, dist: &Path) -> Result<(), Failure> {
    for path in entries(generated)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let to = match name.as_str() {
            payload if payload.ends_with(".wasm") => dist.join(payload),
            // The payload's own exports, of no use to anyone.
            unused if unused.ends_with(".wasm.d.ts") || unused == "build.ts" => continue,
            glue => dist.join("generated").join(glue),
        };
        fs::copy(&path, &to).map_err(|source| Failure::Write { path: to, source })?;
    }
    Ok(())
}

/// Makes a folder, unless it was made from these very inputs.
fn unless_current(
    workspace: &Workspace,
    name: &str,
    inputs: &[PathBuf],
    folder: &Path,
    make: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut hasher = Sha256::new();
    for input in inputs {
        hash_into(&mut hasher, input)?;
    }
    let current = hasher.finalize();
    let stamp = workspace.target.join("web").join(name);
    if folder.is_dir() && fs::read(&stamp).is_ok_and(|made_from| made_from[..] == current[..]) {
        return Ok(());
    }
    make()?;
    fs::create_dir_all(workspace.target.join("web"))
        .and_then(|()| fs::write(&stamp, current))
        .map_err(|source| Failure::Write { path: stamp.clone(), source })
}

/// Hashes a file, or what was written by hand in a folder.
fn hash_into(hasher: &mut Sha256, path: &Path) -> Result<(), Failure> {
    if !path.is_dir() {
        let bytes = read(path)?;
        hasher.update(path.to_string_lossy().as_bytes());
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
        return Ok(());
    }
    for entry in entries(path)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        if !(entry.is_dir() && MADE.contains(&&*name)) {
            hash_into(hasher, &entry)?;
        }
    }
    Ok(())
}

/// What is in a folder, in order.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |source| Failure::Read { path: folder.to_path_buf(), source };
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// Makes a folder that has nothing in it.
fn empty(folder: &Path) -> Result<(), Failure> {
    let removed = match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    removed
        .and_then(|()| fs::create_dir_all(folder))
        .map_err(|source| Failure::Write { path: folder.to_path_buf(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|source| Failure::Read { path: path.to_path_buf(), source })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|source| Failure::Write { path: path.to_path_buf(), source })
}
