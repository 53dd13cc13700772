//! Sending: coins are promised on disk before the network hears of the payment, and free again if it is refused.

use std::time::Duration;

use timecoin_core::driver::light::{Found, Proof, Signed};
use timecoin_core::hash::{BlockId, Owner, TxId};
use timecoin_core::light::trusted_points;
use timecoin_core::node::Chain;
use timecoin_core::receipt::{Proved, Receipt};
use timecoin_core::time::Time;
use timecoin_core::transaction::{OutPoint, SignedTransaction};
use timecoin_core::vote::Height;
use timecoin_core::wallet::build::{TransactionBuilder, Unsigned};
use timecoin_core::wallet::coins::Spendable;
use timecoin_core::wallet::offline::{Hint, OfflineFile};
use timecoin_core::wallet::sign::PartiallySigned;

use super::WalletError;
use super::folder::Folder;
use super::keyring::Keyring;
use super::verified::{VerifiedNode, options};
use crate::api::PhaseWatch;
use crate::client::ClientError;
use crate::clock::{self, Stopwatch};

/// A payment sent at once is valid for so long.
const EXPIRES_AFTER_MS: u64 = 3_600_000;
/// One call that waits for finality.
const WAIT_STEP_MS: u64 = 30_000;
/// The last phases may still be on their way when finality is known.
const LAST_PHASES: Duration = Duration::from_millis(50);

/// Begins a transaction. `slow`: someone carries it to its signer, so that it is valid as long as may be useful.
#[must_use]
pub fn builder(folder: &Folder, slow: bool) -> TransactionBuilder {
    let chain = folder.chain();
    let rules = chain.spec.consensus.rules(folder.state().coverage().next);
    // Half of what is allowed leaves room for clocks that differ.
    let longest = rules.expiry_max_ms / 2;
    let lifetime = if slow { longest } else { longest.min(EXPIRES_AFTER_MS) };
    TransactionBuilder::new(chain.id, rules.transaction_limits(), clock::now().plus(lifetime))
}

/// The coins that can be spent now.
#[must_use]
pub fn spendable(folder: &Folder) -> Vec<Spendable> {
    folder.state().spendable(clock::now())
}

/// Where change goes: an address that was not given to anyone.
///
/// # Errors
/// If the account has no keys.
pub fn change(folder: &Folder) -> Result<Owner, WalletError> {
    folder.state().account().receive().ok_or(WalletError::Secret)
}

/// Signs with the wallet's keys.
///
/// # Errors
/// If the wallet cannot be unlocked, or a key is not its own.
pub fn sign(
    folder: &Folder,
    keyring: &mut Keyring,
    unsigned: Unsigned,
) -> Result<SignedTransaction, WalletError> {
    let keys = keyring.keys(folder, &unsigned)?;
    Ok(unsigned.sign(&keys)?)
}

/// Makes the file that is carried to the signer, and promises its coins.
///
/// # Errors
/// If the promise cannot be kept on disk.
pub fn offline(folder: &mut Folder, unsigned: Unsigned) -> Result<OfflineFile, WalletError> {
    let expires_at = unsigned.transaction.expires_at;
    reserve(folder, &unsigned.transaction.inputs.clone(), expires_at)?;
    let account = folder.state().account();
    let hints = unsigned.locks.iter().flat_map(|(owner, lock)| {
        let path = account.path(owner);
        lock.keys().iter().filter_map(move |key| Some(Hint { key: *key, path: path.clone()? }))
    });
    let hints = hints.collect();
    let network = folder.chain().spec.consensus.network;
    Ok(OfflineFile { network, signing: PartiallySigned::from(unsigned), hints })
}

fn reserve(folder: &mut Folder, inputs: &[OutPoint], expires_at: Time) -> Result<(), WalletError> {
    let now = clock::now();
    let ours: Vec<_> = folder
        .state()
        .coins(now)
        .map(|(outpoint, ..)| *outpoint)
        .filter(|outpoint| inputs.contains(outpoint))
        .collect();
    folder.state_mut().reserve(&ours, expires_at);
    folder.save()
}

fn release(folder: &mut Folder, inputs: &[OutPoint]) -> Result<(), WalletError> {
    inputs.iter().for_each(|outpoint| folder.state_mut().release(outpoint));
    folder.save()
}

/// A payment that was proved final.
#[derive(Clone, Copy, Debug)]
pub struct Finality {
    /// Height of its block.
    pub height: Height,
    /// Its block.
    pub block: BlockId,
    /// Time of its block.
    pub time: Time,
    /// Weight that signed the block it was proved under.
    pub signed: Option<Signed>,
    /// Milliseconds from sending to finality.
    pub final_ms: f64,
}

/// A payment on its way.
pub struct Sent {
    /// Its id.
    pub txid: TxId,
    inputs: Vec<OutPoint>,
    watch: PhaseWatch,
    since: Stopwatch,
}

/// Sends a payment; returns once the node has taken it.
///
/// # Errors
/// If the node refuses it: the coins are free again then. If the node does not answer they stay promised, since it
/// may have taken it.
pub async fn submit(
    node: &VerifiedNode,
    folder: &mut Folder,
    signed: &SignedTransaction,
) -> Result<Sent, WalletError> {
    let transaction = &signed.transaction;
    let (txid, inputs) = (transaction.id(), transaction.inputs.clone());
    let watch = node.api().watch_phases(&txid).await?;
    reserve(folder, &inputs, transaction.expires_at)?;
    let since = Stopwatch::start();
    match node.api().submit(signed).await {
        Ok(_) => {}
        // Sent before: as good as sent now.
        Err(ClientError::Refused { data: Some(data), .. }) if data["code"] == "already_pending" => {}
        Err(error @ ClientError::Refused { .. }) => {
            release(folder, &inputs)?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Sent { txid, inputs, watch, since })
}

impl Sent {
    /// Waits until the payment is final, proves that under a certified block, and says every new phase with the
    /// milliseconds since it was sent.
    ///
    /// # Errors
    /// If it is dropped, not final in time, or cannot be proved.
    pub async fn wait(
        mut self,
        node: &VerifiedNode,
        folder: &mut Folder,
        timeout_ms: u64,
        mut on_phase: impl FnMut(&str, f64),
    ) -> Result<Finality, WalletError> {
        let txid = self.txid;
        let elapsed_ms = |since: &Stopwatch| since.elapsed_us() as f64 / 1000.0;
        let (mut told_ms, mut last) = (None, String::new());
        let waited = {
            let mut finality = std::pin::pin!(wait_final(node, &txid, timeout_ms));
            loop {
                tokio::select! {
                    biased;
                    phase = self.watch.next() => match phase.as_str() {
                        "dropped" => break Err(WalletError::Dropped { txid }),
                        phase if phase == last => {}
                        phase => {
                            phase.clone_into(&mut last);
                            let at_ms = elapsed_ms(&self.since);
                            on_phase(phase, at_ms);
                            if phase == "finalized" {
                                told_ms = Some(at_ms);
                            }
                        }
                    },
                    waited = &mut finality => break waited,
                }
            }
        };
        if let Err(error) = waited {
            if matches!(error, WalletError::Dropped { .. }) {
                release(folder, &self.inputs)?;
            }
            return Err(error);
        }
        let final_ms = told_ms.unwrap_or_else(|| elapsed_ms(&self.since));
        if told_ms.is_none() {
            on_phase("finalized", final_ms);
        }
        let found = node.client().transaction(&txid).await.map_err(|error| node.explain(error))?;
        let found = found.filter(|found| matches!(found.value, Found::Final { .. }));
        let Proof { height, block, time, signed, .. } = found.ok_or(WalletError::Missing)?.proof;
        Ok(Finality { height, block, time, signed, final_ms })
    }
}

/// Asks until the node says final.
async fn wait_final(node: &VerifiedNode, txid: &TxId, timeout_ms: u64) -> Result<(), WalletError> {
    let started = clock::now();
    loop {
        let waited_ms = clock::now().since(started);
        if waited_ms >= timeout_ms {
            return Err(WalletError::NotFinal { txid: *txid, waited_ms });
        }
        match node.api().wait_final(txid, WAIT_STEP_MS.min(timeout_ms - waited_ms)).await {
            Ok(_) => {
                // Lets the phases that are on their way be told.
                tokio::time::sleep(LAST_PHASES).await;
                return Ok(());
            }
            Err(ClientError::Refused { data: Some(data), .. }) if data["code"] == "timeout" => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The receipt of a final payment.
///
/// # Errors
/// If the payment is not final, or the node gives another one's.
pub async fn fetch_receipt(node: &VerifiedNode, txid: &TxId) -> Result<Receipt, WalletError> {
    let receipt = node.api().receipt(txid).await?;
    if receipt.payment.transaction.id() != *txid {
        return Err(WalletError::OtherReceipt);
    }
    Ok(receipt)
}

/// Checks a receipt offline, trusting what the chain spec names.
///
/// # Errors
/// If it proves nothing.
pub fn verify_receipt(receipt: &Receipt, chain: &Chain, any_age: bool) -> Result<Proved, WalletError> {
    let points = trusted_points(&chain.spec)?;
    Ok(receipt.verify(&points, &options(chain, any_age), clock::now())?)
}
