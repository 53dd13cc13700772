//! What rows mean: their keys and values, how a block becomes a batch, and how a state is read back.
//!
//! Backends see bytes only. A change here is a change of the file format: raise [`SCHEMA_VERSION`].

mod undo;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::block::{Block, Header};
use crate::certificate::Certificate;
use crate::codec::{CodecError, Wire, decode, encode};
use crate::filter::Filter;
use crate::hash::{BlockId, ChainId, Hash, Owner, TxId};
use crate::keys::PublicKey;
use crate::merkle::{Blake, Frontier, NodeKey};
use crate::rows::{Batch, Key, Table};
use crate::state::accounting::Accounting;
use crate::state::tree::{CoinTree, Fill, RowChange, Summary, TreeError};
use crate::state::{Applied, ChainState, Changes};
use crate::transaction::{OutPoint, Output};
use crate::vote::{Height, Phase, ViewNumber};

pub use undo::{UndoRow, undo_block};

/// Version of the rows this software writes.
pub const SCHEMA_VERSION: u32 = 2;
/// Undo rows are kept for this many blocks.
pub const UNDO_BLOCKS: u64 = 1000;

/// Single rows of [`Table::Meta`].
pub mod meta {
    /// [`super::SCHEMA_VERSION`], little-endian.
    pub const VERSION: &[u8] = b"version";
    /// The chain id.
    pub const CHAIN: &[u8] = b"chain";
    /// [`super::TipRow`].
    pub const TIP: &[u8] = b"tip";
    /// The registry.
    pub const REGISTRY: &[u8] = b"registry";
    /// What a light node trusts, and the heights of the headers that lead there.
    pub const TRUST: &[u8] = b"trust";
    /// Followed by a number (8 bytes, big-endian): what a peer did to this light node.
    pub const MISBEHAVIOUR: &[u8] = b"misbehaviour";
    /// Followed by a public key: the statement that this key was made here and had never signed.
    pub const SIGNER: &[u8] = b"signer";
    /// [`Fill`](crate::state::tree::Fill), while rows of the state tree are missing.
    pub const FILL: &[u8] = b"fill";
}

/// The state after the newest block, but for what has rows of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TipRow {
    /// The newest block's header.
    pub header: Header,
    /// Hash of the set that signs it.
    pub signers: Hash,
    /// Accounting after it.
    pub accounting: Accounting,
    /// The history log up to and including it.
    pub history: Frontier,
    /// The coins after it.
    pub coins: Summary,
}

impl Wire for TipRow {
    const SIZE_MAX: usize = Header::SIZE_MAX + Accounting::SIZE_MAX + 8192;
}

/// A finalized header and its proof; genesis has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderRow {
    /// The header.
    pub header: Header,
    /// Its commit certificate.
    pub certificate: Option<Certificate>,
}

impl Wire for HeaderRow {
    const SIZE_MAX: usize = Header::SIZE_MAX + Certificate::SIZE_MAX + 8;
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionPlace {
    /// The block.
    pub height: Height,
    /// Position in the body.
    pub index: u32,
}

impl Wire for TransactionPlace {
    const SIZE_MAX: usize = 12;
}

/// What one block did to one owner's coins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityRow {
    /// The coin.
    pub outpoint: OutPoint,
    /// Its amount and owner.
    pub output: Output,
    /// Made, or spent.
    pub made: bool,
}

impl Wire for ActivityRow {
    const SIZE_MAX: usize = 80;
}

/// Key of rows by height: 8 bytes big-endian, so that keys sort by height.
#[must_use]
pub fn height_key(height: Height) -> Key {
    height.0.to_be_bytes().to_vec()
}

/// Reads a height back from a key.
#[must_use]
pub fn key_height(key: &[u8]) -> Option<Height> {
    key.first_chunk().map(|bytes| Height(u64::from_be_bytes(*bytes)))
}

/// Key of a stored node of the history log.
#[must_use]
pub fn history_key((level, index): NodeKey) -> Key {
    [&level.to_be_bytes()[..], &index.to_be_bytes()].concat()
}

/// Key of an own vote: rows of one key sort by height, view and phase.
#[must_use]
pub fn sign_key(key: &PublicKey, height: Height, view: ViewNumber, phase: Phase) -> Key {
    [&key.0[..], &height.0.to_be_bytes(), &view.0.to_be_bytes(), &[phase as u8]].concat()
}

/// Key of the statement that an operator key was made here.
#[must_use]
pub fn signer_key(key: &PublicKey) -> Key {
    [meta::SIGNER, &key.0].concat()
}

/// Key prefix of an owner's activity; a height follows, then a position.
#[must_use]
pub fn activity_key(owner: &Owner, height: Height, position: u32) -> Key {
    [&owner.as_bytes()[..], &height.0.to_be_bytes(), &position.to_be_bytes()].concat()
}

/// The row of the state after a block.
#[must_use]
pub fn tip_row(state: &ChainState) -> TipRow {
    TipRow {
        header: state.header.clone(),
        signers: state.signers.hash(),
        accounting: Accounting::clone(&state.accounting),
        history: state.history.clone(),
        coins: state.coins.summary(),
    }
}

/// The rows that make an empty store one of this chain.
#[must_use]
pub fn new_store(chain: &ChainId) -> Batch {
    let mut batch = Batch::default();
    batch.put(Table::Meta, meta::VERSION, SCHEMA_VERSION.to_le_bytes());
    batch.put(Table::Meta, meta::CHAIN, *chain.as_bytes());
    batch
}

/// Writes a block and the state after it. `parent` is the state before; none for genesis.
pub fn write_block(
    batch: &mut Batch,
    parent: Option<&ChainState>,
    applied: &Applied,
    certificate: Option<&Certificate>,
) -> Result<(), TreeError> {
    let empty = CoinTree::empty();
    let rows = applied.state.coins.changed_rows(parent.map_or(&empty, |parent| &parent.coins))?;
    write_state(batch, parent, applied, certificate, rows);
    Ok(())
}

/// As [`write_block`], where the tree is known in part: `fill` learns which rows could not be written.
pub fn write_block_in_part(
    batch: &mut Batch,
    parent: &ChainState,
    applied: &Applied,
    certificate: &Certificate,
    fill: &mut Fill,
) {
    let (rows, unknown) = applied.state.coins.known_changed_rows(&parent.coins);
    fill.lost(&unknown);
    write_state(batch, Some(parent), applied, Some(certificate), rows);
    batch.put(Table::Meta, meta::FILL, encode(fill));
}

/// Writes rows of the state tree.
pub fn write_rows(batch: &mut Batch, rows: Vec<RowChange>) {
    for (key, row) in rows {
        match row {
            Some(row) => batch.put(Table::Tree, key.to_bytes(), row),
            None => batch.delete(Table::Tree, key.to_bytes()),
        }
    }
}

fn write_state(
    batch: &mut Batch,
    parent: Option<&ChainState>,
    applied: &Applied,
    certificate: Option<&Certificate>,
    rows: Vec<RowChange>,
) {
    let Applied { block, state, .. } = applied;
    let height = state.height();
    write_content(batch, block, state, &applied.filter, certificate);
    write_activity(batch, height, &applied.changes);
    write_rows(batch, rows);
    let frontier = parent.map(|parent| parent.history.clone()).unwrap_or_default();
    for (node, hash) in frontier.appended_nodes::<Blake>(block.header.history_leaf()) {
        batch.put(Table::History, history_key(node), hash.0);
    }
    let registry_changed = parent.is_none_or(|parent| !Arc::ptr_eq(&parent.registry, &state.registry));
    if registry_changed {
        batch.put(Table::Meta, meta::REGISTRY, encode(&*state.registry));
    }
    batch.put(Table::Meta, meta::TIP, encode(&tip_row(state)));
    if let Some(parent) = parent {
        let registry = registry_changed.then(|| (*parent.registry).clone());
        let undo = UndoRow { changes: applied.changes.clone(), parent: tip_row(parent), registry };
        batch.put(Table::Undo, height_key(height), encode(&undo));
        if let Some(old) = height.0.checked_sub(UNDO_BLOCKS) {
            batch.delete(Table::Undo, height_key(Height(old)));
        }
    }
}

fn write_content(
    batch: &mut Batch,
    block: &Block,
    state: &ChainState,
    filter: &Filter,
    certificate: Option<&Certificate>,
) {
    let height = state.height();
    let row = HeaderRow { header: block.header.clone(), certificate: certificate.cloned() };
    batch.put(Table::Header, height_key(height), encode(&row));
    batch.put(Table::Body, height_key(height), encode(&block.body));
    batch.put(Table::BlockIndex, *state.id.as_bytes(), height.0.to_be_bytes());
    batch.put(Table::Filter, height_key(height), encode(filter));
    for set in [&state.signers, &state.validators] {
        let is_new =
            *set == state.validators && block.header.validators_hash != block.header.next_validators_hash;
        if is_new || height == Height(0) {
            batch.put(Table::Validators, set.hash().0, encode(&**set));
        }
    }
    for (index, signed) in (0..).zip(&block.body.transactions) {
        let place = TransactionPlace { height, index };
        batch.put(Table::TransactionIndex, *signed.transaction.id().as_bytes(), encode(&place));
    }
}

fn write_activity(batch: &mut Batch, height: Height, changes: &Changes) {
    let spent = changes.spent.iter().map(|(outpoint, output)| (outpoint, output, false));
    let made = changes.made.iter().map(|(outpoint, output)| (outpoint, output, true));
    for (position, (outpoint, output, made)) in (0..).zip(spent.chain(made)) {
        let row = ActivityRow { outpoint: *outpoint, output: *output, made };
        batch.put(Table::Activity, activity_key(&output.owner, height, position), encode(&row));
    }
}

/// A row that cannot be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The store has no such row.
    #[error("table {} has no row {name}", table.name())]
    Absent {
        /// Which table.
        table: Table,
        /// Which row.
        name: &'static str,
    },
    /// The row is not what it should be.
    #[error("table {}: row {name} is damaged: {error}", table.name())]
    Damaged {
        /// Which table.
        table: Table,
        /// Which row.
        name: &'static str,
        /// What is wrong.
        error: CodecError,
    },
    /// The rows do not add up to the state root in the newest header.
    #[error("the stored state does not match the newest header's {0}")]
    Mismatch(&'static str),
    /// Rows of the state tree are damaged.
    #[error("state tree: {0}")]
    Tree(#[from] TreeError),
    /// Written by another version of the software.
    #[error(
        "the store has schema version {found}; this software knows {SCHEMA_VERSION}: use the version that wrote it or newer"
    )]
    Version {
        /// Version found.
        found: u32,
    },
    /// The rows of another chain.
    #[error("the store holds chain {found}, not {expected}: name that chain, or another data folder")]
    Chain {
        /// Chain found.
        found: ChainId,
        /// Chain expected.
        expected: ChainId,
    },
}

/// Decodes a row, naming it where it is absent or damaged.
pub fn row<T: Wire>(table: Table, name: &'static str, value: Option<&[u8]>) -> Result<T, RowError> {
    let value = value.ok_or(RowError::Absent { table, name })?;
    decode(value).map_err(|error| RowError::Damaged { table, name, error })
}

/// The height a block id is found at.
#[must_use]
pub fn block_height(value: &[u8]) -> Option<Height> {
    key_height(value)
}

/// Row key of a transaction's place.
#[must_use]
pub fn transaction_key(txid: &TxId) -> Key {
    txid.as_bytes().to_vec()
}

/// Row key of the certificate that a block was prepared in this view, kept beside the block while its height is
/// open.
#[must_use]
pub fn prepared_key(height: Height, view: ViewNumber) -> Key {
    [&height.0.to_be_bytes()[..], &view.0.to_be_bytes()].concat()
}

/// Row key of a block kept while its height is open.
#[must_use]
pub fn candidate_key(height: Height, block: &BlockId) -> Key {
    [&height.0.to_be_bytes()[..], block.as_bytes()].concat()
}
