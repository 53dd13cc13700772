//! Nodes with memory stores and frames delivered at once; whatever else happens, a test does.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use futures::FutureExt as _;
use timecoin_core::amount::Amount;
use timecoin_core::codec::{decode, encode};
use timecoin_core::driver::{self, DriverError};
use timecoin_core::hash::{Hash, Owner, TxId};
use timecoin_core::mempool::MempoolLimits;
use timecoin_core::message::Message;
use timecoin_core::node::{
    Chain, Effect, Event, Job, Node, NodeConfig, Notice, SubmitError, Ticket, TransactionPhase, plan,
};
use timecoin_core::peer::handshake::{Origin, PeerId, PeerInfo, Role};
use timecoin_core::peer::score::Offence;
use timecoin_core::rows::{Batch, Key, ReadSet, Table, Value, View};
use timecoin_core::spec::{ChainSpec, ConsensusSpec};
use timecoin_core::store::{MemoryError, MemoryStore, Range, Store};
use timecoin_core::testing::chain::key;
use timecoin_core::time::Time;
use timecoin_core::transaction::SignedTransaction;

/// When a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A commit is under way and leaves nothing.
    BeforeCommit,
    /// A commit is done but for its votes, which the file store writes after the rows.
    BeforeVotes,
    /// A commit is done and nobody has heard of it.
    AfterCommit,
}

/// A memory store whose process dies at a commit that a test names.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) rows: MemoryStore,
    fate: Rc<Cell<Option<(u32, Moment)>>>,
    commits: Rc<Cell<u32>>,
}

impl Disk {
    /// The process dies at the commit after `left` more.
    pub(crate) fn die(&self, left: u32, moment: Moment) {
        self.fate.set(Some((left, moment)));
    }

    /// It does not die after all.
    pub(crate) fn spare(&self) {
        self.fate.set(None);
    }

    pub(crate) fn commits(&self) -> u32 {
        self.commits.get()
    }
}

impl Store for Disk {
    type Error = MemoryError;

    async fn load(&self, reads: &ReadSet) -> Result<View, MemoryError> {
        self.rows.load(reads).await
    }

    async fn commit(&self, batch: &Batch) -> Result<(), MemoryError> {
        self.commits.set(self.commits.get() + 1);
        match self.fate.get() {
            Some((0, moment)) => {
                self.fate.set(None);
                match moment {
                    Moment::BeforeCommit => {}
                    Moment::BeforeVotes => self.rows.commit(&without_votes(batch)).await?,
                    Moment::AfterCommit => self.rows.commit(batch).await?,
                }
                Err(MemoryError)
            }
            Some((left, moment)) => {
                self.fate.set(Some((left - 1, moment)));
                self.rows.commit(batch).await
            }
            None => self.rows.commit(batch).await,
        }
    }

    async fn scan(
        &self,
        table: Table,
        range: &Range,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, MemoryError> {
        self.rows.scan(table, range, limit).await
    }
}

fn without_votes(batch: &Batch) -> Batch {
    let mut rows = Batch::default();
    for (table, key, value) in batch.iter().filter(|(table, ..)| *table != Table::Sign) {
        match value {
            Some(value) => rows.put(table, key.clone(), value.clone()),
            None => rows.delete(table, key.clone()),
        }
    }
    rows.sync();
    rows
}

/// A memory store never makes anyone wait.
fn now<F: Future>(future: F) -> F::Output {
    future.now_or_never().expect("a memory store never makes anyone wait")
}

/// The node key of a place: that of a node, or beyond them a stranger's.
pub(crate) fn id(at: usize) -> PeerId {
    PeerId(key(50 + at as u64).public_key())
}

fn info(at: usize, now: Time) -> PeerInfo {
    let origin = Origin { initiator: id(at), time: now, id: Hash::ZERO };
    PeerInfo { peer: id(at), version: 1, role: Role::Validator, listen: None, height: 0, time: now, origin }
}

/// A frame on its way.
pub(crate) struct Frame {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) bytes: Vec<u8>,
}

/// Whether a message arrives, by sender and addressee.
pub(crate) type Filter = fn(usize, usize, &Message) -> bool;

pub(crate) struct World {
    pub(crate) chain: Arc<Chain>,
    pub(crate) nodes: Vec<(Option<Node>, Disk)>,
    pub(crate) now: Time,
    pub(crate) notices: Vec<(usize, Notice)>,
    pub(crate) offences: Vec<(PeerId, Offence)>,
    /// What nodes said to strangers.
    pub(crate) heard: Vec<(usize, Message)>,
    pub(crate) filter: Filter,
    /// Every frame delivered, where a test wants to replay them.
    pub(crate) recorded: Option<Vec<Frame>>,
    frames: VecDeque<Frame>,
    /// Sessions that a node ended: both ends hear of it, and dial again.
    parted: Vec<(usize, usize)>,
}

impl World {
    /// All validators of a chain, connected with each other. Validator `n` of the spec is node `n - 1`.
    pub(crate) fn new(spec: ConsensusSpec) -> Self {
        let count = spec.masternodes.len();
        let mut world = Self::empty(spec, count);
        (0..count).for_each(|at| world.open(at));
        world.connect_all();
        world
    }

    /// Places for as many nodes, all of them off.
    pub(crate) fn empty(spec: ConsensusSpec, count: usize) -> Self {
        let now = spec.genesis_time.plus(1);
        let spec = ChainSpec { consensus: spec, bootstrap: Vec::new(), checkpoints: Vec::new() };
        Self {
            chain: Arc::new(Chain::new(spec)),
            nodes: (0..count).map(|_| (None, Disk::default())).collect(),
            now,
            notices: Vec::new(),
            offences: Vec::new(),
            heard: Vec::new(),
            filter: |_, _, _| true,
            recorded: None,
            frames: VecDeque::new(),
            parted: Vec::new(),
        }
    }

    /// Switches a node on with what its disk holds.
    pub(crate) fn open(&mut self, at: usize) {
        // The key of a validator, or of one to be.
        let (chain, operator) = (self.chain.clone(), Some(key(at as u64 + 1)));
        let config = NodeConfig { chain, operator, mempool: MempoolLimits::default(), discovery: None };
        let disk = self.nodes[at].1.clone();
        // Power may fail while starting, too.
        let Ok((node, effects)) = now(driver::restore(config, &disk, true, self.now)) else { return };
        self.nodes[at].0 = Some(node);
        self.perform(at, effects);
    }

    pub(crate) fn is_up(&self, at: usize) -> bool {
        self.nodes.get(at).is_some_and(|(node, _)| node.is_some())
    }

    /// A node loses power: of the commits since the last synced one, `kept` survive.
    pub(crate) fn power_off(&mut self, at: usize, kept: usize) {
        self.nodes[at].0 = None;
        self.nodes[at].1.rows.crash(kept);
        self.frames.retain(|frame| frame.to != at && frame.from != at);
        for other in 0..self.nodes.len() {
            self.event(other, Event::Disconnected(id(at)));
        }
    }

    pub(crate) fn node(&self, at: usize) -> &Node {
        self.nodes[at].0.as_ref().expect("the node is on")
    }

    pub(crate) fn connect(&mut self, at: usize, other: usize) {
        let info = info(other, self.now);
        self.event(at, Event::Connected(info));
    }

    /// Connects a node with all others that are on.
    pub(crate) fn join(&mut self, at: usize) {
        for other in (0..self.nodes.len()).filter(|other| *other != at) {
            if self.is_up(other) {
                self.connect(at, other);
                self.connect(other, at);
            }
        }
    }

    pub(crate) fn connect_all(&mut self) {
        for at in 0..self.nodes.len() {
            for other in (0..self.nodes.len()).filter(|other| *other != at) {
                self.connect(at, other);
            }
        }
    }

    pub(crate) fn event(&mut self, at: usize, event: Event) {
        let Some((Some(node), _)) = self.nodes.get(at) else { return };
        match plan(node.context(), event) {
            Ok(Some(job)) => self.job(at, job),
            Ok(None) => {}
            Err(offence) => self.offences.push(offence),
        }
    }

    pub(crate) fn job(&mut self, at: usize, job: Job) {
        let (Some(node), disk) = &mut self.nodes[at] else { return };
        match now(driver::step(node, disk, job, self.now)) {
            Ok(effects) => self.perform(at, effects),
            Err(DriverError::Store(MemoryError)) => self.nodes[at].0 = None,
            Err(error) => panic!("node {at}: {error}"),
        }
    }

    fn perform(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(peers, bytes) => {
                    for peer in peers {
                        match (0..self.nodes.len()).find(|to| id(*to) == peer) {
                            Some(to) => self.frames.push_back(Frame { from: at, to, bytes: bytes.to_vec() }),
                            None => {
                                self.heard.push((at, decode(&bytes).expect("nodes say what can be read")))
                            }
                        }
                    }
                }
                Effect::Notice(notice) => self.notices.push((at, notice)),
                Effect::Offence(peer, offence) => self.offences.push((peer, offence)),
                Effect::Serve(peer, question) => {
                    let state = || self.node(at).state().clone();
                    let answer = now(driver::serve(&self.nodes[at].1, state, question)).unwrap();
                    let to = (0..self.nodes.len()).find(|to| id(*to) == peer);
                    if let (Some(to), Some(message)) = (to, answer) {
                        self.frames.push_back(Frame { from: at, to, bytes: encode(&message) });
                    }
                }
                Effect::Close(peer, _) => {
                    let other = (0..self.nodes.len()).find(|other| id(*other) == peer);
                    self.parted.extend(other.map(|other| (at, other)));
                }
                Effect::Dial(_) | Effect::Lack(_) | Effect::Context(_) | Effect::State(_) | Effect::Halt => {}
            }
        }
    }

    /// A stranger says something to a node.
    pub(crate) fn say(&mut self, to: usize, from: usize, message: &Message) {
        self.event(to, Event::Frame(id(from), encode(message)));
    }

    /// Delivers every frame there is and those that follow from them.
    pub(crate) fn deliver(&mut self) {
        while let Some(Frame { from, to, bytes }) = self.frames.pop_front() {
            let message: Message = decode(&bytes).expect("nodes say what can be read");
            if !(self.filter)(from, to, &message) {
                continue;
            }
            self.event(to, Event::Frame(id(from), bytes.clone()));
            if let Some(recorded) = &mut self.recorded {
                recorded.push(Frame { from, to, bytes });
            }
        }
    }

    /// Lets time jump to the next deadline.
    pub(crate) fn tick(&mut self) {
        for (at, other) in std::mem::take(&mut self.parted) {
            self.event(at, Event::Disconnected(id(other)));
            self.event(other, Event::Disconnected(id(at)));
            if self.is_up(at) && self.is_up(other) {
                self.connect(at, other);
                self.connect(other, at);
            }
        }
        let running = self.nodes.iter().filter_map(|(node, _)| node.as_ref());
        let next = running.map(Node::deadline).min().unwrap_or(Time::NEVER);
        if next == Time::NEVER {
            return;
        }
        self.now = self.now.max(next);
        for at in 0..self.nodes.len() {
            if self.nodes[at].0.as_ref().is_some_and(|node| node.deadline() <= self.now) {
                self.event(at, Event::Tick);
            }
        }
    }

    /// Goes on until something holds. False if it does not come to that.
    pub(crate) fn reaches(&mut self, ticks: u32, done: impl Fn(&Self) -> bool) -> bool {
        for _ in 0..ticks {
            self.deliver();
            if done(self) {
                return true;
            }
            self.tick();
        }
        false
    }

    pub(crate) fn run(&mut self, done: impl Fn(&Self) -> bool) {
        assert!(self.reaches(1_500, done), "nothing happens any more at {:?}", self.heights());
    }

    pub(crate) fn heights(&self) -> Vec<Option<u64>> {
        self.nodes.iter().map(|(node, _)| node.as_ref().map(|node| node.state().height().0)).collect()
    }

    /// Whether all nodes that are on have reached a height.
    pub(crate) fn all_at(&self, height: u64) -> bool {
        self.heights().iter().flatten().all(|at| *at >= height)
    }

    pub(crate) fn submit(&mut self, at: usize, signed: SignedTransaction) {
        self.event(at, Event::Submit(Ticket(0), signed));
    }

    /// Submits what must be refused, and says why it was.
    pub(crate) fn refusal(&mut self, at: usize, signed: SignedTransaction) -> SubmitError {
        let before = self.notices.len();
        self.submit(at, signed);
        let refusal = self.notices.drain(before..).find_map(|(_, notice)| match notice {
            Notice::Refused(_, error) => Some(error),
            _ => None,
        });
        refusal.expect("the transaction is refused")
    }

    /// Whether every node that is on has reported the transaction final.
    pub(crate) fn is_final(&self, txid: TxId) -> bool {
        (0..self.nodes.len()).filter(|at| self.is_up(*at)).all(|node| {
            self.notices.iter().any(|(at, notice)| {
                let ids =
                    matches!(notice, Notice::Phase(TransactionPhase::Finalized, ids) if ids.contains(&txid));
                *at == node && ids
            })
        })
    }

    /// All rows of a table of a node.
    pub(crate) fn rows(&self, at: usize, table: Table) -> Vec<(Key, Value)> {
        now(driver::scan_all(&self.nodes[at].1, table, &Range::default())).unwrap()
    }

    /// What an owner has in a node's final state, read from its rows where it is not in memory.
    pub(crate) fn balance(&self, at: usize, owner: &Owner) -> Amount {
        let mut coins = self.node(at).state().coins.clone();
        while let Some(page) = coins.missing_balance(owner) {
            let mut reads = ReadSet::default();
            reads.insert(Table::Tree, page.to_bytes());
            let view = now(self.nodes[at].1.load(&reads)).unwrap();
            let row = view.row(Table::Tree, &page.to_bytes()).map(|row| &row[..]);
            coins.graft(&page, row).unwrap();
        }
        coins.balance(owner).unwrap().sum
    }
}
