//! Bringing a wallet up to date: its coins and history by scanning, its balance by proof.
//!
//! Scanning asks for filters and the few blocks that may concern us, so no peer learns which addresses are ours, and every
//! header is the chain's, so nothing is left out in between. The balance is then proved by the state tree, which tells a
//! peer the addresses that hold coins; both must agree.
//!
//! A wallet older than the first block it looks at asks the state tree for the coins of each of its keys, once: it has every
//! coin wherever scanning starts, and only its history starts there.
//!
//! The state is borrowed between two questions only, never while one is open: others may read it, reserve coins or give out
//! addresses meanwhile. One scan runs at a time.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::Serialize;

use super::scan::{Coverage, Need, ScanError, Scanner};
use super::state::{Balance, WalletState};
use crate::amount::Amount;
use crate::answer::OWNERS_MAX;
use crate::block::Block;
use crate::driver::light::{ClientError, LightClient, Proof, Source};
use crate::hash::Owner;
use crate::store::Store;
use crate::time::Time;
use crate::transaction::Tier;
use crate::vote::Height;

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

/// Why a wallet is not up to date. `E` is the store's error, `K` that of making new keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncError<E, K> {
    /// No peer gave what is needed.
    #[error(transparent)]
    Client(#[from] ClientError<E>),
    /// The blocks do not go on where the wallet ended: it is of another chain, or its file was changed.
    #[error("{0}; scan again from the start")]
    Scan(#[from] ScanError),
    /// New keys cannot be made, or what was found cannot be kept.
    #[error("{0}")]
    Keys(K),
    /// The wallet is ahead of what is verified.
    #[error("block {verified} is verified, but block {scanned} was scanned")]
    Behind {
        /// The newest verified.
        verified: Height,
        /// The newest scanned.
        scanned: Height,
    },
    /// Scanned blocks and the proved balance differ.
    #[error("the blocks scanned add up to {scanned} TIME, the proof says {proved} TIME")]
    Disagree {
        /// By the blocks.
        scanned: Amount,
        /// By the proof.
        proved: Amount,
    },
    /// Amounts that cannot be.
    #[error("amounts add up to more than can exist")]
    Overflow,
    /// Blocks come in faster than they can be followed.
    #[error("blocks come in faster than they can be followed: try again")]
    TooFast,
}

/// What a wallet does while it is brought up to date.
#[expect(
    async_fn_in_trait,
    reason = "a browser's wallet keeps its rows in between; no Send bound, so that IndexedDB fits"
)]
pub trait Keys {
    /// Why no keys can be made.
    type Error;

    /// Makes the keys that the account lacks; whether there are new ones.
    fn extend(&mut self, state: &mut WalletState) -> Result<bool, Self::Error>;

    /// Everything up to the state's coverage was looked at, of blocks up to `target`: a good moment to keep it.
    async fn scanned(&mut self, state: &RefCell<WalletState>, target: Height) -> Result<(), Self::Error>;
}

type Outcome<T, D, K> = Result<T, SyncError<<D as Store>::Error, <K as Keys>::Error>>;

/// Scans up to the newest verified block.
pub async fn scan<S: Source, D: Store, K: Keys>(
    client: &LightClient<S, D>,
    state: &RefCell<WalletState>,
    keys: &mut K,
) -> Outcome<Scanned, D, K> {
    look(client, state, keys, client.height()).await?;
    take_collateral(client, state).await?;
    let Coverage { start: from, next, .. } = state.borrow().coverage();
    let to = Height(next.0.saturating_sub(1));
    let verified = client.verified_head().await?.proof;
    Ok(Scanned { from, to, complete: from == Height(0), verified })
}

/// Scans, then proves the whole balance under the very block scanned to.
pub async fn balance<S: Source, D: Store, K: Keys>(
    client: &LightClient<S, D>,
    state: &RefCell<WalletState>,
    keys: &mut K,
) -> Outcome<ProvedBalance, D, K> {
    scan(client, state, keys).await?;
    for _ in 0..ATTEMPTS {
        let now = client.source().now();
        let owners = holders(&state.borrow(), now);
        let proved = client.balances(&owners).await?;
        let height = proved.header.height;
        look(client, state, keys, height).await?;
        let by_owner = by_owner(&state.borrow(), now).ok_or(SyncError::Overflow)?;
        let is_elsewhere = by_owner.keys().any(|owner| !owners.contains(owner));
        if state.borrow().coverage().next != height.next() || is_elsewhere {
            // Scanned beyond the proof, or a new block brought coins to another address: prove again.
            look(client, state, keys, client.height()).await?;
            continue;
        }
        let (mut total, mut coins) = (Amount::ZERO, 0);
        for (owner, (sum, count)) in owners.iter().zip(&proved.value) {
            let scanned = by_owner.get(owner).copied().unwrap_or_default();
            if *sum != scanned {
                return Err(SyncError::Disagree { scanned, proved: *sum });
            }
            total = total.checked_add(*sum).ok_or(SyncError::Overflow)?;
            coins += count;
        }
        let parts = state.borrow().balance(now).ok_or(SyncError::Overflow)?;
        return Ok(ProvedBalance { total, parts, coins, addresses: owners.len(), verified: proved.proof });
    }
    Err(SyncError::TooFast)
}

/// The owners to be proved: those with coins, and the one that receives next, so that an empty wallet is proved too.
fn holders(state: &WalletState, now: Time) -> Vec<Owner> {
    let mut owners: Vec<_> = state.coins(now).map(|(_, coin, _)| coin.owner).collect();
    owners.extend(state.account().receive());
    owners.sort_unstable();
    owners.dedup();
    owners
}

fn by_owner(state: &WalletState, now: Time) -> Option<BTreeMap<Owner, Amount>> {
    let mut sums = BTreeMap::new();
    for (_, coin, _) in state.coins(now) {
        let sum: &mut Amount = sums.entry(coin.owner).or_default();
        *sum = sum.checked_add(coin.amount)?;
    }
    Some(sums)
}

/// Which of our coins are collateral, by the proved registry: asked for only where a coin could be one.
async fn take_collateral<S: Source, D: Store>(
    client: &LightClient<S, D>,
    state: &RefCell<WalletState>,
) -> Result<(), ClientError<D::Error>> {
    let sizes = [Tier::Bronze, Tier::Silver, Tier::Gold].map(Tier::collateral);
    let now = client.source().now();
    let is_one_possible = state.borrow().coins(now).any(|(_, coin, _)| sizes.contains(&coin.amount));
    if is_one_possible {
        let registry = client.masternodes().await?.value;
        state.borrow_mut().take_registry(&registry);
    }
    Ok(())
}

/// Takes older coins over and scans up to a verified block, until there are no new keys.
async fn look<S: Source, D: Store, K: Keys>(
    client: &LightClient<S, D>,
    state: &RefCell<WalletState>,
    keys: &mut K,
    target: Height,
) -> Outcome<(), D, K> {
    loop {
        take_older(client, state, keys).await?;
        scan_to(client, state, keys, target).await?;
        if state.borrow().unasked().is_empty() {
            return Ok(());
        }
    }
}

/// Takes over the coins from before the first block looked at: the state tree has every coin of an owner.
async fn take_older<S: Source, D: Store, K: Keys>(
    client: &LightClient<S, D>,
    state: &RefCell<WalletState>,
    keys: &mut K,
) -> Outcome<(), D, K> {
    loop {
        // Not all under one header: blocks come in between, and those are looked at.
        let owners: Vec<_> = state.borrow().unasked().into_iter().take(OWNERS_MAX).collect();
        if owners.is_empty() {
            return Ok(());
        }
        let balances = client.balances(&owners).await?;
        let (mut height, mut found) = (balances.header.height, Vec::new());
        let holders = owners.iter().zip(&balances.value).filter(|(_, (_, count))| *count > 0);
        for (owner, _) in holders {
            let coins = client.coins(owner).await?;
            height = height.min(coins.header.height);
            found.extend(coins.value);
        }
        let mut state = state.borrow_mut();
        state.adopt(owners, found, height);
        if state.account().lacking() > 0 {
            keys.extend(&mut state).map_err(SyncError::Keys)?;
        }
    }
}

/// Scans up to a verified block. What is taken over stays, also where it ends early.
async fn scan_to<S: Source, D: Store, K: Keys>(
    client: &LightClient<S, D>,
    state: &RefCell<WalletState>,
    keys: &mut K,
    target: Height,
) -> Outcome<(), D, K> {
    let mut scanned = state.borrow().coverage().next;
    if client.height().next() < scanned {
        return Err(SyncError::Behind { verified: client.height(), scanned });
    }
    while scanned <= target {
        let filters = client.filters(scanned).await?;
        let mut scanner = state.borrow().scanner();
        for (header, filter) in filters.iter().take_while(|(header, _)| header.height <= target) {
            if scanner.on_filter(header, filter)? == Need::Block {
                let block = client.block(header.height).await?.value;
                if take_block(&block, client, &mut scanner, &mut state.borrow_mut(), keys)? {
                    // New keys: this block is looked at again, from the filter on.
                    break;
                }
            }
        }
        state.borrow_mut().advance(scanner.coverage());
        scanned = scanner.next_height();
        keys.scanned(state, target).await.map_err(SyncError::Keys)?;
    }
    Ok(())
}

/// Takes a block over; returns whether it used up keys, so that there are new ones to watch from it on.
fn take_block<S: Source, D: Store, K: Keys>(
    block: &Block,
    client: &LightClient<S, D>,
    scanner: &mut Scanner,
    state: &mut WalletState,
    keys: &mut K,
) -> Outcome<bool, D, K> {
    let height = block.header.height;
    let owners = state.owners();
    if owners.len() > scanner.watched() {
        // Keys were made while the block was on its way.
        scanner.watch(owners, height);
        return Ok(true);
    }
    let changes = scanner.on_block(block)?;
    state.apply(&changes, client.chain().spec.consensus.rules(height));
    if state.account().lacking() == 0 || !keys.extend(state).map_err(SyncError::Keys)? {
        return Ok(false);
    }
    scanner.watch(state.owners(), height);
    Ok(true)
}

#[cfg(test)]
mod tests;
