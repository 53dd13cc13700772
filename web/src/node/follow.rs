//! Moving with the chain, and what the page is shown of it.

use std::rc::Rc;

use timecoin_core::driver::light::Source;
use timecoin_core::vote::Height;

use super::{Client, Node};
use crate::api::Code;
use crate::api::error::code_of;
use crate::api::types::State;
use crate::net::{Claim, Peers};
use crate::platform::{now, sleep_ms};

/// A way of so many blocks is shown as syncing; a shorter one is walked before anybody could read it.
const SYNCING_MIN: u64 = 64;
/// How long without a session before that is called offline.
const OFFLINE_AFTER_MS: u64 = 2_000;
/// The same where there never was one.
const UNREACHED_AFTER_MS: u64 = 8_000;
/// What a block's way may take beyond the chain's own heartbeat.
const STALE_SLACK_MS: u64 = 5_000;
/// Between two attempts where the fault is ours: a clock set wrong, trust that expired.
const RETRY_MS: u64 = 3_000;

impl Node {
    /// Follows whoever is ahead, for as long as the node runs.
    pub(super) async fn follow(self: &Rc<Self>) {
        let Some(client) = self.client() else { return };
        let peers = Peers(Rc::clone(&self.network));
        loop {
            let height = client.height();
            let Some(Claim { peer, height: target, is_doubtful }) = self.network.ahead_of(height) else {
                self.caught_up.set(self.network.connected() > 0 && self.failed.borrow().is_none());
                self.way.set(None);
                self.settle();
                peers.news().await;
                continue;
            };
            // What a peer says that said too much before is looked at, and shown to nobody.
            if !is_doubtful {
                let begin = self.way.get().map_or(height, |(begin, _)| begin);
                self.way.set(Some((begin, target)));
                if target.0.saturating_sub(height.0) >= SYNCING_MIN {
                    self.caught_up.set(false);
                }
                self.show_state();
            }
            match client.follow(&peer, target).await {
                Ok(is_moved) => {
                    self.failed.take();
                    if client.height() >= target {
                        self.caught_up.set(true);
                        // What comes next is another way: a chain that goes on is not one that is far ahead.
                        self.way.set(None);
                    } else if !is_moved {
                        self.network.distrust_claim(&peer, target);
                        self.way.set(None);
                    }
                }
                Err(error) => {
                    let is_for_good = code_of(&error) == Code::Fork;
                    self.failed.replace(Some(error.into()));
                    self.caught_up.set(false);
                    self.settle();
                    if is_for_good {
                        return;
                    }
                    sleep_ms(RETRY_MS).await;
                }
            }
            self.settle();
        }
    }

    /// Shows what an answer or a followed block changed.
    pub(crate) fn settle(&self) {
        self.show_head();
        self.show_state();
    }

    /// Publishes the head, if it is a newer one.
    pub(super) fn show_head(&self) {
        let Some(client) = self.client.get() else { return };
        let height = client.height();
        if self.published.get() == Some(height) {
            return;
        }
        if let Some(head) = self.head_of(client) {
            self.published.set(Some(height));
            self.network.set_height(height);
            self.topics.heads(&head);
            self.purse.ring();
        }
    }

    /// Publishes the state, if it is another one.
    pub(super) fn show_state(&self) {
        let state = self.state_now();
        if *self.state.borrow() != state {
            self.topics.state(&state);
            self.state.replace(state);
        }
        for waiting in self.waiting.take() {
            // Who waited too long is gone.
            let _ = waiting.send(());
        }
    }

    pub(super) fn show_peers(&self) {
        if self.topics.take_changed_peers() {
            self.topics.peers(&self.network.views());
        }
    }

    /// The present state.
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    fn state_now(&self) -> State {
        if let Some(error) = &*self.failed.borrow() {
            let advice =
                Code::ALL.iter().find(|code| code.code() == error.code).map_or("", |code| code.advice());
            return State::Failed { code: error.code, message: error.message.clone(), advice };
        }
        let connected = self.network.connected();
        let Some(client) = self.client.get() else {
            return match self.network.ever_connected() || self.store.is_kept() {
                true => State::Connecting { peers: small(connected) },
                false => State::Starting {},
            };
        };
        if connected == 0 {
            return self.without_peers();
        }
        if let Some((begin, target)) = self.way.get()
            && target.0.saturating_sub(begin.0) >= SYNCING_MIN
        {
            return syncing(client, begin, target);
        }
        if !self.caught_up.get() {
            return State::Connecting { peers: small(connected) };
        }
        let age_ms = now().since(client.trusted().time);
        let rules = self.chain.spec.consensus.rules(client.height());
        if age_ms > rules.heartbeat_ms.saturating_mul(2).saturating_add(STALE_SLACK_MS) {
            return State::Stale { age_ms };
        }
        State::Verified {}
    }

    fn without_peers(&self) -> State {
        let since = self.network.lost_at().unwrap_or_else(now);
        let patience_ms = if self.network.ever_connected() { OFFLINE_AFTER_MS } else { UNREACHED_AFTER_MS };
        match now().since(since) >= patience_ms {
            true => State::Offline { since },
            false => State::Connecting { peers: 0 },
        }
    }
}

fn syncing(client: &Client, begin: Height, target: Height) -> State {
    let height = client.reached().unwrap_or_default().max(client.height()).min(target);
    let (way, done) = (target.0.saturating_sub(begin.0), height.0.saturating_sub(begin.0));
    let percent = done.saturating_mul(100).checked_div(way).unwrap_or_default();
    State::Syncing { height, target, percent: u32::try_from(percent).unwrap_or(100).min(100) }
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
