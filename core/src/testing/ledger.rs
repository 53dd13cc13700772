//! A chain without a network: blocks derived by the rules and certified by known keys, one after the other.
//!
//! It plays all validators, so it decides who signs and when blocks are made; the rules decide the rest. Beside
//! the state it keeps the plain set of coins, which is what the tree must agree with.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::address::Network;
use crate::amount::Amount;
use crate::certificate::Certificate;
use crate::hash::{ChainId, Owner};
use crate::keys::{PublicKey, SecretKey};
use crate::lock::Lock;
use crate::spec::{ConsensusSpec, GenesisMasternode, Rules, RulesFrom};
use crate::state::{
    Applied, BlockError, ChainState, Draft, VerifiedCertificate, VerifiedEvidence, derive, genesis,
};
use crate::time::Time;
use crate::transaction::{
    Action, Class, OutPoint, Output, SignedTransaction, TRANSACTION_VERSION, Tier, Transaction,
    TransactionError, VerifiedTransaction, sign,
};
use crate::vote::{Height, ViewNumber};

use super::chain::{certify, commit_data, key};

/// Number of the key that owns the genesis coins.
pub const RICH: u64 = 1_000;

/// The owner that the key with this number is.
#[must_use]
pub fn owner(number: u64) -> Owner {
    Lock::Key(key(number).public_key()).owner()
}

/// A genesis masternode: operated by the key with this number, owned and paid out to that number plus 100.
#[must_use]
pub fn masternode(number: u64, tier: Tier, class: Class) -> GenesisMasternode {
    let owner = owner(100 + number);
    GenesisMasternode { tier, class, owner, operator: key(number).public_key(), payout: owner }
}

/// A chain of Bronze servers with keys 1 to `validators`, epochs of five blocks, and `coins` coins of
/// [`RICH`], of 1,000 TIME together.
#[must_use]
pub fn ledger_spec(validators: u64, coins: u64) -> ConsensusSpec {
    let amount = Amount(Amount::from_time(1000).0 / coins);
    ConsensusSpec {
        network: Network::Dev,
        name: "a ledger for tests".into(),
        genesis_time: Time(1_000_000),
        allocations: (0..coins).map(|_| Output { amount, owner: owner(RICH) }).collect(),
        masternodes: (1..=validators).map(|number| masternode(number, Tier::Bronze, Class::Server)).collect(),
        rules: vec![RulesFrom { from: Height(0), rules: Rules { epoch_blocks: 5, ..Rules::dev() } }],
    }
}

/// A payment of whole coins of one key.
#[derive(Clone, Debug)]
pub struct Payment {
    /// Whose coins.
    pub from: u64,
    /// The coins spent.
    pub coins: Vec<(OutPoint, Output)>,
    /// The coins made.
    pub outputs: Vec<Output>,
    /// What else it does.
    pub action: Action,
    /// Its expiry.
    pub expires_at: Time,
    /// Further keys that sign.
    pub also: Vec<u64>,
}

impl Payment {
    /// Signed for a chain.
    #[must_use]
    pub fn sign(self, chain: &ChainId) -> SignedTransaction {
        let (inputs, spent) = self.coins.into_iter().unzip();
        let transaction = Transaction {
            version: TRANSACTION_VERSION,
            inputs,
            outputs: self.outputs,
            action: self.action,
            expires_at: self.expires_at,
            memo: Vec::new(),
        };
        let keys: Vec<_> = [self.from].into_iter().chain(self.also).map(key).collect();
        sign(transaction, spent, chain, &keys)
    }
}

/// A chain that grows block by block.
#[derive(Clone)]
pub struct Ledger {
    /// The chain's numbers.
    pub spec: Arc<ConsensusSpec>,
    /// Its id.
    pub chain: ChainId,
    /// The state after the newest block.
    pub state: ChainState,
    /// The certificate of the newest block; none for genesis.
    pub certificate: Option<Certificate>,
    /// Unspent coins.
    pub coins: BTreeMap<OutPoint, Output>,
    keys: BTreeMap<PublicKey, SecretKey>,
}

impl Ledger {
    /// A chain at genesis.
    ///
    /// # Panics
    /// If the spec has no genesis.
    #[must_use]
    pub fn new(spec: ConsensusSpec) -> Self {
        Self::with_genesis(spec).0
    }

    /// A chain at genesis, and its first block.
    ///
    /// # Panics
    /// If the spec has no genesis.
    #[must_use]
    pub fn with_genesis(spec: ConsensusSpec) -> (Self, Applied) {
        let applied = genesis(&spec).expect("the spec has a genesis");
        let ledger = Self {
            chain: spec.id(),
            spec: Arc::new(spec),
            state: applied.state.clone(),
            certificate: None,
            coins: applied.changes.made.iter().copied().collect(),
            keys: (0..100).map(key).map(|key| (key.public_key(), key)).collect(),
        };
        (ledger, applied)
    }

    /// The rules of the next block.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        self.spec.rules(self.state.height().next())
    }

    /// Unspent coins of an owner, in the order of their names.
    #[must_use]
    pub fn coins_of(&self, owner: &Owner) -> Vec<(OutPoint, Output)> {
        let own = self.coins.iter().filter(|(_, output)| output.owner == *owner);
        own.map(|(outpoint, output)| (*outpoint, *output)).collect()
    }

    /// A payment of one coin of the key `from` to `to`, the rest less a fee going back.
    ///
    /// # Panics
    /// If the coin is too small.
    #[must_use]
    pub fn payment(&self, from: u64, coin: (OutPoint, Output), to: u64, amount: Amount) -> Payment {
        let rest = coin.1.amount.checked_sub(amount).and_then(|rest| rest.checked_sub(Amount(10_000)));
        let rest = rest.expect("the coin covers amount and fee");
        let outputs = vec![Output { amount, owner: owner(to) }, Output { amount: rest, owner: owner(from) }];
        let expires_at = self.state.header.time.plus(3_600_000);
        Payment { from, coins: vec![coin], outputs, action: Action::Transfer, expires_at, also: Vec::new() }
    }

    /// Checks a transaction under the rules of the next block.
    pub fn verify(&self, signed: SignedTransaction) -> Result<Arc<VerifiedTransaction>, TransactionError> {
        VerifiedTransaction::verify(signed, &self.chain, &self.rules().transaction_limits()).map(Arc::new)
    }

    /// A draft of the next block, `after_ms` after the newest, by the proposer of view 0.
    ///
    /// # Panics
    /// If the parent's certificate does not verify.
    #[must_use]
    pub fn draft(&self, after_ms: u64, transactions: Vec<Arc<VerifiedTransaction>>) -> Draft {
        let proposer = self.state.proposer(self.rules(), ViewNumber(0));
        let parent_certificate = self.certificate.clone().map(|certificate| {
            VerifiedCertificate::verify(certificate, &self.state.signers, &self.chain)
                .expect("the ledger signs with the right keys")
        });
        Draft {
            view: ViewNumber(0),
            time: self.state.header.time.plus(after_ms),
            proposer: self.state.validators.validator(proposer).expect("the proposer is a member").key,
            transactions,
            evidence: Vec::new(),
            parent_certificate,
        }
    }

    /// The block that follows from a draft.
    pub fn derive(&self, draft: Draft) -> Result<Applied, BlockError> {
        derive(&self.spec, &self.chain, &self.state, draft)
    }

    /// A commit certificate of a block that follows the newest, by the members for whose keys `signs` holds.
    #[must_use]
    pub fn certify(&self, applied: &Applied, signs: impl Fn(&PublicKey) -> bool) -> Certificate {
        let set = &self.state.validators;
        let keys = set.iter().filter(|(_, member)| signs(&member.key));
        let keys = keys.filter_map(|(_, member)| self.keys.get(&member.key));
        certify(commit_data(&applied.block.header), set, keys, &self.chain)
    }

    /// Makes a derived block the newest.
    pub fn accept(&mut self, applied: &Applied, certificate: Certificate) {
        for (outpoint, _) in &applied.changes.spent {
            self.coins.remove(outpoint);
        }
        self.coins.extend(applied.changes.made.iter().copied());
        self.state = applied.state.clone();
        self.certificate = Some(certificate);
    }

    /// Makes the next block of these transactions, `after_ms` after the newest and signed by everyone.
    pub fn extend(
        &mut self,
        after_ms: u64,
        transactions: Vec<Arc<VerifiedTransaction>>,
        evidence: Vec<VerifiedEvidence>,
    ) -> Result<Applied, BlockError> {
        let draft = Draft { evidence, ..self.draft(after_ms, transactions) };
        let applied = self.derive(draft)?;
        let certificate = self.certify(&applied, |_| true);
        self.accept(&applied, certificate);
        Ok(applied)
    }

    /// The key of a validator.
    #[must_use]
    pub fn key(&self, operator: &PublicKey) -> Option<&SecretKey> {
        self.keys.get(operator)
    }
}

impl core::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Ledger({:?})", self.state)
    }
}
