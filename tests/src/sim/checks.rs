//! What must hold after every step, and the independent books it is compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use timecoin_core::block::Block;
use timecoin_core::certificate::Certificate;
use timecoin_core::codec::decode;
use timecoin_core::hash::{BlockId, StateRoot, TxId};
use timecoin_core::message::Message;
use timecoin_core::node::{Chain, Node};
use timecoin_core::state::{ChainState, VerifiedBlock, genesis, validate};
use timecoin_core::transaction::{OutPoint, Output};
use timecoin_core::validators::ValidatorSet;
use timecoin_core::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use super::failure::Failure;
use super::machine::Machine;

/// Votes held per validator, whatever happens.
const VOTES_PER_VALIDATOR_MAX: usize = 22;

/// All unspent coins, by a bookkeeping that shares nothing with the state tree.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) coins: BTreeMap<OutPoint, Output>,
    pub(super) confirmed: BTreeSet<TxId>,
    sum: u128,
}

impl Ledger {
    fn apply(&mut self, block: &Block) -> Result<(), Failure> {
        for signed in &block.body.transactions {
            let txid = signed.transaction.id();
            let height = block.header.height;
            for (input, claimed) in signed.transaction.inputs.iter().zip(&signed.spent) {
                if self.coins.remove(input) != Some(*claimed) {
                    return Err(Failure::Coin { height, txid });
                }
                self.sum -= u128::from(claimed.amount.0);
            }
            for (index, output) in (0..).zip(&signed.transaction.outputs) {
                self.coins.insert(OutPoint { txid, index }, *output);
                self.sum += u128::from(output.amount.0);
            }
            self.confirmed.insert(txid);
        }
        Ok(())
    }
}

/// A height as the first machine made it final.
struct Final {
    block: BlockId,
    root: StateRoot,
    view: ViewNumber,
}

/// What all machines together have said and done.
pub(super) struct Checks {
    chain: Arc<Chain>,
    finals: BTreeMap<Height, Final>,
    votes: BTreeMap<(Height, u16, ViewNumber, Phase), VoteData>,
    /// The newest final height of each machine.
    tips: Vec<Height>,
    pub(super) ledger: Ledger,
    /// How many heights each view decided.
    pub(super) views: BTreeMap<u32, u64>,
}

impl Checks {
    /// The books after genesis.
    pub(super) fn new(chain: &Arc<Chain>, machines: usize) -> Self {
        let applied = genesis(&chain.spec.consensus).expect("the scenario has a sound genesis");
        let mut ledger = Ledger::default();
        ledger.apply(&applied.block).expect("genesis spends nothing");
        Self {
            chain: chain.clone(),
            finals: BTreeMap::from([(
                Height(0),
                Final { block: applied.state.id, root: applied.state.header.state_root, view: ViewNumber(0) },
            )]),
            votes: BTreeMap::new(),
            tips: vec![Height(0); machines],
            ledger,
            views: BTreeMap::new(),
        }
    }

    /// The newest height that any machine has made final.
    pub(super) fn top(&self) -> Height {
        self.finals.last_key_value().map_or(Height(0), |(height, _)| *height)
    }

    /// The view that decided a height, as first seen.
    pub(super) fn view_of(&self, height: Height) -> Option<ViewNumber> {
        self.finals.get(&height).map(|known| known.view)
    }

    /// A machine speaks: no honest validator may contradict itself, ever.
    pub(super) fn spoken(&mut self, machine: usize, frame: &[u8]) -> Result<(), Failure> {
        match decode::<Message>(frame) {
            Ok(Message::Votes(votes)) => votes.iter().try_for_each(|vote| self.voted(machine, vote)),
            Ok(Message::Proposal(proposal)) => self.voted(machine, &proposal.vote),
            Ok(Message::Certificate(certificate)) => {
                certificate.votes().try_for_each(|vote| self.voted(machine, &vote))
            }
            Ok(_) => Ok(()),
            Err(error) => {
                Err(Failure::Driver { machine, error: format!("sent a frame that is none: {error}") })
            }
        }
    }

    fn voted(&mut self, machine: usize, vote: &Vote) -> Result<(), Failure> {
        let VoteData { height, view, phase, .. } = vote.data;
        let first = *self.votes.entry((height, vote.validator, view, phase)).or_insert(vote.data);
        if first == vote.data {
            return Ok(());
        }
        Err(Failure::ConflictingVotes { machine, validator: vote.validator, first, second: vote.data })
    }

    /// A machine made a block final.
    pub(super) fn finalized(
        &mut self,
        machine: usize,
        block: &Block,
        view: ViewNumber,
        state: &ChainState,
    ) -> Result<(), Failure> {
        let (height, id) = (block.header.height, block.header.id());
        self.tips[machine] = height;
        if state.id != id || state.commitment().root() != block.header.state_root {
            return Err(Failure::State { machine, height });
        }
        if let Some(known) = self.finals.get(&height) {
            let expected = known.block;
            let agrees = expected == id;
            return if agrees {
                Ok(())
            } else {
                Err(Failure::Disagreement { machine, height, found: id, expected })
            };
        }
        self.finals.insert(height, Final { block: id, root: block.header.state_root, view });
        *self.views.entry(view.0).or_default() += 1;
        self.ledger.apply(block)?;
        let issued = u128::from(self.chain.spec.consensus.issued(block.header.time).0);
        let pool = u128::from(state.accounting.pool.0);
        let sums: [(&'static str, u128); 3] = [
            ("header", u128::from(block.header.supply.0)),
            ("coins and pool, by the books", self.ledger.sum + pool),
            ("coins and pool, by the tree", u128::from(state.coins.summary().sum.0) + pool),
        ];
        match sums.into_iter().find(|(_, found)| *found != issued) {
            Some((which, found)) => Err(Failure::Supply { height, which, found, expected: issued }),
            None => Ok(()),
        }
    }

    /// A machine restarted: nothing final is lost, and its state is the one of that height. A block can be durable
    /// whose news the crash swallowed.
    pub(super) fn restarted(&mut self, index: usize, machine: &Machine) -> Result<(), Failure> {
        let Some(node) = &machine.node else { return Ok(()) };
        let (state, expected) = (node.state(), self.tips[index]);
        let found = state.height();
        if found > expected && !machine.forgetful {
            let stored = (expected.next().0..=found.0).map(|height| machine.stored_block(Height(height)));
            for (block, certificate) in stored.flatten() {
                let view = certificate.map_or(ViewNumber(0), |certificate| certificate.data.view);
                self.finalized(index, &block, view, state)?;
            }
        } else if found < expected && !machine.forgetful {
            return Err(Failure::Restart { machine: index, expected, found });
        }
        self.tips[index] = found;
        let root = self.finals.get(&found).map(|known| known.root);
        if root != Some(state.commitment().root()) {
            return Err(Failure::State { machine: index, height: found });
        }
        Ok(())
    }

    /// What holds after every step.
    pub(super) fn after_step(&self, machine: usize, node: &Node) -> Result<(), Failure> {
        let (held, most) = (node.vote_count(), VOTES_PER_VALIDATOR_MAX * node.state().validators.len());
        if held > most {
            return Err(Failure::VoteMemory { machine, held, most });
        }
        if node.is_halted() {
            return Err(Failure::Halted { machine, reason: String::from("without a notice") });
        }
        Ok(())
    }

    /// Validates the chains in all stores from genesis, block by block, and compares them with what was agreed. A block
    /// that equals one validated before is not validated again; its certificate is, unless it is the same.
    pub(super) fn replay(&self, machines: &[Machine]) -> Result<(), Failure> {
        let mut state = genesis(&self.chain.spec.consensus).expect("the scenario has a sound genesis").state;
        let mut sound: Vec<(Block, Certificate, Arc<ValidatorSet>)> = Vec::new();
        for (machine, from) in machines.iter().enumerate() {
            for height in (1..=self.tips[machine].0).map(Height) {
                let wrong = |error: String| Failure::Replay { machine, height, error };
                let stored =
                    from.stored_block(height).ok_or_else(|| wrong(String::from("not in the store")))?;
                let (block, certificate) = stored;
                let certificate = certificate.ok_or_else(|| wrong(String::from("no certificate")))?;
                if sound.len() < height.0 as usize {
                    state = self.replay_block(&state, &block).map_err(wrong)?;
                    self.check_certificate(&certificate, &state.signers, height, &block).map_err(wrong)?;
                    sound.push((block, certificate, state.signers.clone()));
                    continue;
                }
                let (known, proof, set) = &sound[height.0 as usize - 1];
                if block != *known {
                    return Err(wrong(String::from("not the block that was agreed on")));
                }
                if certificate != *proof {
                    self.check_certificate(&certificate, set, height, &block).map_err(wrong)?;
                }
            }
        }
        Ok(())
    }

    fn replay_block(&self, state: &ChainState, block: &Block) -> Result<ChainState, String> {
        let (spec, id) = (&self.chain.spec.consensus, &self.chain.id);
        let verified = VerifiedBlock::verify(block.clone(), spec, id, &state.signers, |_| None, |_| None);
        let verified = verified.map_err(|error| error.to_string())?;
        validate(spec, id, state, verified).map(|applied| applied.state).map_err(|error| error.to_string())
    }

    fn check_certificate(
        &self,
        certificate: &Certificate,
        set: &ValidatorSet,
        height: Height,
        block: &Block,
    ) -> Result<(), String> {
        let id = block.header.id();
        let is_of_block = certificate.data.phase == Phase::Commit
            && certificate.data.height == height
            && certificate.data.block == Some(id);
        certificate.verify(set, &self.chain.id).map_err(|error| error.to_string())?;
        let agreed = self.finals.get(&height).map(|known| known.block);
        if is_of_block && agreed == Some(id) {
            Ok(())
        } else {
            Err(String::from("not the block that was agreed on"))
        }
    }
}
