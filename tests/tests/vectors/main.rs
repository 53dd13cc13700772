//! Agreement with the outside: vectors and implementations nobody on this project wrote.
//!
//! Vectors are read from `../shared/vectors` beside the repository. Where the folder is absent the test says so
//! on standard error and passes; the differential tests against other crates always run.

mod bech32m;
mod bip39;
mod codec;
mod ed25519;
mod golden;
mod light_client;
mod rfc6962;
mod slip10;
mod twins;

use std::fs;

use std::io::Write;
use std::path::{Path, PathBuf};
use timecoin_core::testing::Rng;

/// The vector file or folder of this name, or `None` with a loud word where the vectors are not there.
fn vectors(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors").join(name);
    if !path.exists() {
        // Not eprintln!, whose output the test harness keeps to itself when a test passes.
        let warning = format!("SKIPPED: no external vectors at {}: nothing was compared\n", path.display());
        std::io::stderr().write_all(warning.as_bytes()).expect("standard error takes a warning");
        return None;
    }
    Some(path)
}

/// The text of a vector file.
fn vector_text(name: &str) -> Option<String> {
    Some(fs::read_to_string(vectors(name)?).expect("the vector file is readable"))
}

/// A vector file read as JSON.
fn vector_json(name: &str) -> Option<serde_json::Value> {
    Some(serde_json::from_str(&vector_text(name)?).expect("the vector file is JSON"))
}

/// Shuffles after Fisher and Yates.
fn shuffle<T>(rng: &mut Rng, items: &mut [T]) {
    for at in (1..items.len()).rev() {
        items.swap(at, rng.position(at + 1));
    }
}
