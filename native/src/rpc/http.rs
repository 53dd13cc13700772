//! The RPC over HTTP: POST for calls, an upgrade for WebSocket, and the guards in front of both.
//!
//! | guard | against |
//! |---|---|
//! | `Host` is an address or a known name | a page that has its own name resolve to this machine |
//! | `Origin` is absent or known | other pages' WebSockets and requests |
//! | `Content-Type: application/json` | requests that a page may send anywhere without asking |
//! | the token, for callers on other machines | everyone, where the port is open to everyone |

use std::net::IpAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::dispatch::answer;
use super::error::{Kind, RpcError};
use super::{Caller, Rpc, RpcConfig, socket};
use crate::handle::NodeHandle;
use crate::http::RemoteIp;
use crate::metrics::Metrics;

/// Most bytes of a request.
pub(super) const BODY_SIZE_MAX: usize = 1 << 20;
/// For a request's body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a page may remember that it may call, in seconds.
const PREFLIGHT_AGE: &str = "600";

/// `/rpc` and `/metrics`; to be merged with the others.
pub fn router(handle: NodeHandle, config: RpcConfig, metrics: Metrics) -> Router {
    let measured = Router::new()
        .route("/metrics", get(measure))
        .with_state((Rpc::new(handle.clone(), config.clone()), metrics));
    Router::new().route("/rpc", any(serve)).with_state(Rpc::new(handle, config)).merge(measured)
}

async fn serve(
    State(rpc): State<Rpc>,
    Extension(RemoteIp(ip)): Extension<RemoteIp>,
    request: Request,
) -> Response {
    // What a browser asks first carries no token.
    if request.method() == Method::OPTIONS {
        return match guard_page(&rpc, request.headers()) {
            Ok(()) => allow_origin(&rpc, request.headers(), StatusCode::NO_CONTENT.into_response()),
            Err(refusal) => refusal.into_response(),
        };
    }
    let has_token = match guard(&rpc, ip, request.headers()) {
        Ok(has_token) => has_token,
        Err(refusal) => return refusal.into_response(),
    };
    if request.headers().contains_key(header::UPGRADE) {
        return upgrade(rpc, has_token, ip, request);
    }
    match *request.method() {
        Method::POST => post(&rpc, has_token, request).await,
        _ => (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST, OPTIONS")]).into_response(),
    }
}

async fn measure(
    State((rpc, metrics)): State<(Rpc, Metrics)>,
    Extension(RemoteIp(ip)): Extension<RemoteIp>,
    request: Request,
) -> Response {
    if let Err(refusal) = guard(&rpc, ip, request.headers()) {
        return refusal.into_response();
    }
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4"), (header::CACHE_CONTROL, "no-store")];
    match metrics.text(rpc.handle()).await {
        Ok(text) => (headers, text).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

/// Why a request is not even read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Host,
    Origin,
    Token,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let forbidden = |reason: &'static str| (StatusCode::FORBIDDEN, reason).into_response();
        match self {
            Self::Host => {
                forbidden("this host name is not allowed: add it to the configuration key rpc_hosts")
            }
            Self::Origin => {
                forbidden("this origin is not allowed: add it to the configuration key rpc_origins")
            }
            Self::Token => {
                let error = RpcError::of(Kind::Unauthorized).to_json();
                let error = json!({ "jsonrpc": "2.0", "error": error, "id": null });
                let headers =
                    [(header::WWW_AUTHENTICATE, "Bearer"), (header::CONTENT_TYPE, "application/json")];
                (StatusCode::UNAUTHORIZED, headers, error.to_string()).into_response()
            }
        }
    }
}

/// Whether the caller showed the token; a refusal where it may not call at all.
fn guard(rpc: &Rpc, ip: IpAddr, headers: &HeaderMap) -> Result<bool, Refusal> {
    guard_page(rpc, headers)?;
    let config = &rpc.0.config;
    let has_token = has_token(headers, config.token.as_deref());
    let may_call = has_token || config.public || ip.to_canonical().is_loopback();
    if may_call { Ok(has_token) } else { Err(Refusal::Token) }
}

/// Refuses what only a page of another site would send.
fn guard_page(rpc: &Rpc, headers: &HeaderMap) -> Result<(), Refusal> {
    if !is_known_host(headers, &rpc.0.config.hosts) {
        return Err(Refusal::Host);
    }
    if !is_known_origin(headers, &rpc.0.config.origins) {
        return Err(Refusal::Origin);
    }
    Ok(())
}

async fn post(rpc: &Rpc, has_token: bool, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let kind =
        parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json").into_response();
    }
    let body = match timeout(BODY_TIMEOUT, to_bytes(body, BODY_SIZE_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            return (StatusCode::PAYLOAD_TOO_LARGE, "a request has at most 1 MiB").into_response();
        }
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response(),
    };
    let response = match answer(rpc, &Caller { has_token, topics: None }, &body).await {
        Some(answer) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (headers, answer.to_string()).into_response()
        }
        None => StatusCode::NO_CONTENT.into_response(),
    };
    allow_origin(rpc, &parts.headers, response)
}

fn upgrade(rpc: Rpc, has_token: bool, ip: IpAddr, mut request: Request) -> Response {
    let response = match create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(error) => {
            let headers = [("upgrade", "websocket"), ("connection", "upgrade")];
            return (StatusCode::UPGRADE_REQUIRED, headers, error.to_string()).into_response();
        }
    };
    let Ok(slot) = rpc.0.sockets.take(ip) else {
        return (StatusCode::TOO_MANY_REQUESTS, "too many WebSockets: close some").into_response();
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        socket::run(rpc, has_token, upgraded).await;
        drop(slot);
    });
    response
}

/// A page that has its own name resolve to this machine still sends that name; an address names nobody else.
fn is_known_host(headers: &HeaderMap, known: &[String]) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else {
        return false;
    };
    let name = host_name(host);
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || known.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The name or address in `Host`, without the port.
fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

/// Browsers send the origin of the page; other programs send none.
fn is_known_origin(headers: &HeaderMap, known: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    origin.to_str().is_ok_and(|origin| {
        let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(host);
        own || known.iter().any(|known| known == origin)
    })
}

fn allow_origin(rpc: &Rpc, headers: &HeaderMap, mut response: Response) -> Response {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let known = origin.filter(|origin| rpc.0.config.origins.iter().any(|known| known == origin));
    if let Some(value) = known.and_then(|origin| HeaderValue::from_str(origin).ok()) {
        let allowed = response.headers_mut();
        allowed.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
        allowed.insert(header::VARY, HeaderValue::from_static("origin"));
        let names = HeaderValue::from_static("authorization, content-type");
        allowed.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        allowed.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_AGE));
    }
    response
}

/// Hashes are compared, in constant time: how long it takes says nothing about the token.
fn has_token(headers: &HeaderMap, token: Option<&str>) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.split_once(' '));
    let (Some((scheme, shown)), Some(token)) = (shown, token) else { return false };
    let same = blake3::hash(shown.trim().as_bytes()) == blake3::hash(token.as_bytes());
    same && !token.is_empty() && scheme.eq_ignore_ascii_case("bearer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        let cases = [
            ("127.0.0.1:24001", "127.0.0.1", true),
            ("localhost", "localhost", true),
            ("LOCALHOST:1", "LOCALHOST", true),
            ("[::1]:24001", "::1", true),
            ("[::1", "", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("node.example:1", "node.example", true),
            ("evil.example:1", "evil.example", false),
            ("localhost.evil.example", "localhost.evil.example", false),
            ("127.0.0.1.evil.example:80", "127.0.0.1.evil.example", false),
            ("", "", false),
        ];
        for (host, expected, known) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            assert_eq!(host_name(host), expected, "{host}");
            assert_eq!(is_known_host(&headers, &["node.example".into()]), known, "{host}");
        }
        assert!(!is_known_host(&HeaderMap::new(), &[]), "no host");
        let mut two = HeaderMap::new();
        two.append(header::HOST, HeaderValue::from_static("127.0.0.1"));
        two.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(!is_known_host(&two, &[]), "two hosts");
    }

    #[test]
    fn only_the_whole_token_is_the_token() {
        let cases = [
            ("right", "Bearer secret", Some("secret"), true),
            ("scheme in small letters", "bearer secret", Some("secret"), true),
            ("a prefix", "Bearer secre", Some("secret"), false),
            ("longer", "Bearer secrets", Some("secret"), false),
            ("another scheme", "Basic secret", Some("secret"), false),
            ("no scheme", "secret", Some("secret"), false),
            ("nothing shown", "Bearer ", Some("secret"), false),
            ("empty token", "Bearer ", Some(""), false),
            ("no token", "Bearer secret", None, false),
        ];
        for (name, shown, token, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, shown.parse().unwrap());
            assert_eq!(has_token(&headers, token), expected, "{name}");
        }
    }
}
