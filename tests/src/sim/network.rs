//! The network between machines: sessions, and what becomes of each frame.
//!
//! A session carries frames in order, as a WebSocket does, unless the weather reorders them. A session that lost
//! a frame is damaged: it breaks a while later, as a TCP connection does, and is dialled again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use timecoin_core::testing::Rng;

/// What travels.
pub(super) type Frame = Arc<[u8]>;

/// How a network treats frames. Shares are per thousand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    latency_ms: (u64, u64),
    lost: u64,
    doubled: u64,
    reordered: u64,
}

impl Weather {
    /// A clear sky over a seeded distance.
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let latency_ms = rng.pick(&[(0, 1), (1, 5), (20, 60), (10, 200)]).unwrap_or((1, 5));
        let rough = rng.chance(300);
        let share = |most: u64, rng: &mut Rng| if rough { rng.below(most) } else { 0 };
        Self { latency_ms, lost: share(5, rng), doubled: share(30, rng), reordered: share(100, rng) }
    }

    /// Much worse for a while, in one way or in all.
    pub(super) fn storm(self, rng: &mut Rng) -> Self {
        let all = rng.chance(200);
        let mut worse =
            |now: u64, most: u64| if all || rng.chance(400) { now + rng.below(most) } else { now };
        let slower = worse(0, 1500);
        Self {
            latency_ms: (self.latency_ms.0, self.latency_ms.1 + slower),
            lost: worse(self.lost, 300),
            doubled: worse(self.doubled, 500),
            reordered: worse(self.reordered, 800),
        }
    }

    /// The same distance, nothing lost, doubled or reordered.
    pub(super) fn cleared(self) -> Self {
        Self { lost: 0, doubled: 0, reordered: 0, ..self }
    }
}

/// A pair of machines, the smaller first.
pub(super) type Pair = (usize, usize);

/// The pair of two machines.
pub(super) fn pair(one: usize, other: usize) -> Pair {
    (one.min(other), one.max(other))
}

/// Machines divided into groups that cannot hear each other.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    /// The group of each machine.
    pub(super) groups: Vec<u64>,
    /// Frames wait for this moment instead of being lost.
    pub(super) held_until: Option<u64>,
}

impl Partition {
    fn divides(&self, one: usize, other: usize) -> bool {
        self.groups.get(one) != self.groups.get(other)
    }
}

/// The state of the network.
pub(super) struct Network {
    pub(super) weather: Weather,
    pub(super) partition: Option<Partition>,
    /// Frames that a machine sends go nowhere.
    pub(super) muted: Option<usize>,
    sessions: BTreeMap<Pair, u64>,
    damaged: BTreeSet<Pair>,
    opened: u64,
    last_arrival: BTreeMap<(usize, usize), u64>,
}

/// What the network does with a frame that was sent.
#[derive(Default)]
pub(super) struct Passage {
    /// When copies arrive.
    pub(super) arrivals: Vec<(u64, Frame)>,
    /// Something was lost for the first time in this session: it will break.
    pub(super) damaged: bool,
}

impl Network {
    /// A network without sessions.
    pub(super) fn new(weather: Weather) -> Self {
        Self {
            weather,
            partition: None,
            muted: None,
            sessions: BTreeMap::new(),
            damaged: BTreeSet::new(),
            opened: 0,
            last_arrival: BTreeMap::new(),
        }
    }

    /// The session of two machines.
    pub(super) fn session(&self, pair: Pair) -> Option<u64> {
        self.sessions.get(&pair).copied()
    }

    /// Opens a session; there must be none.
    pub(super) fn open(&mut self, pair: Pair) -> u64 {
        self.opened += 1;
        let replaced = self.sessions.insert(pair, self.opened);
        assert!(replaced.is_none(), "two machines have at most one session");
        self.opened
    }

    /// Ends a session.
    pub(super) fn close(&mut self, pair: Pair) {
        self.sessions.remove(&pair);
        self.damaged.remove(&pair);
        self.last_arrival.remove(&pair);
        self.last_arrival.remove(&(pair.1, pair.0));
    }

    /// Sessions that lost something.
    pub(super) fn damaged(&self) -> Vec<Pair> {
        self.damaged.iter().copied().collect()
    }

    /// Whether two machines can open a session now.
    pub(super) fn is_passable(&self, pair: Pair) -> bool {
        let muted = [Some(pair.0), Some(pair.1)].contains(&self.muted);
        !muted && !self.partition.as_ref().is_some_and(|partition| partition.divides(pair.0, pair.1))
    }

    /// Sends a frame.
    pub(super) fn send(&mut self, rng: &mut Rng, now: u64, from: usize, to: usize, frame: Frame) -> Passage {
        let divided = self.partition.as_ref().filter(|partition| partition.divides(from, to));
        let held_until = divided.and_then(|partition| partition.held_until);
        let frames = match divided {
            Some(Partition { held_until: None, .. }) => Vec::new(),
            _ => self.corrupt(rng, from, frame),
        };
        let damaged = frames.is_empty() && self.damaged.insert(pair(from, to));
        let arrivals = frames.into_iter().map(|frame| {
            let sent = held_until.map_or(now, |until| until.max(now));
            (self.arrival(rng, sent, from, to), frame)
        });
        Passage { arrivals: arrivals.collect(), damaged }
    }

    /// Every frame passes here on its way out and leaves as none, one or several: the seam for senders that lie.
    fn corrupt(&mut self, rng: &mut Rng, from: usize, frame: Frame) -> Vec<Frame> {
        if self.muted == Some(from) || rng.chance(self.weather.lost) {
            return Vec::new();
        }
        let copies = 1 + usize::from(rng.chance(self.weather.doubled));
        vec![frame; copies]
    }

    fn arrival(&mut self, rng: &mut Rng, sent: u64, from: usize, to: usize) -> u64 {
        let arrival = sent + rng.between(self.weather.latency_ms);
        if rng.chance(self.weather.reordered) {
            return arrival + rng.between(self.weather.latency_ms);
        }
        let last = self.last_arrival.entry((from, to)).or_default();
        *last = arrival.max(*last);
        *last
    }
}
