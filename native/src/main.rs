//! timecoin
fn main(){}
