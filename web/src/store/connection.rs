//! One open connection: its layout, and how it is lost.

use std::cell::Cell;
use std::rc::Rc;

use futures::channel::oneshot;
use futures::future::{Either, select};
use indexed_db_futures::database::{Database, VersionChangeEvent};
use indexed_db_futures::internals::SystemRepr;
use indexed_db_futures::prelude::Build;
use timecoin_core::rows::Table;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use wasm_bindgen_futures::spawn_local;

use super::StoreError;

/// The layout of the database: which object stores there are. What rows mean has its own version, in the rows.
pub(super) const VERSION: u32 = 1;

/// An open database. It closes itself when another tab wants to upgrade or delete the database.
#[derive(Debug)]
pub(super) struct Connection {
    database: Database,
    lost: Rc<Cell<bool>>,
    made: bool,
    /// Alive as long as the database calls them.
    _listeners: [Closure<dyn Fn()>; 2],
}

impl Connection {
    /// Opens the database in this version, upgrading or making it.
    pub(super) async fn open(name: &str, version: u32) -> Result<Self, StoreError> {
        let made = Rc::new(Cell::new(false));
        let (blocked, was_blocked) = oneshot::channel();
        let request = Database::open(name)
            .with_version(version)
            .with_on_blocked(move |_| {
                let _ = blocked.send(());
                Ok(())
            })
            .with_on_upgrade_needed({
                let made = Rc::clone(&made);
                move |event: VersionChangeEvent, database: Database| {
                    made.set(event.old_version() < 1.0);
                    upgrade(event.old_version(), &database)
                }
            })
            .build()
            .map_err(StoreError::opening)?;
        match select(request, was_blocked).await {
            Either::Left((opened, _)) => {
                opened.map(|database| Self::over(database, made.get())).map_err(StoreError::opening)
            }
            Either::Right((_, late)) => {
                // The request cannot be taken back. Should it succeed some day, nobody is waiting any more.
                spawn_local(async move {
                    if let Ok(database) = late.await {
                        database.close();
                    }
                });
                Err(StoreError::Blocked)
            }
        }
    }

    fn over(database: Database, made: bool) -> Self {
        let lost = Rc::new(Cell::new(false));
        let on_close = {
            let lost = Rc::clone(&lost);
            Closure::<dyn Fn()>::new(move || lost.set(true))
        };
        let on_version_change = {
            let (lost, database) = (Rc::clone(&lost), database.clone());
            Closure::<dyn Fn()>::new(move || {
                lost.set(true);
                database.as_sys().close();
            })
        };
        let handle = database.as_sys();
        handle.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        handle.set_onversionchange(Some(on_version_change.as_ref().unchecked_ref()));
        Self { database, lost, made, _listeners: [on_close, on_version_change] }
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// Whether there was no database of this name before.
    pub(super) fn made_the_database(&self) -> bool {
        self.made
    }

    /// Whether the browser closed it, or was asked to.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.get()
    }

    /// Notes that it no longer answers.
    pub(super) fn lose(&self) {
        self.lost.set(true);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let handle = self.database.as_sys();
        handle.set_onclose(None);
        handle.set_onversionchange(None);
        handle.close();
    }
}

/// Takes the database from an older layout to this one, step by step.
fn upgrade(from: f64, database: &Database) -> indexed_db_futures::Result<()> {
    if from < 1.0 {
        for table in Table::ALL {
            database.create_object_store(table.name()).build()?;
        }
    }
    Ok(())
}
