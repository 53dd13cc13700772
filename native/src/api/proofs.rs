//! Answers that carry their proof: decoded here, verified by the caller.

use serde_json::{Value, json};
use timecoin_core::answer::{Question, Reply};
use timecoin_core::codec::{Wire, decode, encode};
use timecoin_core::hash::{ChainId, TxId, hex_to_vec, to_hex};
use timecoin_core::receipt::Receipt;
use timecoin_core::vote::Height;

use super::Api;
use crate::client::ClientError;

impl Api {
    async fn ask<T>(
        &self,
        method: &'static str,
        params: Value,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, ClientError> {
        let answer = self.client().call(method, params).await?;
        read(&answer).ok_or(ClientError::Form { method })
    }

    /// The chain the node is on.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn chain(&self) -> Result<ChainId, ClientError> {
        self.ask("getblockchaininfo", json!([]), |answer| answer["chain"].as_str()?.parse().ok()).await
    }

    /// The newest height the node claims.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn height(&self) -> Result<Height, ClientError> {
        self.ask("getblockcount", json!([]), |answer| answer.as_u64().map(Height)).await
    }

    /// Asks as a light node does; nothing of the reply is verified.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn ask_light(&self, question: &Question) -> Result<Reply, ClientError> {
        let params = json!([to_hex(&encode(question))]);
        self.ask("ask", params, |answer| bytes(&answer["reply"])).await
    }

    /// The receipt of a final payment.
    ///
    /// # Errors
    /// If the payment is not final, or the node does not answer.
    pub async fn receipt(&self, txid: &TxId) -> Result<Receipt, ClientError> {
        let read = |answer: &Value| Receipt::from_text(answer["text"].as_str()?).ok();
        self.ask("getreceipt", json!([txid]), read).await
    }
}

/// Canonical bytes in hexadecimal.
fn bytes<T: Wire>(value: &Value) -> Option<T> {
    decode(&hex_to_vec(value.as_str()?)?).ok()
}
