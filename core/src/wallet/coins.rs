//! Coin selection: which coins pay for a transaction, what it then costs, and what comes back.
//!
//! Deterministic: the same coins in any order give the same choice, largest first. A coin that costs more to
//! spend than it is worth is left alone, counting the one witness that all coins of an owner share. Sizes are
//! exact, because every field has a fixed width, so a fee is never guessed. Which coins may be spent (not
//! locked as collateral, not already promised) is decided by whoever lists them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::set_of;
use crate::amount::Amount;
use crate::codec::encode;
use crate::hash::Owner;
use crate::lock::Lock;
use crate::transaction::{OutPoint, Output, fee_min};

/// Bytes that one input adds to a signed transaction: its name and the coin claimed.
pub const INPUT_SIZE: usize = 36 + OUTPUT_SIZE;
/// Bytes that one output adds.
pub const OUTPUT_SIZE: usize = 40;

/// Bytes of the witness that opens `lock`, whatever the signatures.
#[must_use]
pub fn witness_size(lock: &Lock) -> usize {
    encode(lock).len() + 8 + lock.required() * (1 + 64)
}

/// A coin together with the lock that opens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spendable {
    /// Its name.
    pub outpoint: OutPoint,
    /// Its amount and owner.
    pub output: Output,
    /// The lock whose hash is the owner.
    pub lock: Lock,
}

/// What the coins must pay for.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    /// Sum of the outputs that are already there.
    pub(super) outputs: Amount,
    /// Bytes of the signed form without inputs and without their witnesses.
    pub(super) base_size: usize,
    /// An owner whose witness is in `base_size` already.
    pub(super) witnessed: Option<Owner>,
    /// Whether change must be made: a transaction needs an output.
    pub(super) change_required: bool,
    /// Grains per 1,000 bytes.
    pub(super) fee_per_kb: u64,
    /// Paid even where the rate asks for less.
    pub(super) fee_min: Amount,
    /// Least amount of an output.
    pub(super) output_min: Amount,
    /// Most bytes of the signed form.
    pub(super) size_max: usize,
}

/// The coins chosen. Their sum is exactly outputs + fee + change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// Ascending by name.
    pub(super) coins: Vec<Spendable>,
    /// The least fee at the rate asked for; more only where change would be too small to be a coin.
    pub(super) fee: Amount,
    /// What comes back, where it is enough for an output.
    pub(super) change: Option<Amount>,
}

/// Why no choice of coins pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SelectError {
    /// `have` is the sum of all coins worth spending; `need` what the transaction costs with all of them.
    InsufficientFunds { have: Amount, need: Amount },
    /// The coins that pay do not fit into one transaction; `have` is what those that fit amount to.
    TooLarge { size: usize, size_max: usize, have: Amount },
    /// Sums reach the supply limit.
    Overflow,
}

impl Demand {
    fn fee(&self, size: usize) -> Amount {
        fee_min(size, self.fee_per_kb).max(self.fee_min)
    }

    /// What must be there for the demand to be met at `size`.
    fn need(&self, size: usize) -> Option<Amount> {
        if self.change_required {
            let change = self.output_min.max(Amount(1));
            return self.outputs.checked_add(change)?.checked_add(self.fee(size + OUTPUT_SIZE));
        }
        self.outputs.checked_add(self.fee(size))
    }

    /// Coins worth spending, largest first, each once.
    fn worthwhile(&self, coins: &[Spendable]) -> Vec<Spendable> {
        // In thousandths of a grain, the unit of the fee rate.
        let cost = |size: usize| u128::from(self.fee_per_kb) * size as u128;
        let worth = |coin: &Spendable| u128::from(coin.output.amount.0) * 1000;
        let mut owners: BTreeMap<Owner, BTreeMap<OutPoint, &Spendable>> = BTreeMap::new();
        for coin in coins.iter().filter(|coin| worth(coin) > cost(INPUT_SIZE)) {
            owners.entry(coin.output.owner).or_default().insert(coin.outpoint, coin);
        }
        let pays_for_witness = |owner: &Owner, coins: &BTreeMap<OutPoint, &Spendable>| {
            let gain: u128 = coins.values().map(|coin| worth(coin) - cost(INPUT_SIZE)).sum();
            let lock = coins.values().next().map(|coin| &coin.lock);
            self.witnessed == Some(*owner) || lock.is_some_and(|lock| gain > cost(witness_size(lock)))
        };
        owners.retain(|owner, coins| pays_for_witness(owner, coins));
        let mut coins: Vec<Spendable> =
            owners.into_values().flat_map(BTreeMap::into_values).cloned().collect();
        coins.sort_unstable_by(|one, two| {
            two.output.amount.cmp(&one.output.amount).then(one.outpoint.cmp(&two.outpoint))
        });
        coins
    }
}

/// The coins taken so far.
struct Tally {
    coins: Vec<Spendable>,
    owners: BTreeSet<Owner>,
    amount: Amount,
    size: usize,
}

impl Tally {
    fn new(demand: &Demand) -> Self {
        let owners = set_of(demand.witnessed);
        Self { coins: Vec::new(), owners, amount: Amount::ZERO, size: demand.base_size }
    }

    /// The size once `coin` is taken too.
    fn size_with(&self, coin: &Spendable) -> usize {
        let witness = if self.owners.contains(&coin.output.owner) { 0 } else { witness_size(&coin.lock) };
        self.size + INPUT_SIZE + witness
    }

    fn take(&mut self, coin: Spendable) -> Result<(), SelectError> {
        self.size = self.size_with(&coin);
        self.amount = self.amount.checked_add(coin.output.amount).ok_or(SelectError::Overflow)?;
        self.owners.insert(coin.output.owner);
        self.coins.push(coin);
        Ok(())
    }

    /// Settles fee and change; the demand is met.
    fn settle(mut self, demand: &Demand) -> Result<Selection, SelectError> {
        self.coins.sort_unstable_by_key(|coin| coin.outpoint);
        let rest = |fee: Amount| self.amount.checked_sub(demand.outputs)?.checked_sub(fee);
        let size = self.size + OUTPUT_SIZE;
        let fee = demand.fee(size);
        if let Some(change) = rest(fee).filter(|change| *change >= demand.output_min.max(Amount(1))) {
            check_size(size, demand, self.amount)?;
            return Ok(Selection { coins: self.coins, fee, change: Some(change) });
        }
        let fee = rest(Amount::ZERO).ok_or(SelectError::Overflow)?;
        check_size(self.size, demand, self.amount)?;
        Ok(Selection { coins: self.coins, fee, change: None })
    }
}

fn check_size(size: usize, demand: &Demand, have: Amount) -> Result<(), SelectError> {
    let size_max = demand.size_max;
    if size > size_max { Err(SelectError::TooLarge { size, size_max, have }) } else { Ok(()) }
}

/// The fewest of the largest coins that meet the demand.
pub(super) fn select(coins: &[Spendable], demand: &Demand) -> Result<Selection, SelectError> {
    let mut tally = Tally::new(demand);
    let (mut fits, mut coins) = (Amount::ZERO, demand.worthwhile(coins).into_iter());
    loop {
        if !tally.coins.is_empty() && demand.need(tally.size).ok_or(SelectError::Overflow)? <= tally.amount {
            check_size(tally.size, demand, fits)?;
            return tally.settle(demand);
        }
        if tally.size <= demand.size_max {
            fits = tally.amount;
        }
        match coins.next() {
            Some(coin) => tally.take(coin)?,
            None => {
                let need = demand.need(tally.size).ok_or(SelectError::Overflow)?;
                return Err(SelectError::InsufficientFunds { have: tally.amount, need });
            }
        }
    }
}

/// As many of the largest coins as fit; all that is left after the fee is one more output.
pub(super) fn select_maximum(coins: &[Spendable], demand: &Demand) -> Result<Selection, SelectError> {
    let demand = Demand { change_required: true, ..demand.clone() };
    let mut tally = Tally::new(&demand);
    for coin in demand.worthwhile(coins) {
        if tally.size_with(&coin) + OUTPUT_SIZE <= demand.size_max {
            tally.take(coin)?;
        }
    }
    let need = demand.need(tally.size).ok_or(SelectError::Overflow)?;
    if tally.coins.is_empty() || tally.amount < need {
        return Err(SelectError::InsufficientFunds { have: tally.amount, need });
    }
    tally.settle(&demand)
}
