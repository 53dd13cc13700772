//! What `/health` says: whether this node can be relied on now, and if not, why not.

use std::time::Duration;

use serde_json::{Value, json};
use timecoin_core::sync::Progress;
use tokio::time::timeout;

use crate::clock;
use crate::handle::{NodeHandle, Stopped};

/// The node's thread answers within this, or is said not to.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// A chain makes a block at least every heartbeat; without any for so many of them, something is wrong.
const HEARTBEATS_MISSED: u64 = 3;

/// Whether the node can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has the newest block it knows of, and that is recent.
    Ready,
    /// It knows of certified blocks that it lacks, and is fetching them.
    Behind,
    /// It has seen no new block for several heartbeats: it is cut off, or the chain waits for validators.
    Stale,
    /// Its thread does not answer.
    Unresponsive,
    /// It is stopping.
    Stopping,
}

impl Status {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Behind => "behind",
            Self::Stale => "stale",
            Self::Unresponsive => "unresponsive",
            Self::Stopping => "stopping",
        }
    }
}

/// The status, and what it is judged by.
pub async fn report(handle: &NodeHandle) -> (Status, Value) {
    let asked = handle.ask(|node| (node.sync_progress(), node.quarantine().is_some()));
    let answer = timeout(ANSWER_TIMEOUT, asked).await;
    let state = handle.state.load();
    let age_ms = clock::now().since(state.header.time);
    let heartbeat_ms = handle.chain.spec.consensus.rules(state.height().next()).heartbeat_ms;
    let (status, progress, silent) = match answer {
        Err(_) => (Status::Unresponsive, None, None),
        Ok(Err(Stopped)) => (Status::Stopping, None, None),
        Ok(Ok((progress, silent))) => (judge(&progress, age_ms, heartbeat_ms), Some(progress), Some(silent)),
    };
    let report = json!({
        "status": status.word(),
        "chain": handle.chain.id,
        "height": state.height(),
        "target": progress.map(|progress| progress.target.max(state.height())),
        "time": state.header.time,
        "age_ms": age_ms,
        "peers": handle.network.peers().len(),
        "silent": silent,
    });
    (status, report)
}

fn judge(progress: &Progress, age_ms: u64, heartbeat_ms: u64) -> Status {
    if progress.is_behind() {
        Status::Behind
    } else if age_ms > heartbeat_ms.saturating_mul(HEARTBEATS_MISSED) {
        Status::Stale
    } else {
        Status::Ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timecoin_core::vote::Height;

    #[test]
    fn a_node_is_ready_with_the_newest_block_and_a_recent_one_only() {
        let at = |applied, target| Progress {
            applied: Height(applied),
            verified: Height(applied),
            target: Height(target),
        };
        let cases = [
            ("newest", at(7, 7), 100, Status::Ready),
            ("ahead of claims", at(7, 3), 100, Status::Ready),
            ("one block missing", at(6, 7), 100, Status::Behind),
            ("old", at(7, 7), 30_001, Status::Stale),
            ("just recent enough", at(7, 7), 30_000, Status::Ready),
        ];
        for (name, progress, age_ms, expected) in cases {
            assert_eq!(judge(&progress, age_ms, 10_000), expected, "{name}");
        }
    }
}
