//! The wallet: from words to keys, and how keys are kept.
//!
//! | step | module | standard |
//! |---|---|---|
//! | entropy → words → seed | [`mnemonic`] | BIP-39 |
//! | seed → account keys | [`mod@derive`] | SLIP-0010, ed25519 |
//! | secrets at rest | [`keystore`], [`secret`] | argon2id, XChaCha20-Poly1305 |
//! | coins → transaction | [`coins`], [`build`] | |
//! | blocks → coins and history | [`scan`], [`account`], [`state`] | BIP-44's gap, BIP-158's filters |
//! | light client → up to date | [`sync`] | |
//! | transaction → signatures | [`sign`], [`offline`] | |
//! | payment → final, or surely never | [`outgoing`] | |
//!
//! All but [`sync`] know no node and no store: what they learn of the chain they are handed.
//! Entropy is always an argument: the driver draws it. Secrets are wiped when dropped and never printed.

pub mod account;
pub mod build;
pub mod coins;
pub mod derive;
pub mod keystore;
pub mod mnemonic;
pub mod offline;
pub mod outgoing;
pub mod scan;
pub mod secret;
pub mod sign;
pub mod state;
pub mod sync;
#[cfg(test)]
pub(crate) mod testing;
