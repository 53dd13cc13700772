//! What a page may ask the node, and what it is told: one description for Rust and TypeScript.
//!
//! | file | what |
//! |---|---|
//! | `describe` | the macros: one declaration makes a Rust type and its TypeScript |
//! | `types` | answers, news and parameters |
//! | `error` | every code a failure can have, with advice: one table for the Worker and the page |
//! | `typescript` | tests only: writes `web/js/api.ts` and `codes.ts` from all of these, so that the two sides cannot drift apart |
//!
//! Parameters and answers cross as JSON text: parameters are read strictly (an unknown key is refused), answers are made
//! of these types only.

pub(crate) mod describe;
pub mod error;
pub mod types;
#[cfg(test)]
mod typescript;

pub use error::{ApiError, Code};
