//! Making wallets, and their addresses.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use timecoin_core::amount::Amount;
use timecoin_core::node::Chain;

use crate::cli::CliError;
use crate::cli::session::{Place, address as written};
use crate::clock;
use crate::config::load_chain;
use crate::wallet::{Folder, Keyring, Secret, WalletError, new_password, recovery_words};

/// What making a wallet takes.
#[derive(Args)]
pub(in crate::cli) struct Making {
    #[command(flatten)]
    place: Place,
    /// Chain: main, test, dev, or the path of a chain spec file; the wallet keeps it and trusts its genesis
    #[arg(long, default_value = "main", value_name = "NAME|FILE")]
    chain: String,
    /// File with the password, in place of typing it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// What `timecoin wallet address` takes.
#[derive(Subcommand)]
pub(in crate::cli) enum AddressCommand {
    /// Give out an address that was not given out before
    New {
        #[command(flatten)]
        place: Place,
        /// File with the password, needed once in a hundred addresses
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// List the addresses given out or used, with their coins as of the last scan
    List {
        #[command(flatten)]
        place: Place,
    },
}

pub(super) fn new(making: &Making, words: u8) -> Result<(), CliError> {
    let secret = Secret::generate(words)?;
    let (folder, address) = make(making, &secret)?;
    let words = secret.words();
    making.place.show(&json!({ "wallet": folder.path(), "address": address, "words": *words }), || {
        format!(
            "New wallet in {}\n\n  {}\n\n\
             Write these words down and keep them where nobody finds them: whoever has them has the coins, and\n\
             without them nothing brings the wallet back. They are not shown again.\n\n  address  {address}",
            folder.path().display(),
            *words
        )
    })
}

pub(super) fn restore(making: &Making, words_file: Option<&Path>) -> Result<(), CliError> {
    let secret = recovery_words(words_file)?;
    let (folder, address) = make(making, &secret)?;
    making.place.show(&json!({ "wallet": folder.path(), "address": address }), || {
        format!(
            "Restored in {}\n  address  {address}\n  its coins: timecoin wallet balance{}",
            folder.path().display(),
            making.place.flag()
        )
    })
}

fn make(making: &Making, secret: &Secret) -> Result<(Folder, String), CliError> {
    let chain = Chain::new(load_chain(&making.chain)?);
    let password = new_password(making.password_file.as_deref())?;
    let folder = Folder::create(&making.place.path()?, chain, secret, &password)?;
    let first = folder.state().account().used().next().ok_or(WalletError::Secret)?;
    let address = written(&folder, &first);
    Ok((folder, address))
}

pub(super) fn address(command: AddressCommand) -> Result<(), CliError> {
    match command {
        AddressCommand::New { place, password_file } => {
            let mut folder = place.open()?;
            let owner = give_out(&mut folder, &mut Keyring::new(password_file))?;
            let address = written(&folder, &owner);
            place.show(&json!({ "address": address }), || address.clone())
        }
        AddressCommand::List { place } => {
            let folder = place.open()?;
            let state = folder.state();
            let scanned_to = state.coverage().next.0.checked_sub(1);
            let known = |owner| {
                let coins = state.coins(clock::now()).filter(|(_, coin, _)| coin.owner == owner);
                Amount::checked_sum(coins.map(|(_, coin, _)| coin.amount)).unwrap_or_default()
            };
            let list: Vec<_> =
                state.account().used().map(|owner| (written(&folder, &owner), known(owner))).collect();
            let shown: Vec<_> =
                list.iter().map(|(address, amount)| json!({ "address": address, "known": amount })).collect();
            place.show(&json!({ "addresses": shown, "scanned_to": scanned_to }), || {
                let lines = list.iter().map(|(address, amount)| format!("{address}  {amount}\n"));
                let as_of = match scanned_to {
                    Some(height) => format!("TIME as of block {height}; not proved: see `wallet balance`"),
                    None => "not scanned yet: see `wallet balance`".to_owned(),
                };
                lines.chain([as_of]).collect()
            })
        }
    }
}

/// The next address that was not given out, which from now on it is.
pub(in crate::cli) fn give_out(
    folder: &mut Folder,
    keyring: &mut Keyring,
) -> Result<timecoin_core::hash::Owner, CliError> {
    if folder.state().account().lacking() > 0 {
        let mut state = folder.state().clone();
        Folder::extend(&mut state, keyring.seed(folder)?)?;
        *folder.state_mut() = state;
    }
    let owner = folder.state().account().receive().ok_or(WalletError::Secret)?;
    folder.state_mut().account_mut().mark_used(&owner);
    folder.save()?;
    Ok(owner)
}

pub(super) fn export(place: &Place, to: &Path) -> Result<(), CliError> {
    place.open()?.export(to)?;
    place.show(&json!({ "wallet": to, "watches_only": true }), || {
        format!("A wallet that only watches is in {}: use it with --wallet", to.display())
    })
}
