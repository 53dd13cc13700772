//! What peers say to each other, one message per frame. Every variant is handled; there is no wildcard arm.

use serde::{Deserialize, Serialize};

use crate::block::{Block, Header};
use crate::certificate::Certificate;
use crate::codec::{FRAME_SIZE_MAX, Wire};
use crate::evidence::Evidence;
use crate::hash::{BlockId, TxId};
use crate::sync::wire::{Query, RequestId, Response, Status};
use crate::transaction::SignedTransaction;
use crate::vote::Vote;

/// Most transaction ids in one message.
pub const IDS_MAX: usize = 4096;
/// Most votes in one message: two phases of the largest set.
pub const VOTES_MAX: usize = 512;

/// A proposal: the header, ids in place of transactions, and what else the body needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The proposer's vote of phase PrePrepare for the block in this view.
    pub vote: Vote,
    /// The block's header: made in this view, or in the valid view or before.
    pub header: Header,
    /// Transactions in order, without the reward, which is derived.
    pub transactions: Vec<TxId>,
    /// Evidence in the body.
    pub evidence: Vec<Evidence>,
    /// The parent's commit certificate in the body.
    pub parent_certificate: Option<Certificate>,
    /// Proof that the block was prepared in the vote's valid view.
    pub prepare_certificate: Option<Certificate>,
}

/// A message between peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// How far the sender is, with the certificate that proves it. Sent on connecting and after every block.
    Status(Box<Status>),
    /// Asks for a [`Message::Pong`] with the same number.
    Ping(u64),
    /// Answers a [`Message::Ping`].
    Pong(u64),
    /// Transactions, pushed when new to the sender's own users, or asked for.
    Transactions(Vec<SignedTransaction>),
    /// Transactions the sender can give.
    Have(Vec<TxId>),
    /// Transactions the sender asks for.
    Want(Vec<TxId>),
    /// A proposal.
    Proposal(Box<Proposal>),
    /// Votes of the open height.
    Votes(Vec<Vote>),
    /// A quorum in place of its votes.
    Certificate(Certificate),
    /// Equivocation to be put into a block.
    Evidence(Evidence),
    /// Asks for transactions of a proposed block, by position among the proposal's ids.
    WantParts {
        /// The proposed block.
        block: BlockId,
        /// Ascending positions.
        positions: Vec<u32>,
    },
    /// Answers [`Message::WantParts`], in the order asked.
    Parts {
        /// The proposed block.
        block: BlockId,
        /// The transactions.
        transactions: Vec<SignedTransaction>,
    },
    /// Asks for a whole block of the open height, or the newest final one.
    WantBlock(BlockId),
    /// Answers [`Message::WantBlock`].
    Block(Box<Block>),
    /// Asks for a range of the chain.
    Query(RequestId, Query),
    /// Answers [`Message::Query`].
    Response(RequestId, Response),
}

impl Wire for Message {
    const SIZE_MAX: usize = FRAME_SIZE_MAX;
}

impl Message {
    /// Whether lists keep within their limits: checked before any work is done for a message.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        match self {
            Self::Have(ids) | Self::Want(ids) => ids.len() <= IDS_MAX,
            Self::Votes(votes) => votes.len() <= VOTES_MAX,
            Self::WantParts { positions, .. } => positions.len() <= IDS_MAX,
            Self::Query(_, query) => query.is_in_bounds(),
            Self::Transactions(list) | Self::Parts { transactions: list, .. } => list.len() <= IDS_MAX,
            Self::Status(_)
            | Self::Ping(_)
            | Self::Pong(_)
            | Self::Proposal(_)
            | Self::Certificate(_)
            | Self::Evidence(_)
            | Self::WantBlock(_)
            | Self::Response(..)
            | Self::Block(_) => true,
        }
    }
}
