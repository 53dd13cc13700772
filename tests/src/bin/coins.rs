//! `coins`: spreads coins of a devnet's faucet over many owners, so that its chain has as many as asked for.

use std::path::Path;
use std::process::ExitCode;

use timecoin_core::amount::Amount;
use timecoin_core::hash::{Hash, Owner, Tag};
use timecoin_core::lock::Lock;
use timecoin_core::node::Chain;
use timecoin_core::transaction::SignedTransaction;
use timecoin_core::vote::Height;
use timecoin_core::wallet::build::TransactionBuilder;
use timecoin_core::wallet::coins::Spendable;
use timecoin_native::api::Api;
use timecoin_native::client::Client;
use timecoin_native::{clock, devnet};

const USAGE: &str = "Usage: coins FOLDER URL COUNT
  FOLDER   a devnet's folder; no payments may be made from it meanwhile
  URL      a node of it, http://host:port
  COUNT    coins to be made";

/// Of a transaction besides its outputs.
const HEAD_BYTES: usize = 1_000;
/// Of an output.
const OUTPUT_BYTES: usize = 40;
const EXPIRES_AFTER_MS: u64 = 600_000;
const FINAL_TIMEOUT_MS: u64 = 60_000;
/// Submitted before the first is waited for.
const TOGETHER: usize = 8;

type Failure = Box<dyn core::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [folder, url, count] = &given[..] else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match count.parse().map_err(Failure::from) {
        Ok(count) => match spread(Path::new(folder), url, count).await {
            Ok(height) => println!("{count} coins up to block {height}"),
            Err(error) => return failed(&*error),
        },
        Err(error) => return failed(&*error),
    }
    ExitCode::SUCCESS
}

fn failed(error: &dyn core::error::Error) -> ExitCode {
    eprintln!("coins: {error}");
    ExitCode::FAILURE
}

async fn spread(folder: &Path, url: &str, count: u64) -> Result<u64, Failure> {
    let folder = devnet::Folder::open(folder, 0)?;
    let chain = Chain::new(folder.chain().clone());
    let key = folder.faucet().key_at(0).ok_or("the faucet has no key")?;
    let lock = Lock::Key(key.public_key());
    let api = Api::new(Client::connect(url, None).await?);
    let coins = api.unspent(chain.spec.consensus.network, &lock.owner()).await?;
    let mut coins =
        coins.into_iter().map(|(outpoint, output)| Spendable { outpoint, output, lock: lock.clone() });
    let limits = chain.spec.consensus.rules(Height(0)).transaction_limits();
    let each = (limits.size_max.saturating_sub(HEAD_BYTES) / OUTPUT_BYTES) as u64;
    let (mut made, mut height) = (0, 0);
    while made < count {
        let mut waiting = Vec::new();
        while made < count && waiting.len() < TOGETHER {
            let coin = coins.next().ok_or("the faucet has no more coins")?;
            let until = count.min(made + each);
            let expires_at = clock::now().plus(EXPIRES_AFTER_MS);
            let amount = limits.output_min.max(Amount(1));
            let builder = (made..until)
                .fold(TransactionBuilder::new(chain.id, limits, expires_at), |builder, number| {
                    builder.pay(owner(number), amount)
                });
            let signed: SignedTransaction =
                builder.fund(&[coin], lock.owner())?.sign(core::slice::from_ref(&key))?;
            waiting.push(api.submit(&signed).await?);
            made = until;
        }
        for txid in waiting {
            height = height.max(api.wait_final(&txid, FINAL_TIMEOUT_MS).await?);
        }
    }
    Ok(height)
}

/// Somebody: as many as there are coins.
fn owner(number: u64) -> Owner {
    const SOMEBODY: Tag = Tag::new("timecoin tests owner");
    let Hash(bytes) = SOMEBODY.hash(&[&number.to_le_bytes()]);
    Owner(Hash(bytes))
}
