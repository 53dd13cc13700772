//! Peers that lie, each in its own way, before one that does not.

use futures::executor::block_on;

use super::*;
use crate::amount::Amount;
use crate::answer::{Located, TransactionPhase};
use crate::hash::{Hash, TxId};
use crate::store::{MemoryStore, Range};
use crate::testing::chain::{certify, commit_data, key, validator_set};
use crate::testing::ledger::{ledger_spec, owner};
use crate::testing::light::{FullNode, Habit, Peers, honest};

type Client<'a> = LightClient<&'a Peers, MemoryStore>;

fn open<'a>(peers: &'a Peers, store: &MemoryStore) -> Client<'a> {
    open_at(peers, store, None)
}

fn open_at<'a>(peers: &'a Peers, store: &MemoryStore, remembered: Option<Trusted>) -> Client<'a> {
    let opened = LightClient::open(peers.chain(), AgePolicy::TrustPeriod, remembered, peers, store.clone());
    block_on(opened).unwrap()
}

/// A chain of some blocks with a payment to key 2,000, and its id.
fn chain_with_payment() -> (FullNode, TxId) {
    let mut full = FullNode::new(ledger_spec(4, 4));
    full.grow(Vec::new());
    let payment = full.payment(2_000);
    let txid = payment.transaction.id();
    full.grow(vec![payment]);
    for _ in 0..4 {
        full.grow(Vec::new());
    }
    (full, txid)
}

/// Two chains of one past, each with a certified block of its own after it.
fn two_chains() -> (FullNode, FullNode) {
    let (mut one, _) = chain_with_payment();
    let mut other = one.copy();
    one.grow(Vec::new());
    let payment = other.payment(4_000);
    other.grow(vec![payment]);
    (one, other)
}

#[test]
fn everything_is_answered_and_proved() {
    let (full, txid) = chain_with_payment();
    let peers = Peers::new(vec![(full.clone(), honest)]);
    let client = open(&peers, &MemoryStore::default());
    assert!(block_on(client.follow(&0, full.height())).unwrap());
    assert!(!block_on(client.follow(&0, Height(2))).unwrap(), "known already");
    let head = client.head().unwrap();
    assert_eq!(head.header, full.ledger.state.header);
    assert_eq!(head.proof.signed, Some(Signed { weight: 4_000_000, total: 4_000_000 }));
    assert_eq!(head.proof.trusted_from.height, Height(0));

    let owners: Vec<_> = (1_990..2_090).map(owner).collect();
    let balances = block_on(client.balances(&owners)).unwrap();
    assert_eq!(balances.header, head.header);
    let expected = |at: usize| if at == 10 { (Amount(5_000_000), 1) } else { (Amount::ZERO, 0) };
    assert!(balances.value.iter().enumerate().all(|(at, balance)| *balance == expected(at)));
    let coins = block_on(client.coins(&owner(2_000))).unwrap().value;
    assert_eq!(coins.len(), 1);
    assert_eq!(block_on(client.coins(&owner(1))).unwrap().value, []);
    let coin = block_on(client.coin(&owner(2_000), &coins[0].0)).unwrap().unwrap();
    assert_eq!(coin.value, coins[0].1);
    assert_eq!(block_on(client.masternodes()).unwrap().value, *full.ledger.state.registry);

    let found = block_on(client.wait_final(&txid)).unwrap();
    assert_eq!(found.header.height, Height(2));
    assert_eq!(block_on(client.transaction(&TxId(Hash([7; 32])))), Ok(None));
    let block = block_on(client.block(Height(2))).unwrap();
    assert_eq!(block.header, found.header);
    assert_eq!(block_on(client.height_of(&block.header.id())), Ok(Height(2)));
    assert_eq!(block_on(client.certified(Height(2))).unwrap().header, block.header);
    let future = ClientError::Future { height: Height(99), head: full.height() };
    assert_eq!(block_on(client.block(Height(99))).unwrap_err(), future);
    assert_eq!(block_on(client.filters(Height(1))).unwrap().len(), 6);
    assert_eq!(block_on(client.submit(&full.payment(3_000))), Ok(full.payment(3_000).transaction.id()));
    assert_eq!(peers.lies(), []);

    let receipt = block_on(client.receipt(&txid)).unwrap().value;
    let anchors = crate::light::trusted_points(&client.chain().spec).unwrap();
    let proved = receipt.verify(&anchors, client.options(), peers.now()).unwrap();
    assert_eq!((proved.txid, proved.height, proved.final_height), (txid, Height(2), full.height()));
}

fn bad_balance(_: &Question, reply: Reply) -> Option<Reply> {
    Some(match reply {
        Reply::Balances(mut answer) => {
            answer.proofs.iter_mut().for_each(|proof| proof.owner = owner(9));
            Reply::Balances(answer)
        }
        reply => reply,
    })
}

fn withheld_coin(_: &Question, reply: Reply) -> Option<Reply> {
    Some(match reply {
        Reply::Coins(mut answer) => {
            answer.proof.coins.pop();
            Reply::Coins(answer)
        }
        reply => reply,
    })
}

fn made_up_header(_: &Question, reply: Reply) -> Option<Reply> {
    Some(match reply {
        Reply::Coins(mut answer) => {
            answer.opening.header.time = Time(answer.opening.header.time.0 + 1);
            Reply::Coins(answer)
        }
        reply => reply,
    })
}

fn another_answer(question: &Question, reply: Reply) -> Option<Reply> {
    Some(match question {
        Question::Coins(_) => Reply::Height(Height(7)),
        _ => reply,
    })
}

fn silence(_: &Question, _: Reply) -> Option<Reply> {
    None
}

fn knows_nothing(_: &Question, _: Reply) -> Option<Reply> {
    Some(Reply::Nothing(crate::answer::Nothing::Unknown))
}

fn forged_signature(_: &Question, reply: Reply) -> Option<Reply> {
    Some(match reply {
        Reply::LightBlock(mut block) => {
            block.certificate.signatures[0].0[3] ^= 1;
            Reply::LightBlock(block)
        }
        reply => reply,
    })
}

/// A header of its own, certified by validators of its own.
fn made_up_validators(_: &Question, reply: Reply) -> Option<Reply> {
    Some(match reply {
        Reply::LightBlock(mut block) => {
            let keys: Vec<_> = (500..504).map(key).collect();
            let members: Vec<_> = keys.iter().map(|key| (key.public_key(), 10)).collect();
            let set = validator_set(&members);
            block.header.validators_hash = set.hash();
            block.header.next_validators_hash = set.hash();
            let chain = ledger_spec(4, 4).id();
            block.certificate = certify(commit_data(&block.header), &set, &keys, &chain);
            (block.validators, block.next_validators) = (Some(set), None);
            Reply::LightBlock(block)
        }
        reply => reply,
    })
}

#[test]
fn a_lying_peer_is_reported_and_the_next_one_asked() {
    let (full, txid) = chain_with_payment();
    let table: [(&str, Habit, &[Lie]); 6] = [
        ("a balance of somebody else", bad_balance, &[Lie::WrongProof]),
        ("a coin left out", withheld_coin, &[Lie::WrongProof]),
        ("a header of its own", made_up_header, &[Lie::WrongHead]),
        ("another answer", another_answer, &[Lie::WrongAnswer]),
        ("no answer", silence, &[]),
        ("nothing known", knows_nothing, &[]),
    ];
    for (name, habit, lies) in table {
        let peers = Peers::new(vec![(full.clone(), habit), (full.clone(), honest)]);
        let client = open(&peers, &MemoryStore::default());
        assert!(block_on(client.follow(&1, full.height())).unwrap(), "{name}");
        let balances = block_on(client.balances(&[owner(2_000)])).unwrap().value;
        assert_eq!(balances, [(Amount(5_000_000), 1)], "{name}");
        assert_eq!(block_on(client.coins(&owner(2_000))).unwrap().value.len(), 1, "{name}");
        let found = block_on(client.transaction(&txid)).unwrap().unwrap();
        assert!(matches!(found.value, Found::Final { .. }), "{name}");
        assert_eq!(block_on(client.filters(Height(0))).unwrap().len(), 7, "{name}");
        let expected: Vec<_> = lies.iter().map(|lie| (0, *lie)).collect();
        assert_eq!(peers.lies(), expected, "{name}");
        let shown = peers.reports().iter().all(|report| !report.proof.is_empty());
        assert!(shown, "{name}");
        if name != "no answer" && name != "nothing known" {
            let alone = Peers::new(vec![(full.clone(), habit)]);
            let client = open(&alone, &MemoryStore::default());
            block_on(client.follow(&0, full.height())).unwrap();
            let balance = block_on(client.balances(&[owner(2_000)]));
            let coins = block_on(client.coins(&owner(2_000)));
            let unproved = ClientError::Unproved { asked: 1, lied: 1 };
            assert!(
                balance == Err(unproved.clone()) || coins == Err(unproved),
                "{name}: never a wrong answer"
            );
        }
    }
}

#[test]
fn a_head_is_believed_only_with_its_certificate() {
    let (full, _) = chain_with_payment();
    let table: [(&str, Habit, Height, &[Lie]); 4] = [
        ("a bad signature", forged_signature, full.height(), &[Lie::ForgedCertificate]),
        ("validators of its own", made_up_validators, full.height(), &[Lie::ForgedCertificate]),
        ("a height it does not have", honest, Height(1_000), &[Lie::Withheld]),
        ("silence", silence, full.height(), &[]),
    ];
    for (name, habit, height, lies) in table {
        let peers = Peers::new(vec![(full.clone(), habit), (full.clone(), honest)]);
        let client = open(&peers, &MemoryStore::default());
        assert_eq!(block_on(client.follow(&0, height)), Ok(false), "{name}");
        assert_eq!(client.height(), Height(0), "{name}");
        assert_eq!(peers.lies(), lies.iter().map(|lie| (0, *lie)).collect::<Vec<_>>(), "{name}");
        assert_eq!(block_on(client.follow(&1, full.height())), Ok(true), "{name}");
    }
}

#[test]
fn old_answers_are_stale_and_answers_just_behind_are_not() {
    let (old, _) = chain_with_payment();
    let mut full = old.copy();
    for _ in 0..8 {
        full.grow(Vec::new());
    }
    let mut newer = full.copy();
    newer.grow(Vec::new());
    let peers = Peers::new(vec![(old, honest), (full.clone(), honest), (newer.clone(), honest)]);
    let client = open(&peers, &MemoryStore::default());
    block_on(client.follow(&1, full.height())).unwrap();
    let answer = block_on(client.balances(&[owner(2_000)])).unwrap();
    assert_eq!(answer.header.height, Height(6), "8 blocks behind: proved by the history");
    assert_eq!(peers.lies(), []);
    block_on(client.follow(&2, newer.height())).unwrap();
    let answer = block_on(client.balances(&[owner(2_000)])).unwrap();
    assert_eq!(answer.header.height, full.height());
    assert_eq!(peers.lies(), [(0, Lie::StaleHead)]);
    assert!(!Lie::StaleHead.is_proved(), "may be the fault of its network");
}

#[test]
fn a_warm_start_goes_on_from_the_store() {
    let (mut full, txid) = chain_with_payment();
    let store = MemoryStore::default();
    let peers = Peers::new(vec![(full.clone(), honest)]);
    let client = open(&peers, &store);
    block_on(client.follow(&0, full.height())).unwrap();
    let trusted = client.trusted();
    drop(client);
    let dead = Peers::new(vec![(full.clone(), silence)]);
    let client = open(&dead, &store);
    assert_eq!(client.trusted(), trusted, "without asking anybody");
    assert_eq!(dead.asked(), 0);
    full.grow(Vec::new());
    let peers = Peers::new(vec![(full.clone(), honest)]);
    let client = open(&peers, &store);
    block_on(client.follow(&0, full.height())).unwrap();
    assert_eq!(client.head().unwrap().proof.certificates_checked, 1);
    let receipt = block_on(client.receipt(&txid)).unwrap().value;
    assert_eq!(receipt.anchor.height, Height(0), "the way from the anchor is stored, too");
    let rows = |table| block_on(store.scan(table, &Range::default(), 100)).unwrap().len();
    assert_eq!((rows(Table::Header), rows(Table::Validators)), (1, 1), "no more than the way needs");
    let spec = ledger_spec(5, 4);
    let spec = crate::spec::ChainSpec { consensus: spec, bootstrap: Vec::new(), checkpoints: Vec::new() };
    let other = Arc::new(Chain::new(spec));
    let refused = block_on(LightClient::open(other, AgePolicy::AnyAge, None, &peers, store)).err();
    assert!(matches!(refused, Some(ClientError::OtherChain { .. })));
}

#[test]
fn a_full_disk_stops_nothing_and_the_next_write_is_a_whole_one() {
    let (mut full, txid) = chain_with_payment();
    let store = MemoryStore::default();
    let head = {
        let peers = Peers::new(vec![(full.clone(), honest)]);
        let client = open(&peers, &store);
        store.fail_commits();
        assert!(block_on(client.follow(&0, full.height())).unwrap());
        assert!(client.unstored().is_some(), "and it says so");
        assert!(block_on(client.transaction(&txid)).unwrap().is_some());
        // Room again: a crash ends what makes commits fail, and loses what was not synced.
        store.crash(usize::MAX);
        full.grow(Vec::new());
        let peers = Peers::new(vec![(full.clone(), honest)]);
        let client = LightClient { source: &peers, ..client };
        assert!(block_on(client.follow(&0, full.height())).unwrap());
        assert!(client.unstored().is_none());
        client.trusted().id
    };
    let peers = Peers::new(vec![(full, honest)]);
    assert_eq!(open(&peers, &store).trusted().id, head, "nothing is missing from the store");
}

#[test]
fn two_certified_blocks_at_one_height_stop_the_client() {
    let (one, other) = two_chains();
    let peers = Peers::new(vec![(one.clone(), honest), (other, honest)]);
    let client = open(&peers, &MemoryStore::default());
    block_on(client.follow(&0, one.height())).unwrap();
    let question = Question::Coins(owner(1));
    let check = async |peer: &usize, reply: &Reply| {
        let Reply::Coins(answer) = reply else { return Err(Fault::other_answer()) };
        client.certify(peer, &answer.opening.header).await
    };
    assert!(matches!(
        block_on(client.ask_one(&1, &question, &check)),
        Err(Fault::Own(ClientError::Fork(Height(7))))
    ));
    assert!(matches!(peers.lies()[..], [(1, Lie::Fork(_))]));
    assert_eq!(block_on(client.balances(&[owner(1)])), Err(ClientError::Fork(Height(7))));
}

fn always_pending(_: &Question, reply: Reply) -> Option<Reply> {
    Some(match reply {
        Reply::Transaction(located) => match *located {
            Located::Final { signed, .. } => {
                Reply::Transaction(Box::new(Located::Pending(signed, TransactionPhase::Commit)))
            }
            pending => Reply::Transaction(Box::new(pending)),
        },
        reply => reply,
    })
}

#[test]
fn a_peer_that_never_calls_a_payment_final_does_not_keep_it_from_us() {
    let (full, txid) = chain_with_payment();
    for (name, peers, is_final) in [
        ("with an honest one", vec![(full.clone(), always_pending as Habit), (full.clone(), honest)], true),
        ("alone", vec![(full.clone(), always_pending as Habit)], false),
    ] {
        let peers = Peers::new(peers);
        let client = open(&peers, &MemoryStore::default());
        block_on(client.follow(&0, full.height())).unwrap();
        let found = block_on(client.transaction(&txid)).unwrap().unwrap().value;
        assert_eq!(matches!(found, Found::Final { .. }), is_final, "{name}");
        assert_eq!(matches!(found, Found::Pending(_, TransactionPhase::Commit)), !is_final, "{name}");
    }
}

#[test]
fn a_remembered_block_needs_no_newer_one_to_prove_its_history() {
    let (full, txid) = chain_with_payment();
    let peers = Peers::new(vec![(full.clone(), honest)]);
    let client = open(&peers, &MemoryStore::default());
    block_on(client.follow(&0, full.height())).unwrap();
    let remembered = Some(client.trusted());
    let client = open_at(&peers, &MemoryStore::default(), remembered);
    assert_eq!(client.head(), None, "only its id is known");
    assert_eq!(block_on(client.filters(Height(0))).unwrap().len(), 7);
    assert_eq!(block_on(client.verified_head()).unwrap().header, full.ledger.state.header);
    let found = block_on(client.transaction(&txid)).unwrap().unwrap();
    assert!(matches!(found.value, Found::Final { .. }));
    let receipt = block_on(client.receipt(&txid)).unwrap().value;
    assert!(receipt.commit.is_none(), "under the anchor itself");
}

/// A peer shows a block that another set of facts certified as well: no proof is missing, and it is not the chain's.
#[test]
fn a_certified_block_that_is_not_ours_is_not_taken_for_it() {
    let (one, other) = two_chains();
    let peers = Peers::new(vec![(other, honest), (one.clone(), honest)]);
    let client = open(&peers, &MemoryStore::default());
    block_on(client.follow(&1, one.height())).unwrap();
    assert_eq!(block_on(client.certified(one.height())).unwrap().header, one.ledger.state.header);
    assert!(matches!(peers.lies()[..], [(0, _)]));
    // Of a checkpoint only the id is known.
    let remembered = Some(client.trusted());
    let client = open_at(&peers, &MemoryStore::default(), remembered);
    assert_eq!(block_on(client.verified_head()).unwrap().header, one.ledger.state.header);
}

/// The block before the one asked for, with its own proof.
fn another_place(question: &Question, reply: Reply) -> Option<Reply> {
    let Question::History { height, at } = *question else { return Some(reply) };
    let (full, _) = chain_with_payment();
    Some(full.reply(&Question::History { height: Height(height.0 - 1), at }))
}

#[test]
fn a_past_block_is_proved_at_its_own_place() {
    let (full, _) = chain_with_payment();
    let peers = Peers::new(vec![(full.clone(), another_place), (full.clone(), honest)]);
    let client = open(&peers, &MemoryStore::default());
    block_on(client.follow(&1, full.height())).unwrap();
    assert_eq!(block_on(client.header(Height(3))).unwrap().height, Height(3));
    assert_eq!(peers.lies(), [(0, Lie::WrongProof)]);
}
