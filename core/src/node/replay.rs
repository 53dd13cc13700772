//! From stored blocks to every row that follows from them: what `reindex` runs.
//!
//! Headers with their certificates, and bodies, are the chain; trees, indexes, filters, undo and the tip follow. A
//! replay starts at genesis and judges each block as it was judged when it came: every signature, the commit
//! certificate, and [`validate`]. It reads and writes no rows itself. The same blocks give the same rows.

use std::sync::Arc;

use crate::block::{Block, Body};
use crate::certificate::{Certificate, CertificateError};
use crate::rows::{Batch, ReadSet, Table, View};
use crate::schema::{HeaderRow, write_block};
use crate::state::tree::{PageKey, TreeError};
use crate::state::{BlockError, ChainState, GenesisError, VerifiedBlock, genesis, planned_changes, validate};
use crate::vote::Height;

use super::event::{Chain, PastSets, PlanContext, turn_sets};
use super::plan::verify_block;
use super::propose::is_commit_of;

/// Why a stored block is not one of the chain, and the replay cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The chain spec has no genesis.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// Another block than the one due.
    #[error("block {found} is stored where block {expected} should be")]
    Height {
        /// The height due.
        expected: Height,
        /// The height found.
        found: Height,
    },
    /// Its certificate does not commit it.
    #[error("block {height} has no certificate that commits it")]
    Uncommitted {
        /// Which.
        height: Height,
    },
    /// Its certificate proves nothing.
    #[error("block {height}: certificate: {error}")]
    Certificate {
        /// Which.
        height: Height,
        /// Why.
        error: CertificateError,
    },
    /// The rules refuse it.
    #[error("block {height}: {error}")]
    Block {
        /// Which.
        height: Height,
        /// Why.
        error: BlockError,
    },
    /// The tree's rows do not add up.
    #[error("state tree: {0}")]
    Tree(#[from] TreeError),
}

/// A block of the replay whose signatures were checked.
#[derive(Debug)]
pub struct ReplayBlock {
    block: VerifiedBlock,
    certificate: Certificate,
}

/// The chain so far.
#[derive(Debug)]
pub struct Replay {
    chain: Arc<Chain>,
    state: ChainState,
    past_sets: PastSets,
}

impl Replay {
    /// Begins with genesis; returns its rows.
    pub fn start(chain: Arc<Chain>) -> Result<(Self, Batch), ReplayError> {
        let applied = genesis(&chain.spec.consensus)?;
        let mut batch = Batch::default();
        write_block(&mut batch, None, &applied, None)?;
        Ok((Self { chain, state: applied.state, past_sets: PastSets::new() }, batch))
    }

    /// The state after the last block applied.
    #[must_use]
    pub fn into_state(self) -> ChainState {
        self.state
    }

    /// The height due.
    #[must_use]
    pub fn next_height(&self) -> Height {
        self.state.height().next()
    }

    /// Checks the signatures of the next block.
    pub fn check(&self, row: HeaderRow, body: Body) -> Result<ReplayBlock, ReplayError> {
        let HeaderRow { header, certificate } = row;
        let (expected, height) = (self.next_height(), header.height);
        if height != expected {
            return Err(ReplayError::Height { expected, found: height });
        }
        let id = header.id();
        let certificate = certificate.filter(|certificate| is_commit_of(certificate, &id));
        let certificate = certificate.ok_or(ReplayError::Uncommitted { height })?;
        certificate
            .verify(&self.state.validators, &self.chain.id)
            .map_err(|error| ReplayError::Certificate { height, error })?;
        let mut context = PlanContext::at(&self.chain, &self.state);
        context.past_sets.clone_from(&self.past_sets);
        let block = verify_block(&context, Block { header, body })
            .map_err(|error| ReplayError::Block { height, error })?;
        Ok(ReplayBlock { block, certificate })
    }

    /// The rows to load and [`absorb`](Self::absorb) before the block can be applied; ask again until there are none.
    pub fn reads(&self, block: &ReplayBlock) -> Result<ReadSet, ReplayError> {
        let height = block.block.header().height;
        let spec = &self.chain.spec.consensus;
        let changes = planned_changes(spec, &self.chain.id, &self.state, block.block.draft())
            .map_err(|error| ReplayError::Block { height, error })?;
        let mut reads = ReadSet::default();
        for page in self.state.coins.missing(&changes.coins()) {
            reads.insert(Table::Tree, page.to_bytes());
        }
        Ok(reads)
    }

    /// Takes loaded rows in; they are checked against the state root.
    pub fn absorb(&mut self, view: &View) -> Result<(), ReplayError> {
        for (_, key, row) in view.iter() {
            if let Some(page) = PageKey::from_bytes(key) {
                self.state.coins.graft(&page, row.map(|row| &row[..]))?;
            }
        }
        Ok(())
    }

    /// Judges the block and makes it the tip; returns its rows.
    pub fn apply(&mut self, block: ReplayBlock) -> Result<Batch, ReplayError> {
        let ReplayBlock { block, certificate } = block;
        let height = block.header().height;
        let applied = validate(&self.chain.spec.consensus, &self.chain.id, &self.state, block)
            .map_err(|error| ReplayError::Block { height, error })?;
        let mut batch = Batch::default();
        write_block(&mut batch, Some(&self.state), &applied, Some(&certificate))?;
        turn_sets(&mut self.past_sets, &applied.state);
        self.state = applied.state;
        self.state.coins.prune();
        Ok(batch)
    }
}
