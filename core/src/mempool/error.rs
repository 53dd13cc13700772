//! Why a transaction is not taken.

use crate::amount::Amount;
use crate::hash::TxId;
use crate::time::Time;
use crate::transaction::{OutPoint, Output};

/// Why a transaction is not taken. Nothing of it is kept: its coins can be spent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// Already pending.
    #[error("transaction {0} is already pending")]
    Known(TxId),
    /// No later block can contain it.
    #[error("expired at {}; the chain is at {}: make it anew with a later expiry", expires_at.0, tip_time.0)]
    Expired {
        /// Its expiry.
        expires_at: Time,
        /// Time of the newest block.
        tip_time: Time,
    },
    /// Its expiry lies further ahead than the rules allow.
    #[error("expires at {}; at most {} is allowed now", expires_at.0, latest.0)]
    ExpiryTooFar {
        /// Its expiry.
        expires_at: Time,
        /// The latest allowed now.
        latest: Time,
    },
    /// An input that is neither a coin of the chain nor made by a pending transaction: spent, or never made.
    #[error("the coin {0:?} is spent or unknown")]
    CoinUnknown(OutPoint),
    /// An input that is another coin than the transaction says.
    #[error("the coin {outpoint:?} is {} TIME of owner {}", coin.amount, coin.owner)]
    CoinMismatch {
        /// Which input.
        outpoint: OutPoint,
        /// The coin it is.
        coin: Output,
    },
    /// A pending transaction spends one of its coins, and it pays too little to replace that one.
    #[error("transaction {with} spends the same coin; replacing it takes a fee of {fee_min} TIME")]
    Conflict {
        /// The pending transaction.
        with: TxId,
        /// The least fee that would replace every transaction in conflict, at this size.
        fee_min: Amount,
    },
    /// Replacing would remove more than one transaction may.
    #[error("replacing {with} would remove {removed} transactions; at most {removed_max} are allowed")]
    ReplacesTooMany {
        /// The first pending transaction in conflict.
        with: TxId,
        /// How many would go, descendants included.
        removed: usize,
        /// How many may.
        removed_max: usize,
    },
    /// It spends a coin of a transaction that it would replace.
    #[error("spends a coin of {0}, which it would replace")]
    SpendsReplaced(TxId),
    /// Too long a chain of pending transactions.
    #[error("{ancestors} pending ancestors; at most {ancestors_max} are allowed: wait for a block")]
    TooManyAncestors {
        /// Pending transactions it depends on.
        ancestors: usize,
        /// How many may be.
        ancestors_max: usize,
    },
    /// The peer that sent it already fills its share.
    #[error("the sender's transactions would take {bytes} bytes; its share is {bytes_max}")]
    PeerShare {
        /// Bytes with this one.
        bytes: usize,
        /// Bytes allowed.
        bytes_max: usize,
    },
    /// No room, and it pays no more than what is there.
    #[error("the mempool is full; a fee of more than {fee} TIME is needed at this size")]
    Full {
        /// A fee at the rate of the transaction that would have to go: it takes more. The supply limit
        /// where no fee helps.
        fee: Amount,
    },
}
