//! `timecoin db`: the store of a node that does not run.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use timecoin_core::codec::decode;
use timecoin_core::driver;
use timecoin_core::node::Chain;
use timecoin_core::rows::Table;
use timecoin_core::schema::{TipRow, meta};
use timecoin_core::state::ChainState;

use super::{CliError, block_on, print};
use crate::clock::Stopwatch;
use crate::config::{Settings, load_chain};
use crate::store::{self, FileStore, Report};

/// How often progress is said.
const PROGRESS_BLOCKS: u64 = 1000;

/// What `timecoin db` takes.
#[derive(Subcommand)]
pub(super) enum DbCommand {
    /// Read every row and say what is damaged, and where
    Verify {
        #[command(flatten)]
        place: Place,
    },
    /// Make everything that follows from the blocks again, by validating every block since genesis
    Reindex {
        #[command(flatten)]
        place: Place,
    },
    /// Copy the store into a new data folder, without the votes
    Backup {
        #[command(flatten)]
        place: Place,
        /// The folder to make
        to: PathBuf,
    },
    /// Show how large it is and where it stands
    Stats {
        #[command(flatten)]
        place: Place,
    },
}

/// Which data folder.
#[derive(Args)]
pub(super) struct Place {
    /// Chain: main, test, dev, or the path of a chain spec file
    #[arg(long, default_value = "main", value_name = "NAME|FILE")]
    chain: String,
    /// Data folder [default: ~/.timecoin/CHAIN]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Place {
    fn data(&self) -> Result<PathBuf, CliError> {
        if let Some(data) = &self.data {
            return Ok(data.clone());
        }
        let settings = Settings { chain: Some(self.chain.clone()), ..Settings::default() };
        Ok(settings.check()?.data)
    }

    fn show(&self, value: &Value, lines: impl FnOnce() -> String) -> Result<(), CliError> {
        if self.json { print(value) } else { print(lines().trim_end()) }
    }
}

pub(super) fn run(command: &DbCommand) -> Result<(), CliError> {
    match command {
        DbCommand::Verify { place } => verify(place),
        DbCommand::Reindex { place } => reindex(place),
        DbCommand::Backup { place, to } => {
            let store = FileStore::open_existing(place.data()?)?;
            store.backup(to)?;
            place.show(&json!({ "backup": to }), || {
                format!(
                    "Copied to {}. The votes are left out: a validator started from it stays silent until it is safe.",
                    to.display()
                )
            })
        }
        DbCommand::Stats { place } => stats(place),
    }
}

fn verify(place: &Place) -> Result<(), CliError> {
    let data = place.data()?;
    let Report { tables, faults } = store::verify(&data)?;
    let shown: Vec<_> = tables
        .iter()
        .map(|table| json!({ "table": table.table.name(), "rows": table.rows, "bytes": table.bytes }))
        .collect();
    let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
    place.show(&json!({ "sound": faults.is_empty(), "tables": shown, "faults": said }), || {
        let tables = tables.iter().map(|table| {
            format!("  {:<18}{:>12} rows{:>16} bytes\n", table.table.name(), table.rows, table.bytes)
        });
        let faults = said.iter().map(|fault| format!("  damaged: {fault}\n"));
        let verdict = if said.is_empty() { "Sound: every row can be read.\n" } else { "Damaged.\n" };
        [verdict.to_owned()].into_iter().chain(tables).chain(faults).collect()
    })?;
    match faults.len() {
        0 => Ok(()),
        count => Err(CliError::Faults { path: data, count }),
    }
}

fn reindex(place: &Place) -> Result<(), CliError> {
    let chain = Arc::new(Chain::new(load_chain(&place.chain)?));
    let (watch, live) = (Stopwatch::start(), std::io::stderr().is_terminal());
    let state = FileStore::rebuild(place.data()?, |from, to| {
        block_on(async {
            let said = |height: timecoin_core::vote::Height| {
                if live && height.0.is_multiple_of(PROGRESS_BLOCKS) {
                    // Whoever closed standard error does not want to know.
                    let _ = writeln!(std::io::stderr(), "block {height}");
                }
            };
            Ok::<ChainState, CliError>(driver::reindex(chain.clone(), from, to, said).await?)
        })
    })?;
    let seconds = watch.elapsed_us() as f64 / 1e6;
    let (height, root) = (state.height(), state.header.state_root);
    let value = json!({
        "height": height, "block": state.id, "state_root": root, "seconds": (seconds * 10.0).round() / 10.0,
    });
    place.show(&value, || {
        format!(
            "Made again from {height} blocks in {seconds:.1} s, each validated.\n  block       {}\n  state root  {root}",
            state.id
        )
    })
}

fn stats(place: &Place) -> Result<(), CliError> {
    let data = place.data()?;
    let store = FileStore::open_existing(&data)?;
    let stats = store.stats()?;
    let row = store.snapshot()?.row(Table::Meta, meta::TIP)?;
    let tip: Option<TipRow> = row.and_then(|row| decode(&row).ok());
    let tables: Vec<_> = stats
        .tables
        .iter()
        .map(|table| json!({ "table": table.table.name(), "rows_at_most": table.rows, "bytes": table.bytes }))
        .collect();
    let value = json!({
        "height": tip.as_ref().map(|tip| tip.header.height),
        "block": tip.as_ref().map(|tip| tip.header.id()),
        "state_root": tip.as_ref().map(|tip| tip.header.state_root),
        "coins": tip.as_ref().map(|tip| tip.coins.count),
        "rows_bytes": stats.rows_bytes,
        "journal_bytes": stats.journal_bytes,
        "free_bytes": stats.free_bytes,
        "commits": stats.commits,
        "tables": tables,
    });
    place.show(&value, || lines(&data, &stats, tip.as_ref()))
}

fn lines(data: &Path, stats: &store::Stats, tip: Option<&TipRow>) -> String {
    let tip = match tip {
        Some(TipRow { header, coins, .. }) => format!(
            "  height      {}\n  block       {}\n  state root  {}\n  coins       {}\n",
            header.height,
            header.id(),
            header.state_root,
            coins.count
        ),
        None => "  empty, or without a tip: see `timecoin db reindex`\n".to_owned(),
    };
    let tables: String = stats
        .tables
        .iter()
        .map(|table| {
            format!("  {:<18}{:>12} rows{:>16} bytes\n", table.table.name(), table.rows, table.bytes)
        })
        .collect();
    format!(
        "{}\n{tip}  on disk     {} bytes, votes {} bytes, {} bytes free\n  commits     {}\n{tables}",
        data.display(),
        stats.rows_bytes,
        stats.journal_bytes,
        stats.free_bytes,
        stats.commits
    )
}
