//! The three forms of a receipt: binary, JSON, and text for QR codes.
//!
//! The text is the binary form in bech32m's alphabet and checksum, without its limit on length, in capitals: a
//! QR code then uses its alphanumeric mode (5.5 bits a character). Either case is read.

use bech32::Hrp;
use bech32::primitives::checksum::Checksum;
use bech32::primitives::decode::CheckedHrpstring;

use super::Receipt;
use crate::codec::{CodecError, FRAME_SIZE_MAX, Wire, decode_once, encode};
use crate::json::{self, JsonError};

const PREFIX: &str = "timereceipt";
/// Prefix, separator and checksum beside the payload.
const TEXT_SIZE_MAX: usize = Receipt::SIZE_MAX.div_ceil(5) * 8 + PREFIX.len() + 1 + 6;

/// Why bytes or text are not a receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Larger than any receipt.
    #[error("{size} bytes are too many for a receipt")]
    TooLarge {
        /// Bytes received.
        size: usize,
    },
    /// The bytes are not a receipt's.
    #[error("not a receipt: {0}")]
    Codec(#[from] CodecError),
    /// Not the JSON of a receipt.
    #[error("not a receipt: line {line}, column {column}")]
    Json {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
    },
    /// Not a receipt's text, or damaged.
    #[error("damaged receipt: a character is wrong; copy or scan it again")]
    Text,
}

/// bech32m without a limit on length.
enum LongBech32m {}

impl Checksum for LongBech32m {
    type MidstateRepr = <bech32::Bech32m as Checksum>::MidstateRepr;
    type CorrectionField = <bech32::Bech32m as Checksum>::CorrectionField;
    const ROOT_GENERATOR: Self::CorrectionField = bech32::Bech32m::ROOT_GENERATOR;
    const ROOT_EXPONENTS: core::ops::RangeInclusive<usize> = bech32::Bech32m::ROOT_EXPONENTS;
    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = bech32::Bech32m::CHECKSUM_LENGTH;
    const GENERATOR_SH: [Self::MidstateRepr; 5] = bech32::Bech32m::GENERATOR_SH;
    const TARGET_RESIDUE: Self::MidstateRepr = bech32::Bech32m::TARGET_RESIDUE;
}

impl Receipt {
    /// Reads whichever form it is: JSON begins with `{`, the compact text with its prefix, and the version in
    /// the first two bytes of the binary form is neither. Text may have white space around it.
    pub fn from_any_form(bytes: &[u8]) -> Result<Self, FormError> {
        let is_text = |text: &&str| {
            let prefix = text.get(..PREFIX.len());
            text.starts_with('{') || prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
        };
        match core::str::from_utf8(bytes).ok().map(str::trim_ascii).filter(is_text) {
            Some(text) if text.starts_with('{') => Self::from_json(text),
            Some(text) => Self::from_text(text),
            None => Self::from_bytes(bytes),
        }
    }

    /// The binary form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads the binary form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        Ok(decode_once(bytes)?)
    }

    /// The readable form.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a receipt is plain data")
    }

    /// Reads the readable form. It must be a receipt in binary form too.
    pub fn from_json(text: &str) -> Result<Self, FormError> {
        if text.len() > FRAME_SIZE_MAX {
            return Err(FormError::TooLarge { size: text.len() });
        }
        let receipt: Self =
            json::read(text).map_err(|JsonError { line, column, .. }| FormError::Json { line, column })?;
        Self::from_bytes(&receipt.to_bytes())
    }

    /// The compact form for QR codes.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Ok(text) = bech32::encode_upper::<LongBech32m>(prefix(), &self.to_bytes()) else {
            unreachable!("this code has no limit on length");
        };
        text
    }

    /// Reads the compact form.
    pub fn from_text(text: &str) -> Result<Self, FormError> {
        if text.len() > TEXT_SIZE_MAX {
            return Err(FormError::TooLarge { size: text.len() });
        }
        let checked = CheckedHrpstring::new::<LongBech32m>(text).map_err(|_| FormError::Text)?;
        if checked.hrp() != prefix() {
            return Err(FormError::Text);
        }
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let receipt = Self::from_bytes(&bytes)?;
        // The checksum holds for any padding; only one is the receipt.
        if receipt.to_text().eq_ignore_ascii_case(text) { Ok(receipt) } else { Err(FormError::Text) }
    }
}

fn prefix() -> Hrp {
    Hrp::parse_unchecked(PREFIX)
}
