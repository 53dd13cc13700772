//! What a light node asks of a full one, and what it is told. The order of the variants is protocol; new ones go last.
//!
//! Everything that can be proved comes with its proof, and the asker believes nothing else. What cannot be proved says so
//! in its documentation: the phase of a pending transaction, a fee rate, that something is not known.

use serde::{Deserialize, Serialize};

use super::{BalanceAnswer, CoinsAnswer, Opening, RegistryAnswer};
use crate::block::{Block, Header};
use crate::certificate::Certificate;
use crate::codec::{FRAME_SIZE_MAX, Wire};
use crate::filter::Filter;
use crate::hash::{BlockId, Hash, Owner, TxId};
use crate::light::LightBlock;
use crate::receipt::PastBlock;
use crate::state::tree::{CoinProof, OwnerProof};
use crate::transaction::{OutPoint, SignedTransaction};
use crate::validators::ValidatorSet;
use crate::vote::Height;

/// Most owners in one question.
pub const OWNERS_MAX: usize = 64;
/// Most filters in one answer.
pub const FILTERS_MAX: u16 = 128;
/// Bytes of filters after which an answer ends; the first is given whatever its size.
pub const FILTERS_SIZE_MAX: usize = 1 << 20;
/// Most transactions that one peer may watch; of more, the newest are watched.
pub const WATCHED_MAX: usize = 64;

/// Where a transaction is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TransactionPhase {
    /// In the mempool.
    Pending,
    /// In a valid proposal of the current view.
    PrePrepare,
    /// This node's Prepare is out, or a quorum's is in.
    Prepare,
    /// A quorum prepared: Commits are being collected.
    Commit,
    /// In a final block.
    Finalized,
}

/// What a light node asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// A header with what certifies it; sets whose hash is `known` are left out.
    LightBlock {
        /// Which, from 1.
        height: Height,
        /// The hash of a set that the asker has.
        known: Option<Hash>,
    },
    /// The set with this hash.
    Validators(Hash),
    /// Where the block with this id is.
    Height(BlockId),
    /// The header at a height, proved by the history of a newer one.
    History {
        /// Which.
        height: Height,
        /// Height of the newer header.
        at: Height,
    },
    /// Headers with their filters, in ascending order.
    Filters {
        /// The first.
        from: Height,
        /// How many at most, 1 to [`FILTERS_MAX`].
        count: u16,
    },
    /// A whole block.
    Block(Height),
    /// A transaction, pending or final.
    Transaction(TxId),
    /// The whole balances of up to [`OWNERS_MAX`] owners, under one header.
    Balances(Vec<Owner>),
    /// All coins of an owner.
    Coins(Owner),
    /// One coin.
    Coin {
        /// Whose.
        owner: Owner,
        /// Which.
        outpoint: OutPoint,
    },
    /// All masternodes.
    Registry,
    /// What transactions pay here.
    FeeRate,
    /// To be told the phases of up to [`WATCHED_MAX`] transactions from now on.
    Watch(Vec<TxId>),
    /// To take a transaction and pass it on.
    Submit(Box<SignedTransaction>),
    /// A [`StateQuestion`](super::StateQuestion), encoded.
    State(Vec<u8>),
}

impl Wire for Question {
    const SIZE_MAX: usize = 4 + 8 + super::STATE_QUESTION_SIZE_MAX;
}

impl Question {
    /// Whether its lists and ranges are within their limits. Checked before any work.
    #[must_use]
    pub fn is_in_bounds(&self) -> bool {
        match self {
            Self::Balances(owners) => (1..=OWNERS_MAX).contains(&owners.len()),
            Self::Watch(ids) => (1..=WATCHED_MAX).contains(&ids.len()),
            Self::Filters { from, count } => {
                (1..=FILTERS_MAX).contains(count) && from.0.checked_add(u64::from(*count)).is_some()
            }
            Self::State(question) => question.len() <= super::STATE_QUESTION_SIZE_MAX,
            Self::LightBlock { .. }
            | Self::Validators(_)
            | Self::Height(_)
            | Self::History { .. }
            | Self::Block(_)
            | Self::Transaction(_)
            | Self::Coins(_)
            | Self::Coin { .. }
            | Self::Registry
            | Self::FeeRate
            | Self::Submit(_) => true,
        }
    }

    /// The most bytes that an honest reply to it encodes to: more need not be decoded.
    #[must_use]
    pub fn reply_size_max(&self) -> usize {
        const TAGS: usize = 16;
        TAGS + match self {
            Self::LightBlock { .. } => LightBlock::SIZE_MAX + 8,
            Self::Validators(_) => ValidatorSet::SIZE_MAX,
            Self::Height(_) => 8,
            Self::History { .. } => Header::SIZE_MAX + crate::merkle::InclusionProof::SIZE_MAX,
            Self::Filters { .. } => 8 + FILTERS_SIZE_MAX + Header::SIZE_MAX + Filter::SIZE_MAX,
            Self::Block(_) => Block::SIZE_MAX,
            Self::Transaction(_) => 32 * 64 + Header::SIZE_MAX + SignedTransaction::SIZE_MAX,
            Self::Balances(owners) => Opening::SIZE_MAX + 8 + owners.len() * OwnerProof::SIZE_MAX,
            Self::Coins(_) | Self::State(_) => Reply::SIZE_MAX - TAGS,
            Self::Coin { .. } => Opening::SIZE_MAX + CoinProof::SIZE_MAX,
            Self::Registry => RegistryAnswer::SIZE_MAX,
            Self::FeeRate => 24,
            Self::Watch(ids) => 8 + ids.len() * PhaseChange::SIZE_MAX,
            Self::Submit(_) => 8 + REFUSAL_SIZE_MAX,
        }
    }
}

/// What a light node is told. Every variant answers the question of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// A header with what certifies it.
    LightBlock(Box<SparseBlock>),
    /// A set.
    Validators(ValidatorSet),
    /// A height.
    Height(Height),
    /// A header in the history of a newer one.
    History(Box<PastBlock>),
    /// Headers with their filters from the first asked for, without gaps, as many as fit.
    Filters(Vec<(Header, Filter)>),
    /// A block.
    Block(Box<Block>),
    /// A transaction.
    Transaction(Box<Located>),
    /// Balances.
    Balances(Box<BalancesAnswer>),
    /// All coins of an owner.
    Coins(Box<CoinsAnswer>),
    /// A coin, if it is unspent. That it is not is nothing proved.
    Coin(Box<Opening>, Option<Box<CoinProof>>),
    /// All masternodes.
    Registry(Box<RegistryAnswer>),
    /// What transactions pay here.
    FeeRate(FeeRate),
    /// Those that are pending, and how far they are. Others may be final already: ask for them.
    Watch(Vec<PhaseChange>),
    /// The transaction is pending from now on; or why it is not.
    Submit(Result<TxId, Refusal>),
    /// There is no answer.
    Nothing(Nothing),
    /// A [`StateReply`](super::StateReply), encoded.
    State(Vec<u8>),
}

impl Wire for Reply {
    const SIZE_MAX: usize = FRAME_SIZE_MAX - (32 << 10);
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Nothing {
    /// Not known here: proves nothing.
    #[error("not known here")]
    Unknown,
    /// It would be larger than an answer may be.
    #[error("larger than an answer may be")]
    TooLarge,
    /// Blocks come in faster than the proof can be made: ask again.
    #[error("blocks come in faster than the proof can be made")]
    Moving,
}

/// A [`LightBlock`] without the sets that the asker has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SparseBlock {
    /// What is certified.
    pub header: Header,
    /// Its commit certificate.
    pub certificate: Certificate,
    /// The set that signed, unless known.
    pub validators: Option<ValidatorSet>,
    /// The set that signs the next block, unless known or the same.
    pub next_validators: Option<ValidatorSet>,
}

impl SparseBlock {
    /// Leaves out the set with this hash.
    #[must_use]
    pub fn without(block: LightBlock, known: Option<&Hash>) -> Self {
        let LightBlock { header, certificate, validators, next_validators } = block;
        let is_unknown = |hash: &Hash| Some(hash) != known;
        let validators = is_unknown(&header.validators_hash).then_some(validators);
        let next_validators = next_validators.filter(|_| is_unknown(&header.next_validators_hash));
        Self { header, certificate, validators, next_validators }
    }

    /// Puts the known set back; `None` where another one is missing, too. Nothing is checked here.
    #[must_use]
    pub fn with(self, known: Option<&ValidatorSet>) -> Option<LightBlock> {
        let Self { header, certificate, validators, next_validators } = self;
        let hash = known.map(ValidatorSet::hash);
        let find = |wanted: &Hash| known.filter(|_| hash.as_ref() == Some(wanted)).cloned();
        let validators = validators.or_else(|| find(&header.validators_hash))?;
        let next_validators = match next_validators {
            None if header.next_validators_hash != header.validators_hash => {
                Some(find(&header.next_validators_hash)?)
            }
            next => next,
        };
        Some(LightBlock { header, certificate, validators, next_validators })
    }
}

/// The whole balances of several owners, all under one header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancesAnswer {
    /// The state they hold in.
    pub opening: Opening,
    /// For each owner asked about, in that order.
    pub proofs: Vec<OwnerProof>,
}

impl BalancesAnswer {
    /// One answer for each owner.
    pub fn each(self) -> impl Iterator<Item = BalanceAnswer> {
        let Self { opening, proofs } = self;
        proofs.into_iter().map(move |proof| BalanceAnswer { opening: opening.clone(), proof })
    }
}

/// A transaction, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Located {
    /// In the mempool of whoever answers; nothing of it is proved.
    Pending(SignedTransaction, TransactionPhase),
    /// In a block.
    Final {
        /// The block's header.
        header: Box<Header>,
        /// The transaction.
        signed: SignedTransaction,
        /// Its position in the block. A claim: the path does not bind it.
        index: u32,
        /// Which hashes of the path stand on the left, lowest bit first.
        left: u64,
        /// Sibling subtrees from the transaction up to the header's transactions root.
        path: Vec<Hash>,
    },
}

/// What transactions pay at a node. Its word only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeRate {
    /// The least that is taken, in grains per 1,000 bytes.
    pub per_kb_min: u64,
    /// Pending transactions.
    pub pending: u64,
    /// Their bytes.
    pub pending_bytes: u64,
}

/// A transaction moved on at the peer that says so. Only `Finalized` can be verified: ask for the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseChange {
    /// Which.
    pub txid: TxId,
    /// Where it is; none where it was dropped.
    pub phase: Option<TransactionPhase>,
}

impl Wire for PhaseChange {
    const SIZE_MAX: usize = 32 + 1 + 4;
}

/// Most bytes of a [`Refusal`].
pub const REFUSAL_SIZE_MAX: usize = 1024;

/// Why a transaction is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// A stable word, the same as the code of the JSON-RPC.
    pub code: String,
    /// The facts, for people.
    pub message: String,
}

impl Refusal {
    /// A refusal; a message beyond the limit is cut.
    #[must_use]
    pub fn new(code: &str, message: &str) -> Self {
        const MESSAGE_CHARACTERS_MAX: usize = 200;
        Self { code: code.to_owned(), message: message.chars().take(MESSAGE_CHARACTERS_MAX).collect() }
    }
}
