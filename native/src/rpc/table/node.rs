//! Masternodes, consensus, peers, and the node itself.

use super::chain::BLOCK_NEWS;
use super::transactions::{ADDRESS_NEWS, PHASE_NEWS};
use super::{AT, Kind, Method, method};
use crate::rpc::shape::{Shape, field, optional};

/// A masternode's members, and more where the macro is given more.
macro_rules! masternode_and {
    ($($more:expr),*) => {
        Shape::Object(&[
            field("masternode", Shape::Id, ""),
            field("tier", Shape::Word(&["Bronze", "Silver", "Gold"]), ""),
            field("class", Shape::Word(&["Server", "Browser"]), ""),
            field("operator", Shape::Id, "the key that votes"),
            field("owner", Shape::Address, "who decides"),
            field("payout", Shape::Address, "who is paid"),
            field(
                "collateral",
                Shape::Object(&[
                    field("txid", Shape::Id, ""),
                    field("index", Shape::Number, ""),
                    field("amount", Shape::Amount, ""),
                ]),
                "",
            ),
            field("registered_at", Shape::Number, "height"),
            field("status", Shape::Word(&["active", "retired", "ejected"]), ""),
            field("unlock_at", Shape::Nullable(&Shape::Time), "when the collateral is free"),
            field("weight", Shape::Nullable(&Shape::Number), "in this epoch; null outside the set"),
            field("signed_this_epoch", Shape::Nullable(&Shape::Number), "blocks"),
            field("last_signed", Shape::Nullable(&Shape::Number), "height"),
            $($more),*
        ])
    };
}

const MASTERNODE: Shape = masternode_and!();

/// Where consensus stands.
const CONSENSUS: Shape = Shape::Object(&[
    field("height", Shape::Number, ""),
    field("view", Shape::Number, ""),
    field("phase", Shape::Text, "of the view"),
    field("proposer", Shape::Nullable(&Shape::Id), "operator key"),
    field("locked", Shape::Nullable(&Shape::Id), "the block this node committed to"),
    field("valid", Shape::Nullable(&Shape::Id), "the newest prepared block"),
    field("votes_held", Shape::Number, "at most 22 per validator"),
    field(
        "quarantine",
        Shape::Nullable(&Shape::Object(&[
            field("reason", Shape::Text, ""),
            field("silent_until_height", Shape::Number, ""),
        ])),
        "why and for how long this validator stays silent",
    ),
]);

/// The topics of subscriptions and what each is told.
pub(in crate::rpc) const TOPICS: &[(&str, &str, Shape)] = &[
    ("blocks", "every final block; no filter", BLOCK_NEWS),
    ("transactions", "phase changes; filter: ids, all if absent", PHASE_NEWS),
    ("addresses", "final transactions; filter: addresses", ADDRESS_NEWS),
];

pub(super) const METHODS: &[Method] = &[
    method(
        "masternodelist",
        &[],
        "All masternodes, proved complete.",
        Shape::Object(&[
            field("masternodes", Shape::List(&MASTERNODE), ""),
            AT,
            field("proof", Shape::Hex, "canonical bytes of a `RegistryAnswer`: none is missing"),
        ]),
        &[],
    ),
    method(
        "masternodestatus",
        &[field("masternode", Shape::Id, "its id, or its operator key")],
        "One masternode.",
        masternode_and!(AT),
        &[Kind::NotFound],
    ),
    method("getconsensusinfo", &[], "The open height, and whether this node may sign.", CONSENSUS, &[]),
    method(
        "getnetworkinfo",
        &[],
        "This node on the network.",
        Shape::Object(&[
            field("node", Shape::Id, "its public key"),
            field("protocol_version", Shape::Number, ""),
            field("software", Shape::Text, "version"),
            field("chain", Shape::Id, ""),
            field("peers", Shape::Number, "sessions"),
        ]),
        &[],
    ),
    method(
        "getpeerinfo",
        &[],
        "Sessions with peers.",
        Shape::List(&Shape::Object(&[
            field("node", Shape::Id, "its public key"),
            field("height", Shape::Number, "as it says"),
            field("round_trip_ms", Shape::Nullable(&Shape::Number), ""),
            field("role", Shape::Nullable(&Shape::Text), "as it says"),
            field("listen", Shape::Nullable(&Shape::Text), "where it is reached, as it says"),
            field("outbound", Shape::Nullable(&Shape::Flag), "whether this node dialled"),
            field("since", Shape::Nullable(&Shape::Time), ""),
        ])),
        &[],
    ),
    method(
        "listbanned",
        &[],
        "Peers that get no session for a while: each did what no honest peer does, provably.",
        Shape::List(&Shape::Object(&[
            field("node", Shape::Id, "its public key"),
            field("until", Shape::Time, "when it may come back"),
        ])),
        &[],
    ),
    method(
        "subscribe",
        &[
            field("topic", Shape::Word(&["blocks", "transactions", "addresses"]), ""),
            optional("filter", Shape::List(&Shape::Text), "ids of transactions, or addresses; at most 1,000"),
        ],
        "Over WebSocket: pushes news of a topic as notifications `subscription`. At most 16 at once.",
        Shape::Number,
        &[Kind::NeedsSocket],
    ),
    method(
        "unsubscribe",
        &[field("subscription", Shape::Number, "what `subscribe` answered")],
        "Ends a subscription; whether there was one.",
        Shape::Flag,
        &[Kind::NeedsSocket],
    ),
    method("uptime", &[], "Milliseconds since the node started.", Shape::Number, &[]),
    method("rpc.discover", &[], "This list, as OpenRPC.", Shape::Free("OpenRPC document"), &[]),
    Method {
        name: "overridequarantine",
        params: &[field(
            "height",
            Shape::Number,
            "the first at which it may sign: you answer for it that its key signed nothing there or above",
        )],
        summary: "Ends the silence of a validator whose store was lost or rolled back. Needed where more than a third \
                  of the weight is silent at once.",
        result: CONSENSUS,
        errors: &[Kind::NotFound],
        needs_token: true,
    },
    Method {
        name: "stop",
        params: &[],
        summary: "Stops the node.",
        result: Shape::Word(&["stopping"]),
        errors: &[],
        needs_token: true,
    },
];
