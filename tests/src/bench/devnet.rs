//! The whole thing: `timecoin devnet` with four validators, each a process, on loopback. Payments go through RPC.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Extent, Figure};

/// Processes of a devnet.
const VALIDATORS: u16 = 4;

/// All figures of the devnet.
///
/// # Panics
/// If the devnet cannot be started or fails.
#[must_use]
pub fn run(extent: Extent) -> Vec<Figure> {
    let seconds = match extent {
        Extent::Usual => 8,
        Extent::Full => 30,
    };
    let mut figures = Vec::new();
    for (name, rate) in [("20 payments/s offered", 20), ("more offered than it takes", 5_000)] {
        let summary = devnet(seconds, rate);
        let number = |key: &str| summary.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let mut figure = |what: &str, key: &str, unit, beside: Option<&'static str>| {
            let name = format!("devnet, {VALIDATORS} validators, {name}: {what}");
            figures.push(Figure { name, value: number(key), unit, beside });
        };
        let aim = (rate == 20).then_some("aim 50 ms");
        figure("submit to final, median", "median_ms", "ms", aim);
        figure("submit to final, 99 in 100 within", "p99_ms", "ms", None);
        figure("final payments", "tps", "1/s", None);
        figure("failed payments", "failed", "payments", None);
    }
    figures
}

/// Runs a devnet from nothing and gives its summary.
fn devnet(seconds: u64, rate: u32) -> Value {
    let folder = tempfile::tempdir().expect("a folder for the devnet");
    let output = Command::new(program())
        .args(["devnet", "--json", "--no-web", "--dir"])
        .arg(folder.path().join("devnet"))
        .args(["--validators", &VALIDATORS.to_string(), "--base-port", &free_ports().to_string()])
        .args(["--seconds", &seconds.to_string(), "--rate", &rate.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .expect("`timecoin` starts: `cargo xtask bench` builds it");
    assert!(output.status.success(), "the devnet ends well: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut lines = lines.filter(|line| line["event"] == "summary");
    lines.next().expect("the devnet says what it measured")
}

/// The node's program, beside this one.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows where it is");
    own.with_file_name("timecoin").with_extension(std::env::consts::EXE_EXTENSION)
}

/// A port, followed by as many free ones as there are nodes.
fn free_ports() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let first = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let first = first.expect("a machine has free ports").port().min(u16::MAX - 200);
    (first..first + 200)
        .find(|port| (*port..*port + VALIDATORS).all(is_free))
        .expect("four free ports in a row")
}
