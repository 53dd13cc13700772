//! Whole nodes over loopback sockets and files.

mod hostile;
mod light;

use std::time::Duration;

use timecoin_core::amount::Amount;
use timecoin_core::keys::SecretKey;
use timecoin_core::lock::Lock;
use timecoin_core::spec::{ChainSpec, ConsensusSpec};
use timecoin_core::state::genesis;
use timecoin_core::transaction::{
    Action, OutPoint, Output, SignedTransaction, TRANSACTION_VERSION, Transaction, sign,
};
use tokio::time::timeout;

use super::*;
use crate::devnet::{Founder, spec};
use crate::handle::SubmitFailure;

const WAIT: Duration = Duration::from_secs(30);

struct Cluster {
    chain: Arc<Chain>,
    folders: Vec<tempfile::TempDir>,
    operators: Vec<SecretKey>,
    nodes: Vec<Option<Running>>,
    payer: SecretKey,
}

impl Cluster {
    fn new(validators: usize) -> Self {
        let operators: Vec<_> = (0..validators).map(|_| identity::new_key().unwrap()).collect();
        let payer = SecretKey::from_seed(&[7; 32]);
        let owner = Lock::Key(payer.public_key()).owner();
        let keys: Vec<_> = operators.iter().map(SecretKey::public_key).collect();
        let founder = Founder { owner, coins: 8, amount: Amount::from_time(100) };
        let chain = Arc::new(Chain::new(spec(clock::now(), &keys, owner, &[founder])));
        let folders = operators.iter().map(|_| tempfile::tempdir().unwrap()).collect();
        let nodes = operators.iter().map(|_| None).collect();
        Self { chain, folders, operators, nodes, payer }
    }

    fn config(&self, at: usize) -> RunConfig {
        RunConfig {
            chain: self.chain.clone(),
            data: self.folders[at].path().to_path_buf(),
            store: Options::default(),
            listen: "127.0.0.1:0".parse().unwrap(),
            advertise: None,
            peers: Vec::new(),
            operator: None,
            mempool: MempoolLimits::default(),
            tls: None,
            trust: Trust::default(),
            net: net::Limits::default(),
            http: HttpLimits::default(),
        }
    }

    async fn start(&mut self, at: usize, unused: bool) {
        let running = self.nodes.iter().flatten();
        let peers = running.map(|node| format!("ws://{}/p2p", node.address)).collect();
        self.start_at(at, unused, "127.0.0.1:0".parse().unwrap(), peers, None).await;
    }

    async fn start_at(
        &mut self,
        at: usize,
        unused: bool,
        listen: SocketAddr,
        peers: Vec<String>,
        advertise: Option<String>,
    ) {
        let past = if unused { Past::Unused } else { Past::Unknown };
        let operator = Some(Operator { key: self.operators[at].clone(), past });
        let config = RunConfig { listen, peers, advertise, operator, ..self.config(at) };
        self.nodes[at] = Some(start(config, |_| Router::new()).await.unwrap());
    }

    async fn stop(&mut self, at: usize) {
        let reason = self.nodes[at].take().unwrap().stop().await;
        assert!(matches!(reason, StopReason::Requested), "{reason}");
    }

    fn handle(&self, at: usize) -> &NodeHandle {
        &self.nodes[at].as_ref().unwrap().handle
    }

    /// Spends the genesis coin `index` to itself.
    fn payment(&self, index: u32, fee: Amount) -> SignedTransaction {
        let applied = genesis(&self.chain.spec.consensus).unwrap();
        let txid = applied.block.body.transactions[0].transaction.id();
        let spent = applied.block.body.transactions[0].transaction.outputs[index as usize];
        let output = Output { amount: spent.amount.checked_sub(fee).unwrap(), owner: spent.owner };
        let transaction = Transaction {
            version: TRANSACTION_VERSION,
            inputs: vec![OutPoint { txid, index }],
            outputs: vec![output],
            action: Action::Transfer,
            expires_at: clock::now().plus(60_000),
            memo: Vec::new(),
        };
        sign(transaction, vec![spent], &self.chain.id, core::slice::from_ref(&self.payer))
    }

    /// Submits a payment to one node and waits until all that run have it final.
    async fn pay(&self, index: u32, to: usize) -> u64 {
        let running: Vec<_> = self.nodes.iter().flatten().collect();
        let mut notices: Vec<_> = running.iter().map(|node| node.handle.notices()).collect();
        let started = clock::now();
        let txid = self.handle(to).submit(self.payment(index, Amount(100_000))).await.unwrap();
        for notices in &mut notices {
            let is_final = |notice: &Notice| match notice {
                Notice::Finalized { block, .. } => {
                    block.body.transactions.iter().any(|signed| signed.transaction.id() == txid)
                }
                _ => false,
            };
            let waiting = async { while !is_final(&notices.recv().await.unwrap()) {} };
            timeout(WAIT, waiting).await.expect("final in time");
        }
        clock::now().since(started)
    }
}

/// Its store is gone, and nobody is left who would finalize without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_ends_by_the_operators_word() {
    let mut cluster = Cluster::new(1);
    cluster.start(0, false).await;
    let handle = cluster.handle(0).clone();
    let mut notices = handle.notices();
    handle.submit(cluster.payment(0, Amount(100_000))).await.unwrap();
    assert!(handle.ask(|node| node.quarantine().is_some()).await.unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(handle.state.load().height().0, 0, "it signs nothing");
    handle.override_quarantine(timecoin_core::vote::Height(1)).await.unwrap();
    let is_final = async { while !matches!(*notices.recv().await.unwrap(), Notice::Finalized { .. }) {} };
    timeout(WAIT, is_final).await.expect("the chain goes on");
    assert!(handle.ask(|node| node.quarantine().is_none()).await.unwrap());
    drop(handle);
    cluster.stop(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_validator_finalizes_and_remembers() {
    let mut cluster = Cluster::new(1);
    cluster.start(0, true).await;
    cluster.pay(0, 0).await;
    let state = cluster.handle(0).state.load_full();
    let again = cluster.handle(0).submit(cluster.payment(0, Amount(200_000))).await.unwrap_err();
    assert!(matches!(again, SubmitFailure::Refused(_)), "spent: {again}");
    assert_eq!(cluster.handle(0).ask(|node| node.mempool().len()).await, Ok(0));
    let handle = cluster.handle(0).clone();
    cluster.stop(0).await;
    assert_eq!(handle.ask(|_| ()).await, Err(crate::handle::Stopped));
    drop(handle);

    cluster.start(0, false).await;
    assert!(cluster.handle(0).state.load().height() >= state.height());
    cluster.pay(1, 0).await;
    cluster.stop(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_finalize_and_one_may_stop_and_return() {
    let mut cluster = Cluster::new(4);
    for at in 0..4 {
        cluster.start(at, true).await;
    }
    let elapsed = cluster.pay(0, 0).await;
    println!("first payment: {elapsed} ms");
    for at in 1..4 {
        println!("payment {at}: {} ms", cluster.pay(at, at as usize).await);
    }
    cluster.stop(3).await;
    println!("with three: {} ms", cluster.pay(4, 0).await);
    cluster.start(3, false).await;
    println!("with four: {} ms", cluster.pay(5, 3).await);
    let ids: std::collections::BTreeSet<_> = (0..4).map(|at| cluster.handle(at).state.load().id).collect();
    assert!(ids.len() <= 2, "at most one block apart");
    for at in 0..4 {
        cluster.stop(at).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_already_is_refused_with_a_reason() {
    let mut cluster = Cluster::new(1);
    cluster.start(0, true).await;
    let address = cluster.nodes[0].as_ref().unwrap().address;
    let other = tempfile::tempdir().unwrap();
    let config = RunConfig {
        chain: cluster.chain.clone(),
        data: other.path().to_path_buf(),
        store: Options::default(),
        listen: address,
        advertise: None,
        peers: Vec::new(),
        operator: None,
        mempool: MempoolLimits::default(),
        tls: None,
        trust: Trust::default(),
        net: net::Limits::default(),
        http: HttpLimits::default(),
    };
    let port = start(config.clone(), |_| Router::new()).await.err().expect("the port is taken");
    assert!(matches!(port, StartError::Bind(BindError::InUse { .. })), "{port}");
    let locked = RunConfig { data: cluster.folders[0].path().to_path_buf(), ..config.clone() };
    let locked = start(locked, |_| Router::new()).await.err().expect("the folder is taken");
    assert!(matches!(locked, StartError::Store(StoreError::Locked { .. })), "{locked}");
    cluster.stop(0).await;

    let another = Chain::new(ChainSpec {
        consensus: ConsensusSpec { name: "another".into(), ..cluster.chain.spec.consensus.clone() },
        ..cluster.chain.spec.clone()
    });
    let other_chain =
        RunConfig { chain: Arc::new(another), data: cluster.folders[0].path().to_path_buf(), ..config };
    let refused = start(other_chain, |_| Router::new()).await.err().expect("the folder holds another chain");
    assert!(matches!(refused, StartError::Restore(DriverError::Restore(_))), "{refused}");
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn sessions(handle: &NodeHandle, count: usize) {
    let mut sessions = handle.sessions();
    let enough = sessions.wait_for(|sessions| sessions.len() >= count);
    timeout(WAIT, enough).await.expect("sessions in time").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_know_one_bootstrap_find_each_other_and_return_without_it() {
    let mut cluster = Cluster::new(4);
    let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
    let url = |port: u16| format!("ws://127.0.0.1:{port}/p2p");
    let spec = ChainSpec { bootstrap: vec![url(ports[0])], ..cluster.chain.spec.clone() };
    cluster.chain = Arc::new(Chain::new(spec));
    for (at, port) in ports.iter().enumerate() {
        let listen = format!("127.0.0.1:{port}").parse().unwrap();
        cluster.start_at(at, true, listen, Vec::new(), Some(url(*port))).await;
    }
    for at in 0..4 {
        sessions(cluster.handle(at), 3).await;
    }
    cluster.pay(0, 1).await;
    // The bootstrap node is gone, and one of the others starts again: it remembers the rest.
    cluster.stop(0).await;
    cluster.stop(3).await;
    let listen = format!("127.0.0.1:{}", ports[3]).parse().unwrap();
    cluster.start_at(3, false, listen, Vec::new(), Some(url(ports[3]))).await;
    sessions(cluster.handle(3), 2).await;
    let known = cluster.handle(3).ask(timecoin_core::node::Node::known_peers).await.unwrap();
    assert!(known >= 2, "{known}");
    cluster.pay(1, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_told_on_development_networks_only() {
    let mut cluster = Cluster::new(1);
    let config =
        |cluster: &Cluster| RunConfig { advertise: Some("ws://10.0.0.1:1/p2p".into()), ..cluster.config(0) };
    let key = SecretKey::from_seed(&[1; 32]);
    assert!(discovery(&config(&cluster), &key).unwrap().policy.allow_private);
    let consensus = ConsensusSpec { network: address::Network::Test, ..cluster.chain.spec.consensus.clone() };
    cluster.chain = Arc::new(Chain::new(ChainSpec { consensus, ..cluster.chain.spec.clone() }));
    let public = discovery(&config(&cluster), &key).unwrap();
    assert!(!public.policy.allows(&public.record.unwrap().url));
}
