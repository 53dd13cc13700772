//! What pages are told. Amounts are decimal texts; what is not known is null.

use std::collections::BTreeSet;

use timecoin_core::amount::Amount;
use timecoin_core::driver::light::{Proof, Source};
use timecoin_core::hash::{BlockId, Owner, TxId, hex_to_vec};
use timecoin_core::store::Store;
use timecoin_core::time::Time;
use timecoin_core::transaction::Output;
use timecoin_core::vote::Height;
use timecoin_core::wallet::outgoing::{Fate as Ended, Outgoing};
use timecoin_core::wallet::scan::{EntryKind as Kind, HistoryEntry as Entry};

use super::book::Book;
use super::{Client, Wallet, WalletError, now};

/// A scan of fewer blocks is not worth a word.
const SHORT_SCAN: u64 = 16;

crate::api! {
    /// Whether there is a wallet, and whether it is open.
    struct WalletStatus {
        /// There is one.
        exists: bool,
        /// Its keys are at hand.
        unlocked: bool,
        /// The person has shown to have the words.
        backed_up: bool,
        /// When it locks.
        lock_at: Option<Time>,
    }

    /// One of the wallet's addresses.
    struct WalletAddress {
        /// The address.
        address: String,
        /// What the person calls it.
        label: String,
        /// Whether it has ever received something.
        used: bool,
        /// What it holds; null while that is not proved.
        amount: Option<Amount>,
    }

    /// How far a long scan is.
    struct Scanning {
        /// The last block looked at.
        height: Height,
        /// The last to look at.
        target: Height,
    }

    /// What became of a payment that is not final: it may still be, or its time is over, or its coins went elsewhere.
    words Fate {
        /// It may still become final.
        Pending,
        /// Its time is over.
        Expired,
        /// Its coins went elsewhere.
        Displaced,
    }

    /// A payment that is on its way, or that failed not long ago.
    struct OutgoingPayment {
        /// Its id.
        txid: TxId,
        /// Whom it pays.
        to: Vec<String>,
        /// What they get.
        amount: Amount,
        /// The fee.
        fee: Amount,
        /// When it was signed.
        sent_at: Time,
        /// No block of a later time may contain it.
        expires_at: Time,
        /// What became of it.
        fate: Fate,
    }

    /// Why the wallet is not up to date.
    struct WalletProblem {
        /// A code of the table of errors.
        code: &'static str,
        /// The facts.
        message: String,
        /// What to do.
        advice: &'static str,
    }

    /// What the wallet holds. Null where that is not proved yet.
    struct WalletView {
        /// The block as of which it is.
        height: Height,
        /// Everything, proved complete.
        total: Option<Amount>,
        /// Free to spend.
        spendable: Option<Amount>,
        /// Promised in payments that are on their way.
        pending: Option<Amount>,
        /// Collateral.
        locked: Option<Amount>,
        /// Whether the total was proved in this browser.
        verified: bool,
        /// How old that block is.
        age_ms: Option<u64>,
        /// How far a long scan is.
        scanning: Option<Scanning>,
        /// Whether the history has every payment up to that block.
        complete: bool,
        /// Payments that are not final.
        outgoing: Vec<OutgoingPayment>,
        /// Why it is not up to date; null where it is, or soon will be.
        problem: Option<WalletProblem>,
    }

    /// What a payment of the history was.
    words EntryKind {
        /// Coins came.
        Received,
        /// Coins went to somebody else.
        Sent,
        /// Coins stayed in the wallet, but for the fee.
        ToSelf,
        /// An epoch's end paid it.
        Reward,
        /// A masternode was registered, changed or retired.
        Masternode,
    }

    /// One payment of the history.
    struct HistoryEntry {
        /// Its id.
        txid: TxId,
        /// Its block.
        height: Height,
        /// Time of the block.
        time: Time,
        /// What it was.
        kind: EntryKind,
        /// What it changed, without the fee; negative where it went out.
        amount: String,
        /// The fee, where the wallet alone paid it.
        fee: Option<Amount>,
        /// Whom the wallet paid.
        counterparties: Vec<String>,
        /// The note, where it is text.
        memo: Option<String>,
    }

    /// The history, newest first.
    struct History {
        /// The first block looked at.
        from: Height,
        /// Whether every block from there on was looked at.
        complete: bool,
        /// Whether the wallet may be older than the first block looked at.
        older: bool,
        /// The payments.
        entries: Vec<HistoryEntry>,
    }
}

impl<W: Store> Wallet<W> {
    /// Whether there is a wallet, and whether it is open.
    ///
    /// # Errors
    /// If the stored one cannot be opened.
    pub fn status(&self, now: Time) -> Result<WalletStatus, WalletError> {
        self.check_damage()?;
        let book = self.book.borrow();
        let mut vault = self.vault.borrow_mut();
        let unlocked = vault.is_open(now);
        let backed_up = book.as_ref().is_some_and(|book| book.secrets().backed_up);
        Ok(WalletStatus { exists: book.is_some(), unlocked, backed_up, lock_at: vault.until() })
    }

    /// The addresses given out or used, in the order of their keys.
    ///
    /// # Errors
    /// If the wallet is locked.
    pub fn addresses(&self, now: Time) -> Result<Vec<WalletAddress>, WalletError> {
        let book = self.open_book(now)?;
        let (state, is_proved) = (book.state.borrow(), book.balance.get().is_some());
        let address = |owner| WalletAddress {
            address: self.address_of(owner),
            label: book.label_of(&owner),
            used: state.is_seen(&owner),
            amount: is_proved.then(|| state.holding(&owner)).flatten(),
        };
        Ok(state.account().used().map(address).collect())
    }

    /// What the wallet holds.
    ///
    /// # Errors
    /// If the wallet is locked.
    pub fn view(&self, now: Time) -> Result<WalletView, WalletError> {
        let book = self.open_book(now)?;
        let state = book.state.borrow();
        let coverage = state.coverage();
        let height = Height(coverage.next.0.saturating_sub(1));
        let proved = book.parts();
        let scanning = scanning(&book, height);
        let ours = state.owners();
        let outgoing = book.payments().values().filter_map(|payment| self.outgoing(&ours, payment)).collect();
        Ok(WalletView {
            height,
            total: proved.map(|(total, _)| total),
            spendable: proved.map(|(_, parts)| parts.spendable),
            pending: proved.map(|(_, parts)| parts.reserved),
            locked: proved.map(|(_, parts)| parts.collateral),
            verified: proved.is_some(),
            age_ms: coverage.tip.map(|_| now.since(coverage.time)),
            complete: proved.is_some() && scanning.is_none(),
            scanning,
            outgoing,
            problem: book.problem.borrow().clone(),
        })
    }

    /// The history, with what is known about the block up to which it goes.
    ///
    /// # Errors
    /// If the wallet is locked, or nothing was looked at yet.
    pub async fn history<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
    ) -> Result<(History, Proof), WalletError> {
        let book = self.open_book(now(client))?;
        let head = client.verified_head().await?.proof;
        let state = book.state.borrow();
        let coverage = state.coverage();
        let (Some(block), Some(height)) = (coverage.tip, book.scanned_to()) else {
            return Err(WalletError::NotReady { scanned: coverage.next, target: head.height });
        };
        let complete = book.balance.get().is_some() && scanning(&book, height).is_none();
        let entries = state.history().rev().map(|entry| self.entry(entry)).collect();
        let proof = as_of(head, height, block, coverage.time, now(client));
        Ok((History { from: coverage.start, complete, older: state.is_older(), entries }, proof))
    }

    fn entry(&self, entry: &Entry) -> HistoryEntry {
        let paid = Amount::checked_sum(entry.paid.iter().map(|output| output.amount)).unwrap_or_default();
        let kind = match entry.kind {
            Kind::Reward => EntryKind::Reward,
            Kind::RegisterMasternode | Kind::RetireMasternode(_) | Kind::RotateOperator(_) => {
                EntryKind::Masternode
            }
            Kind::Transfer if entry.spent == Amount::ZERO => EntryKind::Received,
            Kind::Transfer if paid == Amount::ZERO => EntryKind::ToSelf,
            Kind::Transfer => EntryKind::Sent,
        };
        let out = entry.spent.checked_sub(entry.fee.unwrap_or_default()).unwrap_or_default();
        let amount = match entry.received.checked_sub(out) {
            Some(gain) => gain.to_string(),
            None => format!("-{}", out.checked_sub(entry.received).unwrap_or_default()),
        };
        HistoryEntry {
            txid: entry.txid,
            height: entry.height,
            time: entry.time,
            kind,
            amount,
            fee: entry.fee,
            counterparties: entry.paid.iter().map(|output| self.address_of(output.owner)).collect(),
            memo: memo(&entry.memo),
        }
    }

    fn outgoing(&self, ours: &BTreeSet<Owner>, payment: &Outgoing) -> Option<OutgoingPayment> {
        let fate = match payment.fate {
            Ended::OnItsWay => Fate::Pending,
            Ended::Expired => Fate::Expired,
            Ended::Displaced => Fate::Displaced,
            Ended::Final(_) | Ended::Refused => return None,
        };
        let transaction = &payment.signed.transaction;
        let sum = |outputs: &[Output]| Amount::checked_sum(outputs.iter().map(|output| output.amount));
        let theirs: Vec<_> =
            transaction.outputs.iter().filter(|output| !ours.contains(&output.owner)).copied().collect();
        let fee = sum(&payment.signed.spent)?.checked_sub(sum(&transaction.outputs)?)?;
        Some(OutgoingPayment {
            txid: payment.txid(),
            to: theirs.iter().map(|output| self.address_of(output.owner)).collect(),
            amount: sum(&theirs)?,
            fee,
            sent_at: payment.sent_at,
            expires_at: transaction.expires_at,
            fate,
        })
    }
}

/// The scan under way, where it is a long one.
fn scanning(book: &Book, height: Height) -> Option<Scanning> {
    let is_known = book.balance.get().is_some();
    let is_long = |target: &Height| !is_known || target.0.saturating_sub(height.0) > SHORT_SCAN;
    book.target.get().filter(is_long).map(|target| Scanning { height, target })
}

/// What is known about a block up to the head, which was looked at when it was or became part of what is final.
fn as_of(head: Proof, height: Height, block: BlockId, time: Time, now: Time) -> Proof {
    Proof { height, block, time, age_ms: now.since(time), ..head }
}

/// A memo as text, where it is text.
fn memo(hex: &str) -> Option<String> {
    let bytes = hex_to_vec(hex).filter(|bytes| !bytes.is_empty())?;
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}
