//! Transactions: submitting, following, proving.

use std::time::Duration;

use serde_json::{Value, json};
use timecoin_core::codec::{decode, encode};
use timecoin_core::hash::{TxId, hex_to_vec, to_hex};
use timecoin_core::node::{Node, Notice, TransactionPhase};
use timecoin_core::receipt::{Payment, Receipt};
use timecoin_core::schema::TransactionPlace;
use timecoin_core::transaction::{SignedTransaction, fee_min};
use timecoin_core::vote::Height;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use crate::handle::NodeHandle;
use crate::rpc::error::{Kind, RpcError};
use crate::rpc::params::Params;
use crate::rpc::query::{Reader, trace};
use crate::rpc::render;

/// Longest that a call waits for finality.
const WAIT_MAX_MS: u64 = 60_000;
/// Ids in one answer.
const IDS_MAX: usize = 1000;

/// A transaction as this node knows it.
enum Known {
    Pending(SignedTransaction, TransactionPhase),
    Final(SignedTransaction, TransactionPlace),
}

async fn find(handle: &NodeHandle, txid: TxId) -> Result<Known, RpcError> {
    if let Some(found) = find_final(handle, &txid)? {
        return Ok(found);
    }
    let pending = handle
        .ask(move |node| {
            let transaction = node.mempool().transaction(&txid)?;
            Some((transaction.signed().clone(), node.phase(&txid).unwrap_or(TransactionPhase::Pending)))
        })
        .await?;
    match pending {
        Some((signed, phase)) => Ok(Known::Pending(signed, phase)),
        // It may have become final between the two looks.
        None => find_final(handle, &txid)?.ok_or_else(|| RpcError::not_found("transaction")),
    }
}

fn find_final(handle: &NodeHandle, txid: &TxId) -> Result<Option<Known>, RpcError> {
    let reader = Reader::new(handle)?;
    let Some(place) = reader.place(txid)? else { return Ok(None) };
    let (mut block, _) = reader.block(place.height)?;
    let index = place.index as usize;
    if index >= block.body.transactions.len() {
        return Err(RpcError::not_found("transaction"));
    }
    Ok(Some(Known::Final(block.body.transactions.swap_remove(index), place)))
}

pub(super) async fn raw(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let found = find(handle, params.required("txid")?).await?;
    let (Known::Pending(signed, _) | Known::Final(signed, _)) = found;
    Ok(match params.optional("verbose")?.unwrap_or(false) {
        true => render::transaction(handle.chain.spec.consensus.network, &signed),
        false => json!(to_hex(&encode(&signed))),
    })
}

pub(super) async fn transaction(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let network = handle.chain.spec.consensus.network;
    Ok(match find(handle, params.required("txid")?).await? {
        Known::Pending(signed, phase) => {
            let mut shown = render::transaction(network, &signed);
            shown["phase"] = json!(render::phase(phase));
            shown["final"] = json!(false);
            shown
        }
        Known::Final(signed, place) => {
            let header = Reader::new(handle)?.header(place.height)?.header;
            let mut shown = render::transaction(network, &signed);
            shown["phase"] = json!(render::phase(TransactionPhase::Finalized));
            shown["final"] = json!(true);
            shown["index"] = json!(place.index);
            shown["at"] = render::at(&header);
            shown
        }
    })
}

fn signed(params: &mut Params) -> Result<SignedTransaction, RpcError> {
    let text: String = params.required("hex")?;
    let bytes = hex_to_vec(&text).ok_or_else(|| RpcError::params("parameter hex: not hexadecimal"))?;
    decode(&bytes)
        .map_err(|error| RpcError::params(format!("parameter hex: not a signed transaction: {error}")))
}

pub(super) fn decode_raw(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    Ok(render::transaction(handle.chain.spec.consensus.network, &signed(params)?))
}

pub(super) async fn send(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    Ok(json!(handle.submit(signed(params)?).await?))
}

pub(super) async fn finality(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let txid = params.required("txid")?;
    Ok(match find(handle, txid).await? {
        Known::Pending(_, phase) => json!({ "txid": txid, "phase": render::phase(phase), "final": false }),
        Known::Final(_, place) => finalized(handle, txid, place)?,
    })
}

fn finalized(handle: &NodeHandle, txid: TxId, place: TransactionPlace) -> Result<Value, RpcError> {
    let header = Reader::new(handle)?.header(place.height)?.header;
    Ok(json!({ "txid": txid, "phase": "finalized", "final": true, "at": render::at(&header) }))
}

pub(super) async fn wait(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let txid: TxId = params.required("txid")?;
    let limit = params.optional::<u64>("timeout_ms")?.unwrap_or(WAIT_MAX_MS).min(WAIT_MAX_MS);
    // Listening begins before looking, so that nothing falls between.
    let mut notices = handle.notices();
    let place = |handle: &NodeHandle| Reader::new(handle)?.place(&txid);
    if let Some(place) = place(handle)? {
        return finalized(handle, txid, place);
    }
    let done = async {
        loop {
            let arrived = match notices.recv().await {
                Ok(notice) => {
                    matches!(&*notice, Notice::Phase(TransactionPhase::Finalized, ids) if ids.contains(&txid))
                }
                // Some were missed: look.
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return Err(RpcError::of(Kind::Stopped)),
            };
            if let Some(place) = if arrived { place(handle)? } else { None } {
                return finalized(handle, txid, place);
            }
        }
    };
    timeout(Duration::from_millis(limit), done).await.unwrap_or_else(|_| Err(RpcError::of(Kind::Timeout)))
}

pub(super) fn receipt(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let txid: TxId = params.required("txid")?;
    let reader = Reader::new(handle)?;
    let place = reader.place(&txid)?.ok_or_else(|| RpcError::not_found("final transaction"))?;
    let (block, _) = reader.block(place.height)?;
    let payment = Payment::in_block(&block.body.transactions, place.index as usize)
        .ok_or_else(|| RpcError::not_found("transaction"))?;
    let receipt = if place.height == Height(0) {
        Some(Receipt::under_anchor(block.header.clone(), None, payment))
    } else {
        let (anchor, trace) = trace(handle, &reader, place.height)?;
        Receipt::under_trace(&anchor, &trace, None, payment)
    };
    let receipt = receipt
        .ok_or_else(|| RpcError::new(Kind::TooLarge, "the way from genesis is too long for one receipt"))?;
    Ok(json!({
        "txid": txid,
        "at": render::at(&block.header),
        "receipt": serde_json::from_str::<Value>(&receipt.to_json()).unwrap_or(Value::Null),
        "text": receipt.to_text(),
    }))
}

pub(super) async fn mempool_info(handle: &NodeHandle) -> Result<Value, RpcError> {
    let figures =
        |node: &Node| (node.mempool().len(), node.mempool().bytes(), node.mempool().limits().bytes_max);
    let (size, bytes, bytes_max) = handle.ask(figures).await?;
    let rules = handle.chain.spec.consensus.rules(handle.state.load().height().next());
    Ok(
        json!({ "size": size, "bytes": bytes, "bytes_max": bytes_max, "fee_per_kb_min": rules.fee_per_kb_min }),
    )
}

pub(super) async fn mempool(handle: &NodeHandle) -> Result<Value, RpcError> {
    let ids = handle.ask(|node| {
        node.mempool().iter().take(IDS_MAX).map(|transaction| transaction.txid()).collect::<Vec<_>>()
    });
    Ok(json!(ids.await?))
}

pub(super) fn estimate_fee(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let rules = handle.chain.spec.consensus.rules(handle.state.load().height().next());
    let size = params.optional::<usize>("size")?.unwrap_or(1000);
    Ok(
        json!({ "size": size, "fee": fee_min(size, rules.fee_per_kb_min), "fee_per_kb": rules.fee_per_kb_min }),
    )
}
