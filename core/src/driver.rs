//! The driver's half that every platform shares: load, handle, commit. The only asynchronous code here.
//!
//! Rules every driver keeps: one loop owns the node and commits; a step is never dropped between handling and
//! committing; a failed commit is fatal (drop the node, reopen the store); time never decreases; deadlines are
//! compared, never counted; every queue is bounded.

mod answer;
mod join;
pub mod light;
mod reindex;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::block::{Block, Body};
use crate::codec::{Wire, decode};
use crate::message::Message;
use crate::node::{
    Effect, Job, Node, NodeConfig, RestoreError, Restored, Serve, Step, StoredNode, first_rows,
};
use crate::rows::{Key, ReadSet, Table, Value};
use crate::schema::{HeaderRow, TipRow, height_key, meta};
use crate::state::ChainState;
use crate::state::tree::{PageKey, TreeError};
use crate::store::{Range, Store};
use crate::sync::wire::{LightBlock, Query, Response};
use crate::time::Time;
use crate::validators::ValidatorSet;
use crate::vote::Height;

pub use answer::Answerer;
pub use join::{JoinError, join, stored_tip};
pub use reindex::{ReindexError, reindex};

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

/// The clock is compared with the deadline at least this often: a machine that slept wakes to the right time.
pub const SLEEP_MAX_MS: u64 = 1_000;
/// After a gap, input is taken for this long before the timer is looked at: everything in transit is older than it.
pub const GRACE_MS: u64 = 100;
/// Answers made for peers at once; who asks beyond that hears [`Serve::busy`].
pub const SERVING_MAX: usize = 8;
/// A deadline missed by more than this means that the process did not run.
const GAP_MS: u64 = 1_000;

/// Whether a deadline was missed because the process did not run.
#[must_use]
pub fn is_gap(deadline: Time, now: Time) -> bool {
    deadline > Time(0) && now.since(deadline) > GAP_MS
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

/// Brings rows of the state tree that a node lacks: those the store has, then those of `rows`, which peers gave.
pub async fn fill<S: Store>(
    node: &mut Node,
    store: &S,
    mut rows: BTreeMap<PageKey, Vec<u8>>,
) -> Result<(), DriverError<S::Error>> {
    let mut reads = ReadSet::default();
    let wanted = node.wanted();
    for wanted in wanted.iter().filter(|at| at.known().is_none() && !rows.contains_key(at.key())) {
        reads.insert(Table::Tree, wanted.key().to_bytes());
    }
    let view = store.load(&reads).await.map_err(DriverError::Store)?;
    for (_, key, row) in view.iter() {
        if let (Some(key), Some(row)) = (PageKey::from_bytes(key), row) {
            rows.entry(key).or_insert_with(|| row.to_vec());
        }
    }
    let batch = node.take_rows(&rows);
    if batch.is_empty() { Ok(()) } else { store.commit(&batch).await.map_err(DriverError::Store) }
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
    let tip = meta.get(meta::TIP).and_then(|value| decode::<TipRow>(value).ok());
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
        peers: scan_all(store, Table::Peer, &all).await?,
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

/// Answers a peer's question from the store and the newest state; `None` where there is nothing to say.
pub async fn serve<S: Store>(
    store: &S,
    latest: impl Fn() -> Arc<ChainState>,
    serve: Serve,
) -> Result<Option<Message>, S::Error> {
    match serve {
        Serve::Ask(id, question) => {
            let reply = Answerer { store, latest }.answer(&question).await?;
            Ok(Some(Message::Answer(id, Box::new(reply))))
        }
        Serve::Block(height) => {
            let block = block(store, height).await?;
            Ok(block.map(|(row, body)| Message::Block(Box::new(Block { header: row.header, body }))))
        }
        Serve::Range(id, Query::Headers { from, count }) => {
            let mut headers = Vec::new();
            for height in (from.0..from.0.saturating_add(u64::from(count))).map(Height) {
                let Some(header) = light_block(store, height).await? else { break };
                headers.push(header);
            }
            Ok(Some(Message::Response(id, Response::Headers(headers))))
        }
        Serve::Range(id, Query::Bodies { from, count, size_max }) => {
            let (mut bodies, mut size) = (Vec::new(), 0);
            for height in (from.0..from.0.saturating_add(u64::from(count))).map(Height) {
                let Some(row) = read(store, Table::Body, height_key(height)).await? else { break };
                size += row.len();
                let Ok(body) = decode::<Body>(&row) else { break };
                if size > (size_max as usize).min(Body::SIZE_MAX) && !bodies.is_empty() {
                    break;
                }
                bodies.push(body);
            }
            Ok(Some(Message::Response(id, Response::Bodies(bodies))))
        }
    }
}

async fn read<S: Store>(store: &S, table: Table, key: Key) -> Result<Option<Value>, S::Error> {
    let mut reads = ReadSet::default();
    reads.insert(table, key.clone());
    Ok(store.load(&reads).await?.row(table, &key).cloned())
}

async fn block<S: Store>(store: &S, height: Height) -> Result<Option<(HeaderRow, Body)>, S::Error> {
    let header = read(store, Table::Header, height_key(height)).await?;
    let body = read(store, Table::Body, height_key(height)).await?;
    let header = header.and_then(|row| decode::<HeaderRow>(&row).ok());
    Ok(header.zip(body.and_then(|row| decode::<Body>(&row).ok())))
}

async fn light_block<S: Store>(store: &S, height: Height) -> Result<Option<LightBlock>, S::Error> {
    let row = read(store, Table::Header, height_key(height)).await?;
    let Some(HeaderRow { header, certificate: Some(certificate) }) = row.and_then(|row| decode(&row).ok())
    else {
        return Ok(None);
    };
    let mut next_validators = None;
    if header.validators_hash != header.next_validators_hash {
        let set = read(store, Table::Validators, header.next_validators_hash.0.to_vec()).await?;
        let Some(set) = set.and_then(|row| decode::<ValidatorSet>(&row).ok()) else { return Ok(None) };
        next_validators = Some(set);
    }
    Ok(Some(LightBlock { header, certificate, next_validators }))
}
