//! TimeCoin's native node: the core, with sockets, files and a clock.

pub mod clock;
pub mod http;
pub mod net;
pub mod store;
