//! The one runner of this repository: `cargo xtask COMMAND`.
//!
//! Does all its own set-up and needs nothing but Rust and Node. It orders other programs about and checks what
//! a machine can check; it holds no rule of the chain. No other script is needed to build, test or start anything.

mod browsers;
mod mutants;
mod passed;
mod programs;
mod reproducible;
mod setup;
mod test;
mod tidy;
mod wasm;
mod web;
mod workspace;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use workspace::{Failure, Workspace};

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  devnet [ARGUMENTS]     build `timecoin` and start a local network (ARGUMENTS: `timecoin devnet --help`)
  test [--fast] [--again]
                         every check there is, set-up included; --fast runs fewer simulator seeds, and Chromium alone;
                         --again also what passed before and depends on nothing that has changed since
  sim --seeds N [...]    run the simulator; `sim --twins R`: all ways in which a validator that runs twice is heard in R rounds
  mutants [LIST] [WORD]  plant the faults of tests/mutants/ into a copy, one at a time, and say which test notices each
  bench [--json] [NAME]  measure (NAME and more: `cargo xtask bench --help`); everything takes three minutes;
                         `bench web [--json]`: what the npm package costs a page
  tidy                   the rules a machine can check: layering, purity, sizes, leftovers
  browsers [--fast]      the tests in Chromium, Firefox and WebKit; --fast: in Chromium alone
  wasm                   build the WebAssembly modules and run their tests under Node
  web                    build the npm package, `web/`, and the app, `www/`
  reproducible           build every module of the package in two folders, and compare
";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    let (command, rest) = match arguments.get(1..) {
        Some([command, rest @ ..]) => (command.to_str().unwrap_or_default(), rest),
        _ => ("", &[][..]),
    };
    match dispatch(command, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage) => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &str, rest: &[OsString]) -> Result<(), Failure> {
    if let "help" | "--help" | "-h" = command {
        print!("{USAGE}");
        return Ok(());
    }
    let workspace = Workspace::from_environment()?;
    match (command, rest) {
        ("devnet", _) => programs::devnet(&workspace, rest),
        ("sim", _) => programs::sim(&workspace, rest),
        ("mutants", _) => mutants::test(&workspace, rest),
        ("bench", [name, rest @ ..]) if name == "web" => web::bench(&workspace, rest),
        ("bench", _) => programs::bench(&workspace, rest),
        ("test", flags) if flags.iter().all(|flag| flag == "--fast" || flag == "--again") => {
            let has = |wanted: &str| flags.iter().any(|flag| flag == wanted);
            let extent = if has("--fast") { test::Extent::Fast } else { test::Extent::Full };
            test::run_steps(&workspace, extent, has("--again"))
        }
        ("browsers", []) => browsers::test(&workspace, test::Extent::Full),
        ("browsers", [flag]) if flag == "--fast" => browsers::test(&workspace, test::Extent::Fast),
        ("tidy", []) => tidy::run(&workspace),
        ("wasm", []) => wasm::test(&workspace),
        ("web", []) => web::build(&workspace),
        ("reproducible", []) => reproducible::test(&workspace, reproducible::Payloads::All),
        _ => Err(Failure::Usage),
    }
}
