//! What a wallet remembers: its owners, coins and history, as one JSON file without secrets.
//!
//! Everything here follows from the seed and the chain, so losing the file costs one scan, never money. A balance is
//! known as of [`Coverage::next`], and the caller says so wherever it is shown.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::coins::Spendable;
use super::scan::{ChangeSet, Coverage, HistoryEntry, Scanner};
use super::{map_of, set_of};
use crate::amount::Amount;
use crate::hash::{ChainId, Owner};
use crate::json;
use crate::lock::{Lock, LockError};
use crate::spec::Rules;
use crate::state::registry::{Registry, Status, masternode_id};
use crate::time::Time;
use crate::transaction::{OutPoint, Output};
use crate::vote::Height;

const VERSION: u32 = 1;

/// Why a wallet file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletStateError {
    /// Not a wallet file, or damaged. It can be made again by scanning.
    #[error("the wallet file is damaged: {0}; restore it from the recovery words")]
    Malformed(String),
    /// Written by newer software.
    #[error("wallet file version {found} is newer than this software: use a newer program")]
    UnsupportedVersion {
        /// The file's version.
        found: u64,
    },
    /// The file is of another chain.
    #[error("a wallet of chain {found}, where chain {expected} is in use: use that chain's wallet")]
    WrongChain {
        /// The chain in use.
        expected: ChainId,
        /// The file's chain.
        found: ChainId,
    },
}

/// Why a coin cannot be spent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Hold {
    /// Collateral of a masternode that is in service.
    Collateral,
    /// Collateral that is free from this header time on.
    Unbonding(Time),
    /// Promised in a payment that was sent and is valid until then.
    Reserved(Time),
}

impl Hold {
    fn binds(self, now: Time) -> bool {
        match self {
            Self::Collateral => true,
            Self::Unbonding(until) => until > now,
            // Valid in a block of that very time.
            Self::Reserved(until) => until >= now,
        }
    }
}

/// The sum of the coins, by what can be done with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// Free to spend.
    pub spendable: Amount,
    /// Collateral, in service or unbonding.
    pub collateral: Amount,
    /// Promised in payments that are on their way.
    pub reserved: Amount,
}

/// A wallet without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletState {
    chain: ChainId,
    account: Account,
    shared: BTreeMap<Owner, Lock>,
    coins: BTreeMap<OutPoint, Output>,
    holds: BTreeMap<OutPoint, Hold>,
    history: BTreeMap<(Height, u32), HistoryEntry>,
    /// Owners of ours that the chain has seen with a coin.
    seen: BTreeSet<Owner>,
    /// Owners whose coins from before the first block looked at are known; none where there can be no such coin.
    asked: Option<BTreeSet<Owner>>,
    coverage: Coverage,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    chain: ChainId,
    account: Account,
    shared: Vec<Lock>,
    coverage: Coverage,
    coins: Vec<(OutPoint, Output)>,
    holds: Vec<(OutPoint, Hold)>,
    history: Vec<HistoryEntry>,
    #[serde(default)]
    seen: BTreeSet<Owner>,
    #[serde(default)]
    asked: Option<BTreeSet<Owner>>,
}

impl WalletState {
    /// A wallet that has seen nothing; `start` is the first height at which it may have got a coin.
    #[must_use]
    pub fn new(chain: ChainId, account: Account, start: Height) -> Self {
        Self {
            chain,
            account,
            shared: BTreeMap::new(),
            coins: BTreeMap::new(),
            holds: BTreeMap::new(),
            history: BTreeMap::new(),
            seen: BTreeSet::new(),
            asked: None,
            coverage: Coverage::starting_at(start),
        }
    }

    /// A wallet whose blocks are looked at from `start` on, though it may be older: its older coins are asked for by owner.
    #[must_use]
    pub fn older(chain: ChainId, account: Account, start: Height) -> Self {
        let asked = (start > Height(0)).then(BTreeSet::new);
        Self { asked, ..Self::new(chain, account, start) }
    }

    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.written(self.history.values().cloned().collect(), self.coverage)
    }

    /// The file's text without what grows with the chain: where history and coverage are kept beside it, it changes only
    /// with the coins and keys. [`Self::recall`] and [`Self::advance`] put them back.
    #[must_use]
    pub fn to_json_alone(&self) -> String {
        self.written(Vec::new(), Coverage::starting_at(self.coverage.start))
    }

    fn written(&self, history: Vec<HistoryEntry>, coverage: Coverage) -> String {
        let file = File {
            version: VERSION,
            chain: self.chain,
            account: self.account.clone(),
            shared: self.shared.values().cloned().collect(),
            coverage,
            coins: self.coins.iter().map(|(at, coin)| (*at, *coin)).collect(),
            holds: self.holds.iter().map(|(at, hold)| (*at, *hold)).collect(),
            history,
            seen: self.seen.clone(),
            asked: self.asked.clone(),
        };
        serde_json::to_string_pretty(&file).expect("plain data is JSON")
    }

    /// Reads a file's text, which must be of chain `expected`.
    pub fn from_json(text: &str, expected: ChainId) -> Result<Self, WalletStateError> {
        let found = json::version(text)
            .ok_or_else(|| WalletStateError::Malformed("it names no version".to_owned()))?;
        if found != u64::from(VERSION) {
            return Err(WalletStateError::UnsupportedVersion { found });
        }
        let file: File = json::read(text).map_err(|error| WalletStateError::Malformed(error.to_string()))?;
        if file.chain != expected {
            return Err(WalletStateError::WrongChain { expected, found: file.chain });
        }
        Ok(Self {
            chain: file.chain,
            account: file.account,
            shared: map_of(file.shared.into_iter().map(|lock| (lock.owner(), lock))),
            coins: map_of(file.coins),
            holds: map_of(file.holds),
            history: map_of(by_place(file.history)),
            seen: file.seen,
            asked: file.asked,
            coverage: file.coverage,
        })
    }

    /// Puts history back that was kept beside the file.
    pub fn recall(&mut self, entries: impl IntoIterator<Item = HistoryEntry>) {
        self.history.extend(by_place(entries));
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The account, to take new keys or give out an address.
    pub fn account_mut(&mut self) -> &mut Account {
        &mut self.account
    }

    /// Adds a lock that is not the account's alone, such as two keys of three. To be watched by the scanner too.
    pub fn share(&mut self, lock: Lock) -> Result<Owner, LockError> {
        lock.check()?;
        let owner = lock.owner();
        self.shared.insert(owner, lock);
        Ok(owner)
    }

    /// Every owner that is ours.
    #[must_use]
    pub fn owners(&self) -> BTreeSet<Owner> {
        set_of(self.account.owners().chain(self.shared.keys().copied()))
    }

    /// Whether the wallet may have coins from before the first block looked at.
    #[must_use]
    pub fn is_older(&self) -> bool {
        self.asked.is_some()
    }

    /// Owners that may have coins from before the first block looked at.
    #[must_use]
    pub fn unasked(&self) -> Vec<Owner> {
        let Some(asked) = &self.asked else { return Vec::new() };
        self.owners().into_iter().filter(|owner| !asked.contains(owner)).collect()
    }

    /// Takes over all coins that `owners` have at `height` by the state tree, whenever they came. Where there are some, or the
    /// blocks were looked at further, those are due again: they may have spent such a coin, or paid to keys found through it.
    pub fn adopt(&mut self, owners: Vec<Owner>, coins: Vec<(OutPoint, Output)>, height: Height) {
        let Coverage { start, next, .. } = self.coverage;
        if next > start && (!coins.is_empty() || height.next() < next) {
            self.coverage = Coverage::starting_at(start);
        }
        for (outpoint, output) in coins {
            self.account.mark_used(&output.owner);
            self.seen.insert(output.owner);
            self.coins.insert(outpoint, output);
        }
        self.asked.get_or_insert_default().extend(owners);
    }

    /// The lock of one of our owners.
    #[must_use]
    pub fn lock(&self, owner: &Owner) -> Option<Lock> {
        self.account.lock(owner).or_else(|| self.shared.get(owner).cloned())
    }

    /// A scanner that goes on where this wallet stands.
    #[must_use]
    pub fn scanner(&self) -> Scanner {
        Scanner::new(self.owners(), self.coverage)
    }

    /// What is known: the coins and history of these blocks, all of them.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// Takes over how far the scanner is, after blocks that had nothing for us.
    pub fn advance(&mut self, coverage: Coverage) {
        self.coverage = coverage;
    }

    /// Takes over what a block did. `rules` are those of its height. Doing it twice is doing it once.
    /// Afterwards [`Account::lacking`] says whether the gap needs new keys, to be watched from this block on.
    pub fn apply(&mut self, changes: &ChangeSet, rules: &Rules) {
        for (outpoint, output) in &changes.received {
            self.account.mark_used(&output.owner);
            self.seen.insert(output.owner);
            self.coins.insert(*outpoint, *output);
        }
        for outpoint in &changes.collateral {
            self.holds.insert(*outpoint, Hold::Collateral);
        }
        let free_at = changes.time.plus(rules.unbonding_ms);
        let retired = |outpoint: &OutPoint| changes.retired.contains(&masternode_id(outpoint));
        for (_, hold) in self.holds.iter_mut().filter(|(outpoint, _)| retired(outpoint)) {
            *hold = Hold::Unbonding(free_at);
        }
        for outpoint in &changes.spent {
            self.holds.remove(outpoint);
            if let Some(coin) = self.coins.remove(outpoint) {
                self.account.mark_used(&coin.owner);
            }
        }
        self.history.extend(by_place(changes.history.iter().cloned()));
        self.coverage = changes.coverage;
    }

    /// Says of a coin what the blocks do not: that it is collateral since genesis, or free after ejection.
    pub fn hold(&mut self, outpoint: OutPoint, hold: Hold) {
        self.holds.insert(outpoint, hold);
    }

    /// Takes over what a proved registry says about our coins: collateral since genesis, or of an ejected masternode.
    pub fn take_registry(&mut self, registry: &Registry) {
        for outpoint in self.coins.keys() {
            match registry.of_collateral(outpoint).map(|node| node.status) {
                Some(Status::Active) => {
                    self.holds.insert(*outpoint, Hold::Collateral);
                }
                Some(Status::Retired { unlock_at } | Status::Ejected { unlock_at }) => {
                    self.holds.insert(*outpoint, Hold::Unbonding(unlock_at));
                }
                None => {}
            }
        }
    }

    /// Lets a coin go, such as those of a payment that was refused.
    pub fn release(&mut self, outpoint: &OutPoint) {
        self.holds.remove(outpoint);
    }

    /// Promises the inputs of a payment that was sent, until it expires.
    pub fn reserve(&mut self, inputs: &[OutPoint], expires_at: Time) {
        self.holds.extend(inputs.iter().map(|outpoint| (*outpoint, Hold::Reserved(expires_at))));
    }

    /// The coins, with what holds them at `now`.
    pub fn coins(&self, now: Time) -> impl Iterator<Item = (&OutPoint, &Output, Option<Hold>)> {
        self.coins.iter().map(move |(outpoint, coin)| {
            let hold = self.holds.get(outpoint).copied().filter(|hold| hold.binds(now));
            (outpoint, coin, hold)
        })
    }

    /// A coin of ours that is unspent, as far as the blocks were looked at.
    #[must_use]
    pub fn coin(&self, outpoint: &OutPoint) -> Option<&Output> {
        self.coins.get(outpoint)
    }

    /// What one of our owners holds; `None` where the sum is more than can exist.
    #[must_use]
    pub fn holding(&self, owner: &Owner) -> Option<Amount> {
        Amount::checked_sum(self.coins.values().filter(|coin| coin.owner == *owner).map(|coin| coin.amount))
    }

    /// Whether the chain has seen one of our owners with a coin.
    #[must_use]
    pub fn is_seen(&self, owner: &Owner) -> bool {
        self.seen.contains(owner)
    }

    /// The coins free to be spent at `now`, ready to be selected from.
    #[must_use]
    pub fn spendable(&self, now: Time) -> Vec<Spendable> {
        self.coins(now)
            .filter(|(.., hold)| hold.is_none())
            .filter_map(|(outpoint, output, _)| {
                Some(Spendable { outpoint: *outpoint, output: *output, lock: self.lock(&output.owner)? })
            })
            .collect()
    }

    /// The balance at `now`; `None` where the file claims more money than can exist.
    #[must_use]
    pub fn balance(&self, now: Time) -> Option<Balance> {
        let mut balance = Balance::default();
        for (_, coin, hold) in self.coins(now) {
            let part = match hold {
                None => &mut balance.spendable,
                Some(Hold::Collateral | Hold::Unbonding(_)) => &mut balance.collateral,
                Some(Hold::Reserved(_)) => &mut balance.reserved,
            };
            *part = part.checked_add(coin.amount)?;
        }
        Some(balance)
    }

    /// The history, oldest first.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &HistoryEntry> {
        self.history.values()
    }

    /// The history from a height on, oldest first.
    pub fn history_from(&self, height: Height) -> impl DoubleEndedIterator<Item = &HistoryEntry> {
        self.history.range((height, 0)..).map(|(_, entry)| entry)
    }
}

fn by_place(
    entries: impl IntoIterator<Item = HistoryEntry>,
) -> impl Iterator<Item = ((Height, u32), HistoryEntry)> {
    entries.into_iter().map(|entry| ((entry.height, entry.position), entry))
}
