//! A chain to measure on: a million coins of as many owners, some of whose keys are known, and blocks of payments.

use std::sync::Arc;

use timecoin_core::amount::Amount;
use timecoin_core::hash::{BlockId, ChainId, Hash, Owner, Tag, TxId};
use timecoin_core::keys::SecretKey;
use timecoin_core::lock::Lock;
use timecoin_core::spec::{ConsensusSpec, GenesisMasternode};
use timecoin_core::state::tree::Op;
use timecoin_core::state::{Applied, ChainState, Draft, VerifiedCertificate, derive, genesis};
use timecoin_core::testing::chain::{certify, commit_data, dev_spec, key};
use timecoin_core::transaction::{
    Action, OutPoint, Output, SignedTransaction, TRANSACTION_VERSION, Transaction, TransactionLimits,
    VerifiedTransaction, sign,
};
use timecoin_core::vote::ViewNumber;

/// Payments in a block, each of one coin to one new coin.
pub(super) const BLOCK: usize = 1_000;
/// Validators.
const OPERATORS: u64 = 4;
/// Keys of payers come after those of the operators.
const PAYERS: u64 = 1_000;
const COIN: Amount = Amount(100_000_000);
const FEE: Amount = Amount(1_000);

/// A chain at genesis, with its coins added.
pub(super) struct Economy {
    pub(super) spec: ConsensusSpec,
    pub(super) id: ChainId,
    pub(super) state: ChainState,
    coins: usize,
    /// Coins whose keys are known, so many apart.
    stride: usize,
}

impl Economy {
    /// A chain of `coins` coins, out of which `blocks` blocks can be made.
    pub(super) fn new(coins: usize, blocks: usize) -> Self {
        let mut spec = dev_spec();
        let [first] = &spec.masternodes[..] else { panic!("the spec for tests has one masternode") };
        let operator = |number| GenesisMasternode { operator: key(number).public_key(), ..*first };
        spec.masternodes = (0..OPERATORS).map(operator).collect();
        for entry in &mut spec.rules {
            entry.rules.epoch_blocks = 1_000_000;
        }
        let state = genesis(&spec).expect("a sound spec").state;
        let mut economy = Self { id: spec.id(), spec, state, coins, stride: coins / (blocks * BLOCK) };
        for start in (0..coins).step_by(10_000) {
            let ops = (start..coins.min(start + 10_000)).map(|number| {
                let (outpoint, output) = economy.coin(number);
                Op::Insert(outpoint, output)
            });
            let ops: Vec<Op> = ops.collect();
            economy.state.coins.apply(&ops).expect("new coins");
        }
        economy
    }

    pub(super) fn limits(&self) -> TransactionLimits {
        self.spec.rules(self.state.height()).transaction_limits()
    }

    /// The coin with this number.
    pub(super) fn coin(&self, number: usize) -> (OutPoint, Output) {
        let owner = match number.is_multiple_of(self.stride) {
            true => owner_of(&payer(number / self.stride)),
            false => Owner(hash(0, number)),
        };
        (OutPoint { txid: TxId(hash(1, number)), index: 0 }, Output { amount: COIN, owner })
    }

    /// All coins but those of genesis.
    pub(super) fn coins(&self) -> impl Iterator<Item = (OutPoint, Output)> {
        (0..self.coins).map(|number| self.coin(number))
    }

    /// The payments of block `number`.
    pub(super) fn payments(&self, number: usize) -> Vec<SignedTransaction> {
        // Neighbours in a block are not neighbours in time.
        let payments = self.coins / self.stride;
        let blocks = payments / BLOCK;
        let payment = |at| self.payment((at * blocks + number) % payments);
        (0..BLOCK).map(payment).collect()
    }

    fn payment(&self, number: usize) -> SignedTransaction {
        let (outpoint, coin) = self.coin(number * self.stride);
        pay(&self.id, &[(outpoint, coin)], &payer(number), Owner(hash(2, number)), self.state.header.time)
    }

    /// A block of these payments on `parent`.
    pub(super) fn block(&self, parent: &ChainState, transactions: Vec<Arc<VerifiedTransaction>>) -> Draft {
        let rules = self.spec.rules(parent.height().next());
        let proposer = parent.validators.validator(parent.proposer(rules, ViewNumber(0)));
        Draft {
            view: ViewNumber(0),
            time: parent.header.time.plus(rules.block_interval_min_ms),
            proposer: proposer.expect("a set has its proposer").key,
            transactions,
            evidence: Vec::new(),
            parent_certificate: (parent.height().0 > 0).then(|| self.certificate(parent)),
        }
    }

    fn certificate(&self, state: &ChainState) -> VerifiedCertificate {
        let keys: Vec<SecretKey> = (0..OPERATORS).map(key).collect();
        let certificate = certify(commit_data(&state.header), &state.signers, &keys, &self.id);
        VerifiedCertificate::from_checked_votes(certificate, &state.signers)
    }

    /// These payments, checked.
    pub(super) fn verify(&self, payments: Vec<SignedTransaction>) -> Vec<Arc<VerifiedTransaction>> {
        let verified = VerifiedTransaction::verify_all(payments, &self.id, &self.limits());
        verified.expect("good payments").into_iter().map(Arc::new).collect()
    }

    pub(super) fn derive(&self, parent: &ChainState, draft: Draft) -> Applied {
        derive(&self.spec, &self.id, parent, draft).expect("a good block")
    }

    /// The id of the newest block.
    pub(super) fn tip(&self) -> BlockId {
        self.state.id
    }
}

/// A signed payment of all of these coins, the payer's, to one new coin.
pub(super) fn pay(
    chain: &ChainId,
    coins: &[(OutPoint, Output)],
    payer: &SecretKey,
    payee: Owner,
    now: timecoin_core::time::Time,
) -> SignedTransaction {
    let (inputs, spent): (Vec<OutPoint>, Vec<Output>) = coins.iter().copied().unzip();
    let fee = Amount(FEE.0 * (1 + coins.len() as u64));
    let sum = Amount::checked_sum(spent.iter().map(|coin| coin.amount)).expect("less than all money");
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        inputs,
        outputs: vec![Output { amount: sum.checked_sub(fee).expect("coins worth more"), owner: payee }],
        action: Action::Transfer,
        expires_at: now.plus(3_600_000),
        memo: Vec::new(),
    };
    sign(transaction, spent, chain, core::slice::from_ref(payer))
}

/// The key of a payer.
pub(super) fn payer(number: usize) -> SecretKey {
    key(PAYERS + number as u64)
}

pub(super) fn owner_of(key: &SecretKey) -> Owner {
    Lock::Key(key.public_key()).owner()
}

pub(super) fn hash(kind: u8, number: usize) -> Hash {
    const NAME: Tag = Tag::new("bench");
    NAME.hash(&[&[kind], &number.to_le_bytes()])
}
