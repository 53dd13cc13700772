//! What peers did wrong: kept in the store with what shows it, the oldest forgotten.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use timecoin_core::codec::{Wire, decode, encode};
use timecoin_core::driver::light::Misbehaviour;
use timecoin_core::keys::PublicKey;
use timecoin_core::peer::handshake::PeerId;
use timecoin_core::rows::{Batch, Key, Table};
use timecoin_core::schema::meta::MISBEHAVIOUR;
use timecoin_core::store::{Range, Store};
use timecoin_core::time::Time;
use timecoin_core::vote::Height;

use super::Node;
use crate::api::types::Evidence;

/// Most kept.
pub(super) const KEPT_MAX: usize = 100;
/// Most bytes of a reply kept as proof; of a larger one nothing is kept.
const PROOF_SIZE_MAX: usize = 64 << 10;
const TEXT_MAX: usize = 512;
/// The same peer doing the same again within this is not another event: a liar must not push out what others did.
const SAME_MS: u64 = 10_000;

/// A row.
#[derive(Serialize, Deserialize)]
struct Row {
    at: Time,
    peer: PublicKey,
    url: String,
    kind: String,
    height: Option<Height>,
    detail: String,
    proved: bool,
    /// The peer's reply, encoded; of a fork, both light blocks.
    proof: Vec<u8>,
}

impl Wire for Row {
    const SIZE_MAX: usize = PROOF_SIZE_MAX + 4 * TEXT_MAX + 256;
}

/// What is kept, as the page sees it.
#[derive(Default)]
pub(super) struct Feed {
    events: RefCell<VecDeque<(u64, Evidence)>>,
    next: Cell<u64>,
}

impl Feed {
    /// All that is kept, the oldest first.
    pub(super) fn all(&self) -> Vec<Evidence> {
        self.events.borrow().iter().map(|(_, event)| event.clone()).collect()
    }

    fn is_repeated(&self, new: &Evidence) -> bool {
        self.events.borrow().iter().rev().take(8).any(|(_, event)| {
            (event.peer, &event.kind) == (new.peer, &new.kind) && new.at.since(event.at) < SAME_MS
        })
    }
}

fn key(number: u64) -> Key {
    [MISBEHAVIOUR, &number.to_be_bytes()].concat()
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX / 4).collect()
}

impl Node {
    /// Takes back what earlier runs saw.
    pub(super) async fn restore_feed(&self) {
        let range = Range::prefix(MISBEHAVIOUR);
        let Ok(rows) = self.store.scan(Table::Meta, &range, 2 * KEPT_MAX).await else { return };
        let mut events = self.feed.events.borrow_mut();
        for (key, row) in rows {
            let Some(number) = key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes)) else { continue };
            self.feed.next.set(self.feed.next.get().max(number.saturating_add(1)));
            if let Ok(Row { at, peer, url, kind, height, detail, proved, proof: _ }) = decode(&row) {
                events.push_back((number, Evidence { at, peer, url, kind, height, detail, proved }));
            }
        }
    }

    /// A peer did something wrong: the page hears of it, and it is kept.
    pub(super) async fn lied(&self, lie: Misbehaviour<PeerId>, url: String) {
        let Misbehaviour { peer, lie, height, detail, at, mut proof } = lie;
        let (kind, detail, proved) = (lie.code().to_owned(), cut(&detail), lie.is_proved());
        let event = Evidence { at, peer: peer.0, url, kind, height, detail, proved };
        if self.feed.is_repeated(&event) {
            return;
        }
        self.topics.evidence(&event);
        if proof.len() > PROOF_SIZE_MAX {
            proof = Vec::new();
        }
        let number = self.feed.next.get();
        self.feed.next.set(number + 1);
        let mut batch = Batch::default();
        {
            let mut events = self.feed.events.borrow_mut();
            events.push_back((number, event.clone()));
            while events.len() > KEPT_MAX {
                if let Some((oldest, _)) = events.pop_front() {
                    batch.delete(Table::Meta, key(oldest));
                }
            }
        }
        let Evidence { at, peer, url, kind, height, detail, proved } = event;
        batch.put(
            Table::Meta,
            key(number),
            encode(&Row { at, peer, url, kind, height, detail, proved, proof }),
        );
        self.store.keep(&batch).await;
    }
}
