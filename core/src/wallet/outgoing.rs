//! A payment from its signature to its end: final, or one that can never become final.
//!
//! What was signed is kept until then, handed over again whenever that may help, and its coins are promised meanwhile. The
//! end is read off the blocks, never off a peer's word and never off this machine's clock: a payment is dead once a block
//! of a time after its expiry was scanned, or once another one has spent its coins. So a payment called dead is never
//! followed by its own success.

use serde::{Deserialize, Serialize};

use super::state::WalletState;
use crate::codec::Wire;
use crate::hash::TxId;
use crate::time::Time;
use crate::transaction::SignedTransaction;
use crate::vote::Height;

/// A name that the sender gives a payment before it is signed. Asked for twice under one name, it is made once.
pub type PaymentName = [u8; 16];

/// What became of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It may become final.
    OnItsWay,
    /// It is in a final block of this height.
    Final(Height),
    /// Every peer that was asked first refused it, and nobody took it.
    Refused,
    /// No block from now on may contain it.
    Expired,
    /// Its coins went elsewhere.
    Displaced,
}

impl Fate {
    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::OnItsWay)
    }
}

/// A signed payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// What its sender calls it.
    pub name: PaymentName,
    /// What was signed.
    pub signed: SignedTransaction,
    /// When, by the sender's clock.
    pub sent_at: Time,
    /// The first height at which it may be.
    pub since: Height,
    /// What became of it.
    pub fate: Fate,
}

impl Wire for Outgoing {
    const SIZE_MAX: usize = SignedTransaction::SIZE_MAX + 64;
}

impl Outgoing {
    /// Its id.
    #[must_use]
    pub fn txid(&self) -> TxId {
        self.signed.transaction.id()
    }

    /// Takes over what the blocks scanned say; returns whether that settled it.
    pub fn settle(&mut self, state: &WalletState) -> bool {
        if self.fate.is_settled() && self.fate != Fate::Refused {
            return false;
        }
        let (before, txid) = (self.fate, self.txid());
        let entry = state.history_from(self.since).find(|entry| entry.txid == txid);
        let coverage = state.coverage();
        self.fate = match entry {
            Some(entry) => Fate::Final(entry.height),
            // A refused one is heard of again only if it became final all the same.
            None if before == Fate::Refused => before,
            None if self.signed.transaction.inputs.iter().any(|input| state.coin(input).is_none()) => {
                Fate::Displaced
            }
            None if coverage.tip.is_some() && coverage.time > self.signed.transaction.expires_at => {
                Fate::Expired
            }
            None => Fate::OnItsWay,
        };
        self.fate != before
    }

    /// Promises its coins, or lets go of them, by what became of it.
    pub fn hold(&self, state: &mut WalletState) {
        let transaction = &self.signed.transaction;
        match self.fate {
            Fate::OnItsWay => state.reserve(&transaction.inputs, transaction.expires_at),
            Fate::Final(_) | Fate::Refused | Fate::Expired | Fate::Displaced => {
                transaction.inputs.iter().for_each(|input| state.release(input));
            }
        }
    }

    /// Whether it needs to be remembered no longer: it is settled, and so old that nobody asks for it by name again.
    #[must_use]
    pub fn is_past(&self, chain_time: Time) -> bool {
        self.fate.is_settled() && chain_time > self.signed.transaction.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use crate::hash::{BlockId, Hash};
    use crate::spec::Rules;
    use crate::wallet::account::Account;
    use crate::wallet::build::TransactionBuilder;
    use crate::wallet::scan::{ChangeSet, Coverage, EntryKind, HistoryEntry};
    use crate::wallet::testing::{CHAIN, EXPIRES_AT, LIMITS, coin, stranger};

    const SEED: [u8; 64] = [5; 64];

    /// What a block of this height and time did: nothing yet.
    fn block(height: u64, time: Time) -> ChangeSet {
        let next = Height(height + 1);
        let tip = Some(BlockId(Hash([height as u8; 32])));
        ChangeSet {
            height: Height(height),
            time,
            received: Vec::new(),
            spent: Vec::new(),
            collateral: Vec::new(),
            retired: Vec::new(),
            history: Vec::new(),
            coverage: Coverage { start: Height(0), next, tip, time },
        }
    }

    fn rules() -> Rules {
        crate::testing::ledger::ledger_spec(1, 1).rules(Height(0)).clone()
    }

    /// A wallet with one coin, and a payment that spends it.
    fn paying() -> (WalletState, Outgoing) {
        let account = Account::new(0, &SEED).unwrap();
        let mut state = WalletState::new(CHAIN, account, Height(0));
        let owner = state.account().receive().unwrap();
        let coin = coin(1, 1_000_000, state.lock(&owner).unwrap());
        let mut changes = block(0, Time(1));
        changes.received.push((coin.outpoint, coin.output));
        state.apply(&changes, &rules());
        let built = TransactionBuilder::new(CHAIN, LIMITS, EXPIRES_AT).pay(stranger(9), Amount(5_000));
        let unsigned = built.fund(&state.spendable(Time(1)), owner).unwrap();
        let key = state.account().secret_key(&SEED, &owner).unwrap();
        let signed = unsigned.sign(&[key]).unwrap();
        let payment =
            Outgoing { name: [1; 16], signed, sent_at: Time(2), since: Height(1), fate: Fate::OnItsWay };
        payment.hold(&mut state);
        assert_eq!(state.spendable(Time(1)), [], "promised");
        (state, payment)
    }

    /// A block in which the payment's coins are spent.
    fn spending(payment: &Outgoing) -> ChangeSet {
        ChangeSet { spent: payment.signed.transaction.inputs.clone(), ..block(1, Time(5)) }
    }

    fn entry(payment: &Outgoing, height: u64) -> HistoryEntry {
        HistoryEntry {
            height: Height(height),
            position: 0,
            txid: payment.txid(),
            time: Time(9),
            kind: EntryKind::Transfer,
            received: Amount::ZERO,
            spent: Amount::ZERO,
            fee: None,
            paid: Vec::new(),
            memo: String::new(),
        }
    }

    #[test]
    fn a_payment_in_a_block_is_final() {
        let (mut state, mut payment) = paying();
        let mut changes = spending(&payment);
        changes.history.push(entry(&payment, 1));
        state.apply(&changes, &rules());
        assert!(payment.settle(&state));
        assert_eq!(payment.fate, Fate::Final(Height(1)));
        assert!(!payment.settle(&state), "once");
        assert!(!payment.is_past(EXPIRES_AT) && payment.is_past(EXPIRES_AT.plus(1)));
    }

    #[test]
    fn only_a_block_after_its_expiry_ends_a_payment_and_frees_its_coins() {
        let (mut state, mut payment) = paying();
        state.apply(&block(1, EXPIRES_AT), &rules());
        assert!(!payment.settle(&state), "a block of that very time may contain it");
        assert_eq!(state.spendable(state.coverage().time), []);
        state.apply(&block(2, EXPIRES_AT.plus(1)), &rules());
        assert!(payment.settle(&state));
        assert_eq!(payment.fate, Fate::Expired);
        payment.hold(&mut state);
        assert_eq!(state.spendable(Time(0)).len(), 1, "free, whatever the clock says");
    }

    #[test]
    fn a_payment_whose_coins_went_elsewhere_is_displaced() {
        let (mut state, mut payment) = paying();
        state.apply(&spending(&payment), &rules());
        assert!(payment.settle(&state));
        assert_eq!(payment.fate, Fate::Displaced);
    }

    #[test]
    fn a_refused_payment_that_was_taken_in_secret_is_known_as_final() {
        let (mut state, mut payment) = paying();
        payment.fate = Fate::Refused;
        payment.hold(&mut state);
        assert_eq!(state.spendable(Time(1)).len(), 1, "free at once");
        assert!(!payment.settle(&state));
        let mut changes = spending(&payment);
        changes.history.push(entry(&payment, 1));
        state.apply(&changes, &rules());
        assert!(payment.settle(&state));
        assert_eq!(payment.fate, Fate::Final(Height(1)));
    }

    #[test]
    fn a_payment_is_kept_as_it_was_signed() {
        let (_, payment) = paying();
        let bytes = crate::codec::encode(&payment);
        assert_eq!(crate::codec::decode::<Outgoing>(&bytes), Ok(payment));
    }
}
