//! A network on one machine: its chain, its keys and folders, its processes, and payments to measure it by.
//!
//! | file | what |
//! |---|---|
//! | `genesis` | the chain of a new devnet |

mod genesis;

pub use genesis::{Founder, spec};
