//! JSON-RPC 2.0: the examples of its specification, and its corners.

use super::subscriptions::Socket;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_specifications_examples() {
    let node = TestNode::relay().await;
    // The examples' methods are replaced by ours; what is answered is theirs.
    let cases = [
        (
            "positional parameters",
            r#"{"jsonrpc": "2.0", "method": "estimatefee", "params": [42], "id": 1}"#,
            Some(
                json!({ "jsonrpc": "2.0", "result": { "size": 42, "fee": "0.00000042", "fee_per_kb": 1000 }, "id": 1 }),
            ),
        ),
        (
            "named parameters",
            r#"{"jsonrpc": "2.0", "method": "estimatefee", "params": {"size": 42}, "id": "3"}"#,
            Some(
                json!({ "jsonrpc": "2.0", "result": { "size": 42, "fee": "0.00000042", "fee_per_kb": 1000 }, "id": "3" }),
            ),
        ),
        ("notification", r#"{"jsonrpc": "2.0", "method": "getblockcount"}"#, None),
        ("notification of nothing", r#"{"jsonrpc": "2.0", "method": "foobar", "params": [1,2]}"#, None),
        (
            "unknown method",
            r#"{"jsonrpc": "2.0", "method": "foobar", "id": "1"}"#,
            Some(error(-32601, json!("1"))),
        ),
        (
            "invalid JSON",
            r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#,
            Some(error(-32700, json!(null))),
        ),
        (
            "invalid request",
            r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#,
            Some(error(-32600, json!(null))),
        ),
        (
            "batch of invalid JSON",
            r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]"#,
            Some(error(-32700, json!(null))),
        ),
        ("empty batch", "[]", Some(error(-32600, json!(null)))),
        ("invalid batch", "[1]", Some(json!([error(-32600, json!(null))]))),
        (
            "invalid batch of three",
            "[1,2,3]",
            Some(json!([error(-32600, json!(null)), error(-32600, json!(null)), error(-32600, json!(null))])),
        ),
        (
            "batch",
            r#"[
                {"jsonrpc": "2.0", "method": "getblockcount", "params": [], "id": "1"},
                {"jsonrpc": "2.0", "method": "getblockcount", "params": []},
                {"jsonrpc": "2.0", "method": "getblockcount", "id": "2"},
                {"foo": "boo"},
                {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
                {"jsonrpc": "2.0", "method": "getblockcount", "id": "9"}
            ]"#,
            Some(json!([
                { "jsonrpc": "2.0", "result": 0, "id": "1" },
                { "jsonrpc": "2.0", "result": 0, "id": "2" },
                error(-32600, json!(null)),
                error(-32601, json!("5")),
                { "jsonrpc": "2.0", "result": 0, "id": "9" },
            ])),
        ),
        (
            "batch of notifications",
            r#"[{"jsonrpc": "2.0", "method": "getblockcount"}, {"jsonrpc": "2.0", "method": "uptime"}]"#,
            None,
        ),
    ];
    let mut socket = Socket::open(&node).await;
    for (name, request, expected) in cases {
        let answer = node.post(request).await;
        match &expected {
            None => assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{name}"),
            Some(expected) => {
                assert_eq!((answer.status, bare(answer.json())), (200, expected.clone()), "{name}");
                assert!(answer.head.contains("content-type: application/json"), "{name}: {}", answer.head);
            }
        }
        // A WebSocket answers the same.
        socket.send(request).await;
        if let Some(expected) = expected {
            assert_eq!(bare(socket.receive().await), expected, "{name}, over WebSocket");
        }
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_come_back_as_they_were_sent_or_are_refused() {
    let node = TestNode::relay().await;
    let cases = [
        ("number", "7", Some(json!(7))),
        ("negative", "-7", Some(json!(-7))),
        ("zero", "0", Some(json!(0))),
        ("beyond 2^53", "9007199254740993", Some(json!(9_007_199_254_740_993u64))),
        ("the largest", "18446744073709551615", Some(json!(u64::MAX))),
        ("string", "\"seven\"", Some(json!("seven"))),
        ("null", "null", Some(json!(null))),
        ("beyond 64 bits", "18446744073709551616", None),
        ("fraction", "1.5", None),
        ("flag", "true", None),
        ("list", "[1]", None),
        ("object", "{\"a\":1}", None),
    ];
    for (name, id, expected) in cases {
        let text = format!(r#"{{"jsonrpc": "2.0", "method": "getblockcount", "id": {id}}}"#);
        let response = node.post(&text).await.json();
        match expected {
            Some(expected) => {
                assert_eq!(response, json!({ "jsonrpc": "2.0", "result": 0, "id": expected }), "{name}");
            }
            None => assert_eq!(bare(response), error(-32600, json!(null)), "{name}"),
        }
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call_is_refused_with_a_word_and_advice() {
    let node = TestNode::relay().await;
    let call = |members: &str| format!(r#"{{"jsonrpc": "2.0", "id": 1, {members}}}"#);
    let cases = [
        ("no version", r#"{"id": 1, "method": "uptime"}"#.to_owned(), -32600),
        ("another version", r#"{"jsonrpc": "1.0", "id": 1, "method": "uptime"}"#.to_owned(), -32600),
        ("no method", r#"{"jsonrpc": "2.0", "id": 1}"#.to_owned(), -32600),
        ("null parameters", call(r#""method": "uptime", "params": null"#), -32600),
        ("extra member", call(r#""method": "uptime", "extra": 1"#), -32600),
        ("too many parameters", call(r#""method": "uptime", "params": [1]"#), -32602),
        ("unknown parameter", call(r#""method": "getblock", "params": {"blok": 1}"#), -32602),
        ("missing parameter", call(r#""method": "getblock""#), -32602),
        ("a prototype's name", call(r#""method": "__proto__""#), -32601),
        ("another case", call(r#""method": "GetBlockCount""#), -32601),
    ];
    for (name, text, code) in cases {
        let response = node.post(&text).await.json();
        assert_eq!(response["error"]["code"], code, "{name}: {response}");
        let data = &response["error"]["data"];
        assert!(data["code"].is_string() && data["advice"].is_string(), "{name}: {response}");
    }
    node.stop().await;
}

/// An error as compared here: the specification fixes number and id.
pub(super) fn error(code: i32, id: Value) -> Value {
    json!({ "jsonrpc": "2.0", "error": { "code": code }, "id": id })
}

/// A response, or a batch of them, with no more of each error than its number.
pub(super) fn bare(mut response: Value) -> Value {
    if let Value::Array(list) = response {
        return list.into_iter().map(bare).collect();
    }
    if let Some(error) = response.get_mut("error") {
        assert!(error["message"].is_string(), "{error}");
        *error = json!({ "code": error["code"] });
    }
    response
}
