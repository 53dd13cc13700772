//! Peers: who they are, the encrypted session with each of them, and what they may cost and say.
//!
//! | file | what it decides |
//! |---|---|
//! | `handshake`, `session` | who is at the other end, and the channel to it |
//! | `quota` | what a peer's messages may cost |
//! | `score` | when to part from a peer |
//! | `gossip` | whom a message is still news to |
//! | `record`, `book` | whom to dial next |
//!
//! Nothing here does I/O: a driver moves the bytes and passes time and entropy in. A peer *is* its node key
//! ([`handshake::PeerId`]), never an address.

pub mod book;
pub mod gossip;
pub mod handshake;
mod hello;
mod noise;
pub mod quota;
pub mod record;
pub mod score;
pub mod session;
