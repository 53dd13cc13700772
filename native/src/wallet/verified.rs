//! A node seen through the core's light client: what it says counts once it is proved.
//!
//! Trust starts at the newest block verified before, or at a checkpoint or genesis of the wallet's own chain spec,
//! and moves by commit certificates. No other word of the node is believed. The node is asked over RPC with the same
//! questions that light nodes ask their peers.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use timecoin_core::answer::{Question, Reply};
use timecoin_core::driver::light::{
    ClientError as LightClientError, LightClient, Misbehaviour, Proof, Source, Unanswered, age_policy,
};
use timecoin_core::light::{LightError, Options, Trusted};
use timecoin_core::node::Chain;
use timecoin_core::store::{MemoryError, MemoryStore};
use timecoin_core::time::Time;
use timecoin_core::wallet::sync::SyncError;

use super::WalletError;
use crate::api::Api;
use crate::client::ClientError;
use crate::clock;

/// Between two looks for news, where nothing is told.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The options of light verification on a chain.
#[must_use]
pub fn options(chain: &Chain, any_age: bool) -> Options {
    let spec = &chain.spec.consensus;
    Options::new(Arc::new(spec.clone()), age_policy(spec.network, any_age))
}

/// The node as the one peer there is, and why it gave no answer.
pub struct Node {
    api: Api,
    failed: RefCell<Option<ClientError>>,
    lied: RefCell<Option<Misbehaviour<()>>>,
}

impl Source for Node {
    type Peer = ();

    fn peers(&self) -> Vec<()> {
        vec![()]
    }

    async fn ask(&self, (): &(), question: &Question) -> Result<Reply, Unanswered> {
        self.api.ask_light(question).await.map_err(|error| {
            self.failed.replace(Some(error));
            Unanswered::Gone
        })
    }

    async fn news(&self) {
        tokio::time::sleep(LOOK_EVERY).await;
    }

    fn now(&self) -> Time {
        clock::now()
    }

    fn report(&self, misbehaviour: Misbehaviour<()>) {
        self.lied.replace(Some(misbehaviour));
    }
}

/// A light client of one node.
pub(super) type Client = LightClient<Node, MemoryStore>;

/// A node, and what was verified of its chain.
pub struct VerifiedNode(Client);

impl VerifiedNode {
    /// Begins with what was verified before, or with what the chain spec names.
    ///
    /// # Errors
    /// If the node is on another chain, or nothing is young enough to be trusted.
    pub async fn open(
        api: Api,
        chain: &Chain,
        remembered: Option<&Trusted>,
        any_age: bool,
    ) -> Result<Self, WalletError> {
        let found = api.chain().await?;
        if found != chain.id {
            return Err(WalletError::OtherChain { expected: chain.id, found });
        }
        let policy = age_policy(chain.spec.consensus.network, any_age);
        let node = Node { api, failed: RefCell::default(), lied: RefCell::default() };
        let (chain, remembered) = (Arc::new(chain.clone()), remembered.cloned());
        let opened = LightClient::open(chain, policy, remembered, node, MemoryStore::default()).await;
        Ok(Self(opened.map_err(plain)?))
    }

    /// The node, for what needs no proof.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.0.source().api
    }

    /// What is asked and verified.
    pub(super) fn client(&self) -> &Client {
        &self.0
    }

    /// The newest block verified.
    #[must_use]
    pub fn trusted(&self) -> Trusted {
        self.0.trusted()
    }

    /// Verifies the node's newest block.
    ///
    /// # Errors
    /// If it cannot be verified, or the node is behind.
    pub async fn tip(&self) -> Result<(), WalletError> {
        let (found, verified) = (self.api().height().await?, self.0.height());
        if found < verified {
            return Err(WalletError::Behind { found, verified });
        }
        let moved = self.0.follow(&(), found).await.map_err(|error| self.explain(error))?;
        if !moved && found > self.0.height() {
            return Err(self.unproved());
        }
        Ok(())
    }

    /// All masternodes, with what proves them.
    ///
    /// # Errors
    /// If the node cannot prove what it says.
    pub async fn masternodes(
        &self,
    ) -> Result<(timecoin_core::state::registry::Registry, Proof), WalletError> {
        let proved = self.0.masternodes().await.map_err(|error| self.explain(error))?;
        Ok((proved.value, proved.proof))
    }

    /// Why there is no answer, by what the node did.
    pub(super) fn explain(&self, error: LightClientError<MemoryError>) -> WalletError {
        match error {
            LightClientError::Unproved { .. } | LightClientError::NotFound => self.unproved(),
            error => plain(error),
        }
    }

    /// As [`Self::explain`], of bringing a wallet up to date.
    pub(super) fn explain_sync(&self, error: SyncError<MemoryError, WalletError>) -> WalletError {
        match error {
            SyncError::Client(error) => self.explain(error),
            SyncError::Scan(error) => WalletError::Scan(error),
            SyncError::Keys(error) => error,
            SyncError::Behind { verified: found, scanned: verified } => {
                WalletError::Behind { found, verified }
            }
            SyncError::Disagree { scanned, proved } => WalletError::Disagree { scanned, proved },
            SyncError::Overflow => WalletError::Overflow,
            SyncError::TooFast => WalletError::TooFast,
        }
    }

    fn unproved(&self) -> WalletError {
        let node = self.0.source();
        if let Some(lie) = node.lied.take() {
            return WalletError::Lied { lie: lie.lie, detail: lie.detail };
        }
        node.failed.take().map_or(WalletError::Missing, WalletError::Client)
    }
}

fn plain(error: LightClientError<MemoryError>) -> WalletError {
    match error {
        LightClientError::Anchor(error) => WalletError::Anchor(error),
        LightClientError::Trust(error @ LightError::Expired { .. }) => WalletError::Expired(error),
        LightClientError::Trust(error) => WalletError::Unproved(error),
        LightClientError::Genesis(error) => WalletError::Genesis(error),
        LightClientError::TooFast => WalletError::TooFast,
        LightClientError::Receipt(error) => WalletError::Receipt(error),
        LightClientError::Future { height, head } => WalletError::Behind { found: head, verified: height },
        LightClientError::OtherChain { expected, found } => WalletError::OtherChain { expected, found },
        LightClientError::Fork(height) => WalletError::Fork(height),
        LightClientError::NoPeers
        | LightClientError::Unproved { .. }
        | LightClientError::NotFound
        | LightClientError::TooLarge
        | LightClientError::Refused(_)
        | LightClientError::NotFinal
        | LightClientError::ReceiptTooLong
        | LightClientError::Store(MemoryError) => WalletError::Missing,
    }
}
