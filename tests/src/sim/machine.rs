//! One computer: a node, the store it lives on, a clock that may be wrong, and a network card that may be frozen.
//! It is the driver of its node, as `native` and `web` are: plan, step, perform.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt;
use timecoin_core::block::Block;
use timecoin_core::certificate::Certificate;
use timecoin_core::codec::{decode, encode};
use timecoin_core::driver::{DriverError, restore, serve, step};
use timecoin_core::keys::SecretKey;
use timecoin_core::mempool::MempoolLimits;
use timecoin_core::node::{
    Chain, Effect, Event, Gate, Job, Node, NodeConfig, Offence, PlanContext, Serve, plan,
};
use timecoin_core::peer::handshake::PeerId;
use timecoin_core::rows::{ReadSet, Table};
use timecoin_core::schema::{HeaderRow, height_key};
use timecoin_core::store::{MemoryError, MemoryStore, Store};
use timecoin_core::testing::trace::{Arrival, Recorded, Trace};
use timecoin_core::time::Time;
use timecoin_core::vote::Height;

use super::scenario::START;

/// Why a machine stopped in the middle of an event.
pub(super) enum Stop {
    /// The store failed: the node is gone until the machine restarts.
    Store,
    /// The driver failed for a reason that no fault explains.
    Broken(DriverError<MemoryError>),
    /// The node holds that an honest peer offended.
    Accused(PeerId, Offence),
}

/// A computer on the network.
pub(super) struct Machine {
    pub(super) peer: PeerId,
    pub(super) operator: SecretKey,
    /// Which of its operator keys is in.
    pub(super) rotation: u64,
    /// The operator keys that were in at any time.
    used: BTreeSet<u64>,
    /// Those that may have signed what the store does not remember.
    unsure: BTreeSet<u64>,
    pub(super) store: MemoryStore,
    pub(super) node: Option<Node>,
    /// What it lets in.
    pub(super) gate: Gate,
    /// How far the clock is off.
    pub(super) skew_ms: i64,
    /// Receives nothing and does nothing; what is sent to it waits.
    pub(super) frozen: bool,
    /// What waits.
    pub(super) inbox: Vec<Event>,
    /// When the next tick is scheduled, in global time.
    pub(super) tick_at: u64,
    /// Ticks in a row after which the next was already due.
    pub(super) spins: u32,
    /// The store has lost what was durable: the next start comes back to an earlier state.
    pub(super) forgetful: bool,
    /// The newest height it had signed anything of when it last stopped.
    signed: Option<Height>,
    /// The disk is full: the next commit fails.
    pub(super) full: bool,
    /// Copies of the store, oldest first.
    pub(super) backups: Vec<MemoryStore>,
    chain: Arc<Chain>,
    context: Option<Arc<PlanContext>>,
    clock: Time,
    born: bool,
    /// What reaches it in its first life, where somebody wants to know.
    pub(super) trace: Option<Trace>,
    /// The newest final height when it was switched off for the first time.
    pub(super) first_life_ended: Option<Height>,
}

impl Machine {
    /// A new computer, switched off.
    pub(super) fn new(chain: &Arc<Chain>, identity: &SecretKey, operator: SecretKey, skew_ms: i64) -> Self {
        Self {
            peer: PeerId(identity.public_key()),
            operator,
            rotation: 0,
            used: BTreeSet::from([0]),
            unsure: BTreeSet::new(),
            store: MemoryStore::default(),
            node: None,
            gate: Gate::default(),
            skew_ms,
            frozen: false,
            inbox: Vec::new(),
            tick_at: u64::MAX,
            spins: 0,
            forgetful: false,
            signed: None,
            full: false,
            backups: Vec::new(),
            chain: chain.clone(),
            context: None,
            clock: Time(0),
            born: true,
            trace: None,
            first_life_ended: None,
        }
    }

    /// From now on what reaches it is written down, until it is switched off.
    pub(super) fn record(&mut self) {
        let spec = self.chain.spec.to_json();
        let operator = *self.operator.seed();
        self.trace = Some(Trace { spec, operator, begun: Time(0), arrivals: Vec::new() });
    }

    /// Its clock: off by the skew, and never going back.
    pub(super) fn clock(&mut self, now: u64) -> Time {
        let shown = START.0.saturating_add(now).saturating_add_signed(self.skew_ms);
        self.clock = self.clock.max(Time(shown));
        self.clock
    }

    /// When its clock will show `time`.
    pub(super) fn global(&self, time: Time) -> u64 {
        time.0.saturating_add_signed(-self.skew_ms).saturating_sub(START.0)
    }

    /// Switches it on.
    pub(super) fn boot(&mut self, now: u64) -> Result<Vec<Effect>, Stop> {
        let config = NodeConfig {
            chain: self.chain.clone(),
            operator: Some(self.operator.clone()),
            mempool: MempoolLimits::default(),
            discovery: None,
        };
        let clock = self.clock(now);
        if let Some(trace) = self.trace.as_mut().filter(|_| self.born) {
            trace.begun = clock;
        }
        let restored = restore(config, &self.store, core::mem::take(&mut self.born), clock);
        let (node, effects) = ready(restored).map_err(stop)?;
        self.context = Some(node.context().clone());
        self.node = Some(node);
        self.spins = 0;
        Ok(effects)
    }

    /// The power fails: of the commits since the last sync, the first `kept` survive.
    pub(super) fn crash(&mut self, kept: usize) {
        self.signed = self.signed_at();
        self.first_life_ended = self.first_life_ended.or(self.height());
        self.store.crash(kept);
        self.node = None;
        self.gate = Gate::default();
        self.context = None;
        self.frozen = false;
        self.full = false;
        self.inbox.clear();
        self.tick_at = u64::MAX;
    }

    /// Lets events in and checks them against the node's present context, all at once as workers would.
    pub(super) fn plan(&mut self, events: Vec<Event>, now: u64) -> Result<(Vec<Job>, Vec<Effect>), Stop> {
        let (clock, mut effects) = (self.clock(now), Vec::new());
        let Some(context) = &self.context else { return Ok((Vec::new(), effects)) };
        if let Some(trace) = self.trace.as_mut().filter(|_| self.first_life_ended.is_none()) {
            let events = events.iter().filter_map(Recorded::of).collect();
            trace.arrivals.push(Arrival { at: clock, events });
        }
        let gate = &mut self.gate;
        let admitted = events.into_iter().filter_map(|event| gate.admit(event, clock, &mut effects));
        let jobs: Result<Vec<_>, _> = admitted.map(|event| plan(context, event)).collect();
        let jobs = jobs.map_err(|(peer, offence)| Stop::Accused(peer, offence))?;
        Ok((jobs.into_iter().flatten().collect(), effects))
    }

    /// Counts an offence that proves nothing.
    pub(super) fn report(&mut self, peer: PeerId, offence: Offence, now: u64) -> Vec<Effect> {
        let (clock, mut effects) = (self.clock(now), Vec::new());
        self.gate.report(peer, offence, clock, &mut effects);
        effects
    }

    /// Does one job. The context it publishes is in force at once.
    pub(super) fn work(&mut self, job: Job, now: u64) -> Result<Vec<Effect>, Stop> {
        let clock = self.clock(now);
        let Some(node) = &mut self.node else { return Ok(Vec::new()) };
        let effects = ready(step(node, &self.store, job, clock)).map_err(stop)?;
        for effect in &effects {
            if let Effect::Context(context) = effect {
                self.context = Some(context.clone());
            }
        }
        Ok(effects)
    }

    /// The operator puts in another key.
    pub(super) fn put_in(&mut self, operator: SecretKey, rotation: u64) {
        self.operator = operator;
        self.rotation = rotation;
        self.used.insert(rotation);
    }

    /// The store comes back as another: what the keys used so far have signed, it may not remember.
    pub(super) fn forget(&mut self, store: MemoryStore) {
        self.store = store;
        self.forgetful = true;
        self.unsure.clone_from(&self.used);
    }

    /// The newest height it signed anything of, whatever its store remembers.
    pub(super) fn signed_at(&self) -> Option<Height> {
        self.node.as_ref().and_then(Node::signed_at).max(self.signed)
    }

    /// Whether the operator knows that the key has signed nothing that the store does not remember.
    pub(super) fn is_vouched(&self) -> bool {
        !self.unsure.contains(&self.rotation)
    }

    /// The newest final height.
    pub(super) fn height(&self) -> Option<Height> {
        self.node.as_ref().map(|node| node.state().height())
    }

    /// Whether it takes part right now.
    pub(super) fn is_live(&self) -> bool {
        self.node.is_some() && !self.frozen
    }

    /// A final block and its certificate, from the store.
    pub(super) fn stored_block(&self, height: Height) -> Option<(Block, Option<Certificate>)> {
        let mut reads = ReadSet::default();
        let key = height_key(height);
        reads.insert(Table::Header, key.clone());
        reads.insert(Table::Body, key.clone());
        let view = ready(self.store.load(&reads)).ok()?;
        let row: HeaderRow = decode(view.row(Table::Header, &key)?).ok()?;
        let body = decode(view.row(Table::Body, &key)?).ok()?;
        Some((Block { header: row.header, body }, row.certificate))
    }

    /// The frame that answers a peer from the store.
    pub(super) fn served(&self, question: Serve) -> Option<Arc<[u8]>> {
        let node = self.node.as_ref()?;
        let answer = ready(serve(&self.store, || node.state().clone(), question)).ok()??;
        Some(encode(&answer).into())
    }
}

/// The value of a future over a memory store.
fn ready<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("a memory store never makes anyone wait")
}

fn stop(error: DriverError<MemoryError>) -> Stop {
    match error {
        DriverError::Store(MemoryError) => Stop::Store,
        DriverError::Tree(_) | DriverError::Restore(_) => Stop::Broken(error),
    }
}
