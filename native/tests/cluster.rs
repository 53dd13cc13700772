//! Real processes: nodes that are killed without warning, and what the others and they themselves make of it.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test, and says where")]

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use timecoin_core::hash::TxId;
use timecoin_native::api::Api;
use timecoin_native::client::ClientError;
use timecoin_native::clock;
use timecoin_native::devnet::{Folder, NodeProcess, NodeSetup, Purse, connect};
use tokio::time::sleep;

/// The machine may be busy with other tests.
const FINAL_TIMEOUT_MS: u64 = 60_000;
const REJOIN_TIMEOUT_MS: u64 = 60_000;

struct Cluster {
    // Nodes first: they are gone before their folder is.
    nodes: Vec<Option<(NodeProcess, Api)>>,
    setups: Vec<NodeSetup>,
    purse: Purse,
    paid: Vec<TxId>,
    _outside: tempfile::TempDir,
}

/// Ports that were free a moment ago.
fn free_ports(count: u16) -> Vec<u16> {
    let sockets: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect()
}

impl Cluster {
    async fn start(validators: u16) -> Self {
        let outside = tempfile::tempdir().unwrap();
        let folder = Folder::open(&outside.path().join("net"), validators).unwrap();
        let ports = free_ports(validators);
        let program = PathBuf::from(env!("CARGO_BIN_EXE_timecoin"));
        let setups: Vec<_> = (0..validators)
            .map(|number| NodeSetup { program: program.clone(), ..folder.node(number, &ports) })
            .collect();
        let mut nodes: Vec<_> =
            setups.iter().map(|setup| NodeProcess::start(setup.clone()).unwrap()).collect();
        let mut connected = Vec::new();
        for mut node in nodes.drain(..) {
            let api = connect(&mut node).await.unwrap();
            connected.push(Some((node, api)));
        }
        let purse = Purse::open(&connected[0].as_ref().unwrap().1, &folder).await.unwrap();
        Self { nodes: connected, setups, purse, paid: Vec::new(), _outside: outside }
    }

    fn api(&self, at: usize) -> &Api {
        &self.nodes[at].as_ref().expect("it runs").1
    }

    async fn kill(&mut self, at: usize) {
        self.nodes[at].take().expect("it runs").0.kill().await;
    }

    async fn restart(&mut self, at: usize) {
        let mut node = NodeProcess::start(self.setups[at].clone()).unwrap();
        let api = connect(&mut node).await.unwrap();
        self.nodes[at] = Some((node, api));
    }

    async fn submit(&self, at: usize) -> TxId {
        let (signed, _) = self.purse.payment().expect("the faucet has coins");
        self.api(at).submit(&signed).await.unwrap()
    }

    async fn pay(&mut self, at: usize) -> u64 {
        let txid = self.submit(at).await;
        let height = self.api(at).wait_final(&txid, FINAL_TIMEOUT_MS).await.unwrap();
        self.paid.push(txid);
        height
    }

    /// Waits until a node has a height, and knows every payment so far as final.
    async fn caught_up(&self, at: usize, height: u64) {
        let started = clock::now();
        while self.api(at).status().await.unwrap().height < height {
            let waited = clock::now().since(started);
            assert!(waited < REJOIN_TIMEOUT_MS, "node {at} is behind height {height} after {waited} ms");
            sleep(Duration::from_millis(50)).await;
        }
        for txid in &self.paid {
            let known = self.api(at).client().call("gettransactionfinality", json!([txid])).await.unwrap();
            assert_eq!(known["final"], true, "node {at} knows {txid}");
        }
    }

    async fn block(&self, at: usize, height: u64) -> serde_json::Value {
        self.api(at).client().call("getblockheader", json!([height])).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_09_killing_any_one_loses_nothing_and_it_rejoins() {
    let mut cluster = Cluster::start(4).await;
    cluster.pay(0).await;
    for victim in 0..4 {
        let witness = (victim + 1) % 4;
        let last = cluster.submit(victim).await;
        cluster.kill(victim).await;
        // The victim had answered that it took the payment; it lives on if anyone else had heard of it.
        cluster.pay(witness).await;
        let height = cluster.pay(witness).await;
        cluster.restart(victim).await;
        cluster.caught_up(victim, height).await;
        cluster.api(victim).wait_final(&last, FINAL_TIMEOUT_MS).await.expect("pending survives the kill");
        cluster.paid.push(last);
        let height = cluster.pay(victim).await;
        cluster.caught_up(witness, height).await;
        let (one, other) = (cluster.block(victim, height).await, cluster.block(witness, height).await);
        assert_eq!(one["block"], other["block"], "one chain");
        assert_eq!(one["state_root"], other["state_root"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_two_stops_finality_and_restarting_one_resumes_it() {
    let mut cluster = Cluster::start(4).await;
    cluster.pay(0).await;
    cluster.kill(2).await;
    cluster.kill(3).await;
    let before = cluster.api(0).status().await.unwrap().height;
    let waiting = cluster.submit(0).await;
    let refused = cluster.api(0).wait_final(&waiting, 4_000).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { code: -32004, .. }), "two of four finalize: {refused}");
    assert_eq!(cluster.api(0).status().await.unwrap().height, before, "no block without a quorum");

    let view = cluster.api(0).status().await.unwrap().view;
    cluster.restart(2).await;
    let started = clock::now();
    let height = cluster.api(0).wait_final(&waiting, FINAL_TIMEOUT_MS).await.unwrap();
    println!("final {} ms after the restarted node answered", clock::now().since(started));
    let certificate = cluster.block(0, height).await["certificate"].clone();
    let decided = certificate["view"].as_u64().unwrap();
    assert!(decided <= view + 2, "decided in view {decided}, two after {view} at the latest");
    cluster.caught_up(2, height).await;
    cluster.restart(3).await;
    cluster.caught_up(3, height).await;
}

/// No peer, no network time: it runs, and is where it was.
#[tokio::test(flavor = "multi_thread")]
async fn lesson_13_a_lone_node_runs_and_stays_at_genesis() {
    let outside = tempfile::tempdir().unwrap();
    let folder = Folder::open(&outside.path().join("net"), 4).unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_timecoin"));
    let mut node = NodeProcess::start(NodeSetup { program, ..folder.node(0, &free_ports(4)) }).unwrap();
    let api = connect(&mut node).await.unwrap();
    for _ in 0..10 {
        sleep(Duration::from_millis(400)).await;
        node.check().expect("it runs");
        assert_eq!(api.status().await.unwrap().height, 0, "a height comes from a certificate");
    }
}
