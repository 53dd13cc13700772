//! `timecoin spec`.

use clap::Subcommand;

use super::{CliError, print};
use crate::config::load_chain;

/// What `timecoin spec` takes.
#[derive(Subcommand)]
pub(super) enum SpecCommand {
    /// Print a chain spec as a file
    Show {
        /// main, test, dev, or the path of a chain spec file
        #[arg(default_value = "main", value_name = "NAME|FILE")]
        chain: String,
    },
    /// Print a chain's id
    Id {
        /// main, test, dev, or the path of a chain spec file
        #[arg(default_value = "main", value_name = "NAME|FILE")]
        chain: String,
    },
}

pub(super) fn run(command: &SpecCommand) -> Result<(), CliError> {
    match command {
        SpecCommand::Show { chain } => print(load_chain(chain)?.to_json()),
        SpecCommand::Id { chain } => print(load_chain(chain)?.consensus.id()),
    }
}
