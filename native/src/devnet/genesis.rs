//! The chain of a new devnet.

use timecoin_core::address::Network;
use timecoin_core::amount::Amount;
use timecoin_core::hash::Owner;
use timecoin_core::keys::PublicKey;
use timecoin_core::spec::{ChainSpec, ConsensusSpec, GenesisMasternode, Rules, RulesFrom};
use timecoin_core::time::Time;
use timecoin_core::transaction::{Class, Output, Tier};
use timecoin_core::vote::Height;

/// Who starts with coins: how many, and of which amount each.
#[derive(Clone, Copy, Debug)]
pub struct Founder {
    /// Who.
    pub owner: Owner,
    /// How many coins.
    pub coins: u32,
    /// The amount of each.
    pub amount: Amount,
}

/// A chain under the rules for development, validated by `operators` with equal weight. Their collateral and
/// rewards belong to `treasury`.
#[must_use]
pub fn spec(now: Time, operators: &[PublicKey], treasury: Owner, founders: &[Founder]) -> ChainSpec {
    let operators: Vec<_> = operators.iter().map(|operator| (Class::Server, *operator)).collect();
    spec_of(now, &operators, treasury, founders)
}

/// [`spec`] with operators of both classes: browsers get at most a quarter of the weight.
#[must_use]
pub(super) fn spec_of(
    now: Time,
    operators: &[(Class, PublicKey)],
    treasury: Owner,
    founders: &[Founder],
) -> ChainSpec {
    let allocations = founders.iter().flat_map(|founder| {
        let coin = Output { amount: founder.amount, owner: founder.owner };
        (0..founder.coins).map(move |_| coin)
    });
    let masternodes = operators.iter().map(|(class, operator)| GenesisMasternode {
        tier: Tier::Bronze,
        class: *class,
        owner: treasury,
        operator: *operator,
        payout: treasury,
    });
    ChainSpec {
        consensus: ConsensusSpec {
            network: Network::Dev,
            // Two devnets made at once must not be one chain: the operators' keys set them apart.
            name: "devnet".to_owned(),
            genesis_time: now,
            allocations: allocations.collect(),
            masternodes: masternodes.collect(),
            rules: vec![RulesFrom { from: Height(0), rules: Rules::dev() }],
        },
        bootstrap: Vec::new(),
        checkpoints: Vec::new(),
    }
}
