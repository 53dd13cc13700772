use super::*;
use crate::codec::{decode, encode};

proptest! {
    #[test]
    fn chunks_chain_to_the_whole_tree(history in history(3, 80), size in 1..60u64) {
        let (mut model, mut next_number) = (Model::default(), 0);
        history.iter().for_each(|steps| drop(changes(&mut model, steps, &mut next_number)));
        let (tree, mut from, mut coins) = (model.tree(), Position::START, Vec::new());
        loop {
            let chunk = Chunk::build(&tree, &from, size).unwrap();
            let chunk: Chunk = decode(&encode(&chunk)).unwrap();
            let found = chunk.verify(&from, &tree.summary()).unwrap();
            prop_assert!(found.coins.len() as u64 <= size);
            coins.extend(found.coins);
            match found.next {
                None => break,
                Some(next) => {
                    prop_assert!(next > from);
                    from = next;
                }
            }
        }
        let mut rebuilt = CoinTree::empty();
        let ops: Vec<Op> = coins.iter().map(|(outpoint, output)| Op::Insert(*outpoint, *output)).collect();
        prop_assert_eq!(rebuilt.apply(&ops), Ok(tree.summary()));
        prop_assert_eq!(CoinTree::of(&coins).map(|tree| tree.summary()), Ok(tree.summary()));
        let mut expected: Vec<(OutPoint, Output)> = model.0.into_iter().collect();
        expected.sort_by_key(|(outpoint, output)| Position::of(&output.owner, outpoint));
        prop_assert_eq!(coins, expected);
    }

    #[test]
    fn a_chunk_may_begin_anywhere(history in history(3, 120), owner_number in 0..110u8, number in 0..1200u32) {
        let (mut model, mut next) = (Model::default(), 0);
        history.iter().for_each(|steps| drop(changes(&mut model, steps, &mut next)));
        let tree = model.tree();
        for from in [
            Position::of_owner(&owner(owner_number)),
            Position::of(&owner(owner_number), &outpoint(number)),
            Position { owner: Hash([0xFF; 32]), coin: Hash([0xFF; 32]) },
        ] {
            let chunk = Chunk::build(&tree, &from, 10_000).unwrap();
            let found = chunk.verify(&from, &tree.summary()).unwrap();
            let mut expected: Vec<(OutPoint, Output)> = model.0.iter().map(|(a, b)| (*a, *b)).collect();
            expected.retain(|(outpoint, output)| Position::of(&output.owner, outpoint) >= from);
            expected.sort_by_key(|(outpoint, output)| Position::of(&output.owner, outpoint));
            prop_assert_eq!(found, ChunkCoins { coins: expected, next: None });
        }
    }

    #[test]
    fn chunks_of_a_pruned_tree_say_what_to_load(history in history(3, 120), size in 20..60u64) {
        let (mut model, mut next) = (Model::default(), 0);
        history.iter().for_each(|steps| drop(changes(&mut model, steps, &mut next)));
        let whole = model.tree();
        let mut store = storage::Store::default();
        store.write(whole.changed_rows(&CoinTree::empty()).unwrap());
        let mut from = Position::START;
        loop {
            let mut tree = CoinTree::unloaded(whole.summary());
            loop {
                let keys = tree.missing_from(&from, size);
                if keys.is_empty() {
                    break;
                }
                store.graft(&mut tree, &keys);
            }
            let chunk = Chunk::build(&tree, &from, size).unwrap();
            prop_assert_eq!(&chunk, &Chunk::build(&whole, &from, size).unwrap());
            match chunk.verify(&from, &whole.summary()).unwrap().next {
                None => break,
                Some(next) => from = next,
            }
        }
    }

    #[test]
    fn every_corrupted_chunk_is_refused(
        history in history(3, 60),
        size in 1..30u64,
        at in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        let (mut model, mut next) = (Model::default(), 0);
        history.iter().for_each(|steps| drop(changes(&mut model, steps, &mut next)));
        let tree = model.tree();
        let chunk = Chunk::build(&tree, &Position::START, size).unwrap();
        let honest = chunk.verify(&Position::START, &tree.summary()).unwrap();
        let mut bytes = encode(&chunk);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let mutant = decode::<Chunk>(&bytes).ok();
        if let Some(Ok(found)) = mutant.map(|chunk| chunk.verify(&Position::START, &tree.summary())) {
            prop_assert_eq!(found, honest, "byte {}", at);
        }
    }
}

#[test]
fn a_chunk_for_another_place_leaves_a_hole_and_is_refused() {
    let mut model = Model::default();
    model.apply(&(0..200).map(|n| Op::Insert(outpoint(n), output((n % 50) as u8, 1))).collect::<Vec<_>>());
    let tree = model.tree();
    let first = Chunk::build(&tree, &Position::START, 50).unwrap();
    let next = first.verify(&Position::START, &tree.summary()).unwrap().next.unwrap();
    let second = Chunk::build(&tree, &next, 50).unwrap();
    assert!(second.verify(&next, &tree.summary()).is_ok());
    assert_eq!(second.verify(&Position::START, &tree.summary()), Err(ProofError::OffTopic));
}
