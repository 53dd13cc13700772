//! What each key of a settings file does.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use timecoin_core::codec::encode;
use timecoin_core::hash::to_hex;
use timecoin_core::transaction::{Action, OutPoint, Output, TRANSACTION_VERSION, Transaction, sign};
use timecoin_native::client::Client;
use timecoin_native::config::KEYS;
use timecoin_native::tls::Trust;

use super::*;

type Effect = fn() -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Every key once, with a test of what it does.
const EFFECTS: &[(&str, Effect)] = &[
    ("chain", || Box::pin(chain())),
    ("data", || Box::pin(data())),
    ("listen", || Box::pin(listen())),
    ("advertise", || Box::pin(advertise())),
    ("peers", || Box::pin(peers())),
    ("operator_key", || Box::pin(operator_key())),
    ("web", || Box::pin(web())),
    ("log", || Box::pin(log())),
    ("tls_certificate", || Box::pin(tls())),
    ("tls_key", || Box::pin(tls())),
    ("tls_ca", || Box::pin(tls_ca())),
    ("rpc_token", || Box::pin(rpc_token())),
    ("rpc_origins", || Box::pin(rpc_origins())),
    ("rpc_hosts", || Box::pin(rpc_hosts())),
    ("rpc_public", || Box::pin(rpc_public())),
    ("inbound_peers_max", || Box::pin(inbound_peers_max())),
    ("inbound_per_ip_max", || Box::pin(inbound_per_ip_max())),
    ("mempool_mib", || Box::pin(mempool_mib())),
    ("cache_mib", || Box::pin(cache_mib())),
];

#[tokio::test(flavor = "multi_thread")]
async fn lesson_14_every_key_has_its_effect() {
    let tested: Vec<_> = EFFECTS.iter().map(|(key, _)| *key).collect();
    assert_eq!(tested, KEYS, "every key has a test of its effect");
    for (key, effect) in EFFECTS {
        println!("{key}");
        effect().await;
    }
}

async fn chain() {
    let place = Place::new();
    let node = place.start("ours", "").await;
    assert_eq!(node.call("getblockchaininfo", json!([])).await["name"], "devnet");
    publishes_what_spec_show_prints(&node, &place.path("chain.json")).await;
    let node = place.start("built-in", "chain = 'test'\n").await;
    assert_eq!(node.call("getblockchaininfo", json!([])).await["network"], "test");
    publishes_what_spec_show_prints(&node, Path::new("test")).await;
}

async fn publishes_what_spec_show_prints(node: &Node, chain: &Path) {
    let (status, head, body) = node.get("/spec.json", "Host: any.example\r\n").await.unwrap();
    assert!(status == 200 && head.contains("content-type: application/json"), "{status} {head}");
    let show =
        Command::new(env!("CARGO_BIN_EXE_timecoin")).args(["spec", "show"]).arg(chain).output().unwrap();
    assert_eq!(body, String::from_utf8(show.stdout).unwrap());
}

async fn data() {
    let place = Place::new();
    place.start("node", &place.line("data", "elsewhere")).await.stop();
    assert!(place.path("elsewhere/node.key").is_file());
    assert!(!place.path("node.data").exists());
}

async fn listen() {
    let place = Place::new();
    let address = free_address();
    let (file, _) = place.settings("node", &format!("listen = '{address}'\n"));
    let mut node = place.start("other", "").await;
    assert_ne!(node.address, address);
    node.address = address;
    assert!(node.get("/health", "").await.is_none(), "nobody is there yet");
    let child = spawn(&file, Stdio::null());
    let node = Node { child, address, log: node.log.clone() };
    node.until("listens where it was told", async |node| node.get("/health", "").await.is_some()).await;
}

/// Two nodes, the second of which dials the first.
async fn two(place: &Place, first: &str, second: &str) -> (Node, Node) {
    let first = place.start("first", first).await;
    let peers = format!("peers = ['ws://{}/p2p']\n{second}", first.address);
    let second = place.start("second", &peers).await;
    (first, second)
}

async fn peer_count(node: &Node) -> u64 {
    node.call("getnetworkinfo", json!([])).await["peers"].as_u64().unwrap()
}

async fn advertise() {
    let place = Place::new();
    let (first, _second) = two(&place, "", "advertise = 'ws://192.0.2.1:24201/p2p'\n").await;
    first.until("a session", async |node| peer_count(node).await == 1).await;
    let peers = first.call("getpeerinfo", json!([])).await;
    assert_eq!(peers[0]["listen"], "ws://192.0.2.1:24201/p2p");
}

async fn peers() {
    let place = Place::new();
    let (first, second) = two(&place, "", "").await;
    second.until("a session", async |node| peer_count(node).await == 1).await;
    let peers = second.call("getpeerinfo", json!([])).await;
    assert_eq!(peers[0]["node"], first.call("getnetworkinfo", json!([])).await["node"]);
    assert_eq!(peers[0]["outbound"], true);
}

async fn operator_key() {
    let place = Place::new();
    let relay = place.start("relay", "").await;
    let payment = place.payment(0, 1);
    relay.call("sendrawtransaction", json!([payment])).await;
    let validator = place.start("validator", &place.line("operator_key", "operator.key")).await;
    let txid = validator.call("sendrawtransaction", json!([payment])).await;
    let done = validator.call("waittransactionfinality", json!([txid])).await;
    assert_eq!(done["final"], true, "with the key, it finalizes");
    assert_eq!(relay.call("getblockcount", json!([])).await, 0, "without, it waits");
}

async fn web() {
    let place = Place::new();
    fs::create_dir(place.path("app")).unwrap();
    fs::write(place.path("app/index.html"), "the app").unwrap();
    let node = place.start("with", &place.line("web", "app")).await;
    let (status, head, body) = node.get("/", "").await.unwrap();
    assert_eq!((status, body.as_str()), (200, "the app"));
    assert!(head.contains("content-security-policy"), "{head}");
    let node = place.start("without", "").await;
    assert_eq!(node.get("/", "").await.unwrap().0, 404);
}

async fn log() {
    let place = Place::new();
    let node = place.start("quiet", "log = 'off'\n").await;
    assert_eq!(node.log_text(), "");
    let node = place.start("loud", "log = 'info'\n").await;
    assert!(node.log_text().contains("INFO"), "{}", node.log_text());
}

/// A certificate for this machine, and its key.
fn certificate(place: &Place) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    fs::write(place.path("node.pem"), made.cert.pem()).unwrap();
    fs::write(place.path("node.pem.key"), made.signing_key.serialize_pem()).unwrap();
    place.line("tls_certificate", "node.pem") + &place.line("tls_key", "node.pem.key")
}

/// Starts a node with TLS. It answers nothing in the clear, so its log says when it is there.
async fn start_with_tls(place: &Place) -> Node {
    let lines = certificate(place);
    let (file, address) = place.settings("secure", &lines);
    let log = place.path("secure.log");
    let child = spawn(&file, fs::File::create(&log).unwrap());
    let node = Node { child, address, log };
    node.until("running", async |node| node.log_text().contains("running")).await;
    node
}

async fn height_over_tls(node: &Node, ca: &Path) -> Value {
    let trust = Trust::of_file(ca).unwrap();
    let url = format!("https://localhost:{}", node.address.port());
    let client = Client::connect_trusting(&url, None, &trust).await.unwrap();
    client.call("getblockcount", json!([])).await.unwrap()
}

async fn tls() {
    let place = Place::new();
    let node = start_with_tls(&place).await;
    assert_eq!(height_over_tls(&node, &place.path("node.pem")).await, 0);
    assert!(node.get("/health", "").await.is_none(), "nothing is answered in the clear");
    let untrusted = Client::connect(&format!("https://localhost:{}", node.address.port()), None).await;
    assert!(untrusted.is_err(), "nobody vouches for this certificate");
}

async fn tls_ca() {
    let place = Place::new();
    let secure = start_with_tls(&place).await;
    let peers = format!("peers = ['wss://localhost:{}/p2p']\n", secure.address.port());
    let stranger = place.start("stranger", &peers).await;
    let trusting = place.start("trusting", &format!("{peers}{}", place.line("tls_ca", "node.pem"))).await;
    trusting.until("a session over TLS", async |node| peer_count(node).await == 1).await;
    assert_eq!(peer_count(&stranger).await, 0, "it does not believe the certificate");
}

async fn rpc_token() {
    let place = Place::new();
    fs::write(place.path("secret"), "a token of enough letters\n").unwrap();
    let mut node = place.start("node", &place.line("rpc_token", "secret")).await;
    let (_, _, refused) = node.post("Authorization: Bearer another\r\n", "stop", json!([])).await;
    assert_eq!(refused["error"]["data"]["code"], "unauthorized");
    let (_, _, done) =
        node.post("Authorization: Bearer a token of enough letters\r\n", "stop", json!([])).await;
    assert_eq!(done["result"], "stopping");
    assert!(node.child.wait().unwrap().success());
    assert!(!place.path("node.data/rpc.token").exists(), "none is made besides");
}

async fn rpc_origins() {
    let place = Place::new();
    let node = place.start("node", "rpc_origins = ['https://app.example']\n").await;
    let ask = async |origin: &str| node.post(&format!("Origin: {origin}\r\n"), "uptime", json!([])).await;
    let (status, head, _) = ask("https://app.example").await;
    assert_eq!(status, 200);
    assert!(head.contains("access-control-allow-origin: https://app.example"), "{head}");
    assert_eq!(ask("https://evil.example").await.0, 403);
}

async fn rpc_hosts() {
    let place = Place::new();
    let node = place.start("node", "rpc_hosts = ['node.example']\n").await;
    assert_eq!(node.post("Host: node.example\r\n", "uptime", json!([])).await.0, 200);
    assert_eq!(node.post("Host: evil.example\r\n", "uptime", json!([])).await.0, 403);
}

/// An address of this machine that is not loopback, if there is one.
fn outer_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: this only chooses a way out.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

async fn rpc_public() {
    let Some(ip) = outer_address() else {
        println!(
            "SKIPPED: this machine has no address but loopback; rpc::tests::hostile covers the rule itself"
        );
        return;
    };
    let place = Place::new();
    for (name, line, status) in [("private", "", 401), ("public", "rpc_public = true\n", 200)] {
        let port = free_address().port();
        let lines = format!("listen = '0.0.0.0:{port}'\n{line}");
        let (file, _) = place.settings(name, &lines);
        let child = spawn(&file, Stdio::null());
        let node = Node { child, address: SocketAddr::new(ip, port), log: place.path("none") };
        node.until("answers", async |node| node.get("/health", "").await.is_some()).await;
        assert_eq!(node.post("", "uptime", json!([])).await.0, status, "{name}");
        let (_, _, stop) = node.post("", "stop", json!([])).await;
        assert_eq!(stop["error"]["data"]["code"], "unauthorized", "{name}");
    }
}

async fn inbound_peers_max() {
    let place = Place::new();
    let (first, second) = two(&place, "inbound_peers_max = 0\n", "log = 'debug'\n").await;
    second.until("refused", async |node| node.log_text().contains("cannot connect")).await;
    assert_eq!(peer_count(&first).await, 0);
}

async fn inbound_per_ip_max() {
    let place = Place::new();
    let node = place.start("node", "inbound_per_ip_max = 1\n").await;
    let url = format!("ws://{}/p2p", node.address);
    let open = async || {
        let stream = TcpStream::connect(node.address).await.unwrap();
        tokio_tungstenite::client_async(&url, stream).await.map(|(socket, _)| socket)
    };
    let _first = open().await.unwrap();
    let second = open().await.unwrap_err().to_string();
    assert!(second.contains("429"), "{second}");
}

impl Place {
    /// A signed payment of genesis coin `index` in `parts`, in hexadecimal.
    pub(super) fn payment(&self, index: u32, parts: u64) -> String {
        let genesis = timecoin_core::state::genesis(&self.chain.consensus).unwrap();
        let made = &genesis.block.body.transactions[0].transaction;
        let spent = made.outputs[index as usize];
        let amount = Amount((spent.amount.0 - Amount::from_time(10).0) / parts);
        let transaction = Transaction {
            version: TRANSACTION_VERSION,
            inputs: vec![OutPoint { txid: made.id(), index }],
            outputs: vec![Output { amount, owner: spent.owner }; usize::try_from(parts).unwrap()],
            action: Action::Transfer,
            expires_at: clock::now().plus(600_000),
            memo: Vec::new(),
        };
        let keys = std::slice::from_ref(&self.payer);
        to_hex(&encode(&sign(transaction, vec![spent], &self.chain.consensus.id(), keys)))
    }
}

async fn mempool_mib() {
    let place = Place::new();
    let node = place.start("node", "mempool_mib = 1\n").await;
    let mut refused = None;
    for index in 0..29 {
        let (_, _, response) = node.post("", "sendrawtransaction", json!([place.payment(index, 1500)])).await;
        if let Some(word) = response["error"]["data"]["code"].as_str() {
            refused = Some(word.to_owned());
            break;
        }
    }
    assert_eq!(refused.as_deref(), Some("mempool_full"));
    let bytes = node.figure("timecoin_mempool_bytes").await;
    assert!((900_000..=1 << 20).contains(&bytes), "{bytes}");
}

async fn cache_mib() {
    let place = Place::new();
    let node = place.start("node", "cache_mib = 9\n").await;
    assert_eq!(node.figure("timecoin_store_cache_bytes_max").await, 9 << 20);
}
