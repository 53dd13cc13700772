//! Accounting: the reward pool, who took part in this epoch, and which sets signed the recent ones.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::certificate::{Bitmap, Certificate};
use crate::codec::{Wire, encode};
use crate::hash::{Hash, Tag};
use crate::spec::Rules;
use crate::transaction::Output;
use crate::validators::{VALIDATORS_MAX, ValidatorIndex, ValidatorSet};
use crate::vote::Height;

use super::registry::{Registry, Status};

/// A member's part in the current epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participation {
    /// Commit certificates of this epoch that carry its signature.
    pub signed: u32,
    /// The newest height whose certificate carries its signature, or the height it joined at.
    pub last_signed: Height,
}

/// A set that signed earlier blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastSet {
    /// First height it signed.
    pub first: Height,
    /// Last height it signed.
    pub last: Height,
    /// Its hash.
    pub hash: Hash,
}

/// Part of the committed state: small, handed over whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounting {
    /// Fees and emission not yet paid out.
    pub pool: Amount,
    /// By position in the current set.
    pub participation: Vec<Participation>,
    /// Sets of earlier epochs within the evidence age, oldest first.
    pub past_sets: Vec<PastSet>,
}

impl Wire for Accounting {
    const SIZE_MAX: usize = 64 + VALIDATORS_MAX * 12 + 64 * 48;
}

impl Accounting {
    const HASH: Tag = Tag::new("timecoin accounting");

    /// Before the first block: everyone counts as present.
    #[must_use]
    pub fn genesis(set: &ValidatorSet) -> Self {
        let start = Participation { signed: 0, last_signed: Height(0) };
        Self { participation: vec![start; set.len()], ..Self::default() }
    }

    /// What the state root commits to.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Self::HASH.hash(&[&encode(self)])
    }

    /// Counts the signers of a block of this epoch.
    pub fn count(&mut self, certificate: &Certificate) {
        for index in certificate.signers.iter() {
            if let Some(member) = self.participation.get_mut(usize::from(index)) {
                member.signed = member.signed.saturating_add(1);
                member.last_signed = certificate.data.height;
            }
        }
    }

    /// Whether a member signed none of the certificates within the window before `height`.
    #[must_use]
    pub fn is_absent(&self, index: ValidatorIndex, height: Height, window: u64) -> bool {
        let member = self.participation.get(usize::from(index));
        member.is_none_or(|member| height.0.saturating_sub(member.last_signed.0) > window.saturating_add(1))
    }

    /// The members that do not propose at `height`.
    #[must_use]
    pub fn absent(&self, set: &ValidatorSet, height: Height, window: u64) -> Bitmap {
        let mut absent = Bitmap::empty(set.len());
        let missing = set.iter().filter(|(index, _)| self.is_absent(*index, height, window));
        missing.for_each(|(index, _)| absent.insert(index));
        absent
    }

    /// Splits the pool by weight × participation among members that are not ejected. Shares are rounded down
    /// and those below the least output stay in the pool.
    #[must_use]
    pub fn rewards(&self, set: &ValidatorSet, registry: &Registry, rules: &Rules) -> Vec<Output> {
        let earned = |index: ValidatorIndex, weight: u64| {
            let member = self.participation.get(usize::from(index));
            u128::from(weight) * u128::from(member.map_or(0, |member| member.signed))
        };
        let payable: Vec<_> = set
            .iter()
            .filter_map(|(index, member)| {
                let node = registry.node(&member.masternode)?;
                let ejected = matches!(node.status, Status::Ejected { .. });
                (!ejected).then(|| (node.payout, earned(index, member.weight)))
            })
            .collect();
        let total: u128 = payable.iter().map(|(_, earned)| earned).sum();
        let share = |earned: u128| {
            // Pool below 2^63 and earned below 2^64 (weights of a registry set are below 2^32).
            let share = u128::from(self.pool.0).checked_mul(earned)?.checked_div(total)?;
            u64::try_from(share).ok().map(Amount)
        };
        payable
            .into_iter()
            .filter_map(|(owner, earned)| Some(Output { amount: share(earned)?, owner }))
            .filter(|output| output.amount >= rules.output_min.max(Amount(1)))
            .collect()
    }

    /// Closes the epoch whose last block is `last`: the old set becomes a past one, the new one starts fresh.
    pub fn turn(&mut self, last: Height, old: &ValidatorSet, new: &Arc<ValidatorSet>, rules: &Rules) {
        let first = self.past_sets.last().map_or(Height(0), |past| past.last.next());
        self.past_sets.push(PastSet { first, last, hash: old.hash() });
        let surplus = self.past_sets.len().saturating_sub(rules.evidence_epochs as usize);
        self.past_sets.drain(..surplus);
        let carried = |key| {
            let index = old.index_of(key)?;
            self.participation.get(usize::from(index)).map(|member| member.last_signed)
        };
        self.participation = new
            .iter()
            .map(|(_, member)| Participation { signed: 0, last_signed: carried(&member.key).unwrap_or(last) })
            .collect();
    }

    /// The hash of the set that signed `height`, where it is a past set within the evidence age.
    #[must_use]
    pub fn past_set(&self, height: Height) -> Option<Hash> {
        let covers = |past: &&PastSet| (past.first..=past.last).contains(&height);
        self.past_sets.iter().find(covers).map(|past| past.hash)
    }

    /// The first height of the current epoch.
    #[must_use]
    pub fn epoch_start(&self) -> Height {
        self.past_sets.last().map_or(Height(0), |past| past.last.next())
    }
}
