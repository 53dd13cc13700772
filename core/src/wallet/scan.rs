//! Scanning: from verified headers, filters and the few blocks that matter to what happened to our coins.
//!
//! Nobody learns which owners are ours: a filter is fetched for every block, and a block only where its filter
//! matches. The scanner takes heights strictly in order and checks that each filter and body is the one its header
//! commits to and each header the child of the one before, so within [`Coverage`] nothing is missing, provided
//! the headers are final. That is for the caller to verify; below a certificate nothing is ever undone.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::set_of;
use crate::amount::Amount;
use crate::block::{Block, Header};
use crate::filter::{Filter, FilterError};
use crate::hash::{BlockId, MasternodeId, Owner, TxId, to_hex};
use crate::time::Time;
use crate::transaction::{Action, OutPoint, Output, SignedTransaction};
use crate::vote::Height;

/// The blocks looked at: from `start` up to, not including, `next`, without a hole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// The first height.
    pub start: Height,
    /// The first height not yet looked at.
    pub next: Height,
    /// The block before `next`, where one was looked at.
    pub tip: Option<BlockId>,
    /// Header time of that block, zero where none was looked at: what the chain's clock says of the coins known.
    #[serde(default)]
    pub time: Time,
}

impl Coverage {
    /// Nothing yet, to begin at `start`.
    #[must_use]
    pub const fn starting_at(start: Height) -> Self {
        Self { start, next: start, tip: None, time: Time(0) }
    }
}

/// What a filter says to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The block does not touch our owners: its height is done.
    Skip,
    /// The block may: fetch it and hand it to [`Scanner::on_block`].
    Block,
}

/// Why a header, filter or block was not taken. The scanner is unchanged; ask another peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Another height is due.
    #[error("block {found} where block {expected} is due")]
    Height {
        /// The height due.
        expected: Height,
        /// The height given.
        found: Height,
    },
    /// Not a child of the block before.
    #[error("block {height} does not follow the block scanned before it")]
    Parent {
        /// Its height.
        height: Height,
    },
    /// The filter is not the one the header commits to.
    #[error("the filter of block {height} is not the one its header commits to")]
    FilterMismatch {
        /// Its height.
        height: Height,
    },
    /// The header commits to something that is no filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Not the block whose filter matched.
    #[error("another block {height} than the one whose filter matched")]
    OtherBlock {
        /// Its height.
        height: Height,
    },
    /// The body is not the one the header commits to.
    #[error("the transactions of block {height} are not those its header commits to")]
    BodyMismatch {
        /// Its height.
        height: Height,
    },
    /// Amounts that cannot be.
    #[error("the amounts of block {height} are more money than can exist")]
    Overflow {
        /// Its height.
        height: Height,
    },
}

/// What a transaction was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A payment.
    Transfer,
    /// Coins made by the rules: rewards, and the coins of genesis.
    Reward,
    /// A masternode was registered; output 0 is its collateral.
    RegisterMasternode,
    /// A masternode was retired.
    RetireMasternode(MasternodeId),
    /// A masternode got another operator key.
    RotateOperator(MasternodeId),
}

/// A transaction that touched our owners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryEntry {
    /// Its block.
    pub height: Height,
    /// Its position in the block.
    pub position: u32,
    /// Its id.
    pub txid: TxId,
    /// Header time of the block.
    pub time: Time,
    /// What it was about.
    pub kind: EntryKind,
    /// What our owners got.
    pub received: Amount,
    /// What our coins spent were worth.
    pub spent: Amount,
    /// The fee, where we alone paid it.
    pub fee: Option<Amount>,
    /// Whom we paid: the outputs that are not ours, where we spent.
    pub paid: Vec<Output>,
    /// The memo in hexadecimal.
    pub memo: String,
}

/// What one block did to our coins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSet {
    /// The block's height.
    pub height: Height,
    /// Its header time.
    pub time: Time,
    /// Coins we got, some perhaps spent again in the same block.
    pub received: Vec<(OutPoint, Output)>,
    /// Coins of ours that were spent.
    pub spent: Vec<OutPoint>,
    /// Coins we got that are collateral.
    pub collateral: Vec<OutPoint>,
    /// Masternodes retired by transactions of ours.
    pub retired: Vec<MasternodeId>,
    /// The transactions, in order.
    pub history: Vec<HistoryEntry>,
    /// What is covered with this block.
    pub coverage: Coverage,
}

/// Walks the chain for a set of owners.
#[derive(Clone, Debug)]
pub struct Scanner {
    owners: BTreeSet<Owner>,
    coverage: Coverage,
    /// The block at `coverage.next`, once its filter matched.
    awaited: Option<BlockId>,
}

impl Scanner {
    /// Goes on from what is covered for all these owners.
    #[must_use]
    pub fn new(owners: impl IntoIterator<Item = Owner>, coverage: Coverage) -> Self {
        Self { owners: set_of(owners), coverage, awaited: None }
    }

    /// What is covered.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// The height due.
    #[must_use]
    pub fn next_height(&self) -> Height {
        self.coverage.next
    }

    /// How many owners are watched.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.owners.len()
    }

    /// Watches more owners, whose first coin may be in block `from`: scanning goes on there if that is behind.
    /// Seeing a block again does no harm.
    pub fn watch(&mut self, owners: impl IntoIterator<Item = Owner>, from: Height) {
        self.owners.extend(owners);
        self.awaited = None;
        if from < self.coverage.next {
            let start = self.coverage.start.min(from);
            self.coverage = Coverage { next: from, ..Coverage::starting_at(start) };
        }
    }

    /// Judges the next block by its filter.
    pub fn on_filter(&mut self, header: &Header, filter: &Filter) -> Result<Need, ScanError> {
        self.check_place(header)?;
        let height = header.height;
        if filter.hash() != header.filter_hash {
            return Err(ScanError::FilterMismatch { height });
        }
        let owners: Vec<_> = self.owners.iter().copied().collect();
        if filter.matches_any(header.filter_key(), &owners)? {
            self.awaited = Some(header.id());
            Ok(Need::Block)
        } else {
            self.advance(header);
            Ok(Need::Skip)
        }
    }

    /// Takes the next block: the one whose filter matched, or any block where filters are not used.
    pub fn on_block(&mut self, block: &Block) -> Result<ChangeSet, ScanError> {
        let Block { header, body } = block;
        self.check_place(header)?;
        let height = header.height;
        if self.awaited.is_some_and(|awaited| awaited != header.id()) {
            return Err(ScanError::OtherBlock { height });
        }
        if body.transactions_root() != header.transactions_root {
            return Err(ScanError::BodyMismatch { height });
        }
        let mut changes = ChangeSet {
            height,
            time: header.time,
            received: Vec::new(),
            spent: Vec::new(),
            collateral: Vec::new(),
            retired: Vec::new(),
            history: Vec::new(),
            coverage: self.coverage,
        };
        for (position, signed) in (0..).zip(&body.transactions) {
            let read = changes.read(&self.owners, position, signed);
            read.ok_or(ScanError::Overflow { height })?;
        }
        self.advance(header);
        changes.coverage = self.coverage;
        Ok(changes)
    }

    fn check_place(&self, header: &Header) -> Result<(), ScanError> {
        let Coverage { next: expected, tip, .. } = self.coverage;
        if header.height != expected {
            return Err(ScanError::Height { expected, found: header.height });
        }
        match tip {
            Some(tip) if tip != header.parent => Err(ScanError::Parent { height: header.height }),
            _ => Ok(()),
        }
    }

    fn advance(&mut self, header: &Header) {
        self.coverage.next = header.height.next();
        self.coverage.tip = Some(header.id());
        self.coverage.time = header.time;
        self.awaited = None;
    }
}

impl ChangeSet {
    /// Reads one transaction; `None` where its amounts cannot be.
    fn read(&mut self, owners: &BTreeSet<Owner>, position: u32, signed: &SignedTransaction) -> Option<()> {
        let transaction = &signed.transaction;
        let ours = |output: &Output| owners.contains(&output.owner);
        let sum = |outputs: &[Output], all: bool| {
            let counted = outputs.iter().filter(|output| all || ours(output));
            Amount::checked_sum(counted.map(|output| output.amount))
        };
        if !signed.spent.iter().chain(&transaction.outputs).any(ours) {
            return Some(());
        }
        let txid = transaction.id();
        let inputs = transaction.inputs.iter().zip(&signed.spent);
        self.spent.extend(inputs.filter(|(_, coin)| ours(coin)).map(|(outpoint, _)| *outpoint));
        let made = (0..).zip(&transaction.outputs).filter(|(_, output)| ours(output));
        self.received.extend(made.map(|(index, output)| (OutPoint { txid, index }, *output)));
        let kind = match transaction.action {
            Action::Transfer => EntryKind::Transfer,
            Action::Reward { .. } => EntryKind::Reward,
            Action::RegisterMasternode { .. } => {
                self.collateral.extend(
                    transaction
                        .outputs
                        .first()
                        .filter(|first| ours(first))
                        .map(|_| OutPoint { txid, index: 0 }),
                );
                EntryKind::RegisterMasternode
            }
            Action::RetireMasternode { masternode } => {
                self.retired.push(masternode);
                EntryKind::RetireMasternode(masternode)
            }
            Action::RotateOperator { masternode, .. } => EntryKind::RotateOperator(masternode),
        };
        let (received, spent) = (sum(&transaction.outputs, false)?, sum(&signed.spent, false)?);
        let alone = !signed.spent.is_empty() && signed.spent.iter().all(ours);
        let fee = sum(&signed.spent, true)?.checked_sub(sum(&transaction.outputs, true)?);
        let others = transaction.outputs.iter().filter(|output| spent > Amount::ZERO && !ours(output));
        self.history.push(HistoryEntry {
            height: self.height,
            position,
            txid,
            time: self.time,
            kind,
            received,
            spent,
            fee: fee.filter(|_| alone),
            paid: others.copied().collect(),
            memo: to_hex(&transaction.memo),
        });
        Some(())
    }
}

#[cfg(test)]
mod tests;
