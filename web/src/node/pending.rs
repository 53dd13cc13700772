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
use crate::platform::{monotonic_ms, sleep_ms};

/// Without a word of peers it is looked anyway, so often.
const LOOK_MS: u64 = 3_000;
/// Words of peers waiting for one listener: more are dropped, because looking shows the same.
const WAITING_MAX: usize = 64;

/// A listener: which transaction it waits for, and where it hears of it.
type Listener = (TxId, mpsc::Sender<Option<TransactionPhase>>);

/// Who waits for which transaction.
#[derive(Default)]
pub(super) struct Pending {
    listeners: RefCell<BTreeMap<u64, Listener>>,
    next: Cell<u64>,
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
        let begun_ms = monotonic_ms();
        let shown: RefCell<Vec<Phase>> = RefCell::default();
        let show = |phase: Phase, verified: bool| {
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
            let after_ms = monotonic_ms().saturating_sub(begun_ms);
            if let Ok(text) = write(&PhaseChange { txid, phase, after_ms, verified }) {
                push(Some(&text));
            }
        };
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
