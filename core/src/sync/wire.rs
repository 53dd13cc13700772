//! What nodes ask of each other to catch up. The order of the variants is protocol; new ones go last.

use serde::{Deserialize, Serialize};

use crate::block::{Body, Header};
use crate::certificate::Certificate;
use crate::codec::{FRAME_SIZE_MAX, Wire};
use crate::validators::ValidatorSet;
use crate::vote::Height;

/// Most headers in one answer.
pub const HEADERS_MAX: u16 = 64;
/// Most bodies in one answer.
pub const BODIES_MAX: u16 = 16;

/// Names a request within a session; the answer repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u64);

impl Wire for RequestId {
    const SIZE_MAX: usize = 8;
}

/// What a node has, said when a session begins and whenever its head changes. A claim: only the certificate
/// is worth believing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The lowest block it can give.
    pub lowest: Height,
    /// The highest.
    pub height: Height,
    /// The commit certificate of the highest; genesis has none.
    pub certificate: Option<Certificate>,
}

impl Wire for Status {
    const SIZE_MAX: usize = 8 + 8 + 1 + Certificate::SIZE_MAX;
}

/// A header that proves itself to whoever knows its validators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LightBlock {
    /// The header.
    pub header: Header,
    /// Its commit certificate.
    pub certificate: Certificate,
    /// The set that signs the next block: present exactly where it is another one.
    pub next_validators: Option<ValidatorSet>,
}

impl Wire for LightBlock {
    const SIZE_MAX: usize = Header::SIZE_MAX + Certificate::SIZE_MAX + 1 + ValidatorSet::SIZE_MAX;
}

/// A request for a range of the chain. Whoever answers may give less than was asked for, but something if it
/// has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// Headers with their certificates, answered by [`Response::Headers`].
    Headers {
        /// The first.
        from: Height,
        /// How many at most, 1 to [`HEADERS_MAX`].
        count: u16,
    },
    /// Bodies, answered by [`Response::Bodies`].
    Bodies {
        /// The first.
        from: Height,
        /// How many at most, 1 to [`BODIES_MAX`].
        count: u16,
        /// Bytes after which the answer ends; the first body is given whatever its size.
        size_max: u32,
    },
}

impl Wire for Query {
    const SIZE_MAX: usize = 4 + 8 + 2 + 4;
}

impl Query {
    /// Whether the range is one that may be asked for. Checked before any work.
    #[must_use]
    pub fn is_in_bounds(&self) -> bool {
        let (from, count, count_max) = match self {
            Self::Headers { from, count } => (from, count, HEADERS_MAX),
            Self::Bodies { from, count, .. } => (from, count, BODIES_MAX),
        };
        (1..=count_max).contains(count) && from.0.checked_add(u64::from(*count)).is_some()
    }
}

/// Answers, in ascending order from the first height asked for, without gaps; empty where the node has not even
/// the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To [`Query::Headers`].
    Headers(Vec<LightBlock>),
    /// To [`Query::Bodies`].
    Bodies(Vec<Body>),
}

impl Wire for Response {
    const SIZE_MAX: usize = FRAME_SIZE_MAX - (32 << 10);
}
