//! One connection: the handshake over a WebSocket, then a session until it ends.
//!
//! A session is one task with two halves that do not wait for each other: a reader that hands frames to the
//! node (and stops reading while the node is busy), and a writer that empties the outbox.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, Stream, StreamExt};
use timecoin_core::peer::handshake::{
    HANDSHAKE_SIZE_MAX, HandshakeError, Initiator, PeerId, PeerInfo, Refusal, Responder,
};
use timecoin_core::peer::session::{MESSAGE_SIZE_MAX, Opener, Sealer, Session};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, error::ProtocolError};
use tracing::debug;

use super::metered::{Meter, Metered};
use super::outbox::Queue;
use super::registry::Seat;
use super::{ConnectError, DisconnectReason, NetEvent, Shared, is_set};
use crate::clock;
use crate::tls::Carrier;

/// How long a polite goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
const BUFFER_SIZE: usize = 16 << 10;

/// The limits of a WebSocket whose messages have at most `message_size_max` bytes.
fn websocket_config(message_size_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER_SIZE)
        .write_buffer_size(BUFFER_SIZE)
        .max_write_buffer_size(2 * BUFFER_SIZE + MESSAGE_SIZE_MAX)
        .max_message_size(Some(message_size_max))
        .max_frame_size(Some(message_size_max))
}

/// The limits towards a peer that we chose to dial.
pub(super) fn dialled_config() -> WebSocketConfig {
    websocket_config(MESSAGE_SIZE_MAX)
}

/// A session that has a seat and has not begun.
pub(super) struct Established<S> {
    socket: WebSocketStream<S>,
    session: Session,
    info: PeerInfo,
    seat: Seat,
    outbound: bool,
    meter: Option<Meter>,
}

impl<S> Established<S> {
    pub(super) fn peer(&self) -> PeerId {
        self.info.peer
    }
}

fn entropy() -> Result<[u8; 32], ConnectError> {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).map_err(|_| ConnectError::Entropy)?;
    Ok(entropy)
}

/// The initiator's side of the handshake.
pub(super) async fn initiate<S: Carrier>(
    shared: &Shared,
    mut socket: WebSocketStream<S>,
) -> Result<Established<S>, ConnectError> {
    let (state, first) =
        Initiator::start(&shared.config.identity, shared.local_node(), clock::now(), &entropy()?);
    send(&mut socket, first).await?;
    let (state, hello) = state.on_reply(&receive(&mut socket).await?)?;
    send(&mut socket, hello).await?;
    let (session, info) = state.on_answer(&receive(&mut socket).await?)?;
    match shared.registry.admit(&info, true) {
        Ok(seat) => Ok(Established { socket, session, info, seat, outbound: true, meter: None }),
        Err(refusal) => {
            close(&mut socket).await;
            Err(match refusal {
                Refusal::Duplicate => ConnectError::AlreadyConnected(info.peer),
                refusal => HandshakeError::Rejected { refusal, answer: None }.into(),
            })
        }
    }
}

/// The responder's side of the handshake, over a stream that has just become a WebSocket.
pub(super) async fn respond<S: Carrier>(
    shared: &Shared,
    stream: S,
) -> Result<Established<Metered<S>>, ConnectError> {
    let meter = Meter::new(Arc::clone(&shared.unfinished), shared.config.limits.unfinished_total_max);
    let stream = Metered::new(stream, meter.clone());
    let small = websocket_config(HANDSHAKE_SIZE_MAX);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(small)).await;
    let state = Responder::new(&shared.config.identity, shared.local_node(), clock::now(), &entropy()?);
    let (state, reply) = state.on_first(&receive(&mut socket).await?)?;
    send(&mut socket, reply).await?;
    let admission = match state.on_hello(&receive(&mut socket).await?) {
        Ok(admission) => admission,
        Err(HandshakeError::Rejected { refusal, answer: Some(answer) }) => {
            return Err(turn_away(&mut socket, refusal, answer).await);
        }
        Err(error) => return Err(error.into()),
    };
    let seat = match shared.registry.admit(admission.info(), false) {
        Ok(seat) => seat,
        Err(refusal) => {
            let answer = admission.refuse(refusal)?;
            return Err(turn_away(&mut socket, refusal, answer).await);
        }
    };
    let (session, info, welcome) = admission.accept()?;
    // The peer is silent until it has the welcome: nothing read is lost when the limits grow here.
    let full = websocket_config(MESSAGE_SIZE_MAX);
    let mut socket = WebSocketStream::from_raw_socket(socket.into_inner(), Role::Server, Some(full)).await;
    send(&mut socket, welcome).await?;
    meter.finish();
    Ok(Established { socket, session, info, seat, outbound: false, meter: Some(meter) })
}

async fn turn_away<S: Carrier>(
    socket: &mut WebSocketStream<S>,
    refusal: Refusal,
    answer: Vec<u8>,
) -> ConnectError {
    match send(socket, answer.clone()).await {
        Ok(()) => close(socket).await,
        Err(error) => debug!(%refusal, %error, "the peer did not hear why it is refused"),
    }
    ConnectError::Handshake(HandshakeError::Rejected { refusal, answer: Some(answer) })
}

async fn send<S: Carrier>(socket: &mut WebSocketStream<S>, message: Vec<u8>) -> Result<(), ConnectError> {
    let sent = socket.send(Message::Binary(message.into())).await;
    sent.map_err(|error| ConnectError::Disconnected(reason_of(&error)))
}

async fn receive<S: Carrier>(socket: &mut WebSocketStream<S>) -> Result<Bytes, ConnectError> {
    next_binary(socket).await.map_err(ConnectError::Disconnected)
}

/// Runs the session of a peer to its end.
pub(super) async fn run<S: Carrier>(shared: Arc<Shared>, established: Established<S>) {
    let Established { socket, session, info, mut seat, outbound, meter } = established;
    let mut stopping = shared.stopping.subscribe();
    let mut closing = seat.outbox.closing();
    let peer = info.peer;
    seat.alone().await;
    let connected = NetEvent::Connected { peer, info, outbound, outbox: seat.outbox.clone() };
    tokio::select! {
        biased;
        () = is_set(&mut stopping) => return,
        _ = closing.wait_for(Option::is_some) => return,
        sent = shared.events.send(connected) => if sent.is_err() { return },
    }
    debug!(%peer, outbound, "connected");
    let (mut sink, stream) = socket.split();
    let (sealer, opener) = session.split();
    let reason = tokio::select! {
        () = is_set(&mut stopping) => DisconnectReason::Shutdown,
        reason = closing.wait_for(Option::is_some) => {
            reason.ok().and_then(|reason| *reason).unwrap_or(DisconnectReason::Shutdown)
        }
        reason = read(&shared, peer, stream, opener, meter.as_ref()) => reason,
        () = overdue(meter.as_ref(), shared.config.limits.message_timeout) => DisconnectReason::Unfinished,
        reason = write(&mut sink, sealer, &mut seat.queue, shared.config.limits.write_timeout) => reason,
    };
    debug!(%peer, %reason, "disconnected");
    seat.queue.close();
    let _ = timeout(CLOSE_TIMEOUT, sink.close()).await;
    drop(sink);
    let disconnected = NetEvent::Disconnected { peer, reason };
    if reason == DisconnectReason::Shutdown {
        // A node that is stopping may not be reading any more.
        let _ = shared.events.try_send(disconnected);
    } else {
        tokio::select! {
            () = is_set(&mut stopping) => {}
            _ = shared.events.send(disconnected) => {}
        }
    }
}

async fn read<S: Carrier>(
    shared: &Shared,
    peer: PeerId,
    mut stream: SplitStream<WebSocketStream<S>>,
    mut opener: Opener,
    meter: Option<&Meter>,
) -> DisconnectReason {
    loop {
        let message = match next_binary(&mut stream).await {
            Ok(message) => message,
            Err(reason) => return reason,
        };
        // Before it is opened: what is opened and waits here would be counted nowhere.
        let size = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let Ok(share) = Arc::clone(&shared.events_bytes).acquire_many_owned(size).await else {
            return DisconnectReason::Shutdown;
        };
        if let Some(meter) = meter {
            meter.finish();
        }
        let bytes = match opener.open(&message) {
            Ok(bytes) => bytes,
            Err(error) => return error.into(),
        };
        drop(message);
        if shared.events.send(NetEvent::Frame { peer, bytes, share }).await.is_err() {
            return DisconnectReason::Shutdown;
        }
    }
}

/// Returns when a message has been unfinished for too long.
async fn overdue(meter: Option<&Meter>, message_timeout: Duration) {
    let Some(meter) = meter else { return std::future::pending().await };
    let mut unfinished = None;
    loop {
        tokio::time::sleep(message_timeout / 4).await;
        let messages = meter.messages();
        let is_same = meter.is_open() && unfinished.is_some_and(|(begun, _)| begun == messages);
        match unfinished.as_mut().filter(|_| is_same) {
            Some((_, quarters)) if *quarters >= 4 => return,
            Some((_, quarters)) => *quarters += 1,
            None => unfinished = meter.is_open().then_some((messages, 1)),
        }
    }
}

async fn write<S: Carrier>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    mut sealer: Sealer,
    queue: &mut Queue,
    write_timeout: Duration,
) -> DisconnectReason {
    while let Some(frame) = queue.next().await {
        let message = match sealer.seal(&frame) {
            Ok(message) => message,
            Err(error) => return error.into(),
        };
        match timeout(write_timeout, sink.send(Message::Binary(message.into()))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return reason_of(&error),
            Err(_) => return DisconnectReason::SlowReader,
        }
    }
    DisconnectReason::Shutdown
}

/// The next binary message; pings are answered underneath, and anything else ends the connection.
async fn next_binary(
    stream: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
) -> Result<Bytes, DisconnectReason> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(_) | Message::Frame(_))) => return Err(DisconnectReason::Protocol),
            Some(Ok(Message::Close(_))) | None => return Err(DisconnectReason::PeerClosed),
            Some(Err(error)) => return Err(reason_of(&error)),
        }
    }
}

async fn close<S: Carrier>(socket: &mut WebSocketStream<S>) {
    let _ = timeout(CLOSE_TIMEOUT, socket.close(None)).await;
}

fn reason_of(error: &Error) -> DisconnectReason {
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => DisconnectReason::PeerClosed,
        Error::Io(error) if error.kind() == io::ErrorKind::QuotaExceeded => DisconnectReason::Unfinished,
        Error::Io(error) => DisconnectReason::Io(error.kind()),
        Error::Capacity(_) => DisconnectReason::TooLarge,
        _ => DisconnectReason::Protocol,
    }
}
