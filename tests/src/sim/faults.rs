//! What goes wrong, when, and for how long. Every fault ends by itself or when healing begins.

use std::collections::BTreeMap;

use timecoin_core::store::MemoryStore;

use super::network::{Partition, pair};
use super::workload::is_dispensable_in;
use super::world::{Occurrence, Stage, World};

/// Longest jump of a clock.
const JUMP_MS_MAX: u64 = 4000;

/// The kinds of fault: what the report counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Partition,
    HeldPartition,
    Isolation,
    Mute,
    Storm,
    Disconnect,
    Crash,
    PowerCut,
    Restart,
    DiskFull,
    Freeze,
    FreezeMany,
    ClockJump,
    Rollback,
    ClearedStore,
}

impl Kind {
    const ALL: [Self; 15] = [
        Self::Partition,
        Self::HeldPartition,
        Self::Isolation,
        Self::Mute,
        Self::Storm,
        Self::Disconnect,
        Self::Crash,
        Self::PowerCut,
        Self::Restart,
        Self::DiskFull,
        Self::Freeze,
        Self::FreezeMany,
        Self::ClockJump,
        Self::Rollback,
        Self::ClearedStore,
    ];

    /// As reported.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::HeldPartition => "partition that delays",
            Self::Isolation => "isolation",
            Self::Mute => "mute",
            Self::Storm => "storm",
            Self::Disconnect => "disconnect",
            Self::Crash => "crash",
            Self::PowerCut => "power cut",
            Self::Restart => "restart",
            Self::DiskFull => "disk full",
            Self::Freeze => "freeze",
            Self::FreezeMany => "freeze of many",
            Self::ClockJump => "clock jump",
            Self::Rollback => "store rollback",
            Self::ClearedStore => "cleared store",
        }
    }
}

/// Faults so far.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) counts: BTreeMap<Kind, u64>,
    /// The only machine whose store may forget what was durable.
    pub(super) forgetful: Option<usize>,
    /// The newest partition, storm or mute: ends of earlier ones are void.
    current: u64,
}

impl World {
    /// One more fault, and the time of the next.
    pub(super) fn fault(&mut self) {
        if self.stage != Stage::Chaos {
            return;
        }
        if let Some(gap) = self.scenario.fault_gap_ms {
            let delay = self.rng.between(gap);
            self.after(delay, Occurrence::Fault);
        }
        let machine = self.rng.position(self.machines.len());
        if self.rng.chance(300) {
            let backup = self.machines[machine].store.backup();
            self.machines[machine].backups.push(backup);
        }
        let kind = self.rng.pick(&Kind::ALL).unwrap_or(Kind::Crash);
        self.log(machine, || format!("fault: {}", kind.name()));
        if self.strike(kind, machine) {
            *self.faults.counts.entry(kind).or_default() += 1;
        }
    }

    /// Carries a fault out; false where it is not possible now.
    fn strike(&mut self, kind: Kind, machine: usize) -> bool {
        match kind {
            Kind::Partition | Kind::HeldPartition | Kind::Isolation => self.divide(kind, machine),
            Kind::Mute => {
                self.network.muted = Some(machine);
                self.clear_later((200, 5000));
            }
            Kind::Storm => {
                self.network.weather = self.scenario.weather.storm(&mut self.rng);
                self.clear_later((500, 8000));
            }
            Kind::Disconnect => {
                let other = self.rng.position(self.machines.len());
                let link = pair(machine, other);
                if self.network.session(link).is_none() {
                    return false;
                }
                self.hang_up(link);
            }
            Kind::Crash => return self.cut(machine),
            Kind::PowerCut => (0..self.machines.len()).for_each(|machine| {
                self.cut(machine);
            }),
            Kind::Restart => {
                let kept = self.machines[machine].store.unsynced();
                if self.machines[machine].node.is_none() {
                    return false;
                }
                self.switch_off(machine, kept);
                let delay = self.rng.below(300);
                self.after(delay, Occurrence::Boot(machine));
            }
            // The machine stops at its next commit.
            Kind::DiskFull => {
                self.machines[machine].store.fail_commits();
                self.machines[machine].full = true;
            }
            Kind::Freeze => return self.freeze(machine, (100, 45_000)),
            Kind::FreezeMany => {
                let count = self.rng.position(self.machines.len());
                let froze =
                    (0..=count).map(|at| self.freeze((machine + at) % self.machines.len(), (50, 4000)));
                froze.for_each(drop);
            }
            Kind::ClockJump => {
                let jump = self.rng.below(2 * JUMP_MS_MAX) as i64 - JUMP_MS_MAX as i64;
                self.machines[machine].skew_ms = jump;
                self.machines[machine].tick_at = u64::MAX;
                self.schedule_tick(machine);
            }
            Kind::Rollback | Kind::ClearedStore => return self.forget(kind, machine),
        }
        true
    }

    fn cut(&mut self, machine: usize) -> bool {
        let there = self.machines[machine].node.is_some();
        if there {
            self.crash(machine);
        }
        there
    }

    fn divide(&mut self, kind: Kind, alone: usize) {
        let ways = self.rng.between((2, 3));
        let duration = self.rng.between((200, 10_000));
        let groups = (0..self.machines.len()).map(|machine| match kind {
            Kind::Isolation => u64::from(machine == alone),
            _ => self.rng.below(ways),
        });
        let groups = groups.collect();
        let held_until = (kind == Kind::HeldPartition).then_some(self.now + duration);
        self.network.partition = Some(Partition { groups, held_until });
        self.clear_later((duration, duration));
    }

    fn clear_later(&mut self, duration: (u64, u64)) {
        self.faults.current += 1;
        let delay = self.rng.between(duration);
        self.after(delay, Occurrence::Clear(self.faults.current));
    }

    /// The network is as it was.
    pub(super) fn clear(&mut self, number: u64) {
        if number == self.faults.current {
            self.network.partition = None;
            self.network.muted = None;
            self.network.weather = self.scenario.weather;
        }
    }

    fn freeze(&mut self, machine: usize, duration: (u64, u64)) -> bool {
        let duration = self.rng.between(duration);
        let there = &mut self.machines[machine];
        let freezes = there.is_live();
        if freezes {
            there.frozen = true;
            self.after(duration, Occurrence::Thaw(machine));
        }
        freezes
    }

    /// A store comes back as an older copy of itself, or empty. Only one machine, without which the others have
    /// a quorum: while it must not sign, nothing else may depend on it.
    fn forget(&mut self, kind: Kind, machine: usize) -> bool {
        let only = self.faults.forgetful.is_none_or(|only| only == machine);
        if !only || !self.is_dispensable(machine) {
            return false;
        }
        let store = match kind {
            Kind::Rollback if self.machines[machine].backups.is_empty() => return false,
            // A vote of the open height that no certificate shows can be lost with those who heard it: then nobody
            // could tell, and nobody is harmed.
            Kind::Rollback if !self.has_voted_finally(machine) => return false,
            Kind::Rollback => {
                let at = self.rng.position(self.machines[machine].backups.len());
                self.machines[machine].backups[at].backup()
            }
            _ => MemoryStore::default(),
        };
        self.faults.forgetful = Some(machine);
        self.switch_off(machine, 0);
        self.machines[machine].forget(store);
        let delay = self.rng.between((50, 5000));
        self.after(delay, Occurrence::Boot(machine));
        true
    }

    /// Whether everything that a machine signed is of heights that are final somewhere.
    fn has_voted_finally(&self, machine: usize) -> bool {
        self.machines[machine].signed_at().is_none_or(|height| height <= self.checks.top())
    }

    /// Whether the others are a quorum of every set in force or to come, as this machine knows it and as the newest does.
    fn is_dispensable(&self, machine: usize) -> bool {
        let Some(node) = &self.machines[machine].node else { return false };
        let nodes = self.machines.iter().filter_map(|machine| machine.node.as_ref());
        let newest = nodes.max_by_key(|node| node.state().height());
        [Some(node), newest].into_iter().flatten().all(|node| {
            let state = node.state();
            let rules = self.chain.spec.consensus.rules(state.height());
            let own = self.workload.masternode(machine, &state.registry).map(|node| node.id);
            let sets = [&state.signers, &state.validators];
            let now = own.is_none_or(|own| sets.into_iter().all(|set| is_dispensable_in(set, own)));
            now && self.workload.is_dispensable(machine, &state.registry, rules)
        })
    }
}
