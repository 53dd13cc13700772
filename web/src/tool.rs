//! What tests under Node compare with the native program, byte by byte; not in the shipped module.

use timecoin_core::hash::{from_hex, hex_to_vec};
use timecoin_core::keys::{self, PublicKey, Signature};
use wasm_bindgen::prelude::{JsError, wasm_bindgen};

/// Whether `signature` is `public_key`'s over `message` (ZIP-215). All three are hexadecimal.
///
/// # Errors
/// If one of the texts is not hexadecimal of the right length.
#[wasm_bindgen(js_name = verifySignature)]
pub fn verify_signature(public_key: &str, message: &str, signature: &str) -> Result<bool, JsError> {
    let key: PublicKey = public_key.parse()?;
    let message = hex_to_vec(message).ok_or_else(|| JsError::new("the message is not hexadecimal"))?;
    Ok(keys::verify(&key, &message, &Signature(from_hex(signature)?)))
}

/// Whether a public key, in hexadecimal, may enter the state: canonical and not of small order.
///
/// # Errors
/// If the text is not 64 hexadecimal digits.
#[wasm_bindgen(js_name = verifyKey)]
pub fn verify_key(public_key: &str) -> Result<bool, JsError> {
    Ok(public_key.parse::<PublicKey>()?.check().is_ok())
}

/// Answers one line of a line-JSON tool: the same bytes as `timecoin tool COMMAND`. Never throws.
#[must_use]
#[wasm_bindgen]
pub fn tool(command: &str, line: &str) -> String {
    timecoin_core::tool::run(command, line)
}
