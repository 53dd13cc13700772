//! Consensus in the node: inputs from peers, outputs carried out, the sign rule kept.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::certificate::Certificate;
use crate::codec::encode;
use crate::consensus::{Input, Output, SignRecord, Step as ConsensusStep};
use crate::evidence::Evidence;
use crate::hash::BlockId;
use crate::message::{Message, Proposal};
use crate::peer::handshake::PeerId;
use crate::rows::Table;
use crate::schema::{candidate_key, prepared_key, sign_key};
use crate::state::registry::Status;
use crate::state::{VerifiedCertificate, VerifiedEvidence};
use crate::time::Time;
use crate::vote::{Height, Phase, Vote, VoteData};

use super::Node;
use super::candidates::Progress;
use super::event::{CheckedProposal, Effect, Job, Notice, Step, TransactionPhase};

impl Node {
    /// Hands consensus an input and carries out everything that follows from it.
    pub(super) fn consensus_input(&mut self, input: Input, now: Time, step: &mut Step) {
        let mut outputs = VecDeque::from(self.consensus.handle(input, now));
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Sign(data) => {
                    if let Some(input) = self.sign(data, now, step) {
                        outputs.extend(self.consensus.handle(input, now));
                    }
                }
                Output::Build { view } => step.jobs.push(Job::Build(view)),
                Output::Check(block) => {
                    if let Some(input) = self.check(block, now, step) {
                        outputs.extend(self.consensus.handle(input, now));
                    }
                }
                Output::Decide { block, certificate } => self.decide(block, certificate, now, step),
                Output::Certificate(certificate) => {
                    self.notice_phase(&certificate.data, step);
                    self.peers.relay_soon(now);
                }
                Output::Evidence(evidence) => self.found_evidence(evidence, now, step),
                Output::Fork { ours, theirs } => self.halt(Notice::Fork { ours, theirs }, step),
                Output::EnteredView(_) => self.peers.relay_soon(now),
                Output::Rebroadcast { votes, certificates, proposal } => {
                    self.rebroadcast(votes, certificates, proposal, step);
                }
            }
        }
    }

    /// Signs under the sign rule. The record is in the batch before the vote is in the effects.
    pub(super) fn sign(&mut self, data: VoteData, now: Time, step: &mut Step) -> Option<Input> {
        let state = self.consensus.state().filter(|state| state.height == data.height)?;
        if self.keeps_silent(data, now) {
            return None;
        }
        let signer = self.signer.as_mut()?;
        let index = self.state.validators.index_of(&signer.public_key())?;
        let record = signer.sign(data, index, state.locked, state.valid).ok()?;
        self.keep_record(&record, step);
        step.effects.push(Effect::Notice(Notice::Signed(data.phase, data.height, data.view)));
        let vote = record.vote;
        if data.phase == Phase::PrePrepare {
            let proposal = self.proposal(&vote)?;
            let certificate = proposal.prepare_certificate.clone();
            let peers = self.peers.lacking_proposal(&vote);
            if let Some(candidate) = data.block.and_then(|block| self.candidates.candidate_mut(&block)) {
                candidate.proposal = Some(Arc::new(proposal.clone()));
            }
            self.send(peers, &Message::Proposal(Box::new(proposal)), step);
            return Some(Input::Proposal(vote, certificate));
        }
        self.notice_phase(&data, step);
        let peers = self.peers.lacking_vote(&vote);
        self.send(peers, &Message::Votes(vec![vote]), step);
        Some(Input::Votes(vec![vote]))
    }

    /// Makes a vote durable; with a Commit, also the block it is for and the proof that it was prepared: after a
    /// power cut everywhere, a lock could neither be shown to others nor be released without them.
    fn keep_record(&mut self, record: &SignRecord, step: &mut Step) {
        let VoteData { phase, height, view, block, .. } = record.vote.data;
        let Some(key) = self.signer.as_ref().map(crate::consensus::Signer::public_key) else { return };
        let row = sign_key(&key, height, view, phase);
        step.batch.put(Table::Sign, row.clone(), encode(record));
        step.batch.sync();
        self.sign_rows.insert((height, row));
        let Some(block) = block.filter(|_| phase == Phase::Commit) else { return };
        let valid = self.candidates.candidate(&block).map(|candidate| &candidate.progress);
        if let Some(Progress::Valid(applied)) = valid {
            let row = candidate_key(height, &block);
            if self.candidate_rows.insert(row.clone()) {
                step.batch.put(Table::Candidate, row, encode(&applied.block));
            }
        }
        if let Some(certificate) = self.consensus.prepare_certificate(view) {
            let row = prepared_key(height, view);
            step.batch.put(Table::Candidate, row.clone(), encode(&certificate));
            self.candidate_rows.insert(row);
        }
    }

    /// The full proposal for our PrePrepare vote, from a candidate found valid.
    fn proposal(&self, vote: &Vote) -> Option<Proposal> {
        let candidate = self.candidates.candidate(&vote.data.block?)?;
        let Progress::Valid(applied) = &candidate.progress else { return None };
        let (header, body) = (&applied.block.header, &applied.block.body);
        let ids = body.transactions.iter().filter(|signed| !signed.spent.is_empty());
        let prepared = vote.data.valid_view.and_then(|view| self.consensus.prepare_certificate(view));
        Some(Proposal {
            vote: *vote,
            header: header.clone(),
            transactions: ids.map(|signed| signed.transaction.id()).collect(),
            evidence: body.evidence.clone(),
            parent_certificate: body.parent_certificate.clone(),
            prepare_certificate: prepared,
        })
    }

    /// Consensus waits for a verdict on a block: give it, or get what it takes.
    fn check(&mut self, block: BlockId, now: Time, step: &mut Step) -> Option<Input> {
        let drift = self.chain.spec.consensus.rules(self.state.height().next()).clock_drift_max_ms;
        let keep = self.blocks_to_keep();
        let candidate = self.candidates.entry(block, &keep, now)?;
        candidate.asked = true;
        match &candidate.progress {
            Progress::Valid(applied) => {
                let valid = applied.block.header.time <= now.plus(drift);
                Some(Input::BlockVerdict { block, valid })
            }
            Progress::Invalid(_) => Some(Input::BlockVerdict { block, valid: false }),
            Progress::Complete(_) => {
                step.jobs.push(Job::Validate(block));
                None
            }
            Progress::Named | Progress::Partial(..) => {
                self.want_block(block, now, step);
                None
            }
        }
    }

    pub(super) fn on_proposal(
        &mut self,
        peer: PeerId,
        checked: Box<CheckedProposal>,
        now: Time,
        step: &mut Step,
    ) {
        if checked.proposal.header.parent != self.state.id {
            return;
        }
        let vote = checked.proposal.vote;
        let Some(block) = vote.data.block else { return };
        self.peers.knows_proposal(&peer, &vote);
        if let Some(signer) = &mut self.signer {
            signer.observe(&vote, &self.state.validators);
            self.notice_quarantine(step);
        }
        let certificate = checked.proposal.prepare_certificate.clone();
        let keep = self.blocks_to_keep();
        let mempool = &self.mempool;
        if let Some(candidate) = self.candidates.entry(block, &keep, now) {
            candidate.propose(checked, |txid| mempool.transaction(txid).cloned());
            // Consensus may have asked before the proposal came, and does not ask twice.
            if candidate.asked && matches!(candidate.progress, Progress::Complete(_)) {
                step.jobs.push(Job::Validate(block));
            }
            let lacking = candidate.lacking();
            if !lacking.is_empty() {
                candidate.wanted = Some((peer, now));
                self.send(vec![peer], &Message::WantParts { block, positions: lacking }, step);
            }
        }
        self.peers.relay_soon(now);
        self.consensus_input(Input::Proposal(vote, certificate), now, step);
    }

    pub(super) fn on_votes(&mut self, peer: PeerId, votes: Vec<Vote>, now: Time, step: &mut Step) {
        if let Some(signer) = &mut self.signer {
            // Late votes of an epoch's last height have the positions of its set, not of the one in force.
            for vote in &votes {
                if let Some(set) = self.context.set_of(vote.data.height) {
                    signer.observe(vote, set);
                }
            }
        }
        votes.iter().for_each(|vote| self.peers.knows_vote(&peer, vote));
        self.peers.relay_soon(now);
        self.consensus_input(Input::Votes(votes), now, step);
        self.notice_quarantine(step);
    }

    pub(super) fn on_certificate(
        &mut self,
        peer: PeerId,
        verified: &VerifiedCertificate,
        now: Time,
        step: &mut Step,
    ) {
        let certificate = verified.certificate();
        self.peers.knows_certificate(&peer, certificate);
        let open = self.state.height().next();
        let Some(set) = self.context.set_of(certificate.data.height).cloned() else { return };
        if set.hash() != verified.set() {
            return;
        }
        if let Some(signer) = &mut self.signer {
            signer.observe_certificate(certificate, &set);
        }
        if self.is_fork(certificate) {
            let ours = self.certificate.as_deref().cloned();
            let theirs = certificate.clone();
            if let Some(ours) = ours {
                self.halt(Notice::Fork { ours, theirs }, step);
            }
        } else if certificate.data.height == open {
            self.consensus_input(Input::Certificate(certificate.clone()), now, step);
        } else if certificate.data.height > open {
            self.peers.reached(&peer, certificate.data.height);
        }
        self.notice_quarantine(step);
    }

    /// Whether a verified commit certificate contradicts the newest final block.
    fn is_fork(&self, certificate: &Certificate) -> bool {
        certificate.data.phase == Phase::Commit
            && certificate.data.height == self.state.height()
            && certificate.data.block.is_some_and(|block| block != self.state.id)
    }

    /// Stops for good, with what proves why in the store.
    pub(super) fn halt(&mut self, reason: Notice, step: &mut Step) {
        if let Notice::Fork { ours, theirs } = &reason {
            step.batch.put(Table::Evidence, *b"fork/ours", encode(ours));
            step.batch.put(Table::Evidence, *b"fork/theirs", encode(theirs));
            step.batch.sync();
        }
        self.halted = true;
        step.effects.push(Effect::Notice(reason));
        step.effects.push(Effect::Halt);
    }

    /// Our own vote set found a contradiction: its votes were verified one by one.
    fn found_evidence(&mut self, evidence: Evidence, now: Time, step: &mut Step) {
        let height = evidence.first.data.height;
        let Some(set) = self.context.set_of(height) else { return };
        if let Ok(verified) = VerifiedEvidence::verify(evidence, set, &self.chain.id) {
            self.on_evidence(None, verified, now, step);
        }
    }

    pub(super) fn on_evidence(
        &mut self,
        peer: Option<PeerId>,
        verified: VerifiedEvidence,
        now: Time,
        step: &mut Step,
    ) {
        let evidence = *verified.evidence();
        let culprit = self.state.registry.node(&verified.culprit().masternode);
        let ejectable = culprit.is_some_and(|node| !matches!(node.status, Status::Ejected { .. }));
        // One piece per culprit is enough: it is ejected once.
        let known =
            self.evidence.values().any(|kept| kept.culprit().masternode == verified.culprit().masternode);
        if known || !ejectable {
            return;
        }
        self.evidence.insert(evidence, verified);
        step.batch.put(Table::Evidence, encode(&evidence), Vec::new());
        step.effects.push(Effect::Notice(Notice::Evidence(evidence)));
        let peers = self.peers.all_but(peer);
        self.send(peers, &Message::Evidence(evidence), step);
        self.consensus_input(Input::Work, now, step);
    }

    fn rebroadcast(
        &mut self,
        votes: Vec<Vote>,
        certificates: Vec<Certificate>,
        proposal: Option<BlockId>,
        step: &mut Step,
    ) {
        let peers = self.peers.all_but(None);
        let candidate = proposal.and_then(|block| self.candidates.candidate(&block));
        if let Some(proposal) = candidate.and_then(|candidate| candidate.proposal.clone()) {
            self.send(peers.clone(), &Message::Proposal(Box::new(Proposal::clone(&proposal))), step);
        }
        for certificate in certificates {
            self.send(peers.clone(), &Message::Certificate(certificate), step);
        }
        // A peer that is back in an earlier view, with its memory of others' votes gone, gets out of it only by them.
        let own = self.signer.iter().flat_map(|signer| signer.votes_at(self.state.height().next()));
        let votes: BTreeSet<_> =
            votes.into_iter().chain(own).filter(|vote| vote.data.phase != Phase::PrePrepare).collect();
        let votes: Vec<_> = votes.into_iter().collect();
        for votes in votes.chunks(crate::message::VOTES_MAX) {
            self.send(peers.clone(), &Message::Votes(votes.to_vec()), step);
        }
    }

    pub(super) fn override_quarantine(&mut self, height: Height, now: Time, step: &mut Step) {
        if let Some(signer) = &mut self.signer {
            signer.override_quarantine(height);
        }
        self.notice_quarantine(step);
        self.start_height(now, Vec::new(), step);
    }

    pub(super) fn notice_quarantine(&mut self, step: &mut Step) {
        let quarantine = self.signer.as_ref().and_then(crate::consensus::Signer::quarantine);
        if quarantine != self.quarantine {
            self.quarantine = quarantine;
            step.effects.push(Effect::Notice(Notice::Quarantine(quarantine)));
        }
    }

    /// How far a transaction that is not final has come; `None` where it is not known here.
    #[must_use]
    pub fn phase(&self, txid: &crate::hash::TxId) -> Option<TransactionPhase> {
        let proposed = self.candidates.iter().any(|candidate| {
            let Progress::Valid(applied) = &candidate.progress else { return false };
            applied.block.body.transactions.iter().any(|signed| signed.transaction.id() == *txid)
        });
        if !proposed {
            return self.mempool.contains(txid).then_some(TransactionPhase::Pending);
        }
        Some(match self.consensus.state()?.step {
            ConsensusStep::Unstarted | ConsensusStep::PrePrepare => TransactionPhase::PrePrepare,
            ConsensusStep::Prepare => TransactionPhase::Prepare,
            ConsensusStep::Commit | ConsensusStep::Decided => TransactionPhase::Commit,
        })
    }

    /// Tells watchers how far the transactions of a block have come, once: this node's vote and a quorum's
    /// certificate lead to the same phase.
    fn notice_phase(&mut self, data: &VoteData, step: &mut Step) {
        let phase = match data.phase {
            Phase::PrePrepare => TransactionPhase::PrePrepare,
            Phase::Prepare => TransactionPhase::Prepare,
            Phase::Commit => TransactionPhase::Commit,
        };
        if let Some(block) = data.block {
            self.notice_block_phase(phase, &block, step);
        }
    }

    pub(super) fn notice_block_phase(&mut self, phase: TransactionPhase, block: &BlockId, step: &mut Step) {
        let candidate = self.candidates.candidate(block).map(|candidate| &candidate.progress);
        if self.phase_told == Some((*block, phase)) {
            return;
        }
        if let Some(Progress::Valid(applied)) = candidate {
            let transactions = &applied.block.body.transactions;
            let ids: Vec<_> = transactions.iter().map(|signed| signed.transaction.id()).collect();
            if !ids.is_empty() {
                self.phase_told = Some((*block, phase));
                step.effects.push(Effect::Notice(Notice::Phase(phase, ids)));
            }
        }
    }
}
