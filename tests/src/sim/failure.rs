//! What can be found wrong with a run.

use timecoin_core::hash::{BlockId, TxId};
use timecoin_core::vote::{Height, ViewNumber, VoteData};

/// A broken promise of the protocol, or of the simulated driver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Two machines made different blocks final.
    #[error("machine {machine} made {found} final at height {height}, another {expected}")]
    Disagreement {
        /// Who.
        machine: usize,
        /// Where.
        height: Height,
        /// Its block.
        found: BlockId,
        /// The other.
        expected: BlockId,
    },
    /// An honest validator signed two different votes for one place.
    #[error(
        "validator {validator} contradicted itself: {first:?} and {second:?}, the latter sent by machine {machine}"
    )]
    ConflictingVotes {
        /// Who sent the second; it need not be the signer.
        machine: usize,
        /// Position in the set of the height.
        validator: u16,
        /// What was sent first.
        first: VoteData,
        /// What was sent later.
        second: VoteData,
    },
    /// A node blamed a peer, but all are honest.
    #[error("machine {machine} blamed honest machine {peer:?}: {offence}")]
    Accused {
        /// Who blamed.
        machine: usize,
        /// Whom, where that is known.
        peer: Option<usize>,
        /// For what.
        offence: String,
    },
    /// Money appeared or vanished.
    #[error("height {height}: {found} grains where {expected} must exist ({which})")]
    Supply {
        /// Where.
        height: Height,
        /// Which sum.
        which: &'static str,
        /// What was found.
        found: u128,
        /// What must be.
        expected: u128,
    },
    /// A final transaction spent a coin that was not there.
    #[error("height {height}: transaction {txid} spends a coin that is not there or not as claimed")]
    Coin {
        /// Where.
        height: Height,
        /// Which transaction.
        txid: TxId,
    },
    /// More votes are held than the bound allows.
    #[error("machine {machine} holds {held} votes; at most {most} are allowed")]
    VoteMemory {
        /// Who.
        machine: usize,
        /// How many.
        held: usize,
        /// The bound.
        most: usize,
    },
    /// A node stopped for good.
    #[error("machine {machine} halted: {reason}")]
    Halted {
        /// Who.
        machine: usize,
        /// Its last notice.
        reason: String,
    },
    /// A restart lost a final block, or came back to another state.
    #[error("machine {machine} restarted at height {found}, not {expected}")]
    Restart {
        /// Who.
        machine: usize,
        /// Where it should have come back to.
        expected: Height,
        /// Where it came back to.
        found: Height,
    },
    /// Two machines have different state roots at a height.
    #[error("machine {machine} has another state at height {height}")]
    State {
        /// Who.
        machine: usize,
        /// Where.
        height: Height,
    },
    /// The driver failed for a reason that no fault explains.
    #[error("machine {machine}: {error}")]
    Driver {
        /// Who.
        machine: usize,
        /// The error.
        error: String,
    },
    /// The node asks to be woken again and again at the same moment.
    #[error("machine {machine} spins: its deadline stays in the past")]
    Spin {
        /// Who.
        machine: usize,
    },
    /// A transaction that can never be valid was taken.
    #[error("machine {machine} accepted an invalid transaction: {what}")]
    AcceptedInvalid {
        /// Who.
        machine: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Nothing more becomes final although no fault is active.
    #[error("no progress {waited_ms} ms after the last fault: {machines}")]
    Stalled {
        /// Since the last fault.
        waited_ms: u64,
        /// Where each machine stands.
        machines: String,
    },
    /// The first block after the last fault took too many views.
    #[error(
        "height {height} became final in view {view} after healing in view {from}; at most {most} more are allowed"
    )]
    Views {
        /// The height.
        height: Height,
        /// The highest view when the last fault ended.
        from: ViewNumber,
        /// The view that decided.
        view: ViewNumber,
        /// The bound.
        most: u32,
    },
    /// A transaction that was pending after the last fault is neither final nor impossible.
    #[error("transaction {txid} was pending, is possible, and did not become final")]
    Forgotten {
        /// Which.
        txid: TxId,
    },
    /// The stored chain does not replay from genesis.
    #[error("machine {machine}: the stored chain does not replay at height {height}: {error}")]
    Replay {
        /// Whose store.
        machine: usize,
        /// Where.
        height: Height,
        /// Why.
        error: String,
    },
    /// The run did not end.
    #[error("not finished after {steps} steps: {machines}")]
    Endless {
        /// How many.
        steps: u64,
        /// Where each machine stands.
        machines: String,
    },
    /// A panic in the code under test.
    #[error("panicked: {0}")]
    Panic(String),
}
