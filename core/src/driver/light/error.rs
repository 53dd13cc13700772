//! Why the client has no answer.

use super::source::Lie;
use crate::answer::{Nothing, Refusal};
use crate::hash::ChainId;
use crate::light::{AnchorError, LightError};
use crate::receipt::ReceiptError;
use crate::state::GenesisError;
use crate::vote::Height;

/// Why the client has no answer. `E` is the store's error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError<E> {
    /// Nobody to ask.
    #[error("no peer is connected")]
    NoPeers,
    /// Nobody gave an answer that holds.
    #[error("none of {asked} peers gave an answer that holds ({lied} gave false ones)")]
    Unproved {
        /// How many were asked.
        asked: usize,
        /// How many of them gave false answers.
        lied: usize,
    },
    /// Nobody who was asked knows of it. That proves nothing.
    #[error("nobody who was asked knows of it")]
    NotFound,
    /// The answer is larger than an answer may be.
    #[error("the answer is larger than an answer may be")]
    TooLarge,
    /// More than the head: there is no such block yet.
    #[error("block {height} is not final yet; the newest verified is {head}")]
    Future {
        /// The height asked for.
        height: Height,
        /// The newest verified.
        head: Height,
    },
    /// Nothing named by the chain spec is young enough to be trusted.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// What was trusted is too old, or this clock is wrong.
    #[error(transparent)]
    Trust(LightError),
    /// The chain spec makes no chain.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// Two conflicting blocks are certified: nothing is believed any more.
    #[error("two conflicting blocks of height {0} are certified: nothing on this chain can be trusted now")]
    Fork(Height),
    /// The store is of another chain.
    #[error("the store is of chain {found}, not {expected}")]
    OtherChain {
        /// The chain in use.
        expected: ChainId,
        /// The store's.
        found: ChainId,
    },
    /// A transaction was refused by everybody.
    #[error(transparent)]
    Refused(Refusal),
    /// The payment is not final yet.
    #[error("the payment is not final yet")]
    NotFinal,
    /// The way from the anchor has more steps than a receipt may have.
    #[error("the way from the trusted block is too long for one receipt: use a newer checkpoint")]
    ReceiptTooLong,
    /// A receipt of our own that does not hold.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// Blocks come in faster than they can be followed.
    #[error("blocks come in faster than they can be followed: try again")]
    TooFast,
    /// The store failed.
    #[error("store: {0}")]
    Store(E),
}

impl<E> ClientError<E> {
    /// A stable word.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoPeers => "no_peers",
            Self::Unproved { .. } => "unproved",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::Future { .. } => "not_yet",
            Self::Anchor(AnchorError::CheckpointExpired { .. }) | Self::Trust(LightError::Expired { .. }) => {
                "checkpoint_expired"
            }
            Self::Anchor(AnchorError::FromFuture { .. }) | Self::Trust(LightError::FromFuture { .. }) => {
                "clock"
            }
            Self::Anchor(_) | Self::Trust(_) => "untrusted",
            Self::Genesis(_) => "chain_spec",
            Self::Fork(_) => "fork",
            Self::OtherChain { .. } => "other_chain",
            Self::Refused(_) => "refused",
            Self::NotFinal => "not_final",
            Self::ReceiptTooLong | Self::Receipt(_) => "receipt",
            Self::TooFast => "too_fast",
            Self::Store(_) => "store",
        }
    }

    /// Whether trying again may help.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::NoPeers
                | Self::Unproved { .. }
                | Self::NotFound
                | Self::Future { .. }
                | Self::NotFinal
                | Self::TooFast
        )
    }
}

/// Why one peer's reply is not the answer.
pub(super) enum Fault<E> {
    /// It is to blame.
    Lie(Lie, Option<Height>, String),
    /// It is to blame, and that was said already.
    Reported,
    /// It has none.
    Nothing(Nothing),
    /// It did not answer.
    Unanswered,
    /// We cannot go on, whoever answers.
    Own(ClientError<E>),
}

impl<E> From<ClientError<E>> for Fault<E> {
    fn from(error: ClientError<E>) -> Self {
        Self::Own(error)
    }
}

impl<E> From<LightError> for Fault<E> {
    fn from(error: LightError) -> Self {
        if !error.blames_sender() {
            return Self::Own(ClientError::Trust(error));
        }
        let lie = match error {
            LightError::Certificate(_)
            | LightError::Validators
            | LightError::NextValidators
            | LightError::SetChange
            | LightError::OtherBlock
            | LightError::Supply { .. }
            | LightError::AdjacentValidators => Lie::ForgedCertificate,
            _ => Lie::WrongHead,
        };
        Self::Lie(lie, None, error.to_string())
    }
}

impl<E> Fault<E> {
    /// A proof about a height that proves nothing.
    pub(super) fn proof(height: Height, error: &impl core::fmt::Display) -> Self {
        Self::Lie(Lie::WrongProof, Some(height), error.to_string())
    }

    /// Another kind of answer than was asked for.
    pub(super) fn other_answer() -> Self {
        Self::Lie(Lie::WrongAnswer, None, "another kind of answer than was asked for".to_owned())
    }
}
