//! Gaps of the external vectors, boundaries, and what hostile peers send.

use crate::amount::Amount;
use crate::block::Header;
use crate::certificate::{Certificate, CertificateError};
use crate::codec::{decode, encode};
use crate::hash::{BlockId, ChainId, Hash};
use crate::keys::SecretKey;
use crate::testing::chain::{TestChain, certify, commit_data, key, validator_set};
use crate::time::Time;
use crate::validators::ValidatorSet;
use crate::vote::{Height, Phase, ViewNumber};

use super::*;

/// A static chain, what is trusted at height 1, and the block at 5: a skip.
fn skip() -> (TestChain, Trusted, LightBlock, Options, Time) {
    let chain = TestChain::new(10, 100, 0, 8);
    let (trusted, block) = (chain.trusted(Height(1)), chain.light_block(Height(5)));
    let (options, now) = (chain.options(), chain.header(Height(8)).time);
    (chain, trusted, block, options, now)
}

/// `header` signed by `signers`, who are all or part of `set`.
fn signed(
    mut header: Header,
    set: &ValidatorSet,
    next: &ValidatorSet,
    signers: &[&SecretKey],
    chain: &ChainId,
) -> LightBlock {
    header.validators_hash = set.hash();
    header.next_validators_hash = next.hash();
    let certificate = certify(commit_data(&header), set, signers.iter().copied(), chain);
    LightBlock::new(header, certificate, set.clone(), next.clone())
}

#[test]
fn a_skip_and_a_direct_successor_succeed() {
    let (chain, trusted, block, options, now) = skip();
    assert_eq!(verify(&trusted, &block, &options, now), Verdict::Success(chain.trusted(Height(5))));
    let successor = chain.light_block(Height(2));
    assert_eq!(verify(&trusted, &successor, &options, now), Verdict::Success(chain.trusted(Height(2))));
    let bytes = encode(&block);
    assert_eq!(decode::<LightBlock>(&bytes), Ok(block));
    assert_eq!(decode::<Trusted>(&encode(&trusted)), Ok(trusted));
}

#[test]
fn what_a_changed_block_is_refused_for() {
    type Change = fn(&mut LightBlock);
    let (_, trusted, good, options, now) = skip();
    let table: [(&str, Change, LightError); 14] = [
        ("another version", |b| b.header.version = 2, LightError::Version(2)),
        (
            "another set than the header's",
            |b| b.header.validators_hash = Hash::ZERO,
            LightError::NextValidators,
        ),
        ("another next set", |b| b.header.next_validators_hash = Hash::ZERO, LightError::NextValidators),
        (
            "the same set twice",
            |b| b.next_validators = Some(b.validators.clone()),
            LightError::NextValidators,
        ),
        ("a header nobody signed", |b| b.header.state_root.0 = Hash([9; 32]), LightError::OtherBlock),
        (
            "another block's certificate",
            |b| b.certificate.data.block = Some(BlockId::default()),
            LightError::OtherBlock,
        ),
        ("nil counted as a commit", |b| b.certificate.data.block = None, LightError::OtherBlock),
        ("prepares for commits", |b| b.certificate.data.phase = Phase::Prepare, LightError::OtherBlock),
        ("another height's certificate", |b| b.certificate.data.height = Height(6), LightError::OtherBlock),
        (
            "signatures of another view",
            |b| b.certificate.data.view = ViewNumber(1),
            LightError::Certificate(CertificateError::Signature),
        ),
        (
            "one bad signature beyond the quorum of others",
            |b| b.certificate.signatures[6].0[1] ^= 1,
            LightError::Certificate(CertificateError::Signature),
        ),
        (
            "a signer twice",
            |b| b.certificate.signatures[1] = b.certificate.signatures[0],
            LightError::Certificate(CertificateError::Signature),
        ),
        (
            "a signature too many",
            |b| b.certificate.signatures.push(b.certificate.signatures[0]),
            LightError::Certificate(CertificateError::SignatureCount { signers: 7, signatures: 8 }),
        ),
        (
            "a signer too few",
            |b| {
                b.certificate.signatures.remove(0);
                let mut without = crate::certificate::Bitmap::empty(10);
                b.certificate.signers.iter().skip(1).for_each(|index| without.insert(index));
                b.certificate.signers = without;
            },
            LightError::Certificate(CertificateError::NoQuorum { weight: 60, total: 100 }),
        ),
    ];
    for (name, change, error) in table {
        let mut block = good.clone();
        change(&mut block);
        assert_eq!(verify(&trusted, &block, &options, now), Verdict::Invalid(error), "{name}");
        assert!(error.blames_sender(), "{name}");
    }
}

#[test]
fn supply_and_set_changes_inside_an_epoch_are_refused_whoever_signed() {
    let (chain, trusted, good, options, now) = skip();
    let set = &good.validators;
    let all: Vec<_> = chain.keys(set).collect();
    let mut header = good.header.clone();
    let issued = header.supply;
    header.supply = Amount(issued.0 + 1);
    let claimed = header.supply;
    let minted = signed(header, set, set, &all, options.chain());
    let error = LightError::Supply { claimed, issued };
    assert_eq!(verify(&trusted, &minted, &options, now), Verdict::Invalid(error));
    let other = validator_set(&[(key(77).public_key(), 1)]);
    let changed = signed(good.header, set, &other, &all, options.chain());
    assert_eq!(verify(&trusted, &changed, &options, now), Verdict::Invalid(LightError::SetChange));
}

#[test]
fn a_certificate_of_another_chain_is_refused() {
    let (chain, trusted, good, options, now) = skip();
    let all: Vec<_> = chain.keys(&good.validators).collect();
    let other = ChainId(Hash([1; 32]));
    let block = signed(good.header, &good.validators, &good.validators, &all, &other);
    let error = LightError::Certificate(CertificateError::Signature);
    assert_eq!(verify(&trusted, &block, &options, now), Verdict::Invalid(error));
}

#[test]
fn weight_counts_and_heads_do_not() {
    let chain = TestChain::new(4, 1, 0, 5);
    let (options, now) = (chain.options(), chain.header(Height(5)).time);
    let keys: Vec<_> = (100..110).map(key).collect();
    let members = |weights: &[u64]| -> Vec<_> {
        keys.iter().zip(weights).map(|(key, weight)| (key.public_key(), *weight)).collect()
    };
    let trusted = |weights: &[u64]| Trusted {
        next_validators: validator_set(&members(weights)),
        ..chain.trusted(Height(1))
    };
    let error = |weight, total| {
        Verdict::Invalid(LightError::Certificate(CertificateError::NoQuorum { weight, total }))
    };
    /// Name, own weights, trusted weights, who signs, the verdict where it is no success.
    type Case<'a> = (&'a str, &'a [u64], &'a [u64], &'a [usize], Option<Verdict>);
    let cases: [Case<'_>; 6] = [
        ("one heavy signer is a quorum", &[100, 1, 1, 1], &[100, 1, 1, 1], &[0], None),
        ("three light heads are none", &[100, 1, 1, 1], &[100, 1, 1, 1], &[1, 2, 3], Some(error(3, 103))),
        ("exactly two thirds are none", &[1, 1, 1], &[1, 1, 1], &[0, 1], Some(error(2, 3))),
        (
            "exactly a third of the trusted weight is not enough",
            &[100, 1, 1],
            &[1, 1, 1],
            &[0],
            Some(Verdict::NotEnoughTrust { weight: 1, total: 3 }),
        ),
        ("trusted weight counts, not the weight claimed now", &[100, 1, 1], &[2, 2, 1], &[0], None),
        (
            "heads in the trusted set do not",
            &[5, 5, 1],
            &[1, 1, 10],
            &[0, 1],
            Some(Verdict::NotEnoughTrust { weight: 2, total: 12 }),
        ),
    ];
    for (name, own, before, signers, expected) in cases {
        let set = validator_set(&members(own));
        let signers: Vec<_> = signers.iter().map(|at| &keys[*at]).collect();
        let block = signed(chain.header(Height(4)).clone(), &set, &set, &signers, options.chain());
        let verdict = verify(&trusted(before), &block, &options, now);
        match expected {
            Some(expected) => assert_eq!(verdict, expected, "{name}"),
            None => assert!(matches!(verdict, Verdict::Success(_)), "{name}: {verdict:?}"),
        }
    }
}

#[test]
fn trust_ends_at_exactly_the_trust_period() {
    let (_, trusted, block, mut options, _) = skip();
    options.clock_drift_ms = 0;
    options.trust_period_ms = 60_000;
    let at = |age_ms| verify(&trusted, &block, &options, trusted.time.plus(age_ms));
    assert!(matches!(at(59_999), Verdict::Success(_)));
    let expired = LightError::Expired { age_ms: 60_000, limit_ms: 60_000 };
    assert_eq!(at(60_000), Verdict::Invalid(expired));
    assert!(!expired.blames_sender());
}

#[test]
fn case_6_a_header_may_be_ahead_by_exactly_the_drift() {
    let (_, trusted, block, mut options, _) = skip();
    let Time(time) = block.header.time;
    for drift_ms in [0, 500] {
        options.clock_drift_ms = drift_ms;
        let at = |now| verify(&trusted, &block, &options, Time(now));
        assert!(matches!(at(time - drift_ms), Verdict::Success(_)), "{drift_ms}");
        let now = Time(time - drift_ms - 1);
        let error = LightError::FromFuture { time: Time(time), now };
        assert_eq!(at(now.0), Verdict::Invalid(error), "{drift_ms}");
        assert!(!error.blames_sender());
    }
}

#[test]
fn height_and_time_must_grow() {
    let (chain, _, block, options, now) = skip();
    let same = chain.trusted(Height(5));
    let error = LightError::HeightNotAbove { trusted: Height(5), found: Height(5) };
    assert_eq!(verify(&same, &block, &options, now), Verdict::Invalid(error));
    let mut at_end = chain.trusted(Height(1));
    at_end.height = Height(u64::MAX);
    let error = LightError::HeightNotAbove { trusted: Height(u64::MAX), found: Height(5) };
    assert_eq!(verify(&at_end, &block, &options, now), Verdict::Invalid(error));
    let mut as_late = chain.trusted(Height(1));
    as_late.time = block.header.time;
    let error = LightError::TimeNotAfter { trusted: as_late.time, found: as_late.time };
    assert_eq!(verify(&as_late, &block, &options, now), Verdict::Invalid(error));
}

#[test]
fn a_direct_successor_needs_the_named_set_and_parent() {
    let (chain, trusted, _, options, now) = skip();
    let block = chain.light_block(Height(2));
    let others = Trusted { next_validators: validator_set(&[(key(50).public_key(), 1)]), ..trusted.clone() };
    let error = LightError::AdjacentValidators;
    assert_eq!(verify(&others, &block, &options, now), Verdict::Invalid(error));
    let fork = Trusted { id: BlockId::default(), ..trusted };
    assert_eq!(verify(&fork, &block, &options, now), Verdict::Invalid(LightError::AdjacentParent));
}

#[test]
fn case_5_a_made_up_set_convinces_nobody() {
    let (chain, trusted, good, options, now) = skip();
    let keys: Vec<_> = (500..510).map(key).collect();
    let members: Vec<_> = keys.iter().map(|key| (key.public_key(), 1000)).collect();
    let invented = validator_set(&members);
    let signers: Vec<_> = keys.iter().collect();
    let block = signed(good.header.clone(), &invented, &invented, &signers, options.chain());
    let expected = Verdict::NotEnoughTrust { weight: 0, total: 100 };
    assert_eq!(verify(&trusted, &block, &options, now), expected);
    // With just a third of the trusted weight bribed it is still not enough, with more it is an attack.
    let old: Vec<_> = chain.keys(&trusted.next_validators).collect();
    let with = |bribed: usize| {
        let mut members = members.clone();
        members.extend(old[..bribed].iter().map(|key| (key.public_key(), 1)));
        let set = validator_set(&members);
        let signers: Vec<_> = keys.iter().chain(old[..bribed].iter().copied()).collect();
        signed(good.header.clone(), &set, &set, &signers, options.chain())
    };
    let expected = Verdict::NotEnoughTrust { weight: 30, total: 100 };
    assert_eq!(verify(&trusted, &with(3), &options, now), expected);
    let attack = with(4);
    assert!(matches!(verify(&trusted, &attack, &options, now), Verdict::Success(_)));
    let accepted = good.into_checked(&options).unwrap();
    let found = compare(&trusted, &accepted, &attack.into_checked(&options).unwrap()).unwrap();
    let mut culprits: Vec<_> = old[..4].iter().map(|key| key.public_key()).collect();
    culprits.sort_unstable();
    assert_eq!(found, LightAttack { kind: AttackKind::Lunatic, culprits, conclusive: false });
}

#[test]
fn equivocation_names_those_who_signed_both() {
    let (chain, _, _, options, _) = skip();
    let (common, set) = (chain.trusted(Height(4)), chain.validators(Height(5)));
    let keys: Vec<_> = chain.keys(set).collect();
    let accepted = signed(chain.header(Height(5)).clone(), set, set, &keys[..7], options.chain());
    let mut header = accepted.header.clone();
    header.transactions_root = Hash([4; 32]);
    let other = signed(header.clone(), set, set, &keys[3..], options.chain());
    let accepted = accepted.into_checked(&options).unwrap();
    let checked = other.clone().into_checked(&options).unwrap();
    let found = compare(&common, &accepted, &checked).unwrap();
    let mut culprits: Vec<_> = keys[3..7].iter().map(|key| key.public_key()).collect();
    culprits.sort_unstable();
    assert_eq!(found, LightAttack { kind: AttackKind::Equivocation, culprits, conclusive: true });
    assert_eq!(compare(&common, &accepted, &accepted), None);

    let mut data = commit_data(&header);
    data.view = ViewNumber(3);
    let certificate: Certificate = certify(data, set, keys[3..].iter().copied(), options.chain());
    let later = LightBlock { certificate, ..other }.into_checked(&options).unwrap();
    let found = compare(&common, &accepted, &later).unwrap();
    assert_eq!(found, LightAttack { kind: AttackKind::Amnesia, culprits: Vec::new(), conclusive: true });
}

#[test]
fn an_attack_is_conclusive_only_where_both_blocks_follow_the_common_one() {
    let (chain, _, _, options, _) = skip();
    let (common, set) = (chain.trusted(Height(4)), chain.validators(Height(5)));
    let keys: Vec<_> = chain.keys(set).collect();
    let accepted = chain.light_block(Height(5)).into_checked(&options).unwrap();
    let mut header = chain.header(Height(5)).clone();
    header.parent = BlockId::default();
    let other = signed(header, set, set, &keys, options.chain()).into_checked(&options).unwrap();
    assert!(!compare(&common, &accepted, &other).unwrap().conclusive, "it follows a block in between");
}

#[test]
fn the_next_set_is_the_one_that_the_header_names() {
    let chain = TestChain::new(4, 10, 1, 12);
    let (trusted, good) = (chain.trusted(Height(8)), chain.light_block(Height(10)));
    let (options, now) = (chain.options(), chain.header(Height(12)).time);
    assert!(good.next_validators.is_some(), "the set changes with this block");
    let other = validator_set(&[(key(9).public_key(), 1)]);
    for (name, next_validators, expected) in [
        ("the one named", good.next_validators.clone(), Verdict::Success(chain.trusted(Height(10)))),
        ("another one", Some(other), Verdict::Invalid(LightError::NextValidators)),
        ("left out", None, Verdict::Invalid(LightError::NextValidators)),
    ] {
        let block = LightBlock { next_validators, ..good.clone() };
        assert_eq!(verify(&trusted, &block, &options, now), expected, "{name}");
    }
}
