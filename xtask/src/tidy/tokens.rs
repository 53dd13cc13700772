//! Rust source as a flat list of tokens: enough to find names and paths, without comments and literals in the way.
//!
//! Tokens know whether they stand in test code. This is no parser: what a token means is up to the rules.

/// One word, number or sign of Rust code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// Counted from 1.
    pub(super) line: usize,
    /// A word, a number, `::`, or one character of punctuation.
    pub(super) text: &'a str,
    /// Whether it is part of an item that only tests compile.
    pub(super) test: bool,
}

impl Token<'_> {
    pub(super) fn is_word(&self) -> bool {
        self.text.starts_with(is_word_start)
    }

    pub(super) fn is_number(&self) -> bool {
        self.text.starts_with(|first: char| first.is_ascii_digit())
    }
}

/// A path with its `use` groups written out: `a::{b, c::d}` is `a::b` and `a::c::d`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CodePath<'a> {
    pub(super) line: usize,
    pub(super) segments: Vec<&'a str>,
    pub(super) test: bool,
}

fn is_word_start(first: char) -> bool {
    first == '_' || first.is_alphabetic()
}

fn is_word_part(part: char) -> bool {
    part == '_' || part.is_alphanumeric()
}

/// The tokens of a source file. Comments, strings, characters and lifetimes leave none.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let length = if let Some(length) = silent(rest) {
            length
        } else {
            let length = match first {
                _ if is_word_start(first) => span(rest, is_word_part),
                _ if first.is_ascii_digit() => number(rest),
                ':' if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            tokens.push(Token { line, text: &rest[..length], test: false });
            length
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    mark_tests(&mut tokens);
    tokens
}

/// The length of what leaves no token and starts here, if something does.
fn silent(rest: &str) -> Option<usize> {
    let first = rest.chars().next()?;
    if first.is_whitespace() {
        return Some(span(rest, char::is_whitespace));
    }
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if first == '\'' {
        return Some(character_or_lifetime(rest));
    }
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|after| {
            let hashes = if prefix.contains('r') { span(after, |part| part == '#') } else { 0 };
            after[hashes..].starts_with('"')
        })
    });
    match prefix {
        Some(prefix) => Some(prefix.len() + string(&rest[prefix.len()..], prefix.contains('r'))),
        None if rest.starts_with("b'") => Some(1 + character_or_lifetime(&rest[1..])),
        None => None,
    }
}

fn span(rest: &str, belongs: impl Fn(char) -> bool) -> usize {
    rest.find(|part| !belongs(part)).unwrap_or(rest.len())
}

fn number(rest: &str) -> usize {
    let whole = span(rest, is_word_part);
    match rest[whole..].strip_prefix('.') {
        Some(after) if after.starts_with(|digit: char| digit.is_ascii_digit()) => {
            whole + 1 + span(after, is_word_part)
        }
        _ => whole,
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let step = match &rest[at..] {
            after if after.starts_with("/*") => (depth + 1, 2),
            after if after.starts_with("*/") => (depth.saturating_sub(1), 2),
            after => (depth, after.chars().next().map_or(1, char::len_utf8)),
        };
        (depth, at) = (step.0, at + step.1);
        if depth == 0 {
            break;
        }
    }
    at
}

/// A string from its hashes or opening quote to its end.
fn string(rest: &str, raw: bool) -> usize {
    if raw {
        let hashes = span(rest, |part| part == '#');
        let close = format!("\"{}", &rest[..hashes]);
        let body = hashes + 1;
        return rest[body..].find(&close).map_or(rest.len(), |end| body + end + close.len());
    }
    quoted(rest, '"')
}

fn character_or_lifetime(rest: &str) -> usize {
    let mut after = rest.chars();
    after.next();
    match (after.next(), after.next()) {
        (Some('\\'), _) => quoted(rest, '\''),
        (Some(one), Some('\'')) => 2 + one.len_utf8(),
        _ => 1 + span(&rest[1..], is_word_part),
    }
}

/// From the opening quote to after the closing one, past escapes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, part) in rest.char_indices().filter(|(at, _)| *at > 0) {
        match part {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if part == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Marks the items under `#[test]`, `#[cfg(test)]` and `#[cfg(all(test, …))]`.
fn mark_tests(tokens: &mut [Token<'_>]) {
    const MARKS: [&[&str]; 4] = [
        &["#", "[", "test", "]"],
        &["#", "[", "cfg", "(", "test", ")"],
        &["#", "[", "cfg", "(", "all", "(", "test", ","],
        &["#", "!", "[", "cfg", "(", "test", ")"],
    ];
    let mut at = 0;
    while at < tokens.len() {
        let mark = MARKS.iter().find(|mark| {
            tokens[at..].len() >= mark.len() && tokens[at..].iter().zip(**mark).all(|(a, b)| a.text == *b)
        });
        let end = match mark {
            Some(mark) if mark[1] == "!" => tokens.len(),
            Some(_) => item_end(tokens, at),
            None => at,
        };
        tokens[at..end].iter_mut().for_each(|token| token.test = true);
        at = end.max(at + 1);
    }
}

/// Where the item whose attributes start at `start` ends: after its block or its semicolon.
fn item_end(tokens: &[Token<'_>], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().filter(|(at, _)| *at >= start) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return at,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Every path of two segments or more.
pub(super) fn paths<'a>(tokens: &[Token<'a>]) -> Vec<CodePath<'a>> {
    let mut paths = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let starts = token.is_word() && tokens.get(at + 1).is_some_and(|next| next.text == "::");
        at = if starts { tree(tokens, at, &[], &mut paths) } else { at + 1 };
    }
    paths
}

/// Reads one path or `use` tree from `at`; returns where it ends.
fn tree<'a>(tokens: &[Token<'a>], mut at: usize, prefix: &[&'a str], paths: &mut Vec<CodePath<'a>>) -> usize {
    let mut segments = prefix.to_vec();
    let start = at;
    while let Some(token) = tokens.get(at) {
        if token.text == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token.text != "}") {
                at = tree(tokens, at, &segments, paths);
                while tokens.get(at).is_some_and(|token| token.text != "," && token.text != "}") {
                    at += 1; // `as name`
                }
                at += usize::from(tokens.get(at).is_some_and(|token| token.text == ","));
            }
            return at + 1;
        }
        if !token.is_word() && token.text != "*" {
            break;
        }
        segments.push(token.text);
        at += 1;
        if tokens.get(at).is_none_or(|next| next.text != "::") {
            break;
        }
        at += 1;
    }
    if let Some(first) = tokens.get(start).filter(|_| segments.len() > 1) {
        paths.push(CodePath { line: first.line, segments, test: first.test });
    }
    at.max(start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        tokens(source).iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_leave_no_tokens() {
        let cases = [
            ("line comment", "a // HashMap\nb", vec!["a", "b"]),
            ("nested block comment", "a /* x /* HashMap */ y */ b", vec!["a", "b"]),
            ("string with escapes", r#"a "x \" HashMap" b"#, vec!["a", "b"]),
            ("raw string", r###"a r#"x " HashMap"# b"###, vec!["a", "b"]),
            ("byte strings", r##"b"x" br#"y"# c"z" w"##, vec!["w"]),
            ("characters", r"'a' '\'' 'é' b'x' w", vec!["w"]),
            ("lifetimes", "&'a str", vec!["&", "str"]),
            ("numbers", "1.5f64 0..3 x.0", vec!["1.5f64", "0", ".", ".", "3", "x", ".", "0"]),
            ("unterminated", "a \"b", vec!["a"]),
        ];
        for (name, source, expected) in cases {
            assert_eq!(words(source), expected, "{name}");
        }
    }

    #[test]
    fn lines_are_counted_through_everything() {
        let found = tokens("/*\n\n*/ a\n\"\n\" b");
        assert_eq!(found.iter().map(|token| token.line).collect::<Vec<_>>(), [3, 5]);
    }

    #[test]
    fn test_items_are_marked_and_nothing_after_them() {
        let cases = [
            ("module", "fn a() {} #[cfg(test)] mod tests { fn x() { y } } fn b() {}", vec!["x", "y"]),
            ("declaration", "#[cfg(test)] mod x; fn b() {}", vec!["x"]),
            ("more attributes", "#[test] #[should_panic] fn x(y: [u8; 2]) {} fn b() {}", vec!["x", "y"]),
            ("all", "#[cfg(all(test, unix))] fn x() {} fn b() {}", vec!["x"]),
            ("not only tests", "#[cfg(any(test, feature))] fn b() {}", vec![]),
            ("whole file", "#![cfg(test)] fn x() {} fn y() {}", vec!["x", "y"]),
        ];
        for (name, source, expected) in cases {
            let marked = tokens(source).into_iter().filter(|token| token.test && token.text.len() == 1);
            let names: Vec<_> = marked.filter(Token::is_word).map(|token| token.text).collect();
            assert_eq!(names, expected, "{name}");
        }
    }

    #[test]
    fn use_groups_are_written_out() {
        let source = "use a::{b, c::{d, e as f}, g::*}; let x = h::i::<u8>(j); k::l!();";
        let found: Vec<String> = paths(&tokens(source)).iter().map(|path| path.segments.join("::")).collect();
        assert_eq!(found, ["a::b", "a::c::d", "a::c::e", "a::g::*", "h::i", "k::l"]);
    }
}
