//! Rules on Rust code that are about names: what may not be named, where, and why.

use super::tokens::{CodePath, Token, paths, tokens};
use super::{Violation, layers};

/// What the core may not use: a path's beginning, or a single word, with the reason.
const IMPURE: &[(&[&str], &str)] = &[
    (&["std", "time"], "the core has no clock: time is an argument"),
    (&["std", "thread"], "the core has no threads: drivers decide where work runs"),
    (&["std", "fs"], "the core has no I/O: reads form a view, writes form a batch"),
    (&["std", "net"], "the core has no I/O: messages are events and effects"),
    (&["std", "env"], "the core has no I/O: settings are arguments"),
    (&["std", "process"], "the core has no I/O: a fatal error is returned to the driver"),
    (&["rand"], "the core has no randomness: entropy is an argument"),
    (&["getrandom"], "the core has no randomness: entropy is an argument"),
    (&["HashMap"], "iteration order is not deterministic: use BTreeMap"),
    (&["HashSet"], "iteration order is not deterministic: use BTreeSet"),
    (&["f32"], "floats differ between platforms: use integers"),
    (&["f64"], "floats differ between platforms: use integers"),
    (&["target_arch"], "the core is the same on every target"),
    (&["target_os"], "the core is the same on every target"),
    (&["target_family"], "the core is the same on every target"),
    (&["target_env"], "the core is the same on every target"),
    (&["target_feature"], "the core is the same on every target"),
    (&["target_endian"], "the core is the same on every target"),
    (&["target_pointer_width"], "the core is the same on every target"),
];

/// The files of the core that may wait for something.
const ASYNC: &[&str] = &[
    "core/src/driver.rs",
    "core/src/driver/",
    "core/src/store/",
    "core/src/testing.rs",
    "core/src/testing/",
    "core/src/wallet/sync.rs",
];

/// Crates with one user each: the word, the files that may say it, and why.
const SINGLE_USER: &[(&str, &[&str], &str)] = &[
    (
        "bincode",
        &["core/src/codec.rs", "core/src/codec/"],
        "bytes are defined in one place: use core's `codec`",
    ),
    ("ed25519_zebra", &["core/src/keys.rs"], "one definition of a valid signature: use core's `keys`"),
    ("ed25519_dalek", &["core/src/keys.rs"], "one definition of a valid signature: use core's `keys`"),
];

/// Crates that may not know each other: folder, then words.
const STRANGERS: &[(&str, &[&str])] = &[
    ("core/", &["timecoin_native", "timecoin_web", "timecoin_tests"]),
    ("native/", &["timecoin_web", "timecoin_tests"]),
    ("web/", &["timecoin_native", "timecoin_tests"]),
];

/// What unfinished or muted code looks like: the tokens and why not.
const UNFINISHED: &[(&[&str], &str)] = &[
    (&["todo", "!"], "finish it, or leave it out"),
    (&["unimplemented", "!"], "finish it, or leave it out"),
    (&["#", "[", "ignore"], "a test that does not run proves nothing: mend or delete it"),
    (&["dead_code"], "delete code that nothing uses"),
];

/// Checks one Rust file.
pub(super) fn check(file: &str, source: &str) -> Vec<Violation> {
    let tokens = tokens(source);
    let paths = paths(&tokens);
    let mut violations = unfinished(file, &tokens);
    violations.extend(single_user(file, &tokens));
    violations.extend(strangers(file, &tokens));
    if file.starts_with("core/src/") && !is_test_file(file) {
        violations.extend(layers::check(file, &paths));
        violations.extend(purity(file, &tokens, &paths));
        violations.extend(asynchrony(file, &tokens));
    }
    violations
}

/// Whether a whole file is test code: `tests.rs` beside a module, or a package's tests.
fn is_test_file(file: &str) -> bool {
    file.starts_with("tests/") || file.contains("/tests/") || file.ends_with("/tests.rs")
}

fn is_in(file: &str, places: &[&str]) -> bool {
    places.iter().any(|place| file == *place || place.ends_with('/') && file.starts_with(place))
}

fn violation(file: &str, line: usize, rule: &'static str, reason: String) -> Violation {
    Violation { file: file.to_owned(), line, rule, reason }
}

fn unfinished(file: &str, tokens: &[Token<'_>]) -> Vec<Violation> {
    let found = |at: usize| UNFINISHED.iter().find(|(pattern, _)| matches(&tokens[at..], pattern));
    let hits = tokens.iter().enumerate().filter_map(|(at, token)| Some((token, found(at)?)));
    hits.map(|(token, (pattern, why))| {
        violation(file, token.line, "unfinished", format!("`{}`: {why}", pattern.concat()))
    })
    .collect()
}

fn matches(tokens: &[Token<'_>], pattern: &[&str]) -> bool {
    tokens.len() >= pattern.len() && tokens.iter().zip(pattern).all(|(token, text)| token.text == *text)
}

fn single_user(file: &str, tokens: &[Token<'_>]) -> Vec<Violation> {
    let in_tests = is_test_file(file);
    let code = tokens.iter().filter(|token| !token.test && !in_tests);
    code.filter_map(|token| {
        let (name, places, why) = SINGLE_USER.iter().find(|(name, ..)| *name == token.text)?;
        let reason = format!("`{name}` is named outside {}: {why}", places.first()?);
        (!is_in(file, places)).then(|| violation(file, token.line, "single user", reason))
    })
    .collect()
}

fn strangers(file: &str, tokens: &[Token<'_>]) -> Vec<Violation> {
    let words = STRANGERS.iter().filter(|(folder, _)| file.starts_with(folder)).flat_map(|(_, words)| *words);
    let words: Vec<&str> = words.copied().collect();
    let hits = tokens.iter().filter(|token| words.contains(&token.text));
    hits.map(|token| {
        let reason =
            format!("`{}`: the core knows no other crate; native and web know only the core", token.text);
        violation(file, token.line, "strangers", reason)
    })
    .collect()
}

fn purity(file: &str, tokens: &[Token<'_>], paths: &[CodePath<'_>]) -> Vec<Violation> {
    const RULE: &str = "purity";
    let words = tokens.iter().enumerate().filter(|(_, token)| !token.test).filter_map(|(at, token)| {
        if is_float(tokens, at) {
            return Some(violation(
                file,
                token.line,
                RULE,
                format!("`{}`: no floats in the core", token.text),
            ));
        }
        let (name, why) = IMPURE.iter().find(|(name, _)| *name == [token.text])?;
        // A crate's name counts where a path starts; a variable may have it.
        let is_crate = ["rand", "getrandom"].contains(&token.text);
        let starts_path = tokens.get(at + 1).is_some_and(|next| next.text == "::");
        (!is_crate || starts_path)
            .then(|| violation(file, token.line, RULE, format!("`{}`: {why}", name.concat())))
    });
    let imports = paths.iter().filter(|path| !path.test).filter_map(|path| {
        let (name, why) =
            IMPURE.iter().find(|(name, _)| name.len() > 1 && path.segments.starts_with(name))?;
        Some(violation(file, path.line, RULE, format!("`{}`: {why}", name.join("::"))))
    });
    words.chain(imports).collect()
}

/// Whether the token is a floating-point literal; `x.0.1` is two fields.
fn is_float(tokens: &[Token<'_>], at: usize) -> bool {
    let Some(token) = tokens.get(at).filter(|token| token.is_number()) else {
        return false;
    };
    let field = at > 0 && tokens[at - 1].text == ".";
    let suffix = token.text.ends_with("f32") || token.text.ends_with("f64");
    !field && (token.text.contains('.') || suffix && !token.text.starts_with("0x"))
}

fn asynchrony(file: &str, tokens: &[Token<'_>]) -> Vec<Violation> {
    if is_in(file, ASYNC) {
        return Vec::new();
    }
    let hits = tokens.iter().filter(|token| !token.test && ["async", "await"].contains(&token.text));
    hits.map(|token| {
        let reason = format!("`{}`: decisions never suspend; only the driver and stores wait", token.text);
        violation(file, token.line, "async", reason)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_finds_its_case_and_spares_its_neighbour() {
        let cases = [
            ("clock", "core/src/vote.rs", "use std::time::Duration;", &["purity"][..]),
            ("clock in a group", "core/src/vote.rs", "use std::{fmt, time::Duration};", &["purity"]),
            ("our own time", "core/src/vote.rs", "use crate::time::Time;", &[]),
            ("map", "core/src/vote.rs", "use std::collections::HashMap;", &["purity"]),
            ("map in a comment", "core/src/vote.rs", "// no HashMap\n/// HashMap\nfn f() {}", &[]),
            ("map in a test", "core/src/vote.rs", "#[cfg(test)] mod tests { use std::fs; }", &[]),
            ("map elsewhere", "native/src/run.rs", "use std::time::Duration;", &[]),
            ("randomness", "core/src/vote.rs", "rand::random()", &["purity"]),
            ("a word with it", "core/src/vote.rs", "rand_core::Rng; operand::x; let rand = 1;", &[]),
            ("float type", "core/src/vote.rs", "fn f(x: f64) {}", &["purity"]),
            ("float literal", "core/src/vote.rs", "let x = 1.5;", &["purity"]),
            ("not floats", "core/src/vote.rs", "x.0.1; 0x1f32; 1..2; \"1.5\"", &[]),
            ("target switch", "core/src/vote.rs", "#[cfg(all(unix, target_arch = \"x\"))]", &["purity"]),
            ("async", "core/src/node/mod.rs", "async fn f() {}", &["async"]),
            ("async driver", "core/src/driver.rs", "async fn f() {}", &[]),
            ("async store", "core/src/store/memory.rs", "async fn f() {}", &[]),
            ("encoding", "native/src/store.rs", "bincode::encode()", &["single user"]),
            ("encoding at home", "core/src/codec.rs", "bincode::encode()", &[]),
            ("signatures", "core/src/vote.rs", "use ed25519_dalek::Verifier;", &["single user"]),
            ("an oracle", "tests/tests/vectors.rs", "use ed25519_zebra::Signature;", &[]),
            ("native to web", "native/src/lib.rs", "use timecoin_web::x;", &["strangers"]),
            ("web to native", "web/src/lib.rs", "use timecoin_native::x;", &["strangers"]),
            ("web to core", "web/src/lib.rs", "use timecoin_core::x;", &[]),
            ("unfinished", "web/src/lib.rs", "fn f() { todo!() }", &["unfinished"]),
            ("in a string", "web/src/lib.rs", "fn f() { \"todo!()\" }", &[]),
            ("muted test", "web/src/lib.rs", "#[ignore = \"slow\"] fn f() {}", &["unfinished"]),
            ("kept dead", "web/src/lib.rs", "#[allow(unused, dead_code)] fn f() {}", &["unfinished"]),
        ];
        for (name, file, source, expected) in cases {
            let rules: Vec<&str> = check(file, source).iter().map(|violation| violation.rule).collect();
            assert_eq!(rules, expected, "{name}");
        }
    }
}
