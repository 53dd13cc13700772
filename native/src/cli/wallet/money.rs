//! Balances, history and payments.

use clap::Args;
use serde_json::{Value, json};
use timecoin_core::amount::Amount;
use timecoin_core::wallet::scan::{EntryKind, HistoryEntry};

use crate::cli::CliError;
use crate::cli::session::{Online, Sending, Session, address, amount, memo, proof_line, utc};
use crate::wallet::sync::{self, ProvedBalance, Scanned};
use crate::wallet::{Folder, WalletError, pay};

/// What `timecoin wallet send` takes.
#[derive(Args)]
pub(in crate::cli) struct SendCommand {
    #[command(flatten)]
    online: Online,
    #[command(flatten)]
    sending: Sending,
    /// Whom to pay
    address: String,
    /// How much, in TIME
    #[arg(required_unless_present = "max")]
    amount: Option<String>,
    /// Send everything that can be spent, less the fee
    #[arg(long, conflicts_with = "amount")]
    max: bool,
    /// A note of at most 80 bytes, which everyone can read
    #[arg(long, value_name = "TEXT")]
    memo: Option<String>,
}

pub(super) async fn balance(online: &Online) -> Result<(), CliError> {
    let Session { mut folder, node, mut keyring } = online.open(false).await?;
    let found = sync::balance(&node, &mut folder, &mut keyring).await?;
    let value = serde_json::to_value(&found).unwrap_or_default();
    online.place.show(&value, || balance_lines(&found))
}

fn balance_lines(found: &ProvedBalance) -> String {
    let ProvedBalance { total, parts, coins, addresses, verified } = found;
    let part = |name: &str, amount: Amount| match amount {
        Amount::ZERO => String::new(),
        amount => format!("  {name:<11} {amount} TIME\n"),
    };
    let all_spendable = parts.spendable == *total;
    let parts = if all_spendable {
        String::new()
    } else {
        part("spendable", parts.spendable)
            + &part("collateral", parts.collateral)
            + &part("on its way", parts.reserved)
    };
    format!(
        "{total} TIME\n{parts}  proved      coins {coins}, addresses {addresses}: none left out\n  verified    {}",
        proof_line(verified)
    )
}

pub(super) async fn history(online: &Online, count: usize) -> Result<(), CliError> {
    let mut session = online.open(false).await?;
    let scanned = session.scan().await?;
    let folder = &session.folder;
    let newest: Vec<_> = folder.state().history().rev().take(count).collect();
    let entries: Vec<_> = newest.iter().map(|entry| entry_value(folder, entry)).collect();
    let mut value = serde_json::to_value(scanned).unwrap_or_default();
    value["entries"] = Value::Array(entries);
    online.place.show(&value, || {
        let lines: String = newest.iter().map(|entry| entry_lines(folder, entry)).collect();
        let Scanned { from, to, complete, verified } = &scanned;
        let complete = match complete {
            true => "complete: every block from genesis on was looked at".to_owned(),
            false => format!("incomplete: blocks before {from} were not looked at"),
        };
        format!("{lines}  blocks      {from} to {to}, {complete}\n  verified    {}", proof_line(verified))
    })
}

fn entry_value(folder: &Folder, entry: &HistoryEntry) -> Value {
    let mut value = serde_json::to_value(entry).unwrap_or_default();
    let paid = entry
        .paid
        .iter()
        .map(|output| json!({ "address": address(folder, &output.owner), "amount": output.amount }));
    value["paid"] = paid.collect();
    value["net"] = json!(net(entry));
    value
}

/// What an entry did to the balance, with its sign.
fn net(entry: &HistoryEntry) -> String {
    match entry.received.checked_sub(entry.spent) {
        Some(gain) => format!("+{gain}"),
        None => format!("-{}", Amount(entry.spent.0 - entry.received.0)),
    }
}

fn entry_lines(folder: &Folder, entry: &HistoryEntry) -> String {
    let kind = match entry.kind {
        EntryKind::Transfer if entry.spent == Amount::ZERO => "received",
        EntryKind::Transfer => "sent",
        EntryKind::Reward => "reward",
        EntryKind::RegisterMasternode => "masternode registered",
        EntryKind::RetireMasternode(_) => "masternode retired",
        EntryKind::RotateOperator(_) => "operator rotated",
    };
    let paid: String = entry
        .paid
        .iter()
        .map(|output| format!("    to {} {}\n", address(folder, &output.owner), output.amount))
        .collect();
    let fee = entry.fee.map(|fee| format!(", fee {fee}")).unwrap_or_default();
    let memo = match timecoin_core::hash::hex_to_vec(&entry.memo).unwrap_or_default() {
        bytes if bytes.is_empty() => String::new(),
        bytes => format!("    memo {:?}\n", memo(&bytes)),
    };
    format!(
        "{}  {:>20} TIME  {kind}{fee}\n    block {}, txid {}\n{paid}{memo}",
        utc(entry.time),
        net(entry),
        entry.height,
        entry.txid,
    )
}

pub(super) async fn send(command: SendCommand) -> Result<(), CliError> {
    let SendCommand { online, sending, address: to, amount: text, max, memo } = command;
    let asked = text.as_deref().map(amount).transpose()?;
    // A bad address is said before a password is asked for.
    let owner = crate::cli::session::owner(&online.place.open()?, &to)?;
    let mut session = online.open(sending.signs_here()).await?;
    session.scan().await?;
    let folder = &session.folder;
    let mut builder = sending.builder(folder)?;
    if let Some(memo) = memo {
        builder = builder.memo(memo);
    }
    let coins = pay::spendable(folder);
    let built = match asked.filter(|_| !max) {
        Some(amount) => builder.pay(owner, amount).fund(&coins, pay::change(folder)?),
        None => builder.fund_with_all(&coins, owner),
    };
    let unsigned = built.map_err(WalletError::from)?;
    let paid = asked.or(unsigned.change).unwrap_or_default();
    let about = json!({ "to": to, "amount": paid });
    let line = format!("{paid} TIME to {to}");
    sending.finish(&online, &mut session, unsigned, (&about, &line)).await
}
