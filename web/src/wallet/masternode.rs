//! Masternodes of the wallet: registering one, giving one another operator, retiring one. The owner's key is the wallet's; the
//! operator's never comes here, only its consent.

use timecoin_core::address::Address;
use timecoin_core::amount::Amount;
use timecoin_core::driver::light::Source;
use timecoin_core::hash::{MasternodeId, TxId, from_hex};
use timecoin_core::keys::{PublicKey, Signature};
use timecoin_core::store::Store;
use timecoin_core::transaction::{Class, Tier};
use timecoin_core::wallet::build::{BuildError, OperatorConsent, Registration, Unsigned};
use timecoin_core::wallet::outgoing::PaymentName;

use super::book::Book;
use super::pay::Quote;
use super::{Client, Wallet, WalletError, now};

crate::api! {
    /// What to do with a masternode. One that is not named is registered: this locks its collateral. One that is named gets the
    /// operator that is named, or retires where none is.
    params MasternodeChange {
        /// Its id.
        masternode: Option<MasternodeId>,
        /// One of the wallet's addresses, which will own it and be paid its rewards.
        owner: Option<String>,
        /// `bronze`, `silver` or `gold`.
        tier: Option<String>,
        /// `server` or `browser`.
        class: Option<String>,
        /// The operator's public key.
        operator: Option<PublicKey>,
        /// Its consent to the owner.
        operator_proof: Option<String>,
        /// As with a payment.
        id: Option<String>,
    }
}

impl<W: Store> Wallet<W> {
    /// What a change would cost now: `amount` is the collateral that it locks.
    ///
    /// # Errors
    /// If the wallet is locked or not up to date, the masternode is not its own, or the operator does not consent.
    pub async fn quote_masternode<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
        change: &MasternodeChange,
    ) -> Result<Quote, WalletError> {
        let book = self.open_book(now(client))?;
        let (unsigned, locked) = self.build_change(client, &book, change).await?;
        Quote::of(&unsigned, locked)
    }

    /// Signs a change, keeps it, and hands it to peers, as a payment is.
    ///
    /// # Errors
    /// As [`Self::quote_masternode`] and [`Self::send`].
    pub async fn change_masternode<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
        change: &MasternodeChange,
        fresh: PaymentName,
    ) -> Result<TxId, WalletError> {
        let (book, name) = self.named(change.id.as_deref(), fresh)?;
        if let Some(txid) = book.payment_named(&name) {
            return Ok(txid);
        }
        let (unsigned, _) = self.build_change(client, &*self.open_book(now(client))?, change).await?;
        let signed = self.sign(client, &book, unsigned)?;
        self.send_signed(client, &book, signed, name).await
    }

    async fn build_change<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
        book: &Book,
        change: &MasternodeChange,
    ) -> Result<(Unsigned, Amount), WalletError> {
        let held = match &change.masternode {
            Some(id) => Some(*client.masternodes().await?.value.node(id).ok_or(WalletError::NotOurs)?),
            None => None,
        };
        let builder = self.ready(client, book)?;
        let state = book.state.borrow();
        let owner = match (&held, &change.owner) {
            (Some(held), _) => held.owner,
            (None, Some(owner)) => Address::parse_for(self.chain.spec.consensus.network, owner)?,
            (None, None) => return Err(WalletError::NotOurs),
        };
        let lock = state.lock(&owner).ok_or(WalletError::NotOurs)?;
        let consent = match (change.operator, &change.operator_proof) {
            (Some(operator), Some(proof)) => {
                let proof = from_hex(proof).map_err(|_| BuildError::OperatorConsent)?;
                Ok(OperatorConsent { operator, proof: Signature(proof) })
            }
            _ => Err(BuildError::OperatorConsent),
        };
        let (builder, locked) = match held {
            Some(held) if change.operator.is_some() => {
                (builder.rotate_operator(held.id, held.operator, lock, consent?), Amount::ZERO)
            }
            Some(held) => (builder.retire_masternode(held.id, lock), Amount::ZERO),
            None => {
                let tier = match change.tier.as_deref() {
                    Some("bronze") => Tier::Bronze,
                    Some("silver") => Tier::Silver,
                    Some("gold") => Tier::Gold,
                    _ => return Err(WalletError::Change),
                };
                let class = match change.class.as_deref() {
                    Some("server") => Class::Server,
                    Some("browser") => Class::Browser,
                    _ => return Err(WalletError::Change),
                };
                let registration = Registration { tier, class, owner, payout: owner, consent: consent? };
                (builder.register_masternode(&registration), tier.collateral())
            }
        };
        let back = state.account().receive().ok_or(WalletError::Locked)?;
        Ok((builder.fund(&state.spendable(state.coverage().time), back)?, locked))
    }
}
