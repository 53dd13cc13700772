//! What can go wrong with a wallet, with a stable code for each and what to do.

use std::io;
use std::path::PathBuf;

use timecoin_core::address::AddressError;
use timecoin_core::amount::Amount;
use timecoin_core::driver::light::Lie;
use timecoin_core::hash::{ChainId, MasternodeId, TxId};
use timecoin_core::light::{AnchorError, LightError};
use timecoin_core::receipt::{FormError, ReceiptError};
use timecoin_core::state::GenesisError;
use timecoin_core::vote::Height;
use timecoin_core::wallet::build::BuildError;
use timecoin_core::wallet::derive::DeriveError;
use timecoin_core::wallet::keystore::KeystoreError;
use timecoin_core::wallet::mnemonic::MnemonicError;
use timecoin_core::wallet::offline::OfflineError;
use timecoin_core::wallet::scan::ScanError;
use timecoin_core::wallet::sign::SignError;
use timecoin_core::wallet::state::WalletStateError;

use crate::client::ClientError;
use crate::config::ConfigError;

/// Why a wallet cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// A file cannot be read or written.
    #[error("{}: {}", path.display(), crate::identity::advised(error))]
    File {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// There is no wallet.
    #[error("there is no wallet in {}: make one with `timecoin wallet new`, or name its folder with --wallet", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is one already.
    #[error("{} exists already: name another place", path.display())]
    Exists {
        /// What is in the way.
        path: PathBuf,
    },
    /// Another command works on it.
    #[error("another command works on the wallet in {}: wait until it is done", path.display())]
    InUse {
        /// The wallet's folder.
        path: PathBuf,
    },
    /// The wallet has no keys here.
    #[error("this wallet only watches: write the payment with --unsigned and sign it where the keys are")]
    WatchOnly,
    /// The password is not the one, or the keystore is damaged.
    #[error("wrong password, or the keystore is damaged: try again, or restore the wallet from its words")]
    Password,
    /// Two passwords that should be one.
    #[error("the two passwords differ: try again")]
    PasswordMismatch,
    /// A password that protects nothing.
    #[error("the password is empty: choose one")]
    PasswordEmpty,
    /// There is nobody to ask for a secret.
    #[error(
        "there is no terminal to ask for {what}: put it into a file that only you can read and use {flag}"
    )]
    NoTerminal {
        /// What is needed.
        what: &'static str,
        /// Which flag names a file with it.
        flag: &'static str,
    },
    /// A file with a secret that others can read too.
    #[error(transparent)]
    Exposed(crate::identity::IdentityError),
    /// The keystore cannot be used.
    #[error(transparent)]
    Keystore(KeystoreError),
    /// The keystore holds something else than a wallet's secret.
    #[error("the keystore does not hold a wallet's secret: restore the wallet from its words")]
    Secret,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: try again")]
    Entropy,
    /// Recovery words.
    #[error(transparent)]
    Words(#[from] MnemonicError),
    /// Keys cannot be derived.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// The wallet's file.
    #[error(transparent)]
    State(#[from] WalletStateError),
    /// The wallet's chain spec.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address.
    #[error("{error}: {text}")]
    Address {
        /// What was given.
        text: String,
        /// Why it cannot be used.
        error: AddressError,
    },
    /// Not an amount.
    #[error("{text} is not an amount of TIME: write it like 12.5, with at most 8 decimals")]
    Amount {
        /// What was given.
        text: String,
    },
    /// The payment cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The coins claim more money than can exist.
    #[error(
        "the wallet's coins are more money than can exist: remove wallet.json and restore from the words"
    )]
    Overflow,
    /// A node.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The node is on another chain.
    #[error("the node is on chain {found}, this wallet on {expected}: name another node with --node")]
    OtherChain {
        /// The wallet's.
        expected: ChainId,
        /// The node's.
        found: ChainId,
    },
    /// The node is behind what was verified before.
    #[error(
        "the node is at block {found}, but block {verified} was verified before: wait, or use another --node"
    )]
    Behind {
        /// The node's newest block.
        found: Height,
        /// The newest block verified.
        verified: Height,
    },
    /// The chain spec has no genesis.
    #[error("{0}: use another chain spec")]
    Genesis(#[from] GenesisError),
    /// Nothing can be trusted to begin with.
    #[error("{0}; or vouch for it yourself with --trust-any-age")]
    Anchor(#[from] AnchorError),
    /// What was trusted is too old.
    #[error("{0}; or vouch for it yourself with --trust-any-age")]
    Expired(LightError),
    /// The node's block cannot be trusted.
    #[error("the node cannot prove its blocks ({0}): do not trust it, use another --node")]
    Unproved(#[from] LightError),
    /// The node gave a false answer.
    #[error("the node gave a false answer ({}: {detail}): do not trust it, use another --node", lie.code())]
    Lied {
        /// What it did.
        lie: Lie,
        /// Why it is wrong.
        detail: String,
    },
    /// The node does not have what a full node has.
    #[error("the node does not have what is needed: use another --node")]
    Missing,
    /// More than a third of the validators' weight is guilty.
    #[error(
        "two conflicting blocks of height {0} are certified: nothing on this chain can be trusted now, do not pay"
    )]
    Fork(Height),
    /// The node's filters or blocks are not those the headers commit to.
    #[error("the node's blocks cannot be scanned ({0}): do not trust it, use another --node")]
    Scan(#[from] ScanError),
    /// The blocks scanned and the proof name different sums.
    #[error(
        "the blocks scanned give {scanned} TIME, the proof {proved} TIME: remove wallet.json and restore from the words"
    )]
    Disagree {
        /// By the blocks.
        scanned: Amount,
        /// By the proof.
        proved: Amount,
    },
    /// Blocks come faster than they can be scanned.
    #[error("blocks come in faster than they can be scanned: try again, or use a node nearby")]
    TooFast,
    /// A pending payment was dropped.
    #[error("the network dropped payment {txid}: nothing was paid, the coins are free again")]
    Dropped {
        /// Which.
        txid: TxId,
    },
    /// Not final within the time given.
    #[error(
        "payment {txid} is not final after {waited_ms} ms: it may still become so, look at the history later"
    )]
    NotFinal {
        /// Which.
        txid: TxId,
        /// How long that was waited for.
        waited_ms: u64,
    },
    /// A file for offline signing.
    #[error(transparent)]
    Offline(#[from] OfflineError),
    /// Signatures are missing.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// None of the keys is this wallet's.
    #[error("this wallet has no key that is called for here: is it the right wallet?")]
    NothingToSign,
    /// Not a receipt.
    #[error(transparent)]
    ReceiptForm(#[from] FormError),
    /// A receipt that proves nothing.
    #[error("the receipt proves nothing here: {0}")]
    Receipt(#[from] ReceiptError),
    /// A receipt of another payment than the one asked for.
    #[error("the node gave a receipt of another payment: do not trust it")]
    OtherReceipt,
    /// An address of someone else, where one of the wallet's own is needed.
    #[error("{address} is not an address of this wallet: `timecoin wallet address list` shows them")]
    NotOurAddress {
        /// Which.
        address: String,
    },
    /// No such masternode.
    #[error("no masternode {0} is registered: `timecoin masternode status --all` lists them")]
    UnknownMasternode(MasternodeId),
    /// A masternode of someone else.
    #[error("masternode {0} belongs to someone else: use its owner's wallet")]
    NotOurMasternode(MasternodeId),
}

impl WalletError {
    /// An error of the file system.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::File { path, error }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "wallet-file",
            Self::Absent { .. } => "wallet-absent",
            Self::Exists { .. } => "exists",
            Self::InUse { .. } => "wallet-in-use",
            Self::WatchOnly => "wallet-watches-only",
            Self::Password => "wrong-password",
            Self::PasswordMismatch => "password-mismatch",
            Self::PasswordEmpty => "password-empty",
            Self::NoTerminal { .. } => "no-terminal",
            Self::Exposed(error) => crate::cli::identity_code(error),
            Self::Keystore(_) | Self::Secret => "keystore-damaged",
            Self::Entropy => "no-entropy",
            Self::Words(_) => "recovery-words",
            Self::Derive(_) => "internal",
            Self::State(WalletStateError::Malformed(_)) | Self::Overflow | Self::Disagree { .. } => {
                "wallet-damaged"
            }
            Self::State(WalletStateError::UnsupportedVersion { .. }) => "wallet-newer",
            Self::State(WalletStateError::WrongChain { .. }) => "wallet-other-chain",
            Self::Config(error) => crate::cli::config_code(error),
            Self::Address { error, .. } => address_code(error),
            Self::Amount { .. } => "amount",
            Self::Build(error) => build_code(error),
            Self::Client(error) => crate::cli::client_code(error),
            Self::Genesis(_) => "chain-spec",
            Self::OtherChain { .. } => "node-other-chain",
            Self::Behind { .. } => "node-behind",
            Self::Anchor(AnchorError::CheckpointExpired { .. }) | Self::Expired(_) => "trust-expired",
            Self::Anchor(AnchorError::FromFuture { .. }) => "clock",
            Self::Anchor(AnchorError::Validators)
            | Self::Unproved(_)
            | Self::Lied { .. }
            | Self::Scan(_)
            | Self::OtherReceipt => "node-unproved",
            Self::Missing => "node-incomplete",
            Self::Fork(_) => "fork",
            Self::TooFast => "node-too-fast",
            Self::Dropped { .. } => "payment-dropped",
            Self::NotFinal { .. } => "not-final",
            Self::Offline(OfflineError::WrongChain { .. }) => "offline-other-chain",
            Self::Offline(_) => "offline-file",
            Self::Sign(_) => "signatures-missing",
            Self::NothingToSign => "nothing-to-sign",
            Self::ReceiptForm(_) => "receipt-damaged",
            Self::Receipt(ReceiptError::Anchor(AnchorError::CheckpointExpired { .. })) => "trust-expired",
            Self::Receipt(_) => "receipt-invalid",
            Self::NotOurAddress { .. } => "address-not-ours",
            Self::UnknownMasternode(_) => "masternode-unknown",
            Self::NotOurMasternode(_) => "masternode-not-ours",
        }
    }
}

impl From<KeystoreError> for WalletError {
    fn from(error: KeystoreError) -> Self {
        match error {
            KeystoreError::WrongPasswordOrDamaged => Self::Password,
            error => Self::Keystore(error),
        }
    }
}

/// The stable code of an address that cannot be used.
pub(crate) fn address_code(error: &AddressError) -> &'static str {
    match error {
        AddressError::WrongNetwork { .. } => "address-wrong-network",
        AddressError::Checksum => "address-damaged",
        AddressError::Malformed
        | AddressError::MixedCase
        | AddressError::UnknownPrefix
        | AddressError::UnknownVersion(_)
        | AddressError::Length { .. } => "address-malformed",
    }
}

fn build_code(error: &BuildError) -> &'static str {
    match error {
        BuildError::InsufficientFunds { .. } => "insufficient-funds",
        BuildError::OutputTooSmall { .. } => "amount-too-small",
        BuildError::FeeTooLow { .. } | BuildError::FeeRateTooLow { .. } => "fee-too-low",
        BuildError::MemoTooLong { .. } => "memo-too-long",
        BuildError::TooLarge { .. } => "too-many-coins",
        BuildError::Overflow => "amount",
        BuildError::OperatorKey(_) | BuildError::OperatorConsent => "operator-proof",
        BuildError::NothingToDo | BuildError::Lock(_) | BuildError::LockMismatch(_) => "internal",
    }
}
