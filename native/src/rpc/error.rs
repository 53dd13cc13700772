//! Errors of the RPC: a number, a stable word, what happened, and what to do about it.
//!
//! [`Kind`] lists all there are; `docs/RPC.md` and `rpc.discover` are made from the same list.

use serde_json::{Value, json};
use timecoin_core::answer::Nothing;
use timecoin_core::node::SubmitError;

use crate::handle::SubmitFailure;
use crate::store::StoreError;

/// Kinds of error: name, number, stable word, what it means, what to do.
macro_rules! kinds {
    ($($name:ident = $code:literal, $word:literal, $meaning:literal, $advice:literal;)*) => {
        /// A kind of error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $(#[doc = $meaning] $name,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// JSON-RPC's number.
            #[must_use]
            pub const fn code(self) -> i32 {
                match self { $(Self::$name => $code,)* }
            }

            /// The stable word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// What to do.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

kinds! {
    Parse = -32700, "parse_error", "not JSON, nested deeper than 32 levels, or a key stands twice",
        "send one JSON text in UTF-8";
    InvalidRequest = -32600, "invalid_request", "JSON, but no JSON-RPC 2.0 request",
        "send jsonrpc, method, params and id as JSON-RPC 2.0 wants them";
    UnknownMethod = -32601, "unknown_method", "there is no such method", "rpc.discover lists the methods";
    Params = -32602, "invalid_params", "a parameter is missing, unknown or of the wrong form",
        "compare with the method's parameters in docs/RPC.md";
    Internal = -32603, "internal", "the node failed, not the call", "look into the node's log";
    NotFound = -32001, "not_found", "this node has no such thing",
        "check the id; a node that is still catching up may know it later";
    Unauthorized = -32003, "unauthorized", "the call needs the node's token",
        "send the content of rpc.token as `Authorization: Bearer …`";
    Timeout = -32004, "timeout", "it did not happen within the time given", "ask again, or wait longer";
    Stopped = -32005, "stopped", "the node is stopping", "start it again";
    TooLarge = -32006, "too_large", "the answer would be larger than an answer may be", "ask for less at once";
    NeedsSocket = -32007, "needs_socket", "subscriptions need a WebSocket", "connect to ws://…/rpc";
    Busy = -32008, "busy", "the state changes faster than the answer can be made", "ask again";

    AlreadyPending = -32002, "already_pending", "the transaction is in the mempool already", "wait for it";
    Expired = -32002, "expired", "the transaction's time is over, or further ahead than allowed in a block",
        "build it anew with a later expires_at";
    ExpiryTooFar = -32002, "expiry_too_far", "expires_at is further ahead than allowed",
        "build it anew with an earlier expires_at";
    CoinUnknownOrSpent = -32002, "coin_unknown_or_spent", "an input is no unspent coin",
        "list the coins again; the transaction may already be final";
    CoinMismatch = -32002, "coin_mismatch", "an input's coin has another amount or owner than the transaction says",
        "build it anew from the coins of listunspent";
    DoubleSpend = -32002, "double_spend", "another pending transaction spends the same coin, at no lower fee",
        "wait for that one, or pay a higher fee";
    ReplacesTooMany = -32002, "replaces_too_many", "it would replace too many pending transactions",
        "wait until some are final";
    SpendsReplaced = -32002, "spends_replaced", "it spends what it would replace", "spend other coins";
    TooManyAncestors = -32002, "too_many_ancestors", "it depends on too many pending transactions",
        "wait until some are final";
    PeerShare = -32002, "peer_share", "its sender has filled its share of the mempool", "wait";
    MempoolFull = -32002, "mempool_full", "the mempool is full of better paying transactions",
        "wait, or pay a higher fee";
    UnknownVersion = -32002, "unknown_version", "this version of transactions is not known", "use version 1";
    TransactionTooLarge = -32002, "transaction_too_large", "the transaction has too many bytes",
        "split it: fewer coins or fewer payments";
    NoInputs = -32002, "no_inputs", "nothing is spent", "add a coin";
    NoOutputs = -32002, "no_outputs", "nothing is paid", "add an output";
    DuplicateInput = -32002, "duplicate_input", "a coin stands twice among the inputs", "name each coin once";
    SpentCount = -32002, "spent_count", "there are not as many spent outputs as inputs",
        "carry one spent output per input, in order";
    OutputTooSmall = -32002, "output_too_small", "an output is below the minimum", "pay more, or leave it out";
    Overflow = -32002, "overflow", "amounts add up to more than can exist", "correct the amounts";
    ValueCreated = -32002, "value_created", "the outputs are worth more than the inputs", "add coins or pay less";
    FeeTooLow = -32002, "fee_too_low", "the fee is below the minimum for its size", "estimatefee says how much";
    MemoTooLong = -32002, "memo_too_long", "the memo has more than 80 bytes", "shorten it";
    Collateral = -32002, "collateral", "a registration does not lock exactly its tier's collateral",
        "make output 0 exactly the collateral";
    OperatorKey = -32002, "operator_key", "the operator key may not enter the state",
        "use a key of `timecoin keys new`";
    OperatorProof = -32002, "operator_proof", "the operator key's consent is not for this owner and chain",
        "make the consent anew";
    Reward = -32002, "reward", "only blocks pay rewards", "do not submit reward transactions";
    Witness = -32002, "witness", "witnesses are missing, unused, out of order or do not open their lock",
        "give one witness per distinct owner, in order";
    Signature = -32002, "signature", "a signature is not valid", "sign for this chain and these coins";
    CollateralLocked = -32002, "collateral_locked", "the coin is a masternode's collateral",
        "retire the masternode and wait for the unbonding period";
    UnknownMasternode = -32002, "unknown_masternode", "there is no such masternode", "masternodelist lists them";
    MasternodeInactive = -32002, "masternode_inactive", "the masternode is retired or ejected",
        "register a new one";
    NotTheOwner = -32002, "not_the_owner", "the masternode belongs to someone else", "sign with its owner's key";
    OperatorInUse = -32002, "operator_in_use", "another masternode has this operator key", "use a new key";
    OperatorReplaced = -32002, "operator_replaced", "the masternode has another operator key than the one to be replaced",
        "see its operator key with masternodelist, and rotate that one";
    RegistryFull = -32002, "registry_full", "there are as many masternodes as there may be", "wait";
    Refused = -32002, "refused", "the rules do not allow it now", "read the message";
}

/// An error as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// Its kind.
    pub kind: Kind,
    /// What happened.
    pub message: String,
}

impl RpcError {
    /// An error of a kind.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// An error that its kind says all about.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        Self::new(kind, kind.meaning())
    }

    /// JSON, but no request.
    #[must_use]
    pub fn invalid_request(message: &str) -> Self {
        Self::new(Kind::InvalidRequest, message)
    }

    /// No such method.
    #[must_use]
    pub fn unknown_method(name: &str) -> Self {
        // Known from nodes that hold keys.
        let instead = match name {
            "sendtoaddress" => ": this node holds no keys, use `timecoin wallet send ADDRESS AMOUNT`",
            "mergeutxos" => ": this node holds no keys, use `timecoin wallet send OWN_ADDRESS --max`",
            _ => "",
        };
        let name: String = name.chars().take(64).collect();
        Self::new(Kind::UnknownMethod, format!("no method {name:?}{instead}"))
    }

    /// Parameters are missing, unknown or of the wrong form.
    #[must_use]
    pub fn params(message: impl Into<String>) -> Self {
        Self::new(Kind::Params, message)
    }

    /// What was asked for does not exist here.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, format!("no such {what}"))
    }

    /// As a member of a response.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let data = json!({ "code": self.kind.word(), "advice": self.kind.advice() });
        json!({ "code": self.kind.code(), "message": self.message, "data": data })
    }
}

impl From<StoreError> for RpcError {
    fn from(error: StoreError) -> Self {
        Self::new(Kind::Internal, format!("the store failed: {error}"))
    }
}

impl From<Nothing> for RpcError {
    fn from(nothing: Nothing) -> Self {
        match nothing {
            Nothing::Unknown => Self::of(Kind::NotFound),
            Nothing::TooLarge => Self::of(Kind::TooLarge),
            Nothing::Moving => Self::of(Kind::Busy),
        }
    }
}

impl From<crate::handle::Stopped> for RpcError {
    fn from(_: crate::handle::Stopped) -> Self {
        Self::of(Kind::Stopped)
    }
}

impl From<SubmitFailure> for RpcError {
    fn from(failure: SubmitFailure) -> Self {
        match failure {
            SubmitFailure::Stopped(stopped) => stopped.into(),
            SubmitFailure::Refused(error) => Self::new(refusal(&error), error.to_string()),
        }
    }
}

fn refusal(error: &SubmitError) -> Kind {
    let word = error.code();
    Kind::ALL.iter().copied().find(|kind| kind.word() == word).unwrap_or(Kind::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_every_kind_says_what_to_do() {
        let words: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        assert_eq!(words.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert!(!kind.meaning().is_empty() && !kind.advice().is_empty(), "{kind:?}");
            assert!((-32768..=-32000).contains(&kind.code()), "{kind:?}");
        }
    }
}
