//! TimeCoin's core in WebAssembly: the light node of a page's Worker, and functions that tests call under Node.
//!
//! | module | what |
//! |---|---|
//! | `platform` | clocks, waiting, entropy |
//! | `store` | IndexedDB behind the core's store |
//! | `net` | peers over the browser's WebSockets |
//! | `node` | the light node: following, answers, subscriptions |
//! | `wallet` | the wallet: keys, payments, history |
//! | `api` | the interface to pages: types, errors, and their TypeScript |
//! | `worker` | what the Worker's JavaScript calls |
//!
//! A thin surface: every verdict is made in `timecoin-core`. Malformed text is a typed failure; it is never a verdict.
//!
//! # A further group of methods
//!
//! As of a wallet. In Rust: a module with its own `methods! { "wallet.status"(Nothing) -> WalletStatus = status; … }`
//! (functions `async fn status(node: &Rc<Node>, params) -> Result<_, ApiError>`; `once "wallet.send"(…)` for what must not be
//! repeated after a restart of the Worker), its types in `api!` blocks, one line in `worker::dispatch`, and its lines in
//! `api/typescript.rs`. It finds the light client at `Node::opened` or `Node::ready`, the store at `Node::store`; new codes of
//! failures go into the table of `api/error.rs`. Subscriptions are variants of `node/topics.rs`.
//!
//! In TypeScript: run the test `the_typescript_is_current` with `TIMECOIN_WRITE=1`, which writes `web/js/api.ts`; then
//! `client.call('wallet.status', {})` is typed, and a class over it (see `web/js/node.ts`) is what pages see.

pub mod api;
pub mod net;
pub mod node;
mod platform;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wallet;
pub mod worker;

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
