//! The mempool: lookup and admission by how much is pending.

use timecoin_core::amount::Amount;
use timecoin_core::hash::{ChainId, Hash, Owner, TxId};
use timecoin_core::mempool::{Clock, Mempool, MempoolLimits};
use timecoin_core::rows::Batch;
use timecoin_core::spec::Rules;
use timecoin_core::time::Time;
use timecoin_core::transaction::{OutPoint, Output, SignedTransaction, VerifiedTransaction};

use super::chain::{hash, owner_of, pay, payer};
use super::{Extent, Figure, rate, timed};

const CHAIN: ChainId = ChainId(Hash([7; 32]));
const CLOCK: Clock = Clock { tip_time: Time(0), now: Time(0) };
/// Admissions and lookups per figure.
const COUNT: usize = 1_000;

/// All figures of the mempool.
///
/// # Panics
/// If a good transaction is refused.
#[must_use]
pub fn run(_: Extent) -> Vec<Figure> {
    let sizes = [
        (1_000, "earlier node 0.12 µs"),
        (10_000, "earlier node 0.54 µs"),
        (100_000, "earlier node 0.97 µs"),
    ];
    let mut figures = Vec::new();
    let mut pool = Mempool::new(MempoolLimits::default());
    let mut batch = Batch::default();
    for (pending, earlier) in sizes {
        for number in pool.len()..pending {
            admit(&mut pool, verify(payment(number)), &mut batch);
        }
        batch = Batch::default();
        let ids: Vec<TxId> = pool.iter().map(|transaction| transaction.txid()).collect();
        let asked: Vec<TxId> = (0..100 * COUNT).map(|at| ids[at * 7_919 % ids.len()]).collect();
        let (found, seconds) = timed(|| asked.iter().filter(|txid| pool.transaction(txid).is_some()).count());
        assert_eq!(found, asked.len(), "every pending transaction is found");
        let each = seconds * 1e6 / asked.len() as f64;
        figures.push(Figure::new(format!("lookup, {pending} pending"), each, "µs").beside(earlier));
    }
    let pending = 10_000;
    while pool.len() > pending {
        let extra: Vec<TxId> = pool.iter().skip(pending).map(|transaction| transaction.txid()).collect();
        extra.iter().for_each(|txid| drop(pool.remove(txid, &mut batch)));
    }
    let submitted: Vec<SignedTransaction> = (0..COUNT).map(|at| payment(1_000_000 + at)).collect();
    let (verified, checking) = timed(|| submitted.into_iter().map(verify).collect::<Vec<_>>());
    let ((), admitting) = timed(|| verified.into_iter().for_each(|one| admit(&mut pool, one, &mut batch)));
    let name = format!("admission without signatures, {pending} pending");
    figures.push(Figure::new(name, rate(COUNT, admitting), "1/s"));
    let name = format!("admission with signatures one by one, {pending} pending");
    figures.push(Figure::new(name, rate(COUNT, checking + admitting), "1/s").beside("earlier node 80 1/s"));
    figures
}

fn coin(number: usize) -> (OutPoint, Output) {
    let output = Output { amount: Amount(100_000_000), owner: owner_of(&payer(0)) };
    (OutPoint { txid: TxId(hash(1, number)), index: 0 }, output)
}

fn payment(number: usize) -> SignedTransaction {
    pay(&CHAIN, &[coin(number)], &payer(0), Owner(hash(2, number)), Time(0))
}

fn verify(signed: SignedTransaction) -> VerifiedTransaction {
    let limits = Rules::main().transaction_limits();
    VerifiedTransaction::verify(signed, &CHAIN, &limits).expect("a good payment")
}

fn admit(pool: &mut Mempool, transaction: VerifiedTransaction, batch: &mut Batch) {
    let claimed: Vec<_> = transaction.spends().map(|(outpoint, coin)| (*outpoint, *coin)).collect();
    let coins = |outpoint: &OutPoint| claimed.iter().find(|(at, _)| at == outpoint).map(|(_, coin)| *coin);
    pool.admit(transaction, None, CLOCK, coins, batch).expect("there is room");
}
