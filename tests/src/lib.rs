//! What tests of the whole need: the simulator, a peer that lies, and the measurements.

pub mod bench;
pub mod liar;
pub mod session;
pub mod sim;
