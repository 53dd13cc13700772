//! Values, fees, sums and addresses at their limits.

use timecoin_core::address::{Address, AddressError, Network};
use timecoin_core::amount::Amount;
use timecoin_core::hash::{Hash, Owner};
use timecoin_core::testing::ledger::{Ledger, Payment, RICH, ledger_spec, owner};
use timecoin_core::transaction::{OutPoint, Output, TransactionError, fee_min};

use crate::world::World;

#[test]
fn lesson_06_value_and_fee_rules_hold_at_0_1_and_the_most() {
    let ledger = Ledger::new(ledger_spec(4, 1));
    let coin = ledger.coins_of(&owner(RICH))[0];
    let rules = ledger.rules().clone();
    let base = ledger.payment(RICH, coin, 201, Amount(5_000_000));
    let size = ledger.verify(base.clone().sign(&ledger.chain)).unwrap().size();
    let least = fee_min(size, rules.fee_per_kb_min);
    let pays = |amount: u64, fee: u64| {
        let mut payment = base.clone();
        payment.outputs[0].amount = Amount(amount);
        payment.outputs[1].amount = Amount(coin.1.amount.0.wrapping_sub(amount).wrapping_sub(fee));
        ledger.verify(payment.sign(&ledger.chain)).map(|verified| verified.fee())
    };
    let output_min = rules.output_min;
    let too_small = Err(TransactionError::OutputTooSmall { index: 0, output_min });
    let table = [
        ("nothing", pays(0, least.0), too_small.clone()),
        ("one grain", pays(1, least.0), too_small.clone()),
        ("below the least", pays(output_min.0 - 1, least.0), too_small),
        ("the least", pays(output_min.0, least.0), Ok(least)),
        ("more than one TIME", pays(Amount::from_time(1).0 + 1, least.0), Ok(least)),
        ("nearly all", pays(coin.1.amount.0 - least.0 - output_min.0, least.0), Ok(least)),
        (
            "no fee",
            pays(5_000_000, 0),
            Err(TransactionError::FeeTooLow { fee: Amount(0), fee_min: least, size }),
        ),
        (
            "a grain too little",
            pays(5_000_000, least.0 - 1),
            Err(TransactionError::FeeTooLow { fee: Amount(least.0 - 1), fee_min: least, size }),
        ),
        ("more than 0.01 TIME", pays(5_000_000, 1_000_001), Ok(Amount(1_000_001))),
        (
            "nearly all as a fee",
            pays(output_min.0, coin.1.amount.0 - 2 * output_min.0),
            Ok(Amount(coin.1.amount.0 - 2 * output_min.0)),
        ),
    ];
    for (name, found, expected) in table {
        assert_eq!(found, expected, "{name}");
    }
}

/// Blocks with large transfers and large fees are final on all nodes, and the fees are paid out.
#[test]
fn lesson_06_large_payments_and_fees_are_finalized() {
    let mut world = World::new(ledger_spec(4, 2));
    let ledger = Ledger::new(world.chain.spec.consensus.clone());
    let coins = ledger.coins_of(&owner(RICH));
    let large = ledger.payment(RICH, coins[0], 201, Amount::from_time(499)).sign(&ledger.chain);
    let mut generous = ledger.payment(RICH, coins[1], 202, Amount::from_time(1));
    generous.outputs.truncate(1);
    let generous = generous.sign(&ledger.chain);
    let ids = [large.transaction.id(), generous.transaction.id()];
    world.submit(0, large);
    world.submit(1, generous);
    world.run(|world| ids.iter().all(|txid| world.is_final(*txid)));
    world.run(|world| world.all_at(6));
    let state = world.node(2).state();
    assert_eq!(state.header.supply, world.chain.spec.consensus.issued(state.header.time));
    let paid = state.coins.summary().sum;
    assert!(state.accounting.pool < Amount::from_time(400), "499 TIME of fees were paid out: {paid}");
}

#[test]
fn lesson_08_generated_addresses_parse_and_damaged_ones_do_not() {
    const LETTERS: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l1";
    for number in 0..40 {
        for network in Network::ALL {
            let owner = owner(number);
            let text = Address { network, owner }.to_string();
            assert_eq!(text.parse(), Ok(Address { network, owner }));
            assert_eq!(text.to_uppercase().parse(), Ok(Address { network, owner }));
            assert_eq!(Address::parse_for(network, &text), Ok(owner));
            for other in Network::ALL.into_iter().filter(|other| *other != network) {
                let wrong = Err(AddressError::WrongNetwork { expected: other, found: network });
                assert_eq!(Address::parse_for(other, &text), wrong);
            }
        }
        let text = Address { network: Network::Main, owner: owner(number) }.to_string();
        for at in 0..text.len() {
            let replaced = LETTERS.iter().filter(|letter| text.as_bytes()[at] != **letter).map(|letter| {
                let mut damaged = text.clone().into_bytes();
                damaged[at] = *letter;
                String::from_utf8(damaged).unwrap()
            });
            let mut dropped = text.clone();
            dropped.remove(at);
            let mut doubled = text.clone();
            doubled.insert(at, char::from(text.as_bytes()[at]));
            let mut swapped = text.clone().into_bytes();
            let end = text.len() - 1;
            swapped.swap(at, (at + 1).min(end));
            let swapped = Some(String::from_utf8(swapped).unwrap()).filter(|swapped| *swapped != text);
            for damaged in replaced.chain([dropped, doubled]).chain(swapped) {
                assert!(damaged.parse::<Address>().is_err(), "{text} became {damaged}");
            }
        }
    }
    let nobody = Owner(Hash([0; 32]));
    assert!(Address { network: Network::Test, owner: nobody }.to_string().parse::<Address>().is_ok());
}

#[test]
fn lesson_11_sums_do_not_wrap_and_inputs_are_unique() {
    let ledger = Ledger::new(ledger_spec(4, 4));
    let coins = ledger.coins_of(&owner(RICH));
    let with = |change: &dyn Fn(&mut Payment)| {
        let mut payment = ledger.payment(RICH, coins[0], 201, Amount(5_000_000));
        change(&mut payment);
        ledger.verify(payment.sign(&ledger.chain)).map(|_| ())
    };
    let output = |amount| Output { amount: Amount(amount), owner: owner(201) };
    let limit = Amount::SUPPLY_LIMIT.0;
    let overflow = Err(TransactionError::Overflow);
    let (spent, one) = (coins[0].1.amount, coins[0].0);
    let table = [
        (
            "two outputs that wrap to nothing",
            with(&|payment| payment.outputs = vec![output(1 << 63), output(1 << 63)]),
            overflow.clone(),
        ),
        (
            "three outputs that wrap to a little",
            with(&|payment| payment.outputs = vec![output(u64::MAX), output(2_000), output(2_000)]),
            overflow.clone(),
        ),
        (
            "one output of all that can be",
            with(&|payment| payment.outputs = vec![output(limit)]),
            overflow.clone(),
        ),
        (
            "one grain less",
            with(&|payment| payment.outputs = vec![output(limit - 1)]),
            Err(TransactionError::ValueCreated { spent, made: Amount(limit - 1) }),
        ),
        (
            "claimed coins that wrap",
            with(&|payment| {
                let claim = |at: usize| (coins[at].0, output(limit - 1));
                payment.coins = vec![claim(0), claim(1), claim(2)];
            }),
            overflow,
        ),
        (
            "a coin twice",
            with(&|payment| payment.coins.push(coins[0])),
            Err(TransactionError::DuplicateInput(one)),
        ),
        (
            "a coin three times among others",
            with(&|payment| payment.coins = vec![coins[1], coins[0], coins[2], coins[0], coins[0]]),
            Err(TransactionError::DuplicateInput(one)),
        ),
        (
            "another position of the same transaction",
            with(&|payment| payment.coins.push((OutPoint { index: 99, ..one }, coins[0].1))),
            Ok(()),
        ),
    ];
    for (name, found, expected) in table {
        assert_eq!(found, expected, "{name}");
    }
    let most = Amount(limit - 1);
    assert_eq!((most.checked_add(Amount(1)), Amount(0).checked_sub(Amount(1))), (None, None));
}
