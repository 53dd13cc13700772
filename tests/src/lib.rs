//! What tests of the whole need, and the measurements.

pub mod bench;
