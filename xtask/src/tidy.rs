//! `cargo xtask tidy`: the rules of this repository that a machine can check.
//!
//! Reads sources only, needs no build. Every finding names the place, the rule and the reason for it.

mod layers;
mod manifests;
mod rust;
mod text;
mod tokens;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace::{Failure, Workspace};

/// Files that must exist; each is there for readers who come later.
const REQUIRED: &[&str] = &[
    ".ci/run",
    "CHANGELOG.md",
    "Cargo.lock",
    "README.md",
    "docs/ARCHITECTURE.md",
    "docs/PROTOCOL.md",
    "docs/adr",
];

/// Folders that hold no source of ours, wherever they are.
const FOREIGN: &[&str] = &["target", "node_modules", "dist", "pkg", "generated", "vectors", "devnet"];

/// A broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Path below the root, with `/`.
    pub(crate) file: String,
    /// Counted from 1.
    pub(crate) line: usize,
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// What is there, and why it should not be.
    pub(crate) reason: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, rule, reason } = self;
        write!(f, "{file}:{line}: {rule}: {reason}")
    }
}

/// Checks the whole repository and prints what it finds.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let mut files = Vec::new();
    walk(&workspace.root, &mut files)?;
    files.sort();
    let mut violations = Vec::new();
    for path in &files {
        let below = path.strip_prefix(&workspace.root).unwrap_or(path);
        let file = below.to_string_lossy().replace('\\', "/");
        let source =
            fs::read_to_string(path).map_err(|source| Failure::Read { path: path.clone(), source })?;
        violations.extend(check(&file, &source));
    }
    let missing = REQUIRED.iter().filter(|file| !workspace.root.join(file).exists());
    violations.extend(missing.map(|file| Violation {
        file: (*file).to_owned(),
        line: 1,
        rule: "required file",
        reason: "is missing".to_owned(),
    }));
    for violation in &violations {
        println!("{violation}");
    }
    println!("tidy: {} files, {} violations", files.len(), violations.len());
    if violations.is_empty() { Ok(()) } else { Err(Failure::Untidy(violations.len())) }
}

/// Every rule that applies to one file.
fn check(file: &str, source: &str) -> Vec<Violation> {
    let mut violations = text::check(file, source);
    if file.ends_with(".rs") {
        violations.extend(rust::check(file, source));
    } else if file.ends_with("Cargo.toml") {
        violations.extend(manifests::check(file, source));
    }
    violations
}

/// Collects the files some rule reads.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let read = |source| Failure::Read { path: folder.to_path_buf(), source };
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().map_err(read)?.is_dir() {
            if !name.starts_with('.') && !FOREIGN.contains(&name.as_str()) {
                walk(&entry.path(), files)?;
            }
        } else if text::is_source(&name) || name == "Cargo.toml" {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_says_where_what_and_why() {
        let found = check("core/src/vote.rs", "//! Votes.\n\nuse std::time::Instant;\n");
        let lines: Vec<String> = found.iter().map(Violation::to_string).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("core/src/vote.rs:3: purity: `std::time`"), "{}", lines[0]);
    }
}
