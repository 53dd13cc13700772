//! `timecoin masternode`: registering, retiring, rotating, looking.
//!
//! The owner's key is the wallet's and may stay on a machine that is never connected (`--unsigned`, then `wallet sign`
//! and `wallet broadcast`). The operator's key is another one, in a file where the node runs; all that leaves it is its
//! consent to the owner.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use timecoin_core::hash::{MasternodeId, Owner, from_hex};
use timecoin_core::keys::{PublicKey, Signature};
use timecoin_core::lock::Lock;
use timecoin_core::state::registry::{Masternode, Registry, Status, masternode_id};
use timecoin_core::transaction::{Class, OutPoint, Tier};
use timecoin_core::wallet::build::{BuildError, OperatorConsent, Registration, TransactionBuilder};

use super::session::{Online, Sending, Session, address, merge, proof_line, utc};
use super::wallet::give_out;
use super::{CliError, block_on};
use crate::identity;
use crate::wallet::{Folder, Proof, WalletError, pay};

/// What `timecoin masternode` takes.
#[derive(Subcommand)]
pub(super) enum MasternodeCommand {
    /// Lock collateral and register a masternode
    Register(Box<RegisterCommand>),
    /// Retire a masternode; its collateral is free after the unbonding period
    Retire {
        #[command(flatten)]
        online: Online,
        #[command(flatten)]
        sending: Sending,
        /// Its id
        #[arg(value_parser = id)]
        masternode: MasternodeId,
    },
    /// Give a masternode another operator key
    Rotate {
        #[command(flatten)]
        online: Online,
        #[command(flatten)]
        sending: Sending,
        #[command(flatten)]
        operator: Operator,
        /// Its id
        #[arg(value_parser = id)]
        masternode: MasternodeId,
    },
    /// Show masternodes, proved complete by the state root of a certified block
    Status {
        #[command(flatten)]
        online: Online,
        /// Its id [default: this wallet's masternodes]
        #[arg(value_parser = id)]
        masternode: Option<MasternodeId>,
        /// Everyone's
        #[arg(long, conflicts_with = "masternode")]
        all: bool,
    },
}

/// What registering takes.
#[derive(Args)]
pub(super) struct RegisterCommand {
    #[command(flatten)]
    online: Online,
    #[command(flatten)]
    sending: Sending,
    #[command(flatten)]
    operator: Operator,
    /// The collateral: 1,000, 10,000 or 100,000 TIME
    #[arg(long, value_parser = ["bronze", "silver", "gold"])]
    tier: String,
    /// Where it runs
    #[arg(long, default_value = "server", value_parser = ["server", "browser"])]
    class: String,
    /// One of the wallet's addresses, which will own it [default: a new one]
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<String>,
    /// Who receives its rewards [default: the owner]
    #[arg(long, value_name = "ADDRESS")]
    payout: Option<String>,
}

/// The operator key's consent: its file, or what `timecoin keys prove` printed where the file is.
#[derive(Args)]
pub(super) struct Operator {
    /// The operator key file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["operator", "operator_proof"], required_unless_present = "operator")]
    operator_key: Option<PathBuf>,
    /// The operator's public key
    #[arg(long, value_name = "KEY", requires = "operator_proof", value_parser = key)]
    operator: Option<PublicKey>,
    /// Its consent to the owner
    #[arg(long, value_name = "PROOF", requires = "operator", value_parser = signature)]
    operator_proof: Option<Signature>,
}

fn id(text: &str) -> Result<MasternodeId, String> {
    text.parse().map_err(|error| format!("{error}"))
}

fn key(text: &str) -> Result<PublicKey, String> {
    text.parse().map_err(|error| format!("{error}"))
}

fn signature(text: &str) -> Result<Signature, String> {
    from_hex(text).map(Signature).map_err(|error| error.to_string())
}

impl Operator {
    fn consent(&self, folder: &Folder, owner: &Owner) -> Result<OperatorConsent, CliError> {
        match (&self.operator_key, self.operator, self.operator_proof) {
            (Some(path), ..) => {
                Ok(OperatorConsent::sign(&folder.chain().id, owner, &identity::read_key(path)?))
            }
            (None, Some(operator), Some(proof)) => Ok(OperatorConsent { operator, proof }),
            // The command line asks for one or the other.
            _ => Err(WalletError::Build(BuildError::OperatorConsent).into()),
        }
    }
}

pub(super) fn run(command: MasternodeCommand) -> Result<(), CliError> {
    match command {
        MasternodeCommand::Register(command) => block_on(register(&command)),
        MasternodeCommand::Retire { online, sending, masternode } => block_on(async {
            let mut session = open(&online, &sending).await?;
            let (lock, _) = owned(&mut session, masternode).await?;
            let builder = sending.builder(&session.folder)?.retire_masternode(masternode, lock);
            let (about, line) =
                (json!({ "masternode": masternode }), format!("Retiring masternode {masternode}"));
            finish(&online, &sending, &mut session, builder, (&about, &line)).await
        }),
        MasternodeCommand::Rotate { online, sending, operator, masternode } => block_on(async {
            let mut session = open(&online, &sending).await?;
            let (lock, replaces) = owned(&mut session, masternode).await?;
            let consent = operator.consent(&session.folder, &lock.owner())?;
            let builder = sending.builder(&session.folder)?;
            let builder = builder.rotate_operator(masternode, replaces, lock, consent);
            let about =
                json!({ "masternode": masternode, "replaces": replaces, "operator": consent.operator });
            let line = format!("Masternode {masternode} gets operator {}", consent.operator);
            finish(&online, &sending, &mut session, builder, (&about, &line)).await
        }),
        MasternodeCommand::Status { online, masternode, all } => block_on(status(&online, masternode, all)),
    }
}

/// Opens the wallet up to date.
async fn open(online: &Online, sending: &Sending) -> Result<Session, CliError> {
    let mut session = online.open(sending.signs_here()).await?;
    session.scan().await?;
    Ok(session)
}

async fn register(command: &RegisterCommand) -> Result<(), CliError> {
    let RegisterCommand { online, sending, operator, tier, class, owner, payout } = command;
    let mut session = open(online, sending).await?;
    let owner = match owner {
        Some(text) => session.owner(text)?,
        None => give_out(&mut session.folder, &mut session.keyring)?,
    };
    if session.folder.state().lock(&owner).is_none() {
        return Err(WalletError::NotOurAddress { address: address(&session.folder, &owner) }.into());
    }
    let payout = payout.as_deref().map(|text| session.owner(text)).transpose()?.unwrap_or(owner);
    let tier = match tier.as_str() {
        "gold" => Tier::Gold,
        "silver" => Tier::Silver,
        _ => Tier::Bronze,
    };
    let class = if class == "browser" { Class::Browser } else { Class::Server };
    let consent = operator.consent(&session.folder, &owner)?;
    let registration = Registration { tier, class, owner, payout, consent };
    let builder = sending.builder(&session.folder)?.register_masternode(&registration);
    let about = json!({
        "owner": address(&session.folder, &owner), "tier": tier, "class": class,
        "operator": consent.operator, "collateral": tier.collateral(),
    });
    let line = format!("Registering a masternode with {} TIME of collateral", tier.collateral());
    finish(online, sending, &mut session, builder, (&about, &line)).await
}

/// Funds, signs and sends.
async fn finish(
    online: &Online,
    sending: &Sending,
    session: &mut Session,
    builder: TransactionBuilder,
    (about, line): (&Value, &str),
) -> Result<(), CliError> {
    let coins = pay::spendable(&session.folder);
    let unsigned = builder.fund(&coins, pay::change(&session.folder)?).map_err(WalletError::from)?;
    let (mut about, mut line) = (about.clone(), line.to_owned());
    if about.get("masternode").is_none() {
        // The id of a new one follows from its collateral, the first output.
        let masternode = masternode_id(&OutPoint { txid: unsigned.transaction.id(), index: 0 });
        merge(&mut about, json!({ "masternode": masternode }));
        line = format!("{line}\n  masternode  {masternode}");
    }
    sending.finish(online, session, unsigned, (&about, &line)).await
}

/// All masternodes, proved under a certified block.
async fn registry(session: &mut Session) -> Result<(Registry, Proof), CliError> {
    session.node.tip().await?;
    Ok(session.node.masternodes().await?)
}

/// The lock of a masternode's owner, who must be one of the wallet's, and its operator key.
async fn owned(session: &mut Session, masternode: MasternodeId) -> Result<(Lock, PublicKey), CliError> {
    let (registry, _) = registry(session).await?;
    let node = registry.node(&masternode).ok_or(WalletError::UnknownMasternode(masternode))?;
    let lock = session.folder.state().lock(&node.owner);
    Ok((lock.ok_or(WalletError::NotOurMasternode(masternode))?, node.operator))
}

async fn status(online: &Online, masternode: Option<MasternodeId>, all: bool) -> Result<(), CliError> {
    let mut session = online.open(false).await?;
    let (registry, proof) = registry(&mut session).await?;
    let state = session.folder.state();
    let wanted = |node: &&Masternode| match masternode {
        Some(masternode) => node.id == masternode,
        None => all || state.lock(&node.owner).is_some(),
    };
    let nodes: Vec<_> = registry.iter().filter(wanted).collect();
    if let (Some(masternode), true) = (masternode, nodes.is_empty()) {
        return Err(WalletError::UnknownMasternode(masternode).into());
    }
    let mut list = Vec::new();
    for node in &nodes {
        list.push((node, value(&session, node).await?));
    }
    let values: Vec<_> = list.iter().map(|(_, value)| value).collect();
    let shown = json!({ "masternodes": values, "registered": registry.len(), "verified": proof });
    online.place.show(&shown, || {
        let lines: String = list.iter().map(|(node, value)| lines(node, value)).collect();
        let count = format!("  shown       {} of {} masternodes\n", list.len(), registry.len());
        format!("{lines}{count}  verified    {}", proof_line(&proof))
    })
}

/// A masternode: what is proved, and apart from it what the node reports.
async fn value(session: &Session, node: &Masternode) -> Result<Value, CliError> {
    let (status, unlock_at) = status_of(node);
    let reported = session.node.api().client().call("masternodestatus", json!([node.id])).await?;
    Ok(json!({
        "masternode": node.id,
        "tier": node.tier,
        "class": node.class,
        "status": status,
        "unlock_at": unlock_at,
        "operator": node.operator,
        "owner": address(&session.folder, &node.owner),
        "payout": address(&session.folder, &node.payout),
        "collateral": {
            "txid": node.collateral.txid, "index": node.collateral.index, "amount": node.tier.collateral(),
        },
        "registered_at": node.registered_at,
        "reported": {
            "weight": reported["weight"],
            "signed_this_epoch": reported["signed_this_epoch"],
            "last_signed": reported["last_signed"],
        },
    }))
}

fn status_of(node: &Masternode) -> (&'static str, Option<timecoin_core::time::Time>) {
    match node.status {
        Status::Active => ("active", None),
        Status::Retired { unlock_at } => ("retired", Some(unlock_at)),
        Status::Ejected { unlock_at } => ("ejected", Some(unlock_at)),
    }
}

fn lines(node: &Masternode, value: &Value) -> String {
    let (status, unlock_at) = status_of(node);
    let unlock = unlock_at.map(|at| format!(", collateral free at {} UTC", utc(at))).unwrap_or_default();
    let votes = match value["reported"]["weight"].as_u64() {
        Some(_) => format!(
            "votes; signed {} this epoch, as the node reports",
            value["reported"]["signed_this_epoch"]
        ),
        None => "does not vote in this epoch, as the node reports".to_owned(),
    };
    format!(
        "{}\n  {:?}, {:?}, {status}{unlock}\n  {votes}\n  operator    {}\n  owner       {}\n  payout      {}\n",
        node.id,
        node.tier,
        node.class,
        node.operator,
        value["owner"].as_str().unwrap_or_default(),
        value["payout"].as_str().unwrap_or_default(),
    )
}
