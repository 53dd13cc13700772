//! A node as a child process.
//!
//! The child stops when its standard input ends, so it never outlives its parent, however that ends. It is in a
//! process group of its own, so that Ctrl-C reaches the parent alone, which then stops its children in order.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::DevnetError;

/// A node that was asked to stop and does not is killed after this long.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How to start a node.
#[derive(Clone, Debug)]
pub struct NodeSetup {
    /// Which one it is.
    pub number: u16,
    /// The program: `timecoin`.
    pub program: PathBuf,
    /// The chain spec file.
    pub chain: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// The operator key file.
    pub operator_key: PathBuf,
    /// Where its output goes.
    pub log: PathBuf,
    /// Where it listens on loopback.
    pub port: u16,
    /// Whom it dials.
    pub peers: Vec<String>,
    /// The web app's folder.
    pub web: Option<PathBuf>,
}

impl NodeSetup {
    /// What the program is told to run this node, by whoever starts it.
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![
            "node".into(),
            "--chain".into(),
            self.chain.clone().into(),
            "--data".into(),
            self.data.clone().into(),
            "--operator-key".into(),
            self.operator_key.clone().into(),
            "--listen".into(),
            format!("127.0.0.1:{}", self.port).into(),
            // All of them have one address.
            "--inbound-per-ip-max".into(),
            "256".into(),
        ];
        self.peers.iter().for_each(|peer| arguments.extend(["--peer".into(), peer.into()]));
        if let Some(web) = &self.web {
            arguments.extend(["--web".into(), web.clone().into()]);
        }
        arguments
    }

    /// The same as a line for a shell.
    #[must_use]
    pub fn command(&self) -> String {
        let program = self.program.clone().into_os_string();
        let words = [program].into_iter().chain(self.arguments());
        words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.:_-+=@%,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A child that was started.
#[derive(Debug)]
pub struct NodeProcess {
    setup: NodeSetup,
    url: String,
    child: Child,
    /// How it ended, where that was noticed.
    ended: Option<String>,
}

impl NodeProcess {
    /// Starts a node.
    ///
    /// # Errors
    /// If the system refuses the process or its log.
    pub fn start(setup: NodeSetup) -> Result<Self, DevnetError> {
        let failed = |error| DevnetError::io(format!("cannot start node {}", setup.number))(error);
        fs::create_dir_all(&setup.data).map_err(failed)?;
        let log = OpenOptions::new().create(true).append(true).open(&setup.log).map_err(failed)?;
        let mut command = Command::new(&setup.program);
        command.args(setup.arguments()).arg("--stop-with-stdin");
        command.stdin(Stdio::piped()).stdout(log.try_clone().map_err(failed)?).stderr(log).kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn().map_err(failed)?;
        Ok(Self { url: format!("http://127.0.0.1:{}", setup.port), setup, child, ended: None })
    }

    /// The process's id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Which node it is.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.setup.number
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.setup.log
    }

    /// How it was started.
    #[must_use]
    pub fn setup(&self) -> &NodeSetup {
        &self.setup
    }

    /// How it ended, if it has.
    pub fn end(&mut self) -> Option<&str> {
        if self.ended.is_none() {
            self.ended = match self.child.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some(status.to_string()),
                Err(error) => Some(error.to_string()),
            };
        }
        self.ended.as_deref()
    }

    /// Fails if it has ended, with what it said last.
    ///
    /// # Errors
    /// If it has.
    pub fn check(&mut self) -> Result<(), DevnetError> {
        let (number, log) = (self.setup.number, self.setup.log.clone());
        let Some(status) = self.end() else { return Ok(()) };
        let status = last_error(&log).unwrap_or_else(|| status.to_owned());
        Err(DevnetError::Ended { number, status, log })
    }

    /// Kills it at once (SIGKILL), as a power cut would, and returns how to start it again.
    pub async fn kill(mut self) -> NodeSetup {
        // It may have ended by itself.
        let _ = self.child.kill().await;
        self.setup
    }

    /// Asks it to stop.
    pub fn close(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits until it has stopped as asked; kills it if it does not.
    pub async fn ended(mut self) -> NodeSetup {
        self.close();
        if timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            tracing::warn!(node = self.setup.number, "killed: it did not stop in time");
            let _ = self.child.kill().await;
        }
        self.setup
    }
}

/// The error that a node's log ends with.
fn last_error(log: &Path) -> Option<String> {
    let text = fs::read_to_string(log).ok()?;
    text.lines().last().filter(|line| line.starts_with("error[")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        let cases = [
            ("/home/a/.timecoin/devnet", "/home/a/.timecoin/devnet"),
            ("ws://127.0.0.1:24201/p2p", "ws://127.0.0.1:24201/p2p"),
            ("/my net/x", "'/my net/x'"),
            ("it's", r"'it'\''s'"),
            ("$(rm)", "'$(rm)'"),
            ("", "''"),
        ];
        for (word, expected) in cases {
            assert_eq!(quoted(word), expected, "{word}");
        }
    }
}
