//! TimeCoin's native node: the core, with sockets, files and a clock.

pub mod clock;
pub mod devnet;
pub mod handle;
pub mod http;
pub mod identity;
pub mod net;
pub mod rpc;
pub mod run;
pub mod store;
