//! What peers say to each other, one message per frame. Every variant is handled; there is no wildcard arm.

use serde::{Deserialize, Serialize};

use crate::answer::{PhaseChange, Question, Reply, WATCHED_MAX};
use crate::block::{Block, Body, Header};
use crate::certificate::Certificate;
use crate::codec::{CodecError, FRAME_SIZE_MAX, Wire, decode};
use crate::evidence::Evidence;
use crate::hash::{BlockId, TxId};
use crate::peer::record::PeerRecord;
use crate::sync::wire::{Query, RequestId, Response, Status};
use crate::transaction::SignedTransaction;
use crate::vote::Vote;

/// Most transaction ids in one message.
pub const IDS_MAX: usize = 4096;
/// Most votes in one message: two phases of the largest set.
pub const VOTES_MAX: usize = 512;
/// Most peer records in one message.
pub const PEERS_MAX: usize = 64;
/// Most bytes of a message of transactions that are not a block's.
pub const TRANSACTIONS_SIZE_MAX: usize = 2 << 20;
/// Most bytes of a proposal: ids, evidence and two certificates.
pub const PROPOSAL_SIZE_MAX: usize = 1 << 20;

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
    /// Answers a request that the sender will not serve now: its asker is over a rate limit.
    Busy {
        /// Which.
        request: Request,
        /// When asking again may be of use.
        retry_after_ms: u32,
    },
    /// Asks for peer records.
    WantPeers,
    /// Where peers take sessions: the sender's own record, news, or the answer to [`Message::WantPeers`].
    Peers(Vec<PeerRecord>),
    /// A light node asks.
    Ask(RequestId, Question),
    /// Answers [`Message::Ask`].
    Answer(RequestId, Box<Reply>),
    /// Transactions that the receiver watches moved on.
    Phases(Vec<PhaseChange>),
}

/// A request, as [`Message::Busy`] names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A [`Message::Query`].
    Query(RequestId),
    /// A [`Message::WantParts`] or [`Message::WantBlock`].
    Block(BlockId),
    /// A [`Message::Want`].
    Transactions,
    /// A [`Message::Ask`].
    Ask(RequestId),
}

impl Wire for Message {
    const SIZE_MAX: usize = FRAME_SIZE_MAX;
}

/// What a message is, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the variants of `Message`, in their order")]
pub enum MessageKind {
    Status,
    Ping,
    Pong,
    Transactions,
    Have,
    Want,
    Proposal,
    Votes,
    Certificate,
    Evidence,
    WantParts,
    Parts,
    WantBlock,
    Block,
    Query,
    Response,
    Busy,
    WantPeers,
    Peers,
    Ask,
    Answer,
    Phases,
}

impl MessageKind {
    /// Every kind, by wire tag.
    pub const ALL: [Self; 22] = [
        Self::Status,
        Self::Ping,
        Self::Pong,
        Self::Transactions,
        Self::Have,
        Self::Want,
        Self::Proposal,
        Self::Votes,
        Self::Certificate,
        Self::Evidence,
        Self::WantParts,
        Self::Parts,
        Self::WantBlock,
        Self::Block,
        Self::Query,
        Self::Response,
        Self::Busy,
        Self::WantPeers,
        Self::Peers,
        Self::Ask,
        Self::Answer,
        Self::Phases,
    ];

    /// The most bytes a message of this kind encodes to.
    #[must_use]
    pub const fn size_max(self) -> usize {
        const TAG: usize = 4;
        const COUNT: usize = 8;
        TAG + match self {
            Self::Status => Status::SIZE_MAX,
            Self::Ping | Self::Pong => 8,
            Self::Transactions => TRANSACTIONS_SIZE_MAX,
            Self::Have | Self::Want => COUNT + 32 * IDS_MAX,
            Self::Proposal => PROPOSAL_SIZE_MAX,
            Self::Votes => COUNT + Vote::SIZE_MAX * VOTES_MAX,
            Self::Certificate => Certificate::SIZE_MAX,
            Self::Evidence => Evidence::SIZE_MAX,
            Self::WantParts => 32 + COUNT + 4 * IDS_MAX,
            Self::Parts => Body::SIZE_MAX,
            Self::WantBlock => 32,
            Self::Block => Block::SIZE_MAX,
            Self::Query => RequestId::SIZE_MAX + Query::SIZE_MAX,
            Self::Response => RequestId::SIZE_MAX + Response::SIZE_MAX,
            Self::Busy => TAG + 32 + 4,
            Self::WantPeers => 0,
            Self::Peers => COUNT + PeerRecord::SIZE_MAX * PEERS_MAX,
            Self::Ask => RequestId::SIZE_MAX + Question::SIZE_MAX,
            Self::Answer => RequestId::SIZE_MAX + Reply::SIZE_MAX,
            Self::Phases => COUNT + PhaseChange::SIZE_MAX * WATCHED_MAX,
        }
    }

    /// What a frame claims to be; `None` where there is no such kind.
    fn of_frame(frame: &[u8]) -> Option<Self> {
        let tag = u32::from_le_bytes(*frame.first_chunk()?);
        Self::ALL.get(usize::try_from(tag).ok()?).copied()
    }
}

/// Why a frame is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No message has this tag.
    #[error("no known kind of message")]
    Kind,
    /// More bytes than a message of this kind has; nothing was decoded.
    #[error("{size} bytes for a {kind:?}")]
    TooLarge {
        /// What it claims to be.
        kind: MessageKind,
        /// Its size.
        size: usize,
    },
    /// Not the encoding of a message.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A list, or a range asked for, beyond its limit.
    #[error("a {0:?} beyond its limits")]
    OutOfBounds(MessageKind),
}

impl Message {
    /// Decodes a frame. Its size is compared with what its kind may have before anything is decoded, its lists
    /// and ranges with their limits before any work is done for it.
    pub fn from_frame(frame: &[u8]) -> Result<Self, FrameError> {
        let kind = MessageKind::of_frame(frame).ok_or(FrameError::Kind)?;
        if frame.len() > kind.size_max() {
            return Err(FrameError::TooLarge { kind, size: frame.len() });
        }
        let message: Self = decode(frame)?;
        if message.is_bounded() { Ok(message) } else { Err(FrameError::OutOfBounds(kind)) }
    }

    /// Which request a frame claims to answer, without decoding the rest: an asker that knows what it asked for can refuse
    /// by [`Question::reply_size_max`] what is larger than any answer to it.
    #[must_use]
    pub fn answered(frame: &[u8]) -> Option<RequestId> {
        (MessageKind::of_frame(frame)? == MessageKind::Answer).then_some(())?;
        Some(RequestId(u64::from_le_bytes(*frame.get(4..)?.first_chunk()?)))
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Status(_) => MessageKind::Status,
            Self::Ping(_) => MessageKind::Ping,
            Self::Pong(_) => MessageKind::Pong,
            Self::Transactions(_) => MessageKind::Transactions,
            Self::Have(_) => MessageKind::Have,
            Self::Want(_) => MessageKind::Want,
            Self::Proposal(_) => MessageKind::Proposal,
            Self::Votes(_) => MessageKind::Votes,
            Self::Certificate(_) => MessageKind::Certificate,
            Self::Evidence(_) => MessageKind::Evidence,
            Self::WantParts { .. } => MessageKind::WantParts,
            Self::Parts { .. } => MessageKind::Parts,
            Self::WantBlock(_) => MessageKind::WantBlock,
            Self::Block(_) => MessageKind::Block,
            Self::Query(..) => MessageKind::Query,
            Self::Response(..) => MessageKind::Response,
            Self::Busy { .. } => MessageKind::Busy,
            Self::WantPeers => MessageKind::WantPeers,
            Self::Peers(_) => MessageKind::Peers,
            Self::Ask(..) => MessageKind::Ask,
            Self::Answer(..) => MessageKind::Answer,
            Self::Phases(_) => MessageKind::Phases,
        }
    }

    /// Whether lists keep within their limits: checked before any work is done for a message.
    fn is_bounded(&self) -> bool {
        match self {
            Self::Have(ids) | Self::Want(ids) => ids.len() <= IDS_MAX,
            Self::Votes(votes) => votes.len() <= VOTES_MAX,
            Self::WantParts { positions, .. } => positions.len() <= IDS_MAX,
            Self::Query(_, query) => query.is_in_bounds(),
            Self::Peers(records) => records.len() <= PEERS_MAX,
            Self::Ask(_, question) => question.is_in_bounds(),
            Self::Phases(changes) => changes.len() <= WATCHED_MAX,
            Self::Transactions(list) | Self::Parts { transactions: list, .. } => list.len() <= IDS_MAX,
            Self::Status(_)
            | Self::Ping(_)
            | Self::Pong(_)
            | Self::Proposal(_)
            | Self::Certificate(_)
            | Self::Evidence(_)
            | Self::WantBlock(_)
            | Self::Response(..)
            | Self::Busy { .. }
            | Self::WantPeers
            | Self::Answer(..)
            | Self::Block(_) => true,
        }
    }
}
