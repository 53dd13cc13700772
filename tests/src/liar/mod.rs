//! A peer that lies: the real protocol, the truth of a real node, and one lie told about it.
//!
//! | file | what |
//! |---|---|
//! | `lies` | the lies |
//! | `truth` | where the truth is from: a node that is asked as light nodes ask, or a made-up chain of a million heights |
//!
//! Sessions, frames and messages are those of every native node; what a lie does not touch is relayed as it is. Answers
//! come from a light node's session, so a liar has no more to offer than light nodes ask for: it is no validator's peer.

mod lies;
mod truth;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use timecoin_core::answer::{Located, Nothing, PhaseChange, Question, Reply, TransactionPhase};
use timecoin_core::codec::encode;
use timecoin_core::hash::{ChainId, TxId};
use timecoin_core::message::Message;
use timecoin_core::peer::handshake::PeerId;
use timecoin_core::spec::ChainSpec;
use timecoin_core::sync::wire::{RequestId, Status};
use timecoin_core::transaction::SignedTransaction;
use timecoin_native::net::{NetEvent, Network};
use tokio::sync::mpsc;

use crate::port::{self, PortError};
use crate::session::SessionError;
use lies::Said;

pub use lies::Lie;
pub use truth::Truth;

/// No kind of message has this number.
const GARBAGE: [u8; 64] = [0xff; 64];

/// What a liar is started with.
#[derive(Debug)]
pub struct Config {
    /// The chain, served at `/spec.json`.
    pub spec: ChainSpec,
    /// Where the truth is from.
    pub truth: Truth,
    /// The lie.
    pub lie: Lie,
    /// Where to listen.
    pub listen: SocketAddr,
    /// How late [`Lie::Slow`] is.
    pub delay: Duration,
}

/// Why a liar does not start.
#[derive(Debug, thiserror::Error)]
pub enum LiarError {
    /// It takes no sessions.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The node that knows the truth is not to be had.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// What a liar tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It lied.
    Lie {
        /// To which kind of question; `Status` where it was said unasked.
        about: &'static str,
    },
    /// A session ended.
    Session(Traffic),
}

/// What passed in a session, frames before sealing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Questions asked.
    pub questions: u64,
    /// Bytes received and sent.
    pub bytes: u64,
}

/// A running liar.
#[derive(Debug)]
pub struct Liar {
    /// Where it takes sessions.
    pub url: String,
    /// Its key.
    pub key: PeerId,
    /// What it does, as it does it. It ends with the session to the node that knows the truth.
    pub told: mpsc::UnboundedReceiver<Told>,
}

struct Server {
    network: Network,
    chain: ChainId,
    truth: Truth,
    lie: Lie,
    delay: Duration,
    /// What [`Lie::StaleHead`] said before.
    said: Mutex<BTreeMap<Vec<u8>, Reply>>,
    /// What [`Lie::FinalPayment`] did not pass on.
    kept: Mutex<BTreeMap<TxId, SignedTransaction>>,
    traffic: Mutex<BTreeMap<PeerId, Traffic>>,
    told: mpsc::UnboundedSender<Told>,
}

/// What is held is whole even where its holder panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a liar within a tokio runtime.
///
/// # Errors
/// If the port or the node that knows the truth cannot be used.
pub async fn start(config: Config) -> Result<Liar, LiarError> {
    let Config { spec, truth, lie, listen, delay } = config;
    let chain = spec.consensus.id();
    let (network, events, url) = port::open(&spec, listen).await?;
    let (told, telling) = mpsc::unbounded_channel();
    let (said, kept, traffic) = (Mutex::default(), Mutex::default(), Mutex::default());
    let key = network.id();
    let server = Arc::new(Server { network, chain, truth, lie, delay, said, kept, traffic, told });
    tokio::spawn(server.run(events));
    Ok(Liar { url, key, told: telling })
}

impl Server {
    async fn run(self: Arc<Self>, mut events: mpsc::Receiver<NetEvent>) {
        let (mut status, mut phases) = (self.truth.status(), self.truth.phases());
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(NetEvent::Connected { peer, .. }) => self.say_status(&[peer]),
                    Some(NetEvent::Frame { peer, bytes, .. }) => self.hear(peer, &bytes),
                    Some(NetEvent::Disconnected { peer, .. }) => {
                        let traffic = lock(&self.traffic).remove(&peer).unwrap_or_default();
                        self.tell(Told::Session(traffic));
                    }
                    None => break,
                },
                changed = status.changed() => {
                    if changed.is_err() || self.truth.status().borrow().is_none() {
                        break;
                    }
                    self.say_status(&self.network.peers());
                }
                Some(changes) = phases.recv() => {
                    self.network.peers().iter().for_each(|peer| self.send(peer, &Message::Phases(changes.clone())));
                }
            }
        }
        self.network.shutdown().await;
    }

    fn send(&self, peer: &PeerId, message: &Message) {
        let frame = encode(message);
        self.count(peer, 0, frame.len());
        // Who has gone hears nothing.
        let _ = self.network.send(peer, frame);
    }

    fn count(&self, peer: &PeerId, questions: u64, bytes: usize) {
        let mut traffic = lock(&self.traffic);
        let traffic = traffic.entry(*peer).or_default();
        traffic.questions += questions;
        traffic.bytes += bytes as u64;
    }

    fn tell(&self, what: Told) {
        // Nobody needs to listen.
        let _ = self.told.send(what);
    }

    fn say_status(&self, peers: &[PeerId]) {
        let Some(status) = self.truth.status().borrow().clone() else { return };
        let height = self.lie.height(status.height);
        if height != status.height && !peers.is_empty() {
            self.tell(Told::Lie { about: "Status" });
        }
        let status = Message::Status(Box::new(Status { height, ..status }));
        peers.iter().for_each(|peer| self.send(peer, &status));
    }

    fn hear(self: &Arc<Self>, peer: PeerId, bytes: &[u8]) {
        match Message::from_frame(bytes) {
            Ok(Message::Ping(number)) => self.send(&peer, &Message::Pong(number)),
            Ok(Message::Ask(id, question)) => {
                self.count(&peer, 1, bytes.len());
                tokio::spawn(Arc::clone(self).answer(peer, id, question));
            }
            // Light nodes say nothing else that asks for an answer; nobody is held to account here.
            _ => {}
        }
    }

    async fn answer(self: Arc<Self>, peer: PeerId, id: RequestId, question: Question) {
        let (said, is_lie) = self.say(&peer, &question).await;
        if is_lie {
            self.tell(Told::Lie { about: about(&question) });
        }
        match said {
            Said::Reply(reply) => self.send(&peer, &Message::Answer(id, Box::new(reply))),
            Said::Nothing => {}
            Said::Garbage => _ = self.network.send(&peer, GARBAGE.to_vec()),
        }
    }

    /// What is answered, and whether it is a lie.
    async fn say(&self, peer: &PeerId, question: &Question) -> (Said, bool) {
        if let Some(said) = self.lie.unasked(question) {
            if let Question::Submit(signed) = question {
                lock(&self.kept).insert(signed.transaction.id(), (**signed).clone());
            }
            return (said, true);
        }
        if let (Lie::FinalPayment, Question::Watch(ids)) = (self.lie, question) {
            let phase = Some(TransactionPhase::Finalized);
            let changes: Vec<_> = ids.iter().map(|txid| PhaseChange { txid: *txid, phase }).collect();
            self.send(peer, &Message::Phases(changes.clone()));
            return (Said::Reply(Reply::Watch(changes)), true);
        }
        if self.lie == Lie::Slow {
            // Said at once: nobody may wait for the answer.
            self.tell(Told::Lie { about: about(question) });
            tokio::time::sleep(self.delay).await;
        }
        let before = (self.lie == Lie::StaleHead).then(|| lock(&self.said).get(&encode(question)).cloned());
        let Ok(truth) = self.truth.ask(question).await else { return (Said::Nothing, false) };
        let reply = match (self.lie, question, before.flatten()) {
            (Lie::StaleHead, ..) if !is_of_the_state(question) => truth.clone(),
            (Lie::StaleHead, _, Some(before)) => before,
            (Lie::StaleHead, _, None) => {
                lock(&self.said).insert(encode(question), truth.clone());
                truth.clone()
            }
            (Lie::FinalPayment, Question::Transaction(txid), _) => {
                self.finalized(txid, &truth).await.unwrap_or_else(|| truth.clone())
            }
            (lie, ..) => lie.turn(truth.clone(), &self.chain),
        };
        let is_lie = reply != truth;
        (Said::Reply(reply), is_lie)
    }

    /// A payment that is not final, as if it were the one payment of the newest block.
    async fn finalized(&self, txid: &TxId, truth: &Reply) -> Option<Reply> {
        let signed = match truth {
            Reply::Transaction(located) => match &**located {
                Located::Pending(signed, _) => signed.clone(),
                Located::Final { .. } => return None,
            },
            Reply::Nothing(Nothing::Unknown) => lock(&self.kept).get(txid).cloned()?,
            _ => return None,
        };
        let height = self.truth.status().borrow().as_ref()?.height;
        let newest = self.truth.ask(&Question::LightBlock { height, known: None }).await;
        let Ok(Reply::LightBlock(newest)) = newest else { return None };
        let header = Box::new(newest.header);
        let located = Located::Final { header, signed, index: 0, left: 0, path: Vec::new() };
        Some(Reply::Transaction(Box::new(located)))
    }
}

/// Whether the answer is the newest state's.
fn is_of_the_state(question: &Question) -> bool {
    matches!(
        question,
        Question::Balances(_) | Question::Coins(_) | Question::Coin { .. } | Question::Registry
    )
}

/// The kind of a question.
fn about(question: &Question) -> &'static str {
    match question {
        Question::LightBlock { .. } => "LightBlock",
        Question::Validators(_) => "Validators",
        Question::Height(_) => "Height",
        Question::History { .. } => "History",
        Question::Filters { .. } => "Filters",
        Question::Block(_) => "Block",
        Question::Transaction(_) => "Transaction",
        Question::Balances(_) => "Balances",
        Question::Coins(_) => "Coins",
        Question::Coin { .. } => "Coin",
        Question::Registry => "Registry",
        Question::FeeRate => "FeeRate",
        Question::Watch(_) => "Watch",
        Question::Submit(_) => "Submit",
        Question::State(_) => "State",
    }
}
