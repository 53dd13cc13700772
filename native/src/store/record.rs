//! The bytes of one record of the vote journal, and of the rows in it. Little-endian throughout.

use timecoin_core::rows::Value;

/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 4 + 4 + 8 + 8 + 8 + CHECKSUM_BYTES;

const CHECKSUM_BYTES: usize = 32;

/// What the payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All rows: what came before does not matter.
    Checkpoint = 1,
    /// Rows put and deleted.
    Changes = 2,
}

/// What a record says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) generation: u64,
    pub(super) sequence: u64,
    /// Records with a lower number were durable when this one was written.
    pub(super) durable: u64,
}

impl Record {
    /// The record's bytes: kind, payload length, generation, sequence, durable, checksum, payload.
    pub(super) fn encode(&self, salt: &[u8; 32], slot: u64, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a batch of votes is far below 4 GiB");
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        bytes.extend_from_slice(&(self.kind as u32).to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        for field in [self.generation, self.sequence, self.durable] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&checksum(salt, slot, &bytes, payload));
        bytes.extend_from_slice(payload);
        bytes
    }

    /// The record at the start of `bytes` and its payload, if one is whole there.
    pub(super) fn decode<'a>(bytes: &'a [u8], salt: &[u8; 32], slot: u64) -> Option<(Self, &'a [u8])> {
        let mut input = Input(bytes);
        let kind = match input.u32()? {
            1 => Kind::Checkpoint,
            2 => Kind::Changes,
            _ => return None,
        };
        let length = input.u32()?;
        let record = Self { kind, generation: input.u64()?, sequence: input.u64()?, durable: input.u64()? };
        let head = bytes.get(..HEADER_BYTES - CHECKSUM_BYTES)?;
        let expected = input.bytes(CHECKSUM_BYTES as u32)?;
        let payload = input.bytes(length)?;
        (checksum(salt, slot, head, payload) == expected).then_some((record, payload))
    }
}

/// Bound to the file and the slot: neither an older file's record nor a row that looks like one passes.
fn checksum(salt: &[u8; 32], slot: u64, head: &[u8], payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new_keyed(salt);
    hasher.update(&slot.to_le_bytes()).update(head).update(payload);
    *hasher.finalize().as_bytes()
}

/// Rows as a payload: per row the key's length and bytes, whether there is a value, its length and bytes.
pub(super) fn encode_changes<'a>(changes: impl Iterator<Item = (&'a [u8], Option<&'a Value>)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut piece = |piece: &[u8]| {
        let length = u32::try_from(piece.len()).expect("a row is far below 4 GiB");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(piece);
    };
    for (key, value) in changes {
        piece(key);
        piece(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            piece(value);
        }
    }
    bytes
}

/// A row's key and its new value; none where it is deleted.
pub(super) type Change<'a> = (&'a [u8], Option<&'a [u8]>);

/// The rows of a payload; `None` where it is malformed.
pub(super) fn decode_changes(payload: &[u8]) -> Option<Vec<Change<'_>>> {
    let mut input = Input(payload);
    let mut changes = Vec::new();
    while !input.0.is_empty() {
        let key = input.piece()?;
        let value = match input.piece()? {
            [0] => None,
            [1] => Some(input.piece()?),
            _ => return None,
        };
        changes.push((key, value));
    }
    Some(changes)
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, length: u32) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    fn piece(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.bytes(length)
    }
}
