//! What masternode actions and evidence do to the registry.

use std::sync::Arc;

use crate::block::Header;
use crate::hash::{ChainId, MasternodeId, Owner};
use crate::keys::PublicKey;
use crate::spec::Rules;
use crate::time::Time;
use crate::transaction::{Action, OutPoint, VerifiedTransaction};
use crate::vote::Height;

use super::error::BlockError;
use super::registry::{Masternode, REGISTRY_SIZE_MAX, Registry, Status, masternode_id};
use super::tree::TreeError;
use super::{ChainState, VerifiedEvidence};

/// Why evidence does not belong in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceFault {
    /// More than a block may hold.
    #[error("too much evidence in one block")]
    TooMany,
    /// Not strictly ascending.
    #[error("evidence is not strictly ascending")]
    Order,
    /// Of a height that has no known set: too old, or not yet reached.
    #[error("evidence of height {0} is too old or too new")]
    Age(Height),
    /// Checked against another set than that of its height.
    #[error("evidence of height {0} was checked against the wrong set")]
    WrongSet(Height),
    /// The culprit is not registered any more, or was ejected already.
    #[error("masternode {0} cannot be ejected")]
    NotEjectable(MasternodeId),
}

/// The moment and the numbers an action is judged by.
pub(super) struct ActionContext<'a> {
    pub(super) chain: &'a ChainId,
    pub(super) rules: &'a Rules,
    pub(super) height: Height,
    pub(super) time: Time,
}

impl ActionContext<'_> {
    /// Refuses locked collateral; frees collateral whose time has come.
    pub(super) fn spend(&self, registry: &mut Arc<Registry>, outpoint: &OutPoint) -> Result<(), BlockError> {
        let Some(node) = registry.of_collateral(outpoint) else { return Ok(()) };
        match node.status {
            Status::Retired { unlock_at } | Status::Ejected { unlock_at } if unlock_at <= self.time => {
                let id = node.id;
                Arc::make_mut(registry).remove(&id);
                Ok(())
            }
            Status::Retired { unlock_at } | Status::Ejected { unlock_at } => {
                Err(BlockError::CollateralLocked { masternode: node.id, unlock_at: Some(unlock_at) })
            }
            Status::Active => Err(BlockError::CollateralLocked { masternode: node.id, unlock_at: None }),
        }
    }

    /// Carries out a transaction's action.
    pub(super) fn act(
        &self,
        registry: &mut Arc<Registry>,
        transaction: &VerifiedTransaction,
    ) -> Result<(), BlockError> {
        let unused = |owner: Option<Owner>| {
            transaction.extra_witness() != owner && transaction.extra_witness().is_some()
        };
        match &transaction.transaction().action {
            Action::Transfer => Ok(()),
            Action::Reward { .. } => Err(BlockError::UnexpectedReward),
            Action::RegisterMasternode { tier, class, operator, payout, .. } => {
                let collateral = OutPoint { txid: transaction.txid(), index: 0 };
                let owner = transaction.transaction().outputs.first().map(|output| output.owner);
                let owner = owner.ok_or(BlockError::Coin(TreeError::NotPresent(collateral)))?;
                Self::operator_is_free(registry, operator)?;
                if registry.len() >= REGISTRY_SIZE_MAX {
                    return Err(BlockError::RegistryFull);
                }
                Arc::make_mut(registry).put(Masternode {
                    id: masternode_id(&collateral),
                    tier: *tier,
                    class: *class,
                    owner,
                    operator: *operator,
                    payout: *payout,
                    collateral,
                    registered_at: self.height,
                    status: Status::Active,
                });
                Ok(())
            }
            Action::RetireMasternode { masternode } => {
                let node = *owned(registry, masternode, transaction)?;
                if unused(Some(node.owner)) {
                    return Err(BlockError::WitnessUnused);
                }
                let unlock_at = self.time.plus(self.rules.unbonding_ms);
                Arc::make_mut(registry).put(Masternode { status: Status::Retired { unlock_at }, ..node });
                Ok(())
            }
            Action::RotateOperator { masternode, replaces, operator, operator_proof } => {
                let node = *owned(registry, masternode, transaction)?;
                if unused(Some(node.owner)) {
                    return Err(BlockError::WitnessUnused);
                }
                if node.operator != *replaces {
                    return Err(BlockError::OperatorReplaced { operator: node.operator });
                }
                Self::operator_is_free(registry, operator)?;
                let statement = crate::transaction::operator_statement(self.chain, &node.owner, operator);
                if !crate::keys::verify(operator, &statement, operator_proof) {
                    return Err(BlockError::OperatorProof);
                }
                Arc::make_mut(registry).put(Masternode { operator: *operator, ..node });
                Ok(())
            }
        }
    }

    fn operator_is_free(registry: &Registry, operator: &PublicKey) -> Result<(), BlockError> {
        match registry.of_operator(operator) {
            Some(node) => Err(BlockError::OperatorInUse { masternode: node.id }),
            None => Ok(()),
        }
    }

    /// Ejects every culprit.
    pub(super) fn eject(
        &self,
        parent: &ChainState,
        registry: &mut Arc<Registry>,
        evidence: &[VerifiedEvidence],
    ) -> Result<(), EvidenceFault> {
        if evidence.len() > self.rules.block_evidence_max as usize {
            return Err(EvidenceFault::TooMany);
        }
        if !evidence.is_sorted_by(|one, two| one.evidence() < two.evidence()) {
            return Err(EvidenceFault::Order);
        }
        for item in evidence {
            let height = item.evidence().first.data.height;
            let set = set_of_height(parent, height).ok_or(EvidenceFault::Age(height))?;
            if item.set() != set {
                return Err(EvidenceFault::WrongSet(height));
            }
            let id = item.culprit().masternode;
            let node = registry.node(&id).filter(|node| !matches!(node.status, Status::Ejected { .. }));
            let node = *node.ok_or(EvidenceFault::NotEjectable(id))?;
            let unlock_at = self.time.plus(self.rules.unbonding_ms);
            Arc::make_mut(registry).put(Masternode { status: Status::Ejected { unlock_at }, ..node });
        }
        Ok(())
    }
}

/// Hash of the set that signs `height`, for heights up to the next block and within the evidence age.
pub(super) fn set_of_height(parent: &ChainState, height: Height) -> Option<crate::hash::Hash> {
    let Header { height: tip, .. } = parent.header;
    if height > tip.next() || height == Height(0) {
        None
    } else if height >= parent.accounting.epoch_start() {
        Some(parent.validators.hash())
    } else {
        parent.accounting.past_set(height)
    }
}

fn owned<'a>(
    registry: &'a Registry,
    id: &MasternodeId,
    transaction: &VerifiedTransaction,
) -> Result<&'a Masternode, BlockError> {
    let node = registry.node(id).ok_or(BlockError::UnknownMasternode(*id))?;
    if node.status != Status::Active {
        return Err(BlockError::MasternodeInactive(*id));
    }
    if !transaction.is_witnessed_by(&node.owner) {
        return Err(BlockError::NotTheOwner(*id));
    }
    Ok(node)
}
