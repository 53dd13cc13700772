//! Answers, news and parameters. Amounts are decimal strings in whole coins, heights are numbers, times are milliseconds
//! since 1970, ids and keys lower-case hexadecimal.

#![allow(missing_docs, reason = "the names are the interface; what they do not say has a line")]

use serde::Serialize;
use serde::de::DeserializeOwned;
use timecoin_core::amount::Amount;
use timecoin_core::hash::{BlockId, MasternodeId, StateRoot, TxId};
use timecoin_core::json;
use timecoin_core::keys::PublicKey;
use timecoin_core::time::Time;
use timecoin_core::vote::{Height, ViewNumber};

use super::{ApiError, Code};

/// Reads parameters.
///
/// # Errors
/// If they are not these.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    json::read(text).map_err(|error| ApiError::new(Code::BadRequest, format!("The parameters: {error}.")))
}

/// Writes an answer.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn write<T: Serialize>(answer: &T) -> Result<String, ApiError> {
    serde_json::to_string(answer).map_err(|error| ApiError::new(Code::Internal, error.to_string()))
}

crate::api! {
    /// What the node is doing.
    kinds State {
        /// It is being loaded, or opens its store.
        Starting {},
        /// It looks for peers, or waits for the first answer.
        Connecting {
            /// Peers with a session.
            peers: u32,
        },
        /// It checks the way to the newest block.
        Syncing {
            /// Checked so far.
            height: Height,
            /// What a peer says that there is.
            target: Height,
            /// Of the way since it began.
            percent: u32,
        },
        /// The newest block that peers have is checked.
        Verified {},
        /// There are peers, but no block for so long that this one may not be the newest.
        Stale {
            /// Age of the newest checked block.
            age_ms: u64,
        },
        /// No peer can be reached.
        Offline {
            /// Since when.
            since: Time,
        },
        /// It cannot go on.
        Failed {
            /// A code of the table of errors.
            code: &'static str,
            /// What happened.
            message: String,
            /// What to do.
            advice: &'static str,
        },
    }

    /// Where trust started.
    struct TrustedFrom {
        height: Height,
        block: BlockId,
        age_ms: u64,
        /// Whether the host vouched for it whatever its age.
        any_age: bool,
    }

    /// What is known about the finality of an answer.
    struct Finality {
        /// Weight that signed the newest certificate checked; null where only the trusted block itself is known.
        signed_weight: Option<String>,
        total_weight: Option<String>,
        /// Since the node started.
        certificates_checked: u64,
        trusted_from: TrustedFrom,
    }

    /// A final block's header.
    struct Head {
        height: Height,
        block: BlockId,
        time: Time,
        /// All coins and the pool, proved.
        supply: Amount,
        proposer: PublicKey,
        view: ViewNumber,
        /// Null where only the header is known.
        transactions: Option<u32>,
        state_root: StateRoot,
    }

    /// Proved complete: no coin is left out.
    struct Balance {
        address: String,
        amount: Amount,
        coins: u64,
    }

    struct Coin {
        txid: TxId,
        index: u32,
        amount: Amount,
        address: String,
    }

    words Phase { Pending, Preprepare, Prepare, Commit, Finalized, Dropped, }

    /// What a transaction does beside moving coins.
    kinds Action {
        Transfer {},
        RegisterMasternode { tier: Tier, class: Class, operator: PublicKey, payout: String, },
        RetireMasternode { masternode: MasternodeId, },
        RotateOperator { masternode: MasternodeId, replaces: PublicKey, operator: PublicKey, },
        Reward { height: Height, },
    }

    words Tier { Bronze, Silver, Gold, }

    /// Where a masternode runs.
    words Class { Server, Browser, }

    /// Where a final transaction is. The index is the peer's word, the rest is proved.
    struct Place {
        height: Height,
        block: BlockId,
        time: Time,
        index: u32,
    }

    struct TransactionView {
        txid: TxId,
        /// `finalized` is proved; the phases before it are what a peer says.
        phase: Phase,
        /// Whether it is proved to be in a final block.
        r#final: bool,
        inputs: Vec<Coin>,
        outputs: Vec<Coin>,
        fee: Amount,
        /// Null where there is none.
        memo: Option<String>,
        /// Bytes.
        size: u32,
        expires_at: Time,
        action: Action,
        at: Option<Place>,
    }

    /// `verified` only for `finalized`: the phases before it are what a peer says.
    struct PhaseChange {
        txid: TxId,
        phase: Phase,
        /// Since this node handed the payment over; of others, since the subscription began.
        after_ms: u64,
        verified: bool,
    }

    /// What a peer did that an honest one does not, or should not.
    struct Evidence {
        at: Time,
        /// Its node key.
        peer: PublicKey,
        url: String,
        /// `wrong_answer`, `wrong_proof`, `wrong_head`, `forged_certificate`, `stale_head`, `withheld` or `fork`.
        kind: String,
        height: Option<Height>,
        detail: String,
        /// Whether no honest peer does it: the session was ended.
        proved: bool,
    }

    words PeerState { Dialling, Connected, Waiting, Banned, }

    struct PeerView {
        url: String,
        /// Its node key, once it proved that it holds it.
        key: Option<PublicKey>,
        state: PeerState,
        /// How far it says it is.
        height: Option<Height>,
        rtt_ms: Option<u32>,
        /// When it is dialled next.
        retry_at: Option<Time>,
    }

    struct Signer {
        key: PublicKey,
        weight: String,
    }

    /// What makes a block final: who signed it.
    struct Certificate {
        view: ViewNumber,
        signers: Vec<Signer>,
        signed_weight: String,
        total_weight: String,
    }

    struct BlockView {
        height: Height,
        block: BlockId,
        time: Time,
        proposer: PublicKey,
        view: ViewNumber,
        supply: Amount,
        transactions: Vec<TransactionView>,
        /// Null for genesis, which nobody signs.
        certificate: Option<Certificate>,
        previous: BlockId,
    }

    words Status { Active, Retired, Ejected, }

    struct Masternode {
        id: MasternodeId,
        operator: PublicKey,
        owner: String,
        payout: String,
        tier: Tier,
        class: Class,
        /// In the set that signs the next block; null outside it.
        weight: Option<String>,
        status: Status,
        /// When the collateral of one that is retired or ejected is free; null where it is active.
        unlock_at: Option<Time>,
        registered_at: Height,
    }

    /// A payment's finality, for whoever checks it offline.
    struct ReceiptForms {
        txid: TxId,
        json: String,
        /// For QR codes.
        text: String,
        /// Bytes, in hexadecimal.
        hex: String,
    }

    /// Why the store does not keep what it should.
    struct StorageProblem {
        code: &'static str,
        message: String,
    }

    struct Storage {
        problem: Option<StorageProblem>,
    }

    params Nothing {}

    params AddressParams {
        address: String,
    }

    params BlockParams {
        height: Option<Height>,
        block: Option<BlockId>,
    }

    params TransactionParams {
        txid: TxId,
    }

    params SubmitParams {
        /// The signed transaction's bytes.
        hex: String,
    }

    params WaitParams {
        txid: TxId,
        timeout_ms: Option<u64>,
    }
}

/// An answer with the block at which it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// Height of the block at which it holds.
    pub height: Height,
    /// Its id.
    pub block: BlockId,
    /// Its header's time.
    pub time: Time,
    /// How long ago that was.
    pub age_ms: u64,
    /// How that block is known to be final.
    pub finality: Finality,
    /// Whether `value` was proved under that block.
    pub verified: bool,
}

#[cfg(test)]
impl<T: super::describe::Named> super::describe::Named for Answer<T> {
    fn name() -> String {
        format!("Answer<{}>", T::name())
    }
}
