//! The chain spec: everything that makes one chain differ from another, in one file.
//!
//! The hash of its consensus part is the chain id. Bootstrap peers and checkpoints are outside it, so that they
//! can change without making another chain. Rules are a table by height from day one.

mod built_in;

use serde::{Deserialize, Serialize};

use crate::address::Network;
use crate::amount::Amount;
use crate::block::Header;
use crate::codec::encode;
use crate::hash::{BlockId, ChainId, Hash, Owner, Tag};
use crate::json::{self, JsonError};
use crate::keys::PublicKey;
use crate::time::Time;
use crate::transaction::{Class, Output, Tier, TransactionLimits};
use crate::validators::VALIDATORS_MAX;
use crate::vote::Height;

pub use built_in::founder;

/// A chain, as read from its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainSpec {
    /// What every node must agree on.
    pub consensus: ConsensusSpec,
    /// WebSocket URLs of the first peers to try.
    #[serde(default)]
    pub bootstrap: Vec<String>,
    /// Points a light node may start from, newest last.
    #[serde(default)]
    pub checkpoints: Vec<Checkpoint>,
}

/// The part whose hash is the chain id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsensusSpec {
    /// Which addresses it uses.
    pub network: Network,
    /// Free text that sets chains with equal parameters apart.
    pub name: String,
    /// Time of the genesis header.
    pub genesis_time: Time,
    /// Coins that exist from the start.
    pub allocations: Vec<Output>,
    /// Masternodes that exist from the start; their collateral is created with them.
    pub masternodes: Vec<GenesisMasternode>,
    /// Rules by the height they start at: ascending, the first at 0.
    pub rules: Vec<RulesFrom>,
}

/// A masternode of the genesis block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisMasternode {
    /// Its collateral class.
    pub tier: Tier,
    /// Where it runs.
    pub class: Class,
    /// Who owns the collateral.
    pub owner: Owner,
    /// The hot key that votes.
    pub operator: PublicKey,
    /// Who receives rewards.
    pub payout: Owner,
}

/// Rules in force from a height on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesFrom {
    /// The first height.
    pub from: Height,
    /// What holds there.
    pub rules: Rules,
}

/// Every number the rules use. Durations in milliseconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Blocks per epoch: the last one of each pays rewards and changes the validator set.
    pub epoch_blocks: u64,
    /// Least time between the headers of consecutive blocks.
    pub block_interval_min_ms: u64,
    /// An idle chain makes a block after this long.
    pub heartbeat_ms: u64,
    /// How far a header's time may lie ahead of a validator's clock.
    pub clock_drift_max_ms: u64,
    /// Waiting for a proposal, in view 0.
    pub timeout_propose_ms: u64,
    /// Waiting for agreeing Prepares, in view 0.
    pub timeout_prepare_ms: u64,
    /// Waiting for agreeing Commits, in view 0.
    pub timeout_commit_ms: u64,
    /// Added to each timeout per view.
    pub timeout_growth_ms: u64,
    /// No timeout is longer.
    pub timeout_max_ms: u64,
    /// How long collateral stays locked after retirement or ejection.
    pub unbonding_ms: u64,
    /// Evidence is accepted from this many epochs back.
    pub evidence_epochs: u32,
    /// Most bytes of a block's transactions.
    pub block_size_max: u32,
    /// Most bytes of one signed transaction.
    pub transaction_size_max: u32,
    /// Most evidence in one block.
    pub block_evidence_max: u32,
    /// Least fee in grains per 1,000 bytes.
    pub fee_per_kb_min: u64,
    /// Least amount of an output.
    pub output_min: Amount,
    /// Furthest a transaction may set its expiry beyond the header time.
    pub expiry_max_ms: u64,
    /// Most validators in a set.
    pub validators_max: u32,
    /// A validator that signed none of the last so many certificates does not propose.
    pub absence_window: u64,
    /// Money created per emission interval of chain time.
    pub emission: Amount,
    /// The emission interval.
    pub emission_interval_ms: u64,
}

/// A point of the chain that a light node may trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Height of the block.
    pub height: Height,
    /// Its id.
    pub block: BlockId,
    /// Hash of the set that signs the next block.
    pub validators: Hash,
    /// Time of its header.
    pub time: Time,
}

impl Checkpoint {
    /// The point a header makes.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        let Header { height, time, next_validators_hash, .. } = *header;
        Self { height, block: header.id(), validators: next_validators_hash, time }
    }
}

/// Why a chain spec cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Not JSON, or a key is unknown, missing or of the wrong type.
    #[error("chain spec: {0}")]
    Malformed(JsonError),
    /// The rules table is empty, does not start at height 0 or is not ascending.
    #[error("chain spec: rules must start at height 0 and ascend")]
    RulesOrder,
    /// A number that no chain can run with.
    #[error("chain spec: {field} is out of range")]
    OutOfRange {
        /// Which number.
        field: &'static str,
    },
    /// The genesis coins reach the supply limit.
    #[error("chain spec: the allocations exceed the supply limit")]
    Supply,
    /// The genesis masternodes do not form a validator set.
    #[error("chain spec: {0}")]
    Masternodes(String),
}

impl ChainSpec {
    /// Parses and checks a spec file.
    pub fn from_json(text: &str) -> Result<Self, SpecError> {
        let spec: Self = json::read(text).map_err(SpecError::Malformed)?;
        spec.consensus.check()?;
        Ok(spec)
    }

    /// The spec as a file.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a spec is plain data")
    }
}

impl ConsensusSpec {
    const ID: Tag = Tag::new("timecoin chain");

    /// The id of the chain.
    #[must_use]
    pub fn id(&self) -> ChainId {
        ChainId(Self::ID.hash(&[&encode(self)]))
    }

    /// The rules in force at a height.
    ///
    /// # Panics
    /// If the spec was not checked.
    #[must_use]
    pub fn rules(&self, height: Height) -> &Rules {
        let at = self.rules.iter().rposition(|entry| entry.from <= height);
        &self.rules[at.expect("a checked spec has rules from height 0")].rules
    }

    /// Money that exists at genesis: allocations and collateral.
    #[must_use]
    pub fn genesis_supply(&self) -> Option<Amount> {
        let allocated = self.allocations.iter().map(|output| output.amount);
        Amount::checked_sum(allocated.chain(self.masternodes.iter().map(|node| node.tier.collateral())))
    }

    /// Money issued by a moment of chain time: genesis supply plus emission, below the supply limit.
    /// Emission is linear in time at the rates of the first rules (a change of rate needs a new formula here).
    ///
    /// # Panics
    /// If the spec was not checked.
    #[must_use]
    pub fn issued(&self, time: Time) -> Amount {
        let genesis = self.genesis_supply().expect("a checked spec has a sound supply");
        let rules = self.rules(Height(0));
        let emitted =
            rules.emission.checked_mul_div(time.since(self.genesis_time), rules.emission_interval_ms.max(1));
        let most = Amount(Amount::SUPPLY_LIMIT.0 - 1);
        emitted.and_then(|emitted| genesis.checked_add(emitted)).unwrap_or(most)
    }

    /// Checks that a chain can run with these numbers.
    pub fn check(&self) -> Result<(), SpecError> {
        let ascending = self.rules.is_sorted_by(|one, two| one.from < two.from);
        if !ascending || self.rules.first().is_none_or(|first| first.from != Height(0)) {
            return Err(SpecError::RulesOrder);
        }
        self.rules.iter().try_for_each(|entry| entry.rules.check())?;
        self.genesis_supply().ok_or(SpecError::Supply)?;
        if self.masternodes.is_empty() {
            return Err(SpecError::Masternodes("a chain starts with at least one masternode".into()));
        }
        for node in &self.masternodes {
            node.operator.check().map_err(|error| SpecError::Masternodes(error.to_string()))?;
        }
        Ok(())
    }
}

impl Rules {
    fn check(&self) -> Result<(), SpecError> {
        let wire_max = (2 << 20) as u32;
        let ranges: [(&'static str, bool); 9] = [
            ("epoch_blocks", self.epoch_blocks >= 1),
            ("heartbeat_ms", self.heartbeat_ms > self.block_interval_min_ms),
            ("timeout_max_ms", self.timeout_max_ms >= self.timeout_propose_ms.max(1)),
            ("block_size_max", (1..=wire_max).contains(&self.block_size_max)),
            (
                "transaction_size_max",
                (1..=self.block_size_max.min(128 << 10)).contains(&self.transaction_size_max),
            ),
            ("block_evidence_max", self.block_evidence_max <= 256),
            ("validators_max", (1..=VALIDATORS_MAX as u32).contains(&self.validators_max)),
            ("evidence_epochs", (1..=64).contains(&self.evidence_epochs)),
            ("emission_interval_ms", self.emission_interval_ms > 0),
        ];
        match ranges.into_iter().find(|(_, holds)| !holds) {
            Some((field, _)) => Err(SpecError::OutOfRange { field }),
            None => Ok(()),
        }
    }

    /// The limits of form a transaction must keep.
    #[must_use]
    pub fn transaction_limits(&self) -> TransactionLimits {
        TransactionLimits {
            size_max: self.transaction_size_max as usize,
            output_min: self.output_min,
            fee_per_kb_min: self.fee_per_kb_min,
        }
    }

    /// The rules of the main network.
    #[must_use]
    pub fn main() -> Self {
        Self {
            epoch_blocks: 1440,
            block_interval_min_ms: 200,
            heartbeat_ms: 60_000,
            clock_drift_max_ms: 10_000,
            timeout_propose_ms: 2000,
            timeout_prepare_ms: 1000,
            timeout_commit_ms: 1000,
            timeout_growth_ms: 500,
            timeout_max_ms: 60_000,
            unbonding_ms: 21 * 24 * 3_600_000,
            evidence_epochs: 32,
            block_size_max: 1 << 20,
            transaction_size_max: 100_000,
            block_evidence_max: 64,
            fee_per_kb_min: 1000,
            output_min: Amount(1000),
            expiry_max_ms: 24 * 3_600_000,
            validators_max: VALIDATORS_MAX as u32,
            absence_window: 64,
            emission: Amount::from_time(100),
            emission_interval_ms: 600_000,
        }
    }

    /// The rules of a development network: the main network's with short intervals and epochs.
    #[must_use]
    pub fn dev() -> Self {
        Self {
            epoch_blocks: 100,
            block_interval_min_ms: 5,
            heartbeat_ms: 10_000,
            timeout_propose_ms: 1000,
            timeout_prepare_ms: 500,
            timeout_commit_ms: 500,
            timeout_growth_ms: 250,
            unbonding_ms: 600_000,
            absence_window: 16,
            ..Self::main()
        }
    }
}
