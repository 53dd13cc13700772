//! Peer records: where a node takes sessions, signed by the node itself, and which such places we would dial.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::hello::{LISTEN_SIZE_MAX, is_listen_url};
use crate::codec::{Wire, encode};
use crate::hash::{ChainId, Hash, Tag};
use crate::keys::{PublicKey, SecretKey, Signature, verify};
use crate::time::Time;

/// A record may be this far ahead of our clock.
const RECORD_DRIFT_MAX_MS: u64 = 600_000;

/// A node's own statement of where it takes sessions. Whoever passes it on can neither make nor alter one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRecord {
    /// The node.
    pub key: PublicKey,
    /// Its WebSocket URL, at most [`LISTEN_SIZE_MAX`] printable ASCII characters.
    pub url: String,
    /// When it was signed; of two records of one node the later counts.
    pub time: Time,
    /// The node key's, over the chain and everything above.
    pub signature: Signature,
}

impl Wire for PeerRecord {
    const SIZE_MAX: usize = 32 + 8 + LISTEN_SIZE_MAX + 8 + 64;
}

/// Why a record says nothing. An honest node passes on none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not a WebSocket URL with a host.
    #[error("not a WebSocket URL")]
    Url,
    /// Not signed by its key.
    #[error("not signed by its key")]
    Signature,
}

impl PeerRecord {
    const SIGNED: Tag = Tag::new("timecoin peer record");

    /// A node's record of itself.
    #[must_use]
    pub fn sign(key: &SecretKey, url: &str, time: Time, chain: &ChainId) -> Self {
        let (public, url) = (key.public_key(), url.to_owned());
        let signature = key.sign(&Self::message(&public, &url, time, chain).0);
        Self { key: public, url, time, signature }
    }

    /// Checks form and signature.
    pub fn verify(self, chain: &ChainId) -> Result<VerifiedRecord, RecordError> {
        Endpoint::parse(&self.url).ok_or(RecordError::Url)?;
        let message = Self::message(&self.key, &self.url, self.time, chain);
        let signed = self.key.check().is_ok() && verify(&self.key, &message.0, &self.signature);
        if signed { Ok(VerifiedRecord(self)) } else { Err(RecordError::Signature) }
    }

    fn message(key: &PublicKey, url: &str, time: Time, chain: &ChainId) -> Hash {
        Self::SIGNED.hash(&[chain.as_bytes(), &encode(&(key, url, time))])
    }
}

/// A record that its key signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedRecord(pub(super) PeerRecord);

impl VerifiedRecord {
    /// The record.
    #[must_use]
    pub fn record(&self) -> &PeerRecord {
        &self.0
    }

    /// Whether it was signed in the future: a clock is wrong, ours or a stranger's, and nobody is to blame.
    #[must_use]
    pub fn is_early(&self, now: Time) -> bool {
        self.0.time > now.plus(RECORD_DRIFT_MAX_MS)
    }
}

/// What a WebSocket URL leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `wss:` rather than `ws:`.
    pub is_secure: bool,
    /// The host, lowercase, without port; an IPv6 address without brackets.
    pub host: String,
    /// The host as an address, where it is one.
    pub address: Option<IpAddr>,
}

impl Endpoint {
    /// Takes apart `ws://host[:port][/path]`. No credentials, and no host that is an address in disguise:
    /// browsers read `ws://2130706433` and `ws://0x7f.1` as 127.0.0.1.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        if !is_listen_url(url) {
            return None;
        }
        let (scheme, rest) = url.split_once("://")?;
        let is_secure = match scheme {
            "ws" => false,
            "wss" => true,
            _ => return None,
        };
        let authority = rest.split(['/', '?', '#']).next()?;
        if authority.contains(['@', '\\', '%']) {
            return None;
        }
        if let Some(rest) = authority.strip_prefix('[') {
            let (host, port) = rest.split_once(']')?;
            check_port(port)?;
            let address: Ipv6Addr = host.parse().ok()?;
            return Some(Self { is_secure, host: host.to_ascii_lowercase(), address: Some(address.into()) });
        }
        let (host, port) = authority.find(':').map_or((authority, ""), |at| authority.split_at(at));
        check_port(port)?;
        let host = host.to_ascii_lowercase();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        if host.is_empty() || !host.bytes().all(is_name) {
            return None;
        }
        let address = host.parse::<Ipv4Addr>().ok().map(IpAddr::from);
        let last = host.trim_end_matches('.').rsplit('.').next()?;
        let is_numeric = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
        if is_numeric && address.is_none() {
            return None;
        }
        Some(Self { is_secure, host, address })
    }

    /// Whether it leads to this machine or this local network, where a stranger's record has no business.
    #[must_use]
    pub fn is_private(&self) -> bool {
        let name = self.host.trim_end_matches('.');
        match self.address {
            Some(IpAddr::V4(address)) => is_private_v4(address),
            Some(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
                Some(address) => is_private_v4(address),
                None => is_private_v6(address),
            },
            None => {
                !name.contains('.')
                    || [".localhost", ".local", ".internal"].iter().any(|end| name.ends_with(end))
            }
        }
    }

    /// Places that one operator tends to own together: an IPv4 /16, an IPv6 /32, the last two labels of a name.
    #[must_use]
    pub fn neighbourhood(&self) -> String {
        match self.address {
            Some(IpAddr::V4(address)) => {
                let [one, two, ..] = address.octets();
                format!("{one}.{two}")
            }
            Some(IpAddr::V6(address)) => {
                let [one, two, ..] = address.segments();
                format!("{one:x}:{two:x}")
            }
            None => {
                let mut labels = self.host.trim_end_matches('.').rsplit('.');
                let (top, second) = (labels.next().unwrap_or_default(), labels.next().unwrap_or_default());
                format!("{second}.{top}")
            }
        }
    }
}

fn check_port(port: &str) -> Option<()> {
    match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse::<u16>().ok().filter(|port| *port > 0).map(|_| ())
        }
        Some(_) => None,
        None => port.is_empty().then_some(()),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [one, two, ..] = address.octets();
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || one == 0
        || (one == 100 && (64..128).contains(&two))
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let [first, ..] = address.segments();
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || first & 0xfe00 == 0xfc00
        || first & 0xffc0 == 0xfe80
}

/// Which places this node dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Also this machine and the local network: a development network, or one behind a firewall.
    pub allow_private: bool,
    /// Also `ws:`, which a page from `https:` cannot dial. Sessions are encrypted inside either way.
    pub allow_insecure: bool,
}

impl AddressPolicy {
    /// Whether to dial this URL.
    #[must_use]
    pub fn allows(&self, url: &str) -> bool {
        Endpoint::parse(url).is_some_and(|endpoint| {
            (self.allow_private || !endpoint.is_private()) && (self.allow_insecure || endpoint.is_secure)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: ChainId = ChainId(Hash([7; 32]));

    #[test]
    fn urls_are_taken_apart_or_refused() {
        let table = [
            ("plain", "ws://node.example:24001/p2p", Some(("node.example", false, false, "node.example"))),
            ("secure", "wss://a.b.node.example", Some(("a.b.node.example", true, false, "node.example"))),
            ("capitals", "ws://NODE.Example/", Some(("node.example", false, false, "node.example"))),
            ("public v4", "ws://8.8.4.4:1", Some(("8.8.4.4", false, false, "8.8"))),
            ("private v4", "ws://192.168.1.1", Some(("192.168.1.1", false, true, "192.168"))),
            ("shared v4", "ws://100.64.0.1", Some(("100.64.0.1", false, true, "100.64"))),
            ("this network", "ws://0.0.0.0", Some(("0.0.0.0", false, true, "0.0"))),
            ("loopback v6", "ws://[::1]:24001", Some(("::1", false, true, "0:0"))),
            ("mapped v6", "ws://[::ffff:10.0.0.1]", Some(("::ffff:10.0.0.1", false, true, "0:0"))),
            ("public v6", "wss://[2a00:1450::1]/", Some(("2a00:1450::1", true, false, "2a00:1450"))),
            ("local v6", "ws://[fd00::1]", Some(("fd00::1", false, true, "fd00:0"))),
            ("localhost", "ws://localhost:24001", Some(("localhost", false, true, ".localhost"))),
            ("dotted localhost", "ws://x.localhost.", Some(("x.localhost.", false, true, "x.localhost"))),
            ("decimal address", "ws://2130706433", None),
            ("hexadecimal address", "ws://0x7f.1", None),
            ("short address", "ws://127.1", None),
            ("octal address", "ws://0177.0.0.1", None),
            ("credentials", "ws://user@node.example", None),
            ("escaped", "ws://%6eode.example", None),
            ("backslash", "ws://node.example\\@other", None),
            ("http", "http://node.example", None),
            ("no host", "ws:///p2p", None),
            ("port 0", "ws://node.example:0", None),
            ("large port", "ws://node.example:65536", None),
            ("signed port", "ws://node.example:+1", None),
            ("empty port", "ws://node.example:", None),
            ("space", "ws://node .example", None),
            ("long", &format!("ws://{}.example", "a".repeat(128)), None),
        ];
        for (name, url, expected) in table {
            let parsed = Endpoint::parse(url);
            let facts = parsed.as_ref().map(|endpoint| {
                (endpoint.host.as_str(), endpoint.is_secure, endpoint.is_private(), endpoint.neighbourhood())
            });
            let expected =
                expected.map(|(host, secure, private, near)| (host, secure, private, near.to_owned()));
            assert_eq!(facts, expected, "{name}");
        }
    }

    #[test]
    fn policy_filters_what_a_page_or_a_public_node_cannot_dial() {
        let policy = |allow_private, allow_insecure| AddressPolicy { allow_private, allow_insecure };
        assert!(policy(true, true).allows("ws://127.0.0.1:24201"));
        assert!(!policy(false, true).allows("ws://127.0.0.1:24201"));
        assert!(!policy(true, false).allows("ws://127.0.0.1:24201"));
        assert!(policy(false, false).allows("wss://node.example"));
    }

    #[test]
    fn a_record_binds_key_url_time_and_chain() {
        let key = SecretKey::from_seed(&[1; 32]);
        let record = PeerRecord::sign(&key, "wss://node.example/p2p", Time(5), &CHAIN);
        assert_eq!(record.clone().verify(&CHAIN), Ok(VerifiedRecord(record.clone())));
        assert_eq!(record.clone().verify(&ChainId(Hash([8; 32]))), Err(RecordError::Signature));
        let altered = |change: fn(&mut PeerRecord)| {
            let mut altered = record.clone();
            change(&mut altered);
            altered.verify(&CHAIN)
        };
        assert_eq!(altered(|record| record.time = Time(6)), Err(RecordError::Signature));
        assert_eq!(altered(|record| record.url.push('x')), Err(RecordError::Signature));
        assert_eq!(altered(|record| record.url.clear()), Err(RecordError::Url));
        let other = SecretKey::from_seed(&[2; 32]).public_key();
        let mut stolen = record.clone();
        stolen.key = other;
        assert_eq!(stolen.verify(&CHAIN), Err(RecordError::Signature));
        let early = PeerRecord::sign(&key, "wss://node.example", Time(600_006), &CHAIN);
        let early = early.verify(&CHAIN).unwrap();
        assert!(early.is_early(Time(5)) && !early.is_early(Time(6)));
    }
}
