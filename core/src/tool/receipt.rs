//! Receipts: the tool `verify-receipt`, and the same verdict for the small module that does nothing else.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Form, ToolError, read};
use crate::address::{Address, Network};
use crate::amount::Amount;
use crate::hash::{BlockId, Owner, TxId, to_hex};
use crate::json;
use crate::light::{AgePolicy, Options, trusted_points};
use crate::receipt::{Proved, Receipt, SignedWeight};
use crate::spec::{ChainSpec, Checkpoint};
use crate::time::Time;
use crate::transaction::Output;
use crate::vote::Height;

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Policy {
    TrustPeriod,
    Unbonding,
    AnyAge,
}

impl From<Policy> for AgePolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::TrustPeriod => Self::TrustPeriod,
            Policy::Unbonding => Self::Unbonding,
            Policy::AnyAge => Self::AnyAge,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptFields {
    receipt: Form<Receipt>,
    spec: ChainSpec,
    /// Points trusted beside those of the spec.
    #[serde(default)]
    anchors: Vec<Checkpoint>,
    now: Time,
    policy: Option<Policy>,
}

/// Checks a receipt, given as JSON, bytes in hexadecimal or text, under a chain spec at a time.
pub(super) fn verify_receipt(line: &str) -> Result<Value, ToolError> {
    let ReceiptFields { receipt, spec, anchors, now, policy } = read(line)?;
    spec.consensus.check()?;
    let receipt = match receipt {
        Form::Hex(text) if text.contains(|at: char| !at.is_ascii_hexdigit()) => Receipt::from_text(&text)?,
        other => other.read("receipt")?,
    };
    let policy = policy.map_or(AgePolicy::TrustPeriod, AgePolicy::from);
    Ok(json!(judge(&receipt, spec, anchors, now, policy)?))
}

/// What whoever checks a receipt trusts, each part as its own JSON, so that no part can pass for another.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// The chain spec. The points it names are trusted.
    pub spec: &'a str,
    /// A list of checkpoints trusted beside them.
    pub anchors: &'a str,
    /// How old the receipt's anchor may be.
    pub policy: AgePolicy,
    /// The time of checking.
    pub now: Time,
}

/// Checks a receipt in any of its three forms: the answer of the tool `verify-receipt`.
#[must_use]
pub fn check_receipt(receipt: &[u8], trust: &Trust<'_>) -> String {
    let answer = || {
        let spec = ChainSpec::from_json(trust.spec)?;
        let anchors: Vec<Checkpoint> = json::read(trust.anchors)
            .map_err(|error| ToolError::new("malformed-checkpoint", format!("checkpoints: {error}")))?;
        judge(&Receipt::from_any_form(receipt)?, spec, anchors, trust.now, trust.policy)
    };
    let answer = answer().unwrap_or_else(|error| Verdict::Unreadable { error });
    let Ok(text) = serde_json::to_string(&answer) else { unreachable!("a verdict is plain data") };
    text
}

/// The answer, in the order of its fields: typed, because a tree of JSON values is large code in a small module.
#[derive(Serialize)]
#[serde(untagged)]
enum Verdict {
    Valid(Box<Payment>),
    Invalid { valid: bool, error: ToolError },
    Unreadable { error: ToolError },
}

#[derive(Serialize)]
struct Payment {
    valid: bool,
    txid: TxId,
    outputs: Vec<Paid>,
    memo: String,
    height: Height,
    block: BlockId,
    time: Time,
    final_height: Height,
    signed: Option<Signed>,
    anchor: Checkpoint,
    anchor_age_ms: u64,
}

#[derive(Serialize)]
struct Paid {
    address: String,
    amount: Amount,
    owner: Owner,
}

#[derive(Serialize)]
struct Signed {
    weight: u64,
    total: u64,
}

fn judge(
    receipt: &Receipt,
    spec: ChainSpec,
    anchors: Vec<Checkpoint>,
    now: Time,
    policy: AgePolicy,
) -> Result<Verdict, ToolError> {
    let mut points = trusted_points(&spec)?;
    points.extend(anchors);
    let network = spec.consensus.network;
    let options = Options::new(Arc::new(spec.consensus), policy);
    Ok(match receipt.verify(&points, &options, now) {
        Ok(proved) => Verdict::Valid(Box::new(Payment::new(proved, network))),
        Err(error) => Verdict::Invalid { valid: false, error: error.into() },
    })
}

impl Payment {
    fn new(proved: Proved, network: Network) -> Self {
        let paid = |Output { amount, owner }| {
            let address = Address { network, owner }.to_string();
            Paid { address, amount, owner }
        };
        Self {
            valid: true,
            txid: proved.txid,
            outputs: proved.outputs.into_iter().map(paid).collect(),
            memo: to_hex(&proved.memo),
            height: proved.height,
            block: proved.block,
            time: proved.time,
            final_height: proved.final_height,
            signed: proved.signed.map(|SignedWeight { weight, total }| Signed { weight, total }),
            anchor: proved.anchor,
            anchor_age_ms: proved.anchor_age_ms,
        }
    }
}
