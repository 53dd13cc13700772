//! Light verification: trusting a header without running the chain.
//!
//! A light client starts from an [`Anchor`] the host chose and moves to newer headers by their commit
//! certificates. A header is trusted when more than two thirds of its own set's weight signed it *and* either
//! it directly follows a trusted header that names that set, or more than a third of the trusted weight signed
//! it too (at least one honest validator). Where sets changed more than that, [`Bisection`] goes in between.
//!
//! | file | what |
//! |---|---|
//! | `options.rs` | how old, how far ahead, how much overlap: chosen by the host, never by default |
//! | `anchor.rs` | where trust starts: a checkpoint or genesis |
//! | `block.rs` | a header with what proves it, and the check that it is sound in itself |
//! | `verify.rs` | the verdict on a block, given a trusted one |
//! | `bisection.rs` | which blocks to ask for between a trusted and a wanted height |
//! | `divergence.rs` | two certified blocks at one height: what was done, and by whom |
//!
//! Invariants: every signature of a certificate is verified, once per block, with no early exit; nothing here
//! reads a clock or asks a peer; the same inputs give the same verdict.
//! What it does not do: judge transactions (validators did), or punish (that takes evidence in a block).

mod anchor;
mod bisection;
mod block;
mod divergence;
mod error;
mod options;
mod verify;

#[cfg(test)]
mod tests;

pub use anchor::{Anchor, AnchorError, trusted_points};
pub use bisection::{Bisection, Progress};
pub use block::{CheckedBlock, LightBlock};
pub use divergence::{AttackKind, LightAttack, compare};
pub use error::LightError;
pub use options::{AgePolicy, Options, Threshold, ThresholdError};
pub use verify::{Trusted, Verdict, verify};

pub(crate) use block::Commit;
