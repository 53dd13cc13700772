//! Named cases; `model` compares whole histories with a naive pool.

mod model;

use std::collections::BTreeMap;

use super::*;
use crate::hash::{ChainId, Hash, Owner};
use crate::keys::SecretKey;
use crate::lock::Lock;
use crate::transaction::{
    Action, SignedTransaction, TRANSACTION_VERSION, Transaction, TransactionLimits, sign,
};

const CHAIN: ChainId = ChainId(Hash([7; 32]));
const COIN: Amount = Amount(10_000_000);
const DAY_MS: u64 = 24 * 3_600_000;
const NOON: Clock = Clock { tip_time: Time(1_000), now: Time(1_000) };

fn key() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

fn owner() -> Owner {
    Lock::Key(key().public_key()).owner()
}

fn chain_outpoint(seed: u8) -> OutPoint {
    OutPoint { txid: TxId(Hash([seed; 32])), index: 0 }
}

fn peer(seed: u8) -> PublicKey {
    PublicKey([seed; 32])
}

/// A transaction over `inputs` that leaves `fee` to the pool and splits the rest over `outputs` coins.
fn spend(
    inputs: &[(OutPoint, Output)],
    fee: u64,
    outputs: u64,
    memo: usize,
    expires_at: Time,
) -> VerifiedTransaction {
    let total: u64 = inputs.iter().map(|(_, coin)| coin.amount.0).sum();
    let amount = Amount((total - fee) / outputs);
    let rest = total - fee - amount.0 * outputs;
    let mut made = vec![Output { amount, owner: owner() }; outputs as usize];
    made[0].amount = Amount(amount.0 + rest);
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        inputs: inputs.iter().map(|(outpoint, _)| *outpoint).collect(),
        outputs: made,
        action: Action::Transfer,
        expires_at,
        memo: vec![0; memo],
    };
    let spent = inputs.iter().map(|(_, coin)| *coin).collect();
    let signed = sign(transaction, spent, &CHAIN, &[key()]);
    let limits = TransactionLimits { size_max: 100_000, output_min: Amount(1), fee_per_kb_min: 0 };
    VerifiedTransaction::verify(signed, &CHAIN, &limits).unwrap()
}

fn coin() -> Output {
    Output { amount: COIN, owner: owner() }
}

/// Spends one coin of the chain.
fn simple(seed: u8, fee: u64) -> VerifiedTransaction {
    spend(&[(chain_outpoint(seed), coin())], fee, 1, 0, Time(DAY_MS))
}

fn child_of(parent: &VerifiedTransaction, index: usize, fee: u64) -> VerifiedTransaction {
    let (outpoint, output) = parent.makes().nth(index).unwrap();
    spend(&[(outpoint, *output)], fee, 1, 0, Time(DAY_MS))
}

/// Every coin that [`chain_outpoint`] names exists.
fn coins(outpoint: &OutPoint) -> Option<Output> {
    (outpoint.index == 0 && outpoint.txid.as_bytes().iter().all(|byte| *byte == outpoint.txid.as_bytes()[0]))
        .then(coin)
}

fn limits() -> MempoolLimits {
    MempoolLimits { replace_fee_per_kb: 1000, ..MempoolLimits::default() }
}

fn admit(pool: &mut Mempool, transaction: &VerifiedTransaction) -> Result<Admitted, AdmissionError> {
    let before = pool.clone();
    let mut batch = Batch::default();
    let result = pool.admit(transaction.clone(), None, NOON, coins, &mut batch);
    if result.is_err() {
        assert!(*pool == before && batch.is_empty(), "a refused transaction leaves no trace");
    }
    result
}

fn ids(transactions: &[Arc<VerifiedTransaction>]) -> Vec<TxId> {
    transactions.iter().map(|transaction| transaction.txid()).collect()
}

#[test]
fn a_rejected_transaction_leaves_no_trace_and_its_coin_spends_at_once() {
    let mut pool = Mempool::new(limits());
    let (unknown, good) = (OutPoint { txid: TxId(Hash([9; 32])), index: 4 }, chain_outpoint(9));
    let bad = spend(&[(good, coin()), (unknown, coin())], 5000, 1, 0, Time(DAY_MS));
    assert_eq!(admit(&mut pool, &bad), Err(AdmissionError::CoinUnknown(unknown)));
    assert!(!pool.is_spent(&good));
    assert_eq!(admit(&mut pool, &simple(9, 5000)), Ok(Admitted::default()));
}

#[test]
fn what_cannot_be_in_a_block_is_refused_with_its_facts() {
    let mut pool = Mempool::new(limits());
    let first = simple(1, 1000);
    admit(&mut pool, &first).unwrap();
    let lie = Output { amount: Amount(COIN.0 + 1), owner: owner() };
    let late = Time(NOON.now.0 + DAY_MS + 1);
    let input = [(chain_outpoint(2), coin())];
    let table = [
        ("known", first.clone(), AdmissionError::Known(first.txid())),
        (
            "expired",
            spend(&input, 1000, 1, 0, NOON.tip_time),
            AdmissionError::Expired { expires_at: NOON.tip_time, tip_time: NOON.tip_time },
        ),
        (
            "too far",
            spend(&input, 1000, 1, 0, late),
            AdmissionError::ExpiryTooFar { expires_at: late, latest: Time(late.0 - 1) },
        ),
        (
            "claims another amount",
            spend(&[(chain_outpoint(2), lie)], 1000, 1, 0, Time(DAY_MS)),
            AdmissionError::CoinMismatch { outpoint: chain_outpoint(2), coin: coin() },
        ),
    ];
    for (name, transaction, error) in table {
        assert_eq!(admit(&mut pool, &transaction), Err(error), "{name}");
    }
}

#[test]
fn a_conflict_names_the_other_and_the_fee_that_replaces_it() {
    let mut pool = Mempool::new(limits());
    let parent = simple(1, 1000);
    let child = child_of(&parent, 0, 3000);
    admit(&mut pool, &parent).unwrap();
    admit(&mut pool, &child).unwrap();
    let size = simple(1, 1001).size();
    let needed = Amount(4000 + fee_min(size, 1000).0);
    let error = AdmissionError::Conflict { with: parent.txid(), fee_min: needed };
    assert_eq!(admit(&mut pool, &simple(1, needed.0 - 1)), Err(error));
    let better = simple(1, needed.0);
    let admitted = admit(&mut pool, &better).unwrap();
    assert_eq!(BTreeSet::from_iter(admitted.replaced), BTreeSet::from([parent.txid(), child.txid()]));
    assert_eq!((pool.len(), pool.bytes()), (1, better.size()));
    assert!(matches!(admit(&mut pool, &parent), Err(AdmissionError::Conflict { .. })), "no way back");
}

#[test]
fn a_replacement_cannot_spend_what_it_replaces() {
    let mut pool = Mempool::new(limits());
    let parent = simple(1, 1000);
    admit(&mut pool, &parent).unwrap();
    let (outpoint, output) = parent.makes().next().map(|(outpoint, output)| (outpoint, *output)).unwrap();
    let cyclic = spend(&[(chain_outpoint(1), coin()), (outpoint, output)], 500_000, 1, 0, Time(DAY_MS));
    assert_eq!(admit(&mut pool, &cyclic), Err(AdmissionError::SpendsReplaced(parent.txid())));
}

#[test]
fn replacing_is_bounded() {
    let mut pool = Mempool::new(MempoolLimits { replaced_max: 3, ..limits() });
    let parent = spend(&[(chain_outpoint(1), coin())], 1000, 3, 0, Time(DAY_MS));
    admit(&mut pool, &parent).unwrap();
    (0..3).for_each(|index| drop(admit(&mut pool, &child_of(&parent, index, 1000)).unwrap()));
    let error = AdmissionError::ReplacesTooMany { with: parent.txid(), removed: 4, removed_max: 3 };
    assert_eq!(admit(&mut pool, &simple(1, 1_000_000)), Err(error));
}

#[test]
fn chains_of_pending_transactions_are_bounded() {
    let mut pool = Mempool::new(MempoolLimits { ancestors_max: 2, ..limits() });
    let one = simple(1, 1000);
    let two = child_of(&one, 0, 1000);
    let three = child_of(&two, 0, 1000);
    let four = child_of(&three, 0, 1000);
    for transaction in [&one, &two, &three] {
        admit(&mut pool, transaction).unwrap();
    }
    let error = AdmissionError::TooManyAncestors { ancestors: 3, ancestors_max: 2 };
    assert_eq!(admit(&mut pool, &four), Err(error));
    let removed = pool.on_block([one.txid()], [chain_outpoint(1)], &mut Batch::default());
    assert_eq!(removed, Removed { confirmed: vec![one.txid()], conflicting: vec![] });
    assert_eq!(admit(&mut pool, &four), Ok(Admitted::default()));
}

#[test]
fn a_full_pool_keeps_the_best_and_says_what_it_takes() {
    let size = simple(0, 1000).size();
    let mut pool = Mempool::new(MempoolLimits { bytes_max: 3 * size, ..limits() });
    for (seed, fee) in [(1, 3000), (2, 1000), (3, 2000)] {
        admit(&mut pool, &simple(seed, fee)).unwrap();
    }
    assert_eq!(admit(&mut pool, &simple(4, 1000)), Err(AdmissionError::Full { fee: Amount(1000) }));
    let admitted = admit(&mut pool, &simple(4, 1001)).unwrap();
    assert_eq!(admitted.evicted, [simple(2, 1000).txid()]);
    assert_eq!(pool.bytes(), 3 * size);
}

#[test]
fn one_peer_cannot_fill_the_pool() {
    let size = simple(0, 1000).size();
    let mut pool = Mempool::new(MempoolLimits { per_peer_bytes_max: 2 * size, ..limits() });
    let mut send = |seed, from| pool.admit(simple(seed, 1000), from, NOON, coins, &mut Batch::default());
    send(1, Some(peer(1))).unwrap();
    send(2, Some(peer(1))).unwrap();
    let error = AdmissionError::PeerShare { bytes: 3 * size, bytes_max: 2 * size };
    assert_eq!(send(3, Some(peer(1))), Err(error));
    send(3, Some(peer(2))).unwrap();
    send(4, None).unwrap();
    pool.on_block([simple(1, 1000).txid()], [chain_outpoint(1)], &mut Batch::default());
    assert!(pool.admit(simple(5, 1000), Some(peer(1)), NOON, coins, &mut Batch::default()).is_ok());
}

#[test]
fn selection_puts_parents_first_and_lets_children_pay_for_them() {
    let mut pool = Mempool::new(limits());
    let (poor, rich, middle) = (simple(1, 300), simple(2, 900), simple(3, 600));
    let generous = child_of(&poor, 0, 5000);
    for transaction in [&poor, &rich, &middle, &generous] {
        admit(&mut pool, transaction).unwrap();
    }
    let all = ids(&pool.select(1 << 20, Time(2_000)));
    assert_eq!(all, [poor.txid(), generous.txid(), rich.txid(), middle.txid()]);
    let two = ids(&pool.select(poor.size() + generous.size() + 10, Time(2_000)));
    assert_eq!(two, [poor.txid(), generous.txid()]);
    assert_eq!(pool.select(1 << 20, Time(DAY_MS + 1)), [], "nothing that has expired by the block's time");
}

#[test]
fn a_block_removes_what_it_confirms_and_what_can_never_follow() {
    let mut pool = Mempool::new(limits());
    let (confirmed, doubled) = (simple(1, 1000), simple(2, 1000));
    let (kept, lost) = (child_of(&confirmed, 0, 1000), child_of(&doubled, 0, 1000));
    for transaction in [&confirmed, &doubled, &kept, &lost] {
        admit(&mut pool, transaction).unwrap();
    }
    let mut batch = Batch::default();
    let removed = pool.on_block([confirmed.txid()], [chain_outpoint(1), chain_outpoint(2)], &mut batch);
    assert_eq!(removed.confirmed, [confirmed.txid()]);
    assert_eq!(BTreeSet::from_iter(removed.conflicting), BTreeSet::from([doubled.txid(), lost.txid()]));
    assert_eq!(pool.iter().map(|left| left.txid()).collect::<Vec<_>>(), [kept.txid()]);
    assert_eq!(batch.len(), 3, "one row deleted for each");
}

#[test]
fn a_restart_restores_the_pool_from_its_rows_in_any_order() {
    let mut pool = Mempool::new(limits());
    let mut rows = BTreeMap::new();
    let mut batch = Batch::default();
    let mut last = simple(1, 1000);
    pool.admit(last.clone(), None, NOON, coins, &mut batch).unwrap();
    for fee in 1001..1020 {
        last = child_of(&last, 0, fee);
        pool.admit(last.clone(), Some(peer(3)), NOON, coins, &mut batch).unwrap();
    }
    for (table, key, value) in batch.iter() {
        assert_eq!(table, Table::Mempool);
        rows.insert(key.clone(), value.unwrap().clone());
    }
    let lost = simple(99, 1000);
    let decoded = rows.values().map(|row| crate::codec::decode::<SignedTransaction>(row).unwrap());
    let form = TransactionLimits { size_max: 100_000, output_min: Amount(1), fee_per_kb_min: 0 };
    let mut verified = VerifiedTransaction::verify_all(decoded.collect(), &CHAIN, &form).unwrap();
    verified.push(lost.clone());
    let mut restored = Mempool::new(limits());
    let mut batch = Batch::default();
    let chain = |outpoint: &OutPoint| coins(outpoint).filter(|_| *outpoint != chain_outpoint(99));
    let refused = restored.restore(verified, NOON, chain, &mut batch);
    assert_eq!(refused, [(lost.txid(), AdmissionError::CoinUnknown(chain_outpoint(99)))]);
    assert!(batch.iter().any(|(_, key, value)| key == lost.txid().as_bytes() && value.is_none()));
    assert_eq!(ids(&restored.select(1 << 20, Time(2_000))), ids(&pool.select(1 << 20, Time(2_000))));
}

#[test]
fn expired_transactions_go_with_their_descendants() {
    let mut pool = Mempool::new(limits());
    let short = spend(&[(chain_outpoint(1), coin())], 1000, 1, 0, Time(5_000));
    let child = child_of(&short, 0, 1000);
    for transaction in [&short, &child, &simple(2, 1000)] {
        admit(&mut pool, transaction).unwrap();
    }
    assert_eq!(pool.expire(Time(4_999), &mut Batch::default()), []);
    assert_eq!(pool.expire(Time(5_000), &mut Batch::default()).len(), 2);
    assert_eq!(pool.len(), 1);
}
