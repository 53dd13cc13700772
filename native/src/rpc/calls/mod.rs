//! The methods, by what they are about.

mod chain;
mod coins;
mod create;
mod node;
mod transactions;

use serde_json::{Value, json};
use timecoin_core::address::{Address, AddressError, Network};
use timecoin_core::hash::{BlockId, Owner};
use timecoin_core::vote::Height;

use super::error::{Kind, RpcError};
use super::params::Params;
use super::query::Reader;
use super::{Caller, Rpc, document};
use crate::handle::NodeHandle;
use crate::mutex::lock;

/// Runs a method of the table.
pub(super) async fn call(
    rpc: &Rpc,
    caller: &Caller,
    name: &'static str,
    mut params: Params,
) -> Result<Value, RpcError> {
    let handle = rpc.handle();
    match name {
        "getrawtransaction" => transactions::raw(handle, &mut params).await,
        "gettransaction" => transactions::transaction(handle, &mut params).await,
        "createrawtransaction" => create::create(handle, &mut params).await,
        "sendrawtransaction" => transactions::send(handle, &mut params).await,
        "gettransactionfinality" => transactions::finality(handle, &mut params).await,
        "waittransactionfinality" => transactions::wait(handle, &mut params).await,
        "getmempoolinfo" => transactions::mempool_info(handle).await,
        "getrawmempool" => transactions::mempool(handle).await,
        "getconsensusinfo" => node::consensus(handle).await,
        "getpeerinfo" => node::peers(handle).await,
        "subscribe" => lock(caller.topics()?).subscribe(&mut params),
        "unsubscribe" => lock(caller.topics()?).unsubscribe(&mut params),
        "overridequarantine" => node::override_quarantine(handle, &mut params).await,
        "stop" => {
            handle.stop();
            Ok(json!("stopping"))
        }
        _ => {
            // Reading rows and making proofs takes its time: not on a thread that moves messages.
            let permit = rpc.reading().await;
            let handle = handle.clone();
            let read = tokio::task::spawn_blocking(move || {
                let result = read(&handle, name, &mut params);
                drop(permit);
                result
            });
            read.await.unwrap_or_else(|_| Err(RpcError::new(Kind::Internal, "the call failed")))
        }
    }
}

/// Runs a method that only reads.
fn read(handle: &NodeHandle, name: &'static str, params: &mut Params) -> Result<Value, RpcError> {
    match name {
        "getblockchaininfo" => chain::info(handle),
        "getblockcount" => Ok(json!(handle.state.load().height())),
        "getblockhash" => chain::hash(handle, params),
        "getblock" => chain::block(handle, params),
        "getrawblock" => chain::raw_block(handle, params),
        "getblockheader" => chain::header(handle, params),
        "getlightblock" => chain::light_block(handle, params),
        "ask" => chain::ask(handle, params),
        "getfilters" => chain::filters(handle, params),
        "getvalidators" => chain::validators(handle, params),
        "decoderawtransaction" => transactions::decode_raw(handle, params),
        "getreceipt" => transactions::receipt(handle, params),
        "estimatefee" => transactions::estimate_fee(handle, params),
        "getbalance" => coins::balance(handle, params),
        "getbalances" => coins::balances(handle, params),
        "listunspent" => coins::unspent(handle, params),
        "listunspentmulti" => coins::unspent_multi(handle, params),
        "gettxout" => coins::coin(handle, params),
        "gettxoutsetinfo" => Ok(coins::set_info(handle)),
        "getaddresshistory" => coins::history(handle, params),
        "validateaddress" => coins::validate_address(handle, params),
        "masternodelist" => Ok(node::masternodes(handle)),
        "masternodestatus" => node::masternode(handle, params),
        "listbanned" => Ok(node::banned(handle)),
        "getnetworkinfo" => Ok(node::network(handle)),
        "uptime" => Ok(json!(handle.uptime_ms())),
        "rpc.discover" => Ok(document::openrpc()),
        _ => Err(RpcError::unknown_method(name)),
    }
}

/// A block named by height or id.
fn height_of(reader: &Reader, params: &mut Params) -> Result<Height, RpcError> {
    match params.required::<Value>("block")? {
        Value::Number(number) => match number.as_u64() {
            Some(height) => Ok(Height(height)),
            None => Err(RpcError::params("parameter block: a height is a whole number")),
        },
        Value::String(text) => {
            let id: BlockId =
                text.parse().map_err(|error| RpcError::params(format!("parameter block: {error}")))?;
            reader.height_of(&id)
        }
        _ => Err(RpcError::params("parameter block: a height or a block id")),
    }
}

pub(super) fn owner(network: Network, text: &str) -> Result<Owner, RpcError> {
    Address::parse_for(network, text)
        .map_err(|error: AddressError| RpcError::params(format!("address: {error}")))
}
