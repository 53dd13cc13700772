//! A signed transaction encoded once, for everything that is the hash of a part of it.

use super::SignedTransaction;
use crate::codec::encode_into;

/// The encoding of a signed transaction, whose parts are hashed one by one.
pub(super) struct Encoded {
    bytes: Vec<u8>,
    spent: usize,
    witnesses: usize,
}

impl Encoded {
    pub(super) fn of(signed: &SignedTransaction) -> Self {
        let SignedTransaction { transaction, spent, witnesses } = signed;
        let mut bytes = Vec::with_capacity(512);
        encode_into(transaction, &mut bytes);
        let spent_at = bytes.len();
        encode_into(spent, &mut bytes);
        let witnesses_at = bytes.len();
        encode_into(witnesses, &mut bytes);
        Self { bytes, spent: spent_at, witnesses: witnesses_at }
    }

    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn transaction(&self) -> &[u8] {
        &self.bytes[..self.spent]
    }

    pub(super) fn spent(&self) -> &[u8] {
        &self.bytes[self.spent..self.witnesses]
    }

    /// All but the transaction.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.spent..]
    }
}
