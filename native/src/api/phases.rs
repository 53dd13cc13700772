//! The phases of one transaction, as they come.

use serde_json::{Value, json};
use timecoin_core::hash::TxId;
use tokio::sync::broadcast::{self, error::RecvError};

use super::Api;
use crate::client::ClientError;

/// Listens for a transaction.
#[derive(Debug)]
pub struct PhaseWatch {
    txid: String,
    subscription: Value,
    notifications: broadcast::Receiver<Value>,
}

impl Api {
    /// Listens for a transaction's phases from now on. Ask before submitting it.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn watch_phases(&self, txid: &TxId) -> Result<PhaseWatch, ClientError> {
        let notifications = self.client().notifications();
        let subscription = self.client().call("subscribe", json!(["transactions", [txid]])).await?;
        Ok(PhaseWatch { txid: txid.to_string(), subscription, notifications })
    }
}

impl PhaseWatch {
    /// The next phase: `pending`, `preprepare`, `prepare`, `commit`, `finalized` or `dropped`. Phases may be left out,
    /// and none comes once the connection is gone: wait for finality beside it.
    pub async fn next(&mut self) -> String {
        loop {
            let params = match self.notifications.recv().await {
                Ok(params) => params,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => std::future::pending().await,
            };
            let result = &params["result"];
            let ours = params["subscription"] == self.subscription
                && result["txids"].as_array().is_some_and(|ids| ids.iter().any(|id| *id == *self.txid));
            if let Some(phase) = result["phase"].as_str().filter(|_| ours) {
                return phase.to_owned();
            }
        }
    }
}
