//! Locks: what must be shown to spend a coin. An owner is the hash of a lock, revealed on spending.

use serde::{Deserialize, Serialize};

use crate::codec::encode;
use crate::hash::{Owner, Tag};
use crate::keys::{KeyError, PublicKey, Signature};

/// Most keys a threshold lock may name.
pub const LOCK_KEYS_MAX: usize = 16;

/// The condition for spending a coin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lock {
    /// One key signs.
    Key(PublicKey),
    /// Any `required` of `keys` sign.
    Threshold {
        /// How many must sign, 1 to the number of keys.
        required: u8,
        /// Two to [`LOCK_KEYS_MAX`] keys, strictly ascending.
        keys: Vec<PublicKey>,
    },
}

/// Why a lock or its opening is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// A key may not enter the state.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A threshold lock with fewer than two or too many keys.
    #[error("a threshold lock has 2 to {LOCK_KEYS_MAX} keys, not {0}")]
    KeyCount(usize),
    /// Keys are not strictly ascending.
    #[error("the keys of a threshold lock must be strictly ascending")]
    KeyOrder,
    /// Zero signatures required, or more than there are keys.
    #[error("{required} signatures required of {keys} keys")]
    Required {
        /// Signatures required.
        required: u8,
        /// Keys named.
        keys: usize,
    },
    /// Too few or too many signatures.
    #[error("{found} signatures where exactly {required} are required")]
    SignatureCount {
        /// Signatures present.
        found: usize,
        /// Signatures required.
        required: usize,
    },
    /// Signatures name positions out of range or not strictly ascending.
    #[error("signature positions must be strictly ascending and within the lock")]
    SignatureOrder,
}

impl Lock {
    const OWNER: Tag = Tag::new("timecoin owner");

    /// The owner this lock defines.
    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner(Self::OWNER.hash(&[&encode(self)]))
    }

    /// The keys, in order.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        match self {
            Self::Key(key) => core::slice::from_ref(key),
            Self::Threshold { keys, .. } => keys,
        }
    }

    /// How many signatures spend.
    #[must_use]
    pub fn required(&self) -> usize {
        match self {
            Self::Key(_) => 1,
            Self::Threshold { required, .. } => usize::from(*required),
        }
    }

    /// Whether the lock has its one canonical form and sound keys.
    pub fn check(&self) -> Result<(), LockError> {
        self.check_list()?;
        Ok(self.keys().iter().try_for_each(PublicKey::check)?)
    }

    fn check_list(&self) -> Result<(), LockError> {
        let Self::Threshold { required, keys } = self else { return Ok(()) };
        if !(2..=LOCK_KEYS_MAX).contains(&keys.len()) {
            return Err(LockError::KeyCount(keys.len()));
        }
        if !keys.is_sorted_by(|one, two| one < two) {
            return Err(LockError::KeyOrder);
        }
        if *required == 0 || usize::from(*required) > keys.len() {
            return Err(LockError::Required { required: *required, keys: keys.len() });
        }
        Ok(())
    }
}

/// One signature of a witness, by the position of its key in the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySignature {
    /// Position in [`Lock::keys`].
    pub key: u8,
    /// Over the transaction's sighash.
    pub signature: Signature,
}

/// Opens one lock: serves every input of the same owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// The lock whose hash is the owner.
    pub lock: Lock,
    /// Exactly the required number, strictly ascending by key position.
    pub signatures: Vec<KeySignature>,
}

impl Witness {
    /// Checks form only and returns who must have signed; the signatures themselves are checked in batches. They
    /// must be: until then the signers' keys are not known to be keys.
    pub fn signers(&self) -> Result<Vec<(PublicKey, Signature)>, LockError> {
        self.lock.check_list()?;
        for (at, key) in self.lock.keys().iter().enumerate() {
            // Verifying its signature shows that a key is a point.
            let signs = self.signatures.iter().any(|signed| usize::from(signed.key) == at);
            if signs { key.check_encoding() } else { key.check() }?;
        }
        let required = self.lock.required();
        if self.signatures.len() != required {
            return Err(LockError::SignatureCount { found: self.signatures.len(), required });
        }
        if !self.signatures.is_sorted_by(|one, two| one.key < two.key) {
            return Err(LockError::SignatureOrder);
        }
        let key = |at: u8| self.lock.keys().get(usize::from(at)).copied().ok_or(LockError::SignatureOrder);
        self.signatures.iter().map(|signed| Ok((key(signed.key)?, signed.signature))).collect()
    }
}
