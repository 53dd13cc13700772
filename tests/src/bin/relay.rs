//! `relay`: stands between pages that validate and a native node, and writes down every vote that a page sends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use timecoin_native::config::load_chain;
use timecoin_tests::relay::{Config, Unfair, start};

const USAGE: &str = "\
Usage: relay --chain FILE --node URL --votes FILE [--unfair proposals|prepares|commits|past|MILLISECONDS]

  --chain FILE        the chain spec
  --node URL          the node behind it, ws://host:port/p2p
  --votes FILE        where votes are written down, a JSON object a line
  --unfair HOW        what it keeps from passing; `past`: it repeats itself; a number: all of it is so late";

fn parse(mut list: impl Iterator<Item = String>) -> Option<(String, String, PathBuf, Option<Unfair>)> {
    let (mut chain, mut node, mut votes, mut unfair) = (None, None, None, None);
    while let Some(name) = list.next() {
        match name.as_str() {
            "--chain" => chain = Some(list.next()?),
            "--node" => node = Some(list.next()?),
            "--votes" => votes = Some(PathBuf::from(list.next()?)),
            "--unfair" => {
                unfair = Some(match list.next()?.as_str() {
                    "proposals" => Unfair::Proposals,
                    "prepares" => Unfair::Prepares,
                    "commits" => Unfair::Commits,
                    "past" => Unfair::Past,
                    late => Unfair::Late(Duration::from_millis(late.parse().ok()?)),
                });
            }
            _ => return None,
        }
    }
    Some((chain?, node?, votes?, unfair))
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some((chain, node, votes, unfair)) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let started = match load_chain(&chain) {
        Ok(spec) => {
            start(Config { spec, node, votes, unfair, listen }).await.map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    match started {
        Ok(url) => println!("{}", json!({ "url": url })),
        Err(error) => {
            eprintln!("relay: {error}");
            return ExitCode::FAILURE;
        }
    }
    std::future::pending().await
}
