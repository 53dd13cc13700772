//! The methods, by what they are about.

mod chain;
mod coins;
mod node;
mod transactions;

use serde_json::{Value, json};
use timecoin_core::address::{Address, AddressError, Network};
use timecoin_core::hash::{BlockId, Owner};
use timecoin_core::vote::Height;

use super::error::RpcError;
use super::params::Params;
use super::query::Reader;
use super::{Caller, Rpc, table};

/// Runs a method of the table.
pub(super) async fn call(
    rpc: &Rpc,
    caller: &Caller,
    name: &str,
    mut params: Params,
) -> Result<Value, RpcError> {
    let (handle, params) = (rpc.handle(), &mut params);
    match name {
        "getblockchaininfo" => chain::info(handle),
        "getblockcount" => Ok(json!(handle.state.load().height())),
        "getblockhash" => chain::hash(handle, params),
        "getblock" => chain::block(handle, params),
        "getrawblock" => chain::raw_block(handle, params),
        "getblockheader" => chain::header(handle, params),
        "getlightblock" => chain::light_block(handle, params),
        "getfilters" => chain::filters(handle, params),
        "getvalidators" => chain::validators(handle, params),
        "getrawtransaction" => transactions::raw(handle, params).await,
        "gettransaction" => transactions::transaction(handle, params).await,
        "decoderawtransaction" => transactions::decode_raw(handle, params),
        "sendrawtransaction" => transactions::send(handle, params).await,
        "gettransactionfinality" => transactions::finality(handle, params).await,
        "waittransactionfinality" => transactions::wait(handle, params).await,
        "getreceipt" => transactions::receipt(handle, params),
        "getmempoolinfo" => transactions::mempool_info(handle).await,
        "getrawmempool" => transactions::mempool(handle).await,
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
        "getconsensusinfo" => node::consensus(handle).await,
        "getnetworkinfo" => Ok(node::network(handle)),
        "getpeerinfo" => node::peers(handle).await,
        "uptime" => Ok(json!(handle.uptime_ms())),
        "rpc.discover" => Ok(table::discover()),
        "stop" => {
            handle.stop();
            Ok(json!("stopping"))
        }
        // The socket answers these before they come here.
        "subscribe" | "unsubscribe" if !caller.over_socket => Err(RpcError::needs_socket()),
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
