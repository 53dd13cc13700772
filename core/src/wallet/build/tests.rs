use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::hash::Hash;
use crate::transaction::{VerifiedTransaction, fee_min};
use crate::wallet::testing::{
    CHAIN, EXPIRES_AT, LIMITS, coin, coins, key, keys, single, stranger, threshold,
};

fn builder() -> TransactionBuilder {
    TransactionBuilder::new(CHAIN, LIMITS, EXPIRES_AT)
}

fn total(outputs: &[Output]) -> u64 {
    outputs.iter().map(|output| output.amount.0).sum()
}

/// Everything a funded transaction promises; returns it signed and verified.
fn check(unsigned: &Unsigned, fee_per_kb: u64) -> VerifiedTransaction {
    let Unsigned { transaction, spent, fee, change, .. } = unsigned;
    assert_eq!(total(spent), total(&transaction.outputs) + fee.0, "inputs = outputs + fee");
    let signed = unsigned.clone().sign(&keys()).expect("every key is at hand");
    let size = encode(&signed).len();
    assert_eq!(size, unsigned.signed_size(), "the size was predicted");
    let verified = VerifiedTransaction::verify(signed, &CHAIN, &LIMITS).expect("valid");
    assert_eq!(verified.fee(), *fee);
    match change {
        Some(change) => {
            assert_eq!(*fee, fee_min(size, fee_per_kb), "with change the fee is exact");
            assert_eq!(transaction.outputs.last().map(|output| output.amount), Some(*change));
        }
        None => {
            let most = fee_min(size + 40, fee_per_kb).0 + LIMITS.output_min.0;
            assert!((fee_min(size, fee_per_kb).0..most).contains(&fee.0), "{fee} without change");
        }
    }
    verified
}

#[test]
fn change_comes_back_and_the_fee_is_the_least() {
    let coins = [coin(1, 50_000, single(1)), coin(2, 90_000, single(1)), coin(3, 10_000, single(2))];
    let unsigned =
        builder().pay(stranger(1), Amount(60_000)).memo("hi").fund(&coins, single(1).owner()).unwrap();
    assert_eq!(unsigned.transaction.inputs, [coins[1].outpoint], "largest first");
    assert_eq!(unsigned.fee, Amount(unsigned.signed_size() as u64), "1,000 grains for 1,000 bytes");
    assert_eq!(unsigned.change, Some(Amount(30_000 - unsigned.fee.0)));
    check(&unsigned, 1000);
}

#[test]
fn an_exact_coin_leaves_no_change() {
    let unsigned = |grains| {
        let coins = [coin(1, grains, single(1))];
        builder().pay(stranger(1), Amount(60_000)).fund(&coins, single(1).owner())
    };
    let least = unsigned(1_000_000).unwrap().signed_size() as u64 - 40 + 60_000;
    assert_eq!(unsigned(least).unwrap().change, None);
    let short = BuildError::InsufficientFunds { have: Amount(least - 1), need: Amount(least) };
    assert_eq!(unsigned(least - 1), Err(short));
    let with_change = least + 40 + LIMITS.output_min.0;
    assert_eq!(unsigned(with_change - 1).unwrap().change, None, "too small to be a coin");
    assert_eq!(unsigned(with_change).unwrap().change, Some(LIMITS.output_min));
    assert_eq!(
        short.to_string(),
        "insufficient funds: 0.00060279 TIME are needed with the fee, 0.00060278 TIME can be spent: pay less, or wait for coins"
    );
}

#[test]
fn coins_that_cost_more_than_they_are_worth_stay() {
    let mut coins = vec![coin(1, 5_000, single(1)), coin(2, 70, single(1)), coin(3, 150, single(2))];
    let unsigned = builder().fund_with_all(&coins, stranger(9)).unwrap();
    assert_eq!(unsigned.spent.len(), 1);
    // Two coins of one owner share the witness that one alone could not pay for.
    coins.push(coin(4, 151, single(2)));
    assert_eq!(builder().fund_with_all(&coins, stranger(9)).unwrap().spent.len(), 3);
    check(&builder().fund_with_all(&coins, stranger(9)).unwrap(), 1000);
}

#[test]
fn what_cannot_be_built_is_refused() {
    let rich = [coin(1, 1_000_000_000_000, single(1))];
    let poor = [coin(1, 1_000, single(1))];
    let many: Vec<_> = (0..2000).map(|number| coin(number, 10_000, single(1))).collect();
    let wrong = [Spendable { lock: single(2), ..rich[0].clone() }];
    let unsound = Lock::Threshold { required: 3, keys: vec![key(1).public_key()] };
    let unsound = [coin(1, 1_000_000, unsound)];
    let pay = |grains| builder().pay(stranger(1), Amount(grains));
    let small = |amount| BuildError::OutputTooSmall { index: 0, amount, output_min: LIMITS.output_min };
    let table = [
        ("nothing", builder(), &rich[..], BuildError::NothingToDo),
        ("too little", pay(999), &rich, small(Amount(999))),
        ("zero", pay(0), &rich, small(Amount::ZERO)),
        ("memo", pay(5000).memo([0; 81]), &rich, BuildError::MemoTooLong { size: 81 }),
        (
            "rate",
            pay(5000).fee_per_kb(999),
            &rich,
            BuildError::FeeRateTooLow { fee_per_kb: 999, fee_per_kb_min: 1000 },
        ),
        (
            "fee",
            pay(5000).fee(Amount(318)),
            &rich,
            BuildError::FeeTooLow { asked: Amount(318), least: Amount(319) },
        ),
        ("no coins", pay(5000), &[], BuildError::InsufficientFunds { have: Amount(0), need: Amount(5094) }),
        ("poor", pay(5000), &poor, BuildError::InsufficientFunds { have: Amount(1000), need: Amount(5279) }),
        (
            "many small coins",
            pay(15_000_000),
            &many,
            BuildError::TooLarge { size: 115_115, size_max: 100_000, have: Amount(13_130_000) },
        ),
        ("too much", pay(1 << 62).pay(stranger(2), Amount(1 << 62)), &rich, BuildError::Overflow),
        ("lock", pay(5000), &wrong, BuildError::LockMismatch(rich[0].outpoint)),
        ("unsound lock", pay(5000), &unsound, BuildError::Lock(LockError::KeyCount(1))),
    ];
    for (name, builder, coins, error) in table {
        assert_eq!(builder.fund(coins, stranger(3)), Err(error), "{name}");
    }
    assert!(matches!(
        builder().fund_with_all(&poor[..0], stranger(3)),
        Err(BuildError::InsufficientFunds { have: Amount(0), .. })
    ));
}

#[test]
fn a_fee_that_was_named_is_paid_exactly() {
    let rich = [coin(1, 1_000_000, single(1))];
    for fee in [319, 320, 50_000] {
        let unsigned = builder().pay(stranger(1), Amount(5000)).fee(Amount(fee)).fund(&rich, stranger(3));
        let unsigned = unsigned.unwrap();
        assert_eq!((unsigned.fee, unsigned.change), (Amount(fee), Some(Amount(995_000 - fee))));
        let all = builder().fee(Amount(fee)).fund_with_all(&rich, stranger(3)).unwrap();
        assert_eq!((all.fee, all.change), (Amount(fee), Some(Amount(1_000_000 - fee))));
    }
}

#[test]
fn sending_everything_stops_at_the_largest_transaction() {
    let many: Vec<_> = (0..2000).map(|number| coin(number, 10_000, single(1))).collect();
    let unsigned = builder().fund_with_all(&many, stranger(3)).unwrap();
    assert!((LIMITS.size_max - 75..=LIMITS.size_max).contains(&unsigned.signed_size()));
    check(&unsigned, 1000);
}

#[test]
fn masternode_transactions_verify() {
    let coins = [coin(1, 20_000_000_000_000, single(1)), coin(2, 5_000_000, single(2))];
    let owner = single(3);
    let consent = OperatorConsent::sign(&CHAIN, &owner.owner(), &key(9));
    let registration = Registration {
        tier: Tier::Gold,
        class: Class::Browser,
        owner: owner.owner(),
        payout: stranger(1),
        consent,
    };
    let registered = builder()
        .pay(stranger(4), Amount(5000))
        .register_masternode(&registration)
        .fund(&coins, single(1).owner())
        .unwrap();
    assert_eq!(
        registered.transaction.outputs[0],
        Output { amount: Tier::Gold.collateral(), owner: owner.owner() }
    );
    check(&registered, 1000);

    let masternode = MasternodeId(Hash([3; 32]));
    let retired = builder().retire_masternode(masternode, owner.clone());
    let rotated = builder().rotate_operator(masternode, key(8).public_key(), owner.clone(), consent);
    for (name, builder) in [("retire", retired), ("rotate", rotated)] {
        let by_others = builder.clone().fund(&coins, single(1).owner()).unwrap();
        assert_eq!(by_others.transaction.outputs.len(), 1, "{name}: only change");
        assert!(check(&by_others, 1000).extra_witness() == Some(owner.owner()), "{name}");
        let own = [coin(7, 5000, owner.clone())];
        let by_owner = builder.fund(&own, owner.owner()).unwrap();
        assert_eq!(check(&by_owner, 1000).extra_witness(), None, "{name}");
    }
}

#[test]
fn an_operator_must_have_agreed() {
    let coins = [coin(1, 20_000_000_000_000, single(1))];
    let build = |consent| {
        let (masternode, replaces) = (MasternodeId(Hash([3; 32])), key(8).public_key());
        builder().rotate_operator(masternode, replaces, single(3), consent).fund(&coins, stranger(1))
    };
    let other_owner = OperatorConsent::sign(&CHAIN, &stranger(1), &key(9));
    let other_chain = OperatorConsent::sign(&ChainId(Hash([8; 32])), &single(3).owner(), &key(9));
    assert_eq!(build(other_owner), Err(BuildError::OperatorConsent));
    assert_eq!(build(other_chain), Err(BuildError::OperatorConsent));
    let mut small = other_owner;
    small.operator = PublicKey([0; 32]);
    assert_eq!(build(small), Err(BuildError::OperatorKey(KeyError::SmallOrder)));
}

#[test]
fn the_order_of_the_coins_does_not_matter() {
    let mut coins: Vec<_> =
        (0..20).map(|number| coin(number, 5000 + u64::from(number % 3), single(1))).collect();
    let build =
        |coins: &[Spendable]| builder().pay(stranger(1), Amount(20_000)).fund(coins, stranger(2)).unwrap();
    let first = build(&coins);
    coins.reverse();
    coins.extend_from_within(..5);
    assert_eq!(build(&coins), first, "nor do repetitions");
}

#[test]
fn a_threshold_lock_costs_its_signatures() {
    let lock = threshold(9, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let unsigned = builder().fund_with_all(&[coin(1, 1_000_000, lock)], stranger(1)).unwrap();
    check(&unsigned, 1000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_is_built_verifies_at_the_predicted_size(
        coins in coins(1..40),
        pays in vec((1000..200_000_000u64, any::<u8>()), 0..5),
        memo in vec(any::<u8>(), 0..=80),
        rate in 1000..30_000u64,
        acts: bool,
    ) {
        let mut builder = builder().fee_per_kb(rate).memo(memo);
        for (grains, seed) in &pays {
            builder = builder.pay(stranger(*seed), Amount(*grains));
        }
        if acts {
            builder = builder.retire_masternode(MasternodeId(Hash([3; 32])), single(2));
        }
        let mut enough = false;
        match builder.clone().fund(&coins, stranger(0)) {
            Ok(unsigned) => {
                check(&unsigned, rate);
                enough = true;
            }
            Err(BuildError::InsufficientFunds { have, need }) => prop_assert!(have < need),
            Err(BuildError::NothingToDo) => prop_assert!(pays.is_empty() && !acts),
            Err(error) => prop_assert!(false, "{error}"),
        }
        match builder.fund_with_all(&coins, stranger(0)) {
            Ok(unsigned) => { check(&unsigned, rate); }
            // Without change the payments may just be possible.
            Err(BuildError::InsufficientFunds { .. }) => prop_assert!(!acts || !enough || !pays.is_empty()),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
