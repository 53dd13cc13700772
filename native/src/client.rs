//! A JSON-RPC client of a node: one WebSocket, many calls at once.
//!
//! For the command line, the devnet and tests. It believes the node; what must be proved is proved by the caller.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::mutex::lock;
use crate::target::Target;
use crate::tls::{Carrier, Trust};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest call: waiting for finality takes as long as it takes, but not for ever.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
const ANSWER_SIZE_MAX: usize = 64 << 20;
const CALLS_MAX: usize = 256;
const NOTIFICATIONS_MAX: usize = 16_384;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// Not the address of an RPC server.
    #[error("{url} is not an address of a node: use http://host:port")]
    Url {
        /// What was given.
        url: String,
    },
    /// Nobody answers there.
    #[error("no node answers at {url} ({reason}): start one, or name another with --node")]
    Unreachable {
        /// Where.
        url: String,
        /// The system's reason.
        reason: String,
    },
    /// The connection ended before the answer.
    #[error("the node closed the connection: see whether it still runs")]
    Closed,
    /// No answer came in time.
    #[error("the node does not answer in time: try again, or use another one")]
    Timeout,
    /// The node refuses the call.
    #[error("{message} (RPC error {code}{}){}", word(data.as_ref(), "code", ", "), word(data.as_ref(), "advice", ": "))]
    Refused {
        /// The stable code.
        code: i64,
        /// The node's words.
        message: String,
        /// What else it says.
        data: Option<Value>,
    },
    /// The answer does not have the form it should have.
    #[error("the node's answer to {method} has an unknown form: are client and node of the same version?")]
    Form {
        /// What was asked.
        method: &'static str,
    },
}

/// A word of a refusal, after what leads to it; nothing where there is none.
fn word(data: Option<&Value>, name: &str, lead: &str) -> String {
    let word = data.and_then(|data| data[name].as_str());
    word.map(|word| format!("{lead}{word}")).unwrap_or_default()
}

type Pending = Arc<Mutex<BTreeMap<u64, oneshot::Sender<Result<Value, ClientError>>>>>;

/// A connection to a node's RPC.
#[derive(Debug)]
pub struct Client {
    requests: mpsc::Sender<String>,
    pending: Pending,
    notifications: broadcast::Sender<Value>,
    next: AtomicU64,
    task: AbortHandle,
}

impl Client {
    /// Connects to `http://host:port` (or `ws://`), with a token where calls need one.
    ///
    /// # Errors
    /// If nobody answers there.
    pub async fn connect(url: &str, token: Option<&str>) -> Result<Self, ClientError> {
        Self::connect_trusting(url, token, &Trust::default()).await
    }

    /// The same, also to `https://host:port` (or `wss://`), where these certificates are believed.
    ///
    /// # Errors
    /// If nobody answers there, or another.
    pub async fn connect_trusting(
        url: &str,
        token: Option<&str>,
        trust: &Trust,
    ) -> Result<Self, ClientError> {
        let target = target(url, token)?;
        let unreachable = |reason: String| ClientError::Unreachable { url: url.to_owned(), reason };
        let connecting = async {
            let stream = target.connect(trust).await;
            let stream = stream.map_err(|why| unreachable(why.to_string()))?;
            let config = WebSocketConfig::default()
                .max_message_size(Some(ANSWER_SIZE_MAX))
                .max_frame_size(Some(ANSWER_SIZE_MAX));
            let opened = client_async_with_config(target.request, stream, Some(config)).await;
            let (socket, _) = opened.map_err(|error| match error {
                Error::Http(response) => unreachable(format!("HTTP status {}", response.status().as_u16())),
                error => unreachable(error.to_string()),
            })?;
            Ok(socket)
        };
        let socket = timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| ClientError::Timeout)??;
        let (requests, waiting) = mpsc::channel(CALLS_MAX);
        let pending = Pending::default();
        let (notifications, _) = broadcast::channel(NOTIFICATIONS_MAX);
        let task = tokio::spawn(serve(socket, waiting, pending.clone(), notifications.clone()));
        Ok(Self { requests, pending, notifications, next: AtomicU64::new(1), task: task.abort_handle() })
    }

    /// Calls a method.
    ///
    /// # Errors
    /// If the node refuses, or does not answer.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, ClientError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        lock(&self.pending).insert(id, reply);
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let result = timeout(CALL_TIMEOUT, async {
            self.requests.send(request.to_string()).await.map_err(|_| ClientError::Closed)?;
            answer.await.map_err(|_| ClientError::Closed)?
        });
        let result = result.await.unwrap_or(Err(ClientError::Timeout));
        lock(&self.pending).remove(&id);
        result
    }

    /// Returns when the connection has ended.
    pub async fn closed(&self) {
        self.requests.closed().await;
    }

    /// What the node sends unasked: the `params` of subscriptions' notifications.
    #[must_use]
    pub fn notifications(&self) -> broadcast::Receiver<Value> {
        self.notifications.subscribe()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Moves requests out and answers in, until either side is gone.
async fn serve(
    socket: WebSocketStream<Box<dyn Carrier>>,
    mut requests: mpsc::Receiver<String>,
    pending: Pending,
    notifications: broadcast::Sender<Value>,
) {
    let (mut sink, mut stream) = socket.split();
    loop {
        tokio::select! {
            request = requests.recv() => {
                let Some(request) = request else { break };
                if sink.send(Message::Text(request.into())).await.is_err() {
                    break;
                }
            }
            message = stream.next() => match message {
                Some(Ok(Message::Text(text))) => take(&text, &pending, &notifications),
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
            },
        }
    }
    // Whoever waits sees the connection closed.
    requests.close();
    lock(&pending).clear();
}

fn take(text: &str, pending: &Pending, notifications: &broadcast::Sender<Value>) {
    let Ok(Value::Object(mut message)) = serde_json::from_str(text) else { return };
    let Some(id) = message.get("id").and_then(Value::as_u64) else {
        if let Some(params) = message.remove("params") {
            // Nobody may be listening.
            let _ = notifications.send(params);
        }
        return;
    };
    let answer = match message.remove("error") {
        Some(error) => Err(ClientError::Refused {
            code: error["code"].as_i64().unwrap_or_default(),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
            data: error.get("data").cloned(),
        }),
        None => Ok(message.remove("result").unwrap_or_default()),
    };
    if let Some(reply) = lock(pending).remove(&id) {
        let _ = reply.send(answer);
    }
}

fn target(url: &str, token: Option<&str>) -> Result<Target, ClientError> {
    let wrong = || ClientError::Url { url: url.to_owned() };
    let secure = url.starts_with("https://") || url.starts_with("wss://");
    let rest = ["http://", "ws://", "https://", "wss://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let rest = rest.unwrap_or(url);
    let authority = rest.split('/').next().unwrap_or_default();
    let scheme = if secure { "wss" } else { "ws" };
    let mut target = Target::parse(&format!("{scheme}://{authority}/rpc")).ok_or_else(wrong)?;
    // The default port of the scheme is nobody's RPC.
    target.request.uri().port().ok_or_else(wrong)?;
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().map_err(|_| wrong())?;
        target.request.headers_mut().insert("authorization", value);
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let cases = [
            ("http://127.0.0.1:24201", Some(("127.0.0.1", 24201))),
            ("127.0.0.1:24201", Some(("127.0.0.1", 24201))),
            ("ws://node.example:1/rpc", Some(("node.example", 1))),
            ("http://[::1]:5", Some(("::1", 5))),
            ("http://node.example", None),
            ("https://node.example:1", Some(("node.example", 1))),
            ("wss://node.example", None),
            ("ftp://node.example:1", None),
            ("", None),
        ];
        for (url, expected) in cases {
            let parsed = target(url, Some("secret")).ok().map(|target| (target.host, target.port));
            assert_eq!(parsed, expected.map(|(host, port)| (host.to_owned(), port)), "{url}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_said_so() {
        let error = Client::connect("http://127.0.0.1:1", None).await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    }

    #[test]
    fn answers_find_their_callers() {
        let (pending, (notifications, mut heard)) = (Pending::default(), broadcast::channel(4));
        let (reply, mut answer) = oneshot::channel();
        lock(&pending).insert(7, reply);
        for text in ["not json", "[]", r#"{"id":8,"result":1}"#, r#"{"id":"7","result":1}"#] {
            take(text, &pending, &notifications);
        }
        assert!(answer.try_recv().is_err(), "not answered yet");
        take(r#"{"id":7,"error":{"code":-5,"message":"no"}}"#, &pending, &notifications);
        let refused = ClientError::Refused { code: -5, message: "no".into(), data: None };
        assert_eq!(answer.try_recv().unwrap(), Err(refused));
        take(r#"{"method":"subscription","params":{"height":3}}"#, &pending, &notifications);
        // The odd messages above had no parameters, so this is the first.
        assert_eq!(heard.try_recv().unwrap(), json!({ "height": 3 }));
    }
}
