//! What the chain's rules read and write, and how it is committed to.

pub mod tree;
