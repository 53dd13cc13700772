//! Where the repository is, and how its other programs are started.

use std::env;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::SystemTime;

/// Why a command did not succeed. The text says what to do where the reader can do something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line is not one of ours.
    #[error("unknown command")]
    Usage,
    /// The runner was started in another way than by Cargo.
    #[error("start this as `cargo xtask COMMAND`, inside the repository")]
    NotUnderCargo,
    /// A program could not be started.
    #[error("cannot start `{command}`: {source}")]
    Start {
        /// The command line.
        command: String,
        /// Why not.
        source: io::Error,
    },
    /// A program ran and reported failure.
    #[error("`{command}` failed ({status})")]
    Exit {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file or folder could not be written or removed.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Node is missing or too old.
    #[error("Node {required} or newer is needed (https://nodejs.org): {found}")]
    Node {
        /// The oldest major version that will do.
        required: u32,
        /// What is there instead.
        found: String,
    },
    /// The JavaScript side of the wasm module could not be generated.
    #[error("wasm-bindgen: {0}")]
    Bindgen(Box<dyn Error + Send + Sync>),
    /// Two builds of one module are not the same.
    #[error("{module} is another one when it is built elsewhere: {one} and {other}")]
    Differs {
        /// Which.
        module: String,
        /// The hash of one build.
        one: String,
        /// The hash of the other.
        other: String,
    },
    /// A payload holds the name of a folder of this machine.
    #[error("{module} tells where it was built: {place}")]
    Tells {
        /// Which.
        module: String,
        /// What it tells.
        place: String,
    },
    /// No test noticed planted faults; each was printed.
    #[error("{0} planted fault(s) were noticed by no test")]
    Survived(usize),
    /// The sources break rules; each was printed.
    #[error("{0} violation(s) of the rules above")]
    Untidy(usize),
    /// Steps of `test` failed; each was printed.
    #[error("{0} step(s) of the test run failed")]
    Steps(usize),
}

/// The repository this runner belongs to.
pub(crate) struct Workspace {
    /// The folder with the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's output folder.
    pub(crate) target: PathBuf,
    cargo: OsString,
}

impl Workspace {
    /// Reads what `cargo run` tells its child. Nothing is fixed at compile time: a copied `target` folder must
    /// not make the runner work on the repository it was copied from.
    pub(crate) fn from_environment() -> Result<Self, Failure> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").ok_or(Failure::NotUnderCargo)?;
        let cargo = env::var_os("CARGO").ok_or(Failure::NotUnderCargo)?;
        let executable = env::current_exe().map_err(|_| Failure::NotUnderCargo)?;
        let root = Path::new(&manifest).parent().ok_or(Failure::NotUnderCargo)?.to_path_buf();
        // <target>/debug/xtask
        let target = executable.ancestors().nth(2).ok_or(Failure::NotUnderCargo)?.to_path_buf();
        Ok(Self { root, target, cargo })
    }

    /// The same Cargo for another folder.
    pub(crate) fn at(&self, root: PathBuf, target: PathBuf) -> Self {
        Self { root, target, cargo: self.cargo.clone() }
    }

    /// A Cargo command in the root folder, with the output folder pinned so that its results are found.
    pub(crate) fn cargo<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.cargo);
        command.args(arguments).current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command
    }
}

/// The `*.test.mjs` files of a folder, in order. Named one by one: what `node --test FOLDER` means differs between
/// Node versions.
pub(crate) fn test_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read = |source| Failure::Read { path: folder.to_path_buf(), source };
    let entries = fs::read_dir(folder).map_err(read)?.collect::<Result<Vec<_>, _>>().map_err(read)?;
    let mut files: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    files.retain(|file| file.to_string_lossy().ends_with(".test.mjs"));
    files.sort();
    Ok(files)
}

/// When a file was last written; `None` where it does not exist.
pub(crate) fn modified(path: &Path) -> Result<Option<SystemTime>, Failure> {
    match fs::metadata(path).and_then(|metadata| metadata.modified()) {
        Ok(time) => Ok(Some(time)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Failure::Read { path: path.to_path_buf(), source }),
    }
}

/// Runs a command to its end, its output passed through.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|source| Failure::Start { command: line(command), source })?;
    if status.success() { Ok(()) } else { Err(Failure::Exit { command: line(command), status }) }
}

/// Becomes the command: it alone gets Ctrl-C, and its exit code is ours. Returns only on failure to start.
#[cfg(unix)]
pub(crate) fn become_program(command: &mut Command) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt;
    let source = command.exec();
    Err(Failure::Start { command: line(command), source })
}

/// Runs the command in our place: where processes cannot be replaced, wait for it and leave with its exit code.
#[cfg(not(unix))]
pub(crate) fn become_program(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|source| Failure::Start { command: line(command), source })?;
    std::process::exit(status.code().unwrap_or(1))
}

/// The command as one would type it: the program without its folder, then the arguments.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_stem().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
