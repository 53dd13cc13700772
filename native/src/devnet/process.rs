//! A node as a child process.
//!
//! The child stops when its standard input ends, so it never outlives its parent, however that ends. It is in a
//! process group of its own, so that Ctrl-C reaches the parent alone, which then stops its children in order.

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

/// A running child.
#[derive(Debug)]
pub struct NodeProcess {
    setup: NodeSetup,
    url: String,
    child: Child,
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
        command
            .arg("node")
            .arg("--chain")
            .arg(&setup.chain)
            .arg("--data")
            .arg(&setup.data)
            .arg("--operator-key")
            .arg(&setup.operator_key)
            .args(["--listen", &format!("127.0.0.1:{}", setup.port)])
            // All of them have one address.
            .args(["--inbound-per-ip-max", "256", "--stop-with-stdin"]);
        setup.peers.iter().for_each(|peer| {
            command.args(["--peer", peer]);
        });
        if let Some(web) = &setup.web {
            command.arg("--web").arg(web);
        }
        command.stdin(Stdio::piped()).stdout(log.try_clone().map_err(failed)?).stderr(log).kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn().map_err(failed)?;
        Ok(Self { url: format!("http://127.0.0.1:{}", setup.port), setup, child })
    }

    /// The process, while it runs.
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

    /// Its process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Fails if it has ended.
    ///
    /// # Errors
    /// If it has.
    pub fn check(&mut self) -> Result<(), DevnetError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            ended => {
                let status = ended.ok().flatten().map_or("lost".to_owned(), |status| status.to_string());
                Err(DevnetError::Ended { number: self.setup.number, status, log: self.setup.log.clone() })
            }
        }
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
