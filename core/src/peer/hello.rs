//! What the two sides tell each other inside the encrypted channel, and who they are afterwards.

use core::cmp::Reverse;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::Wire;
use crate::hash::{ChainId, Hash, Tag};
use crate::keys::{PublicKey, SecretKey, Signature, verify};
use crate::time::Time;

/// The version of the protocol between peers that this code speaks.
pub const PROTOCOL_VERSION: u16 = 2;

/// The longest URL a node may advertise, in bytes.
pub const LISTEN_SIZE_MAX: usize = 128;

const PROOF: Tag = Tag::new("timecoin peer proof");

/// A peer: the public key of its node, never an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerId(pub PublicKey);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a node says it does. A claim, good for choosing whom to ask; it gives no right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Keeps the chain and serves it.
    Full,
    /// Keeps the chain and takes part in consensus.
    Validator,
    /// Verifies certificates and its own payments; serves nobody.
    Light,
}

/// What a node says about itself when a session begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalNode {
    /// The protocol it speaks: [`PROTOCOL_VERSION`], but for a test of another.
    pub version: u16,
    /// The chain it is on.
    pub chain: ChainId,
    /// What it does.
    pub role: Role,
    /// The URL at which it takes sessions, at most [`LISTEN_SIZE_MAX`] printable ASCII characters.
    pub listen: Option<String>,
    /// The height of its newest final block.
    pub height: u64,
}

/// The first thing each side says. Every version begins with the version number, so that any can refuse any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) version: u16,
    pub(super) chain: ChainId,
    pub(super) role: Role,
    pub(super) node_key: PublicKey,
    pub(super) proof: Signature,
    pub(super) listen: Option<String>,
    pub(super) height: u64,
    pub(super) time: Time,
}

impl Wire for Hello {
    const SIZE_MAX: usize = 2 + 32 + 4 + 32 + 64 + 1 + 8 + LISTEN_SIZE_MAX + 8 + 8;
}

impl Hello {
    pub(super) fn new(
        key: &SecretKey,
        local: &LocalNode,
        time: Time,
        initiator: bool,
        hash: &[u8; 32],
    ) -> Self {
        let node_key = key.public_key();
        Self {
            version: local.version,
            chain: local.chain,
            role: local.role,
            node_key,
            proof: key.sign(&proof_message(initiator, hash, &node_key)),
            listen: local.listen.clone().filter(|url| is_listen_url(url)),
            height: local.height,
            time,
        }
    }

    /// Whether the sender holds the node key *and* is the other end of this very channel.
    pub(super) fn proves_key(&self, initiator: bool, hash: &[u8; 32]) -> bool {
        self.node_key.check().is_ok()
            && verify(&self.node_key, &proof_message(initiator, hash, &self.node_key), &self.proof)
    }

    pub(super) fn has_valid_listen(&self) -> bool {
        self.listen.as_deref().is_none_or(is_listen_url)
    }
}

pub(super) fn is_listen_url(url: &str) -> bool {
    url.len() <= LISTEN_SIZE_MAX && url.bytes().all(|byte| byte.is_ascii_graphic())
}

fn proof_message(initiator: bool, hash: &[u8; 32], node_key: &PublicKey) -> [u8; 32] {
    PROOF.hash(&[hash, &[u8::from(initiator)], &node_key.0]).0
}

/// Why a side will not have a session with the other. The same bytes in every version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The peer is on another chain.
    #[error("wrong chain: this node is on {expected}")]
    WrongChain {
        /// The chain of the side that refuses.
        expected: ChainId,
    },
    /// The peer speaks another version of the protocol.
    #[error("wrong protocol version: this node speaks {expected}")]
    WrongVersion {
        /// The version of the side that refuses.
        expected: u16,
    },
    /// The peer is the node itself.
    #[error("a node has no session with itself")]
    SelfConnect,
    /// The node has as many peers as it will have.
    #[error("too many peers")]
    TooManyPeers,
    /// The two already have a session, and it is the one to keep.
    #[error("already connected")]
    Duplicate,
    /// The peer offended, and is let in again later.
    #[error("banned for offences")]
    Banned,
}

/// The responder's answer to a hello. `Refused` has the same bytes in every version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    Refused(Refusal),
    Welcome(Hello),
}

impl Wire for Answer {
    const SIZE_MAX: usize = 4 + Hello::SIZE_MAX;
}

/// Which of two sessions with one peer this is: known to both sides, and the same for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who opened the session.
    pub initiator: PeerId,
    /// When, by the initiator's clock.
    pub time: Time,
    /// The hash of the handshake: no two sessions have the same.
    pub id: Hash,
}

/// Which of two sessions stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The one that was there.
    Existing,
    /// The one that has just been opened.
    New,
}

/// Which of two sessions of the same two nodes stays: the one opened by the smaller key; of two opened by the
/// same, the later (its opener came back before we noticed it was gone). Both sides decide alike.
#[must_use]
pub fn keep(existing: &Origin, new: &Origin) -> Keep {
    let rank = |origin: &Origin| (origin.initiator, Reverse(origin.time), origin.id);
    if rank(new) < rank(existing) { Keep::New } else { Keep::Existing }
}

/// A peer whose key is proved, and what it said about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Who it is: proved.
    pub peer: PeerId,
    /// The protocol it speaks: equal to ours.
    pub version: u16,
    /// What it says it does.
    pub role: Role,
    /// Where it says it takes sessions: printable ASCII, otherwise unchecked.
    pub listen: Option<String>,
    /// The height it claims. Never a fact: only a certificate is.
    pub height: u64,
    /// Its clock when it said hello.
    pub time: Time,
    /// Which session this is.
    pub origin: Origin,
}
