//! The RPC over WebSocket: calls as over HTTP, and subscriptions.
//!
//! A client that reads too slowly is closed with a reason; nothing piles up for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use timecoin_core::hash::{Owner, TxId};
use timecoin_core::node::Notice;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::dispatch::answer;
use super::error::RpcError;
use super::http::BODY_SIZE_MAX;
use super::{Caller, Rpc, render};

/// Longest that a message may take to leave.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Most subscriptions of one client.
const SUBSCRIPTIONS_MAX: usize = 16;
/// Most entries in a subscription's filter.
const FILTER_MAX: usize = 1000;

/// What a client wants to hear of.
enum Topic {
    Blocks,
    /// Phase changes, of these transactions or all.
    Transactions(Option<BTreeSet<TxId>>),
    /// Coins of these owners, in final blocks.
    Addresses(BTreeSet<Owner>),
}

struct Client {
    rpc: Rpc,
    caller: Caller,
    topics: BTreeMap<u64, Topic>,
    next: u64,
}

/// Serves a client until it leaves.
pub(super) async fn run(rpc: Rpc, caller: Caller, upgraded: OnUpgrade) {
    let Ok(upgraded) = upgraded.await else { return };
    let config = WebSocketConfig::default()
        .max_message_size(Some(BODY_SIZE_MAX))
        .max_frame_size(Some(BODY_SIZE_MAX))
        .max_write_buffer_size(8 << 20);
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let mut notices = rpc.handle().notices();
    let handle = rpc.handle().clone();
    let mut client = Client { rpc, caller, topics: BTreeMap::new(), next: 1 };
    let reason = loop {
        let out = tokio::select! {
            () = handle.stopping() => break "the node is stopping",
            notice = notices.recv() => match notice {
                Ok(notice) => client.news(&notice),
                Err(RecvError::Lagged(_)) if client.topics.is_empty() => Vec::new(),
                Err(RecvError::Lagged(_)) => break "too slow: notifications were lost",
                Err(RecvError::Closed) => break "the node is stopping",
            },
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => client.answer(text.as_bytes()).await.into_iter().collect(),
                Some(Ok(Message::Binary(bytes))) => client.answer(&bytes).await.into_iter().collect(),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Vec::new(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        };
        for value in out {
            let sent = timeout(WRITE_TIMEOUT, socket.send(Message::text(value.to_string()))).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    };
    let frame = CloseFrame { code: CloseCode::Policy, reason: reason.into() };
    // Whether the client hears it does not matter any more.
    let _ = timeout(WRITE_TIMEOUT, socket.close(Some(frame))).await;
}

impl Client {
    async fn answer(&mut self, request: &[u8]) -> Option<Value> {
        match self.subscription_call(request) {
            Some(answer) => Some(answer),
            None => answer(&self.rpc, &self.caller, request).await,
        }
    }

    /// Single calls of `subscribe` and `unsubscribe`; everything else goes to the dispatcher.
    fn subscription_call(&mut self, request: &[u8]) -> Option<Value> {
        let call = super::json::parse(request)?;
        let method = call.get("method")?.as_str()?;
        let result = match method {
            "subscribe" => self.subscribe(call.get("params").cloned()),
            "unsubscribe" => self.unsubscribe(call.get("params").cloned()),
            _ => return None,
        };
        let id = call.get("id").cloned().unwrap_or(Value::Null);
        Some(match result {
            Ok(result) => json!({ "jsonrpc": "2.0", "result": result, "id": id }),
            Err(error) => json!({ "jsonrpc": "2.0", "error": error.to_json(), "id": id }),
        })
    }

    fn subscribe(&mut self, params: Option<Value>) -> Result<Value, RpcError> {
        let mut params = super::params::Params::new(&["topic", "filter"], params)?;
        if self.topics.len() >= SUBSCRIPTIONS_MAX {
            return Err(RpcError::params(format!("at most {SUBSCRIPTIONS_MAX} subscriptions")));
        }
        let topic: String = params.required("topic")?;
        let filter: Option<Vec<String>> = params.optional("filter")?;
        if filter.as_ref().is_some_and(|filter| filter.len() > FILTER_MAX) {
            return Err(RpcError::params(format!("parameter filter: at most {FILTER_MAX}")));
        }
        let network = self.rpc.handle().chain.spec.consensus.network;
        let topic = match topic.as_str() {
            "blocks" => Topic::Blocks,
            "transactions" => Topic::Transactions(match filter {
                None => None,
                Some(ids) => Some(
                    ids.iter()
                        .map(|id| {
                            id.parse().map_err(|error| RpcError::params(format!("parameter filter: {error}")))
                        })
                        .collect::<Result<_, _>>()?,
                ),
            }),
            "addresses" => Topic::Addresses(
                filter
                    .unwrap_or_default()
                    .iter()
                    .map(|text| super::methods::owner(network, text))
                    .collect::<Result<_, _>>()?,
            ),
            _ => return Err(RpcError::params("parameter topic: blocks, transactions or addresses")),
        };
        let number = self.next;
        self.next += 1;
        self.topics.insert(number, topic);
        Ok(json!(number))
    }

    fn unsubscribe(&mut self, params: Option<Value>) -> Result<Value, RpcError> {
        let mut params = super::params::Params::new(&["subscription"], params)?;
        Ok(json!(self.topics.remove(&params.required::<u64>("subscription")?).is_some()))
    }

    /// What the client is told of a notice.
    fn news(&self, notice: &Arc<Notice>) -> Vec<Value> {
        let mut out = Vec::new();
        for (number, topic) in &self.topics {
            let told: Option<Value> = match (topic, &**notice) {
                (Topic::Blocks, Notice::Finalized { block, certificate, elapsed_ms }) => {
                    let mut shown = render::header(&block.header, Some(certificate));
                    shown["transactions"] = json!(block.body.transactions.len());
                    shown["elapsed_ms"] = json!(elapsed_ms);
                    Some(shown)
                }
                (Topic::Transactions(filter), Notice::Phase(phase, ids)) => {
                    let wanted = |id: &&TxId| filter.as_ref().is_none_or(|filter| filter.contains(id));
                    let ids: Vec<_> = ids.iter().filter(wanted).collect();
                    (!ids.is_empty()).then(|| json!({ "phase": render::phase(*phase), "txids": ids }))
                }
                (Topic::Transactions(filter), Notice::Dropped(id)) => {
                    let wanted = filter.as_ref().is_none_or(|filter| filter.contains(id));
                    wanted.then(|| json!({ "phase": "dropped", "txids": [id] }))
                }
                (Topic::Addresses(owners), Notice::Finalized { block, .. }) => self.touched(owners, block),
                _ => None,
            };
            out.extend(told.map(|result| {
                json!({ "jsonrpc": "2.0", "method": "subscription", "params": { "subscription": number, "result": result } })
            }));
        }
        out
    }

    fn touched(&self, owners: &BTreeSet<Owner>, block: &timecoin_core::block::Block) -> Option<Value> {
        let network = self.rpc.handle().chain.spec.consensus.network;
        let touches = |signed: &&timecoin_core::transaction::SignedTransaction| {
            let mut outputs = signed.spent.iter().chain(&signed.transaction.outputs);
            outputs.any(|output| owners.contains(&output.owner))
        };
        let list: Vec<_> = block
            .body
            .transactions
            .iter()
            .filter(touches)
            .map(|signed| render::transaction(network, signed))
            .collect();
        (!list.is_empty()).then(|| json!({ "at": render::at(&block.header), "transactions": list }))
    }
}
