//! `timecoin devnet` as its user has it: nodes killed and started again, Ctrl-C, the same folder again, ports in use.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a failed step fails the test, and says where")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// The machine may be busy with other tests.
const WAIT: Duration = Duration::from_secs(60);
/// No block for so long means that there are none.
const QUIET: Duration = Duration::from_secs(3);

/// A devnet that runs, and its lines.
struct Devnet {
    child: Child,
    lines: mpsc::Receiver<Value>,
    start: Value,
    /// Nodes started by hand.
    by_hand: Vec<Child>,
}

fn command(folder: &Path, base_port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timecoin"));
    command
        .args(["devnet", "--json", "--no-web", "--base-port", &base_port.to_string(), "--dir"])
        .arg(folder);
    command
}

fn signal(pid: u64, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

fn is_running(pid: u64) -> bool {
    Command::new("kill").args(["-0", &pid.to_string()]).stderr(Stdio::null()).status().unwrap().success()
}

/// A port, followed by three free ones.
fn free_ports() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let first = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().min(u16::MAX - 400);
    (first..first + 396).find(|port| (*port..*port + 4).all(is_free)).unwrap()
}

impl Devnet {
    fn start(folder: &Path, base_port: u16) -> Self {
        let mut child = command(folder, base_port).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut devnet = Self { child, lines, start: Value::Null, by_hand: Vec::new() };
        devnet.start = devnet.until("start", |line| line["event"] == "start");
        devnet
    }

    fn until(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.recv_timeout(WAIT).unwrap_or_else(|error| panic!("{what}: {error}"));
            if is_it(&line) {
                return line;
            }
        }
    }

    /// The next final block with payments that is told of.
    fn payments(&self) -> u64 {
        let line = self.until("a block with payments", |line| {
            line["event"] == "block" && line["transactions"].as_u64() > Some(0)
        });
        line["height"].as_u64().unwrap()
    }

    fn pid(&self, number: usize) -> u64 {
        self.start["nodes"][number]["pid"].as_u64().unwrap()
    }

    /// Kills a node; returns what is said to start it again.
    fn kill(&self, number: usize) -> String {
        signal(self.pid(number), "-KILL");
        let told =
            self.until("the end of a node", |line| line["event"] == "node" && line["number"] == number);
        assert_eq!(told["state"], "ended", "{told}");
        assert!(told["status"].as_str().unwrap().contains('9'), "{told}");
        told["command"].as_str().unwrap().to_owned()
    }

    fn start_again(&mut self, number: usize, command: &str) {
        let child = Command::new("sh").args(["-c", &format!("exec {command}")]).stderr(Stdio::null()).spawn();
        self.by_hand.push(child.unwrap());
        let told = self.until("the node is back", |line| line["event"] == "node" && line["number"] == number);
        assert_eq!(told["state"], "back", "{told}");
    }

    /// Ctrl-C; returns the summary.
    fn interrupt(mut self) -> Value {
        signal(self.child.id().into(), "-INT");
        let summary = self.until("the summary", |line| line["event"] == "summary");
        assert!(self.child.wait().unwrap().success());
        summary
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        for child in self.by_hand.iter_mut().chain([&mut self.child]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn nodes_may_be_killed_and_started_again_while_the_devnet_runs() {
    let outside = tempfile::tempdir().unwrap();
    // A place that a shell would take apart.
    let folder = outside.path().join("my net");
    let mut devnet = Devnet::start(&folder, free_ports());
    devnet.payments();

    // One: the others go on. Node 0 is the one that blocks are heard from.
    let again = devnet.kill(0);
    let mut height = 0;
    (0..20).for_each(|_| height = devnet.payments());
    devnet.start_again(0, &again);
    assert!(devnet.payments() > height);

    // Two: nothing is final until one is back.
    let again = [2, 3].map(|number| devnet.kill(number));
    while devnet.lines.recv_timeout(QUIET).is_ok() {}
    devnet.start_again(2, &again[0]);
    (0..5).for_each(|_| height = devnet.payments());
    devnet.start_again(3, &again[1]);

    let pids: Vec<_> = (0..4).map(|number| devnet.pid(number)).collect();
    let summary = devnet.interrupt();
    assert!(summary["payments"].as_u64().unwrap() >= 25, "{summary}");
    assert!(pids.into_iter().all(|pid| !is_running(pid)), "no child outlives the devnet");
}

#[test]
fn a_devnet_stops_on_ctrl_c_and_goes_on_from_its_data() {
    let outside = tempfile::tempdir().unwrap();
    let (folder, ports) = (outside.path().join("net"), free_ports());
    let devnet = Devnet::start(&folder, ports);
    assert_eq!(devnet.start["restarted"], false);
    let chain = devnet.start["chain"].clone();
    let height = devnet.payments();
    let pid = devnet.pid(1);
    let summary = devnet.interrupt();
    assert_eq!(summary["failed"], 0, "{summary}");
    assert!(!is_running(pid), "the nodes stop too");

    let devnet = Devnet::start(&folder, ports);
    assert_eq!((&devnet.start["restarted"], &devnet.start["chain"]), (&true.into(), &chain));
    assert!(devnet.payments() > height, "the chain goes on");
    devnet.interrupt();
}

fn refused(command: &mut Command, code: &str) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(!status.success() && stdout.is_empty(), "{code}: {said}");
    assert_eq!(said.lines().count(), 1, "{code}: {said}");
    assert!(said.starts_with(&format!("error[{code}]: ")), "{code}: {said}");
}

#[test]
fn what_keeps_a_devnet_from_starting_has_a_code_and_costs_nothing() {
    let outside = tempfile::tempdir().unwrap();
    let (folder, ports) = (outside.path().join("net"), free_ports());
    let taken = TcpListener::bind(("127.0.0.1", ports + 2)).unwrap();
    refused(&mut command(&folder, ports), "port-in-use");
    drop(taken);
    refused(&mut command(&folder, 65_533), "devnet-ports");
    refused(&mut command(&folder, 0), "devnet-ports");
    refused(command(&folder, ports).args(["--validators", "65"]), "devnet-validators");
    let letters = outside.path().join("letters");
    std::fs::create_dir(&letters).unwrap();
    std::fs::write(letters.join("dear.txt"), "dear").unwrap();
    refused(&mut command(&letters, ports), "devnet-folder");

    let devnet = Devnet::start(&folder, ports);
    let nodes: Vec<PathBuf> = (0..4).map(|number| folder.join(format!("node-{number}"))).collect();
    assert!(nodes.iter().all(|node| node.is_dir()));
    devnet.payments();
    // A second one on the same folder.
    refused(&mut command(&folder, free_ports()), "devnet-in-use");
    devnet.payments();
    devnet.interrupt();
}

/// A disk that fills up, in a namespace of its own, and is made larger afterwards.
#[cfg(target_os = "linux")]
const FULL_DISK: &str = r#"
set -e
mount -t tmpfs -o size=5m tmpfs "$DISK"
net="$DISK/net" && node="$net/node-0"
"$TIMECOIN" devnet --json --no-web --validators 1 --dir "$net" --base-port "$PORT" --rate 300 --seconds 240 \
    > "$OUT/before" 2> "$OUT/devnet.err" && exit 11
timeout 90 "$TIMECOIN" node --chain "$net/chain.json" --data "$node" --operator-key "$node/operator.key" \
    --listen "127.0.0.1:$PORT" --log off 2> "$OUT/node.err" && exit 12
mount -o remount,size=64m "$DISK"
"$TIMECOIN" db verify --chain "$net/chain.json" --data "$node" > "$OUT/verify"
"$TIMECOIN" devnet --json --no-web --dir "$net" --base-port "$PORT" --seconds 10 > "$OUT/after"
"#;

/// The votes have room on a full disk, the blocks they are for have none: a chain ended there.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_a_validator_with_a_code_and_its_chain_goes_on_when_there_is_room() {
    let in_namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        command
    };
    let outside = tempfile::tempdir().unwrap();
    let (disk, out) = (outside.path().join("disk"), outside.path().join("out"));
    for folder in [&disk, &out] {
        std::fs::create_dir(folder).unwrap();
    }
    let mut probe = in_namespace(r#"mount -t tmpfs tmpfs "$DISK""#);
    let can_mount = probe.env("DISK", &disk).stderr(Stdio::null()).status();
    if !can_mount.is_ok_and(|status| status.success()) {
        let warning = "SKIPPED: no file system can be mounted here, no disk was filled\n";
        std::io::Write::write_all(&mut std::io::stderr(), warning.as_bytes()).unwrap();
        return;
    }
    let ran = in_namespace(FULL_DISK)
        .env("TIMECOIN", env!("CARGO_BIN_EXE_timecoin"))
        .env("PORT", free_ports().to_string())
        .env("DISK", &disk)
        .env("OUT", &out)
        .output()
        .unwrap();
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap_or_default();
    assert!(ran.status.success(), "{ran:?}: {} {}", read("devnet.err"), read("node.err"));
    let heights = |name: &str| -> Vec<u64> {
        let lines = read(name);
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["height"].as_u64()).collect()
    };
    let (before, after) = (heights("before"), heights("after"));
    assert!(before.last() > Some(&10), "it ran until the disk was full: {before:?}");
    assert!(read("devnet.err").contains("error[devnet-node-ended]: "), "{}", read("devnet.err"));
    let node = read("node.err");
    assert!(node.starts_with("error[disk-full]: ") && node.lines().count() == 1, "{node}");
    assert!(read("verify").starts_with("Sound"), "{}", read("verify"));
    assert!(after.first() > before.last() && after.len() > 1, "{before:?} and then {after:?}");
}
