//! Balances and coins, with proofs.

use serde_json::{Value, json};
use timecoin_core::address::Address;
use timecoin_core::codec::{decode, encode};
use timecoin_core::hash::to_hex;
use timecoin_core::rows::Table;
use timecoin_core::schema::{ActivityRow, activity_key, key_height};
use timecoin_core::store::Range;
use timecoin_core::transaction::OutPoint;
use timecoin_core::vote::Height;

use super::owner;
use crate::handle::NodeHandle;
use crate::rpc::error::RpcError;
use crate::rpc::params::Params;
use crate::rpc::query::{self, Reader};
use crate::rpc::render;
use crate::wallet::address_code;

const BALANCES_MAX: usize = 500;
const LISTS_MAX: usize = 20;
const HISTORY_MAX: usize = 200;

/// The balances of addresses, all of them under one header, and the header's certificate.
fn proved_balances(
    handle: &NodeHandle,
    addresses: &[String],
) -> Result<(Vec<Value>, Option<String>), RpcError> {
    let network = handle.chain.spec.consensus.network;
    let owners = addresses.iter().map(|address| owner(network, address));
    let owners = owners.collect::<Result<Vec<_>, _>>()?;
    let answers = query::balances(handle, &owners)?;
    let header = answers.first().map(|answer| answer.opening.header.clone());
    let shown = addresses.iter().zip(&owners).zip(answers).map(|((address, owner), answer)| {
        let (balance, count) = answer.verify(owner).map_err(|_| RpcError::not_found("proof"))?;
        Ok(json!({
            "address": address,
            "balance": balance,
            "coins": count,
            "at": render::at(&answer.opening.header),
            "proof": to_hex(&encode(&answer)),
        }))
    });
    let shown = shown.collect::<Result<_, RpcError>>()?;
    let certificate = header.map(|header| query::certificate(handle, &header)).transpose()?;
    Ok((shown, certificate.flatten()))
}

pub(super) fn balance(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let (mut list, certificate) = proved_balances(handle, &[params.required("address")?])?;
    let mut shown = list.pop().ok_or_else(|| RpcError::not_found("proof"))?;
    shown["certificate"] = json!(certificate);
    Ok(shown)
}

fn addresses(params: &mut Params, most: usize) -> Result<Vec<String>, RpcError> {
    let addresses: Vec<String> = params.required("addresses")?;
    if addresses.len() > most {
        return Err(RpcError::params(format!("parameter addresses: at most {most}")));
    }
    Ok(addresses)
}

pub(super) fn balances(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    Ok(Value::Array(proved_balances(handle, &addresses(params, BALANCES_MAX)?)?.0))
}

fn one_list(handle: &NodeHandle, address: &str) -> Result<Value, RpcError> {
    let network = handle.chain.spec.consensus.network;
    let owner = owner(network, address)?;
    let answer = query::coins(handle, &owner)?;
    let coins = answer.verify(&owner).map_err(|_| RpcError::not_found("proof"))?;
    let state = handle.state.load();
    let coins = coins.iter().map(|(outpoint, output)| {
        let mut shown = render::coin(network, outpoint, output);
        shown["locked"] = json!(state.registry.of_collateral(outpoint).map(|node| node.id));
        shown
    });
    Ok(json!({
        "address": address,
        "coins": coins.collect::<Vec<_>>(),
        "at": render::at(&answer.opening.header),
        "proof": to_hex(&encode(&answer)),
        "certificate": query::certificate(handle, &answer.opening.header)?,
    }))
}

pub(super) fn unspent(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    one_list(handle, &params.required::<String>("address")?)
}

pub(super) fn unspent_multi(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    addresses(params, LISTS_MAX)?.iter().map(|address| one_list(handle, address)).collect()
}

pub(super) fn coin(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let outpoint = OutPoint { txid: params.required("txid")?, index: params.required("index")? };
    let Some((output, made_at)) = Reader::new(handle)?.output(&outpoint)? else { return Ok(Value::Null) };
    let (opening, proof) = query::coin(handle, &output.owner, &outpoint)?;
    let Some(proof) = proof else { return Ok(Value::Null) };
    let mut shown = render::coin(handle.chain.spec.consensus.network, &outpoint, &output);
    shown["at"] = render::at(&opening.header);
    shown["made_at"] = json!(made_at);
    shown["certificate"] = json!(query::certificate(handle, &opening.header)?);
    shown["proof"] = json!(to_hex(&encode(&proof)));
    shown["opening"] = json!(to_hex(&encode(&opening)));
    Ok(shown)
}

pub(super) fn set_info(handle: &NodeHandle) -> Value {
    let state = handle.state.load_full();
    let coins = state.coins.summary();
    json!({
        "coins": coins.count,
        "amount": coins.sum,
        "coins_root": coins.hash,
        "pool": state.accounting.pool,
        "supply": state.header.supply,
        "issued": handle.chain.spec.consensus.issued(state.header.time),
        "at": render::at(&state.header),
    })
}

pub(super) fn history(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let network = handle.chain.spec.consensus.network;
    let owner = owner(network, &params.required::<String>("address")?)?;
    let from = params.optional::<Height>("from")?.map_or(u64::MAX, |from| from.0);
    let count = params.optional::<usize>("count")?.unwrap_or(50);
    if count > HISTORY_MAX {
        return Err(RpcError::params(format!("parameter count: at most {HISTORY_MAX}")));
    }
    let reader = Reader::new(handle)?;
    let range = Range {
        start: Some(activity_key(&owner, Height(0), 0)),
        end: Some(activity_key(&owner, Height(from.saturating_add(1)), 0)),
    };
    let mut list = Vec::new();
    for row in reader.snapshot().rows(Table::Activity, &range).rev().take(count) {
        let (key, value) = row?;
        let height = key.get(32..).and_then(key_height);
        let Ok(row) = decode::<ActivityRow>(&value) else { continue };
        let mut shown = render::coin(network, &row.outpoint, &row.output);
        shown["height"] = json!(height);
        shown["made"] = json!(row.made);
        list.push(shown);
    }
    Ok(json!({ "reported": list, "proved": false, "at": render::at(&handle.state.load().header) }))
}

pub(super) fn validate_address(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let text: String = params.required("address")?;
    Ok(match Address::parse_for(handle.chain.spec.consensus.network, &text) {
        Ok(owner) => json!({ "valid": true, "owner": owner }),
        Err(error) => {
            json!({ "valid": false, "code": address_code(&error), "reason": error.to_string() })
        }
    })
}
