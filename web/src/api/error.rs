//! Everything that can go wrong, by a code that never changes. One table: the Worker and the page both have it, the page
//! as TypeScript made from this.

use core::fmt;

use serde::Serialize;
use timecoin_core::driver::light::ClientError;

use crate::store::StoreError;

/// Declares the codes: `Name "code", retry, "advice";`.
macro_rules! codes {
    ($($name:ident $code:literal, $retry:literal, $advice:literal;)*) => {
        /// What went wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each has its advice")]
        pub enum Code { $($name,)* }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable word.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The code with this word; [`Code::Internal`] where there is none.
            #[must_use]
            pub fn named(word: &str) -> Self {
                Self::ALL.iter().copied().find(|code| code.code() == word).unwrap_or(Self::Internal)
            }

            /// Whether the same request may succeed later.
            #[must_use]
            pub const fn may_retry(self) -> bool {
                match self { $(Self::$name => $retry,)* }
            }

            /// What to do.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

codes! {
    // Of the node.
    NoPeers "no_peers", true, "Check your connection. The node goes on looking for peers by itself.";
    Unproved "unproved", true, "Nothing false was believed. Try again, or give the page another peer.";
    NotFound "not_found", true, "Check what you entered. What is new may take a moment to arrive.";
    NotYet "not_yet", true, "Wait for the block.";
    NotFinal "not_final", true, "Wait until the payment is final.";
    TooLarge "too_large", false, "Ask for less at once: an address with very many coins can be asked for its balance.";
    TooFast "too_fast", true, "Try again.";
    CheckpointExpired "checkpoint_expired", false, "Get a newer chain spec or checkpoint from a source that you trust.";
    Clock "clock", true, "Set this device's clock.";
    Untrusted "untrusted", false, "The trusted block does not fit this chain: check the chain spec and the checkpoint.";
    ChainSpec "chain_spec", false, "Check the chain spec: it cannot be read, or makes no chain.";
    Fork "fork", false, "Do not pay or accept payments. Validators have signed two histories; ask those who run the network.";
    OtherChain "other_chain", false, "Give this chain a store of its own.";
    Refused "refused", false, "The payment is not on its way. Make it again after reading the reason.";
    Receipt "receipt", false, "Start from a newer checkpoint: the way from the trusted block is too long for one receipt.";
    BadAddress "bad_address", false, "Check the address: one letter may be wrong, or it is of another network.";
    BadRequest "bad_request", false, "The page asks wrongly: this is a bug of the page, or of this package.";
    UnknownMethod "unknown_method", false, "The page and the Worker are of different versions: reload the page.";
    Timeout "timeout", true, "Try again later; what was submitted goes on without you.";
    Cancelled "cancelled", true, "It was taken back by the page.";
    Internal "internal", false, "This is a bug of this package: please report it.";
    // Of the store.
    StoreUnavailable "store-unavailable", false, "Allow this site to store data, or leave private browsing. Until then every visit starts anew.";
    StoreBlocked "store-blocked", true, "Close the other tabs of this site, then reload.";
    StoreNewer "store-newer", false, "Reload the page: a newer version of it has been here.";
    StoreQuota "store-quota", true, "Free space on this device or in this browser. The node goes on without keeping what is new.";
    StoreDeleted "store-deleted", true, "Site data was cleared while the page was open. The node has begun a new store.";
    StoreLost "store-lost", true, "The browser took the store away. The node tries to open it again.";
    StoreDamaged "store-damaged", false, "Clear this site's data after making sure that your recovery words are safe.";
    StoreFailed "store-failed", true, "Reload the page.";
    // Of the wallet.
    NoWallet "no_wallet", false, "Make a wallet, or restore one from its words.";
    WalletExists "wallet_exists", false, "Remove it first; its words bring it back.";
    WalletLocked "wallet_locked", false, "Unlock the wallet.";
    WrongPassword "wrong_password", false, "Try the password again. Words bring back a wallet; an operator key is replaced by its owner.";
    PasswordEmpty "password_empty", false, "Choose a password.";
    WalletDamaged "wallet_damaged", false, "Restore the wallet from its words.";
    WalletNewer "wallet_newer", false, "Reload the page: a newer version of it made the wallet.";
    WalletOtherChain "wallet_other_chain", false, "Restore the wallet from its words.";
    WalletNotReady "wallet_not_ready", true, "Wait until the search has come to its end.";
    WalletScan "wallet_scan", false, "Restore the wallet from its words: the blocks are looked at again.";
    OutOfMemory "out_of_memory", true, "Close other pages and try again.";
    RecoveryWords "recovery_words", false, "Compare the words with what was written down.";
    BackupWords "backup_words", false, "Compare the words with what was written down.";
    AddressGap "address_gap", false, "Use one of them first: from the words alone, only so many unused ones are looked through.";
    Label "label", false, "Shorten the label.";
    Amount "amount", false, "Write the amount like 12.5.";
    AmountTooSmall "amount_too_small", false, "Send more.";
    InsufficientFunds "insufficient_funds", true, "Send less, or wait for payments that are on their way.";
    FeeTooLow "fee_too_low", false, "Choose a higher fee.";
    MemoTooLong "memo_too_long", false, "Shorten the memo.";
    TooManyCoins "too_many_coins", false, "Send less, or first send your coins to yourself.";
    // Of a validator.
    NoOperatorKey "no_operator_key", false, "Make an operator key here, or add it by its seed.";
    OperatorConsent "operator_consent", false, "Make the consent with the operator's key, for this owner's address on this chain.";
    KeyInUse "key_in_use", false, "Close the other tab that votes with this key, or use that one.";
    Halted "halted", false, "Do not start it again before those who run the network have looked at the cause.";
    // Of the page.
    CannotRun "cannot_run_here", false, "Use a browser that allows WebAssembly, Workers and site data here.";
    NotLoaded "not_loaded", true, "Check your connection and reload the page.";
    Crashing "crashing", false, "Reload the page. If it stays like this, please report the cause shown.";
    Restarted "restarted", true, "It is not known whether it was done: look before doing it again.";
    Closed "closed", false, "The page has closed its node: connect again.";
}

/// A failure as it crosses to the page, which adds the advice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiError {
    /// What.
    pub code: &'static str,
    /// The facts, for people.
    pub message: String,
    /// Where a peer refused something: its own stable word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ApiError {
    /// A failure.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code.code(), message: message.into(), reason: None }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StoreError {
    /// Its place in the table.
    #[must_use]
    pub const fn api_code(&self) -> Code {
        match self {
            Self::Unavailable { .. } => Code::StoreUnavailable,
            Self::Blocked => Code::StoreBlocked,
            Self::Newer => Code::StoreNewer,
            Self::Quota => Code::StoreQuota,
            Self::Deleted => Code::StoreDeleted,
            Self::Lost { .. } => Code::StoreLost,
            Self::Damaged { .. } | Self::Layout => Code::StoreDamaged,
            Self::Failed { .. } => Code::StoreFailed,
        }
    }
}

/// The code of a client's failure.
#[must_use]
pub fn code_of(error: &ClientError<StoreError>) -> Code {
    use timecoin_core::light::{AnchorError, LightError};
    match error {
        ClientError::NoPeers => Code::NoPeers,
        ClientError::Unproved { .. } => Code::Unproved,
        ClientError::NotFound => Code::NotFound,
        ClientError::TooLarge => Code::TooLarge,
        ClientError::Future { .. } => Code::NotYet,
        ClientError::Anchor(AnchorError::CheckpointExpired { .. })
        | ClientError::Trust(LightError::Expired { .. }) => Code::CheckpointExpired,
        ClientError::Anchor(AnchorError::FromFuture { .. })
        | ClientError::Trust(LightError::FromFuture { .. }) => Code::Clock,
        ClientError::Anchor(_) | ClientError::Trust(_) => Code::Untrusted,
        ClientError::Genesis(_) => Code::ChainSpec,
        ClientError::Fork(_) => Code::Fork,
        ClientError::OtherChain { .. } => Code::OtherChain,
        ClientError::Refused(_) => Code::Refused,
        ClientError::NotFinal => Code::NotFinal,
        ClientError::ReceiptTooLong | ClientError::Receipt(_) => Code::Receipt,
        ClientError::TooFast => Code::TooFast,
        ClientError::Store(error) => error.api_code(),
    }
}

impl From<ClientError<StoreError>> for ApiError {
    fn from(error: ClientError<StoreError>) -> Self {
        let made = Self::new(code_of(&error), sentence(&error));
        match error {
            ClientError::Refused(refusal) => Self { reason: Some(refusal.code), ..made },
            _ => made,
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::new(error.api_code(), sentence(&error))
    }
}

/// A message of the code below, as a sentence.
#[must_use]
pub fn sentence(error: &impl fmt::Display) -> String {
    let mut text = error.to_string();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}
