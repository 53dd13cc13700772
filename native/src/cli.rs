//! The command line: what there is to say, and what is said when it goes wrong.
//!
//! Results go to standard output, as JSON where a program may read them; logs and errors go to standard error.
//! An error is one line, `error[code]: what happened: what to do`. Codes are stable. Exit status: 0 done, 1 it went
//! wrong, 2 the command line is wrong.

mod db;
mod devnet;
mod keys;
mod masternode;
mod node;
mod rpc;
mod session;
mod spec;
mod tool;
mod wallet;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::client::ClientError;
use crate::config::ConfigError;
use crate::devnet::DevnetError;
use crate::http::BindError;
use crate::identity::IdentityError;
use crate::run::{StartError, StopReason};
use crate::store::StoreError;
use crate::tls::TlsError;
use crate::wallet::{WalletError, address_code};
use timecoin_core::address::AddressError;
use timecoin_core::driver::{DriverError, ReindexError};
use timecoin_core::node::{ReplayError, RestoreError};
use timecoin_core::schema::RowError;

/// What still reads or writes when a command is done is left to itself after this long.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// TimeCoin: full node, devnet, wallet and tools
#[derive(Parser)]
#[command(name = "timecoin", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node
    Node(Box<node::NodeCommand>),
    /// Run a network of validators on this machine, with payments
    Devnet(devnet::DevnetCommand),
    /// Make and show key files
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Call a method of a node's JSON-RPC
    Rpc(rpc::RpcCommand),
    /// Keep keys, see balances, pay, prove payments
    #[command(subcommand)]
    Wallet(Box<wallet::WalletCommand>),
    /// Register and look after masternodes
    #[command(subcommand)]
    Masternode(Box<masternode::MasternodeCommand>),
    /// Check, copy and mend the store of a node that does not run
    #[command(subcommand)]
    Db(db::DbCommand),
    /// Show chain specs
    #[command(subcommand)]
    Spec(spec::SpecCommand),
    /// Answer lines of JSON on standard input, one each
    Tool(tool::ToolCommand),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The node stopped.
    #[error(transparent)]
    Stop(StopReason),
    /// A key file.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A node's RPC.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The devnet.
    #[error(transparent)]
    Devnet(#[from] DevnetError),
    /// An address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A wallet.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// A store cannot be made again from its blocks.
    #[error(transparent)]
    Reindex(#[from] ReindexError<StoreError>),
    /// A store is damaged; where has been said.
    #[error("the store in {} is damaged in {count} places: restore a backup or synchronise into a new folder", path.display())]
    Faults {
        /// The data folder.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// The system refuses a thread, a terminal or a file.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        error: std::io::Error,
    },
}

impl CliError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => config_code(error),
            Self::Start(error) => start_code(error),
            Self::Stop(reason) => match reason {
                StopReason::Requested => "stopped",
                StopReason::Halted(_) => "halted",
                StopReason::Failed(error) => driver_code(error),
                StopReason::Panicked => "internal",
            },
            Self::Identity(error) => identity_code(error),
            Self::Store(error) => store_code(error),
            Self::Client(error) => client_code(error),
            Self::Devnet(error) => error.code(),
            Self::Address(error) => address_code(error),
            Self::Wallet(error) => error.code(),
            Self::Reindex(error) => reindex_code(error),
            Self::Faults { .. } => "data-damaged",
            Self::System { .. } => "system",
        }
    }
}

pub(crate) fn config_code(error: &ConfigError) -> &'static str {
    match error {
        ConfigError::Unreadable { .. } => "config-unreadable",
        ConfigError::Syntax { .. } => "config-syntax",
        ConfigError::UnknownKey { .. } => "config-unknown-key",
        ConfigError::Value { .. } => "config-value",
        ConfigError::Spec { .. } => "chain-spec",
        ConfigError::Tls(TlsError::Unreadable { .. }) => "tls-unreadable",
        ConfigError::Tls(TlsError::Absent { .. }) => "tls-absent",
        ConfigError::Tls(TlsError::Unusable { .. }) => "tls-unusable",
        ConfigError::NoHome => "no-home",
    }
}

pub(crate) fn start_code(error: &StartError) -> &'static str {
    match error {
        StartError::Store(error) => store_code(error),
        StartError::Restore(error) => driver_code(error),
        StartError::Bind(error) => bind_code(error),
        StartError::Identity(error) => identity_code(error),
        StartError::Thread(_) => "system",
    }
}

pub(crate) fn bind_code(error: &BindError) -> &'static str {
    match error {
        BindError::InUse { .. } => "port-in-use",
        BindError::NotAllowed { .. } => "port-not-allowed",
        BindError::Unusable { .. } => "address-unusable",
    }
}

fn driver_code(error: &DriverError<StoreError>) -> &'static str {
    match error {
        DriverError::Store(error) => store_code(error),
        DriverError::Tree(_) => "data-damaged",
        DriverError::Restore(error) => match error {
            RestoreError::Genesis(_) => "chain-spec",
            RestoreError::Forked => "forked",
            RestoreError::Row(error) => row_code(error),
        },
    }
}

fn row_code(error: &RowError) -> &'static str {
    match error {
        RowError::Version { .. } => "data-version",
        RowError::Chain { .. } => "data-other-chain",
        RowError::Absent { .. } | RowError::Damaged { .. } | RowError::Mismatch(_) | RowError::Tree(_) => {
            "data-damaged"
        }
    }
}

fn reindex_code(error: &ReindexError<StoreError>) -> &'static str {
    match error {
        ReindexError::Store(error) => store_code(error),
        ReindexError::Row(error) => row_code(error),
        ReindexError::Replay(ReplayError::Genesis(_)) => "chain-spec",
        ReindexError::Absent { .. } | ReindexError::Damaged { .. } | ReindexError::Replay(_) => {
            "data-damaged"
        }
    }
}

pub(crate) fn store_code(error: &StoreError) -> &'static str {
    match error {
        StoreError::Locked { .. } => "data-locked",
        StoreError::Newer { .. } => "data-newer",
        StoreError::Absent { .. } => "data-absent",
        StoreError::Occupied { .. } => "occupied",
        StoreError::Damaged { .. } => "data-damaged",
        StoreError::DiskFull { .. } => "disk-full",
        StoreError::Io { .. } => "data-io",
        StoreError::KeyTooLong { .. } => "internal",
        StoreError::Failed => "data-failed",
    }
}

pub(crate) fn identity_code(error: &IdentityError) -> &'static str {
    match error {
        IdentityError::Io { .. } => "key-file",
        IdentityError::Exposed { .. } => "key-exposed",
        IdentityError::Malformed { .. } => "key-malformed",
        IdentityError::Entropy => "no-entropy",
    }
}

pub(crate) fn client_code(error: &ClientError) -> &'static str {
    match error {
        ClientError::Url { .. } => "node-url",
        ClientError::Unreachable { .. } => "node-unreachable",
        ClientError::Closed | ClientError::Timeout => "node-silent",
        ClientError::Refused { .. } => "rpc-refused",
        ClientError::Form { .. } => "rpc-form",
    }
}

/// Runs the command line this process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let done = match command {
        Command::Node(command) => node::run(*command),
        Command::Devnet(command) => devnet::run(command),
        Command::Keys(command) => keys::run(command),
        Command::Rpc(command) => rpc::run(command),
        Command::Wallet(command) => wallet::run(*command),
        Command::Masternode(command) => masternode::run(*command),
        Command::Db(command) => db::run(&command),
        Command::Spec(command) => spec::run(&command),
        Command::Tool(command) => tool::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has what it wanted.
        Err(CliError::System { error, .. }) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Standard error may be closed; there is nobody else to tell.
            let _ = writeln!(std::io::stderr(), "error[{}]: {error}", error.code());
            ExitCode::FAILURE
        }
    }
}

/// Runs an async command to its end.
fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::System { what: "cannot start the runtime", error })?;
    let done = runtime.block_on(future);
    // Whoever reads standard input cannot be interrupted: a node that stopped by itself waited for its parent to close it.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    done
}

/// Writes a line of result. A reader that went away ends the command silently, like other filters.
fn print(line: impl std::fmt::Display) -> Result<(), CliError> {
    let written = writeln!(std::io::stdout(), "{line}");
    written.map_err(|error| CliError::System { what: "cannot write the result", error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// What a match arm of the sources gives as a code.
    fn code(line: &str) -> Option<&str> {
        let text = line.split_once("=> ").map_or(line, |(_, text)| text).trim().trim_end_matches(',');
        let code = text.strip_prefix('"')?.strip_suffix('"')?;
        code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-').then_some(code)
    }

    #[test]
    fn every_code_is_in_the_table_of_the_documentation() {
        let sources = [include_str!("cli.rs"), include_str!("wallet/error.rs"), include_str!("devnet.rs")];
        let sources = sources.map(|source| source.split("#[cfg(test)]").next().unwrap_or_default());
        let given: std::collections::BTreeSet<_> =
            sources.into_iter().flat_map(str::lines).filter_map(code).collect();
        let document = include_str!("../../docs/CLI.md").split("## Errors").nth(1).unwrap();
        let row = |line: &'static str| line.strip_prefix("| `")?.split('`').next();
        let documented: Vec<_> = document.lines().filter_map(row).collect();
        assert!(documented.is_sorted_by(|one, two| one < two));
        assert_eq!(documented, given.into_iter().collect::<Vec<_>>());
    }
}
