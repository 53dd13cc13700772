//! What the page gives, and the key that it names.

use serde::Deserialize;
use timecoin_core::keys::{PublicKey, SecretKey};
use timecoin_core::wallet::keystore::KdfCost;
use timecoin_web::api::{ApiError, Code};
use timecoin_web::platform::within;
use timecoin_web::store::IndexedDbStore;

use crate::operator_key;
use crate::operators::Operators;

/// The database of operator keys: one for all chains, since a vote names its chain.
const KEYS: &str = "timecoin operators";
/// What the browser gets to open it, each time it is asked: WebKit at times never answers the first time a new Worker asks for a
/// database that an ended one had open; asked again, it does.
const OPEN_MS: u64 = 3_000;
const OPEN_ATTEMPTS: u32 = 5;

/// What the page gives, as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// The chain spec file.
    pub(crate) spec: String,
    /// URLs of peers.
    pub(crate) peers: Vec<String>,
    /// The seed of the operator key, in hexadecimal; or
    operator_key: Option<String>,
    /// a key that this origin keeps,
    operator: Option<PublicKey>,
    /// and its password.
    password: Option<String>,
    /// That a key given by its seed was made for this store and has never signed.
    unused: bool,
    /// Name of the database; by the chain and the key where none is given.
    pub(crate) store: Option<String>,
    /// Whether the page may open `ws:` addresses that strangers name.
    pub(crate) allow_insecure: bool,
}

impl Options {
    /// The key to vote with, and whether it has never signed.
    pub(crate) async fn operator(&self) -> Result<(SecretKey, bool), ApiError> {
        match (&self.operator_key, &self.operator, &self.password) {
            (Some(seed), None, None) => Ok((operator_key(seed)?, self.unused)),
            (None, Some(operator), Some(password)) => keys().await?.start(operator, password).await,
            _ => Err(ApiError::new(
                Code::BadRequest,
                "Either an operator key, or one of this browser's with its password.",
            )),
        }
    }
}

/// The keys that this origin keeps.
pub(crate) async fn keys() -> Result<Operators<IndexedDbStore>, ApiError> {
    for _ in 0..OPEN_ATTEMPTS {
        if let Some(store) = within(OPEN_MS, IndexedDbStore::open(KEYS)).await {
            return Ok(Operators::new(store?, KdfCost::default()));
        }
    }
    Err(ApiError::new(Code::StoreLost, "The browser does not answer for the database of operator keys."))
}
