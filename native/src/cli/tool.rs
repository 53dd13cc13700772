//! `timecoin tool`: the core's line-JSON tools over standard input and output.
//!
//! Every line gets one answer, in order, and the exit status is 0 whatever the lines say. A line is read up to the
//! tools' limit; what is beyond is skipped, so that no line takes more memory than that.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use clap::Args;
use clap::builder::PossibleValuesParser;
use timecoin_core::tool::{LINE_SIZE_MAX, commands, run_bytes};

use super::CliError;

/// What `timecoin tool` takes.
#[derive(Args)]
pub(super) struct ToolCommand {
    /// Which tool
    #[arg(value_parser = PossibleValuesParser::new(commands()))]
    name: String,
}

pub(super) fn run(command: &ToolCommand) -> Result<(), CliError> {
    let answered = answer(&command.name, io::stdin().lock(), io::stdout().lock());
    answered.map_err(|error| CliError::System { what: "cannot read lines or write answers", error })
}

fn answer(tool: &str, input: impl Read, output: impl Write) -> io::Result<()> {
    let (mut input, mut output) = (BufReader::new(input), BufWriter::new(output));
    let mut line = Vec::new();
    while read_line(&mut input, &mut line)? {
        writeln!(output, "{}", run_bytes(tool, &line))?;
        // Whoever asks line by line waits for the answer; whoever sends many at once does not.
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
    output.flush()
}

/// Reads a line without its end, at most one byte more than a tool takes; returns whether there was one.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let limit = LINE_SIZE_MAX as u64 + 1;
    line.clear();
    if input.take(limit).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() as u64 == limit {
        input.skip_until(b'\n')?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn answers(input: &[u8]) -> Vec<Value> {
        let mut output = Vec::new();
        answer("verify-key", input, &mut output).unwrap();
        let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    #[test]
    fn every_line_has_one_answer() {
        let key = format!(r#"{{"public_key":"{}"}}"#, "00".repeat(32));
        let long = vec![b' '; LINE_SIZE_MAX + 7];
        let exact = vec![b' '; LINE_SIZE_MAX];
        let lines: [(&str, &[u8], &str); 7] = [
            ("sound", key.as_bytes(), "key-of-small-order"),
            ("empty", b"", "malformed-json"),
            ("not UTF-8", b"{\"public_key\":\"\xff\"}", "malformed-json"),
            ("too long", &long, "too-large"),
            ("as long as may be", &exact, "malformed-json"),
            ("ends like on Windows", b"[]\r", "unexpected-json"),
            ("no end", key.as_bytes(), "key-of-small-order"),
        ];
        let input = lines.map(|(_, line, _)| line).join(&b'\n');
        let found = answers(&input);
        assert_eq!(found.len(), lines.len());
        for ((name, _, code), answer) in lines.into_iter().zip(found) {
            assert_eq!(answer["error"]["code"], code, "{name}");
        }
        assert!(answers(b"").is_empty());
    }
}
