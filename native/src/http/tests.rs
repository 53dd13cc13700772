use futures::FutureExt;
use timecoin_core::hash::ChainId;
use timecoin_core::keys::SecretKey;
use timecoin_core::peer::handshake::Role;
use timecoin_core::spec::ChainSpec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use super::*;
use crate::net::{Limits, NetConfig};
use crate::tls::Trust;

fn routes() -> Router {
    let config = NetConfig {
        identity: SecretKey::from_seed(&[1; 32]),
        chain: ChainId::default(),
        role: Role::Full,
        listen: None,
        trust: Trust::default(),
        limits: Limits::default(),
    };
    let (network, _events) = Network::new(config);
    let health = Arc::new(|| {
        let report = serde_json::json!({ "status": "ready", "height": 7 });
        async { (Status::Ready, report) }.boxed()
    });
    let slow = get(|| async {
        sleep(Duration::from_millis(300)).await;
        "done"
    });
    let spec = SpecFile::new(&ChainSpec::built_in("test").unwrap());
    router(P2pState { network, health, spec }).merge(Router::new().route("/slow", slow))
}

async fn start(limits: HttpLimits) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = serve(listener, routes(), limits, None, async { _ = stopped.await });
    (address, stop, tokio::spawn(serving))
}

/// What the server sends until it closes.
async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the server closes in time");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn health_answers_json_and_the_rest_is_not_found() {
    let (address, _stop, _) = start(HttpLimits::default()).await;
    let answer = exchange(address, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-type: application/json"), "{answer}");
    assert!(answer.ends_with(r#"{"status":"ready","height":7}"#), "{answer}");
    let answer =
        exchange(address, b"GET /../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn the_chain_spec_is_a_guarded_file_that_readers_of_specs_take() {
    let (address, _stop, _) = start(HttpLimits::default()).await;
    let get = async |method: &str, header: &str| {
        let request = format!("{method} /spec.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n");
        let answer = exchange(address, request.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_ascii_lowercase(), body.to_owned())
    };
    let (head, body) = get("GET", "").await;
    assert_eq!(ChainSpec::from_json(&body), Ok(ChainSpec::built_in("test").unwrap()));
    for line in [
        "http/1.1 200",
        "content-type: application/json",
        "cache-control: no-cache",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "content-security-policy: default-src 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert!(!head.contains("access-control"), "other sites bring their own: {head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let (again, nothing) = get("GET", &format!("If-None-Match: {tag}\r\n")).await;
    assert!(again.starts_with("http/1.1 304") && nothing.is_empty(), "{again}");
    let (head, nothing) = get("HEAD", "").await;
    assert!(head.starts_with("http/1.1 200") && nothing.is_empty(), "{head}");
    let (refused, _) = get("POST", "").await;
    assert!(refused.starts_with("http/1.1 405"), "{refused}");
}

#[tokio::test]
async fn bad_requests_get_an_error_and_the_server_lives() {
    let limits = HttpLimits { head_timeout: Duration::from_millis(200), ..HttpLimits::default() };
    let (address, _stop, _) = start(limits).await;
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = "Connection: Upgrade, close\r\nUpgrade: websocket\r\n";
    let long = "x".repeat(HEAD_SIZE_MAX);
    let cases = [
        ("no HTTP", "\x16\x03\x01 hello\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("nothing", String::new(), ""),
        ("half a head", "GET /health HTTP/1.1\r\nHo".to_owned(), ""),
        ("a long head", format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 4"),
        ("no upgrade", "GET /p2p HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "HTTP/1.1 426"),
        ("POST", format!("POST /p2p HTTP/1.1\r\nHost: x\r\n{upgrade}{key}\r\n"), "HTTP/1.1 405"),
        (
            "no key",
            format!("GET /p2p HTTP/1.1\r\nHost: x\r\n{upgrade}Sec-WebSocket-Version: 13\r\n\r\n"),
            "HTTP/1.1 426",
        ),
        (
            "a bad key",
            format!(
                "GET /p2p HTTP/1.1\r\nHost: x\r\n{upgrade}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"
            ),
            "HTTP/1.1 426",
        ),
        (
            "another version",
            format!("GET /p2p HTTP/1.1\r\nHost: x\r\n{upgrade}Sec-WebSocket-Version: 8\r\n{key}\r\n"),
            "HTTP/1.1 426",
        ),
        (
            "HTTP/1.0",
            format!("GET /p2p HTTP/1.0\r\n{upgrade}Sec-WebSocket-Version: 13\r\n{key}\r\n"),
            "HTTP/1.0 426",
        ),
    ];
    for (name, request, expected) in cases {
        let answer = exchange(address, request.as_bytes()).await;
        assert!(answer.starts_with(expected), "{name}: {answer}");
        assert_eq!(answer.is_empty(), expected.is_empty(), "{name}: {answer}");
    }
    let answer = exchange(address, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn the_upgrade_answers_the_key_of_rfc_6455() {
    let (address, _stop, _) = start(HttpLimits::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /p2p HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = vec![0; 1024];
    let size = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..size]).to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
}

#[tokio::test]
async fn a_port_in_use_says_so() {
    let taken = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind(address).await.unwrap_err();
    assert_eq!(error, BindError::InUse { address });
    assert!(error.to_string().contains("another port"), "{error}");
    let elsewhere = "192.0.2.1:0".parse().unwrap();
    assert!(matches!(bind(elsewhere).await, Err(BindError::Unusable { .. })));
}

#[tokio::test]
async fn shutdown_finishes_what_is_being_answered() {
    let (address, stop, serving) = start(HttpLimits::default()).await;
    let answer = tokio::spawn(exchange_slow(address));
    sleep(Duration::from_millis(100)).await;
    stop.send(()).unwrap();
    assert!(answer.await.unwrap().ends_with("done"));
    timeout(Duration::from_secs(2), serving).await.expect("ends once answered").unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

async fn exchange_slow(address: SocketAddr) -> String {
    exchange(address, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await
}
