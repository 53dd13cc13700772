//! Sessions that we open.

use std::sync::Arc;

use timecoin_core::peer::handshake::PeerId;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error;

use super::peer::{dialled_config, initiate, run};
use super::{ConnectError, Shared};
use crate::target::{Target, Unconnected};

pub(super) async fn dial(shared: &Arc<Shared>, url: &str) -> Result<PeerId, ConnectError> {
    let target = Target::parse(url).ok_or(ConnectError::Url)?;
    let connecting = async {
        let stream = target.connect(&shared.config.trust).await.map_err(|why| match why {
            Unconnected::Unreachable(kind) => ConnectError::Unreachable(kind),
            Unconnected::Tls(failure) => ConnectError::Tls(failure),
        })?;
        let upgraded = client_async_with_config(target.request, stream, Some(dialled_config())).await;
        let (socket, _) = upgraded.map_err(|error| match error {
            Error::Http(response) => ConnectError::Upgrade(Some(response.status().as_u16())),
            Error::Io(error) => ConnectError::Unreachable(error.kind()),
            _ => ConnectError::Upgrade(None),
        })?;
        initiate(shared, socket).await
    };
    let established = shared.in_time(connecting).await?;
    let peer = established.peer();
    tokio::spawn(run(Arc::clone(shared), established));
    Ok(peer)
}
