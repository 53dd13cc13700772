//! `bench`: measures, and says what is measured beside each figure's anchor (`cargo xtask bench`).

use std::process::ExitCode;

use mimalloc::MiMalloc;
use serde_json::json;
use timecoin_tests::bench::{Extent, Figure, SUBJECTS, Subject, waited};

/// The allocator of `timecoin`, for what is measured in this process.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[derive(Default)]
struct Arguments {
    json: bool,
    extent: Extent,
    names: Vec<String>,
}

fn main() -> ExitCode {
    let Some(arguments) = parse(std::env::args().skip(1)) else {
        eprint!("{}", usage());
        return ExitCode::from(2);
    };
    let machine = machine();
    if arguments.json {
        println!("{}", json!({ "event": "start", "machine": machine }));
    } else {
        println!("{machine}");
    }
    let chosen = |subject: &&Subject| {
        arguments.names.is_empty() || arguments.names.iter().any(|name| name == subject.name)
    };
    for subject in SUBJECTS.iter().filter(chosen) {
        let (figures, seconds) = waited(|| (subject.run)(arguments.extent));
        if arguments.json {
            figures.iter().for_each(|figure| println!("{}", line(subject.name, figure)));
            continue;
        }
        println!("\n{}: {} ({seconds:.0} s)", subject.name, subject.about);
        figures.iter().for_each(|figure| println!("  {}", row(figure)));
    }
    ExitCode::SUCCESS
}

fn usage() -> String {
    let subjects = SUBJECTS.iter().map(|subject| format!("  {:<14}{}\n", subject.name, subject.about));
    format!(
        "Usage: bench [--json] [--full] [NAME]...\n\n  --json  a line of JSON per figure\n  \
         --full  more sizes, and longer\n\n{}",
        subjects.collect::<String>()
    )
}

fn parse(list: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments::default();
    for word in list {
        match word.as_str() {
            "--json" => arguments.json = true,
            "--full" => arguments.extent = Extent::Full,
            name if SUBJECTS.iter().any(|subject| subject.name == name) => arguments.names.push(word),
            _ => return None,
        }
    }
    Some(arguments)
}

fn line(subject: &str, figure: &Figure) -> String {
    let Figure { name, value, unit, beside } = figure;
    json!({ "event": "figure", "bench": subject, "name": name, "value": value, "unit": unit, "beside": beside })
        .to_string()
}

fn row(figure: &Figure) -> String {
    let Figure { name, value, unit, beside } = figure;
    let beside = beside.map(|other| format!("   ({other})")).unwrap_or_default();
    // Three digits that say something, and thousands set apart.
    let decimals = if *value >= 100.0 {
        0
    } else if *value >= 10.0 {
        1
    } else {
        2
    };
    let digits = format!("{value:.decimals$}");
    let whole = digits.split('.').next().unwrap_or_default().len();
    let mut number = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at < whole && (whole - at).is_multiple_of(3) {
            number.push(',');
        }
        number.push(digit);
    }
    format!("{name:<88}{number:>10} {unit}{beside}")
}

/// What it is measured on.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let profile = if cfg!(debug_assertions) { "debug build: figures mean nothing" } else { "release build" };
    format!("{model}, {cores} cores, {} {}, {profile}", std::env::consts::ARCH, std::env::consts::OS)
}
