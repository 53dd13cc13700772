//! A steady stream of signed payments through the nodes' RPC, each timed from submission to finality.
//!
//! Every payment spends one coin of the faucet and makes change that pays again once it is final, so as many
//! payments can be under way as the faucet has coins. The nodes that are there take turns; finality is heard of from
//! the node that took the payment, and the change is spent there: another may hear of it a moment later.

use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use serde::Serialize;
use timecoin_core::amount::Amount;
use timecoin_core::hash::Owner;
use timecoin_core::keys::SecretKey;
use timecoin_core::lock::Lock;
use timecoin_core::node::Chain;
use timecoin_core::transaction::{OutPoint, Output, SignedTransaction};
use timecoin_core::vote::Height;
use timecoin_core::wallet::build::TransactionBuilder;
use timecoin_core::wallet::coins::Spendable;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::warn;

use super::DevnetError;
use super::folder::{FAUCET, Folder, PAYEE};
use super::link::Link;
use crate::api::{Api, FinalityWatch};
use crate::client::ClientError;
use crate::clock::{self, Stopwatch};
use crate::mutex::lock;

const AMOUNT: Amount = Amount(1_000_000);
/// A payment not final after this long counts as failed.
const FINAL_TIMEOUT: Duration = Duration::from_secs(30);
const EXPIRES_AFTER_MS: u64 = 3_600_000;
/// At the end, what is under way may still become final.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Looking again for a coin to spend, or a node to pay at, where there is none.
const COIN_WAIT: Duration = Duration::from_millis(100);
/// The newest measurements kept for the quantiles.
const SAMPLES_MAX: usize = 100_000;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Median time from submission to finality, in milliseconds.
    pub median_ms: f64,
    /// What 99 in 100 payments do not exceed.
    pub p99_ms: f64,
    /// Payments that became final.
    pub payments: u64,
    /// Payments refused, lost or too late.
    pub failed: u64,
    /// Final payments per second.
    pub tps: f64,
    /// Blocks made final.
    pub blocks: u64,
    /// Validators.
    pub validators: u16,
    /// Seconds it was measured for.
    pub seconds: f64,
}

/// A stream of payments.
pub struct Payments {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    purse: Purse,
    nodes: Vec<Link<PayingNode>>,
    /// Whose turn it was when a change became final.
    homes: Mutex<BTreeMap<OutPoint, usize>>,
    samples: Mutex<VecDeque<u64>>,
    payments: AtomicU64,
    failed: AtomicU64,
    started: Stopwatch,
    stopping: watch::Sender<bool>,
}

/// The faucet's coins, ready to be spent.
pub struct Purse {
    chain: Chain,
    key: SecretKey,
    payee: Owner,
    coins: Mutex<VecDeque<Spendable>>,
}

impl Purse {
    /// The coins that the faucet of this devnet has, as a node says.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn open(node: &Api, folder: &Folder) -> Result<Self, ClientError> {
        let chain = Chain::new(folder.chain().clone());
        let key = folder.faucet().key_at(FAUCET).expect("an open folder has sound wallets");
        let payee = folder.faucet().owner_at(PAYEE).expect("an open folder has sound wallets");
        let purse = Self { chain, key, payee, coins: Mutex::default() };
        purse.fill(node).await?;
        Ok(purse)
    }

    /// Takes the coins that the faucet has in place of those that are known.
    async fn fill(&self, node: &Api) -> Result<(), ClientError> {
        let lock_of_faucet = Lock::Key(self.key.public_key());
        let coins = node.unspent(self.chain.spec.consensus.network, &lock_of_faucet.owner()).await?;
        let spendable = |(outpoint, output)| Spendable { outpoint, output, lock: lock_of_faucet.clone() };
        *lock(&self.coins) = coins.into_iter().map(spendable).collect();
        Ok(())
    }

    /// A signed payment, and the change that may be put back once it is final; none where no coin is left.
    pub fn payment(&self) -> Option<(SignedTransaction, Spendable)> {
        let coin = lock(&self.coins).pop_front()?;
        let limits = self.chain.spec.consensus.rules(Height(0)).transaction_limits();
        let expires_at = clock::now().plus(EXPIRES_AFTER_MS);
        let lock = coin.lock.clone();
        let unsigned = TransactionBuilder::new(self.chain.id, limits, expires_at)
            .pay(self.payee, AMOUNT)
            .fund(&[coin], lock.owner())
            .ok()?;
        let amount = unsigned.change?;
        let outpoint = OutPoint { txid: unsigned.transaction.id(), index: 1 };
        let change = Spendable { outpoint, output: Output { amount, owner: lock.owner() }, lock };
        Some((unsigned.sign(core::slice::from_ref(&self.key)).ok()?, change))
    }

    /// Puts a coin back.
    pub fn put(&self, coin: Spendable) {
        lock(&self.coins).push_back(coin);
    }
}

/// A connection for payments alone, so that nothing else delays them.
struct PayingNode {
    api: Api,
    finality: FinalityWatch,
}

impl PayingNode {
    async fn open(api: Api) -> Result<Self, ClientError> {
        Ok(Self { finality: api.watch_finality().await?, api })
    }
}

impl Borrow<Api> for PayingNode {
    fn borrow(&self) -> &Api {
        &self.api
    }
}

impl Shared {
    /// The next node that is there, in turn.
    fn node(&self, turn: usize) -> Option<Arc<PayingNode>> {
        let from = turn.checked_rem(self.nodes.len())?;
        self.nodes.iter().cycle().skip(from).take(self.nodes.len()).find_map(Link::now)
    }

    /// Whose turn it was when the coin that a payment spends became final; asked once.
    fn home(&self, payment: &SignedTransaction) -> Option<usize> {
        lock(&self.homes).remove(payment.transaction.inputs.first()?)
    }

    /// Finds the coins of payments whose end was not heard of, once nothing is pending any more.
    async fn recover(&self, node: &PayingNode) {
        let recovered = async {
            if node.api.status().await?.mempool == 0 {
                self.purse.fill(&node.api).await?;
            }
            Ok::<_, ClientError>(())
        };
        if let Err(error) = recovered.await {
            warn!(%error, "the faucet's coins are not known");
        }
    }
}

impl Payments {
    /// Starts paying, `rate` times a second; 0 never.
    ///
    /// # Errors
    /// If a node does not say which coins the faucet has.
    pub(super) async fn start(urls: &[String], folder: &Folder, rate: u32) -> Result<Self, DevnetError> {
        let mut nodes = Vec::new();
        for url in urls {
            nodes.push(Link::keep(url, |api| PayingNode::open(api).boxed()).await?);
        }
        let first = nodes.iter().find_map(Link::now).ok_or(ClientError::Closed)?;
        let shared = Arc::new(Shared {
            purse: Purse::open(&first.api, folder).await?,
            nodes,
            homes: Mutex::default(),
            samples: Mutex::default(),
            payments: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            started: Stopwatch::start(),
            stopping: watch::Sender::new(false),
        });
        let task = tokio::spawn(pay_steadily(shared.clone(), rate));
        Ok(Self { shared, task })
    }

    /// What was measured so far.
    #[must_use]
    pub fn summary(&self, blocks: u64, validators: u16) -> Summary {
        let mut samples: Vec<_> = lock(&self.shared.samples).iter().copied().collect();
        samples.sort_unstable();
        let quantile = |numerator: usize, denominator: usize| {
            let at = samples.len().saturating_sub(1) * numerator / denominator;
            samples.get(at).map_or(0.0, |us| (*us as f64 / 100.0).round() / 10.0)
        };
        let seconds = self.shared.started.elapsed_us() as f64 / 1e6;
        let payments = self.shared.payments.load(Ordering::Relaxed);
        Summary {
            median_ms: quantile(1, 2),
            p99_ms: quantile(99, 100),
            payments,
            failed: self.shared.failed.load(Ordering::Relaxed),
            tps: (payments as f64 / seconds.max(1e-3) * 10.0).round() / 10.0,
            blocks,
            validators,
            seconds: (seconds * 10.0).round() / 10.0,
        }
    }

    /// Stops paying, waits for what is under way, and sums up.
    pub(super) async fn finish(mut self, blocks: impl Fn() -> u64, validators: u16) -> Summary {
        self.shared.stopping.send_replace(true);
        let _ = timeout(DRAIN_TIMEOUT, &mut self.task).await;
        self.task.abort();
        self.summary(blocks(), validators)
    }
}

async fn pay_steadily(shared: Arc<Shared>, rate: u32) {
    let mut stopping = shared.stopping.subscribe();
    let mut under_way = JoinSet::new();
    if rate > 0 {
        let mut ticks = interval((Duration::from_secs(1) / rate).max(Duration::from_nanos(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut turn = 0usize;
        loop {
            tokio::select! {
                () = crate::net::is_set(&mut stopping) => break,
                _ = ticks.tick() => {}
            }
            while under_way.try_join_next().is_some() {}
            turn += 1;
            let node = shared.node(turn);
            let payment = node.as_ref().and_then(|_| shared.purse.payment());
            let (Some(node), Some((signed, change))) = (&node, payment) else {
                // Every coin is under way, or lost; or no node is there.
                if let Some(node) = node.filter(|_| under_way.is_empty()) {
                    shared.recover(&node).await;
                }
                tokio::select! {
                    () = crate::net::is_set(&mut stopping) => break,
                    Some(_) = under_way.join_next() => {}
                    () = sleep(COIN_WAIT) => {}
                }
                continue;
            };
            let home = shared.home(&signed).unwrap_or(turn);
            let node = shared.node(home).unwrap_or_else(|| node.clone());
            under_way.spawn(pay(shared.clone(), (home, node), signed, change));
        }
    }
    while under_way.join_next().await.is_some() {}
}

/// One payment; its change pays again.
async fn pay(
    shared: Arc<Shared>,
    (home, node): (usize, Arc<PayingNode>),
    signed: SignedTransaction,
    change: Spendable,
) {
    let watch = Stopwatch::start();
    let txid = signed.transaction.id();
    let arrival = node.finality.expect(txid);
    let finality = async {
        node.api.submit(&signed).await?;
        tokio::select! {
            told = timeout(FINAL_TIMEOUT, arrival) => {
                told.map_err(|_| ClientError::Timeout)?.map_err(|_| ClientError::Closed)
            }
            () = node.api.client().closed() => Err(ClientError::Closed),
        }
    };
    let finality = finality.await;
    let elapsed_us = watch.elapsed_us();
    node.finality.forget(&txid);
    match finality {
        Ok(true) => {
            shared.payments.fetch_add(1, Ordering::Relaxed);
            let mut samples = lock(&shared.samples);
            if samples.len() >= SAMPLES_MAX {
                samples.pop_front();
            }
            samples.push_back(elapsed_us);
            drop(samples);
            lock(&shared.homes).insert(change.outpoint, home);
            shared.purse.put(change);
        }
        // The coin may be spent or not: it is left alone until nothing is pending.
        Ok(false) => {
            warn!(%txid, "payment dropped");
            shared.failed.fetch_add(1, Ordering::Relaxed);
        }
        Err(error) => {
            warn!(%txid, %error, "payment failed");
            shared.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
