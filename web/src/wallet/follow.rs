//! Bringing the wallet up to date: blocks looked at, the balance proved, payments followed to their end.

use std::cell::RefCell;
use std::rc::Rc;

use timecoin_core::driver::light::{ClientError, Source};
use timecoin_core::rows::Batch;
use timecoin_core::store::Store;
use timecoin_core::time::Time;
use timecoin_core::transaction::SignedTransaction;
use timecoin_core::vote::Height;
use timecoin_core::wallet::outgoing::Fate;
use timecoin_core::wallet::scan::ScanError;
use timecoin_core::wallet::state::WalletState;
use timecoin_core::wallet::sync::{self, Keys, SyncError};

use super::book::{self, Balance, Book, Handed};
use super::view::WalletProblem;
use super::{Client, Wallet, WalletError, now};
use crate::api::Code;
use crate::api::error::sentence;

/// A payment nobody has taken yet is handed over again after so long, twice as long each time, and this long at most.
const AGAIN_MS: u64 = 1_000;
const AGAIN_MS_MAX: u64 = 30_000;

/// What the core's scan asks of the wallet.
struct Ring<'a, W> {
    wallet: &'a Wallet<W>,
    book: Rc<Book>,
    now: Time,
}

impl<W: Store> Keys for Ring<'_, W> {
    type Error = WalletError;

    /// Without the seed a scan stops here: going on could miss what was paid to keys not derived yet.
    fn extend(&mut self, state: &mut WalletState) -> Result<bool, WalletError> {
        let mut vault = self.wallet.vault.borrow_mut();
        book::extend(state, vault.seed(self.now).ok_or(WalletError::Locked)?)
    }

    async fn scanned(&mut self, _: &RefCell<WalletState>, target: Height) -> Result<(), WalletError> {
        if self.book.is_gone() {
            return Err(WalletError::Absent);
        }
        self.book.target.set(Some(target));
        self.wallet.keep(&self.book, Batch::default()).await?;
        self.wallet.tell();
        Ok(())
    }
}

impl<W: Store> Wallet<W> {
    /// Brings the wallet up to the newest verified block: call it whenever that moved, one call at a time. What is found
    /// stays, also where it ends early.
    ///
    /// # Errors
    /// If no peer gives what is needed, keys are needed and the wallet is locked, or the rows cannot be written.
    pub async fn refresh<S: Source, D: Store>(&self, client: &Client<S, D>) -> Result<(), WalletError> {
        let Ok(book) = self.book() else { return Ok(()) };
        let outcome = self.bring_up(client, &book).await;
        book.target.set(None);
        // Payments are followed whatever became of the scan.
        let kept = self.settle(&book).await;
        self.hand_over_again(client, &book).await;
        let outcome = outcome.and(kept);
        let problem = outcome.as_ref().err().filter(|error| !error.is_passing());
        book.problem.replace(problem.map(|error| {
            let code = Code::named(error.code());
            WalletProblem { code: code.code(), message: sentence(error), advice: code.advice() }
        }));
        self.tell();
        outcome
    }

    async fn bring_up<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
        book: &Rc<Book>,
    ) -> Result<(), WalletError> {
        if book.state.borrow().account().owners().next().is_none() {
            return Err(WalletError::Locked);
        }
        match self.scan(client, book).await {
            Err(SyncError::Scan(ScanError::Parent { .. }) | SyncError::Disagree { .. })
                if !book.rescanned.replace(true) =>
            {
                // The rows do not fit the chain: what they say is found again, once.
                book.start_over();
                Ok(self.scan(client, book).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    async fn scan<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
        book: &Rc<Book>,
    ) -> Result<(), SyncError<D::Error, WalletError>> {
        let mut ring = Ring { wallet: self, book: Rc::clone(book), now: now(client) };
        sync::scan(client, &book.state, &mut ring).await?;
        if !book.is_as_proved() {
            let proved = sync::balance(client, &book.state, &mut ring).await?;
            let parts = book.state.borrow().balance(book.chain_time()).ok_or(SyncError::Overflow)?;
            book.balance.set(Some(Balance { total: proved.total, parts, height: proved.verified.height }));
        }
        Ok(())
    }

    async fn settle(&self, book: &Book) -> Result<(), WalletError> {
        let changes = book.settle();
        match changes {
            Some(changes) => self.keep(book, changes).await,
            None => Ok(()),
        }
    }

    /// Hands payments over that nobody may know of: after a restart, or when the peer that had them is gone.
    async fn hand_over_again<S: Source, D: Store>(&self, client: &Client<S, D>, book: &Book) {
        for signed in due(book, now(client)) {
            // Whatever is answered: only the blocks say what becomes of it.
            let _ = self.hand_over(client, book, &signed).await;
        }
    }

    /// Hands a payment to peers.
    pub(super) async fn hand_over<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
        book: &Book,
        signed: &SignedTransaction,
    ) -> Result<(), ClientError<D::Error>> {
        let at = now(client);
        book.handed
            .borrow_mut()
            .entry(signed.transaction.id())
            .and_modify(|handed| *handed = Handed { at, times: handed.times.saturating_add(1) })
            .or_insert(Handed { at, times: 0 });
        client.submit(signed).await.map(drop)
    }

    /// Some peers are gone or new: payments on their way are handed over at the next [`Self::refresh`].
    pub fn peers_changed(&self) {
        if let Some(book) = &*self.book.borrow() {
            book.handed.borrow_mut().clear();
        }
    }
}

/// The payments that are to be handed over again by now.
fn due(book: &Book, now: Time) -> Vec<SignedTransaction> {
    let mut handed = book.handed.borrow_mut();
    let payments = book.payments();
    handed.retain(|txid, _| payments.contains_key(txid));
    let is_due = |handed: &Handed| {
        let wait_ms = AGAIN_MS.saturating_mul(1 << handed.times.min(16)).min(AGAIN_MS_MAX);
        now.since(handed.at) >= wait_ms || now < handed.at
    };
    payments
        .iter()
        .filter(|(txid, payment)| payment.fate == Fate::OnItsWay && !book.is_sending(txid))
        .filter(|(txid, _)| handed.get(txid).is_none_or(is_due))
        .map(|(_, payment)| payment.signed.clone())
        .collect()
}
