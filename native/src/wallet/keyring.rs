//! The seed, asked for once and only when something needs it.

use std::path::PathBuf;

use timecoin_core::keys::SecretKey;
use timecoin_core::wallet::build::Unsigned;
use timecoin_core::wallet::mnemonic::Seed;

use super::WalletError;
use super::folder::Folder;
use super::secret::password;

/// Unlocks a wallet when that is needed.
pub struct Keyring {
    password_file: Option<PathBuf>,
    seed: Option<Seed>,
}

impl Keyring {
    /// With the password in a file, or typed.
    #[must_use]
    pub fn new(password_file: Option<PathBuf>) -> Self {
        Self { password_file, seed: None }
    }

    /// The seed.
    ///
    /// # Errors
    /// If the wallet only watches, or the password is wrong or cannot be asked for.
    pub fn seed(&mut self, folder: &Folder) -> Result<&Seed, WalletError> {
        let seed = match self.seed.take() {
            Some(seed) => seed,
            None if folder.watches_only() => return Err(WalletError::WatchOnly),
            None => folder.unlock(&password(self.password_file.as_deref())?)?,
        };
        Ok(self.seed.insert(seed))
    }

    /// The wallet's keys that a transaction calls for.
    ///
    /// # Errors
    /// As [`Self::seed`].
    pub fn keys(&mut self, folder: &Folder, unsigned: &Unsigned) -> Result<Vec<SecretKey>, WalletError> {
        let seed = self.seed(folder)?;
        let account = folder.state().account();
        let owners = unsigned.locks.keys();
        Ok(owners.filter_map(|owner| account.secret_key(seed.as_bytes(), owner)).collect())
    }
}
