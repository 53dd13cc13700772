//! The one wire and storage encoding: serde over bincode's fixed-width little-endian form.
//!
//! Canonical (one value, one byte string), exact (no trailing bytes) and limited (each type names its
//! largest size, checked before decoding; a claimed length beyond the input never allocates more than 1 MiB). Nothing outside
//! this module names bincode. Encoding: integers little-endian at full width, `bool` and `Option` one byte
//! 0 or 1, enum variants a `u32`, sequences a `u64` count then the elements, arrays and structs bare.

mod wordless;

use bincode::config::{Configuration, Fixint, LittleEndian, NoLimit};
use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use wordless::Decoded;

/// Frames larger than this are refused whatever they claim to be.
pub const FRAME_SIZE_MAX: usize = 4 << 20;

const CONFIG: Configuration<LittleEndian, Fixint, NoLimit> = bincode::config::legacy();

/// A type with a wire form and a largest encoded size in bytes.
pub trait Wire: Serialize + DeserializeOwned {
    /// The most bytes a valid value encodes to.
    const SIZE_MAX: usize;
}

/// Why bytes are not a value of the expected type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// More bytes than the type allows.
    #[error("{size} bytes where at most {size_max} are allowed")]
    TooLarge {
        /// Bytes received.
        size: usize,
        /// Bytes allowed.
        size_max: usize,
    },
    /// The bytes end early, or hold a value that is not allowed.
    #[error("malformed encoding")]
    Malformed,
    /// Bytes are left over after the value.
    #[error("{0} bytes left over after the value")]
    TrailingBytes(usize),
}

/// The canonical bytes of a value.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes);
    bytes
}

/// Appends the canonical bytes of a value.
pub fn encode_into<T: Serialize>(value: &T, bytes: &mut Vec<u8>) {
    write(value, Bytes(bytes));
}

/// How many bytes a value encodes to.
pub fn encoded_size<T: Serialize>(value: &T) -> usize {
    let mut size = 0;
    write(value, Size(&mut size));
    size
}

fn write<T: Serialize>(value: &T, writer: impl Writer) {
    if bincode::serde::encode_into_writer(value, writer, CONFIG).is_err() {
        unreachable!("own types encode: no maps, no unsized sequences");
    }
}

struct Bytes<'a>(&'a mut Vec<u8>);

impl Writer for Bytes<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

struct Size<'a>(&'a mut usize);

impl Writer for Size<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        *self.0 += bytes.len();
        Ok(())
    }
}

/// Decodes exactly one value from all of `bytes`.
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > T::SIZE_MAX {
        return Err(CodecError::TooLarge { size: bytes.len(), size_max: T::SIZE_MAX });
    }
    exact(decode_limited::<T>(bytes), bytes)
}

/// [`decode`] in half the code, for what a person hands over rather than peers by the thousand: a claimed length is
/// bounded by the largest class alone.
pub fn decode_once<T: Wire>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > T::SIZE_MAX {
        return Err(CodecError::TooLarge { size: bytes.len(), size_max: T::SIZE_MAX });
    }
    let decoded = bincode::serde::decode_from_slice(bytes, CONFIG.with_limit::<FRAME_SIZE_MAX>());
    exact(decoded, bytes)
}

fn exact<T>(decoded: Result<(Decoded<T>, usize), DecodeError>, bytes: &[u8]) -> Result<T, CodecError> {
    let (Decoded(value), used) = decoded.map_err(|_| CodecError::Malformed)?;
    if used != bytes.len() {
        return Err(CodecError::TrailingBytes(bytes.len() - used));
    }
    Ok(value)
}

/// bincode's limit is a type parameter: the smallest class that holds the input bounds every claimed length.
fn decode_limited<T: DeserializeOwned>(bytes: &[u8]) -> Result<(Decoded<T>, usize), DecodeError> {
    const KIB: usize = 1 << 10;
    match bytes.len() {
        0..=KIB => bincode::serde::decode_from_slice(bytes, CONFIG.with_limit::<KIB>()),
        _ => bincode::serde::decode_from_slice(bytes, CONFIG.with_limit::<FRAME_SIZE_MAX>()),
    }
}

/// Serde for byte arrays: bare bytes in the codec, hexadecimal in human-readable formats.
pub mod byte_array {
    use core::fmt;

    use serde::de::{Error, SeqAccess, Visitor};
    use serde::ser::SerializeTuple;
    use serde::{Deserializer, Serializer};

    use crate::hash::{from_hex, to_hex};

    /// Bytes that are written at once, as one integer: in a fixed-width encoding the bytes are the same.
    const WORD: usize = size_of::<u64>();

    /// Writes the bytes bare, without a length. Their number is a multiple of eight.
    pub fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&to_hex(bytes));
        }
        const { assert!(N.is_multiple_of(WORD), "whole words") };
        let (words, _) = bytes.as_chunks::<WORD>();
        let mut tuple = serializer.serialize_tuple(words.len())?;
        words.iter().try_for_each(|word| tuple.serialize_element(&u64::from_le_bytes(*word)))?;
        tuple.end()
    }

    /// Reads exactly `N` bytes.
    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        struct Bytes<const N: usize>;
        impl<'de, const N: usize> Visitor<'de> for Bytes<N> {
            type Value = [u8; N];

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{N} bytes in hexadecimal")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<[u8; N], E> {
                from_hex(text).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
                let mut bytes = [0; N];
                for (at, byte) in bytes.iter_mut().enumerate() {
                    *byte = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(at, &self))?;
                }
                Ok(bytes)
            }
        }
        if deserializer.is_human_readable() {
            return deserializer.deserialize_str(Bytes);
        }
        deserializer.deserialize_tuple(N, Bytes)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Sample {
        Empty,
        Full { flag: bool, maybe: Option<u32>, list: Vec<u64>, text: String },
    }

    impl Wire for Sample {
        const SIZE_MAX: usize = 2000;
    }

    fn sample() -> Sample {
        Sample::Full { flag: true, maybe: Some(7), list: vec![1, 2], text: "hi".into() }
    }

    #[test]
    fn encoding_is_fixed_width_little_endian() {
        let expected = [
            &1u32.to_le_bytes()[..],
            &[1, 1],
            &7u32.to_le_bytes(),
            &2u64.to_le_bytes(),
            &1u64.to_le_bytes(),
            &2u64.to_le_bytes(),
            &2u64.to_le_bytes(),
            b"hi",
        ]
        .concat();
        assert_eq!(encode(&sample()), expected);
        assert_eq!(decode::<Sample>(&expected), Ok(sample()));
    }

    #[test]
    fn every_truncation_and_extension_is_refused() {
        let bytes = encode(&sample());
        for end in 0..bytes.len() {
            assert_eq!(decode::<Sample>(&bytes[..end]), Err(CodecError::Malformed), "{end}");
            assert_eq!(decode_once::<Sample>(&bytes[..end]), Err(CodecError::Malformed), "{end}");
        }
        assert_eq!(decode_once(&bytes), Ok(sample()));
        assert_eq!(decode_once::<Sample>(&[&bytes[..], &[0]].concat()), Err(CodecError::TrailingBytes(1)));
        assert_eq!(decode::<Sample>(&[&bytes[..], &[0]].concat()), Err(CodecError::TrailingBytes(1)));
        assert_eq!(decode::<Sample>(&[0; 2001]), Err(CodecError::TooLarge { size: 2001, size_max: 2000 }));
    }

    #[test]
    fn claimed_lengths_do_not_allocate() {
        for claimed in [u64::MAX, 1 << 40, 1 << 32, 1 << 21] {
            let bytes = [&1u32.to_le_bytes()[..], &[1, 0], &claimed.to_le_bytes()].concat();
            assert_eq!(decode::<Sample>(&bytes), Err(CodecError::Malformed));
        }
    }

    #[test]
    fn what_decodes_reencodes_to_the_same_bytes() {
        let bytes = encode(&sample());
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut mutant = bytes.clone();
                mutant[at] = value;
                if let Ok(decoded) = decode::<Sample>(&mutant) {
                    assert_eq!(encode(&decoded), mutant, "byte {at} = {value}");
                }
            }
        }
        assert_eq!(decode::<Sample>(&encode(&Sample::Empty)), Ok(Sample::Empty));
    }
}
