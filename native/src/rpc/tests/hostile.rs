//! What pages of other sites, other machines and broken programs send.

use std::net::IpAddr;

use axum::Extension;

use super::*;
use crate::http::RemoteIp;

const JSON: &str = "Content-Type: application/json";
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getblockcount"}"#;

fn upgrade(extra: &[&'static str]) -> Vec<&'static str> {
    let mut headers = vec![
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    headers.extend(extra);
    headers
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_are_refused() {
    let rpc = RpcConfig {
        hosts: vec!["node.example".into()],
        origins: vec!["https://app.example".into()],
        ..config()
    };
    let node = TestNode::start_with(rpc, false, None).await;
    let own = format!("Origin: http://{}", node.address);
    let cases: &[(&str, &str, &[&str], u16)] = &[
        ("a program", "POST", &[JSON], 200),
        ("with a charset", "POST", &["Content-Type: application/json; charset=utf-8"], 200),
        ("DNS rebinding", "POST", &["Host: evil.example:24001", JSON], 403),
        (
            "DNS rebinding with the origin it brings",
            "POST",
            &["Host: evil.example", "Origin: http://evil.example", JSON],
            403,
        ),
        ("a name of the list", "POST", &["Host: node.example:24001", JSON], 200),
        ("a foreign origin", "POST", &["Origin: https://evil.example", JSON], 403),
        ("no origin to speak of", "POST", &["Origin: null", JSON], 403),
        ("another port of this machine", "POST", &["Origin: http://127.0.0.1:1", JSON], 403),
        ("an origin of the list", "POST", &["Origin: https://app.example", JSON], 200),
        ("the node's own page", "POST", &[&own, JSON], 200),
        ("a form", "POST", &["Content-Type: application/x-www-form-urlencoded"], 415),
        ("text/plain", "POST", &["Content-Type: text/plain"], 415),
        ("text/plain that looks like JSON", "POST", &["Content-Type: text/plain; application/json"], 415),
        ("no type", "POST", &[], 415),
        ("asking first, from elsewhere", "OPTIONS", &["Origin: https://evil.example"], 403),
        ("asking first", "OPTIONS", &["Origin: https://app.example"], 204),
        ("GET", "GET", &[], 405),
        ("DELETE", "DELETE", &[], 405),
    ];
    for (name, method, headers, status) in cases {
        let answer = node.request(method, "/rpc", headers, CALL.as_bytes()).await;
        assert_eq!(answer.status, *status, "{name}: {answer:?}");
        let allowed = answer.head.contains("access-control-allow-origin");
        let listed = headers.contains(&"Origin: https://app.example");
        assert_eq!(allowed, listed, "{name}: {}", answer.head);
        assert!(!answer.head.contains("allow-origin: *"), "{name}");
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{name}");
    }
    for (name, headers) in [
        ("a page's WebSocket", upgrade(&["Origin: https://evil.example"])),
        ("a rebound WebSocket", upgrade(&["Host: evil.example"])),
    ] {
        let answer = node.request("GET", "/rpc", &headers, b"").await;
        assert_eq!(answer.status, 403, "{name}");
    }
    for path in ["/metrics", "/rpc"] {
        let answer = node.request("GET", path, &["Host: evil.example"], b"").await;
        assert_eq!(answer.status, 403, "{path}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_and_twisted_texts_are_refused_and_the_node_lives() {
    let node = TestNode::relay().await;
    let large = vec![b' '; 12 << 20];
    assert_eq!(node.request("POST", "/rpc", &[JSON], &large).await.status, 413);
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let inner = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"getblock","params":{}1{}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    let call = |id| json!({ "jsonrpc": "2.0", "id": id, "method": "getblockcount" });
    let batch = |count| Value::Array((0..count).map(call).collect()).to_string();
    let cases = [
        ("200 k nesting", deep, -32700),
        ("200 k of objects", "{\"a\":".repeat(200_000), -32700),
        ("nested parameters", inner, -32700),
        ("51 calls", batch(51), -32600),
        (
            "a key twice",
            r#"{"jsonrpc":"2.0","id":1,"method":"getblockcount","method":"stop"}"#.into(),
            -32700,
        ),
        (
            "a key twice within",
            r#"{"jsonrpc":"2.0","id":1,"method":"getblock","params":{"block":0,"block":1}}"#.into(),
            -32700,
        ),
        (
            "a key twice, once escaped",
            r#"{"jsonrpc":"2.0","id":1,"\u0069d":2,"method":"getblockcount"}"#.into(),
            -32700,
        ),
        ("beyond floating point", r#"{"jsonrpc":"2.0","id":1e999,"method":"getblockcount"}"#.into(), -32700),
        ("not a number", r#"{"jsonrpc":"2.0","id":NaN,"method":"getblockcount"}"#.into(), -32700),
        ("half a surrogate", r#"{"jsonrpc":"2.0","id":"\ud800","method":"getblockcount"}"#.into(), -32700),
        ("a byte order mark", format!("\u{feff}{CALL}"), -32700),
        ("two texts", format!("{CALL}{CALL}"), -32700),
        ("nothing", String::new(), -32700),
    ];
    for (name, text, code) in cases {
        let answer = node.post(&text).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (200, &json!(code)),
            "{name}: {answer:?}"
        );
    }
    let answer = node.request("POST", "/rpc", &[JSON], b"\"\xff\xfe\"").await;
    assert_eq!(answer.json()["error"]["code"], -32700, "no UTF-8");
    assert_eq!(node.post(&batch(50)).await.json().as_array().unwrap().len(), 50);
    // A message over WebSocket that is too large ends that connection only.
    let mut socket = subscriptions::Socket::open(&node).await;
    socket.send(&batch(50)).await;
    assert_eq!(socket.receive().await.as_array().unwrap().len(), 50);
    assert!(socket.closes_over(&" ".repeat(2 << 20)).await);
    assert_eq!(node.call("getblockcount", json!([])).await, 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_keep_every_digit() {
    let node = TestNode::relay().await;
    // 2^53 + 1 would become 2^53, and a block asked for another one.
    let text =
        r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"getblockhash","params":[9007199254740993]}"#;
    let response = node.post(text).await.json();
    assert_eq!(response["id"], 9_007_199_254_740_993u64);
    assert_eq!(response["error"]["data"]["code"], "not_found");
    for beyond in ["18446744073709551616", "1e3", "-0.0"] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"getblockhash","params":[{beyond}]}}"#);
        assert_eq!(node.post(&text).await.json()["error"]["data"]["code"], "invalid_params", "{beyond}");
    }
    node.stop().await;
}

/// The routes of a node as a caller from `ip` meets them.
async fn seen_from(ip: &str, rpc: RpcConfig) -> (TestNode, SocketAddr, tokio::task::JoinHandle<()>) {
    let node = TestNode::relay().await;
    let handle = node.running.as_ref().unwrap().handle.clone();
    let ip: IpAddr = ip.parse().unwrap();
    let routes = router(handle.clone(), rpc, Metrics::watch(&handle)).layer(Extension(RemoteIp(ip)));
    let listener = crate::http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        crate::http::serve(
            listener,
            routes,
            Default::default(),
            None,
            async move { handle.stopping().await },
        );
    (node, address, tokio::spawn(serving))
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_on_other_machines_need_the_token() {
    let without = RpcConfig { token: None, ..config() };
    let public = RpcConfig { public: true, ..config() };
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let cases = [
        ("this machine", "127.0.0.1", config(), None, 200),
        ("this machine, IPv6", "::1", config(), None, 200),
        ("this machine, mapped", "::ffff:127.0.0.1", config(), None, 200),
        ("another", "192.0.2.7", config(), None, 401),
        ("another in the same network", "192.168.1.7", config(), None, 401),
        ("another, mapped", "::ffff:192.0.2.7", config(), None, 401),
        ("another with a wrong token", "192.0.2.7", config(), Some("Authorization: Bearer x"), 401),
        ("another with the token", "192.0.2.7", config(), Some(bearer.as_str()), 200),
        ("another, and there is no token", "192.0.2.7", without, Some("Authorization: Bearer "), 401),
        ("another, and the RPC is public", "192.0.2.7", public, None, 200),
    ];
    for (name, ip, rpc, header, status) in cases {
        let is_public = rpc.public;
        let (node, address, serving) = seen_from(ip, rpc).await;
        let header = header.map(|header| format!("{header}\r\n")).unwrap_or_default();
        let ask = async |method: &str, path: &str, body: &str| {
            let text = format!(
                "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{JSON}\r\n{header}Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            exchange(address, text.as_bytes()).await
        };
        assert_eq!(ask("POST", "/rpc", CALL).await.status, status, "{name}");
        assert_eq!(ask("GET", "/metrics", "").await.status, status, "{name}");
        if status == 401 {
            let answer = ask("POST", "/rpc", CALL).await;
            assert_eq!(answer.json()["error"]["data"]["code"], "unauthorized", "{name}");
        }
        if is_public {
            let stop = ask("POST", "/rpc", r#"{"jsonrpc":"2.0","id":1,"method":"stop"}"#).await;
            assert_eq!(stop.json()["error"]["data"]["code"], "unauthorized", "{name}");
        }
        node.stop().await;
        serving.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_only_so_many_websockets() {
    let node = TestNode::relay().await;
    let mut sockets = Vec::new();
    for _ in 0..crate::rpc::SOCKETS_PER_IP_MAX {
        sockets.push(subscriptions::Socket::open(&node).await);
    }
    assert_eq!(subscriptions::Socket::refusal(&node).await, Some(429));
    sockets.clear();
    // The server notices at its own pace.
    let reopened = async {
        while subscriptions::Socket::refusal(&node).await.is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WAIT, reopened).await.expect("places become free");
    node.stop().await;
}
