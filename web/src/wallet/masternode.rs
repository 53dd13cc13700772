//! Masternodes of the wallet: registering one, giving one another operator, retiring one. The owner's key is the wallet's; the
//! operator's never comes here, only its consent.

use timecoin_core::address::Address;
use timecoin_core::amount::Amount;
use timecoin_core::driver::light::Source;
use timecoin_core::hash::{Hash, MasternodeId, TxId, from_hex};
use timecoin_core::keys::{PublicKey, Signature};
use timecoin_core::store::Store;
use timecoin_core::transaction::{Class, Tier};
use timecoin_core::wallet::build::{BuildError, OperatorConsent, Registration, Unsigned};

use super::book::Book;
use super::pay::{Quote, name};
use super::{Client, Wallet, WalletError, now};

crate::api! {
    /// What to do with a masternode. One that is not named is registered: this locks its collateral. One that is named gets the
    /// operator that is named, or retires where none is.
    params MasternodeChange {
        /// Its id.
        masternode: Option<String>,
        /// One of the wallet's addresses, which will own it and be paid its rewards.
        owner: Option<String>,
        /// `bronze`, `silver` or `gold`.
        tier: Option<String>,
        /// `server` or `browser`.
        class: Option<String>,
        /// The operator's public key.
        operator: Option<String>,
        /// Its consent to the owner.
        operator_proof: Option<String>,
        /// 32 hexadecimal digits that name this change: under one name it is made once. Without a name it is only priced.
        id: Option<String>,
    }

    /// A change of a masternode that was priced or made.
    struct Changed {
        /// What it costs; `amount` is the collateral that it locks. Null where it was made before.
        quote: Option<Quote>,
        /// The transaction, once it is on its way.
        txid: Option<TxId>,
    }
}

impl<W: Store> Wallet<W> {
    /// What a change would cost now; with an `id` it is signed, kept, and handed to peers, as a payment is.
    ///
    /// # Errors
    /// If the wallet is locked or not up to date, the masternode is not its own, or the operator does not consent; and as
    /// [`Self::send`].
    pub async fn change_masternode<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
        change: &MasternodeChange,
    ) -> Result<Changed, WalletError> {
        let book = self.book()?;
        let id = change.id.as_deref().map(name).transpose()?;
        if let Some(txid) = id.and_then(|id| book.payment_named(&id)) {
            return Ok(Changed { quote: None, txid: Some(txid) });
        }
        let (unsigned, locked) = self.build_change(client, &*self.open_book(now(client))?, change).await?;
        let quote = Some(Quote::of(&unsigned, locked)?);
        let Some(id) = id else { return Ok(Changed { quote, txid: None }) };
        let signed = self.sign(client, &book, unsigned)?;
        Ok(Changed { quote, txid: Some(self.send_signed(client, &book, signed, id).await?) })
    }

    async fn build_change<S: Source, D: Store>(
        &self,
        client: &Client<S, D>,
        book: &Book,
        change: &MasternodeChange,
    ) -> Result<(Unsigned, Amount), WalletError> {
        let held = match &change.masternode {
            Some(id) => {
                let id = MasternodeId(Hash(from_hex(id).map_err(|_| WalletError::NotOurs)?));
                Some(*client.masternodes().await?.value.node(&id).ok_or(WalletError::NotOurs)?)
            }
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
        let consent = match (&change.operator, &change.operator_proof) {
            (Some(operator), Some(proof)) => consent(operator, proof),
            _ => None,
        };
        let consent = consent.ok_or(BuildError::OperatorConsent);
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

fn consent(operator: &str, proof: &str) -> Option<OperatorConsent> {
    let (operator, proof) = (PublicKey(from_hex(operator).ok()?), Signature(from_hex(proof).ok()?));
    Some(OperatorConsent { operator, proof })
}
