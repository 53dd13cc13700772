//! A block of payments that is validated again and again, by whoever measures how long it takes.

use crate::amount::Amount;
use crate::block::Block;
use crate::state::{VerifiedBlock, validate};

use super::ledger::{Ledger, RICH, ledger_spec, owner};

const VALIDATORS: u64 = 4;

/// A block and the state before it.
#[derive(Debug)]
pub struct Sample {
    parent: Ledger,
    block: Block,
}

impl Sample {
    /// The first block of a chain, of so many payments of one coin each.
    ///
    /// # Panics
    /// If so many are not allowed.
    #[must_use]
    pub fn new(payments: u64) -> Self {
        let parent = Ledger::new(ledger_spec(VALIDATORS, payments));
        let coins = parent.coins_of(&owner(RICH));
        let verified = coins.into_iter().zip(0..).map(|(coin, to)| {
            let payment = parent.payment(RICH, coin, to, Amount(1_000));
            parent.verify(payment.sign(&parent.chain)).expect("a good payment")
        });
        let draft = parent.draft(1_000, verified.collect());
        let block = parent.derive(draft).expect("a good block").block;
        Self { parent, block }
    }

    /// Validates it as if its payments came with it: form, signatures, and the state that follows.
    ///
    /// # Panics
    /// If it is not valid.
    pub fn validate(&self) {
        let Ledger { spec, chain, state, .. } = &self.parent;
        let set = &state.signers;
        let verified =
            VerifiedBlock::verify(self.block.clone(), spec, chain, set, |_| Some(set.clone()), |_| None);
        validate(spec, chain, state, verified.expect("a good block")).expect("a good block");
    }
}
