//! What a block did to the coins, and the state before it: the reversed diff.
//!
//! Finality is final: no rule ever takes a block back. Undoing exists so that what a block did is known exactly,
//! and a stored chain can be checked backwards.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::block::Header;
use crate::hash::Owner;
use crate::merkle::Frontier;
use crate::transaction::{OutPoint, Output};
use crate::validators::ValidatorSet;

use super::accounting::Accounting;
use super::registry::Registry;
use super::tree::{Op, TreeError};
use super::{ChainState, commitment};

/// What a block changed, for storage, wallets and undo.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Coins spent that existed before the block.
    pub spent: Vec<(OutPoint, Output)>,
    /// Coins made that exist after the block.
    pub made: Vec<(OutPoint, Output)>,
}

impl Changes {
    /// As changes of the tree.
    #[must_use]
    pub fn ops(&self) -> Vec<Op> {
        let spent = self.spent.iter().map(|(outpoint, output)| Op::Remove(*outpoint, *output));
        spent.chain(self.made.iter().map(|(outpoint, output)| Op::Insert(*outpoint, *output))).collect()
    }

    /// As changes of the tree that take the block back.
    #[must_use]
    pub fn reversed_ops(&self) -> Vec<Op> {
        self.ops().into_iter().rev().map(Op::reversed).collect()
    }

    /// The coins whose places in the tree must be at hand, for going either way.
    #[must_use]
    pub fn coins(&self) -> Vec<(Owner, OutPoint)> {
        let coins = self.spent.iter().chain(&self.made);
        coins.map(|(outpoint, output)| (output.owner, *outpoint)).collect()
    }
}

/// The state before a block, but for the coins and the set that signed the block.
#[derive(Clone, Debug)]
pub struct Before {
    /// The parent's header.
    pub header: Header,
    /// The set that signed the parent.
    pub signers: Arc<ValidatorSet>,
    /// Masternodes before the block.
    pub registry: Arc<Registry>,
    /// Accounting before the block.
    pub accounting: Arc<Accounting>,
    /// The history log up to and including the parent.
    pub history: Frontier,
}

/// Why a block cannot be taken back with what was kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UndoError {
    /// What was kept is another block's.
    #[error("the undo data is not that of the newest block")]
    NotTheParent,
    /// The tree is not the one the block left.
    #[error("state tree: {0}")]
    Tree(#[from] TreeError),
    /// What comes out is not what the parent's header commits to.
    #[error("undoing the block does not give the state its parent commits to")]
    Mismatch,
}

/// Takes the newest block back: the exact inverse of deriving it. The result is checked against the state root
/// in the parent's header.
pub fn undo(state: &ChainState, changes: &Changes, before: Before) -> Result<ChainState, UndoError> {
    let Before { header, signers, registry, accounting, history } = before;
    let id = header.id();
    let is_parent = state.header.parent == id
        && header.next_validators_hash == state.signers.hash()
        && (header.validators_hash == signers.hash() || header.height.0 == 0);
    if !is_parent {
        return Err(UndoError::NotTheParent);
    }
    let mut coins = state.coins.clone();
    coins.apply(&changes.reversed_ops())?;
    if commitment(&coins, &registry, &accounting).root() != header.state_root {
        return Err(UndoError::Mismatch);
    }
    Ok(ChainState {
        header,
        id,
        signers,
        validators: state.signers.clone(),
        registry,
        accounting,
        history,
        coins,
    })
}
