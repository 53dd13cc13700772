//! Checking a receipt, with nothing but trusted anchors and a clock.

use super::{Commitment, PastBlock, Payment, RECEIPT_VERSION, Receipt, STEPS_MAX, Step};
use crate::block::Header;
use crate::hash::{BlockId, Hash, TxId};
use crate::light::{self, Anchor, AnchorError, LightBlock, LightError, Options, Trusted, Verdict};
use crate::merkle::{Blake, InclusionProof, LogHash, ProofError};
use crate::spec::Checkpoint;
use crate::time::Time;
use crate::transaction::Output;
use crate::validators::ValidatorSet;
use crate::vote::Height;

/// Longest path in a transactions log: more transactions fit no block.
const PATH_LENGTH_MAX: usize = 32;

/// What a valid receipt proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// The transaction.
    pub txid: TxId,
    /// What it paid to whom.
    pub outputs: Vec<Output>,
    /// Its memo.
    pub memo: Vec<u8>,
    /// Height of its block.
    pub height: Height,
    /// Id of its block.
    pub block: BlockId,
    /// Time of its block.
    pub time: Time,
    /// Height of the final header it was proved under.
    pub final_height: Height,
    /// Weight that signed that header; `None` where it is the anchor itself.
    pub signed: Option<SignedWeight>,
    /// What was trusted to begin with.
    pub anchor: Checkpoint,
    /// How old that was at the time of checking.
    pub anchor_age_ms: u64,
}

/// The weight behind a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedWeight {
    /// Weight that signed.
    pub weight: u64,
    /// Weight of the set.
    pub total: u64,
}

/// Why a receipt proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// A format of another version of the software.
    #[error("unknown receipt version {0}")]
    Version(u16),
    /// More steps than any receipt needs.
    #[error("{0} steps; at most {STEPS_MAX} are allowed")]
    TooManySteps(usize),
    /// The anchor is none of those trusted here.
    #[error(
        "the receipt starts at block {height}, which is not one trusted here: get a checkpoint of that block"
    )]
    UnknownAnchor {
        /// Height of the receipt's anchor.
        height: Height,
    },
    /// The anchor cannot be used.
    #[error("{0}")]
    Anchor(#[from] AnchorError),
    /// The header is said to be the anchor's, and is not.
    #[error("the header is not the anchor's")]
    AnchorHeader,
    /// A set is spelt out that is already known.
    #[error("block {0} repeats a validator set")]
    RepeatedSet(Height),
    /// A certified header cannot be trusted.
    #[error("block {height}: {error}")]
    Block {
        /// Which.
        height: Height,
        /// Why.
        error: LightError,
    },
    /// Too little of the weight trusted before signed a header.
    #[error("block {height}: {weight} of {total} trusted weight signed, which is not enough")]
    NotEnoughTrust {
        /// Which.
        height: Height,
        /// Trusted weight that signed.
        weight: u64,
        /// All trusted weight.
        total: u64,
    },
    /// The payment's block is at another place of the history than it claims.
    #[error("the payment's block is at another place of the history")]
    HistoryPosition,
    /// The payment's block is not in the history.
    #[error("the payment's block is not in the history: {0}")]
    History(ProofError),
    /// The transaction is not in its block.
    #[error("the transaction is not in the block: {0}")]
    Transaction(ProofError),
}

impl Receipt {
    /// Checks everything. `anchors` are the points the host trusts: its chain spec's checkpoints and genesis.
    pub fn verify(
        &self,
        anchors: &[Checkpoint],
        options: &Options,
        now: Time,
    ) -> Result<Proved, ReceiptError> {
        if self.version != RECEIPT_VERSION {
            return Err(ReceiptError::Version(self.version));
        }
        if !anchors.contains(&self.anchor) {
            return Err(ReceiptError::UnknownAnchor { height: self.anchor.height });
        }
        let anchor = Anchor::from_checkpoint(self.anchor, options, now)?;
        let signed = match &self.commit {
            Some(commit) => Some(commit.verify(anchor, &self.header, options, now)?),
            None if Checkpoint::of(&self.header) == self.anchor => None,
            None => return Err(ReceiptError::AnchorHeader),
        };
        let block = match &self.past {
            Some(past) => past.verify(&self.header)?,
            None => &self.header,
        };
        let txid = self.payment.verify(block)?;
        Ok(Proved {
            txid,
            outputs: self.payment.transaction.outputs.clone(),
            memo: self.payment.transaction.memo.clone(),
            height: block.height,
            block: block.id(),
            time: block.time,
            final_height: self.header.height,
            signed,
            anchor: self.anchor,
            anchor_age_ms: now.since(self.anchor.time),
        })
    }
}

impl Commitment {
    fn verify(
        &self,
        anchor: Anchor,
        header: &Header,
        options: &Options,
        now: Time,
    ) -> Result<SignedWeight, ReceiptError> {
        if self.steps.len() > STEPS_MAX {
            return Err(ReceiptError::TooManySteps(self.steps.len()));
        }
        let mut trusted = anchor.with_validators(self.anchor_validators.clone())?;
        for step in &self.steps {
            trusted = step.verify(&trusted, options, now)?;
        }
        let height = header.height;
        let validators = signers(self.validators.as_ref(), &trusted, height)?;
        let (id, certificate) = (header.id(), &self.certificate);
        let commit = light::Commit { header, id, certificate, validators };
        let verdict = commit
            .check_place(&trusted, options, now)
            .and_then(|()| commit.check(options))
            .and_then(|()| commit.check_link(&trusted, options));
        let total = trusted.next_validators.total();
        match verdict {
            Ok(None) => {
                Ok(SignedWeight { weight: certificate.weight(validators), total: validators.total() })
            }
            Ok(Some(weight)) => Err(ReceiptError::NotEnoughTrust { height, weight, total }),
            Err(error) => Err(ReceiptError::Block { height, error }),
        }
    }
}

impl Step {
    fn verify(&self, trusted: &Trusted, options: &Options, now: Time) -> Result<Trusted, ReceiptError> {
        let height = self.header.height;
        let block = LightBlock {
            header: self.header.clone(),
            certificate: self.certificate.clone(),
            validators: signers(self.validators.as_ref(), trusted, height)?.clone(),
            next_validators: self.next_validators.clone(),
        };
        match light::verify(trusted, &block, options, now) {
            Verdict::Success(trusted) => Ok(trusted),
            Verdict::NotEnoughTrust { weight, total } => {
                Err(ReceiptError::NotEnoughTrust { height, weight, total })
            }
            Verdict::Invalid(error) => Err(ReceiptError::Block { height, error }),
        }
    }
}

/// The set said to have signed: the one trusted to sign, unless another is spelt out.
fn signers<'a>(
    spelt_out: Option<&'a ValidatorSet>,
    trusted: &'a Trusted,
    height: Height,
) -> Result<&'a ValidatorSet, ReceiptError> {
    match spelt_out {
        None => Ok(&trusted.next_validators),
        Some(set) if *set == trusted.next_validators => Err(ReceiptError::RepeatedSet(height)),
        Some(set) => Ok(set),
    }
}

impl PastBlock {
    fn verify(&self, newer: &Header) -> Result<&Header, ReceiptError> {
        if self.proof.index != self.header.height.0 || self.proof.size != newer.height.0 {
            return Err(ReceiptError::HistoryPosition);
        }
        self.proof
            .verify::<Blake>(&newer.history_root, &self.header.history_leaf())
            .map_err(ReceiptError::History)?;
        Ok(&self.header)
    }
}

impl Payment {
    /// Checks that the payment is in the block of this header, and gives its id.
    ///
    /// The root binds the sides of the path, not the position in the log: of all logs with this path, take the
    /// full one, so that each payment has one proof.
    pub fn verify(&self, header: &Header) -> Result<TxId, ReceiptError> {
        let length = self.path.len();
        if length > PATH_LENGTH_MAX {
            let error = ProofError::PathLength { expected: PATH_LENGTH_MAX, found: length };
            return Err(ReceiptError::Transaction(error));
        }
        let txid = self.transaction.id();
        let proof = InclusionProof { index: self.left, size: 1 << length, path: self.path.clone() };
        proof
            .verify::<Blake>(&header.transactions_root, &leaf(&txid, &self.witnesses))
            .map_err(ReceiptError::Transaction)?;
        Ok(txid)
    }
}

fn leaf(txid: &TxId, witnesses: &Hash) -> Hash {
    Blake::leaf(&[txid.0.0, witnesses.0].concat())
}
