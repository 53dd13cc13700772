//! The light client's view of its peers.

use std::ops::Deref;
use std::rc::Rc;

use futures::channel::oneshot;
use timecoin_core::answer::{PhaseChange, Question, Reply, WATCHED_MAX};
use timecoin_core::driver::light::{Misbehaviour, Source, Unanswered};
use timecoin_core::hash::TxId;
use timecoin_core::peer::handshake::PeerId;
use timecoin_core::time::Time;
use wasm_bindgen_futures::spawn_local;

use super::session::Session;
use super::{NetEvent, Network};
use crate::platform::{now, sleep_ms, within};

/// The longest wait for a peer that is busy: beyond it, another one is asked.
const BUSY_MAX_MS: u32 = 1_000;
/// News or not, after so long it is worth looking again.
const NEWS_MS: u64 = 2_000;

/// All peers, as the light client asks them.
#[derive(Clone)]
pub struct Peers(pub Rc<Network>);

impl Deref for Peers {
    type Target = Rc<Network>;

    fn deref(&self) -> &Rc<Network> {
        &self.0
    }
}

impl Source for Peers {
    type Peer = PeerId;

    /// Those that answer well and fast first; those that are behind last.
    fn peers(&self) -> Vec<PeerId> {
        let sessions = self.sessions.borrow();
        let mut order: Vec<&Rc<Session>> = sessions.values().collect();
        let height = self.height.get();
        order.sort_by_key(|session| (session.height() < height, session.rank()));
        order.into_iter().map(|session| session.peer).collect()
    }

    async fn ask(&self, peer: &PeerId, question: &Question) -> Result<Reply, Unanswered> {
        let session = self.sessions.borrow().get(peer).cloned().ok_or(Unanswered::Gone)?;
        match session.ask(question).await {
            Err(Unanswered::Busy { retry_after_ms }) if retry_after_ms <= BUSY_MAX_MS => {
                sleep_ms(u64::from(retry_after_ms)).await;
                session.ask(question).await
            }
            answer => answer,
        }
    }

    async fn news(&self) {
        let (told, hears) = oneshot::channel();
        self.waiting.borrow_mut().push(told);
        let _ = within(NEWS_MS, hears).await;
        self.waiting.borrow_mut().retain(|waiting| !waiting.is_canceled());
    }

    fn now(&self) -> Time {
        now()
    }

    fn report(&self, misbehaviour: Misbehaviour<PeerId>) {
        let url = self.sessions.borrow().get(&misbehaviour.peer).map(|session| session.url.clone());
        if misbehaviour.lie.is_proved() {
            self.ban(&misbehaviour.peer, misbehaviour.at);
        }
        self.tell(NetEvent::Lied(Box::new(misbehaviour), url.unwrap_or_default()));
    }
}

impl Network {
    /// Asks a peer to tell about transactions, and passes on where they are.
    pub(super) async fn watch_at(&self, session: &Session, ids: Vec<TxId>) {
        for ids in ids.chunks(WATCHED_MAX) {
            if let Ok(Reply::Watch(changes)) = session.ask(&Question::Watch(ids.to_vec())).await {
                self.tell_phases(changes);
            }
        }
    }

    /// Asks all peers to tell about a transaction.
    pub fn watch(self: &Rc<Self>, txid: TxId) {
        for session in self.sessions.borrow().values() {
            let (network, session) = (Rc::clone(self), Rc::clone(session));
            spawn_local(async move { network.watch_at(&session, vec![txid]).await });
        }
    }

    fn tell_phases(&self, changes: Vec<PhaseChange>) {
        if !changes.is_empty() {
            self.tell(NetEvent::Phases(changes));
        }
    }
}
