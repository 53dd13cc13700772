//! timecoin
fn main() {}
