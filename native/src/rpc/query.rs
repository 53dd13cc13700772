//! Reads behind the methods: rows of finalized blocks, and proofs from the state tree.

use std::sync::Arc;

use timecoin_core::answer::{BalanceAnswer, CoinsAnswer, Opening};
use timecoin_core::block::{Block, Body, Header};
use timecoin_core::codec::{Wire, decode};
use timecoin_core::hash::{BlockId, Hash, Owner, TxId};
use timecoin_core::light::{AgePolicy, Anchor, Bisection, LightBlock, Options, Progress, Trusted};
use timecoin_core::rows::Table;
use timecoin_core::schema::{HeaderRow, TransactionPlace, block_height, height_key, transaction_key};
use timecoin_core::state::ChainState;
use timecoin_core::state::tree::{CoinProof, CoinTree, OwnerCoinsProof, PageKey, TreeError};
use timecoin_core::transaction::{OutPoint, Output};
use timecoin_core::validators::ValidatorSet;
use timecoin_core::vote::Height;

use super::error::{Kind, RpcError};
use crate::handle::NodeHandle;
use crate::store::Snapshot;

/// Attempts at a proof while blocks keep coming in.
const PROOF_ATTEMPTS: usize = 8;

/// The rows of one moment.
pub(super) struct Reader(Snapshot);

impl Reader {
    pub(super) fn new(handle: &NodeHandle) -> Result<Self, RpcError> {
        Ok(Self(handle.store.snapshot()?))
    }

    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.0
    }

    fn row<T: Wire>(&self, table: Table, key: &[u8], what: &str) -> Result<T, RpcError> {
        let row = self.0.row(table, key)?.ok_or_else(|| RpcError::not_found(what))?;
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
        let row = self.0.row(Table::BlockIndex, block.as_bytes())?;
        row.and_then(|row| block_height(&row)).ok_or_else(|| RpcError::not_found("block"))
    }

    pub(super) fn place(&self, txid: &TxId) -> Result<Option<TransactionPlace>, RpcError> {
        let row = self.0.row(Table::TransactionIndex, &transaction_key(txid))?;
        Ok(row.and_then(|row| decode(&row).ok()))
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

/// Makes a proof on the newest state. The rows read are those of the newest block, too, unless one came in
/// between: then the tree notices, and it starts again.
fn prove<T>(
    handle: &NodeHandle,
    missing: impl Fn(&CoinTree) -> Vec<PageKey>,
    make: impl Fn(&CoinTree) -> Result<T, TreeError>,
) -> Result<(Arc<ChainState>, T), RpcError> {
    for _ in 0..PROOF_ATTEMPTS {
        let snapshot = handle.store.snapshot()?;
        let state = handle.state.load_full();
        let mut coins = state.coins.clone();
        match load(&mut coins, &snapshot, &missing)? {
            Ok(()) => {}
            Err(_) => continue,
        }
        if let Ok(proof) = make(&coins) {
            return Ok((state, proof));
        }
    }
    Err(RpcError::of(Kind::Busy))
}

fn load(
    coins: &mut CoinTree,
    snapshot: &Snapshot,
    missing: impl Fn(&CoinTree) -> Vec<PageKey>,
) -> Result<Result<(), TreeError>, RpcError> {
    loop {
        let pages = missing(coins);
        if pages.is_empty() {
            return Ok(Ok(()));
        }
        for page in pages {
            let row = snapshot.row(Table::Tree, &page.to_bytes())?;
            if let Err(error) = coins.graft(&page, row.as_deref()) {
                return Ok(Err(error));
            }
        }
    }
}

fn opening(state: &ChainState) -> Opening {
    Opening { header: state.header.clone(), commitment: state.commitment() }
}

/// The certificate of the header a proof is against, in hexadecimal; none for genesis.
pub(super) fn certificate(handle: &NodeHandle, header: &Header) -> Result<Option<String>, RpcError> {
    let row = Reader::new(handle)?.header(header.height)?;
    Ok(row.certificate.as_ref().map(super::render::hex))
}

/// The proved balances of owners, in their order, all under one header.
pub(super) fn balances(handle: &NodeHandle, owners: &[Owner]) -> Result<Vec<BalanceAnswer>, RpcError> {
    let missing = |coins: &CoinTree| owners.iter().filter_map(|owner| coins.missing_balance(owner)).collect();
    let make = |coins: &CoinTree| owners.iter().map(|owner| coins.prove_owner(owner)).collect();
    let (state, proofs): (_, Vec<_>) = prove(handle, missing, make)?;
    let opening = opening(&state);
    Ok(proofs.into_iter().map(|proof| BalanceAnswer { opening: opening.clone(), proof }).collect())
}

/// The proved coins of an owner.
pub(super) fn coins(handle: &NodeHandle, owner: &Owner) -> Result<CoinsAnswer, RpcError> {
    let make = |coins: &CoinTree| {
        let all = coins.prove_owner_coins(owner)?;
        Ok(match all {
            Some(all) => Some(all),
            None => {
                let owner = coins.prove_owner(owner)?;
                Some(OwnerCoinsProof { owner, coins: Vec::new() })
            }
        })
    };
    let (state, proof) = prove(handle, |coins| coins.missing_coins(owner), make)?;
    let proof = proof.ok_or_else(|| RpcError::not_found("owner"))?;
    let answer = CoinsAnswer { opening: opening(&state), proof };
    if answer.verify(owner).is_err() {
        return Err(RpcError::new(
            Kind::TooLarge,
            "the owner has more coins than one proof holds: use getbalance",
        ));
    }
    Ok(answer)
}

/// The proof that a coin is unspent; `None` where it is not.
pub(super) fn coin(
    handle: &NodeHandle,
    owner: &Owner,
    outpoint: &OutPoint,
) -> Result<(Opening, Option<CoinProof>), RpcError> {
    let missing = |coins: &CoinTree| coins.missing(&[(*owner, *outpoint)]);
    let (state, proof) = prove(handle, missing, |coins| coins.prove_coin(owner, outpoint))?;
    Ok((opening(&state), proof))
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
                let block = light_block(reader, reader.header(height)?)?;
                bisection.feed(block, now);
            }
            Progress::Failed(_) => return Err(RpcError::not_found("chain of certificates")),
        }
    }
}

/// A header row with its sets.
pub(super) fn light_block(reader: &Reader, row: HeaderRow) -> Result<LightBlock, RpcError> {
    let certificate = row.certificate.ok_or_else(|| RpcError::not_found("certificate: genesis has none"))?;
    let validators = reader.validators(&row.header.validators_hash)?;
    let next = reader.validators(&row.header.next_validators_hash)?;
    Ok(LightBlock::new(row.header, certificate, validators, next))
}
