//! The RPC over HTTP: POST for calls, an upgrade for WebSocket, and the guards in front of both.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Router, http::Method};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::dispatch::answer;
use super::{Caller, Rpc, RpcConfig, Shared, socket};
use crate::handle::NodeHandle;

/// Most bytes of a request.
pub(super) const BODY_SIZE_MAX: usize = 1 << 20;

/// `/rpc`; to be merged with the others.
pub fn router(handle: NodeHandle, config: RpcConfig) -> Router {
    let rpc = Rpc(Arc::new(Shared { handle, config }));
    Router::new().route("/rpc", any(serve)).with_state(rpc)
}

async fn serve(State(rpc): State<Rpc>, request: Request) -> Response {
    let headers = request.headers();
    if !is_known_host(headers, &rpc.0.config.hosts) {
        return (StatusCode::FORBIDDEN, "this host name is not allowed: see the configuration key rpc_hosts")
            .into_response();
    }
    if !is_known_origin(headers, &rpc.0.config.origins) {
        return (StatusCode::FORBIDDEN, "this origin is not allowed: see the configuration key rpc_origins")
            .into_response();
    }
    let caller = Caller { has_token: has_token(headers, rpc.0.config.token.as_deref()), over_socket: false };
    if headers.contains_key(header::UPGRADE) {
        return upgrade(rpc, caller, request);
    }
    match *request.method() {
        Method::POST => post(&rpc, &caller, request).await,
        Method::OPTIONS => allow_origin(&rpc, request.headers(), StatusCode::NO_CONTENT.into_response()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")]).into_response(),
    }
}

async fn post(rpc: &Rpc, caller: &Caller, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let kind =
        parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json").into_response();
    }
    let Ok(body) = to_bytes(body, BODY_SIZE_MAX).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "a request has at most 1 MiB").into_response();
    };
    let response = match answer(rpc, caller, &body).await {
        Some(answer) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (headers, answer.to_string()).into_response()
        }
        None => StatusCode::NO_CONTENT.into_response(),
    };
    allow_origin(rpc, &parts.headers, response)
}

fn upgrade(rpc: Rpc, caller: Caller, mut request: Request) -> Response {
    let response = match create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(error) => return (StatusCode::UPGRADE_REQUIRED, error.to_string()).into_response(),
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(socket::run(rpc, Caller { over_socket: true, ..caller }, upgraded));
    response
}

/// A page that resolves its own name to loopback still sends that name.
fn is_known_host(headers: &HeaderMap, known: &[String]) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    ["127.0.0.1", "localhost", "::1"].contains(&name) || known.iter().any(|known| known == name)
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
    }
    response
}

/// Compares in constant time: how long it takes says nothing about where it differs.
fn has_token(headers: &HeaderMap, token: Option<&str>) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer "));
    let (Some(shown), Some(token)) = (shown, token) else { return false };
    let differs = shown.bytes().zip(token.bytes()).fold(0, |differs, (one, two)| differs | (one ^ two));
    shown.len() == token.len() && !token.is_empty() && differs == 0
}
