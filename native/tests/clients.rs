//! A real process and a hundred clients that do not mean well: what they cost it in memory.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test, and says where")]

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use timecoin_core::codec::encode;
use timecoin_core::hash::ChainId;
use timecoin_core::keys::SecretKey;
use timecoin_core::message::Message as PeerMessage;
use timecoin_core::peer::handshake::{Initiator, LocalNode, PROTOCOL_VERSION, Role};
use timecoin_core::peer::session::Session;
use timecoin_core::sync::wire::{Query, RequestId};
use timecoin_core::vote::Height;
use timecoin_native::clock;
use timecoin_native::devnet::{Folder, NodeProcess, NodeSetup, Purse, connect};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

const CLIENTS: u8 = 100;
const ADDED_MAX_KIB: u64 = 128 << 10;
const WAIT: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<TcpStream>;

/// A number of `/proc/PID/status`, in KiB.
fn memory(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn websocket(port: u16) -> Option<Socket> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!("ws://127.0.0.1:{port}/p2p").into_client_request().ok()?;
    client_async(request, stream).await.ok().map(|(socket, _)| socket)
}

/// A session, or none where the node has enough of them.
async fn session(port: u16, chain: ChainId, seed: u8) -> Option<(Socket, Session)> {
    let mut socket = websocket(port).await?;
    let local = LocalNode { version: PROTOCOL_VERSION, chain, role: Role::Full, listen: None, height: 0 };
    let key = SecretKey::from_seed(&[seed; 32]);
    let (state, first) = Initiator::start(&key, local, clock::now(), &[seed; 32]);
    socket.send(Message::Binary(first.into())).await.ok()?;
    let reply = socket.next().await?.ok()?.into_data();
    let (state, hello) = state.on_reply(&reply).ok()?;
    socket.send(Message::Binary(hello.into())).await.ok()?;
    let answer = socket.next().await?.ok()?.into_data();
    let (session, _) = state.on_answer(&answer).ok()?;
    Some((socket, session))
}

/// What one client does, by its number; what it holds open is returned.
async fn misbehave(port: u16, chain: ChainId, number: u8) -> Option<Socket> {
    if number.is_multiple_of(4) {
        // Half open: an upgrade, and nothing more.
        return websocket(port).await;
    }
    let (mut socket, session) = session(port, chain, number).await?;
    let (mut sealer, _) = session.split();
    let unfinished = |size: u64| [&[0x82, 0x80 | 127][..], &size.to_be_bytes(), &[0; 4]].concat();
    match number % 4 {
        1 => {
            // A message of 4 MiB, but for its last byte.
            let stream = socket.get_mut();
            stream.write_all(&unfinished(4 << 20)).await.ok()?;
            for _ in 0..64 {
                let size = if number % 8 == 1 { 1 << 16 } else { 1 << 10 };
                stream.write_all(&vec![0; size]).await.ok()?;
            }
        }
        2 => {
            // Asks for all that it may, and never reads.
            for at in 0..200 {
                let query = Query::Bodies { from: Height(1), count: 16, size_max: u32::MAX };
                let frame = sealer.seal(&encode(&PeerMessage::Query(RequestId(at), query))).ok()?;
                socket.send(Message::Binary(frame.into())).await.ok()?;
            }
        }
        _ => {
            // Large frames that are nothing, one after the other.
            for _ in 0..3 {
                let frame = [&3u32.to_le_bytes()[..], &vec![0xff; 2 << 20]].concat();
                let frame = sealer.seal(&frame[..2 << 20]).ok()?;
                socket.send(Message::Binary(frame.into())).await.ok()?;
            }
        }
    }
    Some(socket)
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_clients_add_less_than_128_mib() {
    let outside = tempfile::tempdir().unwrap();
    let folder = Folder::open(&outside.path().join("net"), 1).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_timecoin"));
    let mut node = NodeProcess::start(NodeSetup { program, ..folder.node(0, &[port]) }).unwrap();
    let api = connect(&mut node).await.unwrap();
    let purse = Purse::open(&api, &folder).await.unwrap();
    let pid = node.pid().unwrap();
    let pay = async || {
        let (signed, _) = purse.payment().unwrap();
        let txid = api.submit(&signed).await.unwrap();
        api.wait_final(&txid, 60_000).await.unwrap()
    };
    pay().await;
    let before = memory(pid, "VmRSS:");

    let chain = folder.chain().consensus.id();
    let clients = (1..=CLIENTS)
        .map(|number| async move { timeout(WAIT, misbehave(port, chain, number)).await.ok().flatten() });
    let held: Vec<_> = futures::future::join_all(clients).await.into_iter().flatten().collect();
    assert!(held.len() > usize::from(CLIENTS) / 4, "{} connected", held.len());
    let during = memory(pid, "VmRSS:");
    pay().await;
    sleep(Duration::from_secs(1)).await;
    let (after, most) = (memory(pid, "VmRSS:"), memory(pid, "VmHWM:"));
    println!(
        "{} clients held: resident {before} KiB before, {during} during, {after} after, {most} at most",
        held.len()
    );
    let added = most.saturating_sub(before);
    assert!(added < ADDED_MAX_KIB, "{added} KiB added at most");
    drop(held);
    pay().await;
}
