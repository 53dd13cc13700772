//! TimeCoin's core: the rules of the chain and the machines that run it.
//!
//! No clock, no I/O, no threads, no randomness, no target switches: time, entropy and storage are
//! arguments, so the same bytes give the same verdict natively, in a browser tab and in the simulator.
//! `docs/ARCHITECTURE.md` has the map.

pub mod address;
pub mod amount;
pub mod answer;
pub mod block;
pub mod certificate;
pub mod codec;
pub mod consensus;
pub mod driver;
pub mod evidence;
pub mod filter;
pub mod hash;
pub mod json;
pub mod keys;
pub mod light;
pub mod lock;
pub mod mempool;
pub mod merkle;
pub mod message;
pub mod node;
pub mod peer;
pub mod receipt;
pub mod rows;
pub mod schema;
pub mod spec;
pub mod state;
pub mod store;
pub mod sync;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod tool;
pub mod transaction;
pub mod validators;
pub mod vote;
pub mod wallet;
