//! Light nodes: what they are told unasked, and their questions.
//!
//! They get a status after every block and the phases of the transactions they watch, nothing else: no proposals,
//! votes, transactions or records are passed on to them, and none of them is asked for anything. What the node knows by
//! itself is answered here; the rest is served from the store ([`crate::driver::serve`]).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::answer::{
    FeeRate, Located, PhaseChange, Question, Refusal, Reply, StateQuestion, TransactionPhase, WATCHED_MAX,
};
use crate::codec::decode;
use crate::consensus::Input;
use crate::hash::TxId;
use crate::message::Message;
use crate::peer::handshake::{PeerId, PeerInfo};
use crate::sync::wire::RequestId;
use crate::time::Time;
use crate::transaction::{TransactionError, VerifiedTransaction};
use crate::vote::Height;

use super::Node;
use super::event::{Effect, Notice, Parting, Serve, Step, SubmitError};
use super::peers::{PING_AFTER_MS, PeerStatus, SILENT_AFTER_MS};

struct LightPeer {
    height: Height,
    heard: Time,
    pinged: Time,
    /// The newest last.
    watched: VecDeque<TxId>,
}

/// All light nodes with a session.
#[derive(Default)]
pub(super) struct LightPeers {
    peers: BTreeMap<PeerId, LightPeer>,
    tick_at: Time,
}

impl LightPeers {
    pub(super) fn deadline(&self) -> Time {
        if self.peers.is_empty() { Time::NEVER } else { self.tick_at }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = PeerId> {
        self.peers.keys().copied()
    }

    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(super) fn remove(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
    }

    pub(super) fn heard(&mut self, peer: &PeerId, now: Time) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.heard = now;
        }
    }

    /// Only light nodes watch: full ones see everything.
    fn watch(&mut self, peer: &PeerId, ids: &[TxId]) {
        let Some(peer) = self.peers.get_mut(peer) else { return };
        peer.watched.retain(|txid| !ids.contains(txid));
        peer.watched.extend(ids);
        let beyond = peer.watched.len().saturating_sub(WATCHED_MAX);
        peer.watched.drain(..beyond);
    }

    /// What each is to be told of these changes. What is final is watched no longer.
    fn tell(&mut self, changes: &[(Option<TransactionPhase>, &[TxId])]) -> Vec<(PeerId, Vec<PhaseChange>)> {
        let mut told = Vec::new();
        for (id, peer) in &mut self.peers {
            let mut list = Vec::new();
            for (phase, ids) in changes {
                let watched = ids.iter().filter(|txid| peer.watched.contains(txid));
                list.extend(watched.map(|txid| PhaseChange { txid: *txid, phase: *phase }));
                if *phase == Some(TransactionPhase::Finalized) {
                    peer.watched.retain(|txid| !ids.contains(txid));
                }
            }
            if !list.is_empty() {
                told.push((*id, list));
            }
        }
        told
    }
}

impl Node {
    /// Light nodes with a session.
    pub fn light_peers(&self) -> impl Iterator<Item = PeerStatus> {
        let standing = |(peer, state): (&PeerId, &LightPeer)| PeerStatus {
            peer: *peer,
            height: state.height,
            round_trip_ms: None,
        };
        self.lights.peers.iter().map(standing)
    }

    pub(super) fn light_connected(&mut self, info: &PeerInfo, now: Time, step: &mut Step) {
        let height = Height(info.height);
        let peer = LightPeer { height, heard: now, pinged: now, watched: VecDeque::new() };
        self.lights.peers.insert(info.peer, peer);
        self.lights.tick_at = self.lights.tick_at.min(now);
        self.meet_light(info.peer);
        self.send(vec![info.peer], &self.status(), step);
    }

    /// Drops the silent and asks the others for a sign of life.
    pub(super) fn tick_lights(&mut self, now: Time, step: &mut Step) {
        if self.lights.tick_at > now {
            return;
        }
        self.lights.tick_at = now.plus(PING_AFTER_MS / 4);
        let (mut silent, mut due) = (Vec::new(), Vec::new());
        for (id, peer) in &mut self.lights.peers {
            if now.since(peer.heard) >= SILENT_AFTER_MS {
                silent.push(*id);
            } else if now.since(peer.pinged) >= PING_AFTER_MS {
                peer.pinged = now;
                due.push(*id);
            }
        }
        self.send(due, &Message::Ping(now.0), step);
        for peer in silent {
            self.lights.remove(&peer);
            if let Some(discovery) = &mut self.discovery {
                discovery.left(&peer, now);
            }
            step.effects.push(Effect::Notice(Notice::Parted(peer, Parting::Silent)));
            step.effects.push(Effect::Close(peer, Parting::Silent));
        }
    }

    /// Tells light nodes what a step did to transactions that they watch.
    pub(super) fn tell_watchers(&mut self, step: &mut Step) {
        let is_watched = self.lights.peers.values().any(|peer| !peer.watched.is_empty());
        if !is_watched {
            return;
        }
        let changes = step.effects.iter().filter_map(|effect| match effect {
            Effect::Notice(Notice::Phase(phase, ids)) => Some((Some(*phase), &ids[..])),
            Effect::Notice(Notice::Dropped(txid)) => Some((None, core::slice::from_ref(txid))),
            _ => None,
        });
        let told = self.lights.tell(&changes.collect::<Vec<_>>());
        for (peer, changes) in told {
            for changes in changes.chunks(WATCHED_MAX) {
                self.send(vec![peer], &Message::Phases(changes.to_vec()), step);
            }
        }
    }

    pub(super) fn on_ask(&mut self, peer: PeerId, id: RequestId, question: Question, step: &mut Step) {
        let reply = match &question {
            Question::Watch(ids) => {
                self.lights.watch(&peer, ids);
                let pending = |txid: &TxId| {
                    let phase = Some(self.mempool.contains(txid).then(|| self.phase(txid))??);
                    Some(PhaseChange { txid: *txid, phase })
                };
                Some(Reply::Watch(ids.iter().filter_map(pending).collect()))
            }
            Question::FeeRate => {
                let rules = self.chain.spec.consensus.rules(self.state.height().next());
                Some(Reply::FeeRate(FeeRate {
                    per_kb_min: rules.fee_per_kb_min,
                    pending: self.mempool.len() as u64,
                    pending_bytes: self.mempool.bytes() as u64,
                }))
            }
            Question::Transaction(txid) => self.mempool.transaction(txid).map(|pending| {
                let phase = self.phase(txid).unwrap_or(TransactionPhase::Pending);
                Reply::Transaction(Box::new(Located::Pending(pending.signed().clone(), phase)))
            }),
            Question::State(question) => match decode(question) {
                Ok(StateQuestion::Block(block)) => self.prove_block(&block).map(|reply| reply.reply()),
                _ => None,
            },
            _ => None,
        };
        match reply {
            Some(reply) => self.send(vec![peer], &Message::Answer(id, Box::new(reply)), step),
            None => step.effects.push(Effect::Serve(peer, Serve::Ask(id, question))),
        }
    }

    /// A light node's transaction: like a user's, but within its share of the mempool.
    pub(super) fn on_submitted(
        &mut self,
        peer: PeerId,
        id: RequestId,
        transaction: Result<Arc<VerifiedTransaction>, TransactionError>,
        now: Time,
        step: &mut Step,
    ) {
        let taken = transaction
            .map_err(SubmitError::from)
            .and_then(|transaction| self.take(&transaction, Some(peer), now, step));
        let is_taken = taken.is_ok();
        let reply = Reply::Submit(taken.map_err(|error| Refusal::new(error.code(), &error.to_string())));
        self.send(vec![peer], &Message::Answer(id, Box::new(reply)), step);
        if is_taken {
            self.consensus_input(Input::Work, now, step);
        }
    }
}
