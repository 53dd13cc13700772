//! Owns the node and its store: events in, steps, effects out, one timer. One thread does all of it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use futures::future::{Either, select};
use timecoin_core::codec::encode;
use timecoin_core::driver::{self, DriverError};
use timecoin_core::keys::{PublicKey, SecretKey};
use timecoin_core::mempool::MempoolLimits;
use timecoin_core::node::{
    Chain, DiscoveryConfig, Effect, Event, Gate, Job, Lack, Node, NodeConfig, Notice, Offence, Parting,
    PlanContext, RECENT_BLOCKS_MAX, Serve, open, plan,
};
use timecoin_core::peer::handshake::PeerId;
use timecoin_core::spec::ChainSpec;
use timecoin_core::state::tree::{CoinTree, PageKey};
use timecoin_core::time::Time;
use timecoin_web::api::error::sentence;
use timecoin_web::api::{ApiError, Code};
use timecoin_web::net::NetOptions;
use timecoin_web::platform::{entropy, monotonic_ms, now, sleep_ms};
use timecoin_web::store::{IndexedDbStore, StoreError};
use wasm_bindgen_futures::spawn_local;

use crate::links::{Inputs, Links};
use crate::options::Options;
use crate::remote::{Failure, JoinFailure, Remote};
use crate::status::{Stage, Status};

/// Sessions that the node opens.
const OUTBOUND_MAX: usize = 8;
/// What the driver takes.
pub(crate) enum Input {
    /// Of the network.
    Event(Box<Event>),
    /// What a job lacked.
    Proved(Box<Lack>, CoinTree),
    /// Nobody proves any more what a block touches.
    Unproved,
    /// Rows of the state tree.
    Rows(BTreeMap<PageKey, Vec<u8>>),
    /// The page wants it to end.
    Stop,
}

/// Why the driver ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("stopped as asked")]
    Stopped,
    #[error("the store cannot be used: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Driver(#[from] DriverError<StoreError>),
    #[error("the node stopped itself: {0}")]
    Halted(&'static str),
    #[error("the state cannot be had from peers: {0}")]
    Join(#[from] JoinFailure),
    #[error("the state here is too old to go on from")]
    Behind,
}

impl End {
    fn stage(&self) -> Stage {
        let code = match self {
            Self::Stopped => return Stage::Stopped,
            Self::Store(error) | Self::Driver(DriverError::Store(error)) => error.api_code(),
            Self::Driver(DriverError::Tree(_) | DriverError::Restore(_)) => Code::StoreDamaged,
            Self::Halted(_) => Code::Halted,
            Self::Join(JoinFailure::Driver(DriverError::Store(error))) => error.api_code(),
            Self::Join(JoinFailure::Driver(_)) => Code::StoreDamaged,
            Self::Join(JoinFailure::Client(error)) => {
                return Stage::Failed { code: error.code(), message: sentence(self) };
            }
            Self::Behind => Code::Internal,
        };
        Stage::Failed { code: code.code(), message: sentence(self) }
    }
}

/// A validator that has not begun.
pub(crate) struct Driver {
    chain: Arc<Chain>,
    operator: SecretKey,
    unused: bool,
    name: String,
    net: NetOptions,
    inputs: Inputs,
    status: Rc<RefCell<Status>>,
}

impl Driver {
    /// For an operator key, and whether it has never signed.
    pub(crate) fn new(
        options: Options,
        (operator, unused): (SecretKey, bool),
        inputs: Inputs,
        status: Rc<RefCell<Status>>,
    ) -> Result<Self, ApiError> {
        let spec = ChainSpec::from_json(&options.spec).map_err(|error| {
            ApiError::new(Code::ChainSpec, format!("The chain spec cannot be used: {error}."))
        })?;
        let chain = Arc::new(Chain::new(spec));
        let net = NetOptions::new(&chain, options.peers, options.allow_insecure);
        let name = options
            .store
            .unwrap_or_else(|| format!("timecoin-validator-{}-{}", chain.id, operator.public_key()));
        Ok(Self { chain, operator, unused, name, net, inputs, status })
    }

    /// Runs until it is stopped, or cannot go on.
    pub(crate) async fn run(self, waiting: UnboundedReceiver<Input>) {
        let status = Rc::clone(&self.status);
        let Err(end) = self.work(waiting).await;
        status.borrow_mut().stage = end.stage();
    }

    async fn work(self, waiting: UnboundedReceiver<Input>) -> Result<core::convert::Infallible, End> {
        let store = Rc::new(IndexedDbStore::open(self.name.clone()).await?);
        // Where nothing young enough is known to trust, the chain is replayed, as native nodes do.
        let remote = match Remote::open(&self.chain, self.net.clone(), &store, self.inputs.clone()).await {
            Err(JoinFailure::Client(error)) => Err(error),
            opened => Ok(opened?),
        };
        let end = self.validate(&store, &remote, waiting).await;
        remote.iter().for_each(|remote| remote.stop());
        end
    }

    async fn validate(
        self,
        store: &Rc<IndexedDbStore>,
        remote: &Result<Rc<Remote>, Failure>,
        mut waiting: UnboundedReceiver<Input>,
    ) -> Result<core::convert::Infallible, End> {
        let identity = SecretKey::from_seed(&entropy());
        let operator = self.operator.public_key();
        let config = NodeConfig {
            chain: Arc::clone(&self.chain),
            operator: Some(self.operator),
            mempool: MempoolLimits::default(),
            discovery: Some(DiscoveryConfig {
                own: identity.public_key(),
                record: None,
                bootstrap: self.net.bootstrap.clone(),
                policy: self.net.policy,
                outbound_max: OUTBOUND_MAX,
                seed: entropy(),
            }),
        };
        let clock = Rc::new(Clock::default());
        let mut unused = self.unused;
        loop {
            if let Ok(remote) = remote {
                let joining = core::pin::pin!(remote.join(&config, store, unused));
                match select(joining, core::pin::pin!(stop_asked(&mut waiting))).await {
                    Either::Left((joined, _)) => joined?,
                    Either::Right(_) => return Err(End::Stopped),
                }
            }
            let (node, effects) = driver::restore(config.clone(), &**store, unused, clock.now()).await?;
            if let Err(error) = remote
                && node.fill().is_some()
            {
                return Err(JoinFailure::Client(error.clone()).into());
            }
            // Said once: from here on the store remembers.
            unused = false;
            let links = Links::new(self.chain.id, identity.clone(), self.inputs.clone());
            links.set_height(node.state().height().0);
            let mut running = Running {
                context: Arc::clone(node.context()),
                node,
                operator,
                store: Rc::clone(store),
                links,
                remote: remote.as_ref().ok().cloned(),
                filling: false,
                gate: Gate::default(),
                serving: Rc::default(),
                status: Rc::clone(&self.status),
                waiting,
                clock: Rc::clone(&clock),
            };
            let Err(end) = running.run(effects).await;
            running.links.stop();
            waiting = running.waiting;
            if !matches!(end, End::Behind) {
                return Err(end);
            }
        }
    }
}

/// Takes what is of sessions that are over, until the page wants the end.
async fn stop_asked(waiting: &mut UnboundedReceiver<Input>) {
    while let Some(input) = waiting.next().await {
        if matches!(input, Input::Stop) {
            return;
        }
    }
}

/// Time that never decreases.
#[derive(Default)]
struct Clock {
    /// The last time told, and when that was by the clock that nobody sets.
    last: Cell<Option<(Time, u64)>>,
}

impl Clock {
    fn now(&self) -> Time {
        let (wall, read_ms) = (now(), monotonic_ms());
        let (before, before_ms) = self.last.get().unwrap_or((wall, read_ms));
        let time = before.advanced(wall, read_ms.saturating_sub(before_ms));
        // Kept as it was while nothing moves, so that many quick readings add up.
        if time != before || self.last.get().is_none() {
            self.last.set(Some((time, read_ms)));
        }
        time
    }
}

/// A validator that runs.
struct Running {
    node: Node,
    /// What events are checked against.
    context: Arc<PlanContext>,
    operator: PublicKey,
    store: Rc<IndexedDbStore>,
    links: Rc<Links>,
    /// Asked for what the store has not.
    remote: Option<Rc<Remote>>,
    /// Whether rows of the state are on their way.
    filling: bool,
    gate: Gate,
    serving: Rc<Cell<usize>>,
    status: Rc<RefCell<Status>>,
    waiting: UnboundedReceiver<Input>,
    clock: Rc<Clock>,
}

impl Running {
    async fn run(&mut self, first: Vec<Effect>) -> Result<core::convert::Infallible, End> {
        self.perform(first)?;
        self.status.borrow_mut().stage = Stage::Running;
        self.bring_rows(BTreeMap::new()).await?;
        loop {
            self.turn().await?;
            self.show();
            // A block may have left rows behind.
            if !self.filling {
                self.bring_rows(BTreeMap::new()).await?;
            }
            let progress = self.node.sync_progress();
            let behind = progress.target.0.saturating_sub(progress.applied.0);
            if self.node.fill().is_some() && behind > RECENT_BLOCKS_MAX as u64 {
                return Err(End::Behind);
            }
        }
    }

    fn show(&self) {
        let mut status = self.status.borrow_mut();
        status.show(&self.node, &self.operator, &self.links.urls());
    }

    async fn turn(&mut self) -> Result<(), End> {
        let (deadline, now) = (self.node.deadline(), self.clock.now());
        if deadline <= now {
            self.drain(driver::is_gap(deadline, now), now).await?;
            if self.node.deadline() <= self.clock.now() {
                self.step(Job::Tick).await?;
            }
            // Sockets and stores get their turn, also when the deadline is always over.
            sleep_ms(0).await;
            return Ok(());
        }
        let sleep = deadline.since(now).min(driver::SLEEP_MAX_MS);
        match select(self.waiting.next(), core::pin::pin!(sleep_ms(sleep))).await {
            Either::Left((Some(input), _)) => self.take(input).await,
            Either::Left((None, _)) => Err(End::Stopped),
            Either::Right(_) => Ok(()),
        }
    }

    /// Takes the input that is already here before a timer is looked at; after a gap, also what arrives within a moment,
    /// because everything in transit is older than the timer.
    async fn drain(&mut self, after_gap: bool, now: Time) -> Result<(), End> {
        let until = now.plus(if after_gap { driver::GRACE_MS } else { 0 });
        loop {
            match self.waiting.try_recv() {
                Ok(input) => self.take(input).await?,
                Err(_) if self.clock.now() < until => sleep_ms(1).await,
                Err(_) => return Ok(()),
            }
        }
    }

    async fn take(&mut self, input: Input) -> Result<(), End> {
        let event = match input {
            Input::Event(event) => event,
            Input::Proved(lack, proved) => {
                // Where the state has moved on, the job says so itself.
                self.node.take_proof(&proved);
                return self.step(lack.job).await;
            }
            // A proposal that came to nothing, or blocks that all others have long left behind.
            Input::Unproved if self.node.sync_progress().is_behind() => return Err(End::Behind),
            Input::Unproved => return Ok(()),
            Input::Rows(rows) => return self.bring_rows(rows).await,
            Input::Stop => return Err(End::Stopped),
        };
        if let Event::Frame(_, frame) = &*event {
            self.links.taken(frame.len());
        }
        match open(*event) {
            Ok(event) => self.admit(event).await,
            Err((peer, offence)) => self.report(peer, offence),
        }
    }

    async fn admit(&mut self, event: Event) -> Result<(), End> {
        let mut effects = Vec::new();
        let admitted = self.gate.admit(event, self.clock.now(), &mut effects);
        self.perform(effects)?;
        let Some(event) = admitted else { return Ok(()) };
        match plan(&self.context, event) {
            Ok(Some(job)) => self.step(job).await,
            Ok(None) => Ok(()),
            Err((peer, offence)) => self.report(peer, offence),
        }
    }

    /// Takes rows of the state tree, and sends for the next.
    async fn bring_rows(&mut self, rows: BTreeMap<PageKey, Vec<u8>>) -> Result<(), End> {
        self.filling = self.node.fill().is_some_and(|fill| !fill.is_done());
        if !self.filling {
            return Ok(());
        }
        driver::fill(&mut self.node, &*self.store, rows).await?;
        let wanted: Vec<_> =
            self.node.wanted().into_iter().filter(|wanted| wanted.known().is_none()).collect();
        if !wanted.is_empty() {
            self.remote.iter().for_each(|remote| remote.fill(wanted.clone()));
        } else {
            // All that comes next is in memory.
            self.links.inputs().give(Input::Rows(BTreeMap::new()));
        }
        Ok(())
    }

    fn report(&mut self, peer: PeerId, offence: Offence) -> Result<(), End> {
        let mut effects = Vec::new();
        self.gate.report(peer, offence, self.clock.now(), &mut effects);
        self.perform(effects)
    }

    async fn step(&mut self, job: Job) -> Result<(), End> {
        let effects = driver::step(&mut self.node, &*self.store, job, self.clock.now()).await?;
        self.perform(effects)
    }

    /// Performs effects in order, and what follows from them at the gate. The last one may be that the node must stop.
    fn perform(&mut self, effects: Vec<Effect>) -> Result<(), End> {
        let mut effects = VecDeque::from(effects);
        let mut halting = "see the console";
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Send(peers, frame) => peers.iter().for_each(|peer| self.links.send(peer, &frame)),
                Effect::Serve(peer, question) => self.serve(peer, question),
                Effect::Lack(lack) => self.remote.iter().for_each(|remote| remote.prove(lack.clone())),
                Effect::Dial(dial) => self.links.dial(dial),
                Effect::Offence(peer, offence) => {
                    let mut more = Vec::new();
                    self.gate.report(peer, offence, self.clock.now(), &mut more);
                    effects.extend(more);
                }
                Effect::Close(peer, parting) => {
                    if let Parting::Banned { until } = parting {
                        self.links.ban(peer, until);
                    }
                    self.links.close(&peer);
                }
                Effect::Notice(Notice::Fork { .. }) => {
                    halting = "one height has two conflicting certificates; both are kept in the store";
                }
                Effect::Notice(Notice::InvalidDecision { .. }) => {
                    halting = "a quorum committed a block that breaks the rules";
                }
                Effect::Notice(notice) => self.notice(&notice),
                Effect::Context(context) => self.context = context,
                Effect::State(state) => self.links.set_height(state.height().0),
                Effect::Halt => return Err(End::Halted(halting)),
            }
        }
        Ok(())
    }

    fn notice(&self, notice: &Notice) {
        let mut status = self.status.borrow_mut();
        match notice {
            Notice::Signed(..) => {
                status.votes_signed += 1;
                status.last_vote_at = Some(self.clock.now());
            }
            Notice::Finalized { block, certificate, .. } => {
                status.finalized(block, certificate, &self.node, &self.operator);
            }
            _ => {}
        }
    }

    fn serve(&self, peer: PeerId, question: Serve) {
        if self.serving.get() >= driver::SERVING_MAX {
            if let Some(busy) = question.busy() {
                self.links.send(&peer, &encode(&busy));
            }
            return;
        }
        let (store, links, serving) =
            (Rc::clone(&self.store), Rc::clone(&self.links), Rc::clone(&self.serving));
        let state = Arc::clone(self.node.state());
        serving.set(serving.get() + 1);
        spawn_local(async move {
            // A store that cannot answer a peer fails the node at its next step.
            if let Ok(Some(message)) = driver::serve(&*store, || Arc::clone(&state), question).await {
                links.send(&peer, &encode(&message));
            }
            serving.set(serving.get() - 1);
        });
    }
}
