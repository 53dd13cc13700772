//! `timecoin rpc`: any method of a node, from the command line.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::{CliError, block_on, print};
use crate::client::Client;
use crate::config::ConfigError;
use crate::rpc::document;
use crate::tls::Trust;

/// Which node to talk to.
#[derive(Args, Clone, Debug)]
pub(super) struct NodeAddress {
    /// The node's address
    #[arg(long, default_value = "http://127.0.0.1:24001", value_name = "URL")]
    pub(super) node: String,
    /// File with the token that spending and administering calls need
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// Believe the certificates of the authorities in this PEM file, for a node at https://
    #[arg(long, value_name = "FILE")]
    pub(super) tls_ca: Option<PathBuf>,
}

impl NodeAddress {
    pub(super) async fn connect(&self) -> Result<Client, CliError> {
        let unreadable = |error| CliError::System { what: "cannot read the token file", error };
        let token = self.token_file.as_ref().map(std::fs::read_to_string).transpose().map_err(unreadable)?;
        let trust = self.tls_ca.as_deref().map(Trust::of_file).transpose().map_err(ConfigError::from)?;
        let token = token.as_deref().map(str::trim);
        Ok(Client::connect_trusting(&self.node, token, &trust.unwrap_or_default()).await?)
    }
}

/// What `timecoin rpc` takes.
#[derive(Args)]
pub(super) struct RpcCommand {
    #[command(flatten)]
    address: NodeAddress,
    /// Print docs/RPC.md, which describes every method, and call none
    #[arg(long)]
    document: bool,
    /// The method, for example getblockchaininfo
    #[arg(required_unless_present = "document")]
    method: Option<String>,
    /// Its parameters: each as JSON, or a plain word; or one JSON object of named parameters
    params: Vec<String>,
}

pub(super) fn run(command: RpcCommand) -> Result<(), CliError> {
    let RpcCommand { address, document, method, params } = command;
    let (false, Some(method)) = (document, method) else {
        return print(document::markdown().trim_end());
    };
    let params = params_of(&params);
    block_on(async {
        let answer = address.connect().await?.call(&method, params).await?;
        print(format!("{answer:#}"))
    })
}

/// Words that are no JSON are strings, so that ids and addresses need no quotes. An id of digits only would be a
/// number: what does not fit one stays a string.
fn params_of(words: &[String]) -> Value {
    let parsed = |word: &String| match serde_json::from_str(word) {
        Ok(Value::Number(number)) if number.as_u64().is_none() && number.as_i64().is_none() => {
            Value::String(word.clone())
        }
        Ok(value) => value,
        Err(_) => Value::String(word.clone()),
    };
    let mut values: Vec<_> = words.iter().map(parsed).collect();
    match values.as_slice() {
        [Value::Object(_) | Value::Array(_)] => values.remove(0),
        _ => Value::Array(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_become_parameters() {
        let cases = [
            ("none", vec![], json!([])),
            ("numbers and words", vec!["7", "dtime1abc", "true"], json!([7, "dtime1abc", true])),
            ("quoted", vec!["\"7\""], json!(["7"])),
            ("named", vec!["{\"height\":3}"], json!({ "height": 3 })),
            ("whole list", vec!["[1,2]"], json!([1, 2])),
            (
                "an id of digits",
                vec!["1111111111111111111111111111111111111111"],
                json!(["1111111111111111111111111111111111111111"]),
            ),
            ("an id like a float", vec!["12e5"], json!(["12e5"])),
        ];
        for (name, words, expected) in cases {
            let words: Vec<_> = words.into_iter().map(String::from).collect();
            assert_eq!(params_of(&words), expected, "{name}");
        }
    }
}
