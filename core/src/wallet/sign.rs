//! Signing: alone with every key, or k of n in any order and place, merged into one transaction.
//!
//! A signature is checked before it is taken, so what is complete is valid.

use std::collections::BTreeMap;

use super::build::Unsigned;
use super::map_of;
use crate::hash::Owner;
use crate::keys::{PublicKey, SecretKey, Signature, verify};
use crate::lock::{KeySignature, Lock, Witness};
use crate::transaction::SignedTransaction;

/// Why signatures do not make a signed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Not enough keys have signed yet.
    #[error("owner {owner} needs {required} signatures and has {found}")]
    Incomplete {
        /// Whose lock is still closed.
        owner: Owner,
        /// Signatures present.
        found: usize,
        /// Signatures required.
        required: usize,
    },
    /// The signatures to merge are for another transaction, other coins or another chain.
    #[error("these signatures are for another transaction")]
    OtherTransaction,
    /// The owner does not spend here, or the lock has no such key.
    #[error("no lock of owner {owner} here has a key at position {position}")]
    UnknownKey {
        /// The owner named.
        owner: Owner,
        /// Position of the key in its lock.
        position: u8,
    },
    /// The signature is not this key's over this transaction.
    #[error("invalid signature by {0}")]
    Invalid(PublicKey),
}

/// A transaction on its way from hand to hand. Invariant: every signature in it is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartiallySigned {
    unsigned: Unsigned,
    signatures: BTreeMap<(Owner, u8), Signature>,
}

impl Unsigned {
    /// Signs with keys that open every lock.
    pub fn sign(self, keys: &[SecretKey]) -> Result<SignedTransaction, SignError> {
        let mut signing = PartiallySigned::from(self);
        signing.sign(keys);
        signing.finish()
    }
}

impl From<Unsigned> for PartiallySigned {
    fn from(unsigned: Unsigned) -> Self {
        Self { unsigned, signatures: BTreeMap::new() }
    }
}

impl PartiallySigned {
    /// What is being signed.
    #[must_use]
    pub fn unsigned(&self) -> &Unsigned {
        &self.unsigned
    }

    /// The signatures so far, by owner and position of the key in the owner's lock.
    pub fn signatures(&self) -> impl Iterator<Item = (Owner, KeySignature)> {
        self.signatures
            .iter()
            .map(|((owner, key), signature)| (*owner, KeySignature { key: *key, signature: *signature }))
    }

    fn message(&self) -> [u8; 32] {
        let Unsigned { chain, transaction, spent, .. } = &self.unsigned;
        transaction.sighash(chain, spent).0
    }

    /// Signs wherever one of the keys is called for; returns how many signatures that added.
    pub fn sign(&mut self, keys: &[SecretKey]) -> usize {
        let (message, before) = (self.message(), self.signatures.len());
        let keys = map_of(keys.iter().map(|key| (key.public_key(), key)));
        for (owner, lock) in &self.unsigned.locks {
            for (position, key) in (0..).zip(lock.keys()) {
                if let Some(key) = keys.get(key) {
                    self.signatures.entry((*owner, position)).or_insert_with(|| key.sign(&message));
                }
            }
        }
        self.signatures.len() - before
    }

    /// Takes a signature made elsewhere.
    pub fn insert(&mut self, owner: Owner, signed: KeySignature) -> Result<(), SignError> {
        let KeySignature { key: position, signature } = signed;
        let lock = self.unsigned.locks.get(&owner);
        let key = lock.and_then(|lock| lock.keys().get(usize::from(position)));
        let key = key.ok_or(SignError::UnknownKey { owner, position })?;
        if !verify(key, &self.message(), &signature) {
            return Err(SignError::Invalid(*key));
        }
        self.signatures.insert((owner, position), signature);
        Ok(())
    }

    /// Takes over the signatures of another copy of the same transaction.
    pub fn merge(&mut self, other: Self) -> Result<(), SignError> {
        let told = |unsigned: &Unsigned| (unsigned.chain, unsigned.spent.clone(), unsigned.locks.clone());
        let (ours, theirs) = (&self.unsigned, &other.unsigned);
        if ours.transaction != theirs.transaction || told(ours) != told(theirs) {
            return Err(SignError::OtherTransaction);
        }
        self.signatures.extend(other.signatures);
        Ok(())
    }

    fn found(&self, owner: &Owner) -> Vec<KeySignature> {
        let range = (*owner, 0)..=(*owner, u8::MAX);
        self.signatures
            .range(range)
            .map(|((_, key), at)| KeySignature { key: *key, signature: *at })
            .collect()
    }

    /// The locks still closed: owner, signatures present, signatures required.
    pub fn missing(&self) -> impl Iterator<Item = (Owner, usize, usize)> {
        self.unsigned.locks.iter().filter_map(|(owner, lock)| {
            let (found, required) = (self.found(owner).len(), lock.required());
            (found < required).then_some((*owner, found, required))
        })
    }

    /// The signed transaction, once every lock is open. Signatures beyond the required number are left out.
    pub fn finish(&self) -> Result<SignedTransaction, SignError> {
        if let Some((owner, found, required)) = self.missing().next() {
            return Err(SignError::Incomplete { owner, found, required });
        }
        let witness = |(owner, lock): (&Owner, &Lock)| {
            let mut signatures = self.found(owner);
            signatures.truncate(lock.required());
            Witness { lock: lock.clone(), signatures }
        };
        let Unsigned { transaction, spent, locks, .. } = &self.unsigned;
        Ok(SignedTransaction {
            transaction: transaction.clone(),
            spent: spent.clone(),
            witnesses: locks.iter().map(witness).collect(),
        })
    }
}
