//! Building transactions: what is paid, from which coins, at which fee.
//!
//! [`TransactionBuilder`] collects what a transaction does and ends in an [`Unsigned`] one, whose fee is the
//! least its exact signed size allows at the rate asked for. It decides nothing about the chain's state: that the
//! coins exist and are free is the caller's knowledge. Signing is in [`sign`](super::sign).

use std::collections::BTreeMap;

use super::coins::{Demand, SelectError, Selection, Spendable, select, select_maximum, witness_size};
use super::map_of;
use crate::amount::Amount;
use crate::codec::encode;
use crate::hash::{ChainId, MasternodeId, Owner};
use crate::keys::{KeyError, PublicKey, SecretKey, Signature, verify};
use crate::lock::{Lock, LockError};
use crate::time::Time;
use crate::transaction::{
    Action, Class, MEMO_SIZE_MAX, OutPoint, Output, SignedTransaction, TRANSACTION_VERSION, Tier,
    Transaction, TransactionLimits, fee_min, operator_statement,
};

/// Why a transaction cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Nobody is paid and nothing is done.
    #[error("nothing to do: name someone to pay")]
    NothingToDo,
    /// An output below the minimum.
    #[error("output {index} of {amount} TIME is below the minimum of {output_min} TIME: pay more")]
    OutputTooSmall {
        /// Which output.
        index: usize,
        /// What it would be.
        amount: Amount,
        /// The least allowed.
        output_min: Amount,
    },
    /// The memo is too long.
    #[error("a memo of {size} bytes: at most {MEMO_SIZE_MAX} are allowed, shorten it")]
    MemoTooLong {
        /// Its bytes.
        size: usize,
    },
    /// A fee rate that no node accepts.
    #[error("a fee of {fee_per_kb} grains per 1,000 bytes: the least is {fee_per_kb_min}")]
    FeeRateTooLow {
        /// The rate asked for.
        fee_per_kb: u64,
        /// The least allowed.
        fee_per_kb_min: u64,
    },
    /// A fee that no node accepts for a transaction of this size.
    #[error("a fee of {asked} TIME is too low: this transaction costs at least {least} TIME")]
    FeeTooLow {
        /// The fee asked for.
        asked: Amount,
        /// The least allowed.
        least: Amount,
    },
    /// The coins do not pay for it.
    #[error(
        "insufficient funds: {need} TIME are needed with the fee, {have} TIME can be spent: pay less, or wait for coins"
    )]
    InsufficientFunds {
        /// Sum of the coins worth spending.
        have: Amount,
        /// Outputs and fee.
        need: Amount,
    },
    /// So many small coins are needed that they do not fit.
    #[error(
        "{size} bytes, at most {size_max} are allowed: send less than {have} TIME, or first send your coins to yourself"
    )]
    TooLarge {
        /// Bytes of the signed form.
        size: usize,
        /// The most allowed.
        size_max: usize,
        /// What the coins that fit amount to.
        have: Amount,
    },
    /// Sums reach the supply limit.
    #[error("more money than can exist")]
    Overflow,
    /// A lock is not canonical or names an unsound key.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A coin was listed with a lock that is not its owner's.
    #[error("the lock given for coin {0:?} is not its owner's")]
    LockMismatch(OutPoint),
    /// The operator key may not enter the state.
    #[error("operator key: {0}")]
    OperatorKey(KeyError),
    /// The operator key did not agree to this owner on this chain.
    #[error("the operator's consent is not for this owner on this chain")]
    OperatorConsent,
}

impl From<SelectError> for BuildError {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::InsufficientFunds { have, need } => Self::InsufficientFunds { have, need },
            SelectError::TooLarge { size, size_max, have } => Self::TooLarge { size, size_max, have },
            SelectError::Overflow => Self::Overflow,
        }
    }
}

/// An operator key's agreement to serve an owner: made where the hot key is, used where the cold key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorConsent {
    /// The hot key.
    pub operator: PublicKey,
    /// Its signature over [`operator_statement`].
    pub proof: Signature,
}

impl OperatorConsent {
    /// Agrees to serve the masternode of `owner` on this chain.
    #[must_use]
    pub fn sign(chain: &ChainId, owner: &Owner, key: &SecretKey) -> Self {
        let operator = key.public_key();
        Self { operator, proof: key.sign(&operator_statement(chain, owner, &operator)) }
    }

    fn check(&self, chain: &ChainId, owner: &Owner) -> Result<(), BuildError> {
        self.operator.check().map_err(BuildError::OperatorKey)?;
        let message = operator_statement(chain, owner, &self.operator);
        if verify(&self.operator, &message, &self.proof) { Ok(()) } else { Err(BuildError::OperatorConsent) }
    }
}

/// A masternode to register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Fixes the collateral.
    pub tier: Tier,
    /// Where it will run.
    pub class: Class,
    /// Who owns the collateral and decides.
    pub owner: Owner,
    /// Who receives rewards.
    pub payout: Owner,
    /// The hot key's consent to `owner`.
    pub consent: OperatorConsent,
}

/// A transaction ready to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned {
    /// The chain it is for.
    pub chain: ChainId,
    /// The transaction.
    pub transaction: Transaction,
    /// The coins spent, in input order.
    pub spent: Vec<Output>,
    /// The locks to open: one per distinct owner.
    pub locks: BTreeMap<Owner, Lock>,
    /// What it pays.
    pub fee: Amount,
    /// What comes back, where anything does; the last output then.
    pub change: Option<Amount>,
}

impl Unsigned {
    /// Bytes the signed form will have.
    #[must_use]
    pub fn signed_size(&self) -> usize {
        bare_size(&self.transaction, self.spent.clone())
            + self.locks.values().map(witness_size).sum::<usize>()
    }
}

/// Bytes of the signed form without witnesses.
fn bare_size(transaction: &Transaction, spent: Vec<Output>) -> usize {
    let bare = SignedTransaction { transaction: transaction.clone(), spent, witnesses: Vec::new() };
    encode(&bare).len()
}

/// Collects what a transaction does, then funds it.
#[derive(Clone, Debug)]
pub struct TransactionBuilder {
    chain: ChainId,
    limits: TransactionLimits,
    fee_per_kb: u64,
    fee: Option<Amount>,
    transaction: Transaction,
    /// The lock of the masternode acted on, whose witness is called for whoever pays.
    acting: Option<Lock>,
    consent: Option<(Owner, OperatorConsent)>,
}

impl TransactionBuilder {
    /// A transaction under these limits, at the least fee.
    #[must_use]
    pub fn new(chain: ChainId, limits: TransactionLimits, expires_at: Time) -> Self {
        let transaction = Transaction {
            version: TRANSACTION_VERSION,
            inputs: Vec::new(),
            outputs: Vec::new(),
            action: Action::Transfer,
            expires_at,
            memo: Vec::new(),
        };
        let fee_per_kb = limits.fee_per_kb_min;
        Self { chain, limits, fee_per_kb, fee: None, transaction, acting: None, consent: None }
    }

    /// Pays someone.
    #[must_use]
    pub fn pay(mut self, owner: Owner, amount: Amount) -> Self {
        self.transaction.outputs.push(Output { amount, owner });
        self
    }

    /// Adds free bytes.
    #[must_use]
    pub fn memo(mut self, memo: impl Into<Vec<u8>>) -> Self {
        self.transaction.memo = memo.into();
        self
    }

    /// Pays more than the least fee: grains per 1,000 bytes.
    #[must_use]
    pub fn fee_per_kb(mut self, fee_per_kb: u64) -> Self {
        self.fee_per_kb = fee_per_kb;
        self
    }

    /// Pays exactly this, whatever the size; more only where the rest would be too small to be a coin.
    #[must_use]
    pub fn fee(mut self, fee: Amount) -> Self {
        self.fee = Some(fee);
        self
    }

    /// Locks collateral and registers a masternode. The collateral is output 0, before anyone paid.
    #[must_use]
    pub fn register_masternode(mut self, registration: &Registration) -> Self {
        let Registration { tier, class, owner, payout, consent } = *registration;
        self.transaction.outputs.insert(0, Output { amount: tier.collateral(), owner });
        let OperatorConsent { operator, proof: operator_proof } = consent;
        self.transaction.action =
            Action::RegisterMasternode { tier, class, operator, operator_proof, payout };
        self.consent = Some((owner, consent));
        self
    }

    /// Retires a masternode whose owner has this lock.
    #[must_use]
    pub fn retire_masternode(mut self, masternode: MasternodeId, owner: Lock) -> Self {
        self.transaction.action = Action::RetireMasternode { masternode };
        self.acting = Some(owner);
        self
    }

    /// Gives a masternode, whose owner has this lock, a new operator key for the one it has.
    #[must_use]
    pub fn rotate_operator(
        mut self,
        masternode: MasternodeId,
        replaces: PublicKey,
        owner: Lock,
        consent: OperatorConsent,
    ) -> Self {
        let OperatorConsent { operator, proof: operator_proof } = consent;
        self.transaction.action = Action::RotateOperator { masternode, replaces, operator, operator_proof };
        self.consent = Some((owner.owner(), consent));
        self.acting = Some(owner);
        self
    }

    /// Chooses coins that pay for it; what is left over goes to `change`.
    pub fn fund(mut self, coins: &[Spendable], change: Owner) -> Result<Unsigned, BuildError> {
        if self.transaction.outputs.is_empty() && self.acting.is_none() {
            return Err(BuildError::NothingToDo);
        }
        self.check(coins)?;
        let selection = select(coins, &self.demand()?)?;
        self.outputs_with(&selection, change);
        self.finish(selection)
    }

    /// Sends `to` all that is left of the coins after fee and other outputs: as many coins as one transaction
    /// holds, largest first. That output is the last, and is reported as `change`.
    pub fn fund_with_all(mut self, coins: &[Spendable], to: Owner) -> Result<Unsigned, BuildError> {
        self.check(coins)?;
        let selection = select_maximum(coins, &self.demand()?)?;
        self.outputs_with(&selection, to);
        self.finish(selection)
    }

    fn check(&self, coins: &[Spendable]) -> Result<(), BuildError> {
        let TransactionLimits { output_min, fee_per_kb_min, .. } = self.limits;
        let Transaction { outputs, memo, .. } = &self.transaction;
        if let Some((index, Output { amount, .. })) =
            outputs.iter().enumerate().find(|(_, output)| output.amount < output_min)
        {
            return Err(BuildError::OutputTooSmall { index, amount: *amount, output_min });
        }
        if memo.len() > MEMO_SIZE_MAX {
            return Err(BuildError::MemoTooLong { size: memo.len() });
        }
        if self.fee_per_kb < fee_per_kb_min {
            return Err(BuildError::FeeRateTooLow { fee_per_kb: self.fee_per_kb, fee_per_kb_min });
        }
        if let Some((owner, consent)) = &self.consent {
            consent.check(&self.chain, owner)?;
        }
        let mut locks: BTreeMap<Owner, &Lock> = BTreeMap::new();
        for coin in coins {
            // Hash each lock once, however many coins it opens.
            if locks.get(&coin.output.owner) != Some(&&coin.lock) {
                coin.lock.check()?;
                if coin.lock.owner() != coin.output.owner {
                    return Err(BuildError::LockMismatch(coin.outpoint));
                }
                locks.insert(coin.output.owner, &coin.lock);
            }
        }
        self.acting.iter().try_for_each(Lock::check).map_err(BuildError::Lock)
    }

    fn demand(&self) -> Result<Demand, BuildError> {
        let outputs = self.transaction.outputs.iter().map(|output| output.amount);
        Ok(Demand {
            outputs: Amount::checked_sum(outputs).ok_or(BuildError::Overflow)?,
            base_size: bare_size(&self.transaction, Vec::new())
                + self.acting.as_ref().map_or(0, witness_size),
            witnessed: self.acting.as_ref().map(Lock::owner),
            change_required: self.transaction.outputs.is_empty(),
            fee_per_kb: self.fee_per_kb,
            fee_min: self.fee.unwrap_or_default(),
            output_min: self.limits.output_min,
            size_max: self.limits.size_max,
        })
    }

    fn outputs_with(&mut self, selection: &Selection, change: Owner) {
        let output = |amount| Output { amount, owner: change };
        self.transaction.outputs.extend(selection.change.map(output));
    }

    fn finish(self, selection: Selection) -> Result<Unsigned, BuildError> {
        let Self { chain, mut transaction, acting, limits, fee: asked, .. } = self;
        let Selection { coins, fee, change, .. } = selection;
        transaction.inputs = coins.iter().map(|coin| coin.outpoint).collect();
        let spent = coins.iter().map(|coin| coin.output).collect();
        let mut locks = map_of(coins.into_iter().map(|coin| (coin.output.owner, coin.lock)));
        locks.extend(acting.map(|lock| (lock.owner(), lock)));
        let unsigned = Unsigned { chain, transaction, spent, locks, fee, change };
        let least = fee_min(unsigned.signed_size(), limits.fee_per_kb_min);
        match asked.filter(|asked| *asked < least) {
            Some(asked) => Err(BuildError::FeeTooLow { asked, least }),
            None => Ok(unsigned),
        }
    }
}

#[cfg(test)]
mod tests;
