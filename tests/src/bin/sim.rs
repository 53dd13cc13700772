//! `sim`: runs the simulator over many seeds (`cargo xtask sim`).

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{available_parallelism, scope};
use std::time::Instant;

use timecoin_tests::sim::{Options, Outcome, Summary, Topology, run};
use timecoin_tests::twins::Play;

/// 15^6 scenarios take hours.
const TWIN_ROUNDS_MAX: u32 = 6;

const USAGE: &str = "\
Usage: sim --twins R [--samples N [--start S]]
       sim --seeds N [--start S] [--json] [--heights H] [--nodes N] [--topology T] [--steps-max N]

  --twins R      a validator that runs twice under one key and leads: all 15^R ways to part four validators in R rounds
  --samples N    instead, N of the ways to part seven validators, of whom two run twice, from seed S on
  --seeds N      how many seeds
  --start S      the first seed (0)
  --json         one line of JSON per seed that fails, and a summary
  --verbose      a line for every seed
  --log          what happens as it happens, on standard error
  --heights H    faults stop once this height is final (100)
  --nodes N      validators at genesis; without it the seed decides among 1, 4 and 7
  --topology T   who has sessions with whom: mesh (default), ring, line or star, with relays in between
  --steps-max N  a run that has not ended after so many steps has failed (2000000)
";

#[derive(Default)]
struct Arguments {
    seeds: Option<u64>,
    twins: Option<u32>,
    samples: Option<u64>,
    start: u64,
    json: bool,
    verbose: bool,
    options: Options,
    /// What a replay needs besides the seed.
    replay: String,
}

fn parse(mut list: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments::default();
    while let Some(name) = list.next() {
        match name.as_str() {
            "--json" => arguments.json = true,
            "--verbose" => arguments.verbose = true,
            "--log" => arguments.options.log = true,
            _ => {
                let value = list.next()?;
                if name == "--topology" {
                    arguments.options.topology = Topology::from_name(&value)?;
                    arguments.replay.push_str(&format!(" {name} {value}"));
                    continue;
                }
                let number: u64 = value.parse().ok()?;
                match name.as_str() {
                    "--seeds" => arguments.seeds = Some(number),
                    "--twins" => {
                        arguments.twins =
                            Some(u32::try_from(number).ok().filter(|rounds| *rounds <= TWIN_ROUNDS_MAX)?)
                    }
                    "--samples" => arguments.samples = Some(number),
                    "--start" => arguments.start = number,
                    "--heights" => arguments.options.heights = number,
                    "--nodes" => {
                        arguments.options.nodes = Some(usize::try_from(number).ok().filter(|n| *n > 0)?)
                    }
                    "--steps-max" => arguments.options.steps_max = number,
                    _ => return None,
                }
                if !["--seeds", "--start"].contains(&name.as_str()) {
                    arguments.replay.push_str(&format!(" {name} {number}"));
                }
            }
        }
    }
    let one = arguments.seeds.is_some() != arguments.twins.is_some();
    (one && (arguments.samples.is_none() || arguments.twins.is_some())).then_some(arguments)
}

fn main() -> ExitCode {
    let Some(arguments) = parse(std::env::args().skip(1)) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    match arguments.twins {
        Some(rounds) => twins(rounds, &arguments),
        None => seeds(&arguments),
    }
}

/// Calls `work` for the numbers below `count` on all processors, and `take` with what it gives, as it comes.
fn each<T: Send>(count: u64, work: impl Fn(u64) -> T + Sync, mut take: impl FnMut(T)) {
    let (finished, outcomes) = mpsc::channel();
    let taken = AtomicU64::new(0);
    scope(|threads| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            let (finished, taken, work) = (finished.clone(), &taken, &work);
            threads.spawn(move || {
                loop {
                    let number = taken.fetch_add(1, Ordering::Relaxed);
                    if number >= count || finished.send(work(number)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(finished);
        outcomes.into_iter().for_each(&mut take);
    });
}

fn seeds(arguments: &Arguments) -> ExitCode {
    let begin = now();
    let mut summary = Summary::default();
    let run = |number| {
        let seed = arguments.start.saturating_add(number);
        (seed, run(seed, &arguments.options))
    };
    each(arguments.seeds.unwrap_or(0), run, |(seed, outcome)| {
        summary.add(&outcome);
        report(seed, &outcome, arguments);
    });
    let elapsed_ms = begin.elapsed().as_millis() as u64;
    if arguments.json {
        println!("{}", summary.to_json(elapsed_ms));
    } else {
        println!("{}", summary.to_text(elapsed_ms));
    }
    if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn twins(rounds: u32, arguments: &Arguments) -> ExitCode {
    let begin = now();
    let (mut failed, mut noticed, mut views) = (0, 0, BTreeMap::<u32, u64>::new());
    let ways = arguments.samples.unwrap_or(Play::ways(rounds) as u64);
    let play = |number: u64| {
        let number = arguments.start.saturating_add(number);
        let play = match arguments.samples {
            Some(_) => Play::sample(rounds, number),
            None => Play::way(rounds, number as usize),
        };
        (number, play.run())
    };
    each(ways, play, |(number, ending)| match ending {
        Ok(ending) => {
            noticed += usize::from(ending.evidence > 0);
            *views.entry(ending.decided_in.0).or_default() += 1;
        }
        Err(fault) => {
            failed += 1;
            println!("scenario {number} of {rounds} rounds FAILED: {fault}");
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{ways} scenarios of {rounds} rounds, {failed} failed, in {noticed} the twins were noticed, {seconds:.0} s"
    );
    println!("the view of the last decision, and how often: {views:?}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(seed: u64, outcome: &Outcome, arguments: &Arguments) {
    if arguments.json && (arguments.verbose || outcome.failure.is_some()) {
        println!("{}", outcome.to_json());
    } else if let Some(failure) = &outcome.failure {
        println!("seed {seed} FAILED: {failure}\n  again: {}", outcome.replay(&arguments.replay));
    } else if arguments.verbose {
        let (heights, steps, trace) = (outcome.heights, outcome.steps, outcome.trace);
        println!("seed {seed}: {heights} heights, {steps} steps, trace {trace}");
    }
}

#[expect(clippy::disallowed_methods, reason = "the only clock here measures the simulator itself")]
fn now() -> Instant {
    Instant::now()
}
