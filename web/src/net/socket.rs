//! A WebSocket with limits, and the handshake over it.
//!
//! `gloo-net` opens it and hands over its messages. What it does not do is done beside it: a message larger than any frame
//! is dropped before it is copied into the module's memory, and messages leave as they are, not as blobs.

use futures::StreamExt;
use futures::future::poll_fn;
use futures::sink::Sink;
use gloo_net::websocket::Message;
use gloo_net::websocket::futures::WebSocket;
use js_sys::{ArrayBuffer, Reflect};
use std::cell::RefCell;
use std::pin::Pin;
use timecoin_core::keys::SecretKey;
use timecoin_core::peer::handshake::{HANDSHAKE_SIZE_MAX, HandshakeError, Initiator, LocalNode, PeerInfo};
use timecoin_core::peer::session::{MESSAGE_SIZE_MAX, Opener, Sealer};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::MessageEvent;

use crate::platform::{entropy, now, within};

/// From connecting to the end of the handshake.
const HANDSHAKE_MS: u64 = 10_000;
/// Bytes that may wait for a peer: more, and it reads too slowly.
const WAITING_MAX: u32 = 4 << 20;

/// Why there is no session, or no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocketError {
    /// The browser does not open such a URL from this page.
    #[error("this page may not open that address")]
    Refused,
    /// Nobody is there, or the connection broke: browsers do not say why.
    #[error("the connection failed")]
    Failed,
    /// Not our use of WebSocket.
    #[error("not a TimeCoin peer")]
    Protocol,
    /// The peer reads too slowly.
    #[error("the peer reads too slowly")]
    Slow,
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// A message did not open.
    #[error("a message did not open")]
    Session,
}

/// An open socket after its handshake.
pub struct Channel {
    /// Frames out.
    pub sender: Sender,
    /// Frames in.
    pub receiver: Receiver,
    /// Who is there.
    pub info: PeerInfo,
}

/// The sending half.
pub struct Sender {
    socket: web_sys::WebSocket,
    sealer: RefCell<Option<Sealer>>,
}

/// The receiving half. Dropping it closes the socket.
pub struct Receiver {
    socket: WebSocket,
    opener: Option<Opener>,
    /// Alive as long as messages may come.
    guard: Guard,
}

/// Drops messages that are too large before anybody copies them.
struct Guard {
    socket: web_sys::WebSocket,
    listener: Closure<dyn Fn(MessageEvent)>,
    size_max: std::rc::Rc<std::cell::Cell<u32>>,
}

impl Guard {
    fn new(socket: &web_sys::WebSocket) -> Result<Self, SocketError> {
        let size_max =
            std::rc::Rc::new(std::cell::Cell::new(u32::try_from(HANDSHAKE_SIZE_MAX).unwrap_or(u32::MAX)));
        let listener = {
            let (socket, size_max) = (socket.clone(), std::rc::Rc::clone(&size_max));
            Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
                let size = match event.data().dyn_into::<ArrayBuffer>() {
                    Ok(bytes) => bytes.byte_length(),
                    Err(other) => length(&other),
                };
                if size > size_max.get() {
                    event.stop_immediate_propagation();
                    let _ = socket.close();
                }
            })
        };
        let added = socket.add_event_listener_with_callback("message", listener.as_ref().unchecked_ref());
        added.map_err(|_| SocketError::Failed)?;
        Ok(Self { socket: socket.clone(), listener, size_max })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let listener = self.listener.as_ref().unchecked_ref();
        let _ = self.socket.remove_event_listener_with_callback("message", listener);
    }
}

/// Of a text: in characters.
fn length(value: &JsValue) -> u32 {
    let length = Reflect::get(value, &JsValue::from_str("length")).ok().and_then(|length| length.as_f64());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    length.map_or(u32::MAX, |length| length as u32)
}

impl Channel {
    /// Dials, and shakes hands.
    ///
    /// # Errors
    /// If there is no peer of this chain and version, or not in time.
    pub async fn dial(url: &str, identity: &SecretKey, node: LocalNode) -> Result<Self, SocketError> {
        within(HANDSHAKE_MS, connect(url, identity, node)).await.ok_or(SocketError::Timeout)?
    }
}

async fn connect(url: &str, identity: &SecretKey, node: LocalNode) -> Result<Channel, SocketError> {
    let raw = web_sys::WebSocket::new(url).map_err(|_| SocketError::Refused)?;
    // Before the library's own listener, which copies.
    let guard = Guard::new(&raw)?;
    let mut socket = WebSocket::try_from(raw.clone()).map_err(|_| SocketError::Failed)?;
    poll_fn(|context| Pin::new(&mut socket).poll_ready(context)).await.map_err(|_| SocketError::Failed)?;
    let sender = Sender { socket: raw, sealer: RefCell::default() };
    let mut receiver = Receiver { socket, opener: None, guard };

    let (state, first) = Initiator::start(identity, node, now(), &entropy());
    sender.send_plain(&first)?;
    let (state, hello) = state.on_reply(&receiver.next_plain().await?)?;
    sender.send_plain(&hello)?;
    let (session, info) = state.on_answer(&receiver.next_plain().await?)?;
    let (sealer, opener) = session.split();
    sender.sealer.replace(Some(sealer));
    receiver.opener = Some(opener);
    receiver.guard.size_max.set(u32::try_from(MESSAGE_SIZE_MAX).unwrap_or(u32::MAX));
    Ok(Channel { sender, receiver, info })
}

impl Sender {
    fn send_plain(&self, bytes: &[u8]) -> Result<(), SocketError> {
        self.socket.send_with_u8_array(bytes).map_err(|_| SocketError::Failed)
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// If the socket is closed, or the peer reads too slowly.
    pub fn send(&self, frame: &[u8]) -> Result<(), SocketError> {
        // A closing socket keeps what it is given, and sends nothing.
        if self.socket.ready_state() != web_sys::WebSocket::OPEN {
            return Err(SocketError::Failed);
        }
        if self.socket.buffered_amount() > WAITING_MAX {
            return Err(SocketError::Slow);
        }
        let mut sealer = self.sealer.borrow_mut();
        let sealer = sealer.as_mut().ok_or(SocketError::Session)?;
        let message = sealer.seal(frame).map_err(|_| SocketError::Session)?;
        self.send_plain(&message)
    }

    /// Closes the socket; the receiving half hears of it.
    pub fn close(&self) {
        let _ = self.socket.close();
    }
}

impl Receiver {
    async fn next_plain(&mut self) -> Result<Vec<u8>, SocketError> {
        match self.socket.next().await {
            Some(Ok(Message::Bytes(bytes))) => Ok(bytes),
            Some(Ok(Message::Text(_))) => Err(SocketError::Protocol),
            Some(Err(_)) | None => Err(SocketError::Failed),
        }
    }

    /// The next frame.
    ///
    /// # Errors
    /// When there will be none.
    pub async fn next(&mut self) -> Result<Vec<u8>, SocketError> {
        let message = self.next_plain().await?;
        let opener = self.opener.as_mut().ok_or(SocketError::Session)?;
        opener.open(&message).map_err(|_| SocketError::Session)
    }
}
