//! Subscriptions over WebSocket: real events of a node that finalizes.

use futures::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::*;
use crate::rpc::table::TOPICS;

/// A client that shows every message.
pub(super) struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    pub(super) async fn open(node: &TestNode) -> Self {
        let stream = TcpStream::connect(node.address).await.unwrap();
        let url = format!("ws://{}/rpc", node.address);
        Self(tokio_tungstenite::client_async(url, stream).await.unwrap().0)
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    pub(super) async fn receive(&mut self) -> Value {
        loop {
            let message = timeout(WAIT, self.0.next()).await.expect("in time").unwrap().unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// The HTTP status with which a connection is refused, if it is.
    pub(super) async fn refusal(node: &TestNode) -> Option<u16> {
        let stream = TcpStream::connect(node.address).await.unwrap();
        match tokio_tungstenite::client_async(format!("ws://{}/rpc", node.address), stream).await {
            Err(Error::Http(response)) => Some(response.status().as_u16()),
            opened => opened.map(|_| None).unwrap(),
        }
    }

    /// Whether the server ends the connection over this text.
    pub(super) async fn closes_over(mut self, text: &str) -> bool {
        let _ = self.0.send(Message::text(text)).await;
        let ended =
            async { while let Some(Ok(Message::Text(_) | Message::Ping(_))) = self.0.next().await {} };
        timeout(WAIT, ended).await.is_ok()
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        let call = json!({ "jsonrpc": "2.0", "id": method, "method": method, "params": params });
        self.send(&call.to_string()).await;
        loop {
            let mut message = self.receive().await;
            if message["id"] == method {
                return if message["error"].is_null() {
                    message["result"].take()
                } else {
                    message["error"].take()
                };
            }
        }
    }

    /// The next event of a subscription, held against the table's shape of its topic.
    async fn event(&mut self, subscription: &Value, topic: &str) -> Value {
        loop {
            let mut message = self.receive().await;
            if message["params"]["subscription"] == *subscription {
                assert_eq!(
                    (&message["jsonrpc"], &message["method"]),
                    (&json!("2.0"), &json!("subscription"))
                );
                let result = message["params"]["result"].take();
                let (_, _, shape) = TOPICS.iter().find(|(name, ..)| *name == topic).unwrap();
                shape.check(&result).unwrap_or_else(|objection| panic!("{topic}{objection}"));
                return result;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_goes_through_all_phases_and_its_block_is_told() {
    let node = TestNode::start().await;
    let mut socket = Socket::open(&node).await;
    let payee = SecretKey::from_seed(&[9; 32]);
    let stranger = SecretKey::from_seed(&[10; 32]);

    let coin = node.coin(1).await;
    let signed = node.payment(&coin, &node.net.address_of(&payee)).await;
    let txid = json!(signed.transaction.id());
    let one = socket.call("subscribe", json!({ "topic": "transactions", "filter": [txid] })).await;
    socket
        .send(
            &json!({ "jsonrpc": "2.0", "method": "sendrawtransaction", "params": [hex(&signed)] })
                .to_string(),
        )
        .await;
    let mut phases = Vec::new();
    while phases.last() != Some(&json!("finalized")) {
        let event = socket.event(&one, "transactions").await;
        assert_eq!(event["txids"], json!([txid]));
        phases.push(event["phase"].clone());
    }
    assert_eq!(phases, ["pending", "preprepare", "prepare", "commit", "finalized"]);

    let blocks = socket.call("subscribe", json!(["blocks"])).await;
    let paid = socket.call("subscribe", json!(["addresses", [node.net.address_of(&payee)]])).await;
    let unpaid = socket.call("subscribe", json!(["addresses", [node.net.address_of(&stranger)]])).await;
    let coin = node.coin(2).await;
    let signed = node.payment(&coin, &node.net.address_of(&payee)).await;
    let txid = json!(signed.transaction.id());
    socket
        .send(
            &json!({ "jsonrpc": "2.0", "method": "sendrawtransaction", "params": [hex(&signed)] })
                .to_string(),
        )
        .await;
    let mut heard = Vec::new();
    let mut height = None;
    while heard.len() < 2 {
        let message = socket.receive().await;
        let number = &message["params"]["subscription"];
        let result = message["params"]["result"].clone();
        assert_ne!(number, &unpaid, "nobody paid it");
        if number == &blocks && result["transactions"] == 1 {
            height = Some(result["height"].clone());
            heard.push("block");
        } else if number == &paid {
            assert_eq!(result["transactions"][0]["txid"], txid);
            assert_eq!(result["transactions"][0]["outputs"][0]["amount"], "99.999");
            assert_eq!(Some(&result["at"]["height"]), height.as_ref(), "of the block just told");
            heard.push("address");
        }
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_topics_events_have_their_shape() {
    let node = TestNode::start().await;
    for (topic, ..) in TOPICS {
        let mut socket = Socket::open(&node).await;
        let filter =
            if *topic == "addresses" { json!([node.net.address_of(&node.net.payer)]) } else { json!(null) };
        let number = socket.call("subscribe", json!([topic, filter])).await;
        node.pay(0).await;
        socket.event(&number, topic).await;
        assert_eq!(socket.call("unsubscribe", json!([number])).await, true);
        assert_eq!(socket.call("unsubscribe", json!([number])).await, false);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_subscriptions_are_refused_and_the_connection_lives() {
    let node = TestNode::relay().await;
    let mut socket = Socket::open(&node).await;
    let address = node.net.address_of(&node.net.payer);
    let cases = [
        ("no topic", json!([])),
        ("unknown topic", json!(["everything"])),
        ("topic of another type", json!([7])),
        ("blocks with a filter", json!(["blocks", ["x"]])),
        ("a bad id", json!(["transactions", ["xyz"]])),
        ("no addresses", json!(["addresses"])),
        ("an empty list", json!(["addresses", []])),
        ("a bad address", json!(["addresses", ["dtime1x"]])),
        ("another network's", json!(["addresses", [address.replacen("dtime", "time", 1)]])),
        ("too many", json!(["transactions", vec!["ab".repeat(32); 1001]])),
    ];
    for (name, params) in cases {
        assert_eq!(socket.call("subscribe", params).await["data"]["code"], "invalid_params", "{name}");
    }
    for _ in 0..16 {
        assert!(socket.call("subscribe", json!(["blocks"])).await.is_u64());
    }
    assert_eq!(
        socket.call("subscribe", json!(["blocks"])).await["data"]["code"],
        "invalid_params",
        "the 17th"
    );
    // In a batch and as a notification they are calls like any other.
    socket.send(r#"[{"jsonrpc":"2.0","id":1,"method":"unsubscribe","params":[1]},{"jsonrpc":"2.0","method":"subscribe","params":["blocks"]}]"#).await;
    assert_eq!(socket.receive().await, json!([{ "jsonrpc": "2.0", "result": true, "id": 1 }]));
    assert_eq!(node.refused("subscribe", json!(["blocks"])).await, "needs_socket");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_holds_up_no_other() {
    let node = TestNode::relay().await;
    let mut socket = Socket::open(&node).await;
    let wait = json!({ "jsonrpc": "2.0", "id": "wait", "method": "waittransactionfinality", "params": ["00".repeat(32), 2000] });
    socket.send(&wait.to_string()).await;
    assert_eq!(socket.call("getblockcount", json!([])).await, 0, "answered first");
    let late = socket.receive().await;
    assert_eq!((&late["id"], &late["error"]["data"]["code"]), (&json!("wait"), &json!("timeout")));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_node_says_so_to_its_clients() {
    let node = TestNode::relay().await;
    let mut socket = Socket::open(&node).await;
    assert_eq!(socket.call("getblockcount", json!([])).await, 0);
    node.stop().await;
    let frame = loop {
        match timeout(WAIT, socket.0.next()).await.expect("in time").unwrap().unwrap() {
            Message::Ping(_) => {}
            Message::Close(Some(frame)) => break frame,
            other => panic!("{other:?}"),
        }
    };
    assert!(frame.reason.as_str().contains("stopping"), "{frame:?}");
}
