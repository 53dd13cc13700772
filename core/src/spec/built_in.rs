//! The chains known by name: main, test and dev.
//!
//! **Before launch.** The founders' keys below are derived from public text, so anybody can hold them: these
//! chains are for rehearsal. Launching means replacing the founders, which makes another chain id.

use super::{ChainSpec, ConsensusSpec, GenesisMasternode, Rules, RulesFrom};
use crate::address::Network;
use crate::amount::Amount;
use crate::hash::Tag;
use crate::keys::SecretKey;
use crate::lock::Lock;
use crate::time::Time;
use crate::transaction::{Class, Output, Tier};
use crate::vote::Height;

const FOUNDER: Tag = Tag::new("timecoin rehearsal founder");
/// 2026-01-01T00:00:00Z.
const GENESIS_TIME: Time = Time(1_767_225_600_000);
/// What each founder starts with besides the collateral.
const FOUNDER_COINS: Amount = Amount::from_time(100_000);

impl ChainSpec {
    /// The chain of this name, where it is one of `main`, `test` and `dev`.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let (network, founders, rules) = match name {
            "main" => (Network::Main, 4, Rules::main()),
            "test" => (Network::Test, 4, Rules::main()),
            "dev" => (Network::Dev, 1, Rules::dev()),
            _ => return None,
        };
        let keys: Vec<_> = (0..founders).map(|number| founder(network, number)).collect();
        let owner = |key: &SecretKey| Lock::Key(key.public_key()).owner();
        let masternodes = keys.iter().map(|key| GenesisMasternode {
            tier: Tier::Silver,
            class: Class::Server,
            owner: owner(key),
            operator: key.public_key(),
            payout: owner(key),
        });
        let allocations = keys.iter().map(|key| Output { amount: FOUNDER_COINS, owner: owner(key) });
        Some(Self {
            consensus: ConsensusSpec {
                network,
                name: name.to_owned(),
                genesis_time: GENESIS_TIME,
                allocations: allocations.collect(),
                masternodes: masternodes.collect(),
                rules: vec![RulesFrom { from: Height(0), rules }],
            },
            bootstrap: Vec::new(),
            checkpoints: Vec::new(),
        })
    }
}

/// The key of a rehearsal founder, which owns and operates a masternode.
#[must_use]
pub fn founder(network: Network, number: u32) -> SecretKey {
    SecretKey::from_seed(&FOUNDER.hash(&[network.prefix().as_bytes(), &number.to_le_bytes()]).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::genesis;

    #[test]
    fn each_is_a_chain_of_its_own() {
        let ids: std::collections::BTreeSet<_> = ["main", "test", "dev"]
            .into_iter()
            .map(|name| {
                let spec = ChainSpec::built_in(name).unwrap();
                spec.consensus.check().unwrap();
                genesis(&spec.consensus).unwrap();
                assert_eq!(ChainSpec::from_json(&spec.to_json()).unwrap(), spec, "{name}");
                spec.consensus.id()
            })
            .collect();
        assert_eq!(ids.len(), 3);
        assert_eq!(ChainSpec::built_in("other"), None);
    }
}
