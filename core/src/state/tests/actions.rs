//! Masternode actions and evidence: what they do to the registry, and when they are refused.

use crate::amount::Amount;
use crate::evidence::Evidence;
use crate::hash::{Hash, MasternodeId};
use crate::state::registry::{Masternode, Status, masternode_id};
use crate::state::{BlockError, EvidenceFault, VerifiedEvidence};
use crate::testing::chain::key;
use crate::testing::ledger::{Ledger, Payment, RICH, owner};
use crate::testing::model::{agree, equivocation, spec};
use crate::time::Time;
use crate::transaction::{Action, Class, OutPoint, SignedTransaction, Tier, TransactionError};
use crate::vote::Height;

/// Keys for new masternodes.
const OPERATOR: u64 = 10;
const OTHER: u64 = 11;

fn ledger() -> Ledger {
    let mut ledger = Ledger::new(spec());
    ledger.extend(1_000, Vec::new(), Vec::new()).unwrap();
    ledger
}

/// A payment of one of the rich coins to oneself.
fn plain(ledger: &Ledger, at: usize) -> Payment {
    let least = Amount::from_time(1_500);
    let coins: Vec<_> =
        ledger.coins_of(&owner(RICH)).into_iter().filter(|(_, coin)| coin.amount > least).collect();
    ledger.payment(RICH, coins[at], RICH, Amount::from_time(1_000))
}

fn registration(ledger: &Ledger, at: usize, operator: u64) -> Payment {
    let (operator, operator_proof) = agree(ledger, operator, &owner(RICH));
    let (tier, class, payout) = (Tier::Bronze, Class::Server, owner(7));
    let action = Action::RegisterMasternode { tier, class, operator, operator_proof, payout };
    Payment { action, ..plain(ledger, at) }
}

fn rotation(ledger: &Ledger, node: &Masternode, operator: u64) -> Action {
    let (operator, operator_proof) = agree(ledger, operator, &node.owner);
    Action::RotateOperator { masternode: node.id, replaces: node.operator, operator, operator_proof }
}

fn genesis_node(ledger: &Ledger, number: u64) -> Masternode {
    *ledger.state.registry.of_operator(&key(number).public_key()).unwrap()
}

/// Puts transactions into the next block.
fn include(ledger: &mut Ledger, list: Vec<SignedTransaction>) -> Result<(), BlockError> {
    let list = list.into_iter().map(|signed| ledger.verify(signed).unwrap()).collect();
    match ledger.extend(1_000, list, Vec::new()) {
        Ok(_) => Ok(()),
        Err(BlockError::Refused { error, .. }) => Err(*error),
        Err(error) => Err(error),
    }
}

fn close_epoch(ledger: &mut Ledger) {
    while !ledger.state.height().0.is_multiple_of(5) {
        ledger.extend(1_000, Vec::new(), Vec::new()).unwrap();
    }
}

#[test]
fn registering_locks_the_collateral_and_gives_a_vote_from_the_next_epoch() {
    let mut ledger = ledger();
    let signed = registration(&ledger, 0, OPERATOR).sign(&ledger.chain);
    let collateral = OutPoint { txid: signed.transaction.id(), index: 0 };
    include(&mut ledger, vec![signed]).unwrap();
    let node = *ledger.state.registry.of_collateral(&collateral).unwrap();
    let expected = Masternode {
        id: masternode_id(&collateral),
        tier: Tier::Bronze,
        class: Class::Server,
        owner: owner(RICH),
        operator: key(OPERATOR).public_key(),
        payout: owner(7),
        collateral,
        registered_at: Height(2),
        status: Status::Active,
    };
    assert_eq!(node, expected);
    let coin = (collateral, ledger.coins[&collateral]);
    let spend = ledger.payment(RICH, coin, 7, Amount(5_000)).sign(&ledger.chain);
    let locked = BlockError::CollateralLocked { masternode: node.id, unlock_at: None };
    assert_eq!(include(&mut ledger, vec![spend]), Err(locked));
    assert_eq!(ledger.state.validators.index_of(&node.operator), None);
    close_epoch(&mut ledger);
    assert!(ledger.state.validators.index_of(&node.operator).is_some());
    assert_eq!(ledger.state.signers.index_of(&node.operator), None, "it did not sign the epoch's last block");
}

#[test]
fn registrations_are_refused_by_name() {
    let mut ledger = ledger();
    let taken = genesis_node(&ledger, 1);
    let mut inexact = registration(&ledger, 0, OPERATOR);
    inexact.outputs[0].amount.0 -= 1;
    let mut stolen = registration(&ledger, 0, OPERATOR);
    if let Action::RegisterMasternode { operator, .. } = &mut stolen.action {
        *operator = key(OTHER).public_key();
    }
    let mut torsion = registration(&ledger, 0, OPERATOR);
    if let Action::RegisterMasternode { operator, .. } = &mut torsion.action {
        operator.0 = [0; 32];
    }
    let found = |payment: Payment| ledger.verify(payment.sign(&ledger.chain)).map(|_| ()).unwrap_err();
    assert_eq!(found(inexact), TransactionError::Collateral(Amount::from_time(1_000)));
    assert_eq!(found(stolen), TransactionError::Signature(key(OTHER).public_key()));
    assert!(matches!(found(torsion), TransactionError::OperatorKey(_)));
    let in_use = registration(&ledger, 0, 1).sign(&ledger.chain);
    let refused = BlockError::OperatorInUse { masternode: taken.id };
    assert_eq!(include(&mut ledger, vec![in_use]), Err(refused));
    let twice = [0, 1].map(|at| registration(&ledger, at, OPERATOR).sign(&ledger.chain));
    assert!(matches!(include(&mut ledger, twice.to_vec()), Err(BlockError::OperatorInUse { .. })));
    // Spent in the block that registers it.
    let signed = registration(&ledger, 0, OPERATOR).sign(&ledger.chain);
    let made = (OutPoint { txid: signed.transaction.id(), index: 0 }, signed.transaction.outputs[0]);
    let spend = ledger.payment(RICH, made, 7, Amount(5_000)).sign(&ledger.chain);
    assert!(matches!(include(&mut ledger, vec![signed, spend]), Err(BlockError::CollateralLocked { .. })));
}

#[test]
fn retiring_ends_the_vote_at_the_epoch_and_frees_the_collateral_after_the_unbonding_period() {
    let mut ledger = ledger();
    let node = genesis_node(&ledger, 1);
    let action = Action::RetireMasternode { masternode: node.id };
    let retire = |ledger: &Ledger, at, also| {
        Payment { action: action.clone(), also, ..plain(ledger, at) }.sign(&ledger.chain)
    };
    let unsigned = retire(&ledger, 0, vec![]);
    assert_eq!(include(&mut ledger, vec![unsigned]), Err(BlockError::NotTheOwner(node.id)));
    let stranger = retire(&ledger, 0, vec![7]);
    assert_eq!(include(&mut ledger, vec![stranger]), Err(BlockError::NotTheOwner(node.id)));
    let good = retire(&ledger, 0, vec![101]);
    include(&mut ledger, vec![good]).unwrap();
    let unlock_at = ledger.state.header.time.plus(ledger.rules().unbonding_ms);
    assert_eq!(genesis_node(&ledger, 1).status, Status::Retired { unlock_at });
    let again = retire(&ledger, 1, vec![101]);
    assert_eq!(include(&mut ledger, vec![again]), Err(BlockError::MasternodeInactive(node.id)));
    let rotate = Payment { action: rotation(&ledger, &node, OTHER), also: vec![101], ..plain(&ledger, 1) };
    let rotate = rotate.sign(&ledger.chain);
    assert_eq!(include(&mut ledger, vec![rotate]), Err(BlockError::MasternodeInactive(node.id)));
    assert!(ledger.state.validators.index_of(&node.operator).is_some(), "until the epoch ends");
    close_epoch(&mut ledger);
    assert_eq!(ledger.state.validators.index_of(&node.operator), None);

    let coin = (node.collateral, ledger.coins[&node.collateral]);
    let spend = ledger.payment(101, coin, 7, Amount(5_000)).sign(&ledger.chain);
    let spend = ledger.verify(spend).unwrap();
    let wait = unlock_at.since(ledger.state.header.time);
    let locked = BlockError::CollateralLocked { masternode: node.id, unlock_at: Some(unlock_at) };
    let early = ledger.clone().extend(wait - 1, vec![spend.clone()], Vec::new());
    assert!(matches!(early.err(), Some(BlockError::Refused { error, .. }) if *error == locked));
    ledger.extend(wait, vec![spend], Vec::new()).unwrap();
    assert_eq!(ledger.state.registry.node(&node.id), None, "spending the collateral ends the registration");
    assert!(!ledger.coins.contains_key(&node.collateral));
    let reuse = registration(&ledger, 1, 1).sign(&ledger.chain);
    assert_eq!(include(&mut ledger, vec![reuse]), Ok(()), "its operator key may serve again");
}

/// Two rotations were under way, and the one signed first could be made final last: then its key voted.
#[test]
fn of_two_rotations_the_one_made_final_first_stands() {
    let mut ledger = ledger();
    let node = genesis_node(&ledger, 1);
    let [earlier, later] = [(OTHER, 0), (OPERATOR, 1)].map(|(operator, at)| {
        let action = rotation(&ledger, &node, operator);
        Payment { action, also: vec![101], ..plain(&ledger, at) }.sign(&ledger.chain)
    });
    include(&mut ledger, vec![later]).unwrap();
    let operator = key(OPERATOR).public_key();
    assert_eq!(include(&mut ledger, vec![earlier]), Err(BlockError::OperatorReplaced { operator }));
    assert_eq!(ledger.state.registry.node(&node.id).map(|node| node.operator), Some(operator));
}

#[test]
fn rotating_takes_effect_at_the_epoch_and_needs_both_keys() {
    let mut ledger = ledger();
    let node = genesis_node(&ledger, 1);
    let rotate =
        |ledger: &Ledger, action, also| Payment { action, also, ..plain(ledger, 0) }.sign(&ledger.chain);
    // Agreed for another owner: no witness of this transaction is that owner.
    let Action::RotateOperator { operator, .. } = rotation(&ledger, &node, OTHER) else { unreachable!() };
    let (_, for_another) = agree(&ledger, OTHER, &owner(8));
    let replaces = node.operator;
    let wrong =
        Action::RotateOperator { masternode: node.id, replaces, operator, operator_proof: for_another };
    let found = ledger.verify(rotate(&ledger, wrong, vec![101])).map(|_| ());
    assert_eq!(found, Err(TransactionError::OperatorProof));
    // Agreed for a witness that is not the owner.
    let (_, for_payer) = agree(&ledger, OTHER, &owner(RICH));
    let wrong = Action::RotateOperator { masternode: node.id, replaces, operator, operator_proof: for_payer };
    let signed = rotate(&ledger, wrong, vec![101]);
    assert_eq!(include(&mut ledger, vec![signed]), Err(BlockError::OperatorProof));
    let in_use = rotate(&ledger, rotation(&ledger, &node, 2), vec![101]);
    let second = genesis_node(&ledger, 2).id;
    assert_eq!(include(&mut ledger, vec![in_use]), Err(BlockError::OperatorInUse { masternode: second }));
    let unknown = MasternodeId(Hash([9; 32]));
    let stranger = Masternode { id: unknown, ..node };
    let signed = rotate(&ledger, rotation(&ledger, &stranger, OTHER), vec![101]);
    assert_eq!(include(&mut ledger, vec![signed]), Err(BlockError::UnknownMasternode(unknown)));

    let signed = rotate(&ledger, rotation(&ledger, &node, OTHER), vec![101]);
    include(&mut ledger, vec![signed]).unwrap();
    let set = &ledger.state.validators;
    assert!(set.index_of(&node.operator).is_some() && set.index_of(&operator).is_none());
    assert_eq!(ledger.state.registry.node(&node.id).unwrap().operator, operator);
    assert_eq!(ledger.state.registry.of_operator(&node.operator), None);
    close_epoch(&mut ledger);
    let set = &ledger.state.validators;
    assert!(set.index_of(&node.operator).is_none() && set.index_of(&operator).is_some());
}

#[test]
fn equivocation_ejects_once_and_only_within_the_evidence_age() {
    let mut ledger = ledger();
    let eject = |ledger: &mut Ledger, list| match ledger.extend(1_000, Vec::new(), list) {
        Ok(_) => Ok(()),
        Err(BlockError::EvidenceFault(fault)) => Err(fault),
        Err(error) => panic!("{error}"),
    };
    let next = ledger.state.height().next();
    let ahead = equivocation(&ledger, 1, next.next());
    assert_eq!(eject(&mut ledger, vec![ahead]), Err(EvidenceFault::Age(next.next())));
    let genesis = equivocation(&ledger, 1, Height(0));
    assert_eq!(eject(&mut ledger, vec![genesis]), Err(EvidenceFault::Age(Height(0))));
    let (one, other) = (equivocation(&ledger, 1, next), equivocation(&ledger, 2, next));
    let mut both = [one, other];
    both.sort_by_key(|item| *item.evidence());
    let disordered = both.iter().rev().copied().collect();
    assert_eq!(eject(&mut ledger, disordered), Err(EvidenceFault::Order));
    assert_eq!(eject(&mut ledger, vec![one, one]), Err(EvidenceFault::Order));
    let too_many = vec![one; ledger.rules().block_evidence_max as usize + 1];
    assert_eq!(eject(&mut ledger, too_many), Err(EvidenceFault::TooMany));
    let later = equivocation(&ledger, 3, next);
    eject(&mut ledger, vec![one]).unwrap();
    let culprit = one.culprit().masternode;
    let unlock_at = ledger.state.header.time.plus(ledger.rules().unbonding_ms);
    assert_eq!(ledger.state.registry.node(&culprit).unwrap().status, Status::Ejected { unlock_at });
    assert_eq!(eject(&mut ledger, vec![one]), Err(EvidenceFault::NotEjectable(culprit)));
    close_epoch(&mut ledger);
    assert_eq!(ledger.state.validators.index_of(&one.culprit().key), None);
    // Against the set of today it proves nothing about yesterday.
    let (set, evidence) = (&ledger.state.validators, equivocation(&ledger, 0, next));
    assert_eq!(evidence.set(), set.hash());
    assert_eq!(eject(&mut ledger, vec![evidence]), Err(EvidenceFault::WrongSet(next)));
    // Two epochs later it is too old.
    let mut old = ledger.clone();
    for _ in 0..10 {
        old.extend(1_000, Vec::new(), Vec::new()).unwrap();
    }
    assert_eq!(eject(&mut old, vec![later]), Err(EvidenceFault::Age(next)));
    eject(&mut ledger, vec![later]).unwrap();
    assert!(matches!(
        ledger.state.registry.node(&later.culprit().masternode).unwrap().status,
        Status::Ejected { .. }
    ));
}

#[test]
fn evidence_of_a_stranger_or_with_a_changed_vote_proves_nothing() {
    let ledger = ledger();
    let good = *equivocation(&ledger, 1, ledger.state.height()).evidence();
    let set = &ledger.state.validators;
    let with = |change: fn(&mut Evidence)| {
        let mut changed = good;
        change(&mut changed);
        VerifiedEvidence::verify(changed, set, &ledger.chain).is_ok()
    };
    assert!(with(|_| ()));
    assert!(!with(|evidence| evidence.second = evidence.first));
    assert!(!with(|evidence| core::mem::swap(&mut evidence.first, &mut evidence.second)));
    assert!(!with(|evidence| evidence.second.data.view.0 += 1));
    assert!(!with(|evidence| evidence.second.validator = 2));
    assert!(!with(|evidence| (evidence.first.validator, evidence.second.validator) = (2, 2)));
    assert!(!with(|evidence| (evidence.first.validator, evidence.second.validator) = (99, 99)));
    assert!(!with(|evidence| evidence.second.signature.0[3] ^= 1));
    let elsewhere = crate::hash::ChainId(Hash([1; 32]));
    assert!(VerifiedEvidence::verify(good, set, &elsewhere).is_err());
}

#[test]
fn case_17_a_registry_that_forms_no_set_keeps_the_one_it_has() {
    let mut ledger = ledger();
    let before = ledger.state.validators.clone();
    for number in 1..=4 {
        let action = Action::RetireMasternode { masternode: genesis_node(&ledger, number).id };
        let retire = Payment { action, also: vec![100 + number], ..plain(&ledger, 0) }.sign(&ledger.chain);
        include(&mut ledger, vec![retire]).unwrap();
    }
    close_epoch(&mut ledger);
    assert_eq!(ledger.state.validators, before);
    assert!(ledger.state.header.time > Time(0));
    ledger.extend(1_000, Vec::new(), Vec::new()).unwrap();
}
