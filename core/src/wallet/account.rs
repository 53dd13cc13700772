//! An account: the keys at `m/44'/5719'/account'/0'/0', 1', …`, found again from the words alone.
//!
//! Every step is hardened, so new keys need the seed; the public keys derived so far are kept, so that watching,
//! receiving and preparing payments do not. Ahead of the last used key there are always [`GAP_LIMIT`] more (BIP-44's
//! rule for discovery): a key further away than that is not looked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::derive::{DeriveError, ExtendedKey, Path};
use super::map_of;
use crate::hash::Owner;
use crate::keys::{PublicKey, SecretKey};
use crate::lock::Lock;

/// How many unused keys in a row are watched.
pub const GAP_LIMIT: u32 = 20;

/// The public side of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Account {
    number: u32,
    keys: Vec<PublicKey>,
    /// All before this one are taken for used.
    next: u32,
    /// Of each key, its position.
    owners: BTreeMap<Owner, u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    number: u32,
    keys: Vec<PublicKey>,
    next: u32,
}

impl From<Stored> for Account {
    fn from(Stored { number, keys, next }: Stored) -> Self {
        let owners = map_of((0..).zip(&keys).map(|(index, key)| (Lock::Key(*key).owner(), index)));
        Self { number, keys, next, owners }
    }
}

impl From<Account> for Stored {
    fn from(Account { number, keys, next, .. }: Account) -> Self {
        Self { number, keys, next }
    }
}

impl Account {
    /// Account `number` of a seed, with its first keys.
    pub fn new(number: u32, seed: &[u8]) -> Result<Self, DeriveError> {
        let mut account = Self::empty(number);
        account.extend(seed)?;
        Ok(account)
    }

    /// Account `number`, whose keys are yet to be derived: it lacks all of them.
    #[must_use]
    pub fn empty(number: u32) -> Self {
        Self::from(Stored { number, keys: Vec::new(), next: 0 })
    }

    /// How many keys are missing from the gap: with none missing, no seed is needed.
    #[must_use]
    pub fn lacking(&self) -> u32 {
        self.next.saturating_add(GAP_LIMIT).saturating_sub(self.len())
    }

    /// Derives the keys that are lacking; returns their owners, to be watched from the block on that used up the gap.
    pub fn extend(&mut self, seed: &[u8]) -> Result<Vec<Owner>, DeriveError> {
        self.extend_by(seed, self.lacking())
    }

    /// Derives `count` more keys, lacking or not: so many uses later the seed is needed again.
    pub fn extend_by(&mut self, seed: &[u8], count: u32) -> Result<Vec<Owner>, DeriveError> {
        let (mut owners, first) = (Vec::new(), self.len());
        for index in first..first.saturating_add(count) {
            let key = ExtendedKey::derive(seed, &Path::account(self.number, index)?)?.public_key();
            let owner = Lock::Key(key).owner();
            self.keys.push(key);
            self.owners.insert(owner, index);
            owners.push(owner);
        }
        Ok(owners)
    }

    /// Notes that an owner was seen on the chain, or given to someone; returns whether it is one of the account's.
    pub fn mark_used(&mut self, owner: &Owner) -> bool {
        let index = self.owners.get(owner).copied();
        self.next = self.next.max(index.map_or(0, |index| index.saturating_add(1)));
        index.is_some()
    }

    /// The first owner not yet used. Where the gap is used up and no seed is at hand, the last one again.
    #[must_use]
    pub fn receive(&self) -> Option<Owner> {
        let index = usize::try_from(self.next).ok()?;
        self.keys.get(index).or(self.keys.last()).map(|key| Lock::Key(*key).owner())
    }

    /// The position of the key of one of the account's owners.
    #[must_use]
    pub fn position(&self, owner: &Owner) -> Option<u32> {
        self.owners.get(owner).copied()
    }

    /// The owners taken for used, in the order of their keys.
    pub fn used(&self) -> impl Iterator<Item = Owner> {
        let used = usize::try_from(self.next).unwrap_or(usize::MAX);
        self.keys.iter().take(used).map(|key| Lock::Key(*key).owner())
    }

    /// Every owner watched.
    pub fn owners(&self) -> impl Iterator<Item = Owner> {
        self.owners.keys().copied()
    }

    /// The lock of one of the account's owners.
    #[must_use]
    pub fn lock(&self, owner: &Owner) -> Option<Lock> {
        let index = usize::try_from(*self.owners.get(owner)?).ok()?;
        self.keys.get(index).map(|key| Lock::Key(*key))
    }

    /// Where the key of one of the account's owners is derived.
    #[must_use]
    pub fn path(&self, owner: &Owner) -> Option<Path> {
        Path::account(self.number, *self.owners.get(owner)?).ok()
    }

    /// The key that signs for one of the account's owners; `None` for others and for another seed.
    #[must_use]
    pub fn secret_key(&self, seed: &[u8], owner: &Owner) -> Option<SecretKey> {
        let key = ExtendedKey::derive(seed, &self.path(owner)?).ok()?.secret_key();
        (Lock::Key(key.public_key()).owner() == *owner).then_some(key)
    }

    fn len(&self) -> u32 {
        u32::try_from(self.keys.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_moves_with_use() {
        let seed = [1; 64];
        let mut account = Account::new(0, &seed).unwrap();
        let owners: Vec<_> = (0..40)
            .map(|index| {
                let path = Path::account(0, index).unwrap();
                Lock::Key(ExtendedKey::derive(&seed, &path).unwrap().public_key()).owner()
            })
            .collect();
        assert_eq!((account.lacking(), account.receive()), (0, Some(owners[0])));
        assert!(!account.mark_used(&owners[20]), "beyond the gap");
        assert!(account.mark_used(&owners[19]));
        assert_eq!((account.lacking(), account.receive()), (20, Some(owners[19])));
        assert_eq!(account.used().collect::<Vec<_>>(), owners[..20]);
        assert_eq!(account.extend(&seed).unwrap(), owners[20..]);
        assert!(account.mark_used(&owners[3]), "an earlier one changes nothing");
        assert_eq!((account.lacking(), account.receive()), (0, Some(owners[20])));
        assert_eq!(account.extend_by(&seed, 2).unwrap().len(), 2);
        assert!(account.mark_used(&owners[21]), "keys derived ahead are watched");
        assert_eq!(account.lacking(), 0, "and put off the need for the seed");
        let json = serde_json::to_string(&account).unwrap();
        assert_eq!(serde_json::from_str::<Account>(&json).unwrap(), account);
    }

    #[test]
    fn keys_lead_back_to_their_owner() {
        let account = Account::new(3, &[1; 64]).unwrap();
        let owner = account.receive().unwrap();
        assert_eq!(account.path(&owner).unwrap().to_string(), "m/44'/5719'/3'/0'/0'");
        assert_eq!(account.lock(&owner).unwrap().owner(), owner);
        let key = account.secret_key(&[1; 64], &owner).unwrap();
        assert_eq!(Lock::Key(key.public_key()).owner(), owner);
        assert!(account.secret_key(&[2; 64], &owner).is_none(), "another seed");
        assert_eq!(account.lock(&Owner::default()), None);
    }
}
