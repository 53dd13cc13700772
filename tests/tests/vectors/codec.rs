//! The encoding against `wincode`, an independent encoder of the same fixed-width form, and against mutation.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use timecoin_core::codec::{Wire, byte_array, decode, encode};

use timecoin_core::testing::Rng;

/// One of everything the wire types use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    version: u16,
    flag: bool,
    inner: Vec<Inner>,
    outcome: Outcome,
    memo: Vec<u8>,
    text: String,
    #[serde(with = "byte_array")]
    signature: [u8; 64],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    id: [u8; 32],
    index: u32,
    amount: Option<u64>,
    small: u8,
}

/// Two variants, to be mirrored by `Result`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Outcome {
    Done(u64),
    Failed { code: u32, again: Option<bool> },
}

impl Wire for Sample {
    const SIZE_MAX: usize = 64 << 10;
}

type InnerMirror = ([u8; 32], u32, Option<u64>, u8);
type OutcomeMirror = Result<u64, (u32, Option<bool>)>;
type Mirror = (u16, bool, Vec<InnerMirror>, OutcomeMirror, Vec<u8>, String, [u8; 64]);

/// The same value as tuples, which both encodings write like structs.
fn mirror(sample: &Sample) -> Mirror {
    let inner = |inner: &Inner| (inner.id, inner.index, inner.amount, inner.small);
    let outcome = match sample.outcome {
        Outcome::Done(value) => Ok(value),
        Outcome::Failed { code, again } => Err((code, again)),
    };
    let inner = sample.inner.iter().map(inner).collect();
    (sample.version, sample.flag, inner, outcome, sample.memo.clone(), sample.text.clone(), sample.signature)
}

prop_compose! {
    fn inner()(id: [u8; 32], index: u32, amount: Option<u64>, small: u8) -> Inner {
        Inner { id, index, amount, small }
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        any::<u64>().prop_map(Outcome::Done),
        (any::<u32>(), option::of(any::<bool>())).prop_map(|(code, again)| Outcome::Failed { code, again }),
    ]
}

prop_compose! {
    fn sample()(
        version: u16,
        flag: bool,
        inner in vec(inner(), 0..20),
        outcome in outcome(),
        memo in vec(any::<u8>(), 0..100),
        text in "\\PC{0,40}",
        signature in vec(any::<u8>(), 64),
    ) -> Sample {
        let signature = signature.try_into().expect("64 bytes were asked for");
        Sample { version, flag, inner, outcome, memo, text, signature }
    }
}

proptest! {
    #[test]
    fn bytes_are_those_of_the_other_encoder_both_ways(value in sample()) {
        let bytes = encode(&value);
        prop_assert_eq!(&bytes, &wincode::serialize(&mirror(&value)).expect("the oracle encodes"));
        let theirs: Mirror = wincode::deserialize_exact(&bytes).expect("the oracle decodes");
        prop_assert_eq!(theirs, mirror(&value));
        prop_assert_eq!(decode::<Sample>(&bytes), Ok(value));
    }

    #[test]
    fn verdicts_on_changed_bytes_are_those_of_the_other_decoder(value in sample(), seed: u64) {
        let (bytes, mut random) = (encode(&value), Rng::new(seed));
        for _ in 0..20 {
            let mutant = mutate(&bytes, &mut random);
            let theirs: Option<Mirror> = wincode::deserialize_exact(&mutant).ok();
            prop_assert_eq!(decode::<Sample>(&mutant).ok().as_ref().map(mirror), theirs);
        }
    }
}

/// One to three random changes: bits, bytes, lengths, moved and repeated pieces.
fn mutate(bytes: &[u8], random: &mut Rng) -> Vec<u8> {
    const TELLING: [u8; 6] = [0, 1, 2, 0x7f, 0x80, 0xff];
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.position(3) {
        if bytes.is_empty() {
            break;
        }
        let at = random.position(bytes.len());
        let end = at + random.position(bytes.len() - at) + 1;
        match random.position(7) {
            0 => bytes[at] ^= 1 << random.position(8),
            1 => bytes[at] = TELLING[random.position(TELLING.len())],
            2 => bytes[at] = bytes[at].wrapping_add(random.position(256) as u8),
            3 => bytes.truncate(at),
            4 => bytes.insert(at, TELLING[random.position(TELLING.len())]),
            5 => drop(bytes.drain(at..end)),
            _ => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

#[test]
fn of_300_000_mutants_none_is_a_second_encoding() {
    let inner = Inner { id: [7; 32], index: 3, amount: Some(500), small: 9 };
    let value = Sample {
        version: 1,
        flag: true,
        inner: vec![inner.clone(), Inner { amount: None, ..inner }],
        outcome: Outcome::Failed { code: 12, again: Some(false) },
        memo: b"memo".to_vec(),
        text: "caf\u{e9}".into(),
        signature: [0x55; 64],
    };
    let (bytes, mut random, mut accepted) = (encode(&value), Rng::new(1), 0);
    for round in 0..300_000 {
        let mutant = mutate(&bytes, &mut random);
        if let Ok(decoded) = decode::<Sample>(&mutant) {
            accepted += 1;
            assert_eq!(encode(&decoded), mutant, "round {round}");
            assert_eq!(decoded == value, mutant == bytes, "round {round}");
        }
    }
    println!("{accepted} of 300,000 mutants decode, each to a value of its own");
    assert!(accepted > 1000, "the mutants reach the decoder's accepting paths: {accepted}");
}
