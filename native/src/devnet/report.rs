//! What a devnet shows: a live table, or lines of JSON.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use timecoin_core::address::Network;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::folder::{BrowserValidator, Folder};
use super::link::{self, Link};
use super::payments::{Payments, Summary};
use super::process::NodeProcess;
use super::{DevnetConfig, DevnetError};
use crate::api::{Api, FinalBlock, NodeStatus};
use crate::config::default_port;

/// A node that does not say where it stands by then shows as one that does not answer.
const STATUS_TIMEOUT: Duration = Duration::from_millis(400);

pub(super) struct Report {
    json: bool,
    live: bool,
    validators: u16,
    nodes: Vec<Shown>,
    introduction: Introduction,
    arrivals: mpsc::Receiver<FinalBlock>,
    blocks: u64,
    newest: Option<FinalBlock>,
    /// Lines of the table on the screen.
    drawn: usize,
}

struct Introduction {
    program: String,
    folder: String,
    chain: String,
    faucet: String,
    demo: String,
    restarted: bool,
    web: bool,
    tabs: Vec<Tab>,
}

/// A validator that waits for a tab.
struct Tab {
    operator: String,
    key_file: String,
    /// What opens it, where a node serves the app.
    link: Option<String>,
}

impl Tab {
    fn of(tab: &BrowserValidator, config: &DevnetConfig) -> Self {
        Self {
            operator: tab.key.public_key().to_string(),
            key_file: tab.key_file.display().to_string(),
            link: config.web.is_some().then(|| tab.link(config.base_port)),
        }
    }

    fn line(&self) -> String {
        match &self.link {
            Some(link) => format!("    {link}\n"),
            None => format!("    key in {} (no node serves the app)\n", self.key_file),
        }
    }
}

/// A node as it is shown.
struct Shown {
    link: Arc<Link<Api>>,
    url: String,
    pid: Option<u32>,
    data: String,
    /// What starts it again.
    command: String,
    /// Whether it was said that its process ended.
    ended: bool,
    /// Whether it answered when last looked at.
    answers: bool,
}

impl Shown {
    fn of(node: &NodeProcess, link: Arc<Link<Api>>) -> Self {
        let setup = node.setup();
        Self {
            link,
            url: node.url().to_owned(),
            pid: node.pid(),
            data: setup.data.display().to_string(),
            command: setup.command(),
            ended: false,
            answers: true,
        }
    }

    async fn status(&self) -> Option<NodeStatus> {
        let api = self.link.now()?;
        timeout(STATUS_TIMEOUT, api.status()).await.ok()?.ok()
    }
}

impl Report {
    pub(super) fn new(
        config: &DevnetConfig,
        folder: &Folder,
        nodes: &[NodeProcess],
        links: Vec<Arc<Link<Api>>>,
        height: u64,
    ) -> Self {
        Self {
            json: config.json,
            live: io::stdout().is_terminal(),
            validators: folder.validators(),
            arrivals: link::blocks(links.clone(), height),
            nodes: nodes.iter().zip(links).map(|(node, link)| Shown::of(node, link)).collect(),
            introduction: Introduction {
                program: config.program.display().to_string(),
                folder: folder.path().display().to_string(),
                chain: folder.chain().consensus.id().to_string(),
                faucet: folder.faucet().address.clone(),
                demo: folder.demo().address.clone(),
                restarted: folder.restarted(),
                web: config.web.is_some(),
                tabs: folder.browsers().iter().map(|tab| Tab::of(tab, config)).collect(),
            },
            blocks: 0,
            newest: None,
            drawn: 0,
        }
    }

    /// Says what there is.
    pub(super) fn start(&self) -> Result<(), DevnetError> {
        let Introduction { program, folder, chain, faucet, demo, restarted, web, tabs } = &self.introduction;
        if self.json {
            let nodes = self.nodes.iter().map(|node| {
                let Shown { url, pid, data, command, .. } = node;
                json!({ "url": url, "pid": pid, "data": data, "command": command })
            });
            let tabs = tabs.iter().map(|Tab { operator, key_file, link }| {
                json!({ "operator": operator, "key_file": key_file, "link": link })
            });
            return write(&format!(
                "{}\n",
                json!({
                    "event": "start", "chain": chain, "folder": folder, "restarted": restarted,
                    "endpoints": self.nodes.iter().map(|node| &node.url).collect::<Vec<_>>(),
                    "nodes": nodes.collect::<Vec<_>>(), "faucet": faucet, "demo": demo, "program": program,
                    "browser_validators": tabs.collect::<Vec<_>>(),
                })
            ));
        }
        let page = if *web { "  (web app and RPC)" } else { "" };
        let endpoints = self.nodes.iter().map(|node| {
            let pid = node.pid.map(|pid| format!("  process {pid}")).unwrap_or_default();
            format!("    {}{page}{pid}\n", node.url)
        });
        let endpoints: String = endpoints.collect();
        let standard = format!("http://127.0.0.1:{}", default_port(Network::Dev));
        let other = self.nodes.first().map(|node| &node.url).filter(|url| **url != standard);
        let node = other.map(|url| format!(" --node {url}")).unwrap_or_default();
        let mut tabs: String = tabs.iter().map(Tab::line).collect();
        if !tabs.is_empty() {
            tabs = format!(
                "  validators for a browser's tab each (whoever has the link can vote with the key in it)\n{tabs}"
            );
        }
        let again = if *restarted { "continued" } else { "new" };
        write(&format!(
            "TimeCoin devnet, {again}, chain {chain}\n  in {folder}\n  nodes\n{endpoints}{tabs}  \
             faucet  {faucet}\n  demo    {demo}  (a wallet to play with)\n\n  \
             In another terminal, to use the demo wallet (choose any password):\n    \
             {program} wallet restore --wallet {folder}/demo --chain {folder}/chain.json --words-file {folder}/demo.json\n    \
             {program} wallet balance --wallet {folder}/demo{node}\n    \
             {program} wallet send {faucet} 1.5 --wait --wallet {folder}/demo{node}\n\n"
        ))
    }

    /// Says which nodes ended and which are back; false where none is left.
    pub(super) fn nodes(&mut self, processes: &mut [NodeProcess]) -> Result<bool, DevnetError> {
        let mut news = Vec::new();
        for (number, (node, process)) in self.nodes.iter_mut().zip(processes.iter_mut()).enumerate() {
            if let Some(status) = process.end().filter(|_| !node.ended) {
                (node.ended, node.answers) = (true, false);
                news.push((number, "ended", Some(status.to_owned())));
            }
            let answers = node.link.now().is_some();
            if answers && !node.answers {
                news.push((number, "back", None));
            }
            // A connection that is only lost for a moment is no news.
            node.answers = answers || (node.answers && !node.ended);
        }
        for (number, state, status) in news {
            self.tell(number, state, status.as_deref())?;
        }
        Ok(self.nodes.iter().any(|node| !node.ended || node.answers))
    }

    fn tell(&mut self, number: usize, state: &str, status: Option<&str>) -> Result<(), DevnetError> {
        let command = &self.nodes[number].command;
        if self.json {
            let mut line = json!({ "event": "node", "number": number, "state": state });
            if let Some(status) = status {
                line["status"] = json!(status);
                line["command"] = json!(command);
            }
            return write(&format!("{line}\n"));
        }
        let how = status
            .map(|status| format!(" ({status}); to start it again, in another terminal:\n    {command}"));
        let text = format!("{}  node {number} {state}{}\n", self.erase(), how.unwrap_or_default());
        self.drawn = 0;
        write(&text)
    }

    /// What takes the table off the screen.
    fn erase(&self) -> String {
        if self.drawn > 0 { format!("\x1b[{}A\x1b[J", self.drawn) } else { String::new() }
    }

    /// The next final block of the network.
    pub(super) async fn block(&mut self) -> FinalBlock {
        match self.arrivals.recv().await {
            Some(block) => block,
            // Whoever told is gone, which ends with the program only.
            None => std::future::pending().await,
        }
    }

    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    pub(super) fn take(&mut self, block: FinalBlock) -> Result<(), DevnetError> {
        self.blocks += 1;
        self.newest = Some(block);
        if self.json {
            let FinalBlock { height, view, transactions, elapsed_ms } = block;
            let line = json!({
                "event": "block", "height": height, "view": view, "transactions": transactions,
                "finality_ms": elapsed_ms,
            });
            return write(&format!("{line}\n"));
        }
        Ok(())
    }

    /// Draws the table anew.
    pub(super) async fn draw(&mut self, payments: &Payments) -> Result<(), DevnetError> {
        if self.json || !self.live {
            return Ok(());
        }
        let mut table =
            format!("  {:<6}{:>10}{:>6}{:>7}{:>9}\n", "node", "height", "view", "peers", "mempool");
        let statuses = join_all(self.nodes.iter().map(Shown::status)).await;
        for (number, status) in statuses.into_iter().enumerate() {
            // A node that does not answer shows as such, not as zero.
            table += &match status {
                Some(NodeStatus { height, view, peers, mempool }) => {
                    format!("  {number:<6}{height:>10}{view:>6}{peers:>7}{mempool:>9}\n")
                }
                None => format!("  {number:<6}{:>10}{:>6}{:>7}{:>9}\n", "–", "–", "–", "–"),
            };
        }
        table += &self.line(&payments.summary(self.blocks, self.validators));
        let up = self.erase();
        self.drawn = table.lines().count();
        write(&format!("{up}{table}"))
    }

    fn line(&self, summary: &Summary) -> String {
        let Summary { median_ms, p99_ms, payments, failed, tps, blocks, .. } = summary;
        let newest = self.newest.map_or(0, |block| block.height);
        format!(
            "\n  {payments} payments final ({tps}/s, {failed} failed): median {median_ms} ms, \
             99 in 100 within {p99_ms} ms; {blocks} blocks, newest {newest}\n"
        )
    }

    /// Says what was measured.
    pub(super) fn finish(&self, summary: &Summary) -> Result<(), DevnetError> {
        if self.json {
            let mut line = serde_json::to_value(summary).unwrap_or_default();
            line["event"] = "summary".into();
            return write(&format!("{line}\n"));
        }
        write(&format!("{}  stopped\n", self.line(summary)))
    }
}

fn write(text: &str) -> Result<(), DevnetError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(DevnetError::io("cannot write"))
}
