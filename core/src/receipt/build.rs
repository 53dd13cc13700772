//! Putting a receipt together, by whoever has the chain.

use super::{Commitment, PastBlock, Payment, RECEIPT_VERSION, Receipt, STEPS_MAX, Step};
use crate::block::{Header, transaction_leaf};
use crate::codec::Wire;
use crate::hash::Hash;
use crate::light::{LightBlock, Trusted};
use crate::merkle::{Blake, InclusionProof};
use crate::spec::Checkpoint;
use crate::transaction::SignedTransaction;
use crate::validators::ValidatorSet;

impl Receipt {
    /// A receipt under a block that is itself an anchor of those who will check it.
    #[must_use]
    pub fn under_anchor(header: Header, past: Option<PastBlock>, payment: Payment) -> Self {
        let anchor = Checkpoint::of(&header);
        Self { version: RECEIPT_VERSION, anchor, commit: None, header, past, payment }
    }

    /// A receipt under the last block of a trace that starts at the anchor, as a
    /// [`Bisection`](crate::light::Bisection) leaves it. `None` where the trace is empty or too long.
    #[must_use]
    pub fn under_trace(
        anchor: &Trusted,
        trace: &[LightBlock],
        past: Option<PastBlock>,
        payment: Payment,
    ) -> Option<Self> {
        let (last, between) = trace.split_last()?;
        if between.len() > STEPS_MAX {
            return None;
        }
        let mut named = &anchor.next_validators;
        let mut steps = Vec::with_capacity(between.len());
        for block in between {
            let LightBlock { header, certificate, validators, next_validators } = block.clone();
            let validators = unless_named(validators, named);
            steps.push(Step { header, certificate, validators, next_validators });
            named = block.next_validators();
        }
        let LightBlock { header, certificate, validators, .. } = last.clone();
        let commit = Commitment {
            anchor_validators: anchor.next_validators.clone(),
            steps,
            certificate,
            validators: unless_named(validators, named),
        };
        let anchor = Checkpoint {
            height: anchor.height,
            block: anchor.id,
            validators: anchor.next_validators.hash(),
            time: anchor.time,
        };
        let receipt = Self { version: RECEIPT_VERSION, anchor, commit: Some(commit), header, past, payment };
        (receipt.to_bytes().len() <= Self::SIZE_MAX).then_some(receipt)
    }
}

fn unless_named(validators: ValidatorSet, named: &ValidatorSet) -> Option<ValidatorSet> {
    (validators != *named).then_some(validators)
}

impl Payment {
    /// The payment at `index` of a block's transactions; `None` where there is none.
    #[must_use]
    pub fn in_block(transactions: &[SignedTransaction], index: usize) -> Option<Self> {
        let signed = transactions.get(index)?;
        let leaves: Vec<_> = transactions.iter().map(transaction_leaf).collect();
        let proof = InclusionProof::from_leaves::<Blake>(&leaves, u64::try_from(index).ok()?)?;
        let left = proof.left_siblings()?;
        Some(Self {
            transaction: signed.transaction.clone(),
            witnesses: Hash(*signed.commitment().last_chunk()?),
            left,
            path: proof.path,
        })
    }
}
