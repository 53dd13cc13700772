//! A chain of headers, certificates and bodies with known keys, made by nobody's rules: for light clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::address::Network;
use crate::amount::Amount;
use crate::block::{BLOCK_VERSION, Body, Header, transaction_leaf};
use crate::certificate::{Bitmap, Certificate};
use crate::evidence::Evidence;
use crate::hash::{BlockId, ChainId, Hash, MasternodeId, Owner, StateRoot};
use crate::keys::{PublicKey, SecretKey};
use crate::light::{AgePolicy, LightBlock, Options, Trusted};
use crate::merkle::{Blake, Frontier, InclusionProof};
use crate::spec::{ConsensusSpec, GenesisMasternode, Rules, RulesFrom};
use crate::time::Time;
use crate::transaction::{
    Action, Class, OutPoint, Output, SignedTransaction, TRANSACTION_VERSION, Tier, Transaction,
};
use crate::validators::{Validator, ValidatorSet};
use crate::vote::{Height, Phase, ViewNumber, VoteData};

/// A small valid spec of a development chain, with the main network's unbonding period.
#[must_use]
pub fn dev_spec() -> ConsensusSpec {
    let node = GenesisMasternode {
        tier: Tier::Bronze,
        class: Class::Server,
        owner: Owner(Hash([1; 32])),
        operator: key(0).public_key(),
        payout: Owner(Hash([2; 32])),
    };
    let rules = Rules { unbonding_ms: Rules::main().unbonding_ms, ..Rules::dev() };
    ConsensusSpec {
        network: Network::Dev,
        name: "a chain for tests".into(),
        genesis_time: Time(1_700_000_000_000),
        allocations: Vec::new(),
        masternodes: vec![node],
        rules: vec![RulesFrom { from: Height(0), rules }],
    }
}

/// The key with this number.
#[must_use]
pub fn key(number: u64) -> SecretKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}

/// A set of (key, weight).
///
/// # Panics
/// If they form no set.
#[must_use]
pub fn validator_set(members: &[(PublicKey, u64)]) -> ValidatorSet {
    let member = |(key, weight): &(PublicKey, u64)| Validator {
        key: *key,
        weight: *weight,
        masternode: MasternodeId(Hash(key.0)),
    };
    ValidatorSet::new(members.iter().map(member).collect()).expect("members form a set")
}

/// What is signed to commit a header in view 0.
#[must_use]
pub fn commit_data(header: &Header) -> VoteData {
    VoteData {
        phase: Phase::Commit,
        height: header.height,
        view: ViewNumber(0),
        block: Some(header.id()),
        valid_view: None,
    }
}

/// Signatures of `signers`, those in `set`, on `data`: a certificate in form, whether or not they are a quorum.
#[must_use]
pub fn certify<'a>(
    data: VoteData,
    set: &ValidatorSet,
    signers: impl IntoIterator<Item = &'a SecretKey>,
    chain: &ChainId,
) -> Certificate {
    let message = data.sign_bytes(chain);
    let signatures: BTreeMap<_, _> = signers
        .into_iter()
        .filter_map(|key| Some((set.index_of(&key.public_key())?, key.sign(&message))))
        .collect();
    let mut bitmap = Bitmap::empty(set.len());
    signatures.keys().for_each(|index| bitmap.insert(*index));
    Certificate { data, signers: bitmap, signatures: signatures.into_values().collect() }
}

/// A chain whose validators, all of equal weight, are partly replaced in the last block of each epoch.
#[derive(Debug)]
pub struct TestChain {
    spec: Arc<ConsensusSpec>,
    keys: BTreeMap<PublicKey, SecretKey>,
    /// By epoch.
    sets: Vec<ValidatorSet>,
    /// By height.
    headers: Vec<Header>,
    history: Vec<Hash>,
}

impl TestChain {
    /// A chain of `blocks` blocks after genesis with `validators` members, of which `replaced` change per epoch.
    #[must_use]
    pub fn new(validators: u64, epoch_blocks: u64, replaced: u64, blocks: u64) -> Self {
        let mut spec = dev_spec();
        spec.rules[0].rules.epoch_blocks = epoch_blocks;
        let epochs = blocks / epoch_blocks + 2;
        let numbers = 0..epochs * replaced + validators;
        let all: Vec<SecretKey> = numbers.map(key).collect();
        let members: Vec<_> = all.iter().map(|key| (key.public_key(), 10)).collect();
        let starts = (0..epochs).map(|epoch| (epoch * replaced) as usize);
        let sets = starts.map(|start| validator_set(&members[start..start + validators as usize])).collect();
        let keys = all.into_iter().map(|key| (key.public_key(), key)).collect();
        let mut chain = Self { spec: Arc::new(spec), keys, sets, headers: Vec::new(), history: Vec::new() };
        chain.extend(blocks);
        chain
    }

    fn extend(&mut self, blocks: u64) {
        let (mut parent, mut frontier) = (BlockId::default(), Frontier::default());
        for height in (0..=blocks).map(Height) {
            let time = self.spec.genesis_time.plus(height.0 * 1000);
            let validators_hash = if height.0 == 0 { Hash::ZERO } else { self.validators(height).hash() };
            let header = Header {
                version: BLOCK_VERSION,
                height,
                view: ViewNumber(0),
                time,
                parent,
                transactions_root: self.body(height).transactions_root(),
                state_root: StateRoot(Hash([height.0 as u8; 32])),
                supply: self.spec.issued(time),
                filter_hash: Hash([!height.0 as u8; 32]),
                history_root: frontier.root::<Blake>(),
                validators_hash,
                next_validators_hash: self.validators(height.next()).hash(),
                evidence_root: Evidence::root(&[]),
                parent_certificate_hash: Certificate::hash(None),
                proposer: PublicKey::default(),
            };
            parent = header.id();
            frontier.append::<Blake>(header.history_leaf());
            self.history.push(header.history_leaf());
            self.headers.push(header);
        }
    }

    /// The chain's numbers.
    #[must_use]
    pub fn spec(&self) -> &Arc<ConsensusSpec> {
        &self.spec
    }

    /// Options of a client under the usual policy.
    #[must_use]
    pub fn options(&self) -> Options {
        Options::new(self.spec.clone(), AgePolicy::TrustPeriod)
    }

    /// The newest height.
    #[must_use]
    pub fn tip(&self) -> Height {
        self.headers.last().expect("a chain has a genesis block").height
    }

    /// The header at a height.
    #[must_use]
    pub fn header(&self, height: Height) -> &Header {
        &self.headers[height.0 as usize]
    }

    /// The set that signs the block of this height, from 1.
    #[must_use]
    pub fn validators(&self, height: Height) -> &ValidatorSet {
        let epoch_blocks = self.spec.rules(Height(0)).epoch_blocks;
        &self.sets[(height.0.saturating_sub(1) / epoch_blocks) as usize]
    }

    /// The keys of a set's members, in set order.
    pub fn keys(&self, set: &ValidatorSet) -> impl Iterator<Item = &SecretKey> {
        set.iter().map(|(_, member)| &self.keys[&member.key])
    }

    /// A header signed by just a quorum of its set; which members depends on the height.
    #[must_use]
    pub fn certificate(&self, header: &Header) -> Certificate {
        let set = self.validators(header.height);
        let quorum = set.len() * 2 / 3 + 1;
        let signers: Vec<_> = self.keys(set).collect();
        let from = (header.height.0 * 7) as usize % set.len();
        let signers = signers.into_iter().cycle().skip(from).take(quorum);
        certify(commit_data(header), set, signers, &self.spec.id())
    }

    /// The light block at a height, from 1.
    #[must_use]
    pub fn light_block(&self, height: Height) -> LightBlock {
        let header = self.header(height).clone();
        let (validators, next) = (self.validators(height).clone(), self.validators(height.next()).clone());
        LightBlock::new(header.clone(), self.certificate(&header), validators, next)
    }

    /// Trust in the block at a height.
    #[must_use]
    pub fn trusted(&self, height: Height) -> Trusted {
        let header = self.header(height);
        let next_validators = self.validators(height.next()).clone();
        Trusted { height, id: header.id(), time: header.time, next_validators }
    }

    /// The body at a height: as many transactions as its last digit, without signatures.
    #[must_use]
    pub fn body(&self, height: Height) -> Body {
        let transactions = (0..height.0 % 10).map(|at| transaction(height, at as u32)).collect();
        Body { transactions, ..Body::default() }
    }

    /// Proves the block at `old` in the history of the block at `new`.
    #[must_use]
    pub fn history_proof(&self, old: Height, new: Height) -> InclusionProof {
        InclusionProof::from_leaves::<Blake>(&self.history[..new.0 as usize], old.0)
            .expect("the old block is below the new one")
    }

    /// Proves a transaction in the block at a height.
    #[must_use]
    pub fn transaction_proof(&self, height: Height, index: u64) -> InclusionProof {
        let leaves: Vec<_> = self.body(height).transactions.iter().map(transaction_leaf).collect();
        InclusionProof::from_leaves::<Blake>(&leaves, index).expect("the block has this transaction")
    }
}

fn transaction(height: Height, index: u32) -> SignedTransaction {
    let output = Output { amount: Amount(1000 + height.0), owner: Owner(Hash([index as u8; 32])) };
    let input = OutPoint { index, ..OutPoint::default() };
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        inputs: vec![input],
        outputs: vec![output, output],
        action: Action::Transfer,
        expires_at: Time(height.0),
        memo: b"thank you".to_vec(),
    };
    SignedTransaction { transaction, spent: vec![output], witnesses: Vec::new() }
}
