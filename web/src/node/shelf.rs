//! The store, and what becomes of it while the node runs: a store that fails is a state to show, never a reason to stop.
//!
//! Everything in it but the wallet's rows can be made again from peers. So where a browser keeps nothing (private mode) the
//! node runs from memory; where it has no space, what is new is not kept; where it deleted the store, a new one is begun.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use timecoin_core::node::Chain;
use timecoin_core::rows::{Batch, Key, ReadSet, Table, Value, View};
use timecoin_core::schema::new_store;
use timecoin_core::store::{MemoryStore, Range, Store};

use crate::api::types::StorageProblem;
use crate::platform::{sleep_ms, within};
use crate::store::{IndexedDbStore, StoreError};

/// Attempts at a store that another tab keeps open in an older form.
const BLOCKED_ATTEMPTS: u32 = 10;
const BLOCKED_WAIT_MS: u64 = 300;
/// A store that takes longer will not answer any more: WebKit keeps tables locked, until it ends, whose Worker was ended in
/// the middle of a transaction.
const ANSWER_MS: u64 = 6_000;
const SILENT: &str = "TimeoutError";

#[derive(Clone)]
enum Place {
    Kept(Rc<IndexedDbStore>),
    Memory(MemoryStore),
}

/// The store of a page's node.
pub struct Shelf {
    name: String,
    chain: Arc<Chain>,
    place: RefCell<Place>,
    problem: RefCell<Option<StoreError>>,
}

impl Shelf {
    /// A store that is in memory until it is opened.
    pub(super) fn new(name: String, chain: Arc<Chain>) -> Self {
        let place = RefCell::new(Place::Memory(MemoryStore::default()));
        Self { name, chain, place, problem: RefCell::default() }
    }

    /// Opens the database, or goes on in memory where the page may have none.
    pub(super) async fn open(&self) -> Result<(), StoreError> {
        for attempt in 1.. {
            match IndexedDbStore::open(self.name.clone()).await {
                Ok(store) => {
                    self.place.replace(Place::Kept(Rc::new(store)));
                    return Ok(());
                }
                Err(StoreError::Blocked) if attempt < BLOCKED_ATTEMPTS => sleep_ms(BLOCKED_WAIT_MS).await,
                Err(error @ (StoreError::Unavailable { .. } | StoreError::Quota)) => {
                    self.problem.replace(Some(error));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Goes on in memory: the browser has a database, but takes nothing into it.
    pub(super) fn give_up(&self, error: StoreError) {
        self.place.replace(Place::Memory(MemoryStore::default()));
        self.problem.replace(Some(error));
    }

    /// Whether rows outlive the Worker.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        matches!(&*self.place.borrow(), Place::Kept(_))
    }

    /// Why rows may not be kept, if there is a reason.
    #[must_use]
    pub fn problem(&self) -> Option<StorageProblem> {
        let problem = self.problem.borrow();
        problem
            .as_ref()
            .map(|error| StorageProblem { code: error.api_code().code(), message: error.to_string() })
    }

    /// Commits what can be made again: a failure is noted, and that is all.
    pub(super) async fn keep(&self, batch: &Batch) {
        let _ = self.commit(batch).await;
    }

    fn place(&self) -> Place {
        self.place.borrow().clone()
    }

    /// Notes a failure. A deleted store is begun anew, once; one that does not answer is left alone.
    async fn note(&self, error: &StoreError) {
        if matches!(error, StoreError::Lost { name, .. } if name == SILENT) {
            return self.give_up(error.clone());
        }
        let before = self.problem.replace(Some(error.clone()));
        if *error == StoreError::Deleted
            && before.as_ref() != Some(error)
            && let Ok(store) = IndexedDbStore::open(self.name.clone()).await
            && store.commit(&new_store(&self.chain.id)).await.is_ok()
        {
            self.place.replace(Place::Kept(Rc::new(store)));
        }
    }

    /// A commit went through: what was in its way is not any more. What was lost stays lost.
    fn clear(&self) {
        let mut problem = self.problem.borrow_mut();
        if !matches!(&*problem, Some(StoreError::Unavailable { .. } | StoreError::Deleted)) && self.is_kept()
        {
            *problem = None;
        }
    }
}

/// Makes a call where the rows are: in time, or in memory, which cannot fail.
macro_rules! at {
    ($place:expr, $store:ident => $call:expr) => {
        match $place {
            Place::Kept($store) => within(ANSWER_MS, $call).await.unwrap_or_else(|| {
                let message = "the browser does not answer".to_owned();
                Err(StoreError::Lost { name: SILENT.to_owned(), message })
            }),
            Place::Memory($store) => $call.await.map_err(|error| StoreError::Failed {
                name: "MemoryError".to_owned(),
                message: error.to_string(),
            }),
        }
    };
}

impl Store for Shelf {
    type Error = StoreError;

    async fn load(&self, reads: &ReadSet) -> Result<View, StoreError> {
        let loaded = at!(self.place(), store => store.load(reads));
        if let Err(error) = &loaded {
            self.note(error).await;
        }
        loaded
    }

    async fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let committed = at!(self.place(), store => store.commit(batch));
        match &committed {
            Ok(()) => self.clear(),
            Err(error) => self.note(error).await,
        }
        committed
    }

    async fn scan(&self, table: Table, range: &Range, limit: usize) -> Result<Vec<(Key, Value)>, StoreError> {
        let scanned = at!(self.place(), store => store.scan(table, range, limit));
        if let Err(error) = &scanned {
            self.note(error).await;
        }
        scanned
    }
}
