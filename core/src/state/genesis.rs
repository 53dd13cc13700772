//! The state a chain spec starts from.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::amount::Amount;
use crate::block::{BLOCK_VERSION, Block, Body, Header, filter_key};
use crate::certificate::Certificate;
use crate::evidence::Evidence;
use crate::filter::Filter;
use crate::hash::{BlockId, Hash};
use crate::keys::PublicKey;
use crate::merkle::{Blake, Frontier};
use crate::spec::ConsensusSpec;
use crate::transaction::{OutPoint, Output};
use crate::validators::ValidatorSetError;
use crate::vote::{Height, ViewNumber};

use super::accounting::Accounting;
use super::apply::{Applied, reward_transaction};
use super::changes::Changes;
use super::registry::{Masternode, Registry, Status, masternode_id};
use super::tree::{CoinTree, TreeError};
use super::{ChainState, commitment};

/// Why a spec has no genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// The masternodes form no set.
    #[error("genesis masternodes: {0}")]
    Validators(#[from] ValidatorSetError),
    /// Two masternodes share an operator key.
    #[error("two genesis masternodes have the operator key {0}")]
    DuplicateOperator(PublicKey),
    /// The coins are no coins.
    #[error("genesis coins: {0}")]
    Coins(#[from] TreeError),
    /// The coins reach the supply limit.
    #[error("genesis coins exceed the supply limit")]
    Overflow,
}

/// Block 0 and the state after it: one transaction makes the allocations, then every collateral in order.
pub fn genesis(spec: &ConsensusSpec) -> Result<Applied, GenesisError> {
    let collateral =
        spec.masternodes.iter().map(|node| Output { amount: node.tier.collateral(), owner: node.owner });
    let outputs: Vec<Output> = spec.allocations.iter().copied().chain(collateral).collect();
    let transaction = reward_transaction(Height(0), outputs);
    let txid = transaction.transaction.id();
    let outpoint = |index| OutPoint { txid, index };
    let outputs = (0..).zip(&transaction.transaction.outputs);
    let changes = Changes {
        spent: Vec::new(),
        made: outputs.map(|(index, output)| (outpoint(index), *output)).collect(),
    };
    let mut owners = BTreeSet::new();
    owners.extend(changes.made.iter().map(|(_, output)| output.owner));

    let registry = registry(spec, outpoint)?;
    let validators = Arc::new(registry.validators(spec.rules(Height(0)))?);
    let accounting = Accounting::genesis(&validators);
    let coins = CoinTree::of(&changes.made)?;
    let commitment = commitment(&coins, &registry, &accounting);
    let filter = Filter::build(filter_key(&BlockId::default()), &owners);
    let body = Body { transactions: vec![transaction], ..Body::default() };
    let mut history = Frontier::default();
    let header = Header {
        version: BLOCK_VERSION,
        height: Height(0),
        view: ViewNumber(0),
        time: spec.genesis_time,
        parent: BlockId::default(),
        transactions_root: body.transactions_root(),
        state_root: commitment.root(),
        supply: commitment
            .supply()
            .filter(|supply| *supply < Amount::SUPPLY_LIMIT)
            .ok_or(GenesisError::Overflow)?,
        filter_hash: filter.hash(),
        history_root: history.root::<Blake>(),
        validators_hash: Hash::ZERO,
        next_validators_hash: validators.hash(),
        evidence_root: Evidence::root(&[]),
        parent_certificate_hash: Certificate::hash(None),
        proposer: PublicKey::default(),
    };
    history.append::<Blake>(header.history_leaf());
    let state = ChainState {
        id: header.id(),
        header: header.clone(),
        signers: validators.clone(),
        validators,
        registry: Arc::new(registry),
        accounting: Arc::new(accounting),
        history,
        coins,
    };
    Ok(Applied { block: Block { header, body }, state, changes, filter })
}

fn registry(spec: &ConsensusSpec, outpoint: impl Fn(u32) -> OutPoint) -> Result<Registry, GenesisError> {
    let mut registry = Registry::default();
    let first = u32::try_from(spec.allocations.len()).map_err(|_| GenesisError::Overflow)?;
    for (index, node) in (first..).zip(&spec.masternodes) {
        if registry.of_operator(&node.operator).is_some() {
            return Err(GenesisError::DuplicateOperator(node.operator));
        }
        let collateral = outpoint(index);
        registry.insert(Masternode {
            id: masternode_id(&collateral),
            tier: node.tier,
            class: node.class,
            owner: node.owner,
            operator: node.operator,
            payout: node.payout,
            collateral,
            registered_at: Height(0),
            status: Status::Active,
        });
    }
    Ok(registry)
}
