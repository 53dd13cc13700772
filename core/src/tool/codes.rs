//! The stable code of every error a tool answers with. A new variant gets a new code; no code ever changes.

use super::Code;
use crate::address::AddressError;
use crate::answer::AnswerError;
use crate::codec::CodecError;
use crate::filter::FilterError;
use crate::keys::KeyError;
use crate::light::AnchorError;
use crate::lock::LockError;
use crate::merkle;
use crate::receipt::{FormError, ReceiptError};
use crate::spec::SpecError;
use crate::state::{GenesisError, tree};
use crate::wallet::derive::DeriveError;
use crate::wallet::mnemonic::MnemonicError;

impl Code for CodecError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::Malformed => "malformed-encoding",
            Self::TrailingBytes(_) => "trailing-bytes",
        }
    }
}

impl Code for KeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotCanonical => "key-not-canonical",
            Self::SmallOrder => "key-of-small-order",
        }
    }
}

impl Code for LockError {
    fn code(&self) -> &'static str {
        match self {
            Self::Key(error) => error.code(),
            Self::KeyCount(_) => "lock-key-count",
            Self::KeyOrder => "lock-key-order",
            Self::Required { .. } => "lock-required",
            Self::SignatureCount { .. } => "lock-signature-count",
            Self::SignatureOrder => "lock-signature-order",
        }
    }
}

impl Code for AddressError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed-address",
            Self::MixedCase => "address-mixed-case",
            Self::Checksum => "address-checksum",
            Self::UnknownPrefix => "address-unknown-prefix",
            Self::WrongNetwork { .. } => "address-wrong-network",
            Self::UnknownVersion(_) => "address-unknown-version",
            Self::Length { .. } => "address-length",
        }
    }
}

impl Code for MnemonicError {
    fn code(&self) -> &'static str {
        match self {
            Self::WordCount { .. } => "word-count",
            Self::UnknownWord { .. } => "unknown-word",
            Self::Checksum => "words-checksum",
            Self::EntropyLength { .. } => "entropy-length",
        }
    }
}

impl Code for DeriveError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed-path",
            Self::NotHardened { .. } => "path-not-hardened",
            Self::IndexTooLarge { .. } => "path-index-too-large",
            Self::TooDeep => "path-too-deep",
            Self::SeedLength { .. } => "seed-length",
        }
    }
}

impl Code for FilterError {
    fn code(&self) -> &'static str {
        match self {
            Self::Truncated => "filter-truncated",
            Self::ZeroCount => "filter-zero-count",
            Self::OutOfRange => "filter-out-of-range",
            Self::TrailingBits => "filter-trailing-bits",
        }
    }
}

impl Code for SpecError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed-spec",
            Self::RulesOrder => "spec-rules-order",
            Self::OutOfRange { .. } => "spec-out-of-range",
            Self::Supply => "spec-supply",
            Self::Masternodes(_) => "spec-masternodes",
        }
    }
}

impl Code for GenesisError {
    fn code(&self) -> &'static str {
        match self {
            Self::Validators(_) | Self::DuplicateOperator(_) => "spec-masternodes",
            Self::Coins(_) => "spec-allocations",
            Self::Overflow => "spec-supply",
        }
    }
}

impl Code for merkle::ProofError {
    fn code(&self) -> &'static str {
        match self {
            Self::OutOfRange => "proof-out-of-range",
            Self::PathLength { .. } => "proof-path-length",
            Self::RootMismatch => "proof-root-mismatch",
        }
    }
}

impl Code for tree::ProofError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "proof-malformed",
            Self::Overflow => "proof-overflow",
            Self::RootMismatch => "proof-root-mismatch",
            Self::OffTopic => "proof-off-topic",
        }
    }
}

impl Code for tree::TreeError {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyPresent(_) => "coin-already-present",
            Self::NotPresent(_) => "coin-not-present",
            Self::WrongOutput(_) => "coin-wrong-output",
            Self::Overflow => "amount-overflow",
            Self::Missing(_) => "row-missing",
            Self::Damaged(_) => "row-damaged",
            Self::Unexpected(_) => "row-unexpected",
        }
    }
}

impl Code for AnswerError {
    fn code(&self) -> &'static str {
        match self {
            Self::StateRoot => "answer-state-root",
            Self::Supply => "answer-supply",
            Self::Proof(error) => error.code(),
            Self::Owner => "answer-other-owner",
            Self::Registry => "answer-registry",
            Self::History => "answer-history",
            Self::CoinsMissing => "answer-coins-missing",
        }
    }
}

impl Code for FormError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::Codec(error) => error.code(),
            Self::Json { .. } => "malformed-json",
            Self::Text => "receipt-damaged",
        }
    }
}

impl Code for ReceiptError {
    fn code(&self) -> &'static str {
        match self {
            Self::Version(_) => "receipt-version",
            Self::TooManySteps(_) => "receipt-too-many-steps",
            Self::UnknownAnchor { .. } => "receipt-unknown-anchor",
            Self::Anchor(AnchorError::CheckpointExpired { .. }) => "checkpoint-expired",
            Self::Anchor(AnchorError::FromFuture { .. }) => "checkpoint-from-future",
            Self::Anchor(AnchorError::Validators) => "receipt-anchor-validators",
            Self::AnchorHeader => "receipt-anchor-header",
            Self::RepeatedSet(_) => "receipt-repeated-set",
            Self::Block { .. } => "receipt-block",
            Self::NotEnoughTrust { .. } => "receipt-not-enough-trust",
            Self::HistoryPosition => "receipt-history-position",
            Self::History(_) => "receipt-history",
            Self::Transaction(_) => "receipt-transaction",
        }
    }
}
