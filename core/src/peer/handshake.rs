//! How a session begins, without I/O: each state takes the peer's message and gives the next.
//!
//! | | initiator | responder |
//! |---|---|---|
//! | 1 | [`Initiator::start`]: `e` → | [`Responder::on_first`] |
//! | 2 | [`Initiator::on_reply`] | ← `e, ee, s, es` |
//! | 3 | `s, se`, then its sealed hello → | [`AwaitHello::on_hello`] → [`Admission`] |
//! | 4 | [`AwaitAnswer::on_answer`] | ← sealed welcome, or the reason why not |
//!
//! Noise XX keeps the channel secret, whoever ends TLS; a node key's signature over the handshake hash says who
//! is at the other end of *this* channel. Neither side's key is visible to a third. A message that is not the
//! expected one ends the handshake with a typed error: there is no state to go back to, so a driver drops the
//! connection. Time limits are the driver's.

use core::fmt;

use super::hello::{Answer, Hello};
pub use super::hello::{
    Keep, LISTEN_SIZE_MAX, LocalNode, Origin, PROTOCOL_VERSION, PeerId, PeerInfo, Refusal, Role, keep,
};
use super::noise::{Exchange, MESSAGE_SIZES, NotNoise};
use super::session::{Session, SessionError};
use crate::codec::{CodecError, decode, encode};
use crate::hash::Hash;
use crate::keys::SecretKey;
use crate::time::Time;

/// No message of a handshake, of any version, is larger: a driver limits reading to this until the session is up.
pub const HANDSHAKE_SIZE_MAX: usize = 1024;

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Not the next message of the exchange: another protocol, or altered on the way.
    #[error("not the next message of the exchange")]
    NotNoise,
    /// The encrypted part does not open.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The encrypted part is no hello.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The peer did not prove that it holds its node key.
    #[error("the peer did not prove its key")]
    KeyNotProved,
    /// The advertised URL is not printable ASCII.
    #[error("the advertised URL is not printable ASCII")]
    Listen,
    /// We refuse the peer: send it `answer`, if there is one, and close.
    #[error("refused the peer: {refusal}")]
    Rejected {
        /// Why.
        refusal: Refusal,
        /// What tells it.
        answer: Option<Vec<u8>>,
    },
    /// The peer refuses us.
    #[error("refused by the peer: {0}")]
    Refused(Refusal),
}

impl From<NotNoise> for HandshakeError {
    fn from(NotNoise: NotNoise) -> Self {
        Self::NotNoise
    }
}

/// What both sides bring: who they are, and when it is.
struct Local {
    identity: SecretKey,
    node: LocalNode,
    time: Time,
}

impl Local {
    fn hello(&self, initiator: bool, hash: &[u8; 32]) -> Hello {
        Hello::new(&self.identity, &self.node, self.time, initiator, hash)
    }

    /// Who said `hello`, or why not to talk to it.
    fn meet(&self, hello: Hello, by_initiator: bool, hash: &[u8; 32]) -> Result<PeerInfo, Unwelcome> {
        let refuse = |refusal| Err(Unwelcome::Refuse(refusal));
        if hello.version != self.node.version {
            return refuse(Refusal::WrongVersion { expected: self.node.version });
        }
        if hello.chain != self.node.chain {
            return refuse(Refusal::WrongChain { expected: self.node.chain });
        }
        if !hello.proves_key(by_initiator, hash) {
            return Err(Unwelcome::Invalid(HandshakeError::KeyNotProved));
        }
        if !hello.has_valid_listen() {
            return Err(Unwelcome::Invalid(HandshakeError::Listen));
        }
        let (own, peer) = (PeerId(self.identity.public_key()), PeerId(hello.node_key));
        if own == peer {
            return refuse(Refusal::SelfConnect);
        }
        let (initiator, time) = if by_initiator { (peer, hello.time) } else { (own, self.time) };
        Ok(PeerInfo {
            peer,
            version: hello.version,
            role: hello.role,
            listen: hello.listen,
            height: hello.height,
            time: hello.time,
            origin: Origin { initiator, time, id: Hash(*hash) },
        })
    }
}

enum Unwelcome {
    Refuse(Refusal),
    Invalid(HandshakeError),
}

fn expect_size(message: &[u8], step: usize) -> Result<(), HandshakeError> {
    if MESSAGE_SIZES.get(step) == Some(&message.len()) { Ok(()) } else { Err(HandshakeError::NotNoise) }
}

/// The dialling side, waiting for the second message.
pub struct Initiator {
    exchange: Exchange,
    local: Local,
}

impl Initiator {
    /// Begins. `entropy` is fresh from the system for every handshake; `now` orders the sessions we open.
    #[must_use]
    pub fn start(identity: &SecretKey, node: LocalNode, now: Time, entropy: &[u8; 32]) -> (Self, Vec<u8>) {
        let mut exchange = Exchange::new(true, identity, entropy);
        let message = exchange.write(MESSAGE_SIZES[0]);
        (Self { exchange, local: Local { identity: identity.clone(), node, time: now } }, message)
    }

    /// Takes the second message; gives the third, which says who we are.
    pub fn on_reply(mut self, message: &[u8]) -> Result<(AwaitAnswer, Vec<u8>), HandshakeError> {
        expect_size(message, 1)?;
        self.exchange.read(message)?;
        let mut reply = self.exchange.write(MESSAGE_SIZES[2]);
        let (hash, mut session) = self.exchange.finish();
        reply.extend(session.seal(&encode(&self.local.hello(true, &hash)))?);
        Ok((AwaitAnswer { local: self.local, hash, session }, reply))
    }
}

/// The dialling side, waiting for the verdict.
pub struct AwaitAnswer {
    local: Local,
    hash: [u8; 32],
    session: Session,
}

impl AwaitAnswer {
    /// Takes the answer: the session, and who it is with.
    pub fn on_answer(mut self, message: &[u8]) -> Result<(Session, PeerInfo), HandshakeError> {
        let hello = match decode::<Answer>(&self.session.open(message)?)? {
            Answer::Refused(refusal) => return Err(HandshakeError::Refused(refusal)),
            Answer::Welcome(hello) => hello,
        };
        match self.local.meet(hello, false, &self.hash) {
            Ok(info) => Ok((self.session, info)),
            Err(Unwelcome::Refuse(refusal)) => Err(HandshakeError::Rejected { refusal, answer: None }),
            Err(Unwelcome::Invalid(error)) => Err(error),
        }
    }
}

/// The accepting side, waiting for the first message.
pub struct Responder {
    exchange: Exchange,
    local: Local,
}

impl Responder {
    /// Waits for a peer. `entropy` is fresh from the system for every handshake.
    #[must_use]
    pub fn new(identity: &SecretKey, node: LocalNode, now: Time, entropy: &[u8; 32]) -> Self {
        let local = Local { identity: identity.clone(), node, time: now };
        Self { exchange: Exchange::new(false, identity, entropy), local }
    }

    /// Takes the first message; gives the second.
    pub fn on_first(mut self, message: &[u8]) -> Result<(AwaitHello, Vec<u8>), HandshakeError> {
        expect_size(message, 0)?;
        self.exchange.read(message)?;
        let reply = self.exchange.write(MESSAGE_SIZES[1]);
        Ok((AwaitHello { exchange: self.exchange, local: self.local }, reply))
    }
}

/// The accepting side, waiting to hear who dialled.
pub struct AwaitHello {
    exchange: Exchange,
    local: Local,
}

impl AwaitHello {
    /// Takes the third message: a peer with a proved key that asks to be let in.
    pub fn on_hello(mut self, message: &[u8]) -> Result<Admission, HandshakeError> {
        if message.len() > HANDSHAKE_SIZE_MAX {
            return Err(HandshakeError::NotNoise);
        }
        let (noise, sealed) = message.split_at_checked(MESSAGE_SIZES[2]).ok_or(HandshakeError::NotNoise)?;
        self.exchange.read(noise)?;
        let (hash, mut session) = self.exchange.finish();
        let plain = session.open(sealed)?;
        let spoken = plain.first_chunk().map(|version| u16::from_le_bytes(*version));
        let met = if spoken.is_some_and(|version| version != self.local.node.version) {
            // The rest may have a form we do not know.
            Err(Unwelcome::Refuse(Refusal::WrongVersion { expected: self.local.node.version }))
        } else {
            self.local.meet(decode(&plain)?, true, &hash)
        };
        match met {
            Ok(info) => Ok(Admission { local: self.local, hash, session, info }),
            Err(Unwelcome::Refuse(refusal)) => {
                let answer = Some(session.seal(&encode(&Answer::Refused(refusal)))?);
                Err(HandshakeError::Rejected { refusal, answer })
            }
            Err(Unwelcome::Invalid(error)) => Err(error),
        }
    }
}

/// The accepting side's decision: everything is proved, and the peer has not been told yet.
pub struct Admission {
    local: Local,
    hash: [u8; 32],
    session: Session,
    info: PeerInfo,
}

impl Admission {
    /// Who asks.
    #[must_use]
    pub fn info(&self) -> &PeerInfo {
        &self.info
    }

    /// Lets the peer in: the session, who it is with, and the last message of the handshake.
    pub fn accept(mut self) -> Result<(Session, PeerInfo, Vec<u8>), HandshakeError> {
        let welcome = Answer::Welcome(self.local.hello(false, &self.hash));
        let answer = self.session.seal(&encode(&welcome))?;
        Ok((self.session, self.info, answer))
    }

    /// Sends the peer away: the message that tells it why.
    pub fn refuse(mut self, refusal: Refusal) -> Result<Vec<u8>, HandshakeError> {
        Ok(self.session.seal(&encode(&Answer::Refused(refusal)))?)
    }
}

/// States hold keys: their debug form names them only.
macro_rules! opaque_debug {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
opaque_debug! { Initiator AwaitAnswer Responder AwaitHello Admission }

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
