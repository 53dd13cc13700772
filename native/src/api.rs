//! The node's RPC as typed calls, for the devnet and the wallet commands. Only what they use.

mod phases;
mod proofs;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use timecoin_core::address::{Address, Network};
use timecoin_core::amount::Amount;
use timecoin_core::codec::encode;
use timecoin_core::hash::{Owner, TxId, to_hex};
use timecoin_core::transaction::{OutPoint, Output, SignedTransaction};

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::client::{Client, ClientError};
use crate::mutex::lock;

pub use phases::PhaseWatch;

/// Blocks a slow reader may be behind.
const FINAL_BLOCKS_MAX: usize = 1024;

/// A connection to a node, with types.
#[derive(Debug)]
pub struct Api(Client);

/// Where a node stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its newest final height.
    pub height: u64,
    /// The view of the open height.
    pub view: u64,
    /// Sessions with peers.
    pub peers: u64,
    /// Pending transactions.
    pub mempool: u64,
}

/// A block that became final at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalBlock {
    /// Its height.
    pub height: u64,
    /// The view it was first proposed in.
    pub view: u64,
    /// How many transactions it has.
    pub transactions: u64,
    /// From the first sight of its proposal to finality, at that node; none where that was not listened to.
    pub elapsed_ms: Option<u64>,
}

impl Api {
    /// Over this connection.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    /// The connection, for calls without a type.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.0
    }

    /// Submits a transaction; returns when it is pending.
    ///
    /// # Errors
    /// If the node refuses it or does not answer.
    pub async fn submit(&self, transaction: &SignedTransaction) -> Result<TxId, ClientError> {
        let answer = self.0.call("sendrawtransaction", json!([to_hex(&encode(transaction))])).await?;
        let txid = answer.as_str().and_then(|text| text.parse().ok());
        txid.ok_or(ClientError::Form { method: "sendrawtransaction" })
    }

    /// Waits until a transaction is final, at most `timeout_ms`; its block's height.
    ///
    /// # Errors
    /// If it is not final by then, or the node does not answer.
    pub async fn wait_final(&self, txid: &TxId, timeout_ms: u64) -> Result<u64, ClientError> {
        let answer = self.0.call("waittransactionfinality", json!([txid.to_string(), timeout_ms])).await?;
        answer["at"]["height"].as_u64().ok_or(ClientError::Form { method: "waittransactionfinality" })
    }

    /// Listens for transactions that become final, from now on.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn watch_finality(&self) -> Result<FinalityWatch, ClientError> {
        let notifications = self.0.notifications();
        let subscription = self.0.call("subscribe", json!(["transactions"])).await?;
        let waiting = Waiting::default();
        let task = tokio::spawn(resolve(subscription, notifications, waiting.clone()));
        Ok(FinalityWatch { waiting, task: task.abort_handle() })
    }

    /// The coins of an owner that are not locked as collateral, as the node reports them.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn unspent(
        &self,
        network: Network,
        owner: &Owner,
    ) -> Result<Vec<(OutPoint, Output)>, ClientError> {
        let form = || ClientError::Form { method: "listunspent" };
        let address = Address { network, owner: *owner }.to_string();
        let answer = self.0.call("listunspent", json!([address])).await?;
        let coins = answer["coins"].as_array().ok_or_else(form)?;
        let coin = |coin: &Value| {
            let txid = coin["txid"].as_str()?.parse().ok()?;
            let index = u32::try_from(coin["index"].as_u64()?).ok()?;
            let amount: Amount = serde_json::from_value(coin["amount"].clone()).ok()?;
            Some((OutPoint { txid, index }, Output { amount, owner: *owner }))
        };
        coins
            .iter()
            .filter(|coin| coin["locked"].is_null())
            .map(|value| coin(value).ok_or_else(form))
            .collect()
    }

    /// Where the node stands.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn status(&self) -> Result<NodeStatus, ClientError> {
        let number = |method: &'static str, answer: &Value, key: &str| {
            answer[key].as_u64().ok_or(ClientError::Form { method })
        };
        let none = json!([]);
        let consensus = self.0.call("getconsensusinfo", none.clone()).await?;
        let mempool = self.0.call("getmempoolinfo", none.clone()).await?;
        let network = self.0.call("getnetworkinfo", none.clone()).await?;
        let height = self.0.call("getblockcount", none).await?;
        Ok(NodeStatus {
            height: height.as_u64().ok_or(ClientError::Form { method: "getblockcount" })?,
            view: number("getconsensusinfo", &consensus, "view")?,
            peers: number("getnetworkinfo", &network, "peers")?,
            mempool: number("getmempoolinfo", &mempool, "size")?,
        })
    }

    /// A block that is final.
    ///
    /// # Errors
    /// If the node does not have it, or does not answer.
    pub async fn block(&self, height: u64) -> Result<FinalBlock, ClientError> {
        let answer = self.0.call("getblock", json!([height])).await?;
        let form = || ClientError::Form { method: "getblock" };
        let view = answer["view"].as_u64().ok_or_else(form)?;
        let transactions = answer["transactions"].as_array().ok_or_else(form)?.len() as u64;
        Ok(FinalBlock { height, view, transactions, elapsed_ms: None })
    }

    /// The blocks that become final from now on.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn final_blocks(&self) -> Result<mpsc::Receiver<FinalBlock>, ClientError> {
        let mut notifications = self.0.notifications();
        let subscription = self.0.call("subscribe", json!(["blocks"])).await?;
        let (sender, receiver) = mpsc::channel(FINAL_BLOCKS_MAX);
        tokio::spawn(async move {
            loop {
                let params = match notifications.recv().await {
                    Ok(params) => params,
                    Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    Err(broadcast::error::RecvError::Closed) => return,
                };
                if params["subscription"] != subscription {
                    continue;
                }
                let number = |key: &str| params["result"][key].as_u64();
                let block = (|| {
                    Some(FinalBlock {
                        height: number("height")?,
                        view: number("view")?,
                        transactions: number("transactions")?,
                        elapsed_ms: Some(number("elapsed_ms")?),
                    })
                })();
                if let Some(block) = block
                    && sender.send(block).await.is_err()
                {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}

type Waiting = Arc<Mutex<BTreeMap<TxId, oneshot::Sender<bool>>>>;

/// Tells when transactions become final.
#[derive(Debug)]
pub struct FinalityWatch {
    waiting: Waiting,
    task: AbortHandle,
}

impl FinalityWatch {
    /// Becomes true when the transaction is final, false when it is dropped. Ask before submitting it.
    #[must_use]
    pub fn expect(&self, txid: TxId) -> oneshot::Receiver<bool> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(txid, sender);
        receiver
    }

    /// Waits for it no longer.
    pub fn forget(&self, txid: &TxId) {
        lock(&self.waiting).remove(txid);
    }
}

impl Drop for FinalityWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn resolve(subscription: Value, mut notifications: broadcast::Receiver<Value>, waiting: Waiting) {
    loop {
        let params = match notifications.recv().await {
            Ok(params) => params,
            // Who waited for what was lost runs into a timeout.
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let is_final = match params["result"]["phase"].as_str() {
            Some("finalized") => true,
            Some("dropped") => false,
            _ => continue,
        };
        if params["subscription"] != subscription {
            continue;
        }
        let ids = params["result"]["txids"].as_array().into_iter().flatten();
        for txid in ids.filter_map(|id| id.as_str()?.parse().ok()) {
            if let Some(waiter) = lock(&waiting).remove(&txid) {
                let _ = waiter.send(is_final);
            }
        }
    }
}
