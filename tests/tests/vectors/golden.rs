//! Golden vectors of our own formats: `tests/vectors/*.json`.
//!
//! Each case is a line for a tool and the exact answer, so whatever speaks line-JSON can be held against them: this
//! test runs them natively, `tests/wasm/golden.test.mjs` in WebAssembly. The cases are made again on every run from
//! fixed seeds; a difference means that a format has changed, and with it every chain and every file there is.
//! To accept that, run with `TIMECOIN_BLESS=1`.

mod consensus;
mod data;
mod keys;
mod state;

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use timecoin_core::codec::{Wire, encode};
use timecoin_core::hash::{ChainId, Hash, Owner, to_hex};
use timecoin_core::tool;

/// The chain everything here is signed for.
const CHAIN: ChainId = ChainId(Hash([0xc4; 32]));

/// A file of vectors.
#[derive(Serialize, Deserialize)]
struct Vectors {
    about: String,
    cases: Vec<Case>,
}

/// One line and its answer, byte for byte.
#[derive(Serialize, Deserialize)]
struct Case {
    name: String,
    command: String,
    line: String,
    answer: String,
}

impl Vectors {
    fn about(about: &str) -> Self {
        Self { about: about.into(), cases: Vec::new() }
    }

    /// Adds a case; returns its answer.
    fn ask(&mut self, name: &str, command: &str, line: &Value) -> Value {
        self.ask_line(name, command, line.to_string())
    }

    fn ask_line(&mut self, name: &str, command: &str, line: String) -> Value {
        let answer = tool::run(command, &line);
        let parsed = serde_json::from_str(&answer).expect("tools answer in JSON");
        self.cases.push(Case { name: name.into(), command: command.into(), line, answer });
        parsed
    }

    /// Adds a case that must be answered with this error.
    fn refuse(&mut self, name: &str, command: &str, line: &Value, code: &str) {
        let answer = self.ask(name, command, line);
        assert_eq!(answer["error"]["code"], code, "{name}: {answer}");
    }

    /// Adds the bytes of a value; returns what is derived from them.
    fn bytes<T: Wire>(&mut self, name: &str, kind: &str, value: &T) -> Value {
        let hex = to_hex(&encode(value));
        let line = serde_json::json!({ "type": kind, "hex": hex, "chain": CHAIN });
        let mut answer = self.ask(name, "codec-roundtrip", &line);
        assert_eq!((&answer["same"], &answer["hex"]), (&Value::Bool(true), &Value::String(hex)), "{name}");
        answer["derived"].take()
    }

    /// Compares with the file, or writes it where blessing was asked for.
    fn compare(&self, file: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
        if std::env::var_os("TIMECOIN_BLESS").is_some() {
            let text = serde_json::to_string_pretty(self).expect("plain data") + "\n";
            fs::write(&path, text).expect("the vectors are writable");
        }
        let text = fs::read_to_string(&path).expect("the vectors were made with TIMECOIN_BLESS=1");
        let stored: Self = serde_json::from_str(&text).expect("the vectors are JSON");
        for (made, stored) in self.cases.iter().zip(&stored.cases) {
            assert_eq!(made.name, stored.name, "{file}");
            assert_eq!(made.line, stored.line, "{file}, {}: the input", made.name);
            assert_eq!(made.answer, stored.answer, "{file}, {}: the answer", made.name);
        }
        assert_eq!(self.cases.len(), stored.cases.len(), "{file}");
    }
}

/// An owner nobody has the key of.
fn owner(seed: u8) -> Owner {
    Owner(Hash([seed; 32]))
}
