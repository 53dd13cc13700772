//! The browser's store: IndexedDB behind the core's three methods.
//!
//! One object store per table. Keys are binary, which IndexedDB orders as tables are ordered, byte by byte. Invariants:
//!
//! * every request of a transaction is issued before the first await: an idle transaction commits half-way;
//! * a batch is one transaction, committed in so many words, `strict` where the batch must be on disk;
//! * a connection the browser took away is opened again, once per call. Writing a batch a second time is harmless: it
//!   names its rows, and one tab writes;
//! * what a user must hear of (no space, private mode, another tab in the way, a store deleted or written by a newer
//!   program) is a [`StoreError`] of its own.
//!
//! It does not ask the browser to keep the data (only a page may), and a call the browser never answers is not timed:
//! whoever supervises the Worker does that.

mod connection;
mod error;
#[cfg(feature = "testing")]
pub mod testing;

use futures::lock::Mutex;
use indexed_db_futures::database::Database;
use indexed_db_futures::error::Error;
use indexed_db_futures::internals::SystemRepr;
use indexed_db_futures::object_store::ObjectStore;
use indexed_db_futures::prelude::{Build, BuildPrimitive, QuerySource};
use indexed_db_futures::transaction::{
    Transaction, TransactionDurability, TransactionMode, TransactionOptions,
};
use indexed_db_futures::typed_array::{Uint8Array, Uint8ArraySlice};
use indexed_db_futures::{KeyRange, object_store};
use js_sys::Uint8Array as Bytes;
use std::cell::Cell;
use std::rc::Rc;
use timecoin_core::rows::{Batch, Durability, Key, ReadSet, Table, Value, View};
use timecoin_core::store::{Range, Store};
use wasm_bindgen::JsValue;

pub use self::error::StoreError;

use self::connection::{Connection, VERSION};

/// Rows in IndexedDB. Dropping it closes the database once running transactions have ended.
#[derive(Debug)]
pub struct IndexedDbStore {
    name: String,
    version: u32,
    connection: Mutex<Option<Rc<Connection>>>,
    /// Set once the database is found to have been deleted while this store was in use: what its user remembers no
    /// longer follows from any rows.
    deleted: Cell<bool>,
}

impl IndexedDbStore {
    /// Opens the database of this name; makes it where there is none.
    ///
    /// # Errors
    /// If the browser does not let us.
    pub async fn open(name: impl Into<String>) -> Result<Self, StoreError> {
        Self::open_version(name, VERSION).await
    }

    async fn open_version(name: impl Into<String>, version: u32) -> Result<Self, StoreError> {
        let name = name.into();
        let connection = Connection::open(&name, version).await?;
        let connection = Mutex::new(Some(Rc::new(connection)));
        Ok(Self { name, version, connection, deleted: Cell::new(false) })
    }

    /// The connection in use, or a new one where that was lost.
    async fn connection(&self) -> Result<Rc<Connection>, StoreError> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = held.as_ref().filter(|connection| !connection.is_lost()) {
            return Ok(Rc::clone(connection));
        }
        *held = None;
        if self.deleted.get() {
            return Err(StoreError::Deleted);
        }
        let connection = Connection::open(&self.name, self.version).await?;
        if connection.made_the_database() {
            self.deleted.set(true);
            return Err(StoreError::Deleted);
        }
        let connection = Rc::new(connection);
        *held = Some(Rc::clone(&connection));
        Ok(connection)
    }

    /// Does the work, and once more on a new connection where the first was lost meanwhile.
    async fn try_twice<T>(
        &self,
        work: impl AsyncFn(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let connection = self.connection().await?;
        match work(connection.database()).await {
            Err(StoreError::Lost { .. }) => connection.lose(),
            outcome => return outcome,
        }
        drop(connection);
        work(self.connection().await?.database()).await
    }
}

impl Store for IndexedDbStore {
    type Error = StoreError;

    async fn load(&self, reads: &ReadSet) -> Result<View, StoreError> {
        if reads.is_empty() {
            return Ok(View::default());
        }
        self.try_twice(async |database| load(database, reads).await).await
    }

    async fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        if batch.iter().next().is_none() {
            return Ok(());
        }
        self.try_twice(async |database| commit(database, batch).await).await
    }

    async fn scan(&self, table: Table, range: &Range, limit: usize) -> Result<Vec<(Key, Value)>, StoreError> {
        // A limit of zero means none to IndexedDB, and a range without keys is an error.
        let start = range.start.as_deref().unwrap_or_default();
        let is_empty = range.end.as_deref().is_some_and(|end| start >= end);
        if limit == 0 || is_empty {
            return Ok(Vec::new());
        }
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        self.try_twice(async |database| scan(database, table, range, limit).await).await
    }
}

async fn load(database: &Database, reads: &ReadSet) -> Result<View, StoreError> {
    let mut names: Vec<_> = reads.iter().map(|(table, _)| table.name()).collect();
    names.dedup();
    let transaction = database.transaction(names).build()?;
    let mut requests = Vec::with_capacity(reads.len());
    let mut current: Option<(Table, ObjectStore<'_>)> = None;
    for (table, key) in reads.iter() {
        let rows = table_of(&transaction, &mut current, table)?;
        let request = rows.get::<Uint8Array, Uint8ArraySlice<'_>, _>(only(key)).primitive()?;
        requests.push((table, key, request));
    }
    let mut view = View::default();
    for (table, key, request) in requests {
        let value = request.await.map_err(|error| row_error(table, error))?;
        view.insert(table, key.clone(), value.map(|bytes| Value::from(Vec::from(bytes))));
    }
    Ok(view)
}

async fn commit(database: &Database, batch: &Batch) -> Result<(), StoreError> {
    let mut names: Vec<_> = batch.iter().map(|(table, ..)| table.name()).collect();
    names.dedup();
    let durability = match batch.durability() {
        Durability::Ordered => TransactionDurability::Relaxed,
        Durability::Synced => TransactionDurability::Strict,
    };
    let transaction = database
        .transaction(names)
        .with_mode(TransactionMode::Readwrite)
        .with_options(TransactionOptions::new().with_durability(durability))
        .build()?;
    let handle = transaction.as_sys().clone();
    // A failed request aborts the transaction, whose own error then says why. The listener of the library stands one
    // failure only, and a full disk fails every request.
    handle.set_onerror(None);
    let mut current: Option<(Table, ObjectStore<'_>)> = None;
    for (table, key, value) in batch.iter() {
        let rows = table_of(&transaction, &mut current, table)?;
        match value {
            Some(value) => put(rows, key, value)?,
            None => drop(rows.delete::<Uint8ArraySlice<'_>, _>(only(key)).primitive()?),
        }
    }
    drop(current);
    let outcome = transaction.commit().await;
    outcome.map_err(|error| handle.error().map_or_else(|| StoreError::from(error), StoreError::from))
}

fn put(rows: &ObjectStore<'_>, key: &[u8], value: &[u8]) -> Result<(), Error> {
    let request: object_store::Put<'_, _, _> =
        rows.put(Uint8ArraySlice::new(value)).with_key(Uint8ArraySlice::new(key)).without_key_type();
    request.primitive().map(drop)
}

async fn scan(
    database: &Database,
    table: Table,
    range: &Range,
    limit: u32,
) -> Result<Vec<(Key, Value)>, StoreError> {
    let transaction = database.transaction(table.name()).build()?;
    let mut current = None;
    let rows = table_of(&transaction, &mut current, table)?;
    let start = Bytes::from(range.start.as_deref().unwrap_or_default());
    let query: KeyRange<JsValue> = match &range.end {
        Some(end) => KeyRange::Bound(start.into(), false, Bytes::from(end.as_slice()).into(), true),
        None => KeyRange::LowerBound(start.into(), false),
    };
    let keys = rows
        .get_all_keys::<JsValue>()
        .with_query::<JsValue, _>(query.clone())
        .with_limit(limit)
        .primitive()?;
    let values =
        rows.get_all::<Uint8Array>().with_query::<JsValue, _>(query).with_limit(limit).primitive()?;
    let (keys, values) = (keys.await?, values.await?);
    if keys.len() != values.len() {
        return Err(StoreError::Damaged { table });
    }
    keys.zip(values)
        .map(|(key, value)| {
            let value = value.map_err(|error| row_error(table, error))?;
            // Binary keys come back as buffers.
            Ok((Bytes::new(&key?).to_vec(), Value::from(Vec::from(value))))
        })
        .collect()
}

/// The object store of a table; looked up again only where the table changes.
fn table_of<'held, 'transaction>(
    transaction: &'transaction Transaction<'_>,
    current: &'held mut Option<(Table, ObjectStore<'transaction>)>,
    table: Table,
) -> Result<&'held ObjectStore<'transaction>, StoreError> {
    if current.as_ref().is_none_or(|(held, _)| *held != table) {
        *current = Some((table, transaction.object_store(table.name())?));
    }
    match current {
        Some((_, rows)) => Ok(rows),
        None => Err(StoreError::Damaged { table }),
    }
}

fn only(key: &[u8]) -> KeyRange<Uint8ArraySlice<'_>> {
    KeyRange::Only(Uint8ArraySlice::new(key))
}

/// A row that is not bytes was not written by us.
fn row_error(table: Table, error: Error) -> StoreError {
    match error {
        Error::Serialisation(_) => StoreError::Damaged { table },
        other => other.into(),
    }
}
