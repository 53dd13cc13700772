//! What passed before: a step is not run again while the files it depends on, the programs it uses and what it is asked for are the
//! same. Whatever cannot be found out counts as changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::web::sha256;
use crate::workspace::Workspace;

/// Programs whose versions matter to steps that take minutes.
const PROGRAMS: [&str; 2] = ["rustc", "node"];

/// Hash of all that the outcome of a step depends on: every file of the repository but those below the folders `left_out`, and
/// further things by name. None where that cannot be found out, or where variables steer the tests.
pub(crate) fn fingerprint(workspace: &Workspace, left_out: &[&str], further: &[String]) -> Option<String> {
    if std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("TIMECOIN_")) {
        return None;
    }
    let mut text = further.join("\n");
    for program in PROGRAMS {
        text += &String::from_utf8(output(Command::new(program).arg("--version"))?).ok()?;
    }
    // Git's own hashes would miss what is not committed.
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let list = output(Command::new("git").args(list).current_dir(&workspace.root))?;
    let list = String::from_utf8(list).ok()?;
    let paths: BTreeSet<&str> = list.split('\0').filter(|path| !path.is_empty()).collect();
    for path in paths.into_iter().filter(|path| !left_out.iter().any(|folder| path.starts_with(folder))) {
        // A file that Git knows and that is gone is a change as well.
        let hash = fs::read(workspace.root.join(path)).map_or_else(|_| "gone".into(), |bytes| sha256(&bytes));
        text += &format!("{path} {hash}\n");
    }
    Some(sha256(text.as_bytes()))
}

/// Names, sizes and times of the files of a folder, which is no part of the repository; empty where it is absent.
pub(crate) fn listing(folder: &Path) -> String {
    let Ok(entries) = fs::read_dir(folder) else { return String::new() };
    let mut lines: Vec<String> = entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => listing(&entry.path()),
            Ok(found) => {
                let modified =
                    found.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
                format!("{} {} {modified:?}\n", entry.path().display(), found.len())
            }
            Err(_) => entry.path().display().to_string(),
        })
        .collect();
    lines.sort();
    lines.concat()
}

fn output(command: &mut Command) -> Option<Vec<u8>> {
    let output = command.output().ok()?;
    output.status.success().then_some(output.stdout)
}

fn note(workspace: &Workspace, step: &str) -> PathBuf {
    workspace.target.join("passed").join(step.replace(' ', "-"))
}

/// Whether the step passed with this fingerprint.
pub(crate) fn is_noted(workspace: &Workspace, step: &str, fingerprint: &str) -> bool {
    fs::read_to_string(note(workspace, step)).is_ok_and(|noted| noted == fingerprint)
}

/// The step has passed. Where that cannot be written down, it runs again next time.
pub(crate) fn write_down(workspace: &Workspace, step: &str, fingerprint: &str) {
    let path = note(workspace, step);
    let folder = path.parent().unwrap_or(&path);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, fingerprint));
    if let Err(error) = written {
        eprintln!("cannot write {}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passed_is_remembered_until_a_file_it_depends_on_changes() {
        let root = std::env::temp_dir().join(format!("timecoin-passed-{}", std::process::id()));
        fs::create_dir_all(root.join("aside")).unwrap();
        let write = |path: &str, text: &str| fs::write(root.join(path), text).unwrap();
        write("a.rs", "1");
        write("aside/b.rs", "1");
        assert!(output(Command::new("git").args(["init", "--quiet"]).current_dir(&root)).is_some());
        let here = Workspace::from_environment().unwrap().at(root.clone(), root.join(".git"));
        let of = || fingerprint(&here, &["aside/"], &["Full".into()]).unwrap();
        let before = of();
        assert!(!is_noted(&here, "a step", &before));
        write_down(&here, "a step", &before);
        assert!(is_noted(&here, "a step", &before) && !is_noted(&here, "another", &before));
        write("aside/b.rs", "2");
        assert_eq!(of(), before);
        assert_ne!(fingerprint(&here, &["aside/"], &["Fast".into()]).unwrap(), before);
        // Neither committed nor known to Git: it counts all the same.
        write("c.rs", "");
        let with_another = of();
        assert!(with_another != before && !is_noted(&here, "a step", &with_another));
        fs::remove_file(root.join("c.rs")).unwrap();
        write("a.rs", "2");
        assert!(![&before, &with_another].contains(&&of()));
        write("a.rs", "1");
        assert_eq!(of(), before);
        fs::remove_dir_all(&root).unwrap();
    }
}
