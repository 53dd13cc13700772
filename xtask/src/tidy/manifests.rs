//! Rules on the `Cargo.toml` of every package.

use super::Violation;

/// Packages that may not depend on each other: folder, then names.
const STRANGERS: &[(&str, &[&str])] = &[
    ("core/", &["timecoin-native", "timecoin-web", "timecoin-tests"]),
    ("native/", &["timecoin-web", "timecoin-tests"]),
    ("web/", &["timecoin-native", "timecoin-tests"]),
];

/// Checks one manifest.
pub(super) fn check(file: &str, source: &str) -> Vec<Violation> {
    let violation = |line, rule, reason| Violation { file: file.to_owned(), line, rule, reason };
    let lines: Vec<&str> =
        source.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).collect();
    let mut violations = Vec::new();
    let inherits = lines.windows(2).any(|pair| pair == ["[lints]", "workspace = true"]);
    if lines.contains(&"[package]") && !inherits {
        let reason = "`[lints] workspace = true` is missing: every crate keeps the same lints".to_owned();
        violations.push(violation(lines.len().max(1), "lints", reason));
    }
    let strangers =
        STRANGERS.iter().filter(|(folder, _)| file.starts_with(folder)).flat_map(|(_, names)| *names);
    for name in strangers {
        let hits =
            (1..).zip(&lines).filter(|(_, line)| line.contains(name) && !line.starts_with("description"));
        violations.extend(hits.filter(|(_, line)| !line.starts_with("name")).map(|(number, _)| {
            let reason =
                format!("`{name}`: the core knows no other crate; native and web know only the core");
            violation(number, "strangers", reason)
        }));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lints_and_strangers() {
        let lints = "[lints]\nworkspace = true\n";
        let cases = [
            ("workspace only", "Cargo.toml", "[workspace]\n".to_owned(), None),
            ("inherits", "web/Cargo.toml", format!("[package]\nname = \"x\"\n{lints}"), None),
            ("own lints", "web/Cargo.toml", "[package]\n[lints.rust]\n".to_owned(), Some("lints")),
            (
                "muted",
                "web/Cargo.toml",
                "[package]\n# [lints]\n# workspace = true\n".to_owned(),
                Some("lints"),
            ),
            ("knows", "web/Cargo.toml", format!("timecoin-native = 1\n{lints}"), Some("strangers")),
            ("tests may", "tests/Cargo.toml", format!("timecoin-native = 1\n{lints}"), None),
        ];
        for (name, file, source, expected) in cases {
            let rules: Vec<&str> = check(file, &source).iter().map(|violation| violation.rule).collect();
            assert_eq!(rules, expected.into_iter().collect::<Vec<_>>(), "{name}");
        }
    }
}
