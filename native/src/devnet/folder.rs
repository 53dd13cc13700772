//! What a devnet keeps on disk.
//!
//! ```text
//! devnet.json          how many validators
//! chain.json           the chain spec
//! faucet.json          words and address of the wallet that pays
//! demo.json            words and address of a wallet to play with
//! node-N/              data folder of a node, with its operator.key and its node.log
//! lock                 held while the devnet runs
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use timecoin_core::address::{Address, Network};
use timecoin_core::amount::Amount;
use timecoin_core::hash::Owner;
use timecoin_core::keys::SecretKey;
use timecoin_core::lock::Lock;
use timecoin_core::spec::ChainSpec;
use timecoin_core::wallet::derive::{ExtendedKey, Path as KeyPath};
use timecoin_core::wallet::mnemonic::Mnemonic;

use super::DevnetError;
use super::genesis::{Founder, spec};
use super::process::NodeSetup;
use crate::clock;
use crate::identity::{self, write_new};

const MARKER: &str = "devnet.json";
const LOCK: &str = "lock";
const VERSION: u32 = 1;
/// More than this many processes help nobody on one machine.
const VALIDATORS_MAX: u16 = 64;
/// Coins the faucet starts with: as many payments can be under way at once.
const FAUCET_COINS: u32 = 512;
const FAUCET_COIN: Amount = Amount::from_time(1000);
const DEMO_COINS: u32 = 10;
const DEMO_COIN: Amount = Amount::from_time(100);

/// Keys of the faucet's wallet: what pays, who owns the masternodes, and who is paid.
pub(super) const FAUCET: u32 = 0;
const TREASURY: u32 = 1;
pub(super) const PAYEE: u32 = 2;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    version: u32,
    validators: u16,
}

/// A wallet of the devnet: recovery words in the open.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wallet {
    /// The words.
    pub words: String,
    /// The address of its first key.
    pub address: String,
}

impl Wallet {
    fn new() -> Result<Self, DevnetError> {
        let mut entropy = [0; 16];
        getrandom::fill(&mut entropy).map_err(|error| DevnetError::io("no random bytes")(error.into()))?;
        let words = Mnemonic::from_entropy(&entropy).expect("16 bytes make 12 words").phrase().to_string();
        let mut wallet = Self { words, address: String::new() };
        let owner = wallet.owner_at(0).expect("new words are words");
        wallet.address = Address { network: Network::Dev, owner }.to_string();
        Ok(wallet)
    }

    /// A key of the first account; none if the words are no words.
    #[must_use]
    pub fn key_at(&self, index: u32) -> Option<SecretKey> {
        let seed = self.words.parse::<Mnemonic>().ok()?.seed("");
        let path = KeyPath::account(0, index).ok()?;
        Some(ExtendedKey::derive(seed.as_bytes(), &path).ok()?.secret_key())
    }

    /// Who owns coins at the address of a key.
    #[must_use]
    pub fn owner_at(&self, index: u32) -> Option<Owner> {
        Some(Lock::Key(self.key_at(index)?.public_key()).owner())
    }
}

/// An open devnet folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    validators: u16,
    chain: ChainSpec,
    faucet: Wallet,
    demo: Wallet,
    restarted: bool,
}

impl Folder {
    /// Opens a devnet's folder, or makes a new devnet where there is none. 0 validators: as many as there are,
    /// or 4.
    ///
    /// # Errors
    /// If it holds something else, or another number of validators.
    pub fn open(path: &Path, validators: u16) -> Result<Self, DevnetError> {
        let restarted = path.join(MARKER).exists();
        if !restarted {
            create(path, if validators == 0 { 4 } else { validators })?;
        }
        let marker: Marker = read(path, MARKER)?;
        if marker.version != VERSION {
            return Err(wrong(path, format!("format {}", marker.version)));
        }
        if validators != 0 && validators != marker.validators {
            let path = path.to_path_buf();
            return Err(DevnetError::Validators { path, found: marker.validators, asked: validators });
        }
        let text = fs::read_to_string(path.join("chain.json"));
        let text = text.map_err(DevnetError::io(format!("cannot read {}/chain.json", path.display())))?;
        let chain = ChainSpec::from_json(&text).map_err(|error| wrong(path, error.to_string()))?;
        let (faucet, demo): (Wallet, Wallet) = (read(path, "faucet.json")?, read(path, "demo.json")?);
        if faucet.key_at(0).is_none() || demo.key_at(0).is_none() {
            return Err(wrong(path, "a wallet's words are no words".to_owned()));
        }
        let path = path.to_path_buf();
        Ok(Self { path, validators: marker.validators, chain, faucet, demo, restarted })
    }

    /// Keeps others from running this devnet, as long as what is returned lives.
    ///
    /// # Errors
    /// If another runs it.
    pub(super) fn lock(&self) -> Result<File, DevnetError> {
        let failed = |error| DevnetError::io(format!("cannot lock {}", self.path.display()))(error);
        let lock = OpenOptions::new().create(true).append(true).open(self.path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(DevnetError::InUse { path: self.path.clone() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// How many validators.
    #[must_use]
    pub fn validators(&self) -> u16 {
        self.validators
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> &ChainSpec {
        &self.chain
    }

    /// The wallet that pays.
    #[must_use]
    pub fn faucet(&self) -> &Wallet {
        &self.faucet
    }

    /// The wallet to play with.
    #[must_use]
    pub fn demo(&self) -> &Wallet {
        &self.demo
    }

    /// Whether the devnet was there before.
    #[must_use]
    pub fn restarted(&self) -> bool {
        self.restarted
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How to start node `number`, where node *i* listens on `ports[i]`.
    #[must_use]
    pub fn node(&self, number: u16, ports: &[u16]) -> NodeSetup {
        let data = self.path.join(format!("node-{number}"));
        let own = ports.get(usize::from(number)).copied().unwrap_or_default();
        let others = ports.iter().filter(|port| **port != own);
        NodeSetup {
            number,
            program: PathBuf::new(),
            chain: self.path.join("chain.json"),
            operator_key: data.join("operator.key"),
            log: data.join("node.log"),
            data,
            port: own,
            // All of them: whichever of two starts later finds the other at once.
            peers: others.map(|port| format!("ws://127.0.0.1:{port}/p2p")).collect(),
            web: None,
        }
    }
}

/// Everything is there before the marker is, so a half-made devnet is none.
fn create(path: &Path, validators: u16) -> Result<(), DevnetError> {
    if !(1..=VALIDATORS_MAX).contains(&validators) {
        return Err(DevnetError::Count { max: VALIDATORS_MAX });
    }
    let failed = |error| DevnetError::io(format!("cannot make a devnet in {}", path.display()))(error);
    if path.exists() && fs::read_dir(path).map_err(failed)?.next().is_some() {
        return Err(wrong(path, "it is not empty".to_owned()));
    }
    fs::create_dir_all(path).map_err(failed)?;
    let mut operators = Vec::new();
    for number in 0..validators {
        let data = path.join(format!("node-{number}"));
        fs::create_dir(&data).map_err(failed)?;
        let other = |error: identity::IdentityError| failed(io::Error::other(error));
        let key = identity::new_key().map_err(other)?;
        identity::write_unused_key(&data.join("operator.key"), &key).map_err(other)?;
        operators.push(key.public_key());
    }
    let (faucet, demo) = (Wallet::new()?, Wallet::new()?);
    let founder = |wallet: &Wallet, coins, amount| {
        let owner = wallet.owner_at(0).expect("new words are words");
        Founder { owner, coins, amount }
    };
    let founders = [founder(&faucet, FAUCET_COINS, FAUCET_COIN), founder(&demo, DEMO_COINS, DEMO_COIN)];
    let treasury = faucet.owner_at(TREASURY).expect("new words are words");
    let chain = spec(clock::now(), &operators, treasury, &founders);
    let marker = Marker { version: VERSION, validators };
    for (name, text) in [
        ("chain.json", chain.to_json()),
        ("faucet.json", to_json(&faucet)),
        ("demo.json", to_json(&demo)),
        (MARKER, to_json(&marker)),
    ] {
        write_new(&path.join(name), text.as_bytes()).map_err(failed)?;
    }
    Ok(())
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("plain data is JSON")
}

fn read<T: for<'de> Deserialize<'de>>(folder: &Path, name: &str) -> Result<T, DevnetError> {
    let text =
        fs::read_to_string(folder.join(name)).map_err(|error| wrong(folder, format!("{name}: {error}")))?;
    serde_json::from_str(&text).map_err(|error| wrong(folder, format!("{name}: {error}")))
}

fn wrong(path: &Path, reason: String) -> DevnetError {
    DevnetError::Folder { path: path.to_path_buf(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timecoin_core::state::genesis;

    #[test]
    fn a_devnet_is_made_once_and_opened_again() {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("net");
        let made = Folder::open(&path, 0).unwrap();
        assert!(!made.restarted());
        assert_eq!(made.validators(), 4);
        let state = genesis(&made.chain().consensus).unwrap().state;
        assert_eq!(state.validators.len(), 4);
        let demo = state.coins.balance(&made.demo().owner_at(0).unwrap()).unwrap();
        assert_eq!(demo.sum, Amount::from_time(1000), "the demo wallet has coins");

        let opened = Folder::open(&path, 4).unwrap();
        assert!(opened.restarted());
        assert_eq!(opened.chain(), made.chain());
        assert_eq!(opened.faucet().address, made.faucet().address);
        let other = Folder::open(&path, 3).unwrap_err();
        assert!(matches!(other, DevnetError::Validators { found: 4, asked: 3, .. }), "{other}");
    }

    #[test]
    fn other_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Folder::open(&folder.path().join("net"), 65), Err(DevnetError::Count { .. })));
        fs::write(folder.path().join("letters.txt"), "dear").unwrap();
        assert!(matches!(Folder::open(folder.path(), 4), Err(DevnetError::Folder { .. })));
        fs::write(folder.path().join(MARKER), "{}").unwrap();
        assert!(matches!(Folder::open(folder.path(), 4), Err(DevnetError::Folder { .. })));
    }
}
