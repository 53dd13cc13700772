//! A chain and, at each of its heights, blocks of which one is good, as bytes; and what is to be said of each of them, by who has every
//! coin and by who has only a proof of those it touches. Two builds that judge differently differ in a line.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::block::{Block, Header};
use crate::codec::{Wire, decode, encode};
use crate::evidence::Evidence;
use crate::hash::{BlockId, ChainId, Hash, StateRoot};
use crate::keys::PublicKey;
use crate::spec::ChainSpec;
use crate::state::tree::Multiproof;
use crate::state::{Applied, ChainState, VerifiedBlock, genesis, planned_changes, validate};
use crate::time::Time;
use crate::transaction::{Action, OutPoint, Output, SignedTransaction};
use crate::validators::ValidatorSet;
use crate::vote::Height;

use super::Rng;
use super::ledger::{Ledger, RICH, owner};
use super::model::{certificate, draft, spec};

/// The name of the block that the chain goes on with.
pub const GOOD: &str = "good";

/// Bytes of a block in which one bit is turned, so many times per height.
const TURNED: usize = 6;

/// A chain and the blocks that were offered at each height.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recording {
    /// The chain spec, as JSON.
    pub spec: String,
    /// What was offered for height 1 and on: a block called [`GOOD`], and others.
    pub heights: Vec<Vec<Candidate>>,
}

impl Wire for Recording {
    const SIZE_MAX: usize = 1 << 28;
}

/// A block that is offered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// What is wrong with it.
    pub name: String,
    /// Its bytes.
    pub block: Vec<u8>,
    /// A proof of the coins it touches; none where what it touches cannot be known.
    pub proof: Option<Vec<u8>>,
}

/// What is said of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// At which height it was offered.
    pub height: Height,
    /// What it was called.
    pub name: String,
    /// With every coin at hand: the state after it, or why it is refused.
    pub local: Result<(BlockId, StateRoot), String>,
    /// With the coins of the proof alone.
    pub proved: Result<(BlockId, StateRoot), String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.height, self.name)?;
        for verdict in [&self.local, &self.proved] {
            match verdict {
                Ok((id, root)) => write!(f, " | {id} {root}")?,
                Err(reason) => write!(f, " | {reason}")?,
            }
        }
        Ok(())
    }
}

/// A random chain, and random ways to spoil each of its blocks.
///
/// # Panics
/// If a good block is none.
#[must_use]
pub fn record(seed: u64, heights: u64) -> Recording {
    let (mut ledger, mut dice) = (Ledger::new(spec()), Rng::new(seed));
    let spec =
        ChainSpec { consensus: (*ledger.spec).clone(), bootstrap: Vec::new(), checkpoints: Vec::new() };
    let mut judge = Judge::new(&spec);
    let heights = (0..heights).map(|_| {
        let applied = ledger.derive(draft(&ledger, &mut dice)).expect("the model makes good ones");
        let good = (GOOD.to_owned(), encode(&applied.block));
        let offered = [good].into_iter().chain(spoiled(&ledger, &applied, &mut dice));
        let candidates = offered.map(|(name, block)| Candidate { proof: judge.prove(&block), name, block });
        let candidates = candidates.collect();
        let certificate = certificate(&ledger, &applied, &mut dice);
        ledger.accept(&applied, certificate);
        judge.accept(applied.state);
        candidates
    });
    let heights = heights.collect();
    Recording { spec: spec.to_json(), heights }
}

/// Judges every block of a recording, and goes on with the good ones.
///
/// # Errors
/// What is wrong with the recording.
pub fn judge(recording: &Recording) -> Result<Vec<Verdict>, String> {
    let spec = ChainSpec::from_json(&recording.spec).map_err(|error| error.to_string())?;
    let mut judge = Judge::new(&spec);
    let mut verdicts = Vec::new();
    for candidates in &recording.heights {
        let height = judge.state.height().next();
        let mut next = None;
        for Candidate { name, block, proof } in candidates {
            let read = judge.read(block);
            let local = read.clone().and_then(|block| judge.local(block));
            let proved = read.and_then(|block| judge.proved(block, proof.as_deref()));
            let brief = |applied: &Applied| (applied.state.id, applied.block.header.state_root);
            verdicts.push(Verdict {
                height,
                name: name.clone(),
                local: local.as_ref().map(brief).map_err(Clone::clone),
                proved: proved.as_ref().map(brief).map_err(Clone::clone),
            });
            if name == GOOD {
                next = local.ok();
            }
        }
        judge.accept(next.ok_or_else(|| format!("no block of height {height} is good"))?.state);
    }
    Ok(verdicts)
}

/// Who has the whole state after the newest block.
struct Judge {
    spec: ChainSpec,
    chain: ChainId,
    state: ChainState,
    sets: BTreeMap<Height, Arc<ValidatorSet>>,
}

impl Judge {
    fn new(spec: &ChainSpec) -> Self {
        let state = genesis(&spec.consensus).expect("the spec has a genesis").state;
        let sets = BTreeMap::from([(state.height().next(), state.validators.clone())]);
        Self { spec: spec.clone(), chain: spec.consensus.id(), state, sets }
    }

    fn accept(&mut self, state: ChainState) {
        self.sets.insert(state.height().next(), state.validators.clone());
        self.state = state;
    }

    /// Reads a block, and checks all its signatures.
    fn read(&self, block: &[u8]) -> Result<VerifiedBlock, String> {
        let block: Block = decode(block).map_err(|error| format!("{error:?}"))?;
        let set_of = |height: Height| self.sets.get(&height).cloned();
        VerifiedBlock::verify(block, &self.spec.consensus, &self.chain, &self.state.signers, set_of, |_| None)
            .map_err(|error| error.to_string())
    }

    fn local(&self, block: VerifiedBlock) -> Result<Applied, String> {
        validate(&self.spec.consensus, &self.chain, &self.state, block).map_err(|error| error.to_string())
    }

    /// With the tree taken away, and what a proof proves in its place.
    fn proved(&self, block: VerifiedBlock, proof: Option<&[u8]>) -> Result<Applied, String> {
        let spec = &self.spec.consensus;
        let changes = planned_changes(spec, &self.chain, &self.state, block.draft());
        let ops = changes.map_err(|error| error.to_string())?.ops();
        let proof: Multiproof =
            decode(proof.ok_or("no proof")?).map_err(|error| format!("proof: {error:?}"))?;
        let root = self.state.commitment().coins;
        let coins = proof.into_tree(&root, &ops).map_err(|error| format!("proof: {error}"))?;
        let state = ChainState { coins, ..self.state.clone() };
        validate(spec, &self.chain, &state, block).map_err(|error| error.to_string())
    }

    fn prove(&self, block: &[u8]) -> Option<Vec<u8>> {
        let block = self.read(block).ok()?;
        let changes = planned_changes(&self.spec.consensus, &self.chain, &self.state, block.draft()).ok()?;
        Some(encode(&Multiproof::build(&self.state.coins, &changes.ops()).expect("every coin is at hand")))
    }
}

/// A change, by the name of what is wrong afterwards.
type Way<T> = (&'static str, fn(&mut T));

/// Ways to lie in a header.
const LIES: [Way<Header>; 15] = [
    ("version", |header| header.version += 1),
    ("height", |header| header.height.0 += 1),
    ("view", |header| header.view.0 += 1),
    ("time", |header| header.time = Time(0)),
    ("parent", |header| header.parent = BlockId(Hash::ZERO)),
    ("transactions root", |header| header.transactions_root = Hash::ZERO),
    ("state root", |header| header.state_root = StateRoot(Hash::ZERO)),
    ("supply", |header| header.supply.0 += 1),
    ("filter hash", |header| header.filter_hash = Hash::ZERO),
    ("history root", |header| header.history_root = Hash::ZERO),
    ("validators hash", |header| header.validators_hash = Hash::ZERO),
    ("next validators hash", |header| header.next_validators_hash = Hash::ZERO),
    ("evidence root", |header| header.evidence_root = Hash([1; 32])),
    ("certificate hash", |header| header.parent_certificate_hash = Hash([1; 32])),
    ("proposer", |header| header.proposer = PublicKey([7; 32])),
];

/// Ways to ask for a coin that is not there: a place that was never paid to, another amount, a payment that never was.
const PHANTOMS: [Way<(OutPoint, Output)>; 3] = [
    ("index of a coin", |coin| coin.0.index += 9_000),
    ("amount of a coin", |coin| coin.1.amount.0 += 1),
    ("payment that made a coin", |coin| coin.0.txid.0 = Hash([9; 32])),
];

/// A good block made bad in every way there is here, each under the name of what is wrong.
fn spoiled(ledger: &Ledger, applied: &Applied, dice: &mut Rng) -> Vec<(String, Vec<u8>)> {
    let good = &applied.block;
    let mut offered = Vec::new();
    let mut offer = |name: &str, change: &dyn Fn(&mut Block)| {
        let mut block = good.clone();
        change(&mut block);
        if block != *good {
            offered.push((name.to_owned(), encode(&block)));
        }
    };
    for (name, lie) in LIES {
        offer(name, &|block| lie(&mut block.header));
    }
    let spent: Vec<_> = applied.changes.spent.iter().map(|(outpoint, _)| *outpoint).collect();
    let is_free =
        |coin: &OutPoint| ledger.state.registry.of_collateral(coin).is_none() && !spent.contains(coin);
    let coin = ledger
        .coins_of(&owner(RICH))
        .into_iter()
        .find(|(outpoint, output)| is_free(outpoint) && output.amount > Amount(1_000_000));
    if let Some(coin) = coin {
        let payment = |coin| ledger.payment(RICH, coin, RICH + 1, Amount(5_000)).sign(&ledger.chain);
        for (name, haunt) in PHANTOMS {
            let mut phantom = coin;
            haunt(&mut phantom);
            offer(name, &|block| block.body.transactions.push(payment(phantom)));
        }
        // Good, but not in this header.
        offer("one payment more", &|block| block.body.transactions.push(payment(coin)));
    }
    offer("a payment twice", &|block| {
        block.body.transactions.extend(block.body.transactions.last().cloned())
    });
    let is_payment =
        |signed: &mut SignedTransaction| !matches!(signed.transaction.action, Action::Reward { .. });
    offer("a payment less", &|block| drop(block.body.transactions.pop_if(is_payment)));
    offer("payments in another order", &|block| block.body.transactions.reverse());
    offer("no certificate", &|block| block.body.parent_certificate = None);
    offer("the certificate of another view", &|block| {
        block.body.parent_certificate.iter_mut().for_each(|certificate| certificate.data.view.0 += 1);
    });
    let stranger = super::model::equivocation(ledger, 0, applied.state.height()).evidence().to_owned();
    offer("evidence of its own", &|block| block.body.evidence.push(stranger));
    offer("evidence twice", &|block| block.body.evidence.extend(block.body.evidence.first().cloned()));
    offer("evidence of nothing", &|block| {
        block.body.evidence.push(Evidence { second: stranger.first, ..stranger })
    });
    let bytes = encode(good);
    offered.push(("cut".to_owned(), bytes[..dice.position(bytes.len())].to_vec()));
    offered.push(("one byte more".to_owned(), [&bytes[..], &[0]].concat()));
    for _ in 0..TURNED {
        let (at, bit) = (dice.position(bytes.len()), dice.below(8));
        let mut turned = bytes.clone();
        turned[at] ^= 1 << bit;
        offered.push((format!("byte {at} of {}", bytes.len()), turned));
    }
    offered
}
