//! Signing on a machine that is never connected: the file that goes there and comes back.
//!
//! The file carries the transaction, the coins it claims to spend, the locks to open, where the keys are derived, and
//! the signatures so far. The signer believes none of it. Claims must agree with each other to be read at all,
//! [`OfflineFile::review`] says who is paid how much, and a lie about a coin's amount or owner changes the sighash,
//! so such a signature is worthless. Whether the coins exist only the chain knows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::build::Unsigned;
use super::derive::{ExtendedKey, Path};
use super::sign::{PartiallySigned, SignError};
use crate::address::{Address, Network};
use crate::amount::Amount;
use crate::codec::{decode, encode};
use crate::hash::{ChainId, Owner, hex_to_vec, to_hex};
use crate::keys::{PublicKey, SecretKey, Signature};
use crate::lock::{KeySignature, Lock, LockError};
use crate::time::Time;
use crate::transaction::{Action, Output, SignedTransaction, TRANSACTION_VERSION};

const VERSION: u32 = 1;
/// Larger files are refused unread.
const FILE_SIZE_MAX: usize = 1 << 20;
/// More hints than any transaction has use for would only cost time.
const HINTS_MAX: usize = 4096;

/// Why an offline file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfflineError {
    /// Not an offline file, or damaged.
    #[error("not a file for offline signing, or damaged: export it again")]
    Malformed,
    /// Written by newer software.
    #[error("offline file version {found} is newer than this software: use a newer program")]
    UnsupportedVersion {
        /// The file's version.
        found: u64,
    },
    /// For another chain than the signer's.
    #[error(
        "a transaction of chain {found}, where this wallet is on chain {expected}: use that chain's wallet"
    )]
    WrongChain {
        /// The signer's chain.
        expected: ChainId,
        /// The file's chain.
        found: ChainId,
    },
    /// The coins claimed are not as many as the inputs, or a coin is named twice, or there is none.
    #[error("the file's coins do not match the transaction's inputs: export it again")]
    Coins,
    /// The transaction would make more than it spends, or more money than can exist.
    #[error("the transaction makes more than its coins are worth: export it again")]
    Sums,
    /// The locks are not exactly those of the coins' owners (and of the masternode's owner).
    #[error("the file's locks are not those of the coins' owners: export it again")]
    Locks,
    /// A lock is not canonical.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A signature in the file is refused.
    #[error(transparent)]
    Signature(#[from] SignError),
}

/// Where a key is derived from the signer's seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The key.
    pub key: PublicKey,
    /// Its path.
    pub path: Path,
}

/// A transaction on its way to be signed, as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfflineFile {
    /// How to write addresses.
    pub network: Network,
    /// The transaction and its signatures so far.
    pub signing: PartiallySigned,
    /// Where to find the keys.
    pub hints: Vec<Hint>,
}

/// One output, for a person to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Payment {
    /// Who is paid.
    pub to: String,
    /// How much.
    pub amount: Amount,
    /// Whether that is one of the owners said to be the signer's own, such as change.
    pub own: bool,
}

/// What a signature would agree to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Review {
    /// Every output.
    pub payments: Vec<Payment>,
    /// What the coins are claimed to be worth.
    pub spent: Amount,
    /// What leaves the signer's owners, fee included: nothing where more comes in.
    pub leaves: Amount,
    /// The fee, exactly.
    pub fee: Amount,
    /// What else it does.
    pub action: Action,
    /// Last moment it can enter the chain.
    pub expires_at: Time,
    /// The memo in hexadecimal.
    pub memo: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    network: Network,
    chain: ChainId,
    /// Canonical bytes of the signed form without witnesses: the transaction and the coins spent.
    transaction: String,
    locks: Vec<Lock>,
    #[serde(default)]
    hints: Vec<FileHint>,
    #[serde(default)]
    signatures: Vec<FileSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileHint {
    key: PublicKey,
    path: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSignature {
    owner: Owner,
    key: u8,
    signature: Signature,
}

impl OfflineFile {
    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Unsigned { chain, transaction, spent, locks, .. } = self.signing.unsigned();
        let bare = SignedTransaction {
            transaction: transaction.clone(),
            spent: spent.clone(),
            witnesses: Vec::new(),
        };
        let hint = |hint: &Hint| FileHint { key: hint.key, path: hint.path.to_string() };
        let file = File {
            version: VERSION,
            network: self.network,
            chain: *chain,
            transaction: to_hex(&encode(&bare)),
            locks: locks.values().cloned().collect(),
            hints: self.hints.iter().map(hint).collect(),
            signatures: self
                .signing
                .signatures()
                .map(|(owner, KeySignature { key, signature })| FileSignature { owner, key, signature })
                .collect(),
        };
        serde_json::to_string_pretty(&file).expect("strings and numbers are JSON")
    }

    /// Reads a file's text and checks that its claims agree with each other.
    pub fn from_json(text: &str) -> Result<Self, OfflineError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        if text.len() > FILE_SIZE_MAX {
            return Err(OfflineError::Malformed);
        }
        let Versioned { version: found } = serde_json::from_str(text).map_err(|_| OfflineError::Malformed)?;
        if found != u64::from(VERSION) {
            return Err(OfflineError::UnsupportedVersion { found });
        }
        let file: File = serde_json::from_str(text).map_err(|_| OfflineError::Malformed)?;
        let bytes = hex_to_vec(&file.transaction).ok_or(OfflineError::Malformed)?;
        let bare: SignedTransaction = decode(&bytes).map_err(|_| OfflineError::Malformed)?;
        if !bare.witnesses.is_empty() || file.hints.len() > HINTS_MAX {
            return Err(OfflineError::Malformed);
        }
        let hint = |hint: FileHint| {
            let path = hint.path.parse().map_err(|_| OfflineError::Malformed)?;
            Ok(Hint { key: hint.key, path })
        };
        let hints = file.hints.into_iter().map(hint).collect::<Result<_, OfflineError>>()?;
        let mut signing = PartiallySigned::from(checked(file.chain, bare, file.locks)?);
        for FileSignature { owner, key, signature } in file.signatures {
            signing.insert(owner, KeySignature { key, signature })?;
        }
        Ok(Self { network: file.network, signing, hints })
    }

    /// Refuses a file for another chain than the signer's.
    pub fn check_chain(&self, expected: ChainId) -> Result<(), OfflineError> {
        let found = self.signing.unsigned().chain;
        if found == expected { Ok(()) } else { Err(OfflineError::WrongChain { expected, found }) }
    }

    /// What a signature would agree to. `own` are the signer's owners.
    #[must_use]
    pub fn review(&self, own: &BTreeSet<Owner>) -> Review {
        let Unsigned { transaction, spent, fee, .. } = self.signing.unsigned();
        let sum = |outputs: &[Output], all: bool| {
            let counted = outputs.iter().filter(|output| all || own.contains(&output.owner));
            Amount::checked_sum(counted.map(|output| output.amount)).expect("sums were checked when read")
        };
        let address = |owner| Address { network: self.network, owner }.to_string();
        let payment = |output: &Output| Payment {
            to: address(output.owner),
            amount: output.amount,
            own: own.contains(&output.owner),
        };
        let leaves = sum(spent, false).checked_sub(sum(&transaction.outputs, false));
        Review {
            payments: transaction.outputs.iter().map(payment).collect(),
            spent: sum(spent, true),
            leaves: leaves.unwrap_or_default(),
            fee: *fee,
            action: transaction.action.clone(),
            expires_at: transaction.expires_at,
            memo: to_hex(&transaction.memo),
        }
    }

    /// The keys the hints lead to. A hint that leads elsewhere is ignored: it says nothing about the transaction.
    #[must_use]
    pub fn keys(&self, seed: &[u8]) -> Vec<SecretKey> {
        let key = |hint: &Hint| {
            let key = ExtendedKey::derive(seed, &hint.path).ok()?.secret_key();
            (key.public_key() == hint.key).then_some(key)
        };
        let wanted: BTreeSet<_> =
            self.signing.unsigned().locks.values().flat_map(Lock::keys).copied().collect();
        self.hints.iter().filter(|hint| wanted.contains(&hint.key)).filter_map(key).collect()
    }
}

/// Checks everything a transaction's form promises before its coins are looked up.
fn checked(chain: ChainId, bare: SignedTransaction, locks: Vec<Lock>) -> Result<Unsigned, OfflineError> {
    let SignedTransaction { transaction, spent, .. } = bare;
    let inputs: BTreeSet<_> = transaction.inputs.iter().collect();
    if inputs.is_empty() || inputs.len() != transaction.inputs.len() || inputs.len() != spent.len() {
        return Err(OfflineError::Coins);
    }
    if transaction.version != TRANSACTION_VERSION || transaction.outputs.is_empty() {
        return Err(OfflineError::Malformed);
    }
    let sum = |outputs: &[Output]| {
        Amount::checked_sum(outputs.iter().map(|output| output.amount)).ok_or(OfflineError::Sums)
    };
    let fee = sum(&spent)?.checked_sub(sum(&transaction.outputs)?).ok_or(OfflineError::Sums)?;
    locks.iter().try_for_each(Lock::check)?;
    let count = locks.len();
    let locks: BTreeMap<_, _> = locks.into_iter().map(|lock| (lock.owner(), lock)).collect();
    let owners: BTreeSet<_> = spent.iter().map(|coin| coin.owner).collect();
    let extra = match transaction.action {
        Action::RetireMasternode { .. } | Action::RotateOperator { .. } => 1,
        Action::Transfer | Action::RegisterMasternode { .. } => 0,
        Action::Reward { .. } => return Err(OfflineError::Malformed),
    };
    let exact = count == locks.len() && locks.len() <= owners.len() + extra;
    if !exact || !owners.iter().all(|owner| locks.contains_key(owner)) {
        return Err(OfflineError::Locks);
    }
    Ok(Unsigned { chain, transaction, spent, locks, fee, change: None })
}

#[cfg(test)]
mod tests;
