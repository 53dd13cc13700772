//! The command line against real nodes: the devnet's demo wallet, payments, receipts, offline signing, masternodes,
//! and the store of a stopped node.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test, and says where")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use timecoin_core::codec::decode;
use timecoin_core::hash::hex_to_vec;
use timecoin_core::transaction::SignedTransaction;
use timecoin_native::api::Api;
use timecoin_native::devnet::{Folder, NodeProcess, NodeSetup, connect};

const PROGRAM: &str = env!("CARGO_BIN_EXE_timecoin");

/// A devnet of real processes, without payments of its own.
struct Net {
    // Nodes first: they are gone before their folder is.
    nodes: Vec<(NodeProcess, Api)>,
    setups: Vec<NodeSetup>,
    folder: Folder,
    outside: tempfile::TempDir,
}

/// Ports that were free a moment ago.
fn free_ports(count: u16) -> Vec<u16> {
    let sockets: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect()
}

impl Net {
    async fn start(validators: u16) -> Self {
        let outside = tempfile::tempdir().unwrap();
        let folder = Folder::open(&outside.path().join("net"), validators).unwrap();
        let ports = free_ports(validators);
        let setups: Vec<_> = (0..validators)
            .map(|number| NodeSetup { program: PROGRAM.into(), ..folder.node(number, &ports) })
            .collect();
        let started: Vec<_> = setups.iter().map(|setup| NodeProcess::start(setup.clone()).unwrap()).collect();
        let mut nodes = Vec::new();
        for mut node in started {
            let api = connect(&mut node).await.unwrap();
            nodes.push((node, api));
        }
        private(&outside.path().join("password"), "correct horse\n");
        private(&outside.path().join("wrong"), "battery staple\n");
        Self { nodes, setups, folder, outside }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.outside.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Runs `timecoin`: `@name` is a path of this test, `@node` the first node's address, `@chain` its chain spec.
    fn run(&self, line: &str) -> Output {
        let words = line.split_whitespace().map(|word| match word.strip_prefix('@') {
            Some("node") => self.nodes[0].0.url().to_owned(),
            Some("chain") => self.text("net/chain.json"),
            Some(name) => self.text(name),
            None => word.to_owned(),
        });
        Command::new(PROGRAM).args(words).output().unwrap()
    }

    /// Runs a command that succeeds; its lines of JSON.
    fn lines(&self, line: &str) -> Vec<Value> {
        let output = self.run(&format!("{line} --json"));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {error}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Runs a command that succeeds with one line.
    fn one(&self, line: &str) -> Value {
        let mut lines = self.lines(line);
        assert_eq!(lines.len(), 1, "{line}: {lines:?}");
        lines.remove(0)
    }

    /// Runs a command that fails with this code, and says nothing else.
    fn fails(&self, line: &str, code: &str) {
        let output = self.run(line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.starts_with(&format!("error[{code}]: ")), "{line}: {code} expected: {error}");
        assert_eq!(error.lines().count(), 1, "{line}: {error}");
        assert_eq!(output.status.code(), Some(1), "{line}");
    }

    fn restore(&self, wallet: &str, words: &str) -> String {
        let made = self.one(&format!(
            "wallet restore --wallet @{wallet} --chain @chain --words-file @net/{words}.json --password-file @password"
        ));
        made["address"].as_str().unwrap().to_owned()
    }

    fn new_wallet(&self, wallet: &str) -> String {
        let made =
            self.one(&format!("wallet new --wallet @{wallet} --chain @chain --password-file @password"));
        assert_eq!(made["words"].as_str().unwrap().split(' ').count(), 12);
        made["address"].as_str().unwrap().to_owned()
    }

    fn balance(&self, wallet: &str) -> Value {
        let balance = self.one(&format!("wallet balance --wallet @{wallet} --node @node"));
        assert_eq!(balance["verified"]["trusted_from"]["any_age"], true, "a development network says so");
        balance
    }

    fn total(&self, wallet: &str) -> String {
        self.balance(wallet)["total"].as_str().unwrap().to_owned()
    }

    /// Sends and waits; the last line, which is of a final payment.
    fn send(&self, wallet: &str, rest: &str) -> Value {
        let lines = self.lines(&format!(
            "wallet send {rest} --wait --wallet @{wallet} --node @node --password-file @password"
        ));
        assert_eq!(lines[0]["event"], "sent", "{lines:?}");
        final_line(&lines)
    }

    async fn stop(&mut self, at: usize) {
        let (node, _) = self.nodes.remove(at);
        node.ended().await;
    }
}

/// The last line, after at least one phase.
fn final_line(lines: &[Value]) -> Value {
    let last = lines.last().unwrap().clone();
    assert_eq!(last["event"], "final", "{lines:?}");
    let phases: Vec<_> = lines.iter().filter(|line| line["event"] == "phase").collect();
    assert_eq!(phases.last().unwrap()["phase"], "finalized", "{lines:?}");
    assert!(last["final_ms"].as_f64().unwrap() > 0.0);
    let signed = &last["signed"];
    assert!(3 * signed["weight"].as_u64().unwrap() > 2 * signed["total"].as_u64().unwrap(), "{last}");
    last
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn grains(text: &Value) -> u64 {
    text.as_str().unwrap().parse::<timecoin_core::amount::Amount>().unwrap().0
}

const TIME: u64 = 100_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_from_the_demo_wallet_to_its_receipt() {
    let net = Net::start(4).await;
    let demo = net.restore("demo", "demo");
    assert_eq!(demo, net.folder.demo().address, "the address that the devnet prints");
    let balance = net.balance("demo");
    assert_eq!((&balance["total"], &balance["spendable"]), (&"1000".into(), &"1000".into()), "{balance}");
    assert_eq!(balance["coins"], 10);

    let mine = net.new_wallet("mine");
    assert_eq!(net.total("mine"), "0", "an empty wallet is proved too");
    let paid = net.send("demo", &format!("{mine} 12.5 --memo lunch"));
    let balance = net.balance("mine");
    assert_eq!(balance["total"], "12.5");
    assert!(balance["verified"]["height"].as_u64() >= paid["height"].as_u64(), "{balance}");
    assert!(balance["verified"]["certificates_checked"].as_u64().unwrap() > 0);

    let txid = paid["txid"].as_str().unwrap();
    let history = net.one("wallet history --wallet @mine --node @node");
    assert_eq!((&history["complete"], &history["from"]), (&true.into(), &0.into()), "{history}");
    let entry = &history["entries"][0];
    assert_eq!((&entry["net"], &entry["txid"]), (&"+12.5".into(), &txid.into()), "{entry}");
    let sent = net.one("wallet history --wallet @demo --node @node")["entries"][0].clone();
    assert_eq!(sent["paid"][0]["address"], *mine);
    let spent = 1000 * TIME - grains(&net.balance("demo")["total"]);
    assert_eq!(spent, 12 * TIME + TIME / 2 + grains(&sent["fee"]), "{sent}");

    // The receipt, in every form, offline.
    let kept = net.one(&format!("wallet receipt get {txid} --out @receipt.json --wallet @mine --node @node"));
    assert_eq!((&kept["memo"], &kept["outputs"][0]["address"]), (&"lunch".into(), &(*mine).into()));
    net.one(&format!("wallet receipt get {txid} --out @receipt.txt --wallet @mine --node @node"));
    for form in ["json", "txt"] {
        let proved = net.one(&format!("wallet receipt verify @receipt.{form} --chain @chain"));
        assert_eq!((&proved["valid"], &proved["txid"]), (&true.into(), &txid.into()));
    }
    net.fails("wallet receipt verify @receipt.json --chain dev", "receipt-invalid");
    let text = fs::read_to_string(net.path("receipt.json")).unwrap();
    fs::write(net.path("other.json"), text.replacen("12.5", "12.6", 1)).unwrap();
    net.fails("wallet receipt verify @other.json --wallet @mine", "receipt-invalid");
    fs::write(net.path("cut.json"), &text[..text.len() / 2]).unwrap();
    net.fails("wallet receipt verify @cut.json --wallet @mine", "receipt-damaged");
    let unknown = "00".repeat(32);
    net.fails(
        &format!("wallet receipt get {unknown} --out @none.json --wallet @mine --node @node"),
        "rpc-refused",
    );

    // Everything back, to an address given out just now, with a fee named.
    let fresh = net.one("wallet address new --wallet @demo")["address"].as_str().unwrap().to_owned();
    assert_ne!(fresh, demo);
    let fee = "0.0001";
    net.send("mine", &format!("{fresh} --max --fee {fee}"));
    assert_eq!(net.total("mine"), "0");
    let last = net.one("wallet history --wallet @mine --node @node --count 1")["entries"][0].clone();
    assert_eq!((&last["fee"], &last["net"]), (&fee.into(), &"-12.5".into()));
    let list = net.one("wallet address list --wallet @demo")["addresses"].clone();
    assert!(list.as_array().unwrap().iter().any(|item| item["address"] == *fresh), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_has_a_code_and_costs_nothing() {
    let net = Net::start(1).await;
    let demo = net.restore("demo", "demo");
    let mut damaged = demo.clone();
    let last = if damaged.pop() == Some('q') { 'p' } else { 'q' };
    damaged.push(last);
    let main = timecoin_core::address::Address {
        network: timecoin_core::address::Network::Main,
        owner: timecoin_core::hash::Owner::default(),
    };
    let send =
        |rest: &str| format!("wallet send {rest} --wallet @demo --node @node --password-file @password");
    let table = [
        (
            "wrong password",
            format!("wallet send {demo} 1 --wallet @demo --node @node --password-file @wrong"),
            "wrong-password",
        ),
        (
            "no such file",
            format!("wallet send {demo} 1 --wallet @demo --node @node --password-file @none"),
            "wallet-file",
        ),
        ("too much", send(&format!("{demo} 1000")), "insufficient-funds"),
        ("dust", send(&format!("{demo} 0.00000001")), "amount-too-small"),
        ("no amount", send(&format!("{demo} twelve")), "amount"),
        ("nine decimals", send(&format!("{demo} 0.123456789")), "amount"),
        ("fee", send(&format!("{demo} 1 --fee 0.00000001")), "fee-too-low"),
        ("damaged address", send(&format!("{damaged} 1")), "address-damaged"),
        ("address of another network", send(&format!("{main} 1")), "address-wrong-network"),
        ("no address", send("bob 1"), "address-malformed"),
        (
            "nobody there",
            "wallet balance --wallet @demo --node http://127.0.0.1:1".into(),
            "node-unreachable",
        ),
        ("no url", "wallet balance --wallet @demo --node nonsense".into(), "node-url"),
        ("no wallet", "wallet balance --wallet @nowhere --node @node".into(), "wallet-absent"),
        (
            "a wallet is there",
            "wallet new --wallet @demo --chain @chain --password-file @password".into(),
            "exists",
        ),
        (
            "no words",
            "wallet restore --wallet @again --chain @chain --words-file @password --password-file @password"
                .into(),
            "recovery-words",
        ),
        (
            "no chain",
            "wallet new --wallet @again --chain @password --password-file @password".into(),
            "chain-spec",
        ),
        ("no receipt", "wallet receipt verify @password --wallet @demo".into(), "receipt-damaged"),
        (
            "nothing to sign",
            "wallet sign @password --wallet @demo --password-file @password".into(),
            "offline-file",
        ),
    ];
    for (name, line, code) in table {
        println!("{name}");
        net.fails(&line, code);
    }
    // Another chain's wallet finds the node to be on the wrong chain.
    net.one("wallet new --wallet @other --chain dev --password-file @password");
    net.fails("wallet balance --wallet @other --node @node", "node-other-chain");
    assert_eq!(net.run("wallet send").status.code(), Some(2), "a wrong command line");
    assert_eq!(net.total("demo"), "1000", "nothing of this cost anything");
    net.send("demo", &format!("{demo} 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_where_there_is_no_network() {
    let net = Net::start(1).await;
    let demo = net.restore("cold", "demo");
    net.one("wallet export @hot --wallet @cold");
    net.fails(
        &format!("wallet send {demo} 1 --wallet @hot --node @node --password-file @password"),
        "wallet-watches-only",
    );
    let mine = net.new_wallet("mine");
    let unsigned =
        net.one(&format!("wallet send {mine} 7 --unsigned @payment.json --wallet @hot --node @node"));
    let reserved = net.balance("hot");
    assert_eq!((&reserved["total"], &reserved["reserved"]), (&"1000".into(), &"100".into()), "{reserved}");
    net.fails("wallet broadcast @payment.json --wallet @hot --node @node", "signatures-missing");
    net.fails("wallet sign @payment.json --wallet @mine --password-file @password", "nothing-to-sign");
    let signed = net.one("wallet sign @payment.json --wallet @cold --password-file @password");
    assert_eq!((&signed["complete"], &signed["txid"]), (&true.into(), &unsigned["txid"]));
    assert_eq!(signed["review"]["payments"][0]["to"], *mine);
    let bytes = hex_to_vec(signed["hex"].as_str().unwrap()).unwrap();
    let carried: SignedTransaction = decode(&bytes).unwrap();
    assert_eq!(carried.transaction.id().to_string(), unsigned["txid"], "what a page can submit");
    let lines = net.lines("wallet broadcast @payment.signed --wait --wallet @hot --node @node");
    assert_eq!(final_line(&lines)["txid"], unsigned["txid"]);
    assert_eq!(net.total("mine"), "7");
    assert_eq!(net.balance("hot")["reserved"], "0");
    net.fails("wallet broadcast @payment.signed --wallet @hot --node @node", "rpc-refused");
    assert!(grains(&net.balance("cold")["total"]) < 993 * TIME, "the cold wallet sees it too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masternode_from_registration_to_retirement() {
    let net = Net::start(4).await;
    let status = |rest: &str| net.one(&format!("masternode status {rest} --wallet @owner --node @node"));
    net.restore("owner", "faucet");
    let before = status("");
    assert_eq!(before["registered"], 4, "{before}");
    assert!(before["verified"]["height"].is_u64());
    let key = net.run("keys new @operator.key");
    assert!(key.status.success());
    let operator = serde_json::from_slice::<Value>(&key.stdout).unwrap()["public_key"].clone();

    net.restore("poor", "demo");
    let register = |wallet: &str| {
        format!(
            "masternode register --tier bronze --operator-key @operator.key --wait --wallet @{wallet} --node @node --password-file @password"
        )
    };
    net.fails(&register("poor"), "insufficient-funds");
    let lines = net.lines(&register("owner"));
    final_line(&lines);
    let id = lines[0]["masternode"].as_str().unwrap().to_owned();
    let mine = status(&id)["masternodes"][0].clone();
    assert_eq!((&mine["status"], &mine["operator"]), (&"active".into(), &operator), "{mine}");
    assert_eq!(status("--all")["registered"], 5);
    let collateral = grains(&net.balance("owner")["collateral"]);
    assert_eq!(collateral, 5000 * TIME, "the four of genesis and this one");
    net.fails(&register("owner"), "rpc-refused");

    // The owner's consent goes the other way too: the operator's key stays where it is.
    assert!(net.run("keys new @second.key").status.success());
    let owner = mine["owner"].as_str().unwrap();
    let consent = net.run(&format!("keys prove @second.key --owner {owner} --chain @chain"));
    let consent: Value = serde_json::from_slice(&consent.stdout).unwrap();
    let (second, proof) =
        (consent["operator"].as_str().unwrap(), consent["operator_proof"].as_str().unwrap());
    let rest = "--wait --wallet @owner --node @node --password-file @password";
    let rotate = |id: &str, proof: &str| {
        format!("masternode rotate {id} --operator {second} --operator-proof {proof} {rest}")
    };
    net.fails(&rotate(&id, &"00".repeat(64)), "operator-proof");
    net.fails(&rotate(&"00".repeat(32), proof), "masternode-unknown");
    final_line(&net.lines(&rotate(&id, proof)));
    assert_eq!(status(&id)["masternodes"][0]["operator"], second);

    net.fails(
        &format!("masternode retire {id} --wallet @poor --node @node --password-file @password"),
        "masternode-not-ours",
    );
    final_line(&net.lines(&format!("masternode retire {id} {rest}")));
    let retired = status(&id)["masternodes"][0].clone();
    assert_eq!(retired["status"], "retired", "{retired}");
    assert!(retired["unlock_at"].as_u64().unwrap() > 0);
    assert_eq!(grains(&net.balance("owner")["collateral"]), collateral, "still unbonding");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_a_stopped_node_is_checked_copied_and_made_again() {
    let mut net = Net::start(4).await;
    let demo = net.restore("demo", "demo");
    for amount in 1..=5 {
        net.send("demo", &format!("{demo} {amount}"));
    }
    let data = "--data @net/node-3 --chain @chain";
    net.fails(&format!("db stats {data}"), "data-locked");
    net.fails(&format!("db verify {data}"), "data-locked");
    net.fails(&format!("db reindex {data}"), "data-locked");
    net.stop(3).await;

    let stats = net.one(&format!("db stats {data}"));
    assert!(stats["height"].as_u64().unwrap() >= 5, "{stats}");
    assert_eq!(net.one(&format!("db verify {data}"))["sound"], true);
    net.one(&format!("db backup {data} @copy"));
    net.fails(&format!("db backup {data} @copy"), "occupied");
    let copy = net.one("db stats --data @copy --chain @chain");
    let again = net.one(&format!("db reindex {data}"));
    let after = net.one(&format!("db stats {data}"));
    for field in ["height", "block", "state_root"] {
        assert_eq!(copy[field], stats[field], "{field} of the copy");
        assert_eq!(again[field], stats[field], "{field} made again");
        assert_eq!(after[field], stats[field], "{field} in the new store");
    }
    assert_eq!(net.one(&format!("db verify {data}"))["sound"], true);
    net.fails("db reindex --data @net/node-3 --chain dev", "data-other-chain");
    net.fails("db stats --data @nowhere --chain dev", "data-absent");

    // The node goes on from what was made again, votes included.
    let mut node = NodeProcess::start(net.setups[3].clone()).unwrap();
    let api = connect(&mut node).await.unwrap();
    net.nodes.push((node, api));
    let paid = net.send("demo", &format!("{demo} 6"));
    let txid = paid["txid"].as_str().unwrap().parse().unwrap();
    let height = net.nodes[3].1.wait_final(&txid, 60_000).await.unwrap();
    assert_eq!(Some(height), paid["height"].as_u64());

    // A damaged store says where, and is neither opened nor replaced.
    fs::remove_file(net.path("copy/store/sign.journal")).unwrap();
    let refused = net.run("db verify --data @copy --chain @chain");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("sign.journal is missing"));
    net.fails("db verify --data @copy --chain @chain", "data-damaged");
    net.fails("db reindex --data @copy --chain @chain", "data-damaged");
    net.fails("db stats --data @copy --chain @chain", "data-damaged");
}
