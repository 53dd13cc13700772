//! Catching up, in the node: statuses and answers go to the machine, its blocks come back to be validated under
//! the full rules, one after the other.

use crate::consensus::Input;
use crate::message::Message;
use crate::peer::handshake::PeerId;
use crate::peer::score::Offence;
use crate::state::VerifiedCertificate;
use crate::sync::wire::{RequestId, Status};
use crate::sync::{Checked, CheckedStatus, Output, SyncFault};
use crate::time::Time;
use crate::vote::Height;

use super::candidates::Progress;
use super::event::{Job, Notice, Step, anchor};
use super::{Node, plan};

impl Node {
    /// How far sync is.
    #[must_use]
    pub fn sync_progress(&self) -> crate::sync::Progress {
        self.sync.progress()
    }

    /// What peers are told about this node.
    pub(super) fn status(&self) -> Message {
        Message::Status(Box::new(Status {
            lowest: Height(0),
            height: self.state.height(),
            certificate: self.certificate.as_deref().cloned(),
        }))
    }

    pub(super) fn on_status(
        &mut self,
        peer: PeerId,
        height: Height,
        status: CheckedStatus,
        certificate: Option<VerifiedCertificate>,
        now: Time,
        step: &mut Step,
    ) {
        if self.lights.contains(&peer) {
            return;
        }
        self.peers.reached(&peer, height);
        self.peers.relay_soon(now);
        self.sync.on_status(peer.0, status, now);
        if let Some(verified) = certificate {
            self.on_certificate(peer, &verified, now, step);
        }
        self.want_sync(now, step);
    }

    pub(super) fn on_response(
        &mut self,
        peer: PeerId,
        id: RequestId,
        checked: Checked,
        now: Time,
        step: &mut Step,
    ) {
        match self.sync.on_response(peer.0, id, checked, now) {
            Ok(outputs) => self.take_synced(outputs, now, step),
            Err(fault) => Self::offend(peer, offence(fault), step),
        }
        self.want_sync(now, step);
    }

    pub(super) fn peer_left(&mut self, peer: &PeerId, now: Time, step: &mut Step) {
        self.peers.remove(peer);
        self.lights.remove(peer);
        self.fetches.left(peer);
        if let Some(discovery) = &mut self.discovery {
            discovery.left(peer, now);
        }
        self.early.remove(peer);
        self.sync.on_left(&peer.0);
        self.want_sync(now, step);
    }

    pub(super) fn tick_sync(&mut self, now: Time, step: &mut Step) {
        if self.sync.deadline() <= now {
            for peer in self.sync.tick(now) {
                Self::offend(PeerId(peer), Offence::Unanswered, step);
            }
            self.want_sync(now, step);
        }
    }

    /// A block became final, from here or from consensus.
    pub(super) fn sync_applied(&mut self, now: Time, step: &mut Step) {
        let outputs = self.sync.on_applied(anchor(&self.state), now);
        self.synced = self.synced.split_off(&self.state.height().next());
        self.renew_context(step);
        self.take_synced(outputs, now, step);
        self.want_sync(now, step);
    }

    fn take_synced(&mut self, outputs: Vec<Output>, now: Time, step: &mut Step) {
        for output in outputs {
            match output {
                Output::Verified(_) => self.renew_context(step),
                Output::Apply { block, certificate } => {
                    self.synced.insert(block.header.height, (block, certificate));
                }
            }
        }
        self.decide_synced(now, step);
    }

    /// The next synced block: its certificate decides the open height, and the block is at hand.
    fn decide_synced(&mut self, now: Time, step: &mut Step) {
        let Some((block, certificate)) = self.synced.remove(&self.state.height().next()) else { return };
        let id = block.header.id();
        match plan::verify_block(&self.context, *block) {
            Ok(verified) => {
                let keep = self.blocks_to_keep();
                if let Some(candidate) = self.candidates.entry(id, &keep, now)
                    && !matches!(candidate.progress, Progress::Valid(_))
                {
                    candidate.progress = Progress::Complete(Box::new(verified));
                    candidate.whole = true;
                    // Consensus may have decided it without having it, and does not decide twice.
                    if candidate.asked {
                        step.jobs.push(Job::Validate(id));
                    }
                }
                self.consensus_input(Input::Certificate(certificate), now, step);
            }
            // The body is the certified header's: a quorum committed what our rules refuse.
            Err(error) => self.halt(Notice::InvalidDecision { certificate, error }, step),
        }
    }

    pub(super) fn want_sync(&mut self, now: Time, step: &mut Step) {
        for request in self.sync.wanted(now) {
            self.send(vec![PeerId(request.peer)], &Message::Query(request.id, request.query), step);
        }
    }
}

fn offence(fault: SyncFault) -> Offence {
    match fault {
        SyncFault::Unrequested | SyncFault::Mismatched => Offence::UnrequestedResponse,
        SyncFault::Headers(_) => Offence::InvalidCertificate,
        SyncFault::Body(_) => Offence::InvalidBlock,
        SyncFault::FalseStatus(_) => Offence::FalseStatus,
    }
}
