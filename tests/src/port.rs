//! Where a peer of the tests takes sessions: the port and the routes of a full node, without one behind it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt;
use timecoin_core::peer::handshake::Role;
use timecoin_core::spec::ChainSpec;
use timecoin_native::health::Status as Health;
use timecoin_native::http::{BindError, HttpLimits, P2pState, SpecFile, bind, router, serve};
use timecoin_native::identity::{IdentityError, new_key};
use timecoin_native::net::{Limits, NetConfig, NetEvent, Network};
use timecoin_native::tls::Trust;
use tokio::sync::mpsc;

/// All clients may be on one machine.
const CLIENTS_MAX: usize = 256;

/// Why no sessions are taken.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The port cannot be used.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// No key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The system does not say where it listens.
    #[error("where does it listen? {0}")]
    Address(io::Error),
}

/// Takes sessions of a chain within a tokio runtime, under a new key: the network, what happens there, and its URL.
pub(crate) async fn open(
    spec: &ChainSpec,
    listen: SocketAddr,
) -> Result<(Network, mpsc::Receiver<NetEvent>, String), PortError> {
    let (network, events) = Network::new(NetConfig {
        identity: new_key()?,
        chain: spec.consensus.id(),
        role: Role::Full,
        listen: None,
        trust: Trust::default(),
        limits: Limits { inbound_per_ip_max: CLIENTS_MAX, ..Limits::default() },
    });
    let listener = bind(listen).await?;
    let address = listener.local_addr().map_err(PortError::Address)?;
    let health = Arc::new(|| async { (Health::Ready, serde_json::Value::Null) }.boxed());
    let routes = router(P2pState { network: network.clone(), health, spec: SpecFile::new(spec) });
    tokio::spawn(serve(listener, routes, HttpLimits::default(), None, std::future::pending()));
    Ok((network, events, format!("ws://{address}/p2p")))
}
