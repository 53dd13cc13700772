//! Which range to ask of whom, and when to look again.

use super::wire::{BODIES_MAX, HEADERS_MAX, Query, RequestId};
use super::{Peers, Sync};
use crate::keys::PublicKey;
use crate::time::Time;
use crate::vote::Height;

/// Requests of one peer that are remembered after they were given up, so that late answers are of use.
const LATE_MAX: usize = 16;

/// A request to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// To whom.
    pub peer: PublicKey,
    /// Its name.
    pub id: RequestId,
    /// What for.
    pub query: Query,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) is_headers: bool,
    pub(super) from: Height,
    pub(super) count: u16,
}

impl Asked {
    fn covers(&self, height: Height) -> bool {
        (self.from.0..self.from.0 + u64::from(self.count)).contains(&height.0)
    }
}

#[derive(Debug)]
pub(super) struct Outstanding {
    pub(super) peer: PublicKey,
    pub(super) asked: Asked,
    pub(super) sent_at: Time,
    deadline: Time,
    /// Given up; an answer is still welcome.
    pub(super) is_late: bool,
}

impl Sync {
    /// Requests to send now. To be called after every event: it also sets [`Sync::deadline`].
    pub fn wanted(&mut self, now: Time) -> Vec<Request> {
        let mut wanted = Vec::new();
        wanted.extend(self.want_headers(now));
        while let Some(request) = self.want_bodies(now) {
            wanted.push(request);
        }
        self.wake_at = self.next_change(now);
        wanted
    }

    /// Gives up what is over its deadline. Returns whose it was, once for each.
    pub(super) fn expire(&mut self, now: Time) -> Vec<PublicKey> {
        let mut silent = Vec::new();
        for request in
            self.requests.values_mut().filter(|request| !request.is_late && request.deadline <= now)
        {
            request.is_late = true;
            silent.push(request.peer);
        }
        silent.sort_unstable();
        silent.dedup();
        for key in &silent {
            self.peers.get_mut(key).into_iter().for_each(|peer| peer.failed(now, self.limits.timeout_ms));
            let late = self.requests.iter().filter(|(_, request)| request.is_late && request.peer == *key);
            let late: Vec<RequestId> = late.map(|(id, _)| *id).collect();
            for id in late.iter().rev().skip(LATE_MAX) {
                self.requests.remove(id);
            }
        }
        silent
    }

    fn want_headers(&mut self, now: Time) -> Option<Request> {
        let room = self.limits.headers_max.checked_sub(self.headers.len()).filter(|room| *room > 0)?;
        let count = u16::try_from(room).unwrap_or(HEADERS_MAX).min(HEADERS_MAX);
        let asked = Asked { is_headers: true, from: self.head.height.next(), count };
        if self.is_covered(true, asked.from, true, now) {
            return None;
        }
        let (head, lag_ms, head_at) = (self.head.height, self.limits.lag_ms, self.tip_at);
        let is_due = |peers: &Peers, key: &PublicKey| {
            peers.get(key).is_some_and(|peer| peer.due_at(head, head_at, lag_ms) <= now)
        };
        let peer = self.choose(&asked, now, is_due)?;
        Some(self.ask(peer, asked, now))
    }

    /// The range that holds up the rest, if it was asked for long ago; else the first nobody was asked for.
    fn want_bodies(&mut self, now: Time) -> Option<Request> {
        let ranges = [self.overdue_bodies(now), self.missing_bodies(now)];
        let (peer, asked) = ranges.into_iter().flatten().find_map(|asked| {
            let peer = self.choose(&asked, now, |_, _| true)?;
            Some((peer, asked))
        })?;
        Some(self.ask(peer, asked, now))
    }

    /// The next block to deliver and those after it, where nobody was asked for them lately.
    fn overdue_bodies(&self, now: Time) -> Option<Asked> {
        self.bodies_from(self.delivered.next(), |height| self.is_missing(height, true, now))
    }

    /// The first range of bodies that nobody is being asked for, as far as buffers allow.
    fn missing_bodies(&self, now: Time) -> Option<Asked> {
        let (first, last) = (self.delivered.next(), self.head.height);
        // What bodies may take that are asked for; an estimate, for `keep` has the last word.
        let open = self.open().filter(|request| !request.asked.is_headers).count();
        let reserved = open.saturating_mul(self.limits.response_bytes_max as usize);
        let has_room = self.bodies_bytes.saturating_add(reserved) < self.limits.buffer_bytes_max;
        let horizon = if has_room { last } else { first.min(last) };
        let is_missing = |height| self.is_missing(height, false, now);
        let from = (first.0..=horizon.0).map(Height).find(|height| is_missing(*height))?;
        self.bodies_from(from, is_missing)
    }

    fn bodies_from(&self, from: Height, is_missing: impl Fn(Height) -> bool) -> Option<Asked> {
        let range = (from.0..=self.head.height.0).map(Height).take(usize::from(BODIES_MAX));
        let count = u16::try_from(range.take_while(|height| is_missing(*height)).count()).ok()?;
        (count > 0).then_some(Asked { is_headers: false, from, count })
    }

    fn is_missing(&self, height: Height, is_urgent: bool, now: Time) -> bool {
        !self.bodies.contains_key(&height) && !self.is_covered(false, height, is_urgent, now)
    }

    fn open(&self) -> impl Iterator<Item = &Outstanding> {
        self.requests.values().filter(|request| !request.is_late)
    }

    /// Whether an open request will bring `height`. One that holds up the rest counts only for a while.
    fn is_covered(&self, is_headers: bool, height: Height, is_urgent: bool, now: Time) -> bool {
        let same = self.open().filter(|request| request.asked.is_headers == is_headers);
        same.filter(|request| request.asked.covers(height))
            .any(|request| !is_urgent || now < request.sent_at.plus(self.limits.hedge_ms))
    }

    /// The best peer that has the first of the range, is not busy, and was not asked for it already.
    fn choose(
        &self,
        asked: &Asked,
        now: Time,
        is_due: impl Fn(&Peers, &PublicKey) -> bool,
    ) -> Option<PublicKey> {
        let heights = || (asked.from.0..asked.from.0 + u64::from(asked.count)).map(Height);
        let has_refused = |key: &PublicKey| {
            !asked.is_headers
                && heights().any(|height| self.refused.get(&height).is_some_and(|by| by.contains(key)))
        };
        let is_asked = |key: &PublicKey| {
            let same = self.open().filter(|request| request.asked.is_headers == asked.is_headers);
            same.filter(|request| request.peer == *key).any(|request| request.asked.covers(asked.from))
        };
        let able: Vec<_> = self
            .peers
            .with(asked.from)
            .filter(|(key, _)| !has_refused(key) && is_due(&self.peers, key))
            .collect();
        // With nobody better, even those on the bench are asked.
        let all_benched = able.iter().all(|(_, peer)| peer.benched_until() > now);
        able.into_iter()
            .filter(|(key, peer)| (all_benched || peer.benched_until() <= now) && !is_asked(key))
            .map(|(key, peer)| (self.open().filter(|request| request.peer == *key).count(), key, peer))
            .filter(|(open, ..)| *open < self.limits.per_peer_max)
            .min_by_key(|(open, key, peer)| (peer.price(*open), **key))
            .map(|(_, key, _)| *key)
    }

    fn ask(&mut self, peer: PublicKey, mut asked: Asked, now: Time) -> Request {
        if let Some(claim) = self.peers.get(&peer).map(|peer| peer.height) {
            let claimed = claim.0.saturating_sub(asked.from.0).saturating_add(1);
            asked.count = asked.count.min(u16::try_from(claimed).unwrap_or(u16::MAX));
        }
        let id = RequestId(self.next_id);
        self.next_id += 1;
        let timeout_ms = self.peers.get(&peer).map_or(0, |peer| peer.timeout_ms(self.limits.timeout_ms));
        let deadline = now.plus(timeout_ms);
        self.requests.insert(id, Outstanding { peer, asked, sent_at: now, deadline, is_late: false });
        let Asked { from, count, .. } = asked;
        let query = if asked.is_headers {
            Query::Headers { from, count }
        } else {
            Query::Bodies { from, count, size_max: self.limits.response_bytes_max }
        };
        Request { peer, id, query }
    }

    /// The first moment at which [`Sync::tick`] or [`Sync::wanted`] could do something new.
    fn next_change(&self, now: Time) -> Time {
        let open = || self.open();
        let expiries = open().map(|request| request.deadline);
        let first_body = self.delivered.next();
        let urgent = open().filter(|request| request.asked.is_headers || request.asked.covers(first_body));
        let hedges = urgent.map(|request| request.sent_at.plus(self.limits.hedge_ms));
        let needs = |height: Height| self.head.height < height || first_body <= height;
        let useful = || self.peers.trusted().filter(move |(_, peer)| needs(peer.height));
        let benches = useful().map(|(_, peer)| peer.benched_until());
        let dues = useful().map(|(_, peer)| peer.due_at(self.head.height, self.tip_at, self.limits.lag_ms));
        let lost = (self.delivered > self.tip.height)
            .then(|| self.delivered_at.max(self.tip_at).plus(self.limits.apply_timeout_ms));
        // `wanted` has just acted on what is past; what `tick` acts on stays due until it is called.
        let later = hedges.chain(benches).chain(dues).filter(|moment| *moment > now);
        expiries.chain(lost).chain(later).min().unwrap_or(Time::NEVER)
    }
}
