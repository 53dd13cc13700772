//! The one function that validates and makes blocks.
//!
//! [`derive`] takes the state after the parent and a draft (everything a proposer is free to choose) and gives
//! the only header that follows, with the new state. Proposing is deriving; validating is deriving and
//! comparing. What was checked without state (signatures) is in the types of the draft's parts. The coins may
//! come from local rows or from a multiproof: the tree is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::amount::Amount;
use crate::block::{BLOCK_VERSION, Block, Body, Header, filter_key, transaction_leaf};
use crate::certificate::Certificate;
use crate::evidence::Evidence;
use crate::filter::Filter;
use crate::hash::{ChainId, Hash, Owner};
use crate::merkle::{Blake, LogHash as _, root};
use crate::spec::{ConsensusSpec, Rules};
use crate::time::Time;
use crate::transaction::{
    Action, OutPoint, Output, SignedTransaction, TRANSACTION_VERSION, Transaction, VerifiedTransaction,
};
use crate::validators::ValidatorSet;
use crate::vote::{Height, Phase};

use super::accounting::Accounting;
use super::actions::ActionContext;
use super::changes::Changes;
use super::error::BlockError;
use super::registry::Registry;
use super::tree::CoinTree;
use super::verified::{Draft, VerifiedBlock, VerifiedCertificate};
use super::{ChainState, commitment};

/// The result of deriving a block.
pub struct Applied {
    /// The block: the only one that follows from the draft.
    pub block: Block,
    /// The state after it.
    pub state: ChainState,
    /// What it did to the coins.
    pub changes: Changes,
    /// The owners it touches, as the header commits to them.
    pub filter: Filter,
}

/// Validates a block on its parent: the block must be exactly the one that its draft derives.
pub fn validate(
    spec: &ConsensusSpec,
    chain: &ChainId,
    parent: &ChainState,
    block: VerifiedBlock,
) -> Result<Applied, BlockError> {
    let applied = derive(spec, chain, parent, block.draft)?;
    let (ours, theirs) = (&applied.block.header, &block.header);
    let fields: [(&'static str, bool); 15] = [
        ("version", ours.version == theirs.version),
        ("height", ours.height == theirs.height),
        ("view", ours.view == theirs.view),
        ("time", ours.time == theirs.time),
        ("parent", ours.parent == theirs.parent),
        ("transactions_root", ours.transactions_root == theirs.transactions_root),
        ("state_root", ours.state_root == theirs.state_root),
        ("supply", ours.supply == theirs.supply),
        ("filter_hash", ours.filter_hash == theirs.filter_hash),
        ("history_root", ours.history_root == theirs.history_root),
        ("validators_hash", ours.validators_hash == theirs.validators_hash),
        ("next_validators_hash", ours.next_validators_hash == theirs.next_validators_hash),
        ("evidence_root", ours.evidence_root == theirs.evidence_root),
        ("parent_certificate_hash", ours.parent_certificate_hash == theirs.parent_certificate_hash),
        ("proposer", ours.proposer == theirs.proposer),
    ];
    if let Some((field, _)) = fields.into_iter().find(|(_, equal)| !equal) {
        return Err(BlockError::Header { field });
    }
    Ok(applied)
}

/// What a draft does to the coins, before the tree is asked whether they are there: whoever knows it can name the
/// rows to load, or the parts of the tree to prove.
pub fn planned_changes(
    spec: &ConsensusSpec,
    chain: &ChainId,
    parent: &ChainState,
    draft: &Draft,
) -> Result<Changes, BlockError> {
    Ok(work(spec, chain, parent, draft)?.changes())
}

/// Derives the only block that follows from a draft, and the state after it.
pub fn derive(
    spec: &ConsensusSpec,
    chain: &ChainId,
    parent: &ChainState,
    draft: Draft,
) -> Result<Applied, BlockError> {
    let worked = work(spec, chain, parent, &draft)?;
    let changes = worked.changes();
    let mut coins = parent.coins.clone();
    coins.apply(&changes.ops())?;
    let filter = Filter::build(filter_key(&parent.id), &worked.owners);
    finish(parent, draft, worked, coins, changes, filter)
}

/// Everything but the tree: what happens to coins, masternodes and the pool.
fn work<'a>(
    spec: &'a ConsensusSpec,
    chain: &'a ChainId,
    parent: &ChainState,
    draft: &Draft,
) -> Result<Work<'a>, BlockError> {
    let height = parent.height().next();
    let rules = spec.rules(height);
    check_place(parent, draft, rules)?;
    check_size(draft.transactions.iter().map(|transaction| transaction.size()), rules)?;
    let context = ActionContext { chain, rules, height, time: draft.time };
    let mut work = Work::new(context, parent);
    work.context.eject(parent, &mut work.registry, &draft.evidence)?;
    for transaction in &draft.transactions {
        let refused = |error| BlockError::Refused { txid: transaction.txid(), error: Box::new(error) };
        work.transact(transaction).map_err(refused)?;
    }
    work.accounting.pool = pool(spec, parent, draft, work.accounting.pool)?;
    let counts_here = parent.height() >= work.accounting.epoch_start();
    if let Some(verified) = draft.parent_certificate.as_ref().filter(|_| counts_here) {
        work.accounting.count(verified.certificate());
    }
    work.close_epoch(rules)?;
    Ok(work)
}

fn finish(
    parent: &ChainState,
    draft: Draft,
    worked: Work<'_>,
    coins: CoinTree,
    changes: Changes,
    filter: Filter,
) -> Result<Applied, BlockError> {
    let Work { reward, validators, registry, accounting, .. } = worked;
    let signed = draft.transactions.iter().map(|verified| verified.signed().clone());
    let verified = draft.transactions.iter().map(|verified| Blake::leaf(verified.commitment()));
    let leaves: Vec<Hash> = reward.iter().map(transaction_leaf).chain(verified).collect();
    let body = Body {
        transactions: reward.into_iter().chain(signed).collect(),
        evidence: draft.evidence.iter().map(|verified| *verified.evidence()).collect(),
        parent_certificate: draft.parent_certificate.map(|verified| verified.certificate),
    };
    let commitment = commitment(&coins, &registry, &accounting);
    let header = Header {
        version: BLOCK_VERSION,
        height: parent.height().next(),
        view: draft.view,
        time: draft.time,
        parent: parent.id,
        transactions_root: root::<Blake>(leaves),
        state_root: commitment.root(),
        supply: commitment.supply().ok_or(BlockError::Overflow)?,
        filter_hash: filter.hash(),
        history_root: parent.history.root::<Blake>(),
        validators_hash: parent.validators.hash(),
        next_validators_hash: validators.hash(),
        evidence_root: Evidence::root(&body.evidence),
        parent_certificate_hash: Certificate::hash(body.parent_certificate.as_ref()),
        proposer: draft.proposer,
    };
    let mut history = parent.history.clone();
    history.append::<Blake>(header.history_leaf());
    let state = ChainState {
        id: header.id(),
        header: header.clone(),
        signers: parent.validators.clone(),
        validators,
        registry,
        accounting: Arc::new(accounting),
        history,
        coins,
    };
    Ok(Applied { block: Block { header, body }, state, changes, filter })
}

fn check_place(parent: &ChainState, draft: &Draft, rules: &Rules) -> Result<(), BlockError> {
    let earliest = parent.header.time.plus(rules.block_interval_min_ms.max(1));
    if draft.time < earliest {
        return Err(BlockError::TooEarly { time: draft.time, earliest });
    }
    let due = parent.validators.validator(parent.proposer(rules, draft.view)).map(|member| member.key);
    if due != Some(draft.proposer) {
        return Err(BlockError::Proposer { view: draft.view });
    }
    let certifies = |verified: &VerifiedCertificate| {
        let data = &verified.certificate.data;
        verified.set == parent.signers.hash()
            && data.phase == Phase::Commit
            && data.height == parent.height()
            && data.block == Some(parent.id)
    };
    let is_first = parent.height() == Height(0);
    match &draft.parent_certificate {
        None if is_first => Ok(()),
        Some(verified) if !is_first && certifies(verified) => Ok(()),
        _ => Err(BlockError::ParentCertificate),
    }
}

/// Whether transactions of these sizes fit into a block. The reward, which the rules add, takes no room.
pub(super) fn check_size(sizes: impl Iterator<Item = usize>, rules: &Rules) -> Result<(), BlockError> {
    let (size, size_max) = (sizes.sum(), rules.block_size_max as usize);
    if size > size_max { Err(BlockError::Size { size, size_max }) } else { Ok(()) }
}

/// The pool before rewards: what was there, fees, and the money issued since the parent.
fn pool(
    spec: &ConsensusSpec,
    parent: &ChainState,
    draft: &Draft,
    pool: Amount,
) -> Result<Amount, BlockError> {
    let fees = Amount::checked_sum(draft.transactions.iter().map(|transaction| transaction.fee()));
    let issued = spec.issued(draft.time).checked_sub(spec.issued(parent.header.time));
    let add = |pool: Amount, amount: Option<Amount>| amount.and_then(|amount| pool.checked_add(amount));
    add(pool, fees).and_then(|pool| add(pool, issued)).ok_or(BlockError::Overflow)
}

/// The block being worked through.
struct Work<'a> {
    context: ActionContext<'a>,
    registry: Arc<Registry>,
    accounting: Accounting,
    validators: Arc<ValidatorSet>,
    reward: Option<SignedTransaction>,
    made: BTreeMap<OutPoint, Output>,
    spent: BTreeMap<OutPoint, Output>,
    owners: BTreeSet<Owner>,
}

impl<'a> Work<'a> {
    fn new(context: ActionContext<'a>, parent: &ChainState) -> Self {
        Self {
            context,
            registry: parent.registry.clone(),
            accounting: Accounting::clone(&parent.accounting),
            validators: parent.validators.clone(),
            reward: None,
            made: BTreeMap::new(),
            spent: BTreeMap::new(),
            owners: BTreeSet::new(),
        }
    }

    fn transact(&mut self, transaction: &VerifiedTransaction) -> Result<(), BlockError> {
        // Signatures hold for ever, limits only until the rules change: it may have been checked under older ones.
        transaction.check_limits(&self.context.rules.transaction_limits())?;
        let (time, txid) = (self.context.time, transaction.txid());
        let expires_at = transaction.transaction().expires_at;
        if expires_at < time || expires_at > time.plus(self.context.rules.expiry_max_ms) {
            return Err(BlockError::Expiry { txid, expires_at, time });
        }
        for (outpoint, output) in transaction.spends() {
            self.context.spend(&mut self.registry, outpoint)?;
            self.owners.insert(output.owner);
            match self.made.remove(outpoint) {
                Some(made) if made == *output => {}
                Some(_) => return Err(BlockError::CoinMismatch(*outpoint)),
                None if self.spent.insert(*outpoint, *output).is_some() => {
                    return Err(BlockError::CoinSpent(*outpoint));
                }
                None => {}
            }
        }
        for (outpoint, output) in transaction.makes() {
            self.owners.insert(output.owner);
            self.made.insert(outpoint, *output);
        }
        self.context.act(&mut self.registry, transaction)
    }

    /// In the last block of an epoch: pays rewards and forms the next set. A registry that forms no set keeps the current one.
    fn close_epoch(&mut self, rules: &Rules) -> Result<(), BlockError> {
        let height = self.context.height;
        if !height.0.is_multiple_of(rules.epoch_blocks) {
            return Ok(());
        }
        let outputs = self.accounting.rewards(&self.validators, &self.registry, rules);
        let paid =
            Amount::checked_sum(outputs.iter().map(|output| output.amount)).ok_or(BlockError::Overflow)?;
        self.accounting.pool = self.accounting.pool.checked_sub(paid).ok_or(BlockError::Overflow)?;
        self.reward = (!outputs.is_empty()).then(|| reward_transaction(height, outputs));
        if let Some(reward) = &self.reward {
            let txid = reward.transaction.id();
            for (index, output) in (0..).zip(&reward.transaction.outputs) {
                self.owners.insert(output.owner);
                self.made.insert(OutPoint { txid, index }, *output);
            }
        }
        let next = self.registry.validators(rules).map_or_else(|_| self.validators.clone(), Arc::new);
        self.accounting.turn(height, &self.validators, &next, rules);
        self.validators = next;
        Ok(())
    }

    fn changes(&self) -> Changes {
        let list = |coins: &BTreeMap<OutPoint, Output>| coins.iter().map(|(at, coin)| (*at, *coin)).collect();
        Changes { spent: list(&self.spent), made: list(&self.made) }
    }
}

/// Whether the rules of masternodes and expiry would let a transaction into a block of `time` on `parent`.
/// The coins are not looked at.
pub fn check_action(
    spec: &ConsensusSpec,
    chain: &ChainId,
    parent: &ChainState,
    transaction: &VerifiedTransaction,
    time: Time,
) -> Result<(), BlockError> {
    let height = parent.height().next();
    let context = ActionContext { chain, rules: spec.rules(height), height, time };
    Work::new(context, parent).transact(transaction)
}

/// The transaction that creates money by rule: rewards, and the genesis coins at height 0.
pub(super) fn reward_transaction(height: Height, outputs: Vec<Output>) -> SignedTransaction {
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        inputs: Vec::new(),
        outputs,
        action: Action::Reward { height: height.0 },
        expires_at: Time::NEVER,
        memo: Vec::new(),
    };
    SignedTransaction { transaction, spent: Vec::new(), witnesses: Vec::new() }
}
