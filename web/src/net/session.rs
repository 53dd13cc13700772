//! One peer: its messages, the questions it was asked, and whether it is still there.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::channel::oneshot;
use futures::future::{Either, select};
use timecoin_core::answer::{Question, Reply};
use timecoin_core::codec::encode;
use timecoin_core::driver::light::Unanswered;
use timecoin_core::message::{Message, Request};
use timecoin_core::peer::handshake::{Origin, PeerId};
use timecoin_core::peer::quota::CostClass;
use timecoin_core::sync::wire::RequestId;
use timecoin_core::vote::Height;

use super::socket::{Channel, Receiver, Sender, SocketError};
use super::{NetEvent, Network};
use crate::platform::{monotonic_ms, now, within};

/// Questions that one peer may have under way.
const ASKED_MAX: usize = 64;
/// How long an answer may take.
const ANSWER_MS: u64 = 8_000;
/// A peer not heard for this long is asked for a sign of life,
const QUIET_MS: u64 = 10_000;
/// and is dropped where none comes within this,
const SILENT_MS: u64 = 10_000;
/// or within this after the page slept or the network changed: sockets look open then that are not.
const SILENT_HURRIED_MS: u64 = 3_000;
/// A claim that could not be shown is not looked at again for this long.
const DISTRUST_MS: u64 = 5_000;
/// A session that lasts no longer than this counts as a failed dial.
const SHORT_MS: u64 = 3_000;
/// Answers in a row that did not come in time, and the session ends.
const FAILURES_MAX: u32 = 3;

struct Asked {
    size_max: usize,
    answer: oneshot::Sender<Result<Reply, Unanswered>>,
}

/// A ping under way.
#[derive(Clone, Copy)]
struct Ping {
    number: u64,
    sent_ms: u64,
    patience_ms: u64,
}

/// A session with a peer.
pub(super) struct Session {
    pub(super) peer: PeerId,
    pub(super) origin: Origin,
    pub(super) url: String,
    sender: Sender,
    asked: RefCell<BTreeMap<RequestId, Asked>>,
    next: Cell<u64>,
    height: Cell<Height>,
    /// Claims up to here could not be shown, and are not looked at before then.
    distrusted: Cell<(Height, u64)>,
    begun_ms: u64,
    heard_ms: Cell<u64>,
    ping: Cell<Option<Ping>>,
    round_trip_ms: Cell<Option<u32>>,
    /// How long answers took of late: who is quick to say that it lives may be slow to say more.
    answer_ms: Cell<Option<u32>>,
    failures: Cell<u32>,
    end: RefCell<Option<oneshot::Sender<()>>>,
}

impl Session {
    /// Begins; the future runs the session to its end.
    pub(super) fn begin(
        url: String,
        channel: Channel,
        network: &Rc<Network>,
    ) -> (Rc<Self>, impl Future<Output = ()> + use<>) {
        let Channel { sender, receiver, info } = channel;
        let (end, ended) = oneshot::channel();
        let session = Rc::new(Self {
            peer: info.peer,
            origin: info.origin,
            url,
            sender,
            asked: RefCell::default(),
            next: Cell::new(0),
            height: Cell::new(Height(info.height)),
            distrusted: Cell::default(),
            begun_ms: monotonic_ms(),
            heard_ms: Cell::new(monotonic_ms()),
            ping: Cell::new(None),
            round_trip_ms: Cell::new(None),
            answer_ms: Cell::new(None),
            failures: Cell::new(0),
            end: RefCell::new(Some(end)),
        });
        session.ping(SILENT_MS);
        let _ = session.send(&Message::WantPeers);
        let run = run(Rc::clone(&session), Rc::clone(network), receiver, ended);
        (session, run)
    }

    /// Ends the session, whatever the socket does.
    pub(super) fn close(&self) {
        self.end.take();
        self.sender.close();
    }

    /// The height it says it has, unless it could not show so much.
    pub(super) fn claimed(&self) -> Option<Height> {
        let (distrusted, until_ms) = self.distrusted.get();
        Some(self.height.get()).filter(|height| *height > distrusted || monotonic_ms() >= until_ms)
    }

    /// Whether it ended as soon as it began.
    pub(super) fn was_short(&self) -> bool {
        monotonic_ms().saturating_sub(self.begun_ms) < SHORT_MS
    }

    pub(super) fn height(&self) -> Height {
        self.height.get()
    }

    pub(super) fn distrust(&self, height: Height) {
        self.distrusted.set((height, monotonic_ms() + DISTRUST_MS));
    }

    /// Whether it lately claimed what it could not show.
    pub(super) fn is_doubtful(&self) -> bool {
        monotonic_ms() < self.distrusted.get().1
    }

    /// The lower, the better to ask.
    pub(super) fn rank(&self) -> (u32, u32) {
        (self.failures.get(), self.answer_ms.get().or(self.round_trip_ms.get()).unwrap_or(u32::MAX))
    }

    pub(super) fn round_trip_ms(&self) -> Option<u32> {
        self.round_trip_ms.get()
    }

    fn send(&self, message: &Message) -> Result<(), SocketError> {
        self.sender.send(&encode(message)).inspect_err(|_| self.close())
    }

    fn ping(&self, patience_ms: u64) {
        let number = self.next.get();
        self.next.set(number + 1);
        self.ping.set(Some(Ping { number, sent_ms: monotonic_ms(), patience_ms }));
        let _ = self.send(&Message::Ping(number));
    }

    /// Asks for a sign of life, soon.
    pub(super) fn hurry(&self) {
        self.ping(SILENT_HURRIED_MS);
    }

    /// Asks the quiet for a sign of life, and ends the session where none came.
    pub(super) fn look_after(&self) {
        let now_ms = monotonic_ms();
        match self.ping.get() {
            Some(ping) if now_ms.saturating_sub(ping.sent_ms) >= ping.patience_ms => {
                // Whatever came since is a sign, too.
                if self.heard_ms.get() <= ping.sent_ms { self.close() } else { self.ping.set(None) }
            }
            Some(_) => {}
            None if now_ms.saturating_sub(self.heard_ms.get()) >= QUIET_MS => self.ping(SILENT_MS),
            None => {}
        }
    }

    /// Asks a question.
    pub(super) async fn ask(&self, question: &Question) -> Result<Reply, Unanswered> {
        let id = RequestId(self.next.get());
        self.next.set(id.0 + 1);
        if self.asked.borrow().len() >= ASKED_MAX {
            return Err(Unanswered::Busy { retry_after_ms: 100 });
        }
        let (answer, answered) = oneshot::channel();
        self.asked.borrow_mut().insert(id, Asked { size_max: question.reply_size_max(), answer });
        let forget = Forget { session: self, id };
        self.send(&Message::Ask(id, question.clone())).map_err(|_| Unanswered::Gone)?;
        let asked_ms = monotonic_ms();
        let outcome = within(ANSWER_MS, answered).await;
        drop(forget);
        match outcome {
            Some(Ok(reply)) => {
                self.failures.set(0);
                let took = u32::try_from(monotonic_ms().saturating_sub(asked_ms)).unwrap_or(u32::MAX);
                let before = self.answer_ms.get().unwrap_or(took);
                self.answer_ms.set(Some(before.saturating_mul(3).saturating_add(took) / 4));
                reply
            }
            Some(Err(oneshot::Canceled)) => Err(Unanswered::Gone),
            None => {
                self.failures.set(self.failures.get() + 1);
                if self.failures.get() >= FAILURES_MAX {
                    self.close();
                }
                Err(Unanswered::Timeout)
            }
        }
    }

    /// Whether an answer is larger than any to its question: nothing of it is decoded then.
    fn is_too_large(&self, frame: &[u8]) -> bool {
        const HEAD: usize = 12;
        Message::answered(frame).is_some_and(|id| {
            // Nobody waits any more: small answers are dropped after decoding, large ones before.
            self.asked
                .borrow()
                .get(&id)
                .map_or(frame.len() > 64 << 10, |asked| frame.len() > asked.size_max + HEAD)
        })
    }

    fn answered(&self, id: RequestId, answer: Result<Reply, Unanswered>) -> bool {
        let asked = self.asked.borrow_mut().remove(&id);
        asked.map(|asked| asked.answer.send(answer)).is_some()
    }
}

/// Forgets a question that nobody waits for any more.
struct Forget<'a> {
    session: &'a Session,
    id: RequestId,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.session.asked.borrow_mut().remove(&self.id);
    }
}

async fn run(
    session: Rc<Session>,
    network: Rc<Network>,
    mut receiver: Receiver,
    ended: oneshot::Receiver<()>,
) {
    let mut ended = ended;
    loop {
        let next = core::pin::pin!(receiver.next());
        let frame = match select(next, ended).await {
            Either::Left((Ok(frame), still)) => {
                ended = still;
                frame
            }
            Either::Left((Err(_), _)) | Either::Right(_) => break,
        };
        session.heard_ms.set(monotonic_ms());
        if session.is_too_large(&frame) {
            break;
        }
        let Ok(message) = Message::from_frame(&frame) else { break };
        if !network.hear(&session, message) {
            break;
        }
    }
    session.close();
    // Whoever waits for an answer hears that there is none.
    session.asked.take();
    network.left(&session);
}

impl Network {
    /// Takes a message; false ends the session.
    fn hear(self: &Rc<Self>, session: &Session, message: Message) -> bool {
        let class = match &message {
            Message::Answer(id, _) | Message::Busy { request: Request::Ask(id), .. }
                if session.asked.borrow().contains_key(id) =>
            {
                None
            }
            // As often as there are blocks.
            Message::Status(_) | Message::Phases(_) => Some(CostClass::Inventory),
            _ => Some(CostClass::Control),
        };
        let spend = |class| self.quotas.borrow_mut().spend(session.peer.0, class, 1, now());
        if class.is_some_and(|class| spend(class).is_err()) {
            return false;
        }
        match message {
            Message::Status(status) => {
                session.height.set(status.height);
                self.tell(NetEvent::Changed);
            }
            Message::Ping(number) => drop(session.send(&Message::Pong(number))),
            Message::Pong(number) => {
                if let Some(ping) = session.ping.get().filter(|ping| ping.number == number) {
                    let took_ms = monotonic_ms().saturating_sub(ping.sent_ms);
                    session.round_trip_ms.set(Some(u32::try_from(took_ms).unwrap_or(u32::MAX)));
                    session.ping.set(None);
                    self.tell(NetEvent::Changed);
                }
            }
            Message::Answer(id, reply) => drop(session.answered(id, Ok(*reply))),
            Message::Busy { request: Request::Ask(id), retry_after_ms } => {
                session.answered(id, Err(Unanswered::Busy { retry_after_ms }));
            }
            Message::Phases(changes) => self.tell(NetEvent::Phases(changes)),
            Message::Peers(records) => self.learn(session, records),
            // Not for light nodes; full ones have no reason to send it here.
            Message::Transactions(_)
            | Message::Have(_)
            | Message::Want(_)
            | Message::Proposal(_)
            | Message::Votes(_)
            | Message::Certificate(_)
            | Message::Evidence(_)
            | Message::WantParts { .. }
            | Message::Parts { .. }
            | Message::WantBlock(_)
            | Message::Block(_)
            | Message::Query(..)
            | Message::Response(..)
            | Message::Busy { .. }
            | Message::WantPeers
            | Message::Ask(..) => {}
        }
        true
    }
}
