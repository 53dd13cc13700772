//! What a devnet shows: a live table, or lines of JSON.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use serde_json::json;
use timecoin_core::address::Network;
use tokio::sync::mpsc;

use super::folder::Folder;
use super::payments::{Payments, Summary};
use super::{DevnetConfig, DevnetError};
use crate::api::{Api, FinalBlock, NodeStatus};
use crate::config::default_port;

pub(super) struct Report {
    json: bool,
    live: bool,
    validators: u16,
    nodes: Vec<Arc<Api>>,
    urls: Vec<String>,
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
}

impl Report {
    pub(super) async fn new(
        config: &DevnetConfig,
        folder: &Folder,
        nodes: &[Arc<Api>],
    ) -> Result<Self, DevnetError> {
        let first = nodes.first().ok_or(DevnetError::Count { max: 0 })?;
        let urls = (0..folder.validators()).map(|at| format!("http://127.0.0.1:{}", config.base_port + at));
        Ok(Self {
            json: config.json,
            live: io::stdout().is_terminal(),
            validators: folder.validators(),
            arrivals: first.final_blocks().await?,
            nodes: nodes.to_vec(),
            urls: urls.collect(),
            introduction: Introduction {
                program: config.program.display().to_string(),
                folder: folder.path().display().to_string(),
                chain: folder.chain().consensus.id().to_string(),
                faucet: folder.faucet().address.clone(),
                demo: folder.demo().address.clone(),
                restarted: folder.restarted(),
                web: config.web.is_some(),
            },
            blocks: 0,
            newest: None,
            drawn: 0,
        })
    }

    /// Says what there is.
    pub(super) fn start(&self) -> Result<(), DevnetError> {
        let Introduction { program, folder, chain, faucet, demo, restarted, web } = &self.introduction;
        if self.json {
            return write(&format!(
                "{}\n",
                json!({
                    "event": "start", "chain": chain, "folder": folder, "restarted": restarted,
                    "endpoints": self.urls, "faucet": faucet, "demo": demo, "program": program,
                })
            ));
        }
        let page = if *web { "  (web app and RPC)" } else { "" };
        let endpoints: String = self.urls.iter().map(|url| format!("    {url}{page}\n")).collect();
        let standard = format!("http://127.0.0.1:{}", default_port(Network::Dev));
        let other = self.urls.first().filter(|url| **url != standard);
        let node = other.map(|url| format!(" --node {url}")).unwrap_or_default();
        let again = if *restarted { "continued" } else { "new" };
        write(&format!(
            "TimeCoin devnet, {again}, chain {chain}\n  in {folder}\n  nodes\n{endpoints}  \
             faucet  {faucet}\n  demo    {demo}  (a wallet to play with)\n\n  \
             In another terminal, to use the demo wallet (choose any password):\n    \
             {program} wallet restore --wallet {folder}/demo --chain {folder}/chain.json --words-file {folder}/demo.json\n    \
             {program} wallet balance --wallet {folder}/demo{node}\n    \
             {program} wallet send {faucet} 1.5 --wait --wallet {folder}/demo{node}\n\n"
        ))
    }

    /// The next final block of the first node.
    pub(super) async fn block(&mut self) -> FinalBlock {
        match self.arrivals.recv().await {
            Some(block) => block,
            // The node is gone; whoever checks the processes says so.
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
        for (number, node) in self.nodes.iter().enumerate() {
            // A node that does not answer shows as such, not as zero.
            table += &match node.status().await {
                Ok(NodeStatus { height, view, peers, mempool }) => {
                    format!("  {number:<6}{height:>10}{view:>6}{peers:>7}{mempool:>9}\n")
                }
                Err(_) => format!("  {number:<6}{:>10}{:>6}{:>7}{:>9}\n", "–", "–", "–", "–"),
            };
        }
        table += &self.line(&payments.summary(self.blocks, self.validators));
        let up = if self.drawn > 0 { format!("\x1b[{}A\x1b[J", self.drawn) } else { String::new() };
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
