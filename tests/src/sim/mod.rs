//! The simulator: whole networks of real nodes in one thread, in virtual time, fixed entirely by a seed.
//!
//! It is the third driver of the core, beside `native` and `web`: the same `plan`, `driver::restore`,
//! `driver::step`, with a network and disks that fail on purpose.
//!
//! | file | what |
//! |---|---|
//! | `scenario` | what a seed decides before the start |
//! | `world` | machines, the queue of occurrences, virtual time, the trace |
//! | `machine` | one computer: node, store, clock |
//! | `effects` | what nodes do to the world |
//! | `network` | sessions, and what becomes of frames; the seam for senders that lie |
//! | `links` | sessions opened and broken, machines switched off |
//! | `faults` | what goes wrong, when and for how long |
//! | `healing` | the end of faults, and the liveness checks after it |
//! | `workload` | what users do |
//! | `checks` | what must hold after every step, and independent books |
//! | `failure`, `report` | what can be found, and how it is told |
//!
//! Invariants: one stream of chance per run; nothing reads a clock; occurrences are ordered by time and number,
//! so equal seeds give equal traces. It simulates honest nodes only; it does not simulate bandwidth.

mod checks;
mod effects;
mod failure;
mod faults;
mod healing;
mod links;
mod machine;
mod network;
mod report;
mod scenario;
mod workload;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use failure::Failure;
pub use report::{Outcome, Summary};

use timecoin_core::hash::Hash;
use timecoin_core::testing::trace::Trace;
use timecoin_core::vote::Height;
use world::{Stage, World};

/// Who has sessions with whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Topology {
    /// Everybody with everybody.
    #[default]
    Mesh,
    /// Each with two neighbours.
    Ring,
    /// The same, but for one session: every message between the ends passes everybody.
    Line,
    /// All with one, which is a relay.
    Star,
}

/// Relays among the validators where not everybody has a session with everybody.
const RELAYS: usize = 2;

impl Topology {
    /// The topology of a name, as in arguments.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "mesh" => Self::Mesh,
            "ring" => Self::Ring,
            "line" => Self::Line,
            "star" => Self::Star,
            _ => return None,
        })
    }

    fn relays(self) -> usize {
        if self == Self::Mesh { 0 } else { RELAYS }
    }

    /// Whether two machines may have a session. The last machines are relays, and stand among the others.
    fn joins(self, one: usize, other: usize, machines: usize) -> bool {
        let place =
            |machine: usize| if machine.is_multiple_of(2) { machine / 2 } else { machines - 1 - machine / 2 };
        let (low, high) = (place(one).min(place(other)), place(one).max(place(other)));
        match self {
            Self::Mesh => true,
            Self::Line => high - low == 1,
            Self::Ring => high - low == 1 || (low == 0 && high == machines - 1),
            Self::Star => one.max(other) == machines - 1,
        }
    }
}

/// How a seed is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Validators at genesis; where it is not said, the seed decides among 1, 4 and 7.
    pub nodes: Option<usize>,
    /// Who has sessions with whom.
    pub topology: Topology,
    /// Faults stop once this height is final.
    pub heights: u64,
    /// A run that has not ended after so many steps has failed.
    pub steps_max: u64,
    /// Tell what happens as it happens, on standard error.
    pub log: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: None, topology: Topology::Mesh, heights: 100, steps_max: 2_000_000, log: false }
    }
}

/// Runs a seed to its end.
#[must_use]
pub fn run(seed: u64, options: &Options) -> Outcome {
    let mut world = None;
    let ran = catch_unwind(AssertUnwindSafe(|| play(world.insert(World::new(seed, options)), options)));
    let failure = match ran {
        Ok(result) => result.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Some(Failure::Panic(text.unwrap_or_default()))
        }
    };
    match world {
        Some(world) => outcome(seed, &world, failure),
        None => Outcome {
            seed,
            validators: 0,
            heights: 0,
            transactions: 0,
            steps: 0,
            virtual_ms: 0,
            views: Default::default(),
            faults: Default::default(),
            trace: Hash::ZERO,
            failure,
        },
    }
}

/// What reaches a machine of a seed in its first life, as long as the run lasts; and the height at which that life ended.
/// `None` where the run fails.
#[must_use]
pub fn record(seed: u64, options: &Options, machine: usize) -> Option<(Trace, Height)> {
    let mut world = World::new(seed, options);
    world.machines.get_mut(machine)?.record();
    play(&mut world, options).ok()?;
    let there = world.machines.get_mut(machine)?;
    Some((there.trace.take()?, there.first_life_ended.or(there.height())?))
}

fn play(world: &mut World, options: &Options) -> Result<(), Failure> {
    while world.stage != Stage::Settled {
        if world.steps >= options.steps_max {
            return Err(Failure::Endless { steps: world.steps, machines: world.describe() });
        }
        world.advance()?;
    }
    world.checks.replay(&world.machines)
}

fn outcome(seed: u64, world: &World, failure: Option<Failure>) -> Outcome {
    Outcome {
        seed,
        validators: world.scenario.validators,
        heights: world.checks.top().0,
        transactions: world.checks.ledger.confirmed.len() as u64,
        steps: world.steps,
        virtual_ms: world.now,
        views: world.checks.views.clone(),
        faults: world.faults.counts.iter().map(|(kind, count)| (kind.name(), *count)).collect(),
        trace: world.trace(),
        failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topology_connects_all_machines() {
        for machines in 1..12 {
            for topology in [Topology::Mesh, Topology::Ring, Topology::Line, Topology::Star] {
                let mut reached = vec![0];
                for _ in 0..machines {
                    for machine in 0..machines {
                        let joined = |other: &usize| topology.joins(*other, machine, machines);
                        if !reached.contains(&machine) && reached.iter().any(joined) {
                            reached.push(machine);
                        }
                    }
                }
                assert_eq!(reached.len(), machines, "{topology:?}");
            }
        }
        let sessions = |topology: Topology| {
            (0..6)
                .flat_map(|one| (0..one).map(move |other| (one, other)))
                .filter(|(one, other)| topology.joins(*one, *other, 6))
                .count()
        };
        assert_eq!(sessions(Topology::Mesh), 15);
        assert_eq!((sessions(Topology::Ring), sessions(Topology::Line), sessions(Topology::Star)), (6, 5, 5));
    }

    #[test]
    fn validators_with_relays_between_them_finalize() {
        for (topology, seeds) in
            [(Topology::Line, [0, 1, 2]), (Topology::Ring, [0, 2, 3]), (Topology::Star, [0, 1, 2])]
        {
            for seed in seeds {
                let options = Options { nodes: Some(4), topology, heights: 15, ..Options::default() };
                let outcome = run(seed, &options);
                assert!(outcome.failure.is_none(), "{topology:?}, seed {seed}: {:?}", outcome.failure);
                assert!(outcome.transactions > 0, "{topology:?}, seed {seed}");
            }
        }
    }

    /// Validators kept keys that vote for nobody, and a cleared store was needed: see `links` and `workload`. Each of these
    /// runs stopped for good after healing.
    #[test]
    fn runs_go_on_that_lost_their_quorum_to_keys_out_of_order_and_to_retirements_under_way() {
        for (seed, what) in [(689, "keys"), (994, "keys of two"), (1047, "keys"), (511, "retirements")] {
            let outcome = run(seed, &Options::default());
            assert!(outcome.failure.is_none(), "seed {seed}, {what}: {:?}", outcome.failure);
        }
    }

    /// A machine's store was cleared and then rolled back, both before its vote was of a final height: it signed twice. And
    /// once that was mended: one of three went on to view 2 on votes that were lost, and the two others stayed in view 1.
    #[test]
    fn votes_that_were_lost_do_not_come_twice_and_leave_nobody_behind() {
        let outcome = run(1608, &Options::default());
        assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    }

    /// A relay that was behind took a payment with a coin that had become collateral, and offered it for ever.
    #[test]
    fn a_payment_with_a_coin_that_became_collateral_is_dropped() {
        let topology = Topology::Ring;
        let outcome = run(108, &Options { nodes: Some(4), topology, heights: 20, ..Options::default() });
        assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    }
}
