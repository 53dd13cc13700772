//! Reading values of the Informal Trace Format, and giving the model's names a place in our types.

use serde_json::Value;
use timecoin_core::hash::{BlockId, Hash, MasternodeId};
use timecoin_core::keys::{PublicKey, Signature};
use timecoin_core::validators::{Validator, ValidatorIndex, ValidatorSet};
use timecoin_core::vote::{Height, Phase, ViewNumber, Vote, VoteData};

/// A big integer.
pub(crate) fn int(value: &Value) -> i64 {
    value["#bigint"].as_str().and_then(|digits| digits.parse().ok()).expect("a big integer")
}

/// The variant of a sum type.
pub(crate) fn tag(value: &Value) -> &str {
    value["tag"].as_str().expect("a tagged value")
}

/// Text.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// The elements of a list, set, tuple or map (pairs).
pub(crate) fn items(value: &Value) -> &[Value] {
    ["#set", "#tup", "#map"]
        .iter()
        .find_map(|kind| value[kind].as_array())
        .or(value.as_array())
        .expect("a collection")
}

/// The value of a key in a map.
pub(crate) fn at<'a>(map: &'a Value, key: &str) -> &'a Value {
    let pair = items(map).iter().find(|pair| pair[0].as_str() == Some(key));
    &pair.expect("a known key")[1]
}

/// A view; the model's −1 is none.
pub(crate) fn view(value: &Value) -> Option<ViewNumber> {
    u32::try_from(int(value)).ok().map(ViewNumber)
}

/// A height; the model begins with 0.
pub(crate) fn height(value: &Value) -> Height {
    Height(u64::try_from(int(value)).expect("heights are not negative"))
}

/// The block that stands for a value's name.
pub(crate) fn block(name: &str) -> BlockId {
    let mut bytes = [0; 32];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    BlockId(Hash(bytes))
}

/// An optional value: `Nil` or `Val`.
pub(crate) fn choice(value: &Value) -> Option<BlockId> {
    (tag(value) == "Val").then(|| block(text(&value["value"])))
}

/// A set with these weights, and the position of each name in it.
pub(crate) fn validator_set(map: &Value) -> (ValidatorSet, Vec<(String, ValidatorIndex)>) {
    let members: Vec<_> = items(map)
        .iter()
        .enumerate()
        .map(|(number, pair)| {
            let key = PublicKey([u8::try_from(number + 1).expect("few members"); 32]);
            let weight = u64::try_from(int(&pair[1])).expect("a weight");
            (text(&pair[0]).to_owned(), Validator { key, weight, masternode: MasternodeId(Hash(key.0)) })
        })
        .collect();
    let set = ValidatorSet::new(members.iter().map(|(_, member)| *member).collect()).expect("a set");
    let place =
        |(name, member): &(String, Validator)| (name.clone(), set.index_of(&member.key).expect("a member"));
    let places = members.iter().map(place).collect();
    (set, places)
}

/// The phase of a vote type.
pub(crate) fn phase(value: &Value) -> Phase {
    match tag(value) {
        "Prevote" => Phase::Prepare,
        "Precommit" => Phase::Commit,
        other => panic!("unknown vote type {other}"),
    }
}

/// A vote as the model writes it. It has no valid view; signatures are outside what is replayed.
pub(crate) fn vote(value: &Value, validator: ValidatorIndex) -> Vote {
    let data = VoteData {
        phase: phase(&value["voteType"]),
        height: height(&value["height"]),
        view: view(&value["round"]).expect("votes have a view"),
        block: choice(&value["valueId"]),
        valid_view: None,
    };
    Vote { data, validator, signature: Signature([0; 64]) }
}
