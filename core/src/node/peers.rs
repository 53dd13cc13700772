//! Peers as the node sees them: how far each is, what each is known to have, and what is still to be relayed.
//!
//! A message crosses an edge at most once each way ([`Edges`]): what came from a peer, or went to it, is never sent
//! again but by a deliberate re-broadcast. Own votes leave at once; those of others wait a moment, because by then the
//! peer has usually shown that it has them, or a certificate takes their place.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::certificate::Certificate;
use crate::codec::encode;
use crate::hash::{BlockId, Hash, Tag, TxId};
use crate::message::{IDS_MAX, Message, Proposal, Request, VOTES_MAX};
use crate::peer::gossip::Edges;
use crate::peer::handshake::{PeerId, PeerInfo, Role};
use crate::time::Time;
use crate::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use super::Node;
use super::event::{Effect, Notice, Parting, Serve, Step};

/// How long relaying waits.
const RELAY_DELAY_MS: u64 = 20;
/// Every peer is asked for a sign of life this often: it measures the round trip, and is heard by the peer.
pub(super) const PING_AFTER_MS: u64 = 10_000;
/// A peer not heard from for this long is dropped.
pub(super) const SILENT_AFTER_MS: u64 = 30_000;
/// Transaction ids remembered per peer at least.
const TRANSACTIONS_KNOWN: usize = 8_192;
/// Votes, certificates and proposals of the open height remembered per peer at least.
const CONSENSUS_KNOWN: usize = 4 * VOTES_MAX;

struct Peer {
    height: Height,
    heard: Time,
    /// The ping under way, and when it left.
    ping: Option<(u64, Time)>,
    pinged: Time,
    round_trip_ms: Option<u64>,
}

/// All peers with a session.
pub(super) struct Peers {
    peers: BTreeMap<PeerId, Peer>,
    /// Which transactions a peer has or was offered.
    transactions: Edges,
    /// Which transactions a peer was given.
    given: Edges,
    /// What a peer has of the open height.
    consensus: Edges,
    relay_at: Option<Time>,
    announced: Vec<TxId>,
    tick_at: Option<Time>,
    pings: u64,
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            peers: BTreeMap::new(),
            transactions: Edges::new(TRANSACTIONS_KNOWN),
            given: Edges::new(TRANSACTIONS_KNOWN / 2),
            consensus: Edges::new(CONSENSUS_KNOWN),
            relay_at: None,
            announced: Vec::new(),
            tick_at: None,
            pings: 0,
        }
    }
}

/// The name of a message of the open height.
#[derive(Serialize)]
enum Piece<'a> {
    Vote(&'a Vote),
    /// Whoever signed: one proof is enough.
    Certificate(&'a VoteData),
    Proposal(&'a BlockId, ViewNumber),
}

impl Piece<'_> {
    fn id(&self) -> Hash {
        const PIECE: Tag = Tag::new("timecoin gossip");
        PIECE.hash(&[&encode(self)])
    }
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

impl Peers {
    pub(super) fn deadline(&self) -> Time {
        let relay = self.relay_at.unwrap_or(Time::NEVER);
        if self.peers.is_empty() { relay } else { relay.min(self.tick_at.unwrap_or(Time(0))) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    fn insert(&mut self, id: PeerId, peer: Peer) {
        self.edges().into_iter().for_each(|edges| edges.join(id.0));
        self.peers.insert(id, peer);
    }

    pub(super) fn remove(&mut self, peer: &PeerId) {
        self.edges().into_iter().for_each(|edges| edges.leave(&peer.0));
        self.peers.remove(peer);
    }

    fn edges(&mut self) -> [&mut Edges; 3] {
        [&mut self.transactions, &mut self.given, &mut self.consensus]
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

    /// A peer after `last` in key order, round and round, that has the transaction.
    pub(super) fn next_having(&self, txid: &TxId, last: &PeerId) -> Option<PeerId> {
        let having = || self.peers.keys().filter(|peer| self.transactions.knows(&peer.0, &txid.0));
        having().find(|peer| *peer > last).or_else(|| having().next()).copied()
    }

    pub(super) fn knows_transaction(&mut self, peer: &PeerId, txid: TxId) {
        self.transactions.mark(&peer.0, txid.0);
    }

    /// Whether to give a peer a transaction that it asks for: once in a session.
    pub(super) fn gives_transaction(&mut self, peer: &PeerId, txid: TxId) -> bool {
        self.transactions.mark(&peer.0, txid.0);
        self.given.mark(&peer.0, txid.0)
    }

    pub(super) fn knows_vote(&mut self, peer: &PeerId, vote: &Vote) {
        self.consensus.mark(&peer.0, Piece::Vote(vote).id());
    }

    pub(super) fn knows_certificate(&mut self, peer: &PeerId, certificate: &Certificate) {
        self.consensus.mark(&peer.0, Piece::Certificate(&certificate.data).id());
    }

    pub(super) fn knows_proposal(&mut self, peer: &PeerId, vote: &Vote) {
        if let Some(block) = &vote.data.block {
            self.consensus.mark(&peer.0, Piece::Proposal(block, vote.data.view).id());
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
        let lacking: Vec<_> = self.transactions.relay(txid.0).into_iter().map(PeerId).collect();
        for peer in &lacking {
            self.given.mark(&peer.0, txid.0);
        }
        lacking
    }

    /// Whatever peers were offered and given of these does not count any more.
    pub(super) fn forget_transactions(&mut self, ids: &[TxId]) {
        for txid in ids {
            self.transactions.forget(&txid.0);
            self.given.forget(&txid.0);
        }
    }

    pub(super) fn lacking_vote(&mut self, vote: &Vote) -> Vec<PeerId> {
        self.consensus.relay(Piece::Vote(vote).id()).into_iter().map(PeerId).collect()
    }

    pub(super) fn lacking_proposal(&mut self, vote: &Vote) -> Vec<PeerId> {
        let Some(block) = &vote.data.block else { return Vec::new() };
        let id = Piece::Proposal(block, vote.data.view).id();
        self.consensus.relay(id).into_iter().map(PeerId).collect()
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
        self.consensus.clear();
        self.relay_soon(now);
    }
}

impl Node {
    /// Standing of every peer.
    pub fn peers(&self) -> impl Iterator<Item = PeerStatus> {
        self.peers.status()
    }

    pub(super) fn peer_connected(&mut self, info: PeerInfo, now: Time, step: &mut Step) {
        if info.role == Role::Light {
            return self.light_connected(&info, now, step);
        }
        let height = Height(info.height);
        let peer = Peer { height, heard: now, ping: None, pinged: Time(0), round_trip_ms: None };
        self.peers.insert(info.peer, peer);
        self.silence.listen(now);
        self.peers.tick_at = Some(now);
        self.send(vec![info.peer], &self.status(), step);
        let ids: Vec<_> = self.mempool.iter().take(IDS_MAX).map(|transaction| transaction.txid()).collect();
        ids.iter().for_each(|txid| self.peers.knows_transaction(&info.peer, *txid));
        if !ids.is_empty() {
            self.send(vec![info.peer], &Message::Have(ids), step);
        }
        self.peers.relay_soon(now);
        self.meet(&info, now, step);
    }

    pub(super) fn on_message(&mut self, peer: PeerId, message: Message, now: Time, step: &mut Step) {
        match message {
            Message::Ping(nonce) => self.send(vec![peer], &Message::Pong(nonce), step),
            Message::Pong(number) => {
                if let Some(peer) = self.peers.peers.get_mut(&peer)
                    && let Some((_, left)) = peer.ping.take_if(|(expected, _)| *expected == number)
                {
                    peer.round_trip_ms = Some(now.since(left));
                }
            }
            Message::Have(ids) => self.on_have(peer, &ids, now, step),
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
            Message::WantPeers => self.on_want_peers(peer, step),
            Message::Ask(id, question) => self.on_ask(peer, id, question, step),
            // `plan` turns these into checked jobs.
            Message::Status(_)
            | Message::Response(..)
            | Message::Transactions(_)
            | Message::Proposal(_)
            | Message::Votes(_)
            | Message::Certificate(_)
            | Message::Evidence(_)
            | Message::Parts { .. }
            | Message::Peers(_)
            | Message::Answer(..)
            | Message::Phases(_)
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
            // A full node asks no such questions.
            Request::Ask(_) => {}
        }
    }

    /// Notes that a peer is alive.
    pub(super) fn heard(&mut self, peer: &PeerId, now: Time) {
        if let Some(peer) = self.peers.peers.get_mut(peer) {
            peer.heard = now;
        }
        self.lights.heard(peer, now);
    }

    pub(super) fn tick_peers(&mut self, now: Time, step: &mut Step) {
        if self.peers.relay_at.is_some_and(|at| at <= now) {
            self.peers.relay_at = None;
            self.relay(step);
        }
        self.want_again(now, step);
        self.fetch_again(now, step);
        if self.peers.tick_at.is_none_or(|at| at > now) {
            return;
        }
        self.peers.tick_at = Some(now.plus(PING_AFTER_MS / 4));
        self.offer_again(step);
        let (mut silent, mut due) = (Vec::new(), Vec::new());
        self.peers.pings += 1;
        let number = self.peers.pings;
        for (id, peer) in &mut self.peers.peers {
            if now.since(peer.heard) >= SILENT_AFTER_MS {
                silent.push(*id);
            } else if now.since(peer.pinged) >= PING_AFTER_MS {
                (peer.ping, peer.pinged) = (Some((number, now)), now);
                due.push(*id);
            }
        }
        self.send(due, &Message::Ping(number), step);
        for peer in silent {
            self.peer_left(&peer, now, step);
            step.effects.push(Effect::Close(peer, Parting::Silent));
            step.effects.push(Effect::Notice(Notice::Parted(peer, Parting::Silent)));
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
        let newest = self.certificate.as_deref();
        let mut sends = Vec::new();
        let Peers { peers, transactions, consensus, .. } = &mut self.peers;
        for (id, peer) in peers {
            let offered: Vec<_> =
                announced.iter().filter(|txid| transactions.mark(&id.0, txid.0)).copied().collect();
            sends.extend(offered.chunks(IDS_MAX).map(|ids| (*id, Message::Have(ids.to_vec()))));
            let mut lacks = |piece: Hash| consensus.mark(&id.0, piece);
            if peer.height > height {
                continue;
            }
            if peer.height < height {
                // It has not decided our newest block yet: the certificate decides it.
                let newest = newest.filter(|_| peer.height.next() == height);
                if let Some(newest) = newest.filter(|newest| lacks(Piece::Certificate(&newest.data).id())) {
                    sends.push((*id, Message::Certificate(newest.clone())));
                }
                continue;
            }
            for (piece, proposal) in &held.proposals {
                if lacks(*piece) {
                    sends.push((*id, Message::Proposal(Box::new(proposal.clone()))));
                }
            }
            for (piece, certificate) in &held.certificates {
                if lacks(*piece) {
                    sends.push((*id, Message::Certificate(certificate.clone())));
                }
            }
            let votes: Vec<_> =
                held.votes.iter().filter(|(piece, _)| lacks(*piece)).map(|(_, vote)| *vote).collect();
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
            let piece = Piece::Proposal(block, state.view).id();
            proposals.extend(proposal.map(|proposal| (piece, proposal.clone())));
        }
        let certificates = prepared.into_iter();
        let certificates = certificates.map(|held| (Piece::Certificate(&held.data).id(), held)).collect();
        let votes = votes.take(VOTES_MAX).map(|vote| (Piece::Vote(&vote).id(), vote)).collect();
        Held { votes, certificates, proposals }
    }
}

/// What to relay, by name.
#[derive(Default)]
struct Held {
    votes: Vec<(Hash, Vote)>,
    certificates: Vec<(Hash, Certificate)>,
    proposals: Vec<(Hash, Proposal)>,
}
