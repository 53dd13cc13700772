//! Proofs: Merkle logs, the state tree, answers about the state.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Code, Form, ToolError, hex, invalid, read};
use crate::amount::Amount;
use crate::answer::{BalanceAnswer, CoinsAnswer};
use crate::block::Header;
use crate::codec::encode;
use crate::hash::{Hash, Owner, TxId, to_hex};
use crate::merkle::{Blake, ConsistencyProof, InclusionProof, LogHash, root};
use crate::state::tree::{AbsenceProof, CoinProof, CoinTree, Op, OwnerCoinsProof, OwnerProof, Summary};
use crate::transaction::{OutPoint, Output};

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum ProofFields {
    /// `leaf` is the leaf hash, `data` what it is the hash of.
    Inclusion {
        root: Hash,
        leaf: Option<Hash>,
        data: Option<String>,
        proof: Form<InclusionProof>,
    },
    Consistency {
        old_root: Hash,
        new_root: Hash,
        proof: Form<ConsistencyProof>,
    },
    /// `root` has hash, sum and count.
    Coin {
        root: Summary,
        proof: Form<CoinProof>,
    },
    Absence {
        root: Summary,
        proof: Form<AbsenceProof>,
    },
    Owner {
        root: Summary,
        proof: Form<OwnerProof>,
    },
    OwnerCoins {
        root: Summary,
        proof: Form<OwnerCoinsProof>,
    },
    /// Against the header it carries.
    Balance {
        owner: Owner,
        proof: Form<BalanceAnswer>,
    },
    /// Against the header it carries.
    Coins {
        owner: Owner,
        proof: Form<CoinsAnswer>,
    },
}

/// Checks a proof against the root given.
pub(super) fn verify_proof(line: &str) -> Result<Value, ToolError> {
    const PROOF: &str = "proof";
    match read::<ProofFields>(line)? {
        ProofFields::Inclusion { root, leaf, data, proof } => {
            let leaf = match (leaf, data) {
                (Some(leaf), None) => leaf,
                (None, Some(data)) => Blake::leaf(&hex("data", &data)?),
                _ => {
                    let message = "exactly one of `leaf` and `data` is needed";
                    return Err(ToolError::new("unexpected-json", message));
                }
            };
            Ok(verdict(proof.read(PROOF)?.verify::<Blake>(&root, &leaf), |()| json!({ "valid": true })))
        }
        ProofFields::Consistency { old_root, new_root, proof } => {
            let verified = proof.read(PROOF)?.verify::<Blake>(&old_root, &new_root);
            Ok(verdict(verified, |()| json!({ "valid": true })))
        }
        ProofFields::Coin { root, proof } => {
            let proof = proof.read(PROOF)?;
            let coin = json!({ "valid": true, "outpoint": proof.outpoint, "output": proof.output });
            Ok(verdict(proof.verify(&root), |()| coin))
        }
        ProofFields::Absence { root, proof } => {
            Ok(verdict(proof.read(PROOF)?.verify(&root), |()| json!({ "valid": true })))
        }
        ProofFields::Owner { root, proof } => Ok(verdict(proof.read(PROOF)?.verify(&root), balance)),
        ProofFields::OwnerCoins { root, proof } => Ok(verdict(proof.read(PROOF)?.verify(&root), balance)),
        ProofFields::Balance { owner, proof } => {
            let answer = proof.read(PROOF)?;
            Ok(verdict(answer.verify(&owner), |(sum, count)| {
                let mut found = json!({ "valid": true, "sum": sum, "count": count });
                under(&mut found, &answer.opening.header);
                found
            }))
        }
        ProofFields::Coins { owner, proof } => {
            let answer = proof.read(PROOF)?;
            Ok(verdict(answer.verify(&owner), |coins| {
                let coins: Vec<_> = coins
                    .into_iter()
                    .map(|(outpoint, output)| json!({ "outpoint": outpoint, "output": output }))
                    .collect();
                let mut found = json!({ "valid": true, "coins": coins });
                under(&mut found, &answer.opening.header);
                found
            }))
        }
    }
}

fn verdict<T, E: Code>(verified: Result<T, E>, valid: impl FnOnce(T) -> Value) -> Value {
    match verified {
        Ok(value) => valid(value),
        Err(error) => invalid(&error),
    }
}

fn balance(summary: Summary) -> Value {
    json!({ "valid": true, "sum": summary.sum, "count": summary.count })
}

/// Names the block an answer holds in, whose finality is not checked here.
fn under(found: &mut Value, header: &Header) {
    found["height"] = json!(header.height);
    found["block"] = json!(header.id());
}

/// One change to the set of coins.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    op: OperationKind,
    txid: TxId,
    index: u32,
    owner: Owner,
    amount: Amount,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum OperationKind {
    Insert,
    Remove,
}

impl From<Operation> for Op {
    fn from(Operation { op, txid, index, owner, amount }: Operation) -> Self {
        let (outpoint, output) = (OutPoint { txid, index }, Output { amount, owner });
        match op {
            OperationKind::Insert => Self::Insert(outpoint, output),
            OperationKind::Remove => Self::Remove(outpoint, output),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operations {
    operations: Vec<Operation>,
}

/// The root of the coins after operations on the empty set, with their sum and count.
pub(super) fn state_root(line: &str) -> Result<Value, ToolError> {
    let Operations { operations } = read(line)?;
    let ops: Vec<Op> = operations.into_iter().map(Op::from).collect();
    let Summary { hash, sum, count } = CoinTree::empty().apply(&ops)?;
    Ok(json!({ "root": hash, "sum": sum, "count": count }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Leaves {
    leaves: Vec<String>,
    prove: Option<u64>,
}

/// The root of a log with this content, in hexadecimal; with `prove`, the inclusion proof of that leaf.
pub(super) fn merkle_root(line: &str) -> Result<Value, ToolError> {
    let Leaves { leaves, prove } = read(line)?;
    let leaf = |text: &String| Ok(Blake::leaf(&hex("leaves", text)?));
    let leaves = leaves.iter().map(leaf).collect::<Result<Vec<_>, ToolError>>()?;
    let mut answer = json!({ "root": root::<Blake>(leaves.iter().copied()), "size": leaves.len() });
    if let Some(index) = prove {
        let proof = InclusionProof::from_leaves::<Blake>(&leaves, index)
            .ok_or_else(|| ToolError::new("out-of-range", "there is no such leaf"))?;
        answer["proof"] = json!(proof);
        answer["hex"] = json!(to_hex(&encode(&proof)));
    }
    Ok(answer)
}
