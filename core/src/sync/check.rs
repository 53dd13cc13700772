//! Checks that need no state but an anchor: they run before the machine, in parallel, off its thread.

use std::sync::Arc;

use super::wire::{HEADERS_MAX, LightBlock, Response, Status};
use crate::block::{BLOCK_VERSION, Body, Header};
use crate::certificate::{Certificate, CertificateError};
use crate::codec::encode;
use crate::evidence::Evidence;
use crate::hash::{BlockId, ChainId, Hash};
use crate::keys::verify_batch;
use crate::time::Time;
use crate::validators::ValidatorSet;
use crate::vote::{Height, Phase};

/// A final block as far as its successors are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub block: BlockId,
    /// The time of its header.
    pub time: Time,
    /// The set that signs the next block.
    pub validators: Arc<ValidatorSet>,
}

/// A header whose certificate has been verified, and which follows the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedHeader {
    pub(super) header: Header,
    pub(super) block: BlockId,
    pub(super) certificate: Certificate,
    next_validators: Arc<ValidatorSet>,
}

impl VerifiedHeader {
    pub(super) fn anchor(&self) -> Anchor {
        Anchor {
            height: self.header.height,
            block: self.block,
            time: self.header.time,
            validators: Arc::clone(&self.next_validators),
        }
    }
}

/// Why headers do not continue a chain from an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// More than any answer may have; none of them was looked at.
    #[error("{0} headers in one answer")]
    TooMany(usize),
    /// Another height than the next.
    #[error("header of height {found} where {expected} comes next")]
    Height {
        /// The next height.
        expected: Height,
        /// The header's.
        found: Height,
    },
    /// A format of another version of the software.
    #[error("header {0} has an unknown version")]
    Version(Height),
    /// Another parent than the header before.
    #[error("header {0} does not follow the one before")]
    Parent(Height),
    /// Not later than its parent.
    #[error("header {0} is not later than its parent")]
    Time(Height),
    /// Names another set than the one that signs this height.
    #[error("header {0} names another validator set")]
    Validators(Height),
    /// The next set is missing, superfluous or another than the header commits to.
    #[error("the next validator set of header {0} is not the one it commits to")]
    NextValidators(Height),
    /// The certificate is no commit of this block.
    #[error("the certificate of header {0} is not for it")]
    CertificateSubject(Height),
    /// The certificate proves nothing.
    #[error("the certificate of header {height}: {error}")]
    Certificate {
        /// Which header's.
        height: Height,
        /// What is wrong.
        error: CertificateError,
    },
}

/// What a body hashes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Roots {
    transactions: Hash,
    evidence: Hash,
    parent_certificate: Hash,
}

/// A body with what a header must say for it to be that header's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedBody {
    pub(super) body: Body,
    pub(super) size: usize,
    roots: Roots,
}

impl CheckedBody {
    fn new(body: Body) -> Self {
        let roots = Roots {
            transactions: body.transactions_root(),
            evidence: Evidence::root(&body.evidence),
            parent_certificate: Certificate::hash(body.parent_certificate.as_ref()),
        };
        Self { size: encode(&body).len(), body, roots }
    }

    pub(super) fn is_of(&self, header: &Header) -> bool {
        let expected = Roots {
            transactions: header.transactions_root,
            evidence: header.evidence_root,
            parent_certificate: header.parent_certificate_hash,
        };
        self.roots == expected
    }
}

/// A response after [`check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Headers, judged from the block `anchor`.
    Headers {
        /// The block they were to follow.
        anchor: BlockId,
        /// The headers, or why they do not follow it.
        verdict: Result<Vec<VerifiedHeader>, HeaderFault>,
    },
    /// Bodies, to be compared with verified headers.
    Bodies(Vec<CheckedBody>),
}

/// Does the expensive part of judging a response. `anchor` is [`super::Sync::anchor`] as last published; an
/// outdated one costs the sender nothing.
#[must_use]
pub fn check(response: Response, anchor: &Anchor, chain: &ChainId) -> Checked {
    match response {
        Response::Headers(headers) => {
            Checked::Headers { anchor: anchor.block, verdict: verify_headers(anchor, chain, headers) }
        }
        Response::Bodies(bodies) => Checked::Bodies(bodies.into_iter().map(CheckedBody::new).collect()),
    }
}

/// A status after [`check_status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedStatus {
    pub(super) lowest: Height,
    pub(super) height: Height,
    /// More than two thirds of a set we know signed that height.
    pub(super) is_certified: bool,
}

/// A status that no honest node sends: its certificate is for something else than its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the status claims height {0} without a certificate for it")]
pub struct StatusFault(pub Height);

/// Judges a status. A certificate by a set that we do not know (yet) is not believed, and not held against
/// anyone.
pub fn check_status(status: &Status, anchor: &Anchor, chain: &ChainId) -> Result<CheckedStatus, StatusFault> {
    let Status { lowest, height, certificate } = status;
    let is_sound = match certificate {
        None => *height == Height(0),
        Some(Certificate { data, .. }) => {
            data.height == *height && data.phase == Phase::Commit && data.block.is_some()
        }
    };
    if !is_sound || lowest > height {
        return Err(StatusFault(*height));
    }
    let is_certified = *height > anchor.height
        && certificate
            .as_ref()
            .is_some_and(|certificate| certificate.verify(&anchor.validators, chain).is_ok());
    Ok(CheckedStatus { lowest: *lowest, height: *height, is_certified })
}

/// Follows headers from an anchor: links, sets, certificates. All signatures form one batch.
pub fn verify_headers(
    anchor: &Anchor,
    chain: &ChainId,
    headers: Vec<LightBlock>,
) -> Result<Vec<VerifiedHeader>, HeaderFault> {
    if headers.len() > usize::from(HEADERS_MAX) {
        return Err(HeaderFault::TooMany(headers.len()));
    }
    let mut last = anchor.clone();
    let mut signatures = Vec::new();
    let mut verified: Vec<VerifiedHeader> = Vec::with_capacity(headers.len());
    for light in headers {
        let height = light.header.height;
        let form = light.certificate.check_form(&last.validators, chain);
        signatures.extend(form.map_err(|error| HeaderFault::Certificate { height, error })?);
        let header = follow(&last, light)?;
        last = header.anchor();
        verified.push(header);
    }
    if verify_batch(&signatures) {
        return Ok(verified);
    }
    // One is invalid: name it.
    let mut validators = &anchor.validators;
    for header in &verified {
        let height = header.header.height;
        let verdict = header.certificate.verify(validators, chain);
        verdict.map_err(|error| HeaderFault::Certificate { height, error })?;
        validators = &header.next_validators;
    }
    unreachable!("a batch fails only where a single signature does")
}

/// Everything about one header but its signatures.
fn follow(last: &Anchor, light: LightBlock) -> Result<VerifiedHeader, HeaderFault> {
    let LightBlock { header, certificate, next_validators } = light;
    let (height, block, expected) = (header.height, header.id(), last.height.next());
    if height != expected {
        return Err(HeaderFault::Height { expected, found: height });
    }
    if header.version != BLOCK_VERSION {
        return Err(HeaderFault::Version(height));
    }
    if header.parent != last.block {
        return Err(HeaderFault::Parent(height));
    }
    if header.time <= last.time {
        return Err(HeaderFault::Time(height));
    }
    if header.validators_hash != last.validators.hash() {
        return Err(HeaderFault::Validators(height));
    }
    let data = &certificate.data;
    if data.phase != Phase::Commit || data.height != height || data.block != Some(block) {
        return Err(HeaderFault::CertificateSubject(height));
    }
    let is_same = header.next_validators_hash == header.validators_hash;
    let next_validators = match next_validators {
        None if is_same => Arc::clone(&last.validators),
        Some(next) if !is_same && next.hash() == header.next_validators_hash => Arc::new(next),
        _ => return Err(HeaderFault::NextValidators(height)),
    };
    Ok(VerifiedHeader { header, block, certificate, next_validators })
}
