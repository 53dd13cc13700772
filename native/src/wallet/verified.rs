//! A node seen through light verification: what it says of a block counts once the block is proved final.
//!
//! Trust starts at the newest block verified before, or at a checkpoint or genesis of the wallet's own chain spec,
//! and moves by commit certificates. No other word of the node is believed.

use std::sync::Arc;

use serde::Serialize;
use timecoin_core::address::Network;
use timecoin_core::answer::Opening;
use timecoin_core::block::Header;
use timecoin_core::hash::BlockId;
use timecoin_core::light::{
    AgePolicy, Anchor, Bisection, LightBlock, LightError, Options, Progress, Trusted,
};
use timecoin_core::node::Chain;
use timecoin_core::spec::Checkpoint;
use timecoin_core::state::genesis;
use timecoin_core::time::Time;
use timecoin_core::vote::Height;

use super::WalletError;
use crate::api::Api;
use crate::clock;

/// How old something trusted may be on this chain. A development network's secrets are in the open anyway: any age
/// is taken there. `any_age`: the host vouches for it.
#[must_use]
pub fn age_policy(network: Network, any_age: bool) -> AgePolicy {
    match network {
        Network::Dev => AgePolicy::AnyAge,
        Network::Main | Network::Test if any_age => AgePolicy::AnyAge,
        Network::Main | Network::Test => AgePolicy::TrustPeriod,
    }
}

/// The options of light verification on a chain.
#[must_use]
pub fn options(chain: &Chain, any_age: bool) -> Options {
    let spec = &chain.spec.consensus;
    Options::new(Arc::new(spec.clone()), age_policy(spec.network, any_age))
}

/// What was verified, for people and programs to judge by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Height of the block.
    pub height: Height,
    /// Its id.
    pub block: BlockId,
    /// Its header's time.
    pub time: Time,
    /// How long ago that was by this machine's clock.
    pub age_ms: u64,
    /// Weight that signed the newest certificate checked; none where nothing new had to be checked.
    pub signed: Option<Signed>,
    /// Certificates checked, all their signatures included.
    pub certificates_checked: u64,
    /// Where trust started.
    pub trusted_from: Start,
}

/// Where trust started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Start {
    /// Height of the block trusted to begin with.
    pub height: Height,
    /// How old it was.
    pub age_ms: u64,
    /// Whether that age was not limited.
    pub any_age: bool,
}

/// The weight behind a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// Weight that signed.
    pub weight: u64,
    /// Weight of the set.
    pub total: u64,
}

/// A node, and what was verified of its chain.
pub struct VerifiedNode {
    api: Api,
    options: Options,
    trusted: Trusted,
    start: Start,
    signed: Option<Signed>,
    certificates_checked: u64,
}

impl Signed {
    /// The share, in percent, rounded down.
    #[must_use]
    pub fn percent(&self) -> u64 {
        u64::try_from(u128::from(self.weight) * 100 / u128::from(self.total.max(1))).unwrap_or(100)
    }
}

impl VerifiedNode {
    /// Begins with what was verified before, or with what the chain spec names.
    ///
    /// # Errors
    /// If the node is on another chain, or nothing is young enough to be trusted.
    pub async fn open(
        api: Api,
        chain: &Chain,
        remembered: Option<&Trusted>,
        any_age: bool,
    ) -> Result<Self, WalletError> {
        let found = api.chain().await?;
        if found != chain.id {
            return Err(WalletError::OtherChain { expected: chain.id, found });
        }
        let (options, now) = (options(chain, any_age), clock::now());
        let remembered = remembered.filter(|trusted| trusted.check_age(&options, now).is_ok());
        let trusted = match remembered {
            Some(trusted) => trusted.clone(),
            None => start(&api, chain, &options, now).await?,
        };
        let any_age = age_policy(chain.spec.consensus.network, any_age) == AgePolicy::AnyAge;
        let start = Start { height: trusted.height, age_ms: now.since(trusted.time), any_age };
        Ok(Self { api, options, trusted, start, signed: None, certificates_checked: 0 })
    }

    /// The node, for what needs no proof.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The newest block verified.
    #[must_use]
    pub fn trusted(&self) -> &Trusted {
        &self.trusted
    }

    /// Verifies the node's newest block.
    ///
    /// # Errors
    /// If it cannot be verified, or the node is behind.
    pub async fn tip(&mut self) -> Result<(), WalletError> {
        let found = self.api.height().await?;
        self.follow(found).await
    }

    /// Verifies the header that an answer is under. Afterwards that header is the newest one verified.
    ///
    /// # Errors
    /// If it cannot be verified, or is not the certified one.
    pub async fn certify(&mut self, opening: &Opening) -> Result<(), WalletError> {
        self.certify_header(&opening.header).await
    }

    /// Verifies a header. Afterwards it is the newest one verified.
    ///
    /// # Errors
    /// If it cannot be verified, or is not the certified one.
    pub async fn certify_header(&mut self, header: &Header) -> Result<(), WalletError> {
        self.follow(header.height).await?;
        let certified = self.trusted.id;
        if header.id() != certified {
            return Err(WalletError::OtherBlock { height: header.height, certified });
        }
        Ok(())
    }

    /// What is verified so far.
    #[must_use]
    pub fn proof(&self) -> Proof {
        let Trusted { height, id, time, .. } = self.trusted;
        Proof {
            height,
            block: id,
            time,
            age_ms: clock::now().since(time),
            signed: self.signed,
            certificates_checked: self.certificates_checked,
            trusted_from: self.start,
        }
    }

    async fn follow(&mut self, target: Height) -> Result<(), WalletError> {
        if target < self.trusted.height {
            return Err(WalletError::Behind { found: target, verified: self.trusted.height });
        }
        let mut bisection = Bisection::new(self.trusted.clone(), target, self.options.clone());
        loop {
            match bisection.progress() {
                Progress::Done => break,
                Progress::Failed(error @ LightError::Expired { .. }) => {
                    return Err(WalletError::Expired(error));
                }
                Progress::Failed(error) => return Err(WalletError::Unproved(error)),
                Progress::Need(height) => {
                    bisection.feed(self.api.light_block(height).await?, clock::now());
                }
            }
        }
        self.certificates_checked += bisection.certificates_checked();
        let (trusted, trace) = bisection.into_parts();
        self.trusted = trusted;
        if let Some(LightBlock { certificate, validators, .. }) = trace.last() {
            let weight = certificate.weight(validators);
            self.signed = Some(Signed { weight, total: validators.total() });
        }
        Ok(())
    }
}

/// The newest point of the chain spec that is young enough.
async fn start(api: &Api, chain: &Chain, options: &Options, now: Time) -> Result<Trusted, WalletError> {
    for checkpoint in chain.spec.checkpoints.iter().rev() {
        if let Ok(anchor) = Anchor::from_checkpoint(*checkpoint, options, now) {
            let next = next_validators(api, checkpoint).await?;
            return Ok(anchor.with_validators(next)?);
        }
    }
    let first = genesis(&chain.spec.consensus)?;
    let anchor = Anchor::from_genesis(&first.block.header, options, now)?;
    Ok(anchor.with_validators((*first.state.validators).clone())?)
}

/// The set a checkpoint names, from anyone: the anchor checks its hash.
async fn next_validators(
    api: &Api,
    checkpoint: &Checkpoint,
) -> Result<timecoin_core::validators::ValidatorSet, WalletError> {
    Ok(api.light_block(checkpoint.height).await?.next_validators().clone())
}
