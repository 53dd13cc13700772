//! A network on one machine: its chain, its keys and folders, its processes, and payments to measure it by.
//!
//! | file | what |
//! |---|---|
//! | `genesis` | the chain of a new devnet |
//! | `folder` | what a devnet keeps: chain, keys, a data folder per node |
//! | `process` | the nodes as child processes |
//! | `link` | connections to them that come back |
//! | `payments` | signed payments through the nodes' RPC, timed from submission to finality |
//! | `report` | the live table, and the lines of `--json` |
//!
//! A node that ends is said to have ended and not started again: whoever killed it wants to see what the others do. It
//! may be started by hand, and takes part again.
//!
//! The secrets here are worth nothing: they belong to a chain that exists on this machine only.

mod folder;
mod genesis;
mod link;
mod payments;
mod process;
mod report;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use tokio::time::{interval, sleep};

use crate::api::Api;
use crate::client::{Client, ClientError};
use crate::clock;
use crate::http::{BindError, bind};

pub use folder::{BrowserValidator, Folder, Wallet};
pub use genesis::{Founder, spec};
use link::Link;
pub use payments::{Payments, Purse, Summary};
pub use process::{NodeProcess, NodeSetup};
use report::Report;

/// How long a node may take to answer after it was started.
const START_TIMEOUT_MS: u64 = 30_000;
/// How often the table is drawn.
const DRAW_INTERVAL: Duration = Duration::from_millis(500);

/// What a devnet is started with.
#[derive(Clone, Debug)]
pub struct DevnetConfig {
    /// The program to run nodes with: this one.
    pub program: PathBuf,
    /// Where everything is kept.
    pub folder: PathBuf,
    /// How many validators.
    pub validators: u16,
    /// How many validators more that wait for a tab each.
    pub browser_validators: Option<u16>,
    /// The first node's port; the others follow.
    pub base_port: u16,
    /// Stop after so many seconds.
    pub seconds: Option<u64>,
    /// Payments per second; 0 makes none.
    pub rate: u32,
    /// Lines of JSON in place of a table.
    pub json: bool,
    /// The web app's folder, served by every node.
    pub web: Option<PathBuf>,
}

/// Why a devnet does not run.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// A file or process is refused by the system.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's reason.
        error: io::Error,
    },
    /// The folder holds something else, or a damaged devnet.
    #[error("{} does not hold a devnet ({reason}): choose another folder with --dir, or remove it", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another program runs it.
    #[error("the devnet in {} is running: stop it, or choose another folder with --dir", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder's devnet has another number of validators.
    #[error("{} holds a devnet of {found} validators, not {asked}: leave --validators out, or choose another folder with --dir", path.display())]
    Validators {
        /// The folder.
        path: PathBuf,
        /// How many it has.
        found: u16,
        /// How many were asked for.
        asked: u16,
    },
    /// The folder's devnet has another number of validators for tabs.
    #[error("{} holds a devnet of {found} validators for browsers, not {asked}: leave --browser-validators out, or choose another folder with --dir", path.display())]
    BrowserValidators {
        /// The folder.
        path: PathBuf,
        /// How many it has.
        found: u16,
        /// How many were asked for.
        asked: u16,
    },
    /// A number that cannot be.
    #[error("a devnet has 1 to {max} validators, and at most as many for browsers")]
    Count {
        /// The most.
        max: u16,
    },
    /// There are no such ports.
    #[error("there are no {count} ports from {first} on: choose a smaller --base-port")]
    Ports {
        /// The first node's.
        first: u16,
        /// How many are needed.
        count: u16,
    },
    /// A port cannot be used.
    #[error("{0}; or choose others with --base-port")]
    Bind(#[from] BindError),
    /// A node ended by itself.
    #[error("node {number} ended ({status}): see {}", log.display())]
    Ended {
        /// Which.
        number: u16,
        /// How.
        status: String,
        /// Its log.
        log: PathBuf,
    },
    /// A node does not answer.
    #[error("node {number} does not answer after {START_TIMEOUT_MS} ms: see {}", log.display())]
    Silent {
        /// Which.
        number: u16,
        /// Its log.
        log: PathBuf,
    },
    /// A call to a node failed.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl DevnetError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "system",
            Self::Folder { .. } => "devnet-folder",
            Self::InUse { .. } => "devnet-in-use",
            Self::Validators { .. } | Self::BrowserValidators { .. } => "devnet-validators",
            Self::Count { .. } => "devnet-count",
            Self::Ports { .. } => "devnet-ports",
            Self::Bind(error) => crate::cli::bind_code(error),
            Self::Ended { .. } => "devnet-node-ended",
            Self::Silent { .. } => "devnet-node-silent",
            Self::Client(error) => crate::cli::client_code(error),
        }
    }

    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }
}

/// Runs a devnet until `stop` resolves or the time is over.
///
/// # Errors
/// If the folder cannot be used, or a node does not start or ends.
pub async fn run(config: DevnetConfig, stop: impl Future<Output = ()>) -> Result<Summary, DevnetError> {
    let mut folder =
        Folder::open_with_browsers(&config.folder, config.validators, config.browser_validators)?;
    let _lock = folder.lock()?;
    let ports = ports(config.base_port, folder.validators()).await?;
    folder.name_nodes(&ports)?;
    let mut nodes = start_nodes(&config, &folder, &ports)?;
    let ran = observe(&config, &folder, &mut nodes, stop).await;
    for node in &mut nodes {
        node.close();
    }
    for node in nodes {
        node.ended().await;
    }
    ran
}

/// The nodes' ports, all of them free: otherwise a stranger would be taken for a node.
async fn ports(first: u16, count: u16) -> Result<Vec<u16>, DevnetError> {
    let end = first.checked_add(count).filter(|_| first > 0).ok_or(DevnetError::Ports { first, count })?;
    let ports: Vec<u16> = (first..end).collect();
    for port in &ports {
        bind(SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).await?;
    }
    Ok(ports)
}

fn start_nodes(
    config: &DevnetConfig,
    folder: &Folder,
    ports: &[u16],
) -> Result<Vec<NodeProcess>, DevnetError> {
    (0..folder.validators())
        .map(|number| {
            let setup = NodeSetup {
                program: config.program.clone(),
                web: config.web.clone(),
                ..folder.node(number, ports)
            };
            NodeProcess::start(setup)
        })
        .collect()
}

async fn observe(
    config: &DevnetConfig,
    folder: &Folder,
    nodes: &mut [NodeProcess],
    stop: impl Future<Output = ()>,
) -> Result<Summary, DevnetError> {
    let (mut links, mut height) = (Vec::new(), 0);
    for node in nodes.iter_mut() {
        height = connect(node).await?.status().await?.height.max(height);
        links.push(Arc::new(Link::keep(node.url(), |api| async { Ok(api) }.boxed()).await?));
    }
    let mut report = Report::new(config, folder, nodes, links, height);
    report.start()?;
    let urls: Vec<_> = nodes.iter().map(|node| node.url().to_owned()).collect();
    let payments = Payments::start(&urls, folder, config.rate).await?;
    let time_is_over = async {
        match config.seconds {
            Some(seconds) => sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    let mut draw = interval(DRAW_INTERVAL);
    let (mut stop, mut time_is_over) = (std::pin::pin!(stop), std::pin::pin!(time_is_over));
    loop {
        tokio::select! {
            () = &mut stop => break,
            () = &mut time_is_over => break,
            block = report.block() => report.take(block)?,
            _ = draw.tick() => {
                if !report.nodes(nodes)? {
                    for node in nodes.iter_mut() {
                        node.check()?;
                    }
                }
                report.draw(&payments).await?;
            }
        }
    }
    let summary = payments.finish(|| report.blocks(), folder.validators()).await;
    report.finish(&summary)?;
    Ok(summary)
}

/// Connects to a node that was just started, as soon as it answers.
pub async fn connect(node: &mut NodeProcess) -> Result<Api, DevnetError> {
    let started = clock::now();
    loop {
        node.check()?;
        match Client::connect(node.url(), None).await {
            Ok(client) => return Ok(Api::new(client)),
            Err(_) if clock::now().since(started) < START_TIMEOUT_MS => {
                sleep(Duration::from_millis(50)).await;
            }
            Err(_) => {
                return Err(DevnetError::Silent { number: node.number(), log: node.log().to_path_buf() });
            }
        }
    }
}
