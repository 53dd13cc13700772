//! What users do: payments, chains of payments, double spends, nonsense, and masternode business.

use std::collections::{BTreeMap, BTreeSet};

use timecoin_core::amount::Amount;
use timecoin_core::hash::{MasternodeId, TxId};
use timecoin_core::keys::{PublicKey, SecretKey, Signature};
use timecoin_core::node::Chain;
use timecoin_core::spec::Rules;
use timecoin_core::state::registry::{Masternode, Registry, Status};
use timecoin_core::time::Time;
use timecoin_core::transaction::{
    Action, Class, OutPoint, Output, SignedTransaction, TRANSACTION_VERSION, Tier, Transaction,
    operator_statement, sign,
};
use timecoin_core::validators::ValidatorSet;

use super::checks::Ledger;
use super::scenario::{Scenario, key, owner};
use timecoin_core::testing::Rng;

/// Enough for every transaction made here.
const FEE: u64 = 5_000;
/// Transactions live this long beyond the global clock.
const LIFE_MS: u64 = 3_600_000;

/// A transaction and what must not happen to it.
pub(super) struct Order {
    pub(super) signed: SignedTransaction,
    /// Why no node may accept it, where none may.
    pub(super) invalid: Option<&'static str>,
}

/// The users.
pub(super) struct Workload {
    seed: u64,
    validators: usize,
    machines: usize,
    users: Vec<SecretKey>,
    /// Coins named in orders of late, so that most orders do not conflict.
    recent: BTreeMap<OutPoint, u64>,
    /// How often each machine was given a new operator key.
    rotations: BTreeMap<usize, u64>,
    /// Masternodes that were told to retire. It can be final, under way, or lost with who was told.
    retiring: BTreeSet<MasternodeId>,
    /// Machines for which a masternode was to be registered, likewise.
    registering: BTreeSet<usize>,
}

impl Workload {
    /// The users of a scenario.
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            seed: scenario.seed,
            validators: scenario.validators,
            machines: scenario.machines,
            users: scenario.users.clone(),
            recent: BTreeMap::new(),
            rotations: BTreeMap::new(),
            retiring: BTreeSet::new(),
            registering: BTreeSet::new(),
        }
    }

    /// What users think of next: up to a few orders, for different machines.
    pub(super) fn orders(
        &mut self,
        rng: &mut Rng,
        chain: &Chain,
        ledger: &Ledger,
        registry: Option<&Registry>,
        now: Time,
    ) -> Vec<Order> {
        let Some((coin, output, user)) = self.coin(rng, ledger, now, Amount(4 * FEE)) else {
            return Vec::new();
        };
        let expires_at = now.plus(LIFE_MS);
        let pay = |rng: &mut Rng, coin: OutPoint, output: Output, payer: &SecretKey, users: &[SecretKey]| {
            let payee = users.get(rng.position(users.len())).map_or(output.owner, owner);
            let half = Amount(output.amount.0 / 2);
            let rest = Amount(output.amount.0 - half.0 - FEE);
            let outputs = if half.0 > 4 * FEE {
                vec![Output { amount: half, owner: payee }, Output { amount: rest, owner: output.owner }]
            } else {
                vec![Output { amount: Amount(output.amount.0 - FEE), owner: payee }]
            };
            let transaction = plain(vec![coin], outputs, Action::Transfer, expires_at, rng);
            sign(transaction, vec![output], &chain.id, core::slice::from_ref(payer))
        };
        let order = |signed| Order { signed, invalid: None };
        match rng.below(100) {
            0..70 => vec![order(pay(rng, coin, output, &user, &self.users))],
            70..80 => {
                let other = pay(rng, coin, output, &user, &self.users);
                vec![order(pay(rng, coin, output, &user, &self.users)), order(other)]
            }
            80..86 => {
                let first = pay(rng, coin, output, &user, &self.users);
                let (made, made_output) = change(&first);
                let payer = self.users.iter().find(|key| owner(key) == made_output.owner).cloned();
                let second = payer.map(|payer| pay(rng, made, made_output, &payer, &self.users));
                [Some(first), second].into_iter().flatten().map(order).collect()
            }
            86..94 => {
                let valid = pay(rng, coin, output, &user, &self.users);
                spoil(rng, chain, valid, &user).into_iter().collect()
            }
            _ => {
                let wanted = registry.and_then(|all| self.masternode_order(rng, chain, ledger, all, now));
                wanted.into_iter().map(order).collect()
            }
        }
    }

    /// A final coin of a user, of at least this much, that was not named of late.
    fn coin(
        &mut self,
        rng: &mut Rng,
        ledger: &Ledger,
        now: Time,
        least: Amount,
    ) -> Option<(OutPoint, Output, SecretKey)> {
        self.recent.retain(|_, until| *until > now.0);
        let start = OutPoint { txid: TxId::default(), index: 0 };
        // Coins sort by hash: those from a random point on are a random choice.
        let mut point = start;
        point.txid.0.0[..8].copy_from_slice(&rng.draw().to_be_bytes());
        let wrapped = ledger.coins.range(point..).chain(ledger.coins.range(start..point));
        let users: BTreeMap<_, _> = self.users.iter().map(|key| (owner(key), key)).collect();
        let found = wrapped
            .filter(|(coin, output)| output.amount >= least && !self.recent.contains_key(coin))
            .find_map(|(coin, output)| Some((*coin, *output, SecretKey::clone(users.get(&output.owner)?))))?;
        self.recent.insert(found.0, now.plus(10_000).0);
        Some(found)
    }

    fn masternode_order(
        &mut self,
        rng: &mut Rng,
        chain: &Chain,
        ledger: &Ledger,
        registry: &Registry,
        now: Time,
    ) -> Option<SignedTransaction> {
        let machine = rng.position(self.machines);
        let collateral = Tier::Bronze.collateral();
        let Some(node) = self.masternode(machine, registry) else {
            let (coin, output, user) = self.coin(rng, ledger, now, Amount(collateral.0 + 4 * FEE))?;
            let operator = operator(self.seed, machine, 0);
            let statement = operator_statement(&chain.id, &output.owner, &operator.public_key());
            let action = Action::RegisterMasternode {
                tier: Tier::Bronze,
                class: Class::Server,
                operator: operator.public_key(),
                operator_proof: operator.sign(&statement),
                payout: output.owner,
            };
            self.registering.insert(machine);
            let rest = Amount(output.amount.0 - collateral.0 - FEE);
            let outputs = [collateral, rest].map(|amount| Output { amount, owner: output.owner });
            let transaction = plain(vec![coin], outputs.to_vec(), action, now.plus(LIFE_MS), rng);
            return Some(sign(transaction, vec![output], &chain.id, &[user]));
        };
        let action = self.change_of(rng, chain, registry, machine, &node)?;
        let (coin, output, user) = self.coin(rng, ledger, now, Amount(4 * FEE))?;
        let outputs = vec![Output { amount: Amount(output.amount.0 - FEE), ..output }];
        let transaction = plain(vec![coin], outputs, action, now.plus(LIFE_MS), rng);
        let mut keys = vec![user];
        keys.extend(self.owner_key(machine, &node));
        Some(sign(transaction, vec![output], &chain.id, &keys))
    }

    fn owner_key(&self, machine: usize, node: &Masternode) -> Option<SecretKey> {
        if machine < self.validators {
            return Some(key(self.seed, "owner", machine as u64));
        }
        self.users.iter().find(|user| owner(user) == node.owner).cloned()
    }

    /// A rotation, or now and then the retirement of a masternode that the others can do without.
    fn change_of(
        &mut self,
        rng: &mut Rng,
        chain: &Chain,
        registry: &Registry,
        machine: usize,
        node: &Masternode,
    ) -> Option<Action> {
        if node.status != Status::Active {
            return None;
        }
        let active = registry.iter().filter(|node| node.status == Status::Active).count();
        if active > 4 && rng.chance(300) {
            self.retiring.insert(node.id);
            return Some(Action::RetireMasternode { masternode: node.id });
        }
        let rotation = self.rotations.entry(machine).or_default();
        *rotation += 1;
        let operator = operator(self.seed, machine, *rotation);
        let statement = operator_statement(&chain.id, &node.owner, &operator.public_key());
        Some(Action::RotateOperator {
            masternode: node.id,
            replaces: node.operator,
            operator: operator.public_key(),
            operator_proof: operator.sign(&statement),
        })
    }

    /// The masternode that belongs to a machine, the active one if there are several.
    pub(super) fn masternode(&self, machine: usize, registry: &Registry) -> Option<Masternode> {
        let owners: Vec<_> = if machine < self.validators {
            vec![owner(&key(self.seed, "owner", machine as u64))]
        } else {
            self.users.iter().map(owner).collect()
        };
        let own = registry.iter().filter(|node| owners.contains(&node.owner));
        own.max_by_key(|node| node.status == Status::Active).copied()
    }

    /// Whether the other machines' masternodes are a quorum without this one's, in the set that the registry yields now
    /// and in every set it can yet yield by what users have asked for so far.
    pub(super) fn is_dispensable(&self, machine: usize, registry: &Registry, rules: &Rules) -> bool {
        let own = self.masternode(machine, registry).filter(|node| node.status == Status::Active);
        let Some(own) = own else { return !self.registering.contains(&machine) };
        // The more of the others retire, the larger its share.
        let mut fewest = registry.clone();
        for node in registry.iter().filter(|node| self.retiring.contains(&node.id) && node.id != own.id) {
            fewest.put(Masternode { status: Status::Retired { unlock_at: Time(0) }, ..*node });
        }
        [registry, &fewest]
            .into_iter()
            .all(|registry| registry.validators(rules).is_ok_and(|set| is_dispensable_in(&set, own.id)))
    }

    /// Which of the operator keys made for a machine this is.
    pub(super) fn rotation(&self, machine: usize, public: &PublicKey) -> Option<u64> {
        let rotations = self.rotations.get(&machine).copied().unwrap_or(0);
        (0..=rotations).find(|at| operator(self.seed, machine, *at).public_key() == *public)
    }
}

/// Whether the others are a quorum without this masternode.
pub(super) fn is_dispensable_in(set: &ValidatorSet, masternode: MasternodeId) -> bool {
    let others = set.iter().filter(|(_, member)| member.masternode != masternode);
    set.is_quorum(others.map(|(_, member)| member.weight).sum())
}

/// The operator key of a machine after so many rotations.
pub(super) fn operator(seed: u64, machine: usize, rotation: u64) -> SecretKey {
    key(seed, "operator", machine as u64 + (rotation << 32))
}

fn plain(
    inputs: Vec<OutPoint>,
    outputs: Vec<Output>,
    action: Action,
    expires_at: Time,
    rng: &mut Rng,
) -> Transaction {
    let memo = rng.draw().to_le_bytes()[..rng.position(9)].to_vec();
    Transaction { version: TRANSACTION_VERSION, inputs, outputs, action, expires_at, memo }
}

/// The last coin a payment makes.
fn change(signed: &SignedTransaction) -> (OutPoint, Output) {
    let outputs = &signed.transaction.outputs;
    let last = outputs.len().saturating_sub(1);
    let output = outputs.last().copied().expect("a payment makes a coin");
    (OutPoint { txid: signed.transaction.id(), index: last as u32 }, output)
}

/// Makes a valid payment invalid in one of many ways.
fn spoil(rng: &mut Rng, chain: &Chain, valid: SignedTransaction, user: &SecretKey) -> Option<Order> {
    let SignedTransaction { mut transaction, mut spent, .. } = valid.clone();
    let resign = |transaction, spent| sign(transaction, spent, &chain.id, core::slice::from_ref(user));
    let (signed, why) = match rng.below(6) {
        0 => {
            let mut signed = valid;
            let signature = signed.witnesses.first_mut()?.signatures.first_mut()?;
            signature.signature = Signature([7; 64]);
            (signed, "a signature is not valid")
        }
        1 => {
            transaction.outputs.first_mut()?.amount.0 += 2 * FEE;
            (resign(transaction, spent), "it makes more than it spends")
        }
        2 => {
            transaction.outputs.first_mut()?.amount.0 += FEE;
            (resign(transaction, spent), "it pays no fee")
        }
        3 => {
            transaction.inputs.first_mut()?.index += 1000;
            (resign(transaction, spent), "its coin does not exist")
        }
        4 => {
            spent.first_mut()?.amount.0 += 1;
            (resign(transaction, spent), "its coin is not as claimed")
        }
        _ => {
            transaction.expires_at = Time(1);
            (resign(transaction, spent), "it is past its expiry")
        }
    };
    Some(Order { signed, invalid: Some(why) })
}

#[cfg(test)]
mod tests {
    use timecoin_core::state::genesis;

    use crate::sim::Options;

    use super::*;

    /// Seed 511: when a store was cleared the others were a quorum; then retirements that had been under way left three
    /// validators, and no quorum without the one that had to be silent.
    #[test]
    fn a_machine_is_needed_where_a_retirement_under_way_would_make_it_so() {
        let options = Options { nodes: Some(4), ..Options::default() };
        let equal = |scenario: &Scenario| {
            let nodes = &scenario.chain.spec.consensus.masternodes;
            nodes.iter().all(|node| (node.tier, node.class) == (Tier::Bronze, Class::Server))
        };
        let scenarios = (0..100).map(|seed| Scenario::new(seed, &options, &mut Rng::new(seed)));
        let scenario = scenarios.into_iter().find(equal).expect("some seed draws four equal validators");
        let spec = &scenario.chain.spec.consensus;
        let registry = genesis(spec).expect("the scenario has a sound genesis").state.registry;
        let rules = spec.rules(timecoin_core::vote::Height(1));
        let mut workload = Workload::new(&scenario);
        let id = |workload: &Workload, machine| workload.masternode(machine, &registry).map(|node| node.id);
        assert!(workload.is_dispensable(0, &registry, rules), "three of four are a quorum");
        workload.retiring.extend(id(&workload, 0));
        assert!(workload.is_dispensable(0, &registry, rules), "its own retirement makes nobody needed");
        workload.retiring.extend(id(&workload, 1));
        assert!(!workload.is_dispensable(0, &registry, rules), "two of three are no quorum");
        let set = registry.validators(rules).expect("four are a set");
        assert!(is_dispensable_in(&set, id(&workload, 0).unwrap_or_default()), "though they are one now");
    }
}
