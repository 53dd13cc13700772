//! Blocks in the node: built, validated, decided, made final.

use std::sync::Arc;

use crate::block::Block;
use crate::certificate::Certificate;
use crate::consensus::{HeightStart, Input, SignRecord, Timeouts};
use crate::hash::{BlockId, Owner, TxId};
use crate::message::Message;
use crate::peer::handshake::PeerId;
use crate::rows::Table;
use crate::state::registry::Status;
use crate::state::tree::TreeError;
use crate::state::{
    Applied, BlockError, Draft, VerifiedBlock, VerifiedCertificate, derive, planned_changes, validate,
};
use crate::time::Time;
use crate::transaction::{OutPoint, VerifiedTransaction};
use crate::vote::{Phase, ViewNumber};

use super::candidates::{Candidates, Progress};
use super::event::{Effect, Job, Notice, Step, TransactionPhase, turn_sets};
use super::{Node, plan};

/// Coins that stay in memory after a block, with their pages, some 25 MB: what was touched lately is mostly touched
/// again, and need not be read and checked again. With more than that, all are dropped and read on demand.
const RESIDENT_COINS_MAX: u64 = 65_536;

impl Node {
    /// The coins that validating a candidate touches.
    pub(super) fn candidate_coins(&self, block: &BlockId) -> Vec<(Owner, OutPoint)> {
        match self.candidates.candidate(block).map(|candidate| &candidate.progress) {
            Some(Progress::Complete(verified)) => self.draft_coins(verified.draft()),
            _ => Vec::new(),
        }
    }

    /// The coins that deriving a draft touches; none where it cannot be derived at all.
    pub(super) fn draft_coins(&self, draft: &Draft) -> Vec<(Owner, OutPoint)> {
        let changes = planned_changes(&self.chain.spec.consensus, &self.chain.id, &self.state, draft);
        changes.map(|changes| changes.coins()).unwrap_or_default()
    }

    /// Chooses what goes into a block of ours.
    pub(super) fn build(&mut self, view: ViewNumber, now: Time, step: &mut Step) {
        let Some(proposer) = self.signer.as_ref().map(crate::consensus::Signer::public_key) else { return };
        let rules = self.chain.spec.consensus.rules(self.state.height().next());
        // The height may have been decided since consensus asked.
        let due = self.state.validators.validator(self.state.proposer(rules, view));
        if due.is_none_or(|member| member.key != proposer) {
            return;
        }
        let time = now.max(self.state.header.time.plus(rules.block_interval_min_ms.max(1)));
        let certificate = self.consensus.parent_certificate().or(self.certificate.as_deref());
        let draft = Draft {
            view,
            time,
            proposer,
            transactions: self.mempool.select(self.own_block_size_max(rules), time),
            evidence: self.evidence.values().take(rules.block_evidence_max as usize).copied().collect(),
            parent_certificate: certificate.map(|certificate| {
                VerifiedCertificate::from_checked_votes(certificate.clone(), &self.state.signers)
            }),
        };
        step.jobs.push(Job::Derive(Box::new(draft)));
    }

    /// Makes the block that follows from our draft; drops transactions the rules refuse and tries again.
    pub(super) fn derive_own(&mut self, draft: Draft, now: Time, step: &mut Step) {
        let view = draft.view;
        match derive(&self.chain.spec.consensus, &self.chain.id, &self.state, draft.clone()) {
            Ok(applied) => {
                let block = applied.state.id;
                let keep = self.blocks_to_keep();
                if let Some(candidate) = self.candidates.entry(block, &keep, now) {
                    candidate.progress = Progress::Valid(Box::new(applied));
                    self.notice_block_phase(TransactionPhase::PrePrepare, &block, step);
                    self.consensus_input(Input::Built { view, block }, now, step);
                }
            }
            Err(error) => {
                let culprit = refused_transaction(&error, &draft);
                if let Some(txid) = culprit {
                    let Step { batch, effects, .. } = step;
                    self.drop_pending(&txid, batch, effects);
                }
                let is_bare = draft.transactions.is_empty() && draft.evidence.is_empty();
                let draft = match culprit {
                    Some(txid) => without(draft, &txid),
                    // Nothing left to leave out: the height moved on, or this view passes without a block of ours.
                    None if is_bare => return,
                    None => Draft { transactions: Vec::new(), evidence: Vec::new(), ..draft },
                };
                step.jobs.push(Job::Derive(Box::new(draft)));
            }
        }
    }

    /// Validates a complete candidate and tells consensus, or finishes the decision that waits for it.
    pub(super) fn validate_candidate(&mut self, block: BlockId, now: Time, step: &mut Step) {
        let rules = self.chain.spec.consensus.rules(self.state.height().next());
        let latest = now.plus(rules.clock_drift_max_ms);
        let Some(candidate) = self.candidates.candidate_mut(&block) else { return };
        let Progress::Complete(verified) = &candidate.progress else { return };
        let verified = VerifiedBlock::clone(verified);
        let timely = verified.header().time <= latest;
        let result = validate(&self.chain.spec.consensus, &self.chain.id, &self.state, verified);
        let valid = result.is_ok();
        candidate.progress = match result {
            Ok(applied) => Progress::Valid(Box::new(applied)),
            Err(error) if candidate.whole => Progress::Invalid(error),
            // Only the header is its maker's word: ids that a relay changed, or our copy of a transaction with
            // other witnesses, say nothing against the block. Have it whole, then judge.
            Err(_) => {
                candidate.distrust();
                self.want_block(block, now, step);
                return;
            }
        };
        if valid {
            self.notice_block_phase(TransactionPhase::PrePrepare, &block, step);
        }
        self.tell_verdict(block, valid && timely, now, step);
    }

    /// Blocks of the open height that must stay at hand: what this node is locked on, may propose again, or waits
    /// for to finish a decision.
    pub(super) fn blocks_to_keep(&self) -> Vec<BlockId> {
        let state = self.consensus.state();
        let prepared = state.into_iter().flat_map(|state| [state.locked, state.valid]).flatten();
        let decided = self.decided.as_ref().and_then(|certificate| certificate.data.block);
        prepared.map(|(block, _)| block).chain(decided).collect()
    }

    pub(super) fn on_parts(
        &mut self,
        peer: PeerId,
        block: BlockId,
        list: &[Arc<VerifiedTransaction>],
        step: &mut Step,
    ) {
        list.iter().for_each(|transaction| self.peers.knows_transaction(&peer, transaction.txid()));
        let Some(candidate) = self.candidates.candidate_mut(&block) else { return };
        candidate.supply(list);
        if matches!(candidate.progress, Progress::Complete(_)) {
            step.jobs.push(Job::Validate(block));
        }
    }

    /// Transactions that came in may be what candidates lack.
    pub(super) fn supply_candidates(&mut self, list: &[Arc<VerifiedTransaction>], step: &mut Step) {
        for (block, candidate) in self.candidates.iter_mut() {
            if matches!(candidate.progress, Progress::Partial(..)) {
                candidate.supply(list);
                if matches!(candidate.progress, Progress::Complete(_)) {
                    step.jobs.push(Job::Validate(*block));
                }
            }
        }
    }

    /// A whole block of the open height, as its header commits to it. Only one that was asked for is looked at.
    pub(super) fn on_block(
        &mut self,
        block: BlockId,
        verified: Result<Box<VerifiedBlock>, BlockError>,
        now: Time,
        step: &mut Step,
    ) {
        let Some(candidate) = self.candidates.candidate_mut(&block) else { return };
        if !matches!(candidate.progress, Progress::Named | Progress::Partial(..)) {
            return;
        }
        match verified {
            Ok(verified) => {
                candidate.progress = Progress::Complete(verified);
                candidate.whole = true;
                step.jobs.push(Job::Validate(block));
            }
            // Whoever gave it is not to blame: its maker is.
            Err(error) => {
                candidate.progress = Progress::Invalid(error);
                self.tell_verdict(block, false, now, step);
            }
        }
    }

    /// A candidate has been judged: finishes the decision that waits for it, or tells consensus if it asked.
    fn tell_verdict(&mut self, block: BlockId, valid: bool, now: Time, step: &mut Step) {
        let asked = self.candidates.candidate(&block).is_some_and(|candidate| candidate.asked);
        if self.decided.as_ref().is_some_and(|certificate| certificate.data.block == Some(block)) {
            self.finish_decision(now, step);
        } else if asked {
            self.consensus_input(Input::BlockVerdict { block, valid }, now, step);
        }
    }

    /// Asks a peer for a block, or for what it lacks; again and elsewhere if the answer does not come.
    pub(super) fn want_block(&mut self, block: BlockId, now: Time, step: &mut Step) {
        let Some(candidate) = self.candidates.candidate_mut(&block) else { return };
        if candidate.want_at() > now {
            return;
        }
        let last = candidate.wanted.map(|(peer, _)| peer);
        let Some(peer) = self.peers.next_after(last) else { return };
        candidate.wanted = Some((peer, now));
        let message = match candidate.lacking() {
            // Parts are at hand only while the height is open at the peer: the second time ask for the whole.
            positions if !positions.is_empty() && last.is_none() => Message::WantParts { block, positions },
            _ => Message::WantBlock(block),
        };
        self.send(vec![peer], &message, step);
    }

    /// A height is decided; the block may have to be fetched first.
    pub(super) fn decide(&mut self, block: BlockId, certificate: Certificate, now: Time, step: &mut Step) {
        self.decided = Some(certificate);
        let keep = self.blocks_to_keep();
        let Some(candidate) = self.candidates.entry(block, &keep, now) else { return };
        candidate.asked = true;
        match candidate.progress {
            Progress::Valid(_) | Progress::Invalid(_) => self.finish_decision(now, step),
            Progress::Complete(_) => step.jobs.push(Job::Validate(block)),
            Progress::Named | Progress::Partial(..) => self.want_block(block, now, step),
        }
    }

    /// The decided block has been judged: make it final, or stop if our rules refuse what a quorum committed.
    fn finish_decision(&mut self, now: Time, step: &mut Step) {
        let Some(certificate) = self.decided.take() else { return };
        let Some(block) = certificate.data.block else { return };
        if let Some((applied, seen)) = self.candidates.take_valid(&block) {
            let elapsed_ms = now.since(seen);
            if let Err(error) = self.finalize(*applied, certificate.clone(), elapsed_ms, now, step) {
                self.halt(Notice::InvalidDecision { certificate, error: error.into() }, step);
            }
        } else if let Some(Progress::Invalid(error)) =
            self.candidates.candidate(&block).map(|candidate| &candidate.progress)
        {
            let error = error.clone();
            self.halt(Notice::InvalidDecision { certificate, error }, step);
        }
    }

    /// Makes a valid block with its certificate the new tip.
    pub(super) fn finalize(
        &mut self,
        applied: Applied,
        certificate: Certificate,
        elapsed_ms: u64,
        now: Time,
        step: &mut Step,
    ) -> Result<(), TreeError> {
        self.write_final(&applied, &certificate, &mut step.batch)?;
        step.batch.sync();
        let height = applied.state.height();
        let old = self.sign_rows.split_off(&(height, Vec::new()));
        let kept = if old.is_empty() { self.sign_rows.pop_last().into_iter().collect() } else { old };
        for (_, row) in core::mem::replace(&mut self.sign_rows, kept) {
            step.batch.delete(Table::Sign, row);
        }
        for row in core::mem::take(&mut self.candidate_rows) {
            step.batch.delete(Table::Candidate, row);
        }
        let Applied { block, mut state, changes, .. } = applied;
        let confirmed: Vec<TxId> =
            block.body.transactions.iter().map(|signed| signed.transaction.id()).collect();
        // All that was spent, not the net change: what waits here may want a coin made and spent in this block.
        let spent =
            block.body.transactions.iter().flat_map(|signed| signed.transaction.inputs.iter().copied());
        let removed = self.mempool.on_block(confirmed.iter().copied(), spent, &mut step.batch);
        let registry_changed = !Arc::ptr_eq(&self.state.registry, &state.registry);
        turn_sets(&mut self.past_sets, &state);
        if state.coins.resident() > RESIDENT_COINS_MAX {
            state.coins.prune();
        }
        let parent = core::mem::replace(&mut self.state, Arc::new(state));
        self.recent.add(self.state.id, parent, changes);
        self.certificate = Some(Arc::new(certificate.clone()));
        self.drop_evidence(step);
        if registry_changed {
            self.drop_refused_actions(now, step);
        }
        self.candidates = Candidates::default();
        self.context = self.make_context();
        if let Some(signer) = &mut self.signer {
            signer.observe_certificate(&certificate, &self.state.signers);
            signer.observe_height(height.next());
            // A quorum took this time for not too far ahead of its clocks, which may be as far from ours. So the
            // block is younger than this process: what the key signed before it is no later than this height.
            let drift = self.chain.spec.consensus.rules(height).clock_drift_max_ms;
            if self.state.header.time > self.started.plus(drift.saturating_mul(2)) {
                signer.finish_listening();
            }
        }
        step.effects.push(Effect::State(self.state.clone()));
        step.effects.push(Effect::Context(self.context.clone()));
        step.effects.push(Effect::Notice(Notice::Finalized {
            block: Arc::new(block),
            certificate: Arc::new(certificate),
            elapsed_ms,
        }));
        step.effects.push(Effect::Notice(Notice::Phase(TransactionPhase::Finalized, confirmed)));
        let dropped = removed.conflicting.into_iter();
        step.effects.extend(dropped.map(|txid| Effect::Notice(Notice::Dropped(txid))));
        self.peers.new_height(now);
        let everybody = self.peers.all_but(None).into_iter().chain(self.lights.all());
        self.send(everybody.collect(), &self.status(), step);
        self.notice_quarantine(step);
        self.start_height(now, Vec::new(), step);
        self.replan_early(step);
        self.sync_applied(now, step);
        Ok(())
    }

    fn drop_evidence(&mut self, step: &mut Step) {
        let registry = &self.state.registry;
        let settled = |item: &crate::state::VerifiedEvidence| {
            let node = registry.node(&item.culprit().masternode);
            node.is_none_or(|node| matches!(node.status, Status::Ejected { .. }))
        };
        let gone: Vec<_> =
            self.evidence.iter().filter(|(_, item)| settled(item)).map(|(key, _)| *key).collect();
        for evidence in gone {
            self.evidence.remove(&evidence);
            step.batch.delete(Table::Evidence, crate::codec::encode(&evidence));
        }
    }

    /// Begins the height after the tip.
    pub(super) fn start_height(&mut self, now: Time, records: Vec<SignRecord>, step: &mut Step) {
        self.silence.new_height();
        let height = self.state.height().next();
        let rules = self.chain.spec.consensus.rules(height);
        let set = self.state.validators.clone();
        let me = self.signer.as_ref().and_then(|signer| set.index_of(&signer.public_key()));
        let timeouts = Timeouts {
            propose_ms: rules.timeout_propose_ms,
            prepare_ms: rules.timeout_prepare_ms,
            commit_ms: rules.timeout_commit_ms,
            growth_ms: rules.timeout_growth_ms,
            max_ms: rules.timeout_max_ms,
            block_interval_min_ms: rules.block_interval_min_ms.max(1),
            heartbeat_ms: rules.heartbeat_ms,
        };
        let start = HeightStart {
            height,
            set,
            absent: self.state.absent(rules),
            timeouts,
            me,
            parent_time: self.state.header.time,
            parent_certificate: self.certificate.as_deref().cloned(),
            records,
        };
        self.consensus_input(Input::Start(start), now, step);
        if !self.mempool.is_empty() || !self.evidence.is_empty() {
            self.consensus_input(Input::Work, now, step);
        }
    }

    /// Proposals that were early can be checked now.
    fn replan_early(&mut self, step: &mut Step) {
        for (peer, proposal) in core::mem::take(&mut self.early) {
            if let Ok(Some(job)) = plan::plan_message(&self.context, peer, Message::Proposal(proposal)) {
                step.jobs.push(job);
            }
        }
    }

    /// A block by id, of the open height or the newest final one.
    pub(super) fn open_block(&self, block: &BlockId) -> Option<Block> {
        match &self.candidates.candidate(block)?.progress {
            Progress::Valid(applied) => Some(applied.block.clone()),
            Progress::Named | Progress::Partial(..) | Progress::Complete(_) | Progress::Invalid(_) => None,
        }
    }

    /// Transactions of a candidate, by position among its proposal's ids.
    pub(super) fn candidate_parts(
        &self,
        block: &BlockId,
        positions: &[u32],
    ) -> Vec<crate::transaction::SignedTransaction> {
        let Some(found) = self.open_block(block) else { return Vec::new() };
        let paid: Vec<_> =
            found.body.transactions.into_iter().filter(|signed| !signed.spent.is_empty()).collect();
        positions.iter().filter_map(|at| paid.get(*at as usize).cloned()).collect()
    }
}

/// The transaction that makes a draft underivable, where one does.
fn refused_transaction(error: &BlockError, draft: &Draft) -> Option<TxId> {
    let outpoint = match error {
        BlockError::Refused { txid, .. } => return Some(*txid),
        BlockError::Coin(
            TreeError::NotPresent(outpoint)
            | TreeError::WrongOutput(outpoint)
            | TreeError::AlreadyPresent(outpoint),
        ) => outpoint,
        _ => return None,
    };
    let spends =
        |transaction: &&Arc<VerifiedTransaction>| transaction.spends().any(|(input, _)| input == outpoint);
    draft.transactions.iter().find(spends).map(|transaction| transaction.txid())
}

/// The draft without a transaction and without what depends on it.
fn without(mut draft: Draft, txid: &TxId) -> Draft {
    let mut gone = std::collections::BTreeSet::from([*txid]);
    draft.transactions.retain(|transaction| {
        let depends = transaction.spends().any(|(outpoint, _)| gone.contains(&outpoint.txid));
        if depends {
            gone.insert(transaction.txid());
        }
        !gone.contains(&transaction.txid())
    });
    draft
}

/// Whether a certificate finalizes this block.
pub(super) fn is_commit_of(certificate: &Certificate, block: &BlockId) -> bool {
    certificate.data.phase == Phase::Commit && certificate.data.block == Some(*block)
}
