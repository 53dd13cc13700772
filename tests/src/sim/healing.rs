//! The end of a run: faults stop, and everything has to come to rest.

use timecoin_core::hash::TxId;
use timecoin_core::node::Node;
use timecoin_core::time::Time;
use timecoin_core::transaction::{Action, OutPoint};
use timecoin_core::vote::{Height, ViewNumber};

use super::Topology;
use super::failure::Failure;
use super::scenario::START;
use super::world::{Occurrence, Stage, World};

/// Everything must be at rest this long after the last fault.
const REST_MS: u64 = 180_000;
/// Times users want something after the last fault.
const LAST_ORDERS: u32 = 5;

/// What is watched after the last fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Healing {
    since: u64,
    /// The newest final height then, and the highest view any machine was in above it.
    top: Height,
    view: ViewNumber,
    /// Payments pending anywhere then, and the coins they need.
    pending: Vec<(TxId, Vec<OutPoint>)>,
    /// Times left that users want something.
    pub(super) orders: u32,
}

impl World {
    /// Notices the end of chaos, and the end of everything.
    pub(super) fn progress(&mut self, heights: u64) -> Result<(), Failure> {
        match &self.stage {
            Stage::Chaos => {
                let long = self.now > 20_000 + 1000 * heights;
                if long || self.checks.top() >= Height(heights) {
                    self.heal();
                }
                Ok(())
            }
            Stage::Healing(healing) => {
                let healing = healing.clone();
                self.check_views(&healing)?;
                let waited_ms = self.now - healing.since;
                if self.is_at_rest(&healing) {
                    self.check_pending(&healing)?;
                    self.stage = Stage::Settled;
                    Ok(())
                } else if waited_ms > REST_MS {
                    Err(Failure::Stalled { waited_ms, machines: self.describe() })
                } else {
                    Ok(())
                }
            }
            Stage::Settled => Ok(()),
        }
    }

    /// Ends every fault.
    fn heal(&mut self) {
        self.log(0, || String::from("all faults end"));
        self.network.partition = None;
        self.network.muted = None;
        self.scenario.weather = self.scenario.weather.cleared();
        self.network.weather = self.scenario.weather;
        for link in self.network.damaged() {
            self.network.close(link);
            self.after(0, Occurrence::Gone(link.0, link.1));
            self.after(0, Occurrence::Gone(link.1, link.0));
            self.after(0, Occurrence::Dial(link));
        }
        for machine in 0..self.machines.len() {
            if self.machines[machine].full {
                self.switch_off(machine, 0);
            }
            self.after(0, Occurrence::Thaw(machine));
            self.after(0, Occurrence::Boot(machine));
            (0..machine).for_each(|other| self.after(1, Occurrence::Dial((other, machine))));
        }
        self.stage = Stage::Healing(self.healing());
    }

    fn healing(&self) -> Healing {
        let nodes = || self.machines.iter().filter_map(|machine| machine.node.as_ref());
        let top = self.checks.top();
        let open = nodes().filter_map(Node::consensus);
        let view = open.filter(|state| state.height > top).map(|state| state.view).max();
        let pending = nodes().flat_map(|node| node.mempool().iter());
        let payments = pending.filter(|pending| pending.transaction().action == Action::Transfer);
        let mut pending: Vec<_> =
            payments.map(|payment| (payment.txid(), payment.transaction().inputs.clone())).collect();
        pending.sort();
        pending.dedup();
        Healing { since: self.now, top, view: view.unwrap_or_default(), pending, orders: LAST_ORDERS }
    }

    /// A machine is back in the view it was in before it stopped: from there healing is counted.
    pub(super) fn resumed(&mut self, machine: usize) {
        let Stage::Healing(healing) = &mut self.stage else { return };
        let node = self.machines[machine].node.as_ref();
        let open = node.and_then(Node::consensus).filter(|state| state.height == healing.top.next());
        healing.view = healing.view.max(open.map_or(ViewNumber(0), |state| state.view));
    }

    /// Liveness: the first block after the last fault takes at most f + 2 further views.
    fn check_views(&self, healing: &Healing) -> Result<(), Failure> {
        let height = healing.top.next();
        // The bound is for nodes that hear each other directly; with relays in between, views have to grow first.
        let is_direct = self.topology == Topology::Mesh;
        let Some(view) = self.checks.view_of(height).filter(|_| is_direct) else { return Ok(()) };
        let most = (self.scenario.machines as u32).saturating_sub(1) / 3 + 2;
        if view.0 <= healing.view.0 + most {
            return Ok(());
        }
        Err(Failure::Views { height, from: healing.view, view, most })
    }

    fn is_at_rest(&self, healing: &Healing) -> bool {
        let top = self.checks.top();
        healing.orders == 0
            && top > healing.top
            && self.machines.iter().all(|machine| {
                let idle = machine.node.as_ref().is_some_and(|node| node.mempool().is_empty());
                machine.is_live() && idle && machine.height() == Some(top)
            })
    }

    /// Every payment that was pending is final, or a coin it needs is gone.
    fn check_pending(&self, healing: &Healing) -> Result<(), Failure> {
        let ledger = &self.checks.ledger;
        let lost = healing.pending.iter().find(|(txid, inputs)| {
            !ledger.confirmed.contains(txid) && inputs.iter().all(|input| ledger.coins.contains_key(input))
        });
        match lost {
            Some((txid, _)) => Err(Failure::Forgotten { txid: *txid }),
            None => Ok(()),
        }
    }

    /// Users want something.
    pub(super) fn order(&mut self) {
        let delay = self.rng.between(self.scenario.submit_gap_ms);
        if let Stage::Healing(healing) = &mut self.stage {
            if healing.orders == 0 {
                return;
            }
            healing.orders -= 1;
        }
        self.after(delay, Occurrence::Orders);
        let newest = self.machines.iter().filter_map(|machine| machine.node.as_ref());
        let newest =
            newest.max_by_key(|node| node.state().height()).map(|node| node.state().registry.clone());
        let now = Time(START.0 + self.now);
        // While one machine may have to stay silent, the others must remain a quorum.
        let registry = newest.filter(|_| self.faults.forgetful.is_none());
        let ledger = &self.checks.ledger;
        let orders = self.workload.orders(&mut self.rng, &self.chain, ledger, registry.as_deref(), now);
        for order in orders {
            let machine = self.rng.position(self.machines.len());
            let delay = self.rng.below(50);
            self.after(delay, Occurrence::Submit(machine, Box::new(order.signed), order.invalid));
        }
    }
}
