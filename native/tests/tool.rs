//! Every line-JSON tool, asked through the real program: our golden vectors, and lines that no tool can read.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test, and says where")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde::Deserialize;
use serde_json::Value;
use timecoin_core::tool::commands;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    command: String,
    line: String,
    answer: String,
}

fn tool(name: &str, input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_timecoin"))
        .args(["tool", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Beside reading: a pipe holds less than the answers.
    let writing = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A tool that never started takes no input, which the caller sees by its status.
    let _ = writing.join().unwrap();
    output
}

fn golden() -> BTreeMap<String, Vec<Case>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
    let mut cases: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for case in serde_json::from_str::<Vectors>(&text).unwrap().cases {
            cases.entry(case.command.clone()).or_default().push(case);
        }
    }
    cases
}

#[test]
fn every_tool_answers_the_golden_vectors_byte_by_byte() {
    let golden = golden();
    assert!(golden.keys().map(String::as_str).eq(commands()), "every tool has vectors");
    for (name, cases) in golden {
        let input: String = cases.iter().map(|case| format!("{}\n", case.line)).collect();
        let output = tool(&name, input.as_bytes());
        assert!(output.status.success() && output.stderr.is_empty(), "{name}");
        let answers = String::from_utf8(output.stdout).unwrap();
        assert_eq!(answers.lines().count(), cases.len(), "{name}: one answer per line");
        for (case, answer) in cases.iter().zip(answers.lines()) {
            assert_eq!(answer, case.answer, "{name}: {}", case.name);
        }
    }
}

#[test]
fn malformed_lines_are_answered_in_their_place() {
    let lines: [(&[u8], &str); 6] = [
        (b"", "malformed-json"),
        (b"{\"", "malformed-json"),
        (b"\xc3\x28", "malformed-json"),
        (b"[]", "unexpected-json"),
        (b"{}", "unexpected-json"),
        (b"{\"surprise\":1}", "unexpected-json"),
    ];
    for name in commands() {
        let output = tool(name, &lines.map(|(line, _)| line).join(&b'\n'));
        assert!(output.status.success() && output.stderr.is_empty(), "{name}");
        let answers = String::from_utf8(output.stdout).unwrap();
        let codes: Vec<_> = answers
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["error"]["code"].clone())
            .collect();
        assert_eq!(codes, lines.map(|(_, code)| code), "{name}");
    }
}

#[test]
fn an_unknown_tool_is_a_wrong_command_line() {
    let output = tool("no-such-tool", b"{}\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}
