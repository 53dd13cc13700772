//! One wallet in memory, as its rows and the chain have it.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};

use timecoin_core::amount::Amount;
use timecoin_core::hash::{ChainId, Owner, TxId};
use timecoin_core::rows::Batch;
use timecoin_core::time::Time;
use timecoin_core::vote::Height;
use timecoin_core::wallet::account::{Account, GAP_LIMIT};
use timecoin_core::wallet::mnemonic::Seed;
use timecoin_core::wallet::outgoing::{Fate, Outgoing, PaymentName};
use timecoin_core::wallet::scan::Coverage;
use timecoin_core::wallet::state::{Balance as Parts, WalletState};

use super::WalletError;
use super::rows::{self, Labels, Loaded, Secrets, Written};
use super::view::WalletProblem;

/// Keys derived whenever the seed is at hand: so many uses later it is needed again.
const KEYS_AHEAD: u32 = 100;

/// Keys of a wallet that is older than the first block it looks at. The state tree tells which of them hold coins, not which
/// were used and are empty now, so a gap of those must not end the search.
const KEYS_OLDER: u32 = 1_000;

/// The whole balance, proved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Balance {
    pub(super) total: Amount,
    /// The total, by what could be done with it when it was proved.
    pub(super) parts: Parts,
    /// The block under which it was proved. Filters since then may have shown that nothing changed.
    pub(super) height: Height,
}

/// When a payment was handed over last, and how often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handed {
    pub(super) at: Time,
    pub(super) times: u32,
}

/// A payment is being sent as long as this is there.
pub(super) struct Sending<'a> {
    book: &'a Book,
    txid: TxId,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.book.sending.borrow_mut().remove(&self.txid);
    }
}

/// One wallet.
#[derive(Debug)]
pub(super) struct Book {
    chain: ChainId,
    secrets: RefCell<Secrets>,
    labels: RefCell<Labels>,
    pub(super) state: RefCell<WalletState>,
    payments: RefCell<BTreeMap<TxId, Outgoing>>,
    pub(super) balance: Cell<Option<Balance>>,
    /// The height that a scan goes to, while one runs.
    pub(super) target: Cell<Option<Height>>,
    /// Those payments that were handed over since the start; a mark on one that is being handed over right now.
    pub(super) handed: RefCell<BTreeMap<TxId, Handed>>,
    /// Those payments that are written and handed over for the first time right now: nobody else does it meanwhile.
    sending: RefCell<BTreeSet<TxId>>,
    /// Why the wallet could not be brought up to date.
    pub(super) problem: RefCell<Option<WalletProblem>>,
    /// Whether the blocks were looked at anew since the start, because they did not fit.
    pub(super) rescanned: Cell<bool>,
    written: RefCell<Written>,
    gone: Cell<bool>,
}

impl Book {
    pub(super) fn new(chain: ChainId, loaded: Loaded) -> Self {
        let Loaded { secrets, labels, state, written, payments } = loaded;
        // Without its rows the state is found again; the keys are made when the seed is at hand.
        let mut state = state.unwrap_or_else(|| secrets.state(chain, Account::empty(0)));
        payments
            .iter()
            .filter(|payment| !payment.fate.is_settled())
            .for_each(|payment| payment.hold(&mut state));
        let mut known = BTreeMap::new();
        known.extend(payments.into_iter().map(|payment| (payment.txid(), payment)));
        Self {
            chain,
            secrets: RefCell::new(secrets),
            labels: RefCell::new(labels),
            state: RefCell::new(state),
            payments: RefCell::new(known),
            balance: Cell::new(None),
            target: Cell::new(None),
            handed: RefCell::default(),
            sending: RefCell::default(),
            problem: RefCell::default(),
            rescanned: Cell::new(false),
            written: RefCell::new(written),
            gone: Cell::new(false),
        }
    }

    /// Begins to send a payment.
    pub(super) fn begin_sending(&self, txid: TxId) -> Sending<'_> {
        self.sending.borrow_mut().insert(txid);
        Sending { book: self, txid }
    }

    pub(super) fn is_sending(&self, txid: &TxId) -> bool {
        self.sending.borrow().contains(txid)
    }

    /// A new wallet with its first keys.
    pub(super) fn made(chain: ChainId, secrets: Secrets, seed: &Seed) -> Result<Self, WalletError> {
        let (labels, written) = (Labels::default(), Written::default());
        let book = Self::new(chain, Loaded { secrets, labels, state: None, written, payments: Vec::new() });
        book.extend(seed)?;
        Ok(book)
    }

    pub(super) fn secrets(&self) -> Ref<'_, Secrets> {
        self.secrets.borrow()
    }

    /// Notes that the person has the words; returns the write that keeps it.
    pub(super) fn back_up(&self) -> Batch {
        self.secrets.borrow_mut().backed_up = true;
        self.secret_rows()
    }

    pub(super) fn secret_rows(&self) -> Batch {
        let mut batch = Batch::default();
        self.secrets.borrow().put(self.chain, &mut batch);
        batch
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.get()
    }

    pub(super) fn go(&self) {
        self.gone.set(true);
    }

    pub(super) fn unwritten(&self) -> (Batch, Written) {
        self.written.borrow().update(&self.state.borrow())
    }

    pub(super) fn note_written(&self, written: Written) {
        self.written.replace(written);
    }

    /// Derives the keys that are lacking. The block that used them up is looked at again, since it may pay to new ones.
    pub(super) fn extend(&self, seed: &Seed) -> Result<(), WalletError> {
        let mut state = self.state.borrow_mut();
        if extend(&mut state, seed)? {
            let Coverage { start, next, .. } = state.coverage();
            let again = Height(next.0.saturating_sub(1)).max(start);
            state.advance(Coverage { next: again, ..Coverage::starting_at(start) });
        }
        Ok(())
    }

    /// Forgets what was scanned, but neither keys nor payments.
    pub(super) fn start_over(&self) {
        let account = self.state.borrow().account().clone();
        let mut state = self.secrets().state(self.chain, account);
        for payment in self.payments.borrow().values().filter(|payment| !payment.fate.is_settled()) {
            payment.hold(&mut state);
        }
        self.state.replace(state);
        self.balance.set(None);
    }

    /// The first address given out that has received nothing.
    pub(super) fn unused(&self) -> Option<Owner> {
        let state = self.state.borrow();
        state.account().used().find(|owner| !state.is_seen(owner))
    }

    /// Gives out the next owner, unless the words alone would not lead to it.
    pub(super) fn give_out(&self) -> Result<Owner, WalletError> {
        let mut state = self.state.borrow_mut();
        let given: Vec<_> = state.account().used().collect();
        let in_vain = given.iter().rev().take_while(|owner| !state.is_seen(owner)).count();
        let owner = state.account().receive().filter(|owner| !given.contains(owner));
        if in_vain >= GAP_LIMIT as usize {
            return Err(WalletError::Gap);
        }
        let owner = owner.ok_or(WalletError::Locked)?;
        state.account_mut().mark_used(&owner);
        Ok(owner)
    }

    pub(super) fn label(&self, owner: Owner, label: &str, batch: &mut Batch) {
        let mut labels = self.labels.borrow_mut();
        labels.insert(owner, label.to_owned());
        rows::put_labels(&labels, batch);
    }

    pub(super) fn label_of(&self, owner: &Owner) -> String {
        self.labels.borrow().get(owner).cloned().unwrap_or_default()
    }

    /// The chain's own clock, as far as the blocks were looked at. It decides what is free to spend.
    pub(super) fn chain_time(&self) -> Time {
        self.state.borrow().coverage().time
    }

    /// The proved balance, by what can be done with it. Chain time decides: a payment that may still become final keeps its
    /// coins. Between a scan and the proof that follows, it is what was proved before.
    pub(super) fn parts(&self) -> Option<(Amount, Parts)> {
        let Balance { total, parts, .. } = self.balance.get()?;
        let now = self.state.borrow().balance(self.chain_time());
        let is_all = |parts: &Parts| {
            let Parts { spendable, collateral, reserved } = *parts;
            Amount::checked_sum([spendable, collateral, reserved]) == Some(total)
        };
        Some((total, now.filter(is_all).unwrap_or(parts)))
    }

    /// Whether the coins still are what was proved.
    pub(super) fn is_as_proved(&self) -> bool {
        let state = self.state.borrow();
        self.balance.get().is_some_and(|Balance { total, height, .. }| {
            let coins = state.coins(self.chain_time()).map(|(_, coin, _)| coin.amount);
            state.history_from(height.next()).next().is_none() && Amount::checked_sum(coins) == Some(total)
        })
    }

    /// Everything up to this height was looked at; none where nothing was.
    pub(super) fn scanned_to(&self) -> Option<Height> {
        let Coverage { next, tip, .. } = self.state.borrow().coverage();
        tip.and_then(|_| next.0.checked_sub(1)).map(Height)
    }

    pub(super) fn payments(&self) -> RefMut<'_, BTreeMap<TxId, Outgoing>> {
        self.payments.borrow_mut()
    }

    /// A payment of this name that was not refused and has not failed.
    pub(super) fn payment_named(&self, name: &PaymentName) -> Option<TxId> {
        let payments = self.payments.borrow();
        let lives = |payment: &&Outgoing| matches!(payment.fate, Fate::OnItsWay | Fate::Final(_));
        payments.values().filter(lives).find(|payment| payment.name == *name).map(Outgoing::txid)
    }

    /// Settles payments by what the blocks say; returns the writes that keep it, none where nothing changed.
    pub(super) fn settle(&self) -> Option<Batch> {
        let (mut batch, mut state) = (Batch::default(), self.state.borrow_mut());
        let mut payments = self.payments.borrow_mut();
        for payment in payments.values_mut() {
            if payment.settle(&state) {
                payment.hold(&mut state);
                rows::put_payment(payment, &mut batch);
            }
        }
        let chain_time = state.coverage().time;
        payments.retain(|txid, payment| {
            let is_past = payment.is_past(chain_time);
            if is_past {
                rows::delete_payment(txid, &mut batch);
            }
            !is_past
        });
        (!batch.is_empty()).then_some(batch)
    }
}

/// Derives the keys that an account lacks, and more; whether it lacked any.
pub(super) fn extend(state: &mut WalletState, seed: &Seed) -> Result<bool, WalletError> {
    let lacking = state.account().lacking();
    if lacking > 0 {
        let ahead = if state.is_older() { KEYS_OLDER } else { KEYS_AHEAD };
        state.account_mut().extend_by(seed.as_bytes(), lacking.saturating_add(ahead))?;
    }
    Ok(lacking > 0)
}
