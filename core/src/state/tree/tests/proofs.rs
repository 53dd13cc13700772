use super::node::Node;
use super::*;
use crate::codec::{Wire, decode, encode};

fn sample(history: &[Vec<Step>]) -> Model {
    let (mut model, mut next) = (Model::default(), 0);
    history.iter().for_each(|steps| drop(changes(&mut model, steps, &mut next)));
    model
}

/// Every change of one byte is refused by the decoder or the verifier, or proves the very same.
fn corruptions_fail<T: Wire + PartialEq + core::fmt::Debug, V: PartialEq + core::fmt::Debug>(
    proof: &T,
    verify: impl Fn(&T) -> Result<V, ProofError>,
    flips: &[u8],
) {
    let bytes = encode(proof);
    assert_eq!(decode::<T>(&bytes).as_ref(), Ok(proof));
    assert!(verify(proof).is_ok());
    for at in 0..bytes.len() {
        for flip in flips {
            let mut mutant = bytes.clone();
            mutant[at] ^= flip;
            if let Ok(mutant) = decode::<T>(&mutant) {
                assert_ne!(&mutant, proof, "byte {at}: two encodings of one proof");
                assert!(verify(&mutant).is_err(), "byte {at} ^ {flip:02x} still proves");
            }
        }
        assert!(decode::<T>(&bytes[..at]).is_err());
    }
}

proptest! {
    #[test]
    fn every_proof_verifies(history in history(4, 80)) {
        let model = sample(&history);
        let (tree, root) = (model.tree(), model.root());
        for (outpoint, output) in &model.0 {
            let proof = tree.prove_coin(&output.owner, outpoint).unwrap().unwrap();
            prop_assert_eq!((&proof.outpoint, &proof.output), (outpoint, output));
            prop_assert_eq!(proof.verify(&root), Ok(()));
            prop_assert_eq!(tree.prove_absence(&output.owner, outpoint), Ok(None));
        }
        for number in (0..70).chain(98..112) {
            let owner = owner(number);
            let (sum, count) = model.balance(&owner);
            let balance = tree.prove_owner(&owner).unwrap().verify(&root).unwrap();
            prop_assert_eq!((balance.sum, balance.count), (Amount(sum), count));
            let proof = tree.prove_owner_coins(&owner).unwrap().unwrap();
            prop_assert_eq!(proof.verify(&root), Ok(balance));
            for absent in [5000, 5001, 999] {
                let absence = tree.prove_absence(&owner, &outpoint(absent)).unwrap();
                let Some(absence) = absence else { continue };
                prop_assert_eq!(absence.verify(&root), Ok(()));
                prop_assert_eq!(tree.prove_coin(&owner, &outpoint(absent)), Ok(None));
            }
        }
    }

    #[test]
    fn a_multiproof_stands_in_for_the_tree(history in history(5, 60)) {
        let (mut model, mut tree, mut next) = (Model::default(), CoinTree::empty(), 0);
        for steps in history {
            let before = model.clone();
            let ops = changes(&mut model, &steps, &mut next);
            let proof: Multiproof = decode(&encode(&Multiproof::build(&tree, &ops).unwrap())).unwrap();
            let mut part = proof.into_tree(&tree.summary(), &ops).unwrap();
            for op in &ops {
                let (outpoint, output) = op.coin();
                let coin = before.0.get(outpoint).copied().filter(|coin| coin.owner == output.owner);
                prop_assert_eq!(part.coin(&output.owner, outpoint), Ok(coin));
            }
            tree.apply(&ops).unwrap();
            prop_assert_eq!(part.apply(&ops), Ok(tree.summary()));
        }
    }

    #[test]
    fn multiproofs_of_bad_changes_show_that_they_are_bad(history in history(3, 60), amount in 0..9u64) {
        let model = sample(&history);
        let tree = model.tree();
        for number in 0..70 {
            let ops = [Op::Remove(outpoint(number), output(0, amount)), Op::Insert(outpoint(2), output(0, 1))];
            let mut part =
                Multiproof::build(&tree, &ops).unwrap().into_tree(&tree.summary(), &ops).unwrap();
            prop_assert_eq!(part.apply(&ops), tree.clone().apply(&ops));
        }
    }

    #[test]
    fn corrupted_multiproofs_are_refused_or_equivalent(
        history in history(3, 60),
        at in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        let mut model = sample(&history);
        let tree = model.tree();
        let spend: Vec<Step> = vec![Step::Spend(at); 5];
        let ops = changes(&mut model, &spend, &mut 0);
        let mut bytes = encode(&Multiproof::build(&tree, &ops).unwrap());
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let mutant = decode::<Multiproof>(&bytes).ok();
        if let Some(Ok(mut part)) = mutant.map(|proof| proof.into_tree(&tree.summary(), &ops)) {
            prop_assert_eq!(part.apply(&ops), Ok(model.root()), "byte {}", at);
        }
    }
}

#[test]
fn every_corrupted_proof_is_refused() {
    let mut model = Model::default();
    let coins = (0..90).map(|n| Op::Insert(outpoint(n), output((n % 9) as u8, 1000 + u64::from(n))));
    let close = [(100, 1000), (101, 1001), (101, 1002)].map(|(o, n)| Op::Insert(outpoint(n), output(o, 7)));
    model.apply(&coins.chain(close).collect::<Vec<_>>());
    let (tree, root) = (model.tree(), model.root());
    for (owner, coin) in [(owner(3), outpoint(3)), (owner(101), outpoint(1001))] {
        let coin = tree.prove_coin(&owner, &coin).unwrap().unwrap();
        corruptions_fail(&coin, |proof| proof.verify(&root), &[1, 0x80, 0xFF]);
        let balance = tree.prove_owner(&owner).unwrap();
        corruptions_fail(&balance, |proof| proof.verify(&root), &[1, 0x80, 0xFF]);
        let coins = tree.prove_owner_coins(&owner).unwrap().unwrap();
        corruptions_fail(&coins, |proof| proof.verify(&root), &[1, 0x80, 0xFF]);
    }
}

#[test]
fn corrupted_absence_proofs_prove_nothing_false() {
    let mut model = Model::default();
    let coins = (0..90).map(|n| Op::Insert(outpoint(n), output((n % 9) as u8, 1000 + u64::from(n))));
    model.apply(&coins.collect::<Vec<_>>());
    let (tree, root) = (model.tree(), model.root());
    let absent = [(3, 500), (40, 3), (0, 501), (4, 3), (7, 502), (50, 9)];
    for (number, coin) in absent {
        let proof = tree.prove_absence(&owner(number), &outpoint(coin)).unwrap().unwrap();
        let bytes = encode(&proof);
        for at in 0..bytes.len() {
            for flip in [1, 2, 0x80, 0xFF] {
                let mut mutant = bytes.clone();
                mutant[at] ^= flip;
                let Ok(mutant) = decode::<AbsenceProof>(&mutant) else { continue };
                // Another absent coin in the same gap may be proved by the same path: that is true as well.
                if mutant.verify(&root).is_ok() {
                    assert_eq!(tree.coin(&mutant.owner.owner, &mutant.outpoint), Ok(None), "byte {at}");
                }
            }
        }
    }
}

#[test]
fn proofs_of_another_root_are_refused() {
    let mut model = Model::default();
    model.apply(&(0..40).map(|n| Op::Insert(outpoint(n), output((n % 5) as u8, 9))).collect::<Vec<_>>());
    let tree = model.tree();
    let root = tree.summary();
    let proof = tree.prove_coin(&owner(1), &outpoint(1)).unwrap().unwrap();
    let lies = [
        ("hash", Summary { hash: Hash::ZERO, ..root }),
        ("sum", Summary { sum: Amount(root.sum.0 + 1), ..root }),
        ("count", Summary { count: root.count + 1, ..root }),
        ("empty", Summary::EMPTY),
    ];
    for (name, lie) in lies {
        assert_eq!(proof.verify(&lie), Err(ProofError::RootMismatch), "{name}");
        assert_eq!(
            tree.prove_owner(&owner(1)).unwrap().verify(&lie),
            Err(ProofError::RootMismatch),
            "{name}"
        );
        let multiproof = Multiproof::build(&tree, &[]).unwrap();
        assert_eq!(multiproof.into_tree(&lie, &[]).err(), Some(ProofError::RootMismatch), "{name}");
    }
}

/// The published Merkle-sum branch hashes `hL ‖ hR ‖ sumL + sumR`: a root that claims 500 over leaves of 500
/// and 300 proves both, each with a sibling of 0 and of 200. Here the same attempt leads to two other roots.
#[test]
fn phantom_sums_are_refused() {
    let ops = [Op::Insert(outpoint(1), output(1, 500)), Op::Insert(outpoint(2), output(2, 300))];
    let mut tree = CoinTree::empty();
    let root = tree.apply(&ops).unwrap();
    assert_eq!(root.sum, Amount(800));
    let claim = Summary { sum: Amount(500), ..root };
    for (number, false_sibling) in [(1, 0), (2, 200)] {
        let honest = tree.prove_coin(&owner(number), &outpoint(u32::from(number))).unwrap().unwrap();
        assert_eq!(honest.verify(&root), Ok(()));
        for target in [root, claim] {
            let mut forged = honest.clone();
            forged.upper = forged.upper.with_sides(|side| side.sum = Amount(false_sibling));
            assert_eq!(forged.verify(&target), Err(ProofError::RootMismatch));
        }
        let mut counted = honest.clone();
        counted.upper = counted.upper.with_sides(|side| side.count += 1);
        assert_eq!(counted.verify(&root), Err(ProofError::RootMismatch));
        let mut counted_root = root;
        counted_root.count += 1;
        assert_eq!(counted.verify(&counted_root), Err(ProofError::RootMismatch));
    }
}

/// Roots made by a forger who may choose every hash: sums that wrap are refused before hashes are compared.
#[test]
fn wrapped_sums_are_refused() {
    let ops = [Op::Insert(outpoint(1), output(1, 500)), Op::Insert(outpoint(2), output(2, 300))];
    let mut tree = CoinTree::empty();
    let root = tree.apply(&ops).unwrap();
    let honest = tree.prove_coin(&owner(1), &outpoint(1)).unwrap().unwrap();
    for sum in [1 << 63, u64::MAX, u64::MAX - 499, (1 << 63) - 500] {
        let mut forged = honest.clone();
        forged.upper = forged.upper.with_sides(|side| side.sum = Amount(sum));
        assert_eq!(forged.verify(&root), Err(ProofError::Overflow), "{sum}");
        let mut owner_proof = tree.prove_owner(&owner(1)).unwrap();
        owner_proof.path = forged.upper.clone();
        assert_eq!(owner_proof.verify(&root), Err(ProofError::Overflow), "{sum}");
    }
    for amount in [1 << 63, u64::MAX] {
        let mut forged = honest.clone();
        forged.output.amount = Amount(amount);
        assert_eq!(forged.verify(&root), Err(ProofError::Overflow), "{amount}");
        let coins = Summary { hash: Hash([7; 32]), sum: Amount(amount), count: 1 };
        let lone = OwnerProof { owner: owner(1), place: OwnerPlace::Here(coins), path: Path::default() };
        assert_eq!(lone.verify(&root), Err(ProofError::Overflow), "{amount}");
    }
    let mut counted = honest;
    counted.upper = counted.upper.with_sides(|side| side.count = u64::MAX);
    assert_eq!(counted.verify(&root), Err(ProofError::Overflow));
}

/// The builder refuses a stub that would wrap as well.
#[test]
fn a_part_that_wraps_is_refused() {
    let stub =
        |sum, count| Node::<coin::Owners>::stub(Summary { hash: Hash([9; 32]), sum: Amount(sum), count });
    assert!(Node::branch(stub(1 << 62, 1), stub(1 << 62, 1)).is_none());
    assert!(Node::branch(stub(u64::MAX, 1), stub(1, 1)).is_none());
    assert!(Node::branch(stub(1, u64::MAX), stub(1, 1)).is_none());
    assert!(Node::branch(stub(1 << 62, 1), stub((1 << 62) - 1, 1)).is_some());
}
