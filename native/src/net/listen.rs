//! Sessions that others open: `GET /p2p` becomes a WebSocket, then a session.
//!
//! The upgrade is done by hand, because axum's own brings a second WebSocket implementation. A page of any
//! origin may connect: nothing here is granted for an address, a cookie or an origin, only for a proved key.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tracing::debug;

use super::peer::{respond, run};
use super::slots::Slot;
use super::{ConnectError, DisconnectReason, Network, NoSlot, Shared};

/// Answers a request to open a WebSocket, from `ip`.
pub(crate) fn upgrade(network: &Network, ip: IpAddr, mut request: Request) -> Response {
    let response = match create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(error) => {
            let headers = [("upgrade", "websocket"), ("connection", "upgrade")];
            return (StatusCode::UPGRADE_REQUIRED, headers, error.to_string()).into_response();
        }
    };
    if *network.0.stopping.borrow() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match network.0.inbound.take(ip) {
        Ok(slot) => {
            let upgraded = hyper::upgrade::on(&mut request);
            tokio::spawn(accept(Arc::clone(&network.0), upgraded, slot));
            response
        }
        Err(NoSlot::Total) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(NoSlot::PerIp) => StatusCode::TOO_MANY_REQUESTS.into_response(),
    }
}

/// One inbound connection, from the upgrade to its end; it keeps its slot as long.
async fn accept(shared: Arc<Shared>, upgraded: OnUpgrade, _slot: Slot) {
    let connecting = async {
        let failed = ConnectError::Disconnected(DisconnectReason::PeerClosed);
        let stream = upgraded.await.map_err(|_| failed)?;
        respond(&shared, TokioIo::new(stream)).await
    };
    match shared.in_time(connecting).await {
        Ok(established) => run(shared, established).await,
        Err(error) => debug!(%error, "no session"),
    }
}
