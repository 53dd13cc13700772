//! Two builds in two folders: the payloads of the npm package must not tell where, or after what, they were built.
//!
//! The second build is of a copy of the sources in another folder with an output folder of its own, so it shares nothing
//! with the first but the compiler and the downloaded sources of others. What did not change is not copied again, so
//! that Cargo builds again only what did.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::wasm::{Host, Module, VALIDATOR, VERIFIER, WEB};
use crate::web;
use crate::workspace::{Failure, Workspace};

/// What Cargo needs to build a package of the workspace.
const SOURCES: &[&str] = &["Cargo.toml", "Cargo.lock", "core", "native", "tests", "web", "xtask"];
/// What is made, or of no use to Cargo.
const LEFT_OUT: &[&str] = &["dist", "generated", "node_modules", "target", "vectors"];

/// How much is built a second time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payloads {
    /// The receipt verifier: the same machinery as for all, and soon done.
    Smallest,
    /// Every module.
    All,
}

/// Builds payloads twice and compares them.
pub(crate) fn test(workspace: &Workspace, payloads: Payloads) -> Result<(), Failure> {
    let folder = workspace.target.join("reproducible").join("some other place");
    copy(&workspace.root, &folder)?;
    let elsewhere = workspace.at(folder.clone(), folder.join("output"));
    let modules: &[&Module] =
        if payloads == Payloads::All { &[&VERIFIER, &WEB, &VALIDATOR] } else { &[&VERIFIER] };
    for module in modules {
        let here = payload(workspace, module, &workspace.target.join("reproducible").join("here"))?;
        let there = payload(&elsewhere, module, &folder.join("there"))?;
        let (one, other) = (web::sha256(&here), web::sha256(&there));
        println!("{}: {one}", module.name());
        if one != other {
            return Err(Failure::Differs { module: module.name(), one, other });
        }
        for place in [workspace.root.as_path(), &folder] {
            let place = place.to_string_lossy();
            if here.windows(place.len()).any(|bytes| bytes == place.as_bytes()) {
                return Err(Failure::Tells { module: module.name(), place: place.into_owned() });
            }
        }
    }
    Ok(())
}

/// The payload of a module as it is published, and as `buildInfo()` names it.
fn payload(workspace: &Workspace, module: &Module, folder: &Path) -> Result<Vec<u8>, Failure> {
    module.bind(&module.compile(workspace)?, Host::Web, folder)?;
    let path = folder.join(module.name() + "_bg.wasm");
    fs::read(&path).map_err(|source| Failure::Read { path, source })
}

/// Makes `to` have the sources of `from`, and nothing else but what is built from them.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut wanted = BTreeSet::new();
    for name in SOURCES {
        list(from, &PathBuf::from(name), &mut wanted)?;
    }
    let mut present = BTreeSet::new();
    for name in SOURCES.iter().filter(|name| to.join(name).exists()) {
        list(to, &PathBuf::from(name), &mut present)?;
    }
    for gone in present.difference(&wanted) {
        let path = to.join(gone);
        fs::remove_file(&path).map_err(|source| Failure::Write { path, source })?;
    }
    for name in &wanted {
        let (source, path) = (from.join(name), to.join(name));
        let bytes = fs::read(&source).map_err(|error| Failure::Read { path: source, source: error })?;
        if fs::read(&path).is_ok_and(|known| known == bytes) {
            continue;
        }
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        folder.and_then(|()| fs::write(&path, bytes)).map_err(|source| Failure::Write { path, source })?;
    }
    Ok(())
}

/// The files at or below `name` in a folder, by their names in it.
fn list(root: &Path, name: &Path, files: &mut BTreeSet<PathBuf>) -> Result<(), Failure> {
    let path = root.join(name);
    if !path.is_dir() {
        files.insert(name.to_path_buf());
        return Ok(());
    }
    let failed = |source| Failure::Read { path: path.clone(), source };
    for entry in fs::read_dir(&path).map_err(failed)? {
        let below = entry.map(|entry| entry.file_name()).map_err(failed)?;
        if !LEFT_OUT.iter().any(|left_out| below == *left_out) {
            list(root, &name.join(below), files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_copy_follows_its_original() -> io::Result<()> {
        let place = std::env::temp_dir().join(format!("timecoin-xtask-{}", std::process::id()));
        let (from, to) = (place.join("from"), place.join("to"));
        for name in SOURCES {
            fs::create_dir_all(from.join(name).join("src"))?;
        }
        for name in ["core/src/a.rs", "core/src/b.rs", "core/target"] {
            fs::write(from.join(name), name)?;
        }
        let copied = || {
            copy(&from, &to).expect("it can be copied");
            let mut files = BTreeSet::new();
            list(&to, Path::new("core"), &mut files).expect("it is there");
            files
        };
        let named = |names: &[&str]| names.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        assert_eq!(copied(), named(&["core/src/a.rs", "core/src/b.rs"]));
        let written = fs::metadata(to.join("core/src/b.rs"))?.modified()?;
        fs::remove_file(from.join("core/src/a.rs"))?;
        fs::write(from.join("core/src/c.rs"), "new")?;
        assert_eq!(copied(), named(&["core/src/b.rs", "core/src/c.rs"]));
        assert_eq!(fs::metadata(to.join("core/src/b.rs"))?.modified()?, written, "left alone");
        fs::remove_dir_all(place)
    }
}
