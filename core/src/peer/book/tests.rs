use super::*;
use crate::keys::Signature;

const OPEN: AddressPolicy = AddressPolicy { allow_private: false, allow_insecure: true };

fn key(group: u8, at: u32) -> PublicKey {
    let mut key = [group; 32];
    key[..4].copy_from_slice(&at.to_be_bytes());
    PublicKey(key)
}

fn verified(key: PublicKey, url: &str, time: u64) -> VerifiedRecord {
    let signature = Signature([0; 64]);
    VerifiedRecord(PeerRecord { key, url: url.to_owned(), time: Time(time), signature })
}

fn node(group: u8, at: u32) -> VerifiedRecord {
    verified(key(group, at), &format!("ws://node{at}.group{group}-{at}.example"), u64::from(at))
}

fn entropy(at: u32) -> [u8; 32] {
    key(0, at).0
}

fn book() -> Book {
    Book::new(key(0, 0), OPEN, &[])
}

fn dial_of(record: &VerifiedRecord) -> Dial {
    Dial { url: record.0.url.clone(), key: Some(record.0.key) }
}

/// How many of 2,000 choices fall on keys of `group`.
fn share_of(book: &Book, group: u8) -> usize {
    let choices = (0..2_000).filter_map(|at| book.choose(Time(1 << 40), &entropy(at), |_| false));
    choices.filter(|choice| matches!(choice, Choice::Node(key) if key.0[31] == group)).count()
}

#[test]
fn ten_thousand_addresses_move_the_choice_by_a_bounded_amount() {
    let mut book = book();
    let mut batch = Batch::default();
    for source in 1..=4 {
        for at in 0..10 {
            book.insert(node(1, source * 100 + at), Source::Outbound(key(2, source)), &mut batch);
        }
    }
    assert_eq!(share_of(&book, 1), 2_000);
    for at in 0..10_000 {
        book.insert(node(9, at), Source::Outbound(key(9, 1_000_000)), &mut batch);
        book.insert(node(9, at + 100_000), Source::Inbound, &mut batch);
    }
    assert!(book.len() <= 40 + 2 * BUCKET_MAX, "{} nodes kept", book.len());
    let heard_only = share_of(&book, 9);
    assert!(heard_only < 2_000 * 2 / 6 + 100, "two sources of six: {heard_only} of 2000");
    book.on_connected(&dial_of(&node(1, 101)), key(1, 101), Time(5), &mut batch);
    book.nodes.values_mut().for_each(|node| node.is_anchor = false);
    let with_proved = share_of(&book, 9);
    assert!(with_proved < heard_only / 2, "most choices go to what worked: {with_proved} of 2000");
}

#[test]
fn many_keys_at_one_place_weigh_as_one() {
    let mut book = book();
    let mut batch = Batch::default();
    let source = Source::Outbound(key(2, 0));
    for at in 0..40 {
        book.insert(verified(key(9, at), &format!("ws://8.8.1.{at}"), 1), source, &mut batch);
    }
    for at in 0..3 {
        book.insert(node(1, at), source, &mut batch);
    }
    assert!(share_of(&book, 9) < 600, "one neighbourhood of four");
}

#[test]
fn an_attacker_cannot_hide_honest_nodes_by_naming_them_first() {
    let mut book = book();
    let mut batch = Batch::default();
    let (attacker, honest) = (Source::Outbound(key(9, 0)), Source::Outbound(key(2, 0)));
    for at in 0..10 {
        book.insert(node(1, at), attacker, &mut batch);
        book.insert(node(1, at), honest, &mut batch);
    }
    for at in 0..10_000 {
        book.insert(node(9, at + 100), attacker, &mut batch);
    }
    assert!((0..10).all(|at| book.nodes.contains_key(&key(1, at))), "the honest source still holds them");
}

#[test]
fn failures_back_off_and_success_resets() {
    let mut book = book();
    let record = node(1, 1);
    book.insert(record.clone(), Source::Inbound, &mut Batch::default());
    let mut now = Time(0);
    let mut waits = Vec::new();
    for _ in 0..12 {
        let dial = book.dial(now, &entropy(0), |_| false).unwrap();
        assert_eq!(book.dial(now, &entropy(1), |_| false), None, "one dial at a time");
        book.on_failure(&dial, now, &mut Batch::default());
        let next = book.next_dial(|_| false);
        waits.push(next.since(now));
        now = next;
    }
    assert_eq!(waits[..4], [2_000, 4_000, 8_000, 16_000]);
    assert_eq!(waits[11], BACKOFF_MAX_MS);
    let dial = book.dial(now, &entropy(0), |_| false).unwrap();
    book.on_connected(&dial, record.0.key, now, &mut Batch::default());
    assert_eq!(book.next_dial(|_| true), Time::NEVER, "connected");
    assert_eq!(book.next_dial(|_| false), now.plus(BACKOFF_MS), "if the session ends");
    assert_eq!(book.nodes[&record.0.key].patience.failures, 0);
}

#[test]
fn somebody_else_at_the_url_is_a_failure() {
    let mut book = book();
    let record = node(1, 1);
    book.insert(record.clone(), Source::Inbound, &mut Batch::default());
    book.on_connected(&dial_of(&record), key(9, 9), Time(5), &mut Batch::default());
    assert_eq!(book.nodes[&record.0.key].patience.failures, 1);
    assert_eq!(book.nodes[&record.0.key].proved, None);
}

#[test]
fn anchors_survive_a_restart_and_losing_the_network() {
    let mut rows = BTreeMap::new();
    let mut book = book();
    let mut batch = Batch::default();
    for at in 0..20 {
        book.insert(node(1, at), Source::Inbound, &mut batch);
    }
    for at in 0..8 {
        book.on_connected(&dial_of(&node(1, at)), key(1, at), Time(9), &mut batch);
    }
    for at in 0..20 {
        (0..50).for_each(|_| book.on_failure(&dial_of(&node(1, at)), Time(9), &mut batch));
    }
    for (table, key, value) in batch.iter() {
        assert_eq!(table, Table::Peer);
        rows.insert(key.clone(), value.unwrap().clone());
    }
    rows.insert(vec![1; 32], Value::from(*b"damaged"));
    let mut restored = Book::new(key(0, 0), OPEN, &["ws://boot.example".to_owned()]);
    let mut batch = Batch::default();
    restored.restore(rows, Time(10), &mut batch);
    assert_eq!(batch.iter().collect::<Vec<_>>(), [(Table::Peer, &vec![1; 32], None)]);
    assert_eq!(restored.len(), 20);
    let first: BTreeSet<_> = (0..ANCHORS_MAX as u32)
        .map(|at| restored.dial(Time(10), &entropy(at), |_| false).unwrap().key.unwrap())
        .collect();
    assert_eq!(first, (0..4).map(|at| key(1, at)).collect(), "the first to work are dialled first");
    let later = restored.next_dial(|key| key.0[31] == 1 && first.contains(key));
    assert_eq!(later, Time(0), "the bootstrap node");
    assert_eq!(restored.nodes[&key(1, 9)].patience, book.nodes[&key(1, 9)].patience, "back-off is kept");
    // Back on the network, a peer that works replaces an anchor that does not.
    book.on_connected(&dial_of(&node(1, 15)), key(1, 15), Time(99), &mut Batch::default());
    assert!(book.nodes[&key(1, 15)].is_anchor);
    assert_eq!(book.nodes.values().filter(|node| node.is_anchor).count(), ANCHORS_MAX);
}

#[test]
fn a_later_record_moves_a_node_and_an_older_one_does_not() {
    let mut book = book();
    let mut batch = Batch::default();
    assert!(book.insert(verified(key(1, 1), "ws://old.example", 5), Source::Inbound, &mut batch));
    assert!(!book.insert(verified(key(1, 1), "ws://older.example", 4), Source::Inbound, &mut batch));
    assert!(book.insert(verified(key(1, 1), "ws://new.example", 6), Source::Inbound, &mut batch));
    assert!(!book.insert(verified(key(0, 0), "ws://self.example", 6), Source::Inbound, &mut batch));
    let dial = book.dial(Time(0), &entropy(0), |_| false).unwrap();
    assert_eq!((dial.url.as_str(), dial.key), ("ws://new.example", Some(key(1, 1))));
}

#[test]
fn strangers_do_not_make_us_dial_private_places_but_bootstrap_may() {
    let mut book = Book::new(key(0, 0), OPEN, &["ws://127.0.0.1:24201".to_owned()]);
    book.insert(verified(key(1, 1), "ws://127.0.0.1:22", 1), Source::Inbound, &mut Batch::default());
    let dial = book.dial(Time(0), &entropy(0), |_| false).unwrap();
    assert_eq!(dial, Dial { url: "ws://127.0.0.1:24201".to_owned(), key: None });
    assert_eq!(book.dial(Time(0), &entropy(0), |_| false), None);
    assert_eq!(book.share(10, &entropy(0)), []);
    book.on_connected(&dial, key(5, 5), Time(0), &mut Batch::default());
    assert_eq!(book.dial(Time(1 << 30), &entropy(0), |peer| *peer == key(5, 5)), None, "already connected");
    assert_eq!(book.dial(Time(1 << 30), &entropy(0), |_| false), Some(dial));
}

#[test]
fn memory_is_bounded_whatever_is_said() {
    let mut book = book();
    let mut batch = Batch::default();
    for source in 0..80 {
        for at in 0..70 {
            book.insert(node(1, source * 100 + at), Source::Outbound(key(2, source)), &mut batch);
        }
    }
    assert!(book.len() <= SOURCES_MAX * BUCKET_MAX);
    let rows = batch.iter().filter(|(_, _, value)| value.is_some()).count();
    assert_eq!(rows, book.len(), "the rows are the nodes");
    for at in 0..600 {
        let record = node(3, at);
        book.insert(record.clone(), Source::Inbound, &mut batch);
        book.on_connected(&dial_of(&record), record.0.key, Time(u64::from(at)), &mut batch);
    }
    assert_eq!(book.nodes.values().filter(|node| node.proved.is_some()).count(), PROVED_MAX);
}

#[test]
fn shared_records_are_those_that_work() {
    let mut book = book();
    for at in 0..20 {
        book.insert(node(1, at), Source::Inbound, &mut Batch::default());
    }
    book.on_connected(&dial_of(&node(1, 7)), key(1, 7), Time(1), &mut Batch::default());
    book.on_failure(&dial_of(&node(1, 8)), Time(1), &mut Batch::default());
    let shared = book.share(5, &entropy(3));
    assert_eq!((shared.len(), &shared[0]), (5, &node(1, 7).0), "proved first");
    assert!(book.share(100, &entropy(3)).iter().all(|record| record.key != key(1, 8)));
    assert_eq!(book.share(100, &entropy(3)).len(), 19);
}

#[test]
fn when_the_network_is_back_bootstrap_nodes_and_anchors_are_due_at_once() {
    let mut book = Book::new(key(0, 0), OPEN, &["ws://first.example".to_owned()]);
    let mut batch = Batch::default();
    for at in 1..=2 {
        book.insert(node(1, at), Source::Inbound, &mut batch);
    }
    book.on_connected(&dial_of(&node(1, 1)), key(1, 1), Time(5), &mut batch);
    let places: Vec<_> = (0..3).filter_map(|at| book.dial(Time(1 << 20), &entropy(at), |_| false)).collect();
    assert_eq!(places.len(), 3);
    places.iter().for_each(|dial| (0..9).for_each(|_| book.on_failure(dial, Time(1 << 20), &mut batch)));
    // Failures cost the anchor its place only for a peer that works.
    let due = Time((1 << 20) + 1);
    assert_eq!(book.dial(due, &entropy(3), |_| false), None);
    book.hurry();
    let mut urls: Vec<_> =
        (0..3).filter_map(|at| book.dial(due, &entropy(at), |_| false)).map(|dial| dial.url).collect();
    urls.sort_unstable();
    assert_eq!(urls, ["ws://first.example", "ws://node1.group1-1.example"], "others wait on");
}
