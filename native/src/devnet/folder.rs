//! What a devnet keeps on disk.
//!
//! ```text
//! devnet.json          how many validators
//! chain.json           the chain spec
//! faucet.json          words and address of the wallet that pays
//! demo.json            words and address of a wallet to play with
//! node-N/              data folder of a node, with its operator.key and its node.log
//! browser-N/           the operator.key of a validator that no process runs, for a tab
//! lock                 held while the devnet runs
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use timecoin_core::address::{Address, Network};
use timecoin_core::amount::Amount;
use timecoin_core::hash::{Owner, to_hex};
use timecoin_core::keys::SecretKey;
use timecoin_core::lock::Lock;
use timecoin_core::spec::ChainSpec;
use timecoin_core::transaction::Class;
use timecoin_core::wallet::derive::{ExtendedKey, Path as KeyPath};
use timecoin_core::wallet::mnemonic::Mnemonic;

use super::DevnetError;
use super::genesis::{Founder, spec_of};
use super::process::NodeSetup;
use crate::clock;
use crate::identity::{self, write_new};

const MARKER: &str = "devnet.json";
const LOCK: &str = "lock";
const KEY: &str = "operator.key";
const VERSION: u32 = 1;
/// More than this many processes, or tabs, help nobody on one machine.
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
    #[serde(default)]
    browsers: u16,
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
    browsers: Vec<BrowserValidator>,
    chain: ChainSpec,
    faucet: Wallet,
    demo: Wallet,
    restarted: bool,
}

/// A validator of the genesis set that waits for a tab: the key that opens it is in a file, and no process has it.
#[derive(Clone, Debug)]
pub struct BrowserValidator {
    /// Its operator key.
    pub key: SecretKey,
    /// Where that is kept.
    pub key_file: PathBuf,
}

impl BrowserValidator {
    /// What opens it in the app that a node serves. The key is behind the `#`, which a browser sends to nobody.
    #[must_use]
    pub fn link(&self, port: u16) -> String {
        format!("http://127.0.0.1:{port}/#/validator?key={}", to_hex(&*self.key.seed()))
    }
}

impl Folder {
    /// Opens a devnet's folder, or makes a new devnet where there is none. 0 validators: as many as there are,
    /// or 4.
    ///
    /// # Errors
    /// If it holds something else, or another number of validators.
    pub fn open(path: &Path, validators: u16) -> Result<Self, DevnetError> {
        Self::open_with_browsers(path, validators, None)
    }

    /// [`Self::open`], with so many validators more that run in tabs; where nothing is said, as many as there are, or none.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_browsers(
        path: &Path,
        validators: u16,
        browsers: Option<u16>,
    ) -> Result<Self, DevnetError> {
        let restarted = path.join(MARKER).exists();
        if !restarted {
            create(path, if validators == 0 { 4 } else { validators }, browsers.unwrap_or(0))?;
        }
        let marker: Marker = read(path, MARKER)?;
        if marker.version != VERSION {
            return Err(wrong(path, format!("format {}", marker.version)));
        }
        if validators != 0 && validators != marker.validators {
            let path = path.to_path_buf();
            return Err(DevnetError::Validators { path, found: marker.validators, asked: validators });
        }
        if let Some(asked) = browsers.filter(|asked| *asked != marker.browsers) {
            let path = path.to_path_buf();
            return Err(DevnetError::BrowserValidators { path, found: marker.browsers, asked });
        }
        let text = fs::read_to_string(path.join("chain.json"));
        let text = text.map_err(DevnetError::io(format!("cannot read {}/chain.json", path.display())))?;
        let chain = ChainSpec::from_json(&text).map_err(|error| wrong(path, error.to_string()))?;
        let (faucet, demo): (Wallet, Wallet) = (read(path, "faucet.json")?, read(path, "demo.json")?);
        if faucet.key_at(0).is_none() || demo.key_at(0).is_none() {
            return Err(wrong(path, "a wallet's words are no words".to_owned()));
        }
        let browsers = (0..marker.browsers).map(|number| {
            let key_file = browser(path, number).join(KEY);
            let key = identity::read_key(&key_file).map_err(|error| wrong(path, error.to_string()))?;
            Ok(BrowserValidator { key, key_file })
        });
        let browsers = browsers.collect::<Result<_, DevnetError>>()?;
        let path = path.to_path_buf();
        Ok(Self { path, validators: marker.validators, browsers, chain, faucet, demo, restarted })
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

    /// The validators that run in tabs.
    #[must_use]
    pub fn browsers(&self) -> &[BrowserValidator] {
        &self.browsers
    }

    /// Writes into the chain spec where the nodes are: a page takes its relays from there. Bootstrap peers are no part of
    /// what makes a chain.
    pub(super) fn name_nodes(&mut self, ports: &[u16]) -> Result<(), DevnetError> {
        self.chain.bootstrap = ports.iter().map(|port| url_of(*port)).collect();
        let file = self.path.join("chain.json");
        let written = identity::write_over(&file, self.chain.to_json().as_bytes());
        written.map_err(DevnetError::io(format!("cannot write {}", file.display())))
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
            operator_key: data.join(KEY),
            log: data.join("node.log"),
            data,
            port: own,
            // All of them: whichever of two starts later finds the other at once.
            peers: others.map(|port| url_of(*port)).collect(),
            web: None,
        }
    }
}

fn url_of(port: u16) -> String {
    format!("ws://127.0.0.1:{port}/p2p")
}

fn browser(path: &Path, number: u16) -> PathBuf {
    path.join(format!("browser-{number}"))
}

/// Everything is there before the marker is, so a half-made devnet is none.
fn create(path: &Path, validators: u16, browsers: u16) -> Result<(), DevnetError> {
    if !(1..=VALIDATORS_MAX).contains(&validators) || browsers > VALIDATORS_MAX {
        return Err(DevnetError::Count { max: VALIDATORS_MAX });
    }
    let failed = |error| DevnetError::io(format!("cannot make a devnet in {}", path.display()))(error);
    if path.exists() && fs::read_dir(path).map_err(failed)?.next().is_some() {
        return Err(wrong(path, "it is not empty".to_owned()));
    }
    fs::create_dir_all(path).map_err(failed)?;
    let mut operators = Vec::new();
    let nodes = (0..validators).map(|number| (Class::Server, path.join(format!("node-{number}"))));
    let tabs = (0..browsers).map(|number| (Class::Browser, browser(path, number)));
    for (class, data) in nodes.chain(tabs) {
        fs::create_dir(&data).map_err(failed)?;
        let other = |error: identity::IdentityError| failed(io::Error::other(error));
        let key = identity::new_key().map_err(other)?;
        // A tab may use its key before a node that is given the file.
        let write = if class == Class::Server { identity::write_unused_key } else { identity::write_key };
        write(&data.join(KEY), &key).map_err(other)?;
        operators.push((class, key.public_key()));
    }
    let (faucet, demo) = (Wallet::new()?, Wallet::new()?);
    let founder = |wallet: &Wallet, coins, amount| {
        let owner = wallet.owner_at(0).expect("new words are words");
        Founder { owner, coins, amount }
    };
    let founders = [founder(&faucet, FAUCET_COINS, FAUCET_COIN), founder(&demo, DEMO_COINS, DEMO_COIN)];
    let treasury = faucet.owner_at(TREASURY).expect("new words are words");
    let chain = spec_of(clock::now(), &operators, treasury, &founders);
    let marker = Marker { version: VERSION, validators, browsers };
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
    fn validators_for_tabs_are_in_the_set_and_their_keys_in_no_node() {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("net");
        let mut made = Folder::open_with_browsers(&path, 2, Some(2)).unwrap();
        let set = genesis(&made.chain().consensus).unwrap().state.validators;
        assert_eq!(set.len(), 4);
        let weight = |key: &SecretKey| set.index_of(&key.public_key()).and_then(|at| set.validator(at));
        let tabs: Vec<_> = made.browsers().iter().map(|tab| weight(&tab.key).unwrap().weight).collect();
        let total = set.total();
        assert!(
            tabs.iter().sum::<u64>() * 4 <= total,
            "{tabs:?} of {total}: without them the nodes have a quorum"
        );
        for number in 0..2 {
            let key = identity::read_key(&made.node(number, &[1, 2]).operator_key).unwrap();
            assert!(made.browsers().iter().all(|tab| tab.key.public_key() != key.public_key()));
        }
        let link = made.browsers()[0].link(24_201);
        let (page, key) = link.split_once("?key=").unwrap();
        assert_eq!(page, "http://127.0.0.1:24201/#/validator");
        assert_eq!(key, fs::read_to_string(&made.browsers()[0].key_file).unwrap().trim());

        let id = made.chain().consensus.id();
        made.name_nodes(&[7, 8]).unwrap();
        let again = Folder::open(&path, 0).unwrap();
        assert_eq!(again.browsers().len(), 2, "as many as there are");
        assert_eq!(again.chain().bootstrap, ["ws://127.0.0.1:7/p2p", "ws://127.0.0.1:8/p2p"]);
        assert_eq!(again.chain().consensus.id(), id, "the same chain");
        let other = Folder::open_with_browsers(&path, 2, Some(1)).unwrap_err();
        assert!(matches!(other, DevnetError::BrowserValidators { found: 2, asked: 1, .. }), "{other}");
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
