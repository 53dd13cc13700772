//! Receipts of every shape verify; nothing in them can be changed.

use crate::codec::Wire;
use crate::hash::Hash;
use crate::light::{AgePolicy, AnchorError, Bisection, Options, Progress};
use crate::spec::Checkpoint;
use crate::testing::chain::TestChain;
use crate::time::Time;
use crate::vote::Height;

use super::*;

fn payment(chain: &TestChain, height: Height, index: usize) -> Payment {
    Payment::in_block(&chain.body(height).transactions, index).unwrap()
}

fn past(chain: &TestChain, old: Height, new: Height) -> Option<PastBlock> {
    Some(PastBlock { header: chain.header(old).clone(), proof: chain.history_proof(old, new) })
}

fn under_trace(
    chain: &TestChain,
    from: Height,
    to: Height,
    past: Option<PastBlock>,
    payment: Payment,
) -> Receipt {
    let trusted = chain.trusted(from);
    let mut bisection = Bisection::new(trusted.clone(), to, chain.options());
    while let Progress::Need(height) = bisection.progress() {
        bisection.feed(chain.light_block(height), now(chain));
    }
    Receipt::under_trace(&trusted, bisection.trace(), past, payment).unwrap()
}

fn now(chain: &TestChain) -> Time {
    chain.header(chain.tip()).time.plus(1)
}

/// Receipts of every shape over a chain that changes its set completely each epoch, and their anchors.
fn shapes(chain: &TestChain) -> Vec<(&'static str, Height, Receipt)> {
    let header = |height| chain.header(height).clone();
    let old = past(chain, Height(4), Height(23));
    vec![
        (
            "the anchor's own block",
            Height(9),
            Receipt::under_anchor(header(Height(9)), None, payment(chain, Height(9), 8)),
        ),
        (
            "below the anchor",
            Height(23),
            Receipt::under_anchor(header(Height(23)), old.clone(), payment(chain, Height(4), 2)),
        ),
        (
            "one certificate",
            Height(1),
            under_trace(chain, Height(1), Height(7), None, payment(chain, Height(7), 0)),
        ),
        ("steps", Height(2), under_trace(chain, Height(2), Height(23), None, payment(chain, Height(23), 1))),
        (
            "steps and history",
            Height(0),
            under_trace(chain, Height(0), Height(23), old, payment(chain, Height(4), 3)),
        ),
    ]
}

#[test]
fn receipts_of_every_shape_prove_the_payment() {
    let chain = TestChain::new(4, 10, 4, 25);
    for (name, at, receipt) in shapes(&chain) {
        let anchors = [Checkpoint::of(chain.header(at))];
        let proved = receipt.verify(&anchors, &chain.options(), now(&chain)).expect(name);
        let block = receipt.past.as_ref().map_or(&receipt.header, |past| &past.header);
        assert_eq!(
            (proved.height, proved.block, proved.time),
            (block.height, block.id(), block.time),
            "{name}"
        );
        assert_eq!(proved.txid, receipt.payment.transaction.id(), "{name}");
        assert_eq!(proved.final_height, receipt.header.height, "{name}");
        assert_eq!(
            (proved.anchor, proved.signed.is_some()),
            (anchors[0], receipt.commit.is_some()),
            "{name}"
        );
        assert_eq!(proved.outputs.len(), 2, "{name}");
        assert_eq!(Receipt::from_bytes(&receipt.to_bytes()), Ok(receipt.clone()), "{name}");
        assert_eq!(Receipt::from_json(&receipt.to_json()), Ok(receipt.clone()), "{name}");
        let text = receipt.to_text();
        assert_eq!(Receipt::from_text(&text), Ok(receipt.clone()), "{name}");
        assert_eq!(Receipt::from_text(&text.to_lowercase()), Ok(receipt), "{name}");
    }
}

#[test]
fn every_changed_byte_is_refused() {
    let chain = TestChain::new(4, 10, 4, 25);
    for (name, at, receipt) in shapes(&chain) {
        let (anchors, options, now) = ([Checkpoint::of(chain.header(at))], chain.options(), now(&chain));
        let bytes = receipt.to_bytes();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            if let Ok(damaged) = Receipt::from_bytes(&damaged) {
                assert!(damaged.verify(&anchors, &options, now).is_err(), "{name}: byte {at}");
            }
            assert!(Receipt::from_bytes(&bytes[..at]).is_err(), "{name}: cut at {at}");
        }
        assert!(Receipt::from_bytes(&[&bytes[..], &[0]].concat()).is_err(), "{name}: one byte more");
    }
}

#[test]
fn every_wrong_character_is_refused() {
    let chain = TestChain::new(4, 10, 0, 12);
    let receipt = Receipt::under_anchor(chain.header(Height(9)).clone(), None, payment(&chain, Height(9), 1));
    let good = receipt.to_text();
    for at in 0..good.len() {
        for other in ["Q", "P", "1", "B", "é", " "] {
            let mut bad = good.clone();
            bad.replace_range(at..=at, other);
            assert!(bad == good || Receipt::from_text(&bad).is_err(), "{at} {other}");
        }
        assert!(Receipt::from_text(&good[..at]).is_err(), "cut at {at}");
    }
    assert_eq!(Receipt::from_text(&format!("{good}Q")), Err(FormError::Text));
    assert_eq!(Receipt::from_json("{}"), Err(FormError::Json { line: 1, column: 2 }));
    let unknown = receipt.to_json().replacen('{', "{\"more\":1,", 1);
    assert!(matches!(Receipt::from_json(&unknown), Err(FormError::Json { .. })));
    let large = "Q".repeat(Receipt::SIZE_MAX * 2);
    assert_eq!(Receipt::from_text(&large), Err(FormError::TooLarge { size: large.len() }));
}

#[test]
fn what_a_receipt_is_refused_for() {
    let chain = TestChain::new(4, 10, 4, 25);
    let (anchors, now) = ([Checkpoint::of(chain.header(Height(0)))], now(&chain));
    let options = chain.options();
    let (_, _, good) = shapes(&chain).pop().unwrap();
    let with = |change: fn(&mut Receipt)| {
        let mut receipt = good.clone();
        change(&mut receipt);
        receipt.verify(&anchors, &options, now).unwrap_err()
    };
    assert_eq!(with(|r| r.version = 2), ReceiptError::Version(2));
    assert_eq!(with(|r| r.anchor.block.0 = Hash::ZERO), ReceiptError::UnknownAnchor { height: Height(0) });
    assert_eq!(with(|r| r.commit = None), ReceiptError::AnchorHeader);
    assert_eq!(
        with(|r| {
            let commit = r.commit.as_mut().unwrap();
            commit.steps = vec![commit.steps[0].clone(); STEPS_MAX + 1];
        }),
        ReceiptError::TooManySteps(STEPS_MAX + 1)
    );
    assert_eq!(
        with(|r| {
            let commit = r.commit.as_mut().unwrap();
            commit.steps[0].validators = Some(commit.anchor_validators.clone());
        }),
        ReceiptError::RepeatedSet(Height(10))
    );
    let missing = with(|r| drop(r.commit.as_mut().unwrap().steps.remove(1)));
    let error = crate::light::LightError::Validators;
    assert_eq!(missing, ReceiptError::Block { height: Height(23), error });
    assert_eq!(with(|r| r.past.as_mut().unwrap().proof.size = 24), ReceiptError::HistoryPosition);
    assert!(matches!(with(|r| r.payment.path.truncate(1)), ReceiptError::Transaction(_)));
    assert!(matches!(with(|r| r.payment.path = vec![Hash::ZERO; 33]), ReceiptError::Transaction(_)));
    assert!(matches!(with(|r| r.past = None), ReceiptError::Transaction(_)));
}

#[test]
fn an_old_anchor_needs_a_host_that_vouches_for_it() {
    let chain = TestChain::new(4, 10, 0, 12);
    let receipt = under_trace(&chain, Height(1), Height(9), None, payment(&chain, Height(9), 1));
    let anchors = [Checkpoint::of(chain.header(Height(1)))];
    let strict = Options::new(chain.spec().clone(), AgePolicy::Unbonding);
    let now = anchors[0].time.plus(strict.trust_period_ms);
    let limit_ms = strict.trust_period_ms;
    let error = AnchorError::CheckpointExpired { age_ms: limit_ms, limit_ms };
    assert_eq!(receipt.verify(&anchors, &strict, now), Err(ReceiptError::Anchor(error)));
    let vouched = Options::new(chain.spec().clone(), AgePolicy::AnyAge);
    let proved = receipt.verify(&anchors, &vouched, now).unwrap();
    assert_eq!(proved.anchor_age_ms, limit_ms);
    assert_eq!(proved.signed, Some(SignedWeight { weight: 30, total: 40 }));
}

#[test]
fn a_receipt_below_a_checkpoint_fits_a_qr_code_whatever_the_number_of_validators() {
    let chain = TestChain::new(100, 1000, 0, 600);
    let payment = payment(&chain, Height(4), 2);
    let receipt = Receipt::under_anchor(
        chain.header(Height(600)).clone(),
        past(&chain, Height(4), Height(600)),
        payment,
    );
    // A version 40 QR code of level L holds 4,296 alphanumeric characters.
    assert!(receipt.to_text().len() < 4296, "{}", receipt.to_text().len());
}
