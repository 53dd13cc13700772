//! Subscriptions: what a page hears without asking again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::future::{AbortHandle, abortable};
use serde::Serialize;
use wasm_bindgen_futures::spawn_local;

use super::Node;
use crate::api::types::{Answer, Evidence, Head, PeerView, State, TransactionParams, read, write};
#[cfg(test)]
use crate::api::types::{Nothing, PhaseChange};
use crate::api::{ApiError, Code};
use crate::wallet::WalletView;

/// Takes news: JSON, or nothing where there will be no more.
pub(crate) type Push = Rc<dyn Fn(Option<&str>)>;

/// Declares the topics, for Rust and TypeScript.
macro_rules! topics {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal($params:ty) -> $of:ty;)*) => {
        #[derive(Clone, Copy, PartialEq, Eq)]
        enum Topic { $($variant,)* }

        impl Topic {
            fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        /// The lines of `Topics` in TypeScript.
        #[cfg(test)]
        pub(crate) fn described() -> Vec<String> {
            use crate::api::describe::{Named, documented};
            vec![$(format!(
                "{}  '{}': {{ params: {}; news: {} }};\n",
                documented(&[$($doc),*], "  "), $name, <$params>::name(), <$of>::name()
            )),*]
        }
    };
}

topics! {
    /// What the node is doing: now, and whenever that changes.
    State "state"(Nothing) -> State;
    /// The newest verified block: now, and every newer one. A slow reader gets the newest.
    Heads "heads"(Nothing) -> Answer<Head>;
    /// All peers: now, and at most once a second when something about them changed.
    Peers "peers"(Nothing) -> Vec<PeerView>;
    /// What peers did wrong: what is kept, the oldest first, and what happens from now on.
    Evidence "evidence"(Nothing) -> Evidence;
    /// What the wallet holds: now, and whenever that changes, while it is unlocked.
    Wallet "wallet"(Nothing) -> WalletView;
    /// Where a transaction is on its way, until it is final.
    Phases "phases"(TransactionParams) -> PhaseChange;
}

struct Subscription {
    topic: Topic,
    push: Push,
    /// Of a task that serves this subscription alone.
    task: Option<AbortHandle>,
}

/// All subscriptions.
#[derive(Default)]
pub(super) struct Topics {
    subscriptions: RefCell<BTreeMap<u32, Subscription>>,
    next: Cell<u32>,
    peers_changed: Cell<bool>,
}

impl Topics {
    fn publish<T: Serialize>(&self, topic: Topic, news: &T) {
        let to: Vec<Push> = {
            let all = self.subscriptions.borrow();
            all.values().filter(|one| one.topic == topic).map(|one| Rc::clone(&one.push)).collect()
        };
        if to.is_empty() {
            return;
        }
        if let Ok(text) = write(news) {
            to.iter().for_each(|push| push(Some(&text)));
        }
    }

    pub(super) fn state(&self, state: &State) {
        self.publish(Topic::State, state);
    }

    pub(super) fn heads(&self, head: &Answer<Head>) {
        self.publish(Topic::Heads, head);
    }

    pub(super) fn peers(&self, peers: &Vec<PeerView>) {
        self.publish(Topic::Peers, peers);
    }

    pub(super) fn wallet(&self, view: &WalletView) {
        self.publish(Topic::Wallet, view);
    }

    pub(super) fn evidence(&self, event: &Evidence) {
        self.publish(Topic::Evidence, event);
    }

    /// Something about peers changed: they are published at the next tick.
    pub(super) fn changed_peers(&self) {
        self.peers_changed.set(true);
    }

    pub(super) fn take_changed_peers(&self) -> bool {
        self.peers_changed.replace(false)
    }
}

impl Node {
    /// Subscribes; what is known already is pushed at once.
    pub(crate) fn subscribe(self: &Rc<Self>, topic: &str, params: &str, push: Push) -> Result<u32, ApiError> {
        let unknown = || ApiError::new(Code::UnknownMethod, format!("There is no topic \"{topic}\"."));
        let topic = Topic::named(topic).ok_or_else(unknown)?;
        let mut task = None;
        match topic {
            Topic::State => push(Some(&write(&self.state())?)),
            Topic::Heads => {
                if let Some(head) = self.client.get().and_then(|client| self.head_of(client)) {
                    push(Some(&write(&head)?));
                }
            }
            Topic::Peers => push(Some(&write(&self.network.views())?)),
            Topic::Evidence => {
                for event in self.feed.all() {
                    push(Some(&write(&event)?));
                }
            }
            Topic::Wallet => {
                if let Some(view) = self.wallet_now() {
                    push(Some(&write(&view)?));
                }
            }
            Topic::Phases => {
                let TransactionParams { txid } = read(params)?;
                let (follow, handle) = abortable(Rc::clone(self).follow_phases(txid, Rc::clone(&push)));
                task = Some(handle);
                spawn_local(async move {
                    let _ = follow.await;
                });
            }
        }
        let id = self.topics.next.get();
        self.topics.next.set(id.wrapping_add(1));
        self.topics.subscriptions.borrow_mut().insert(id, Subscription { topic, push, task });
        Ok(id)
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&self, id: u32) {
        let ended = self.topics.subscriptions.borrow_mut().remove(&id);
        if let Some(task) = ended.and_then(|ended| ended.task) {
            task.abort();
        }
    }
}
