//! The wallet of a page: it runs in the Worker, and no secret of it ever leaves there but the words, shown once when they are
//! made and again for the password.
//!
//! | file | what |
//! |---|---|
//! | `rows` | what is kept, in a database of its own |
//! | `vault` | the secret while it is unlocked, and until when |
//! | `book` | one wallet in memory: keys, coins, history, payments |
//! | `keys` | making, restoring, unlocking, backing up, forgetting |
//! | `follow` | up to date with the light client: scanning, proof, payments on their way |
//! | `pay` | quotes, and sending so that a restart neither loses nor doubles a payment |
//! | `masternode` | registering, rotating and retiring masternodes |
//! | `view` | what pages are told |
//! | `error` | what can go wrong |
//! | `api` | the methods, and the wallet's place in the node |
//!
//! Everything is generic over the store and the light client, with time and entropy as arguments, so it is tested natively.
//! Every method takes `&self`; nothing is borrowed while something is awaited, so a payment goes out in the middle of a scan.
//!
//! Invariants: what cannot be found again is on disk before it is shown or sent; a signed payment is handed over, again if
//! need be, until the blocks say that it is final or never will be; a sum that is not proved is unknown, never zero.

mod api;
mod book;
mod error;
mod follow;
mod keys;
mod masternode;
mod pay;
mod rows;
#[cfg(test)]
mod tests;
mod vault;
mod view;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use futures::lock::Mutex;
use timecoin_core::address::Address;
use timecoin_core::driver::light::{LightClient, Source};
use timecoin_core::hash::{Owner, TxId};
use timecoin_core::node::Chain;
use timecoin_core::rows::Batch;
use timecoin_core::store::Store;
use timecoin_core::time::Time;
use timecoin_core::wallet::keystore::KdfCost;

use book::Book;
use vault::Vault;

pub(crate) use api::dispatch;
#[cfg(test)]
pub(crate) use api::{
    BackupParams, LabelParams, PasswordParams, RestoreParams, Sent, UnlockParams, Words,
    described as wallet_described,
};
pub use api::{PageWallet, Purse};
pub use error::WalletError;
pub use keys::{NewWallet, Position};
pub use masternode::{Changed, MasternodeChange};
pub use pay::{Payment, Quote};
pub use view::{
    EntryKind, Fate, History, HistoryEntry, OutgoingPayment, Scanning, WalletAddress, WalletProblem,
    WalletStatus, WalletView,
};

/// Characters of a label.
const LABEL_LENGTH_MAX: usize = 60;

/// What hears of a payment before anybody is asked to take it.
type OnSending = Box<dyn Fn(TxId)>;

/// The wallet of one chain in one browser, whether there is one yet or not.
pub struct Wallet<W> {
    chain: Arc<Chain>,
    store: W,
    /// What a new keystore costs to open.
    cost: KdfCost,
    book: RefCell<Option<Rc<Book>>>,
    /// Why the rows do not make a wallet.
    damage: RefCell<Option<WalletError>>,
    vault: RefCell<Vault>,
    /// Rows are written in turns: what is written last is what is known last.
    writing: Mutex<()>,
    /// Called whenever the view may have changed.
    changed: RefCell<Option<Box<dyn Fn()>>>,
    /// Called with each payment before anybody is asked to take it.
    sending: RefCell<Option<OnSending>>,
}

impl<W: Store> Wallet<W> {
    /// Opens what the store holds. `store` is the wallet's own, not the chain's.
    ///
    /// A wallet that is damaged, of a newer version or of another chain is no error here: whatever is asked of it then is,
    /// and nothing is written over it but by restoring one from its words.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn open(chain: Arc<Chain>, store: W, cost: KdfCost) -> Result<Self, WalletError> {
        let (book, damage) = match rows::load(&store, chain.id).await {
            Ok(loaded) => (loaded.map(|loaded| Rc::new(Book::new(chain.id, loaded))), None),
            Err(error @ WalletError::Store(_)) => return Err(error),
            Err(damage) => (None, Some(damage)),
        };
        Ok(Self {
            chain,
            store,
            cost,
            book: RefCell::new(book),
            damage: RefCell::new(damage),
            vault: RefCell::default(),
            writing: Mutex::default(),
            changed: RefCell::default(),
            sending: RefCell::default(),
        })
    }

    /// What to call whenever [`Self::view`] may have changed.
    pub fn on_change(&self, call: impl Fn() + 'static) {
        self.changed.replace(Some(Box::new(call)));
    }

    /// What to call with each payment before anybody is asked to take it, so that none of its phases is missed.
    pub fn on_sending(&self, call: impl Fn(TxId) + 'static) {
        self.sending.replace(Some(Box::new(call)));
    }

    fn tell(&self) {
        if let Some(call) = &*self.changed.borrow() {
            call();
        }
    }

    fn book(&self) -> Result<Rc<Book>, WalletError> {
        self.check_damage()?;
        self.book.borrow().clone().ok_or(WalletError::Absent)
    }

    fn check_damage(&self) -> Result<(), WalletError> {
        self.damage.borrow().as_ref().map_or(Ok(()), |damage| Err(damage.again()))
    }

    /// The book, while the wallet is unlocked.
    fn open_book(&self, now: Time) -> Result<Rc<Book>, WalletError> {
        let book = self.book()?;
        if self.vault.borrow_mut().is_open(now) { Ok(book) } else { Err(WalletError::Locked) }
    }

    fn address_of(&self, owner: Owner) -> String {
        Address { network: self.chain.spec.consensus.network, owner }.to_string()
    }

    /// Keeps what changed, with more writes where there are any; nothing once the wallet was forgotten.
    async fn keep(&self, book: &Book, more: Batch) -> Result<(), WalletError> {
        let _turn = self.writing.lock().await;
        self.write(book, more).await
    }

    /// [`Self::keep`] for whoever has the turn.
    async fn write(&self, book: &Book, more: Batch) -> Result<(), WalletError> {
        if book.is_gone() {
            return Ok(());
        }
        let (mut batch, written) = book.unwritten();
        batch.merge(more);
        self.store.commit(&batch).await.map_err(WalletError::store)?;
        book.note_written(written);
        Ok(())
    }

    /// The address to be paid at: given out, and not yet used where that can be had.
    ///
    /// # Errors
    /// If the wallet is locked, or the rows cannot be written.
    pub async fn address(&self, now: Time) -> Result<String, WalletError> {
        let book = self.open_book(now)?;
        let unused = book.unused();
        if let Some(owner) = unused {
            return Ok(self.address_of(owner));
        }
        self.new_address("", now).await
    }

    /// Gives out an address that was not given out before.
    ///
    /// # Errors
    /// If the wallet is locked, so many were given out that further ones would not be found again, the label is too long,
    /// or the rows cannot be written.
    pub async fn new_address(&self, label: &str, now: Time) -> Result<String, WalletError> {
        let book = self.open_book(now)?;
        let label = label.trim();
        if label.chars().count() > LABEL_LENGTH_MAX {
            return Err(WalletError::Label { max: LABEL_LENGTH_MAX });
        }
        let owner = book.give_out()?;
        let mut batch = Batch::default();
        if label.is_empty() {
            batch.sync();
        } else {
            book.label(owner, label, &mut batch);
        }
        self.keep(&book, batch).await?;
        self.tell();
        Ok(self.address_of(owner))
    }
}

/// The light client that a wallet follows.
type Client<S, D> = LightClient<S, D>;

/// Its clock.
fn now<S: Source, D: Store>(client: &Client<S, D>) -> Time {
    client.source().now()
}
