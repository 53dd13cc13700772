//! Where a WebSocket URL leads, and the connection there.

use std::io;

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;

use crate::tls::{Carrier, Failure, Trust};

/// A server, and what to ask it for.
pub(crate) struct Target {
    pub(crate) request: Request,
    pub(crate) host: String,
    pub(crate) port: u16,
    secure: bool,
}

impl Target {
    /// Takes `ws://host[:port]/path` and `wss://`.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let request = url.into_client_request().ok()?;
        let uri = request.uri();
        let secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return None,
        };
        let authority = uri.authority()?;
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str() == authority.host() && secure => 443,
            None if authority.as_str() == authority.host() => 80,
            None => return None,
        };
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        Some(Self { request, host, port, secure })
    }

    /// Connects, with TLS where the URL wants it.
    pub(crate) async fn connect(&self, trust: &Trust) -> Result<Box<dyn Carrier>, Unconnected> {
        let unreachable = |error: io::Error| Unconnected::Unreachable(error.kind());
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unreachable)?;
        // Messages are small and urgent.
        stream.set_nodelay(true).map_err(unreachable)?;
        if self.secure { Ok(trust.connect(&self.host, stream).await?) } else { Ok(Box::new(stream)) }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unconnected {
    #[error("{0}")]
    Unreachable(io::ErrorKind),
    #[error(transparent)]
    Tls(#[from] Failure),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let cases = [
            ("ws://node.example/p2p", Some(("node.example", 80))),
            ("ws://192.0.2.1:24001/p2p", Some(("192.0.2.1", 24001))),
            ("ws://[2001:db8::1]:24001/p2p", Some(("2001:db8::1", 24001))),
            ("wss://node.example/p2p", Some(("node.example", 443))),
            ("wss://node.example:24001/p2p", Some(("node.example", 24001))),
            ("https://node.example/p2p", None),
            ("http://node.example/p2p", None),
            ("/p2p", None),
            ("", None),
            ("ws://a b/", None),
            ("ws://node.example:99999/", None),
            ("ws://user@node.example/", None),
        ];
        for (url, expected) in cases {
            let parsed = Target::parse(url).map(|target| (target.host, target.port));
            assert_eq!(parsed, expected.map(|(host, port)| (host.to_owned(), port)), "{url}");
        }
    }
}
