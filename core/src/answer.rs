//! Proved answers: what a peer says about the state, with everything that shows it against a header.
//!
//! Whether the header itself is final is not checked here; [`crate::light`] does that.

mod question;
mod state;

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::block::Header;
use crate::codec::Wire;
use crate::hash::Owner;
use crate::state::StateCommitment;
use crate::state::registry::Registry;
use crate::state::tree::{OwnerCoinsProof, OwnerProof, ProofError, Summary};
use crate::transaction::{OutPoint, Output};

pub use question::{
    BalancesAnswer, FILTERS_MAX, FILTERS_SIZE_MAX, FeeRate, Located, Nothing, OWNERS_MAX, PhaseChange,
    Question, REFUSAL_SIZE_MAX, Refusal, Reply, SparseBlock, TransactionPhase, WATCHED_MAX,
};
pub use state::{STATE_QUESTION_SIZE_MAX, StateProof, StateQuestion, StateReply, StateTip};

/// Why an answer does not follow from its header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The opening is not of the header's state root.
    #[error("the opening does not match the header's state root")]
    StateRoot,
    /// Coins plus pool are not the header's supply.
    #[error("coins and pool do not add up to the header's supply")]
    Supply,
    /// The path does not lead to the coins' root.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The answer is about another owner than was asked about.
    #[error("the answer is about another owner")]
    Owner,
    /// The masternodes are not those of the header's state root.
    #[error("the masternodes are not those of the header's state root")]
    Registry,
    /// The history is not that of the header.
    #[error("the history is not that of the header")]
    History,
    /// The owner has coins, but the answer proves none.
    #[error("the answer leaves out the coins")]
    CoinsMissing,
}

/// A header's state root, opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The header.
    pub header: Header,
    /// What its state root is the hash of.
    pub commitment: StateCommitment,
}

impl Wire for Opening {
    const SIZE_MAX: usize = 4 << 10;
}

impl Opening {
    /// The coins' summary, proved against the header, with the supply equation.
    pub fn coins(&self) -> Result<Summary, AnswerError> {
        if self.commitment.root() != self.header.state_root {
            return Err(AnswerError::StateRoot);
        }
        if self.commitment.supply() != Some(self.header.supply) {
            return Err(AnswerError::Supply);
        }
        Ok(self.commitment.coins)
    }
}

/// An owner's whole balance: exactly this much, nothing left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceAnswer {
    /// The state it holds in.
    pub opening: Opening,
    /// The path to the owner's leaf, or to where it would be.
    pub proof: OwnerProof,
}

impl Wire for BalanceAnswer {
    const SIZE_MAX: usize = 64 << 10;
}

impl BalanceAnswer {
    /// The balance and the number of coins of `owner`.
    pub fn verify(&self, owner: &Owner) -> Result<(Amount, u64), AnswerError> {
        if self.proof.owner != *owner {
            return Err(AnswerError::Owner);
        }
        let summary = self.proof.verify(&self.opening.coins()?)?;
        Ok((summary.sum, summary.count))
    }
}

/// All coins of an owner: every one of them, proved complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinsAnswer {
    /// The state they exist in.
    pub opening: Opening,
    /// The path to the owner's leaf with all the owner's coins, none where the owner has none.
    pub proof: OwnerCoinsProof,
}

impl Wire for CoinsAnswer {
    const SIZE_MAX: usize = crate::codec::FRAME_SIZE_MAX;
}

impl CoinsAnswer {
    /// The coins of `owner`.
    pub fn verify(&self, owner: &Owner) -> Result<Vec<(OutPoint, Output)>, AnswerError> {
        let (root, proof) = (self.opening.coins()?, &self.proof);
        if proof.owner.owner != *owner {
            return Err(AnswerError::Owner);
        }
        if proof.coins.is_empty() {
            let balance = proof.owner.verify(&root)?;
            return if balance == Summary::EMPTY { Ok(Vec::new()) } else { Err(AnswerError::CoinsMissing) };
        }
        proof.verify(&root)?;
        let output = |amount: Amount| Output { amount, owner: *owner };
        Ok(proof.coins.iter().map(|(outpoint, amount)| (*outpoint, output(*amount))).collect())
    }
}

/// All masternodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryAnswer {
    /// The state they are registered in.
    pub opening: Opening,
    /// The masternodes, every one of them.
    pub registry: Registry,
}

impl Wire for RegistryAnswer {
    const SIZE_MAX: usize = Registry::SIZE_MAX + 1024;
}

impl RegistryAnswer {
    /// The masternodes, proved complete.
    pub fn verify(&self) -> Result<&Registry, AnswerError> {
        self.opening.coins()?;
        if self.registry.root() != self.opening.commitment.registry {
            return Err(AnswerError::Registry);
        }
        Ok(&self.registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::genesis;
    use crate::testing::chain::dev_spec;

    #[test]
    fn masternodes_are_proved_complete() {
        let state = genesis(&dev_spec()).unwrap().state;
        let opening = Opening { header: state.header.clone(), commitment: state.commitment() };
        let answer = RegistryAnswer { opening, registry: (*state.registry).clone() };
        assert_eq!(answer.verify(), Ok(&*state.registry));
        let mut fewer = answer.clone();
        let first = fewer.registry.iter().next().unwrap().id;
        fewer.registry.remove(&first);
        assert_eq!(fewer.verify(), Err(AnswerError::Registry), "one left out");
        let mut opened = answer;
        opened.opening.commitment.registry = fewer.registry.root();
        opened.registry = fewer.registry;
        assert_eq!(opened.verify(), Err(AnswerError::StateRoot), "and the opening made to fit");
    }
}
