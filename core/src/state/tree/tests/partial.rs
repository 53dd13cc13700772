use super::storage::Store;
use super::*;

/// Whoever has the whole tree.
struct Whole {
    tree: CoinTree,
    store: Store,
}

/// Whoever begins with nothing but a root.
struct Joining {
    tree: CoinTree,
    store: Store,
    fill: Fill,
}

impl Joining {
    /// Loads what the store has, and has the rest proved.
    fn advance(&mut self, whole: &Whole, ops: &[Op]) {
        let coins: Vec<_> = ops.iter().map(|op| (op.coin().1.owner, *op.coin().0)).collect();
        let mut absent = Vec::new();
        loop {
            let mut keys = self.tree.missing(&coins);
            keys.retain(|key| !absent.contains(key));
            if keys.is_empty() {
                break;
            }
            for key in keys {
                let row = self.store.0.get(&key.to_bytes()).map(Vec::as_slice);
                if self.tree.graft(&key, row).is_err() {
                    absent.push(key);
                }
            }
        }
        if !self.tree.knows(ops) {
            let proof = Multiproof::build(&whole.tree, ops).unwrap();
            let proved = proof.into_tree(&self.tree.summary(), ops).unwrap();
            self.tree.merge(&proved).unwrap();
        }
        assert!(self.tree.knows(ops));
        let mut next = self.tree.clone();
        next.apply(ops).unwrap();
        let (rows, unknown) = next.known_changed_rows(&self.tree);
        self.store.write(rows);
        self.fill.lost(&unknown);
        self.tree = next;
    }

    fn fill(&mut self, whole: &Whole, limit: usize) {
        let wanted = self.fill.wanted(&self.tree);
        let rows = wanted.iter().take(limit).filter_map(|wanted| {
            let row = whole.store.0.get(&wanted.key().to_bytes())?;
            assert!(wanted.is(row));
            assert!(wanted.known().is_none_or(|known| known == row));
            Some((*wanted.key(), row.clone()))
        });
        let rows = rows.collect();
        let changes = self.fill.take(&mut self.tree, &rows);
        self.store.write(changes);
    }
}

proptest! {
    /// Blocks come in while rows do: by proof or from rows, every block is judged, and in the end the rows are the same.
    #[test]
    fn a_tree_is_filled_in_while_it_changes(
        before in history(2, 400),
        after in history(12, 30),
        limits in prop::collection::vec(0..40usize, 12),
        prunes in prop::collection::vec(any::<bool>(), 12),
    ) {
        let (mut model, mut next, mut ops) = (Model::default(), 0, Vec::new());
        before.iter().for_each(|steps| ops.extend(changes(&mut model, steps, &mut next)));
        let mut whole = Whole { tree: model.tree(), store: Store::default() };
        whole.store.write(whole.tree.changed_rows(&CoinTree::empty()).unwrap());
        let mut joining = Joining {
            tree: CoinTree::unloaded(whole.tree.summary()),
            store: Store::default(),
            fill: Fill::default(),
        };
        for ((steps, limit), prune) in after.iter().zip(limits).zip(prunes) {
            let ops = changes(&mut model, steps, &mut next);
            joining.advance(&whole, &ops);
            let mut tree = whole.tree.clone();
            tree.apply(&ops).unwrap();
            whole.store.write(tree.changed_rows(&whole.tree).unwrap());
            whole.tree = tree;
            prop_assert_eq!(joining.tree.summary(), whole.tree.summary());
            if prune {
                joining.tree.prune();
            }
            joining.fill(&whole, limit);
        }
        for round in 0.. {
            prop_assert!(round < 1000, "never done: {:?}", joining.fill);
            if joining.fill.is_done() {
                break;
            }
            joining.fill(&whole, usize::MAX);
        }
        prop_assert_eq!(&joining.store, &whole.store);
    }

    /// A row of another tree, or a damaged one, is never taken.
    #[test]
    fn a_wrong_row_is_left_aside(history in history(3, 200), at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let (mut model, mut next) = (Model::default(), 0);
        history.iter().for_each(|steps| drop(changes(&mut model, steps, &mut next)));
        let tree = model.tree();
        for wanted in tree.rows_from(&Position::START, usize::MAX) {
            let mut row = wanted.known().unwrap().to_vec();
            prop_assert!(wanted.is(&row));
            let place = at.index(row.len());
            row[place] ^= flip;
            prop_assert!(!wanted.is(&row));
        }
    }
}
