//! A small network without loss or delay: what the node does when nothing goes wrong, and after restarts.

mod light;
mod messages;
mod partial;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use futures::executor::block_on;

use super::*;
use crate::address::Network;
use crate::amount::Amount;
use crate::codec::encode;
use crate::driver;
use crate::hash::{Hash, TxId};
use crate::keys::SecretKey;
use crate::lock::Lock;
use crate::mempool::MempoolLimits;
use crate::message::{Message, MessageKind};
use crate::peer::book::Dial;
use crate::peer::handshake::{Origin, PeerInfo, Role};
use crate::peer::record::{AddressPolicy, PeerRecord};
use crate::rows::{Batch, Table};
use crate::spec::{ChainSpec, ConsensusSpec, GenesisMasternode, Rules, RulesFrom};
use crate::store::{MemoryStore, Range, Store as _};
use crate::transaction::{
    Action, Class, OutPoint, Output, SignedTransaction, TRANSACTION_VERSION, Tier, Transaction, sign,
};

const START: Time = Time(1_000_000);

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn owner(seed: u8) -> crate::hash::Owner {
    Lock::Key(key(seed).public_key()).owner()
}

fn chain(validators: u8) -> Arc<Chain> {
    chain_of(validators, vec![Output { amount: Amount::from_time(1000), owner: owner(200) }])
}

fn chain_of(validators: u8, allocations: Vec<Output>) -> Arc<Chain> {
    let masternodes = (1..=validators).map(|seed| GenesisMasternode {
        tier: Tier::Bronze,
        class: Class::Server,
        owner: owner(100 + seed),
        operator: key(seed).public_key(),
        payout: owner(100 + seed),
    });
    let consensus = ConsensusSpec {
        network: Network::Dev,
        name: "test".into(),
        genesis_time: START,
        allocations,
        masternodes: masternodes.collect(),
        rules: vec![RulesFrom { from: Height(0), rules: Rules { epoch_blocks: 5, ..Rules::dev() } }],
    };
    Arc::new(Chain::new(ChainSpec { consensus, bootstrap: Vec::new(), checkpoints: Vec::new() }))
}

struct World {
    chain: Arc<Chain>,
    nodes: Vec<(Node, MemoryStore)>,
    frames: VecDeque<(usize, usize, Vec<u8>)>,
    notices: Vec<(usize, Notice)>,
    now: Time,
    asleep: Option<usize>,
    gates: Vec<Gate>,
    discovery: bool,
    dials: Vec<(usize, Dial)>,
    /// Frames that get lost: to whom, of which kind.
    lost: fn(usize, MessageKind) -> bool,
    /// Everything that was sent.
    log: Vec<(usize, usize, Vec<u8>)>,
    /// What light nodes were told, and by whom.
    told: Vec<(usize, PeerId, Message)>,
    /// Jobs that wait for a proof.
    lacks: VecDeque<(usize, Box<Lack>)>,
    sent: BTreeSet<MessageKind>,
    /// Kinds that changed something where they arrived.
    acted: BTreeSet<MessageKind>,
}

fn id(at: usize) -> PeerId {
    PeerId(key(50 + at as u8).public_key())
}

pub(super) fn info_of(peer: PeerId) -> PeerInfo {
    let origin = Origin { initiator: peer, time: START, id: Hash::ZERO };
    PeerInfo { peer, version: 1, role: Role::Validator, listen: None, height: 0, time: START, origin }
}

/// What a node learns of another in a session that the smaller number opened.
fn info(at: usize, of: usize) -> PeerInfo {
    let origin = Origin { initiator: id(at.min(of)), time: START, id: Hash::ZERO };
    PeerInfo { origin, ..info_of(id(of)) }
}

impl World {
    fn new(validators: u8) -> Self {
        let mut world = Self::alone(validators, false);
        world.connect_all();
        world
    }

    /// Nodes without sessions.
    fn alone(validators: u8, discovery: bool) -> Self {
        Self::on(chain(validators), validators, discovery)
    }

    fn on(chain: Arc<Chain>, validators: u8, discovery: bool) -> Self {
        let mut world = Self {
            chain,
            nodes: Vec::new(),
            frames: VecDeque::new(),
            notices: Vec::new(),
            now: START.plus(1),
            asleep: None,
            gates: (0..validators).map(|_| Gate::default()).collect(),
            discovery,
            dials: Vec::new(),
            lost: |_, _| false,
            log: Vec::new(),
            told: Vec::new(),
            lacks: VecDeque::new(),
            sent: BTreeSet::new(),
            acted: BTreeSet::new(),
        };
        for at in 0..usize::from(validators) {
            world.open(at, MemoryStore::default());
        }
        world
    }

    fn config(&self, at: usize) -> NodeConfig {
        NodeConfig {
            chain: self.chain.clone(),
            operator: Some(key(at as u8 + 1)),
            mempool: MempoolLimits::default(),
            discovery: self.discovery.then(|| self.discovery_of(at)),
        }
    }

    fn open(&mut self, at: usize, store: MemoryStore) {
        let config = self.config(at);
        let (node, effects) = block_on(driver::restore(config, &store, true, self.now)).unwrap();
        if at == self.nodes.len() {
            self.nodes.push((node, store));
        } else {
            self.nodes[at] = (node, store);
        }
        self.perform(at, effects);
    }

    fn discovery_of(&self, at: usize) -> DiscoveryConfig {
        let node_key = key(50 + at as u8);
        let url = format!("ws://10.0.0.{at}:24201/p2p");
        DiscoveryConfig {
            own: node_key.public_key(),
            record: Some(PeerRecord::sign(&node_key, &url, self.now, &self.chain.id)),
            bootstrap: Vec::new(),
            policy: AddressPolicy { allow_private: true, allow_insecure: true },
            outbound_max: 8,
            seed: [at as u8; 32],
        }
    }

    fn connect_all(&mut self) {
        for at in 0..self.nodes.len() {
            for other in (0..self.nodes.len()).filter(|other| *other != at) {
                self.event(at, Event::Connected(info(at, other)));
            }
        }
    }

    fn connect(&mut self, one: usize, other: usize) {
        self.event(one, Event::Connected(info(one, other)));
        self.event(other, Event::Connected(info(other, one)));
    }

    fn disconnect(&mut self, one: usize, other: usize) {
        self.event(one, Event::Disconnected(id(other)));
        self.event(other, Event::Disconnected(id(one)));
    }

    /// What a message can change besides what it makes a node do.
    fn standing(&self, at: usize) -> (Vec<PeerStatus>, usize) {
        (self.nodes[at].0.peers().collect(), self.nodes[at].0.known_peers())
    }

    fn event(&mut self, at: usize, event: Event) {
        let mut decided = Vec::new();
        let admitted = self.gates[at].admit(event, self.now, &mut decided);
        self.perform(at, decided);
        let Some(event) = admitted else { return };
        let kind = match &event {
            Event::Message(_, message, _) => Some(message.kind()),
            _ => None,
        };
        let job = plan(self.nodes[at].0.context(), event).unwrap();
        if let Some(job) = job {
            let before = self.standing(at);
            let (node, store) = &mut self.nodes[at];
            let effects = block_on(driver::step(node, store, job, self.now)).unwrap();
            if !effects.is_empty() || self.standing(at) != before {
                self.acted.extend(kind);
            }
            self.perform(at, effects);
        }
    }

    fn perform(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(peers, bytes) => {
                    let message = Message::from_frame(&bytes).unwrap();
                    let kind = message.kind();
                    self.sent.insert(kind);
                    let lost = self.lost;
                    let light = peers.iter().filter(|peer| (0..self.nodes.len()).all(|to| id(to) != **peer));
                    self.told.extend(light.map(|peer| (at, *peer, message.clone())));
                    for to in (0..self.nodes.len()).filter(|to| peers.contains(&id(*to)) && !lost(*to, kind))
                    {
                        self.frames.push_back((at, to, bytes.to_vec()));
                        self.log.push((at, to, bytes.to_vec()));
                    }
                }
                Effect::Notice(notice) => self.notices.push((at, notice)),
                Effect::Close(_, Parting::Silent) if self.asleep.is_some() => {}
                Effect::Close(_, parting) => panic!("{at} parts: {parting}"),
                Effect::Dial(dial) => self.dials.push((at, dial)),
                Effect::Offence(_, offence) => panic!("{at} complains of {offence}"),
                Effect::Halt => panic!("{at} halts"),
                Effect::Serve(peer, question) => {
                    let (node, store) = &self.nodes[at];
                    let message =
                        block_on(driver::serve(store, || node.state().clone(), question)).unwrap().unwrap();
                    self.sent.insert(message.kind());
                    match (0..self.nodes.len()).find(|to| id(*to) == peer) {
                        Some(to) => self.frames.push_back((at, to, crate::codec::encode(&message))),
                        None => self.told.push((at, peer, message)),
                    }
                }
                Effect::Lack(lack) => self.lacks.push_back((at, lack)),
                Effect::Context(_) | Effect::State(_) => {}
            }
        }
    }

    /// Delivers frames at once and lets time jump to the next deadline, until `done` or too long.
    fn run(&mut self, done: impl Fn(&Self) -> bool) {
        let mut ticks = 0;
        while !done(self) {
            if let Some((from, to, bytes)) = self.frames.pop_front() {
                if [Some(from), Some(to)].contains(&self.asleep) {
                    continue;
                }
                self.event(to, Event::Frame(id(from), bytes));
                continue;
            }
            if let Some((at, lack)) = self.lacks.pop_front() {
                self.prove(at, *lack);
                continue;
            }
            ticks += 1;
            assert!(ticks < 2000, "nothing happens any more at {:?}", self.heights());
            let world_asleep = self.asleep;
            let awake = self.nodes.iter().enumerate().filter(|(at, _)| Some(*at) != world_asleep);
            let next = awake.map(|(_, (node, _))| node.deadline()).min().unwrap();
            self.now = self.now.max(next);
            for at in (0..self.nodes.len()).filter(|at| Some(*at) != world_asleep) {
                if self.nodes[at].0.deadline() <= self.now {
                    self.event(at, Event::Tick);
                }
            }
        }
    }

    fn heights(&self) -> Vec<u64> {
        self.nodes.iter().map(|(node, _)| node.state().height().0).collect()
    }

    fn submit(&mut self, at: usize, signed: SignedTransaction) {
        self.event(at, Event::Submit(Ticket(0), signed));
    }

    fn is_final(&self, txid: TxId) -> bool {
        (0..self.nodes.len()).all(|node| {
            self.notices.iter().any(|(at, notice)| {
                let ids =
                    matches!(notice, Notice::Phase(TransactionPhase::Finalized, ids) if ids.contains(&txid));
                *at == node && ids
            })
        })
    }
}

fn payment(
    chain: &Chain,
    from: u8,
    coin: (OutPoint, Output),
    to: u8,
    amount: u64,
    now: Time,
) -> SignedTransaction {
    let (outpoint, spent) = coin;
    let fee = Amount(10_000);
    let rest = spent.amount.checked_sub(Amount(amount)).and_then(|rest| rest.checked_sub(fee)).unwrap();
    let outputs = vec![
        Output { amount: Amount(amount), owner: owner(to) },
        Output { amount: rest, owner: owner(from) },
    ];
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        inputs: vec![outpoint],
        outputs,
        action: Action::Transfer,
        expires_at: now.plus(3_600_000),
        memo: b"hello".to_vec(),
    };
    sign(transaction, vec![spent], &chain.id, &[key(from)])
}

fn genesis_coin(chain: &Chain) -> (OutPoint, Output) {
    let made = crate::state::genesis(&chain.spec.consensus).unwrap().changes.made;
    *made.iter().find(|(_, output)| output.owner == owner(200)).unwrap()
}

#[test]
fn a_payment_is_final_everywhere_and_spends_again() {
    let mut world = World::new(4);
    let coin = genesis_coin(&world.chain);
    let first = payment(&world.chain, 200, coin, 201, 5_000_000, world.now);
    let txid = first.transaction.id();
    world.submit(1, first.clone());
    world.run(|world| world.is_final(txid));
    let received = (OutPoint { txid, index: 0 }, first.transaction.outputs[0]);
    let second = payment(&world.chain, 201, received, 202, 1_000_000, world.now);
    let txid = second.transaction.id();
    world.submit(2, second);
    world.run(|world| world.is_final(txid));
    let roots: std::collections::BTreeSet<_> =
        world.nodes.iter().map(|(node, _)| node.state().header.state_root).collect();
    assert_eq!(roots.len(), 1, "one state everywhere");
}

#[test]
fn one_validator_is_a_chain() {
    let mut world = World::new(1);
    world.run(|world| world.heights() >= vec![12]);
}

#[test]
fn an_idle_chain_makes_heartbeat_blocks_and_pays_rewards_at_epochs() {
    let mut world = World::new(4);
    world.run(|world| world.heights().iter().all(|height| *height >= 11));
    let state = world.nodes[0].0.state();
    assert_eq!(Some(state.header.supply), state.commitment().supply());
    assert_eq!(state.header.supply, world.chain.spec.consensus.issued(state.header.time));
    assert!(state.coins.summary().count > 5, "rewards were paid: {:?}", state.coins.summary());
    let views: u32 = state.header.view.0;
    assert_eq!(views, 0, "an idle chain burns no views");
}

#[test]
fn the_same_state_after_a_restart() {
    let mut world = World::new(4);
    let coin = genesis_coin(&world.chain);
    let paid = payment(&world.chain, 200, coin, 201, 5_000_000, world.now);
    let txid = paid.transaction.id();
    world.submit(0, paid);
    world.run(|world| world.is_final(txid));
    for at in 0..4 {
        let before = world.nodes[at].0.state().header.clone();
        let store = world.nodes[at].1.clone();
        store.crash(0);
        world.open(at, store);
        assert_eq!(world.nodes[at].0.state().header, before, "node {at}");
    }
    world.frames.clear();
    world.connect_all();
    let height = world.heights()[0];
    world.run(|world| world.heights().iter().all(|now| *now > height));
}

/// They stayed for ever: nothing that removes a pending transaction knew of them.
#[test]
fn pending_rows_that_cannot_be_taken_up_are_removed() {
    let mut world = World::alone(4, false);
    let coin = genesis_coin(&world.chain);
    let paid = payment(&world.chain, 200, coin, 201, 5_000_000, world.now);
    let txid = paid.transaction.id();
    let mut forged = payment(&world.chain, 200, coin, 202, 6_000_000, world.now);
    forged.witnesses[0].signatures[0].signature.0[9] ^= 1;
    world.submit(0, paid);
    let store = world.nodes[0].1.clone();
    let mut batch = Batch::default();
    batch.put(Table::Mempool, *forged.transaction.id().as_bytes(), encode(&forged));
    batch.put(Table::Mempool, [7; 32], b"nothing".to_vec());
    block_on(store.commit(&batch)).unwrap();
    world.open(0, store);
    let (node, store) = &world.nodes[0];
    let rows = block_on(driver::scan_all(store, Table::Mempool, &Range::default())).unwrap();
    let keys: Vec<_> = rows.into_iter().map(|(key, _)| key).collect();
    assert_eq!((node.mempool().len(), keys), (1, vec![txid.as_bytes().to_vec()]));
}

#[test]
fn a_node_that_slept_through_epochs_catches_up_and_votes_again() {
    let mut world = World::new(4);
    world.asleep = Some(3);
    world.run(|world| world.heights()[..3].iter().all(|height| *height >= 17));
    assert_eq!(world.heights()[3], 0);
    world.asleep = None;
    for other in 0..3 {
        world.disconnect(3, other);
        world.connect(3, other);
    }
    world.run(|world| world.heights().iter().all(|height| *height >= 20));
    let signed = world
        .notices
        .iter()
        .any(|(at, notice)| *at == 3 && matches!(notice, Notice::Signed(_, height, _) if height.0 > 17));
    assert!(signed, "the sleeper votes again");
}

#[test]
fn reindexing_gives_every_row_again() {
    let mut world = World::new(4);
    let coin = genesis_coin(&world.chain);
    let paid = payment(&world.chain, 200, coin, 201, 5_000_000, world.now);
    let txid = paid.transaction.id();
    world.submit(0, paid);
    world.run(|world| world.is_final(txid));
    world.run(|world| world.heights().iter().all(|height| *height >= 12));
    let (node, store) = &world.nodes[0];
    let copy = MemoryStore::default();
    let state = block_on(driver::reindex(world.chain.clone(), store, &copy, |_| ())).unwrap();
    assert_eq!(state.header, node.state().header);
    for table in Table::ALL {
        let all = crate::store::Range::default();
        let rows = |store: &MemoryStore| block_on(driver::scan_all(store, table, &all)).unwrap();
        assert_eq!(rows(&copy), rows(store), "{}", table.name());
    }
}

#[test]
fn reindexing_says_which_block_is_missing_or_wrong() {
    let mut world = World::new(1);
    world.run(|world| world.heights() >= vec![7]);
    let store = world.nodes[0].1.clone();
    let row = |table, height: u64| {
        let key = crate::schema::height_key(Height(height));
        let mut reads = ReadSet::default();
        reads.insert(table, key.clone());
        block_on(store.load(&reads)).unwrap().row(table, &key).cloned().unwrap()
    };
    let damaged = |table, height: u64, value: Option<crate::rows::Value>| {
        let mut batch = crate::rows::Batch::default();
        let key = crate::schema::height_key(Height(height));
        match value {
            Some(value) => batch.put(table, key, value),
            None => batch.delete(table, key),
        }
        let good = row(table, height);
        block_on(store.commit(&batch)).unwrap();
        let refused = block_on(driver::reindex(world.chain.clone(), &store, &MemoryStore::default(), |_| ()));
        let mut mended = crate::rows::Batch::default();
        mended.put(table, crate::schema::height_key(Height(height)), good);
        block_on(store.commit(&mended)).unwrap();
        refused.map(|_| ()).unwrap_err().to_string()
    };
    assert!(damaged(Table::Body, 3, None).contains("block 3 is not in the store"));
    assert!(damaged(Table::Header, 4, None).contains("block 4 is not in the store"));
    assert!(damaged(Table::Body, 5, Some([1].into())).contains("block 5 in table body is damaged"));
    assert!(damaged(Table::Body, 2, Some(row(Table::Body, 3))).starts_with("block 2: "));
    assert!(damaged(Table::Header, 2, Some(row(Table::Header, 3))).contains("where block 2 should be"));
    let other = Arc::new(Chain::new(ChainSpec {
        consensus: ConsensusSpec { name: "other".into(), ..world.chain.spec.consensus.clone() },
        ..world.chain.spec.clone()
    }));
    let refused = block_on(driver::reindex(other, &store, &MemoryStore::default(), |_| ()));
    assert!(refused.map(|_| ()).unwrap_err().to_string().starts_with("the store holds chain"));
    block_on(driver::reindex(world.chain.clone(), &store, &MemoryStore::default(), |_| ())).unwrap();
}

#[test]
fn a_coin_made_and_spent_in_one_block_leaves_no_other_spender_pending() {
    let mut world = World::new(4);
    let coin = genesis_coin(&world.chain);
    let parent = payment(&world.chain, 200, coin, 201, 5_000_000, world.now);
    let made = (OutPoint { txid: parent.transaction.id(), index: 0 }, parent.transaction.outputs[0]);
    let [one, other] =
        [1_000_000, 2_000_000].map(|amount| payment(&world.chain, 201, made, 202, amount, world.now));
    // Nobody but node 3 knows of the one; nobody tells node 3 of the other before it is in a block.
    world.lost = |_, kind| matches!(kind, MessageKind::Transactions | MessageKind::Have);
    world.submit(3, parent.clone());
    world.submit(3, one.clone());
    for at in 0..3 {
        world.submit(at, parent.clone());
        world.submit(at, other.clone());
    }
    let ids = [parent.transaction.id(), other.transaction.id()];
    world.run(|world| ids.iter().all(|txid| world.is_final(*txid)));
    let is_one_block = world.notices.iter().any(|(_, notice)| {
        matches!(notice, Notice::Phase(TransactionPhase::Finalized, list) if ids.iter().all(|txid| list.contains(txid)))
    });
    assert!(is_one_block, "both in one block");
    assert!(world.nodes.iter().all(|(node, _)| node.mempool().is_empty()), "the coin is gone for the one");
}
