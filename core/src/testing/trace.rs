//! What reached one node of a simulated network, as bytes, and its replay: the same node again, natively or in wasm, with a hash of
//! everything that each step wrote, wanted done and left behind. Two builds that disagree in anything disagree in a hash.

use core::cell::RefCell;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::codec::{Wire, encode};
use crate::driver::{DriverError, restore, step};
use crate::hash::{Hash, Tag};
use crate::keys::SecretKey;
use crate::mempool::MempoolLimits;
use crate::node::{Chain, Effect, Event, Gate, Node, NodeConfig, Ticket, plan};
use crate::peer::handshake::{Origin, PeerId, PeerInfo, Role};
use crate::rows::{Batch, Durability, Key, ReadSet, Table, Value, View};
use crate::spec::ChainSpec;
use crate::store::{MemoryError, MemoryStore, Range, Store};
use crate::time::Time;
use crate::transaction::SignedTransaction;
use crate::vote::Height;

const STEP: Tag = Tag::new("timecoin trace step");

/// One life of a node: from its first start until it was switched off, or nothing more was written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trace {
    /// The chain spec, as JSON.
    pub spec: String,
    /// The seed of the operator key, which had never signed.
    pub operator: [u8; 32],
    /// When it was switched on, by its clock.
    pub begun: Time,
    /// What reached it, in order.
    pub arrivals: Vec<Arrival>,
}

impl Wire for Trace {
    const SIZE_MAX: usize = 1 << 28;
}

/// Events that a node had before it all at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Arrival {
    /// When, by the node's clock.
    pub at: Time,
    /// What.
    pub events: Vec<Recorded>,
}

/// An [`Event`] as bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Recorded {
    /// [`Event::Connected`]: who, its version, role, height and clock; who opened the session, when, and its hash.
    Connected(PeerId, u16, Role, u64, Time, (PeerId, Time, Hash)),
    /// [`Event::Disconnected`].
    Disconnected(PeerId),
    /// [`Event::Frame`].
    Frame(PeerId, Vec<u8>),
    /// [`Event::Submit`].
    Submit(u64, Box<SignedTransaction>),
    /// [`Event::OverrideQuarantine`].
    OverrideQuarantine(Height),
    /// [`Event::Tick`].
    Tick,
}

impl Recorded {
    /// An event of a simulated node; none for those that only real drivers have.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::Connected(PeerInfo { peer, version, role, height, time, origin, listen: None }) => {
                let origin = (origin.initiator, origin.time, origin.id);
                Self::Connected(*peer, *version, *role, *height, *time, origin)
            }
            Event::Disconnected(peer) => Self::Disconnected(*peer),
            Event::Frame(peer, frame) => Self::Frame(*peer, frame.clone()),
            Event::Submit(ticket, signed) => Self::Submit(ticket.0, Box::new(signed.clone())),
            Event::OverrideQuarantine(height) => Self::OverrideQuarantine(*height),
            Event::Tick => Self::Tick,
            Event::Connected(_) | Event::Message(..) | Event::Dialled(..) => return None,
        })
    }

    fn event(self) -> Event {
        match self {
            Self::Connected(peer, version, role, height, time, (initiator, begun, id)) => {
                let origin = Origin { initiator, time: begun, id };
                Event::Connected(PeerInfo { peer, version, role, listen: None, height, time, origin })
            }
            Self::Disconnected(peer) => Event::Disconnected(peer),
            Self::Frame(peer, frame) => Event::Frame(peer, frame),
            Self::Submit(ticket, signed) => Event::Submit(Ticket(ticket), *signed),
            Self::OverrideQuarantine(height) => Event::OverrideQuarantine(height),
            Self::Tick => Event::Tick,
        }
    }
}

/// Where a replayed node stands after an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Its newest final height.
    pub height: Height,
    /// Everything that it wrote, wanted done, and is now.
    pub hash: Hash,
}

/// A memory store that hashes what is committed.
struct Witness {
    store: MemoryStore,
    hasher: RefCell<blake3::Hasher>,
}

impl Store for Witness {
    type Error = MemoryError;

    async fn load(&self, reads: &ReadSet) -> Result<View, MemoryError> {
        self.store.load(reads).await
    }

    async fn commit(&self, batch: &Batch) -> Result<(), MemoryError> {
        let rows: Vec<_> = batch
            .iter()
            .map(|(table, key, value)| (table.name(), key, value.map(|value| &value[..])))
            .collect();
        let is_synced = batch.durability() == Durability::Synced;
        self.hasher.borrow_mut().update(&encode(&("batch", is_synced, rows)));
        self.store.commit(batch).await
    }

    async fn scan(
        &self,
        table: Table,
        range: &Range,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, MemoryError> {
        self.store.scan(table, range, limit).await
    }
}

/// Replays a trace: where the node stands after its start, and after each arrival.
///
/// # Errors
/// If the driver fails, or the node wants to stop.
///
/// # Panics
/// If the spec is none, or the gate or the planner holds that a simulated peer offended.
pub async fn replay(trace: Trace) -> Result<Vec<Stand>, DriverError<MemoryError>> {
    let Trace { spec, operator, begun, arrivals } = trace;
    let chain =
        Arc::new(Chain::new(ChainSpec::from_json(&spec).expect("a trace has the spec it was made with")));
    let operator = Some(SecretKey::from_seed(&operator));
    let config = NodeConfig { chain, operator, mempool: MempoolLimits::default(), discovery: None };
    let store = Witness { store: MemoryStore::default(), hasher: RefCell::new(STEP.hasher()) };
    let (mut node, effects) = restore(config, &store, true, begun).await?;
    let mut context = node.context().clone();
    let mut gate = Gate::default();
    let mut stands = Vec::with_capacity(arrivals.len() + 1);
    perform(&store, &mut gate, effects, begun);
    stands.push(stand(&store, &node));
    for Arrival { at, events } in arrivals {
        let mut effects = Vec::new();
        let events = events.into_iter().map(Recorded::event);
        let admitted: Vec<_> = events.filter_map(|event| gate.admit(event, at, &mut effects)).collect();
        perform(&store, &mut gate, effects, at);
        let jobs: Vec<_> = admitted
            .into_iter()
            .filter_map(|event| plan(&context, event).expect("honest peers do not offend"))
            .collect();
        for job in jobs {
            let effects = step(&mut node, &store, job, at).await?;
            for effect in &effects {
                if let Effect::Context(newer) = effect {
                    context = newer.clone();
                }
            }
            perform(&store, &mut gate, effects, at);
        }
        stands.push(stand(&store, &node));
    }
    Ok(stands)
}

/// Hashes effects in order, and what follows from them at the gate.
fn perform(store: &Witness, gate: &mut Gate, effects: Vec<Effect>, at: Time) {
    for effect in effects {
        let text = match &effect {
            Effect::Send(peers, frame) => {
                store.hasher.borrow_mut().update(&encode(&(peers, &frame[..])));
                continue;
            }
            Effect::Context(context) => format!("context {} {}", context.height, context.tip),
            Effect::State(state) => format!("state {} {}", state.id, state.header.state_root),
            other => format!("{other:?}"),
        };
        store.hasher.borrow_mut().update(&encode(&text));
        if let Effect::Offence(peer, offence) = effect {
            let mut more = Vec::new();
            gate.report(peer, offence, at, &mut more);
            perform(store, gate, more, at);
        }
    }
}

/// Ends the hash of a step with what the node is after it.
fn stand(store: &Witness, node: &Node) -> Stand {
    let mut hasher = store.hasher.replace(STEP.hasher());
    let state = node.state();
    let (consensus, quarantine) = (node.consensus(), node.quarantine());
    let text = format!(
        "{} {} {} {:?} {consensus:?} {quarantine:?} {}",
        state.height(),
        state.id,
        state.header.state_root,
        node.deadline(),
        node.mempool().len(),
    );
    let hash = Hash(*hasher.update(&encode(&text)).finalize().as_bytes());
    Stand { height: state.height(), hash }
}
