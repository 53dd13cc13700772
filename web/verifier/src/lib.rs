//! Checks a receipt, and does nothing else: no network, no storage, no clock, no node.
//!
//! The payload of `timecoin/verifier`. The verdict is `timecoin tool verify-receipt`'s, from the same function;
//! what is small about this module is what it leaves out.

use timecoin_core::light::AgePolicy;
use timecoin_core::time::Time;
use timecoin_core::tool::{Trust, check_receipt};
use wasm_bindgen::prelude::wasm_bindgen;

/// Checks a receipt in any of its three forms under a chain spec and further checkpoints, both JSON.
///
/// `now` is in milliseconds since 1970. Anchors of more than two thirds of the unbonding period are refused unless
/// the caller vouches for them with `any_age`. The answer is one JSON object: `{"valid":true,…}`, the reason why
/// the receipt proves nothing as `{"valid":false,"error":{…}}`, or `{"error":{…}}` where there is nothing to judge.
#[must_use]
#[wasm_bindgen]
pub fn verify(receipt: &[u8], spec: &str, anchors: &str, now: u64, any_age: bool) -> String {
    let policy = if any_age { AgePolicy::AnyAge } else { AgePolicy::TrustPeriod };
    check_receipt(receipt, &Trust { spec, anchors, policy, now: Time(now) })
}
