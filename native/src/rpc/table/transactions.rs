//! Transactions: making, submitting, following, proving.

use super::{AT, COIN, Kind, Method, TRANSACTION, TXID, method};
use crate::rpc::shape::{Shape, field, optional};

const PHASE: Shape = Shape::Word(&["pending", "preprepare", "prepare", "commit", "finalized"]);

const FINALITY: Shape = Shape::Object(&[
    TXID,
    field("phase", PHASE, ""),
    field("final", Shape::Flag, ""),
    optional("at", AT.shape, "its block, where it is final"),
]);

/// What a subscription to `transactions` is told.
pub(super) const PHASE_NEWS: Shape = Shape::Object(&[
    field(
        "phase",
        Shape::Word(&["pending", "preprepare", "prepare", "commit", "finalized", "dropped"]),
        "dropped: replaced, evicted, expired, or in conflict with a final one",
    ),
    field("txids", Shape::List(&Shape::Id), ""),
]);

/// What a subscription to `addresses` is told.
pub(super) const ADDRESS_NEWS: Shape = Shape::Object(&[
    AT,
    field(
        "transactions",
        Shape::List(&TRANSACTION),
        "those of the block that spend or make coins of the addresses",
    ),
]);

const PLACED: Shape = Shape::Object(&[
    TXID,
    field("version", Shape::Number, ""),
    field("size", Shape::Number, "bytes of the signed form"),
    field("fee", Shape::Amount, ""),
    field("inputs", Shape::List(&Shape::Object(COIN)), "the coins spent"),
    field("outputs", Shape::List(&Shape::Object(COIN)), "the coins made"),
    field("action", Shape::Free("object"), "as in getrawtransaction"),
    field("expires_at", Shape::Time, ""),
    field("memo", Shape::Text, ""),
    field("phase", PHASE, ""),
    field("final", Shape::Flag, ""),
    optional("index", Shape::Number, "position in its block, where it is final"),
    optional("at", AT.shape, "its block, where it is final"),
]);

const HEX: Shape = Shape::Hex;

/// Everything a submission can be refused for.
const REFUSALS: &[Kind] = &[
    Kind::AlreadyPending,
    Kind::Expired,
    Kind::ExpiryTooFar,
    Kind::CoinUnknownOrSpent,
    Kind::CoinMismatch,
    Kind::DoubleSpend,
    Kind::ReplacesTooMany,
    Kind::SpendsReplaced,
    Kind::TooManyAncestors,
    Kind::MempoolFull,
    Kind::UnknownVersion,
    Kind::TransactionTooLarge,
    Kind::NoInputs,
    Kind::NoOutputs,
    Kind::DuplicateInput,
    Kind::SpentCount,
    Kind::OutputTooSmall,
    Kind::Overflow,
    Kind::ValueCreated,
    Kind::FeeTooLow,
    Kind::MemoTooLong,
    Kind::Collateral,
    Kind::OperatorKey,
    Kind::OperatorProof,
    Kind::Reward,
    Kind::Witness,
    Kind::Signature,
    Kind::CollateralLocked,
    Kind::UnknownMasternode,
    Kind::MasternodeInactive,
    Kind::NotTheOwner,
    Kind::OperatorInUse,
    Kind::OperatorReplaced,
    Kind::RegistryFull,
    Kind::Refused,
];

pub(super) const METHODS: &[Method] = &[
    method(
        "getrawtransaction",
        &[TXID, optional("verbose", Shape::Flag, "decoded in place of bytes")],
        "A pending or final transaction: canonical bytes of a `SignedTransaction`, or decoded.",
        Shape::Either(&[HEX, TRANSACTION]),
        &[Kind::NotFound],
    ),
    method("gettransaction", &[TXID], "A transaction with its phase and place.", PLACED, &[Kind::NotFound]),
    method(
        "createrawtransaction",
        &[
            field(
                "inputs",
                Shape::List(&Shape::Object(&[
                    field("txid", Shape::Id, ""),
                    field("index", Shape::Number, ""),
                ])),
                "coins to spend, at most 100; all they are worth and the outputs do not take is the fee",
            ),
            field(
                "outputs",
                Shape::List(&Shape::Object(&[
                    field("address", Shape::Address, ""),
                    field("amount", Shape::Amount, ""),
                ])),
                "whom to pay, in this order, change included",
            ),
            optional("expires_at", Shape::Time, "one hour from now if absent"),
            optional("memo", Shape::Text, "at most 80 bytes"),
        ],
        "A transfer to be signed elsewhere. Nothing is reserved and nothing is kept.",
        Shape::Object(&[
            TXID,
            field("hex", Shape::Hex, "canonical bytes of a `SignedTransaction` without witnesses"),
            field("fee", Shape::Amount, ""),
            field("fee_min", Shape::Amount, "for its size once signed, if every owner is one key"),
            field(
                "spent",
                Shape::List(&Shape::Object(COIN)),
                "what the inputs are worth; the signature binds it",
            ),
        ]),
        &[Kind::CoinUnknownOrSpent, Kind::ValueCreated, Kind::Overflow, Kind::MemoTooLong],
    ),
    method(
        "decoderawtransaction",
        &[field("hex", HEX, "canonical bytes of a `SignedTransaction`")],
        "What a transaction says. Nothing of it is checked.",
        TRANSACTION,
        &[],
    ),
    method(
        "sendrawtransaction",
        &[field("hex", HEX, "canonical bytes of a `SignedTransaction`")],
        "Submits a signed transaction; answers its id once it is in the mempool.",
        Shape::Id,
        REFUSALS,
    ),
    method("gettransactionfinality", &[TXID], "The phase of a transaction.", FINALITY, &[Kind::NotFound]),
    method(
        "waittransactionfinality",
        &[TXID, optional("timeout_ms", Shape::Number, "at most 60,000, which it is if absent")],
        "Waits until a transaction is final. It need not be known yet.",
        FINALITY,
        &[Kind::Timeout, Kind::Stopped],
    ),
    method(
        "getreceipt",
        &[TXID],
        "Proof of a payment's finality from genesis on, to be checked offline.",
        Shape::Object(&[
            TXID,
            AT,
            field("receipt", Shape::Free("object"), "the receipt as JSON"),
            field("text", Shape::Text, "the receipt as one line, fit for a QR code"),
        ]),
        &[Kind::NotFound, Kind::TooLarge],
    ),
    method(
        "getmempoolinfo",
        &[],
        "How much waits for a block.",
        Shape::Object(&[
            field("size", Shape::Number, "transactions"),
            field("bytes", Shape::Number, "of their signed forms"),
            field("bytes_max", Shape::Number, "beyond which the worst paying leave"),
            field("fee_per_kb_min", Shape::Number, "grains per 1,000 bytes"),
        ]),
        &[],
    ),
    method(
        "getrawmempool",
        &[],
        "Ids of pending transactions, best paying first, at most 1,000.",
        Shape::List(&Shape::Id),
        &[],
    ),
    method(
        "estimatefee",
        &[optional("size", Shape::Number, "bytes of the signed form; 1,000 if absent")],
        "The least fee of a transaction of so many bytes.",
        Shape::Object(&[
            field("size", Shape::Number, ""),
            field("fee", Shape::Amount, ""),
            field("fee_per_kb", Shape::Number, "grains per 1,000 bytes"),
        ]),
        &[],
    ),
];
