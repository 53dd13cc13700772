//! Balances and coins, with proofs.

use super::{AT, Kind, Method, PROVED_BY, TXID, method};
use crate::rpc::shape::{Shape, field, optional};

const ADDRESS: super::Field = field("address", Shape::Address, "");

const BALANCE: Shape = Shape::Object(&[
    ADDRESS,
    field("balance", Shape::Amount, "of all its coins, collateral included"),
    field("coins", Shape::Number, "how many"),
    AT,
    field("proof", Shape::Hex, "canonical bytes of a `BalanceAnswer`: nothing is left out"),
    PROVED_BY,
]);

const BALANCE_OF_MANY: Shape = Shape::Object(&[
    ADDRESS,
    field("balance", Shape::Amount, "of all its coins, collateral included"),
    field("coins", Shape::Number, "how many"),
    AT,
    field("proof", Shape::Hex, "canonical bytes of a `BalanceAnswer`: nothing is left out"),
]);

const LIST: Shape = Shape::Object(&[
    ADDRESS,
    field(
        "coins",
        Shape::List(&Shape::Object(&[
            field("txid", Shape::Id, ""),
            field("index", Shape::Number, ""),
            field("amount", Shape::Amount, ""),
            field("address", Shape::Address, ""),
            field("locked", Shape::Nullable(&Shape::Id), "the masternode whose collateral it is"),
        ])),
        "",
    ),
    AT,
    field("proof", Shape::Hex, "canonical bytes of a `CoinsAnswer`: no coin is missing"),
    PROVED_BY,
]);

pub(super) const METHODS: &[Method] = &[
    method(
        "getbalance",
        &[ADDRESS],
        "The whole balance of an address, with its proof.",
        BALANCE,
        &[Kind::Busy],
    ),
    method(
        "getbalances",
        &[field("addresses", Shape::List(&Shape::Address), "at most 500")],
        "Balances with their proofs, all of them at one block: getblockheader has its certificate.",
        Shape::List(&BALANCE_OF_MANY),
        &[Kind::Busy],
    ),
    method(
        "listunspent",
        &[ADDRESS],
        "All coins of an address, proved complete.",
        LIST,
        &[Kind::TooLarge, Kind::Busy],
    ),
    method(
        "listunspentmulti",
        &[field("addresses", Shape::List(&Shape::Address), "at most 20")],
        "All coins of several addresses. Each list says at which block it holds.",
        Shape::List(&LIST),
        &[Kind::TooLarge, Kind::Busy],
    ),
    method(
        "gettxout",
        &[TXID, field("index", Shape::Number, "")],
        "A coin with the proof that it is unspent, or null.",
        Shape::Nullable(&Shape::Object(&[
            field("txid", Shape::Id, ""),
            field("index", Shape::Number, ""),
            field("amount", Shape::Amount, ""),
            field("address", Shape::Address, ""),
            AT,
            field("made_at", Shape::Number, "height"),
            field(
                "opening",
                Shape::Hex,
                "canonical bytes of an `Opening`: the header and what its state root is of",
            ),
            field("proof", Shape::Hex, "canonical bytes of a `CoinProof` under the opening's coins"),
            PROVED_BY,
        ])),
        &[Kind::Busy],
    ),
    method(
        "gettxoutsetinfo",
        &[],
        "Number and sum of all coins, as the header commits to them.",
        Shape::Object(&[
            field("coins", Shape::Number, ""),
            field("amount", Shape::Amount, ""),
            field("coins_root", Shape::Id, ""),
            field("pool", Shape::Amount, "fees and rewards not yet paid out"),
            field("supply", Shape::Amount, "amount and pool"),
            field("issued", Shape::Amount, "what may exist at the header's time; equals the supply"),
            AT,
        ]),
        &[],
    ),
    method(
        "getaddresshistory",
        &[
            ADDRESS,
            optional("from", Shape::Number, "the highest height; the newest if absent"),
            optional("count", Shape::Number, "at most 200; 50 if absent"),
        ],
        "What blocks did to an address's coins, newest first, as this node reports it: not proved.",
        Shape::Object(&[
            field(
                "reported",
                Shape::List(&Shape::Object(&[
                    field("txid", Shape::Id, ""),
                    field("index", Shape::Number, ""),
                    field("amount", Shape::Amount, ""),
                    field("address", Shape::Address, ""),
                    field("height", Shape::Number, ""),
                    field("made", Shape::Flag, "made there; otherwise spent there"),
                ])),
                "",
            ),
            field("proved", Shape::Flag, "always false: a wallet proves its history with getfilters"),
            AT,
        ]),
        &[],
    ),
    method(
        "validateaddress",
        &[field("address", Shape::Text, "")],
        "Whether a text is an address of this network.",
        Shape::Object(&[
            field("valid", Shape::Flag, ""),
            optional("owner", Shape::Id, "where it is valid"),
            optional(
                "code",
                Shape::Text,
                "where it is not: address-malformed, address-damaged or address-wrong-network",
            ),
            optional("reason", Shape::Text, "where it is not"),
        ]),
        &[],
    ),
];
