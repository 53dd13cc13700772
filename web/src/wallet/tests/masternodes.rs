//! Masternodes of the wallet: registered, given another operator, retired, and never another's.

use timecoin_core::hash::to_hex;
use timecoin_core::keys::SecretKey;
use timecoin_core::state::registry::Status;
use timecoin_core::transaction::{Class, Output, Tier};
use timecoin_core::wallet::build::OperatorConsent;

use super::*;

/// A wallet that got 1,010 TIME at genesis, and its address.
fn founded() -> (World, String) {
    let made = World::new(ledger_spec(1, 1));
    block_on(made.wallet.create(new(0), &[7; 16], made.now())).unwrap();
    let address = block_on(made.wallet.address(made.now())).unwrap();
    let owner = address.parse::<Address>().unwrap().owner;
    let mut spec = ledger_spec(1, 1);
    spec.allocations.push(Output { amount: Amount::from_time(1010), owner });
    let mut world = World::new(spec);
    block_on(world.wallet.create(new(0), &[7; 16], world.now())).unwrap();
    world.full.grow(vec![]);
    world.refresh().unwrap();
    assert_eq!(world.total(), Some(Amount::from_time(1010)));
    (world, address)
}

/// The consent of an operator to an address.
fn consented(world: &World, operator: u8, owner: &str) -> MasternodeChange {
    let key = SecretKey::from_seed(&[operator; 32]);
    let owner_of = owner.parse::<Address>().unwrap().owner;
    let consent = OperatorConsent::sign(&world.wallet.chain.id, &owner_of, &key);
    MasternodeChange {
        masternode: None,
        owner: Some(owner.to_owned()),
        tier: Some("bronze".into()),
        class: Some("browser".into()),
        operator: Some(consent.operator.to_string()),
        operator_proof: Some(to_hex(&consent.proof.0)),
        id: None,
    }
}

/// Prices and makes a change, and lets it become final; what it cost and what it locked.
fn make(world: &mut World, change: &MasternodeChange, id: char) -> Quote {
    let node = world.node();
    let client = client(&node);
    let ask = |change| block_on(world.wallet.change_masternode(&client, change)).unwrap();
    let Changed { quote: Some(quote), txid: None } = ask(change) else {
        panic!("without a name it is priced")
    };
    assert!(node.taken.borrow().is_empty());
    let named = MasternodeChange { id: Some(id.to_string().repeat(32)), ..change.clone() };
    let made = ask(&named);
    assert_eq!(made.quote, Some(quote.clone()));
    assert_eq!(ask(&named), Changed { quote: None, ..made }, "under one name it is made once");
    let taken = node.taken.borrow().clone();
    assert_eq!(taken.len(), 1);
    drop(client);
    world.full.grow(taken);
    world.refresh().unwrap();
    quote
}

#[test]
fn one_is_registered_given_another_operator_and_retired() {
    let (mut world, owner) = founded();
    let register = consented(&world, 40, &owner);
    let quote = make(&mut world, &register, '1');
    assert_eq!(quote.amount, Amount::from_time(1000));
    let view = world.view();
    assert_eq!(view.locked, Some(quote.amount));
    assert_eq!(view.spendable, Amount::from_time(1010).checked_sub(quote.total));

    let held = |world: &World, operator: u8| {
        let operator = SecretKey::from_seed(&[operator; 32]).public_key();
        world.full.ledger.state.registry.of_operator(&operator).copied()
    };
    let registered = held(&world, 40).unwrap();
    assert_eq!((registered.tier, registered.class), (Tier::Bronze, Class::Browser));
    assert_eq!(registered.owner, registered.payout);

    let rotate =
        MasternodeChange { masternode: Some(registered.id.to_string()), ..consented(&world, 41, &owner) };
    assert_eq!(make(&mut world, &rotate, '2').amount, Amount::ZERO);
    assert_eq!(held(&world, 40), None);
    assert_eq!(held(&world, 41).unwrap().id, registered.id);

    let retire = MasternodeChange { operator: None, operator_proof: None, ..rotate };
    make(&mut world, &retire, '3');
    let Status::Retired { unlock_at } = held(&world, 41).unwrap().status else { panic!("it is retired") };
    assert!(unlock_at > world.full.ledger.state.header.time);
    assert_eq!(world.view().locked, Some(Amount::from_time(1000)), "until that time");
    let node = world.node();
    let (history, _) = block_on(world.wallet.history(&client(&node))).unwrap();
    let kinds: Vec<_> = history.entries.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds[..3], [EntryKind::Masternode; 3]);
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_signed() {
    let (world, owner) = founded();
    let node = world.node();
    let client = client(&node);
    let good = consented(&world, 40, &owner);
    let theirs = world.full.ledger.state.registry.iter().next().unwrap().id;
    let of_another = consented(&world, 40, &stranger());
    let absent = timecoin_core::hash::MasternodeId(timecoin_core::hash::Hash([9; 32]));
    let with = |change: fn(&mut MasternodeChange)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    let table = [
        ("no tier", with(|change| change.tier = None), "bad_request"),
        ("a tier that is none", with(|change| change.tier = Some("tin".into())), "bad_request"),
        ("no class", with(|change| change.class = None), "bad_request"),
        ("too much collateral", with(|change| change.tier = Some("silver".into())), "insufficient_funds"),
        ("no owner", with(|change| change.owner = None), "not_found"),
        ("no address", with(|change| change.owner = Some("dtime1x".into())), "bad_address"),
        ("another's address", of_another.clone(), "not_found"),
        ("no operator", with(|change| change.operator = None), "operator_consent"),
        ("no key", with(|change| change.operator = Some("me".into())), "operator_consent"),
        ("no id", with(|change| change.masternode = Some("mine".into())), "not_found"),
        ("no proof", with(|change| change.operator_proof = None), "operator_consent"),
        (
            "a proof that is none",
            with(|change| change.operator_proof = Some("00".into())),
            "operator_consent",
        ),
        (
            "a proof for another owner",
            MasternodeChange { operator_proof: of_another.operator_proof.clone(), ..good.clone() },
            "operator_consent",
        ),
        (
            "another's masternode",
            MasternodeChange { masternode: Some(theirs.to_string()), ..good.clone() },
            "not_found",
        ),
        (
            "no such masternode",
            MasternodeChange { masternode: Some(absent.to_string()), ..good.clone() },
            "not_found",
        ),
    ];
    for (name, change, expected) in table {
        for id in [None, Some("1".repeat(32))] {
            let change = MasternodeChange { id, ..change.clone() };
            assert_eq!(code(block_on(world.wallet.change_masternode(&client, &change))), expected, "{name}");
        }
    }
    let unnamed = with(|change| change.id = Some("1".into()));
    assert_eq!(code(block_on(world.wallet.change_masternode(&client, &unnamed))), "bad_request");
    world.wallet.lock();
    assert_eq!(code(block_on(world.wallet.change_masternode(&client, &good))), "wallet_locked");
    assert!(node.taken.borrow().is_empty());
}
