//! TimeCoin's core in WebAssembly: the light node and the wallet of a page's Worker.
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
//! | `tool` | functions that tests call under Node; not in the shipped module |
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
#[cfg(feature = "light")]
pub mod node;
pub mod platform;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tool")]
pub mod tool;
#[cfg(feature = "light")]
pub mod wallet;
#[cfg(feature = "light")]
pub mod worker;
