//! Validating a block of 1,000 payments, against nothing but the signatures in it.

use timecoin_core::block::Block;
use timecoin_core::codec::encode;
use timecoin_core::keys::{SignedBytes, verify_batch};
use timecoin_core::lock::Lock;
use timecoin_core::state::tree::Multiproof;
use timecoin_core::state::{ChainState, VerifiedBlock, validate};
use timecoin_core::transaction::SignedTransaction;

use super::chain::{BLOCK, Economy};
use super::{Extent, Figure, median, median_of, timed};

/// Times a block is validated for one figure.
const TIMES: usize = 15;

/// All figures of blocks.
#[must_use]
pub fn run(extent: Extent) -> Vec<Figure> {
    let mut figures = Vec::new();
    let sizes: &[usize] = match extent {
        Extent::Usual => &[100_000, 1_000_000],
        Extent::Full => &[100_000, 1_000_000, 4_000_000],
    };
    for coins in sizes {
        measure(*coins, &mut figures);
    }
    figures
}

fn measure(coins: usize, figures: &mut Vec<Figure>) {
    let economy = Economy::new(coins, 1);
    let payments = economy.payments(0);
    let signed = signatures(&economy, &payments);
    let applied = economy.derive(&economy.state, economy.block(&economy.state, economy.verify(payments)));
    let (block, ops) = (applied.block, applied.changes.ops());
    let mut figure = |name: &str, value, unit, beside: Option<&'static str>| {
        let name = format!("block of {BLOCK} payments, {coins} coins: {name}");
        figures.push(Figure { name, value, unit, beside });
    };

    let batch = median_of(TIMES, || assert!(verify_batch(&signed)));
    let checked = median_with(|| block.clone(), |block| check(&economy, block));
    let verified = check(&economy, block.clone());
    let apply = |parent: &ChainState, verified: VerifiedBlock| {
        validate(&economy.spec, &economy.id, parent, verified).expect("a good block")
    };
    let applying = median_with(|| verified.clone(), |verified| apply(&economy.state, verified));
    let tree = median_with(
        || economy.state.coins.clone(),
        |mut coins| {
            coins.apply(&ops).expect("good changes");
            coins
        },
    );
    let leaving = median_with(|| apply(&economy.state, verified.clone()), drop);
    figure("signatures alone, one batch", batch * 1e3, "ms", None);
    figure("form and signatures checked", checked * 1e3, "ms", None);
    figure("applied to the state", applying * 1e3, "ms", None);
    figure("of which the state tree", tree * 1e3, "ms", None);
    figure("the outcome forgotten", leaving * 1e3, "ms", None);
    let ratio = (checked + applying) / batch;
    figure("validated, against its signatures alone", ratio, "times", Some("aim 1.25"));
    let ratio = (checked + applying - tree) / batch;
    figure("the same without the state tree", ratio, "times", None);
    // A proposal names transactions that every validator mostly has: their signatures were checked on arrival.
    let ratio = applying / batch;
    figure("all known from the mempool: validated, against its signatures alone", ratio, "times", None);

    let proof = Multiproof::build(&economy.state.coins, &ops).expect("in memory");
    let parent = |proof: Multiproof| {
        let coins = proof.into_tree(&economy.state.coins.summary(), &ops).expect("a good proof");
        ChainState { coins, ..economy.state.clone() }
    };
    let size = proof.size();
    let proved = median_with(
        || (proof.clone(), verified.clone()),
        |(proof, verified)| apply(&parent(proof), verified),
    );
    figure("multiproof of what it touches", size as f64 / BLOCK as f64, "bytes/payment", None);
    figure("multiproof verified and block applied to it", proved * 1e3, "ms", None);
    let ratio = (checked + proved) / batch;
    figure("validated from a multiproof, against its signatures alone", ratio, "times", None);
    let bytes = encode(&block).len();
    figure("size", bytes as f64 / BLOCK as f64, "bytes/payment", None);
}

/// The median time of doing something with what is made for it first, in seconds.
fn median_with<T, R>(mut make: impl FnMut() -> T, mut work: impl FnMut(T) -> R) -> f64 {
    let mut once = || {
        let made = make();
        timed(|| work(made)).1
    };
    median((0..TIMES).map(|_| once()).collect())
}

fn check(economy: &Economy, block: Block) -> VerifiedBlock {
    let set = &economy.state.signers;
    VerifiedBlock::verify(block, &economy.spec, &economy.id, set, |_| Some(set.clone()), |_| None)
        .expect("a good block")
}

/// What the payments' owners signed.
fn signatures(economy: &Economy, payments: &[SignedTransaction]) -> Vec<SignedBytes> {
    let mut signed = Vec::new();
    for payment in payments {
        let message = payment.transaction.sighash(&economy.id, &payment.spent).0.to_vec();
        for witness in &payment.witnesses {
            let Lock::Key(key) = witness.lock else { panic!("every payer has one key") };
            let signature = |by: &timecoin_core::lock::KeySignature| by.signature;
            signed.extend(witness.signatures.iter().map(signature).map(|signature| SignedBytes {
                key,
                message: message.clone(),
                signature,
            }));
        }
    }
    assert_eq!(signed.len(), BLOCK, "a signature for each payment");
    signed
}
