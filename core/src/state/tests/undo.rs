//! Undo is the exact inverse of a block, in the state and in every row.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::block::Block;
use crate::certificate::Certificate;
use crate::codec::decode;
use crate::rows::{Batch, Key, Table, Value};
use crate::schema::{UndoRow, height_key, undo_block, write_block};
use crate::state::{Applied, ChainState, UndoError};
use crate::testing::Rng;
use crate::testing::ledger::Ledger;
use crate::testing::model::{extend, spec};
use crate::validators::ValidatorSet;

#[derive(Clone, Default, PartialEq, Debug)]
struct Rows(BTreeMap<(Table, Key), Value>);

impl Rows {
    fn write(&mut self, batch: &Batch) {
        for (table, key, value) in batch.iter() {
            match value {
                Some(value) => self.0.insert((table, key.clone()), value.clone()),
                None => self.0.remove(&(table, key.clone())),
            };
        }
    }

    fn row(&self, table: Table, key: &[u8]) -> Option<&Value> {
        self.0.get(&(table, key.to_vec()))
    }

    /// Reads the pages that a change of these coins needs, as the node does.
    fn load(&self, state: &mut ChainState, coins: &[(crate::hash::Owner, crate::transaction::OutPoint)]) {
        loop {
            let missing = state.coins.missing(coins);
            if missing.is_empty() {
                return;
            }
            for page in missing {
                let row = self.row(Table::Tree, &page.to_bytes()).map(|row| &row[..]);
                state.coins.graft(&page, row).unwrap();
            }
        }
    }

    /// All but the validator sets, which are named by their hash and stay.
    fn without_sets(&self) -> Self {
        let rows = self.0.iter().filter(|((table, _), _)| *table != Table::Validators);
        Self(rows.map(|(key, row)| (key.clone(), row.clone())).collect())
    }
}

/// A stored chain of random blocks: rows after each, and the newest state with the pages out of memory.
struct Stored {
    rows: Vec<Rows>,
    blocks: Vec<Block>,
    state: ChainState,
}

fn store(rows: &mut Rows, parent: Option<&ChainState>, applied: &Applied, certificate: Option<&Certificate>) {
    let mut batch = Batch::default();
    write_block(&mut batch, parent, applied, certificate).unwrap();
    rows.write(&batch);
}

fn stored(seed: u64, blocks: usize) -> Stored {
    let (mut ledger, genesis) = Ledger::with_genesis(spec());
    let mut dice = Rng::new(seed);
    let mut rows = Rows::default();
    store(&mut rows, None, &genesis, None);
    let mut stored = Stored { rows: vec![rows], blocks: vec![genesis.block], state: genesis.state };
    for _ in 0..blocks {
        let parent = ledger.state.clone();
        let applied = extend(&mut ledger, &mut dice);
        let mut rows = stored.rows.last().unwrap().clone();
        store(&mut rows, Some(&parent), &applied, ledger.certificate.as_ref());
        stored.rows.push(rows);
        stored.blocks.push(applied.block);
    }
    stored.state = ledger.state;
    stored.state.coins.prune();
    stored
}

/// Takes the newest block back, with nothing but the rows and the state.
fn take_back(rows: &mut Rows, state: &mut ChainState, block: &Block) -> Result<ChainState, UndoError> {
    let row: UndoRow = decode(rows.row(Table::Undo, &height_key(state.height())).unwrap()).unwrap();
    rows.load(state, &row.changes.coins());
    let set = rows.row(Table::Validators, &row.parent.signers.0).unwrap();
    let signers = Arc::new(decode::<ValidatorSet>(set).unwrap());
    let mut batch = Batch::default();
    let parent = undo_block(&mut batch, state, block, &row, signers)?;
    rows.write(&batch);
    Ok(parent)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lesson_10_undo_is_the_exact_inverse_in_every_row(seed: u64) {
        let Stored { rows: mut expected, blocks, mut state } = stored(seed, 24);
        let mut rows = expected.pop().unwrap();
        for (expected, block) in expected.iter().zip(&blocks[1..]).rev() {
            let mut parent = take_back(&mut rows, &mut state, block).unwrap();
            prop_assert!(rows.without_sets() == expected.without_sets(), "height {}", block.header.height);
            prop_assert_eq!(parent.commitment().root(), parent.header.state_root);
            prop_assert_eq!(&parent.header, &blocks[parent.height().0 as usize].header);
            prop_assert_eq!(parent.validators.hash(), block.header.validators_hash);
            parent.coins.prune();
            state = parent;
        }
        prop_assert_eq!(state.height().0, 0);
    }

    /// There and back again: the same blocks apply to what undoing gave.
    #[test]
    fn an_undone_block_can_be_applied_again(seed: u64) {
        let Stored { rows: mut expected, blocks, mut state } = stored(seed, 8);
        let mut rows = expected.pop().unwrap();
        let (newest, full) = (state.header.clone(), rows.clone());
        let parent = take_back(&mut rows, &mut state, &blocks[8]).unwrap();
        let row: UndoRow = decode(full.row(Table::Undo, &height_key(newest.height)).unwrap()).unwrap();
        let mut coins = parent.coins.clone();
        coins.apply(&row.changes.ops()).unwrap();
        prop_assert_eq!(coins.summary(), state.coins.summary());
    }
}

#[test]
fn the_undo_row_of_another_block_is_refused() {
    let Stored { mut rows, blocks, mut state } = stored(3, 6);
    let rows = rows.pop().unwrap();
    let decoded =
        |height: u64| -> UndoRow { decode(rows.row(Table::Undo, &height.to_be_bytes()).unwrap()).unwrap() };
    let own = decoded(6);
    rows.load(&mut state, &own.changes.coins());
    let mut batch = Batch::default();
    let signers = || {
        decode::<ValidatorSet>(rows.row(Table::Validators, &own.parent.signers.0).unwrap())
            .map(Arc::new)
            .unwrap()
    };
    let mut undone = |block: &Block, row: &UndoRow| {
        undo_block(&mut batch, &state, block, row, signers()).map(|state| state.id)
    };
    assert_eq!(undone(&blocks[5], &own), Err(UndoError::NotTheParent));
    assert_eq!(undone(&blocks[6], &decoded(5)), Err(UndoError::NotTheParent));
    let mut poorer = own.clone();
    poorer.parent.accounting.pool.0 -= 1;
    assert_eq!(undone(&blocks[6], &poorer), Err(UndoError::Mismatch));
    assert_eq!(undone(&blocks[6], &own), Ok(blocks[5].header.id()));
}
