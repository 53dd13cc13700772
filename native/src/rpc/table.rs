//! Every method once: the dispatcher, `rpc.discover` and `docs/RPC.md` are checked against this table.

use serde_json::{Value, json};

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Its parameters, in order; all may also be given by name.
    pub params: &'static [&'static str],
    /// What it answers.
    pub summary: &'static str,
    /// Whether it needs the token.
    pub needs_token: bool,
}

const fn method(name: &'static str, params: &'static [&'static str], summary: &'static str) -> Method {
    Method { name, params, summary, needs_token: false }
}

/// All methods.
pub const METHODS: &[Method] = &[
    method("getblockchaininfo", &[], "chain id, height, newest block, supply, coins, validators"),
    method("getblockcount", &[], "the newest final height"),
    method("getblockhash", &["height"], "the id of the block at a height"),
    method(
        "getblock",
        &["block", "verbose"],
        "a block by height or id, with its certificate; verbose: whole transactions",
    ),
    method("getrawblock", &["block"], "a block by height or id; hexadecimal of the canonical bytes"),
    method("getblockheader", &["block"], "a header by height or id, with its certificate"),
    method(
        "getlightblock",
        &["block"],
        "header, certificate and both validator sets, for light clients; hexadecimal of the canonical bytes",
    ),
    method("getfilters", &["from", "count"], "block filters and headers from a height on, at most 100"),
    method(
        "getrawtransaction",
        &["txid", "verbose"],
        "a pending or final transaction; hexadecimal of the canonical bytes, or decoded",
    ),
    method("gettransaction", &["txid"], "a transaction with its phase and place"),
    method("decoderawtransaction", &["hex"], "what a signed transaction says"),
    method(
        "sendrawtransaction",
        &["hex"],
        "submits a signed transaction; answers its txid once it is in the mempool",
    ),
    method("gettransactionfinality", &["txid"], "the phase of a transaction"),
    method("waittransactionfinality", &["txid", "timeout_ms"], "waits until a transaction is final"),
    method("getreceipt", &["txid"], "proof of a payment's finality, checkable offline"),
    method("getmempoolinfo", &[], "how much waits for a block"),
    method("getrawmempool", &[], "ids of pending transactions, best first, at most 1,000"),
    method("getbalance", &["address"], "the whole balance of an address, with its proof"),
    method("getbalances", &["addresses"], "balances of up to 500 addresses at one block, with their proofs"),
    method("listunspent", &["address"], "all coins of an address, proved complete"),
    method("listunspentmulti", &["addresses"], "all coins of up to 20 addresses"),
    method("gettxout", &["txid", "index"], "a coin with the proof that it is unspent, or null"),
    method("gettxoutsetinfo", &[], "number and sum of all coins, the reward pool and the money issued"),
    method(
        "getaddresshistory",
        &["address", "from", "count"],
        "what blocks did to an address's coins, newest first, as this node reports it",
    ),
    method("validateaddress", &["address"], "whether a text is an address of this network"),
    method("estimatefee", &["size"], "the fee of a transaction of so many bytes"),
    method("masternodelist", &[], "all masternodes, proved complete"),
    method("masternodestatus", &["masternode"], "one masternode by its id or operator key"),
    method("getvalidators", &["height"], "the validator set that signs a height"),
    method(
        "getconsensusinfo",
        &[],
        "height, view, phase and proposer of the open height, and whether this node may sign",
    ),
    method("getnetworkinfo", &[], "this node's key, protocol version and number of peers"),
    method("getpeerinfo", &[], "sessions with their heights and round-trip times"),
    method(
        "subscribe",
        &["topic", "filter"],
        "over WebSocket: pushes `blocks`, `transactions` (filter: txids) or `addresses` (filter: addresses)",
    ),
    method("unsubscribe", &["subscription"], "ends a subscription"),
    method("uptime", &[], "milliseconds since the node started"),
    method("rpc.discover", &[], "this list, as OpenRPC"),
    Method { name: "stop", params: &[], summary: "stops the node", needs_token: true },
];

/// The OpenRPC document.
pub(super) fn discover() -> Value {
    let methods = METHODS.iter().map(|method| {
        let params = method.params.iter().map(|name| json!({ "name": name, "schema": {} }));
        json!({
            "name": method.name,
            "summary": method.summary,
            "params": params.collect::<Vec<_>>(),
            "result": { "name": "result", "schema": {} },
            "x-needs-token": method.needs_token,
        })
    });
    json!({
        "openrpc": "1.3.2",
        "info": { "title": "TimeCoin node", "version": env!("CARGO_PKG_VERSION") },
        "methods": methods.collect::<Vec<_>>(),
    })
}
