//! The one HTTP port: who may connect, how long they may take, and the routes that belong to the network.
//!
//! RPC and the web app are other routers, merged into [`router`]'s. Connections are bounded in all and per
//! address; a request's head must arrive in time. What a route does with a slow body is its own affair.

mod spec;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures::future::BoxFuture;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use crate::health::Status;
use crate::net::{Network, Slots, is_set, upgrade};
use crate::tls::{Carrier, ServerTls};

pub use spec::SpecFile;

/// How long requests that are being answered may take when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait when the system has no file descriptor for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const HEAD_SIZE_MAX: usize = 16 << 10;

/// What bounds the HTTP server.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Connections, not counting those that became WebSockets.
    pub connections_max: usize,
    /// The same, from one address (IPv6: one /64).
    pub connections_per_ip_max: usize,
    /// For a request's head to arrive, also between two requests on one connection.
    pub head_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { connections_max: 1024, connections_per_ip_max: 128, head_timeout: Duration::from_secs(10) }
    }
}

/// Why the node cannot listen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Another program has the port.
    #[error(
        "{address} is in use: stop the other program (is a node running already?) or listen on another port"
    )]
    InUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The system does not allow it.
    #[error("not allowed to listen on {address}: choose a port above 1023")]
    NotAllowed {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The machine has no such address, or something else is wrong with it.
    #[error("cannot listen on {address} ({kind}): choose an address of this machine, or 0.0.0.0 for all")]
    Unusable {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        kind: io::ErrorKind,
    },
}

/// Opens the port. Port 0 takes any free one.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        io::ErrorKind::PermissionDenied => BindError::NotAllowed { address },
        kind => BindError::Unusable { address, kind },
    })
}

/// Where a request comes from. [`serve`] adds it to every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteIp(pub IpAddr);

/// What the network's routes need.
#[derive(Clone)]
pub struct P2pState {
    /// The network that `/p2p` leads to.
    pub network: Network,
    /// What `/health` answers.
    pub health: Arc<dyn Fn() -> BoxFuture<'static, (Status, serde_json::Value)> + Send + Sync>,
    /// What `/spec.json` answers.
    pub spec: SpecFile,
}

/// `/p2p`, `/health` and `/spec.json`; to be merged with the others.
pub fn router(p2p: P2pState) -> Router {
    let spec = p2p.spec.clone();
    let spec = Router::new().route("/spec.json", get(spec::answer)).with_state(spec);
    Router::new().route("/p2p", get(open_session)).route("/health", get(health)).with_state(p2p).merge(spec)
}

/// What is sent is what it says it is: no browser guesses otherwise.
async fn no_sniffing(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn open_session(
    State(p2p): State<P2pState>,
    Extension(RemoteIp(ip)): Extension<RemoteIp>,
    request: Request,
) -> Response {
    upgrade(&p2p.network, ip, request)
}

async fn health(State(p2p): State<P2pState>) -> Response {
    let (status, report) = (p2p.health)().await;
    let headers = [("content-type", "application/json"), ("cache-control", "no-store")];
    let code = if status == Status::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, headers, report.to_string()).into_response()
}

/// Serves `router`, over TLS where there is a certificate, until `shutdown` resolves; then finishes what is being answered, within five seconds.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: HttpLimits,
    tls: Option<ServerTls>,
    shutdown: impl Future<Output = ()>,
) {
    let router = router.layer(map_response(no_sniffing));
    let slots = Slots::new(limits.connections_max, limits.connections_per_ip_max);
    let stopping = watch::Sender::new(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, remote)) => match slots.take(remote.ip()) {
                    Ok(slot) => {
                        let acceptor = tls.as_ref().map(ServerTls::acceptor);
                        let (router, stopping) = (router.clone(), stopping.subscribe());
                        let serving = connection(stream, acceptor, remote.ip(), router, limits.head_timeout, stopping);
                        connections.spawn(async move {
                            serving.await;
                            drop(slot);
                        });
                    }
                    Err(reason) => debug!(%remote, ?reason, "connection closed at once"),
                },
                Err(error) => {
                    debug!(%error, "accept failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        debug!("connections cut off");
    }
}

/// One HTTP connection, to its end or until it becomes a WebSocket.
async fn connection(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    ip: IpAddr,
    router: Router,
    head_timeout: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    // Without it a small answer may wait for the peer's acknowledgement; that it cannot be set breaks nothing.
    let _ = stream.set_nodelay(true);
    let stream: Box<dyn Carrier> = match acceptor {
        None => Box::new(stream),
        Some(acceptor) => match timeout(head_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Box::new(stream),
            Ok(Err(error)) => return debug!(%ip, %error, "no TLS session"),
            Err(_) => return debug!(%ip, "no TLS session in time"),
        },
    };
    let service = TowerToHyperService::new(router.layer(Extension(RemoteIp(ip))));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD_SIZE_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = is_set(&mut stopping) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        debug!(%ip, %error, "connection failed");
    }
}

#[cfg(test)]
mod tests;
