//! What can go wrong with the wallet: the facts, and a word of the table of codes.

use timecoin_core::address::AddressError;
use timecoin_core::amount::Amount;
use timecoin_core::driver::light::ClientError;
use timecoin_core::hash::ChainId;
use timecoin_core::vote::Height;
use timecoin_core::wallet::account::GAP_LIMIT;
use timecoin_core::wallet::build::BuildError;
use timecoin_core::wallet::derive::DeriveError;
use timecoin_core::wallet::keystore::KeystoreError;
use timecoin_core::wallet::mnemonic::MnemonicError;
use timecoin_core::wallet::secret::SecretError;
use timecoin_core::wallet::sync::SyncError;

/// Why the wallet did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// There is none.
    #[error("there is no wallet in this browser")]
    Absent,
    /// There is one already.
    #[error("there is a wallet in this browser already")]
    Exists,
    /// It has to be unlocked first.
    #[error("the wallet is locked")]
    Locked,
    /// The cipher cannot tell which.
    #[error("wrong password, or the stored keys are damaged")]
    Password,
    /// A password that protects nothing.
    #[error("the password is empty")]
    PasswordEmpty,
    /// The stored keys cannot be used.
    #[error(transparent)]
    Keystore(KeystoreError),
    /// A row of the wallet is not what was written.
    #[error("the stored wallet is damaged")]
    Damaged,
    /// Newer software wrote it.
    #[error("the stored wallet is of version {found}, newer than this software")]
    Newer {
        /// Its version.
        found: u64,
    },
    /// It was made for another chain.
    #[error("the stored wallet is of chain {found}")]
    OtherChain {
        /// Its chain.
        found: ChainId,
    },
    /// What was typed are no recovery words.
    #[error(transparent)]
    Words(#[from] MnemonicError),
    /// The words typed for the backup check are not those asked for.
    #[error("at least one word is not the right one")]
    Backup,
    /// Keys cannot be derived.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// Not an address of this network.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Not an amount.
    #[error("not an amount of TIME: at most 8 decimals, more than nothing")]
    Amount,
    /// A name of a payment that is none.
    #[error("the name of a payment has 32 hexadecimal digits")]
    Name,
    /// The payment cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// No such masternode, or another's; no such address.
    #[error("there is no such masternode or owner in this wallet")]
    NotOurs,
    /// Neither registers, rotates nor retires.
    #[error("a masternode has a tier and a class")]
    Change,
    /// Coins are known only once the blocks have been looked at.
    #[error("the wallet has looked at blocks up to {scanned} of {target}")]
    NotReady {
        /// Up to, not including.
        scanned: Height,
        /// Up to this one.
        target: Height,
    },
    /// Further addresses would not be found again from the words.
    #[error("{GAP_LIMIT} addresses in a row were given out and have received nothing")]
    Gap,
    /// A label that is too long.
    #[error("a label has at most {max} characters")]
    Label {
        /// The most.
        max: usize,
    },
    /// The light client has no answer.
    #[error("{message}")]
    Client {
        /// Its code.
        code: &'static str,
        /// Its text.
        message: String,
        /// Where a peer refused something: its own word.
        reason: Option<String>,
    },
    /// The blocks do not go on where the wallet ended, or do not add up to the balance that is proved.
    #[error("{0}")]
    Scan(String),
    /// Amounts that cannot be.
    #[error("the coins are more money than can exist")]
    Overflow,
    /// The wallet's rows cannot be read or written; the store's own error says why.
    #[error("{0}")]
    Store(Box<dyn core::error::Error>),
}

impl WalletError {
    /// An error of the wallet's own store.
    pub(super) fn store<E: core::error::Error + 'static>(error: E) -> Self {
        Self::Store(Box::new(error))
    }

    /// The same again, of a wallet that cannot be opened.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Newer { found } => Self::Newer { found: *found },
            Self::OtherChain { found } => Self::OtherChain { found: *found },
            Self::Keystore(error) => Self::Keystore(*error),
            _ => Self::Damaged,
        }
    }

    /// Whether it says nothing about the wallet, but of peers that do not answer at the moment.
    pub(super) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::NotReady { .. }
                | Self::Client {
                    code: "no_peers" | "unproved" | "not_found" | "not_yet" | "not_final" | "too_fast",
                    ..
                }
        )
    }

    /// A stable word: one of the table's, which has the advice.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Absent => "no_wallet",
            Self::Exists => "wallet_exists",
            Self::Locked => "wallet_locked",
            Self::Password => "wrong_password",
            Self::PasswordEmpty => "password_empty",
            Self::Keystore(KeystoreError::OutOfMemory { .. }) => "out_of_memory",
            Self::Keystore(_) | Self::Damaged | Self::Overflow => "wallet_damaged",
            Self::Newer { .. } => "wallet_newer",
            Self::OtherChain { .. } => "wallet_other_chain",
            Self::Words(_) => "recovery_words",
            Self::Backup => "backup_words",
            Self::Derive(_) => "internal",
            Self::Address(_) => "bad_address",
            Self::Amount => "amount",
            Self::Name | Self::Change => "bad_request",
            Self::NotOurs => "not_found",
            Self::Build(error) => build_code(error),
            Self::NotReady { .. } => "wallet_not_ready",
            Self::Gap => "address_gap",
            Self::Label { .. } => "label",
            Self::Client { code: "store", .. } => "store-failed",
            Self::Client { code, .. } => code,
            Self::Scan(_) => "wallet_scan",
            Self::Store(_) => "store-failed",
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

impl From<SecretError> for WalletError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Keystore(error) => error.into(),
            SecretError::Content => Self::Damaged,
        }
    }
}

impl<E: core::fmt::Display> From<ClientError<E>> for WalletError {
    fn from(error: ClientError<E>) -> Self {
        let (code, message) = (error.code(), error.to_string());
        let reason = match error {
            ClientError::Refused(refusal) => Some(refusal.code),
            _ => None,
        };
        Self::Client { code, message, reason }
    }
}

impl<E: core::fmt::Display> From<SyncError<E, Self>> for WalletError {
    fn from(error: SyncError<E, Self>) -> Self {
        match error {
            SyncError::Client(error) => error.into(),
            SyncError::Keys(error) => error,
            // The head is stored before it is used, so it is only behind where its rows were lost: it comes back.
            SyncError::Behind { verified: target, scanned } => Self::NotReady { scanned, target },
            SyncError::TooFast => ClientError::<E>::TooFast.into(),
            SyncError::Overflow => Self::Overflow,
            SyncError::Scan(_) | SyncError::Disagree { .. } => Self::Scan(error.to_string()),
        }
    }
}

fn build_code(error: &BuildError) -> &'static str {
    match error {
        BuildError::InsufficientFunds { .. } => "insufficient_funds",
        BuildError::OutputTooSmall { .. } => "amount_too_small",
        BuildError::FeeTooLow { .. } | BuildError::FeeRateTooLow { .. } => "fee_too_low",
        BuildError::MemoTooLong { .. } => "memo_too_long",
        BuildError::TooLarge { .. } => "too_many_coins",
        BuildError::Overflow => "amount",
        BuildError::OperatorKey(_) | BuildError::OperatorConsent => "operator_consent",
        BuildError::NothingToDo | BuildError::Lock(_) | BuildError::LockMismatch(_) => "internal",
    }
}

/// An amount as a page writes it: more than nothing.
pub(super) fn amount(text: &str) -> Result<Amount, WalletError> {
    text.parse().ok().filter(|amount| *amount > Amount::ZERO).ok_or(WalletError::Amount)
}
