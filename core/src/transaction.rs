//! Transactions: coins spent, coins made, and what else they do to the chain.
//!
//! The id excludes witnesses; the sighash binds the chain, the id and the coins spent. A signed transaction
//! carries the coins it claims to spend, so signatures, sums and fees are checked without any state and the
//! rules only compare the claim with the coin (`docs/adr/003-spent-coins-on-the-wire.md`).

mod coin;
mod encoded;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::codec::{Wire, encode};
use crate::hash::{ChainId, Hash, MasternodeId, Owner, Tag, TxId};
use crate::keys::{KeyError, PublicKey, SecretKey, Signature, SignedBytes, invalid_signatures};
use crate::lock::{LockError, Witness};
use crate::time::Time;
pub use coin::{OutPoint, Output};
use encoded::Encoded;

/// The transaction format of this software.
pub const TRANSACTION_VERSION: u16 = 1;
/// Least bytes of a signed transaction: one input and output, one witness of one key, no memo.
pub const SIGNED_SIZE_MIN: usize = 279;
/// Most bytes in a memo.
pub const MEMO_SIZE_MAX: usize = 80;

/// Collateral class of a masternode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tier {
    /// 1,000 TIME, weight 1.
    Bronze,
    /// 10,000 TIME, weight 10.
    Silver,
    /// 100,000 TIME, weight 100.
    Gold,
}

impl Tier {
    /// All of them.
    pub const HEAVIEST_FIRST: [Self; 3] = [Self::Gold, Self::Silver, Self::Bronze];

    /// The exact collateral.
    #[must_use]
    pub const fn collateral(self) -> Amount {
        Amount::from_time(1000 * self.weight())
    }

    /// Voting weight before the class cap.
    #[must_use]
    pub const fn weight(self) -> u64 {
        match self {
            Self::Bronze => 1,
            Self::Silver => 10,
            Self::Gold => 100,
        }
    }
}

/// Where a masternode runs. The browser class holds at most a quarter of the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// A native node.
    Server,
    /// A tab.
    Browser,
}

/// What a transaction does besides moving coins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Nothing else.
    Transfer,
    /// Output 0 becomes the locked collateral of a new masternode, owned by that output's owner.
    RegisterMasternode {
        /// Fixes the exact amount of output 0.
        tier: Tier,
        /// Where it will run.
        class: Class,
        /// The hot key that votes.
        operator: PublicKey,
        /// The operator key's signature over [`operator_statement`]: nobody registers a stranger's key.
        operator_proof: Signature,
        /// Who receives rewards.
        payout: Owner,
    },
    /// Stops a masternode; witnessed by its owner. The collateral unlocks after the unbonding period.
    RetireMasternode {
        /// Which.
        masternode: MasternodeId,
    },
    /// Replaces the operator key from the next epoch on; witnessed by the owner.
    RotateOperator {
        /// Which.
        masternode: MasternodeId,
        /// The key it must have until then: of two rotations under way the later one signed never loses to the earlier.
        replaces: PublicKey,
        /// The new hot key.
        operator: PublicKey,
        /// As in registration.
        operator_proof: Signature,
    },
    /// Pays the epoch's rewards: no inputs, no witnesses, made by the rules in the last block of an epoch
    /// (and, at height 0, the genesis allocation). Never accepted from anyone.
    Reward {
        /// Height of the block it is in, which makes its id unique.
        height: u64,
    },
}

/// The bytes an operator key signs to agree to serve `owner` on this chain.
#[must_use]
pub fn operator_statement(chain: &ChainId, owner: &Owner, operator: &PublicKey) -> Vec<u8> {
    [&b"timecoin operator proof\0"[..], chain.as_bytes(), owner.as_bytes(), &operator.0].concat()
}

/// A transaction without its witnesses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// [`TRANSACTION_VERSION`].
    pub version: u16,
    /// Coins spent, without repetition.
    pub inputs: Vec<OutPoint>,
    /// Coins made.
    pub outputs: Vec<Output>,
    /// What else it does.
    pub action: Action,
    /// Not valid in a block whose header time is later.
    pub expires_at: Time,
    /// Free bytes, at most [`MEMO_SIZE_MAX`].
    pub memo: Vec<u8>,
}

impl Transaction {
    const TXID: Tag = Tag::new("timecoin transaction");
    const SIGHASH: Tag = Tag::new("timecoin sighash");

    /// The id: hash of the canonical bytes.
    #[must_use]
    pub fn id(&self) -> TxId {
        Self::id_of(&encode(self))
    }

    fn id_of(encoded: &[u8]) -> TxId {
        TxId(Self::TXID.hash(&[encoded]))
    }

    /// What every witness signs, given the coins spent in input order.
    #[must_use]
    pub fn sighash(&self, chain: &ChainId, spent: &[Output]) -> Hash {
        Self::sighash_of(&self.id(), chain, &encode(&spent))
    }

    fn sighash_of(id: &TxId, chain: &ChainId, spent: &[u8]) -> Hash {
        Self::SIGHASH.hash(&[chain.as_bytes(), id.as_bytes(), spent])
    }
}

/// A transaction with the coins it claims to spend and one witness per distinct owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTransaction {
    /// The transaction.
    pub transaction: Transaction,
    /// The coins spent, in input order.
    pub spent: Vec<Output>,
    /// Strictly ascending by owner: exactly the owners of the coins spent and of the masternode acted on.
    pub witnesses: Vec<Witness>,
}

impl Wire for SignedTransaction {
    const SIZE_MAX: usize = 128 << 10;
}

impl SignedTransaction {
    const WITNESSES: Tag = Tag::new("timecoin witnesses");

    /// The 64 bytes committed by a header's transactions root: the id, then the hash of everything else.
    #[must_use]
    pub fn commitment(&self) -> [u8; 64] {
        let encoded = Encoded::of(self);
        Self::commitment_of(&Transaction::id_of(encoded.transaction()), encoded.rest())
    }

    fn commitment_of(id: &TxId, rest: &[u8]) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(id.as_bytes());
        bytes[32..].copy_from_slice(&Self::WITNESSES.hash(&[rest]).0);
        bytes
    }
}

/// Limits of form that every transaction must keep, from the chain spec.
#[derive(Clone, Copy, Debug)]
pub struct TransactionLimits {
    /// Most bytes of the signed form.
    pub size_max: usize,
    /// Least amount of an output.
    pub output_min: Amount,
    /// Least fee in grains per 1,000 bytes of the signed form.
    pub fee_per_kb_min: u64,
}

/// Why a transaction is invalid whatever the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// A format of another version of the software.
    #[error("unknown transaction version {0}")]
    Version(u16),
    /// Larger than the limit.
    #[error("{size} bytes; at most {size_max} are allowed")]
    Size {
        /// Bytes of the signed form.
        size: usize,
        /// The limit.
        size_max: usize,
    },
    /// Spends nothing.
    #[error("a transaction spends at least one coin")]
    NoInputs,
    /// Makes nothing.
    #[error("a transaction makes at least one coin")]
    NoOutputs,
    /// The same coin twice.
    #[error("the coin {0} is spent twice")]
    DuplicateInput(OutPoint),
    /// The claimed coins do not match the inputs in number.
    #[error("{spent} spent coins for {inputs} inputs")]
    SpentCount {
        /// Coins claimed.
        spent: usize,
        /// Inputs named.
        inputs: usize,
    },
    /// An output below the minimum.
    #[error("output {index} is below the minimum of {output_min} TIME")]
    OutputTooSmall {
        /// Which output.
        index: usize,
        /// The minimum.
        output_min: Amount,
    },
    /// A sum reaches the supply limit.
    #[error("more money than can exist")]
    Overflow,
    /// Outputs exceed inputs.
    #[error("spends {spent} TIME but makes {made} TIME")]
    ValueCreated {
        /// Sum of the coins spent.
        spent: Amount,
        /// Sum of the coins made.
        made: Amount,
    },
    /// The fee is below the minimum for its size.
    #[error("the fee of {fee} TIME is below the minimum of {fee_min} TIME for {size} bytes")]
    FeeTooLow {
        /// Fee offered.
        fee: Amount,
        /// Fee required.
        fee_min: Amount,
        /// Bytes of the signed form.
        size: usize,
    },
    /// The memo is too long.
    #[error("a memo of {0} bytes; at most {MEMO_SIZE_MAX} are allowed")]
    MemoSize(usize),
    /// The collateral output does not have the tier's exact amount.
    #[error("output 0 must be the exact collateral of {0} TIME")]
    Collateral(Amount),
    /// The operator key may not enter the state.
    #[error("operator key: {0}")]
    OperatorKey(KeyError),
    /// The operator key did not agree.
    #[error("the operator key's proof is not its signature")]
    OperatorProof,
    /// Rewards are made by the rules only.
    #[error("a reward transaction cannot be submitted")]
    Reward,
    /// A witness is not in canonical form.
    #[error("witness {index}: {error}")]
    Witness {
        /// Which witness.
        index: usize,
        /// What is wrong.
        error: LockError,
    },
    /// Witnesses are not strictly ascending by owner.
    #[error("witnesses must be strictly ascending by owner")]
    WitnessOrder,
    /// An owner of a spent coin did not sign.
    #[error("no witness for owner {0}")]
    WitnessMissing(Owner),
    /// A witness that nothing calls for.
    #[error("witness of {0} is not called for")]
    WitnessUnused(Owner),
    /// A signature is not valid.
    #[error("invalid signature by {0}")]
    Signature(PublicKey),
}

/// A transaction whose form, sums, fee and signatures have been checked. What remains is the state:
/// that its coins exist as claimed, that it has not expired, and what its action needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedTransaction {
    signed: SignedTransaction,
    txid: TxId,
    commitment: [u8; 64],
    size: usize,
    fee: Amount,
    extra_witness: Option<Owner>,
}

impl VerifiedTransaction {
    /// Checks everything that needs no state.
    pub fn verify(
        signed: SignedTransaction,
        chain: &ChainId,
        limits: &TransactionLimits,
    ) -> Result<Self, TransactionError> {
        let (verified, signatures) = Self::check_form(signed, chain, limits)?;
        match invalid_signatures(&signatures).first() {
            Some(at) => Err(TransactionError::Signature(signatures[*at].key)),
            None => Ok(verified),
        }
    }

    /// Checks many at once: all their signatures form one batch.
    pub fn verify_all(
        signed: Vec<SignedTransaction>,
        chain: &ChainId,
        limits: &TransactionLimits,
    ) -> Result<Vec<Self>, (usize, TransactionError)> {
        let mut all = Vec::with_capacity(signed.len());
        let (mut signatures, mut origin) = (Vec::new(), Vec::new());
        for (index, signed) in signed.into_iter().enumerate() {
            let (verified, signed_bytes) =
                Self::check_form(signed, chain, limits).map_err(|error| (index, error))?;
            origin.extend(signed_bytes.iter().map(|_| index));
            signatures.extend(signed_bytes);
            all.push(verified);
        }
        match invalid_signatures(&signatures).first() {
            Some(at) => Err((origin[*at], TransactionError::Signature(signatures[*at].key))),
            None => Ok(all),
        }
    }

    /// Everything but the signatures, which are returned for checking in a batch of the caller's.
    fn check_form(
        signed: SignedTransaction,
        chain: &ChainId,
        limits: &TransactionLimits,
    ) -> Result<(Self, Vec<SignedBytes>), TransactionError> {
        let transaction = &signed.transaction;
        if transaction.version != TRANSACTION_VERSION {
            return Err(TransactionError::Version(transaction.version));
        }
        let encoded = Encoded::of(&signed);
        let size = encoded.size();
        check_lists(&signed)?;
        let fee = fee(&signed)?;
        check_limits(transaction, size, fee, limits)?;
        let mut signatures = check_action(&signed, chain)?;
        let txid = Transaction::id_of(encoded.transaction());
        let sighash = Transaction::sighash_of(&txid, chain, encoded.spent());
        let (witnessed, extra_witness) = check_witnesses(&signed, &sighash)?;
        signatures.extend(witnessed);
        let commitment = SignedTransaction::commitment_of(&txid, encoded.rest());
        Ok((Self { signed, txid, commitment, size, fee, extra_witness }, signatures))
    }

    /// Checks the limits again, which may be others than those it was verified under.
    pub fn check_limits(&self, limits: &TransactionLimits) -> Result<(), TransactionError> {
        check_limits(self.transaction(), self.size, self.fee, limits)
    }

    /// The signed form.
    #[must_use]
    pub fn signed(&self) -> &SignedTransaction {
        &self.signed
    }

    /// The transaction itself.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.signed.transaction
    }

    /// Its id.
    #[must_use]
    pub fn txid(&self) -> TxId {
        self.txid
    }

    /// What a header's transactions root commits to: see [`SignedTransaction::commitment`].
    #[must_use]
    pub fn commitment(&self) -> &[u8; 64] {
        &self.commitment
    }

    /// Bytes of the signed form.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// What it pays.
    #[must_use]
    pub fn fee(&self) -> Amount {
        self.fee
    }

    /// Inputs with the coins they claim to spend.
    pub fn spends(&self) -> impl Iterator<Item = (&OutPoint, &Output)> {
        self.signed.transaction.inputs.iter().zip(&self.signed.spent)
    }

    /// Coins it makes, with their names.
    pub fn makes(&self) -> impl Iterator<Item = (OutPoint, &Output)> {
        let txid = self.txid;
        (0..)
            .zip(&self.signed.transaction.outputs)
            .map(move |(index, output)| (OutPoint { txid, index }, output))
    }

    /// Whether `owner` signed.
    #[must_use]
    pub fn is_witnessed_by(&self, owner: &Owner) -> bool {
        self.extra_witness == Some(*owner) || self.signed.spent.iter().any(|spent| spent.owner == *owner)
    }

    /// The one witness that belongs to no spent coin, where there is one.
    #[must_use]
    pub fn extra_witness(&self) -> Option<Owner> {
        self.extra_witness
    }
}

fn check_lists(signed: &SignedTransaction) -> Result<(), TransactionError> {
    let Transaction { inputs, outputs, memo, .. } = &signed.transaction;
    if inputs.is_empty() {
        return Err(TransactionError::NoInputs);
    }
    if outputs.is_empty() {
        return Err(TransactionError::NoOutputs);
    }
    if memo.len() > MEMO_SIZE_MAX {
        return Err(TransactionError::MemoSize(memo.len()));
    }
    if signed.spent.len() != inputs.len() {
        return Err(TransactionError::SpentCount { spent: signed.spent.len(), inputs: inputs.len() });
    }
    let mut seen = BTreeSet::new();
    if let Some(repeated) = inputs.iter().find(|input| !seen.insert(**input)) {
        return Err(TransactionError::DuplicateInput(*repeated));
    }
    Ok(())
}

/// What the coins spent hold beyond the coins made.
fn fee(signed: &SignedTransaction) -> Result<Amount, TransactionError> {
    let sum = |outputs: &[Output]| {
        Amount::checked_sum(outputs.iter().map(|output| output.amount)).ok_or(TransactionError::Overflow)
    };
    let (spent, made) = (sum(&signed.spent)?, sum(&signed.transaction.outputs)?);
    spent.checked_sub(made).ok_or(TransactionError::ValueCreated { spent, made })
}

fn check_limits(
    transaction: &Transaction,
    size: usize,
    fee: Amount,
    limits: &TransactionLimits,
) -> Result<(), TransactionError> {
    let TransactionLimits { size_max, output_min, fee_per_kb_min } = *limits;
    if size > size_max {
        return Err(TransactionError::Size { size, size_max });
    }
    if let Some(index) = transaction.outputs.iter().position(|output| output.amount < output_min) {
        return Err(TransactionError::OutputTooSmall { index, output_min });
    }
    let fee_min = fee_min(size, fee_per_kb_min);
    if fee < fee_min { Err(TransactionError::FeeTooLow { fee, fee_min, size }) } else { Ok(()) }
}

/// The least fee of a signed transaction of `size` bytes at `fee_per_kb` grains per 1,000 bytes, rounded up.
#[must_use]
pub fn fee_min(size: usize, fee_per_kb: u64) -> Amount {
    Amount((size as u64).saturating_mul(fee_per_kb).div_ceil(1000))
}

fn check_action(signed: &SignedTransaction, chain: &ChainId) -> Result<Vec<SignedBytes>, TransactionError> {
    let transaction = &signed.transaction;
    match &transaction.action {
        Action::Transfer | Action::RetireMasternode { .. } => Ok(Vec::new()),
        Action::RegisterMasternode { tier, operator, operator_proof, .. } => {
            let collateral = transaction.outputs.first().ok_or(TransactionError::NoOutputs)?;
            if collateral.amount != tier.collateral() {
                return Err(TransactionError::Collateral(tier.collateral()));
            }
            operator.check().map_err(TransactionError::OperatorKey)?;
            let message = operator_statement(chain, &collateral.owner, operator);
            Ok(vec![SignedBytes { key: *operator, message, signature: *operator_proof }])
        }
        // The proof of a rotation names the masternode's owner, who must be a witness: the rules check which.
        Action::RotateOperator { operator, operator_proof, .. } => {
            operator.check().map_err(TransactionError::OperatorKey)?;
            let agrees = signed.witnesses.iter().any(|witness| {
                let message = operator_statement(chain, &witness.lock.owner(), operator);
                crate::keys::verify(operator, &message, operator_proof)
            });
            if agrees { Ok(Vec::new()) } else { Err(TransactionError::OperatorProof) }
        }
        Action::Reward { .. } => Err(TransactionError::Reward),
    }
}

/// Witnesses must be exactly the owners of the spent coins, and at most one more where the action needs it.
fn check_witnesses(
    signed: &SignedTransaction,
    sighash: &Hash,
) -> Result<(Vec<SignedBytes>, Option<Owner>), TransactionError> {
    let mut missing: BTreeSet<Owner> = signed.spent.iter().map(|spent| spent.owner).collect();
    let (mut signatures, mut extra, mut last) = (Vec::new(), None, None);
    for (index, witness) in signed.witnesses.iter().enumerate() {
        let signers = witness.signers().map_err(|error| TransactionError::Witness { index, error })?;
        let owner = witness.lock.owner();
        if last.replace(owner).is_some_and(|last| last >= owner) {
            return Err(TransactionError::WitnessOrder);
        }
        if !missing.remove(&owner)
            && (!acts_on_masternode(&signed.transaction) || extra.replace(owner).is_some())
        {
            return Err(TransactionError::WitnessUnused(owner));
        }
        let message = || sighash.0.to_vec();
        signatures.extend(signers.into_iter().map(|(key, signature)| SignedBytes {
            key,
            message: message(),
            signature,
        }));
    }
    match missing.first() {
        Some(owner) => Err(TransactionError::WitnessMissing(*owner)),
        None => Ok((signatures, extra)),
    }
}

fn acts_on_masternode(transaction: &Transaction) -> bool {
    matches!(transaction.action, Action::RetireMasternode { .. } | Action::RotateOperator { .. })
}

/// Signs a transaction whose every owner is a single key: one witness per distinct key.
#[must_use]
pub fn sign(
    transaction: Transaction,
    spent: Vec<Output>,
    chain: &ChainId,
    keys: &[SecretKey],
) -> SignedTransaction {
    use crate::lock::{KeySignature, Lock};
    let sighash = transaction.sighash(chain, &spent);
    let witness = |key: &SecretKey| {
        let signatures = vec![KeySignature { key: 0, signature: key.sign(&sighash.0) }];
        Witness { lock: Lock::Key(key.public_key()), signatures }
    };
    let mut witnesses: Vec<Witness> = keys.iter().map(witness).collect();
    witnesses.sort_by_key(|witness| witness.lock.owner());
    witnesses.dedup_by_key(|witness| witness.lock.owner());
    SignedTransaction { transaction, spent, witnesses }
}
