//! Blocks, headers, filters, sets.

use super::{AT, CERTIFICATE, Kind, Method, TRANSACTION, method};
use crate::rpc::shape::{Field, Shape, field, optional};

const BLOCK: Field = field("block", Shape::Either(&[Shape::Number, Shape::Id]), "a height or a block id");

/// A header's members, and more where the macro is given more.
macro_rules! header_and {
    ($($more:expr),*) => {
        Shape::Object(&[
            field("height", Shape::Number, ""),
            field("block", Shape::Id, "the block's id"),
            field("version", Shape::Number, ""),
            field("view", Shape::Number, "in which it was first proposed"),
            field("time", Shape::Time, "set by the proposer"),
            field("parent", Shape::Id, ""),
            field("transactions_root", Shape::Id, ""),
            field("state_root", Shape::Id, ""),
            field("supply", Shape::Amount, "all money there is after this block"),
            field("filter_hash", Shape::Id, ""),
            field("history_root", Shape::Id, ""),
            field("validators_hash", Shape::Id, ""),
            field("next_validators_hash", Shape::Id, ""),
            field("evidence_root", Shape::Id, ""),
            field("parent_certificate_hash", Shape::Id, ""),
            field("proposer", Shape::Id, "operator key"),
            field("final", Shape::Flag, "always true"),
            field("certificate", Shape::Nullable(&CERTIFICATE), "proof of finality; null for genesis"),
            field("hex", Shape::Hex, "canonical bytes of the header"),
            $($more),*
        ])
    };
}

pub(super) const HEADER: Shape = header_and!();

const FULL_BLOCK: Shape = header_and!(
    field(
        "transactions",
        Shape::List(&Shape::Either(&[Shape::Id, TRANSACTION])),
        "ids, or whole where verbose"
    ),
    field("evidence", Shape::List(&Shape::Hex), "canonical bytes")
);

/// What a subscription to `blocks` is told.
pub(super) const BLOCK_NEWS: Shape = header_and!(
    field("transactions", Shape::Number, "how many"),
    field("elapsed_ms", Shape::Number, "from the first sight of its proposal to finality, at this node")
);

const VALIDATORS: Shape = Shape::Object(&[
    field("hash", Shape::Id, "as committed in headers"),
    field("total", Shape::Number, "weight of all"),
    field(
        "validators",
        Shape::List(&Shape::Object(&[
            field("index", Shape::Number, "position in the set"),
            field("key", Shape::Id, "operator key"),
            field("weight", Shape::Number, ""),
            field("masternode", Shape::Id, ""),
        ])),
        "in set order",
    ),
]);

pub(super) const METHODS: &[Method] = &[
    method(
        "getblockchaininfo",
        &[],
        "The chain and where it stands.",
        Shape::Object(&[
            field("chain", Shape::Id, "chain id: hash of the consensus part of the chain spec"),
            field("name", Shape::Text, ""),
            field("network", Shape::Word(&["main", "test", "dev"]), ""),
            field("genesis_time", Shape::Time, ""),
            field("blocks", Shape::Number, "the newest final height"),
            field("bestblockhash", Shape::Id, "its block"),
            field("time", Shape::Time, "its time"),
            field("state_root", Shape::Id, ""),
            field("supply", Shape::Amount, "all money there is"),
            field("pool", Shape::Amount, "fees and rewards not yet paid out"),
            field("coins", Shape::Number, "unspent coins"),
            field("validators", Shape::Number, "how many sign the next block"),
            field("validators_hash", Shape::Id, ""),
            field("epoch_start", Shape::Number, "height"),
            field("epoch_blocks", Shape::Number, "length of an epoch"),
            field("final", Shape::Flag, "always true"),
        ]),
        &[],
    ),
    method("getblockcount", &[], "The newest final height.", Shape::Number, &[]),
    method(
        "getblockhash",
        &[field("height", Shape::Number, "")],
        "The id of the block at a height.",
        Shape::Id,
        &[Kind::NotFound],
    ),
    method(
        "getblock",
        &[BLOCK, optional("verbose", Shape::Flag, "whole transactions in place of ids")],
        "A block with its certificate.",
        FULL_BLOCK,
        &[Kind::NotFound],
    ),
    method(
        "getrawblock",
        &[BLOCK],
        "A block as canonical bytes of a `Block`.",
        Shape::Hex,
        &[Kind::NotFound],
    ),
    method("getblockheader", &[BLOCK], "A header with its certificate.", HEADER, &[Kind::NotFound]),
    method(
        "getlightblock",
        &[BLOCK],
        "Header, certificate and both validator sets, for light clients.",
        Shape::Object(&[AT, field("hex", Shape::Hex, "canonical bytes of a `LightBlock`")]),
        &[Kind::NotFound],
    ),
    method(
        "ask",
        &[field("question", Shape::Hex, "canonical bytes of a `Question` (PROTOCOL.md, section 9)")],
        "What peers answer light nodes: proved balances, coins, blocks, transactions, history.",
        Shape::Object(&[field("reply", Shape::Hex, "canonical bytes of a `Reply`")]),
        &[],
    ),
    method(
        "getfilters",
        &[
            field("from", Shape::Number, "the first height"),
            optional("count", Shape::Number, "at most 100; 100 if absent"),
        ],
        "Block filters with their headers, up to the newest block.",
        Shape::List(&Shape::Object(&[
            field("height", Shape::Number, ""),
            field("header", Shape::Hex, "canonical bytes"),
            field("filter", Shape::Hex, ""),
        ])),
        &[],
    ),
    method(
        "getvalidators",
        &[optional("height", Shape::Number, "the next one if absent")],
        "The validator set that signs a height.",
        VALIDATORS,
        &[Kind::NotFound],
    ),
];
