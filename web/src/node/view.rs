//! How the core's types look to a page.

use timecoin_core::address::{Address, Network};
use timecoin_core::amount::Amount;
use timecoin_core::block::{Block, Header};
use timecoin_core::codec::encode;
use timecoin_core::driver::light::{Found, Proof, Proved};
use timecoin_core::hash::Owner;
use timecoin_core::light::LightBlock;
use timecoin_core::state::registry::{Masternode as Registered, Status as Standing};
use timecoin_core::transaction::{self, OutPoint, Output, SignedTransaction};
use timecoin_core::validators::ValidatorSet;
use timecoin_core::vote::Height;

use super::{Client, Node, pending};
use crate::api::types::{
    Action, Answer, BlockView, Certificate, Class, Coin, Finality, Head, Masternode, Phase, Place, Signer,
    Status, Tier, TransactionView, TrustedFrom,
};

impl<T> Answer<T> {
    /// An answer under a verified block.
    pub(crate) fn new(value: T, proof: &Proof, verified: bool) -> Self {
        let Proof { height, block, time, age_ms, signed, certificates_checked, trusted_from } = *proof;
        let finality = Finality {
            signed_weight: signed.map(|signed| signed.weight.to_string()),
            total_weight: signed.map(|signed| signed.total.to_string()),
            certificates_checked,
            trusted_from: TrustedFrom {
                height: trusted_from.height,
                block: trusted_from.block,
                age_ms: trusted_from.age_ms,
                any_age: trusted_from.any_age,
            },
        };
        Self { value, height, block, time, age_ms, finality, verified }
    }
}

pub(super) fn address(network: Network, owner: &Owner) -> String {
    Address { network, owner: *owner }.to_string()
}

pub(super) fn coin(network: Network, outpoint: &OutPoint, output: &Output) -> Coin {
    let Output { amount, owner } = output;
    Coin { txid: outpoint.txid, index: outpoint.index, amount: *amount, address: address(network, owner) }
}

pub(super) fn head(header: &Header, transactions: Option<u32>) -> Head {
    let Header { height, time, supply, proposer, view, state_root, .. } = header;
    Head {
        height: *height,
        block: header.id(),
        time: *time,
        supply: *supply,
        proposer: *proposer,
        view: *view,
        transactions,
        state_root: *state_root,
    }
}

fn tier(tier: transaction::Tier) -> Tier {
    match tier {
        transaction::Tier::Bronze => Tier::Bronze,
        transaction::Tier::Silver => Tier::Silver,
        transaction::Tier::Gold => Tier::Gold,
    }
}

fn class(class: transaction::Class) -> Class {
    match class {
        transaction::Class::Server => Class::Server,
        transaction::Class::Browser => Class::Browser,
    }
}

fn action(network: Network, action: &transaction::Action) -> Action {
    use timecoin_core::transaction::Action as Of;
    match action {
        Of::Transfer => Action::Transfer {},
        Of::RegisterMasternode { tier: of, class: at, operator, payout, .. } => Action::RegisterMasternode {
            tier: tier(*of),
            class: class(*at),
            operator: *operator,
            payout: address(network, payout),
        },
        Of::RetireMasternode { masternode } => Action::RetireMasternode { masternode: *masternode },
        Of::RotateOperator { masternode, replaces, operator, .. } => {
            Action::RotateOperator { masternode: *masternode, replaces: *replaces, operator: *operator }
        }
        Of::Reward { height } => Action::Reward { height: Height(*height) },
    }
}

/// A transaction, final where there is a place.
pub(super) fn transaction(
    network: Network,
    signed: &SignedTransaction,
    phase: Phase,
    at: Option<Place>,
) -> TransactionView {
    let transaction = &signed.transaction;
    let txid = transaction.id();
    let inputs = transaction.inputs.iter().zip(&signed.spent);
    let outputs = (0..).zip(&transaction.outputs);
    let sum = |all: &[Output]| all.iter().fold(0u64, |sum, output| sum.saturating_add(output.amount.0));
    TransactionView {
        txid,
        phase,
        r#final: at.is_some(),
        inputs: inputs.map(|(outpoint, spent)| coin(network, outpoint, spent)).collect(),
        outputs: outputs.map(|(index, output)| coin(network, &OutPoint { txid, index }, output)).collect(),
        // A reward makes money.
        fee: Amount(sum(&signed.spent).saturating_sub(sum(&transaction.outputs))),
        memo: (!transaction.memo.is_empty()).then(|| String::from_utf8_lossy(&transaction.memo).into_owned()),
        size: u32::try_from(encode(signed).len()).unwrap_or(u32::MAX),
        expires_at: transaction.expires_at,
        action: action(network, &transaction.action),
        at,
    }
}

/// A transaction as it was found.
pub(super) fn found(network: Network, found: &Proved<Found>) -> Answer<TransactionView> {
    match &found.value {
        Found::Pending(signed, word) => {
            let phase = pending::phase(Some(*word)).min_final();
            Answer::new(transaction(network, signed, phase, None), &found.proof, false)
        }
        Found::Final { signed, index, .. } => {
            let Header { height, time, .. } = found.header;
            let at = Place { height, block: found.header.id(), time, index: *index };
            Answer::new(transaction(network, signed, Phase::Finalized, Some(at)), &found.proof, true)
        }
    }
}

impl Phase {
    /// A peer's word is never final.
    fn min_final(self) -> Self {
        if self == Self::Finalized { Self::Commit } else { self }
    }
}

fn certificate(block: &LightBlock) -> Certificate {
    let LightBlock { certificate, validators, .. } = block;
    let signer = |index| {
        let validator = validators.validator(index)?;
        Some(Signer { key: validator.key, weight: validator.weight.to_string() })
    };
    Certificate {
        view: certificate.data.view,
        signers: certificate.signers.iter().filter_map(signer).collect(),
        signed_weight: certificate.weight(validators).to_string(),
        total_weight: validators.total().to_string(),
    }
}

pub(super) fn block(network: Network, block: &Block, certified: Option<&LightBlock>) -> BlockView {
    let Block { header, body } = block;
    let Header { height, time, proposer, view, supply, parent, .. } = *header;
    let id = header.id();
    let transactions = (0..).zip(&body.transactions).map(|(index, signed)| {
        transaction(network, signed, Phase::Finalized, Some(Place { height, block: id, time, index }))
    });
    BlockView {
        height,
        block: id,
        time,
        proposer,
        view,
        supply,
        transactions: transactions.collect(),
        certificate: certified.map(certificate),
        previous: parent,
    }
}

/// A masternode, with its weight where it is in the set.
pub(super) fn masternode(network: Network, node: &Registered, set: &ValidatorSet) -> Masternode {
    let member = set.index_of(&node.operator).and_then(|index| set.validator(index));
    let (status, unlock_at) = match node.status {
        Standing::Active => (Status::Active, None),
        Standing::Retired { unlock_at } => (Status::Retired, Some(unlock_at)),
        Standing::Ejected { unlock_at } => (Status::Ejected, Some(unlock_at)),
    };
    Masternode {
        id: node.id,
        operator: node.operator,
        owner: address(network, &node.owner),
        payout: address(network, &node.payout),
        tier: tier(node.tier),
        class: class(node.class),
        weight: member.map(|member| member.weight.to_string()),
        status,
        unlock_at,
        registered_at: node.registered_at,
    }
}

impl Node {
    /// The newest verified header, where it is known.
    pub(super) fn head_of(&self, client: &Client) -> Option<Answer<Head>> {
        let Proved { header, proof, .. } = client.head()?;
        Some(Answer::new(head(&header, None), &proof, true))
    }
}
