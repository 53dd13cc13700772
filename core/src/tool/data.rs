//! What bytes are: transactions, blocks and every other type with a wire form.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ToolError, hex, read};
use crate::amount::Amount;
use crate::answer::{BalanceAnswer, CoinsAnswer};
use crate::block::{Block, Body, Header, filter_key};
use crate::certificate::Certificate;
use crate::codec::{Wire, decode, encode};
use crate::evidence::Evidence;
use crate::filter::Filter;
use crate::hash::{BlockId, ChainId, Owner, to_hex};
use crate::light::{LightBlock, Trusted};
use crate::merkle::{Blake, ConsistencyProof, Frontier, InclusionProof};
use crate::message::Message;
use crate::receipt::Receipt;
use crate::spec::ConsensusSpec;
use crate::state::StateCommitment;
use crate::state::accounting::Accounting;
use crate::state::registry::Registry;
use crate::state::tree::{AbsenceProof, Chunk, CoinProof, Multiproof, OwnerCoinsProof, OwnerProof};
use crate::transaction::SignedTransaction;
use crate::validators::ValidatorSet;
use crate::vote::Vote;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bytes {
    hex: String,
    chain: Option<ChainId>,
}

/// What a signed transaction says, and what follows from it alone.
pub(super) fn decode_transaction(line: &str) -> Result<Value, ToolError> {
    let Bytes { hex: text, chain } = read(line)?;
    let bytes = hex("hex", &text)?;
    let signed: SignedTransaction = decode(&bytes)?;
    let mut answer = describe(&signed);
    answer.insert("size".into(), json!(bytes.len()));
    if let Some(chain) = chain {
        answer.insert("sighash".into(), json!(signed.transaction.sighash(&chain, &signed.spent)));
    }
    Ok(Value::Object(answer))
}

fn describe(signed: &SignedTransaction) -> Map<String, Value> {
    let SignedTransaction { transaction, spent, witnesses } = signed;
    let sum = |outputs: &[crate::transaction::Output]| {
        Amount::checked_sum(outputs.iter().map(|output| output.amount))
    };
    let fee = sum(spent).zip(sum(&transaction.outputs)).and_then(|(spent, made)| spent.checked_sub(made));
    let mut answer = Map::new();
    let mut field = |name: &str, value: Value| answer.insert(name.into(), value);
    field("txid", json!(transaction.id()));
    field("commitment", json!(to_hex(&signed.commitment())));
    field("fee", json!(fee));
    field("version", json!(transaction.version));
    field("inputs", json!(transaction.inputs));
    field("spent", json!(spent));
    field("outputs", json!(transaction.outputs));
    field("action", json!(transaction.action));
    field("expires_at", json!(transaction.expires_at));
    field("memo", json!(to_hex(&transaction.memo)));
    field("witnesses", json!(witnesses));
    answer
}

/// What a block says, and whether its body is the one its header commits to.
pub(super) fn decode_block(line: &str) -> Result<Value, ToolError> {
    let Bytes { hex: text, chain } = read(line)?;
    let bytes = hex("hex", &text)?;
    let Block { header, body } = decode(&bytes)?;
    let described = body.transactions.iter().map(|signed| {
        let mut answer = describe(signed);
        if let Some(chain) = chain {
            answer.insert("sighash".into(), json!(signed.transaction.sighash(&chain, &signed.spent)));
        }
        answer
    });
    Ok(json!({
        "id": header.id(),
        "size": bytes.len(),
        "header": header,
        "transactions": described.collect::<Vec<_>>(),
        "evidence": body.evidence,
        "parent_certificate": body.parent_certificate,
        "committed": {
            "transactions_root": body.transactions_root() == header.transactions_root,
            "evidence_root": Evidence::root(&body.evidence) == header.evidence_root,
            "parent_certificate_hash":
                Certificate::hash(body.parent_certificate.as_ref()) == header.parent_certificate_hash,
        },
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[serde(rename = "type")]
    name: String,
    hex: String,
    chain: Option<ChainId>,
}

type RoundTrip = fn(&[u8], Option<&ChainId>) -> Result<Value, ToolError>;

/// Every type whose bytes are a format of ours.
pub(super) const TYPES: [(&str, RoundTrip); 27] = [
    ("absence-proof", |bytes, _| round_trip::<AbsenceProof>(bytes, |_| json!({}))),
    ("accounting", |bytes, _| round_trip::<Accounting>(bytes, |value| json!({ "hash": value.hash() }))),
    ("balance-answer", |bytes, _| round_trip::<BalanceAnswer>(bytes, |_| json!({}))),
    ("block", |bytes, _| round_trip::<Block>(bytes, |value| json!({ "id": value.header.id() }))),
    ("body", |bytes, _| {
        round_trip::<Body>(bytes, |value| json!({ "transactions_root": value.transactions_root() }))
    }),
    ("certificate", |bytes, chain| {
        round_trip::<Certificate>(bytes, |value| {
            let signed = chain.map(|chain| to_hex(&value.data.sign_bytes(chain)));
            json!({ "hash": Certificate::hash(Some(value)), "sign_bytes": signed })
        })
    }),
    ("chunk", |bytes, _| round_trip::<Chunk>(bytes, |_| json!({}))),
    ("coin-proof", |bytes, _| round_trip::<CoinProof>(bytes, |_| json!({}))),
    ("coins-answer", |bytes, _| round_trip::<CoinsAnswer>(bytes, |_| json!({}))),
    ("consistency-proof", |bytes, _| round_trip::<ConsistencyProof>(bytes, |_| json!({}))),
    ("evidence", |bytes, _| {
        round_trip::<Evidence>(bytes, |value| json!({ "root": Evidence::root(&[*value]) }))
    }),
    ("filter", |bytes, _| round_trip::<Filter>(bytes, |value| json!({ "hash": value.hash() }))),
    ("frontier", |bytes, _| round_trip::<Frontier>(bytes, |value| json!({ "root": value.root::<Blake>() }))),
    ("header", |bytes, _| {
        round_trip::<Header>(bytes, |value| json!({ "id": value.id(), "history_leaf": value.history_leaf() }))
    }),
    ("inclusion-proof", |bytes, _| round_trip::<InclusionProof>(bytes, |_| json!({}))),
    ("light-block", |bytes, _| round_trip::<LightBlock>(bytes, |value| json!({ "id": value.header.id() }))),
    ("message", |bytes, _| round_trip::<Message>(bytes, |_| json!({}))),
    ("multiproof", |bytes, _| round_trip::<Multiproof>(bytes, |_| json!({}))),
    ("owner-coins-proof", |bytes, _| round_trip::<OwnerCoinsProof>(bytes, |_| json!({}))),
    ("owner-proof", |bytes, _| round_trip::<OwnerProof>(bytes, |_| json!({}))),
    ("receipt", |bytes, _| round_trip::<Receipt>(bytes, |value| json!({ "text": value.to_text() }))),
    ("registry", |bytes, _| round_trip::<Registry>(bytes, |value| json!({ "root": value.root() }))),
    ("state-commitment", |bytes, _| {
        round_trip::<StateCommitment>(
            bytes,
            |value| json!({ "root": value.root(), "supply": value.supply() }),
        )
    }),
    ("transaction", |bytes, chain| {
        round_trip::<SignedTransaction>(bytes, |value| {
            let sighash = chain.map(|chain| value.transaction.sighash(chain, &value.spent));
            let commitment = to_hex(&value.commitment());
            json!({ "txid": value.transaction.id(), "commitment": commitment, "sighash": sighash })
        })
    }),
    ("trusted", |bytes, _| round_trip::<Trusted>(bytes, |_| json!({}))),
    ("validator-set", |bytes, _| round_trip::<ValidatorSet>(bytes, |value| json!({ "hash": value.hash() }))),
    ("vote", |bytes, chain| {
        round_trip::<Vote>(
            bytes,
            |value| json!({ "sign_bytes": chain.map(|chain| to_hex(&value.data.sign_bytes(chain))) }),
        )
    }),
];

/// Decodes, encodes again, and says what the value is and hashes to.
pub(super) fn codec_roundtrip(line: &str) -> Result<Value, ToolError> {
    let Typed { name, hex: text, chain } = read(line)?;
    let Some((_, round_trip)) = TYPES.into_iter().find(|(known, _)| *known == name) else {
        let names: Vec<_> = TYPES.into_iter().map(|(name, _)| name).collect();
        return Err(ToolError::new("unknown-type", format!("`type` is one of {}", names.join(", "))));
    };
    round_trip(&hex("hex", &text)?, chain.as_ref())
}

fn round_trip<T: Wire>(bytes: &[u8], hashes: impl Fn(&T) -> Value) -> Result<Value, ToolError> {
    let value: T = decode(bytes)?;
    let again = encode(&value);
    let json = serde_json::to_value(&value).expect("wire types are plain data without maps");
    Ok(json!({
        "size": again.len(),
        "same": again == bytes,
        "hex": to_hex(&again),
        "derived": hashes(&value),
        "value": json,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecFields {
    consensus: ConsensusSpec,
}

/// The consensus part of a chain spec to its chain id.
pub(super) fn chain_id(line: &str) -> Result<Value, ToolError> {
    let SpecFields { consensus } = read(line)?;
    consensus.check()?;
    Ok(json!({ "chain": consensus.id(), "hex": to_hex(&encode(&consensus)) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilterFields {
    parent: BlockId,
    owners: Vec<Owner>,
    filter: Option<String>,
}

/// Owners and the parent's id to a block's filter; with a `filter`, whether that one may hold any of the owners.
pub(super) fn filter(line: &str) -> Result<Value, ToolError> {
    let FilterFields { parent, owners, filter } = read(line)?;
    let key = filter_key(&parent);
    if let Some(text) = filter {
        let filter = Filter(hex("filter", &text)?);
        return Ok(json!({ "matches": filter.matches_any(key, &owners)?, "hash": filter.hash() }));
    }
    let filter = Filter::build(key, &owners.into_iter().collect());
    Ok(json!({ "filter": to_hex(&filter.0), "hash": filter.hash() }))
}
