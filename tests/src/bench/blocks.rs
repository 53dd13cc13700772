//! Validating a block of 1,000 payments, against nothing but the signatures in it.

use timecoin_core::block::Block;
use timecoin_core::codec::encode;
use timecoin_core::keys::{SignedBytes, verify_batch};
use timecoin_core::lock::Lock;
use timecoin_core::state::tree::Multiproof;
use timecoin_core::state::{ChainState, VerifiedBlock, validate};
use timecoin_core::transaction::SignedTransaction;

use super::chain::{BLOCK, Economy};
use super::{Extent, Figure, median_of};

/// Times a block is validated for one figure.
const TIMES: usize = 9;

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
    let checked = median_of(TIMES, || check(&economy, block.clone()));
    let verified = check(&economy, block.clone());
    let apply = |parent: &ChainState| {
        validate(&economy.spec, &economy.id, parent, verified.clone()).expect("a good block")
    };
    let applying = median_of(TIMES, || apply(&economy.state));
    let tree = median_of(TIMES, || economy.state.coins.clone().apply(&ops).expect("good changes"));
    figure("signatures alone, one batch", batch * 1e3, "ms", None);
    figure("form and signatures checked", checked * 1e3, "ms", None);
    figure("applied to the state", applying * 1e3, "ms", None);
    figure("of which the state tree", tree * 1e3, "ms", None);
    let ratio = (checked + applying) / batch;
    figure("validated, against its signatures alone", ratio, "times", Some("aim 1.25"));
    let ratio = (checked + applying - tree) / batch;
    figure("the same without the state tree", ratio, "times", None);

    let proof = Multiproof::build(&economy.state.coins, &ops).expect("in memory");
    let parent = |proof: Multiproof| {
        let coins = proof.into_tree(&economy.state.coins.summary(), &ops).expect("a good proof");
        ChainState { coins, ..economy.state.clone() }
    };
    let size = proof.size();
    let proved = median_of(TIMES, || apply(&parent(proof.clone())));
    figure("multiproof of what it touches", size as f64 / BLOCK as f64, "bytes/payment", None);
    figure("multiproof verified and block applied to it", proved * 1e3, "ms", None);
    let ratio = (checked + proved) / batch;
    figure("validated from a multiproof, against its signatures alone", ratio, "times", None);
    let bytes = encode(&block).len();
    figure("size", bytes as f64 / BLOCK as f64, "bytes/payment", None);
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
