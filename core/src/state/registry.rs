//! The masternode registry: collateral locked on chain, who votes for it, and the validator set it yields.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::{FRAME_SIZE_MAX, Wire, encode};
use crate::hash::{Hash, MasternodeId, Owner, Tag};
use crate::keys::PublicKey;
use crate::merkle::{Blake, LogHash, root};
use crate::spec::Rules;
use crate::time::Time;
use crate::transaction::{Class, OutPoint, Tier};
use crate::validators::{Validator, ValidatorSet, ValidatorSetError};
use crate::vote::Height;

/// Most masternodes that may be registered at once.
pub const REGISTRY_SIZE_MAX: usize = 10_000;
/// Set weight of tier weight 1: fine enough for the class cap to scale without visible rounding.
pub const WEIGHT_UNIT: u64 = 1_000_000;

/// A registered masternode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masternode {
    /// Hash of the collateral's outpoint.
    pub id: MasternodeId,
    /// Collateral class.
    pub tier: Tier,
    /// Where it runs.
    pub class: Class,
    /// Who owns the collateral and decides.
    pub owner: Owner,
    /// The hot key that votes.
    pub operator: PublicKey,
    /// Who receives rewards.
    pub payout: Owner,
    /// The locked coin.
    pub collateral: OutPoint,
    /// The block that registered it.
    pub registered_at: Height,
    /// Whether it takes part.
    pub status: Status,
}

/// Whether a masternode takes part in the next epoch's set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Yes.
    Active,
    /// Retired by its owner; the collateral can be spent from `unlock_at` on.
    Retired {
        /// Header time from which the collateral is free.
        unlock_at: Time,
    },
    /// Proved to have equivocated; the collateral can be spent from `unlock_at` on.
    Ejected {
        /// Header time from which the collateral is free.
        unlock_at: Time,
    },
}

/// The id of the masternode whose collateral is `outpoint`.
#[must_use]
pub fn masternode_id(outpoint: &OutPoint) -> MasternodeId {
    const ID: Tag = Tag::new("timecoin masternode");
    MasternodeId(ID.hash(&[&outpoint.to_bytes()]))
}

/// All masternodes, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Masternode>", into = "Vec<Masternode>")]
pub struct Registry {
    nodes: BTreeMap<MasternodeId, Masternode>,
    collateral: BTreeMap<OutPoint, MasternodeId>,
    operators: BTreeMap<PublicKey, MasternodeId>,
}

impl Wire for Registry {
    const SIZE_MAX: usize = FRAME_SIZE_MAX - (64 << 10);
}

/// A list of masternodes is not strictly ascending by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("masternodes must be strictly ascending by id")]
pub struct RegistryOrder;

impl TryFrom<Vec<Masternode>> for Registry {
    type Error = RegistryOrder;

    /// Accepts the canonical order only: there is one encoding per registry.
    fn try_from(nodes: Vec<Masternode>) -> Result<Self, RegistryOrder> {
        if nodes.is_sorted_by(|one, two| one.id < two.id) {
            Ok(nodes.into_iter().collect())
        } else {
            Err(RegistryOrder)
        }
    }
}

impl FromIterator<Masternode> for Registry {
    fn from_iter<I: IntoIterator<Item = Masternode>>(nodes: I) -> Self {
        let mut registry = Self::default();
        nodes.into_iter().for_each(|node| registry.put(node));
        registry
    }
}

impl From<Registry> for Vec<Masternode> {
    fn from(registry: Registry) -> Self {
        registry.nodes.into_values().collect()
    }
}

impl Registry {
    /// Log root over the entries in id order: one entry can be proved to a light node.
    #[must_use]
    pub fn root(&self) -> Hash {
        root::<Blake>(self.nodes.values().map(|node| Blake::leaf(&encode(node))))
    }

    /// One masternode.
    #[must_use]
    pub fn node(&self, id: &MasternodeId) -> Option<&Masternode> {
        self.nodes.get(id)
    }

    /// The masternode whose collateral this coin is.
    #[must_use]
    pub fn of_collateral(&self, outpoint: &OutPoint) -> Option<&Masternode> {
        self.collateral.get(outpoint).and_then(|id| self.nodes.get(id))
    }

    /// The masternode this key operates.
    #[must_use]
    pub fn of_operator(&self, operator: &PublicKey) -> Option<&Masternode> {
        self.operators.get(operator).and_then(|id| self.nodes.get(id))
    }

    /// All, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Masternode> {
        self.nodes.values()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds or replaces an entry.
    pub fn put(&mut self, node: Masternode) {
        self.remove(&node.id);
        self.insert(node);
    }

    /// Adds an entry that is not there yet.
    pub(super) fn insert(&mut self, node: Masternode) {
        self.collateral.insert(node.collateral, node.id);
        self.operators.insert(node.operator, node.id);
        self.nodes.insert(node.id, node);
    }

    /// Drops an entry.
    pub fn remove(&mut self, id: &MasternodeId) {
        if let Some(node) = self.nodes.remove(id) {
            self.collateral.remove(&node.collateral);
            self.operators.remove(&node.operator);
        }
    }

    /// The set these masternodes form: the heaviest active ones up to the limit, of which browsers take at most a
    /// quarter of the places unless servers leave more free, scaled down to at most a quarter of the weight.
    pub fn validators(&self, rules: &Rules) -> Result<ValidatorSet, ValidatorSetError> {
        let places = rules.validators_max as usize;
        let (mut servers, mut browsers) = (self.heaviest(Class::Server), self.heaviest(Class::Browser));
        servers.truncate(places - browsers.len().min(places / 4));
        browsers.truncate(places - servers.len());
        let weight_of = |nodes: &[&Masternode]| -> u64 { nodes.iter().map(|node| weight(node)).sum() };
        let (server, browser) = (weight_of(&servers), weight_of(&browsers));
        // browser' <= (browser' + server) / 4 exactly where browser' <= server / 3.
        let browser_cap = (server / 3).min(browser);
        let scaled = |node: &Masternode| {
            let share = u128::from(weight(node)) * u128::from(browser_cap) / u128::from(browser.max(1));
            u64::try_from(share).expect("scaled down")
        };
        let member =
            |node: &Masternode, weight| Validator { key: node.operator, weight, masternode: node.id };
        let servers = servers.into_iter().map(|node| member(node, weight(node)));
        let browsers = browsers.into_iter().map(|node| member(node, scaled(node)));
        ValidatorSet::new(servers.chain(browsers).filter(|member| member.weight > 0).collect())
    }

    /// Active masternodes of a class, the heaviest first, equal ones by id.
    fn heaviest(&self, class: Class) -> Vec<&Masternode> {
        let active = self.nodes.values().filter(|node| node.status == Status::Active && node.class == class);
        let of_tier = |tier| active.clone().filter(move |node| node.tier == tier);
        Tier::HEAVIEST_FIRST.into_iter().flat_map(of_tier).collect()
    }
}

/// Weight in a set before the class cap.
fn weight(node: &Masternode) -> u64 {
    node.tier.weight() * WEIGHT_UNIT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    fn node(seed: u8, tier: Tier, class: Class) -> Masternode {
        let collateral = OutPoint { index: u32::from(seed), ..OutPoint::default() };
        Masternode {
            id: masternode_id(&collateral),
            tier,
            class,
            owner: Owner(Hash([seed; 32])),
            operator: SecretKey::from_seed(&[seed; 32]).public_key(),
            payout: Owner(Hash([seed; 32])),
            collateral,
            registered_at: Height(1),
            status: Status::Active,
        }
    }

    fn browser_share(registry: &Registry) -> (u64, u64) {
        let set = registry.validators(&Rules::main()).unwrap();
        let class = |key| registry.of_operator(key).unwrap().class;
        let browser = set.iter().filter(|(_, member)| class(&member.key) == Class::Browser);
        (browser.map(|(_, member)| member.weight).sum(), set.total())
    }

    #[test]
    fn the_browser_class_holds_at_most_a_quarter() {
        use Class::{Browser, Server};
        use Tier::{Bronze, Gold, Silver};
        let table = [
            ("small class is not scaled", vec![(Silver, Server), (Bronze, Browser)]),
            ("equal", vec![(Bronze, Server), (Bronze, Browser)]),
            ("many tabs", vec![(Bronze, Server), (Gold, Browser), (Gold, Browser), (Silver, Browser)]),
        ];
        for (name, members) in table {
            let nodes = (1..).zip(members).map(|(seed, (tier, class))| node(seed, tier, class));
            let (browser, total) = browser_share(&nodes.collect());
            assert!(browser > 0 && browser * 4 <= total, "{name}: {browser} of {total}");
        }
        let unscaled = [node(1, Silver, Server), node(2, Bronze, Browser)];
        assert_eq!(browser_share(&unscaled.into_iter().collect()), (WEIGHT_UNIT, 11 * WEIGHT_UNIT));
    }

    /// Where there is no place for everyone, light servers gave way to tabs heavier than they: with the servers cut
    /// off after scaling, tabs held half of the weight.
    #[test]
    fn the_browser_class_holds_at_most_a_quarter_of_a_full_set() {
        let servers = (1..=40).map(|seed| node(seed, Tier::Bronze, Class::Server));
        let browsers = (41..=60).map(|seed| node(seed, Tier::Gold, Class::Browser));
        let registry: Registry = servers.chain(browsers).collect();
        for validators_max in 1..=60 {
            let set = registry.validators(&Rules { validators_max, ..Rules::main() }).unwrap();
            let is_tab = |key: &PublicKey| registry.of_operator(key).unwrap().class == Class::Browser;
            let tabs: Vec<_> = set.iter().filter(|(_, member)| is_tab(&member.key)).collect();
            let weight: u64 = tabs.iter().map(|(_, member)| member.weight).sum();
            assert!(set.len() <= validators_max as usize, "{validators_max}");
            assert!(weight * 4 <= set.total(), "{validators_max}: {weight} of {}", set.total());
            let places = validators_max as usize;
            let servers = 40.min(places - places / 4);
            assert_eq!((set.len() - tabs.len(), tabs.len()), (servers, 20.min(places - servers)), "{places}");
        }
    }

    #[test]
    fn tabs_alone_form_no_set() {
        let registry = Registry::from_iter([node(1, Tier::Gold, Class::Browser)]);
        assert_eq!(registry.validators(&Rules::main()), Err(ValidatorSetError::Empty));
    }

    #[test]
    fn inactive_masternodes_do_not_vote() {
        let retired = Masternode {
            status: Status::Retired { unlock_at: Time(0) },
            ..node(2, Tier::Gold, Class::Server)
        };
        let registry = Registry::from_iter([node(1, Tier::Bronze, Class::Server), retired]);
        let set = registry.validators(&Rules::main()).unwrap();
        assert_eq!((set.len(), set.total()), (1, WEIGHT_UNIT));
    }
}
