//! The secret while the wallet is unlocked.

use timecoin_core::keys::SecretKey;
use timecoin_core::time::Time;
use timecoin_core::wallet::account::Account;
use timecoin_core::wallet::build::Unsigned;
use timecoin_core::wallet::mnemonic::Seed;
use timecoin_core::wallet::secret::Secret;

/// Minutes that a wallet stays open where nobody says how long.
pub(super) const MINUTES: u32 = 15;
const MINUTES_MAX: u32 = 24 * 60;

/// Holds the secret, or nothing. The deadline is compared with the clock whenever the secret is asked for, so a tab that
/// slept through it locks when it wakes; a clock that was set back locks too. Secrets are wiped when they go.
#[derive(Debug, Default)]
pub(super) struct Vault(Option<Open>);

#[derive(Debug)]
struct Open {
    secret: Secret,
    seed: Seed,
    since: Time,
    until: Time,
}

impl Vault {
    /// Takes the secret for so many minutes, at most a day.
    pub(super) fn open(&mut self, secret: Secret, seed: Seed, minutes: u32, now: Time) {
        let until = now.plus(u64::from(minutes.clamp(1, MINUTES_MAX)) * 60_000);
        self.0 = Some(Open { secret, seed, since: now, until });
    }

    pub(super) fn lock(&mut self) {
        self.0 = None;
    }

    /// Whether the secret is at hand; wipes it once its time is over.
    pub(super) fn is_open(&mut self, now: Time) -> bool {
        self.0.take_if(|open| now < open.since || now >= open.until);
        self.0.is_some()
    }

    /// When it locks.
    pub(super) fn until(&self) -> Option<Time> {
        self.0.as_ref().map(|open| open.until)
    }

    pub(super) fn seed(&mut self, now: Time) -> Option<&Seed> {
        self.is_open(now);
        self.0.as_ref().map(|open| &open.seed)
    }

    pub(super) fn secret(&mut self, now: Time) -> Option<&Secret> {
        self.is_open(now);
        self.0.as_ref().map(|open| &open.secret)
    }

    /// The keys that a transaction calls for.
    pub(super) fn keys(
        &mut self,
        account: &Account,
        unsigned: &Unsigned,
        now: Time,
    ) -> Option<Vec<SecretKey>> {
        let seed = self.seed(now)?;
        let owners = unsigned.locks.keys();
        Some(owners.filter_map(|owner| account.secret_key(seed.as_bytes(), owner)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(minutes: u32) -> Vault {
        let secret = Secret::from_entropy(&[1; 16]).unwrap();
        let seed = secret.seed();
        let mut vault = Vault::default();
        vault.open(secret, seed, minutes, Time(1_000_000));
        vault
    }

    #[test]
    fn it_locks_by_the_clock() {
        let table = [
            ("at once", 5, 1_000_000, true),
            ("a moment before", 5, 1_299_999, true),
            ("in time", 5, 1_300_000, false),
            ("after a sleep", 5, 99_000_000, false),
            ("clock set back", 5, 999_999, false),
            ("no minutes are one", 0, 1_059_999, true),
            ("no minutes are one", 0, 1_060_000, false),
            ("a day at most", u32::MAX, 1_000_000 + 24 * 3_600_000, false),
        ];
        for (name, minutes, now, is_open) in table {
            let mut vault = opened(minutes);
            assert_eq!(vault.seed(Time(now)).is_some(), is_open, "{name}");
            assert_eq!(vault.until().is_some(), is_open, "{name}: wiped");
        }
        assert!(!format!("{:?}", opened(5)).contains("abandon"), "never printed");
    }
}
