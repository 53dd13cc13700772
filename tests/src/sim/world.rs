//! The world: machines, the network between them, virtual time, and the order in which things happen.
//!
//! Everything that happens is an [`Occurrence`] in one queue ordered by time and number; nothing else moves the
//! world, so a seed fixes it entirely. Every occurrence goes into the trace.

use std::collections::BTreeMap;
use std::sync::Arc;

use timecoin_core::hash::{Hash, Tag};
use timecoin_core::node::{Chain, Event, Node, Ticket};
use timecoin_core::peer::handshake::PeerId;
use timecoin_core::time::Time;
use timecoin_core::transaction::{Action, SignedTransaction};

use super::checks::Checks;
use super::failure::Failure;
use super::faults::Faults;
use super::healing::Healing;
use super::machine::{Machine, Stop};
use super::network::{Frame, Network, Pair, pair};
use super::scenario::{Scenario, key};
use super::workload::{Workload, operator};
use super::{Options, Topology};
use timecoin_core::testing::Rng;

/// A node that is due again this often in a row without time passing is stuck.
const SPINS_MAX: u32 = 100;

/// Something that is going to happen.
pub(super) enum Occurrence {
    /// A frame arrives.
    Deliver { to: usize, from: usize, session: u64, frame: Frame },
    /// A machine's deadline.
    Tick(usize),
    /// Two machines try to open a session.
    Dial(Pair),
    /// A damaged session breaks.
    Break(Pair, u64),
    /// A machine is switched on.
    Boot(usize),
    /// A frozen machine goes on.
    Thaw(usize),
    /// Users want something.
    Orders,
    /// A transaction reaches a machine.
    Submit(usize, Box<SignedTransaction>, Option<&'static str>),
    /// A machine notices that its session with another is gone.
    Gone(usize, usize),
    /// A machine's operator puts in the key that now votes for it.
    Rekey(usize),
    /// Another fault.
    Fault,
    /// The end of a fault that concerns the network as a whole; its number.
    Clear(u64),
}

/// Where the run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Faults happen.
    Chaos,
    /// No fault any more: everything has to come to rest.
    Healing(Healing),
    /// Everything came to rest.
    Settled,
}

/// Everything there is.
pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) now: u64,
    pub(super) chain: Arc<Chain>,
    pub(super) scenario: Scenario,
    pub(super) machines: Vec<Machine>,
    pub(super) network: Network,
    pub(super) faults: Faults,
    pub(super) workload: Workload,
    pub(super) checks: Checks,
    pub(super) stage: Stage,
    /// Chaos ends at this height.
    heights: u64,
    log: bool,
    pub(super) topology: Topology,
    pub(super) steps: u64,
    pub(super) submitted: u64,
    queue: BTreeMap<(u64, u64), Occurrence>,
    scheduled: u64,
    pub(super) peers: BTreeMap<PeerId, usize>,
    /// Submissions under way that no node may accept, with why.
    pub(super) invalid: BTreeMap<Ticket, &'static str>,
    trace: blake3::Hasher,
}

impl World {
    /// The world of a seed, all machines about to be switched on.
    pub(super) fn new(seed: u64, options: &Options) -> Self {
        const TRACE: Tag = Tag::new("timecoin simulator trace");
        let mut rng = Rng::new(seed);
        let scenario = Scenario::new(seed, options, &mut rng);
        let chain = scenario.chain.clone();
        let machines: Vec<_> = (0..scenario.machines)
            .map(|at| {
                let identity = key(seed, "identity", at as u64);
                Machine::new(&chain, &identity, operator(seed, at, 0), scenario.skews_ms[at])
            })
            .collect();
        let mut world = Self {
            now: 0,
            network: Network::new(scenario.weather),
            faults: Faults::default(),
            workload: Workload::new(&scenario),
            checks: Checks::new(&chain, machines.len()),
            stage: Stage::Chaos,
            heights: options.heights,
            log: options.log,
            topology: options.topology,
            steps: 0,
            submitted: 0,
            queue: BTreeMap::new(),
            scheduled: 0,
            peers: machines.iter().enumerate().map(|(at, machine)| (machine.peer, at)).collect(),
            invalid: BTreeMap::new(),
            trace: TRACE.hasher(),
            machines,
            chain,
            scenario,
            rng,
        };
        for machine in 0..world.machines.len() {
            let delay = world.rng.below(200);
            world.after(delay, Occurrence::Boot(machine));
        }
        world.after(300, Occurrence::Orders);
        if let Some(gap) = world.scenario.fault_gap_ms {
            let delay = 500 + world.rng.between(gap);
            world.after(delay, Occurrence::Fault);
        }
        world
    }

    /// Tells what happens, where somebody wants to know.
    pub(super) fn log(&self, machine: usize, what: impl FnOnce() -> String) {
        if self.log {
            let height = self.machines[machine].height().unwrap_or_default();
            eprintln!("{:>8} ms  [{machine}] at {height}: {}", self.now, what());
        }
    }

    /// What has happened so far, as one hash.
    pub(super) fn trace(&self) -> Hash {
        Hash(*self.trace.finalize().as_bytes())
    }

    /// Lets something happen later.
    pub(super) fn after(&mut self, delay_ms: u64, occurrence: Occurrence) {
        self.scheduled += 1;
        self.queue.insert((self.now + delay_ms, self.scheduled), occurrence);
    }

    /// The next occurrence.
    pub(super) fn advance(&mut self) -> Result<(), Failure> {
        let Some(((time, _), occurrence)) = self.queue.pop_first() else {
            return Err(Failure::Endless { steps: self.steps, machines: self.describe() });
        };
        self.now = time;
        self.steps += 1;
        self.note(&occurrence);
        match occurrence {
            Occurrence::Deliver { to, from, session, frame } => {
                if self.network.session(pair(to, from)) == Some(session) {
                    let peer = self.machines[from].peer;
                    self.happen(to, Event::Frame(peer, frame.to_vec()))?;
                }
            }
            Occurrence::Tick(machine) => self.tick(machine)?,
            Occurrence::Dial(pair) => self.dial(pair)?,
            Occurrence::Break(pair, session) => {
                if self.network.session(pair) == Some(session) {
                    self.hang_up(pair);
                }
            }
            Occurrence::Boot(machine) => self.boot(machine)?,
            Occurrence::Thaw(machine) => self.thaw(machine)?,
            Occurrence::Orders => self.order(),
            Occurrence::Submit(machine, signed, invalid) => self.submit(machine, *signed, invalid)?,
            Occurrence::Gone(machine, other) => {
                let peer = self.machines[other].peer;
                self.happen(machine, Event::Disconnected(peer))?;
            }
            Occurrence::Rekey(machine) => self.rekey(machine)?,
            Occurrence::Fault => self.fault(),
            Occurrence::Clear(number) => self.clear(number),
        }
        self.progress(self.heights)
    }

    fn note(&mut self, occurrence: &Occurrence) {
        let (kind, numbers): (u8, [u64; 3]) = match occurrence {
            Occurrence::Deliver { to, from, session, .. } => (0, [*to as u64, *from as u64, *session]),
            Occurrence::Tick(machine) => (1, [*machine as u64, 0, 0]),
            Occurrence::Dial((one, other)) => (2, [*one as u64, *other as u64, 0]),
            Occurrence::Break((one, other), session) => (3, [*one as u64, *other as u64, *session]),
            Occurrence::Boot(machine) => (4, [*machine as u64, 0, 0]),
            Occurrence::Thaw(machine) => (5, [*machine as u64, 0, 0]),
            Occurrence::Orders => (6, [0; 3]),
            Occurrence::Submit(machine, ..) => (7, [*machine as u64, 0, 0]),
            Occurrence::Fault => (8, [0; 3]),
            Occurrence::Clear(number) => (9, [*number, 0, 0]),
            Occurrence::Gone(machine, other) => (10, [*machine as u64, *other as u64, 0]),
            Occurrence::Rekey(machine) => (11, [*machine as u64, 0, 0]),
        };
        self.trace.update(&[kind]).update(&self.now.to_le_bytes());
        numbers.iter().for_each(|number| {
            self.trace.update(&number.to_le_bytes());
        });
        if let Occurrence::Deliver { frame, .. } = occurrence {
            self.trace.update(frame);
        }
    }

    /// An event reaches a machine: at once, or when it thaws.
    pub(super) fn happen(&mut self, machine: usize, event: Event) -> Result<(), Failure> {
        let there = &mut self.machines[machine];
        if there.node.is_none() {
            return Ok(());
        }
        if there.frozen {
            there.inbox.push(event);
            return Ok(());
        }
        self.work(machine, vec![event])
    }

    /// A machine works through events that it has before it all at once.
    pub(super) fn work(&mut self, machine: usize, events: Vec<Event>) -> Result<(), Failure> {
        let (jobs, effects) = match self.machines[machine].plan(events, self.now) {
            Ok(planned) => planned,
            Err(stop) => return self.stopped(machine, stop),
        };
        self.perform(machine, effects)?;
        for job in jobs {
            match self.machines[machine].work(job, self.now) {
                Ok(effects) => self.perform(machine, effects)?,
                Err(stop) => return self.stopped(machine, stop),
            }
        }
        if let Some(node) = &self.machines[machine].node {
            self.checks.after_step(machine, node)?;
        }
        self.schedule_tick(machine);
        Ok(())
    }

    pub(super) fn stopped(&mut self, machine: usize, stop: Stop) -> Result<(), Failure> {
        match stop {
            Stop::Store => {
                self.crash(machine);
                Ok(())
            }
            Stop::Broken(error) => Err(Failure::Driver { machine, error: error.to_string() }),
            Stop::Accused(peer, offence) => {
                let peer = self.peers.get(&peer).copied();
                Err(Failure::Accused { machine, peer, offence: offence.to_string() })
            }
        }
    }

    pub(super) fn tick(&mut self, machine: usize) -> Result<(), Failure> {
        let now = self.now;
        let there = &mut self.machines[machine];
        if there.tick_at != now || !there.is_live() {
            return Ok(());
        }
        there.tick_at = u64::MAX;
        let clock = there.clock(now);
        let due = |there: &Machine| there.node.as_ref().is_some_and(|node| node.deadline() <= clock);
        if !due(there) {
            self.schedule_tick(machine);
            return Ok(());
        }
        self.work(machine, vec![Event::Tick])?;
        let there = &mut self.machines[machine];
        there.spins = if due(there) { there.spins + 1 } else { 0 };
        if there.spins > SPINS_MAX { Err(Failure::Spin { machine }) } else { Ok(()) }
    }

    /// Wakes a machine at its deadline; a deadline that has passed is due in a millisecond.
    pub(super) fn schedule_tick(&mut self, machine: usize) {
        let now = self.now;
        let there = &mut self.machines[machine];
        let Some(node) = there.node.as_ref().filter(|_| !there.frozen) else { return };
        let deadline = node.deadline();
        if deadline == Time::NEVER {
            return;
        }
        let at = there.global(deadline).max(now + 1);
        if at < there.tick_at || there.tick_at <= now {
            there.tick_at = at;
            self.after(at - now, Occurrence::Tick(machine));
        }
    }

    /// Where every machine stands, for reports.
    pub(super) fn describe(&self) -> String {
        let line = |(at, machine): (usize, &Machine)| {
            let Some(node) = &machine.node else { return format!("[{at}] down") };
            let consensus = node.consensus().map(|state| format!("view {} {:?}", state.view, state.step));
            let pending = node.mempool().iter().map(|pending| pending.transaction());
            let waiting = node.mempool().len();
            let pending: Vec<_> =
                pending.take(3).map(|pending| (pending.id(), action_name(&pending.action))).collect();
            let (frozen, quarantine) = (if machine.frozen { " frozen" } else { "" }, node.quarantine());
            format!(
                "[{at}] height {} {} {}{frozen} {} {waiting} pending {:?}",
                node.state().height(),
                consensus.unwrap_or_default(),
                self.describe_key(at, machine, node),
                quarantine.map_or_else(String::new, |quarantine| format!("{quarantine:?}")),
                pending,
            )
        };
        let lines: Vec<_> = self.machines.iter().enumerate().map(line).collect();
        let (able, total) = self.able();
        format!("{able} of {total} weight can sign; {}", lines.join("; "))
    }

    /// The weight, at the newest open height, of validators whose key is in a machine that runs and may sign; and of
    /// all. Less than a quorum decides nothing, whatever the protocol.
    fn able(&self) -> (u64, u64) {
        let nodes = || self.machines.iter().filter_map(|machine| Some((machine, machine.node.as_ref()?)));
        let newest = nodes().max_by_key(|(_, node)| node.state().height());
        let Some(set) = newest.map(|(_, node)| node.state().validators.clone()) else { return (0, 0) };
        let signing = nodes().filter(|(machine, node)| !machine.frozen && node.quarantine().is_none());
        let weights = signing.filter_map(|(machine, _)| {
            let index = set.index_of(&machine.operator.public_key())?;
            set.validator(index).map(|member| member.weight)
        });
        (weights.sum(), set.total())
    }

    /// Whose votes a machine's key casts at the open height, or why it casts none.
    fn describe_key(&self, at: usize, machine: &Machine, node: &Node) -> String {
        let state = node.state();
        if let Some(index) = state.validators.index_of(&machine.operator.public_key()) {
            return format!("is validator {index}");
        }
        let own = self.workload.masternode(at, &state.registry);
        let member =
            own.and_then(|own| state.validators.iter().find(|(_, member)| member.masternode == own.id));
        match member {
            Some((index, member)) => format!(
                "has key {} and not key {:?} of validator {index}",
                machine.rotation,
                self.workload.rotation(at, &member.key)
            ),
            None => String::from("is no validator"),
        }
    }
}

fn action_name(action: &Action) -> &'static str {
    match action {
        Action::Transfer => "transfer",
        Action::RegisterMasternode { .. } => "register",
        Action::RetireMasternode { .. } => "retire",
        Action::RotateOperator { .. } => "rotate",
        Action::Reward { .. } => "reward",
    }
}
