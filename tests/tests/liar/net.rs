//! A node of one validator with a payer, and the liar as a process of its own.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use timecoin_core::amount::Amount;
use timecoin_core::answer::{Located, Question, Reply};
use timecoin_core::driver::Answerer;
use timecoin_core::hash::{BlockId, Owner, TxId};
use timecoin_core::keys::SecretKey;
use timecoin_core::lock::Lock;
use timecoin_core::node::Chain;
use timecoin_core::spec::ChainSpec;
use timecoin_core::state::{ChainState, genesis};
use timecoin_core::transaction::{
    Action, OutPoint, Output, SignedTransaction, TRANSACTION_VERSION, Transaction, sign,
};
use timecoin_core::vote::Height;
use timecoin_native::devnet::{Founder, spec};
use timecoin_native::run::{Operator, Past, RunConfig, Running, start};
use timecoin_native::{clock, identity};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// The machine may be busy with other tests.
pub(crate) const WAIT: Duration = Duration::from_secs(60);

const PAYER: [u8; 32] = [7; 32];
const COINS: u32 = 128;
const FEE: Amount = Amount(100_000);

/// A network of one node.
pub(crate) struct Net {
    pub(crate) chain: Arc<Chain>,
    pub(crate) url: String,
    node: Running,
    /// The next coin of genesis to spend.
    next: AtomicU32,
    folder: tempfile::TempDir,
}

fn owner_of(seed: [u8; 32]) -> Owner {
    Lock::Key(SecretKey::from_seed(&seed).public_key()).owner()
}

impl Net {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let operator = identity::new_key().unwrap();
        let founder = Founder { owner: owner_of(PAYER), coins: COINS, amount: Amount::from_time(100) };
        let treasury = owner_of([8; 32]);
        let spec = spec(clock::now(), &[operator.public_key()], treasury, &[founder]);
        std::fs::write(folder.path().join("chain.json"), spec.to_json()).unwrap();
        let chain = Arc::new(Chain::new(spec));
        let config = RunConfig {
            chain: chain.clone(),
            data: folder.path().join("data"),
            store: Default::default(),
            listen: "127.0.0.1:0".parse().unwrap(),
            advertise: None,
            peers: Vec::new(),
            operator: Some(Operator { key: operator, past: Past::Unused }),
            mempool: Default::default(),
            tls: None,
            trust: Default::default(),
            net: timecoin_native::net::Limits { inbound_per_ip_max: 256, ..Default::default() },
            http: Default::default(),
        };
        let node = start(config, |_| Default::default()).await.unwrap();
        let url = format!("ws://{}/p2p", node.address);
        Self { chain, url, node, next: AtomicU32::new(0), folder }
    }

    pub(crate) fn owner(&self) -> Owner {
        owner_of(PAYER)
    }

    /// An owner without coins.
    pub(crate) fn other_owner(&self) -> Owner {
        owner_of([9; 32])
    }

    pub(crate) fn state(&self) -> Arc<ChainState> {
        self.node.handle.state.load_full()
    }

    /// The truth, from the node's own rows.
    async fn truth(&self, question: Question) -> Reply {
        let latest = || self.state();
        Answerer { store: &self.node.handle.store, latest }.answer(&question).await.unwrap()
    }

    /// The payer's balance and coins.
    pub(crate) async fn balance(&self) -> (Amount, BTreeMap<OutPoint, Amount>) {
        let Reply::Coins(answer) = self.truth(Question::Coins(self.owner())).await else { panic!("coins") };
        let coins: BTreeMap<_, _> = answer.proof.coins.iter().copied().collect();
        (Amount(coins.values().map(|amount| amount.0).sum()), coins)
    }

    pub(crate) async fn block_id(&self, height: Height) -> BlockId {
        let Reply::Block(block) = self.truth(Question::Block(height)).await else { panic!("block {height}") };
        block.header.id()
    }

    /// Where a payment is final.
    pub(crate) async fn final_in(&self, txid: &TxId) -> Height {
        let Reply::Transaction(found) = self.truth(Question::Transaction(*txid)).await else {
            panic!("{txid} is not final")
        };
        let Located::Final { header, .. } = *found else { panic!("{txid} is pending") };
        header.height
    }

    /// Spends the next coin of genesis to its owner.
    pub(crate) fn next_payment(&self) -> SignedTransaction {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let first = genesis(&self.chain.spec.consensus).unwrap().block.body.transactions.swap_remove(0);
        let spent = first.transaction.outputs[index as usize];
        let output = Output { amount: spent.amount.checked_sub(FEE).unwrap(), owner: spent.owner };
        let transaction = Transaction {
            version: TRANSACTION_VERSION,
            inputs: vec![OutPoint { txid: first.transaction.id(), index }],
            outputs: vec![output],
            action: Action::Transfer,
            expires_at: clock::now().plus(60_000),
            memo: Vec::new(),
        };
        sign(transaction, vec![spent], &self.chain.id, &[SecretKey::from_seed(&PAYER)])
    }

    pub(crate) async fn pay(&self) -> TxId {
        let txid = self.node.handle.submit(self.next_payment()).await.unwrap();
        self.is_final(&txid).await;
        txid
    }

    /// Waits until a payment is final.
    pub(crate) async fn is_final(&self, txid: &TxId) {
        let waiting = async {
            while !matches!(
                self.truth(Question::Transaction(*txid)).await,
                Reply::Transaction(found) if matches!(*found, Located::Final { .. })
            ) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(WAIT, waiting).await.expect("final in time");
    }

    /// Lets a payment that may have reached the node become final, so that the balance stands still.
    pub(crate) async fn settled(&self, txid: &TxId) {
        let id = *txid;
        if self.node.handle.ask(move |node| node.mempool().transaction(&id).is_some()).await.unwrap() {
            self.is_final(txid).await;
        }
    }
}

/// The program.
pub(crate) struct LiarProcess {
    pub(crate) url: String,
    told: mpsc::UnboundedReceiver<Value>,
    _child: Child,
}

impl LiarProcess {
    /// One that knows a network's truth.
    pub(crate) async fn start(net: &Net, lie: &str, delay_ms: u64) -> Self {
        let chain = net.folder.path().join("chain.json");
        let delay = delay_ms.to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_liar"));
        command.arg("--chain").arg(chain).args(["--node", &net.url, "--lie", lie, "--delay-ms", &delay]);
        Self::spawn(command).await
    }

    /// One of a made-up chain.
    pub(crate) async fn epochs(replaced: u64) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_liar"));
        command.args(["--epochs", &replaced.to_string()]);
        Self::spawn(command).await
    }

    async fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).arg("--stop-with-stdin").kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = timeout(WAIT, lines.next_line()).await.expect("it starts in time").unwrap();
        let first: Value = serde_json::from_str(&first.expect("it says where it is")).unwrap();
        let (telling, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = telling.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { url: first["url"].as_str().unwrap().to_owned(), told, _child: child }
    }

    /// Whether it said that it lied, since this was asked last.
    pub(crate) fn has_lied(&mut self) -> bool {
        let mut has_lied = false;
        while let Ok(line) = self.told.try_recv() {
            has_lied |= line["told"].is_string();
        }
        has_lied
    }

    /// The chain that it publishes.
    pub(crate) async fn spec(&self) -> Arc<Chain> {
        let address = self.url.strip_prefix("ws://").and_then(|url| url.strip_suffix("/p2p")).unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /spec.json HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        Arc::new(Chain::new(ChainSpec::from_json(body).unwrap()))
    }
}
