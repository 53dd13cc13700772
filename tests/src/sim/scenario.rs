//! What a seed decides before anything happens: the chain, its validators and users, and the temper of the run.

use std::sync::Arc;

use timecoin_core::address::Network;
use timecoin_core::amount::Amount;
use timecoin_core::hash::{Owner, Tag};
use timecoin_core::keys::SecretKey;
use timecoin_core::lock::Lock;
use timecoin_core::node::Chain;
use timecoin_core::spec::{ChainSpec, ConsensusSpec, GenesisMasternode, Rules, RulesFrom};
use timecoin_core::time::Time;
use timecoin_core::transaction::{Class, Output, Tier};
use timecoin_core::vote::Height;

use super::Options;
use super::network::Weather;
use timecoin_core::testing::Rng;

/// Global time at which a simulation begins, and the time of every genesis block.
pub(super) const START: Time = Time(1_800_000_000_000);

/// Coins each user owns at genesis.
const COINS_PER_USER: usize = 8;
const USERS: u64 = 6;

/// The world as it is at the start.
pub(super) struct Scenario {
    /// The seed all keys come from.
    pub(super) seed: u64,
    /// The chain that all nodes are on.
    pub(super) chain: Arc<Chain>,
    /// Validators of genesis: the first machines.
    pub(super) validators: usize,
    /// All machines: validators, relays, and perhaps one that may become one.
    pub(super) machines: usize,
    /// Who pays.
    pub(super) users: Vec<SecretKey>,
    /// The network when no fault makes it worse.
    pub(super) weather: Weather,
    /// Time between faults; none in a calm run.
    pub(super) fault_gap_ms: Option<(u64, u64)>,
    /// Time between submissions.
    pub(super) submit_gap_ms: (u64, u64),
    /// How far each machine's clock is off.
    pub(super) skews_ms: Vec<i64>,
}

/// A key of this run, by role and number.
pub(super) fn key(seed: u64, role: &str, number: u64) -> SecretKey {
    const KEY: Tag = Tag::new("timecoin simulator key");
    SecretKey::from_seed(&KEY.hash(&[&seed.to_le_bytes(), role.as_bytes(), &number.to_le_bytes()]).0)
}

/// The owner that a single key defines.
pub(super) fn owner(key: &SecretKey) -> Owner {
    Lock::Key(key.public_key()).owner()
}

impl Scenario {
    /// Draws a scenario.
    pub(super) fn new(seed: u64, options: &Options, rng: &mut Rng) -> Self {
        let validators = options.nodes.unwrap_or(match rng.below(10) {
            0 => 1,
            1 | 2 => 7,
            _ => 4,
        });
        let tiers = tiers(validators, rng);
        let candidates = usize::from(validators > 1 && rng.chance(300));
        let machines = validators + candidates.max(options.topology.relays());
        let users: Vec<_> = (0..USERS).map(|number| key(seed, "user", number)).collect();
        let calm = rng.chance(100);
        let gap = rng.between((100, 3000));
        let pace = rng.between((10, 300));
        let skew_max = rng.pick(&[0, 50, 500, 4000]).unwrap_or(0);
        let skews_ms =
            (0..machines).map(|_| rng.between((0, 2 * skew_max)) as i64 - skew_max as i64).collect();
        Self {
            seed,
            chain: Arc::new(Chain::new(spec(seed, &tiers, &users, rng))),
            validators,
            machines,
            users,
            weather: Weather::draw(rng),
            fault_gap_ms: (!calm).then_some((gap / 4, gap * 2)),
            submit_gap_ms: (1, 2 * pace),
            skews_ms,
        }
    }
}

fn tiers(validators: usize, rng: &mut Rng) -> Vec<(Tier, Class)> {
    let weighted = validators > 4 || rng.chance(200);
    let mut draw = || {
        let tier = if weighted && rng.chance(500) { Tier::Silver } else { Tier::Bronze };
        let class = if rng.chance(150) { Class::Browser } else { Class::Server };
        (tier, class)
    };
    let mut tiers: Vec<_> = (0..validators).map(|_| draw()).collect();
    // A class alone has all the weight; with a server among them the cap is at work.
    if let Some(first) = tiers.first_mut() {
        first.1 = Class::Server;
    }
    tiers
}

fn spec(seed: u64, tiers: &[(Tier, Class)], users: &[SecretKey], rng: &mut Rng) -> ChainSpec {
    let coin = |user: &SecretKey| Output { amount: Amount::from_time(1500), owner: owner(user) };
    let allocations = users.iter().flat_map(|user| core::iter::repeat_n(coin(user), COINS_PER_USER));
    let masternodes = (0..).zip(tiers).map(|(number, (tier, class))| GenesisMasternode {
        tier: *tier,
        class: *class,
        owner: owner(&key(seed, "owner", number)),
        operator: key(seed, "operator", number).public_key(),
        payout: owner(&users[number as usize % users.len()]),
    });
    let rules = Rules {
        epoch_blocks: rng.pick(&[3, 7, 20, 100]).unwrap_or(7),
        heartbeat_ms: rng.pick(&[1000, 3000, 10_000]).unwrap_or(3000),
        block_interval_min_ms: rng.pick(&[1, 5, 200]).unwrap_or(5),
        unbonding_ms: 5000,
        ..Rules::dev()
    };
    let consensus = ConsensusSpec {
        network: Network::Dev,
        name: format!("simulation {seed}"),
        genesis_time: START,
        allocations: allocations.collect(),
        masternodes: masternodes.collect(),
        rules: vec![RulesFrom { from: Height(0), rules }],
    };
    ChainSpec { consensus, bootstrap: Vec::new(), checkpoints: Vec::new() }
}
