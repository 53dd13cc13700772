//! What a wallet keeps on disk.
//!
//! ```text
//! chain.json      the chain spec: genesis and checkpoints are what the wallet trusts
//! keystore.json   the recovery words, encrypted; not there in a wallet that only watches
//! wallet.json     public keys, coins, history: no secrets, all of it found again by scanning
//! trusted.json    the newest block verified
//! lock            held while a command works on the wallet
//! ```
//! Every file is readable by its owner only, and written whole or not at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use timecoin_core::light::Trusted;
use timecoin_core::node::Chain;
use timecoin_core::vote::Height;
use timecoin_core::wallet::account::Account;
use timecoin_core::wallet::keystore::Keystore;
use timecoin_core::wallet::mnemonic::Seed;
use timecoin_core::wallet::state::WalletState;

use super::WalletError;
use super::secret::{self, Secret};
use crate::config::load_chain;
use crate::identity::{write_new, write_over};

const CHAIN: &str = "chain.json";
const KEYSTORE: &str = "keystore.json";
const STATE: &str = "wallet.json";
const TRUSTED: &str = "trusted.json";
const LOCK: &str = "lock";

/// Keys derived whenever the seed is at hand: so many addresses can be used before the password is needed again.
const KEYS_AHEAD: u32 = 100;

/// An open wallet.
pub struct Folder {
    path: PathBuf,
    chain: Chain,
    state: WalletState,
    trusted: Option<Trusted>,
    /// Last, so that it outlives every write.
    _lock: File,
}

impl Folder {
    /// Makes a wallet of these words.
    ///
    /// # Errors
    /// If there is one already, or it cannot be written.
    pub fn create(path: &Path, chain: Chain, secret: &Secret, password: &str) -> Result<Self, WalletError> {
        let lock = prepare(path)?;
        let seed = secret.seed();
        let mut account = Account::new(0, seed.as_bytes())?;
        account.extend_by(seed.as_bytes(), KEYS_AHEAD)?;
        // Its owner is shown the first address.
        if let Some(first) = account.receive() {
            account.mark_used(&first);
        }
        let state = WalletState::new(chain.id, account, Height(0));
        let keystore = secret.encrypt(password)?;
        let folder = Self { path: path.to_path_buf(), chain, state, trusted: None, _lock: lock };
        folder.write_chain()?;
        folder.save()?;
        // Last: a wallet without it is none that could be used by mistake.
        folder.write_once(KEYSTORE, &keystore.to_json())?;
        Ok(folder)
    }

    /// Opens a wallet.
    ///
    /// # Errors
    /// If there is none, it is in use, or damaged.
    pub fn open(path: &Path) -> Result<Self, WalletError> {
        if !path.join(STATE).is_file() {
            return Err(WalletError::Absent { path: path.to_path_buf() });
        }
        let lock = lock(path)?;
        let chain = path.join(CHAIN);
        let chain = Chain::new(load_chain(&chain.to_string_lossy())?);
        let state = WalletState::from_json(&read(&path.join(STATE))?, chain.id)?;
        // What was verified before only saves work: without it, trust starts at genesis again.
        let trusted =
            read(&path.join(TRUSTED)).ok().and_then(|text| serde_json::from_str::<Trusted>(&text).ok());
        Ok(Self { path: path.to_path_buf(), chain, state, trusted, _lock: lock })
    }

    /// Copies the wallet to another place, without its secret: there it watches and prepares payments.
    ///
    /// # Errors
    /// If there is a wallet already, or it cannot be written.
    pub fn export(&self, path: &Path) -> Result<(), WalletError> {
        let lock = prepare(path)?;
        let (chain, state) = (self.chain.clone(), self.state.clone());
        let copy =
            Self { path: path.to_path_buf(), chain, state, trusted: self.trusted.clone(), _lock: lock };
        copy.write_chain()?;
        copy.save()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its chain.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Its owners, coins and history.
    #[must_use]
    pub fn state(&self) -> &WalletState {
        &self.state
    }

    /// Its owners, coins and history, to be changed; [`save`](Self::save) keeps that.
    pub fn state_mut(&mut self) -> &mut WalletState {
        &mut self.state
    }

    /// The newest block verified.
    #[must_use]
    pub fn trusted(&self) -> Option<&Trusted> {
        self.trusted.as_ref()
    }

    /// Takes over what a scan found and what was verified, and keeps it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn advance(&mut self, state: WalletState, trusted: Trusted) -> Result<(), WalletError> {
        self.state = state;
        self.trusted = Some(trusted);
        self.save()
    }

    /// Whether the keys are not here.
    #[must_use]
    pub fn watches_only(&self) -> bool {
        !self.path.join(KEYSTORE).is_file()
    }

    /// The seed, if the password is right.
    ///
    /// # Errors
    /// If the password is wrong, or there is no keystore.
    pub fn unlock(&self, password: &str) -> Result<Seed, WalletError> {
        if self.watches_only() {
            return Err(WalletError::WatchOnly);
        }
        let keystore = Keystore::from_json(&read(&self.path.join(KEYSTORE))?)?;
        Ok(secret::Secret::decrypt(&keystore, password)?.seed())
    }

    /// Derives keys if some are lacking; returns whether there are new ones, to be watched from now on.
    ///
    /// # Errors
    /// If they cannot be derived.
    pub fn extend(state: &mut WalletState, seed: &Seed) -> Result<bool, WalletError> {
        let lacking = state.account().lacking();
        if lacking == 0 {
            return Ok(false);
        }
        state.account_mut().extend_by(seed.as_bytes(), lacking.saturating_add(KEYS_AHEAD))?;
        Ok(true)
    }

    /// Keeps everything that is no secret.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self) -> Result<(), WalletError> {
        self.write(STATE, &self.state.to_json())?;
        match &self.trusted {
            Some(trusted) => {
                let text = serde_json::to_string_pretty(trusted).expect("plain data is JSON");
                self.write(TRUSTED, &text)
            }
            None => Ok(()),
        }
    }

    fn write_chain(&self) -> Result<(), WalletError> {
        self.write(CHAIN, &self.chain.spec.to_json())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), WalletError> {
        let path = self.path.join(name);
        write_over(&path, text.as_bytes()).map_err(WalletError::file(path))
    }

    fn write_once(&self, name: &str, text: &str) -> Result<(), WalletError> {
        let path = self.path.join(name);
        write_new(&path, text.as_bytes()).map_err(WalletError::file(path))
    }
}

/// Makes an empty wallet folder and locks it.
fn prepare(path: &Path) -> Result<File, WalletError> {
    make_private(path).map_err(WalletError::file(path))?;
    let lock = lock(path)?;
    if [STATE, KEYSTORE].iter().any(|name| path.join(name).exists()) {
        return Err(WalletError::Exists { path: path.to_path_buf() });
    }
    Ok(lock)
}

#[cfg(unix)]
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make_private(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

fn lock(path: &Path) -> Result<File, WalletError> {
    let mut open = OpenOptions::new();
    let file = open.create(true).truncate(false).write(true).open(path.join(LOCK));
    let file = file.map_err(WalletError::file(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(WalletError::InUse { path: path.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(WalletError::file(path)(error)),
    }
}

fn read(path: &Path) -> Result<String, WalletError> {
    fs::read_to_string(path).map_err(WalletError::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use timecoin_core::spec::ChainSpec;

    fn chain() -> Chain {
        Chain::new(ChainSpec::built_in("dev").unwrap())
    }

    fn secret() -> Secret {
        Secret::from_words(&format!("{}about", "abandon ".repeat(11))).unwrap()
    }

    #[test]
    fn a_wallet_is_made_once_and_opened_again() {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("wallet");
        assert!(matches!(Folder::open(&path), Err(WalletError::Absent { .. })));
        let made = Folder::create(&path, chain(), &secret(), "secret").unwrap();
        assert!(matches!(Folder::open(&path), Err(WalletError::InUse { .. })));
        let state = made.state().clone();
        drop(made);
        let again = Folder::create(&path, chain(), &secret(), "other");
        assert!(matches!(again, Err(WalletError::Exists { .. })));
        let opened = Folder::open(&path).unwrap();
        assert_eq!(opened.state(), &state);
        assert!(matches!(opened.unlock("wrong"), Err(WalletError::Password)));
        assert_eq!(opened.unlock("secret").unwrap(), secret().seed());
    }

    #[cfg(unix)]
    #[test]
    fn every_file_is_private_and_holds_no_words() {
        use std::os::unix::fs::PermissionsExt;
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("wallet");
        Folder::create(&path, chain(), &secret(), "secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        for name in [CHAIN, KEYSTORE, STATE] {
            let file = path.join(name);
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
            assert!(!fs::read_to_string(&file).unwrap().contains("abandon"), "{name}");
        }
    }

    #[test]
    fn an_exported_wallet_only_watches() {
        let outside = tempfile::tempdir().unwrap();
        let (cold, hot) = (outside.path().join("cold"), outside.path().join("hot"));
        let made = Folder::create(&cold, chain(), &secret(), "secret").unwrap();
        made.export(&hot).unwrap();
        assert!(matches!(made.export(&hot), Err(WalletError::Exists { .. })));
        let watching = Folder::open(&hot).unwrap();
        assert!(watching.watches_only() && !made.watches_only());
        assert_eq!(watching.state(), made.state());
        assert!(matches!(watching.unlock("secret"), Err(WalletError::WatchOnly)));
    }

    #[test]
    fn damaged_and_foreign_files_are_refused() {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("wallet");
        drop(Folder::create(&path, chain(), &secret(), "secret").unwrap());
        let good = fs::read_to_string(path.join(STATE)).unwrap();
        fs::write(path.join(STATE), &good[..good.len() / 2]).unwrap();
        assert_eq!(Folder::open(&path).err().unwrap().code(), "wallet-damaged");
        fs::write(path.join(STATE), good.replacen("\"version\": 1", "\"version\": 2", 1)).unwrap();
        assert_eq!(Folder::open(&path).err().unwrap().code(), "wallet-newer");
        fs::write(path.join(STATE), &good).unwrap();
        fs::write(path.join(CHAIN), ChainSpec::built_in("test").unwrap().to_json()).unwrap();
        assert_eq!(Folder::open(&path).err().unwrap().code(), "wallet-other-chain");
        fs::write(path.join(KEYSTORE), "{}").unwrap();
        fs::write(path.join(CHAIN), chain().spec.to_json()).unwrap();
        assert_eq!(Folder::open(&path).unwrap().unlock("secret").err().unwrap().code(), "keystore-damaged");
    }
}
