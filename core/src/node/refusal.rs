//! Stable words for why a submission is refused.

use crate::mempool::AdmissionError;
use crate::state::BlockError;
use crate::state::tree::TreeError;
use crate::transaction::TransactionError;

use super::event::SubmitError;

impl SubmitError {
    /// A stable word for it: protocol, in answers to light nodes and in JSON-RPC errors.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            SubmitError::Transaction(error) => transaction_code(error),
            SubmitError::Admission(error) => match error {
                AdmissionError::Known(_) => "already_pending",
                AdmissionError::Expired { .. } => "expired",
                AdmissionError::ExpiryTooFar { .. } => "expiry_too_far",
                AdmissionError::CoinUnknown(_) => "coin_unknown_or_spent",
                AdmissionError::CoinMismatch { .. } => "coin_mismatch",
                AdmissionError::Conflict { .. } => "double_spend",
                AdmissionError::ReplacesTooMany { .. } => "replaces_too_many",
                AdmissionError::SpendsReplaced(_) => "spends_replaced",
                AdmissionError::TooManyAncestors { .. } => "too_many_ancestors",
                AdmissionError::PeerShare { .. } => "peer_share",
                AdmissionError::Full { .. } => "mempool_full",
            },
            SubmitError::Action(error) => action_code(error),
        }
    }
}

fn transaction_code(error: &TransactionError) -> &'static str {
    match error {
        TransactionError::Version(_) => "unknown_version",
        TransactionError::Size { .. } => "transaction_too_large",
        TransactionError::NoInputs => "no_inputs",
        TransactionError::NoOutputs => "no_outputs",
        TransactionError::DuplicateInput(_) => "duplicate_input",
        TransactionError::SpentCount { .. } => "spent_count",
        TransactionError::OutputTooSmall { .. } => "output_too_small",
        TransactionError::Overflow => "overflow",
        TransactionError::ValueCreated { .. } => "value_created",
        TransactionError::FeeTooLow { .. } => "fee_too_low",
        TransactionError::MemoSize(_) => "memo_too_long",
        TransactionError::Collateral(_) => "collateral",
        TransactionError::OperatorKey(_) => "operator_key",
        TransactionError::OperatorProof => "operator_proof",
        TransactionError::Reward => "reward",
        TransactionError::Witness { .. }
        | TransactionError::WitnessOrder
        | TransactionError::WitnessMissing(_)
        | TransactionError::WitnessUnused(_) => "witness",
        TransactionError::Signature(_) => "signature",
    }
}

fn action_code(error: &BlockError) -> &'static str {
    match error {
        BlockError::Expiry { .. } => "expired",
        BlockError::CollateralLocked { .. } => "collateral_locked",
        BlockError::UnknownMasternode(_) => "unknown_masternode",
        BlockError::MasternodeInactive(_) => "masternode_inactive",
        BlockError::NotTheOwner(_) => "not_the_owner",
        BlockError::OperatorInUse { .. } => "operator_in_use",
        BlockError::OperatorReplaced { .. } => "operator_replaced",
        BlockError::OperatorProof => "operator_proof",
        BlockError::RegistryFull => "registry_full",
        BlockError::WitnessUnused => "witness",
        BlockError::Coin(TreeError::NotPresent(_)) => "coin_unknown_or_spent",
        _ => "refused",
    }
}
