//! Transactions on their way: what peers say of them, and when they are proved final.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::StreamExt;
use futures::channel::mpsc;
use futures::future::{Either, select};
use timecoin_core::answer::{PhaseChange as Told, TransactionPhase};
use timecoin_core::driver::light::{Found, Proved};
use timecoin_core::hash::TxId;

use super::topics::Push;
use super::{Client, Node};
use crate::api::ApiError;
use crate::api::types::{Phase, PhaseChange, write};
use crate::platform::{monotonic_ms, sleep_ms, within};
use wasm_bindgen_futures::spawn_local;

/// Without a word of peers it is looked anyway, so often.
const LOOK_MS: u64 = 3_000;
/// Payments of this node's own whose phases are remembered, and for how long each is listened to.
const RECORDS_MAX: usize = 16;
const RECORDED_MS: u64 = 60_000;
/// Words of peers waiting for one listener: more are dropped, because looking shows the same.
const WAITING_MAX: usize = 64;

/// Which transaction is waited for, and where its phases go; `None`: somebody should look.
type Listener = (TxId, mpsc::Sender<Option<TransactionPhase>>);

/// Who waits for which transaction.
#[derive(Default)]
pub(super) struct Pending {
    listeners: RefCell<BTreeMap<u64, Listener>>,
    next: Cell<u64>,
    /// Payments of this node's own: what was heard of each since it was handed over. The newest last.
    records: RefCell<Vec<Record>>,
}

/// What was heard of a payment, with the milliseconds since it was handed over.
#[derive(Clone)]
struct Record {
    txid: TxId,
    begun_ms: u64,
    heard: Vec<(Phase, u64)>,
}

/// A listener, forgotten when dropped.
struct Listening {
    node: Rc<Node>,
    id: u64,
    words: mpsc::Receiver<Option<TransactionPhase>>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.node.pending.listeners.borrow_mut().remove(&self.id);
        self.node.watch_again();
    }
}

/// How a peer's word looks to a page.
pub(super) fn phase(word: Option<TransactionPhase>) -> Phase {
    match word {
        None => Phase::Dropped,
        Some(TransactionPhase::Pending) => Phase::Pending,
        Some(TransactionPhase::PrePrepare) => Phase::Preprepare,
        Some(TransactionPhase::Prepare) => Phase::Prepare,
        Some(TransactionPhase::Commit) => Phase::Commit,
        Some(TransactionPhase::Finalized) => Phase::Finalized,
    }
}

impl Node {
    fn watch_again(&self) {
        let mut ids: Vec<_> = self.pending.listeners.borrow().values().map(|(txid, _)| *txid).collect();
        ids.sort_unstable();
        ids.dedup();
        self.network.set_watched(ids);
    }

    fn listen(self: &Rc<Self>, txid: TxId) -> Listening {
        let (told, words) = mpsc::channel(WAITING_MAX);
        let id = self.pending.next.get();
        self.pending.next.set(id + 1);
        self.pending.listeners.borrow_mut().insert(id, (txid, told));
        self.watch_again();
        Listening { node: Rc::clone(self), id, words }
    }

    /// Records from now on what is heard of a payment that is about to be handed over: whoever asks a moment later is told of
    /// what went before.
    pub(crate) fn record_phases(self: &Rc<Self>, txid: TxId) {
        let begun_ms = monotonic_ms();
        {
            let mut records = self.pending.records.borrow_mut();
            records.retain(|record| record.txid != txid);
            records.push(Record { txid, begun_ms, heard: Vec::new() });
            if records.len() > RECORDS_MAX {
                records.remove(0);
            }
        }
        let mut listening = self.listen(txid);
        let node = Rc::clone(self);
        spawn_local(async move {
            // Whatever comes later is heard by whoever asks.
            let until_final = async {
                while let Some(word) = listening.words.next().await {
                    let at_ms = monotonic_ms().saturating_sub(begun_ms);
                    if word == Some(TransactionPhase::Finalized) {
                        break;
                    }
                    let mut records = node.pending.records.borrow_mut();
                    if let Some(record) = records.iter_mut().find(|record| record.txid == txid)
                        && record.heard.iter().all(|(known, _)| *known != phase(word))
                    {
                        record.heard.push((phase(word), at_ms));
                    }
                }
            };
            let _ = within(RECORDED_MS, until_final).await;
        });
    }

    /// Peers say where transactions are.
    pub(super) fn phases_heard(&self, changes: &[Told]) {
        let mut listeners = self.pending.listeners.borrow_mut();
        for Told { txid, phase } in changes {
            for (_, told) in listeners.values_mut().filter(|(wanted, _)| wanted == txid) {
                let _ = told.try_send(*phase);
            }
        }
    }

    /// The transaction, once it is proved final. Every phase on the way is handed to `heard`, as a peer's word.
    pub(super) async fn wait_final(
        self: &Rc<Self>,
        txid: TxId,
        heard: impl Fn(Option<TransactionPhase>),
    ) -> Result<Proved<Found>, ApiError> {
        let mut listening = self.listen(txid);
        let mut watched = false;
        loop {
            let client: Rc<Client> = match self.ready().await {
                Ok(client) => client,
                // Peers come back.
                Err(error) if error.code == crate::api::Code::NoPeers.code() => continue,
                Err(error) if error.code == crate::api::Code::Unproved.code() => continue,
                Err(error) => return Err(error),
            };
            if !core::mem::replace(&mut watched, true) {
                // Watch first and look then, so that nothing falls between.
                self.network.watch(txid);
            }
            match client.transaction(&txid).await {
                Ok(Some(found)) if matches!(found.value, Found::Final { .. }) => return Ok(found),
                Ok(Some(Proved { value: Found::Pending(_, phase), .. })) => heard(Some(phase)),
                Ok(_) => {}
                Err(error) if error.is_passing() => {}
                Err(error) => return Err(error.into()),
            }
            self.settle();
            loop {
                let late = core::pin::pin!(sleep_ms(LOOK_MS));
                match select(listening.words.next(), late).await {
                    Either::Left((Some(Some(TransactionPhase::Finalized)), _)) => break,
                    Either::Left((Some(phase), _)) => heard(phase),
                    Either::Left((None, _)) | Either::Right(_) => break,
                }
            }
        }
    }

    /// Serves a subscription to the phases of a transaction.
    pub(super) async fn follow_phases(self: Rc<Self>, txid: TxId, push: Push) {
        let record = self.pending.records.borrow().iter().find(|record| record.txid == txid).cloned();
        let begun_ms = record.as_ref().map_or_else(monotonic_ms, |record| record.begun_ms);
        let shown: RefCell<Vec<Phase>> = RefCell::default();
        let show_at = |phase: Phase, verified: bool, after_ms: u64| {
            // Peers are at different points: what one has shown is not shown again, but for what may come back.
            let mut shown = shown.borrow_mut();
            let is_known = match phase {
                Phase::Dropped => shown.last() == Some(&Phase::Dropped),
                phase if verified => shown.last() == Some(&phase) && phase == Phase::Finalized,
                phase => shown.iter().any(|known| *known as u8 >= phase as u8 && *known != Phase::Dropped),
            };
            if is_known {
                return;
            }
            shown.push(phase);
            if let Ok(text) = write(&PhaseChange { txid, phase, after_ms, verified }) {
                push(Some(&text));
            }
        };
        let show = |phase, verified| show_at(phase, verified, monotonic_ms().saturating_sub(begun_ms));
        for (phase, at_ms) in record.into_iter().flat_map(|record| record.heard) {
            show_at(phase, false, at_ms);
        }
        let outcome = self.wait_final(txid, |word| match word {
            // Only the proof says so.
            Some(TransactionPhase::Finalized) => {}
            word => show(phase(word), false),
        });
        if outcome.await.is_ok() {
            show(Phase::Finalized, true);
        }
        push(None);
    }
}
