//! What tests of the whole need: the simulator, a peer that lies, a relay that writes votes down, and the measurements.

pub mod bench;
pub mod liar;
pub mod port;
pub mod relay;
pub mod session;
pub mod sim;
pub mod twins;
