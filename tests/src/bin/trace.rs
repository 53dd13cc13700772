//! `trace`: writes down what reached one node of a simulated network, and where its replay stands after each step; and a chain with good
//! and bad blocks at each height, and what is to be said of each: for another build to compare with.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use futures::FutureExt;
use timecoin_core::codec::encode;
use timecoin_core::testing::trace::replay;
use timecoin_core::testing::verdicts::{judge, record as record_blocks};
use timecoin_tests::sim::{Options, record};

/// Seeds whose machine lives long enough are looked for from here on.
const FIRST_SEED: u64 = 0;
/// A life must reach this height, through the end of an epoch and with faults around it.
const HEIGHT_MIN: u64 = 100;
/// Good blocks of the chain whose blocks are judged, through twelve epochs.
const JUDGED: u64 = 60;

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1).map(PathBuf::from) else {
        eprintln!("Usage: trace FOLDER");
        return ExitCode::from(2);
    };
    let options = Options { nodes: Some(4), heights: HEIGHT_MIN, ..Options::default() };
    let lives = (FIRST_SEED..).map(|seed| (seed, record(seed, &options, 0)));
    let found =
        lives.into_iter().find_map(|(seed, life)| Some((seed, life.filter(|(_, end)| end.0 >= HEIGHT_MIN)?)));
    let Some((seed, (trace, end))) = found else { return ExitCode::FAILURE };
    let bytes = encode(&trace);
    let stands = match replay(trace).now_or_never().expect("a memory store never makes anyone wait") {
        Ok(stands) => stands,
        Err(error) => {
            eprintln!("trace: {error}");
            return ExitCode::FAILURE;
        }
    };
    let last = stands.last().map(|stand| stand.height);
    if last != Some(end) {
        eprintln!("trace: seed {seed} ended at {end}, and its replay at {last:?}");
        return ExitCode::FAILURE;
    }
    let lines: String = stands.iter().map(|stand| format!("{} {}\n", stand.height, stand.hash)).collect();
    let judged = record_blocks(FIRST_SEED, JUDGED);
    let verdicts = judge(&judged).expect("its own recording");
    let verdict_lines: String = verdicts.iter().map(|verdict| format!("{verdict}\n")).collect();
    let written = fs::create_dir_all(&folder)
        .and_then(|()| fs::write(folder.join("trace.bin"), &bytes))
        .and_then(|()| fs::write(folder.join("trace.txt"), lines))
        .and_then(|()| fs::write(folder.join("verdicts.bin"), encode(&judged)))
        .and_then(|()| fs::write(folder.join("verdicts.txt"), verdict_lines));
    match written {
        Ok(()) => {
            println!("seed {seed}: {} steps to height {end}, {} bytes", stands.len(), bytes.len());
            println!("{} blocks to be judged, at {JUDGED} heights", verdicts.len());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("trace: {error}");
            ExitCode::FAILURE
        }
    }
}
