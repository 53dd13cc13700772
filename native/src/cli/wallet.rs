//! `timecoin wallet`: keys, balances, payments, receipts.
//!
//! | file | commands |
//! |---|---|
//! | `keys` | `new`, `restore`, `address`, `export` |
//! | `money` | `balance`, `history`, `send` |
//! | `offline` | `sign`, `broadcast` |
//! | `receipt` | `receipt get`, `receipt verify` |

mod keys;
mod money;
mod offline;
mod receipt;

use std::path::PathBuf;

use clap::Subcommand;

pub(super) use keys::give_out;

use super::session::{Online, Place, Sending};
use super::{CliError, block_on};

/// What `timecoin wallet` takes.
#[derive(Subcommand)]
pub(super) enum WalletCommand {
    /// Make a wallet and show its recovery words once
    New {
        #[command(flatten)]
        making: keys::Making,
        /// How many recovery words
        #[arg(long, default_value = "12", value_parser = ["12", "24"], value_name = "12|24")]
        words: String,
    },
    /// Make a wallet from recovery words; its coins are found by scanning
    Restore {
        #[command(flatten)]
        making: keys::Making,
        /// File with the words [default: type them, or pipe them in]
        #[arg(long, value_name = "FILE")]
        words_file: Option<PathBuf>,
    },
    /// Give out a new address, or list those given out
    #[command(subcommand)]
    Address(keys::AddressCommand),
    /// Copy the wallet without its keys, to watch it and prepare payments elsewhere
    Export {
        #[command(flatten)]
        place: Place,
        /// The folder to make
        to: PathBuf,
    },
    /// Show the balance, proved by the state tree under a certified block
    Balance {
        #[command(flatten)]
        online: Online,
    },
    /// Show what was paid and received, and whether anything may be missing
    History {
        #[command(flatten)]
        online: Online,
        /// The newest so many entries
        #[arg(long, default_value_t = 20, value_name = "COUNT")]
        count: usize,
    },
    /// Pay someone
    Send(Box<money::SendCommand>),
    /// Sign a file made with --unsigned; needs no network
    Sign(offline::SignCommand),
    /// Send a signed file
    Broadcast {
        #[command(flatten)]
        online: Online,
        #[command(flatten)]
        sending: Sending,
        /// The signed file
        file: PathBuf,
    },
    /// Fetch and check receipts: proofs that a payment is final
    #[command(subcommand)]
    Receipt(receipt::ReceiptCommand),
}

pub(super) fn run(command: WalletCommand) -> Result<(), CliError> {
    match command {
        WalletCommand::New { making, words } => keys::new(&making, if words == "24" { 24 } else { 12 }),
        WalletCommand::Restore { making, words_file } => keys::restore(&making, words_file.as_deref()),
        WalletCommand::Address(command) => keys::address(command),
        WalletCommand::Export { place, to } => keys::export(&place, &to),
        WalletCommand::Balance { online } => block_on(money::balance(&online)),
        WalletCommand::History { online, count } => block_on(money::history(&online, count)),
        WalletCommand::Send(command) => block_on(money::send(*command)),
        WalletCommand::Sign(command) => offline::sign(&command),
        WalletCommand::Broadcast { online, sending, file } => {
            block_on(offline::broadcast(&online, &sending, &file))
        }
        WalletCommand::Receipt(command) => receipt::run(command),
    }
}
