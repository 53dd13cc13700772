//! The one function that validates and makes blocks.
//!
//! [`derive`] takes the state after the parent and a draft (everything a proposer is free to choose) and gives
//! the only header that follows, with the new state. Proposing is deriving; validating is deriving and
//! comparing. What was checked without state (signatures) is in the types of the draft's parts. The coins may
//! come from local rows or from a multiproof: the tree is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::block::{BLOCK_VERSION, Block, Body, Header, filter_key};
use crate::certificate::{Certificate, CertificateError};
use crate::evidence::{Evidence, EvidenceError};
use crate::filter::Filter;
use crate::hash::{ChainId, Hash, MasternodeId, Owner, TxId};
use crate::keys::PublicKey;
use crate::merkle::{Blake, root};
use crate::spec::{ConsensusSpec, Rules};
use crate::time::Time;
use crate::transaction::{
    Action, OutPoint, Output, SignedTransaction, TRANSACTION_VERSION, Transaction, TransactionError,
    VerifiedTransaction,
};
use crate::validators::{Validator, ValidatorSet};
use crate::vote::{Height, Phase, ViewNumber};

use super::accounting::Accounting;
use super::actions::{ActionContext, EvidenceFault};
use super::registry::Registry;
use super::tree::{CoinTree, Op, TreeError};
use super::{ChainState, commitment};

/// A certificate whose signatures have been checked against a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCertificate {
    certificate: Certificate,
    set: Hash,
}

impl VerifiedCertificate {
    /// Checks everything against `set`.
    pub fn verify(
        certificate: Certificate,
        set: &ValidatorSet,
        chain: &ChainId,
    ) -> Result<Self, CertificateError> {
        certificate.verify(set, chain)?;
        Ok(Self { certificate, set: set.hash() })
    }

    /// A certificate assembled from votes that were each checked against `set`.
    #[must_use]
    pub fn from_checked_votes(certificate: Certificate, set: &ValidatorSet) -> Self {
        Self { certificate, set: set.hash() }
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Hash of the set it was checked against.
    #[must_use]
    pub fn set(&self) -> Hash {
        self.set
    }
}

/// Evidence whose signatures have been checked against a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedEvidence {
    evidence: Evidence,
    culprit: Validator,
    set: Hash,
}

impl VerifiedEvidence {
    /// Checks everything against `set`.
    pub fn verify(evidence: Evidence, set: &ValidatorSet, chain: &ChainId) -> Result<Self, EvidenceError> {
        let culprit = *evidence.verify(set, chain)?;
        Ok(Self { evidence, culprit, set: set.hash() })
    }

    /// The evidence.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Who is proved guilty.
    #[must_use]
    pub fn culprit(&self) -> &Validator {
        &self.culprit
    }

    /// Hash of the set it was checked against.
    #[must_use]
    pub fn set(&self) -> Hash {
        self.set
    }
}

/// Everything a proposer is free to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The view of the first proposal.
    pub view: ViewNumber,
    /// The proposer's clock.
    pub time: Time,
    /// The proposer's operator key.
    pub proposer: PublicKey,
    /// Payments and masternode actions, in order; the reward transaction is not among them.
    pub transactions: Vec<Arc<VerifiedTransaction>>,
    /// Equivocation to punish.
    pub evidence: Vec<VerifiedEvidence>,
    /// The parent's commit certificate; none only after genesis.
    pub parent_certificate: Option<VerifiedCertificate>,
}

/// A block all of whose signatures have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBlock {
    header: Header,
    draft: Draft,
}

/// What a block changed, for storage, wallets and undo.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Coins spent that existed before the block.
    pub spent: Vec<(OutPoint, Output)>,
    /// Coins made that exist after the block.
    pub made: Vec<(OutPoint, Output)>,
}

impl Changes {
    /// As changes of the tree.
    #[must_use]
    pub fn ops(&self) -> Vec<Op> {
        let spent = self.spent.iter().map(|(outpoint, output)| Op::Remove(*outpoint, *output));
        spent.chain(self.made.iter().map(|(outpoint, output)| Op::Insert(*outpoint, *output))).collect()
    }
}

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

/// Why a draft or a block is not valid on its parent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Header time too early after the parent's.
    #[error("header time {time:?} is before {earliest:?}")]
    TooEarly {
        /// The header's time.
        time: Time,
        /// The least allowed.
        earliest: Time,
    },
    /// The proposer is not the one whose turn it is.
    #[error("the proposer is not the one of view {view}")]
    Proposer {
        /// The view of the first proposal.
        view: ViewNumber,
    },
    /// The certificate is missing, or not the parent's commit certificate.
    #[error("the parent's commit certificate is missing or is another block's")]
    ParentCertificate,
    /// A certificate's signatures or weight are wrong.
    #[error("parent certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// A piece of evidence proves nothing.
    #[error("evidence: {0}")]
    Evidence(#[from] EvidenceError),
    /// A piece of evidence does not belong in this block.
    #[error("evidence: {0}")]
    EvidenceFault(#[from] EvidenceFault),
    /// No set of that height is at hand.
    #[error("no validator set for evidence of height {0}")]
    EvidenceSet(Height),
    /// The transactions are larger than a block may be.
    #[error("{size} bytes of transactions; at most {size_max} are allowed")]
    Size {
        /// Bytes of the signed transactions.
        size: usize,
        /// The limit.
        size_max: usize,
    },
    /// A transaction is invalid whatever the state.
    #[error("transaction {index}: {error}")]
    Transaction {
        /// Position in the body.
        index: usize,
        /// What is wrong.
        error: TransactionError,
    },
    /// A transaction cannot happen in this state.
    #[error("transaction {txid}: {error}")]
    Refused {
        /// Which transaction.
        txid: TxId,
        /// Why.
        error: Box<BlockError>,
    },
    /// A transaction is past its expiry, or sets it too far ahead.
    #[error("transaction {txid} expires at {expires_at:?}, outside what time {time:?} allows")]
    Expiry {
        /// Which transaction.
        txid: TxId,
        /// Its expiry.
        expires_at: Time,
        /// The header's time.
        time: Time,
    },
    /// The same coin is spent twice in the block, or was never made.
    #[error("coin {0:?} is not there to spend")]
    CoinSpent(OutPoint),
    /// The coin is not what the transaction claims.
    #[error("coin {0:?} is not as claimed")]
    CoinMismatch(OutPoint),
    /// The coin is not in the state.
    #[error(transparent)]
    Coin(#[from] TreeError),
    /// The coin is a masternode's locked collateral.
    #[error("collateral of masternode {masternode} is locked")]
    CollateralLocked {
        /// Whose.
        masternode: MasternodeId,
        /// When it unlocks, where it is retired or ejected.
        unlock_at: Option<Time>,
    },
    /// A reward where none is due, or another than is due.
    #[error("the reward transaction is not the one that is due")]
    UnexpectedReward,
    /// No such masternode.
    #[error("masternode {0} is not registered")]
    UnknownMasternode(MasternodeId),
    /// Retired or ejected already.
    #[error("masternode {0} is not active")]
    MasternodeInactive(MasternodeId),
    /// The owner did not sign.
    #[error("the owner of masternode {0} did not sign")]
    NotTheOwner(MasternodeId),
    /// A witness of somebody with no part in it.
    #[error("a witness is not called for")]
    WitnessUnused,
    /// The new operator key did not agree to serve this owner.
    #[error("the operator key's proof is not for this owner")]
    OperatorProof,
    /// The operator key already serves a masternode.
    #[error("the operator key already serves masternode {masternode}")]
    OperatorInUse {
        /// Which.
        masternode: MasternodeId,
    },
    /// No room in the registry.
    #[error("the masternode registry is full")]
    RegistryFull,
    /// Sums reach the supply limit.
    #[error("more money than can exist")]
    Overflow,
    /// A header field differs from the one that follows from the parent and the body.
    #[error("header field {field} does not follow from the block")]
    Header {
        /// Which field.
        field: &'static str,
    },
}

impl VerifiedBlock {
    /// Checks every signature in a block: its transactions' in one batch, the parent's certificate against the
    /// set that signs the parent, evidence against the sets that `set_of` finds by height. Transactions that
    /// `known` returns were checked before.
    pub fn verify(
        block: Block,
        spec: &ConsensusSpec,
        chain: &ChainId,
        parent_set: &ValidatorSet,
        set_of: impl Fn(Height) -> Option<Arc<ValidatorSet>>,
        known: impl Fn(&SignedTransaction) -> Option<Arc<VerifiedTransaction>>,
    ) -> Result<Self, BlockError> {
        let Block { header, body } = block;
        let rules = spec.rules(header.height);
        let size: usize = body.transactions.iter().map(|signed| crate::codec::encode(signed).len()).sum();
        if size > rules.block_size_max as usize {
            return Err(BlockError::Size { size, size_max: rules.block_size_max as usize });
        }
        let mut transactions = body.transactions;
        // The reward is derived, and the transactions root commits to it: the one received is not needed.
        let is_reward =
            |signed: &SignedTransaction| matches!(signed.transaction.action, Action::Reward { .. });
        let offset = usize::from(transactions.first().is_some_and(is_reward));
        transactions.drain(..offset);
        let known: Vec<_> = transactions.iter().map(known).collect();
        let unknown = transactions.into_iter().zip(&known).filter(|(_, known)| known.is_none());
        let fresh = VerifiedTransaction::verify_all(
            unknown.map(|(signed, _)| signed).collect(),
            chain,
            &rules.transaction_limits(),
        )
        .map_err(|(index, error)| BlockError::Transaction { index: index + offset, error })?;
        let mut fresh = fresh.into_iter().map(Arc::new);
        let transactions = known.into_iter().filter_map(|known| known.or_else(|| fresh.next())).collect();
        let evidence = body.evidence.into_iter().map(|evidence| {
            let height = evidence.first.data.height;
            let set = set_of(height).ok_or(BlockError::EvidenceSet(height))?;
            Ok(VerifiedEvidence::verify(evidence, &set, chain)?)
        });
        let evidence = evidence.collect::<Result<_, BlockError>>()?;
        let parent_certificate = body
            .parent_certificate
            .map(|certificate| VerifiedCertificate::verify(certificate, parent_set, chain))
            .transpose()?;
        Ok(Self::new(header, transactions, evidence, parent_certificate))
    }

    /// A block from parts that were checked one by one.
    #[must_use]
    pub fn new(
        header: Header,
        transactions: Vec<Arc<VerifiedTransaction>>,
        evidence: Vec<VerifiedEvidence>,
        parent_certificate: Option<VerifiedCertificate>,
    ) -> Self {
        let Header { view, time, proposer, .. } = header;
        let draft = Draft { view, time, proposer, transactions, evidence, parent_certificate };
        Self { header, draft }
    }

    /// The header, not yet compared with what follows from the parent.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The draft it claims to follow from.
    #[must_use]
    pub fn draft(&self) -> &Draft {
        &self.draft
    }
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

/// The coins whose place in the tree must be at hand before a draft can be derived.
pub fn touched(
    spec: &ConsensusSpec,
    chain: &ChainId,
    parent: &ChainState,
    draft: &Draft,
) -> Result<Vec<(Owner, OutPoint)>, BlockError> {
    let changes = work(spec, chain, parent, draft)?.changes();
    let coins = changes.spent.iter().chain(&changes.made);
    Ok(coins.map(|(outpoint, output)| (output.owner, *outpoint)).collect())
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
        transactions_root: root::<Blake>(body.transactions.iter().map(crate::block::transaction_leaf)),
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
