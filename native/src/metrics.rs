//! `/metrics`: the node's figures in Prometheus' text format.
//!
//! Counters are kept from the node's notices; everything else is asked when someone reads.

mod process;

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use timecoin_core::node::Notice;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::handle::{NodeHandle, Stopped};
use crate::health::{self, Status};

/// Upper bounds of the finality histogram, in milliseconds.
const BOUNDS_MS: [u64; 14] = [2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];

/// Counts what the node notices.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    blocks: AtomicU64,
    transactions: AtomicU64,
    /// Blocks per bound of the histogram, and those beyond the last.
    finality: [AtomicU64; BOUNDS_MS.len() + 1],
    finality_sum_ms: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
    votes: AtomicU64,
    offences: AtomicU64,
    evidence: AtomicU64,
    missed: AtomicU64,
}

impl Metrics {
    /// Counts from now on, for as long as the node runs.
    #[must_use]
    pub fn watch(handle: &NodeHandle) -> Self {
        let metrics = Self::default();
        tokio::spawn(metrics.clone().count(handle.notices()));
        metrics
    }

    async fn count(self, mut notices: Receiver<Arc<Notice>>) {
        loop {
            match notices.recv().await {
                Ok(notice) => self.take(&notice),
                Err(RecvError::Lagged(count)) => add(&self.0.missed, count),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn take(&self, notice: &Notice) {
        let counters = &*self.0;
        match notice {
            Notice::Finalized { block, elapsed_ms, .. } => {
                add(&counters.blocks, 1);
                add(&counters.transactions, block.body.transactions.len() as u64);
                let bucket =
                    BOUNDS_MS.iter().position(|bound| elapsed_ms <= bound).unwrap_or(BOUNDS_MS.len());
                if let Some(count) = counters.finality.get(bucket) {
                    add(count, 1);
                }
                add(&counters.finality_sum_ms, *elapsed_ms);
            }
            Notice::Accepted(..) => add(&counters.accepted, 1),
            Notice::Refused(..) => add(&counters.refused, 1),
            Notice::Dropped(_) => add(&counters.dropped, 1),
            Notice::Signed(..) => add(&counters.votes, 1),
            Notice::Offence(..) => add(&counters.offences, 1),
            Notice::Evidence(_) => add(&counters.evidence, 1),
            Notice::Phase(..)
            | Notice::Fork { .. }
            | Notice::InvalidDecision { .. }
            | Notice::Parted(..)
            | Notice::Quarantine(_) => {}
        }
    }

    /// Everything, as text.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn text(&self, handle: &NodeHandle) -> Result<String, Stopped> {
        let mut page = Page::default();
        self.chain(handle, &mut page).await?;
        self.counters(&mut page);
        store(handle, &mut page).await;
        process::figures(&mut page);
        page.gauge("timecoin_uptime_seconds", "Since the node started.", handle.uptime_ms() / 1000);
        Ok(page.0)
    }

    async fn chain(&self, handle: &NodeHandle, page: &mut Page) -> Result<(), Stopped> {
        let (consensus, votes, mempool, progress, silent) = handle
            .ask(|node| {
                let mempool = node.mempool();
                (
                    node.consensus(),
                    node.vote_count(),
                    (mempool.len(), mempool.bytes(), mempool.limits().bytes_max),
                    node.sync_progress(),
                    node.quarantine().is_some(),
                )
            })
            .await?;
        let (status, _) = health::report(handle).await;
        let state = handle.state.load();
        let labels = format!("chain=\"{}\",version=\"{}\"", handle.chain.id, env!("CARGO_PKG_VERSION"));
        page.labelled("timecoin_node_info", "The node.", &labels, 1);
        page.gauge("timecoin_ready", "Whether /health says ready.", u64::from(status == Status::Ready));
        page.gauge("timecoin_height", "The newest final height.", state.height().0);
        page.gauge("timecoin_block_time_seconds", "Time of the newest block.", state.header.time.0 / 1000);
        page.gauge("timecoin_sync_target", "Highest block known to be certified.", progress.target.0);
        if let Some(consensus) = consensus {
            page.gauge("timecoin_view", "View of the open height.", u64::from(consensus.view.0));
        }
        page.gauge("timecoin_votes_held", "Votes in memory.", votes as u64);
        page.gauge("timecoin_silent", "Whether this validator stays silent.", u64::from(silent));
        page.gauge("timecoin_validators", "Validators of the next block.", state.validators.len() as u64);
        page.gauge("timecoin_supply_grains", "All money.", state.header.supply.0);
        page.gauge("timecoin_coins", "Unspent coins.", state.coins.summary().count);
        page.gauge("timecoin_mempool_transactions", "Pending transactions.", mempool.0 as u64);
        page.gauge("timecoin_mempool_bytes", "Their bytes.", mempool.1 as u64);
        page.gauge("timecoin_mempool_bytes_max", "The most there may be.", mempool.2 as u64);
        let sessions = handle.sessions().borrow().clone();
        let outbound = sessions.values().filter(|session| session.outbound).count();
        page.head("timecoin_peers", "Sessions with peers.", "gauge");
        page.line("timecoin_peers{direction=\"inbound\"}", (sessions.len() - outbound) as u64);
        page.line("timecoin_peers{direction=\"outbound\"}", outbound as u64);
        Ok(())
    }

    fn counters(&self, page: &mut Page) {
        let counters = &*self.0;
        page.counter("timecoin_blocks_total", "Blocks made final since the start.", &counters.blocks);
        page.counter("timecoin_transactions_total", "Transactions in them.", &counters.transactions);
        let name = "timecoin_finality_seconds";
        page.head(name, "From the first sight of a proposal to finality.", "histogram");
        let mut sum = 0;
        let bounds = BOUNDS_MS.iter().map(|bound| seconds(*bound)).chain([String::from("+Inf")]);
        for (bound, count) in bounds.zip(&counters.finality) {
            sum += count.load(Ordering::Relaxed);
            page.line(&format!("{name}_bucket{{le=\"{bound}\"}}"), sum);
        }
        page.line(&format!("{name}_sum"), seconds(counters.finality_sum_ms.load(Ordering::Relaxed)));
        page.line(&format!("{name}_count"), sum);
        page.counter("timecoin_submissions_accepted_total", "Submissions taken.", &counters.accepted);
        page.counter("timecoin_submissions_refused_total", "Submissions refused.", &counters.refused);
        page.counter("timecoin_mempool_dropped_total", "Pending transactions dropped.", &counters.dropped);
        page.counter("timecoin_votes_signed_total", "Votes this node signed.", &counters.votes);
        page.counter("timecoin_offences_total", "Peers closed for what they sent.", &counters.offences);
        page.counter("timecoin_evidence_total", "Equivocations proved.", &counters.evidence);
        page.counter("timecoin_notices_missed_total", "Events not counted above.", &counters.missed);
    }
}

async fn store(handle: &NodeHandle, page: &mut Page) {
    let store = handle.store.clone();
    let stats = tokio::task::spawn_blocking(move || store.stats()).await;
    // A store that cannot be asked is no reason to hide everything else; the node stops by itself.
    let Ok(Ok(stats)) = stats else { return };
    page.gauge("timecoin_store_bytes", "Of all tables on disk.", stats.rows_bytes);
    page.gauge("timecoin_store_journal_bytes", "Of the vote journal.", stats.journal_bytes);
    page.gauge("timecoin_store_cache_bytes", "Of file blocks in memory.", stats.cache_bytes);
    page.gauge("timecoin_store_cache_bytes_max", "The most there may be.", stats.cache_bytes_max);
    page.gauge("timecoin_disk_free_bytes", "What the disk has left.", stats.free_bytes);
    let name = "timecoin_store_commits_total";
    page.head(name, "Commits since the store was made.", "counter");
    page.line(name, stats.commits);
    page.head("timecoin_store_rows", "Rows by table, at most.", "gauge");
    for table in stats.tables {
        page.line(&format!("timecoin_store_rows{{table=\"{}\"}}", table.table.name()), table.rows);
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn seconds(ms: u64) -> String {
    let (whole, rest) = (ms / 1000, ms % 1000);
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:03}").trim_end_matches('0').to_owned() }
}

/// A page of figures. Writing to a string cannot fail.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "gauge");
        self.line(name, value);
    }

    fn labelled(&mut self, name: &str, help: &str, labels: &str, value: u64) {
        self.head(name, help, "gauge");
        self.line(&format!("{name}{{{labels}}}"), value);
    }

    fn counter(&mut self, name: &str, help: &str, value: &AtomicU64) {
        self.head(name, help, "counter");
        self.line(name, value.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_decimal() {
        let cases = [(0, "0"), (2, "0.002"), (50, "0.05"), (1000, "1"), (61_230, "61.23")];
        for (ms, expected) in cases {
            assert_eq!(seconds(ms), expected);
        }
    }
}
