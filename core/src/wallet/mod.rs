//! The wallet: from words to keys, and how keys are kept.
//!
//! | step | module | standard |
//! |---|---|---|
//! | entropy → words → seed | [`mnemonic`] | BIP-39 |
//! | seed → account keys | [`mod@derive`] | SLIP-0010, ed25519 |
//! | secrets at rest | [`keystore`] | argon2id, XChaCha20-Poly1305 |
//!
//! Entropy is always an argument: the driver draws it. Secrets are wiped when dropped and never printed.

pub mod derive;
pub mod keystore;
pub mod mnemonic;
