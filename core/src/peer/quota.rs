//! Rate limits: one token bucket for each peer key and cost class, in whole numbers over [`Time`].
//!
//! What a peer makes this node do is paid for before it is done. A bucket belongs to a key, not to a session:
//! coming back does not fill it. Exceeding a limit is no proof of bad intent ([`super::score`]).

use std::collections::BTreeMap;

use crate::keys::PublicKey;
use crate::time::Time;

/// What kind of work is asked for. Classes do not compete: a flood of transactions never delays votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CostClass {
    /// Proposals, votes and certificates; one unit for each signature to check.
    Consensus,
    /// Transactions; one unit for each byte.
    Transaction,
    /// Announcements of what a peer has; one unit for each id.
    Inventory,
    /// Answering requests; one unit for each byte of the largest answer the request allows.
    Serve,
    /// Answers to our own requests; one unit for each signature to check, or kibibyte.
    Answer,
    /// Peer records; one unit for each.
    Address,
    /// Everything else; one unit for each message.
    Control,
}

impl CostClass {
    /// What every peer may spend.
    #[must_use]
    pub const fn allowance(self) -> Allowance {
        match self {
            Self::Consensus => Allowance { per_second: 5_000, burst: 20_000 },
            Self::Transaction => Allowance { per_second: 4 << 20, burst: 32 << 20 },
            Self::Inventory => Allowance { per_second: 10_000, burst: 50_000 },
            Self::Serve => Allowance { per_second: 8 << 20, burst: 64 << 20 },
            Self::Answer => Allowance { per_second: 50_000, burst: 200_000 },
            Self::Address => Allowance { per_second: 1, burst: 256 },
            Self::Control => Allowance { per_second: 50, burst: 200 },
        }
    }
}

/// How fast a bucket fills and how much it holds, in units of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Units that flow in per second.
    pub per_second: u64,
    /// Units it holds; also the most that one request may cost.
    pub burst: u64,
}

/// A request that is not paid for, and is to be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("over the rate limit; affordable at {}", retry_at.0)]
pub struct OverQuota {
    /// When the bucket holds enough; never for what costs more than a full bucket.
    pub retry_at: Time,
}

/// Thousandths of a unit, so that a millisecond's inflow is whole.
const MILLI: u64 = 1000;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: u64,
    at: Time,
}

impl Bucket {
    fn level(&self, allowance: Allowance, now: Time) -> u64 {
        let inflow = allowance.per_second.saturating_mul(now.since(self.at));
        self.level.saturating_add(inflow).min(allowance.burst.saturating_mul(MILLI))
    }
}

/// The buckets of all peers.
#[derive(Debug, Default)]
pub struct Quotas(BTreeMap<(PublicKey, CostClass), Bucket>);

impl Quotas {
    /// Pays `cost` units from the peer's bucket, or leaves it as it is.
    pub fn spend(
        &mut self,
        peer: PublicKey,
        class: CostClass,
        cost: u64,
        now: Time,
    ) -> Result<(), OverQuota> {
        let allowance = class.allowance();
        let full = Bucket { level: allowance.burst.saturating_mul(MILLI), at: now };
        let bucket = self.0.entry((peer, class)).or_insert(full);
        // A clock set back costs no one an outage: the time since is zero once, and counts from here on.
        *bucket = Bucket { level: bucket.level(allowance, now), at: now };
        let price = cost.saturating_mul(MILLI);
        match bucket.level.checked_sub(price) {
            Some(left) => {
                bucket.level = left;
                Ok(())
            }
            None if cost > allowance.burst => Err(OverQuota { retry_at: Time::NEVER }),
            None => {
                let missing = price - bucket.level;
                Err(OverQuota { retry_at: now.plus(missing.div_ceil(allowance.per_second.max(1))) })
            }
        }
    }

    /// Forgets full buckets: they say nothing. Called now and then, it keeps memory to recently active keys.
    pub fn prune(&mut self, now: Time) {
        self.0.retain(|(_, class), bucket| {
            let allowance = class.allowance();
            bucket.level(allowance, now) < allowance.burst.saturating_mul(MILLI)
        });
    }

    /// How many buckets are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether every bucket is full.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEER: PublicKey = PublicKey([1; 32]);
    const CLASSES: [CostClass; 7] = [
        CostClass::Consensus,
        CostClass::Transaction,
        CostClass::Inventory,
        CostClass::Serve,
        CostClass::Answer,
        CostClass::Address,
        CostClass::Control,
    ];

    #[test]
    fn a_burst_is_taken_and_then_the_rate_holds() {
        let mut quotas = Quotas::default();
        let (now, class) = (Time(1_000), CostClass::Control);
        let Allowance { per_second, burst } = class.allowance();
        assert_eq!(quotas.spend(PEER, class, burst, now), Ok(()));
        let over = OverQuota { retry_at: now.plus(MILLI.div_ceil(per_second)) };
        assert_eq!(quotas.spend(PEER, class, 1, now), Err(over));
        assert_eq!(quotas.spend(PEER, class, 1, over.retry_at), Ok(()), "what it says is true");
        assert_eq!(quotas.spend(PublicKey([2; 32]), class, burst, now), Ok(()), "peers are apart");
        assert_eq!(quotas.spend(PEER, CostClass::Inventory, 1, now), Ok(()), "classes are apart");
    }

    #[test]
    fn what_no_bucket_can_hold_is_never_affordable() {
        let cost = CostClass::Serve.allowance().burst + 1;
        let result = Quotas::default().spend(PEER, CostClass::Serve, cost, Time(0));
        assert_eq!(result, Err(OverQuota { retry_at: Time::NEVER }));
    }

    #[test]
    fn full_buckets_are_forgotten_and_spent_ones_kept() {
        let mut quotas = Quotas::default();
        quotas.spend(PEER, CostClass::Control, 100, Time(0)).unwrap();
        quotas.prune(Time(1_999));
        assert_eq!(quotas.len(), 1);
        quotas.prune(Time(2_000));
        assert!(quotas.is_empty());
    }

    #[test]
    fn a_clock_set_back_neither_fills_nor_blocks() {
        let mut quotas = Quotas::default();
        let Allowance { burst, per_second } = CostClass::Control.allowance();
        quotas.spend(PEER, CostClass::Control, burst, Time(10_000_000)).unwrap();
        assert!(quotas.spend(PEER, CostClass::Control, 1, Time(0)).is_err());
        assert_eq!(quotas.spend(PEER, CostClass::Control, per_second, Time(1_000)), Ok(()));
    }

    proptest! {
        #[test]
        fn no_window_admits_more_than_burst_and_rate(
            class in prop::sample::select(&CLASSES[..]),
            asks in prop::collection::vec((0..3_000u64, 0..4u64), 1..80),
        ) {
            let Allowance { per_second, burst } = class.allowance();
            let mut quotas = Quotas::default();
            let (mut now, mut paid) = (Time(5), 0u64);
            for (pause_ms, quarters) in asks {
                now = now.plus(pause_ms);
                let cost = burst / 4 * quarters;
                if quotas.spend(PEER, class, cost, now).is_ok() {
                    paid += cost;
                }
                prop_assert!(paid * MILLI <= burst * MILLI + per_second * now.since(Time(5)));
            }
        }
    }
}
