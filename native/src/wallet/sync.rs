//! Bringing a wallet up to date: its coins and history by scanning, its balance by proof.
//!
//! Scanning asks for filters and the few blocks that may concern us, so the node does not learn which addresses are
//! ours. Every header scanned is an ancestor of the verified one by its parent links, so nothing is left out in between.
//! The balance is then proved by the state tree, which tells the node the addresses that hold coins.

use std::collections::BTreeMap;

use serde::Serialize;
use timecoin_core::amount::Amount;
use timecoin_core::answer::BalanceAnswer;
use timecoin_core::block::Block;
use timecoin_core::hash::Owner;
use timecoin_core::transaction::Tier;
use timecoin_core::vote::Height;
use timecoin_core::wallet::scan::{Need, Scanner};
use timecoin_core::wallet::state::{Balance, WalletState};

use super::WalletError;
use super::folder::Folder;
use super::keyring::Keyring;
use super::verified::{Proof, VerifiedNode};
use crate::clock;

/// Addresses in one proof.
const ADDRESSES_MAX: usize = 500;
/// Attempts to scan up to a proof's block while new ones come in.
const ATTEMPTS: usize = 10;

/// A balance with what proves it.
#[derive(Clone, Debug, Serialize)]
pub struct ProvedBalance {
    /// Everything, proved complete for each address that has coins.
    pub total: Amount,
    /// The total, by what can be done with it.
    #[serde(flatten)]
    pub parts: Balance,
    /// Coins.
    pub coins: u64,
    /// Addresses whose whole balance was proved.
    pub addresses: usize,
    /// Under which block.
    pub verified: Proof,
}

/// How far the history goes, with what proves it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Scanned {
    /// The first block looked at.
    pub from: Height,
    /// The last block looked at.
    pub to: Height,
    /// Whether nothing is missing from genesis on.
    pub complete: bool,
    /// Under which block.
    pub verified: Proof,
}

/// Scans up to the node's newest block, which is verified; keeps what was found.
///
/// # Errors
/// If the node cannot prove what it says, or the seed is needed and cannot be had.
pub async fn scan(
    node: &mut VerifiedNode,
    folder: &mut Folder,
    keyring: &mut Keyring,
) -> Result<Scanned, WalletError> {
    node.tip().await?;
    scan_to_verified(node, folder, keyring).await?;
    let from = folder.state().coverage().start;
    let (to, complete) = (node.trusted().height, from == Height(0));
    let scanned = Scanned { from, to, complete, verified: node.proof() };
    take_collateral(node, folder).await?;
    Ok(scanned)
}

/// Scans, then proves the whole balance under the very block scanned to.
///
/// # Errors
/// As [`scan`], and if the proof does not hold.
pub async fn balance(
    node: &mut VerifiedNode,
    folder: &mut Folder,
    keyring: &mut Keyring,
) -> Result<ProvedBalance, WalletError> {
    scan(node, folder, keyring).await?;
    for _ in 0..ATTEMPTS {
        let owners = holders(folder.state());
        if owners.len() > ADDRESSES_MAX {
            return Err(WalletError::TooManyAddresses { found: owners.len(), most: ADDRESSES_MAX });
        }
        let network = folder.chain().spec.consensus.network;
        let answers = node.api().balances(network, &owners).await?;
        if let Some(first) = answers.first() {
            node.certify(&first.opening).await?;
        }
        scan_to_verified(node, folder, keyring).await?;
        let scanned = by_owner(folder.state())?;
        if scanned.keys().any(|owner| !owners.contains(owner)) {
            // A new block brought coins to another address: prove that one too.
            continue;
        }
        let (total, coins) = proved(&owners, &answers, &scanned)?;
        let parts = folder.state().balance(clock::now()).ok_or(WalletError::Overflow)?;
        return Ok(ProvedBalance { total, parts, coins, addresses: owners.len(), verified: node.proof() });
    }
    Err(WalletError::TooFast)
}

/// The owners to be proved: those with coins, and the one that receives next, so that an empty wallet is proved too.
fn holders(state: &WalletState) -> Vec<Owner> {
    let mut owners: Vec<_> = state.coins(clock::now()).map(|(_, coin, _)| coin.owner).collect();
    owners.extend(state.account().receive());
    owners.sort_unstable();
    owners.dedup();
    owners
}

fn by_owner(state: &WalletState) -> Result<BTreeMap<Owner, Amount>, WalletError> {
    let mut sums = BTreeMap::new();
    for (_, coin, _) in state.coins(clock::now()) {
        let sum: &mut Amount = sums.entry(coin.owner).or_default();
        *sum = sum.checked_add(coin.amount).ok_or(WalletError::Overflow)?;
    }
    Ok(sums)
}

/// Checks every proof, that all are under one header, and that they say what the blocks said.
fn proved(
    owners: &[Owner],
    answers: &[BalanceAnswer],
    scanned: &BTreeMap<Owner, Amount>,
) -> Result<(Amount, u64), WalletError> {
    let (mut total, mut coins) = (Amount::ZERO, 0);
    let header = answers.first().map(|answer| &answer.opening.header);
    for (owner, answer) in owners.iter().zip(answers) {
        if Some(&answer.opening.header) != header {
            return Err(WalletError::OtherBlock {
                height: answer.opening.header.height,
                certified: header.map(|header| header.id()).unwrap_or_default(),
            });
        }
        let (sum, count) = answer.verify(owner)?;
        let expected = scanned.get(owner).copied().unwrap_or_default();
        if sum != expected {
            return Err(WalletError::Disagree { scanned: expected, proved: sum });
        }
        total = total.checked_add(sum).ok_or(WalletError::Overflow)?;
        coins += count;
    }
    Ok((total, coins))
}

/// Which of our coins are collateral, by the proved registry: asked for only where a coin could be one.
async fn take_collateral(node: &mut VerifiedNode, folder: &mut Folder) -> Result<(), WalletError> {
    let sizes = [Tier::Bronze, Tier::Silver, Tier::Gold].map(Tier::collateral);
    if !folder.state().coins(clock::now()).any(|(_, coin, _)| sizes.contains(&coin.amount)) {
        return Ok(());
    }
    let answer = node.api().masternodes().await?;
    let registry = answer.verify()?;
    node.certify(&answer.opening).await?;
    folder.state_mut().take_registry(registry);
    folder.save()
}

/// Scans up to the newest block verified; keeps what was found only once all of it leads there.
async fn scan_to_verified(
    node: &VerifiedNode,
    folder: &mut Folder,
    keyring: &mut Keyring,
) -> Result<(), WalletError> {
    let target = node.trusted();
    let mut state = folder.state().clone();
    let mut scanner = state.scanner();
    if scanner.next_height() > target.height.next() {
        return Err(WalletError::Behind { found: target.height, verified: scanner.next_height() });
    }
    while scanner.next_height() <= target.height {
        let filters = node.api().filters(scanner.next_height()).await?;
        if filters.is_empty() {
            return Err(WalletError::Behind { found: scanner.next_height(), verified: target.height });
        }
        for (header, filter) in filters.iter().take_while(|(header, _)| header.height <= target.height) {
            if scanner.on_filter(header, filter)? == Need::Block {
                let block = node.api().block(header.height).await?;
                if take_block(&block, &mut scanner, &mut state, folder, keyring)? {
                    // New keys: this block is looked at again, from the filter on.
                    break;
                }
            }
        }
    }
    let coverage = scanner.coverage();
    if coverage.tip.is_some_and(|tip| tip != target.id) {
        return Err(WalletError::OtherBlock { height: target.height, certified: target.id });
    }
    state.advance(coverage);
    folder.advance(state, target.clone())
}

/// Takes a block over; returns whether it used up keys, so that there are new ones to watch from it on.
fn take_block(
    block: &Block,
    scanner: &mut Scanner,
    state: &mut WalletState,
    folder: &mut Folder,
    keyring: &mut Keyring,
) -> Result<bool, WalletError> {
    let height = block.header.height;
    let changes = scanner.on_block(block)?;
    state.apply(&changes, folder.chain().spec.consensus.rules(height));
    if state.account().lacking() == 0 || !Folder::extend(state, keyring.seed(folder)?)? {
        return Ok(false);
    }
    scanner.watch(state.owners(), height);
    Ok(true)
}
