//! JSON-RPC 2.0 over POST and WebSocket, on the node's one port.
//!
//! | file | what |
//! |---|---|
//! | `json`, `params`, `error` | strict parsing, parameters by position or name, stable errors |
//! | `dispatch` | the protocol |
//! | `table` | every method: name, parameters, what it answers; `rpc.discover` is made from it |
//! | `query`, `render` | reads and proofs, and how they look in JSON |
//! | `methods/` | the methods |
//! | `http`, `socket` | the transports, with their limits |
//!
//! No method changes anything but `sendrawtransaction` and `stop`; the node holds no wallet keys.

mod dispatch;
pub mod error;
mod http;
mod json;
mod methods;
mod params;
mod query;
mod render;
mod socket;
mod table;

use std::sync::Arc;

use serde_json::Value;

use crate::handle::NodeHandle;
use error::RpcError;
use params::Params;

pub use http::router;
pub use table::{METHODS, Method};

/// Who may do what.
#[derive(Clone, Debug, Default)]
pub struct RpcConfig {
    /// Needed by methods that administer the node; without one, they are refused.
    pub token: Option<String>,
    /// Names in `Host` that are accepted besides loopback ones.
    pub hosts: Vec<String>,
    /// Origins that browsers may call from; none by default.
    pub origins: Vec<String>,
}

/// The server's state.
#[derive(Clone)]
struct Rpc(Arc<Shared>);

struct Shared {
    handle: NodeHandle,
    config: RpcConfig,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caller {
    /// Whether the token was shown.
    has_token: bool,
    /// Whether the call came over a WebSocket.
    over_socket: bool,
}

impl Rpc {
    fn handle(&self) -> &NodeHandle {
        &self.0.handle
    }

    async fn call(&self, caller: &Caller, name: &str, params: Option<Value>) -> Result<Value, RpcError> {
        let method = METHODS.iter().find(|method| method.name == name);
        let method = method.ok_or_else(|| RpcError::unknown_method(name))?;
        if method.needs_token && !caller.has_token {
            return Err(RpcError::unauthorized());
        }
        let params = Params::new(method.params, params)?;
        methods::call(self, caller, method.name, params).await
    }
}
