//! What tests of the whole need: the simulator, and the measurements.

pub mod bench;
pub mod sim;
