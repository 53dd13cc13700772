//! Why a block is not valid on its parent.

use crate::certificate::CertificateError;
use crate::evidence::EvidenceError;
use crate::hash::{MasternodeId, TxId};
use crate::keys::PublicKey;
use crate::time::Time;
use crate::transaction::{OutPoint, TransactionError};
use crate::vote::{Height, ViewNumber};

use super::actions::EvidenceFault;
use super::tree::TreeError;

/// Why a draft or a block is not valid on its parent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Header time too early after the parent's.
    #[error("header time {time} is before {earliest}")]
    TooEarly {
        /// The header's time.
        time: Time,
        /// The least allowed.
        earliest: Time,
    },
    /// The proposer is not the one whose turn it is.
    #[error("the proposer is not the one of view {view}")]
    Proposer {
        /// The view of the first proposal.
        view: ViewNumber,
    },
    /// The certificate is missing, or not the parent's commit certificate.
    #[error("the parent's commit certificate is missing or is another block's")]
    ParentCertificate,
    /// A certificate's signatures or weight are wrong.
    #[error("parent certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// A piece of evidence proves nothing.
    #[error("evidence: {0}")]
    Evidence(#[from] EvidenceError),
    /// A piece of evidence does not belong in this block.
    #[error("evidence: {0}")]
    EvidenceFault(#[from] EvidenceFault),
    /// No set of that height is at hand.
    #[error("no validator set for evidence of height {0}")]
    EvidenceSet(Height),
    /// The transactions are larger than a block may be.
    #[error("{size} bytes of transactions; at most {size_max} are allowed")]
    Size {
        /// Bytes of the signed transactions.
        size: usize,
        /// The limit.
        size_max: usize,
    },
    /// A transaction is invalid whatever the state.
    #[error("transaction {index}: {error}")]
    Transaction {
        /// Position in the body.
        index: usize,
        /// What is wrong.
        error: TransactionError,
    },
    /// A transaction keeps the limits of earlier rules, not those of this height.
    #[error(transparent)]
    Limits(#[from] TransactionError),
    /// A transaction cannot happen in this state.
    #[error("transaction {txid}: {error}")]
    Refused {
        /// Which transaction.
        txid: TxId,
        /// Why.
        error: Box<BlockError>,
    },
    /// A transaction is past its expiry, or sets it too far ahead.
    #[error("transaction {txid} expires at {expires_at}, outside what time {time} allows")]
    Expiry {
        /// Which transaction.
        txid: TxId,
        /// Its expiry.
        expires_at: Time,
        /// The header's time.
        time: Time,
    },
    /// The same coin is spent twice in the block, or was never made.
    #[error("coin {0} is not there to spend")]
    CoinSpent(OutPoint),
    /// The coin is not what the transaction claims.
    #[error("coin {0} is not as claimed")]
    CoinMismatch(OutPoint),
    /// The coin is not in the state.
    #[error(transparent)]
    Coin(#[from] TreeError),
    /// The coin is a masternode's locked collateral.
    #[error("collateral of masternode {masternode} is locked")]
    CollateralLocked {
        /// Whose.
        masternode: MasternodeId,
        /// When it unlocks, where it is retired or ejected.
        unlock_at: Option<Time>,
    },
    /// A reward where none is due, or another than is due.
    #[error("the reward transaction is not the one that is due")]
    UnexpectedReward,
    /// No such masternode.
    #[error("masternode {0} is not registered")]
    UnknownMasternode(MasternodeId),
    /// Retired or ejected already.
    #[error("masternode {0} is not active")]
    MasternodeInactive(MasternodeId),
    /// The owner did not sign.
    #[error("the owner of masternode {0} did not sign")]
    NotTheOwner(MasternodeId),
    /// A witness of somebody with no part in it.
    #[error("a witness is not called for")]
    WitnessUnused,
    /// The new operator key did not agree to serve this owner.
    #[error("the operator key's proof is not for this owner")]
    OperatorProof,
    /// The operator key already serves a masternode.
    #[error("the operator key already serves masternode {masternode}")]
    OperatorInUse {
        /// Which.
        masternode: MasternodeId,
    },
    /// The key to be replaced is not the masternode's.
    #[error("the masternode's operator key is {operator}, not the one to be replaced")]
    OperatorReplaced {
        /// Its operator key.
        operator: PublicKey,
    },
    /// No room in the registry.
    #[error("the masternode registry is full")]
    RegistryFull,
    /// Sums reach the supply limit.
    #[error("more money than can exist")]
    Overflow,
    /// A header field differs from the one that follows from the parent and the body.
    #[error("header field {field} does not follow from the block")]
    Header {
        /// Which field.
        field: &'static str,
    },
}
