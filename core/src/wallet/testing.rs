//! Random wallets for the tests of this module.

use proptest::collection::vec;
use proptest::prelude::*;

use super::coins::Spendable;
use crate::amount::Amount;
use crate::hash::{ChainId, Hash, Owner, TxId};
use crate::keys::SecretKey;
use crate::lock::Lock;
use crate::time::Time;
use crate::transaction::{OutPoint, Output, TransactionLimits};

pub(crate) const CHAIN: ChainId = ChainId(Hash([7; 32]));
pub(crate) const LIMITS: TransactionLimits =
    TransactionLimits { size_max: 100_000, output_min: Amount(1000), fee_per_kb_min: 1000 };
pub(crate) const EXPIRES_AT: Time = Time(1_000_000);

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub(crate) fn single(seed: u8) -> Lock {
    Lock::Key(key(seed).public_key())
}

pub(crate) fn threshold(required: u8, seeds: &[u8]) -> Lock {
    let mut keys: Vec<_> = seeds.iter().map(|seed| key(*seed).public_key()).collect();
    keys.sort_unstable();
    Lock::Threshold { required, keys }
}

pub(crate) fn coin(number: u32, grains: u64, lock: Lock) -> Spendable {
    let outpoint = OutPoint { txid: TxId(Hash([number as u8; 32])), index: number };
    Spendable { outpoint, output: Output { amount: Amount(grains), owner: lock.owner() }, lock }
}

pub(crate) fn stranger(seed: u8) -> Owner {
    Owner(Hash([seed; 32]))
}

/// Every key that opens one of [`locks`].
pub(crate) fn keys() -> Vec<SecretKey> {
    (1..=9).map(key).collect()
}

pub(crate) fn locks() -> impl Strategy<Value = Lock> {
    prop_oneof![
        (1..=5u8).prop_map(single),
        Just(threshold(2, &[1, 2, 3])),
        Just(threshold(1, &[4, 5])),
        Just(threshold(9, &[1, 2, 3, 4, 5, 6, 7, 8, 9])),
    ]
}

/// Coins of all sizes around dust, the minimum and real money.
pub(crate) fn coins(count: core::ops::Range<usize>) -> impl Strategy<Value = Vec<Spendable>> {
    let amount = prop_oneof![1..300u64, 500..3000u64, 10_000..1_000_000u64, 1..1_000_000_000_000u64];
    vec((amount, locks()), count)
        .prop_map(|list| (0..).zip(list).map(|(number, (grains, lock))| coin(number, grains, lock)).collect())
}
