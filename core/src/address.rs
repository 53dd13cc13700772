//! Addresses: how people write owners (bech32m, BIP-350).
//!
//! An address is the network's prefix, then a version byte and the 32-byte owner under one checksum that
//! detects up to four wrong characters. Each address has one text, apart from being all upper case.

use core::fmt;
use core::str::FromStr;

use bech32::primitives::decode::{
    CharError, CheckedHrpstring, CheckedHrpstringError, UncheckedHrpstringError,
};
use bech32::{Bech32m, Hrp};
use serde::{Deserialize, Serialize};

use crate::hash::{Hash, Owner};

/// The only version so far.
const VERSION: u8 = 0;
/// Version and owner.
const PAYLOAD_SIZE: usize = 1 + 32;

/// Which kind of chain an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Network {
    /// The network whose coins have value.
    Main,
    /// The public test network.
    Test,
    /// A development network.
    Dev,
}

impl Network {
    /// Every network.
    pub const ALL: [Self; 3] = [Self::Main, Self::Test, Self::Dev];

    /// The prefix of its addresses.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Main => "time",
            Self::Test => "ttime",
            Self::Dev => "dtime",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Main => "main",
            Self::Test => "test",
            Self::Dev => "dev",
        })
    }
}

/// An owner on a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Where it is used.
    pub network: Network,
    /// Who is meant.
    pub owner: Owner,
}

/// Why a text is not an address that can be paid here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not of an address's form: a character that cannot occur, no prefix, or padding that is not zero.
    #[error("not an address: copy it again, from the prefix to the last character")]
    Malformed,
    /// Upper and lower case mixed.
    #[error("an address is all lower case or all upper case: copy it again")]
    MixedCase,
    /// The checksum is wrong: a character was changed, dropped or swapped.
    #[error("damaged address: a character is wrong; copy it again")]
    Checksum,
    /// The address of some other system.
    #[error("not a TimeCoin address: those begin with time1, ttime1 or dtime1")]
    UnknownPrefix,
    /// Right in itself, but for another network.
    #[error(
        "an address of the {found} network, where one of the {expected} network is needed: ask for another"
    )]
    WrongNetwork {
        /// The network in use.
        expected: Network,
        /// The address's network.
        found: Network,
    },
    /// Made by newer software.
    #[error("address version {0} is newer than this software: use a newer program")]
    UnknownVersion(u8),
    /// Too much or too little inside.
    #[error("an address holds {PAYLOAD_SIZE} bytes, this one {found}: copy it again")]
    Length {
        /// Bytes found.
        found: usize,
    },
}

impl Address {
    /// The owner a text names, where only addresses of `network` are of use.
    pub fn parse_for(network: Network, text: &str) -> Result<Owner, AddressError> {
        let address: Self = text.parse()?;
        if address.network != network {
            return Err(AddressError::WrongNetwork { expected: network, found: address.network });
        }
        Ok(address.owner)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut payload = [VERSION; PAYLOAD_SIZE];
        payload[1..].copy_from_slice(self.owner.as_bytes());
        bech32::encode_lower_to_fmt::<Bech32m, _>(f, prefix(self.network), &payload).map_err(|_| fmt::Error)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        // Not bech32::decode, which takes the older checksum too.
        let checked = CheckedHrpstring::new::<Bech32m>(text).map_err(form_error)?;
        let known = |network: &Network| prefix(*network) == checked.hrp();
        let network = Network::ALL.into_iter().find(known).ok_or(AddressError::UnknownPrefix)?;
        let payload: Vec<u8> = checked.byte_iter().collect();
        match payload.split_first() {
            Some((&VERSION, _)) | None => {}
            Some((version, _)) => return Err(AddressError::UnknownVersion(*version)),
        }
        let length = AddressError::Length { found: payload.len() };
        let owner = payload.get(1..).and_then(|rest| rest.try_into().ok()).ok_or(length)?;
        let address = Self { network, owner: Owner(Hash(owner)) };
        // The checksum holds for any padding; only one is the address.
        if !text.eq_ignore_ascii_case(&address.to_string()) {
            return Err(AddressError::Malformed);
        }
        Ok(address)
    }
}

fn prefix(network: Network) -> Hrp {
    Hrp::parse_unchecked(network.prefix())
}

fn form_error(error: CheckedHrpstringError) -> AddressError {
    match error {
        CheckedHrpstringError::Parse(UncheckedHrpstringError::Char(CharError::MixedCase)) => {
            AddressError::MixedCase
        }
        CheckedHrpstringError::Checksum(_) => AddressError::Checksum,
        _ => AddressError::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use bech32::primitives::iter::{ByteIterExt, Fe32IterExt};
    use bech32::{Bech32, Fe32};
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Address {
        Address { network: Network::Test, owner: Owner(Hash([0x5a; 32])) }
    }

    #[test]
    fn round_trip_on_every_network_in_either_case() {
        for network in Network::ALL {
            let address = Address { network, ..sample() };
            let text = address.to_string();
            assert!(text.starts_with(&format!("{}1", network.prefix())), "{text}");
            assert_eq!(text.parse(), Ok(address));
            assert_eq!(text.to_uppercase().parse(), Ok(address));
            assert_eq!(Address::parse_for(network, &text), Ok(address.owner));
        }
    }

    #[test]
    fn a_wrong_network_names_both() {
        let error = Address::parse_for(Network::Main, &sample().to_string()).unwrap_err();
        assert_eq!(error, AddressError::WrongNetwork { expected: Network::Main, found: Network::Test });
        assert_eq!(
            error.to_string(),
            "an address of the test network, where one of the main network is needed: ask for another"
        );
    }

    #[test]
    fn every_single_substitution_is_refused() {
        let good = sample().to_string();
        for at in 0..good.len() {
            for other in ' '..='~' {
                let mut bad = good.clone();
                bad.replace_range(at..=at, &other.to_string());
                if bad != good {
                    assert!(bad.parse::<Address>().is_err(), "{bad}");
                }
            }
        }
    }

    #[test]
    fn every_transposition_omission_and_repetition_is_refused() {
        let good = Address { owner: Owner(Hash([0x1f; 32])), ..sample() }.to_string();
        for at in 0..good.len() {
            let (head, tail) = good.split_at(at);
            let mut swapped = good.clone().into_bytes();
            if at + 1 < swapped.len() {
                swapped.swap(at, at + 1);
            }
            let damaged = [
                String::from_utf8(swapped).unwrap(),
                format!("{head}{}", &tail[1..]),
                format!("{head}{}{tail}", &tail[..1]),
            ];
            for bad in damaged.iter().filter(|bad| **bad != good) {
                assert!(bad.parse::<Address>().is_err(), "{bad}");
            }
        }
    }

    #[test]
    fn bad_texts_are_refused() {
        use AddressError::{Checksum, Length, Malformed, MixedCase, UnknownPrefix, UnknownVersion};
        let encode = |prefix: &str, payload: &[u8]| {
            bech32::encode::<Bech32m>(Hrp::parse(prefix).unwrap(), payload).unwrap()
        };
        let older = bech32::encode::<Bech32>(prefix(Network::Main), &[0; PAYLOAD_SIZE]).unwrap();
        let hrp = prefix(Network::Main);
        let symbols: Vec<Fe32> = [0u8; PAYLOAD_SIZE].into_iter().bytes_to_fes().collect();
        let with_symbols = |symbols: &[Fe32]| -> String {
            symbols.iter().copied().with_checksum::<Bech32m>(&hrp).chars().collect()
        };
        let last_bit_set = with_symbols(&[&symbols[..symbols.len() - 1], &[Fe32::P]].concat());
        let one_symbol_more = with_symbols(&[&symbols[..], &[Fe32::Q]].concat());
        let table = [
            ("empty", String::new(), Malformed),
            ("no separator", "time".into(), Malformed),
            ("not ascii", "time1é".into(), Malformed),
            ("spaces around", format!(" {} ", sample()), Malformed),
            ("mixed case", sample().to_string().replacen('t', "T", 1), MixedCase),
            ("older checksum", older, Checksum),
            ("bitcoin", encode("bc", &[0; PAYLOAD_SIZE]), UnknownPrefix),
            ("newer version", encode("time", &[1; PAYLOAD_SIZE]), UnknownVersion(1)),
            ("too short", encode("time", &[0; 32]), Length { found: 32 }),
            ("too long", encode("time", &[0; 34]), Length { found: 34 }),
            ("nothing inside", encode("time", &[]), Length { found: 0 }),
            ("padding not zero", last_bit_set, Malformed),
            ("padding too long", one_symbol_more, Malformed),
        ];
        for (name, text, error) in table {
            assert_eq!(text.parse::<Address>(), Err(error), "{name}: {text}");
        }
    }

    proptest! {
        #[test]
        fn any_owner_round_trips(owner: [u8; 32], network in prop::sample::select(&Network::ALL[..])) {
            let address = Address { network, owner: Owner(Hash(owner)) };
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }

        #[test]
        fn hostile_texts_never_panic(text in "\\PC{0,100}") {
            prop_assert!(text.parse::<Address>().is_err());
        }
    }
}
