//! A wallet against honest peers and such as leave out or change what concerns it.

use std::convert::Infallible;

use futures::executor::block_on;

use super::*;
use crate::answer::{Question, Reply};
use crate::driver::light::Lie;
use crate::light::AgePolicy;
use crate::store::MemoryStore;
use crate::testing::ledger::ledger_spec;
use crate::testing::light::{FullNode, Habit, Peers, honest};
use crate::wallet::account::Account;

const SEED: [u8; 64] = [3; 64];

/// Makes keys as they are needed, and remembers how far each step went.
#[derive(Default)]
struct Ring(Vec<(Height, Height)>);

impl Keys for Ring {
    type Error = Infallible;

    fn extend(&mut self, state: &mut WalletState) -> Result<bool, Infallible> {
        let lacking = state.account().lacking();
        let made = state.account_mut().extend_by(&SEED, lacking).unwrap();
        Ok(!made.is_empty())
    }

    async fn scanned(&mut self, state: &RefCell<WalletState>, target: Height) -> Result<(), Infallible> {
        self.0.push((state.borrow().coverage().next, target));
        Ok(())
    }
}

fn wallet(full: &FullNode) -> RefCell<WalletState> {
    let mut account = Account::new(0, &SEED).unwrap();
    account.extend(&SEED).unwrap();
    RefCell::new(WalletState::new(full.ledger.chain, account, Height(0)))
}

/// A chain of 150 blocks that pays every fifth key of the wallet, far beyond the gap of unused ones.
fn paid() -> (FullNode, u64) {
    let mut full = FullNode::new(ledger_spec(1, 1));
    let mut account = Account::new(0, &SEED).unwrap();
    account.extend_by(&SEED, 150).unwrap();
    let mut payments = 0;
    for at in 0..150 {
        let to = account.receive().unwrap();
        account.mark_used(&to);
        let paid = at % 5 == 0;
        payments += u64::from(paid);
        full.grow(paid.then(|| full.payment_to(to)).into_iter().collect());
    }
    (full, payments)
}

fn run(peers: &Peers, state: &RefCell<WalletState>) -> (Result<ProvedBalance, String>, Ring) {
    let opened = LightClient::open(peers.chain(), AgePolicy::AnyAge, None, peers, MemoryStore::default());
    let client = block_on(opened).unwrap();
    let last = client.source().peers().pop().unwrap();
    block_on(client.follow(&last, Height(150))).unwrap();
    let mut keys = Ring::default();
    let balance = block_on(balance(&client, state, &mut keys)).map_err(|error| error.to_string());
    (balance, keys)
}

#[test]
fn a_wallet_finds_all_its_coins_and_proves_their_sum() {
    let (full, payments) = paid();
    let state = wallet(&full);
    let peers = Peers::new(vec![(full, honest)]);
    let (balance, keys) = run(&peers, &state);
    let balance = balance.unwrap();
    assert_eq!((balance.total, balance.coins), (Amount(5_000_000 * payments), payments));
    assert_eq!(balance.verified.height, Height(150));
    assert_eq!(state.borrow().history().count() as u64, payments);
    assert!(keys.0.len() > 2 && keys.0.last() == Some(&(Height(151), Height(150))), "{:?}", keys.0);
    let (again, keys) = run(&peers, &state);
    assert_eq!(again.unwrap().total, balance.total);
    assert_eq!(keys.0, [], "nothing is looked at twice");
}

/// A wallet that is looked at from `start` on, with the keys that a restore makes.
fn restored(full: &FullNode, start: u64) -> RefCell<WalletState> {
    let account = Account::new(0, &SEED).unwrap();
    RefCell::new(WalletState::older(full.ledger.chain, account, Height(start)))
}

#[test]
fn a_wallet_has_all_its_coins_whatever_block_it_starts_at() {
    let (full, payments) = paid();
    for start in [0, 1, 60, 149, 150, 151] {
        let state = restored(&full, start);
        let peers = Peers::new(vec![(full.copy(), honest)]);
        let (balance, _) = run(&peers, &state);
        let balance = balance.unwrap_or_else(|error| panic!("from {start}: {error}"));
        assert_eq!((balance.total, balance.coins), (Amount(5_000_000 * payments), payments), "from {start}");
        let in_blocks = (start.max(1)..=150).filter(|height| height % 5 == 1).count();
        assert_eq!(state.borrow().history().count(), in_blocks, "from {start}");
        assert_eq!(state.borrow().coverage().start, Height(start), "from {start}");
        let kept = state.borrow().to_json();
        assert_eq!(
            WalletState::from_json(&kept, full.ledger.chain).unwrap(),
            *state.borrow(),
            "from {start}"
        );
        let asked = peers.asked();
        assert_eq!(run(&peers, &state).0.unwrap().coins, payments, "from {start}");
        let again = peers.asked() - asked;
        assert!(again < 8, "from {start}: {again} questions, though older coins are known");
    }
}

#[test]
fn an_older_coin_of_a_key_that_scanning_brings_up_is_found() {
    let (mut full, payments) = paid();
    let mut account = Account::new(0, &SEED).unwrap();
    account.extend_by(&SEED, 400).unwrap();
    let owner = |at| account.owners().find(|owner| account.position(owner) == Some(at)).unwrap();
    // The last key that holds a coin is 145: 160 is watched, 175 only once 160 was paid.
    let (far, near) = (owner(175), owner(160));
    let state = restored(&full, 155);
    for to in [Some(far), None, None, None, None, Some(near)] {
        full.grow(to.map(|to| full.payment_to(to)).into_iter().collect());
    }
    let peers = Peers::new(vec![(full.copy(), honest)]);
    let opened = LightClient::open(peers.chain(), AgePolicy::AnyAge, None, &peers, MemoryStore::default());
    let client = block_on(opened).unwrap();
    block_on(client.follow(&0, full.height())).unwrap();
    let balance = block_on(balance(&client, &state, &mut Ring::default())).unwrap();
    assert_eq!(balance.coins, payments + 2);
}

fn hides_a_filter(_: &Question, reply: Reply) -> Option<Reply> {
    Some(match reply {
        Reply::Filters(mut list) => {
            let empty = list.first().map(|(_, filter)| filter.clone());
            if let (Some((_, last)), Some(empty)) = (list.last_mut(), empty) {
                *last = empty;
            }
            Reply::Filters(list)
        }
        reply => reply,
    })
}

fn leaves_a_block_out(_: &Question, reply: Reply) -> Option<Reply> {
    Some(match reply {
        Reply::Filters(mut list) if list.len() > 2 => {
            list.remove(list.len() / 2);
            Reply::Filters(list)
        }
        reply => reply,
    })
}

fn hides_payments(_: &Question, reply: Reply) -> Option<Reply> {
    Some(match reply {
        Reply::Block(mut block) => {
            block.body.transactions.clear();
            Reply::Block(block)
        }
        reply => reply,
    })
}

#[test]
fn what_a_peer_hides_is_found_with_the_next() {
    let (full, payments) = paid();
    let table: [(&str, Habit); 3] = [
        ("an empty filter", hides_a_filter),
        ("a block left out", leaves_a_block_out),
        ("a block without payments", hides_payments),
    ];
    for (name, habit) in table {
        let peers = Peers::new(vec![(full.clone(), habit), (full.clone(), honest)]);
        let state = wallet(&full);
        let balance = run(&peers, &state).0.unwrap();
        assert_eq!(balance.coins, payments, "{name}");
        let lies = peers.lies();
        assert!(!lies.is_empty() && lies.iter().all(|lie| *lie == (0, Lie::WrongProof)), "{name}: {lies:?}");
        let alone = Peers::new(vec![(full.clone(), habit)]);
        let state = wallet(&full);
        let refused = run(&alone, &state).0.unwrap_err();
        assert!(refused.contains("1 gave false ones"), "{name}: {refused}");
    }
}

#[test]
fn a_wallet_of_another_history_is_told_to_scan_again() {
    let (full, _) = paid();
    let state = wallet(&full);
    let peers = Peers::new(vec![(full.clone(), honest)]);
    run(&peers, &state).0.unwrap();
    let mut other = full.copy();
    other.grow(Vec::new());
    let mut coverage = state.borrow().coverage();
    coverage.tip = Some(Default::default());
    state.borrow_mut().advance(coverage);
    let peers = Peers::new(vec![(other, honest)]);
    let opened = LightClient::open(peers.chain(), AgePolicy::AnyAge, None, &peers, MemoryStore::default());
    let client = block_on(opened).unwrap();
    block_on(client.follow(&0, Height(151))).unwrap();
    let refused = block_on(scan(&client, &state, &mut Ring::default())).unwrap_err();
    assert_eq!(refused, SyncError::Scan(ScanError::Parent { height: Height(151) }));
}
