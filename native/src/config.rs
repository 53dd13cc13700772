//! The node's settings: flags over a file over defaults, checked as a whole before anything starts.
//!
//! A file is TOML, or JSON where its name ends in `.json`. Its keys are the flags' names with underscores. An
//! unknown key is an error, so that a misspelt one is not silently without effect; every key has one.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::{Deserialize, Serialize};
use timecoin_core::address::Network;
use timecoin_core::mempool::MempoolLimits;
use timecoin_core::node::Chain;
use timecoin_core::spec::{ChainSpec, SpecError};

use crate::http::HttpLimits;
use crate::identity::{self, IdentityError};
use crate::net;
use crate::run::{Operator, Past, RunConfig};
use crate::store::Options;
use crate::tls::{ServerTls, TlsError, Trust};

/// No settings or chain file is larger.
const FILE_SIZE_MAX: u64 = 4 << 20;

/// Settings as given, in a file or as flags; what is absent has a default.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Chain: main, test, dev, or the path of a chain spec file
    #[arg(long, value_name = "NAME|FILE")]
    pub chain: Option<String>,
    /// Data folder [default: ~/.timecoin/CHAIN]
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Where to listen for peers, RPC and the web app [default: 127.0.0.1 and the network's port]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// The ws:// or wss:// URL at which peers reach this node
    #[arg(long, value_name = "URL")]
    pub advertise: Option<String>,
    /// A peer to keep a session with; may be repeated
    #[arg(long = "peer", value_name = "URL")]
    pub peers: Option<Vec<String>>,
    /// Vote with the operator key in this file (`timecoin keys new` makes one)
    #[arg(long, value_name = "FILE")]
    pub operator_key: Option<PathBuf>,
    /// Folder of the web app to serve at /
    #[arg(long, value_name = "FOLDER")]
    pub web: Option<PathBuf>,
    /// What to log, for example `info` or `timecoin_native=debug` [default: info, less for the store]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Speak TLS with the certificate chain in this PEM file; needs tls_key
    #[arg(long, value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,
    /// The certificate's private key, a PEM file
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Believe the certificates of the authorities in this PEM file at wss:// peers [default: those that browsers believe]
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// File of the token for RPC calls that spend or administer [default: rpc.token in the data folder]
    #[arg(long, value_name = "FILE")]
    pub rpc_token: Option<PathBuf>,
    /// A web origin whose pages may call the RPC; may be repeated [default: none]
    #[arg(long = "rpc-origin", value_name = "ORIGIN")]
    pub rpc_origins: Option<Vec<String>>,
    /// A host name, besides loopback ones, under which the RPC may be called; may be repeated
    #[arg(long = "rpc-host", value_name = "NAME")]
    pub rpc_hosts: Option<Vec<String>>,
    /// Answer callers on other machines without a token, except what administers the node [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub rpc_public: Option<bool>,
    /// Most sessions that others may open [default: 64]
    #[arg(long, value_name = "COUNT")]
    pub inbound_peers_max: Option<usize>,
    /// Most WebSockets from one address [default: 16]
    #[arg(long, value_name = "COUNT")]
    pub inbound_per_ip_max: Option<usize>,
    /// Most mebibytes of pending transactions [default: 64]
    #[arg(long, value_name = "MIB")]
    pub mempool_mib: Option<usize>,
    /// Mebibytes of file blocks kept in memory [default: 64]
    #[arg(long, value_name = "MIB")]
    pub cache_mib: Option<u64>,
}

/// Every key of a settings file.
pub const KEYS: [&str; 19] = [
    "chain",
    "data",
    "listen",
    "advertise",
    "peers",
    "operator_key",
    "web",
    "log",
    "tls_certificate",
    "tls_key",
    "tls_ca",
    "rpc_token",
    "rpc_origins",
    "rpc_hosts",
    "rpc_public",
    "inbound_peers_max",
    "inbound_per_ip_max",
    "mempool_mib",
    "cache_mib",
];

/// Who may call the RPC for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcAccess {
    /// File with the token of calls that spend or administer; made if there is none.
    pub token: PathBuf,
    /// Web origins whose pages may call.
    pub origins: Vec<String>,
    /// Host names under which it may be called, besides loopback ones.
    pub hosts: Vec<String>,
    /// Whether callers on other machines need no token for what only reads or submits.
    pub public: bool,
}

/// Settings that were checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain.
    pub chain: Arc<Chain>,
    /// The data folder.
    pub data: PathBuf,
    /// How the store uses memory.
    pub store: Options,
    /// Where to listen.
    pub listen: SocketAddr,
    /// How peers reach us.
    pub advertise: Option<String>,
    /// Peers to keep sessions with.
    pub peers: Vec<String>,
    /// The file of the key to vote with.
    pub operator_key: Option<PathBuf>,
    /// The web app's folder.
    pub web: Option<PathBuf>,
    /// What to log.
    pub log: String,
    /// Who may call the RPC.
    pub rpc: RpcAccess,
    /// What may wait for a block.
    pub mempool: MempoolLimits,
    /// The certificate of the port, where it speaks TLS.
    pub tls: Option<ServerTls>,
    /// Whose certificates are believed at `wss://` addresses.
    pub trust: Trust,
    /// What bounds the network.
    pub net: net::Limits,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {}", path.display(), identity::advised(error))]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The file is not TOML or JSON, or a value has the wrong type.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// A key that means nothing.
    #[error("{}: unknown key `{key}`{}: see `timecoin node --help` for the keys there are", path.display(), meant(key))]
    UnknownKey {
        /// Which file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A value that cannot be.
    #[error("{key} = {value}: {expected}")]
    Value {
        /// Which key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The chain spec is not one.
    #[error("{}: {error}", path.display())]
    Spec {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        error: SpecError,
    },
    /// A certificate or a key for TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no home folder to put data into.
    #[error("there is no home folder: name a data folder with --data")]
    NoHome,
}

fn meant(key: &str) -> String {
    let letters = |text: &str| text.replace(['-', '_'], "");
    let near = KEYS.iter().find(|known| letters(known) == letters(key) || known.starts_with(key));
    near.map(|known| format!(" (did you mean `{known}`?)")).unwrap_or_default()
}

impl Settings {
    /// Reads a settings file.
    ///
    /// # Errors
    /// If it cannot be read, is no TOML or JSON, or has an unknown key.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let syntax = |message: String| ConfigError::Syntax { path: path.to_path_buf(), message };
        let text = read(path)?;
        let value: serde_json::Value = if path.extension().is_some_and(|ending| ending == "json") {
            serde_json::from_str(&text).map_err(|error| syntax(error.to_string()))?
        } else {
            toml::from_str(&text).map_err(|error: toml::de::Error| {
                // In one line, as every error is.
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                syntax(format!(
                    "line {}: {}",
                    before.lines().count().max(1),
                    error.message().replace('\n', "; ")
                ))
            })?
        };
        let keys = value.as_object().ok_or_else(|| syntax("expected a table of keys".to_owned()))?;
        if let Some(key) = keys.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(ConfigError::UnknownKey { path: path.to_path_buf(), key: key.clone() });
        }
        // Key by key, so that a wrong type is reported with its key.
        for (key, value) in keys {
            let one = serde_json::Value::Object([(key.clone(), value.clone())].into_iter().collect());
            serde_json::from_value::<Self>(one).map_err(|error| syntax(format!("{key}: {error}")))?;
        }
        serde_json::from_value(value).map_err(|error| syntax(error.to_string()))
    }

    /// These settings, and the others' where these have none.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            chain: self.chain.or(other.chain),
            data: self.data.or(other.data),
            listen: self.listen.or(other.listen),
            advertise: self.advertise.or(other.advertise),
            peers: self.peers.or(other.peers),
            operator_key: self.operator_key.or(other.operator_key),
            web: self.web.or(other.web),
            log: self.log.or(other.log),
            tls_certificate: self.tls_certificate.or(other.tls_certificate),
            tls_key: self.tls_key.or(other.tls_key),
            tls_ca: self.tls_ca.or(other.tls_ca),
            rpc_token: self.rpc_token.or(other.rpc_token),
            rpc_origins: self.rpc_origins.or(other.rpc_origins),
            rpc_hosts: self.rpc_hosts.or(other.rpc_hosts),
            rpc_public: self.rpc_public.or(other.rpc_public),
            inbound_peers_max: self.inbound_peers_max.or(other.inbound_peers_max),
            inbound_per_ip_max: self.inbound_per_ip_max.or(other.inbound_per_ip_max),
            mempool_mib: self.mempool_mib.or(other.mempool_mib),
            cache_mib: self.cache_mib.or(other.cache_mib),
        }
    }

    /// Checks everything and fills in defaults.
    ///
    /// # Errors
    /// If a value cannot be, or the chain spec cannot be read.
    pub fn check(self) -> Result<Config, ConfigError> {
        let name = self.chain.as_deref().unwrap_or("main");
        let chain = Arc::new(Chain::new(load_chain(name)?));
        let (network, rules) = (chain.spec.consensus.network, &chain.spec.consensus.rules);
        let data = match self.data {
            Some(data) => data,
            None => home()?.join(".timecoin").join(folder_name(network)),
        };
        for peer in self.peers.iter().flatten() {
            check_url("peers", peer)?;
        }
        if let Some(url) = &self.advertise {
            check_url("advertise", url)?;
        }
        let tls = match (self.tls_certificate, self.tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(ServerTls::of_files(&certificate, &key)?),
            (Some(_), None) => return Err(lonely("tls_key", "name the key file of tls_certificate")),
            (None, Some(_)) => return Err(lonely("tls_certificate", "name the certificate file of tls_key")),
        };
        let trust = self.tls_ca.as_deref().map(Trust::of_file).transpose()?.unwrap_or_default();
        let limits = net::Limits::default();
        let inbound_peers_max =
            at_least("inbound_peers_max", self.inbound_peers_max, 0, limits.inbound_peers_max)?;
        let net = net::Limits {
            inbound_peers_max,
            inbound_sockets_max: inbound_peers_max.saturating_mul(2).max(1),
            inbound_per_ip_max: at_least(
                "inbound_per_ip_max",
                self.inbound_per_ip_max,
                1,
                limits.inbound_per_ip_max,
            )?,
            ..limits
        };
        let last_rules = rules.last().map(|entry| &entry.rules);
        let mempool = MempoolLimits::default();
        let mempool = MempoolLimits {
            bytes_max: at_least("mempool_mib", self.mempool_mib, 1, mempool.bytes_max >> 20)?
                .saturating_mul(1 << 20),
            replace_fee_per_kb: last_rules
                .map_or(mempool.replace_fee_per_kb, |rules| rules.fee_per_kb_min.max(1)),
            expiry_max_ms: last_rules.map_or(mempool.expiry_max_ms, |rules| rules.expiry_max_ms),
            ..mempool
        };
        let log = self.log.unwrap_or_else(|| "info,fjall=warn,lsm_tree=warn".to_owned());
        if tracing_subscriber::EnvFilter::try_new(&log).is_err() {
            let expected = "use a level such as `info`, or `module=level` pairs";
            return Err(ConfigError::Value { key: "log", value: log, expected });
        }
        let cache_mib = self.cache_mib.unwrap_or(Options::default().cache_bytes >> 20);
        Ok(Config {
            listen: self.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], default_port(network)))),
            store: Options { cache_bytes: cache_mib.saturating_mul(1 << 20) },
            advertise: self.advertise,
            peers: self.peers.unwrap_or_default(),
            operator_key: self.operator_key,
            web: self.web,
            rpc: RpcAccess {
                token: self.rpc_token.unwrap_or_else(|| data.join("rpc.token")),
                origins: self.rpc_origins.unwrap_or_default(),
                hosts: self.rpc_hosts.unwrap_or_default(),
                public: self.rpc_public.unwrap_or(false),
            },
            chain,
            data,
            log,
            mempool,
            tls,
            trust,
            net,
        })
    }
}

impl Config {
    /// What the node runs with. The operator key is read.
    ///
    /// # Errors
    /// If the key file cannot be used.
    pub fn run_config(&self) -> Result<RunConfig, IdentityError> {
        let operator = self.operator_key.as_deref().map(|path| {
            let key = identity::read_key(path)?;
            Ok(Operator { key, past: Past::Marked(path.to_path_buf()) })
        });
        Ok(RunConfig {
            chain: self.chain.clone(),
            data: self.data.clone(),
            store: self.store,
            listen: self.listen,
            advertise: self.advertise.clone(),
            peers: self.peers.clone(),
            operator: operator.transpose()?,
            mempool: self.mempool,
            tls: self.tls.clone(),
            trust: self.trust.clone(),
            net: self.net.clone(),
            http: HttpLimits::default(),
        })
    }
}

/// The port a network uses unless told otherwise.
#[must_use]
pub const fn default_port(network: Network) -> u16 {
    match network {
        Network::Main => 24001,
        Network::Test => 24101,
        Network::Dev => 24201,
    }
}

const fn folder_name(network: Network) -> &'static str {
    match network {
        Network::Main => "main",
        Network::Test => "test",
        Network::Dev => "dev",
    }
}

/// The user's home folder.
pub(crate) fn home() -> Result<PathBuf, ConfigError> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).ok_or(ConfigError::NoHome)
}

/// A built-in chain by name, or a chain spec file.
///
/// # Errors
/// If there is no such file, or it is no chain spec.
pub fn load_chain(name: &str) -> Result<ChainSpec, ConfigError> {
    if let Some(spec) = ChainSpec::built_in(name) {
        return Ok(spec);
    }
    let path = Path::new(name);
    let text = read(path)?;
    ChainSpec::from_json(&text).map_err(|error| ConfigError::Spec { path: path.to_path_buf(), error })
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable { path: path.to_path_buf(), error };
    if fs::metadata(path).map_err(unreadable)?.len() > FILE_SIZE_MAX {
        return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
    }
    fs::read_to_string(path).map_err(unreadable)
}

fn check_url(key: &'static str, url: &str) -> Result<(), ConfigError> {
    if url.starts_with("ws://") || url.starts_with("wss://") {
        return Ok(());
    }
    let expected = "use a URL such as ws://host:24001/p2p";
    Err(ConfigError::Value { key, value: url.to_owned(), expected })
}

fn lonely(key: &'static str, expected: &'static str) -> ConfigError {
    ConfigError::Value { key, value: "(absent)".to_owned(), expected }
}

fn at_least(
    key: &'static str,
    value: Option<usize>,
    least: usize,
    default: usize,
) -> Result<usize, ConfigError> {
    let value = value.unwrap_or(default);
    if value < least {
        let expected = "use a larger number";
        return Err(ConfigError::Value { key, value: value.to_string(), expected });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> Result<Settings, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        Settings::from_file(&path)
    }

    fn base() -> Settings {
        Settings { chain: Some("dev".into()), data: Some("/data".into()), ..Settings::default() }
    }

    #[test]
    fn the_keys_are_the_fields() {
        let fields = serde_json::to_value(Settings::default()).unwrap();
        let fields: Vec<_> = fields.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, KEYS);
    }

    #[test]
    fn flags_win_over_the_file() {
        let settings = file("a.json", r#"{"listen": "127.0.0.1:1", "log": "warn"}"#).unwrap();
        let flags = Settings { log: Some("debug".into()), ..base() };
        let config = flags.over(settings).check().unwrap();
        assert_eq!((config.listen.port(), config.log.as_str()), (1, "debug"));
    }

    #[test]
    fn bad_files_are_refused_with_what_to_do() {
        let cases = [
            ("unknown", "a.toml", "lisen = '127.0.0.1:1'", "unknown key `lisen`"),
            ("hyphens", "a.toml", "operator-key = 'x'", "did you mean `operator_key`"),
            ("type", "a.toml", "cache_mib = 'many'", "cache_mib: "),
            ("address", "a.json", r#"{"listen": "here"}"#, "listen: "),
            ("syntax", "a.toml", "= 3", "line 1"),
            ("no table", "a.json", "[]", "table of keys"),
            ("nested", "a.toml", "[rpc]\ntoken = 'x'", "unknown key `rpc`"),
        ];
        for (name, file_name, text, expected) in cases {
            let error = file(file_name, text).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        let cases = [
            ("peers", Settings { peers: Some(vec!["http://a".into()]), ..base() }),
            ("advertise", Settings { advertise: Some("a:1".into()), ..base() }),
            ("inbound_per_ip_max", Settings { inbound_per_ip_max: Some(0), ..base() }),
            ("mempool_mib", Settings { mempool_mib: Some(0), ..base() }),
            ("log", Settings { log: Some("a=b=c".into()), ..base() }),
        ];
        for (name, settings) in cases {
            let error = settings.check().unwrap_err();
            assert!(matches!(error, ConfigError::Value { key, .. } if key == name), "{name}: {error}");
        }
        let absent = Settings { chain: Some("/does/not/exist.json".into()), ..base() }.check();
        assert!(matches!(absent, Err(ConfigError::Unreadable { .. })));
    }
}
