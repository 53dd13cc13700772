//! Reads behind the methods: rows of finalized blocks, and proofs from the state tree.

use std::sync::Arc;

use futures::FutureExt;
use timecoin_core::answer::{BalanceAnswer, CoinsAnswer, Nothing, Opening, Question, RegistryAnswer, Reply};
use timecoin_core::block::{Block, Body, Header};
use timecoin_core::codec::{Wire, decode};
use timecoin_core::driver::Answerer;
use timecoin_core::hash::{BlockId, Hash, Owner, TxId};
use timecoin_core::light::{AgePolicy, Anchor, Bisection, LightBlock, Options, Progress, Trusted};
use timecoin_core::rows::Table;
use timecoin_core::schema::{HeaderRow, TransactionPlace, block_height, height_key, transaction_key};
use timecoin_core::state::ChainState;
use timecoin_core::state::tree::CoinProof;
use timecoin_core::transaction::{OutPoint, Output};
use timecoin_core::validators::ValidatorSet;
use timecoin_core::vote::Height;

use super::error::{Kind, RpcError};
use crate::handle::NodeHandle;
use crate::store::{FileStore, Snapshot, StoreError};

/// The rows of one moment, no older than the state that was visible then.
pub(super) struct Reader {
    rows: Snapshot,
    /// The newest block whose state answers are made from. Rows of the next one may be there already.
    height: Height,
}

impl Reader {
    pub(super) fn new(handle: &NodeHandle) -> Result<Self, RpcError> {
        let height = handle.state.load().height();
        Ok(Self { rows: handle.store.snapshot()?, height })
    }

    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.rows
    }

    fn row<T: Wire>(&self, table: Table, key: &[u8], what: &str) -> Result<T, RpcError> {
        let row = self.rows.row(table, key)?.ok_or_else(|| RpcError::not_found(what))?;
        decode(&row).map_err(|_| RpcError::not_found(what))
    }

    pub(super) fn header(&self, height: Height) -> Result<HeaderRow, RpcError> {
        self.row(Table::Header, &height_key(height), "block")
    }

    pub(super) fn block(&self, height: Height) -> Result<(Block, HeaderRow), RpcError> {
        let row = self.header(height)?;
        let body: Body = self.row(Table::Body, &height_key(height), "block")?;
        Ok((Block { header: row.header.clone(), body }, row))
    }

    pub(super) fn height_of(&self, block: &BlockId) -> Result<Height, RpcError> {
        let row = self.rows.row(Table::BlockIndex, block.as_bytes())?;
        row.and_then(|row| block_height(&row)).ok_or_else(|| RpcError::not_found("block"))
    }

    /// Where a final transaction is: once balances show it, not before.
    pub(super) fn place(&self, txid: &TxId) -> Result<Option<TransactionPlace>, RpcError> {
        let row = self.rows.row(Table::TransactionIndex, &transaction_key(txid))?;
        let place = row.and_then(|row| decode::<TransactionPlace>(&row).ok());
        Ok(place.filter(|place| place.height <= self.height))
    }

    /// What a final transaction made, spent since or not, and at which height.
    pub(super) fn output(&self, outpoint: &OutPoint) -> Result<Option<(Output, Height)>, RpcError> {
        let Some(place) = self.place(&outpoint.txid)? else { return Ok(None) };
        let (block, _) = self.block(place.height)?;
        let made = block.body.transactions.get(place.index as usize);
        let output = made.and_then(|signed| signed.transaction.outputs.get(outpoint.index as usize));
        Ok(output.map(|output| (*output, place.height)))
    }

    pub(super) fn validators(&self, hash: &Hash) -> Result<ValidatorSet, RpcError> {
        self.row(Table::Validators, &hash.0, "validator set")
    }
}

/// Whoever answers from this node's rows and state: peers are told the same.
fn answerer(handle: &NodeHandle) -> Answerer<'_, FileStore, impl Fn() -> Arc<ChainState>> {
    Answerer { store: &handle.store, latest: || handle.state.load_full() }
}

/// What was found or made.
fn made<T>(future: impl Future<Output = Result<Result<T, Nothing>, StoreError>>) -> Result<T, RpcError> {
    Ok(now(future)??)
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the file store makes nobody wait")
}

/// The certificate of the header a proof is against, in hexadecimal; none for genesis.
pub(super) fn certificate(handle: &NodeHandle, header: &Header) -> Result<Option<String>, RpcError> {
    let row = Reader::new(handle)?.header(header.height)?;
    Ok(row.certificate.as_ref().map(super::render::hex))
}

/// What a peer would be answered.
pub(super) fn reply(handle: &NodeHandle, question: &Question) -> Result<Reply, RpcError> {
    Ok(now(answerer(handle).answer(question))?)
}

/// The proved balances of owners, in their order, all under one header.
pub(super) fn balances(handle: &NodeHandle, owners: &[Owner]) -> Result<Vec<BalanceAnswer>, RpcError> {
    Ok(made(answerer(handle).balances(owners))?.each().collect())
}

/// The proved coins of an owner.
pub(super) fn coins(handle: &NodeHandle, owner: &Owner) -> Result<CoinsAnswer, RpcError> {
    match now(answerer(handle).coins(owner))? {
        Err(Nothing::TooLarge) => Err(RpcError::new(
            Kind::TooLarge,
            "the owner has more coins than one proof holds: use getbalance",
        )),
        coins => Ok(coins?),
    }
}

/// The proof that a coin is unspent; `None` where it is not.
pub(super) fn coin(
    handle: &NodeHandle,
    owner: &Owner,
    outpoint: &OutPoint,
) -> Result<(Opening, Option<CoinProof>), RpcError> {
    made(answerer(handle).coin(owner, outpoint))
}

/// All masternodes, proved in this state.
pub(super) fn registry(handle: &NodeHandle, state: &Arc<ChainState>) -> RegistryAnswer {
    Answerer { store: &handle.store, latest: || state.clone() }.registry()
}

/// What a receipt of a payment at `height` needs: genesis, and the certified headers that lead from it to there.
/// The anchor is genesis: whoever checks decides whether that is recent enough.
pub(super) fn trace(
    handle: &NodeHandle,
    reader: &Reader,
    height: Height,
) -> Result<(Trusted, Vec<LightBlock>), RpcError> {
    let now = crate::clock::now();
    let options = Options::new(Arc::new(handle.chain.spec.consensus.clone()), AgePolicy::AnyAge);
    let genesis = reader.header(Height(0))?.header;
    let set = reader.validators(&genesis.next_validators_hash)?;
    let anchor = Anchor::from_genesis(&genesis, &options, now).and_then(|anchor| anchor.with_validators(set));
    let anchor = anchor.map_err(|_| RpcError::not_found("anchor"))?;
    let mut bisection = Bisection::new(anchor.clone(), height, options);
    loop {
        match bisection.progress() {
            Progress::Done => return Ok((anchor, bisection.into_parts().1)),
            Progress::Need(height) => {
                bisection.feed(light_block(handle, height)?, now);
            }
            Progress::Failed(_) => return Err(RpcError::not_found("chain of certificates")),
        }
    }
}

/// A certified header with its sets.
pub(super) fn light_block(handle: &NodeHandle, height: Height) -> Result<LightBlock, RpcError> {
    match made(answerer(handle).light_block(height)) {
        Err(error) if error.kind == Kind::NotFound => {
            Err(RpcError::not_found("certified block: genesis has no certificate"))
        }
        block => block,
    }
}
