//! Transactions to be signed elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use timecoin_core::amount::Amount;
use timecoin_core::codec::encode;
use timecoin_core::hash::{TxId, to_hex};
use timecoin_core::keys::PublicKey;
use timecoin_core::lock::Lock;
use timecoin_core::time::Time;
use timecoin_core::transaction::{
    Action, MEMO_SIZE_MAX, OutPoint, Output, SignedTransaction, TRANSACTION_VERSION, Transaction, fee_min,
};
use timecoin_core::wallet::coins::witness_size;

use super::owner;
use crate::clock;
use crate::handle::NodeHandle;
use crate::rpc::error::{Kind, RpcError};
use crate::rpc::params::Params;
use crate::rpc::query::{self, Reader};
use crate::rpc::render;

/// Most inputs: each is looked up.
const INPUTS_MAX: usize = 100;
/// How long the transaction may wait for a block unless told otherwise.
const EXPIRES_AFTER_MS: u64 = 3_600_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    txid: TxId,
    index: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payment {
    address: String,
    amount: Amount,
}

pub(super) async fn create(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let network = handle.chain.spec.consensus.network;
    let inputs: Vec<Input> = params.required("inputs")?;
    let inputs: Vec<_> =
        inputs.iter().map(|input| OutPoint { txid: input.txid, index: input.index }).collect();
    if inputs.is_empty() || inputs.len() > INPUTS_MAX {
        return Err(RpcError::params(format!("parameter inputs: from 1 to {INPUTS_MAX}")));
    }
    if inputs.iter().collect::<BTreeSet<_>>().len() < inputs.len() {
        return Err(RpcError::params("parameter inputs: a coin stands twice"));
    }
    let payments: Vec<Payment> = params.required("outputs")?;
    if payments.is_empty() {
        return Err(RpcError::params("parameter outputs: name someone to pay"));
    }
    let output = |payment: &Payment| {
        Ok::<_, RpcError>(Output { amount: payment.amount, owner: owner(network, &payment.address)? })
    };
    let outputs: Vec<_> = payments.iter().map(output).collect::<Result<_, _>>()?;
    let memo: String = params.optional("memo")?.unwrap_or_default();
    if memo.len() > MEMO_SIZE_MAX {
        return Err(RpcError::of(Kind::MemoTooLong));
    }
    let expires_at: Option<Time> = params.optional("expires_at")?;
    let spent = coins(handle, &inputs).await?;
    let fee = fee(&spent, &outputs)?;
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        inputs,
        outputs,
        action: Action::Transfer,
        expires_at: expires_at.unwrap_or_else(|| clock::now().plus(EXPIRES_AFTER_MS)),
        memo: memo.into_bytes(),
    };
    let coins = transaction.inputs.iter().zip(&spent);
    let shown: Vec<_> = coins.map(|(outpoint, output)| render::coin(network, outpoint, output)).collect();
    let unsigned = SignedTransaction { transaction, spent, witnesses: Vec::new() };
    let rules = handle.chain.spec.consensus.rules(handle.state.load().height().next());
    Ok(json!({
        "txid": unsigned.transaction.id(),
        "hex": to_hex(&encode(&unsigned)),
        "fee": fee,
        "fee_min": fee_min(signed_size(&unsigned), rules.fee_per_kb_min),
        "spent": shown,
    }))
}

/// Bytes once signed, if every owner is one key.
fn signed_size(unsigned: &SignedTransaction) -> usize {
    let owners: BTreeSet<_> = unsigned.spent.iter().map(|output| output.owner).collect();
    encode(unsigned).len() + owners.len() * witness_size(&Lock::Key(PublicKey([0; 32])))
}

/// What the outputs leave of the coins.
fn fee(spent: &[Output], outputs: &[Output]) -> Result<Amount, RpcError> {
    let sum = |list: &[Output]| {
        let sum = list.iter().try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.amount));
        sum.ok_or_else(|| RpcError::of(Kind::Overflow))
    };
    sum(spent)?.checked_sub(sum(outputs)?).ok_or_else(|| RpcError::of(Kind::ValueCreated))
}

/// What the inputs are worth: coins of final blocks, or of pending transactions.
async fn coins(handle: &NodeHandle, inputs: &[OutPoint]) -> Result<Vec<Output>, RpcError> {
    let (asked, wanted) = (handle.clone(), inputs.to_vec());
    let found = tokio::task::spawn_blocking(move || final_coins(&asked, &wanted));
    let found = found.await.map_err(|_| RpcError::new(Kind::Internal, "the call failed"))??;
    let missing: Vec<_> = inputs.iter().filter(|outpoint| !found.contains_key(outpoint)).copied().collect();
    let pending = handle.ask(move |node| {
        let coins = missing.iter().filter_map(|outpoint| Some((*outpoint, node.mempool().coin(outpoint)?)));
        coins.collect::<BTreeMap<_, _>>()
    });
    let pending = if found.len() < inputs.len() { pending.await? } else { BTreeMap::new() };
    let coin = |outpoint: &OutPoint| {
        found.get(outpoint).or_else(|| pending.get(outpoint)).copied().ok_or_else(|| {
            let OutPoint { txid, index } = outpoint;
            RpcError::new(Kind::CoinUnknownOrSpent, format!("no unspent coin {txid}:{index}"))
        })
    };
    inputs.iter().map(coin).collect()
}

fn final_coins(handle: &NodeHandle, inputs: &[OutPoint]) -> Result<BTreeMap<OutPoint, Output>, RpcError> {
    let reader = Reader::new(handle)?;
    let mut found = BTreeMap::new();
    for outpoint in inputs {
        if let Some((output, _)) = reader.output(outpoint)?
            && query::coin(handle, &output.owner, outpoint)?.1.is_some()
        {
            found.insert(*outpoint, output);
        }
    }
    Ok(found)
}
