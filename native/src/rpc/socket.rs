//! The RPC over WebSocket: calls as over HTTP, many at once, and subscriptions.
//!
//! A client that reads too slowly is closed with a reason, and one that is gone without a word is noticed by
//! pings; nothing piles up for either.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::dispatch::answer;
use super::http::BODY_SIZE_MAX;
use super::topics::Topics;
use super::{Caller, Rpc};
use crate::mutex::lock;

/// Longest that a message may take to leave.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages of one client that are answered at once; the next waits unread.
const CALLS_MAX: usize = 64;
/// How often a client is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Pings without any sign of life after which a client counts as gone.
const PINGS_MAX: u32 = 3;

/// Serves a client until it leaves.
pub(super) async fn run(rpc: Rpc, has_token: bool, upgraded: OnUpgrade) {
    let Ok(upgraded) = upgraded.await else { return };
    let config = WebSocketConfig::default()
        .max_message_size(Some(BODY_SIZE_MAX))
        .max_frame_size(Some(BODY_SIZE_MAX))
        .max_write_buffer_size(8 << 20);
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let Some(reason) = converse(&rpc, has_token, &mut socket).await else { return };
    let frame = CloseFrame { code: CloseCode::Policy, reason: reason.into() };
    // Whether the client hears it does not matter any more.
    let _ = timeout(WRITE_TIMEOUT, socket.close(Some(frame))).await;
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Answers and tells until the client is gone, or must go: then why.
async fn converse(rpc: &Rpc, has_token: bool, socket: &mut Socket) -> Option<&'static str> {
    let handle = rpc.handle();
    let topics = Arc::new(Mutex::new(Topics::new(handle.chain.spec.consensus.network)));
    let caller = Caller { has_token, topics: Some(topics.clone()) };
    let mut notices = handle.notices();
    let mut calls = FuturesUnordered::new();
    let mut pings = interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        let out: Vec<Message> = tokio::select! {
            () = handle.stopping() => return Some("the node is stopping"),
            notice = notices.recv() => match notice {
                Ok(notice) => lock(&topics).news(&notice).iter().map(text).collect(),
                Err(RecvError::Lagged(_)) if lock(&topics).is_empty() => Vec::new(),
                Err(RecvError::Lagged(_)) => return Some("too slow: notifications were lost"),
                Err(RecvError::Closed) => return Some("the node is stopping"),
            },
            Some(answer) = calls.next() => Option::<Value>::iter(&answer).map(text).collect(),
            message = socket.next(), if calls.len() < CALLS_MAX => {
                unanswered = 0;
                let request: Bytes = match message {
                    Some(Ok(Message::Text(text))) => text.into(),
                    Some(Ok(Message::Binary(bytes))) => bytes,
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                };
                let caller = &caller;
                calls.push(async move { answer(rpc, caller, &request).await });
                continue;
            },
            _ = pings.tick() => {
                unanswered += 1;
                if unanswered > PINGS_MAX {
                    return Some("no sign of life");
                }
                vec![Message::Ping(Bytes::new())]
            },
        };
        for message in out {
            if !matches!(timeout(WRITE_TIMEOUT, socket.send(message)).await, Ok(Ok(()))) {
                return None;
            }
        }
    }
}

fn text(value: &Value) -> Message {
    Message::text(value.to_string())
}
