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

#[cfg(feature = "nfkd")]
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

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

/// A map of these, entered one by one: collecting would sort them first, with code of its own for each type, which costs a
/// page's payload 15 KB a time.
fn map_of<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(entries);
    map
}

/// The same for sets.
fn set_of<K: Ord>(entries: impl IntoIterator<Item = K>) -> BTreeSet<K> {
    let mut set = BTreeSet::new();
    set.extend(entries);
    set
}

/// A text in NFKD, so that the same characters are the same bytes wherever they were typed.
#[cfg(feature = "nfkd")]
fn nfkd(text: &str) -> Zeroizing<String> {
    let mut normal = Cow::Borrowed(text);
    bip39::Mnemonic::normalize_utf8_cow(&mut normal);
    Zeroizing::new(normal.into_owned())
}

/// A text that the driver has put into NFKD: the tables would be a tenth of a page's payload, and a browser has them.
#[cfg(not(feature = "nfkd"))]
fn nfkd(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}
