//! Sessions with peers, as the driver's node wants them: it says whom to dial, and hears what came.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::channel::{mpsc, oneshot};
use futures::future::{Either, select};
use timecoin_core::hash::ChainId;
use timecoin_core::keys::SecretKey;
use timecoin_core::node::Event;
use timecoin_core::peer::book::Dial;
use timecoin_core::peer::handshake::{Keep, LocalNode, Origin, PROTOCOL_VERSION, PeerId, Role, keep};
use timecoin_core::time::Time;
use timecoin_web::net::socket::{Channel, Receiver, Sender};
use timecoin_web::platform::now;
use wasm_bindgen_futures::spawn_local;

use crate::driver::Input;

/// Bytes of frames that may wait for the node, of all peers together. A browser takes from the network whatever comes: whoever
/// sends more loses the session.
const WAITING_MAX: usize = 32 << 20;

/// The way to the driver.
#[derive(Clone)]
pub(crate) struct Inputs(mpsc::UnboundedSender<Input>);

impl Inputs {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Input>) {
        let (inputs, waiting) = mpsc::unbounded();
        (Self(inputs), waiting)
    }

    /// Gives the driver an event.
    fn tell(&self, event: Event) {
        self.give(Input::Event(Box::new(event)));
    }

    /// Gives the driver something. It may have ended.
    pub(crate) fn give(&self, input: Input) {
        let _ = self.0.unbounded_send(input);
    }
}

/// All sessions.
pub(crate) struct Links {
    chain: ChainId,
    /// Fresh at each start: a page is nobody's acquaintance.
    identity: SecretKey,
    inputs: Inputs,
    sessions: RefCell<BTreeMap<PeerId, Link>>,
    bans: RefCell<BTreeMap<PeerId, Time>>,
    /// Told to peers when a session begins.
    height: Cell<u64>,
    waiting: Cell<usize>,
    stopped: Cell<bool>,
}

struct Link {
    origin: Origin,
    url: Rc<str>,
    sender: Rc<Sender>,
    /// Until it is to end.
    end: Option<oneshot::Sender<()>>,
}

impl Links {
    pub(crate) fn new(chain: ChainId, identity: SecretKey, inputs: Inputs) -> Rc<Self> {
        Rc::new(Self {
            chain,
            identity,
            inputs,
            sessions: RefCell::default(),
            bans: RefCell::default(),
            height: Cell::default(),
            waiting: Cell::default(),
            stopped: Cell::default(),
        })
    }

    /// The way to the driver.
    pub(crate) const fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    pub(crate) fn set_height(&self, height: u64) {
        self.height.set(height);
    }

    /// Where each peer was dialled.
    pub(crate) fn urls(&self) -> BTreeMap<PeerId, Rc<str>> {
        self.sessions.borrow().iter().map(|(peer, link)| (*peer, Rc::clone(&link.url))).collect()
    }

    /// The driver has taken a frame of this size.
    pub(crate) fn taken(&self, size: usize) {
        self.waiting.set(self.waiting.get().saturating_sub(size));
    }

    /// Sends a frame. Who reads too slowly loses the session.
    pub(crate) fn send(&self, peer: &PeerId, frame: &[u8]) {
        let sender = self.sessions.borrow().get(peer).map(|link| Rc::clone(&link.sender));
        if sender.is_some_and(|sender| sender.send(frame).is_err()) {
            self.close(peer);
        }
    }

    /// Ends a session; the node hears of it by [`Event::Disconnected`], and there is no other with this peer before.
    pub(crate) fn close(&self, peer: &PeerId) {
        if let Some(link) = self.sessions.borrow_mut().get_mut(peer) {
            link.sender.close();
            link.end.take();
        }
    }

    /// No session before then.
    pub(crate) fn ban(&self, peer: PeerId, until: Time) {
        let mut bans = self.bans.borrow_mut();
        bans.retain(|_, until| *until > now());
        bans.insert(peer, until);
    }

    /// Ends everything.
    pub(crate) fn stop(&self) {
        self.stopped.set(true);
        let peers: Vec<_> = self.sessions.borrow().keys().copied().collect();
        peers.iter().for_each(|peer| self.close(peer));
    }

    /// Dials; the node hears what became of it.
    pub(crate) fn dial(self: &Rc<Self>, dial: Dial) {
        let links = Rc::clone(self);
        spawn_local(async move {
            let node = LocalNode {
                version: PROTOCOL_VERSION,
                chain: links.chain,
                role: Role::Validator,
                listen: None,
                height: links.height.get(),
            };
            let dialled = Channel::dial(&dial.url, &links.identity, node).await.ok();
            // Whoever answers in another's place, or is banned, is dropped here, and with it the socket.
            let expected = dialled.filter(|channel| {
                let peer = channel.info.peer;
                let is_banned = links.bans.borrow().get(&peer).is_some_and(|until| *until > now());
                !links.stopped.get() && !is_banned && dial.key.is_none_or(|key| key == peer.0)
            });
            let peer = expected.as_ref().map(|channel| channel.info.peer);
            if let Some(channel) = expected {
                links.join(&dial.url, channel);
            }
            links.inputs.tell(Event::Dialled(dial, peer));
        });
    }

    /// Begins a session. Where there is one with this peer, the peer keeps one of the two, and this side the same.
    fn join(self: &Rc<Self>, url: &str, channel: Channel) {
        let Channel { sender, receiver, info } = channel;
        let (peer, origin) = (info.peer, info.origin);
        let held = self.sessions.borrow().get(&peer).map(|link| link.origin);
        match held.map(|held| keep(&held, &origin)) {
            Some(Keep::Existing) => return,
            Some(Keep::New) => self.over(&peer),
            None => {}
        }
        let (end, ended) = oneshot::channel();
        let link = Link { origin, url: url.into(), sender: Rc::new(sender), end: Some(end) };
        self.sessions.borrow_mut().insert(peer, link);
        self.inputs.tell(Event::Connected(info));
        spawn_local(Rc::clone(self).listen(peer, origin, receiver, ended));
    }

    /// A session is over.
    fn over(&self, peer: &PeerId) {
        self.close(peer);
        self.sessions.borrow_mut().remove(peer);
        self.inputs.tell(Event::Disconnected(*peer));
    }

    async fn listen(
        self: Rc<Self>,
        peer: PeerId,
        origin: Origin,
        mut receiver: Receiver,
        mut ended: oneshot::Receiver<()>,
    ) {
        let is_held = || self.sessions.borrow().get(&peer).is_some_and(|link| link.origin == origin);
        loop {
            let frame = match select(core::pin::pin!(receiver.next()), ended).await {
                Either::Left((Ok(frame), still)) => {
                    ended = still;
                    frame
                }
                Either::Left((Err(_), _)) | Either::Right(_) => break,
            };
            let waiting = self.waiting.get() + frame.len();
            if waiting > WAITING_MAX || !is_held() {
                break;
            }
            self.waiting.set(waiting);
            self.inputs.tell(Event::Frame(peer, frame));
        }
        if is_held() {
            self.over(&peer);
        }
    }
}
