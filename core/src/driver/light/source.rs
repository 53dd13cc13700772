//! Whom a light client asks, and what it says of those who lied.

use crate::answer::{Question, Reply};
use crate::light::AttackKind;
use crate::time::Time;
use crate::vote::Height;

/// Peers to ask. The driver keeps sessions, timeouts and bans; the client decides what to believe.
#[expect(
    async_fn_in_trait,
    reason = "one generic consumer awaits it; no Send bound, so that a browser's sockets fit"
)]
pub trait Source {
    /// How the driver names a peer.
    type Peer: Clone + core::fmt::Debug;

    /// Those that can be asked now, in the order to ask them.
    fn peers(&self) -> Vec<Self::Peer>;

    /// Asks one of them.
    async fn ask(&self, peer: &Self::Peer, question: &Question) -> Result<Reply, Unanswered>;

    /// Returns when a peer said something new (a status, phases), or after a while.
    async fn news(&self);

    /// The clock.
    fn now(&self) -> Time;

    /// Hears what a peer did wrong.
    fn report(&self, misbehaviour: Misbehaviour<Self::Peer>);
}

/// Why a peer did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The session ended, or there is none.
    #[error("the session ended")]
    Gone,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// It will answer later, if asked again.
    #[error("busy for {retry_after_ms} ms")]
    Busy {
        /// When asking again may be of use.
        retry_after_ms: u32,
    },
}

/// What a peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Another kind of answer than was asked for.
    WrongAnswer,
    /// A proof that proves nothing, or something else than was asked.
    WrongProof,
    /// A header that is not the chain's.
    WrongHead,
    /// A certificate that is none: of other validators, of too few, or with bad signatures.
    ForgedCertificate,
    /// An answer of long ago, though the chain went on. Could be the fault of its network.
    StaleHead,
    /// It does not give what it says it has. Could be the fault of its disk.
    Withheld,
    /// Two conflicting blocks are certified: more than a third of the weight is guilty. The peer only showed it.
    Fork(AttackKind),
}

impl Lie {
    /// A stable word.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::WrongAnswer => "wrong_answer",
            Self::WrongProof => "wrong_proof",
            Self::WrongHead => "wrong_head",
            Self::ForgedCertificate => "forged_certificate",
            Self::StaleHead => "stale_head",
            Self::Withheld => "withheld",
            Self::Fork(_) => "fork",
        }
    }

    /// Whether no honest peer does it: the session is to be ended.
    #[must_use]
    pub const fn is_proved(self) -> bool {
        match self {
            Self::WrongAnswer | Self::WrongProof | Self::WrongHead | Self::ForgedCertificate => true,
            Self::StaleHead | Self::Withheld | Self::Fork(_) => false,
        }
    }
}

/// What a peer did wrong, with what shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misbehaviour<P> {
    /// Who.
    pub peer: P,
    /// What.
    pub lie: Lie,
    /// About which height, where it was about one.
    pub height: Option<Height>,
    /// Why it is wrong, for people.
    pub detail: String,
    /// When.
    pub at: Time,
    /// Its reply, encoded; of a fork, both light blocks.
    pub proof: Vec<u8>,
}
