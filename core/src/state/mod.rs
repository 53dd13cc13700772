//! The state of the chain after a block, and the one function that takes it to the next.
//!
//! | file | what |
//! |---|---|
//! | `tree/` | the coins: a two-level Merkle-sum tree |
//! | `registry.rs` | the masternodes |
//! | `accounting.rs` | the reward pool and who took part |
//! | `apply.rs` | `(parent, draft) → block and state`: proposing, validating, syncing and replaying |
//! | `verified.rs` | blocks and their parts once every signature is checked |
//! | `changes.rs` | what a block did to the coins, and how it is taken back |
//! | `actions.rs` | what masternode actions and evidence do to the registry |
//! | `genesis.rs` | the state a chain spec starts from |
//!
//! Everything validation reads is committed in the state root; nothing is implied.

pub mod accounting;
mod actions;
mod apply;
mod changes;
mod error;
mod genesis;
pub mod registry;
#[cfg(test)]
mod tests;
pub mod tree;
mod verified;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::block::Header;
use crate::certificate::Bitmap;
use crate::codec::{Wire, encode};
use crate::hash::{BlockId, Hash, StateRoot, Tag};
use crate::merkle::Frontier;
use crate::spec::Rules;
use crate::validators::ValidatorSet;
use crate::vote::{Height, ViewNumber};

use accounting::Accounting;
use registry::Registry;
use tree::{CoinTree, Summary};

pub use actions::EvidenceFault;
pub use apply::{Applied, check_action, derive, planned_changes, validate};
pub use changes::{Before, Changes, UndoError, undo};
pub use error::BlockError;
pub use genesis::{GenesisError, genesis};
pub use verified::{Draft, VerifiedBlock, VerifiedCertificate, VerifiedEvidence};

/// What a state root is the hash of. A peer opens it to prove one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCommitment {
    /// Root, sum and count of the coins.
    pub coins: Summary,
    /// The reward pool: with the coins' sum, all money issued.
    pub pool: Amount,
    /// Log root over the masternodes.
    pub registry: Hash,
    /// Hash of the accounting.
    pub accounting: Hash,
}

impl Wire for StateCommitment {
    const SIZE_MAX: usize = 128;
}

impl StateCommitment {
    const ROOT: Tag = Tag::new("timecoin state");

    /// The root in the header.
    #[must_use]
    pub fn root(&self) -> StateRoot {
        StateRoot(Self::ROOT.hash(&[&encode(self)]))
    }

    /// Coins plus pool: must equal the money issued at the header's time.
    #[must_use]
    pub fn supply(&self) -> Option<Amount> {
        self.coins.sum.checked_add(self.pool)
    }
}

/// The state after a block: all that validating the next one needs. Cloning shares everything large.
#[derive(Clone)]
pub struct ChainState {
    /// The block.
    pub header: Header,
    /// Its id.
    pub id: BlockId,
    /// The set that signs this block.
    pub signers: Arc<ValidatorSet>,
    /// The set that signs the next block.
    pub validators: Arc<ValidatorSet>,
    /// Masternodes after this block.
    pub registry: Arc<Registry>,
    /// Accounting after this block.
    pub accounting: Arc<Accounting>,
    /// The history log up to and including this block.
    pub history: Frontier,
    /// Unspent coins after this block.
    pub coins: CoinTree,
}

impl core::fmt::Debug for ChainState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ChainState({} at {})", self.id, self.header.height)
    }
}

impl ChainState {
    /// Position of the block.
    #[must_use]
    pub fn height(&self) -> Height {
        self.header.height
    }

    /// The opening of the header's state root.
    #[must_use]
    pub fn commitment(&self) -> StateCommitment {
        commitment(&self.coins, &self.registry, &self.accounting)
    }

    /// Who does not propose at the next height.
    #[must_use]
    pub fn absent(&self, rules: &Rules) -> Bitmap {
        self.accounting.absent(&self.validators, self.height().next(), rules.absence_window)
    }

    /// Operator key of the proposer of a view of the next height.
    #[must_use]
    pub fn proposer(&self, rules: &Rules, view: ViewNumber) -> crate::validators::ValidatorIndex {
        let absent = self.absent(rules);
        self.validators.proposer(self.height().next().0, view.0, |index| absent.contains(index))
    }
}

fn commitment(coins: &CoinTree, registry: &Registry, accounting: &Accounting) -> StateCommitment {
    StateCommitment {
        coins: coins.summary(),
        pool: accounting.pool,
        registry: registry.root(),
        accounting: accounting.hash(),
    }
}
