//! A node that has not the whole state: what a block touches is proved to it by peers, and the rest is filled in meanwhile.
//!
//! Rows of the store are used where it has them. A job that needs more comes back as [`Effect::Lack`]; the driver asks
//! peers and gives it again. Every verdict is that of the whole state: nothing is judged before all it needs is known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::answer::{STATE_QUESTION_SIZE_MAX, StateProof, StateReply};
use crate::certificate::Certificate;
use crate::codec::encode;
use crate::hash::BlockId;
use crate::rows::{Batch, Table};
use crate::schema::{meta, write_block, write_block_in_part, write_rows};
use crate::spec::Rules;
use crate::state::tree::{CoinTree, Fill, Multiproof, Op, PageKey, Summary, TreeError, Wanted};
use crate::state::{Applied, ChainState, Changes, Draft, planned_changes};
use crate::transaction::VerifiedTransaction;

use super::Node;
use super::candidates::Progress;
use super::event::{Effect, Job, Step};

/// Final blocks whose states before are kept in any case, to prove parts of them to those who judge them late.
pub const RECENT_BLOCKS: usize = 8;

/// As many are kept where they are small: blocks come fast then, and a proof is a round trip away.
pub const RECENT_BLOCKS_MAX: usize = 64;

/// Small are those that change no more coins than this together.
const RECENT_CHANGES: usize = 8_000;

/// Most changes asked about at once: each takes less than 96 bytes of a question.
const OPS_MAX: usize = STATE_QUESTION_SIZE_MAX / 96;

/// What is missing, and what is known to be.
#[derive(Debug, Default)]
pub(super) struct Partial {
    pub(super) fill: Fill,
    /// Rows that the store was asked for in vain, for the job at hand.
    absent: BTreeSet<PageKey>,
}

impl Partial {
    pub(super) fn new(fill: Fill) -> Self {
        Self { fill, absent: BTreeSet::new() }
    }
}

/// A job that waits for a proof.
#[derive(Clone, Debug)]
pub struct Lack {
    /// To be given to the node again, once [`Node::take_proof`] has taken the proof, or the state has moved on.
    pub job: Job,
    /// The block it is about, where it is about one.
    pub block: Option<BlockId>,
    /// The root of the coins it is judged on.
    pub root: Summary,
    /// What it does to the coins.
    pub ops: Vec<Op>,
}

/// The last final blocks, each with the state before it and what it did to the coins.
#[derive(Default)]
pub(super) struct Recent(VecDeque<(BlockId, Arc<ChainState>, Changes)>);

impl Recent {
    /// A block is final.
    pub(super) fn add(&mut self, block: BlockId, parent: Arc<ChainState>, changes: Changes) {
        self.0.push_back((block, parent, changes));
        let size = |changes: &Changes| changes.spent.len() + changes.made.len();
        let mut sizes: usize = self.0.iter().map(|(.., changes)| size(changes)).sum();
        while self.0.len() > RECENT_BLOCKS && (self.0.len() > RECENT_BLOCKS_MAX || sizes > RECENT_CHANGES) {
            let oldest = self.0.pop_front();
            sizes -= oldest.map_or(0, |(.., changes)| size(&changes));
        }
    }
}

impl Node {
    /// How far the rows of the state are in the store; none where all are.
    #[must_use]
    pub fn fill(&self) -> Option<&Fill> {
        self.partial.as_ref().map(|partial| &partial.fill)
    }

    /// The rows to bring next.
    #[must_use]
    pub fn wanted(&self) -> Vec<Wanted> {
        self.partial.as_ref().map(|partial| partial.fill.wanted(&self.state.coins)).unwrap_or_default()
    }

    /// Takes rows of the state tree, by key, and says what to write. Rows that have changed meanwhile are left aside.
    pub fn take_rows(&mut self, rows: &BTreeMap<PageKey, Vec<u8>>) -> Batch {
        let mut batch = Batch::default();
        let Some(partial) = &mut self.partial else { return batch };
        let changes = partial.fill.take(&mut Arc::make_mut(&mut self.state).coins, rows);
        write_rows(&mut batch, changes);
        batch.put(Table::Meta, meta::FILL, encode(&partial.fill));
        batch
    }

    /// Writes a block that becomes final. Only where a block after the last row has left none behind is the state whole:
    /// one that was judged before knows less than the store.
    pub(super) fn write_final(
        &mut self,
        applied: &Applied,
        certificate: &Certificate,
        batch: &mut Batch,
    ) -> Result<(), TreeError> {
        let Some(partial) = &mut self.partial else {
            return write_block(batch, Some(&self.state), applied, Some(certificate));
        };
        write_block_in_part(batch, &self.state, applied, certificate, &mut partial.fill);
        if partial.fill.is_done() {
            match applied.state.coins.gap() {
                Some(gap) => partial.fill.lost(&[gap]),
                None => {
                    batch.delete(Table::Meta, meta::FILL);
                    self.partial = None;
                }
            }
        }
        Ok(())
    }

    /// Takes a part of the tree that was proved. False if the state has moved on since.
    pub fn take_proof(&mut self, proved: &CoinTree) -> bool {
        Arc::make_mut(&mut self.state).coins.merge(proved).is_ok()
    }

    /// The part of the tree that a block touches, where it can be proved.
    pub(super) fn prove_block(&self, block: &BlockId) -> Option<StateReply> {
        let proof = |coins: &CoinTree, ops: &[Op]| {
            let proof = Multiproof::build(coins, ops).ok()?;
            Some(StateReply::Proof(Box::new(StateProof { root: coins.summary(), proof })))
        };
        let recent = self.recent.0.iter().find(|(id, ..)| id == block);
        if let Some((_, parent, changes)) = recent {
            return proof(&parent.coins, &changes.ops());
        }
        match &self.candidates.candidate(block)?.progress {
            Progress::Valid(applied) => proof(&self.state.coins, &applied.changes.ops()),
            Progress::Complete(verified) => proof(&self.state.coins, &self.draft_ops(verified.draft())),
            Progress::Named | Progress::Partial(..) | Progress::Invalid(_) => None,
        }
    }

    /// The rows that the store has not.
    pub(super) fn note_absent(&mut self, key: PageKey) -> bool {
        self.partial.as_mut().is_some_and(|partial| partial.absent.insert(key))
    }

    pub(super) fn is_absent(&self, key: &PageKey) -> bool {
        self.partial.as_ref().is_some_and(|partial| partial.absent.contains(key))
    }

    /// The job, if all that it needs is known. Otherwise it comes again: in parts, or once it has been proved.
    pub(super) fn without_lack(&mut self, job: Job, step: &mut Step) -> Option<Job> {
        let Some(partial) = &mut self.partial else { return Some(job) };
        partial.absent.clear();
        let Some((block, ops)) = self.unproved(&job) else { return Some(job) };
        match job {
            Job::Transactions(peer, list) if ops.len() > OPS_MAX && list.len() > 1 => {
                step.jobs.extend(halves(list).map(|list| Job::Transactions(peer, list)));
            }
            Job::Restore(list) if ops.len() > OPS_MAX && list.len() > 1 => {
                step.jobs.extend(halves(list).map(Job::Restore));
            }
            job => {
                let root = self.state.coins.summary();
                step.effects.push(Effect::Lack(Box::new(Lack { job, block, root, ops })));
            }
        }
        None
    }

    /// What a job does to coins of which not all is known that it takes, and the block it is about.
    fn unproved(&self, job: &Job) -> Option<(Option<BlockId>, Vec<Op>)> {
        let coins = &self.state.coins;
        let (block, ops, is_known): (_, _, fn(&CoinTree, &[Op]) -> bool) = match job {
            Job::Submit(_, Ok(transaction)) | Job::Submitted(_, _, Ok(transaction)) => {
                (None, spending(core::slice::from_ref(transaction)), CoinTree::has_each)
            }
            Job::Transactions(_, list) | Job::Restore(list) => (None, spending(list), CoinTree::has_each),
            Job::Validate(block) => {
                let Progress::Complete(verified) = &self.candidates.candidate(block)?.progress else {
                    return None;
                };
                (Some(*block), self.draft_ops(verified.draft()), CoinTree::knows)
            }
            Job::Derive(draft) => (None, self.draft_ops(draft), CoinTree::knows),
            _ => return None,
        };
        (!is_known(coins, &ops)).then_some((block, ops))
    }

    /// The most bytes of transactions in a block of ours: what it touches has to fit into a question, where it is to be
    /// proved.
    pub(super) fn own_block_size_max(&self, rules: &Rules) -> usize {
        let whole = rules.block_size_max as usize;
        // A change is named with less than twice the bytes that it takes in its transaction.
        if self.partial.is_some() { whole.min(STATE_QUESTION_SIZE_MAX / 2) } else { whole }
    }

    fn draft_ops(&self, draft: &Draft) -> Vec<Op> {
        let changes = planned_changes(&self.chain.spec.consensus, &self.chain.id, &self.state, draft);
        changes.map(|changes| changes.ops()).unwrap_or_default()
    }
}

fn halves<T: Clone>(list: Vec<T>) -> [Vec<T>; 2] {
    let (one, two) = list.split_at(list.len() / 2);
    [one.to_vec(), two.to_vec()]
}

fn spending(list: &[Arc<VerifiedTransaction>]) -> Vec<Op> {
    let spends = list.iter().flat_map(|transaction| transaction.spends());
    let mut ops: Vec<Op> = spends.map(|(outpoint, output)| Op::Remove(*outpoint, *output)).collect();
    ops.sort_unstable_by_key(|op| *op.coin().0);
    ops.dedup();
    ops
}
