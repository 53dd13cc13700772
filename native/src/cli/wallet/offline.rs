//! Signing where there is no network, and sending what was signed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use timecoin_core::codec::encode;
use timecoin_core::hash::{hex_to_vec, to_hex};
use timecoin_core::wallet::offline::{OfflineError, OfflineFile, Review};

use crate::cli::session::{Online, Place, Sending, memo, utc};
use crate::cli::{CliError, print};
use crate::identity::write_new;
use crate::wallet::{Keyring, WalletError};

/// No offline file is larger; longer ones are refused when they are read.
const FILE_SIZE_MAX: u64 = (1 << 20) + 1;

/// What `timecoin wallet sign` takes.
#[derive(Args)]
pub(in crate::cli) struct SignCommand {
    #[command(flatten)]
    place: Place,
    /// File with the password, in place of typing it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The file made with --unsigned
    file: PathBuf,
    /// The signed file to make [default: the same name, ending in .signed]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn sign(command: &SignCommand) -> Result<(), CliError> {
    let SignCommand { place, password_file, file, out } = command;
    let folder = place.open()?;
    let mut carried = read(file)?;
    carried.check_chain(folder.chain().id).map_err(WalletError::from)?;
    let review = carried.review(&folder.state().owners());
    if !place.json {
        // Before the password: typing it is the consent.
        print(review_lines(&review))?;
    }
    let mut keyring = Keyring::new(password_file.clone());
    let mut keys = keyring.keys(&folder, carried.signing.unsigned())?;
    keys.extend(carried.keys(keyring.seed(&folder)?.as_bytes()));
    if carried.signing.sign(&keys) == 0 {
        return Err(WalletError::NothingToSign.into());
    }
    let out = out.clone().unwrap_or_else(|| file.with_extension("signed"));
    write_new(&out, carried.to_json().as_bytes()).map_err(WalletError::file(&out))?;
    let missing = carried.signing.missing().count();
    let txid = carried.signing.unsigned().transaction.id();
    // What a page, or any other program, can hand to a node.
    let hex = carried.signing.finish().ok().map(|signed| to_hex(&encode(&signed)));
    let value = json!({ "txid": txid, "file": out, "complete": missing == 0, "review": review, "hex": hex });
    place.show(&value, || match missing {
        0 => format!("Signed. Send it: timecoin wallet broadcast {}", out.display()),
        _ => format!("Signed, but other signatures are missing still: pass on {}", out.display()),
    })
}

fn review_lines(review: &Review) -> String {
    let Review { payments, fee, leaves, expires_at, memo: note, .. } = review;
    let payments: String = payments
        .iter()
        .map(|payment| {
            let own = if payment.own { "  (your own)" } else { "" };
            format!("  pays        {} TIME to {}{own}\n", payment.amount, payment.to)
        })
        .collect();
    let note = match hex_to_vec(note).unwrap_or_default() {
        bytes if bytes.is_empty() => String::new(),
        bytes => format!("  memo        {:?}\n", memo(&bytes)),
    };
    let action = match &review.action {
        timecoin_core::transaction::Action::Transfer => String::new(),
        action => format!("  does        {}\n", json!(action)),
    };
    format!(
        "{action}{payments}{note}  fee         {fee} TIME\n  leaves you  {leaves} TIME in all\n  valid until {} UTC",
        utc(*expires_at)
    )
}

pub(super) async fn broadcast(online: &Online, sending: &Sending, file: &Path) -> Result<(), CliError> {
    let carried = read(file)?;
    let signed = carried.signing.finish().map_err(WalletError::from)?;
    let mut session = online.open(false).await?;
    carried.check_chain(session.folder.chain().id).map_err(WalletError::from)?;
    let about = json!({ "file": file });
    let line = format!("Sending {}", file.display());
    let fee = carried.signing.unsigned().fee;
    sending.send(online, &mut session, &signed, (&about, &line), Some(fee)).await
}

fn read(path: &Path) -> Result<OfflineFile, CliError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_SIZE_MAX).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            return Err(WalletError::Offline(OfflineError::Malformed).into());
        }
        read => read.map_err(WalletError::file(path))?,
    };
    Ok(OfflineFile::from_json(&text).map_err(WalletError::from)?)
}
