//! Why a light block cannot be trusted.

use crate::amount::Amount;
use crate::certificate::CertificateError;
use crate::time::Time;
use crate::vote::Height;

/// Why a block cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LightError {
    /// What we trust is too old: keys of that time may have been sold. A newer anchor is needed.
    #[error(
        "the trusted header is {age_ms} ms old, the trust period {limit_ms} ms: a newer checkpoint is needed"
    )]
    Expired {
        /// Age of the trusted header.
        age_ms: u64,
        /// Ages below this are trusted.
        limit_ms: u64,
    },
    /// The header's time is ahead of this clock by more than the drift allowed.
    #[error("header time {time} is too far ahead of {now}: check this device's clock")]
    FromFuture {
        /// The header's time.
        time: Time,
        /// This clock.
        now: Time,
    },
    /// Another height was asked for.
    #[error("height {found} where {expected} was asked for")]
    UnexpectedHeight {
        /// Asked for.
        expected: Height,
        /// Received.
        found: Height,
    },
    /// Not above the trusted height.
    #[error("height {found} is not above the trusted {trusted}")]
    HeightNotAbove {
        /// Height trusted.
        trusted: Height,
        /// Height received.
        found: Height,
    },
    /// Not later than the trusted header.
    #[error("time {found} is not after the trusted {trusted}")]
    TimeNotAfter {
        /// Time of the trusted header.
        trusted: Time,
        /// Time received.
        found: Time,
    },
    /// A format of another version of the software.
    #[error("unknown block version {0}")]
    Version(u16),
    /// The validators are not those the header commits to.
    #[error("the validators are not those of the header")]
    Validators,
    /// The next validators are not those the header commits to, or the same set was sent twice.
    #[error("the next validators are not those of the header")]
    NextValidators,
    /// The set changes although the block is not the last of its epoch.
    #[error("the validators change inside an epoch")]
    SetChange,
    /// The certificate is not a commit of this header.
    #[error("the certificate does not commit this header")]
    OtherBlock,
    /// The certificate proves nothing.
    #[error("certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// The header claims another amount of money than was issued by its time.
    #[error("the header claims {claimed} TIME where {issued} TIME are issued")]
    Supply {
        /// In the header.
        claimed: Amount,
        /// By the chain spec.
        issued: Amount,
    },
    /// Directly after the trusted block, but with another set than that block named.
    #[error("the next block is not signed by the set the trusted block names")]
    AdjacentValidators,
    /// Directly after the trusted block's height, but with another parent.
    #[error("the next block does not follow the trusted block")]
    AdjacentParent,
}

impl LightError {
    /// Whether whoever sent the block is to blame: not for our clock, nor for the age of what we trust.
    #[must_use]
    pub const fn blames_sender(&self) -> bool {
        !matches!(self, Self::Expired { .. } | Self::FromFuture { .. })
    }
}
