//! How a stored block is taken back.
//!
//! Every row the block wrote goes back to what it was, byte for byte, apart from three: validator sets stay, being
//! named by their hash whoever refers to them; the undo row that fell out of the window when the block was written
//! is gone for good; and what is not chain state (votes, pending transactions, peers) is left alone.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::block::Block;
use crate::codec::{FRAME_SIZE_MAX, Wire, encode};
use crate::merkle::Blake;
use crate::rows::{Batch, Table};
use crate::state::accounting::Accounting;
use crate::state::registry::Registry;
use crate::state::{Before, ChainState, Changes, UndoError, undo};
use crate::validators::ValidatorSet;

use super::{TipRow, activity_key, height_key, history_key, meta, write_rows};

/// How a block is taken back: the reversed diff and the state before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoRow {
    /// What the block did to the coins.
    pub changes: Changes,
    /// The tip before.
    pub parent: TipRow,
    /// The registry before, where the block changed it.
    pub registry: Option<Registry>,
}

impl Wire for UndoRow {
    const SIZE_MAX: usize = FRAME_SIZE_MAX;
}

/// Takes the newest block back: the state before it, and in `batch` the rows before it. `signers` is the set that
/// `row` names as the parent's; the pages that [`Changes::coins`] of `row` touch must be in `state`'s tree.
pub fn undo_block(
    batch: &mut Batch,
    state: &ChainState,
    block: &Block,
    row: &UndoRow,
    signers: Arc<ValidatorSet>,
) -> Result<ChainState, UndoError> {
    if block.header != state.header || signers.hash() != row.parent.signers {
        return Err(UndoError::NotTheParent);
    }
    let before = Before {
        header: row.parent.header.clone(),
        signers,
        registry: row.registry.clone().map_or_else(|| state.registry.clone(), Arc::new),
        accounting: Arc::new(Accounting::clone(&row.parent.accounting)),
        history: row.parent.history.clone(),
    };
    let parent = undo(state, &row.changes, before)?;
    let height = height_key(state.height());
    for table in [Table::Header, Table::Body, Table::Filter, Table::Undo] {
        batch.delete(table, height.clone());
    }
    batch.delete(Table::BlockIndex, *state.id.as_bytes());
    for signed in &block.body.transactions {
        batch.delete(Table::TransactionIndex, *signed.transaction.id().as_bytes());
    }
    for (position, (owner, _)) in (0..).zip(row.changes.coins()) {
        batch.delete(Table::Activity, activity_key(&owner, state.height(), position));
    }
    for (node, _) in parent.history.appended_nodes::<Blake>(state.header.history_leaf()) {
        batch.delete(Table::History, history_key(node));
    }
    write_rows(batch, parent.coins.changed_rows(&state.coins)?);
    if let Some(registry) = &row.registry {
        batch.put(Table::Meta, meta::REGISTRY, encode(registry));
    }
    batch.put(Table::Meta, meta::TIP, encode(&row.parent));
    Ok(parent)
}
