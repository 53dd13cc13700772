//! Receipts: the finality of one payment as a small blob, checked offline.
//!
//! A chain of proofs from a block the checker trusts to a transaction:
//! *anchor* → commit certificates, where the header is newer than the anchor → *header* → history log, where the
//! payment's block is older than the header → transactions log → *transaction*.
//! So an old payment needs no certificates under a newer checkpoint, and fits a QR code whatever the number of
//! validators.
//!
//! | file | what |
//! |---|---|
//! | `build.rs` | putting a receipt together, by whoever has the chain |
//! | `verify.rs` | checking one, with nothing but trusted anchors and a clock |
//! | `text.rs` | the three forms: binary, JSON, and text for QR codes |
//!
//! Invariants: no byte is free: whatever is changed in a valid receipt makes it invalid. Work and size are
//! bounded before anything is verified. It does not say that the coins are still unspent.

mod build;
mod text;
mod verify;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use text::FormError;
pub use verify::{Proved, ReceiptError, SignedWeight};

use crate::block::Header;
use crate::certificate::Certificate;
use crate::codec::Wire;
use crate::hash::Hash;
use crate::merkle::InclusionProof;
use crate::spec::Checkpoint;
use crate::transaction::Transaction;
use crate::validators::ValidatorSet;

/// The receipt format of this software.
pub const RECEIPT_VERSION: u16 = 1;
/// Most headers between the anchor and the certified header.
pub const STEPS_MAX: usize = 64;

/// Proves that a transaction is final, to whoever trusts the anchor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`RECEIPT_VERSION`].
    pub version: u16,
    /// Where trust starts: must be one the checker trusts already.
    pub anchor: Checkpoint,
    /// How the header is final; `None` where it is the anchor's own block.
    pub commit: Option<Commitment>,
    /// The header that is final.
    pub header: Header,
    /// The payment's block; `None` where it is the header's.
    pub past: Option<PastBlock>,
    /// The payment.
    pub payment: Payment,
}

impl Wire for Receipt {
    const SIZE_MAX: usize = 1 << 20;
}

/// From the anchor to a certified header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commitment {
    /// The set the anchor names.
    pub anchor_validators: ValidatorSet,
    /// Headers in between, where sets changed too much for one step; at most [`STEPS_MAX`].
    pub steps: Vec<Step>,
    /// Commit certificate of the header.
    pub certificate: Certificate,
    /// Who signed it; `None` where it is the set named by the step or anchor before.
    pub validators: Option<ValidatorSet>,
}

/// A certified header on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What is certified.
    pub header: Header,
    /// Commit certificate of this header.
    pub certificate: Certificate,
    /// Who signed it; `None` where it is the set named by the step or anchor before.
    pub validators: Option<ValidatorSet>,
    /// The set that signs the next block; `None` where it is the one that signed this.
    pub next_validators: Option<ValidatorSet>,
}

/// A block below the header, proved by the header's history log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastBlock {
    /// Its header.
    pub header: Header,
    /// Its leaf in the history: the index is its height, the size the height of the newer header.
    pub proof: InclusionProof,
}

/// A transaction in a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// What was paid to whom.
    pub transaction: Transaction,
    /// Hash of the coins spent and the witnesses, with the id the leaf of the transactions log.
    pub witnesses: Hash,
    /// Which hashes of the path stand on the left, lowest bit first.
    pub left: u64,
    /// Sibling subtrees from the transaction up.
    pub path: Vec<Hash>,
}
