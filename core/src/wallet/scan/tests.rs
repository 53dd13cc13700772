use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::amount::GRAINS_PER_TIME;
use crate::block::{BLOCK_VERSION, Body, filter_key};
use crate::hash::{Hash, StateRoot};
use crate::keys::PublicKey;
use crate::lock::Lock;
use crate::spec::Rules;
use crate::state::registry::masternode_id;
use crate::transaction::{Class, TRANSACTION_VERSION, Tier, Transaction};
use crate::vote::ViewNumber;
use crate::wallet::account::Account;
use crate::wallet::build::{OperatorConsent, Registration, TransactionBuilder};
use crate::wallet::state::{Balance, Hold, WalletState, WalletStateError};
use crate::wallet::testing::{CHAIN, LIMITS, key, stranger, threshold};

const SEED: [u8; 64] = [3; 64];

/// A chain without rules: blocks of whatever transactions, each time 1,000 ms after the last.
#[derive(Default)]
struct Chain(Vec<(Block, Filter)>);

impl Chain {
    fn push(&mut self, transactions: Vec<SignedTransaction>) {
        let height = Height(self.0.len() as u64);
        let parent = self.0.last().map(|(block, _)| block.header.id()).unwrap_or_default();
        let outputs = |signed: &SignedTransaction| [&signed.spent[..], &signed.transaction.outputs].concat();
        let owners = transactions.iter().flat_map(outputs).map(|output| output.owner).collect();
        let filter = Filter::build(filter_key(&parent), &owners);
        let body = Body { transactions, ..Body::default() };
        let header = Header {
            version: BLOCK_VERSION,
            height,
            view: ViewNumber(0),
            time: Time(1000 * height.0),
            parent,
            transactions_root: body.transactions_root(),
            state_root: StateRoot::default(),
            supply: Amount::ZERO,
            filter_hash: filter.hash(),
            history_root: Hash::ZERO,
            validators_hash: Hash::ZERO,
            next_validators_hash: Hash::ZERO,
            evidence_root: Hash::ZERO,
            parent_certificate_hash: Hash::ZERO,
            proposer: PublicKey::default(),
        };
        self.0.push((Block { header, body }, filter));
    }

    fn block(&self, height: usize) -> &Block {
        &self.0[height].0
    }

    /// Brings the wallet to the tip; returns how many blocks were fetched.
    fn scan(&self, wallet: &mut WalletState) -> usize {
        let (mut scanner, mut fetched) = (wallet.scanner(), 0);
        while let Some((block, filter)) = self.0.get(scanner.next_height().0 as usize) {
            match scanner.on_filter(&block.header, filter).expect("a sound filter") {
                Need::Skip => wallet.advance(scanner.coverage()),
                Need::Block => {
                    fetched += 1;
                    let changes = scanner.on_block(block).expect("a sound block");
                    wallet.apply(&changes, &Rules::dev());
                    let owners = wallet.account_mut().extend(&SEED).expect("a sound seed");
                    if !owners.is_empty() {
                        scanner.watch(owners, changes.height);
                    }
                }
            }
        }
        fetched
    }
}

fn reward(height: u64, outputs: &[(Owner, u64)]) -> SignedTransaction {
    let outputs = outputs.iter().map(|(owner, grains)| Output { amount: Amount(*grains), owner: *owner });
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        inputs: Vec::new(),
        outputs: outputs.collect(),
        action: Action::Reward { height },
        expires_at: Time::NEVER,
        memo: Vec::new(),
    };
    SignedTransaction { transaction, spent: Vec::new(), witnesses: Vec::new() }
}

fn wallet() -> WalletState {
    WalletState::new(CHAIN, Account::new(0, &SEED).unwrap(), Height(0))
}

fn builder() -> TransactionBuilder {
    TransactionBuilder::new(CHAIN, LIMITS, Time(50_000))
}

/// Pays from the wallet; change goes to a fresh owner.
fn pay(wallet: &mut WalletState, to: Owner, grains: u64) -> SignedTransaction {
    let change = wallet.account().receive().unwrap();
    let coins = wallet.spendable(Time(0));
    let unsigned = builder().pay(to, Amount(grains)).memo("hi").fund(&coins, change).unwrap();
    wallet.reserve(&unsigned.transaction.inputs, unsigned.transaction.expires_at);
    let owners: Vec<_> = unsigned.locks.keys().copied().collect();
    let keys: Vec<_> =
        owners.iter().map(|owner| wallet.account().secret_key(&SEED, owner).unwrap()).collect();
    unsigned.sign(&keys).unwrap()
}

#[test]
fn payments_are_found_among_blocks_that_do_not_matter() {
    let (mut chain, mut wallet) = (Chain::default(), wallet());
    let own = wallet.account().receive().unwrap();
    chain.push(vec![reward(0, &[(own, 500_000), (stranger(1), 7)])]);
    (1..5).for_each(|height| chain.push(vec![reward(height, &[(stranger(2), 9)])]));
    assert_eq!(chain.scan(&mut wallet), 2, "the first block, and again for the keys that joined the gap");
    assert_eq!(wallet.coverage().next, Height(5));
    assert_eq!(wallet.balance(Time(0)).unwrap().spendable, Amount(500_000));

    let payment = pay(&mut wallet, stranger(4), 100_000);
    let promised = Balance { reserved: Amount(500_000), ..Balance::default() };
    assert_eq!(wallet.balance(Time(50_000)), Some(promised));
    assert_eq!(wallet.balance(Time(50_001)).unwrap().reserved, Amount::ZERO, "expired");
    let fee = Amount(500_000 - 100_000 - payment.transaction.outputs[1].amount.0);
    chain.push(vec![payment.clone()]);
    assert_eq!(chain.scan(&mut wallet), 2);
    assert_eq!(wallet.balance(Time(0)).unwrap().spendable, Amount(400_000 - fee.0));
    let entries: Vec<_> = wallet.history().collect();
    assert_eq!(entries.len(), 2);
    let expected = HistoryEntry {
        height: Height(5),
        position: 0,
        txid: payment.transaction.id(),
        time: Time(5000),
        kind: EntryKind::Transfer,
        received: Amount(400_000 - fee.0),
        spent: Amount(500_000),
        fee: Some(fee),
        paid: vec![Output { amount: Amount(100_000), owner: stranger(4) }],
        memo: "6869".into(),
    };
    assert_eq!(*entries[1], expected);
    assert_eq!((entries[0].kind, entries[0].fee), (EntryKind::Reward, None));
    assert_eq!(WalletState::from_json(&wallet.to_json(), CHAIN), Ok(wallet));
}

#[test]
fn the_words_alone_find_every_key_within_the_gap() {
    let ahead = {
        let mut account = Account::new(0, &SEED).unwrap();
        let mut owners = Vec::new();
        for _ in 0..60 {
            let owner = account.receive().unwrap();
            account.mark_used(&owner);
            account.extend(&SEED).unwrap();
            owners.push(owner);
        }
        owners
    };
    let (mut chain, mut wallet) = (Chain::default(), wallet());
    // The second key is known only once the first is seen, in the same block.
    chain.push(vec![reward(0, &[(ahead[19], 10_000)]), reward(1, &[(ahead[39], 20_000)])]);
    chain.push(vec![reward(2, &[(ahead[59], 40_000)])]);
    chain.scan(&mut wallet);
    assert_eq!(wallet.balance(Time(0)).unwrap().spendable, Amount(70_000));
    assert_eq!((wallet.history().count(), wallet.account().lacking()), (3, 0));
}

#[test]
fn collateral_is_held_until_it_is_free() {
    let (mut chain, mut wallet) = (Chain::default(), wallet());
    let own = wallet.account().receive().unwrap();
    chain.push(vec![reward(0, &[(own, 2000 * GRAINS_PER_TIME)])]);
    chain.scan(&mut wallet);
    let sign = |wallet: &WalletState, builder: TransactionBuilder| {
        let unsigned = builder.fund(&wallet.spendable(Time(0)), own).unwrap();
        unsigned.sign(&[wallet.account().secret_key(&SEED, &own).unwrap()]).unwrap()
    };
    let consent = OperatorConsent::sign(&CHAIN, &own, &key(9));
    let registration =
        Registration { tier: Tier::Bronze, class: Class::Server, owner: own, payout: own, consent };
    let registered = sign(&wallet, builder().register_masternode(&registration));
    let collateral = OutPoint { txid: registered.transaction.id(), index: 0 };
    let masternode = masternode_id(&collateral);
    chain.push(vec![registered]);
    chain.scan(&mut wallet);
    let hold = |wallet: &WalletState, now| {
        let held = wallet.coins(now).find(|(outpoint, ..)| **outpoint == collateral);
        held.expect("the coin is there").2
    };
    assert_eq!(hold(&wallet, Time::NEVER), Some(Hold::Collateral));
    assert_eq!(wallet.balance(Time(0)).unwrap().collateral, Tier::Bronze.collateral());

    let retired = sign(&wallet, builder().retire_masternode(masternode, wallet.lock(&own).unwrap()));
    chain.push(vec![retired]);
    chain.scan(&mut wallet);
    let free_at = Time(2000).plus(Rules::dev().unbonding_ms);
    assert_eq!(hold(&wallet, Time(0)), Some(Hold::Unbonding(free_at)));
    assert_eq!(hold(&wallet, free_at), None, "free in a block of that time");
    let kinds: Vec<_> = wallet.history().map(|entry| entry.kind).collect();
    let retire = EntryKind::RetireMasternode(masternode);
    assert_eq!(kinds, [EntryKind::Reward, EntryKind::RegisterMasternode, retire]);
    wallet.hold(collateral, Hold::Collateral);
    wallet.release(&collateral);
    assert_eq!(hold(&wallet, Time(0)), None);
}

#[test]
fn shared_locks_are_watched_from_where_they_begin() {
    let (mut chain, mut wallet) = (Chain::default(), wallet());
    let lock = threshold(2, &[1, 2, 3]);
    chain.push(vec![]);
    chain.push(vec![reward(1, &[(lock.owner(), 10_000)])]);
    chain.push(vec![]);
    assert_eq!(chain.scan(&mut wallet), 0);
    let owner = wallet.share(lock.clone()).unwrap();
    assert!(wallet.share(Lock::Threshold { required: 1, keys: Vec::new() }).is_err());
    let mut scanner = wallet.scanner();
    scanner.watch([owner], Height(1));
    assert_eq!(scanner.coverage(), Coverage { next: Height(1), ..Coverage::starting_at(Height(0)) });
    wallet.advance(scanner.coverage());
    assert_eq!(chain.scan(&mut wallet), 1);
    assert_eq!(wallet.spendable(Time(0))[0].lock, lock);
}

#[test]
fn what_does_not_belong_is_refused_and_nothing_is_lost() {
    let mut chain = Chain::default();
    let own = wallet().account().receive().unwrap();
    chain.push(vec![]);
    chain.push(vec![reward(1, &[(own, 5000)])]);
    chain.push(vec![]);
    let mut scanner = wallet().scanner();
    let filter = |at: usize| &chain.0[at].1;
    let height = |expected, found| ScanError::Height { expected: Height(expected), found: Height(found) };
    assert_eq!(scanner.on_block(chain.block(1)), Err(height(0, 1)));
    assert_eq!(scanner.on_filter(&chain.block(1).header, filter(1)), Err(height(0, 1)));
    assert_eq!(scanner.on_filter(&chain.block(0).header, filter(0)), Ok(Need::Skip));

    let header = &chain.block(1).header;
    let mismatch = ScanError::FilterMismatch { height: Height(1) };
    assert_eq!(scanner.on_filter(header, filter(0)), Err(mismatch));
    let orphan = Header { parent: BlockId::default(), ..header.clone() };
    assert_eq!(scanner.on_filter(&orphan, filter(1)), Err(ScanError::Parent { height: Height(1) }));
    let broken = Filter(vec![1]);
    let lying = Header { filter_hash: broken.hash(), ..header.clone() };
    assert_eq!(scanner.on_filter(&lying, &broken), Err(ScanError::Filter(FilterError::Truncated)));
    assert_eq!(scanner.on_filter(header, filter(1)), Ok(Need::Block));
    assert_eq!(scanner.next_height(), Height(1), "not done before the block is seen");

    let mut other = chain.block(1).clone();
    other.header.view = ViewNumber(1);
    assert_eq!(scanner.on_block(&other), Err(ScanError::OtherBlock { height: Height(1) }));
    let mut robbed = chain.block(1).clone();
    robbed.body.transactions.clear();
    assert_eq!(scanner.on_block(&robbed), Err(ScanError::BodyMismatch { height: Height(1) }));
    assert_eq!(scanner.on_block(chain.block(1)).unwrap().received.len(), 1);
    assert_eq!(scanner.coverage().tip, Some(chain.block(1).header.id()));

    let mut rich = Chain::default();
    rich.push(vec![reward(0, &[(own, 1 << 62), (own, 1 << 62)])]);
    let overflow = wallet().scanner().on_block(rich.block(0));
    assert_eq!(overflow, Err(ScanError::Overflow { height: Height(0) }));
}

#[test]
fn bad_wallet_files_are_refused() {
    let text = wallet().to_json();
    let other = crate::hash::ChainId::default();
    let wrong = WalletStateError::WrongChain { expected: other, found: CHAIN };
    assert_eq!(WalletState::from_json(&text, other), Err(wrong));
    let newer = text.replace("\"version\": 1", "\"version\": 2");
    assert_eq!(WalletState::from_json(&newer, CHAIN), Err(WalletStateError::UnsupportedVersion { found: 2 }));
    for bad in ["", "{}", &text.replace("coins", "cions"), &text[..text.len() - 3]] {
        assert!(matches!(WalletState::from_json(bad, CHAIN), Err(WalletStateError::Malformed(_))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Random payments in and out: the coins are those of a full replay, and scanning twice changes nothing.
    #[test]
    fn a_scan_by_filters_finds_what_a_full_replay_finds(
        blocks in vec(vec((0..8u8, 20_000..1_000_000u64), 0..4), 1..30),
    ) {
        let (mut chain, mut wallet) = (Chain::default(), wallet());
        let mut model: BTreeMap<OutPoint, Output> = BTreeMap::new();
        for (height, plan) in (0..).zip(&blocks) {
            let mut transactions = Vec::new();
            for (at, (choice, grains)) in (0..).zip(plan) {
                let funds = wallet.balance(Time(0)).unwrap_or_default().spendable;
                let signed = if *choice < 3 && funds.0 > grains + 5000 {
                    pay(&mut wallet, stranger(*choice), *grains)
                } else {
                    let own = wallet.account().receive().unwrap();
                    let to = if *choice < 5 { own } else { stranger(*choice) };
                    reward(height * 10 + at, &[(to, *grains), (stranger(9), 5)])
                };
                model.retain(|outpoint, _| !signed.transaction.inputs.contains(outpoint));
                let txid = signed.transaction.id();
                let made = (0..).zip(&signed.transaction.outputs);
                let own = wallet.owners();
                let made = made.filter(|(_, output)| own.contains(&output.owner));
                model.extend(made.map(|(index, output)| (OutPoint { txid, index }, *output)));
                transactions.push(signed);
            }
            chain.push(transactions);
            chain.scan(&mut wallet);
            let coins: BTreeMap<_, _> = wallet.coins(Time(0)).map(|(at, coin, _)| (*at, *coin)).collect();
            prop_assert_eq!(&coins, &model);
        }
        let mut again = self::wallet();
        chain.scan(&mut again);
        let coins = |wallet: &WalletState| {
            wallet.coins(Time::NEVER).map(|(at, coin, _)| (*at, *coin)).collect::<Vec<_>>()
        };
        prop_assert_eq!(coins(&again), coins(&wallet));
        prop_assert!(again.history().eq(wallet.history()));
        let mut scanner = again.scanner();
        scanner.watch([], Height(0));
        again.advance(scanner.coverage());
        let before = again.clone();
        chain.scan(&mut again);
        prop_assert_eq!(coins(&again), coins(&before));
        prop_assert!(again.history().eq(before.history()));
    }
}
