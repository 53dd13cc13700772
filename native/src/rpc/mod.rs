//! JSON-RPC 2.0 over POST and WebSocket, on the node's one port.
//!
//! | file | what |
//! |---|---|
//! | `json`, `params`, `error` | strict parsing, parameters by position or name, stable errors |
//! | `dispatch` | the protocol |
//! | `table`, `shape` | every method: parameters, answers, errors, and their forms |
//! | `document` | `docs/RPC.md` and `rpc.discover`, made from the table |
//! | `query`, `render` | reads and proofs, and how they look in JSON |
//! | `calls/` | what each method does |
//! | `http`, `socket`, `topics` | the transports with their limits, and subscriptions |
//!
//! No method changes anything but `sendrawtransaction`, `overridequarantine` and `stop`; the node holds no wallet keys.

mod calls;
mod dispatch;
pub mod document;
pub mod error;
mod http;
mod json;
mod params;
mod query;
mod render;
mod shape;
mod socket;
mod table;
#[cfg(test)]
mod tests;
mod topics;

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::handle::NodeHandle;
use crate::net::Slots;
use error::{Kind, RpcError};
use params::Params;
use topics::Topics;

pub use http::router;
pub use shape::{Field, Shape};
pub use table::{GROUPS, Group, Method, methods};

/// Calls that read rows or make proofs, at once; others wait.
const READERS_MAX: usize = 8;
/// WebSockets of RPC clients.
const SOCKETS_MAX: usize = 256;
/// The same, from one address.
const SOCKETS_PER_IP_MAX: usize = 64;

/// Who may do what.
#[derive(Clone, Debug, Default)]
pub struct RpcConfig {
    /// Needed by methods that administer the node, and by callers on other machines; without one, both are refused.
    pub token: Option<String>,
    /// Names in `Host` that are accepted besides loopback ones.
    pub hosts: Vec<String>,
    /// Origins that browsers may call from; none by default.
    pub origins: Vec<String>,
    /// Whether callers on other machines may use what needs no token. Otherwise they need it for everything.
    pub public: bool,
}

/// The server's state.
#[derive(Clone)]
struct Rpc(Arc<Shared>);

struct Shared {
    handle: NodeHandle,
    config: RpcConfig,
    /// Calls that read rows or make proofs, at once.
    readers: Arc<Semaphore>,
    sockets: Slots,
}

/// Who calls.
#[derive(Clone)]
struct Caller {
    /// Whether the token was shown.
    has_token: bool,
    /// The subscriptions of a WebSocket's client; none for a call by POST.
    topics: Option<Arc<Mutex<Topics>>>,
}

impl Caller {
    fn topics(&self) -> Result<&Mutex<Topics>, RpcError> {
        self.topics.as_deref().ok_or_else(|| RpcError::of(Kind::NeedsSocket))
    }
}

impl Rpc {
    fn new(handle: NodeHandle, config: RpcConfig) -> Self {
        let readers = Arc::new(Semaphore::new(READERS_MAX));
        let sockets = Slots::new(SOCKETS_MAX, SOCKETS_PER_IP_MAX);
        Self(Arc::new(Shared { handle, config, readers, sockets }))
    }

    fn handle(&self) -> &NodeHandle {
        &self.0.handle
    }

    /// Waits for its turn to read; none where nobody reads any more.
    async fn reading(&self) -> Option<OwnedSemaphorePermit> {
        self.0.readers.clone().acquire_owned().await.ok()
    }

    async fn call(&self, caller: &Caller, name: &str, params: Option<Value>) -> Result<Value, RpcError> {
        let method = methods().find(|method| method.name == name);
        let method = method.ok_or_else(|| RpcError::unknown_method(name))?;
        if method.needs_token && !caller.has_token {
            return Err(RpcError::of(Kind::Unauthorized));
        }
        let params = Params::new(method.params, params)?;
        calls::call(self, caller, method.name, params).await
    }
}
