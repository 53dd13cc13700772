//! Packed bytes of rows and proofs: a reader that cannot run past the end, and the short form of a summary.
//!
//! A summary is one byte `1ssssccc` (bytes of the sum, bytes of the count less one), the hash, then sum and
//! count little-endian without leading zeros. Only the shortest form is accepted, so no value has two forms.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::coin::Coin;
use super::node::Summary;
use crate::amount::Amount;
use crate::hash::{Hash, Owner, TxId, hex_to_vec, to_hex};
use crate::transaction::{OutPoint, Output};

/// Set in the first byte of a summary, and in no other marker.
pub(super) const SUMMARY_MARK: u8 = 0x80;

/// Reads from the front.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn owner(&mut self) -> Option<Owner> {
        self.array().map(|bytes| Owner(Hash(bytes)))
    }

    /// An outpoint and an amount.
    pub(super) fn coin(&mut self) -> Option<(OutPoint, Amount)> {
        let txid = TxId(Hash(self.array()?));
        let index = u32::from_le_bytes(self.array()?);
        let amount = Amount(u64::from_le_bytes(self.array()?));
        Some((OutPoint { txid, index }, amount))
    }

    /// The rest of a summary after its first byte. Nothing holds no coins: a stub has at least one.
    pub(super) fn summary(&mut self, mark: u8) -> Option<Summary> {
        let (sum_size, count_size) = (usize::from(mark >> 3 & 0x0F), usize::from(mark & 0x07) + 1);
        if mark & SUMMARY_MARK == 0 {
            return None;
        }
        let hash = Hash(self.array()?);
        let sum = Amount(self.short(sum_size)?);
        let count = self.short(count_size).filter(|count| *count > 0)?;
        Some(Summary { hash, sum, count })
    }

    fn short(&mut self, size: usize) -> Option<u64> {
        let bytes = self.take(size)?;
        if bytes.last() == Some(&0) {
            return None;
        }
        let mut full = [0; 8];
        full.get_mut(..size)?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(full))
    }

    pub(super) const fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes the short form of a summary that is not empty.
pub(super) fn write_summary(out: &mut Vec<u8>, summary: &Summary) {
    let size = |value: u64| (64 - value.leading_zeros()).div_ceil(8);
    let (sum_size, count_size) = (size(summary.sum.0), size(summary.count).max(1));
    out.push(SUMMARY_MARK | (sum_size << 3) as u8 | (count_size - 1) as u8);
    out.extend_from_slice(&summary.hash.0);
    let (sum, count) = (summary.sum.0.to_le_bytes(), summary.count.to_le_bytes());
    out.extend_from_slice(sum.split_at(sum_size as usize).0);
    out.extend_from_slice(count.split_at(count_size as usize).0);
}

/// Writes an outpoint and an amount.
pub(super) fn write_coin(out: &mut Vec<u8>, outpoint: &OutPoint, amount: Amount) {
    out.extend_from_slice(&outpoint.to_bytes());
    out.extend_from_slice(&amount.0.to_le_bytes());
}

/// Writes coins, each run of one owner's as owner, number, coins; gives the number of runs.
pub(super) fn write_coins(out: &mut Vec<u8>, coins: &[&Coin]) -> u16 {
    let mut runs = 0;
    for run in coins.chunk_by(|a, b| a.id.key == b.id.key) {
        let number = u16::try_from(run.len()).expect("rows and chunks hold at most 32,768 coins");
        let Some(first) = run.first() else { continue };
        out.extend_from_slice(first.id.owner.as_bytes());
        out.extend_from_slice(&number.to_le_bytes());
        run.iter().for_each(|coin| write_coin(out, &coin.outpoint, coin.amount));
        runs += 1;
    }
    runs
}

/// Reads one run of coins. That all are in order is for whoever builds a tree of them to check.
pub(super) fn read_run(reader: &mut Reader<'_>, coins: &mut Vec<(OutPoint, Output)>) -> Option<()> {
    let owner = reader.owner()?;
    let number = reader.u16().filter(|number| *number > 0)?;
    for _ in 0..number {
        let (outpoint, amount) = reader.coin()?;
        coins.push((outpoint, Output { amount, owner }));
    }
    Some(())
}

/// Bytes with a form of their own: bytes on the wire, hexadecimal in text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packed(pub(super) Vec<u8>);

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&to_hex(&self.0))
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            hex_to_vec(&text).map(Self).ok_or_else(|| D::Error::custom("expected hexadecimal digits"))
        } else {
            Vec::deserialize(deserializer).map(Self)
        }
    }
}
