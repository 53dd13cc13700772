//! Sessions that we open.

use std::sync::Arc;

use timecoin_core::peer::handshake::PeerId;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;

use super::peer::{dialled_config, initiate, run};
use super::{ConnectError, Shared};
use crate::tls::Carrier;

pub(super) async fn dial(shared: &Arc<Shared>, url: &str) -> Result<PeerId, ConnectError> {
    let Target { request, host, port, secure } = parse(url)?;
    let connecting = async {
        let stream = TcpStream::connect((host.as_str(), port)).await;
        let stream = stream.map_err(|error| ConnectError::Unreachable(error.kind()))?;
        // Votes are small and urgent.
        stream.set_nodelay(true).map_err(|error| ConnectError::Unreachable(error.kind()))?;
        let stream: Box<dyn Carrier> = if secure {
            shared.config.trust.connect(&host, stream).await.map_err(ConnectError::Tls)?
        } else {
            Box::new(stream)
        };
        let upgraded = client_async_with_config(request, stream, Some(dialled_config())).await;
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

/// Where a URL leads, and what to ask for there.
struct Target {
    request: Request,
    host: String,
    port: u16,
    secure: bool,
}

/// Takes `ws://host[:port]/path` and `wss://`.
fn parse(url: &str) -> Result<Target, ConnectError> {
    let request = url.into_client_request().map_err(|_| ConnectError::Url)?;
    let uri = request.uri();
    let secure = match uri.scheme_str() {
        Some("ws") => false,
        Some("wss") => true,
        _ => return Err(ConnectError::Url),
    };
    let authority = uri.authority().ok_or(ConnectError::Url)?;
    let port = match authority.port_u16() {
        Some(port) => port,
        None if authority.as_str() == authority.host() && secure => 443,
        None if authority.as_str() == authority.host() => 80,
        None => return Err(ConnectError::Url),
    };
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
    Ok(Target { request, host, port, secure })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let cases = [
            ("ws://node.example/p2p", Ok(("node.example", 80))),
            ("ws://192.0.2.1:24001/p2p", Ok(("192.0.2.1", 24001))),
            ("ws://[2001:db8::1]:24001/p2p", Ok(("2001:db8::1", 24001))),
            ("wss://node.example/p2p", Ok(("node.example", 443))),
            ("wss://node.example:24001/p2p", Ok(("node.example", 24001))),
            ("https://node.example/p2p", Err(())),
            ("http://node.example/p2p", Err(())),
            ("/p2p", Err(())),
            ("", Err(())),
            ("ws://a b/", Err(())),
            ("ws://node.example:99999/", Err(())),
            ("ws://user@node.example/", Err(())),
        ];
        for (url, expected) in cases {
            let parsed = parse(url).map(|target| (target.host, target.port)).map_err(|_| ());
            assert_eq!(parsed, expected.map(|(host, port)| (host.to_owned(), port)), "{url}");
        }
    }
}
