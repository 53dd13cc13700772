//! The web app's files, `/health` and `/metrics`, over a real connection.

use std::fs;

use super::*;

/// A folder with an app, and a secret outside of it.
fn app() -> (tempfile::TempDir, std::path::PathBuf) {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("app");
    fs::create_dir_all(folder.join("assets")).unwrap();
    fs::write(outside.path().join("Cargo.toml"), "secret").unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    for (name, text) in [
        ("index.html", "<!doctype html>page"),
        ("assets/app-1a2b3c4d.js", "script"),
        ("assets/core-5e6f7a8b.wasm", "\0asm"),
        ("favicon.svg", "<svg/>"),
        (".hidden", "secret"),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    #[cfg(unix)]
    for name in ["link", "link.txt", "assets/link.js"] {
        std::os::unix::fs::symlink(outside.path().join("secret"), folder.join(name)).unwrap();
    }
    (outside, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_apps_own_files_are_served() {
    let (_outside, folder) = app();
    let node = TestNode::start_with(config(), false, Some(&folder)).await;
    let long = format!("/{}", "a".repeat(16 << 10));
    let slashes = format!("/{}etc/passwd", "/".repeat(4000));
    let cases = [
        ("root", "/", 200),
        ("the page by name", "/index.html", 200),
        ("a script", "/assets/app-1a2b3c4d.js", 200),
        ("a script with a query", "/assets/app-1a2b3c4d.js?v=2", 200),
        ("the app's own path", "/block/7", 200),
        ("an address in it", "/address/dtime1qqqq", 200),
        ("up", "/../Cargo.toml", 404),
        ("up without an ending", "/../secret", 404),
        ("up from within", "/assets/../../secret", 404),
        ("dots alone", "/..", 404),
        ("a dot", "/./secret", 404),
        ("encoded dots", "/%2e%2e/secret", 404),
        ("encoded slash", "/..%2fsecret", 404),
        ("encoded twice", "/%252e%252e/secret", 404),
        ("encoded back slash", "/..%5csecret", 404),
        ("NUL", "/index.html%00.js", 404),
        ("overlong UTF-8", "/%c0%ae%c0%ae/secret", 404),
        ("two slashes", "//etc/passwd.txt", 404),
        ("many slashes", &slashes, 404),
        ("a drive", "/C:/secret", 404),
        ("a link, which is no file: the app's own path", "/link", 200),
        ("a link with an ending", "/link.txt", 404),
        ("a link among the scripts", "/assets/link.js", 404),
        ("a hidden file", "/.hidden", 404),
        ("git", "/.git/config", 404),
        ("a folder", "/assets", 200),
        ("a missing script", "/assets/gone.js", 404),
        ("16 KiB", &long, 414),
    ];
    for (name, path, status) in cases {
        let answer = node.request("GET", path, &[], b"").await;
        let refused = (400..500).contains(&answer.status);
        assert!(answer.status == status || (status > 404 && refused), "{name}: {answer:?}");
        assert!(!answer.body.contains("secret") && !answer.body.contains("root:"), "{name}: {answer:?}");
        if status == 200 {
            assert_guarded(&answer, name);
        }
    }
    for path in [&b"/\\..\\secret"[..], b"/\x00", b"/..\x5csecret"] {
        let request = [b"GET ", path, b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"].concat();
        let answer = node.raw(&request).await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    node.stop().await;
}

fn assert_guarded(answer: &Answer, name: &str) {
    for expected in [
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "content-security-policy: default-src 'none'; script-src 'self' 'wasm-unsafe-eval'",
        "frame-ancestors 'none'; connect-src 'self'",
    ] {
        assert!(answer.head.contains(expected), "{name}: {expected} in {}", answer.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_say_what_they_are_and_how_long_they_keep() {
    let (_outside, folder) = app();
    let node = TestNode::start_with(config(), false, Some(&folder)).await;
    let cases = [
        ("/", "text/html; charset=utf-8", "no-cache"),
        ("/block/7", "text/html; charset=utf-8", "no-cache"),
        ("/assets/app-1a2b3c4d.js", "text/javascript; charset=utf-8", "immutable"),
        ("/assets/core-5e6f7a8b.wasm", "application/wasm", "immutable"),
        ("/favicon.svg", "image/svg+xml", "no-cache"),
    ];
    for (path, kind, cache) in cases {
        let answer = node.request("GET", path, &[], b"").await;
        assert!(answer.head.contains(&format!("content-type: {kind}")), "{path}: {}", answer.head);
        assert!(answer.head.contains(cache), "{path}: {}", answer.head);
        let tag = answer.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
        let again = node.request("GET", path, &[&format!("If-None-Match: {tag}")], b"").await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
        let head = node.request("HEAD", path, &[], b"").await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        assert_eq!(node.request(method, "/", &[], b"").await.status, 405, "{method}");
    }
    // A range is never cut out, so a list of them multiplies nothing.
    let ranges =
        format!("Range: bytes={}", (0..2000).map(|at| format!("{at}-")).collect::<Vec<_>>().join(","));
    assert_eq!(node.request("GET", "/", &[&ranges], b"").await.status, 416);
    let one = node.request("GET", "/", &["Range: bytes=0-3"], b"").await;
    assert_eq!((one.status, one.body.as_str()), (200, "<!doctype html>page"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_build_is_served_without_a_restart() {
    let (_outside, folder) = app();
    let node = TestNode::start_with(config(), false, Some(&folder)).await;
    assert_eq!(node.request("GET", "/assets/app-9.js", &[], b"").await.status, 404);
    fs::write(folder.join("assets/app-9.js"), "newer").unwrap();
    fs::remove_file(folder.join("assets/app-1a2b3c4d.js")).unwrap();
    fs::write(folder.join("index.html"), "<!doctype html>the newer page").unwrap();
    assert_eq!(node.request("GET", "/", &[], b"").await.body, "<!doctype html>the newer page");
    assert_eq!(node.request("GET", "/assets/app-9.js", &[], b"").await.body, "newer");
    assert_eq!(node.request("GET", "/assets/app-1a2b3c4d.js", &[], b"").await.status, 404);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_a_node_with_the_chain_from_one_without() {
    let node = TestNode::start().await;
    node.pay(0).await;
    let answer = node.request("GET", "/health", &["Host: any.example"], b"").await;
    let report = answer.json();
    assert_eq!((answer.status, &report["status"]), (200, &json!("ready")), "{report}");
    assert_eq!(report["height"], report["target"], "{report}");
    assert_eq!(report["silent"], false, "{report}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_prometheus_text_and_count_what_happened() {
    let node = TestNode::start().await;
    node.pay(0).await;
    let bad = node.refused("sendrawtransaction", json!(["00"])).await;
    assert_eq!(bad, "invalid_params");
    let answer = node.request("GET", "/metrics", &[], b"").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    let text = &answer.body;
    let figure = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
    };
    assert!(figure("timecoin_height") >= 1.0);
    assert!(figure("timecoin_blocks_total") >= 1.0);
    assert!(figure("timecoin_votes_signed_total") >= 2.0);
    for (name, expected) in [
        ("timecoin_ready", 1.0),
        ("timecoin_transactions_total", 1.0),
        ("timecoin_submissions_accepted_total", 1.0),
        ("timecoin_submissions_refused_total", 0.0),
        ("timecoin_mempool_transactions", 0.0),
        ("timecoin_peers{direction=\"inbound\"}", 0.0),
        ("timecoin_validators", 1.0),
        ("timecoin_coins", 21.0),
    ] {
        assert_eq!(figure(name), expected, "{name}");
    }
    let count = figure("timecoin_finality_seconds_count");
    assert_eq!(figure("timecoin_finality_seconds_bucket{le=\"+Inf\"}"), count);
    assert!(figure("timecoin_finality_seconds_bucket{le=\"0.002\"}") <= count);
    assert!(figure("timecoin_store_bytes") > 0.0);
    if cfg!(target_os = "linux") {
        assert!(figure("process_resident_memory_bytes") > 1e6);
        assert!(figure("process_open_fds") > 3.0);
    }
    // Every figure has its help and type before it, once.
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let types = text.lines().filter(|line| line.starts_with(&format!("# TYPE {family} "))).count();
        assert_eq!(types, 1, "{name}");
    }
    node.stop().await;
}
