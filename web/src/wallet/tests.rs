//! The wallet over chains in memory: what a page asks of it, and what restarts, refusals and damage do to it.

mod masternodes;
mod payments;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures::executor::block_on;
use timecoin_core::amount::Amount;
use timecoin_core::answer::{Located, Question, Refusal, Reply, TransactionPhase};
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
    /// What it has already it takes for spending what is spent.
    Once,
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
                Takes::Once => {
                    self.taken.borrow_mut().push((**signed).clone());
                    let refusal = Refusal::new("coin_unknown_or_spent", "the coin is spent or unknown");
                    return Ok(Reply::Submit(Err(refusal)));
                }
            }
        }
        let found = match question {
            Question::Transaction(asked) if self.takes.get() == Takes::Once => {
                self.taken.borrow().iter().find(|signed| signed.transaction.id() == *asked).cloned()
            }
            _ => None,
        };
        if let Some(signed) = found {
            return Ok(Reply::Transaction(Box::new(Located::Pending(signed, TransactionPhase::Commit))));
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
    assert!(!history.older, "made here");
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
fn a_wallet_restored_from_a_late_block_has_its_older_coins_and_says_where_its_history_starts() {
    let world = World::paid(30);
    let (words, height) = (world.wallet.words(PASSWORD).unwrap().join(" "), world.full.height());
    for from in [1, 15, height.0, height.0 + 1] {
        let rows = MemoryStore::default();
        let wallet = open(&world.full, &rows);
        let mut late = World { full: world.full.copy(), rows, wallet };
        block_on(late.wallet.restore(new(from), &words, late.now())).unwrap();
        for visit in ["first", "second"] {
            late.refresh().unwrap();
            let view = late.view();
            assert_eq!((view.total, view.spendable), (world.total(), world.total()), "from {from}, {visit}");
            assert!(view.verified && view.complete, "from {from}, {visit}");
            late.restart();
            late.unlock();
        }
        late.full.grow(Vec::new());
        late.refresh().unwrap();
        let node = late.node();
        let client = client(&node);
        let (history, _) = block_on(late.wallet.history(&client)).unwrap();
        let payments = (1..=height.0).filter(|height| *height >= from).count();
        assert_eq!((history.from, history.entries.len()), (Height(from), payments), "from {from}");
        assert!(history.complete && history.older, "from {from}");
        let all = Payment {
            to: block_on(world.wallet.address(world.now())).unwrap(),
            amount: "max".to_owned(),
            memo: None,
            fee_per_kb: None,
            id: None,
        };
        assert_eq!(late.wallet.quote(&client, &all).unwrap().inputs, 30, "from {from}: all can be spent");
    }
}

#[test]
fn coins_behind_more_emptied_addresses_than_a_gap_are_found_from_a_late_block() {
    let mut world = World::paid(0);
    for round in 0..6 {
        for _ in 0..22 {
            world.receive();
            world.refresh().unwrap();
        }
        // All of it goes on to the next address.
        let node = world.node();
        let client = client(&node);
        let to = block_on(world.wallet.address(world.now())).unwrap();
        let mut pay = Payment { to, amount: "max".to_owned(), memo: None, fee_per_kb: None, id: None };
        pay.amount = world.wallet.quote(&client, &pay).unwrap().amount.to_string();
        block_on(world.wallet.send(&client, &pay, [round; 16])).unwrap();
        drop(client);
        world.full.grow(node.taken.take());
        world.refresh().unwrap();
    }
    let words = world.wallet.words(PASSWORD).unwrap().join(" ");
    let rows = MemoryStore::default();
    let late = World { full: world.full.copy(), wallet: open(&world.full, &rows), rows };
    block_on(late.wallet.restore(new(world.full.height().0), &words, late.now())).unwrap();
    late.refresh().unwrap();
    assert!(world.wallet.addresses(world.now()).unwrap().len() > 132, "each was given out once");
    assert_eq!(late.total(), world.total());
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
