//! Whom to ask: peers by what they claim to have and how well they answered so far.

use std::collections::BTreeMap;

use super::check::CheckedStatus;
use crate::keys::PublicKey;
use crate::time::Time;
use crate::vote::Height;

/// The longest that a peer which did not answer is left alone.
const BENCH_MAX_MS: u64 = 60_000;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) lowest: Height,
    pub(super) height: Height,
    pub(super) is_certified: bool,
    /// When it claimed this height.
    claimed_at: Time,
    /// Requests in a row that it did not answer usefully.
    strikes: u32,
    benched_until: Time,
    /// Microseconds a height took lately; 0 where unknown, so that newcomers are tried.
    cost_us: u64,
    /// Lied: never asked again in this session.
    is_distrusted: bool,
}

/// The peers in session.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<PublicKey, Peer>);

impl Peers {
    pub(super) fn update(&mut self, key: PublicKey, status: CheckedStatus, now: Time) {
        let CheckedStatus { lowest, height, is_certified } = status;
        let newcomer = Peer {
            lowest,
            height: Height(0),
            is_certified,
            claimed_at: now,
            strikes: 0,
            benched_until: Time(0),
            cost_us: 0,
            is_distrusted: false,
        };
        let peer = self.0.entry(key).or_insert(newcomer);
        if peer.height != height {
            peer.claimed_at = now;
        }
        (peer.lowest, peer.height, peer.is_certified) = (lowest, height, is_certified);
    }

    pub(super) fn remove(&mut self, key: &PublicKey) {
        self.0.remove(key);
    }

    pub(super) fn distrust(&mut self, key: &PublicKey) {
        self.0.get_mut(key).into_iter().for_each(|peer| peer.is_distrusted = true);
    }

    /// Peers that may be asked for `from`.
    pub(super) fn with(&self, from: Height) -> impl Iterator<Item = (&PublicKey, &Peer)> {
        self.trusted().filter(move |(_, peer)| peer.lowest <= from && from <= peer.height)
    }

    pub(super) fn trusted(&self) -> impl Iterator<Item = (&PublicKey, &Peer)> {
        self.0.iter().filter(|(_, peer)| !peer.is_distrusted)
    }

    pub(super) fn get(&self, key: &PublicKey) -> Option<&Peer> {
        self.0.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &PublicKey) -> Option<&mut Peer> {
        self.0.get_mut(key)
    }
}

impl Peer {
    /// When its claim is worth acting on. One height ahead is what consensus is about to bring anyway.
    pub(super) fn due_at(&self, head: Height, head_at: Time, lag_ms: u64) -> Time {
        if self.height > head.next() { Time(0) } else { self.claimed_at.max(head_at).plus(lag_ms) }
    }

    pub(super) fn benched_until(&self) -> Time {
        self.benched_until
    }

    /// Less is better: fewer failures, then the shorter wait given what it is doing already.
    pub(super) fn price(&self, outstanding: usize) -> (u32, u64, usize) {
        let wait = self.cost_us.saturating_mul(outstanding as u64 + 1);
        (self.strikes, wait, outstanding)
    }

    pub(super) fn timeout_ms(&self, timeout_ms: u64) -> u64 {
        timeout_ms << self.strikes.min(3)
    }

    pub(super) fn answered(&mut self, heights: usize, took_ms: u64) {
        let cost_us = took_ms.max(1).saturating_mul(1000) / heights.max(1) as u64;
        self.cost_us = if self.cost_us == 0 {
            cost_us
        } else {
            self.cost_us.saturating_mul(3).saturating_add(cost_us) / 4
        };
        (self.strikes, self.benched_until) = (0, Time(0));
    }

    pub(super) fn failed(&mut self, now: Time, timeout_ms: u64) {
        let pause_ms = timeout_ms << self.strikes.min(6);
        self.strikes = self.strikes.saturating_add(1);
        self.benched_until = now.plus(pause_ms.min(BENCH_MAX_MS));
    }

    /// It asked to be left alone for a while.
    pub(super) fn rest(&mut self, now: Time, pause_ms: u64) {
        self.benched_until = self.benched_until.max(now.plus(pause_ms.min(BENCH_MAX_MS)));
    }

    /// It does not have `missing`, whatever it said: believe so until it says something new.
    pub(super) fn disclaim(&mut self, missing: Height) {
        self.height = self.height.min(Height(missing.0.saturating_sub(1)));
        self.is_certified = false;
    }
}
