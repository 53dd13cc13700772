//! Agreement with a Quint model of Tendermint: its traces (Informal Trace Format), replayed.
//!
//! | trace | replayed against |
//! |---|---|
//! | `votekeeperTest` | `consensus::votes::VoteSet` |
//! | `consensusTest` | `consensus::round::Round` |
//! | all others, of whole validators | the engine, `consensus::Consensus` |
//!
//! Traces are read from `../shared/vectors/itf` beside the repository. Where the folder is absent the test says
//! so on standard error and passes.

mod engine;
mod round;
mod trace;
mod votes;

use std::io::{Read, Write};
use std::path::Path;

use serde_json::Value;

/// Every trace whose name passes the filter, with its name.
fn traces(wanted: impl Fn(&str) -> bool) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/itf");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        // Not eprintln!, whose output the test harness keeps to itself when a test passes.
        let warning = format!("SKIPPED: no traces at {}: nothing was replayed\n", folder.display());
        std::io::stderr().write_all(warning.as_bytes()).expect("standard error takes a warning");
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    let named = paths.into_iter().map(|path| {
        let name = path.file_name().expect("a file").to_string_lossy().replace(".itf.json.gz", "");
        (name, path)
    });
    let read = |(name, path): (String, std::path::PathBuf)| {
        let mut text = String::new();
        let file = std::fs::File::open(path).expect("a readable trace");
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("a gzipped trace");
        (name, serde_json::from_str(&text).expect("a trace is JSON"))
    };
    named.filter(|(name, _)| wanted(name)).map(read).collect()
}
