//! Every method once: what it takes, what it answers, what can go wrong.
//!
//! The dispatcher looks methods up here; `docs/RPC.md` and `rpc.discover` are made from it, and tests hold every
//! answer against it.

mod chain;
mod coins;
mod node;
mod transactions;

use super::error::Kind;
use super::shape::{Field, Shape, field};

pub(super) use node::TOPICS;

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Its parameters, in order; all may also be given by name.
    pub params: &'static [Field],
    /// What it does.
    pub summary: &'static str,
    /// What it answers.
    pub result: Shape,
    /// What can go wrong besides what can with any call.
    pub errors: &'static [Kind],
    /// Whether it needs the token.
    pub needs_token: bool,
}

/// Methods that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// The methods.
    pub methods: &'static [Method],
}

/// All methods.
pub const GROUPS: &[Group] = &[
    Group { title: "Blocks", methods: chain::METHODS },
    Group { title: "Transactions", methods: transactions::METHODS },
    Group { title: "Coins and balances", methods: coins::METHODS },
    Group { title: "Masternodes, consensus, network, node", methods: node::METHODS },
];

/// All methods, one after the other.
pub fn methods() -> impl Iterator<Item = &'static Method> {
    GROUPS.iter().flat_map(|group| group.methods)
}

const fn method(
    name: &'static str,
    params: &'static [Field],
    summary: &'static str,
    result: Shape,
    errors: &'static [Kind],
) -> Method {
    Method { name, params, summary, result, errors, needs_token: false }
}

/// The final block an answer holds at.
const AT: Field = field(
    "at",
    Shape::Object(&[
        field("height", Shape::Number, ""),
        field("block", Shape::Id, ""),
        field("time", Shape::Time, "of the header"),
        field("final", Shape::Flag, "always true: this node answers from final blocks"),
    ]),
    "the final block at which this holds",
);

/// The certificate of the block an answer is proved against.
const PROVED_BY: Field = field(
    "certificate",
    Shape::Nullable(&Shape::Hex),
    "of the header in the proof, canonical bytes of a `Certificate`; null for genesis",
);

/// A coin: where it is and what it is worth.
const COIN: &[Field] = &[
    field("txid", Shape::Id, ""),
    field("index", Shape::Number, ""),
    field("amount", Shape::Amount, ""),
    field("address", Shape::Address, ""),
];

const CERTIFICATE: Shape = Shape::Object(&[
    field("view", Shape::Number, "in which it was decided"),
    field("signers", Shape::List(&Shape::Number), "positions in the validator set"),
    field("signatures", Shape::List(&Shape::Hex), "in the order of the signers"),
    field("hex", Shape::Hex, "canonical bytes"),
]);

const TRANSACTION: Shape = Shape::Object(&[
    field("txid", Shape::Id, ""),
    field("version", Shape::Number, ""),
    field("size", Shape::Number, "bytes of the signed form"),
    field("fee", Shape::Amount, ""),
    field("inputs", Shape::List(&Shape::Object(COIN)), "the coins spent"),
    field("outputs", Shape::List(&Shape::Object(COIN)), "the coins made"),
    field(
        "action",
        Shape::Free("object"),
        "`kind`: transfer, register_masternode, retire_masternode, rotate_operator or reward, with its members",
    ),
    field("expires_at", Shape::Time, "the last time at which it can be in a block"),
    field("memo", Shape::Text, "what is no UTF-8 is replaced"),
]);

const TXID: Field = field("txid", Shape::Id, "");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_required_parameters_come_first() {
        let names: std::collections::BTreeSet<_> = methods().map(|method| method.name).collect();
        assert_eq!(names.len(), methods().count());
        for method in methods() {
            let mut required = method.params.iter().map(|field| field.required);
            assert!(
                required.by_ref().skip_while(|required| *required).all(|required| !required),
                "{}",
                method.name
            );
            assert!(!method.summary.is_empty(), "{}", method.name);
        }
    }
}
