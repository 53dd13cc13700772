//! Blocks: a header that commits to everything validation reads and makes, and the body it commits to.

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::certificate::Certificate;
use crate::codec::{FRAME_SIZE_MAX, Wire, encode};
use crate::evidence::Evidence;
use crate::hash::{BlockId, Hash, StateRoot, Tag};
use crate::keys::PublicKey;
use crate::merkle::{Blake, LogHash, root};
use crate::time::Time;
use crate::transaction::SignedTransaction;
use crate::vote::{Height, ViewNumber};

/// The block format of this software.
pub const BLOCK_VERSION: u16 = 1;

/// The header of a block; its hash is the block's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`BLOCK_VERSION`].
    pub version: u16,
    /// Position in the chain.
    pub height: Height,
    /// The view it was first proposed in; a later view may propose the same block again.
    pub view: ViewNumber,
    /// The proposer's clock; later than the parent's time.
    pub time: Time,
    /// The block before.
    pub parent: BlockId,
    /// Log root over the commitments of the transactions.
    pub transactions_root: Hash,
    /// Everything validation reads, after this block.
    pub state_root: StateRoot,
    /// Coins plus reward pool after this block: the money issued at `time`.
    pub supply: Amount,
    /// Hash of the filter of owners this block touches.
    pub filter_hash: Hash,
    /// Log root over (block id, filter hash) of all blocks before this one.
    pub history_root: Hash,
    /// The set that signs this block.
    pub validators_hash: Hash,
    /// The set that signs the next block; differs in the last block of an epoch only.
    pub next_validators_hash: Hash,
    /// Hash of the evidence list.
    pub evidence_root: Hash,
    /// Hash of the parent's commit certificate in the body.
    pub parent_certificate_hash: Hash,
    /// Operator key of the validator that made the block.
    pub proposer: PublicKey,
}

impl Wire for Header {
    const SIZE_MAX: usize = 512;
}

impl Header {
    const ID: Tag = Tag::new("timecoin block");

    /// The block's id.
    #[must_use]
    pub fn id(&self) -> BlockId {
        BlockId(Self::ID.hash(&[&encode(self)]))
    }

    /// The key of this block's filter: known before the block is complete.
    #[must_use]
    pub fn filter_key(&self) -> [u8; 16] {
        filter_key(&self.parent)
    }

    /// The leaf this block adds to the history log.
    #[must_use]
    pub fn history_leaf(&self) -> Hash {
        Blake::leaf(&[&self.id().0.0[..], &self.filter_hash.0].concat())
    }
}

/// The key of the filter of the block whose parent is `parent`.
#[must_use]
pub fn filter_key(parent: &BlockId) -> [u8; 16] {
    *parent.as_bytes().first_chunk().expect("an id has 32 bytes")
}

/// What the header commits to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// In order; the last block of an epoch starts with the reward transaction.
    pub transactions: Vec<SignedTransaction>,
    /// Strictly ascending.
    pub evidence: Vec<Evidence>,
    /// The parent's commit certificate; none for the block after genesis.
    pub parent_certificate: Option<Certificate>,
}

impl Wire for Body {
    const SIZE_MAX: usize = FRAME_SIZE_MAX - (64 << 10);
}

impl Body {
    /// Whether it is the body that a header commits to.
    #[must_use]
    pub fn is_committed_by(&self, header: &Header) -> bool {
        self.transactions_root() == header.transactions_root
            && Evidence::root(&self.evidence) == header.evidence_root
            && Certificate::hash(self.parent_certificate.as_ref()) == header.parent_certificate_hash
    }

    /// The log root over the transactions' commitments.
    #[must_use]
    pub fn transactions_root(&self) -> Hash {
        root::<Blake>(self.transactions.iter().map(transaction_leaf))
    }
}

/// The leaf of a transaction in its block's transactions log.
#[must_use]
pub fn transaction_leaf(signed: &SignedTransaction) -> Hash {
    Blake::leaf(&signed.commitment())
}

/// A whole block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Commits to the body.
    pub header: Header,
    /// What happened.
    pub body: Body,
}

impl Wire for Block {
    const SIZE_MAX: usize = Header::SIZE_MAX + Body::SIZE_MAX;
}
