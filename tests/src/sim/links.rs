//! Sessions opened and broken, machines switched off, keys exchanged.

use timecoin_core::hash::{Hash, Tag};
use timecoin_core::node::Event;
use timecoin_core::peer::handshake::{Origin, PROTOCOL_VERSION, PeerInfo, Role};
use timecoin_core::state::ChainState;

use super::failure::Failure;
use super::network::{Pair, pair};
use super::workload::operator;
use super::world::{Occurrence, Stage, World};

impl World {
    /// Switches a machine on.
    pub(super) fn boot(&mut self, machine: usize) -> Result<(), Failure> {
        if self.machines[machine].node.is_some() {
            return Ok(());
        }
        // An old copy of a store is told from the newest by what others have heard: they must be there to tell.
        if self.machines[machine].forgetful && self.stage == Stage::Chaos && !self.is_calm(machine) {
            self.after(200, Occurrence::Boot(machine));
            return Ok(());
        }
        let effects = match self.machines[machine].boot(self.now) {
            Ok(effects) => effects,
            Err(stop) => return self.stopped(machine, stop),
        };
        self.checks.restarted(machine, &self.machines[machine])?;
        self.machines[machine].forgetful = false;
        self.log(machine, || String::from("on"));
        self.resumed(machine);
        self.perform(machine, effects)?;
        self.schedule_tick(machine);
        let state = self.machines[machine].node.as_ref().map(|node| node.state().clone());
        if state.is_some_and(|state| self.voting_key(machine, &state).is_some()) {
            self.after(1, Occurrence::Rekey(machine));
        }
        let there = &self.machines[machine];
        if there.is_vouched()
            && let Some(node) = &there.node
            && node.quarantine().is_some()
        {
            let open = node.state().height().next();
            self.happen(machine, Event::OverrideQuarantine(open))?;
        }
        for other in (0..self.machines.len()).filter(|other| *other != machine) {
            let delay = self.rng.below(100);
            self.after(delay, Occurrence::Dial(pair(machine, other)));
        }
        Ok(())
    }

    /// Whether all other machines run and can be reached.
    fn is_calm(&self, machine: usize) -> bool {
        let mut others = self.machines.iter().enumerate().filter(|(at, _)| *at != machine);
        let network = &self.network;
        network.partition.is_none() && network.muted.is_none() && others.all(|(_, other)| other.is_live())
    }

    /// A frozen machine goes on: everything that waits comes before what is due.
    pub(super) fn thaw(&mut self, machine: usize) -> Result<(), Failure> {
        let there = &mut self.machines[machine];
        if !there.frozen {
            return Ok(());
        }
        there.frozen = false;
        let inbox = core::mem::take(&mut there.inbox);
        self.work(machine, inbox)?;
        self.machines[machine].tick_at = self.now;
        self.tick(machine)
    }

    /// Opens a session if both machines are there and can reach each other.
    pub(super) fn dial(&mut self, link: Pair) -> Result<(), Failure> {
        let (one, other) = link;
        if !self.topology.joins(one, other, self.machines.len()) {
            return Ok(());
        }
        let there = [one, other].map(|machine| self.machines[machine].node.is_some());
        if self.network.session(link).is_some() || there != [true, true] {
            return Ok(());
        }
        let awake = self.machines[one].is_live() && self.machines[other].is_live();
        if !awake || !self.network.is_passable(link) {
            let delay = self.rng.between((100, 1000));
            self.after(delay, Occurrence::Dial(link));
            return Ok(());
        }
        let session = self.network.open(link);
        self.log(one, || format!("session with {other}"));
        for (machine, peer) in [(one, other), (other, one)] {
            let info = self.info(peer, link, session);
            self.happen(machine, Event::Connected(info))?;
        }
        Ok(())
    }

    fn info(&mut self, peer: usize, link: Pair, session: u64) -> PeerInfo {
        const SESSION: Tag = Tag::new("timecoin simulator session");
        let time = self.machines[peer].clock(self.now);
        let id: Hash = SESSION.hash(&[&session.to_le_bytes()]);
        let there = &self.machines[peer];
        PeerInfo {
            peer: there.peer,
            version: PROTOCOL_VERSION,
            role: Role::Validator,
            listen: None,
            height: there.height().unwrap_or_default().0,
            time,
            origin: Origin { initiator: self.machines[link.0].peer, time, id },
        }
    }

    /// Ends a session; both sides notice, and dial again a while later.
    pub(super) fn hang_up(&mut self, link: Pair) {
        self.network.close(link);
        self.log(link.0, || format!("session with {} breaks", link.1));
        self.after(0, Occurrence::Gone(link.0, link.1));
        self.after(0, Occurrence::Gone(link.1, link.0));
        let delay = self.rng.between((10, 1000));
        self.after(delay, Occurrence::Dial(link));
    }

    /// The power of a machine fails: what was not synced is lost in part. It comes back after a while.
    pub(super) fn crash(&mut self, machine: usize) {
        let unsynced = self.machines[machine].store.unsynced();
        let kept = self.rng.position(unsynced + 1);
        self.switch_off(machine, kept);
        let delay = self.rng.between((50, 5000));
        self.after(delay, Occurrence::Boot(machine));
    }

    /// Switches a machine off; of the commits since the last sync, the first `kept` survive.
    pub(super) fn switch_off(&mut self, machine: usize, kept: usize) {
        self.log(machine, || String::from("off"));
        self.machines[machine].crash(kept);
        for other in (0..self.machines.len()).filter(|other| *other != machine) {
            let link = pair(machine, other);
            if self.network.session(link).is_some() {
                self.network.close(link);
                self.after(0, Occurrence::Gone(other, machine));
            }
        }
    }

    /// The rotation whose key votes for a machine's masternode, where it is not the machine's. It can be an older
    /// one: of two rotations under way together the earlier may be made final last.
    pub(super) fn voting_key(&self, machine: usize, state: &ChainState) -> Option<u64> {
        let node = self.workload.masternode(machine, &state.registry)?;
        let votes = state.validators.iter().find(|(_, member)| member.masternode == node.id)?.1.key;
        let rotation = self.workload.rotation(machine, &votes)?;
        (rotation != self.machines[machine].rotation).then_some(rotation)
    }

    /// Restarts a machine with the key that votes for its masternode now.
    pub(super) fn rekey(&mut self, machine: usize) -> Result<(), Failure> {
        let state = self.machines[machine].node.as_ref().map(|node| node.state().clone());
        let Some(rotation) = state.and_then(|state| self.voting_key(machine, &state)) else { return Ok(()) };
        let kept = self.machines[machine].store.unsynced();
        self.switch_off(machine, kept);
        self.machines[machine].put_in(operator(self.scenario.seed, machine, rotation), rotation);
        self.boot(machine)
    }
}

#[cfg(test)]
mod tests {
    use timecoin_core::state::genesis;
    use timecoin_core::store::MemoryStore;

    use crate::sim::Options;

    use super::*;

    /// Seeds 339, 689, 774, 781, 884, 905, 994, 1047 and 1072: a machine kept the newest key that it was ever given, though
    /// of two rotations under way together the earlier was made final last. Its validator never signed again, and where
    /// another had to be silent nothing could be decided.
    #[test]
    fn the_operator_puts_in_the_key_that_the_chain_names_newer_or_older() {
        const SEED: u64 = 7;
        let mut world = World::new(SEED, &Options { nodes: Some(4), ..Options::default() });
        let state = genesis(&world.chain.spec.consensus).expect("the scenario has a sound genesis").state;
        assert_eq!(world.voting_key(1, &state), None, "the key of genesis is in");
        world.machines[1].put_in(operator(SEED, 1, 2), 2);
        assert_eq!(world.voting_key(1, &state), Some(0), "the chain names the first key");
    }

    /// Who goes back to an old key may have signed with it: that only a store that never forgot remembers.
    #[test]
    fn no_operator_vouches_for_a_key_that_was_in_before_the_store_forgot() {
        const SEED: u64 = 7;
        let mut world = World::new(SEED, &Options { nodes: Some(4), ..Options::default() });
        let machine = &mut world.machines[0];
        let mut vouched = |rotation, forgets: bool| {
            machine.put_in(operator(SEED, 0, rotation), rotation);
            if forgets {
                machine.forget(MemoryStore::default());
            }
            machine.is_vouched()
        };
        let table =
            [(1, false, true), (0, false, true), (1, true, false), (0, false, false), (2, false, true)];
        for (rotation, forgets, expected) in table {
            assert_eq!(vouched(rotation, forgets), expected, "key {rotation}, forgetting: {forgets}");
        }
    }
}
