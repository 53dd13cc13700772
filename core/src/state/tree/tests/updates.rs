use super::*;

proptest! {
    #[test]
    fn roots_follow_the_definition(history in history(8, 40)) {
        let (mut model, mut tree, mut next) = (Model::default(), CoinTree::empty(), 0);
        for steps in history {
            let ops = changes(&mut model, &steps, &mut next);
            prop_assert_eq!(tree.apply(&ops), Ok(model.root()));
            // The order of arrival leaves no trace, nor does what came and went.
            prop_assert_eq!(model.tree().summary(), tree.summary());
        }
        for (outpoint, output) in &model.0 {
            prop_assert_eq!(tree.coin(&output.owner, outpoint), Ok(Some(*output)));
        }
    }

    #[test]
    fn one_by_one_and_all_at_once_are_the_same(history in history(2, 60)) {
        let mut model = Model::default();
        let ops = changes(&mut model, &history[0], &mut 0);
        let (mut single, mut batch) = (CoinTree::empty(), CoinTree::empty());
        for op in &ops {
            single.apply(core::slice::from_ref(op)).unwrap();
        }
        batch.apply(&ops).unwrap();
        prop_assert_eq!(single.summary(), batch.summary());
    }

    #[test]
    fn undo_is_the_exact_inverse(history in history(4, 40)) {
        let (mut model, mut tree, mut next) = (Model::default(), CoinTree::empty(), 0);
        let mut done = Vec::new();
        for steps in history {
            let ops = changes(&mut model, &steps, &mut next);
            done.push((tree.summary(), ops.clone()));
            tree.apply(&ops).unwrap();
        }
        while let Some((before, ops)) = done.pop() {
            let undo: Vec<Op> = ops.iter().rev().map(|op| op.reversed()).collect();
            prop_assert_eq!(tree.apply(&undo), Ok(before));
        }
        prop_assert_eq!(tree.summary(), Summary::EMPTY);
    }
}

#[test]
fn refused_changes_leave_the_tree_alone() {
    let coin = (outpoint(1), output(1, 5));
    let mut tree = CoinTree::empty();
    let before = tree.apply(&[Op::Insert(coin.0, coin.1)]).unwrap();
    let limit = Amount::SUPPLY_LIMIT.0;
    let table = [
        ("made twice", Op::Insert(coin.0, coin.1), TreeError::AlreadyPresent(coin.0)),
        ("unknown", Op::Remove(outpoint(2), coin.1), TreeError::NotPresent(outpoint(2))),
        ("unknown owner", Op::Remove(coin.0, output(2, 5)), TreeError::NotPresent(coin.0)),
        ("other amount", Op::Remove(coin.0, output(1, 6)), TreeError::WrongOutput(coin.0)),
        ("sum at the limit", Op::Insert(outpoint(3), output(1, limit - 5)), TreeError::Overflow),
        ("sum at the limit, other owner", Op::Insert(outpoint(3), output(2, limit - 5)), TreeError::Overflow),
        ("sum wraps to zero", Op::Insert(outpoint(3), output(1, u64::MAX - 4)), TreeError::Overflow),
        ("amount at the limit", Op::Insert(outpoint(3), output(2, limit)), TreeError::Overflow),
        ("amount beyond", Op::Insert(outpoint(3), output(2, u64::MAX)), TreeError::Overflow),
    ];
    for (name, op, error) in table {
        // The good change that comes with it is not applied either.
        let good = Op::Insert(outpoint(9), output(9, 1));
        assert_eq!(tree.apply(&[good, op]), Err(error), "{name}");
        assert_eq!(tree.summary(), before, "{name}");
        assert_eq!(tree.coin(&owner(9), &outpoint(9)), Ok(None), "{name}");
    }
    assert!(tree.apply(&[Op::Insert(outpoint(3), output(2, limit - 6))]).is_ok());
}

#[test]
fn a_lone_amount_at_the_limit_is_refused() {
    for amount in [1 << 63, u64::MAX] {
        let op = Op::Insert(outpoint(1), output(1, amount));
        assert_eq!(CoinTree::empty().apply(&[op]), Err(TreeError::Overflow), "{amount}");
    }
}

#[test]
fn a_coin_made_and_spent_in_one_batch_leaves_no_trace() {
    let mut tree = CoinTree::empty();
    let (coin, output) = (outpoint(1), output(1, 5));
    let before = tree.apply(&[Op::Insert(outpoint(2), output)]).unwrap();
    assert_eq!(tree.apply(&[Op::Insert(coin, output), Op::Remove(coin, output)]), Ok(before));
    let respent = [Op::Insert(coin, output), Op::Remove(coin, output), Op::Remove(coin, output)];
    assert_eq!(tree.apply(&respent), Err(TreeError::NotPresent(coin)));
}

#[test]
fn the_deepest_tree_fits_a_small_stack() {
    // Keys share 255 bits in both levels: 512 calls deep. wasm has 1 MiB.
    let deep = || {
        let ops: Vec<Op> = [(110, 1000), (111, 1000), (110, 1001)]
            .map(|(owner, coin)| Op::Insert(outpoint(coin), output(owner, 1)))
            .to_vec();
        let (mut tree, mut model) = (CoinTree::empty(), Model::default());
        tree.apply(&ops[1..]).unwrap();
        let ops = [Op::Remove(outpoint(1001), output(110, 1)), ops[0], ops[2]];
        // `Model` has one coin per outpoint, so it checks a part only.
        model.apply(&ops[1..2]);
        assert!(tree.apply(&ops).is_ok());
        let chunk = Chunk::build(&tree, &Position::START, 1).unwrap();
        assert!(chunk.verify(&Position::START, &tree.summary()).is_ok());
        let proof = Multiproof::build(&tree, &ops).unwrap();
        assert!(proof.into_tree(&tree.summary(), &ops).is_ok());
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(deep).unwrap().join().unwrap();
}
