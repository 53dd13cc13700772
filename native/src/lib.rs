//! TimeCoin's native node: the core, with sockets, files and a clock.

pub mod api;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod devnet;
pub mod handle;
pub mod health;
pub mod http;
pub mod identity;
pub mod metrics;
mod mutex;
pub mod net;
pub mod routes;
pub mod rpc;
pub mod run;
pub mod store;
mod target;
pub mod tls;
pub mod wallet;
pub mod web;
