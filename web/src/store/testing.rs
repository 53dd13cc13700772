//! What the tests in browsers ask of the store; not in the shipped module.

use js_sys::Error;
use timecoin_core::rows::{Batch, ReadSet, Table};
use timecoin_core::store::{Range, Store};
use timecoin_core::testing::store_conformance;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::{IndexedDbStore, StoreError};

const TABLE: Table = Table::Meta;

/// Runs the conformance suite on the database of this name, which must not exist. Traps where a rule is broken.
///
/// # Panics
/// If the store breaks a rule.
#[wasm_bindgen(js_name = storeConformance)]
pub async fn run_conformance(name: String) {
    store_conformance(async || IndexedDbStore::open(name.as_str()).await.expect("the store opens")).await;
}

/// A store with one table of texts, for tests of failures. Errors carry the store's code as their name.
#[wasm_bindgen]
#[derive(Debug)]
pub struct TestStore(IndexedDbStore);

#[wasm_bindgen]
impl TestStore {
    /// Opens the database, in another layout than ours if a version is given.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(name: String, version: Option<u32>) -> Result<TestStore, Error> {
        let opened = match version {
            Some(version) => IndexedDbStore::open_version(name, version).await,
            None => IndexedDbStore::open(name).await,
        };
        opened.map(Self).map_err(failure)
    }

    /// Writes one value to all these keys in one batch.
    ///
    /// # Errors
    /// The store's.
    pub async fn put(&self, keys: Vec<String>, value: String, sync: bool) -> Result<(), Error> {
        let mut batch = Batch::default();
        keys.into_iter().for_each(|key| batch.put(TABLE, key, value.as_bytes()));
        if sync {
            batch.sync();
        }
        self.0.commit(&batch).await.map_err(failure)
    }

    /// Reads a row; `undefined` where there is none.
    ///
    /// # Errors
    /// The store's.
    pub async fn load(&self, key: String) -> Result<JsValue, Error> {
        let mut reads = ReadSet::default();
        reads.insert(TABLE, key.as_bytes());
        let view = self.0.load(&reads).await.map_err(failure)?;
        Ok(view.row(TABLE, key.as_bytes()).map_or(JsValue::UNDEFINED, |value| text(value)))
    }

    /// Every value, in the order of keys.
    ///
    /// # Errors
    /// The store's.
    pub async fn values(&self) -> Result<Vec<JsValue>, Error> {
        let rows = self.0.scan(TABLE, &Range::default(), usize::MAX).await.map_err(failure)?;
        Ok(rows.iter().map(|(_, value)| text(value)).collect())
    }
}

fn text(bytes: &[u8]) -> JsValue {
    JsValue::from_str(&String::from_utf8_lossy(bytes))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn failure(error: StoreError) -> Error {
    let thrown = Error::new(&error.to_string());
    thrown.set_name(error.code());
    thrown
}
