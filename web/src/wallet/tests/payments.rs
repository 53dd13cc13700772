//! Payments of the wallet: quoted, sent, refused, followed to their end, and made only once.

use futures::future::join;

use super::*;

#[test]
fn a_payment_is_quoted_sent_and_becomes_final() {
    let mut world = World::paid(2);
    let node = world.node();
    let client = client(&node);
    let mut pay = payment(&stranger(), "0.06");
    pay.memo = Some("for tea".into());
    let quote = world.wallet.quote(&client, &pay).unwrap();
    assert_eq!((quote.amount, quote.inputs), (Amount(6_000_000), 2));
    assert_eq!(quote.total, quote.amount.checked_add(quote.fee).unwrap());
    let txid = block_on(world.wallet.send(&client, &pay, [1; 16])).unwrap();
    let view = world.view();
    assert_eq!((view.spendable, view.pending), (Some(Amount::ZERO), Some(Amount(2 * COIN.0))));
    let [outgoing] = &view.outgoing[..] else { panic!("one payment is on its way") };
    assert_eq!((outgoing.txid, outgoing.amount, outgoing.fee), (txid, quote.amount, quote.fee));
    assert_eq!((outgoing.to.as_slice(), outgoing.fate), (&[stranger()][..], Fate::Pending));
    assert_eq!(code(world.wallet.quote(&client, &pay)), "insufficient_funds", "the coins are promised");
    let taken = node.taken.borrow().clone();
    assert_eq!(taken.iter().map(|signed| signed.transaction.id()).collect::<Vec<_>>(), [txid]);
    assert_eq!(timecoin_core::codec::encode(&taken[0]).len(), quote.size as usize);
    drop(client);
    world.full.grow(taken);
    world.refresh().unwrap();
    let view = world.view();
    assert_eq!(view.total, Amount(2 * COIN.0).checked_sub(quote.total));
    assert_eq!((view.pending, view.outgoing.len()), (Some(Amount::ZERO), 0));
    let node = world.node();
    let (history, _) = block_on(world.wallet.history(&self::client(&node))).unwrap();
    let entry = &history.entries[0];
    assert_eq!((entry.txid, entry.kind, entry.amount.as_str()), (txid, EntryKind::Sent, "-0.06"));
    assert_eq!((entry.fee, entry.memo.as_deref()), (Some(quote.fee), Some("for tea")));
    assert_eq!(entry.counterparties, [stranger()]);
}

#[test]
fn all_of_it_can_be_sent() {
    let world = World::paid(3);
    let node = world.node();
    let client = client(&node);
    let quote = world.wallet.quote(&client, &payment(&stranger(), "max")).unwrap();
    assert_eq!((quote.total, quote.inputs), (Amount(3 * COIN.0), 3));
    // As the page sends it: the amount agreed on.
    block_on(world.wallet.send(&client, &payment(&stranger(), &quote.amount.to_string()), [1; 16])).unwrap();
    assert_eq!(world.view().spendable, Some(Amount::ZERO));
}

#[test]
fn what_cannot_be_paid_says_why() {
    let world = World::paid(1);
    let node = world.node();
    let client = client(&node);
    let other = stranger().replacen("dtime", "time", 1);
    let long = Payment { memo: Some("x".repeat(81)), ..payment(&stranger(), "0.01") };
    let cheap = Payment { fee_per_kb: Some(1), ..payment(&stranger(), "0.01") };
    for (name, payment, expected) in [
        ("no address", payment("", "1"), "bad_address"),
        ("damaged", payment(&stranger().replace("qp", "pq"), "1"), "bad_address"),
        ("another network's prefix", payment(&other, "1"), "bad_address"),
        ("no amount", payment(&stranger(), ""), "amount"),
        ("nothing", payment(&stranger(), "0"), "amount"),
        ("negative", payment(&stranger(), "-1"), "amount"),
        ("too fine", payment(&stranger(), "0.000000001"), "amount"),
        ("dust", payment(&stranger(), "0.00000001"), "amount_too_small"),
        ("too much", payment(&stranger(), "100"), "insufficient_funds"),
        ("long memo", long, "memo_too_long"),
        ("low fee", cheap, "fee_too_low"),
    ] {
        assert_eq!(code(world.wallet.quote(&client, &payment)), expected, "{name}");
        assert_eq!(code(block_on(world.wallet.send(&client, &payment, [1; 16]))), expected, "{name}");
    }
    world.wallet.lock();
    assert_eq!(
        code(block_on(world.wallet.send(&client, &payment(&stranger(), "0.01"), [1; 16]))),
        "wallet_locked"
    );
    assert_eq!(*node.taken.borrow(), [], "nobody heard of any");
}

#[test]
fn a_payment_that_is_refused_frees_its_coins() {
    let world = World::paid(1);
    let node = world.node();
    node.takes.set(Takes::Nothing);
    let client = client(&node);
    let pay = Payment { id: Some("11".repeat(16)), ..payment(&stranger(), "0.01") };
    assert_eq!(code(block_on(world.wallet.send(&client, &pay, [0; 16]))), "refused");
    assert_eq!((world.view().spendable, world.view().outgoing.len()), (Some(COIN), 0));
    block_on(world.wallet.refresh(&client)).unwrap();
    node.takes.set(Takes::All);
    block_on(world.wallet.refresh(&client)).unwrap();
    assert_eq!(*node.taken.borrow(), [], "it is not handed over again");
    block_on(world.wallet.send(&client, &pay, [0; 16])).unwrap();
    assert_eq!(node.taken.borrow().len(), 1, "under its name it can be tried once more");
}

#[test]
fn a_payment_that_went_through_all_the_same_is_not_called_refused() {
    let world = World::paid(1);
    let node = world.node();
    node.takes.set(Takes::Once);
    let client = client(&node);
    let txid = block_on(world.wallet.send(&client, &payment(&stranger(), "0.01"), [0; 16])).unwrap();
    let view = world.view();
    assert_eq!((view.outgoing.len(), view.outgoing[0].txid), (1, txid));
}

#[test]
fn a_payment_is_handed_over_once_while_it_is_sent() {
    let world = World::paid(1);
    let node = world.node();
    let client = client(&node);
    let pay = payment(&stranger(), "0.01");
    let refresh = async {
        world.wallet.peers_changed();
        world.wallet.refresh(&client).await
    };
    let (sent, refreshed) = block_on(join(world.wallet.send(&client, &pay, [0; 16]), refresh));
    sent.unwrap();
    refreshed.unwrap();
    assert_eq!(node.taken.borrow().len(), 1);
}

#[test]
fn a_payment_nobody_heard_of_is_handed_over_after_a_restart_and_never_made_twice() {
    let mut world = World::paid(2);
    let pay = Payment { id: Some("22".repeat(16)), ..payment(&stranger(), "0.01") };
    let silent = world.node();
    silent.takes.set(Takes::Silent);
    let txid = block_on(world.wallet.send(&client(&silent), &pay, [0; 16])).unwrap();
    world.restart();
    let node = world.node();
    let client = client(&node);
    // The page asks again, though the wallet is locked now: it is told of the payment that was made.
    assert_eq!(block_on(world.wallet.send(&client, &pay, [9; 16])).unwrap(), txid);
    let other = Payment { id: Some("33".repeat(16)), ..pay.clone() };
    assert_eq!(
        code(block_on(world.wallet.send(&client, &other, [9; 16]))),
        "wallet_locked",
        "another one is not"
    );
    block_on(world.wallet.refresh(&client)).unwrap();
    let taken = node.taken.borrow().clone();
    assert_eq!(taken.iter().map(|signed| signed.transaction.id()).collect::<Vec<_>>(), [txid]);
    world.unlock();
    let view = world.view();
    assert_eq!((view.spendable, view.pending), (Some(COIN), Some(COIN)), "its coin is still promised");
    drop(client);
    world.full.grow(taken);
    world.refresh().unwrap();
    let node = world.node();
    assert_eq!(
        block_on(world.wallet.send(&self::client(&node), &pay, [9; 16])).unwrap(),
        txid,
        "once it is final, too"
    );
    assert_eq!(world.view().outgoing, []);
}

#[test]
fn a_payment_that_is_not_on_disk_is_not_sent() {
    let mut world = World::paid(1);
    let node = world.node();
    let client = client(&node);
    world.rows.fail_commits();
    assert_eq!(
        code(block_on(world.wallet.send(&client, &payment(&stranger(), "0.01"), [1; 16]))),
        "store-failed"
    );
    assert_eq!(*node.taken.borrow(), []);
    assert_eq!(world.view().spendable, Some(COIN));
    drop(client);
    world.restart();
    world.unlock();
    world.refresh().unwrap();
    assert_eq!(world.view().spendable, Some(COIN));
}

#[test]
fn payments_are_handed_over_again_with_pauses_and_at_once_to_new_peers() {
    let world = World::paid(1);
    let node = world.node();
    node.takes.set(Takes::Silent);
    let client = client(&node);
    block_on(world.wallet.send(&client, &payment(&stranger(), "0.01"), [1; 16])).unwrap();
    node.takes.set(Takes::All);
    let handed = |at_ms: u64| {
        node.ahead_ms.set(at_ms);
        block_on(world.wallet.refresh(&client)).unwrap();
        node.taken.borrow().len()
    };
    assert_eq!([handed(999), handed(1_000), handed(2_999), handed(3_000)], [0, 1, 1, 2]);
    world.wallet.peers_changed();
    assert_eq!([handed(3_001), handed(3_002)], [3, 3]);
}

#[test]
fn a_payment_that_expires_frees_its_coins_by_the_chains_clock() {
    let mut world = World::paid(1);
    let node = world.node();
    node.takes.set(Takes::Silent);
    let client = client(&node);
    block_on(world.wallet.send(&client, &payment(&stranger(), "0.01"), [1; 16])).unwrap();
    let expires_at = world.view().outgoing[0].expires_at;
    node.ahead_ms.set(3_600_000);
    block_on(world.wallet.refresh(&client)).unwrap();
    assert_eq!(world.view().outgoing[0].fate, Fate::Pending, "this machine's clock decides nothing");
    assert_eq!(world.view().spendable, Some(Amount::ZERO));
    drop(client);
    while world.full.ledger.state.header.time <= expires_at {
        assert_eq!(world.view().spendable, Some(Amount::ZERO));
        world.full.grow_after(600_000, Vec::new());
        world.refresh().unwrap();
        // The wallet's own timer is of no concern here.
        world.unlock();
    }
    assert_eq!((world.view().spendable, world.view().pending), (Some(COIN), Some(Amount::ZERO)));
    assert_eq!(world.view().outgoing, [], "past");
}

#[test]
fn coins_spent_elsewhere_end_a_payment() {
    let mut world = World::paid(1);
    let words = world.wallet.words(PASSWORD).unwrap().join(" ");
    let rows = MemoryStore::default();
    let twin = World { full: world.full.copy(), wallet: open(&world.full, &rows), rows };
    block_on(twin.wallet.restore(new(0), &words, twin.now())).unwrap();
    twin.refresh().unwrap();
    let node = world.node();
    let client = client(&node);
    let mut other = payment(&stranger(), "0.02");
    block_on(twin.wallet.send(&client, &other, [1; 16])).unwrap();
    let theirs = node.taken.take();
    other.amount = "0.01".into();
    block_on(world.wallet.send(&client, &other, [2; 16])).unwrap();
    drop(client);
    world.full.grow(theirs);
    world.refresh().unwrap();
    assert_eq!(world.view().outgoing[0].fate, Fate::Displaced);
    assert_eq!(world.view().pending, Some(Amount::ZERO));
}

#[test]
fn a_payment_goes_out_and_an_address_is_given_out_in_the_middle_of_a_scan() {
    let mut world = World::paid(1);
    for _ in 0..150 {
        world.full.grow(Vec::new());
    }
    world.receive();
    let node = world.node();
    let client = client(&node);
    let pay = payment(&stranger(), "0.01");
    let (scan, send) = (world.wallet.refresh(&client), world.wallet.send(&client, &pay, [1; 16]));
    let address = world.wallet.new_address("meanwhile", world.now());
    let (scanned, sent, given) = block_on(async { futures::join!(scan, send, address) });
    scanned.unwrap();
    let view = world.view();
    assert_eq!(view.outgoing[0].txid, sent.unwrap());
    assert_eq!(
        (view.spendable, view.pending, view.total),
        (Some(COIN), Some(COIN), Some(Amount(2 * COIN.0)))
    );
    let last = world.wallet.addresses(world.now()).unwrap().pop().unwrap();
    assert_eq!((last.address, last.label), (given.unwrap(), "meanwhile".to_owned()));
    world.restart();
    world.unlock();
    world.refresh().unwrap();
    assert_eq!(
        (world.view().pending, world.total()),
        (Some(COIN), Some(Amount(2 * COIN.0))),
        "and all of it was kept"
    );
}
