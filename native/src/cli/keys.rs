//! `timecoin keys`: operator key files, and an operator's consent to serve a masternode's owner.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use timecoin_core::address::Address;
use timecoin_core::hash::to_hex;
use timecoin_core::node::Chain;
use timecoin_core::wallet::build::OperatorConsent;

use super::{CliError, print};
use crate::config::load_chain;
use crate::identity;

/// What `timecoin keys` takes.
#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Make an operator key file that has never signed
    New {
        /// The file to make
        file: PathBuf,
    },
    /// Show the public key of a key file
    Show {
        /// The key file
        file: PathBuf,
    },
    /// Agree to serve a masternode's owner: prints the proof that registering or rotating needs
    Prove {
        /// The operator key file
        file: PathBuf,
        /// The owner's address
        #[arg(long)]
        owner: String,
        /// Chain: main, test, dev, or the path of a chain spec file
        #[arg(long, default_value = "main", value_name = "NAME|FILE")]
        chain: String,
    },
}

pub(super) fn run(command: KeysCommand) -> Result<(), CliError> {
    match command {
        KeysCommand::New { file } => {
            let key = identity::new_key()?;
            identity::write_unused_key(&file, &key)?;
            print(json!({ "public_key": key.public_key().to_string(), "file": file }))
        }
        KeysCommand::Show { file } => {
            let key = identity::read_key(&file)?;
            print(json!({ "public_key": key.public_key().to_string() }))
        }
        KeysCommand::Prove { file, owner, chain } => {
            let chain = Chain::new(load_chain(&chain)?);
            let owner = Address::parse_for(chain.spec.consensus.network, &owner)?;
            let consent = OperatorConsent::sign(&chain.id, &owner, &identity::read_key(&file)?);
            print(json!({
                "operator": consent.operator.to_string(),
                "operator_proof": to_hex(&consent.proof.0),
            }))
        }
    }
}
