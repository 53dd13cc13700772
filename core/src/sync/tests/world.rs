//! The machine among slow, dead and lying peers and one honest one, under virtual time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Honest {
        delay_ms: u64,
    },
    /// Honest, with answers later than any deadline.
    Slow {
        delay_ms: u64,
    },
    Dead,
    /// Gives one item at a time.
    Dripping,
    /// Claims what it does not have.
    Boasting,
    /// Another chain, certified by nobody.
    Forking,
    /// Bodies of other blocks.
    Swapping,
    /// Damaged certificates.
    Damaging,
    /// The wrong kind of answer, or to nobody's question.
    Confused,
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (1..300u64).prop_map(|delay_ms| Kind::Honest { delay_ms }),
        (5_000..20_000u64).prop_map(|delay_ms| Kind::Slow { delay_ms }),
        Just(Kind::Dead),
        Just(Kind::Dripping),
        Just(Kind::Boasting),
        Just(Kind::Forking),
        Just(Kind::Swapping),
        Just(Kind::Damaging),
        Just(Kind::Confused),
    ]
}

static OTHER_CHAIN: LazyLock<Chain> = LazyLock::new(|| Chain::build(5));

impl Kind {
    fn is_honest(self) -> bool {
        matches!(self, Self::Honest { .. } | Self::Slow { .. })
    }

    fn claims(self, head: u64) -> u64 {
        if self == Self::Boasting { 1 << 50 } else { head }
    }

    /// The answer and how long it takes.
    fn answer(self, query: Query, head: u64) -> Option<(Response, u64)> {
        let honest = chain().answer(query, head);
        let answer = match (self, honest) {
            (Self::Dead, _) => return None,
            (Self::Honest { delay_ms } | Self::Slow { delay_ms }, honest) => return Some((honest, delay_ms)),
            (Self::Boasting, Response::Headers(_)) => Response::Headers(vec![]),
            (Self::Boasting, Response::Bodies(_)) => Response::Bodies(vec![]),
            (Self::Dripping, Response::Headers(list)) => {
                Response::Headers(list.into_iter().take(1).collect())
            }
            (Self::Dripping, Response::Bodies(list)) => Response::Bodies(list.into_iter().take(1).collect()),
            (Self::Forking, Response::Headers(list)) => {
                let mut list = list;
                let at = list.len() / 2;
                if let Some(light) = list.get_mut(at) {
                    light.header = OTHER_CHAIN.headers[light.header.height.0 as usize - 1].header.clone();
                }
                Response::Headers(list)
            }
            (Self::Swapping, Response::Bodies(list)) => {
                let mut list = list;
                list.reverse();
                list.push(list[0].clone());
                Response::Bodies(list)
            }
            (Self::Damaging, Response::Headers(mut list)) => {
                if let Some(last) = list.last_mut() {
                    last.certificate.signatures[0].0[9] ^= 4;
                }
                Response::Headers(list)
            }
            (Self::Confused, Response::Headers(_)) => Response::Bodies(vec![Body::default()]),
            (Self::Confused, Response::Bodies(_)) => Response::Headers(vec![chain().headers[0].clone()]),
            (Self::Forking | Self::Damaging | Self::Swapping, honest) => honest,
        };
        Some((answer, 20))
    }
}

struct World {
    sync: Sync,
    peers: Vec<Kind>,
    wire: BTreeMap<(Time, u64), (Request, Response)>,
    sent: u64,
    now: Time,
    head: u64,
    applied: u64,
    /// Every so many requests to an honest peer are lost; never two in a row.
    loss: u64,
    asked_honest: u64,
    steps: u64,
}

impl World {
    fn new(peers: Vec<Kind>, limits: SyncLimits, loss: u64) -> Self {
        let mut world = Self {
            sync: machine(limits),
            peers,
            wire: BTreeMap::new(),
            sent: 0,
            now: Time(0),
            head: LENGTH - 40,
            applied: 0,
            loss,
            asked_honest: 0,
            steps: 0,
        };
        world.announce();
        world
    }

    fn announce(&mut self) {
        for (at, kind) in (1..).zip(&self.peers) {
            self.sync.on_status(peer(at), claim(kind.claims(self.head)), self.now);
        }
    }

    fn kind(&self, key: PublicKey) -> Kind {
        self.peers[usize::from(key.0[0]) - 1]
    }

    fn send(&mut self) {
        for request in self.sync.wanted(self.now) {
            assert!(request.query.is_in_bounds());
            self.sent += 1;
            let kind = self.kind(request.peer);
            self.asked_honest += u64::from(kind.is_honest());
            let is_lost = self.loss > 1 && self.asked_honest.is_multiple_of(self.loss);
            let answer = kind.answer(request.query, self.head).filter(|_| !is_lost);
            if let Some((response, delay_ms)) = answer {
                self.wire.insert((self.now.plus(delay_ms), self.sent), (request, response));
            }
        }
    }

    /// One event; false when nothing will ever happen again.
    fn step(&mut self) -> bool {
        self.steps += 1;
        assert!(self.steps < 20_000, "no progress at {:?}: {:?}", self.now, self.sync.progress());
        self.send();
        let arrival = self.wire.keys().next().copied();
        let at = arrival.map_or(Time::NEVER, |(at, _)| at).min(self.sync.deadline()).max(self.now);
        if at == Time::NEVER {
            return false;
        }
        self.now = at;
        match arrival.filter(|(arrives_at, _)| *arrives_at == at) {
            Some(arrival) => self.deliver(arrival),
            None => {
                for silent in self.sync.tick(at) {
                    let Kind::Honest { .. } = self.kind(silent) else { continue };
                    assert!(self.loss > 1, "an honest peer is not called silent");
                }
            }
        }
        self.check();
        true
    }

    fn deliver(&mut self, arrival: (Time, u64)) {
        let (request, response) = self.wire.remove(&arrival).unwrap();
        // Sometimes the planner had an outdated anchor.
        let stale = chain().anchor(self.applied / 2);
        let anchor = if self.sent.is_multiple_of(7) { &stale } else { self.sync.anchor().as_ref() };
        let checked = check(response, anchor, &CHAIN);
        match self.sync.on_response(request.peer, request.id, checked, self.now) {
            Ok(outputs) => {
                for height in apply(&mut self.sync, outputs, self.now) {
                    assert_eq!(height, self.applied + 1, "blocks come in order");
                    self.applied = height;
                }
            }
            Err(fault) => {
                let kind = self.kind(request.peer);
                assert!(!kind.is_honest(), "{kind:?} is blamed for {fault}");
                if fault.is_proved() {
                    self.sync.on_left(&request.peer);
                }
            }
        }
    }

    fn check(&self) {
        let limits = &self.sync.limits;
        assert!(self.sync.bodies_bytes <= limits.buffer_bytes_max + Body::SIZE_MAX);
        assert!(self.sync.headers.len() <= limits.headers_max);
        for at in 1..=self.peers.len() {
            let key = peer(u8::try_from(at).unwrap());
            let open = self.sync.open_at(&key);
            assert!(open <= limits.per_peer_max, "{open} requests open at one peer");
        }
    }

    fn run(&mut self) {
        while self.applied < self.head && self.step() {}
        assert_eq!(self.applied, self.head, "stuck at {:?}: {:?}", self.now, self.sync.progress());
    }
}

impl Sync {
    fn open_at(&self, key: &PublicKey) -> usize {
        self.requests.values().filter(|request| request.peer == *key && !request.is_late).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_mix_of_peers_with_one_honest_reaches_the_head(
        mut peers in prop::collection::vec(kinds(), 0..8),
        at in any::<prop::sample::Index>(),
        delay_ms in 1..500u64,
        loss in 0..6u64,
        is_tight in any::<bool>(),
    ) {
        peers.insert(at.index(peers.len() + 1), Kind::Honest { delay_ms });
        let tight = SyncLimits { buffer_bytes_max: 8 << 10, response_bytes_max: 4 << 10, headers_max: 40, ..SyncLimits::default() };
        let limits = if is_tight { tight } else { SyncLimits::default() };
        let mut world = World::new(peers, limits, loss);
        world.run();
        // The chain grows: those that were not expelled say so.
        world.head = LENGTH;
        world.announce();
        world.run();
    }
}

#[test]
fn thirty_dead_peers_delay_by_a_hedge_each_not_by_a_timeout() {
    let mut peers = vec![Kind::Dead; 30];
    peers.push(Kind::Honest { delay_ms: 50 });
    let mut world = World::new(peers, SyncLimits::default(), 0);
    world.run();
    assert!(world.now < Time(60_000), "took {:?}", world.now);
}

#[test]
fn slow_honest_peers_alone_are_enough() {
    let mut world = World::new(vec![Kind::Slow { delay_ms: 12_000 }; 2], SyncLimits::default(), 0);
    world.run();
}
