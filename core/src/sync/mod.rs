//! Sync: catching up with the chain from several peers, none of which is trusted.
//!
//! | file | what it holds |
//! |---|---|
//! | `wire` | queries, responses, status |
//! | `check` | what is verified before the machine sees it |
//! | `mod` | the machine: events in, blocks to apply out |
//! | `schedule` | which range to ask of whom, and when to look again |
//! | `peers` | what peers claim and how well they answer |
//!
//! Certificates first: headers are followed from the last applied block, each with its commit certificate by
//! the set that the one before named. Only then are bodies asked for, in parallel, and compared with their
//! headers; they are delivered in the order of heights, and the node applies them under the full rules.
//!
//! Invariants: a height is believed only with a verified certificate, a *claimed* one decides nothing but whom
//! to ask · whether something is missing is computed from what is held, never remembered in a flag · every
//! request has a deadline, and what it covered is asked of another peer after that · the range that holds up
//! the others is asked of a second peer early · buffers are bounded, and the next block always has room · a
//! late answer is used, and is no offence.
//!
//! It neither validates blocks nor serves them, and decides no punishment: [`SyncFault`] says what is proved.

mod check;
mod peers;
mod schedule;
#[cfg(test)]
mod tests;
pub mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use check::{
    Anchor, Checked, CheckedBody, CheckedStatus, HeaderFault, StatusFault, VerifiedHeader, check,
    check_status, verify_headers,
};
use peers::Peers;
pub use schedule::Request;
use schedule::{Asked, Outstanding};
use wire::RequestId;

use crate::block::{Block, Body};
use crate::certificate::Certificate;
use crate::keys::PublicKey;
use crate::time::Time;
use crate::vote::Height;

/// How much is asked for and held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncLimits {
    /// A request is given up after this long; longer for a peer that was slow before.
    pub timeout_ms: u64,
    /// What holds up everything else is asked of one more peer after this long.
    pub hedge_ms: u64,
    /// Being one block behind is left to consensus for this long.
    pub lag_ms: u64,
    /// Blocks that the node neither applied nor refused for this long are fetched again.
    pub apply_timeout_ms: u64,
    /// Requests open at one peer.
    pub per_peer_max: usize,
    /// Verified headers ahead of the last applied block.
    pub headers_max: usize,
    /// Bytes of bodies that wait for an earlier one.
    pub buffer_bytes_max: usize,
    /// Bytes of bodies to ask for at once.
    pub response_bytes_max: u32,
    /// Blocks handed to the node ahead of the last applied.
    pub apply_ahead: u64,
}

impl Default for SyncLimits {
    fn default() -> Self {
        Self {
            timeout_ms: 5_000,
            hedge_ms: 1_000,
            lag_ms: 1_000,
            apply_timeout_ms: 60_000,
            per_peer_max: 2,
            headers_max: 512,
            buffer_bytes_max: 32 << 20,
            response_bytes_max: 1 << 20,
            apply_ahead: 4,
        }
    }
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Headers up to this block are verified: publish it for [`check`].
    Verified(Arc<Anchor>),
    /// The next block, certified; answered by [`Sync::on_applied`] or [`Sync::on_invalid`]. It may come again
    /// if that takes too long.
    Apply {
        /// The block.
        block: Box<Block>,
        /// Its commit certificate.
        certificate: Certificate,
    },
}

/// What a peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncFault {
    /// An answer to a request that this peer never got. Proved.
    #[error("an answer to no request")]
    Unrequested,
    /// Another kind of answer, or more, than was asked for. Proved.
    #[error("not an answer to what was asked")]
    Mismatched,
    /// Headers that do not follow or are not certified. Proved.
    #[error(transparent)]
    Headers(#[from] HeaderFault),
    /// A body that is not the certified header's. Proved.
    #[error("the body given for height {0} is another block's")]
    Body(Height),
    /// Has nothing of a range within its claimed heights. Not proved: what was certified elsewhere may have
    /// been pruned, or the claim outdated by a restart.
    #[error("has no block {0}, which it claims to have")]
    FalseStatus(Height),
}

impl SyncFault {
    /// Whether no honest node does it.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        !matches!(self, Self::FalseStatus(_))
    }
}

/// How far things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The last block applied.
    pub applied: Height,
    /// The last header verified.
    pub verified: Height,
    /// The highest block known to be certified; beyond it there are only claims.
    pub target: Height,
}

impl Progress {
    /// Whether certified blocks are missing.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.applied < self.target
    }
}

#[derive(Debug)]
struct Arrived {
    body: Body,
    size: usize,
    from: PublicKey,
}

/// The machine. Events go in through the `on_` functions; [`Sync::wanted`] is asked after each of them.
#[derive(Debug)]
pub struct Sync {
    limits: SyncLimits,
    /// The last block applied, and when.
    tip: Arc<Anchor>,
    tip_at: Time,
    /// The last header verified, and those between tip and it.
    head: Arc<Anchor>,
    headers: BTreeMap<Height, VerifiedHeader>,
    /// Handed to the node up to here, by whom it was sent, and when last.
    delivered: Height,
    senders: BTreeMap<Height, PublicKey>,
    delivered_at: Time,
    bodies: BTreeMap<Height, Arrived>,
    bodies_bytes: usize,
    /// Who sent a block that the rules refused.
    refused: BTreeMap<Height, BTreeSet<PublicKey>>,
    peers: Peers,
    requests: BTreeMap<RequestId, Outstanding>,
    next_id: u64,
    wake_at: Time,
}

impl Sync {
    /// Starts from the last applied block.
    #[must_use]
    pub fn new(limits: SyncLimits, tip: Anchor, now: Time) -> Self {
        let tip = Arc::new(tip);
        Self {
            limits,
            head: Arc::clone(&tip),
            delivered: tip.height,
            tip,
            tip_at: now,
            headers: BTreeMap::new(),
            senders: BTreeMap::new(),
            delivered_at: now,
            bodies: BTreeMap::new(),
            bodies_bytes: 0,
            refused: BTreeMap::new(),
            peers: Peers::default(),
            requests: BTreeMap::new(),
            next_id: 0,
            wake_at: Time::NEVER,
        }
    }

    /// What responses are to be checked against: the last verified header.
    #[must_use]
    pub fn anchor(&self) -> &Arc<Anchor> {
        &self.head
    }

    /// How far things are.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let certified = self.peers.trusted().filter(|(_, peer)| peer.is_certified);
        let target = certified.map(|(_, peer)| peer.height).fold(self.head.height, Height::max);
        Progress { applied: self.tip.height, verified: self.head.height, target }
    }

    /// When to call [`Sync::tick`], as of the last [`Sync::wanted`].
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.wake_at
    }

    /// A session began, or the peer said anew what it has.
    pub fn on_status(&mut self, peer: PublicKey, status: CheckedStatus, now: Time) {
        self.peers.update(peer, status, now);
    }

    /// A session ended: what it was asked is asked of others. Bodies it sent stay.
    pub fn on_left(&mut self, peer: &PublicKey) {
        self.peers.remove(peer);
        self.requests.retain(|_, request| request.peer != *peer);
    }

    /// An answer came. A fault that is proved also means that this peer is not asked again.
    pub fn on_response(
        &mut self,
        peer: PublicKey,
        id: RequestId,
        checked: Checked,
        now: Time,
    ) -> Result<Vec<Output>, SyncFault> {
        let head = Arc::clone(&self.head);
        match self.accept(peer, id, checked, now) {
            Ok(()) => Ok(self.outputs(&head, now)),
            Err(fault) => {
                if fault.is_proved() {
                    self.peers.distrust(&peer);
                    self.requests.retain(|_, request| request.peer != peer);
                }
                Err(fault)
            }
        }
    }

    /// A peer will not answer before some time has passed: others are asked meanwhile.
    pub fn on_busy(&mut self, peer: PublicKey, id: RequestId, retry_after_ms: u32, now: Time) {
        if self.requests.get(&id).is_some_and(|request| request.peer == peer) {
            self.requests.remove(&id);
            self.peers.get_mut(&peer).into_iter().for_each(|peer| peer.rest(now, retry_after_ms.into()));
        }
    }

    /// The node applied a block, from here or from consensus.
    pub fn on_applied(&mut self, tip: Anchor, now: Time) -> Vec<Output> {
        let (next, head) = (tip.height.next(), Arc::clone(&self.head));
        let follows = self.headers.get(&next).is_none_or(|header| header.header.parent == tip.block);
        (self.tip, self.tip_at) = (Arc::new(tip), now);
        self.headers = self.headers.split_off(&next);
        self.senders = self.senders.split_off(&next);
        self.refused = self.refused.split_off(&next);
        self.bodies = self.bodies.split_off(&next);
        if !follows {
            self.headers.clear();
            self.bodies.clear();
        }
        if self.headers.is_empty() {
            self.head = Arc::clone(&self.tip);
            self.delivered = self.tip.height;
        }
        self.delivered = self.delivered.max(self.tip.height);
        self.bodies_bytes = self.bodies.values().map(|arrived| arrived.size).sum();
        self.outputs(&head, now)
    }

    /// The rules refused a delivered block. It and what was delivered after it are fetched again, not from the
    /// peer that sent it, which is returned. Since the body is the certified header's, a second refusal means
    /// that the quorum or this software is wrong, not the peers: the node should stop and say so.
    pub fn on_invalid(&mut self, height: Height) -> Option<PublicKey> {
        if height <= self.tip.height || height > self.delivered {
            return None;
        }
        let sender = self.senders.get(&height).copied();
        if let Some(sender) = sender {
            self.refused.entry(height).or_default().insert(sender);
        }
        self.delivered = Height(height.0 - 1);
        sender
    }

    /// Time passed. Returns the peers that let a request expire, once for each.
    pub fn tick(&mut self, now: Time) -> Vec<PublicKey> {
        let is_lost = self.delivered > self.tip.height
            && self.delivered_at.max(self.tip_at).plus(self.limits.apply_timeout_ms) <= now;
        if is_lost {
            self.delivered = self.tip.height;
        }
        self.expire(now)
    }

    fn accept(
        &mut self,
        peer: PublicKey,
        id: RequestId,
        checked: Checked,
        now: Time,
    ) -> Result<(), SyncFault> {
        match self.requests.get(&id) {
            Some(request) if request.peer == peer => {}
            // Asked, and given up so long ago that nobody knows of whom.
            None if id.0 < self.next_id => return Ok(()),
            _ => return Err(SyncFault::Unrequested),
        }
        let Some(request) = self.requests.remove(&id) else { return Ok(()) };
        let Asked { from, count, .. } = request.asked;
        let given = match (&checked, request.asked.is_headers) {
            (Checked::Headers { verdict, .. }, true) => verdict.as_ref().map_or(1, Vec::len),
            (Checked::Bodies(bodies), false) => bodies.len(),
            _ => return Err(SyncFault::Mismatched),
        };
        if given > usize::from(count) {
            return Err(SyncFault::Mismatched);
        }
        let timeout_ms = self.limits.timeout_ms;
        if given == 0 {
            if let Some(peer) = self.peers.get_mut(&peer) {
                peer.failed(now, timeout_ms);
                peer.disclaim(from);
            }
            return Err(SyncFault::FalseStatus(from));
        }
        match checked {
            Checked::Headers { anchor, verdict } => {
                // Judged from another block than the one asked about: says nothing.
                if anchor == self.head.block && from == self.head.height.next() {
                    self.extend(verdict?);
                }
            }
            Checked::Bodies(bodies) => self.keep(peer, from, bodies)?,
        }
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.answered(given, now.since(request.sent_at));
        }
        Ok(())
    }

    fn extend(&mut self, verified: Vec<VerifiedHeader>) {
        let Some(last) = verified.last() else { return };
        self.head = Arc::new(last.anchor());
        self.headers.extend(verified.into_iter().map(|header| (header.header.height, header)));
    }

    /// Keeps the bodies that are still missing; all are compared first, so a liar's answer leaves nothing.
    fn keep(&mut self, peer: PublicKey, from: Height, bodies: Vec<CheckedBody>) -> Result<(), SyncFault> {
        let bodies: Vec<_> = (from.0..).map(Height).zip(bodies).collect();
        for (height, body) in &bodies {
            if self.headers.get(height).is_some_and(|header| !body.is_of(&header.header)) {
                return Err(SyncFault::Body(*height));
            }
        }
        for (height, CheckedBody { body, size, .. }) in bodies {
            let is_missing = height > self.delivered
                && self.headers.contains_key(&height)
                && !self.bodies.contains_key(&height);
            let has_room = self.bodies_bytes + size <= self.limits.buffer_bytes_max;
            if is_missing && (has_room || height == self.delivered.next()) {
                self.bodies_bytes += size;
                self.bodies.insert(height, Arrived { body, size, from: peer });
            }
        }
        Ok(())
    }

    /// What the node should hear: a verified head other than before, and blocks in order as far as it may be
    /// ahead.
    fn outputs(&mut self, before: &Arc<Anchor>, now: Time) -> Vec<Output> {
        let mut outputs = Vec::new();
        if !Arc::ptr_eq(before, &self.head) {
            outputs.push(Output::Verified(Arc::clone(&self.head)));
        }
        while self.delivered.0 < self.tip.height.0 + self.limits.apply_ahead {
            let next = self.delivered.next();
            let Some(header) = self.headers.get(&next) else { break };
            let Some(Arrived { body, size, from }) = self.bodies.remove(&next) else { break };
            self.bodies_bytes -= size;
            (self.delivered, self.delivered_at) = (next, now);
            self.senders.insert(next, from);
            let block = Box::new(Block { header: header.header.clone(), body });
            outputs.push(Output::Apply { block, certificate: header.certificate.clone() });
        }
        outputs
    }
}
