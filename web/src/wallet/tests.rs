//! The wallet over chains in memory: what a page asks of it, and what restarts, refusals and damage do to it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures::executor::block_on;
use timecoin_core::amount::Amount;
use timecoin_core::answer::{Question, Refusal, Reply};
use timecoin_core::driver::light::{LightClient, Misbehaviour, Source, Unanswered};
use timecoin_core::light::AgePolicy;
use timecoin_core::rows::{Batch, ReadSet, Table};
use timecoin_core::spec::ConsensusSpec;
use timecoin_core::store::{MemoryStore, Range, Store};
use timecoin_core::testing::ledger::ledger_spec;
use timecoin_core::testing::light::{FullNode, Peers, honest};
use timecoin_core::time::Time;
use timecoin_core::transaction::SignedTransaction;
use timecoin_core::vote::Height;
use timecoin_core::wallet::keystore::{KdfCost, KeystoreEntropy};

use super::*;

const CHEAP: KdfCost = KdfCost { memory_kib: 8, passes: 1, lanes: 1 };
const ONCE: KeystoreEntropy = KeystoreEntropy { salt: [3; 16], nonce: [4; 24] };
const PASSWORD: &str = "correct horse";
/// A fee that leaves round sums.
const COIN: Amount = Amount(5_000_000);

fn new(born: u64) -> NewWallet<'static> {
    NewWallet { password: PASSWORD, born: Height(born), entropy: ONCE }
}

/// What peers do with payments.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    All,
    Nothing,
    Silent,
}

/// An honest node, and what reached it.
struct Node {
    peers: Peers,
    takes: Cell<Takes>,
    taken: RefCell<Vec<SignedTransaction>>,
    ahead_ms: Cell<u64>,
}

impl Source for &Node {
    type Peer = usize;

    fn peers(&self) -> Vec<usize> {
        Source::peers(&&self.peers)
    }

    async fn ask(&self, peer: &usize, question: &Question) -> Result<Reply, Unanswered> {
        let mut has_waited = false;
        poll_fn(|context| {
            // As over a network: others go on meanwhile.
            context.waker().wake_by_ref();
            if core::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        if let Question::Submit(signed) = question {
            match self.takes.get() {
                Takes::All => self.taken.borrow_mut().push((**signed).clone()),
                Takes::Nothing => return Ok(Reply::Submit(Err(Refusal::new("mempool_full", "no room")))),
                Takes::Silent => return Err(Unanswered::Timeout),
            }
        }
        (&self.peers).ask(peer, question).await
    }

    async fn news(&self) {}

    fn now(&self) -> Time {
        self.peers.now().plus(self.ahead_ms.get())
    }

    fn report(&self, misbehaviour: Misbehaviour<usize>) {
        (&self.peers).report(misbehaviour);
    }
}

/// A chain, and a wallet of it in a browser.
struct World {
    full: FullNode,
    rows: MemoryStore,
    wallet: Wallet<MemoryStore>,
}

impl World {
    fn new(spec: ConsensusSpec) -> Self {
        let (full, rows) = (FullNode::new(spec), MemoryStore::default());
        let wallet = open(&full, &rows);
        Self { full, rows, wallet }
    }

    /// A world whose wallet has been made, and paid so many coins.
    fn paid(coins: u64) -> Self {
        let mut world = Self::new(ledger_spec(1, 1));
        block_on(world.wallet.create(new(0), &[7; 16], world.now())).unwrap();
        for _ in 0..coins {
            world.receive();
        }
        world.refresh().unwrap();
        world
    }

    fn now(&self) -> Time {
        self.full.ledger.state.header.time.plus(3_600)
    }

    /// A block that pays a coin to an address of the wallet.
    fn receive(&mut self) {
        let address = block_on(self.wallet.address(self.now())).unwrap();
        let owner = address.parse::<Address>().unwrap().owner;
        self.full.grow(vec![self.full.payment_to(owner)]);
    }

    fn node(&self) -> Node {
        Node {
            peers: Peers::new(vec![(self.full.copy(), honest)]),
            takes: Cell::new(Takes::All),
            taken: RefCell::default(),
            ahead_ms: Cell::new(0),
        }
    }

    fn refresh(&self) -> Result<(), WalletError> {
        let node = self.node();
        block_on(self.wallet.refresh(&client(&node)))
    }

    /// The browser is closed and opened again.
    fn restart(&mut self) {
        self.rows.crash(0);
        self.wallet = open(&self.full, &self.rows);
    }

    fn unlock(&self) {
        block_on(self.wallet.unlock(PASSWORD, None, self.now())).unwrap();
    }

    fn view(&self) -> WalletView {
        self.wallet.view(self.now()).unwrap()
    }

    fn total(&self) -> Option<Amount> {
        self.view().total
    }
}

fn open(full: &FullNode, rows: &MemoryStore) -> Wallet<MemoryStore> {
    let chain = Peers::new(vec![(full.copy(), honest)]).chain();
    block_on(Wallet::open(Arc::new((*chain).clone()), rows.clone(), CHEAP)).unwrap()
}

/// A light client at the node's head.
fn client(node: &Node) -> LightClient<&Node, MemoryStore> {
    let chain = node.peers.chain();
    let opened = LightClient::open(chain, AgePolicy::AnyAge, None, node, MemoryStore::default());
    let client = block_on(opened).unwrap();
    block_on(client.follow(&0, node.peers.newest())).unwrap();
    client
}

fn payment(to: &str, amount: &str) -> Payment {
    Payment { to: to.to_owned(), amount: amount.to_owned(), memo: None, fee_per_kb: None, id: None }
}

/// An address that is not the wallet's.
fn stranger() -> String {
    let owner = timecoin_core::testing::ledger::owner(77);
    Address { network: timecoin_core::address::Network::Dev, owner }.to_string()
}

fn code<T: core::fmt::Debug>(outcome: Result<T, WalletError>) -> &'static str {
    outcome.expect_err("an error").code()
}

fn row(store: &MemoryStore, key: &[u8]) -> Option<Vec<u8>> {
    let mut reads = ReadSet::default();
    reads.insert(Table::Meta, key);
    block_on(store.load(&reads)).unwrap().row(Table::Meta, key).map(|row| row.to_vec())
}

fn write(store: &MemoryStore, key: &[u8], value: Option<&[u8]>) {
    let mut batch = Batch::default();
    match value {
        Some(value) => batch.put(Table::Meta, key, value),
        None => batch.delete(Table::Meta, key),
    }
    batch.sync();
    block_on(store.commit(&batch)).unwrap();
}

#[test]
fn a_wallet_is_made_locked_by_a_restart_and_opened_with_its_password_only() {
    let mut world = World::new(ledger_spec(1, 1));
    let now = world.now();
    let nothing = WalletStatus { exists: false, unlocked: false, backed_up: false, lock_at: None };
    assert_eq!(world.wallet.status(now).unwrap(), nothing);
    assert_eq!(code(block_on(world.wallet.unlock(PASSWORD, None, now))), "no_wallet");
    let empty = NewWallet { password: "", ..new(0) };
    assert_eq!(code(block_on(world.wallet.create(empty, &[7; 16], now))), "password_empty");
    let words = block_on(world.wallet.create(new(0), &[7; 16], now)).unwrap();
    assert_eq!(words.len(), 12);
    assert_eq!(code(block_on(world.wallet.create(new(0), &[8; 16], now))), "wallet_exists");
    let status = world.wallet.status(now).unwrap();
    assert!(status.exists && status.unlocked && !status.backed_up);
    assert_eq!(status.lock_at, Some(now.plus(15 * 60_000)));
    let address = block_on(world.wallet.address(now)).unwrap();
    world.restart();
    assert!(!world.wallet.status(now).unwrap().unlocked);
    assert_eq!(code(block_on(world.wallet.address(now))), "wallet_locked");
    assert_eq!(code(world.wallet.view(now)), "wallet_locked");
    assert_eq!(code(world.wallet.addresses(now)), "wallet_locked");
    assert_eq!(code(block_on(world.wallet.unlock("correct", None, now))), "wrong_password");
    assert_eq!(code(world.wallet.words("correct")), "wrong_password");
    assert_eq!(world.wallet.words(PASSWORD).unwrap(), words);
    block_on(world.wallet.unlock(PASSWORD, Some(5), now)).unwrap();
    assert_eq!(block_on(world.wallet.address(now)).unwrap(), address);
    assert_eq!(world.wallet.status(now.plus(299_999)).unwrap().lock_at, Some(now.plus(300_000)));
    assert!(!world.wallet.status(now.plus(300_000)).unwrap().unlocked, "by the clock");
    assert!(!world.wallet.status(now).unwrap().unlocked, "and the secret is gone");
}

#[test]
fn no_row_has_a_word_of_the_secret() {
    let world = World::paid(1);
    let words = world.wallet.words(PASSWORD).unwrap();
    for table in Table::ALL {
        for (_, value) in block_on(world.rows.scan(table, &Range::default(), usize::MAX)).unwrap() {
            let text = String::from_utf8_lossy(&value).into_owned();
            assert!(words.iter().all(|word| !text.contains(&format!("{word} "))), "{text}");
            assert!(!text.contains(&"07".repeat(16)), "the entropy itself");
        }
    }
}

#[test]
fn the_backup_is_checked_by_positions() {
    let world = World::new(ledger_spec(1, 1));
    let now = world.now();
    let words = block_on(world.wallet.create(new(0), &[7; 16], now)).unwrap();
    let at = |places: &[u32]| -> Vec<Position> {
        let word = |at: u32| words.get((at as usize).wrapping_sub(1)).cloned().unwrap_or_default();
        places.iter().map(|at| Position { at: *at, word: word(*at) }).collect()
    };
    let mut wrong = at(&[1, 5, 12]);
    wrong[1].word = "zoo".into();
    for (name, positions) in [
        ("none", at(&[])),
        ("too few", at(&[1, 2])),
        ("the same twice", at(&[1, 2, 2])),
        ("no such place", at(&[1, 2, 13])),
        ("place zero", at(&[0, 1, 2])),
        ("a wrong word", wrong),
    ] {
        let outcome = block_on(world.wallet.confirm_backup(&positions, now));
        assert_eq!(code(outcome), "backup_words", "{name}");
    }
    let mut right = at(&[12, 1, 5]);
    right[0].word = format!(" {} ", right[0].word.to_uppercase());
    block_on(world.wallet.confirm_backup(&right, now)).unwrap();
    assert!(open(&world.full, &world.rows).status(now).unwrap().backed_up, "kept");
}

#[test]
fn forgetting_needs_the_password_and_leaves_nothing() {
    let world = World::paid(2);
    assert_eq!(code(block_on(world.wallet.forget("wrong"))), "wrong_password");
    assert!(world.wallet.status(world.now()).unwrap().exists);
    block_on(world.wallet.forget(PASSWORD)).unwrap();
    assert!(!world.wallet.status(world.now()).unwrap().exists);
    world.refresh().unwrap();
    for table in Table::ALL {
        let rows = block_on(world.rows.scan(table, &Range::default(), usize::MAX)).unwrap();
        assert_eq!(rows, [], "{}", table.name());
    }
    block_on(world.wallet.create(new(0), &[9; 16], world.now())).unwrap();
}

#[test]
fn nothing_is_known_before_it_is_proved_and_a_restart_goes_on() {
    let mut world = World::new(ledger_spec(1, 1));
    block_on(world.wallet.create(new(0), &[7; 16], world.now())).unwrap();
    for _ in 0..3 {
        world.receive();
        world.refresh().unwrap();
    }
    world.restart();
    world.unlock();
    let before = world.view();
    assert_eq!((before.total, before.spendable, before.pending, before.locked), (None, None, None, None));
    assert!(!before.verified && !before.complete);
    assert!(world.wallet.addresses(world.now()).unwrap().iter().all(|address| address.amount.is_none()));
    world.refresh().unwrap();
    let after = world.view();
    assert_eq!((after.total, after.spendable), (Some(Amount(3 * COIN.0)), Some(Amount(3 * COIN.0))));
    assert!(after.verified && after.complete && after.scanning.is_none());
    assert_eq!(after.height, world.full.height());
    let node = world.node();
    let (history, proof) = block_on(world.wallet.history(&client(&node))).unwrap();
    assert_eq!((history.entries.len(), history.complete, history.from), (3, true, Height(0)));
    assert!(
        history
            .entries
            .iter()
            .all(|entry| entry.kind == EntryKind::Received && entry.amount == COIN.to_string())
    );
    assert_eq!((proof.height, proof.block), (world.full.height(), world.full.ledger.state.id));
    let used = world.wallet.addresses(world.now()).unwrap();
    assert_eq!(used.iter().filter(|address| address.used).count(), 3, "each paid at an address of its own");
}

#[test]
fn blocks_that_do_not_touch_the_wallet_need_no_new_proof() {
    let mut world = World::paid(1);
    world.full.grow(Vec::new());
    let node = world.node();
    let client = client(&node);
    let before = node.peers.asked();
    block_on(world.wallet.refresh(&client)).unwrap();
    assert_eq!(node.peers.asked() - before, 1, "one question for the filters");
    assert_eq!((world.view().height, world.total()), (world.full.height(), Some(COIN)));
}

#[test]
fn a_wallet_comes_back_from_its_words_elsewhere() {
    let world = World::paid(4);
    let words = world.wallet.words(PASSWORD).unwrap().join(" ");
    let elsewhere = World {
        full: world.full.copy(),
        rows: MemoryStore::default(),
        wallet: open(&world.full, &MemoryStore::default()),
    };
    let bad = words.replacen(' ', " zoo ", 1);
    assert_eq!(code(block_on(elsewhere.wallet.restore(new(0), &bad, world.now()))), "recovery_words");
    block_on(elsewhere.wallet.restore(new(0), &words.to_uppercase(), world.now())).unwrap();
    assert!(elsewhere.wallet.status(world.now()).unwrap().backed_up);
    elsewhere.refresh().unwrap();
    world.refresh().unwrap();
    assert_eq!(elsewhere.view(), world.view());
    assert_eq!(elsewhere.total(), Some(Amount(4 * COIN.0)));
}

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
fn addresses_are_given_out_as_far_as_words_alone_would_find_them() {
    let mut world = World::paid(0);
    let now = world.now();
    let first = block_on(world.wallet.address(now)).unwrap();
    assert_eq!(block_on(world.wallet.address(now)).unwrap(), first, "the same until it is used");
    let shop = block_on(world.wallet.new_address(" shop ", now)).unwrap();
    let long = "x".repeat(61);
    assert_eq!(code(block_on(world.wallet.new_address(&long, now))), "label");
    world.restart();
    world.unlock();
    let known = world.wallet.addresses(now).unwrap();
    assert_eq!(known.iter().map(|address| address.label.as_str()).collect::<Vec<_>>(), ["", "shop"]);
    assert_eq!(known[1].address, shop);
    for _ in 2..20 {
        block_on(world.wallet.new_address("", now)).unwrap();
    }
    assert_eq!(code(block_on(world.wallet.new_address("", now))), "address_gap");
    let last = world.wallet.addresses(now).unwrap().pop().unwrap().address;
    world.full.grow(vec![world.full.payment_to(last.parse::<Address>().unwrap().owner)]);
    world.refresh().unwrap();
    block_on(world.wallet.new_address("", now)).unwrap();
    assert_eq!(world.total(), Some(COIN));
}

#[test]
fn what_the_rows_lost_is_found_again_once_the_keys_are_at_hand() {
    for key in [&b"state"[..], b"coverage"] {
        let mut world = World::paid(3);
        block_on(world.wallet.new_address("shop", world.now())).unwrap();
        write(&world.rows, key, None);
        world.restart();
        assert_eq!(code(world.refresh()), "wallet_locked");
        world.unlock();
        world.refresh().unwrap();
        assert_eq!(world.total(), Some(Amount(3 * COIN.0)));
    }
}

#[test]
fn rows_that_do_not_fit_the_chain_are_found_again() {
    let mut world = World::paid(3);
    let coverage = row(&world.rows, b"coverage").unwrap();
    let mut changed: serde_json::Value = serde_json::from_slice(&coverage).unwrap();
    changed["tip"] = "11".repeat(32).into();
    write(&world.rows, b"coverage", Some(changed.to_string().as_bytes()));
    world.full.grow(Vec::new());
    world.restart();
    world.unlock();
    world.refresh().unwrap();
    assert_eq!(world.total(), Some(Amount(3 * COIN.0)));
}

#[test]
fn a_damaged_wallet_is_said_to_be_and_only_its_words_write_over_it() {
    type Change = fn(&mut serde_json::Value);
    let nested = |change: fn(&mut serde_json::Value)| change;
    let table: [(&str, Change, &str); 6] = [
        ("not a keystore", nested(|row| row["keystore"] = "{}".into()), "wallet_damaged"),
        (
            "memory of 4 GiB",
            nested(|row| doctor(row, "\"memory_kib\": 8", "\"memory_kib\": 4194304")),
            "wallet_damaged",
        ),
        (
            "memory beyond a Worker's",
            nested(|row| doctor(row, "\"memory_kib\": 8", "\"memory_kib\": 262145")),
            "wallet_damaged",
        ),
        ("unknown member", nested(|row| row["more"] = 1.into()), "wallet_damaged"),
        ("another chain", nested(|row| row["chain"] = "11".repeat(32).into()), "wallet_other_chain"),
        ("newer", nested(|row| row["version"] = 2.into()), "wallet_newer"),
    ];
    for (name, change, expected) in table {
        let mut world = World::paid(1);
        let words = world.wallet.words(PASSWORD).unwrap().join(" ");
        let mut changed = serde_json::from_slice(&row(&world.rows, b"wallet").unwrap()).unwrap();
        change(&mut changed);
        write(&world.rows, b"wallet", Some(changed.to_string().as_bytes()));
        world.restart();
        let now = world.now();
        assert_eq!(code(world.wallet.status(now)), expected, "{name}");
        assert_eq!(code(block_on(world.wallet.unlock(PASSWORD, None, now))), expected, "{name}");
        assert_eq!(code(block_on(world.wallet.create(new(0), &[9; 16], now))), expected, "{name}");
        let restored = block_on(world.wallet.restore(new(0), &words, now));
        if expected == "wallet_newer" {
            assert_eq!(code(restored), expected, "{name}");
            continue;
        }
        restored.unwrap();
        world.refresh().unwrap();
        assert_eq!(world.total(), Some(COIN), "{name}");
    }
}

fn doctor(row: &mut serde_json::Value, from: &str, to: &str) {
    let keystore = row["keystore"].as_str().unwrap();
    assert!(keystore.contains(from), "{keystore}");
    row["keystore"] = keystore.replace(from, to).into();
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
