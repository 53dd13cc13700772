//! Line-JSON tools: one object in, one object out, the same bytes natively and in wasm.
//!
//! | file | commands |
//! |---|---|
//! | `keys.rs` | `verify-signature`, `verify-key`, `address`, `mnemonic`, `derive` |
//! | `data.rs` | `decode-transaction`, `decode-block`, `codec-roundtrip`, `chain-id`, `filter` |
//! | `proofs.rs` | `verify-proof`, `state-root`, `merkle-root` |
//! | `receipt.rs` | `verify-receipt`, and the same verdict without a line around it |
//! | `codes.rs` | the stable code of every error |
//!
//! Input that cannot be read is answered with `{"error":{"code":…,"message":…}}`: codes are stable, messages are for
//! people. A signature, proof or receipt that can be read and does not hold is no error but the answer
//! `{"valid":false,…}`. Unknown and repeated keys are refused, since one of two readings would be ignored silently.
//! Nothing here reads a clock, a file or the chain.

mod codes;
mod data;
mod keys;
mod proofs;
mod receipt;

use core::fmt::Display;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::codec::{FRAME_SIZE_MAX, Wire, decode, encode};
use crate::hash::hex_to_vec;

pub use receipt::{Trust, check_receipt};

/// Longest line read: a block in hexadecimal with room to spare.
pub const LINE_SIZE_MAX: usize = 3 * FRAME_SIZE_MAX;

type Command = fn(&str) -> Result<Value, ToolError>;

const COMMANDS: [(&str, Command); 14] = [
    ("address", keys::address),
    ("chain-id", data::chain_id),
    ("codec-roundtrip", data::codec_roundtrip),
    ("decode-block", data::decode_block),
    ("decode-transaction", data::decode_transaction),
    ("derive", keys::derive),
    ("filter", data::filter),
    ("merkle-root", proofs::merkle_root),
    ("mnemonic", keys::mnemonic),
    ("state-root", proofs::state_root),
    ("verify-key", keys::verify_key),
    ("verify-proof", proofs::verify_proof),
    ("verify-receipt", receipt::verify_receipt),
    ("verify-signature", keys::verify_signature),
];

/// The names of the tools.
pub fn commands() -> impl Iterator<Item = &'static str> {
    COMMANDS.into_iter().map(|(name, _)| name)
}

/// Answers one line of input: always one JSON object on one line, whatever the input.
#[must_use]
pub fn run(command: &str, line: &str) -> String {
    let known = COMMANDS.into_iter().find(|(name, _)| *name == command);
    let answer = match known {
        None => Err(ToolError::new("unknown-command", format!("there is no tool `{command}`"))),
        Some(_) if line.len() > LINE_SIZE_MAX => {
            let size = line.len();
            Err(ToolError::new("too-large", format!("{size} bytes; at most {LINE_SIZE_MAX} are read")))
        }
        Some((_, answer)) => answer(line),
    };
    answer.unwrap_or_else(|error| json!({ "error": error })).to_string()
}

/// Answers one line of bytes, as a pipe hands it over. Text that is not UTF-8 is refused rather than repaired: a
/// repaired passphrase would be another one.
#[must_use]
pub fn run_bytes(command: &str, line: &[u8]) -> String {
    match core::str::from_utf8(line) {
        Ok(line) => run(command, line),
        Err(error) => {
            let message = format!("not UTF-8 from byte {} on", error.valid_up_to());
            json!({ "error": ToolError::new("malformed-json", message) }).to_string()
        }
    }
}

/// Why a line has no answer.
#[derive(Serialize)]
struct ToolError {
    code: &'static str,
    message: String,
}

/// An error with a name that never changes.
trait Code: Display {
    /// Lower case, words joined by `-`.
    fn code(&self) -> &'static str;
}

impl<E: Code> From<E> for ToolError {
    fn from(error: E) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl ToolError {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A field that is not hexadecimal, or not of the right length.
    fn hex(field: &'static str) -> Self {
        Self::new("malformed-hex", format!("`{field}` is not hexadecimal digits in pairs"))
    }
}

/// Reads a line strictly.
fn read<T: DeserializeOwned>(line: &str) -> Result<T, ToolError> {
    // serde would take a list too, as the fields without their names.
    if line.trim_start().starts_with('[') {
        return Err(ToolError::new("unexpected-json", "a line is one JSON object"));
    }
    let code = |error: &serde_json::Error| if error.is_data() { "unexpected-json" } else { "malformed-json" };
    serde_json::from_str(line).map_err(|error| ToolError::new(code(&error), error.to_string()))
}

/// Reads a field in hexadecimal.
fn hex(field: &'static str, text: &str) -> Result<Vec<u8>, ToolError> {
    hex_to_vec(text).ok_or_else(|| ToolError::hex(field))
}

/// A value as its bytes in hexadecimal or as JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form<T> {
    Hex(String),
    Json(T),
}

impl<T: Wire> Form<T> {
    /// In JSON too it must be a value that has bytes.
    fn read(self, field: &'static str) -> Result<T, ToolError> {
        let bytes = match self {
            Self::Hex(text) => hex(field, &text)?,
            Self::Json(value) => encode(&value),
        };
        Ok(decode(&bytes)?)
    }
}

/// The answer about something that does not hold.
fn invalid(error: &impl Code) -> Value {
    json!({ "valid": false, "error": { "code": error.code(), "message": error.to_string() } })
}

#[cfg(test)]
mod tests;
