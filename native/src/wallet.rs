//! A wallet on disk, and what it does with a node it does not trust.
//!
//! | file | what |
//! |---|---|
//! | `folder` | what is kept, and how |
//! | `secret` | recovery words and passwords |
//! | `keyring` | the seed, once something needs it |
//! | `verified` | a node seen through the core's light client |
//! | `sync` | the core's scan and proof of the balance, kept on disk |
//! | `pay` | sending, waiting, receipts |
//! | `error` | what can go wrong, and what to do |
//!
//! What transactions, keys and scans are is the core's [`wallet`](timecoin_core::wallet); here are files, passwords
//! and the network. One command works on a wallet at a time.

mod error;
mod folder;
mod keyring;
pub mod pay;
mod secret;
pub mod sync;
mod verified;

pub use error::WalletError;
pub(crate) use error::address_code;
pub use folder::Folder;
pub use keyring::Keyring;
pub use secret::{Secret, new_password, password, recovery_words};
pub use timecoin_core::driver::light::{Proof, Signed};
pub use verified::{Node, VerifiedNode, options};
