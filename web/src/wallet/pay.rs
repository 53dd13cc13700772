//! Paying: what it would cost, and sending it once.
//!
//! A payment is signed, its row is on disk, and only then a peer hears of it. Whoever asks again under the same name, because
//! the Worker was restarted in between, is told of the payment that was made; nothing is signed a second time.

use core::pin::pin;

use futures::future::{Either, select};
use timecoin_core::address::Address;
use timecoin_core::amount::Amount;
use timecoin_core::driver::light::{ClientError, Source};
use timecoin_core::hash::{TxId, from_hex};
use timecoin_core::rows::Batch;
use timecoin_core::store::Store;
use timecoin_core::time::Time;
use timecoin_core::transaction::SignedTransaction;
use timecoin_core::vote::Height;
use timecoin_core::wallet::build::{TransactionBuilder, Unsigned};
use timecoin_core::wallet::outgoing::{Fate, Outgoing, PaymentName};
use timecoin_core::wallet::scan::Coverage;

use super::book::Book;
use super::error::amount;
use super::{Client, Wallet, WalletError, now, rows};

/// A payment is valid for so long, if the rules allow it.
const EXPIRES_AFTER_MS: u64 = 3_600_000;
/// The amount that means all that can be spent.
const MAX: &str = "max";

crate::api! {
    /// Whom to pay, and how.
    params Payment {
        /// The address.
        to: String,
        /// In whole coins, or `max`.
        amount: String,
        /// A note that everyone can read.
        memo: Option<String>,
        /// Grains per 1,000 bytes; the least where it is left out.
        fee_per_kb: Option<u64>,
        /// 32 hexadecimal digits that name this payment: asked for twice under one name, it is paid once.
        id: Option<String>,
    }

    /// What a payment would cost.
    struct Quote {
        /// What the recipient gets.
        amount: Amount,
        /// The fee.
        fee: Amount,
        /// Both.
        total: Amount,
        /// Coins spent.
        inputs: u32,
        /// Bytes of the signed transaction.
        size: u32,
    }
}

impl Quote {
    /// What a transaction that gives away this amount costs.
    pub(super) fn of(unsigned: &Unsigned, amount: Amount) -> Result<Self, WalletError> {
        let total = amount.checked_add(unsigned.fee).ok_or(WalletError::Overflow)?;
        let (inputs, size) = (small(unsigned.transaction.inputs.len()), small(unsigned.signed_size()));
        Ok(Self { amount, fee: unsigned.fee, total, inputs, size })
    }
}

impl<W: Store> Wallet<W> {
    /// What a payment would cost now.
    ///
    /// # Errors
    /// If the wallet is locked or not up to date, or the payment cannot be built.
    pub fn quote<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
        payment: &Payment,
    ) -> Result<Quote, WalletError> {
        let book = self.open_book(now(client))?;
        let (unsigned, amount) = self.build(client, &book, payment)?;
        Quote::of(&unsigned, amount)
    }

    /// Signs a payment, keeps it, and hands it to peers. `fresh` names it where the payment has no name.
    ///
    /// Where no peer answers, it is handed over again later.
    ///
    /// # Errors
    /// As [`Self::quote`]; if the rows cannot be written; and if every peer refuses it. Nothing was paid then, and the
    /// coins are free again.
    pub async fn send<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
        payment: &Payment,
        fresh: PaymentName,
    ) -> Result<TxId, WalletError> {
        let book = self.book()?;
        let name = payment.id.as_deref().map_or(Ok(fresh), name)?;
        if let Some(txid) = book.payment_named(&name) {
            return Ok(txid);
        }
        let (unsigned, _) = self.build(client, &*self.open_book(now(client))?, payment)?;
        let signed = self.sign(client, &book, unsigned)?;
        self.send_signed(client, &book, signed, name).await
    }

    pub(super) fn sign<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
        book: &Book,
        unsigned: Unsigned,
    ) -> Result<SignedTransaction, WalletError> {
        let keys = self.vault.borrow_mut().keys(book.state.borrow().account(), &unsigned, now(client));
        // All inputs are the account's own, so every lock opens; were it not so, the stored keys would not be ours.
        unsigned.sign(&keys.ok_or(WalletError::Locked)?).map_err(|_| WalletError::Damaged)
    }

    pub(super) async fn send_signed<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
        book: &Book,
        signed: SignedTransaction,
        name: PaymentName,
    ) -> Result<TxId, WalletError> {
        let since = book.state.borrow().coverage().next;
        let payment =
            Outgoing { name, signed: signed.clone(), sent_at: now(client), since, fate: Fate::OnItsWay };
        let txid = payment.txid();
        let mut batch = Batch::default();
        rows::put_payment(&payment, &mut batch);
        payment.hold(&mut book.state.borrow_mut());
        let _sending = book.begin_sending(txid);
        book.payments().insert(txid, payment);
        if let Err(error) = self.keep(book, batch).await {
            // Not on disk, so nobody may hear of it.
            end(book, &txid, Fate::Refused);
            book.payments().remove(&txid);
            return Err(error);
        }
        self.tell();
        if let Some(call) = &*self.sending.borrow() {
            call(txid);
        }
        // The first of the two is asked first: whoever takes the payment knows by then that we want to hear of it.
        let watched = [txid];
        let (watch, taken) = (pin!(client.watch(&watched)), pin!(self.hand_over(client, book, &signed)));
        let outcome = match select(watch, taken).await {
            Either::Left((_, taken)) => taken.await,
            Either::Right((outcome, _)) => outcome,
        };
        match outcome {
            // Whoever took it may be too slow to say so, and the others refuse then what is final already.
            Err(ClientError::Refused(_)) if matches!(client.transaction(&txid).await, Ok(Some(_))) => {
                Ok(txid)
            }
            Err(error @ ClientError::Refused(_)) => {
                let mut batch = Batch::default();
                if let Some(payment) = end(book, &txid, Fate::Refused) {
                    rows::put_payment(&payment, &mut batch);
                }
                self.keep(book, batch).await?;
                self.tell();
                Err(error.into())
            }
            // Somebody has it, or it is handed over again.
            _ => Ok(txid),
        }
    }

    /// Builds a payment from the coins that are free; returns what the recipient gets.
    fn build<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
        book: &Book,
        payment: &Payment,
    ) -> Result<(Unsigned, Amount), WalletError> {
        let network = self.chain.spec.consensus.network;
        let to = Address::parse_for(network, payment.to.trim())?;
        let asked = if payment.amount == MAX { None } else { Some(amount(&payment.amount)?) };
        let mut builder = self.ready(client, book)?;
        let state = book.state.borrow();
        let time = state.coverage().time;
        if let Some(memo) = &payment.memo {
            builder = builder.memo(memo.as_bytes());
        }
        if let Some(fee_per_kb) = payment.fee_per_kb {
            builder = builder.fee_per_kb(fee_per_kb);
        }
        let coins = state.spendable(time);
        let unsigned = match asked {
            Some(amount) => {
                let change = state.account().receive().ok_or(WalletError::Locked)?;
                builder.pay(to, amount).fund(&coins, change)?
            }
            None => builder.fund_with_all(&coins, to)?,
        };
        let amount = asked.or(unsigned.change).unwrap_or_default();
        Ok((unsigned, amount))
    }

    /// Begins a transaction, where it is known which coins there are.
    pub(super) fn ready<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
        book: &Book,
    ) -> Result<TransactionBuilder, WalletError> {
        let Coverage { next, time, .. } = book.state.borrow().coverage();
        if book.balance.get().is_none() {
            return Err(WalletError::NotReady { scanned: next, target: client.height() });
        }
        Ok(self.builder(next, now(client).max(time)))
    }

    fn builder(&self, height: Height, now: Time) -> TransactionBuilder {
        let rules = self.chain.spec.consensus.rules(height);
        // Half of what is allowed leaves room for clocks that differ.
        let lifetime = (rules.expiry_max_ms / 2).min(EXPIRES_AFTER_MS);
        TransactionBuilder::new(self.chain.id, rules.transaction_limits(), now.plus(lifetime))
    }
}

/// What a page calls a payment.
pub(super) fn name(id: &str) -> Result<PaymentName, WalletError> {
    from_hex(id).map_err(|_| WalletError::Name)
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Ends a payment that is still on its way; returns it.
fn end(book: &Book, txid: &TxId, fate: Fate) -> Option<Outgoing> {
    let mut payments = book.payments();
    let payment = payments.get_mut(txid).filter(|payment| payment.fate == Fate::OnItsWay)?;
    payment.fate = fate;
    payment.hold(&mut book.state.borrow_mut());
    Some(payment.clone())
}
