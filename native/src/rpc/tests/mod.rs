//! The RPC of a node that runs: one validator, files, sockets.

mod hostile;
mod methods;
mod page;
mod protocol;
mod subscriptions;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde_json::{Value, json};
use timecoin_core::address::Address;
use timecoin_core::amount::Amount;
use timecoin_core::codec::{decode, encode};
use timecoin_core::hash::{Owner, hex_to_vec, to_hex};
use timecoin_core::keys::SecretKey;
use timecoin_core::lock::Lock;
use timecoin_core::node::Chain;
use timecoin_core::transaction::{SignedTransaction, sign};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::devnet::{Founder, spec};
use crate::metrics::Metrics;
use crate::run::{Operator, Past, RunConfig, Running, StopReason, start};
use crate::{clock, identity};

use super::{RpcConfig, router};

pub(super) const TOKEN: &str = "the token of these tests";
const WAIT: Duration = Duration::from_secs(30);
const FEE: Amount = Amount(100_000);

/// A chain of one validator, or of one that never starts, and who owns its coins.
pub(super) struct Net {
    pub(super) chain: Arc<Chain>,
    pub(super) operator: SecretKey,
    pub(super) payer: SecretKey,
    folder: tempfile::TempDir,
}

/// A node of it.
pub(super) struct TestNode {
    pub(super) net: Net,
    pub(super) address: SocketAddr,
    pub(super) running: Option<Running>,
}

/// What a server sent.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// In small letters.
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

pub(super) fn config() -> RpcConfig {
    RpcConfig { token: Some(TOKEN.into()), ..RpcConfig::default() }
}

impl Net {
    pub(super) fn new() -> Self {
        let operator = identity::new_key().unwrap();
        let payer = SecretKey::from_seed(&[7; 32]);
        let founder = Founder { owner: owner_of(&payer), coins: 20, amount: Amount::from_time(100) };
        let spec = spec(clock::now(), &[operator.public_key()], owner_of(&operator), &[founder]);
        Self { chain: Arc::new(Chain::new(spec)), operator, payer, folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn address_of(&self, key: &SecretKey) -> String {
        Address { network: self.chain.spec.consensus.network, owner: owner_of(key) }.to_string()
    }
}

pub(super) fn owner_of(key: &SecretKey) -> Owner {
    Lock::Key(key.public_key()).owner()
}

impl TestNode {
    /// A validator that finalizes.
    pub(super) async fn start() -> Self {
        Self::start_with(config(), true, None).await
    }

    /// A node that only listens: what is submitted stays pending.
    pub(super) async fn relay() -> Self {
        Self::start_with(config(), false, None).await
    }

    pub(super) async fn start_with(rpc: RpcConfig, votes: bool, web: Option<&Path>) -> Self {
        let net = Net::new();
        let config = RunConfig {
            chain: net.chain.clone(),
            data: net.folder.path().join("data"),
            store: Default::default(),
            listen: "127.0.0.1:0".parse().unwrap(),
            advertise: None,
            peers: Vec::new(),
            operator: votes.then(|| Operator { key: net.operator.clone(), past: Past::Unused }),
            mempool: Default::default(),
            tls: None,
            trust: Default::default(),
            net: Default::default(),
            http: Default::default(),
        };
        let web = web.map(|folder| crate::web::router(folder, &net.chain.spec.bootstrap).unwrap());
        let routes = |handle: &_| -> Router {
            router(Clone::clone(handle), rpc, Metrics::watch(handle)).merge(web.unwrap_or_default())
        };
        let running = start(config, routes).await.unwrap();
        Self { net, address: running.address, running: Some(running) }
    }

    pub(super) async fn stop(mut self) {
        let reason = self.running.take().unwrap().stop().await;
        assert!(matches!(reason, StopReason::Requested), "{reason}");
    }

    /// Sends bytes and reads until the server closes.
    pub(super) async fn raw(&self, request: &[u8]) -> Answer {
        exchange(self.address, request).await
    }

    /// A request with these header lines (without `Host`).
    pub(super) async fn request(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let has_host = headers.iter().any(|line| line.starts_with("Host:"));
        let host = if has_host { String::new() } else { format!("Host: {}\r\n", self.address) };
        let mut lines = headers.join("\r\n");
        if !lines.is_empty() {
            lines += "\r\n";
        }
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {}\r\n{lines}\r\n",
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat()).await
    }

    /// Posts JSON text.
    pub(super) async fn post(&self, body: &str) -> Answer {
        self.request("POST", "/rpc", &["Content-Type: application/json"], body.as_bytes()).await
    }

    /// The whole response to a call.
    pub(super) async fn respond(&self, method: &str, params: Value) -> Value {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self.post(&call.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The result of a call that succeeds.
    pub(super) async fn call(&self, method: &str, params: Value) -> Value {
        let mut response = self.respond(method, params).await;
        assert!(response["error"].is_null(), "{method}: {response}");
        response["result"].take()
    }

    /// The stable word of the error of a call that fails.
    pub(super) async fn refused(&self, method: &str, params: Value) -> String {
        let response = self.respond(method, params).await;
        response["error"]["data"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{method}: {response}"))
            .to_owned()
    }

    /// Coin `at` of the payer, as the node lists them.
    pub(super) async fn coin(&self, at: usize) -> Value {
        let list = self.call("listunspent", json!([self.net.address_of(&self.net.payer)])).await;
        list["coins"][at].clone()
    }

    /// A signed payment of a coin to `to`, made by `createrawtransaction`.
    pub(super) async fn payment(&self, coin: &Value, to: &str) -> SignedTransaction {
        let amount: Amount = coin["amount"].as_str().unwrap().parse().unwrap();
        let output = json!({ "address": to, "amount": amount.checked_sub(FEE).unwrap() });
        let input = json!({ "txid": coin["txid"], "index": coin["index"] });
        let made = self.call("createrawtransaction", json!([[input], [output]])).await;
        let unsigned: SignedTransaction =
            decode(&hex_to_vec(made["hex"].as_str().unwrap()).unwrap()).unwrap();
        let keys = core::slice::from_ref(&self.net.payer);
        sign(unsigned.transaction, unsigned.spent, &self.net.chain.id, keys)
    }

    /// Pays coin `at` of the payer to itself; its id once it is final.
    pub(super) async fn pay(&self, at: usize) -> String {
        let coin = self.coin(at).await;
        let signed = self.payment(&coin, &self.net.address_of(&self.net.payer)).await;
        let txid = self.call("sendrawtransaction", json!([hex(&signed)])).await;
        let done = self.call("waittransactionfinality", json!([txid, 30_000])).await;
        assert_eq!(done["final"], true);
        txid.as_str().unwrap().to_owned()
    }
}

pub(super) fn hex(signed: &SignedTransaction) -> String {
    to_hex(&encode(signed))
}

async fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let request = request.to_vec();
    // The server may close before it has read everything.
    let sending = tokio::spawn(async move {
        let _ = writer.write_all(&request).await;
        writer
    });
    let mut bytes = Vec::new();
    let read = timeout(WAIT, reader.read_to_end(&mut bytes)).await.expect("the server closes in time");
    sending.abort();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {read:?} {text:?}"));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap();
    let head = head.to_ascii_lowercase();
    Answer { status, body: if head.contains("chunked") { unchunked(body) } else { body.to_owned() }, head }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole += &rest[..size];
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}
