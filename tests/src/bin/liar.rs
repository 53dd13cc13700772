//! `liar`: a peer of light nodes that lies, for tests of what they make of it.

use std::io::Read;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use timecoin_core::spec::ChainSpec;
use timecoin_core::testing::epochs::EpochChain;
use timecoin_core::vote::Height;
use timecoin_native::config::load_chain;
use timecoin_tests::liar::{Config, Lie, Told, Truth, start};

const USAGE: &str = "\
Usage: liar (--chain FILE --node URL | --epochs N) [--lie NAME] [--listen ADDRESS] [--delay-ms N] [--stop-with-stdin]

  --chain FILE        the chain spec
  --node URL          a node of it, ws://host:port/p2p: what it answers is the truth that is lied about
  --epochs N          in place of a node: a made-up chain of a million heights and 700 epochs with 100 validators, of
                      which N are replaced in each epoch; light blocks alone
  --lie NAME          the lie: none (default)";

/// Heights of the made-up chain,
const HEIGHTS: u64 = 1_000_000;
/// in so many epochs,
const EPOCHS: u64 = 700;
/// by so many validators.
const VALIDATORS: u64 = 100;

struct Arguments {
    chain: Option<String>,
    node: Option<String>,
    epochs: Option<u64>,
    lie: Lie,
    listen: SocketAddr,
    delay: Duration,
    stop_with_stdin: bool,
}

fn parse(mut list: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments {
        chain: None,
        node: None,
        epochs: None,
        lie: Lie::None,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        delay: Duration::from_secs(3),
        stop_with_stdin: false,
    };
    while let Some(name) = list.next() {
        match name.as_str() {
            "--stop-with-stdin" => arguments.stop_with_stdin = true,
            "--chain" => arguments.chain = Some(list.next()?),
            "--node" => arguments.node = Some(list.next()?),
            "--epochs" => arguments.epochs = Some(list.next()?.parse().ok()?),
            "--lie" => arguments.lie = Lie::from_name(&list.next()?)?,
            "--listen" => arguments.listen = list.next()?.parse().ok()?,
            "--delay-ms" => arguments.delay = Duration::from_millis(list.next()?.parse().ok()?),
            _ => return None,
        }
    }
    let is_node = arguments.chain.is_some() && arguments.node.is_some() && arguments.epochs.is_none();
    let is_epochs = arguments.chain.is_none() && arguments.node.is_none() && arguments.epochs.is_some();
    (is_node || is_epochs).then_some(arguments)
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let Arguments { chain, node, epochs, lie, listen, delay, stop_with_stdin } = arguments;
    let (spec, truth) = match (chain, node, epochs) {
        (Some(chain), Some(node), _) => {
            let spec = load_chain(&chain)?;
            let truth = Truth::of_node(&node, spec.consensus.id()).await?;
            (spec, truth)
        }
        (_, _, replaced) => {
            let chain = EpochChain::new(VALIDATORS, HEIGHTS.div_ceil(EPOCHS), replaced.unwrap_or(0));
            let consensus = (**chain.spec()).clone();
            let spec = ChainSpec { consensus, bootstrap: Vec::new(), checkpoints: Vec::new() };
            (spec, Truth::of_epochs(chain, Height(HEIGHTS)))
        }
    };
    let mut liar = start(Config { spec, truth, lie, listen, delay }).await?;
    println!("{}", json!({ "url": liar.url, "key": liar.key.0, "lie": lie.name(), "code": lie.code() }));
    let stdin_ends = async {
        if stop_with_stdin {
            let read = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
            // Ended or unreadable: nobody is there any more.
            let _ = read.await;
        } else {
            std::future::pending().await
        }
    };
    let tell = async {
        while let Some(told) = liar.told.recv().await {
            let line = match told {
                Told::Lie { about } => json!({ "told": lie.name(), "about": about }),
                Told::Session(traffic) => {
                    json!({ "session": { "questions": traffic.questions, "bytes": traffic.bytes } })
                }
            };
            println!("{line}");
        }
    };
    tokio::select! {
        () = stdin_ends => {}
        () = tell => {}
    }
    Ok(())
}

fn main() -> ExitCode {
    let Some(arguments) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        for (lie, name, code) in Lie::ALL {
            if lie != Lie::None {
                let reported = code.map(|code| format!(" (reported as {code})")).unwrap_or_default();
                eprintln!("                        {name}{reported}");
            }
        }
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(run(arguments));
            // Standard input may still be read.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("liar: {error}");
            ExitCode::FAILURE
        }
    }
}
