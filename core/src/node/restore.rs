//! From rows to a node: the first start, every restart, and what the node goes on with afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::block::Block;
use crate::certificate::Certificate;
use crate::codec::{decode, encode};
use crate::consensus::{Consensus, Input, SignRecord, Signer, SignerMemory};
use crate::evidence::Evidence;
use crate::hash::{ChainId, Hash};
use crate::mempool::Mempool;
use crate::rows::{Batch, Key, Table, Value};
use crate::schema::{
    HeaderRow, RowError, SCHEMA_VERSION, TipRow, height_key, meta, new_store, prepared_key, row, signer_key,
    write_block,
};
use crate::state::registry::Registry;
use crate::state::tree::{CoinTree, Fill, PageKey};
use crate::state::{ChainState, GenesisError, VerifiedEvidence, genesis};
use crate::sync::{Sync, SyncLimits};
use crate::time::Time;
use crate::transaction::{SignedTransaction, VerifiedTransaction};
use crate::validators::ValidatorSet;
use crate::vote::Height;

use super::candidates::Candidates;
use super::event::{Job, Step, anchor};
use super::partial::{Partial, Recent};
use super::peers::Peers;
use super::silence::Silence;
use super::{Node, NodeConfig, plan};

/// The rows a node starts from.
#[derive(Clone, Debug, Default)]
pub struct StoredNode {
    /// [`Table::Meta`], whole.
    pub meta: BTreeMap<Key, Value>,
    /// The newest header row.
    pub header: Option<Value>,
    /// [`Table::Validators`], whole.
    pub validators: BTreeMap<Key, Value>,
    /// The bands of the state tree, in key order.
    pub bands: Vec<(Key, Value)>,
    /// [`Table::Sign`], whole.
    pub sign: Vec<(Key, Value)>,
    /// [`Table::Candidate`], whole.
    pub candidates: Vec<(Key, Value)>,
    /// [`Table::Evidence`], whole.
    pub evidence: Vec<(Key, Value)>,
    /// [`Table::Mempool`], whole.
    pub mempool: Vec<(Key, Value)>,
    /// [`Table::Peer`], whole.
    pub peers: Vec<(Key, Value)>,
}

/// A node, and what must be written and done before its first event.
pub struct Restored {
    /// The node.
    pub node: Node,
    /// To be committed and performed first, like the step of a job.
    pub step: Step,
}

/// Why a node cannot start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The chain spec has no genesis.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// Rows are absent, damaged, of another chain or version.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The node had stopped at a fork; the evidence is in the store.
    #[error(
        "the node stopped at a fork and must not go on: two conflicting certificates are in the store, which proves who is guilty: keep it, and ask the other operators"
    )]
    Forked,
}

/// The rows that make an empty store a store of this chain, with the state after genesis. `born`: the operator
/// key was made together with this store and has never signed.
pub fn first_rows(config: &NodeConfig, born: bool) -> Result<Batch, RestoreError> {
    let applied = genesis(&config.chain.spec.consensus)?;
    let mut batch = new_store(&config.chain.id);
    write_block(&mut batch, None, &applied, None).map_err(RowError::from)?;
    write_born(&mut batch, config, born);
    batch.sync();
    Ok(batch)
}

/// A state that was proved, but for the coins: what a node can begin with.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Its row.
    pub tip: TipRow,
    /// The masternodes.
    pub registry: Registry,
    /// Proof of its block.
    pub certificate: Certificate,
    /// Every set that [`TipRow`] names.
    pub sets: Vec<ValidatorSet>,
}

/// The rows that take a store to a state whose coins are still to come. What it has of the tree stays, to be used where
/// it fits; own votes stay. `born`: as in [`first_rows`], for a store that is empty.
#[must_use]
pub fn joined_rows(config: &NodeConfig, joined: &Joined, born: bool) -> Batch {
    let Joined { tip, registry, certificate, sets } = joined;
    let mut batch = new_store(&config.chain.id);
    batch.put(Table::Meta, meta::TIP, encode(tip));
    batch.put(Table::Meta, meta::REGISTRY, encode(registry));
    batch.put(Table::Meta, meta::FILL, encode(&Fill::default()));
    let row = HeaderRow { header: tip.header.clone(), certificate: Some(certificate.clone()) };
    batch.put(Table::Header, height_key(tip.header.height), encode(&row));
    batch.put(Table::BlockIndex, *tip.header.id().as_bytes(), tip.header.height.0.to_be_bytes());
    for set in sets {
        batch.put(Table::Validators, set.hash().0, encode(set));
    }
    write_born(&mut batch, config, born);
    batch.sync();
    batch
}

fn write_born(batch: &mut Batch, config: &NodeConfig, born: bool) {
    if let Some(key) = config.operator.as_ref().filter(|_| born) {
        batch.put(Table::Meta, signer_key(&key.public_key()), encode(&SignerMemory::Born));
    }
}

impl Node {
    /// A node as its store remembers it.
    pub fn restore(config: NodeConfig, stored: &StoredNode, now: Time) -> Result<Restored, RestoreError> {
        check_store(&config, stored)?;
        let meta = |key: &[u8]| stored.meta.get(key).map(|value| &value[..]);
        let tip: TipRow = row(Table::Meta, "tip", meta(meta::TIP))?;
        let registry: Registry = row(Table::Meta, "registry", meta(meta::REGISTRY))?;
        let header: HeaderRow = row(Table::Header, "newest", stored.header.as_deref())?;
        let set = |hash: &Hash| -> Result<Arc<ValidatorSet>, RowError> {
            let value = stored.validators.get(&hash.0[..]).map(|value| &value[..]);
            row(Table::Validators, "set", value).map(Arc::new)
        };
        let fill = stored
            .meta
            .get(meta::FILL)
            .map(|value| row::<Fill>(Table::Meta, "fill", Some(value)))
            .transpose()?;
        let bands = stored.bands.iter().filter_map(|(key, row)| Some((PageKey::from_bytes(key)?, &row[..])));
        let state = ChainState {
            id: tip.header.id(),
            signers: set(&tip.signers)?,
            validators: set(&tip.header.next_validators_hash)?,
            registry: Arc::new(registry),
            history: tip.history,
            coins: match fill {
                None => CoinTree::load(tip.coins, bands).map_err(RowError::from)?,
                // Bands of an older state may be left over.
                Some(_) => bands.fold(CoinTree::unloaded(tip.coins), |mut tree, (key, row)| {
                    let _ = tree.graft(&key, Some(row));
                    tree
                }),
            },
            accounting: Arc::new(tip.accounting),
            header: tip.header,
        };
        check_state(&state, &header)?;
        let past = state.accounting.past_sets.clone();
        let past_sets = past.iter().map(|past| Ok((past.first, (past.last, set(&past.hash)?))));
        let past_sets = past_sets.collect::<Result<_, RowError>>()?;
        let mut node = Self::with_state(config, state, header.certificate, past_sets, stored, now);
        node.partial = fill.map(Partial::new);
        Ok(node.resume(stored, now))
    }

    fn with_state(
        config: NodeConfig,
        state: ChainState,
        certificate: Option<Certificate>,
        past_sets: BTreeMap<Height, (Height, Arc<ValidatorSet>)>,
        stored: &StoredNode,
        now: Time,
    ) -> Self {
        let NodeConfig { chain, operator, mempool, discovery } = config;
        let signer =
            operator.map(|key| Signer::new(key.clone(), chain.id, memory(&key.public_key().0, stored)));
        let sync = Sync::new(SyncLimits::default(), anchor(&state), now);
        let state = Arc::new(state);
        let mut node = Self {
            context: Arc::new(super::PlanContext::at(&chain, &state)),
            chain,
            certificate: certificate.map(Arc::new),
            state,
            past_sets,
            consensus: Consensus::new(),
            signer,
            quarantine: None,
            silence: Silence::default(),
            started: now,
            candidates: Candidates::default(),
            candidate_rows: BTreeSet::new(),
            sign_rows: BTreeSet::new(),
            decided: None,
            early: BTreeMap::new(),
            mempool: Mempool::new(mempool),
            offered: BTreeSet::new(),
            evidence: BTreeMap::new(),
            peers: Peers::default(),
            lights: super::light::LightPeers::default(),
            fetches: super::fetch::Fetches::default(),
            discovery: discovery.map(super::discovery::Discovery::new),
            sync,
            synced: BTreeMap::new(),
            partial: None,
            recent: Recent::default(),
            phase_told: None,
            halted: false,
        };
        node.context = node.make_context();
        node
    }

    /// Takes up what was under way: own votes and blocks of the open height, evidence, pending transactions.
    fn resume(mut self, stored: &StoredNode, now: Time) -> Restored {
        let mut step = Step::default();
        if let Some(discovery) = &mut self.discovery {
            discovery.restore(&stored.peers, now, &mut step.batch);
        }
        let records = self.own_records(stored);
        if let Some(signer) = &mut self.signer {
            if let Some(certificate) = self.certificate.as_deref() {
                signer.restore_certificate(certificate, &self.state.signers);
                signer.observe_certificate(certificate, &self.state.signers);
            }
            signer.observe_height(self.state.height().next());
            signer.restore(records.iter().copied());
        }
        self.silence = Silence::after_restart(self.signer.as_ref(), &self.state.validators);
        let mut prepared = Vec::new();
        for (key, value) in &stored.candidates {
            self.candidate_rows.insert(key.clone());
            if let Ok(certificate) = decode::<Certificate>(value)
                && *key == prepared_key(certificate.data.height, certificate.data.view)
            {
                prepared.push(certificate);
                continue;
            }
            let Ok(block) = decode::<Block>(value) else { continue };
            if block.header.parent == self.state.id {
                let id = block.header.id();
                let verified = plan::verify_block(&self.context, block).map(Box::new);
                if let Some(candidate) = self.candidates.entry(id, &[], now) {
                    candidate.asked = true;
                }
                step.jobs.push(Job::Block(None, id, verified));
            }
        }
        for (key, _) in &stored.evidence {
            let verified = decode::<Evidence>(key).ok().and_then(|evidence| {
                let set = self.context.set_of(evidence.first.data.height)?;
                VerifiedEvidence::verify(evidence, set, &self.chain.id).ok()
            });
            if let Some(verified) = verified {
                self.evidence.insert(*verified.evidence(), verified);
            }
        }
        step.jobs.push(Job::Restore(self.pending(stored, &mut step.batch)));
        let open = self.state.height().next();
        let open_records = records.into_iter().filter(|record| record.vote.data.height == open).collect();
        self.start_height(now, open_records, &mut step);
        for certificate in prepared.into_iter().filter(|prepared| prepared.data.height == open) {
            self.consensus_input(Input::Certificate(certificate), now, &mut step);
        }
        self.notice_quarantine(&mut step);
        Restored { node: self, step }
    }

    fn own_records(&mut self, stored: &StoredNode) -> Vec<SignRecord> {
        let Some(key) = self.signer.as_ref().map(Signer::public_key) else { return Vec::new() };
        let own = stored.sign.iter().filter(|(row, _)| row.starts_with(&key.0));
        let records: Vec<(Key, SignRecord)> =
            own.filter_map(|(row, value)| Some((row.clone(), decode(value).ok()?))).collect();
        self.sign_rows.extend(records.iter().map(|(row, record)| (record.vote.data.height, row.clone())));
        records.into_iter().map(|(_, record)| record).collect()
    }

    /// The pending transactions of the rows. What is none any more, under other rules, has no row any more either.
    fn pending(&self, stored: &StoredNode, batch: &mut Batch) -> Vec<Arc<VerifiedTransaction>> {
        let rules = self.chain.spec.consensus.rules(self.state.height().next());
        let limits = rules.transaction_limits();
        let mut pending = Vec::with_capacity(stored.mempool.len());
        for (key, value) in &stored.mempool {
            let signed = decode::<SignedTransaction>(value).ok();
            let verified =
                signed.and_then(|signed| VerifiedTransaction::verify(signed, &self.chain.id, &limits).ok());
            match verified.filter(|verified| verified.txid().as_bytes()[..] == key[..]) {
                Some(verified) => pending.push(Arc::new(verified)),
                None => batch.delete(Table::Mempool, key.clone()),
            }
        }
        pending
    }
}

fn check_store(config: &NodeConfig, stored: &StoredNode) -> Result<(), RestoreError> {
    let bytes = |key: &'static [u8], name| {
        let value = stored.meta.get(key).map(|value| &value[..]);
        value.ok_or(RowError::Absent { table: Table::Meta, name })
    };
    let found = bytes(meta::VERSION, "version")?.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if found != SCHEMA_VERSION {
        return Err(RowError::Version { found }.into());
    }
    let found =
        bytes(meta::CHAIN, "chain")?.first_chunk().map_or(ChainId::default(), |id| ChainId(Hash(*id)));
    if found != config.chain.id {
        return Err(RowError::Chain { found, expected: config.chain.id }.into());
    }
    if stored.evidence.iter().any(|(key, _)| key.starts_with(b"fork/")) {
        return Err(RestoreError::Forked);
    }
    Ok(())
}

/// The rows must add up to what the newest header commits to.
fn check_state(state: &ChainState, row: &HeaderRow) -> Result<(), RowError> {
    if row.header != state.header {
        return Err(RowError::Mismatch("header"));
    }
    if state.commitment().root() != state.header.state_root {
        return Err(RowError::Mismatch("state root"));
    }
    let is_own = |certificate: &Certificate| super::propose::is_commit_of(certificate, &state.id);
    if state.height() > Height(0) && !row.certificate.as_ref().is_some_and(is_own) {
        return Err(RowError::Mismatch("certificate"));
    }
    Ok(())
}

/// What the store knows of a key: its newest vote, or that it was born here, or nothing.
fn memory(key: &[u8; 32], stored: &StoredNode) -> SignerMemory {
    let own = stored.sign.iter().filter(|(row, _)| row.starts_with(key));
    if let Some(record) = own.filter_map(|(_, value)| decode::<SignRecord>(value).ok()).next_back() {
        return SignerMemory::Last((&record.vote.data).into());
    }
    let born = stored.meta.get(&[meta::SIGNER, key].concat());
    born.and_then(|value| decode(value).ok()).unwrap_or(SignerMemory::Missing)
}
