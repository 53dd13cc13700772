//! Peers: who they are, and the encrypted session with each of them.
//!
//! Nothing here does I/O: a driver moves the bytes and passes time and entropy in. A peer *is* its node key
//! ([`handshake::PeerId`]), never an address.

pub mod handshake;
mod hello;
mod noise;
pub mod session;
