//! What is trusted, how it got there, and its rows.
//!
//! The trace leads from the anchor (a checkpoint or genesis of the chain spec) to the head, each block vouched for by the
//! one before. It is kept as short as it can be: where an earlier block vouches for a new head, those between are dropped.
//! So it grows with the changes of the validator set, not with time, and a receipt can be made from it at any moment.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::block::Header;
use crate::codec::{Wire, decode, encode};
use crate::hash::Hash;
use crate::light::{Commit, LightBlock, Options, Trusted};
use crate::rows::{Batch, ReadSet, Table};
use crate::schema::{HeaderRow, height_key, meta};
use crate::spec::Checkpoint;
use crate::store::Store;
use crate::time::Time;
use crate::validators::ValidatorSet;
use crate::vote::Height;

/// Most blocks of a trace that is stored.
const TRACE_MAX: usize = 4096;

/// What is trusted.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    /// What receipts start from.
    pub(super) anchor: Trusted,
    /// Header of the anchor, where it is known: a checkpoint's is not.
    pub(super) anchor_header: Option<Header>,
    /// From the anchor to the head.
    pub(super) trace: Vec<LightBlock>,
}

/// The stored form: blocks of the trace are in the tables of headers and sets.
#[derive(Serialize, Deserialize)]
struct TrustRow {
    anchor: Checkpoint,
    trace: Vec<Height>,
}

impl Wire for TrustRow {
    const SIZE_MAX: usize = 96 + 8 * TRACE_MAX;
}

/// Trust in a verified block.
pub(super) fn trusted(block: &LightBlock) -> Trusted {
    let Header { height, time, .. } = block.header;
    Trusted { height, id: block.header.id(), time, next_validators: block.next_validators().clone() }
}

fn vouches(trusted: &Trusted, block: &LightBlock, options: &Options, now: Time) -> bool {
    let LightBlock { header, certificate, validators, .. } = block;
    let commit = Commit { header, id: header.id(), certificate, validators };
    let place = commit.check_place(trusted, options, now);
    matches!(place.and_then(|()| commit.check_link(trusted, options)), Ok(None))
}

impl Trust {
    pub(super) fn at(anchor: Trusted, anchor_header: Option<Header>) -> Self {
        Self { anchor, anchor_header, trace: Vec::new() }
    }

    /// The newest block trusted.
    pub(super) fn head(&self) -> Trusted {
        self.trace.last().map_or_else(|| self.anchor.clone(), trusted)
    }

    pub(super) fn height(&self) -> Height {
        self.trace.last().map_or(self.anchor.height, |block| block.header.height)
    }

    /// The set that signs the block after the head.
    pub(super) fn next_validators(&self) -> &ValidatorSet {
        self.trace.last().map_or(&self.anchor.next_validators, LightBlock::next_validators)
    }

    /// The head's header, unless only a checkpoint is trusted.
    pub(super) fn header(&self) -> Option<&Header> {
        self.trace.last().map(|block| &block.header).or(self.anchor_header.as_ref())
    }

    /// Takes verified blocks, each vouched for by the one before, the first by a head of ours. Those not above the
    /// present head are left out.
    pub(super) fn extend(&mut self, blocks: Vec<LightBlock>, options: &Options, now: Time) {
        for block in blocks {
            if block.header.height <= self.height() {
                continue;
            }
            let kept = (0..self.trace.len()).find(|kept| {
                let before = kept.checked_sub(1).and_then(|last| self.trace.get(last));
                match before {
                    Some(before) => vouches(&trusted(before), &block, options, now),
                    None => vouches(&self.anchor, &block, options, now),
                }
            });
            // None vouches earlier than the head, which does.
            self.trace.truncate(kept.unwrap_or(self.trace.len()));
            self.trace.push(block);
        }
    }

    fn sets(&self) -> impl Iterator<Item = &ValidatorSet> {
        let named = self.trace.iter().flat_map(|block| [&block.validators, block.next_validators()]);
        core::iter::once(&self.anchor.next_validators).chain(named)
    }

    /// The writes that make the stored trust this one.
    pub(super) fn write(&self, before: Option<&Self>) -> Batch {
        let mut batch = Batch::default();
        let mut known = BTreeSet::new();
        known.extend(before.into_iter().flat_map(Self::sets).map(ValidatorSet::hash));
        let mut named = BTreeSet::new();
        for set in self.sets() {
            let hash = set.hash();
            if named.insert(hash) && !known.contains(&hash) {
                batch.put(Table::Validators, hash.0, encode(set));
            }
        }
        for hash in known.difference(&named) {
            batch.delete(Table::Validators, hash.0);
        }
        let mut had = BTreeSet::new();
        had.extend(before.into_iter().flat_map(|before| &before.trace).map(|block| block.header.height));
        let mut has = BTreeSet::new();
        for LightBlock { header, certificate, .. } in &self.trace {
            has.insert(header.height);
            if !had.contains(&header.height) {
                let row = HeaderRow { header: header.clone(), certificate: Some(certificate.clone()) };
                batch.put(Table::Header, height_key(header.height), encode(&row));
            }
        }
        for height in had.difference(&has) {
            batch.delete(Table::Header, height_key(*height));
        }
        let Trusted { height, id: block, time, ref next_validators } = self.anchor;
        let anchor = Checkpoint { height, block, validators: next_validators.hash(), time };
        let row = TrustRow { anchor, trace: has.into_iter().collect() };
        batch.put(Table::Meta, meta::TRUST, encode(&row));
        batch
    }

    /// Reads stored trust; `None` where there is none, or not all of it. It was verified before it was stored.
    pub(super) async fn read<D: Store>(store: &D) -> Result<Option<Self>, D::Error> {
        let mut reads = ReadSet::default();
        reads.insert(Table::Meta, meta::TRUST);
        let view = store.load(&reads).await?;
        let row = view.row(Table::Meta, meta::TRUST).and_then(|row| decode::<TrustRow>(row).ok());
        let Some(TrustRow { anchor, trace }) = row else { return Ok(None) };
        let mut reads = ReadSet::default();
        trace.iter().for_each(|height| reads.insert(Table::Header, height_key(*height)));
        let headers = store.load(&reads).await?;
        let mut blocks = Vec::new();
        let mut sets = BTreeSet::new();
        sets.insert(anchor.validators);
        for height in trace {
            let row = headers.row(Table::Header, &height_key(height));
            let Some(row) = row.and_then(|row| decode::<HeaderRow>(row).ok()) else { return Ok(None) };
            sets.extend([row.header.validators_hash, row.header.next_validators_hash]);
            blocks.push(row);
        }
        let mut reads = ReadSet::default();
        sets.iter().for_each(|hash| reads.insert(Table::Validators, hash.0));
        let sets = store.load(&reads).await?;
        let set = |hash: &Hash| {
            let set = decode::<ValidatorSet>(sets.row(Table::Validators, &hash.0)?).ok()?;
            (set.hash() == *hash).then_some(set)
        };
        let light = |HeaderRow { header, certificate }: HeaderRow| {
            let (validators, next) = (set(&header.validators_hash)?, set(&header.next_validators_hash)?);
            Some(LightBlock::new(header, certificate?, validators, next))
        };
        let trace: Option<Vec<_>> = blocks.into_iter().map(light).collect();
        let Some((trace, next_validators)) = trace.zip(set(&anchor.validators)) else { return Ok(None) };
        let Checkpoint { height, block: id, time, .. } = anchor;
        Ok(Some(Self { anchor: Trusted { height, id, time, next_validators }, anchor_header: None, trace }))
    }
}
