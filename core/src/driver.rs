//! The driver's half that every platform shares: load, handle, commit. The only asynchronous code here.
//!
//! Rules every driver keeps: one loop owns the node and commits; a step is never dropped between handling and
//! committing; a failed commit is fatal (drop the node, reopen the store); time never decreases; deadlines are
//! compared, never counted; every queue is bounded.

use std::collections::VecDeque;

use crate::node::{Effect, Job, Node, NodeConfig, RestoreError, Restored, Step, StoredNode, first_rows};
use crate::rows::{Key, ReadSet, Table, Value};
use crate::schema::{TipRow, height_key, meta};
use crate::state::tree::{PageKey, TreeError};
use crate::store::{Range, Store};
use crate::time::Time;

/// Why a driver must stop.
#[derive(Debug, thiserror::Error)]
pub enum DriverError<E: core::error::Error + 'static> {
    /// The store failed; nothing of the step is visible.
    #[error("store: {0}")]
    Store(E),
    /// Rows of the state tree are damaged.
    #[error("state tree: {0}")]
    Tree(#[from] TreeError),
    /// The stored rows do not make a node.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// Rows read at once when starting.
const SCAN_ROWS: usize = 4096;

/// Runs a job and everything that follows from it at once. The effects are to be performed in order.
pub async fn step<S: Store>(
    node: &mut Node,
    store: &S,
    job: Job,
    now: Time,
) -> Result<Vec<Effect>, DriverError<S::Error>> {
    let mut effects = Vec::new();
    let mut jobs = VecDeque::from([job]);
    while let Some(job) = jobs.pop_front() {
        load(node, store, &job).await?;
        let step = node.handle(job, now);
        settle(store, step, &mut effects, &mut jobs).await?;
    }
    Ok(effects)
}

async fn load<S: Store>(node: &mut Node, store: &S, job: &Job) -> Result<(), DriverError<S::Error>> {
    loop {
        let reads: ReadSet = node.reads(job);
        if reads.is_empty() {
            return Ok(());
        }
        let view = store.load(&reads).await.map_err(DriverError::Store)?;
        node.absorb(&view)?;
    }
}

/// Durable first, visible second.
async fn settle<S: Store>(
    store: &S,
    step: Step,
    effects: &mut Vec<Effect>,
    jobs: &mut VecDeque<Job>,
) -> Result<(), DriverError<S::Error>> {
    if !step.batch.is_empty() {
        store.commit(&step.batch).await.map_err(DriverError::Store)?;
    }
    effects.extend(step.effects);
    jobs.extend(step.jobs);
    Ok(())
}

/// Opens the node that a store holds, or makes an empty store one of this chain. `born`: the operator key was made
/// together with this store and has never signed.
pub async fn restore<S: Store>(
    config: NodeConfig,
    store: &S,
    born: bool,
    now: Time,
) -> Result<(Node, Vec<Effect>), DriverError<S::Error>> {
    let version =
        store.scan(Table::Meta, &Range::prefix(meta::VERSION), 1).await.map_err(DriverError::Store)?;
    if version.is_empty() {
        let batch = first_rows(&config, born)?;
        store.commit(&batch).await.map_err(DriverError::Store)?;
    }
    let stored = stored(store).await?;
    let Restored { mut node, step: first } = Node::restore(config, &stored, now)?;
    let (mut effects, mut jobs) = (Vec::new(), VecDeque::new());
    settle(store, first, &mut effects, &mut jobs).await?;
    for job in jobs {
        effects.extend(step(&mut node, store, job, now).await?);
    }
    Ok((node, effects))
}

async fn stored<S: Store>(store: &S) -> Result<StoredNode, DriverError<S::Error>> {
    let all = Range::default();
    let meta_rows = scan_all(store, Table::Meta, &all).await?;
    let meta: std::collections::BTreeMap<_, _> = meta_rows.into_iter().collect();
    let tip = meta.get(meta::TIP).and_then(|value| crate::codec::decode::<TipRow>(value).ok());
    let mut header = None;
    if let Some(tip) = tip {
        let mut reads = ReadSet::default();
        let key = height_key(tip.header.height);
        reads.insert(Table::Header, key.clone());
        let view = store.load(&reads).await.map_err(DriverError::Store)?;
        header = view.row(Table::Header, &key).cloned();
    }
    Ok(StoredNode {
        meta,
        header,
        validators: scan_all(store, Table::Validators, &all).await?.into_iter().collect(),
        bands: scan_all(store, Table::Tree, &Range::prefix(&PageKey::BANDS)).await?,
        sign: scan_all(store, Table::Sign, &all).await?,
        candidates: scan_all(store, Table::Candidate, &all).await?,
        evidence: scan_all(store, Table::Evidence, &all).await?,
        mempool: scan_all(store, Table::Mempool, &all).await?,
    })
}

/// Every row of a range, read in bounded pieces.
pub async fn scan_all<S: Store>(
    store: &S,
    table: Table,
    range: &Range,
) -> Result<Vec<(Key, Value)>, DriverError<S::Error>> {
    let mut range = range.clone();
    let mut rows = Vec::new();
    loop {
        let found = store.scan(table, &range, SCAN_ROWS).await.map_err(DriverError::Store)?;
        let is_last = found.len() < SCAN_ROWS;
        rows.extend(found);
        if is_last {
            return Ok(rows);
        }
        // The next key after the last: the same with a zero byte appended.
        range.start = rows.last().map(|(key, _)| [&key[..], &[0]].concat());
    }
}
