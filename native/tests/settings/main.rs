//! Settings and start-up, with real processes: every key of the settings file shows its effect, and everything
//! that keeps a node from starting has its code and says what to do.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test, and says where")]

mod effects;
mod refusals;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use timecoin_core::amount::Amount;
use timecoin_core::keys::SecretKey;
use timecoin_core::lock::Lock;
use timecoin_core::spec::ChainSpec;
use timecoin_native::devnet::{Founder, spec};
use timecoin_native::{clock, identity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// The machine may be busy with other tests.
const WAIT: Duration = Duration::from_secs(60);

/// A folder with a chain of one validator.
struct Place {
    folder: tempfile::TempDir,
    payer: SecretKey,
    chain: ChainSpec,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (operator, payer) = (identity::new_key().unwrap(), SecretKey::from_seed(&[7; 32]));
        identity::write_unused_key(&folder.path().join("operator.key"), &operator).unwrap();
        let owner = Lock::Key(payer.public_key()).owner();
        let founder = Founder { owner, coins: 30, amount: Amount::from_time(10_000) };
        let chain = spec(clock::now(), &[operator.public_key()], owner, &[founder]);
        fs::write(folder.path().join("chain.json"), serde_json::to_string(&chain).unwrap()).unwrap();
        Self { folder, payer, chain }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `key = 'path in this folder'`.
    fn line(&self, key: &str, name: &str) -> String {
        format!("{key} = '{}'\n", self.path(name).display())
    }

    /// A settings file with these lines, and the chain, a data folder and a free port where they name none.
    fn settings(&self, name: &str, lines: &str) -> (PathBuf, SocketAddr) {
        let has = |key: &str| lines.lines().any(|line| line.starts_with(&format!("{key} =")));
        let address = free_address();
        let mut text = lines.to_owned();
        if !has("chain") {
            text += &self.line("chain", "chain.json");
        }
        if !has("data") {
            text += &self.line("data", &format!("{name}.data"));
        }
        if !has("listen") {
            text += &format!("listen = '{address}'\n");
        }
        let file = self.path(&format!("{name}.toml"));
        fs::write(&file, text).unwrap();
        (file, address)
    }

    /// Starts a node and waits until it answers.
    async fn start(&self, name: &str, lines: &str) -> Node {
        let (file, address) = self.settings(name, lines);
        let log = self.path(&format!("{name}.log"));
        let output = fs::File::create(&log).unwrap();
        let mut node = Node { child: spawn(&file, output), address, log };
        let answers = async {
            while node.get("/health", "").await.is_none() {
                assert!(node.child.try_wait().unwrap().is_none(), "it ended: {}", node.log_text());
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(WAIT, answers).await.expect("it answers in time");
        node
    }

    /// Starts a node that must not start; what it says.
    fn refused(&self, file: &PathBuf) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_timecoin"))
            .args(["node", "--stop-with-stdin", "--config"])
            .arg(file)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// Starts a node, which stops when its standard input closes.
fn spawn(file: &Path, log: impl Into<Stdio>) -> Child {
    let program = &mut Command::new(env!("CARGO_BIN_EXE_timecoin"));
    let program = program.args(["node", "--stop-with-stdin", "--config"]).arg(file);
    program.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

struct Node {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Status, head and body of an answer; none where nobody answers.
    async fn exchange(&self, request: String) -> Option<(u16, String, String)> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        timeout(WAIT, stream.read_to_end(&mut bytes)).await.ok()?.ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, head.to_ascii_lowercase(), body.to_owned()))
    }

    async fn get(&self, path: &str, headers: &str) -> Option<(u16, String, String)> {
        let host =
            if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.address) };
        self.exchange(format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}\r\n")).await
    }

    /// Calls a method with more header lines; status and response.
    async fn post(&self, headers: &str, method: &str, params: Value) -> (u16, String, Value) {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let host =
            if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.address) };
        let (status, head, body) = self
            .exchange(format!(
                "POST /rpc HTTP/1.1\r\n{host}Connection: close\r\nContent-Type: application/json\r\n{headers}\
                 Content-Length: {}\r\n\r\n{call}",
                call.len()
            ))
            .await
            .unwrap();
        (status, head, serde_json::from_str(&body).unwrap_or_default())
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let (status, _, mut response) = self.post("", method, params).await;
        assert_eq!((status, &response["error"]), (200, &Value::Null), "{method}");
        response["result"].take()
    }

    /// Waits until a question has the answer that is waited for.
    async fn until(&self, what: &str, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        let waiting = async {
            while !is_so(self).await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(WAIT, waiting).await.unwrap_or_else(|_| panic!("{what}: {}", self.log_text()));
    }

    /// The value of a figure of `/metrics`.
    async fn figure(&self, name: &str) -> u64 {
        let (_, _, text) = self.get("/metrics", "").await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
    }

    /// Ends it as an operator does, and waits.
    fn stop(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success(), "{}", self.log_text());
    }
}
