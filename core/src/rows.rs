//! Rows: what the store holds, as bytes. Reads form a [`View`], writes form a [`Batch`].
//!
//! A read that influences a decision is named in a [`ReadSet`] and loaded before the decision. Asking a view
//! for a row that was not loaded is a bug of the planner and panics: every simulator run proves plans complete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The tables of the store. The discriminant is stable: it is part of the file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Single rows: schema version, chain id, tip, registry, accounting, history frontier.
    Meta = 0,
    /// Height (8 bytes big-endian) → header and commit certificate.
    Header = 1,
    /// Height → body: transactions and evidence.
    Body = 2,
    /// Block id → height.
    BlockIndex = 3,
    /// Transaction id → height and position.
    TransactionIndex = 4,
    /// (height, block id) → a block of the open height that we voted to commit.
    Candidate = 5,
    /// Pages and inner rows of the state tree.
    Tree = 6,
    /// Height → the reversed diff of the block.
    Undo = 7,
    /// (level, index) → node of the history log.
    History = 8,
    /// Height → filter of the owners the block touches.
    Filter = 9,
    /// Hash → validator set.
    Validators = 10,
    /// (height, view, phase) → own vote with its locks. Must be durable before the vote leaves.
    Sign = 11,
    /// Evidence waiting for a block, and proof of a fork.
    Evidence = 12,
    /// Transaction id → pending transaction.
    Mempool = 13,
    /// Known peers.
    Peer = 14,
    /// (owner, height, position) → what a block did to an owner's coins.
    Activity = 15,
}

impl Table {
    /// Every table, by discriminant.
    pub const ALL: [Self; 16] = [
        Self::Meta,
        Self::Header,
        Self::Body,
        Self::BlockIndex,
        Self::TransactionIndex,
        Self::Candidate,
        Self::Tree,
        Self::Undo,
        Self::History,
        Self::Filter,
        Self::Validators,
        Self::Sign,
        Self::Evidence,
        Self::Mempool,
        Self::Peer,
        Self::Activity,
    ];

    /// A stable lowercase name, for stores that name their tables and for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Header => "header",
            Self::Body => "body",
            Self::BlockIndex => "block_index",
            Self::TransactionIndex => "transaction_index",
            Self::Candidate => "candidate",
            Self::Tree => "tree",
            Self::Undo => "undo",
            Self::History => "history",
            Self::Filter => "filter",
            Self::Validators => "validators",
            Self::Sign => "sign",
            Self::Evidence => "evidence",
            Self::Mempool => "mempool",
            Self::Peer => "peer",
            Self::Activity => "activity",
        }
    }
}

/// A row's key within its table; tables are ordered by key bytes.
pub type Key = Vec<u8>;
/// A row's bytes, shared rather than copied.
pub type Value = Arc<[u8]>;

/// The rows a decision needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSet(BTreeSet<(Table, Key)>);

impl ReadSet {
    /// Names a row.
    pub fn insert(&mut self, table: Table, key: impl Into<Key>) {
        self.0.insert((table, key.into()));
    }

    /// The rows named, ordered by table and key.
    pub fn iter(&self) -> impl Iterator<Item = (Table, &Key)> {
        self.0.iter().map(|(table, key)| (*table, key))
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing needs to be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Rows as loaded, absent ones included.
#[derive(Clone, Debug, Default)]
pub struct View(BTreeMap<(Table, Key), Option<Value>>);

impl View {
    /// Adds a loaded row; `None` says that the store has no such row.
    pub fn insert(&mut self, table: Table, key: impl Into<Key>, value: Option<Value>) {
        self.0.insert((table, key.into()), value);
    }

    /// The row, where the store has it.
    ///
    /// # Panics
    /// If the row was not planned: every plan is complete.
    #[must_use]
    pub fn row(&self, table: Table, key: &[u8]) -> Option<&Value> {
        let Some(row) = self.0.get(&(table, key.to_vec())) else {
            panic!("row of table {} was not planned", table.name());
        };
        row.as_ref()
    }

    /// Whether the row was loaded, present or absent.
    #[must_use]
    pub fn is_loaded(&self, table: Table, key: &[u8]) -> bool {
        self.0.contains_key(&(table, key.to_vec()))
    }

    /// The rows, present and absent.
    pub fn iter(&self) -> impl Iterator<Item = (Table, &Key, Option<&Value>)> {
        self.0.iter().map(|((table, key), value)| (*table, key, value.as_ref()))
    }

    /// Takes over the rows of another view.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// How much a commit must survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Written in order; may be lost with the machine, never torn.
    #[default]
    Ordered,
    /// On disk before the commit returns: votes and decided blocks.
    Synced,
}

/// Writes that take effect together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    rows: BTreeMap<(Table, Key), Option<Value>>,
    durability: Durability,
}

impl Batch {
    /// Writes a row.
    pub fn put(&mut self, table: Table, key: impl Into<Key>, value: impl Into<Value>) {
        self.rows.insert((table, key.into()), Some(value.into()));
    }

    /// Deletes a row.
    pub fn delete(&mut self, table: Table, key: impl Into<Key>) {
        self.rows.insert((table, key.into()), None);
    }

    /// Requires the batch to be on disk before its effects are seen.
    pub fn sync(&mut self) {
        self.durability = Durability::Synced;
    }

    /// What the commit must survive.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// The writes, ordered by table and key; `None` deletes.
    pub fn iter(&self) -> impl Iterator<Item = (Table, &Key, Option<&Value>)> {
        self.rows.iter().map(|((table, key), value)| (*table, key, value.as_ref()))
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many rows are written or deleted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Appends later writes; the later one wins on the same row.
    pub fn merge(&mut self, later: Self) {
        self.rows.extend(later.rows);
        self.durability = self.durability.max(later.durability);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "row of table candidate was not planned")]
    fn an_unplanned_read_panics() {
        let _ = View::default().row(Table::Candidate, b"x");
    }

    #[test]
    fn merging_keeps_the_later_write_and_the_stronger_durability() {
        let (mut one, mut two) = (Batch::default(), Batch::default());
        one.put(Table::Meta, *b"a", *b"1");
        one.sync();
        two.delete(Table::Meta, *b"a");
        one.merge(two);
        assert_eq!(one.iter().collect::<Vec<_>>(), [(Table::Meta, &b"a".to_vec(), None)]);
        assert_eq!(one.durability(), Durability::Synced);
    }

    #[test]
    fn tables_are_listed_by_discriminant() {
        for (at, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(at, table as usize, "{}", table.name());
        }
    }
}
