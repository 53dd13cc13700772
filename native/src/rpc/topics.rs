//! Subscriptions of one client: what it wants to hear of, and what it is told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use timecoin_core::address::Network;
use timecoin_core::block::Block;
use timecoin_core::hash::{Owner, TxId};
use timecoin_core::node::Notice;
use timecoin_core::transaction::SignedTransaction;

use super::error::RpcError;
use super::params::Params;
use super::{calls, render};

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

/// A client's subscriptions.
pub(super) struct Topics {
    network: Network,
    topics: BTreeMap<u64, Topic>,
    next: u64,
}

impl Topics {
    pub(super) fn new(network: Network) -> Self {
        Self { network, topics: BTreeMap::new(), next: 1 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub(super) fn subscribe(&mut self, params: &mut Params) -> Result<Value, RpcError> {
        if self.topics.len() >= SUBSCRIPTIONS_MAX {
            return Err(RpcError::params(format!(
                "at most {SUBSCRIPTIONS_MAX} subscriptions: end one first"
            )));
        }
        let topic: String = params.required("topic")?;
        let filter: Option<Vec<String>> = params.optional("filter")?;
        if filter.as_ref().is_some_and(|filter| filter.len() > FILTER_MAX) {
            return Err(RpcError::params(format!("parameter filter: at most {FILTER_MAX}")));
        }
        let topic = match (topic.as_str(), filter) {
            ("blocks", None) => Topic::Blocks,
            ("blocks", Some(_)) => return Err(RpcError::params("parameter filter: blocks have none")),
            ("transactions", None) => Topic::Transactions(None),
            ("transactions", Some(ids)) => {
                let id = |id: &String| {
                    id.parse().map_err(|error| RpcError::params(format!("parameter filter: {error}")))
                };
                Topic::Transactions(Some(ids.iter().map(id).collect::<Result<_, _>>()?))
            }
            ("addresses", Some(texts)) if !texts.is_empty() => {
                let owners = texts.iter().map(|text| calls::owner(self.network, text));
                Topic::Addresses(owners.collect::<Result<_, _>>()?)
            }
            ("addresses", _) => return Err(RpcError::params("parameter filter: name addresses to watch")),
            _ => return Err(RpcError::params("parameter topic: blocks, transactions or addresses")),
        };
        let number = self.next;
        self.next += 1;
        self.topics.insert(number, topic);
        Ok(json!(number))
    }

    pub(super) fn unsubscribe(&mut self, params: &mut Params) -> Result<Value, RpcError> {
        Ok(json!(self.topics.remove(&params.required::<u64>("subscription")?).is_some()))
    }

    /// What the client is told of a notice.
    pub(super) fn news(&self, notice: &Notice) -> Vec<Value> {
        let told = self.topics.iter().filter_map(|(number, topic)| {
            let result = self.about(topic, notice)?;
            let params = json!({ "subscription": number, "result": result });
            Some(json!({ "jsonrpc": "2.0", "method": "subscription", "params": params }))
        });
        told.collect()
    }

    fn about(&self, topic: &Topic, notice: &Notice) -> Option<Value> {
        match (topic, notice) {
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
        }
    }

    fn touched(&self, owners: &BTreeSet<Owner>, block: &Block) -> Option<Value> {
        let touches = |signed: &&SignedTransaction| {
            let mut outputs = signed.spent.iter().chain(&signed.transaction.outputs);
            outputs.any(|output| owners.contains(&output.owner))
        };
        let touching = block.body.transactions.iter().filter(touches);
        let list: Vec<_> = touching.map(|signed| render::transaction(self.network, signed)).collect();
        (!list.is_empty()).then(|| json!({ "at": render::at(&block.header), "transactions": list }))
    }
}
