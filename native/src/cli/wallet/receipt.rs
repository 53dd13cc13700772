//! Receipts: fetched from a node, checked without one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use timecoin_core::address::Address;
use timecoin_core::hash::TxId;
use timecoin_core::node::Chain;
use timecoin_core::receipt::{FormError, Proved, Receipt, SignedWeight};

use crate::cli::session::{Online, Place, age, by_weight, memo, txid, utc};
use crate::cli::{CliError, block_on};
use crate::config::load_chain;
use crate::identity::write_new;
use crate::wallet::{Signed, WalletError, pay};

/// Longer files are no receipts.
const FILE_SIZE_MAX: u64 = 16 << 20;

/// What `timecoin wallet receipt` takes.
#[derive(Subcommand)]
pub(in crate::cli) enum ReceiptCommand {
    /// Fetch the receipt of a final payment, check it, and keep it
    Get {
        #[command(flatten)]
        online: Online,
        /// The payment
        #[arg(value_parser = txid)]
        txid: TxId,
        /// The file to make: JSON, or text for a QR code if it ends in .txt
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check a receipt; needs no network
    Verify {
        #[command(flatten)]
        place: Place,
        /// The receipt, in any of its forms
        file: PathBuf,
        /// Trust this chain's genesis and checkpoints [default: the wallet's chain]
        #[arg(long, value_name = "NAME|FILE")]
        chain: Option<String>,
        /// However old they are
        #[arg(long)]
        trust_any_age: bool,
    },
}

pub(super) fn run(command: ReceiptCommand) -> Result<(), CliError> {
    match command {
        ReceiptCommand::Get { online, txid, out } => block_on(get(&online, &txid, &out)),
        ReceiptCommand::Verify { place, file, chain, trust_any_age } => {
            let receipt = read(&file)?;
            let chain = match chain {
                Some(name) => Chain::new(load_chain(&name)?),
                None => place.open()?.chain().clone(),
            };
            let proved = pay::verify_receipt(&receipt, &chain, trust_any_age)?;
            place.show(&value(&proved, &chain), || lines(&proved, &chain))
        }
    }
}

async fn get(online: &Online, txid: &TxId, out: &Path) -> Result<(), CliError> {
    let session = online.open(false).await?;
    let receipt = pay::fetch_receipt(&session.node, txid).await?;
    let chain = session.folder.chain();
    let proved = pay::verify_receipt(&receipt, chain, online.trust_any_age)?;
    let is_text = out.extension().is_some_and(|ending| ending == "txt");
    let text = if is_text { receipt.to_text() } else { receipt.to_json() };
    write_new(out, format!("{text}\n").as_bytes()).map_err(WalletError::file(out))?;
    let mut shown = value(&proved, chain);
    shown["file"] = json!(out);
    shown["bytes"] = json!(receipt.to_bytes().len());
    online.place.show(&shown, || format!("{}\n  kept in     {}", lines(&proved, chain), out.display()))
}

/// Reads a receipt whichever of its forms it has.
fn read(path: &Path) -> Result<Receipt, CliError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_SIZE_MAX).read_to_end(&mut bytes))
        .map_err(WalletError::file(path))?;
    let receipt = match std::str::from_utf8(&bytes).map(str::trim) {
        Ok(text) if text.starts_with('{') => Receipt::from_json(text),
        Ok(text) if text.is_ascii() && !text.contains('\0') => Receipt::from_text(text),
        _ => Receipt::from_bytes(&bytes),
    };
    Ok(receipt.map_err(|error: FormError| WalletError::ReceiptForm(error))?)
}

fn value(proved: &Proved, chain: &Chain) -> Value {
    let network = chain.spec.consensus.network;
    let outputs = proved.outputs.iter().map(|output| {
        json!({ "address": Address { network, owner: output.owner }.to_string(), "amount": output.amount })
    });
    json!({
        "valid": true,
        "txid": proved.txid,
        "outputs": outputs.collect::<Vec<_>>(),
        "memo": memo(&proved.memo),
        "height": proved.height,
        "block": proved.block,
        "time": proved.time,
        "final_height": proved.final_height,
        "signed": signed(proved),
        "trusted_from": { "height": proved.anchor.height, "age_ms": proved.anchor_age_ms },
    })
}

fn signed(proved: &Proved) -> Option<Signed> {
    proved.signed.map(|SignedWeight { weight, total }| Signed { weight, total })
}

fn lines(proved: &Proved, chain: &Chain) -> String {
    let network = chain.spec.consensus.network;
    let outputs: String = proved
        .outputs
        .iter()
        .map(|output| {
            let address = Address { network, owner: output.owner };
            format!("  pays        {} TIME to {address}\n", output.amount)
        })
        .collect();
    let note = if proved.memo.is_empty() {
        String::new()
    } else {
        format!("  memo        {:?}\n", memo(&proved.memo))
    };
    format!(
        "Valid receipt of payment {}\n{outputs}{note}  final       in block {} of {} UTC{}\n  trusted     from block {} of chain {}, {} old",
        proved.txid,
        proved.height,
        utc(proved.time),
        by_weight(signed(proved)),
        proved.anchor.height,
        chain.id,
        age(proved.anchor_age_ms),
    )
}
