//! Errors of the RPC: a number, a stable word, and a sentence that says what to do.

use serde_json::{Value, json};
use timecoin_core::mempool::AdmissionError;
use timecoin_core::node::SubmitError;
use timecoin_core::state::BlockError;
use timecoin_core::state::tree::TreeError;
use timecoin_core::transaction::TransactionError;

use crate::handle::SubmitFailure;
use crate::store::StoreError;

/// An error as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// JSON-RPC's number.
    pub code: i32,
    /// The stable word, in `data.code`.
    pub word: &'static str,
    /// The sentence.
    pub message: String,
}

impl RpcError {
    fn new(code: i32, word: &'static str, message: impl Into<String>) -> Self {
        Self { code, word, message: message.into() }
    }

    /// The text is not JSON.
    #[must_use]
    pub fn parse() -> Self {
        Self::new(-32700, "parse_error", "not JSON, or nested too deeply, or a key stands twice")
    }

    /// JSON, but no request.
    #[must_use]
    pub fn invalid_request(message: &str) -> Self {
        Self::new(-32600, "invalid_request", message)
    }

    /// No such method.
    #[must_use]
    pub fn unknown_method(name: &str) -> Self {
        let name: String = name.chars().take(64).collect();
        Self::new(-32601, "unknown_method", format!("no method {name:?}: rpc.discover lists them"))
    }

    /// Parameters are missing, unknown or of the wrong form.
    #[must_use]
    pub fn params(message: impl Into<String>) -> Self {
        Self::new(-32602, "invalid_params", message)
    }

    /// What was asked for does not exist here.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(-32001, "not_found", format!("no such {what}"))
    }

    /// The method needs the token.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(
            -32003,
            "unauthorized",
            "this method needs the node's token: send it as Authorization: Bearer …",
        )
    }

    /// It did not happen within the time given.
    #[must_use]
    pub fn timeout() -> Self {
        Self::new(-32004, "timeout", "not final within the time given; ask again")
    }

    /// The node is stopping.
    #[must_use]
    pub fn stopped() -> Self {
        Self::new(-32005, "stopped", "the node is stopping")
    }

    /// The answer is larger than an answer may be.
    #[must_use]
    pub fn too_large(message: &str) -> Self {
        Self::new(-32006, "too_large", message)
    }

    /// The method works over WebSocket only.
    #[must_use]
    pub fn needs_socket() -> Self {
        Self::new(-32007, "needs_socket", "subscriptions need a WebSocket connection")
    }

    /// As a member of a response.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "code": self.code, "message": self.message, "data": { "code": self.word } })
    }
}

impl From<StoreError> for RpcError {
    fn from(error: StoreError) -> Self {
        Self::new(-32603, "internal", format!("the store failed: {error}"))
    }
}

impl From<crate::handle::Stopped> for RpcError {
    fn from(_: crate::handle::Stopped) -> Self {
        Self::stopped()
    }
}

impl From<SubmitFailure> for RpcError {
    fn from(failure: SubmitFailure) -> Self {
        match failure {
            SubmitFailure::Stopped(_) => Self::stopped(),
            SubmitFailure::Refused(error) => Self::new(-32002, refusal(&error), error.to_string()),
        }
    }
}

/// The stable word of a refusal.
fn refusal(error: &SubmitError) -> &'static str {
    match error {
        SubmitError::Transaction(error) => transaction_word(error),
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
        SubmitError::Action(error) => block_word(error),
    }
}

fn transaction_word(error: &TransactionError) -> &'static str {
    match error {
        TransactionError::Version(_) => "unknown_version",
        TransactionError::Size { .. } => "too_large",
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

fn block_word(error: &BlockError) -> &'static str {
    match error {
        BlockError::Expiry { .. } => "expired",
        BlockError::CollateralLocked { .. } => "collateral_locked",
        BlockError::UnknownMasternode(_) => "unknown_masternode",
        BlockError::MasternodeInactive(_) => "masternode_inactive",
        BlockError::NotTheOwner(_) => "not_the_owner",
        BlockError::OperatorInUse { .. } => "operator_in_use",
        BlockError::OperatorProof => "operator_proof",
        BlockError::RegistryFull => "registry_full",
        BlockError::WitnessUnused => "witness",
        BlockError::Coin(TreeError::NotPresent(_)) => "coin_unknown_or_spent",
        _ => "refused",
    }
}
