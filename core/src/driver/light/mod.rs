//! A light client: asks peers, believes proofs.
//!
//! | file | what |
//! |---|---|
//! | `source` | whom it asks, and how it says that somebody lied |
//! | `trust` | the head, the way there from the anchor, their rows |
//! | `follow` | moving trust to newer blocks; whether a header is the chain's |
//! | `answers` | balances, coins, masternodes, blocks, transactions, receipts, submission |
//! | `filters` | headers and filters for private scanning |
//! | `state` | the state for a full node that has none
//! | `error` | why there is no answer |
//!
//! Start with [`LightClient::open`], call [`LightClient::follow`] whenever a peer says how far it is, and ask. Every method
//! takes `&self` and may run beside the others. Everything returned as [`Proved`] was verified against the chain from the
//! anchor; everything else says that it is a peer's word.
//!
//! Invariants: nothing changes before it is verified; a peer that gives a false answer is reported with what shows it, and
//! the next one is asked, so one honest peer suffices; a store that fails costs the next start its way, never an answer
//! ([`LightClient::unstored`]).
//! Not here: sessions, timeouts, whom to ask first (the driver's [`Source`]), and secrets.

mod answers;
mod error;
mod filters;
mod follow;
mod source;
mod state;
#[cfg(test)]
mod tests;
mod trust;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::address::Network;
use crate::answer::{Nothing, Question, Reply};
use crate::block::Header;
use crate::codec::encode;
use crate::hash::{BlockId, ChainId};
use crate::light::{AgePolicy, Anchor, Options, Trusted};
use crate::node::Chain;
use crate::rows::{ReadSet, Table};
use crate::schema::{meta, new_store};
use crate::state::genesis;
use crate::store::Store;
use crate::time::Time;
use crate::vote::Height;

pub use answers::Found;
pub use error::ClientError;
pub use source::{Lie, Misbehaviour, Source, Unanswered};

use error::Fault;
use trust::Trust;

/// Verified headers remembered besides the head.
const HEADERS_MAX: usize = 256;

/// How old something trusted may be on this chain. A development network's secrets are in the open anyway: any age is taken
/// there. `any_age`: the host vouches for it.
#[must_use]
pub fn age_policy(network: Network, any_age: bool) -> AgePolicy {
    match network {
        Network::Dev => AgePolicy::AnyAge,
        Network::Main | Network::Test if any_age => AgePolicy::AnyAge,
        Network::Main | Network::Test => AgePolicy::TrustPeriod,
    }
}

/// The weight behind a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// Weight that signed.
    pub weight: u64,
    /// Weight of the set.
    pub total: u64,
}

impl Signed {
    /// The share, in percent, rounded down.
    #[must_use]
    pub fn percent(&self) -> u64 {
        u64::try_from(u128::from(self.weight) * 100 / u128::from(self.total.max(1))).unwrap_or(100)
    }
}

/// Where trust started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Start {
    /// Height of the block trusted to begin with.
    pub height: Height,
    /// Its id.
    pub block: BlockId,
    /// How old it is.
    pub age_ms: u64,
    /// Whether that age was not limited.
    pub any_age: bool,
}

/// What is known about the finality of an answer, for people and programs to judge by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Height of the block that the answer is about.
    pub height: Height,
    /// Its id.
    pub block: BlockId,
    /// Its header's time.
    pub time: Time,
    /// How long ago that was by this clock.
    pub age_ms: u64,
    /// Weight that signed the newest certificate checked; none where only the anchor is trusted.
    pub signed: Option<Signed>,
    /// Certificates checked since the client was opened, all their signatures included.
    pub certificates_checked: u64,
    /// Where trust started.
    pub trusted_from: Start,
}

/// Something that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved<T> {
    /// What.
    pub value: T,
    /// The header under which it holds: the head, or a block of its history.
    pub header: Header,
    /// How that is known to be final.
    pub proof: Proof,
}

/// A light client of one chain.
pub struct LightClient<S, D: Store> {
    source: S,
    store: D,
    chain: Arc<Chain>,
    options: Options,
    trust: RefCell<Trust>,
    headers: RefCell<BTreeMap<Height, Header>>,
    certificates_checked: Cell<u64>,
    /// Whether the store has the trust: then only changes are written.
    stored: Cell<bool>,
    unstored: RefCell<Option<D::Error>>,
    /// Where following is at present, between the head and its target.
    reached: Cell<Option<Height>>,
    fork: Cell<Option<Height>>,
}

/// Result of a client over a store.
pub type ClientResult<T, D> = Result<T, ClientError<<D as Store>::Error>>;

impl<S: Source, D: Store> LightClient<S, D> {
    /// Goes on from what the store holds, or from the newest checkpoint of the chain spec that is young enough, or from
    /// genesis. `remembered`: something verified before and kept elsewhere. Peers are asked only for a checkpoint's set.
    pub async fn open(
        chain: Arc<Chain>,
        policy: AgePolicy,
        remembered: Option<Trusted>,
        source: S,
        store: D,
    ) -> ClientResult<Self, D> {
        let options = Options::new(Arc::new(chain.spec.consensus.clone()), policy);
        let stored = stored(&chain, &store).await?;
        let first = genesis(&chain.spec.consensus)?;
        let trust = Trust::at(
            Trusted {
                height: first.state.height(),
                id: first.state.id,
                time: first.state.header.time,
                next_validators: (*first.state.validators).clone(),
            },
            Some(first.state.header.clone()),
        );
        let client = Self {
            source,
            store,
            chain,
            options,
            trust: RefCell::new(trust),
            headers: RefCell::default(),
            certificates_checked: Cell::new(0),
            stored: Cell::new(false),
            unstored: RefCell::default(),
            reached: Cell::new(None),
            fork: Cell::new(None),
        };
        let now = client.source.now();
        let is_young = |trusted: &Trusted| trusted.check_age(&client.options, now).is_ok();
        let trust = match (stored, remembered) {
            (Some(stored), _) if is_young(&stored.head()) => {
                client.stored.set(true);
                client.with_genesis(stored)
            }
            (_, Some(remembered)) if is_young(&remembered) => {
                client.with_genesis(Trust::at(remembered, None))
            }
            _ => client.named_by_spec(first.state.header, now).await?,
        };
        client.trust.replace(trust);
        Ok(client)
    }

    /// Genesis is the one anchor whose header is known.
    fn with_genesis(&self, mut trust: Trust) -> Trust {
        let first = self.trust.borrow();
        if trust.anchor.id == first.anchor.id {
            trust.anchor_header.clone_from(&first.anchor_header);
        }
        trust
    }

    async fn named_by_spec(&self, first: Header, now: Time) -> ClientResult<Trust, D> {
        for checkpoint in self.chain.spec.checkpoints.iter().rev() {
            let Ok(anchor) = Anchor::from_checkpoint(*checkpoint, &self.options, now) else { continue };
            let question = Question::Validators(checkpoint.validators);
            let trusted = self.ask(&question, async |_, reply| match reply {
                Reply::Validators(set) => anchor
                    .with_validators(set.clone())
                    .map_err(|error| Fault::proof(checkpoint.height, &error)),
                _ => Err(Fault::other_answer()),
            });
            return Ok(Trust::at(trusted.await?, None));
        }
        Anchor::from_genesis(&first, &self.options, now)?;
        Ok(self.trust.borrow().clone())
    }

    /// The chain.
    pub fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// The peers.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The store, shared with whoever else keeps rows in it.
    pub fn store(&self) -> &D {
        &self.store
    }

    /// Why the newest trust is not in the store: it is in memory only, and the next block is the next attempt.
    pub fn unstored(&self) -> Option<core::cell::Ref<'_, D::Error>> {
        core::cell::Ref::filter_map(self.unstored.borrow(), Option::as_ref).ok()
    }

    /// How far [`Self::follow`] has come, while it is under way.
    pub fn reached(&self) -> Option<Height> {
        self.reached.get()
    }

    /// What light verification depends on.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The newest block verified, and the set that signs the next.
    pub fn trusted(&self) -> Trusted {
        self.trust.borrow().head()
    }

    /// The newest verified height.
    pub fn height(&self) -> Height {
        self.trust.borrow().height()
    }

    /// The newest verified header, asked for where only a checkpoint is trusted.
    pub async fn verified_head(&self) -> ClientResult<Proved<()>, D> {
        let header = self.head_header().await?;
        Ok(self.proved((), header))
    }

    /// The newest verified header; none while only a checkpoint is trusted.
    pub fn head(&self) -> Option<Proved<()>> {
        let header = self.trust.borrow().header().cloned()?;
        Some(self.proved((), header))
    }

    /// What is known about the finality of a verified header.
    fn proved<T>(&self, value: T, header: Header) -> Proved<T> {
        let trust = self.trust.borrow();
        let now = self.source.now();
        let signed = trust.trace.last().map(|block| Signed {
            weight: block.certificate.weight(&block.validators),
            total: block.validators.total(),
        });
        let Trusted { height, id: block, time, .. } = trust.anchor;
        let any_age = self.options.trust_period_ms == u64::MAX;
        let proof = Proof {
            height: header.height,
            block: header.id(),
            time: header.time,
            age_ms: now.since(header.time),
            signed,
            certificates_checked: self.certificates_checked.get(),
            trusted_from: Start { height, block, age_ms: now.since(time), any_age },
        };
        Proved { value, header, proof }
    }

    /// Asks one peer after the other until `check` takes a reply. Those that lie are reported.
    async fn ask<T>(
        &self,
        question: &Question,
        check: impl AsyncFn(&S::Peer, &Reply) -> Result<T, Fault<D::Error>>,
    ) -> ClientResult<T, D> {
        let mut tally = Tally::default();
        for peer in self.source.peers() {
            if let Some(height) = self.fork.get() {
                return Err(ClientError::Fork(height));
            }
            let fault = match self.ask_one(&peer, question, &check).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            tally.asked += 1;
            match fault {
                Fault::Own(error) => return Err(error),
                Fault::Lie(..) | Fault::Reported => tally.lied += 1,
                Fault::Nothing(Nothing::Unknown) => tally.unknown += 1,
                Fault::Nothing(Nothing::TooLarge) => tally.too_large += 1,
                Fault::Nothing(Nothing::Moving) | Fault::Unanswered => {}
            }
        }
        Err(tally.verdict())
    }

    /// Asks one peer. A lie is reported here.
    async fn ask_one<T>(
        &self,
        peer: &S::Peer,
        question: &Question,
        check: &impl AsyncFn(&S::Peer, &Reply) -> Result<T, Fault<D::Error>>,
    ) -> Result<T, Fault<D::Error>> {
        let reply = self.source.ask(peer, question).await.map_err(|_| Fault::Unanswered)?;
        if let Reply::Nothing(nothing) = reply {
            return Err(Fault::Nothing(nothing));
        }
        match check(peer, &reply).await {
            Err(Fault::Lie(lie, height, detail)) => {
                self.report(peer, lie, height, detail, encode(&reply));
                Err(Fault::Reported)
            }
            checked => checked,
        }
    }

    fn report(&self, peer: &S::Peer, lie: Lie, height: Option<Height>, detail: String, proof: Vec<u8>) {
        let at = self.source.now();
        self.source.report(Misbehaviour { peer: peer.clone(), lie, height, detail, at, proof });
    }
}

/// What became of a question.
#[derive(Default)]
struct Tally {
    asked: usize,
    lied: usize,
    unknown: usize,
    too_large: usize,
}

impl Tally {
    fn verdict<E>(self) -> ClientError<E> {
        let Self { asked, lied, unknown, too_large } = self;
        match (asked, unknown, too_large) {
            (0, ..) => ClientError::NoPeers,
            (_, 0, 0) => ClientError::Unproved { asked, lied },
            (_, _, 1..) => ClientError::TooLarge,
            _ => ClientError::NotFound,
        }
    }
}

/// What an earlier client left, after checking whose rows they are. An empty store becomes one of this chain.
async fn stored<D: Store>(chain: &Chain, store: &D) -> ClientResult<Option<Trust>, D> {
    let mut reads = ReadSet::default();
    reads.insert(Table::Meta, meta::CHAIN);
    let view = store.load(&reads).await.map_err(ClientError::Store)?;
    let Some(row) = view.row(Table::Meta, meta::CHAIN) else {
        store.commit(&new_store(&chain.id)).await.map_err(ClientError::Store)?;
        return Ok(None);
    };
    let found = row.first_chunk().map(|bytes| ChainId(crate::hash::Hash(*bytes))).unwrap_or_default();
    if found != chain.id {
        return Err(ClientError::OtherChain { expected: chain.id, found });
    }
    Trust::read(store).await.map_err(ClientError::Store)
}
