//! What a validator that has not the whole state asks of peers, over sessions of their own.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use timecoin_core::driver::light::{ClientError, LightClient, Source as _, age_policy};
use timecoin_core::driver::{self, DriverError, JoinError};
use timecoin_core::hash::BlockId;
use timecoin_core::node::{Chain, Lack, NodeConfig, RECENT_BLOCKS};
use timecoin_core::state::tree::{CoinTree, PageKey, Wanted};
use timecoin_core::store::MemoryStore;
use timecoin_core::vote::Height;
use timecoin_web::net::{NetOptions, Network, Peers};
use timecoin_web::platform::{monotonic_ms, now, sleep_ms};
use timecoin_web::store::{IndexedDbStore, StoreError};
use wasm_bindgen_futures::spawn_local;

use crate::driver::Input;
use crate::links::Inputs;

/// A proof is asked for again after so long: whoever has not judged a block yet cannot prove what it touches.
const AGAIN_MS: u64 = 30;
/// Nobody proves it any more: the block is of a state that has gone.
const GIVE_UP_MS: u64 = 3_000;
/// Questions about transactions under way; what comes beyond is left to others.
const ASKED_MAX: usize = 16;
/// Between attempts at the state itself.
const PATIENCE_MS: u64 = 250;

type Client = LightClient<Peers, MemoryStore>;
/// Of the light client, whose own store is memory.
pub(crate) type Failure = ClientError<<MemoryStore as timecoin_core::store::Store>::Error>;

/// Why the state cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinFailure {
    /// The store.
    #[error(transparent)]
    Driver(#[from] DriverError<StoreError>),
    /// The chain cannot be trusted.
    #[error(transparent)]
    Client(Failure),
}

/// Peers, asked.
pub(crate) struct Remote {
    network: Rc<Network>,
    client: Client,
    inputs: Inputs,
    proving: RefCell<BTreeSet<BlockId>>,
    asked: Cell<usize>,
}

impl Remote {
    /// Begins to dial. The chain is followed from what the store has.
    pub(crate) async fn open(
        chain: &Arc<Chain>,
        options: NetOptions,
        store: &IndexedDbStore,
        inputs: Inputs,
    ) -> Result<Rc<Self>, JoinFailure> {
        let tip = driver::stored_tip(store).await?;
        let (network, _) = Network::new(options, now());
        network.start();
        let policy = age_policy(chain.spec.consensus.network, false);
        let peers = Peers(Rc::clone(&network));
        let opened = LightClient::open(Arc::clone(chain), policy, tip, peers, MemoryStore::default()).await;
        let client = opened.map_err(JoinFailure::Client)?;
        Ok(Rc::new(Self { network, client, inputs, proving: RefCell::default(), asked: Cell::default() }))
    }

    /// Ends all sessions.
    pub(crate) fn stop(&self) {
        self.network.stop();
    }

    /// Takes an empty store, or one that lost touch, to the newest state of peers, unless it is at hand without. Waits until
    /// there is a peer: a validator without any has nothing to do.
    pub(crate) async fn join(
        &self,
        config: &NodeConfig,
        store: &IndexedDbStore,
        born: bool,
    ) -> Result<(), JoinFailure> {
        let own = driver::stored_tip(store).await?.map_or(Height(0), |tip| tip.height);
        loop {
            if self.network.connected() == 0 {
                self.client.source().news().await;
                continue;
            }
            let near = Height(own.0.saturating_add(RECENT_BLOCKS as u64));
            if self.network.ahead_of(near).is_none() {
                return Ok(());
            }
            match driver::join(&self.client, config, store, born).await {
                Ok(_) => return Ok(()),
                Err(JoinError::Driver(error)) => return Err(error.into()),
                Err(JoinError::Client(error)) if error.is_passing() => sleep_ms(PATIENCE_MS).await,
                Err(JoinError::Client(error)) => return Err(JoinFailure::Client(error)),
            }
        }
    }

    /// Has a job's part of the state proved; the driver hears of it.
    pub(crate) fn prove(self: &Rc<Self>, lack: Box<Lack>) {
        let is_taken = match lack.block {
            Some(block) => self.proving.borrow_mut().insert(block),
            None => self.asked.get() < ASKED_MAX,
        };
        if !is_taken {
            return;
        }
        self.asked.set(self.asked.get() + 1);
        let remote = Rc::clone(self);
        spawn_local(async move {
            let proved = remote.proof(&lack).await;
            remote.asked.set(remote.asked.get() - 1);
            if let Some(block) = lack.block {
                remote.proving.borrow_mut().remove(&block);
            }
            match proved {
                Some(proved) => remote.inputs.give(Input::Proved(lack, proved)),
                None if lack.block.is_some() => remote.inputs.give(Input::Unproved),
                None => {}
            }
        });
    }

    async fn proof(&self, lack: &Lack) -> Option<CoinTree> {
        let begun = monotonic_ms();
        while monotonic_ms().saturating_sub(begun) < GIVE_UP_MS {
            match self.client.proof(lack).await {
                Ok(proved) => return Some(proved),
                // About the newest state, and that is another one by now: the job asks again, for what it needs there.
                Err(_) if lack.block.is_none() => return None,
                Err(_) => sleep_ms(AGAIN_MS).await,
            }
        }
        None
    }

    /// Asks for rows; the driver hears of them.
    pub(crate) fn fill(self: &Rc<Self>, wanted: Vec<Wanted>) {
        let remote = Rc::clone(self);
        spawn_local(async move {
            let rows: BTreeMap<PageKey, Vec<u8>> = remote.client.rows(&wanted).await.unwrap_or_default();
            if rows.is_empty() {
                sleep_ms(PATIENCE_MS).await;
            }
            remote.inputs.give(Input::Rows(rows));
        });
    }
}
