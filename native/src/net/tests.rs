//! Real sockets on the loopback interface.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{FutureExt, SinkExt, StreamExt};
use timecoin_core::hash::{ChainId, Tag};
use timecoin_core::peer::handshake::{HANDSHAKE_SIZE_MAX, Refusal};
use timecoin_core::spec::ChainSpec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;
use crate::health::Status;
use crate::http::{HttpLimits, P2pState, SpecFile, bind, router, serve};

const WAIT: Duration = Duration::from_secs(20);

struct Node {
    network: Network,
    events: mpsc::Receiver<NetEvent>,
    address: SocketAddr,
}

fn config(seed: u8, chain: &str, limits: Limits) -> NetConfig {
    NetConfig {
        identity: SecretKey::from_seed(&[seed; 32]),
        chain: ChainId(Tag::new("test").hash(&[chain.as_bytes()])),
        role: Role::Full,
        listen: None,
        trust: Trust::default(),
        limits,
    }
}

impl Node {
    async fn start_with(config: NetConfig, http: HttpLimits) -> Self {
        let (network, events) = Network::new(config);
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Arc::new(|| async { (Status::Ready, serde_json::Value::Null) }.boxed());
        let spec = ChainSpec::built_in("dev").unwrap();
        let routes = router(P2pState { network: network.clone(), health, spec: SpecFile::new(&spec) });
        tokio::spawn(serve(listener, routes, http, None, std::future::pending()));
        Self { network, events, address }
    }

    async fn start(seed: u8) -> Self {
        Self::start_with(config(seed, "one", Limits::default()), HttpLimits::default()).await
    }

    fn url(&self) -> String {
        format!("ws://{}/p2p", self.address)
    }

    async fn event(&mut self) -> NetEvent {
        timeout(WAIT, self.events.recv()).await.expect("an event in time").expect("the network lives")
    }

    async fn connected(&mut self) -> (PeerId, bool, Outbox) {
        match self.event().await {
            NetEvent::Connected { peer, outbound, outbox, .. } => (peer, outbound, outbox),
            other => panic!("{other:?}"),
        }
    }

    async fn frame(&mut self) -> Vec<u8> {
        match self.event().await {
            NetEvent::Frame { bytes, .. } => bytes,
            other => panic!("{other:?}"),
        }
    }

    async fn disconnected(&mut self) -> DisconnectReason {
        match self.event().await {
            NetEvent::Disconnected { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn websocket(&self) -> WebSocketStream<TcpStream> {
        client_async(self.url().into_client_request().unwrap(), self.raw().await).await.unwrap().0
    }
}

/// Two connected nodes: the one that dialled first.
async fn pair(limits: Limits) -> (Node, Node) {
    let mut alice = Node::start_with(config(1, "one", limits.clone()), HttpLimits::default()).await;
    let mut bob = Node::start_with(config(2, "one", limits), HttpLimits::default()).await;
    assert_eq!(alice.network.dial(&bob.url()).await, Ok(bob.network.id()));
    let (at_alice, at_bob) = (alice.connected().await, bob.connected().await);
    assert_eq!((at_alice.0, at_alice.1), (bob.network.id(), true));
    assert_eq!((at_bob.0, at_bob.1), (alice.network.id(), false));
    (alice, bob)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_frames_and_a_large_one_arrive_in_order() {
    let (mut alice, mut bob) = pair(Limits::default()).await;
    let frame = |at: u32| [&at.to_le_bytes()[..], &[7; 200]].concat();
    let large: Vec<u8> = (0..3 << 20).map(|at: u32| (at % 251) as u8).collect();
    for at in 0..1_000 {
        alice.network.send(&bob.network.id(), frame(at)).unwrap();
    }
    alice.network.send(&bob.network.id(), large.clone()).unwrap();
    bob.network.send(&alice.network.id(), large.clone()).unwrap();
    for at in 0..1_000 {
        assert_eq!(bob.frame().await, frame(at));
    }
    assert!(bob.frame().await == large);
    assert!(alice.frame().await == large);
    assert_eq!(alice.network.send(&bob.network.id(), vec![0; FRAME_SIZE_MAX + 1]), Err(SendError::TooLarge));
    assert_eq!(alice.network.send(&alice.network.id(), vec![0]), Err(SendError::Closed));

    bob.network.close(&alice.network.id(), DisconnectReason::Misbehaved);
    assert_eq!(bob.disconnected().await, DisconnectReason::Misbehaved);
    assert_eq!(alice.disconnected().await, DisconnectReason::PeerClosed);
    assert_eq!((alice.network.peers(), bob.network.peers()), (vec![], vec![]));
}

#[tokio::test]
async fn unwelcome_peers_are_refused_with_a_reason() {
    let limits = Limits { inbound_peers_max: 1, ..Limits::default() };
    let mut bob = Node::start_with(config(2, "one", limits), HttpLimits::default()).await;
    let refused = |refusal| Err(ConnectError::Handshake(HandshakeError::Refused(refusal)));
    let dialler = |seed, chain| Network::new(config(seed, chain, Limits::default()));

    let (other_chain, _events) = dialler(1, "two");
    let expected = bob.network.0.config.chain;
    assert_eq!(other_chain.dial(&bob.url()).await, refused(Refusal::WrongChain { expected }));
    assert_eq!(bob.network.dial(&bob.url()).await, refused(Refusal::SelfConnect));

    let (first, _events) = dialler(3, "one");
    assert_eq!(first.dial(&bob.url()).await, Ok(bob.network.id()));
    assert_eq!(bob.connected().await.0, first.id());
    let (second, _events) = dialler(4, "one");
    assert_eq!(second.dial(&bob.url()).await, refused(Refusal::TooManyPeers));
    assert_eq!(bob.network.peers(), [first.id()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_dials_leave_one_session_the_same_on_both_sides() {
    for round in 0..20 {
        let (mut alice, mut bob) = (Node::start(1).await, Node::start(2).await);
        let (alice_url, bob_url) = (alice.url(), bob.url());
        let (at_alice, at_bob) = tokio::join!(alice.network.dial(&bob_url), bob.network.dial(&alice_url));
        assert!(at_alice.is_ok() || at_bob.is_ok(), "round {round}: {at_alice:?} {at_bob:?}");
        // Let replaced sessions end, then look at where both stand.
        let mut open = [None, None];
        for (node, open) in [&mut alice, &mut bob].into_iter().zip(&mut open) {
            while let Ok(event) = timeout(Duration::from_millis(100), node.events.recv()).await {
                match event.unwrap() {
                    NetEvent::Connected { info, .. } => {
                        assert_eq!(open.replace(info.origin), None, "round {round}: two at once");
                    }
                    NetEvent::Disconnected { .. } => *open = None,
                    NetEvent::Frame { .. } => panic!("nobody sent a frame"),
                }
            }
        }
        let [Some(at_alice), Some(at_bob)] = open else { panic!("round {round}: {open:?}") };
        assert_eq!(at_alice, at_bob, "round {round}");
        alice.network.send(&bob.network.id(), *b"still there").unwrap();
        assert_eq!(bob.frame().await, b"still there", "round {round}");
    }
}

#[tokio::test]
async fn a_peer_that_comes_back_takes_its_place_again() {
    let (first, _events) = Network::new(config(1, "one", Limits::default()));
    let mut bob = Node::start(2).await;
    assert!(first.dial(&bob.url()).await.is_ok());
    assert_eq!(bob.connected().await.0, first.id());
    sleep(Duration::from_millis(5)).await;
    // The same key, as after a crash that nobody noticed.
    let (again, _events) = Network::new(config(1, "one", Limits::default()));
    assert!(again.dial(&bob.url()).await.is_ok());
    assert_eq!(bob.disconnected().await, DisconnectReason::Replaced);
    assert_eq!(bob.connected().await.0, first.id());
    assert_eq!(bob.network.peers(), [first.id()]);
}

/// Reads until the server closes.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = timeout(WAIT, stream.read_to_end(&mut rest)).await.expect("closed in time");
}

#[tokio::test]
async fn a_hundred_half_open_clients_are_closed() {
    let limits = Limits {
        inbound_per_ip_max: 200,
        handshake_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let http = HttpLimits { head_timeout: Duration::from_millis(300), ..HttpLimits::default() };
    let mut bob = Node::start_with(config(2, "one", limits), http).await;
    let mut half_open = Vec::new();
    for at in 0..100 {
        let mut stream = match at % 4 {
            0 => bob.raw().await,
            1 => {
                let mut stream = bob.raw().await;
                stream.write_all(b"GET /p2p HTTP/1.1\r\nHost: x\r\n").await.unwrap();
                stream
            }
            2 => bob.websocket().await.into_inner(),
            // An upgraded socket that claims a message it never sends.
            _ => {
                let mut stream = bob.websocket().await.into_inner();
                stream.write_all(&[0x82, 0x80 | 126, 0x03, 0xff, 0, 0, 0, 0]).await.unwrap();
                stream
            }
        };
        stream.flush().await.unwrap();
        half_open.push(stream);
    }
    for stream in &mut half_open {
        closed(stream).await;
    }
    // All slots are free again, and honest peers still get in.
    let (alice, _events) = Network::new(config(1, "one", Limits::default()));
    assert_eq!(alice.dial(&bob.url()).await, Ok(bob.network.id()));
    assert_eq!(bob.connected().await.0, alice.id());
}

#[tokio::test]
async fn one_address_gets_no_more_than_its_slots() {
    let limits = Limits { inbound_per_ip_max: 2, ..Limits::default() };
    let bob = Node::start_with(config(2, "one", limits), HttpLimits::default()).await;
    let _held = (bob.websocket().await, bob.websocket().await);
    let (alice, _events) = Network::new(config(1, "one", Limits::default()));
    assert_eq!(alice.dial(&bob.url()).await, Err(ConnectError::Upgrade(Some(429))));

    let http = HttpLimits { connections_per_ip_max: 2, ..HttpLimits::default() };
    let bob = Node::start_with(config(3, "one", Limits::default()), http).await;
    let _held = (bob.raw().await, bob.raw().await);
    closed(&mut bob.raw().await).await;
}

#[tokio::test]
async fn messages_larger_than_a_handshake_or_a_frame_are_refused() {
    let mut bob = Node::start(2).await;
    let mut socket = bob.websocket().await;
    let sent = socket.send(Message::Binary(vec![0; HANDSHAKE_SIZE_MAX + 1].into())).await;
    assert!(sent.is_ok());
    closed(socket.get_mut()).await;

    // A peer with a session, but its own idea of limits.
    let mut socket = session_of(&bob).await;
    bob.connected().await;
    let size = u64::try_from(timecoin_core::peer::session::MESSAGE_SIZE_MAX).unwrap() + 1;
    let head = [&[0x82, 0x80 | 127][..], &size.to_be_bytes(), &[0; 4]].concat();
    socket.get_mut().write_all(&head).await.unwrap();
    assert_eq!(bob.disconnected().await, DisconnectReason::TooLarge);
}

#[tokio::test]
async fn messages_left_unfinished_end_the_session() {
    let limits = Limits {
        message_timeout: Duration::from_millis(200),
        unfinished_total_max: 256 << 10,
        ..Limits::default()
    };
    // A message of 1 MiB that stops after some bytes: in one frame, or in fragments that never end.
    let whole = [&[0x82, 0x80 | 127][..], &(1u64 << 20).to_be_bytes(), &[0; 4]].concat();
    let fragment = |size: u16| [&[0x02, 0x80 | 126][..], &size.to_be_bytes(), &[0; 4]].concat();
    let cases =
        [("little", whole.clone(), 1_000), ("fragments", fragment(1_000), 1_000), ("much", whole, 500 << 10)];
    let mut bob = Node::start_with(config(2, "one", limits), HttpLimits::default()).await;
    for (name, head, size) in cases {
        let mut socket = session_of(&bob).await;
        bob.connected().await;
        socket.get_mut().write_all(&head).await.unwrap();
        // The node may close before it has read everything.
        let _ = socket.get_mut().write_all(&vec![0; size]).await;
        assert_eq!(bob.disconnected().await, DisconnectReason::Unfinished, "{name}");
    }
    assert_eq!(bob.network.0.unfinished.load(Ordering::Relaxed), 0, "all of it is given back");
    let (alice, _events) = Network::new(config(1, "one", Limits::default()));
    assert!(alice.dial(&bob.url()).await.is_ok());
    assert_eq!(bob.connected().await.0, alice.id());
    alice.send(&bob.network.id(), vec![7; 300]).unwrap();
    assert_eq!(bob.frame().await, [7; 300]);
}

#[tokio::test]
async fn other_versions_are_refused_with_ours() {
    use timecoin_core::peer::handshake::Initiator;
    let bob = Node::start(2).await;
    for version in [0, PROTOCOL_VERSION + 1, u16::MAX] {
        let mut socket = bob.websocket().await;
        let local = LocalNode { version, ..bob.network.0.local_node() };
        let key = SecretKey::from_seed(&[9; 32]);
        let (state, first) = Initiator::start(&key, local, crate::clock::now(), &[9; 32]);
        socket.send(Message::Binary(first.into())).await.unwrap();
        let reply = socket.next().await.unwrap().unwrap().into_data();
        let (state, hello) = state.on_reply(&reply).unwrap();
        socket.send(Message::Binary(hello.into())).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap().into_data();
        let refused = state.on_answer(&answer).err();
        let expected = Refusal::WrongVersion { expected: PROTOCOL_VERSION };
        assert_eq!(refused, Some(HandshakeError::Refused(expected)), "{version}");
    }
    assert_eq!(bob.network.peers(), []);
}

/// A session with `node` whose owner decides what goes over the wire.
async fn session_of(node: &Node) -> WebSocketStream<TcpStream> {
    use timecoin_core::peer::handshake::Initiator;
    let key = SecretKey::from_seed(&[9; 32]);
    let mut socket = node.websocket().await;
    let local = node.network.0.local_node();
    let (state, first) = Initiator::start(&key, local, crate::clock::now(), &[9; 32]);
    socket.send(Message::Binary(first.into())).await.unwrap();
    let reply = socket.next().await.unwrap().unwrap().into_data();
    let (state, hello) = state.on_reply(&reply).unwrap();
    socket.send(Message::Binary(hello.into())).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap().into_data();
    state.on_answer(&answer).unwrap();
    socket
}

#[tokio::test]
async fn messages_that_are_not_ours_end_the_session() {
    let cases = [
        ("text", Message::Text("hello".into()), DisconnectReason::Protocol),
        ("empty", Message::Binary(vec![].into()), SessionError::Length { size: 0 }.into()),
        ("forged", Message::Binary(vec![0; 100].into()), SessionError::Forged.into()),
        ("close", Message::Close(None), DisconnectReason::PeerClosed),
    ];
    let mut bob = Node::start(2).await;
    for (name, message, reason) in cases {
        let mut socket = session_of(&bob).await;
        bob.connected().await;
        socket.send(Message::Ping(vec![1].into())).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong(vec![1].into()), "{name}");
        socket.send(message).await.unwrap();
        assert_eq!(bob.disconnected().await, reason, "{name}");
    }
}

#[tokio::test]
async fn peers_that_do_not_read_are_closed() {
    let limits = Limits {
        write_timeout: Duration::from_millis(200),
        outbox_bytes_max: 4 * FRAME_SIZE_MAX,
        outbox_total_max: 4 * FRAME_SIZE_MAX,
        ..Limits::default()
    };
    let cases = [(3, DisconnectReason::SlowReader), (2_000, DisconnectReason::OutboxFull)];
    for (frames, expected) in cases {
        let mut bob = Node::start_with(config(2, "one", limits.clone()), HttpLimits::default()).await;
        let _unread = session_of(&bob).await;
        let (_, _, outbox) = bob.connected().await;
        // More than the sockets' buffers hold.
        for _ in 0..frames {
            let _ = outbox.send(vec![0; FRAME_SIZE_MAX]);
        }
        assert_eq!(bob.disconnected().await, expected);
        assert_eq!(outbox.send(vec![0]), Err(SendError::Closed));
    }
}

#[tokio::test]
async fn dial_errors_say_what_is_wrong() {
    let bob = Node::start(2).await;
    let limits = Limits { handshake_timeout: Duration::from_millis(300), ..Limits::default() };
    let (alice, _events) = Network::new(config(1, "one", limits));
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("ws://{}/p2p", silent.local_addr().unwrap());
    let free = bind("127.0.0.1:0".parse().unwrap()).await.unwrap().local_addr().unwrap();
    let cases = [
        (format!("ws://{}/health", bob.address), ConnectError::Upgrade(Some(200))),
        (format!("ws://{}/nothing", bob.address), ConnectError::Upgrade(Some(404))),
        (format!("ws://{free}/p2p"), ConnectError::Unreachable(io::ErrorKind::ConnectionRefused)),
        (silent_url, ConnectError::Timeout),
        (format!("https://{}/p2p", bob.address), ConnectError::Url),
    ];
    for (url, expected) in cases {
        assert_eq!(alice.dial(&url).await, Err(expected), "{url}");
    }
    let in_the_clear = alice.dial(&format!("wss://{}/p2p", bob.address)).await;
    assert!(matches!(in_the_clear, Err(ConnectError::Tls(_))), "{in_the_clear:?}");
}

#[tokio::test]
async fn shutdown_ends_all_sessions_and_lets_no_more_begin() {
    let (alice, mut bob) = pair(Limits::default()).await;
    timeout(WAIT, alice.network.shutdown()).await.expect("ends in time");
    assert_eq!(bob.disconnected().await, DisconnectReason::PeerClosed);
    let over = Err(ConnectError::Disconnected(DisconnectReason::Shutdown));
    assert_eq!(alice.network.dial(&bob.url()).await, over);
    assert_eq!(bob.network.dial(&alice.url()).await, Err(ConnectError::Upgrade(Some(503))));
}
