//! Peers as the node sees them: how far each is, what each is known to have, and what is still to be relayed.
//!
//! A message crosses an edge at most once each way: what came from a peer, or went to it, is never sent again
//! but by a deliberate re-broadcast. Own votes leave at once; those of others wait a moment, because by then the
//! peer has usually shown that it has them, or a certificate takes their place.

use std::collections::{BTreeMap, BTreeSet};

use crate::certificate::Certificate;
use crate::codec::encode;
use crate::hash::{BlockId, TxId};
use crate::message::{IDS_MAX, Message, Proposal, Request, VOTES_MAX};
use crate::peer::handshake::{PeerId, PeerInfo};
use crate::time::Time;
use crate::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use super::Node;
use super::event::{Effect, Notice, Parting, Serve, Step};

/// How long relaying waits.
const RELAY_DELAY_MS: u64 = 20;
/// A peer not heard from for this long is asked for a sign of life.
const PING_AFTER_MS: u64 = 10_000;
/// A peer not heard from for this long is dropped.
const SILENT_AFTER_MS: u64 = 30_000;
/// Transaction ids remembered per peer, in each of two generations.
const KNOWN_IDS_MAX: usize = 50_000;

struct Peer {
    height: Height,
    heard: Time,
    pinged: Option<Time>,
    round_trip_ms: Option<u64>,
    ids: [BTreeSet<TxId>; 2],
    votes: BTreeSet<Vote>,
    certificates: BTreeSet<VoteData>,
    proposals: BTreeSet<(BlockId, ViewNumber)>,
}

/// All peers with a session.
#[derive(Default)]
pub(super) struct Peers {
    peers: BTreeMap<PeerId, Peer>,
    relay_at: Option<Time>,
    announced: Vec<TxId>,
    tick_at: Option<Time>,
}

/// A peer's standing, for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Who.
    pub peer: PeerId,
    /// Its newest final height as it says.
    pub height: Height,
    /// Last measured round trip.
    pub round_trip_ms: Option<u64>,
}

impl Peer {
    fn remember(&mut self, txid: TxId) {
        if self.ids[0].len() >= KNOWN_IDS_MAX {
            self.ids.swap(0, 1);
            self.ids[0].clear();
        }
        self.ids[0].insert(txid);
    }

    fn has(&self, txid: &TxId) -> bool {
        self.ids.iter().any(|generation| generation.contains(txid))
    }
}

impl Peers {
    pub(super) fn deadline(&self) -> Time {
        let relay = self.relay_at.unwrap_or(Time::NEVER);
        if self.peers.is_empty() { relay } else { relay.min(self.tick_at.unwrap_or(Time(0))) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    pub(super) fn remove(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
    }

    pub(super) fn all_but(&self, peer: Option<PeerId>) -> Vec<PeerId> {
        self.peers.keys().filter(|id| Some(**id) != peer).copied().collect()
    }

    /// The peer after `last` in key order, round and round.
    pub(super) fn next_after(&self, last: Option<PeerId>) -> Option<PeerId> {
        let after = last.and_then(|last| self.peers.keys().find(|id| **id > last));
        after.or_else(|| self.peers.keys().next()).copied()
    }

    pub(super) fn status(&self) -> impl Iterator<Item = PeerStatus> {
        self.peers.iter().map(|(peer, state)| PeerStatus {
            peer: *peer,
            height: state.height,
            round_trip_ms: state.round_trip_ms,
        })
    }

    pub(super) fn knows_transaction(&mut self, peer: &PeerId, txid: TxId) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.remember(txid);
        }
    }

    pub(super) fn knows_vote(&mut self, peer: &PeerId, vote: &Vote) {
        if let Some(peer) = self.peers.get_mut(peer).filter(|peer| peer.votes.len() < 4 * VOTES_MAX) {
            peer.votes.insert(*vote);
        }
    }

    pub(super) fn knows_certificate(&mut self, peer: &PeerId, certificate: &Certificate) {
        if let Some(peer) = self.peers.get_mut(peer).filter(|peer| peer.certificates.len() < VOTES_MAX) {
            peer.certificates.insert(certificate.data);
        }
    }

    pub(super) fn knows_proposal(&mut self, peer: &PeerId, vote: &Vote) {
        let known = vote.data.block.map(|block| (block, vote.data.view));
        let peer = self.peers.get_mut(peer).filter(|peer| peer.proposals.len() < VOTES_MAX);
        if let (Some(peer), Some(known)) = (peer, known) {
            peer.proposals.insert(known);
        }
    }

    /// A peer showed that it is at least this far.
    pub(super) fn reached(&mut self, peer: &PeerId, height: Height) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.height = peer.height.max(height);
        }
    }

    /// Peers to push a transaction to; from now on they are known to have it.
    pub(super) fn lacking_transaction(&mut self, txid: &TxId) -> Vec<PeerId> {
        self.lacking(|peer| !peer.has(txid), |peer| peer.remember(*txid))
    }

    pub(super) fn lacking_vote(&mut self, vote: &Vote) -> Vec<PeerId> {
        self.lacking(
            |peer| !peer.votes.contains(vote),
            |peer| {
                peer.votes.insert(*vote);
            },
        )
    }

    pub(super) fn lacking_proposal(&mut self, vote: &Vote) -> Vec<PeerId> {
        let Some(block) = vote.data.block else { return Vec::new() };
        let known = (block, vote.data.view);
        self.lacking(
            |peer| !peer.proposals.contains(&known),
            |peer| {
                peer.proposals.insert(known);
            },
        )
    }

    fn lacking(&mut self, lacks: impl Fn(&Peer) -> bool, mark: impl Fn(&mut Peer)) -> Vec<PeerId> {
        let mut found = Vec::new();
        for (id, peer) in self.peers.iter_mut().filter(|(_, peer)| lacks(peer)) {
            mark(peer);
            found.push(*id);
        }
        found
    }

    /// Offers transactions to peers a moment later.
    pub(super) fn announce(&mut self, ids: Vec<TxId>, now: Time) {
        self.announced.extend(ids);
        self.relay_soon(now);
    }

    pub(super) fn relay_soon(&mut self, now: Time) {
        self.relay_at.get_or_insert(now.plus(RELAY_DELAY_MS));
    }

    /// What was known about the old height does not matter any more.
    pub(super) fn new_height(&mut self, now: Time) {
        for peer in self.peers.values_mut() {
            peer.votes.clear();
            peer.certificates.clear();
            peer.proposals.clear();
        }
        self.relay_soon(now);
    }
}

impl Node {
    /// Standing of every peer.
    pub fn peers(&self) -> impl Iterator<Item = PeerStatus> {
        self.peers.status()
    }

    pub(super) fn peer_connected(&mut self, info: PeerInfo, now: Time, step: &mut Step) {
        let peer = Peer {
            height: Height(info.height),
            heard: now,
            pinged: None,
            round_trip_ms: None,
            ids: [BTreeSet::new(), BTreeSet::new()],
            votes: BTreeSet::new(),
            certificates: BTreeSet::new(),
            proposals: BTreeSet::new(),
        };
        self.peers.peers.insert(info.peer, peer);
        self.peers.tick_at = Some(now.plus(PING_AFTER_MS));
        self.send(vec![info.peer], &self.status(), step);
        let ids: Vec<_> = self.mempool.iter().take(IDS_MAX).map(|transaction| transaction.txid()).collect();
        if !ids.is_empty() {
            self.send(vec![info.peer], &Message::Have(ids), step);
        }
        self.peers.relay_soon(now);
    }

    pub(super) fn on_message(&mut self, peer: PeerId, message: Message, now: Time, step: &mut Step) {
        match message {
            Message::Ping(nonce) => self.send(vec![peer], &Message::Pong(nonce), step),
            Message::Pong(nonce) => {
                if let Some(peer) = self.peers.peers.get_mut(&peer) {
                    peer.round_trip_ms = Some(now.since(Time(nonce)));
                }
            }
            Message::Have(ids) => self.on_have(peer, &ids, step),
            Message::Want(ids) => self.on_want(peer, &ids, step),
            Message::WantParts { block, positions } => {
                let transactions = self.candidate_parts(&block, &positions);
                if !transactions.is_empty() {
                    self.send(vec![peer], &Message::Parts { block, transactions }, step);
                }
            }
            Message::WantBlock(block) => {
                if let Some(found) = self.open_block(&block) {
                    self.send(vec![peer], &Message::Block(Box::new(found)), step);
                } else if block == self.state.id {
                    let block_height = self.state.height();
                    step.effects.push(Effect::Serve(peer, Serve::Block(block_height)));
                }
            }
            Message::Query(id, query) => {
                step.effects.push(Effect::Serve(peer, Serve::Range(id, query)));
            }
            Message::Busy { request, retry_after_ms } => {
                self.on_busy(peer, request, retry_after_ms, now, step);
            }
            // `plan` turns these into checked jobs.
            Message::Status(_)
            | Message::Response(..)
            | Message::Transactions(_)
            | Message::Proposal(_)
            | Message::Votes(_)
            | Message::Certificate(_)
            | Message::Evidence(_)
            | Message::Parts { .. }
            | Message::Block(_) => {}
        }
    }

    /// A peer will not serve a request now.
    fn on_busy(&mut self, peer: PeerId, request: Request, retry_after_ms: u32, now: Time, step: &mut Step) {
        match request {
            Request::Query(id) => {
                self.sync.on_busy(peer.0, id, retry_after_ms, now);
                self.want_sync(now, step);
            }
            Request::Block(block) => {
                let is_elsewhere = self.peers.next_after(Some(peer)) != Some(peer);
                let asked =
                    self.candidates.candidate_mut(&block).and_then(|candidate| candidate.wanted.as_mut());
                if let Some((_, at)) = asked.filter(|(last, _)| *last == peer && is_elsewhere) {
                    *at = Time(0);
                    self.want_block(block, now, step);
                }
            }
            // Offered again by others, and asked for with the proposal that has them.
            Request::Transactions => {}
        }
    }

    /// Notes that a peer is alive.
    pub(super) fn heard(&mut self, peer: &PeerId, now: Time) {
        if let Some(peer) = self.peers.peers.get_mut(peer) {
            peer.heard = now;
            peer.pinged = None;
        }
    }

    pub(super) fn tick_peers(&mut self, now: Time, step: &mut Step) {
        if self.peers.relay_at.is_some_and(|at| at <= now) {
            self.peers.relay_at = None;
            self.relay(step);
        }
        self.want_again(now, step);
        if self.peers.tick_at.is_none_or(|at| at > now) {
            return;
        }
        self.peers.tick_at = Some(now.plus(PING_AFTER_MS / 4));
        let mut silent = Vec::new();
        let mut quiet = Vec::new();
        for (id, peer) in &mut self.peers.peers {
            if now.since(peer.heard) >= SILENT_AFTER_MS {
                silent.push(*id);
            } else if now.since(peer.heard.max(peer.pinged.unwrap_or_default())) >= PING_AFTER_MS {
                peer.pinged = Some(now);
                quiet.push(*id);
            }
        }
        self.send(quiet, &Message::Ping(now.0), step);
        for peer in silent {
            self.peers.remove(&peer);
            step.effects.push(Effect::Notice(Notice::Parted(peer, Parting::Silent)));
            step.effects.push(Effect::Close(peer, Parting::Silent));
        }
    }

    /// Blocks that were asked for and did not come.
    fn want_again(&mut self, now: Time, step: &mut Step) {
        let due: Vec<_> = self
            .candidates
            .iter_mut()
            .filter(|(_, candidate)| candidate.want_at() <= now)
            .map(|(block, _)| *block)
            .collect();
        for block in due {
            self.want_block(block, now, step);
        }
    }

    /// Sends every peer what it lacks of the open height, and offers new transactions.
    fn relay(&mut self, step: &mut Step) {
        let announced = core::mem::take(&mut self.peers.announced);
        let (height, held) = (self.state.height(), self.held());
        let mut sends = Vec::new();
        for (id, peer) in &mut self.peers.peers {
            let offered: Vec<_> = announced.iter().filter(|txid| !peer.has(txid)).copied().collect();
            offered.iter().for_each(|txid| peer.remember(*txid));
            sends.extend(offered.chunks(IDS_MAX).map(|ids| (*id, Message::Have(ids.to_vec()))));
            if peer.height > height {
                continue;
            }
            if peer.height < height {
                // It has not decided our newest block yet: the certificate decides it.
                let newest = self.certificate.as_deref().filter(|_| peer.height.next() == height);
                if let Some(certificate) = newest.filter(|newest| peer.certificates.insert(newest.data)) {
                    sends.push((*id, Message::Certificate(certificate.clone())));
                }
                continue;
            }
            for (block, view, proposal) in &held.proposals {
                if peer.proposals.insert((*block, *view)) {
                    sends.push((*id, Message::Proposal(Box::new(proposal.clone()))));
                }
            }
            for certificate in &held.certificates {
                if peer.certificates.insert(certificate.data) {
                    sends.push((*id, Message::Certificate(certificate.clone())));
                }
            }
            let votes: Vec<_> = held.votes.iter().filter(|vote| peer.votes.insert(**vote)).copied().collect();
            if !votes.is_empty() {
                sends.push((*id, Message::Votes(votes)));
            }
        }
        for (peer, message) in sends {
            step.effects.push(Effect::Send(vec![peer], encode(&message).into()));
        }
    }

    /// What this node holds of the current view: votes that no certificate covers, certificates, proposals.
    fn held(&mut self) -> Held {
        let Some(state) = self.consensus.state() else { return Held::default() };
        let prepared = self.consensus.prepare_certificate(state.view);
        let covered = prepared.as_ref().map(|certificate| certificate.data);
        let votes = self.consensus.votes_of(state.view).into_iter();
        let votes = votes.filter(|vote| vote.data.phase != Phase::PrePrepare && Some(vote.data) != covered);
        let mut proposals = Vec::new();
        for (block, candidate) in self.candidates.iter_mut() {
            let proposal =
                candidate.proposal.as_deref().filter(|proposal| proposal.vote.data.view == state.view);
            proposals.extend(proposal.map(|proposal| (*block, state.view, proposal.clone())));
        }
        Held {
            votes: votes.take(VOTES_MAX).collect(),
            certificates: prepared.into_iter().collect(),
            proposals,
        }
    }
}

#[derive(Default)]
struct Held {
    votes: Vec<Vote>,
    certificates: Vec<Certificate>,
    proposals: Vec<(BlockId, ViewNumber, Proposal)>,
}
