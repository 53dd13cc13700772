//! The layers of `core/src`: a module imports only from its own layer and from those below it.
//!
//! The table is the truth about the core's structure: a module that is not in it is an error.

use super::Violation;
use super::tokens::CodePath;

/// What a module of a layer may import of its own layer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Siblings {
    /// Anything: they are one vocabulary.
    Allowed,
    /// Nothing: they meet only in a layer above.
    Forbidden,
}

/// From the bottom up.
const LAYERS: &[(&str, Siblings, &[&str])] = &[
    ("primitives", Siblings::Allowed, &["amount", "codec", "hash", "json", "keys", "time"]),
    (
        "data",
        Siblings::Allowed,
        &[
            "address",
            "block",
            "certificate",
            "evidence",
            "filter",
            "lock",
            "merkle",
            "rows",
            "spec",
            "transaction",
            "validators",
            "vote",
        ],
    ),
    ("rules", Siblings::Allowed, &["answer", "light", "receipt", "schema", "state"]),
    ("machines", Siblings::Forbidden, &["consensus", "mempool", "peer", "sync"]),
    ("messages", Siblings::Forbidden, &["message"]),
    ("node", Siblings::Forbidden, &["node"]),
    ("store", Siblings::Forbidden, &["store"]),
    ("driver", Siblings::Forbidden, &["driver"]),
];

/// Modules beside the layers, which none of them may import: the highest layer each uses, and other side modules.
const SIDE: &[(&str, &str, &[&str])] = &[
    ("wallet", "driver", &[]),
    ("rpc", "rules", &[]),
    ("tool", "messages", &["wallet"]),
    ("testing", "driver", &["wallet"]),
];

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|(name, ..)| *name == layer)
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, _, modules)| modules.contains(&module))
}

fn is_known(module: &str) -> bool {
    layer_of(module).is_some() || SIDE.iter().any(|(name, ..)| *name == module)
}

/// Why `from` may not import `to`, if it may not. Both are known modules.
fn objection(from: &str, to: &str) -> Option<String> {
    if from == to {
        return None;
    }
    if let Some((_, ceiling, beside)) = SIDE.iter().find(|(name, ..)| *name == from) {
        let allowed = beside.contains(&to) || layer_of(to).is_some_and(|layer| Some(layer) <= rank(ceiling));
        return (!allowed).then(|| format!("`{from}` uses nothing above the layer `{ceiling}`"));
    }
    let from_layer = layer_of(from)?;
    let (layer, siblings, _) = LAYERS.get(from_layer)?;
    match layer_of(to) {
        None => Some(format!("`{to}` stands beside the layers; none of them knows it")),
        Some(to_layer) if to_layer > from_layer => {
            Some(format!("`{to}` is above `{from}` (layer `{layer}`)"))
        }
        Some(to_layer) if to_layer == from_layer && *siblings == Siblings::Forbidden => {
            Some(format!("`{layer}` are siblings that meet only in a layer above, through return values"))
        }
        Some(_) => None,
    }
}

/// The module path of a file below `core/src`; empty for the crate root.
fn modules_of(file: &str) -> Vec<&str> {
    let below = file.strip_prefix("core/src/").and_then(|below| below.strip_suffix(".rs"));
    let mut modules: Vec<&str> = below.map(|below| below.split('/').collect()).unwrap_or_default();
    if let Some(&("mod" | "lib")) = modules.last() {
        modules.pop();
    }
    modules
}

/// Checks one file below `core/src`.
pub(super) fn check(file: &str, paths: &[CodePath<'_>]) -> Vec<Violation> {
    const RULE: &str = "layering";
    let modules = modules_of(file);
    let Some(from) = modules.first() else {
        return Vec::new(); // the crate root declares them all
    };
    let violation = |line, reason| Violation { file: file.to_owned(), line, rule: RULE, reason };
    if !is_known(from) {
        let reason = format!("module `{from}` has no layer: give it one in xtask/src/tidy/layers.rs");
        return vec![violation(1, reason)];
    }
    let used = paths.iter().filter(|path| !path.test).filter_map(|path| {
        let supers = path.segments.iter().take_while(|segment| **segment == "super").count();
        let to = match path.segments.as_slice() {
            ["crate", to, ..] => *to,
            // Climbs to the crate root; less is inside the module.
            segments if supers == modules.len() => segments.get(supers).filter(|to| is_known(to))?,
            _ => return None,
        };
        Some((path.line, to))
    });
    let mut violations: Vec<Violation> = used
        .filter_map(|(line, to)| {
            let why = match is_known(to) {
                true => objection(from, to)?,
                false => "not a module of the table: name the module it lives in".to_owned(),
            };
            Some(violation(line, format!("`{from}` imports `crate::{to}`: {why}")))
        })
        .collect();
    violations.dedup();
    violations
}

#[cfg(test)]
mod tests {
    use super::super::tokens::{paths, tokens};
    use super::*;

    fn verdict(file: &str, source: &str) -> bool {
        check(file, &paths(&tokens(source))).is_empty()
    }

    #[test]
    fn imports_point_down() {
        let cases = [
            ("down", "core/src/vote.rs", "use crate::keys::PublicKey;", true),
            ("same vocabulary", "core/src/vote.rs", "use crate::validators::Set;", true),
            ("up", "core/src/keys.rs", "use crate::vote::Vote;", false),
            ("up, in a group", "core/src/keys.rs", "use crate::{hash, vote::Vote};", false),
            ("up, without use", "core/src/keys.rs", "fn f() { crate::vote::count(); }", false),
            ("up, in a test", "core/src/keys.rs", "#[cfg(test)] mod tests { use crate::vote; }", true),
            ("siblings", "core/src/consensus/round.rs", "use crate::mempool::Pool;", false),
            ("itself", "core/src/consensus/round.rs", "use crate::consensus::votes;", true),
            ("rules", "core/src/sync/mod.rs", "use crate::light::verify;", true),
            ("node to machines", "core/src/node/mod.rs", "use crate::{consensus, peer};", true),
            ("node to store", "core/src/node/mod.rs", "use crate::store::Store;", false),
            ("driver to store", "core/src/driver.rs", "use crate::{node::Node, store::Store};", true),
            ("store to driver", "core/src/store/mod.rs", "use crate::driver;", false),
            ("side to rules", "core/src/wallet/scan.rs", "use crate::state::View;", true),
            ("side to machine", "core/src/rpc/mod.rs", "use crate::mempool;", false),
            ("wallet to light client", "core/src/wallet/sync.rs", "use crate::driver::light;", true),
            ("layer to side", "core/src/node/mod.rs", "use crate::rpc::Request;", false),
            ("tool to wallet", "core/src/tool.rs", "use crate::wallet::keys;", true),
            ("testing to all", "core/src/testing.rs", "use crate::{driver, store, keys};", true),
            ("root by super", "core/src/keys.rs", "use super::vote::Vote;", false),
            ("parent by super", "core/src/state/view.rs", "use super::vote::Vote;", true),
            ("root by two supers", "core/src/state/view.rs", "use super::super::node::Node;", false),
            ("a re-export", "core/src/vote.rs", "use crate::PublicKey;", false),
            ("unknown module", "core/src/helpers.rs", "", false),
            ("crate root", "core/src/lib.rs", "pub use crate::node::Node;", true),
        ];
        for (name, file, source, passes) in cases {
            assert_eq!(verdict(file, source), passes, "{name}");
        }
    }
}
