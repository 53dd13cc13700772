//! Rules on source files as text, whatever their language.

use super::Violation;

const EXTENSIONS: &[&str] = &[".rs", ".ts", ".mjs", ".js", ".svelte"];
const SCRIPTS: &[&str] = &[".ts", ".mjs", ".js", ".svelte"];
const LINES_MAX: usize = 600;

/// In two halves, so that a plain search for leftovers does not find this file.
const LATER: &str = concat!("TO", "DO");
const BROKEN: &str = concat!("FIX", "ME");
/// Calls that mute a JavaScript test, or all others.
const MUTED: &[&str] = &[concat!(".sk", "ip("), concat!(".on", "ly(")];

/// Whether some rule here applies to files of this name.
pub(super) fn is_source(name: &str) -> bool {
    EXTENSIONS.iter().any(|extension| name.ends_with(extension))
}

/// Checks size and leftovers of one file.
pub(super) fn check(file: &str, source: &str) -> Vec<Violation> {
    if !is_source(file) {
        return Vec::new();
    }
    let violation = |line, rule, reason| Violation { file: file.to_owned(), line, rule, reason };
    let is_script = SCRIPTS.iter().any(|extension| file.ends_with(extension));
    let mut violations = Vec::new();
    let lines = source.lines().count();
    if lines > LINES_MAX {
        let reason = format!("{lines} lines; over {LINES_MAX} means that two ideas share a file");
        violations.push(violation(LINES_MAX + 1, "file size", reason));
    }
    let mut is_example = false;
    for (number, line) in (1..).zip(source.lines()) {
        if let Some(language) = fence(line).filter(|_| file.ends_with(".rs")) {
            is_example = !is_example;
            if is_example && language != "text" {
                let reason = "the test run leaves examples in documentation out: make it a test, or ```text";
                violations.push(violation(number, "example", reason.to_owned()));
            }
        }
        if line.contains(BROKEN) {
            violations.push(violation(number, "leftover", format!("`{BROKEN}`: mend it, or open an issue")));
        }
        if line.match_indices(LATER).any(|(at, _)| !names_an_issue(&line[at + LATER.len()..])) {
            violations.push(violation(
                number,
                "leftover",
                format!("`{LATER}` names no issue (write `{LATER}(#12)`)"),
            ));
        }
        if let Some(call) = MUTED.iter().find(|call| is_script && line.contains(**call)) {
            violations.push(violation(
                number,
                "unfinished",
                format!("`{call}…)`: a muted test proves nothing"),
            ));
        }
    }
    violations
}

/// What follows the fence of an example in documentation.
fn fence(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
    text.trim_start().strip_prefix("```")
}

/// Whether what follows the mark is `(#12)`.
fn names_an_issue(after: &str) -> bool {
    let number = after.strip_prefix("(#").and_then(|after| after.split_once(')'));
    number.is_some_and(|(digits, _)| digits.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_leftovers() {
        let long = "\n".repeat(LINES_MAX + 1);
        let cases = [
            ("full", "a.rs", "\n".repeat(LINES_MAX), None),
            ("too long", "a.rs", long.clone(), Some("file size")),
            ("not source", "a.md", long, None),
            ("broken", "a.svelte", format!("// {BROKEN}"), Some("leftover")),
            ("later", "a.rs", format!("// {LATER}: x"), Some("leftover")),
            ("later, with an issue", "a.rs", format!("// {LATER}(#12): x"), None),
            ("later, with half an issue", "a.rs", format!("// {LATER}(#): x"), Some("leftover")),
            ("muted script test", "a.test.mjs", format!("test{}'x')", MUTED[0]), Some("unfinished")),
            ("a picture", "a.rs", "//! ```text\n//! ```\n".to_owned(), None),
            ("an example", "a.rs", "    /// ```\n    /// ```\n".to_owned(), Some("example")),
            ("two of them", "a.rs", "//! ```text\n//! ```\n/// ```rust\n/// ```".to_owned(), Some("example")),
            ("an iterator", "a.rs", format!("x{}1)", MUTED[0]), None),
        ];
        for (name, file, source, expected) in cases {
            let rules: Vec<&str> = check(file, &source).iter().map(|violation| violation.rule).collect();
            assert_eq!(rules, expected.into_iter().collect::<Vec<_>>(), "{name}");
        }
    }
}
