//! Answers that carry their proof: decoded here, verified by the caller.

use serde_json::{Value, json};
use timecoin_core::address::{Address, Network};
use timecoin_core::answer::{BalanceAnswer, RegistryAnswer};
use timecoin_core::block::{Block, Header};
use timecoin_core::codec::{Wire, decode};
use timecoin_core::filter::Filter;
use timecoin_core::hash::{ChainId, Owner, TxId, hex_to_vec};
use timecoin_core::light::LightBlock;
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

    /// A header with its certificate and sets.
    ///
    /// # Errors
    /// If the node has no such block or does not answer.
    pub async fn light_block(&self, height: Height) -> Result<LightBlock, ClientError> {
        self.ask("getlightblock", json!([height]), |answer| bytes(&answer["hex"])).await
    }

    /// Up to 100 headers and filters from a height on.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn filters(&self, from: Height) -> Result<Vec<(Header, Filter)>, ClientError> {
        let one = |item: &Value| Some((bytes(&item["header"])?, bytes(&item["filter"])?));
        let read = |answer: &Value| answer.as_array()?.iter().map(one).collect();
        self.ask("getfilters", json!([from]), read).await
    }

    /// A whole block.
    ///
    /// # Errors
    /// If the node has no such block or does not answer.
    pub async fn block(&self, height: Height) -> Result<Block, ClientError> {
        self.ask("getrawblock", json!([height]), bytes).await
    }

    /// The balances of owners, in their order, under one header.
    ///
    /// # Errors
    /// If there are too many of them, or the node does not answer.
    pub async fn balances(
        &self,
        network: Network,
        owners: &[Owner],
    ) -> Result<Vec<BalanceAnswer>, ClientError> {
        let address = |owner: &Owner| Address { network, owner: *owner }.to_string();
        let addresses: Vec<_> = owners.iter().map(address).collect();
        let read = |answer: &Value| {
            let list: Vec<_> =
                answer.as_array()?.iter().map(|one| bytes(&one["proof"])).collect::<Option<_>>()?;
            (list.len() == owners.len()).then_some(list)
        };
        self.ask("getbalances", json!([addresses]), read).await
    }

    /// All masternodes.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn masternodes(&self) -> Result<RegistryAnswer, ClientError> {
        self.ask("masternodelist", json!([]), |answer| bytes(&answer["proof"])).await
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
