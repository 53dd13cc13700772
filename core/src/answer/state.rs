//! What a full node asks while it has not the whole state, and what it is told.
//!
//! Both travel as bytes within [`Question`](super::Question) and [`Reply`](super::Reply): a light node passes them by
//! and needs no decoder for them.

use serde::{Deserialize, Serialize};

use super::{AnswerError, Question, Reply};
use crate::block::Header;
use crate::codec::{Wire, decode, encode};
use crate::hash::BlockId;
use crate::merkle::{Blake, Frontier};
use crate::schema::TipRow;
use crate::state::StateCommitment;
use crate::state::accounting::Accounting;
use crate::state::registry::Registry;
use crate::state::tree::{FILL_ROWS, Multiproof, Op, PageKey, Summary};

/// Most bytes of a [`StateQuestion`].
pub const STATE_QUESTION_SIZE_MAX: usize = 512 << 10;

/// A question about the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateQuestion {
    /// The newest state, but for the coins.
    Tip,
    /// Rows of the coins' tree by their keys, at most [`FILL_ROWS`].
    Rows(Vec<Vec<u8>>),
    /// The part of the tree that a block touches, of the state before it: a block of the open height, or one of the last
    /// few that became final.
    Block(BlockId),
    /// The part of the newest tree that these changes touch.
    Changes(Vec<Op>),
}

impl Wire for StateQuestion {
    const SIZE_MAX: usize = STATE_QUESTION_SIZE_MAX;
}

impl StateQuestion {
    /// Asks for these rows.
    #[must_use]
    pub fn rows<'a>(keys: impl IntoIterator<Item = &'a PageKey>) -> Self {
        Self::Rows(keys.into_iter().take(FILL_ROWS).map(PageKey::to_bytes).collect())
    }

    /// As it travels.
    #[must_use]
    pub fn question(&self) -> Question {
        Question::State(encode(self))
    }
}

/// What is said about the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateReply {
    /// The newest state, but for the coins.
    Tip(Box<StateTip>),
    /// For each key, the row where there is one.
    Rows(Vec<Option<Vec<u8>>>),
    /// A part of the tree.
    Proof(Box<StateProof>),
}

impl Wire for StateReply {
    const SIZE_MAX: usize = Reply::SIZE_MAX - 16;
}

impl StateReply {
    /// As it travels.
    #[must_use]
    pub fn reply(&self) -> Reply {
        Reply::State(encode(self))
    }

    /// Reads one back.
    #[must_use]
    pub fn of(reply: &Reply) -> Option<Self> {
        match reply {
            Reply::State(bytes) => decode(bytes).ok(),
            _ => None,
        }
    }
}

/// A part of a tree with this root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateProof {
    /// The root.
    pub root: Summary,
    /// The part.
    pub proof: Multiproof,
}

/// The state after a block, but for the coins and what its header names by hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateTip {
    /// The block.
    pub header: Header,
    /// Accounting after it.
    pub accounting: Accounting,
    /// Masternodes after it.
    pub registry: Registry,
    /// The history log up to its parent.
    pub history: Frontier,
    /// The coins after it.
    pub coins: Summary,
}

impl Wire for StateTip {
    const SIZE_MAX: usize =
        Header::SIZE_MAX + Accounting::SIZE_MAX + Registry::SIZE_MAX + Frontier::SIZE_MAX + 64;
}

impl StateTip {
    /// The row of this state, and its masternodes; all of it proved by the header.
    pub fn verify(self) -> Result<(TipRow, Registry), AnswerError> {
        let Self { header, accounting, registry, mut history, coins } = self;
        let (pool, masternodes) = (accounting.pool, registry.root());
        let commitment =
            StateCommitment { coins, pool, registry: masternodes, accounting: accounting.hash() };
        if commitment.root() != header.state_root {
            return Err(AnswerError::StateRoot);
        }
        if commitment.supply() != Some(header.supply) {
            return Err(AnswerError::Supply);
        }
        if history.size() != header.height.0 || history.root::<Blake>() != header.history_root {
            return Err(AnswerError::History);
        }
        history.append::<Blake>(header.history_leaf());
        Ok((TipRow { signers: header.validators_hash, header, accounting, history, coins }, registry))
    }
}
