//! An encrypted session: frames in, messages out, and back.
//!
//! One message carries one frame. Inside it are Noise messages of at most 65,535 bytes, numbered by a nonce
//! that both sides count; the first begins with the frame's size, so a message that was cut, joined, altered,
//! repeated or reordered does not open. An opener that failed once stays failed: the connection is over.
//! A session is not for more than 2^64 − 1 chunks, and does not pad: sizes are visible.

use std::sync::Arc;

use snow::StatelessTransportState;

use crate::codec::FRAME_SIZE_MAX;

/// Noise's largest message.
const NOISE_SIZE_MAX: usize = 65_535;
/// The authentication tag at the end of each.
const TAG_SIZE: usize = 16;
/// What a Noise message carries at most.
const CHUNK_SIZE_MAX: usize = NOISE_SIZE_MAX - TAG_SIZE;
/// The frame's size in front of it, little-endian.
const PREFIX_SIZE: usize = 4;

/// The largest message a session makes or opens, in bytes.
pub const MESSAGE_SIZE_MAX: usize = sealed_size(FRAME_SIZE_MAX);

/// The size of the message that carries a frame of `frame_size` bytes.
#[must_use]
pub const fn sealed_size(frame_size: usize) -> usize {
    let plain = PREFIX_SIZE + frame_size;
    plain + plain.div_ceil(CHUNK_SIZE_MAX) * TAG_SIZE
}

/// Why a frame cannot be sealed, or a message not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The frame, or the frame in the message, is larger than [`FRAME_SIZE_MAX`].
    #[error("a frame larger than {FRAME_SIZE_MAX} bytes")]
    TooLarge,
    /// No frame has a message of this size, or the frame's size is not the one the message says.
    #[error("a message of {size} bytes carries no whole frame")]
    Length {
        /// The size of the message.
        size: usize,
    },
    /// The message is not the peer's next one: altered, repeated, lost or reordered on the way.
    #[error("the message is not the peer's next one")]
    Forged,
    /// An earlier message did not open; nothing after it can be trusted.
    #[error("the session failed earlier")]
    Broken,
    /// The nonces are used up.
    #[error("the session is used up")]
    Exhausted,
}

/// Both directions of a session with one peer.
#[derive(Debug)]
pub struct Session {
    sealer: Sealer,
    opener: Opener,
}

impl Session {
    pub(super) fn new(transport: StatelessTransportState) -> Self {
        let transport = Arc::new(transport);
        let sealer = Sealer { transport: Arc::clone(&transport), nonce: 0 };
        Self { sealer, opener: Opener { transport, nonce: 0, broken: false } }
    }

    /// See [`Sealer::seal`].
    pub fn seal(&mut self, frame: &[u8]) -> Result<Vec<u8>, SessionError> {
        self.sealer.seal(frame)
    }

    /// See [`Opener::open`].
    pub fn open(&mut self, message: &[u8]) -> Result<Vec<u8>, SessionError> {
        self.opener.open(message)
    }

    /// The two directions, for a writer and a reader of their own.
    #[must_use]
    pub fn split(self) -> (Sealer, Opener) {
        (self.sealer, self.opener)
    }
}

/// The sending half.
#[derive(Debug)]
pub struct Sealer {
    transport: Arc<StatelessTransportState>,
    nonce: u64,
}

impl Sealer {
    /// The message that carries `frame`. Messages must reach the peer in the order they were sealed.
    pub fn seal(&mut self, frame: &[u8]) -> Result<Vec<u8>, SessionError> {
        if frame.len() > FRAME_SIZE_MAX {
            return Err(SessionError::TooLarge);
        }
        let size = u32::try_from(frame.len()).map_err(|_| SessionError::TooLarge)?;
        let (first, rest) = frame.split_at(frame.len().min(CHUNK_SIZE_MAX - PREFIX_SIZE));
        let first = [&size.to_le_bytes(), first].concat();
        let mut message = vec![0; sealed_size(frame.len())];
        let mut room = message.as_mut_slice();
        for chunk in core::iter::once(first.as_slice()).chain(rest.chunks(CHUNK_SIZE_MAX)) {
            let (sealed, next) = room.split_at_mut(chunk.len() + TAG_SIZE);
            let written = self.transport.write_message(self.nonce, chunk, sealed);
            written.map_err(|_| SessionError::Exhausted)?;
            self.nonce = self.nonce.checked_add(1).ok_or(SessionError::Exhausted)?;
            room = next;
        }
        Ok(message)
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct Opener {
    transport: Arc<StatelessTransportState>,
    nonce: u64,
    broken: bool,
}

impl Opener {
    /// The frame that the peer's next message carries.
    pub fn open(&mut self, message: &[u8]) -> Result<Vec<u8>, SessionError> {
        if self.broken {
            return Err(SessionError::Broken);
        }
        let frame = self.open_chunks(message);
        self.broken = frame.is_err();
        frame
    }

    fn open_chunks(&mut self, message: &[u8]) -> Result<Vec<u8>, SessionError> {
        let wrong_length = SessionError::Length { size: message.len() };
        if message.len() > MESSAGE_SIZE_MAX {
            return Err(SessionError::TooLarge);
        }
        let overhead = PREFIX_SIZE + message.len().div_ceil(NOISE_SIZE_MAX) * TAG_SIZE;
        let frame_size = message.len().checked_sub(overhead).ok_or(wrong_length)?;
        if sealed_size(frame_size) != message.len() {
            return Err(wrong_length);
        }
        let (first, rest) = message.split_at(message.len().min(NOISE_SIZE_MAX));
        let mut start = vec![0; first.len() - TAG_SIZE];
        self.open_chunk(first, &mut start)?;
        let (prefix, start) = start.split_first_chunk::<PREFIX_SIZE>().ok_or(wrong_length)?;
        if usize::try_from(u32::from_le_bytes(*prefix)) != Ok(frame_size) {
            return Err(wrong_length);
        }
        let mut frame = Vec::with_capacity(frame_size);
        frame.extend_from_slice(start);
        frame.resize(frame_size, 0);
        let room = frame.split_at_mut(start.len()).1;
        for (chunk, room) in rest.chunks(NOISE_SIZE_MAX).zip(room.chunks_mut(CHUNK_SIZE_MAX)) {
            self.open_chunk(chunk, room)?;
        }
        Ok(frame)
    }

    fn open_chunk(&mut self, sealed: &[u8], room: &mut [u8]) -> Result<(), SessionError> {
        self.transport.read_message(self.nonce, sealed, room).map_err(|_| SessionError::Forged)?;
        self.nonce = self.nonce.checked_add(1).ok_or(SessionError::Exhausted)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::peer::handshake::testing::sessions;

    fn frame(size: usize) -> Vec<u8> {
        (0..size).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn frames_of_all_sizes_cross_in_both_directions() {
        let (mut alice, mut bob) = sessions();
        let edge = CHUNK_SIZE_MAX - PREFIX_SIZE;
        for size in [0, 1, 300, edge - 1, edge, edge + 1, edge + CHUNK_SIZE_MAX, 3 << 20, FRAME_SIZE_MAX] {
            let frame = frame(size);
            let message = alice.seal(&frame).unwrap();
            assert_eq!(message.len(), sealed_size(size), "{size}");
            assert!(bob.open(&message).unwrap() == frame, "{size}");
            assert!(alice.open(&bob.seal(&frame).unwrap()).unwrap() == frame, "{size}");
        }
    }

    #[test]
    fn a_changed_bit_anywhere_is_refused_and_ends_the_session() {
        let message = sessions().0.seal(b"a vote").unwrap();
        for at in 0..message.len() {
            let (_, mut bob) = sessions();
            let mut altered = message.clone();
            altered[at] ^= 1;
            assert_eq!(bob.open(&altered), Err(SessionError::Forged), "byte {at}");
            assert_eq!(bob.open(&message), Err(SessionError::Broken), "byte {at}");
        }
    }

    #[test]
    fn a_message_cut_anywhere_is_refused() {
        let message = sessions().0.seal(b"a vote").unwrap();
        for size in 0..message.len() {
            let expected = if size < 20 { SessionError::Length { size } } else { SessionError::Forged };
            assert_eq!(sessions().1.open(&message[..size]), Err(expected), "{size}");
        }
    }

    #[test]
    fn a_message_cut_between_chunks_or_joined_with_the_next_is_refused() {
        let (mut alice, mut bob) = sessions();
        let message = alice.seal(&frame(100_000)).unwrap();
        let size = NOISE_SIZE_MAX;
        assert_eq!(bob.open(&message[..size]), Err(SessionError::Length { size }));

        let (mut alice, mut bob) = sessions();
        let joined =
            [alice.seal(&frame(CHUNK_SIZE_MAX - PREFIX_SIZE)).unwrap(), alice.seal(b"x").unwrap()].concat();
        assert_eq!(bob.open(&joined), Err(SessionError::Length { size: joined.len() }));
    }

    #[test]
    fn repeated_reordered_and_reflected_messages_are_refused() {
        let (mut alice, mut bob) = sessions();
        let (first, second) = (alice.seal(b"1").unwrap(), alice.seal(b"2").unwrap());
        assert_eq!(bob.open(&first).unwrap(), b"1");
        assert_eq!(bob.open(&first), Err(SessionError::Forged), "repeated");
        assert_eq!(sessions().1.open(&second), Err(SessionError::Forged), "reordered");
        assert_eq!(sessions().0.open(&first), Err(SessionError::Forged), "reflected");
    }

    #[test]
    fn frames_and_messages_beyond_the_limit_are_refused() {
        let (mut alice, mut bob) = sessions();
        assert_eq!(alice.seal(&vec![0; FRAME_SIZE_MAX + 1]), Err(SessionError::TooLarge));
        assert_eq!(bob.open(&vec![0; MESSAGE_SIZE_MAX + 1]), Err(SessionError::TooLarge));
    }

    #[test]
    fn the_halves_work_apart() {
        let (alice, bob) = sessions();
        let ((mut seal, _), (_, mut open)) = (alice.split(), bob.split());
        for text in [&b"one"[..], b"two"] {
            assert_eq!(open.open(&seal.seal(text).unwrap()).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_typed_error(message in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(sessions().1.open(&message).is_err());
        }
    }
}
