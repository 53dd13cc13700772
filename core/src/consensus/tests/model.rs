//! A small network of engines in virtual time, for the tests of this module: random delay, loss, duplication,
//! crashes, frozen nodes and one liar, all from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::certificate::{Bitmap, Certificate};
use crate::evidence::Evidence;
use crate::hash::{BlockId, ChainId, Hash, MasternodeId, Tag};
use crate::keys::SecretKey;
use crate::testing::Rng;
use crate::time::Time;
use crate::validators::{Validator, ValidatorIndex, ValidatorSet};
use crate::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use crate::consensus::{Consensus, HeightStart, Input, Output, SignRecord, Signer, SignerMemory, Timeouts};

pub(super) const CHAIN: ChainId = ChainId(Hash([7; 32]));
pub(super) const TIMEOUTS: Timeouts = Timeouts {
    propose_ms: 2000,
    prepare_ms: 1000,
    commit_ms: 1000,
    growth_ms: 500,
    max_ms: 60_000,
    block_interval_min_ms: 5000,
    heartbeat_ms: 60_000,
};

/// A set with these weights, and its keys in set order.
pub(super) fn validators(weights: &[u64]) -> (Arc<ValidatorSet>, Vec<SecretKey>) {
    let keys: Vec<_> = (0..weights.len())
        .map(|at| SecretKey::from_seed(&Tag::new("model").hash(&[&at.to_le_bytes()]).0))
        .collect();
    let member = |(key, weight): (&SecretKey, &u64)| Validator {
        key: key.public_key(),
        weight: *weight,
        masternode: MasternodeId(Hash(key.public_key().0)),
    };
    let set = ValidatorSet::new(keys.iter().zip(weights).map(member).collect()).unwrap();
    let key_of = |member: &Validator| keys.iter().find(|key| key.public_key() == member.key).unwrap().clone();
    let keys = set.iter().map(|(_, member)| key_of(member)).collect();
    (Arc::new(set), keys)
}

pub(super) fn block(name: u64) -> BlockId {
    BlockId(Tag::new("model block").hash(&[&name.to_le_bytes()]))
}

/// The start of a height without history.
pub(super) fn height_start(height: u64, set: &Arc<ValidatorSet>, me: Option<ValidatorIndex>) -> HeightStart {
    HeightStart {
        height: Height(height),
        set: set.clone(),
        absent: Bitmap::empty(set.len()),
        timeouts: TIMEOUTS,
        me,
        parent_time: Time(0),
        parent_certificate: None,
        records: Vec::new(),
    }
}

/// One engine among `keys.len()` validators, whose surroundings a test plays.
pub(super) struct Bench {
    pub(super) engine: Consensus,
    pub(super) set: Arc<ValidatorSet>,
    pub(super) keys: Vec<SecretKey>,
    pub(super) height: Height,
    pub(super) now: Time,
}

impl Bench {
    /// At height 5, as a validator that does not propose in view 0, with work to do.
    pub(super) fn new(weights: &[u64]) -> Self {
        let mut bench = Self::idle(weights);
        bench.give(Input::Work);
        bench
    }

    /// The same without work, right after the parent block.
    pub(super) fn idle(weights: &[u64]) -> Self {
        let (set, _) = validators(weights);
        let proposer = set.proposer(5, 0, |_| false);
        let me = (0..set.len() as ValidatorIndex).rev().find(|index| *index != proposer).unwrap_or(0);
        Self::of(weights, Some(me))
    }

    pub(super) fn of(weights: &[u64], me: Option<ValidatorIndex>) -> Self {
        let (set, keys) = validators(weights);
        let mut bench = Self { engine: Consensus::new(), set, keys, height: Height(5), now: Time(10_000) };
        let start = bench.start(me);
        bench.give(Input::Start(start));
        bench
    }

    pub(super) fn start(&self, me: Option<ValidatorIndex>) -> HeightStart {
        HeightStart { parent_time: self.now, ..height_start(self.height.0, &self.set, me) }
    }

    pub(super) fn proposer(&self, view: u32) -> ValidatorIndex {
        self.set.proposer(self.height.0, view, |_| false)
    }

    pub(super) fn give(&mut self, input: Input) -> Vec<Output> {
        let outputs = self.engine.handle(input, self.now);
        assert!(self.engine.vote_count() <= 22 * self.set.len(), "vote memory is bounded");
        outputs
    }

    pub(super) fn vote(
        &self,
        from: ValidatorIndex,
        phase: Phase,
        view: u32,
        block: Option<BlockId>,
        valid_view: Option<u32>,
    ) -> Vote {
        let valid_view = valid_view.map(ViewNumber);
        let data = VoteData { phase, height: self.height, view: ViewNumber(view), block, valid_view };
        Vote::sign(data, from, &CHAIN, &self.keys[usize::from(from)])
    }

    pub(super) fn votes(
        &mut self,
        from: impl IntoIterator<Item = ValidatorIndex>,
        phase: Phase,
        view: u32,
        block: Option<BlockId>,
    ) -> Vec<Output> {
        let votes = from.into_iter().map(|from| self.vote(from, phase, view, block, None)).collect();
        self.give(Input::Votes(votes))
    }

    pub(super) fn propose(&mut self, view: u32, block: BlockId) -> Vec<Output> {
        let vote = self.vote(self.proposer(view), Phase::PrePrepare, view, Some(block), None);
        self.give(Input::Proposal(vote, None))
    }

    pub(super) fn accept(&mut self, block: BlockId) -> Vec<Output> {
        self.give(Input::BlockVerdict { block, valid: true })
    }

    pub(super) fn certificate(
        &self,
        from: impl IntoIterator<Item = ValidatorIndex>,
        phase: Phase,
        view: u32,
        block: Option<BlockId>,
    ) -> Certificate {
        let votes: Vec<_> = from.into_iter().map(|from| self.vote(from, phase, view, block, None)).collect();
        Certificate::from_votes(votes[0].data, &votes, &self.set).expect("a quorum")
    }

    /// A quorum commits to nothing in view 0: view 1 begins.
    pub(super) fn leave_view_0(&mut self) {
        self.votes(0..3, Phase::Commit, 0, None);
        self.wait();
        assert_eq!(self.view(), 1);
    }

    /// Waits for the next deadline.
    pub(super) fn wait(&mut self) -> Vec<Output> {
        self.now = self.now.max(self.engine.deadline());
        self.give(Input::Tick)
    }

    /// Waits until a vote is asked for, for at most 20 deadlines.
    pub(super) fn wait_for_vote(&mut self) -> VoteData {
        for _ in 0..20 {
            if let [.., data] = signs(&self.wait())[..] {
                return data;
            }
        }
        panic!("no vote was asked for")
    }

    pub(super) fn view(&self) -> u32 {
        self.engine.state().expect("a height is open").view.0
    }
}

/// The votes asked for.
pub(super) fn signs(outputs: &[Output]) -> Vec<VoteData> {
    let sign = |output: &Output| if let Output::Sign(data) = output { Some(*data) } else { None };
    outputs.iter().filter_map(sign).collect()
}

/// The evidence reported.
pub(super) fn evidence(outputs: &[Output]) -> Vec<Evidence> {
    let evidence = |output: &Output| if let Output::Evidence(found) = output { Some(*found) } else { None };
    outputs.iter().filter_map(evidence).collect()
}

#[derive(Clone, Debug)]
pub(super) enum Message {
    Proposal(Vote, Option<Certificate>),
    Votes(Vec<Vote>),
    Certificate(Certificate),
}

impl Message {
    fn height(&self) -> Option<Height> {
        match self {
            Self::Proposal(vote, _) => Some(vote.data.height),
            Self::Votes(votes) => votes.iter().map(|vote| vote.data.height).max(),
            Self::Certificate(certificate) => Some(certificate.data.height),
        }
    }
}

/// One validator: what is durable and what a crash loses.
pub(super) struct Node {
    engine: Consensus,
    signer: Signer,
    // Durable.
    memory: SignerMemory,
    records: Vec<SignRecord>,
    pub(super) chain: Vec<(BlockId, Certificate)>,
    opened: Time,
    frozen_until: Time,
}

/// What goes wrong, in percent per message or per step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faults {
    pub(super) loss: u64,
    pub(super) duplicate: u64,
    pub(super) crash: u64,
    pub(super) freeze: u64,
    pub(super) delay_max_ms: u64,
    /// Node 0 sends conflicting votes of its own besides the right ones.
    pub(super) liar: bool,
    /// Percent of blocks a node finds invalid when built by another.
    pub(super) invalid: u64,
}

pub(super) struct Model {
    pub(super) set: Arc<ValidatorSet>,
    keys: Vec<SecretKey>,
    pub(super) nodes: Vec<Node>,
    queue: BTreeMap<(Time, u64), (usize, Message)>,
    sequence: u64,
    blocks: u64,
    pub(super) now: Time,
    dice: Rng,
    pub(super) faults: Faults,
    pub(super) signed: BTreeMap<(usize, Height, ViewNumber, Phase), VoteData>,
    pub(super) evidence: BTreeSet<Evidence>,
    pub(super) view_max: ViewNumber,
    /// No transaction ever waits.
    idle: bool,
    /// Whom no message reaches or leaves.
    pub(super) gone: BTreeSet<usize>,
}

impl Model {
    pub(super) fn new(weights: &[u64], seed: u64, faults: Faults) -> Self {
        Self::begin(weights, seed, faults, false)
    }

    /// A network that nobody pays on.
    pub(super) fn idle(weights: &[u64], seed: u64, faults: Faults) -> Self {
        Self::begin(weights, seed, faults, true)
    }

    fn begin(weights: &[u64], seed: u64, faults: Faults, idle: bool) -> Self {
        let (set, keys) = validators(weights);
        let node = |key: &SecretKey| Node {
            engine: Consensus::new(),
            signer: Signer::new(key.clone(), CHAIN, SignerMemory::Born),
            memory: SignerMemory::Born,
            records: Vec::new(),
            chain: Vec::new(),
            opened: Time(0),
            frozen_until: Time(0),
        };
        let nodes = keys.iter().map(node).collect();
        let mut model = Self {
            set,
            keys,
            nodes,
            queue: BTreeMap::new(),
            sequence: 0,
            blocks: 0,
            now: Time(1000),
            dice: Rng::new(seed),
            faults,
            signed: BTreeMap::new(),
            evidence: BTreeSet::new(),
            view_max: ViewNumber(0),
            idle,
            gone: BTreeSet::new(),
        };
        (0..model.nodes.len()).for_each(|at| model.open(at));
        model
    }

    fn open_height(&self, at: usize) -> Height {
        Height(self.nodes[at].chain.len() as u64 + 1)
    }

    /// Begins the height after the last decided one, with whatever was durable.
    fn open(&mut self, at: usize) {
        let height = self.open_height(at);
        let node = &mut self.nodes[at];
        let records: Vec<_> =
            node.records.iter().filter(|record| record.vote.data.height == height).copied().collect();
        let start = HeightStart {
            parent_time: node.opened,
            parent_certificate: node.chain.last().map(|(_, certificate)| certificate.clone()),
            records,
            ..height_start(height.0, &self.set, Some(at as ValidatorIndex))
        };
        self.feed(at, Input::Start(start));
        if !self.idle {
            self.feed(at, Input::Work);
        }
    }

    /// Starts a node again with what was durable.
    pub(super) fn crash(&mut self, at: usize) {
        let key = self.keys[at].clone();
        let node = &mut self.nodes[at];
        node.engine = Consensus::new();
        node.signer = Signer::new(key, CHAIN, node.memory);
        node.signer.restore(node.records.iter().copied());
        self.open(at);
    }

    pub(super) fn feed(&mut self, at: usize, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let outputs = self.nodes[at].engine.handle(input, self.now);
            let bound = 22 * self.set.len();
            assert!(self.nodes[at].engine.vote_count() <= bound, "vote memory is bounded");
            for output in outputs {
                // Answers come after the outputs of this step, as a driver would give them.
                self.answer(at, output).into_iter().for_each(|input| inputs.insert(0, input));
            }
        }
    }

    fn answer(&mut self, at: usize, output: Output) -> Option<Input> {
        match output {
            Output::Sign(data) => return self.sign(at, data),
            Output::Build { view } => {
                self.blocks += 1;
                return Some(Input::Built { view, block: block(self.blocks) });
            }
            Output::Check(block) => {
                let valid = !self.dice.chance(10 * self.faults.invalid);
                return Some(Input::BlockVerdict { block, valid });
            }
            Output::Decide { block, certificate } => {
                assert_eq!(certificate.verify(&self.set, &CHAIN), Ok(()), "a decision is proved");
                let height = self.open_height(at);
                let agreed = self.nodes.iter().filter_map(|node| node.chain.get(height.0 as usize - 1));
                agreed.for_each(|(other, _)| assert_eq!(*other, block, "agreement at height {height}"));
                let node = &mut self.nodes[at];
                node.chain.push((block, certificate.clone()));
                node.opened = self.now;
                self.broadcast(at, &Message::Certificate(certificate));
                self.open(at);
            }
            Output::Certificate(certificate) => {
                assert!(certificate.check_form(&self.set, &CHAIN).is_ok(), "a certificate is complete");
                self.broadcast(at, &Message::Certificate(certificate));
            }
            Output::Evidence(evidence) => {
                assert!(evidence.verify(&self.set, &CHAIN).is_ok(), "evidence proves itself");
                self.evidence.insert(evidence);
            }
            Output::Fork { .. } => panic!("two certificates for one height"),
            Output::EnteredView(view) => self.view_max = self.view_max.max(view),
            Output::Rebroadcast { votes, certificates, proposal: _ } => {
                certificates.into_iter().for_each(|held| self.broadcast(at, &Message::Certificate(held)));
                let (proposals, votes): (Vec<_>, Vec<_>) =
                    votes.into_iter().partition(|vote| vote.data.phase == Phase::PrePrepare);
                proposals.into_iter().for_each(|vote| self.broadcast_proposal(at, vote));
                self.broadcast(at, &Message::Votes(votes));
            }
        }
        None
    }

    fn sign(&mut self, at: usize, data: VoteData) -> Option<Input> {
        let state = self.nodes[at].engine.state().expect("a height is open");
        let node = &mut self.nodes[at];
        let record = node.signer.sign(data, at as ValidatorIndex, state.locked, state.valid).ok()?;
        if !node.records.contains(&record) {
            node.records.retain(|known| known.vote.data.height == data.height);
            node.records.push(record);
        }
        node.memory = node.signer.memory();
        let place = (at, data.height, data.view, data.phase);
        let first = *self.signed.entry(place).or_insert(data);
        assert_eq!(first, data, "one vote per height, view and phase");
        // Durable, but perhaps not sent.
        if self.dice.chance(10 * self.faults.crash) {
            self.crash(at);
            return None;
        }
        if data.phase == Phase::PrePrepare {
            self.broadcast_proposal(at, record.vote);
            if self.faults.liar && at == 0 {
                self.lie(data);
            }
            let certificate = self.certificate_of(at, data);
            return Some(Input::Proposal(record.vote, certificate));
        }
        self.broadcast(at, &Message::Votes(vec![record.vote]));
        if self.faults.liar && at == 0 {
            self.lie(data);
        }
        Some(Input::Votes(vec![record.vote]))
    }

    fn certificate_of(&self, at: usize, data: VoteData) -> Option<Certificate> {
        data.valid_view.and_then(|view| self.nodes[at].engine.prepare_certificate(view))
    }

    fn broadcast_proposal(&mut self, at: usize, vote: Vote) {
        let certificate = self.certificate_of(at, vote.data);
        self.broadcast(at, &Message::Proposal(vote, certificate));
    }

    /// Node 0 tells some of the others something else.
    fn lie(&mut self, data: VoteData) {
        let nil = data.phase != Phase::PrePrepare && self.dice.chance(500);
        let other = if nil { None } else { Some(block(1_000_000 + self.dice.below(3))) };
        let lie = VoteData { block: other, valid_view: None, ..data };
        let vote = Vote::sign(lie, 0, &CHAIN, &self.keys[0]);
        for to in 1..self.nodes.len() {
            if self.dice.chance(500) {
                let lie = match data.phase {
                    Phase::PrePrepare => Message::Proposal(vote, None),
                    Phase::Prepare | Phase::Commit => Message::Votes(vec![vote]),
                };
                self.send(to, lie);
            }
        }
    }

    fn broadcast(&mut self, from: usize, message: &Message) {
        if self.gone.contains(&from) {
            return;
        }
        (0..self.nodes.len()).filter(|to| *to != from).for_each(|to| self.send(to, message.clone()));
    }

    pub(super) fn send(&mut self, to: usize, message: Message) {
        if self.dice.chance(10 * self.faults.loss) {
            return;
        }
        let copies = if self.dice.chance(10 * self.faults.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let at = self.now.plus(1 + self.dice.below(self.faults.delay_max_ms));
            self.sequence += 1;
            self.queue.insert((at, self.sequence), (to, message.clone()));
        }
    }

    fn deliver(&mut self, to: usize, message: Message) {
        if self.gone.contains(&to) {
            return;
        }
        // Stands for sync: who is behind gets the certificates of what it misses.
        let open = self.open_height(to);
        if message.height().is_some_and(|height| height > open) {
            let missing = self.nodes.iter().find_map(|node| node.chain.get(open.0 as usize - 1).cloned());
            if let Some((_, certificate)) = missing {
                self.send(to, Message::Certificate(certificate));
            }
        }
        match message {
            Message::Proposal(vote, certificate) => self.feed(to, Input::Proposal(vote, certificate)),
            Message::Votes(votes) => self.feed(to, Input::Votes(votes)),
            Message::Certificate(certificate) => self.feed(to, Input::Certificate(certificate)),
        }
    }

    /// Runs until virtual time `end`.
    pub(super) fn run(&mut self, end: Time) {
        loop {
            let wakes = self.nodes.iter().map(|node| node.engine.deadline().max(node.frozen_until));
            let deadline = wakes.min().unwrap_or(Time::NEVER);
            let message = self.queue.keys().next().map_or(Time::NEVER, |(at, _)| *at);
            let next = deadline.min(message).max(self.now);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            if message <= next {
                let (_, (to, message)) = self.queue.pop_first().expect("there is a message");
                let thaw = self.nodes[to].frozen_until;
                if thaw > self.now {
                    self.sequence += 1;
                    self.queue.insert((thaw, self.sequence), (to, message));
                    continue;
                }
                self.deliver(to, message);
                if self.dice.chance(10 * self.faults.freeze) {
                    self.nodes[to].frozen_until = self.now.plus(self.dice.below(60_000));
                }
            } else {
                let due = |node: &Node| node.engine.deadline().max(node.frozen_until) <= next;
                let at = self.nodes.iter().position(due).expect("a deadline is due");
                self.feed(at, Input::Tick);
            }
        }
    }

    /// Ends every fault, and thaws everyone.
    pub(super) fn heal(&mut self) {
        let liar = self.faults.liar;
        self.faults =
            Faults { loss: 0, duplicate: 0, crash: 0, freeze: 0, delay_max_ms: 50, liar, invalid: 0 };
        self.nodes.iter_mut().for_each(|node| node.frozen_until = Time(0));
    }

    pub(super) fn heights(&self) -> Vec<usize> {
        self.nodes.iter().map(|node| node.chain.len()).collect()
    }
}
