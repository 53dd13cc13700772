//! Twins (Bano and others, arXiv 2004.10617): a validator that runs twice under one key, each of the two honest for itself, so that
//! together they contradict themselves in every way there is. Who hears whom is said for every round, which lasts as long as a view may;
//! what is not heard is lost. After the last round everybody hears everybody, and nobody runs twice any more.
//!
//! Engines and signers are the real ones, on one height in virtual time. No two blocks may come to have a commit certificate, no honest
//! validator may stand accused, and in the end all have decided.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use timecoin_core::certificate::{Bitmap, Certificate};
use timecoin_core::consensus::{
    Consensus, HeightStart, Input, Output, SignRecord, Signer, SignerMemory, Timeouts,
};
use timecoin_core::hash::{BlockId, ChainId, Hash, MasternodeId, Tag};
use timecoin_core::keys::SecretKey;
use timecoin_core::spec::Rules;
use timecoin_core::testing::Rng;
use timecoin_core::time::Time;
use timecoin_core::validators::{Validator, ValidatorIndex, ValidatorSet};
use timecoin_core::vote::{Height, Phase, ViewNumber, Vote, VoteData};

const CHAIN: ChainId = ChainId(Hash([9; 32]));
/// From one machine to another.
const DELAY_MS: u64 = 20;
/// Nothing may take so long.
const END: Time = Time(3_600_000);
/// Heights that are looked through for one whose proposers come in a good order.
const HEIGHTS: u64 = 2_000;

/// Of [`Play::way`].
const MACHINES: usize = 5;
/// To part them into two groups.
const WAYS: usize = (1 << (MACHINES - 1)) - 1;

/// Of [`Play::sample`]: validators, those of them that run twice, and the most groups of a round.
const SAMPLE: (usize, usize, u64) = (7, 2, 3);

/// A list of scenarios, as the generators of the Twins papers write it.
#[derive(Clone, Debug, Deserialize)]
pub struct Scenarios {
    /// Validators.
    pub num_of_nodes: usize,
    /// So many of the first of them run twice: the second of node 0 is the machine numbered `num_of_nodes`, and so on.
    pub num_of_twins: usize,
    /// Each on its own.
    pub scenarios: Vec<Scenario>,
}

/// What happens in each round, by number.
#[derive(Clone, Debug, Deserialize)]
pub struct Scenario {
    /// Machines that lead: one validator, perhaps both of its machines.
    pub round_leaders: BTreeMap<String, Vec<usize>>,
    /// Groups of machines that hear each other; a machine may be in several.
    pub round_partitions: BTreeMap<String, Vec<Vec<usize>>>,
    /// Machines from which nothing reaches those.
    #[serde(default)]
    pub firewall: BTreeMap<String, BTreeMap<String, Vec<usize>>>,
}

/// A scenario as it is played.
#[derive(Clone, Debug)]
pub struct Play {
    validators: usize,
    twins: usize,
    leaders: Leaders,
    rounds: Vec<Round>,
}

#[derive(Clone, Debug)]
enum Leaders {
    /// These lead the rounds, as nearly as any height draws them, and nobody else leads.
    Wanted(Vec<ValidatorIndex>),
    /// Those whom this height draws.
    Drawn(Height),
}

#[derive(Clone, Debug)]
struct Round {
    groups: Vec<Vec<usize>>,
    walls: BTreeMap<usize, Vec<usize>>,
}

/// How a scenario ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The highest view in which an honest validator's decision was made.
    pub decided_in: ViewNumber,
    /// Contradictions that somebody noticed.
    pub evidence: usize,
}

impl Scenarios {
    /// Reads a list.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The scenarios, to be played.
    ///
    /// # Panics
    /// If a round has no number, no leader, or another machine than there are.
    pub fn plays(&self) -> impl Iterator<Item = Play> + '_ {
        self.scenarios.iter().map(|scenario| {
            let mut rounds: Vec<_> = scenario.round_leaders.iter().collect();
            rounds.sort_by_key(|(number, _)| number.parse::<u64>().expect("rounds have numbers"));
            let leaders =
                rounds.iter().map(|(_, leaders)| (leaders[0] % self.num_of_nodes) as ValidatorIndex);
            let leaders = Leaders::Wanted(leaders.collect());
            let rounds = rounds.into_iter().map(|(number, _)| {
                let walls = scenario.firewall.get(number).into_iter().flatten();
                let walls =
                    walls.map(|(from, to)| (from.parse().expect("machines have numbers"), to.clone()));
                Round { groups: scenario.round_partitions[number].clone(), walls: walls.collect() }
            });
            Play {
                validators: self.num_of_nodes,
                twins: self.num_of_twins,
                leaders,
                rounds: rounds.collect(),
            }
        })
    }
}

impl Play {
    /// In how many ways four validators, of whom the first runs twice and always leads, can be parted into two groups in each of
    /// `rounds` rounds.
    #[must_use]
    pub fn ways(rounds: u32) -> usize {
        WAYS.pow(rounds)
    }

    /// One of these ways, by number.
    #[must_use]
    pub fn way(rounds: u32, number: usize) -> Self {
        let round = |way: usize| {
            // The last machine is always in the second group, so each way comes once.
            let (one, other) = (0..MACHINES).partition(|machine| (way + 1) >> machine & 1 == 1);
            Round { groups: vec![one, other], walls: BTreeMap::new() }
        };
        let ways = (0..rounds).map(|round| number / WAYS.pow(round) % WAYS);
        Self {
            validators: MACHINES - 1,
            twins: 1,
            leaders: Leaders::Wanted(vec![0; rounds as usize]),
            rounds: ways.map(round).collect(),
        }
    }

    /// Seven validators, of whom two run twice, parted by chance into up to three groups in each of `rounds` rounds. Who leads is
    /// chance as well.
    #[must_use]
    pub fn sample(rounds: u32, seed: u64) -> Self {
        let (validators, twins, groups_max) = SAMPLE;
        let mut dice = Rng::new(seed);
        let height = Height(1 + dice.below(HEIGHTS));
        let rounds = (0..rounds).map(|_| {
            let parts = dice.between((1, groups_max)) as usize;
            let mut groups = vec![Vec::new(); parts];
            (0..validators + twins).for_each(|machine| groups[dice.position(parts)].push(machine));
            Round { groups, walls: BTreeMap::new() }
        });
        Self { rounds: rounds.collect(), validators, twins, leaders: Leaders::Drawn(height) }
    }

    /// How many rounds it has.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        self.rounds.len() as u32
    }

    /// Plays it.
    ///
    /// # Errors
    /// What went wrong.
    pub fn run(&self) -> Result<Ending, String> {
        Stage::new(self).run()
    }

    /// The height whose draw of proposers comes nearest to the leaders wanted, and whom proposer choice skips at it: who never leads.
    fn plan(&self, set: &ValidatorSet) -> (Height, Bitmap) {
        let mut skipped = Bitmap::empty(set.len());
        let wanted = match &self.leaders {
            Leaders::Wanted(wanted) => wanted,
            Leaders::Drawn(height) => return (*height, skipped),
        };
        let absent = |index: ValidatorIndex| !wanted.contains(&index);
        let others = |height: &u64| {
            let views = wanted.iter().zip(0..);
            views.filter(|(leader, view)| set.proposer(*height, *view, absent) != **leader).count()
        };
        let heights = if wanted.iter().all(|leader| *leader == wanted[0]) { 1 } else { HEIGHTS };
        let height = (1..=heights).min_by_key(others).expect("there is a height");
        (0..set.len() as ValidatorIndex)
            .filter(|index| absent(*index))
            .for_each(|index| skipped.insert(index));
        (Height(height), skipped)
    }
}

#[derive(Clone, Debug)]
enum Message {
    Proposal(Vote, Option<Certificate>),
    Votes(Vec<Vote>),
    Certificate(Certificate),
}

struct Machine {
    engine: Consensus,
    signer: Signer,
    index: ValidatorIndex,
    decided: Option<Certificate>,
}

struct Stage<'a> {
    play: &'a Play,
    set: Arc<ValidatorSet>,
    machines: Vec<Machine>,
    /// How long a round lasts.
    round_ms: u64,
    queue: BTreeMap<(Time, u64), (usize, Message)>,
    sent: u64,
    now: Time,
    committed: Option<Certificate>,
    evidence: BTreeSet<(ValidatorIndex, Phase, ViewNumber)>,
}

impl<'a> Stage<'a> {
    fn new(play: &'a Play) -> Self {
        let (set, keys) = validators(play.validators);
        let (height, absent) = play.plan(&set);
        let timeouts = Timeouts::from(&Rules::dev());
        let machine = |at: usize| Machine {
            engine: Consensus::new(),
            signer: Signer::new(keys[at % play.validators].clone(), CHAIN, SignerMemory::Born),
            index: (at % play.validators) as ValidatorIndex,
            decided: None,
        };
        let machines = (0..play.validators + play.twins).map(machine).collect();
        let mut stage = Self {
            play,
            set,
            machines,
            round_ms: timeouts.propose_ms + timeouts.prepare_ms + timeouts.commit_ms,
            queue: BTreeMap::new(),
            sent: 0,
            now: Time(0),
            committed: None,
            evidence: BTreeSet::new(),
        };
        for at in 0..stage.machines.len() {
            let start = HeightStart {
                height,
                set: stage.set.clone(),
                absent: absent.clone(),
                timeouts,
                me: Some(stage.machines[at].index),
                parent_time: Time(0),
                parent_certificate: None,
                records: Vec::new(),
            };
            stage.feed(at, Input::Start(start)).expect("nothing has happened");
            stage.feed(at, Input::Work).expect("nothing has happened");
        }
        stage
    }

    fn run(mut self) -> Result<Ending, String> {
        let honest = self.play.twins..self.play.validators;
        while self.machines[honest.clone()].iter().any(|machine| machine.decided.is_none()) {
            let deadlines = self.machines.iter().map(|machine| machine.engine.deadline());
            let deadline = deadlines.min().unwrap_or(Time::NEVER);
            let message = self.queue.keys().next().map_or(Time::NEVER, |(at, _)| *at);
            self.now = deadline.min(message).max(self.now);
            if self.now >= END {
                return Err(format!(
                    "no end in view {:?}",
                    self.machines.iter().map(view_of).collect::<Vec<_>>()
                ));
            }
            if message <= self.now {
                let (_, (to, message)) = self.queue.pop_first().expect("there is a message");
                self.feed(
                    to,
                    match message {
                        Message::Proposal(vote, certificate) => Input::Proposal(vote, certificate),
                        Message::Votes(votes) => Input::Votes(votes),
                        Message::Certificate(certificate) => Input::Certificate(certificate),
                    },
                )?;
            } else {
                let due = |machine: &Machine| machine.engine.deadline() <= self.now;
                let at = self.machines.iter().position(due).expect("a deadline is due");
                self.feed(at, Input::Tick)?;
            }
        }
        let decided = self.machines[honest].iter().filter_map(|machine| machine.decided.as_ref());
        Ok(Ending {
            decided_in: decided.map(|certificate| certificate.data.view).max().unwrap_or_default(),
            evidence: self.evidence.len(),
        })
    }

    fn feed(&mut self, at: usize, input: Input) -> Result<(), String> {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let outputs = self.machines[at].engine.handle(input, self.now);
            if self.machines[at].engine.vote_count() > 22 * self.set.len() {
                return Err("vote memory is not bounded".into());
            }
            for output in outputs {
                let answer = self.answer(at, output)?;
                answer.into_iter().for_each(|input| inputs.insert(0, input));
            }
        }
        Ok(())
    }

    fn answer(&mut self, at: usize, output: Output) -> Result<Option<Input>, String> {
        match output {
            Output::Sign(data) => return Ok(self.sign(at, data)),
            Output::Build { view } => {
                // Each machine makes blocks of its own: a twin's are others.
                let name: [&[u8]; 2] = [&view.0.to_le_bytes(), &at.to_le_bytes()];
                let block = BlockId(Tag::new("timecoin twins block").hash(&name));
                return Ok(Some(Input::Built { view, block }));
            }
            Output::Check(block) => return Ok(Some(Input::BlockVerdict { block, valid: true })),
            Output::Decide { certificate, .. } => {
                self.certified(&certificate)?;
                self.machines[at].decided = Some(certificate.clone());
                self.broadcast(at, &Message::Certificate(certificate));
            }
            Output::Certificate(certificate) => {
                self.certified(&certificate)?;
                self.broadcast(at, &Message::Certificate(certificate));
            }
            Output::Evidence(evidence) => {
                let culprit = evidence.first.validator;
                if evidence.verify(&self.set, &CHAIN).is_err() || usize::from(culprit) >= self.play.twins {
                    return Err(format!("{culprit} stands accused: {evidence:?}"));
                }
                self.evidence.insert((culprit, evidence.first.data.phase, evidence.first.data.view));
            }
            Output::Fork { ours, theirs } => return Err(format!("a fork: {ours:?} and {theirs:?}")),
            Output::EnteredView(_) => {}
            Output::Rebroadcast { votes, certificates, proposal: _ } => {
                certificates.into_iter().for_each(|held| self.broadcast(at, &Message::Certificate(held)));
                let (proposals, votes): (Vec<_>, Vec<_>) =
                    votes.into_iter().partition(|vote| vote.data.phase == Phase::PrePrepare);
                proposals.into_iter().for_each(|vote| self.propose(at, vote));
                self.broadcast(at, &Message::Votes(votes));
                // Stands for sync: who hears that this one still waits, and has the decision, tells it.
                let mut told =
                    (0..self.machines.len()).filter(|to| self.hears(at, *to) && self.hears(*to, at));
                if let Some(decision) = told.find_map(|to| self.machines[to].decided.clone()) {
                    self.send(at, Message::Certificate(decision));
                }
            }
        }
        Ok(None)
    }

    /// Whether a certificate agrees with every other.
    fn certified(&mut self, certificate: &Certificate) -> Result<(), String> {
        certificate.verify(&self.set, &CHAIN).map_err(|error| format!("{certificate:?}: {error}"))?;
        let data = certificate.data;
        if data.phase == Phase::Commit && data.block.is_some() {
            let first = self.committed.get_or_insert_with(|| certificate.clone());
            if first.data.block != data.block {
                return Err(format!("two blocks are final: {first:?} and {certificate:?}"));
            }
        }
        Ok(())
    }

    fn sign(&mut self, at: usize, data: VoteData) -> Option<Input> {
        let Machine { engine, signer, index, .. } = &mut self.machines[at];
        let state = engine.state()?;
        let SignRecord { vote, .. } = signer.sign(data, *index, state.locked, state.valid).ok()?;
        if data.phase == Phase::PrePrepare {
            self.propose(at, vote);
            return Some(Input::Proposal(vote, self.proof(at, data)));
        }
        self.broadcast(at, &Message::Votes(vec![vote]));
        Some(Input::Votes(vec![vote]))
    }

    fn proof(&self, at: usize, data: VoteData) -> Option<Certificate> {
        data.valid_view.and_then(|view| self.machines[at].engine.prepare_certificate(view))
    }

    fn propose(&mut self, at: usize, vote: Vote) {
        let proof = self.proof(at, vote.data);
        self.broadcast(at, &Message::Proposal(vote, proof));
    }

    fn broadcast(&mut self, from: usize, message: &Message) {
        let heard = (0..self.machines.len()).filter(|to| *to != from && self.hears(from, *to));
        heard.collect::<Vec<_>>().into_iter().for_each(|to| self.send(to, message.clone()));
    }

    fn send(&mut self, to: usize, message: Message) {
        self.sent += 1;
        self.queue.insert((self.now.plus(DELAY_MS), self.sent), (to, message));
    }

    /// Whether what a machine sends now reaches another one.
    fn hears(&self, from: usize, to: usize) -> bool {
        let Some(round) = self.play.rounds.get((self.now.0 / self.round_ms) as usize) else {
            return from.max(to) < self.play.validators;
        };
        let is_walled = round.walls.get(&from).is_some_and(|walled| walled.contains(&to));
        !is_walled && round.groups.iter().any(|group| group.contains(&from) && group.contains(&to))
    }
}

fn view_of(machine: &Machine) -> ViewNumber {
    machine.engine.state().map(|state| state.view).unwrap_or_default()
}

/// So many validators of equal weight, and their keys in set order.
fn validators(count: usize) -> (Arc<ValidatorSet>, Vec<SecretKey>) {
    let key = |at: usize| SecretKey::from_seed(&Tag::new("timecoin twins key").hash(&[&at.to_le_bytes()]).0);
    let mut keys: Vec<_> = (0..count).map(key).collect();
    let members = keys.iter().map(|key| Validator {
        key: key.public_key(),
        weight: 1,
        masternode: MasternodeId(Hash(key.public_key().0)),
    });
    let set = ValidatorSet::new(members.collect()).expect("a set of equals");
    let places: BTreeMap<_, _> = set.iter().map(|(index, member)| (member.key, index)).collect();
    keys.sort_by_key(|key| places[&key.public_key()]);
    (Arc::new(set), keys)
}
