//! Random chains: payments, masternode business, evidence and epochs, drawn from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Rng;
use super::chain::key;
use super::ledger::{Ledger, Payment, RICH, ledger_spec, owner};
use crate::amount::Amount;
use crate::certificate::Certificate;
use crate::evidence::Evidence;
use crate::hash::{MasternodeId, Owner};
use crate::keys::PublicKey;
use crate::spec::{ConsensusSpec, Rules, RulesFrom};
use crate::state::registry::{Masternode, Status};
use crate::state::{Applied, Draft, VerifiedEvidence};
use crate::time::Time;
use crate::transaction::{Action, Class, OutPoint, Output, Tier, VerifiedTransaction, operator_statement};
use crate::vote::{Height, Phase, ViewNumber, Vote, VoteData};

/// Who pays whom.
const PLAYERS: core::ops::Range<u64> = RICH..RICH + 6;
/// Keys that may become operators.
const OPERATORS: core::ops::Range<u64> = 10..60;

/// Four Bronze servers, enough money to register more of every tier, and epochs of five blocks.
pub fn spec() -> ConsensusSpec {
    let coin = |time| Output { amount: Amount::from_time(time), owner: owner(RICH) };
    let amounts = [vec![2_000; 30], vec![11_000; 6], vec![110_000; 2]].concat();
    let rules = Rules { epoch_blocks: 5, unbonding_ms: 400_000, evidence_epochs: 2, ..Rules::dev() };
    ConsensusSpec {
        allocations: amounts.into_iter().map(coin).collect(),
        rules: vec![RulesFrom { from: Height(0), rules }],
        ..ledger_spec(4, 1)
    }
}

/// The operator's agreement to serve an owner.
pub fn agree(ledger: &Ledger, operator: u64, owner: &Owner) -> (PublicKey, crate::keys::Signature) {
    let secret = key(operator);
    let public = secret.public_key();
    (public, secret.sign(&operator_statement(&ledger.chain, owner, &public)))
}

/// What is being put into one block.
struct Building<'a> {
    ledger: &'a Ledger,
    time: Time,
    free: BTreeMap<OutPoint, Output>,
    busy: BTreeSet<MasternodeId>,
    operators: BTreeSet<PublicKey>,
    transactions: Vec<Arc<VerifiedTransaction>>,
}

/// A random draft that is valid on the newest block.
pub fn draft(ledger: &Ledger, dice: &mut Rng) -> Draft {
    let after_ms = 5 + dice.below(120_000);
    let time = ledger.state.header.time.plus(after_ms);
    let registry = &ledger.state.registry;
    let is_free = |outpoint: &OutPoint| {
        registry.of_collateral(outpoint).is_none_or(|node| match node.status {
            Status::Active => false,
            Status::Retired { unlock_at } | Status::Ejected { unlock_at } => unlock_at <= time,
        })
    };
    let free = ledger.coins.iter().filter(|(outpoint, _)| is_free(outpoint));
    let mut building = Building {
        ledger,
        time,
        free: free.map(|(outpoint, output)| (*outpoint, *output)).collect(),
        busy: BTreeSet::new(),
        operators: registry.iter().map(|node| node.operator).collect(),
        transactions: Vec::new(),
    };
    let evidence = if dice.below(20) == 0 { building.evidence(dice) } else { None };
    for _ in 0..dice.below(6) {
        match dice.below(10) {
            0 | 1 => building.register(dice),
            2 => building.retire(dice),
            3 => building.rotate(dice),
            _ => building.pay(dice),
        }
    }
    let transactions = building.transactions;
    Draft { evidence: evidence.into_iter().collect(), ..ledger.draft(after_ms, transactions) }
}

impl Building<'_> {
    fn add(&mut self, payment: Payment) {
        for (outpoint, _) in &payment.coins {
            self.free.remove(outpoint);
        }
        let is_transfer = payment.action == Action::Transfer;
        let verified =
            self.ledger.verify(payment.sign(&self.ledger.chain)).expect("the model makes good ones");
        // Coins made here may be spent here, but not new collateral.
        if is_transfer {
            self.free.extend(verified.makes().map(|(outpoint, output)| (outpoint, *output)));
        }
        self.transactions.push(verified);
    }

    fn coins_of(&self, number: u64, least: Amount) -> Vec<(OutPoint, Output)> {
        let owner = owner(number);
        let own = self.free.iter().filter(|(_, output)| output.owner == owner && output.amount >= least);
        own.map(|(outpoint, output)| (*outpoint, *output)).collect()
    }

    fn pay(&mut self, dice: &mut Rng) {
        let from = if dice.below(4) == 0 { 101 + dice.below(4) } else { PLAYERS.start + dice.below(6) };
        let mut coins = self.coins_of(from, Amount(1_000_000));
        coins.truncate(1 + dice.below(3) as usize);
        let Some(sum) = Amount::checked_sum(coins.iter().map(|(_, output)| output.amount)) else { return };
        if coins.is_empty() {
            return;
        }
        let parts = 1 + dice.below(4);
        let rest = sum.0 - 10_000 - dice.below(1_000);
        let output = |to| Output { amount: Amount(rest / parts), owner: owner(to) };
        let outputs = (0..parts).map(|_| output(PLAYERS.start + dice.below(6))).collect();
        let action = Action::Transfer;
        self.add(Payment { from, coins, outputs, action, expires_at: self.time, also: Vec::new() });
    }

    fn register(&mut self, dice: &mut Rng) {
        let (tier, class) = (
            [Tier::Bronze, Tier::Bronze, Tier::Silver, Tier::Gold][dice.below(4) as usize],
            [Class::Server, Class::Browser][dice.below(2) as usize],
        );
        let least = Amount(tier.collateral().0 + 1_000_000);
        let from = PLAYERS.start + dice.below(6);
        let operator = OPERATORS.start + dice.below(50);
        let Some(coin) = dice.pick(&self.coins_of(from, least)) else { return };
        let (public, operator_proof) = agree(self.ledger, operator, &owner(from));
        if !self.operators.insert(public) {
            return;
        }
        let mut payment = self.ledger.payment(from, coin, from, tier.collateral());
        payment.expires_at = self.time;
        let payout = owner(PLAYERS.start + dice.below(6));
        payment.action = Action::RegisterMasternode { tier, class, operator: public, operator_proof, payout };
        self.add(payment);
    }

    /// An active masternode that nothing else in this block is about, and its owner's key.
    fn active(&mut self, dice: &mut Rng) -> Option<(Masternode, u64)> {
        let registry = &self.ledger.state.registry;
        let active: Vec<_> = registry.iter().filter(|node| node.status == Status::Active).copied().collect();
        let node = dice.pick(&active)?;
        let is_owner = |number: &u64| owner(*number) == node.owner;
        let number = PLAYERS.chain(101..105).find(is_owner)?;
        self.busy.insert(node.id).then_some((node, number))
    }

    fn act(&mut self, action: Action, also: u64) {
        let Some(coin) = self.coins_of(RICH, Amount(1_000_000)).first().copied() else { return };
        let mut payment = self.ledger.payment(RICH, coin, RICH, Amount(100_000));
        payment.expires_at = self.time;
        self.add(Payment { action, also: vec![also], ..payment });
    }

    fn retire(&mut self, dice: &mut Rng) {
        if let Some((node, owner)) = self.active(dice) {
            self.act(Action::RetireMasternode { masternode: node.id }, owner);
        }
    }

    fn rotate(&mut self, dice: &mut Rng) {
        let number = OPERATORS.start + dice.below(50);
        if !self.operators.insert(key(number).public_key()) {
            return;
        }
        if let Some((node, owner)) = self.active(dice) {
            let (operator, operator_proof) = agree(self.ledger, number, &node.owner);
            self.act(
                Action::RotateOperator {
                    masternode: node.id,
                    replaces: node.operator,
                    operator,
                    operator_proof,
                },
                owner,
            );
        }
    }

    /// A member of the set in force signed two things.
    fn evidence(&mut self, dice: &mut Rng) -> Option<VerifiedEvidence> {
        let (set, registry) = (&self.ledger.state.validators, &self.ledger.state.registry);
        let index = dice.below(set.len() as u64) as u16;
        let member = set.validator(index)?;
        let node = registry.node(&member.masternode)?;
        if matches!(node.status, Status::Ejected { .. }) || !self.busy.insert(node.id) {
            return None;
        }
        // Free or not before, it is locked again.
        self.free.remove(&node.collateral);
        Some(equivocation(self.ledger, index, self.ledger.state.height().next()))
    }
}

/// Proof that a member of the set in force signed two Prepares of a height.
///
/// # Panics
/// If there is no such member, or its key is none of the ledger's.
#[must_use]
pub fn equivocation(ledger: &Ledger, index: u16, height: Height) -> VerifiedEvidence {
    let set = &ledger.state.validators;
    let member = set.validator(index).expect("the index is in the set");
    let secret = ledger.key(&member.key).expect("the ledger has its members' keys");
    let vote = |block| {
        let data = VoteData { phase: Phase::Prepare, height, view: ViewNumber(0), block, valid_view: None };
        Vote::sign(data, index, &ledger.chain, secret)
    };
    let evidence = Evidence::new(vote(None), vote(Some(ledger.state.id)));
    VerifiedEvidence::verify(evidence, set, &ledger.chain).expect("the votes conflict")
}

/// A certificate of the block by all, or by all but one where that is a quorum.
pub fn certificate(ledger: &Ledger, applied: &Applied, dice: &mut Rng) -> Certificate {
    let set = &ledger.state.validators;
    let left_out = set.validator(dice.below(2 * set.len() as u64) as u16).map(|member| member.key);
    let certificate = ledger.certify(applied, |key| Some(*key) != left_out);
    if set.is_quorum(certificate.weight(set)) { certificate } else { ledger.certify(applied, |_| true) }
}

/// Adds a random block.
///
/// # Panics
/// Never: the model makes good ones.
pub fn extend(ledger: &mut Ledger, dice: &mut Rng) -> Applied {
    let applied = ledger.derive(draft(ledger, dice)).expect("the model makes good ones");
    let certificate = certificate(ledger, &applied, dice);
    ledger.accept(&applied, certificate);
    applied
}
