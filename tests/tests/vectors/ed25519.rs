//! The signature rule (ZIP-215): exact verdicts, single and in batches, and against another implementation.

use timecoin_core::hash::{from_hex, hex_to_vec};
use timecoin_core::keys::{
    PublicKey, SecretKey, Signature, SignedBytes, invalid_signatures, verify, verify_batch,
};

use super::{shuffle, vector_text};
use timecoin_core::testing::Rng;

#[derive(Clone)]
struct Case {
    name: String,
    item: SignedBytes,
    valid: bool,
    valid_with_key_check: bool,
}

fn verdict(word: &str) -> bool {
    match word {
        "accept" => true,
        "reject" => false,
        other => panic!("unknown verdict {other}"),
    }
}

/// The cases of exact size, and how many others there are; those have no place in our types and must be rejects.
fn cases() -> Option<(Vec<Case>, usize)> {
    let text = vector_text("ed25519/open.txt")?;
    let (mut cases, mut other_sizes) = (Vec::new(), 0);
    for line in text.lines() {
        let [set, id, key, message, signature, valid, checked]: [&str; 7] =
            line.split('|').collect::<Vec<_>>().try_into().expect("seven columns");
        let message = hex_to_vec(message).expect("hexadecimal");
        let (Ok(key), Ok(signature)) = (from_hex::<32>(key), from_hex::<64>(signature)) else {
            assert!(!verdict(valid), "{line}");
            other_sizes += 1;
            continue;
        };
        cases.push(Case {
            name: format!("{set} {id}"),
            item: SignedBytes { key: PublicKey(key), message, signature: Signature(signature) },
            valid: verdict(valid),
            valid_with_key_check: verdict(checked),
        });
    }
    Some((cases, other_sizes))
}

fn single(item: &SignedBytes) -> bool {
    verify(&item.key, &item.message, &item.signature)
}

/// The verdict of an implementation that shares no code with ours.
fn oracle(item: &SignedBytes) -> bool {
    let signature = ed25519_consensus::Signature::from(item.signature.0);
    ed25519_consensus::VerificationKey::try_from(item.key.0)
        .is_ok_and(|key| key.verify(&signature, &item.message).is_ok())
}

/// Shuffles, cuts into batches, and compares each batch's verdict with the list of its members'.
fn compare_batches(cases: &[Case], seeds: u64) {
    for seed in 0..seeds {
        let mut random = Rng::new(seed);
        let mut order = cases.to_vec();
        for size in [1, 2, 64] {
            shuffle(&mut random, &mut order);
            for batch in order.chunks(size) {
                let items: Vec<_> = batch.iter().map(|case| case.item.clone()).collect();
                let names = || batch.iter().map(|case| &case.name[..]).collect::<Vec<_>>();
                let wrong: Vec<_> = (0..batch.len()).filter(|at| !batch[*at].valid).collect();
                assert_eq!(verify_batch(&items), wrong.is_empty(), "seed {seed}: {:?}", names());
                assert_eq!(invalid_signatures(&items), wrong, "seed {seed}: {:?}", names());
            }
        }
    }
}

#[test]
fn every_vector_gets_its_exact_verdict() {
    let Some((cases, other_sizes)) = cases() else { return };
    println!("{} cases, {other_sizes} of other sizes", cases.len());
    assert!(cases.len() > 500);
    for case in &cases {
        assert_eq!(single(&case.item), case.valid, "{}", case.name);
        let checked = single(&case.item) && case.item.key.check().is_ok();
        assert_eq!(checked, case.valid_with_key_check, "{}", case.name);
        assert_eq!(oracle(&case.item), case.valid, "{}", case.name);
    }
}

#[test]
fn batches_in_any_order_agree_with_singles() {
    let Some((cases, _)) = cases() else { return };
    compare_batches(&cases, 4);
}

/// Among all the vectors nearly every batch of 64 holds an invalid signature; these hold none, or exactly one.
#[test]
fn batches_of_valid_signatures_pass_and_one_invalid_among_them_is_found() {
    let Some((cases, _)) = cases() else { return };
    let (valid, invalid): (Vec<_>, Vec<_>) = cases.into_iter().partition(|case| case.valid);
    assert!(valid.len() > 400 && invalid.len() > 50);
    compare_batches(&valid, 4);
    let mut random = Rng::new(0);
    for bad in invalid {
        let mut batch: Vec<_> = (0..63).map(|_| valid[random.position(valid.len())].clone()).collect();
        batch.insert(random.position(64), bad);
        compare_batches(&batch, 1);
    }
}

/// Our own signatures, untouched and with one bit changed anywhere, against the other implementation.
#[test]
fn changed_signatures_get_the_same_verdict_as_the_oracle() {
    let mut random = Rng::new(7);
    for round in 0..2000u64 {
        let key = SecretKey::from_seed(&[(round % 251) as u8; 32]);
        let message = round.to_le_bytes().to_vec();
        let mut item = SignedBytes { key: key.public_key(), signature: key.sign(&message), message };
        assert!(single(&item) && oracle(&item));
        let bit = 1 << random.position(8);
        match random.position(104) {
            at @ 0..32 => item.key.0[at] ^= bit,
            at @ 32..96 => item.signature.0[at - 32] ^= bit,
            at => item.message[at - 96] ^= bit,
        }
        assert!(!single(&item), "round {round}");
        assert_eq!(oracle(&item), single(&item), "round {round}");
    }
}
