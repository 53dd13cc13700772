//! Faults planted into a copy of the sources, one at a time: tests that notice none of them prove nothing.
//!
//! The lists are `tests/mutants/*.txt`. A fault that no test notices is a test to be written.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::reproducible::copy;
use crate::workspace::{Failure, Workspace, run};

/// A fault can make a test run for ever, and take all memory: after so many seconds, or with so many bytes, it has noticed.
const LIMITS: &[&str] = &["--kill-after=5", "120", "prlimit", "--as=8589934592"];

/// A fault is compiled for one run.
const QUICKLY: &[&str] = &[
    "--config=profile.dev.package.timecoin-core.opt-level=0",
    "--config=profile.dev.package.timecoin-core.debug=false",
];

struct List {
    name: &'static str,
    text: &'static str,
    /// Who is asked in turn, until one notices: arguments of Cargo, and of what it runs.
    tests: &'static [(&'static str, &'static str)],
}

const LISTS: &[List] = &[
    List {
        name: "consensus",
        text: include_str!("../../tests/mutants/consensus.txt"),
        tests: &[
            (
                "unit tests",
                "test --package timecoin-core --lib -- consensus:: validators:: vote:: evidence:: certificate::",
            ),
            ("malachite", "test --package timecoin-tests --test malachite"),
            ("Twins", "run --package timecoin-tests --bin sim -- --twins 2"),
            ("seeds", "run --package timecoin-tests --bin sim -- --seeds 5"),
        ],
    },
    List {
        name: "light",
        text: include_str!("../../tests/mutants/light.txt"),
        tests: &[
            ("unit tests", "test --package timecoin-core --lib -- light:: receipt:: certificate::"),
            ("liars", "test --package timecoin-tests --test liar"),
        ],
    },
];

/// One planted fault.
#[derive(Debug, PartialEq, Eq)]
struct Mutant {
    name: String,
    file: String,
    old: String,
    new: String,
}

/// Plants the faults of one list, or of all, of those whose names have one of these words, if there are any; says of each who noticed.
pub(crate) fn test(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Failure> {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    let (lists, words): (Vec<_>, Vec<_>) =
        words.iter().partition(|word| LISTS.iter().any(|list| list.name == **word));
    let place = workspace.target.join("mutants");
    // Two at once would plant into one copy.
    let _turn = lock(&place)?;
    let folder = place.join("source");
    let elsewhere = workspace.at(folder.clone(), place.join("output"));
    let (mut survived, mut killed) = (0, 0);
    for list in LISTS.iter().filter(|list| lists.is_empty() || lists.iter().any(|name| **name == list.name)) {
        let wanted =
            |mutant: &Mutant| words.is_empty() || words.iter().any(|word| mutant.name.contains(&***word));
        for mutant in read(list.text).into_iter().filter(wanted) {
            copy(&workspace.root, &folder)?;
            plant(&folder, &mutant)?;
            match noticed(&elsewhere, list)? {
                Some(test) => {
                    killed += 1;
                    println!("killed     {}: {}, by {test}", list.name, mutant.name);
                }
                None => {
                    survived += 1;
                    println!("SURVIVED   {}: {}", list.name, mutant.name);
                }
            }
        }
    }
    println!("{killed} killed, {survived} survived");
    if survived == 0 { Ok(()) } else { Err(Failure::Survived(survived)) }
}

/// Waits until nobody else plants here, and keeps it so.
fn lock(place: &Path) -> Result<File, Failure> {
    let path = place.join("lock");
    let locked = fs::create_dir_all(place).and_then(|()| File::create(&path)).and_then(|file| {
        file.lock()?;
        Ok(file)
    });
    locked.map_err(|source| Failure::Write { path, source })
}

/// The first who notices.
fn noticed(workspace: &Workspace, list: &List) -> Result<Option<&'static str>, Failure> {
    for (name, line) in list.tests {
        let (building, given) = line.split_once(" -- ").unwrap_or((line, ""));
        let (what, rest) = building.split_once(' ').unwrap_or((building, ""));
        // What does not compile is no fault, and takes no time of a test.
        let mut build = match what {
            "test" => vec!["test", "--quiet", "--no-run"],
            _ => vec!["build", "--quiet"],
        };
        build.extend(QUICKLY.iter().copied().chain(rest.split(' ')));
        run(quiet(workspace.cargo(build)).stderr(Stdio::inherit()))?;
        let quietly = [what, "--quiet"].into_iter().chain(QUICKLY.iter().copied());
        let cargo = workspace.cargo(quietly.chain(rest.split(' ')));
        let mut test = Command::new("timeout");
        test.args(LIMITS).arg(cargo.get_program()).args(cargo.get_args());
        if !given.is_empty() {
            test.arg("--").args(given.split(' '));
        }
        test.current_dir(&workspace.root).env("CARGO_TARGET_DIR", &workspace.target);
        match run(&mut quiet(test)) {
            Ok(()) => {}
            Err(Failure::Exit { .. }) => return Ok(Some(name)),
            Err(failure) => return Err(failure),
        }
    }
    Ok(None)
}

/// Without a word; code that a fault leaves unused is of no interest.
fn quiet(mut command: Command) -> Command {
    command.stdout(Stdio::null()).stderr(Stdio::null()).env("RUSTFLAGS", "--cap-lints=allow");
    command
}

fn plant(folder: &Path, mutant: &Mutant) -> Result<(), Failure> {
    let path = folder.join(&mutant.file);
    let text = fs::read_to_string(&path).map_err(|source| Failure::Read { path: path.clone(), source })?;
    fs::write(&path, text.replacen(&mutant.old, &mutant.new, 1))
        .map_err(|source| Failure::Write { path, source })
}

/// Reads a list: blocks of lines with a name, a file, and lines behind `-` and `+`; `#` begins a remark.
fn read(text: &str) -> Vec<Mutant> {
    let block = |block: &str| {
        let mut lines = block.lines().filter(|line| !line.starts_with('#'));
        let (name, file) = (lines.next()?.to_owned(), lines.next()?.to_owned());
        let lines: Vec<_> = lines.collect();
        let side = |sign| {
            let side: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix(sign)).collect();
            side.join("\n")
        };
        Some(Mutant { name, file, old: side('-'), new: side('+') })
    };
    text.split("\n\n").filter_map(block).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_list_is_read() {
        let mutant = |name: &str, old: &str, new: &str| Mutant {
            name: name.into(),
            file: "a/b.rs".into(),
            old: old.into(),
            new: new.into(),
        };
        let text = "# Said first.\n\none\na/b.rs\n-x\n-  y\n+ z\n\ntwo\na/b.rs\n-x\n";
        assert_eq!(read(text), [mutant("one", "x\n  y", " z"), mutant("two", "x", "")]);
    }

    #[test]
    fn every_planted_fault_changes_one_place_of_the_sources() {
        let manifest = std::env::var("CARGO_MANIFEST_DIR").expect("Cargo runs the tests");
        let root = Path::new(&manifest).parent().expect("xtask is in the repository");
        for list in LISTS {
            let mutants = read(list.text);
            assert!(mutants.len() >= 20, "{} has {}", list.name, mutants.len());
            let names: BTreeSet<_> = mutants.iter().map(|mutant| &mutant.name).collect();
            assert_eq!(names.len(), mutants.len(), "names are said once");
            for Mutant { name, file, old, new } in &mutants {
                let text = fs::read_to_string(root.join(file)).expect("the file is there");
                assert_eq!(text.matches(old.as_str()).count(), 1, "{name}: what it takes the place of");
                assert_ne!(old, new, "{name}");
            }
        }
    }
}
