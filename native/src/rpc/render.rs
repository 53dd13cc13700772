//! How things look in JSON: amounts are decimal strings of TIME, ids hexadecimal, owners addresses.

use serde_json::{Value, json};
use timecoin_core::address::{Address, Network};
use timecoin_core::block::{Block, Header};
use timecoin_core::certificate::Certificate;
use timecoin_core::codec::encode;
use timecoin_core::hash::{Owner, to_hex};
use timecoin_core::node::TransactionPhase;
use timecoin_core::state::ChainState;
use timecoin_core::state::registry::{Masternode, Status};
use timecoin_core::transaction::{Action, OutPoint, Output, SignedTransaction};
use timecoin_core::validators::ValidatorSet;

pub(super) fn address(network: Network, owner: &Owner) -> String {
    Address { network, owner: *owner }.to_string()
}

pub(super) fn network(network: Network) -> &'static str {
    match network {
        Network::Main => "main",
        Network::Test => "test",
        Network::Dev => "dev",
    }
}

pub(super) fn hex<T: serde::Serialize>(value: &T) -> String {
    to_hex(&encode(value))
}

/// What every answer about the state carries.
pub(super) fn at(header: &Header) -> Value {
    json!({ "height": header.height, "block": header.id(), "time": header.time, "final": true })
}

pub(super) fn header(header: &Header, certificate: Option<&Certificate>) -> Value {
    json!({
        "height": header.height,
        "block": header.id(),
        "version": header.version,
        "view": header.view,
        "time": header.time,
        "parent": header.parent,
        "transactions_root": header.transactions_root,
        "state_root": header.state_root,
        "supply": header.supply,
        "filter_hash": header.filter_hash,
        "history_root": header.history_root,
        "validators_hash": header.validators_hash,
        "next_validators_hash": header.next_validators_hash,
        "evidence_root": header.evidence_root,
        "parent_certificate_hash": header.parent_certificate_hash,
        "proposer": header.proposer,
        "final": true,
        "certificate": certificate.map(self::certificate),
        "hex": hex(header),
    })
}

pub(super) fn certificate(certificate: &Certificate) -> Value {
    json!({
        "view": certificate.data.view,
        "signers": certificate.signers.iter().collect::<Vec<_>>(),
        "signatures": certificate.signatures,
        "hex": hex(certificate),
    })
}

pub(super) fn block(
    network: Network,
    block: &Block,
    certificate: Option<&Certificate>,
    verbose: bool,
) -> Value {
    let mut shown = header(&block.header, certificate);
    let transactions = block.body.transactions.iter();
    shown["transactions"] = if verbose {
        transactions.map(|signed| transaction(network, signed)).collect()
    } else {
        transactions.map(|signed| json!(signed.transaction.id())).collect()
    };
    shown["evidence"] = block.body.evidence.iter().map(|evidence| json!(hex(evidence))).collect();
    shown
}

pub(super) fn transaction(network: Network, signed: &SignedTransaction) -> Value {
    let transaction = &signed.transaction;
    let inputs =
        transaction.inputs.iter().zip(&signed.spent).map(|(input, spent)| coin(network, input, spent));
    let txid = transaction.id();
    let outputs = (0..)
        .zip(&transaction.outputs)
        .map(|(index, output)| coin(network, &OutPoint { txid, index }, output));
    let sum =
        |outputs: &[Output]| outputs.iter().fold(0u64, |sum, output| sum.saturating_add(output.amount.0));
    let fee = sum(&signed.spent).saturating_sub(sum(&transaction.outputs));
    json!({
        "txid": txid,
        "version": transaction.version,
        "size": encode(signed).len(),
        "fee": timecoin_core::amount::Amount(fee),
        "inputs": inputs.collect::<Vec<_>>(),
        "outputs": outputs.collect::<Vec<_>>(),
        "action": action(network, &transaction.action),
        "expires_at": transaction.expires_at,
        "memo": String::from_utf8_lossy(&transaction.memo),
    })
}

pub(super) fn coin(network: Network, outpoint: &OutPoint, output: &Output) -> Value {
    json!({
        "txid": outpoint.txid,
        "index": outpoint.index,
        "amount": output.amount,
        "address": address(network, &output.owner),
    })
}

fn action(network: Network, action: &Action) -> Value {
    match action {
        Action::Transfer => json!({ "kind": "transfer" }),
        Action::RegisterMasternode { tier, class, operator, payout, .. } => {
            let payout = address(network, payout);
            json!({ "kind": "register_masternode", "tier": tier, "class": class, "operator": operator, "payout": payout })
        }
        Action::RetireMasternode { masternode } => {
            json!({ "kind": "retire_masternode", "masternode": masternode })
        }
        Action::RotateOperator { masternode, replaces, operator, .. } => {
            json!({ "kind": "rotate_operator", "masternode": masternode, "replaces": replaces, "operator": operator })
        }
        Action::Reward { height } => json!({ "kind": "reward", "height": height }),
    }
}

pub(super) fn masternode(network: Network, node: &Masternode, state: &ChainState) -> Value {
    let (status, unlock_at) = match node.status {
        Status::Active => ("active", None),
        Status::Retired { unlock_at } => ("retired", Some(unlock_at)),
        Status::Ejected { unlock_at } => ("ejected", Some(unlock_at)),
    };
    let index = state.validators.index_of(&node.operator);
    let member = index.and_then(|index| state.validators.validator(index));
    let part = index.and_then(|index| state.accounting.participation.get(usize::from(index)));
    json!({
        "masternode": node.id,
        "tier": node.tier,
        "class": node.class,
        "operator": node.operator,
        "owner": address(network, &node.owner),
        "payout": address(network, &node.payout),
        "collateral": { "txid": node.collateral.txid, "index": node.collateral.index, "amount": node.tier.collateral() },
        "registered_at": node.registered_at,
        "status": status,
        "unlock_at": unlock_at,
        "weight": member.map(|member| member.weight),
        "signed_this_epoch": part.map(|part| part.signed),
        "last_signed": part.map(|part| part.last_signed),
    })
}

pub(super) fn validators(set: &ValidatorSet) -> Value {
    let members = set.iter().map(|(index, member)| {
        json!({ "index": index, "key": member.key, "weight": member.weight, "masternode": member.masternode })
    });
    json!({ "hash": set.hash(), "total": set.total(), "validators": members.collect::<Vec<_>>() })
}

pub(super) fn phase(phase: TransactionPhase) -> &'static str {
    match phase {
        TransactionPhase::Pending => "pending",
        TransactionPhase::PrePrepare => "preprepare",
        TransactionPhase::Prepare => "prepare",
        TransactionPhase::Commit => "commit",
        TransactionPhase::Finalized => "finalized",
    }
}
