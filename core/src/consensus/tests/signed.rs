//! The cases of the list of adversaries that concern what is signed, by whom, and in what form, by their number there.

use proptest::prelude::*;

use crate::certificate::{Certificate, CertificateError};
use crate::codec::{decode, encode};
use crate::evidence::Evidence;
use crate::hash::{ChainId, Hash, MasternodeId};
use crate::keys::{PublicKey, verify, verify_batch};
use crate::light::{self, AgePolicy, LightBlock, Options};
use crate::testing::chain::{TestChain, certify, commit_data, dev_spec, key, validator_set};
use crate::validators::{VALIDATORS_MAX, Validator, ValidatorSet, ValidatorSetError, WEIGHT_MAX};
use crate::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use super::model::{Bench, CHAIN, block};

/// Chains that differ in nothing but their name, as a fork of the genesis does.
#[test]
fn case_10_what_another_chain_signed_proves_nothing_here() {
    let elsewhere = {
        let mut spec = dev_spec();
        spec.name.push_str(", forked");
        spec.id()
    };
    let here = dev_spec().id();
    assert_ne!(here, elsewhere);
    let chain = TestChain::new(4, 3, 2, 8);
    let header = chain.header(Height(2));
    let set = chain.validators(Height(2));
    let keys: Vec<_> = chain.keys(set).collect();
    let foreign = certify(commit_data(header), set, keys.iter().copied(), &elsewhere);
    assert_eq!(foreign.verify(set, &elsewhere), Ok(()));
    assert_eq!(foreign.verify(set, &chain.spec().id()), Err(CertificateError::Signature));
    let vote = |id: &ChainId, view| {
        let data = VoteData { view: ViewNumber(view), ..commit_data(header) };
        Vote::sign(data, 0, id, keys[0])
    };
    let member = set.validator(0).unwrap().key;
    for (id, valid) in [(chain.spec().id(), true), (elsewhere, false)] {
        let signed = vote(&id, 0).signed_bytes(&chain.spec().id(), &member);
        assert_eq!(verify(&signed.key, &signed.message, &signed.signature), valid);
    }
    let mixed = {
        let other = VoteData { block: Some(block(1)), ..commit_data(header) };
        Evidence::new(vote(&elsewhere, 0), Vote::sign(other, 0, &chain.spec().id(), keys[0]))
    };
    assert!(mixed.verify(set, &chain.spec().id()).is_err(), "votes on two chains are no equivocation");
    // Another epoch: the members differ, and so do their positions.
    let later = chain.validators(Height(5));
    assert!(chain.certificate(header).verify(later, &chain.spec().id()).is_err());
}

#[test]
fn case_11_a_signature_serves_one_phase_view_height_block_and_valid_view() {
    let bench = Bench::new(&[1; 4]);
    let base = VoteData {
        phase: Phase::Prepare,
        height: Height(5),
        view: ViewNumber(7),
        block: Some(block(1)),
        valid_view: Some(ViewNumber(3)),
    };
    let table = [
        ("phase", VoteData { phase: Phase::PrePrepare, ..base }),
        ("phase and valid view", VoteData { phase: Phase::Commit, valid_view: None, ..base }),
        ("view", VoteData { view: ViewNumber(8), ..base }),
        ("height", VoteData { height: Height(6), ..base }),
        ("block", VoteData { block: Some(block(2)), ..base }),
        ("nil", VoteData { block: None, valid_view: None, ..base }),
        ("valid view", VoteData { valid_view: Some(ViewNumber(4)), ..base }),
        ("no valid view", VoteData { valid_view: None, ..base }),
    ];
    let vote = Vote::sign(base, 0, &CHAIN, &bench.keys[0]);
    let public = bench.keys[0].public_key();
    let holds = |vote: &Vote| {
        let signed = vote.signed_bytes(&CHAIN, &public);
        verify(&signed.key, &signed.message, &signed.signature)
    };
    assert!(holds(&vote));
    let mut bytes = vec![base.sign_bytes(&CHAIN)];
    for (name, data) in table {
        assert!(!holds(&Vote { data, ..vote }), "{name}");
        bytes.push(data.sign_bytes(&CHAIN));
    }
    bytes.sort();
    bytes.dedup();
    assert_eq!(bytes.len(), 9, "no two things are signed by the same bytes");
    // Nor by those of a transaction or an operator's agreement, which begin with other words.
    assert!(bytes.iter().all(|bytes| bytes.starts_with(b"timecoin vote\0")));
    assert!(
        crate::transaction::operator_statement(&CHAIN, &crate::hash::Owner(Hash::ZERO), &public)
            .starts_with(b"timecoin operator proof\0")
    );
}

/// A certificate of 7 of 10, its set, and its bytes with the bitmap and the signatures as given.
fn sample() -> (ValidatorSet, Certificate) {
    let secrets: Vec<_> = (1..=10).map(key).collect();
    let set = validator_set(&secrets.iter().map(|key| (key.public_key(), 1)).collect::<Vec<_>>());
    let data = VoteData {
        phase: Phase::Commit,
        height: Height(5),
        view: ViewNumber(0),
        block: Some(block(1)),
        valid_view: None,
    };
    let by_position: Vec<_> = set
        .iter()
        .take(7)
        .filter_map(|(_, member)| secrets.iter().find(|key| key.public_key() == member.key))
        .collect();
    let certificate = certify(data, &set, by_position, &CHAIN);
    assert_eq!(certificate.verify(&set, &CHAIN), Ok(()));
    (set, certificate)
}

/// The same vote, with another bitmap and as many signatures.
fn forged(certificate: &Certificate, bitmap: &[u8], signatures: usize) -> Option<Certificate> {
    let mut bytes = encode(&certificate.data);
    bytes.extend((bitmap.len() as u64).to_le_bytes());
    bytes.extend(bitmap);
    bytes.extend((signatures as u64).to_le_bytes());
    for at in 0..signatures {
        bytes.extend(certificate.signatures[at % certificate.signatures.len()].0);
    }
    decode(&bytes).ok()
}

#[test]
fn case_12_a_signer_counts_once_whatever_the_bytes_say() {
    let (set, good) = sample();
    assert_eq!(forged(&good, &[0x7f, 0], 7), Some(good.clone()));
    let table = [
        (
            "a signature repeated",
            &[0x7f, 0],
            8,
            CertificateError::SignatureCount { signers: 7, signatures: 8 },
        ),
        (
            "a signature missing",
            &[0x7f, 0],
            6,
            CertificateError::SignatureCount { signers: 7, signatures: 6 },
        ),
        ("no signature", &[0x7f, 0], 0, CertificateError::SignatureCount { signers: 7, signatures: 0 }),
        (
            "six signers, one twice",
            &[0x3f, 0],
            7,
            CertificateError::SignatureCount { signers: 6, signatures: 7 },
        ),
        ("more signers than signed", &[0xff, 3], 10, CertificateError::Signature),
        ("others signed", &[0xfe, 0], 7, CertificateError::Signature),
        ("nobody", &[0, 0], 0, CertificateError::NoQuorum { weight: 0, total: 10 }),
    ];
    for (name, bitmap, signatures, expected) in table {
        let certificate = forged(&good, bitmap, signatures).expect("well-formed bytes");
        assert_eq!(certificate.verify(&set, &CHAIN), Err(expected), "{name}");
    }
}

#[test]
fn case_13_malformed_bitmaps_are_refused_before_anything_is_allocated() {
    let (set, good) = sample();
    let bitmap = Err(CertificateError::Bitmap(10));
    let table: [(&str, &[u8]); 6] = [
        ("too short", &[0x7f]),
        ("none", &[]),
        ("too long", &[0x7f, 0, 0]),
        ("far too long", &[0x7f; 300]),
        ("the first spare bit", &[0x7f, 0b100]),
        ("the last spare bit", &[0x7f, 0x80]),
    ];
    for (name, bytes) in table {
        let certificate = forged(&good, bytes, 7).expect("well-formed bytes");
        assert_eq!(certificate.verify(&set, &CHAIN), bitmap, "{name}");
    }
    // Lengths that are claimed and not there, up to all of the memory of the world.
    let data = encode(&good.data);
    for claimed in [0x1000_0000u64, 1 << 31, 1 << 40, u64::MAX / 64, u64::MAX] {
        let long_bitmap = [&data[..], &claimed.to_le_bytes()].concat();
        let many_signatures = [&data[..], &2u64.to_le_bytes(), &[0x7f, 0], &claimed.to_le_bytes()].concat();
        for bytes in [long_bitmap, many_signatures] {
            assert!(decode::<Certificate>(&bytes).is_err(), "{claimed}");
        }
    }
    assert!(forged(&good, &[0; 1 << 15], 7).is_none(), "beyond the limit of the type");
}

fn members(weights: &[u64]) -> Vec<Validator> {
    let member = |(at, weight): (usize, &u64)| Validator {
        key: key(at as u64 + 1).public_key(),
        weight: *weight,
        masternode: MasternodeId(Hash([at as u8; 32])),
    };
    weights.iter().enumerate().map(member).collect()
}

#[test]
fn case_16_no_sum_of_weights_overflows() {
    for weight in [WEIGHT_MAX + 1, 1 << 62, 1 << 63, u64::MAX / 3 + 1, u64::MAX] {
        let refused = ValidatorSet::new(members(&[weight, 1, 1]));
        assert!(matches!(refused, Err(ValidatorSetError::WeightTooLarge(_))), "{weight}");
    }
    let set = ValidatorSet::new(members(&[WEIGHT_MAX; VALIDATORS_MAX])).unwrap();
    assert_eq!(set.total(), WEIGHT_MAX << 8);
    // Three times a weight passes 2^64; a quorum of it is a quorum all the same.
    assert!(set.is_quorum(set.total()) && set.is_quorum(u64::MAX) && set.is_honest_share(u64::MAX));
    assert!(!set.is_quorum(WEIGHT_MAX * 170) && set.is_quorum(WEIGHT_MAX * 171));
    assert!(!set.is_honest_share(WEIGHT_MAX * 85) && set.is_honest_share(WEIGHT_MAX * 86));
}

#[test]
fn case_17_empty_weightless_doubled_and_oversized_sets_are_none() {
    let one = members(&[5])[0];
    let table = [
        ("empty", vec![], ValidatorSetError::Empty),
        ("no weight at all", members(&[0, 0, 0]), ValidatorSetError::ZeroWeight(members(&[0, 0, 0])[0].key)),
        (
            "a member without weight",
            [members(&[1]), vec![Validator { weight: 0, key: key(9).public_key(), ..one }]].concat(),
            ValidatorSetError::ZeroWeight(key(9).public_key()),
        ),
        ("a key twice", vec![one, Validator { weight: 6, ..one }], ValidatorSetError::DuplicateKey(one.key)),
        ("too many", members(&[1; VALIDATORS_MAX + 1]), ValidatorSetError::TooMany(VALIDATORS_MAX + 1)),
    ];
    for (name, list, expected) in table {
        match ValidatorSet::new(list.clone()) {
            Err(ValidatorSetError::ZeroWeight(_)) if matches!(expected, ValidatorSetError::ZeroWeight(_)) => {
            }
            found => assert_eq!(found, Err(expected), "{name}"),
        }
        let bytes = [
            &(list.len() as u64).to_le_bytes()[..],
            &list.iter().flat_map(encode_member).collect::<Vec<_>>(),
        ]
        .concat();
        assert!(decode::<ValidatorSet>(&bytes).is_err(), "{name}: nor from bytes");
    }
    let disordered = members(&[1, 2]);
    let bytes =
        [&2u64.to_le_bytes()[..], &disordered.iter().flat_map(encode_member).collect::<Vec<_>>()].concat();
    assert!(decode::<ValidatorSet>(&bytes).is_err(), "there is one order");
    // A light client is handed a header whose set is none: there are no bytes for one, and another set is not it.
    let chain = TestChain::new(4, 100, 0, 5);
    let (trusted, good) = (chain.trusted(Height(1)), chain.light_block(Height(3)));
    let options = Options::new(chain.spec().clone(), AgePolicy::TrustPeriod);
    let now = chain.header(Height(5)).time;
    let small = validator_set(&[(key(70).public_key(), 1)]);
    let certificate = certify(commit_data(chain.header(Height(3))), &small, [&key(70)], &chain.spec().id());
    let swapped = LightBlock::new(
        chain.header(Height(3)).clone(),
        certificate,
        small,
        chain.validators(Height(4)).clone(),
    );
    assert!(matches!(light::verify(&trusted, &good, &options, now), light::Verdict::Success(_)));
    assert!(matches!(light::verify(&trusted, &swapped, &options, now), light::Verdict::Invalid(_)));
}

fn encode_member(member: &Validator) -> Vec<u8> {
    [&member.key.0[..], &member.weight.to_le_bytes(), &member.masternode.0.0].concat()
}

/// A signature whose key and point carry small-order parts: valid by ZIP-215, and by few other rules.
fn with_torsion(
    secret: u64,
    nonce: u64,
    key_torsion: usize,
    point_torsion: usize,
    message: &[u8],
) -> (PublicKey, crate::keys::Signature) {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_TABLE, EIGHT_TORSION};
    use curve25519_dalek::scalar::Scalar;
    use sha2::{Digest as _, Sha512};
    let (a, r) = (Scalar::from(secret), Scalar::from(nonce));
    let public = (&a * ED25519_BASEPOINT_TABLE + EIGHT_TORSION[key_torsion]).compress();
    let point = (&r * ED25519_BASEPOINT_TABLE + EIGHT_TORSION[point_torsion]).compress();
    let digest =
        Sha512::new().chain_update(point.as_bytes()).chain_update(public.as_bytes()).chain_update(message);
    let wide: [u8; 64] = digest.finalize().into();
    let s = r + Scalar::from_bytes_mod_order_wide(&wide) * a;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(point.as_bytes());
    signature[32..].copy_from_slice(s.as_bytes());
    (PublicKey(*public.as_bytes()), crate::keys::Signature(signature))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Torsion in key and point, damage anywhere, alone and among good ones: one verdict.
    #[test]
    fn case_18_single_and_batch_agree_on_every_signature(
        secret in 1u64.., nonce in 1u64.., key_torsion in 0usize..8, point_torsion in 0usize..8,
        damage in prop::option::of((0usize..96, 1u8..)), others in 0usize..8, place in 0usize..8,
    ) {
        let message = b"case 18".to_vec();
        let (mut public, mut signature) = with_torsion(secret, nonce, key_torsion, point_torsion, &message);
        if let Some((at, mask)) = damage {
            if at < 32 { public.0[at] ^= mask } else { signature.0[at - 32] ^= mask }
        }
        let alone = verify(&public, &message, &signature);
        prop_assert!(alone || damage.is_some(), "small-order parts are no fault");
        let mut batch: Vec<_> = (0..others as u64).map(|number| {
            let secret = key(number);
            let signature = secret.sign(&message);
            crate::keys::SignedBytes { key: secret.public_key(), message: message.clone(), signature }
        }).collect();
        let place = place.min(batch.len());
        batch.insert(place, crate::keys::SignedBytes { key: public, message, signature });
        prop_assert_eq!(verify_batch(&batch), alone);
        prop_assert_eq!(crate::keys::invalid_signatures(&batch), if alone { vec![] } else { vec![place] });
    }
}

#[test]
fn case_18_non_canonical_and_small_order_keys_never_enter_the_state() {
    use curve25519_dalek::constants::EIGHT_TORSION;
    for point in EIGHT_TORSION {
        assert!(PublicKey(*point.compress().as_bytes()).check().is_err(), "small order");
    }
    // y = p + 1 and y = p: other bytes for points that have canonical ones.
    let mut non_canonical = [0xff; 32];
    non_canonical[31] = 0x7f;
    for low in 0xed..=0xff {
        non_canonical[0] = low;
        assert!(PublicKey(non_canonical).check().is_err(), "{low:x}");
    }
    assert!(key(1).public_key().check().is_ok());
}
