use super::*;

/// Rows by key, as a store keeps them.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(in super::super) struct Store(pub(in super::super) BTreeMap<Vec<u8>, Vec<u8>>);

impl Store {
    pub(in super::super) fn write(&mut self, rows: Vec<RowChange>) {
        for (key, row) in rows {
            match row {
                Some(row) => self.0.insert(key.to_bytes(), row),
                None => self.0.remove(&key.to_bytes()),
            };
        }
    }

    pub(in super::super) fn graft(&self, tree: &mut CoinTree, keys: &[PageKey]) {
        for key in keys {
            tree.graft(key, self.0.get(&key.to_bytes()).map(Vec::as_slice)).unwrap();
        }
    }

    /// All rows of this tree.
    fn of(tree: &CoinTree) -> Self {
        let mut store = Self::default();
        store.write(tree.changed_rows(&CoinTree::empty()).unwrap());
        store
    }

    fn bands(&self) -> Vec<(PageKey, &[u8])> {
        let bands = self.0.iter().filter(|(key, _)| key.starts_with(&PageKey::BANDS));
        bands.map(|(key, row)| (PageKey::from_bytes(key).unwrap(), &row[..])).collect()
    }
}

fn coins_of(ops: &[Op]) -> Vec<(Owner, OutPoint)> {
    ops.iter().map(|op| (op.coin().1.owner, *op.coin().0)).collect()
}

/// Loads what the changes need, applies them, writes what changed and forgets the coins.
fn advance(store: &mut Store, tree: &mut CoinTree, ops: &[Op]) -> usize {
    let mut rounds = 0;
    loop {
        let keys = tree.missing(&coins_of(ops));
        if keys.is_empty() {
            break;
        }
        rounds += 1;
        store.graft(tree, &keys);
    }
    let mut next = tree.clone();
    next.apply(ops).unwrap();
    store.write(next.changed_rows(tree).unwrap());
    next.prune();
    *tree = next;
    rounds
}

proptest! {
    #[test]
    fn a_stored_tree_is_the_tree(history in history(10, 60)) {
        let (mut model, mut tree, mut store, mut next) =
            (Model::default(), CoinTree::empty(), Store::default(), 0);
        for steps in history {
            let (store_before, summary_before) = (store.clone(), tree.summary());
            let ops = changes(&mut model, &steps, &mut next);
            let rounds = advance(&mut store, &mut tree, &ops);
            prop_assert!(rounds <= 1, "{} rounds although all bands are in memory", rounds);
            prop_assert_eq!(tree.resident(), 0);
            prop_assert_eq!(tree.summary(), model.root());
            // Rows depend on content only.
            prop_assert_eq!(&store, &Store::of(&model.tree()));
            // Undo restores root and rows.
            let (mut undone, mut undone_store) = (tree.clone(), store.clone());
            let undo: Vec<Op> = ops.iter().rev().map(|op| op.reversed()).collect();
            advance(&mut undone_store, &mut undone, &undo);
            prop_assert_eq!(undone.summary(), summary_before);
            prop_assert_eq!(undone_store, store_before);
        }
        // A restart reads the bands, or nothing at all, and goes on.
        let mut restarted = CoinTree::load(tree.summary(), store.bands()).unwrap();
        let mut lazy = CoinTree::unloaded(tree.summary());
        let all: Vec<Op> = model.inserts().iter().map(|op| op.reversed()).collect();
        advance(&mut store.clone(), &mut restarted, &all);
        advance(&mut store, &mut lazy, &all);
        prop_assert_eq!((restarted.summary(), lazy.summary()), (Summary::EMPTY, Summary::EMPTY));
        prop_assert_eq!(store, Store::default());
    }

    #[test]
    fn pages_in_order_are_all_coins_in_order(history in history(3, 200)) {
        let mut model = Model::default();
        let (mut ops, mut next) = (Vec::new(), 0);
        history.iter().for_each(|steps| ops.extend(changes(&mut model, steps, &mut next)));
        let store = Store::of(&model.tree());
        let pages = store.0.iter().filter(|(key, _)| key.starts_with(&PageKey::PAGES));
        let coins: Vec<(OutPoint, Output)> =
            pages.flat_map(|(_, row)| page_coins(row).unwrap()).collect();
        let mut expected: Vec<(OutPoint, Output)> = model.0.into_iter().collect();
        expected.sort_by_key(|(outpoint, output)| Position::of(&output.owner, outpoint));
        prop_assert_eq!(coins, expected);
        for key in store.0.keys() {
            prop_assert_eq!(&PageKey::from_bytes(key).unwrap().to_bytes(), key);
        }
    }

    #[test]
    fn every_damaged_row_is_refused(
        history in history(3, 120),
        row in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        let (mut model, mut next) = (Model::default(), 0);
        history.iter().for_each(|steps| drop(changes(&mut model, steps, &mut next)));
        let store = Store::of(&model.tree());
        prop_assume!(!store.0.is_empty());
        let bad = store.0.keys().nth(row.index(store.0.len())).unwrap();
        let mut damaged = store.clone();
        let content = damaged.0.get_mut(bad).unwrap();
        let at = at.index(content.len());
        content[at] ^= flip;
        let bad = PageKey::from_bytes(bad).unwrap();

        let load = |store: &Store| -> Result<(), TreeError> {
            let mut tree = CoinTree::load(model.root(), store.bands())?;
            for (key, row) in store.0.iter().filter(|(key, _)| key.starts_with(&PageKey::PAGES)) {
                tree.graft(&PageKey::from_bytes(key).unwrap(), Some(row))?;
            }
            assert_eq!(tree.resident(), tree.summary().count);
            Ok(())
        };
        prop_assert_eq!(load(&store), Ok(()));
        prop_assert_eq!(load(&damaged), Err(TreeError::Damaged(bad)));
    }
}

#[test]
fn rows_that_belong_nowhere_are_refused() {
    let mut model = Model::default();
    let ops: Vec<Op> = (0..300).map(|n| Op::Insert(outpoint(n), output((n % 40) as u8, 1))).collect();
    model.apply(&ops);
    let mut tree = model.tree();
    let store = Store::of(&tree);
    tree.prune();
    for key in tree.missing(&coins_of(&ops)) {
        assert_eq!(tree.graft(&key, None), Err(TreeError::Damaged(key)));
        let row = store.0[&key.to_bytes()].clone();
        for scope in [None, Some(owner_key(&owner(0))), Some(Hash::ZERO)] {
            let deeper = PageKey::new(scope.as_ref(), key.prefix().child(true), 1);
            assert_eq!(tree.graft(&deeper, Some(&row)), Err(TreeError::Unexpected(deeper)));
        }
    }
}

#[test]
fn row_keys_have_one_form() {
    let key = PageKey::new(Some(&Hash([0xAB; 32])), Prefix::of(&Hash([0xCD; 32]), 11), 3);
    let bytes = key.to_bytes();
    assert_eq!(PageKey::from_bytes(&bytes), Some(key));
    for at in 0..bytes.len() {
        for value in 0..=255 {
            let mut mutant = bytes.clone();
            mutant[at] = value;
            if let Some(key) = PageKey::from_bytes(&mutant) {
                assert_eq!(key.to_bytes(), mutant);
            }
        }
        // The front of a lower key may be the upper key of its owner, never the key itself.
        assert!(PageKey::from_bytes(&bytes[..at]).is_none_or(|front| front != key));
    }
}

/// A large owner whose neighbour comes and goes moves down and up without its own rows being touched.
#[test]
fn a_large_owner_moves_as_one() {
    let mut tree = CoinTree::empty();
    let many: Vec<Op> = (0..500).map(|n| Op::Insert(outpoint(n), output(110, 1))).collect();
    tree.apply(&many).unwrap();
    let mut store = Store::of(&tree);
    tree.prune();
    let alone = store.clone();
    let neighbour = Op::Insert(outpoint(600), output(111, 1));
    for op in [neighbour, neighbour.reversed()] {
        advance(&mut store, &mut tree, &[op]);
        let mut with = CoinTree::empty();
        with.apply(&many).unwrap();
        if op == neighbour {
            with.apply(&[op]).unwrap();
        }
        assert_eq!(store, Store::of(&with));
    }
    assert_eq!(store, alone);
}
