//! Making a store again from the blocks in another: every row that follows from blocks is derived anew, what does
//! not (own votes, pending transactions, evidence, peers) is copied.

use std::sync::Arc;

use crate::codec::CodecError;
use crate::hash::{ChainId, Hash};
use crate::node::{Chain, Replay, ReplayError};
use crate::rows::{Batch, ReadSet, Table, Value};
use crate::schema::{HeaderRow, RowError, SCHEMA_VERSION, height_key, key_height, meta};
use crate::state::ChainState;
use crate::store::{Range, Store};
use crate::vote::Height;

/// Tables that no block says anything about.
const COPIED: [Table; 5] = [Table::Candidate, Table::Sign, Table::Evidence, Table::Mempool, Table::Peer];
/// Rows copied at once.
const COPY_ROWS: usize = 1000;

/// Why a store cannot be made again from these blocks.
#[derive(Debug, thiserror::Error)]
pub enum ReindexError<E: core::error::Error + 'static> {
    /// A store.
    #[error(transparent)]
    Store(E),
    /// The store's rows are of another chain or version.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A block is absent.
    #[error("block {height} is not in the store: synchronise into a new folder")]
    Absent {
        /// Which.
        height: Height,
    },
    /// A block cannot be read.
    #[error("block {height} in table {} is damaged ({error}): synchronise into a new folder", table.name())]
    Damaged {
        /// Which.
        height: Height,
        /// Where.
        table: Table,
        /// What is wrong.
        error: CodecError,
    },
    /// A block is refused.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// Fills `to`, which is empty, with what follows from the blocks in `from`. Calls `progress` after each block.
/// Returns the state after the last one.
pub async fn reindex<S: Store>(
    chain: Arc<Chain>,
    from: &S,
    to: &S,
    mut progress: impl FnMut(Height),
) -> Result<ChainState, ReindexError<S::Error>> {
    check(from, chain.id).await?;
    let (mut replay, mut batch) = Replay::start(chain.clone())?;
    batch.put(Table::Meta, meta::VERSION, SCHEMA_VERSION.to_le_bytes());
    batch.put(Table::Meta, meta::CHAIN, *chain.id.as_bytes());
    to.commit(&batch).await.map_err(ReindexError::Store)?;
    while let Some((header, body)) = block(from, replay.next_height()).await? {
        let height = replay.next_height();
        let header: HeaderRow = read(Table::Header, height, &header)?;
        let block = replay.check(header, read(Table::Body, height, &body)?)?;
        loop {
            let reads = replay.reads(&block)?;
            if reads.is_empty() {
                break;
            }
            replay.absorb(&to.load(&reads).await.map_err(ReindexError::Store)?)?;
        }
        to.commit(&replay.apply(block)?).await.map_err(ReindexError::Store)?;
        progress(height);
    }
    copy(from, to).await?;
    Ok(replay.into_state())
}

/// The rows of a block; `None` after the last one.
async fn block<S: Store>(
    store: &S,
    height: Height,
) -> Result<Option<(Value, Value)>, ReindexError<S::Error>> {
    let key = height_key(height);
    let mut reads = ReadSet::default();
    reads.insert(Table::Header, key.clone());
    reads.insert(Table::Body, key.clone());
    let view = store.load(&reads).await.map_err(ReindexError::Store)?;
    let rows = [Table::Header, Table::Body].map(|table| view.row(table, &key).cloned());
    if let [Some(header), Some(body)] = rows {
        return Ok(Some((header, body)));
    }
    // Nothing may come after the end.
    let rest = Range { start: Some(key), end: None };
    let beyond = store.scan(Table::Header, &rest, 1).await.map_err(ReindexError::Store)?;
    match beyond.first().and_then(|(key, _)| key_height(key)) {
        Some(_) => Err(ReindexError::Absent { height }),
        None => Ok(None),
    }
}

fn read<T: crate::codec::Wire, E: core::error::Error + 'static>(
    table: Table,
    height: Height,
    row: &[u8],
) -> Result<T, ReindexError<E>> {
    crate::codec::decode(row).map_err(|error| ReindexError::Damaged { height, table, error })
}

async fn check<S: Store>(store: &S, chain: ChainId) -> Result<(), ReindexError<S::Error>> {
    let mut reads = ReadSet::default();
    reads.insert(Table::Meta, meta::VERSION);
    reads.insert(Table::Meta, meta::CHAIN);
    let view = store.load(&reads).await.map_err(ReindexError::Store)?;
    let bytes = |key: &'static [u8], name| {
        view.row(Table::Meta, key).ok_or(RowError::Absent { table: Table::Meta, name })
    };
    let found = bytes(meta::VERSION, "version")?.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if found != SCHEMA_VERSION {
        return Err(RowError::Version { found }.into());
    }
    let found =
        bytes(meta::CHAIN, "chain")?.first_chunk().map_or(ChainId::default(), |id| ChainId(Hash(*id)));
    if found != chain {
        return Err(RowError::Chain { found, expected: chain }.into());
    }
    Ok(())
}

/// Copies what blocks say nothing about; durable with everything before when it returns.
async fn copy<S: Store>(from: &S, to: &S) -> Result<(), ReindexError<S::Error>> {
    let tables = COPIED.map(|table| (table, Range::default()));
    for (table, mut range) in tables.into_iter().chain([(Table::Meta, Range::prefix(meta::SIGNER))]) {
        loop {
            let rows = from.scan(table, &range, COPY_ROWS).await.map_err(ReindexError::Store)?;
            let Some((last, _)) = rows.last() else { break };
            // The least key above the last one.
            range.start = Some([&last[..], &[0]].concat());
            let mut batch = Batch::default();
            for (key, value) in rows {
                batch.put(table, key, value);
            }
            to.commit(&batch).await.map_err(ReindexError::Store)?;
        }
    }
    let mut end = Batch::default();
    end.sync();
    to.commit(&end).await.map_err(ReindexError::Store)
}
