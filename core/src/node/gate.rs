//! The gate: what a peer may cost, and when to part from it. It stands between the wire and [`super::plan`].
//!
//! A driver owns one where its frames come in. In the order of arrival: [`open`] a frame, [`Gate::admit`] the
//! event, `plan` it; and [`Gate::report`] what `plan` and the node ([`Effect::Offence`]) hold against a peer.
//! Opening and planning need no order and may run anywhere. What comes out are effects like the node's.
//!
//! It is no part of the node so that what it refuses costs neither a signature check nor a turn of the node.
//! Quotas and scores belong to keys: a new session clears neither. What is over a quota is dropped; a request is
//! answered with [`Message::Busy`] instead.

use std::collections::BTreeSet;

use crate::answer::Question;
use crate::certificate::Certificate;
use crate::codec::encode;
use crate::message::{FrameError, Message, MessageKind, Request};
use crate::peer::handshake::PeerId;
use crate::peer::quota::{CostClass, OverQuota, Quotas};
use crate::peer::score::{Offence, Scores, Sentence};
use crate::sync::wire::{Query, Response};
use crate::time::Time;

use super::event::{Effect, Event, Notice, Parting};

/// What serving a header with its certificate is taken to cost, in bytes.
const HEADER_COST: u64 = 4 << 10;
/// What serving a transaction is taken to cost, in bytes.
const TRANSACTION_COST: u64 = 512;
/// What serving a block is taken to cost, in bytes.
const BLOCK_COST: u64 = 1 << 20;
/// What asking for peer records is taken to cost, in records.
const WANT_PEERS_COST: u64 = 16;
/// What proving an owner's balance or coin is taken to cost, in bytes: a page is read for it.
const PROOF_COST: u64 = 4 << 10;
/// What a header with its filter is taken to cost, in bytes.
const FILTER_COST: u64 = 1 << 10;
/// Bytes of a body that cost as much to check as one signature.
const BODY_BYTES_PER_UNIT: u64 = 1 << 10;

/// Decodes a frame: form, size and limits of its kind. Other events pass as they are.
pub fn open(event: Event) -> Result<Event, (PeerId, Offence)> {
    let Event::Frame(peer, frame) = event else { return Ok(event) };
    match Message::from_frame(&frame) {
        Ok(message) => Ok(Event::Message(peer, message, frame.len())),
        Err(error) => Err((peer, offence(error))),
    }
}

fn offence(error: FrameError) -> Offence {
    match error {
        FrameError::Kind | FrameError::Codec(_) => Offence::MalformedFrame,
        FrameError::TooLarge { .. } => Offence::Oversized,
        FrameError::OutOfBounds(_) => Offence::RequestOutOfBounds,
    }
}

/// Quotas and scores of all peers.
#[derive(Debug, Default)]
pub struct Gate {
    quotas: Quotas,
    scores: Scores,
    /// Peers that are being closed: nothing they sent before they are gone is read.
    parted: BTreeSet<PeerId>,
}

impl Gate {
    /// Lets an event pass, or says what to do instead.
    pub fn admit(&mut self, event: Event, now: Time, effects: &mut Vec<Effect>) -> Option<Event> {
        match event {
            Event::Connected(info) => {
                self.parted.remove(&info.peer);
                match self.scores.banned_until(&info.peer.0, now) {
                    None => Some(Event::Connected(info)),
                    Some(until) => {
                        self.part(info.peer, Parting::Banned { until }, effects);
                        None
                    }
                }
            }
            Event::Disconnected(peer) => {
                self.parted.remove(&peer);
                self.quotas.prune(now);
                Some(Event::Disconnected(peer))
            }
            Event::Frame(peer, _) | Event::Message(peer, ..) if self.parted.contains(&peer) => None,
            Event::Frame(..) => match open(event) {
                Ok(event) => self.admit(event, now, effects),
                Err((peer, offence)) => {
                    self.report(peer, offence, now, effects);
                    None
                }
            },
            Event::Message(peer, message, size) => {
                let (class, cost) = price(&message, size as u64);
                match self.quotas.spend(peer.0, class, cost, now) {
                    Ok(()) => Some(Event::Message(peer, message, size)),
                    Err(over) => {
                        self.refuse(peer, &message, over, now, effects);
                        None
                    }
                }
            }
            Event::Submit(..) | Event::Dialled(..) | Event::OverrideQuarantine(_) | Event::Tick => {
                Some(event)
            }
        }
    }

    /// Counts an offence; where it is one too many, the session ends.
    pub fn report(&mut self, peer: PeerId, offence: Offence, now: Time, effects: &mut Vec<Effect>) {
        if self.parted.contains(&peer) {
            return;
        }
        if offence.is_proved() {
            effects.push(Effect::Notice(Notice::Offence(peer, offence)));
        }
        match self.scores.report(peer.0, offence, now) {
            Sentence::Keep => {}
            Sentence::Disconnect => self.part(peer, Parting::Faults, effects),
            Sentence::Ban { until } => self.part(peer, Parting::Banned { until }, effects),
        }
    }

    /// Who is banned, and until when.
    pub fn bans(&self, now: Time) -> impl Iterator<Item = (PeerId, Time)> {
        self.scores.bans(now).map(|(key, until)| (PeerId(key), until))
    }

    fn part(&mut self, peer: PeerId, parting: Parting, effects: &mut Vec<Effect>) {
        self.parted.insert(peer);
        // Told once it is so: whoever hears of a ban finds it in force.
        effects.push(Effect::Close(peer, parting));
        effects.push(Effect::Notice(Notice::Parted(peer, parting)));
    }

    fn refuse(
        &mut self,
        peer: PeerId,
        message: &Message,
        over: OverQuota,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(request) = request(message) {
            let retry_after_ms = u32::try_from(over.retry_at.since(now)).unwrap_or(u32::MAX);
            let busy = Message::Busy { request, retry_after_ms };
            effects.push(Effect::Send(vec![peer], encode(&busy).into()));
        }
        // Whoever answers is not to blame for what it was asked.
        if message.kind() != MessageKind::Response {
            self.report(peer, Offence::Spam, now, effects);
        }
    }
}

fn request(message: &Message) -> Option<Request> {
    match message {
        Message::Query(id, _) => Some(Request::Query(*id)),
        Message::WantParts { block, .. } | Message::WantBlock(block) => Some(Request::Block(*block)),
        Message::Want(_) => Some(Request::Transactions),
        Message::Ask(id, _) => Some(Request::Ask(*id)),
        Message::Status(_)
        | Message::Ping(_)
        | Message::Pong(_)
        | Message::Transactions(_)
        | Message::Have(_)
        | Message::Proposal(_)
        | Message::Votes(_)
        | Message::Certificate(_)
        | Message::Evidence(_)
        | Message::Parts { .. }
        | Message::Block(_)
        | Message::Response(..)
        | Message::Busy { .. }
        | Message::WantPeers
        | Message::Answer(..)
        | Message::Phases(_)
        | Message::Peers(_) => None,
    }
}

/// What a message makes this node do, in units of its class.
fn price(message: &Message, size: u64) -> (CostClass, u64) {
    let signatures = |certificate: &Certificate| certificate.signatures.len() as u64;
    let optional = |certificate: &Option<Certificate>| certificate.as_ref().map_or(0, signatures);
    match message {
        Message::Status(status) => (CostClass::Consensus, 1 + optional(&status.certificate)),
        Message::Votes(votes) => (CostClass::Consensus, 1 + votes.len() as u64),
        Message::Certificate(certificate) => (CostClass::Consensus, 1 + signatures(certificate)),
        Message::Evidence(_) => (CostClass::Consensus, 2),
        Message::Proposal(proposal) => {
            let certificates =
                optional(&proposal.parent_certificate) + optional(&proposal.prepare_certificate);
            (CostClass::Consensus, 1 + certificates + 2 * proposal.evidence.len() as u64)
        }
        Message::Transactions(_) | Message::Parts { .. } | Message::Block(_) => {
            (CostClass::Transaction, size)
        }
        Message::Have(ids) | Message::Want(ids) => (CostClass::Inventory, ids.len() as u64),
        Message::WantParts { positions, .. } => (CostClass::Serve, TRANSACTION_COST * positions.len() as u64),
        Message::WantBlock(_) => (CostClass::Serve, BLOCK_COST),
        Message::Query(_, Query::Headers { count, .. }) => {
            (CostClass::Serve, HEADER_COST * u64::from(*count))
        }
        Message::Query(_, Query::Bodies { size_max, .. }) => {
            (CostClass::Serve, u64::from(*size_max).clamp(BLOCK_COST / 16, 4 * BLOCK_COST))
        }
        Message::Response(_, Response::Headers(list)) => {
            (CostClass::Answer, list.iter().map(|block| 1 + signatures(&block.certificate)).sum())
        }
        Message::Response(_, Response::Bodies(_)) => (CostClass::Answer, 1 + size / BODY_BYTES_PER_UNIT),
        Message::WantPeers => (CostClass::Address, WANT_PEERS_COST),
        Message::Peers(records) => (CostClass::Address, 1 + records.len() as u64),
        Message::Ask(_, question) => price_of_question(question, size),
        Message::Ping(_)
        | Message::Pong(_)
        | Message::Busy { .. }
        | Message::Answer(..)
        | Message::Phases(_) => (CostClass::Control, 1),
    }
}

/// What an answer is taken to cost: what is read and sent for it, in bytes.
fn price_of_question(question: &Question, size: u64) -> (CostClass, u64) {
    let bytes = match question {
        Question::Submit(_) => return (CostClass::Transaction, size),
        Question::Watch(ids) => return (CostClass::Inventory, ids.len() as u64),
        Question::FeeRate => return (CostClass::Control, 1),
        // Keys and changes, each with a dozen times as many bytes for an answer.
        Question::State(_) => BLOCK_COST / 8 + 16 * size,
        Question::Height(_) => 64,
        Question::LightBlock { .. } | Question::Validators(_) => 4 * HEADER_COST,
        Question::History { .. } => HEADER_COST,
        Question::Filters { count, .. } => u64::from(*count) * FILTER_COST,
        Question::Balances(owners) => owners.len() as u64 * PROOF_COST,
        Question::Coin { .. } => PROOF_COST,
        // A proof of a transaction takes reading its block.
        Question::Transaction(_) => BLOCK_COST / 8,
        Question::Block(_) | Question::Coins(_) | Question::Registry => BLOCK_COST / 4,
    };
    (CostClass::Serve, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{BlockId, Hash};
    use crate::keys::{SecretKey, Signature};
    use crate::peer::score::BAN_MS;
    use crate::sync::wire::{BODIES_MAX, RequestId};
    use crate::vote::Height;

    const NOW: Time = Time(1_000_000);

    fn peer(seed: u8) -> PeerId {
        PeerId(SecretKey::from_seed(&[seed; 32]).public_key())
    }

    fn frame(message: &Message) -> Event {
        Event::Frame(peer(1), encode(message))
    }

    fn partings(effects: &[Effect]) -> Vec<Parting> {
        let closed = effects.iter().filter_map(|effect| match effect {
            Effect::Close(_, parting) => Some(*parting),
            _ => None,
        });
        closed.collect()
    }

    #[test]
    fn ten_thousand_bad_frames_cost_at_most_64_and_then_nothing() {
        let (mut gate, mut effects, mut planned) = (Gate::default(), Vec::new(), 0);
        for _ in 0..10_000 {
            let votes = Message::Votes(Vec::new());
            if gate.admit(frame(&votes), NOW, &mut effects).is_some() {
                planned += 1;
                gate.report(peer(1), Offence::InvalidSignature, NOW, &mut effects);
            }
        }
        assert!(planned <= 64, "{planned}");
        assert_eq!(partings(&effects), [Parting::Banned { until: NOW.plus(BAN_MS) }]);
        assert!(effects.len() <= 66, "notices end with the session: {}", effects.len());
    }

    #[test]
    fn a_ban_outlives_the_session_is_visible_and_ends() {
        let (mut gate, mut effects) = (Gate::default(), Vec::new());
        gate.report(peer(1), Offence::InvalidBlock, NOW, &mut effects);
        assert!(gate.admit(Event::Disconnected(peer(1)), NOW, &mut effects).is_some());
        let until = NOW.plus(BAN_MS);
        assert_eq!(gate.bans(NOW).collect::<Vec<_>>(), [(peer(1), until)]);
        let info = super::super::tests::info_of(peer(1));
        let mut refused = Vec::new();
        assert!(gate.admit(Event::Connected(info.clone()), NOW, &mut refused).is_none());
        assert_eq!(partings(&refused), [Parting::Banned { until }]);
        assert!(gate.admit(Event::Connected(info), until, &mut refused).is_some());
        assert_eq!(gate.bans(until).count(), 0);
    }

    #[test]
    fn requests_over_the_quota_are_answered_and_never_ban() {
        let (mut gate, mut effects, mut served) = (Gate::default(), Vec::new(), 0u64);
        let query = Query::Bodies { from: Height(1), count: BODIES_MAX, size_max: u32::MAX };
        for id in 0..150 {
            let asked = frame(&Message::Query(RequestId(id), query));
            served += u64::from(gate.admit(asked, NOW, &mut effects).is_some());
        }
        let burst = CostClass::Serve.allowance().burst;
        assert_eq!(served, burst / (4 * BLOCK_COST), "range and size are capped before work starts");
        let busy = effects.iter().filter_map(|effect| match effect {
            Effect::Send(_, bytes) => Message::from_frame(bytes).ok(),
            _ => None,
        });
        let busy: Vec<_> = busy.collect();
        assert!(busy.iter().all(|answer| matches!(
            answer,
            Message::Busy { request: Request::Query(_), retry_after_ms } if *retry_after_ms > 0
        )));
        assert!(!busy.is_empty());
        assert_eq!(partings(&effects), [Parting::Faults], "it may come back");
        assert_eq!(gate.bans(NOW).count(), 0);
    }

    #[test]
    fn frames_are_refused_by_kind_before_they_are_decoded() {
        let ping = encode(&Message::Ping(1));
        let query = Query::Headers { from: Height(1), count: 65 };
        let table = [
            ("empty", Vec::new(), Offence::MalformedFrame),
            ("unknown kind", 99u32.to_le_bytes().to_vec(), Offence::MalformedFrame),
            ("short", ping[..11].to_vec(), Offence::MalformedFrame),
            ("long", [&ping[..], &[0]].concat(), Offence::Oversized),
            ("a ping of 4 MiB", [&ping[..], &vec![0; 4 << 20]].concat(), Offence::Oversized),
            ("bomb", [&7u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat(), Offence::MalformedFrame),
            ("range", encode(&Message::Query(RequestId(1), query)), Offence::RequestOutOfBounds),
        ];
        for (name, bytes, expected) in table {
            assert_eq!(open(Event::Frame(peer(1), bytes)).unwrap_err(), (peer(1), expected), "{name}");
        }
    }

    #[test]
    fn what_a_kind_may_have_is_what_it_costs() {
        let block = BlockId(Hash::ZERO);
        let data = crate::vote::VoteData {
            height: Height(1),
            view: crate::vote::ViewNumber(0),
            phase: crate::vote::Phase::Commit,
            block: Some(block),
            valid_view: None,
        };
        let certificate = Certificate {
            data,
            signers: crate::certificate::Bitmap::empty(4),
            signatures: vec![Signature([0; 64]); 3],
        };
        let table = [
            ("certificate", Message::Certificate(certificate), (CostClass::Consensus, 4)),
            ("ids", Message::Have(vec![crate::hash::TxId(Hash::ZERO); 5]), (CostClass::Inventory, 5)),
            ("block", Message::WantBlock(block), (CostClass::Serve, BLOCK_COST)),
            ("parts", Message::WantParts { block, positions: vec![1, 2] }, (CostClass::Serve, 1024)),
            ("ping", Message::Ping(1), (CostClass::Control, 1)),
        ];
        for (name, message, expected) in table {
            assert_eq!(price(&message, encode(&message).len() as u64), expected, "{name}");
        }
    }
}
