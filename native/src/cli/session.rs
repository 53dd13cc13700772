//! What wallet and masternode commands share: where the wallet is, which node to ask, how results are shown.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use timecoin_core::address::Address;
use timecoin_core::amount::Amount;
use timecoin_core::hash::{Owner, TxId, to_hex};
use timecoin_core::time::Time;
use timecoin_core::transaction::SignedTransaction;
use timecoin_core::wallet::build::{TransactionBuilder, Unsigned};

use super::{CliError, print};
use crate::api::Api;
use crate::client::Client;
use crate::config::{default_port, home};
use crate::identity::write_new;
use crate::wallet::pay::Finality;
use crate::wallet::{Folder, Keyring, Proof, Signed, VerifiedNode, WalletError, pay, sync};

/// Which wallet, and how results look.
#[derive(Args, Clone, Debug)]
pub(super) struct Place {
    /// The wallet's folder [default: ~/.timecoin/wallet]
    #[arg(long, value_name = "FOLDER")]
    wallet: Option<PathBuf>,
    /// Print JSON, one object per line
    #[arg(long)]
    pub(super) json: bool,
}

impl Place {
    pub(super) fn path(&self) -> Result<PathBuf, CliError> {
        match &self.wallet {
            Some(path) => Ok(path.clone()),
            None => Ok(home()?.join(".timecoin").join("wallet")),
        }
    }

    /// The flag that names this wallet again; nothing where it is the default one.
    pub(super) fn flag(&self) -> String {
        self.wallet.as_ref().map(|path| format!(" --wallet {}", path.display())).unwrap_or_default()
    }

    pub(super) fn open(&self) -> Result<Folder, CliError> {
        Ok(Folder::open(&self.path()?)?)
    }

    /// Prints a result: the object, or lines for people.
    pub(super) fn show(&self, value: &Value, lines: impl FnOnce() -> String) -> Result<(), CliError> {
        if self.json { print(value) } else { print(lines().trim_end()) }
    }
}

/// A wallet with a node.
#[derive(Args, Clone, Debug)]
pub(super) struct Online {
    #[command(flatten)]
    pub(super) place: Place,
    /// A node's address; it is not trusted [default: this machine and the network's port]
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// File with the password, in place of typing it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Trust the chain spec's genesis or checkpoints however old they are
    #[arg(long)]
    pub(super) trust_any_age: bool,
}

/// An open wallet with a node.
pub(super) struct Session {
    pub(super) folder: Folder,
    pub(super) node: VerifiedNode,
    pub(super) keyring: Keyring,
}

impl Online {
    pub(super) fn keyring(&self) -> Keyring {
        Keyring::new(self.password_file.clone())
    }

    /// Opens the wallet and connects to the node. The password comes first where it will be needed: a wrong one is
    /// said before anything else is done.
    pub(super) async fn open(&self, needs_keys: bool) -> Result<Session, CliError> {
        let folder = self.place.open()?;
        let mut keyring = self.keyring();
        if needs_keys {
            keyring.seed(&folder)?;
        }
        let port = default_port(folder.chain().spec.consensus.network);
        let url = self.node.clone().unwrap_or_else(|| format!("http://127.0.0.1:{port}"));
        let api = Api::new(Client::connect(&url, None).await?);
        let node = VerifiedNode::open(api, folder.chain(), folder.trusted(), self.trust_any_age).await?;
        Ok(Session { folder, node, keyring })
    }
}

impl Session {
    /// Brings coins and history up to date.
    pub(super) async fn scan(&mut self) -> Result<sync::Scanned, CliError> {
        Ok(sync::scan(&self.node, &mut self.folder, &mut self.keyring).await?)
    }

    pub(super) fn owner(&self, text: &str) -> Result<Owner, CliError> {
        owner(&self.folder, text)
    }
}

/// How a transaction is paid for and sent.
#[derive(Args, Clone, Debug)]
pub(super) struct Sending {
    /// Pay exactly this fee, in TIME [default: the least]
    #[arg(long, value_name = "AMOUNT")]
    fee: Option<String>,
    /// Wait until it is final, and prove that
    #[arg(long, conflicts_with = "unsigned")]
    wait: bool,
    /// Wait at most so long
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
    /// Do not sign: write a file for `timecoin wallet sign`
    #[arg(long, value_name = "FILE")]
    unsigned: Option<PathBuf>,
}

impl Sending {
    pub(super) fn signs_here(&self) -> bool {
        self.unsigned.is_none()
    }

    /// Begins a transaction with the fee asked for.
    pub(super) fn builder(&self, folder: &Folder) -> Result<TransactionBuilder, CliError> {
        let builder = pay::builder(folder, !self.signs_here());
        Ok(match &self.fee {
            Some(fee) => builder.fee(amount(fee)?),
            None => builder,
        })
    }

    /// Signs and sends what was built, or writes it to a file. `about` says what it is for, in both forms.
    pub(super) async fn finish(
        &self,
        online: &Online,
        session: &mut Session,
        unsigned: Unsigned,
        about: (&Value, &str),
    ) -> Result<(), CliError> {
        let fee = unsigned.fee;
        if let Some(path) = &self.unsigned {
            let (txid, expires_at) = (unsigned.transaction.id(), unsigned.transaction.expires_at);
            let file = pay::offline(&mut session.folder, unsigned)?;
            write_new(path, file.to_json().as_bytes()).map_err(WalletError::file(path))?;
            let mut value = about.0.clone();
            merge(&mut value, json!({ "event": "unsigned", "txid": txid, "fee": fee, "file": path }));
            return online.place.show(&value, || {
                format!(
                    "{}, fee {fee} TIME, not signed, valid until {}\n  sign it: timecoin wallet sign {}",
                    about.1,
                    utc(expires_at),
                    path.display()
                )
            });
        }
        let signed = pay::sign(&session.folder, &mut session.keyring, unsigned)?;
        self.send(online, session, &signed, about, Some(fee)).await
    }

    /// Sends a signed transaction.
    pub(super) async fn send(
        &self,
        online: &Online,
        session: &mut Session,
        signed: &SignedTransaction,
        about: (&Value, &str),
        fee: Option<Amount>,
    ) -> Result<(), CliError> {
        let Session { folder, node, .. } = session;
        let sent = pay::submit(node, folder, signed).await?;
        let mut value = about.0.clone();
        merge(&mut value, json!({ "event": "sent", "txid": sent.txid, "fee": fee }));
        online.place.show(&value, || {
            let fee = fee.map(|fee| format!(", fee {fee} TIME")).unwrap_or_default();
            format!("{}{fee}\n  txid        {}", about.1, sent.txid)
        })?;
        if !self.wait {
            return Ok(());
        }
        let txid = sent.txid;
        let mut told = Ok(());
        let on_phase = |phase: &str, ms: f64| {
            let ms = (ms * 10.0).round() / 10.0;
            let line = online.place.show(&json!({ "event": "phase", "phase": phase, "ms": ms }), || {
                format!("  {phase:<11} {ms} ms")
            });
            if told.is_ok() {
                told = line;
            }
        };
        let waited = sent.wait(node, folder, self.timeout.saturating_mul(1000), on_phase).await;
        told?;
        let Finality { height, block, time, signed, final_ms } = waited?;
        let final_ms = (final_ms * 10.0).round() / 10.0;
        let value = json!({
            "event": "final", "txid": txid, "final_ms": final_ms, "height": height, "block": block,
            "time": time, "signed": signed,
        });
        online
            .place
            .show(&value, || format!("  final in block {height}{}; proved, not only said", by_weight(signed)))
    }
}

/// The weight behind a block, for people.
pub(super) fn by_weight(signed: Option<Signed>) -> String {
    signed.map(|signed| format!(", signed by {} % of the weight", signed.percent())).unwrap_or_default()
}

/// What a proof says, in one line.
pub(super) fn proof_line(proof: &Proof) -> String {
    let Proof { height, block, age_ms, signed, trusted_from, .. } = proof;
    let signed = by_weight(*signed);
    let limit = if trusted_from.any_age { " (any age is taken)" } else { "" };
    format!(
        "block {height}, {} old{signed}\n              id {block}\n              trusted from block {}, {} old{limit}",
        age(*age_ms),
        trusted_from.height,
        age(trusted_from.age_ms),
    )
}

/// Adds the members of one object to another.
pub(super) fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// An amount as typed.
pub(super) fn amount(text: &str) -> Result<Amount, CliError> {
    Ok(text.parse().map_err(|_| WalletError::Amount { text: text.to_owned() })?)
}

/// An address as typed, of the wallet's network.
pub(super) fn owner(folder: &Folder, text: &str) -> Result<Owner, CliError> {
    let network = folder.chain().spec.consensus.network;
    Address::parse_for(network, text)
        .map_err(|error| WalletError::Address { text: text.to_owned(), error }.into())
}

/// How an owner is written on the wallet's network.
pub(super) fn address(folder: &Folder, owner: &Owner) -> String {
    Address { network: folder.chain().spec.consensus.network, owner: *owner }.to_string()
}

/// A memo as text, where it is text.
pub(super) fn memo(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => to_hex(bytes),
    }
}

/// A transaction id as typed.
pub(super) fn txid(text: &str) -> Result<TxId, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// How long, in a unit that says enough.
pub(super) fn age(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} days", ms / 86_400_000),
    }
}

/// A time in UTC: `2026-01-31 08:05:09`.
pub(super) fn utc(time: Time) -> String {
    let seconds = time.0 / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days from 1 March of year 0, in eras of 400 years: leap days then end their years.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, turn) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year_of_era + turn;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_utc() {
        let table = [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (1_709_251_200, "2024-03-01 00:00:00"),
            (1_735_689_599, "2024-12-31 23:59:59"),
            (4_102_444_800, "2100-01-01 00:00:00"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ];
        for (seconds, text) in table {
            assert_eq!(utc(Time(seconds * 1000 + 999)), text);
        }
    }

    #[test]
    fn ages_have_a_unit() {
        let table = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_250, "1.2 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 days"),
        ];
        for (ms, text) in table {
            assert_eq!(age(ms), text);
        }
    }
}
