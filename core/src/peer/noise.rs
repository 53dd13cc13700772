//! The Noise XX exchange, with randomness as an argument.
//!
//! The Noise static key is fresh for each handshake: it encrypts and identifies nobody. Who the peer is, the
//! signature over the handshake hash says (`handshake.rs`).

use blake3::OutputReader;
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, params};
use zeroize::Zeroizing;

use super::session::Session;
use crate::hash::Tag;
use crate::keys::SecretKey;

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";
/// Binds the exchange to this protocol. The chain and the version are in the hello, where they get a reason.
const PROLOGUE: &[u8] = b"timecoin peer";
const ENTROPY: Tag = Tag::new("timecoin handshake entropy");

/// The sizes of the three messages: `e` · `e, ee, s, es` · `s, se`, with empty payloads.
pub(super) const MESSAGE_SIZES: [usize; 3] = [32, 96, 64];

/// A message that is not the next one of this exchange.
#[derive(Debug)]
pub(super) struct NotNoise;

/// One side of the exchange.
pub(super) struct Exchange(HandshakeState);

impl Exchange {
    /// The identity is mixed into the entropy, so two nodes given the same entropy still differ.
    pub(super) fn new(initiator: bool, identity: &SecretKey, entropy: &[u8; 32]) -> Self {
        let mut hasher = ENTROPY.hasher();
        hasher.update(entropy).update(identity.seed().as_slice()).update(&[u8::from(initiator)]);
        let mut stream = hasher.finalize_xof();
        let mut static_key = Zeroizing::new([0; 32]);
        stream.fill(static_key.as_mut_slice());
        let pattern = PATTERN.parse().expect("the pattern is a constant");
        let builder = Builder::with_resolver(pattern, Box::new(Seeded(stream)))
            .local_private_key(static_key.as_slice())
            .and_then(|builder| builder.prologue(PROLOGUE));
        let state = builder.and_then(|b| if initiator { b.build_initiator() } else { b.build_responder() });
        Self(state.expect("the builder has all that the pattern needs"))
    }

    /// Our next message; `size` is its place in [`MESSAGE_SIZES`].
    pub(super) fn write(&mut self, size: usize) -> Vec<u8> {
        let mut message = vec![0; size + TAG_ROOM];
        let written =
            self.0.write_message(&[], &mut message).expect("it is our turn and the buffer is large");
        message.truncate(written);
        message
    }

    /// Takes the peer's next message.
    pub(super) fn read(&mut self, message: &[u8]) -> Result<(), NotNoise> {
        let read = self.0.read_message(message, &mut [0; TAG_ROOM]).map_err(|_| NotNoise)?;
        if read == 0 { Ok(()) } else { Err(NotNoise) }
    }

    /// Ends the exchange: its hash, which both sides share with nobody else, and the session.
    pub(super) fn finish(self) -> ([u8; 32], Session) {
        let hash = self.0.get_handshake_hash().try_into().expect("SHA-256 has 32 bytes");
        let transport = self.0.into_stateless_transport_mode().expect("all three messages are through");
        (hash, Session::new(transport))
    }
}

/// snow asks for room for an authentication tag even where the message has none.
const TAG_ROOM: usize = 16;

/// The default primitives, with the caller's entropy for random source.
struct Seeded(OutputReader);

impl CryptoResolver for Seeded {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Stream(self.0.clone())))
    }

    fn resolve_dh(&self, choice: &params::DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &params::HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &params::CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct Stream(OutputReader);

impl Random for Stream {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill(bytes);
        Ok(())
    }
}
