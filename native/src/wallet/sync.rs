//! Bringing a wallet on disk up to date: what the core finds is kept, keys are made with the password.

use std::cell::RefCell;

use timecoin_core::vote::Height;
use timecoin_core::wallet::state::WalletState;
use timecoin_core::wallet::sync::{self, Keys};

pub use timecoin_core::wallet::sync::{ProvedBalance, Scanned};

use super::WalletError;
use super::folder::Folder;
use super::keyring::Keyring;
use super::verified::VerifiedNode;

/// The keys of a wallet on disk, unlocked once new ones are needed.
struct Unlocked<'a> {
    folder: &'a Folder,
    keyring: &'a mut Keyring,
}

impl Keys for Unlocked<'_> {
    type Error = WalletError;

    fn extend(&mut self, state: &mut WalletState) -> Result<bool, WalletError> {
        Folder::extend(state, self.keyring.seed(self.folder)?)
    }

    /// The wallet is kept as a whole when all is done.
    async fn scanned(&mut self, _: &RefCell<WalletState>, _: Height) -> Result<(), WalletError> {
        Ok(())
    }
}

/// Scans up to the node's newest block, which is verified; keeps what was found.
///
/// # Errors
/// If the node cannot prove what it says, or the seed is needed and cannot be had.
pub async fn scan(
    node: &VerifiedNode,
    folder: &mut Folder,
    keyring: &mut Keyring,
) -> Result<Scanned, WalletError> {
    node.tip().await?;
    let state = RefCell::new(folder.state().clone());
    let scanned = sync::scan(node.client(), &state, &mut Unlocked { folder, keyring }).await;
    let scanned = scanned.map_err(|error| node.explain_sync(error))?;
    folder.advance(state.into_inner(), node.trusted())?;
    Ok(scanned)
}

/// Scans, then proves the whole balance under the very block scanned to.
///
/// # Errors
/// As [`scan`], and if the proof does not hold.
pub async fn balance(
    node: &VerifiedNode,
    folder: &mut Folder,
    keyring: &mut Keyring,
) -> Result<ProvedBalance, WalletError> {
    scan(node, folder, keyring).await?;
    let state = RefCell::new(folder.state().clone());
    let balance = sync::balance(node.client(), &state, &mut Unlocked { folder, keyring }).await;
    let balance = balance.map_err(|error| node.explain_sync(error))?;
    folder.advance(state.into_inner(), node.trusted())?;
    Ok(balance)
}
