//! Verifying transactions: form, sums, fee and signatures, by number of coins spent.

use timecoin_core::amount::Amount;
use timecoin_core::codec::{decode, encode};
use timecoin_core::hash::{ChainId, Hash, Owner, TxId};
use timecoin_core::spec::Rules;
use timecoin_core::time::Time;
use timecoin_core::transaction::{OutPoint, Output, SignedTransaction, VerifiedTransaction};

use super::chain::{hash, owner_of, pay, payer};
use super::{Extent, Figure, median_of};

const CHAIN: ChainId = ChainId(Hash([7; 32]));

/// All figures of transactions.
///
/// # Panics
/// If a good transaction is refused.
#[must_use]
pub fn run(_: Extent) -> Vec<Figure> {
    let limits = Rules::main().transaction_limits();
    let mut figures = Vec::new();
    for (inputs, earlier) in
        [(1, "earlier node 35 µs"), (10, "earlier node 350 to 390 µs"), (100, "earlier node 5,000 µs")]
    {
        let signed = spend(inputs);
        let bytes = encode(&signed);
        let seconds = median_of(200, || {
            let signed: SignedTransaction = decode(&bytes).expect("own bytes");
            VerifiedTransaction::verify(signed, &CHAIN, &limits).expect("a good transaction")
        });
        let name = format!("transaction of {inputs} coins of one owner, decoded and verified");
        figures.push(Figure::new(name, seconds * 1e6, "µs").beside(earlier));
        figures.push(Figure::new(
            format!("transaction of {inputs} coins of one owner, signed"),
            bytes.len() as f64,
            "bytes",
        ));
    }
    figures
}

fn spend(inputs: usize) -> SignedTransaction {
    let key = payer(0);
    let coin = |number| {
        let output = Output { amount: Amount(100_000_000), owner: owner_of(&key) };
        (OutPoint { txid: TxId(hash(1, number)), index: 0 }, output)
    };
    let coins: Vec<_> = (0..inputs).map(coin).collect();
    pay(&CHAIN, &coins, &key, Owner(hash(2, 0)), Time(0))
}
