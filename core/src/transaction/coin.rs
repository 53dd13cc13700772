//! Coins and their names.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::hash::{Owner, TxId};

/// Names a coin: the transaction that made it and the position among its outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutPoint {
    /// The transaction.
    pub txid: TxId,
    /// Position among its outputs.
    pub index: u32,
}

impl fmt::Display for OutPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.txid, self.index)
    }
}

impl OutPoint {
    /// The 36 canonical bytes: txid, then index little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..32].copy_from_slice(self.txid.as_bytes());
        bytes[32..].copy_from_slice(&self.index.to_le_bytes());
        bytes
    }
}

/// A coin: an amount and who owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Output {
    /// How much.
    pub amount: Amount,
    /// Whose.
    pub owner: Owner,
}
