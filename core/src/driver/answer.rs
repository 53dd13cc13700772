//! Answers to light nodes, from the rows and the newest state: the same for peers and for RPC.
//!
//! Proofs are made on the newest state. The rows read are those of the newest block, too, unless one came in between: then
//! the tree notices, and it starts again.

use std::sync::Arc;

use crate::answer::{
    BalancesAnswer, CoinsAnswer, FILTERS_SIZE_MAX, Located, Nothing, Opening, Question, RegistryAnswer,
    Reply, SparseBlock, StateProof, StateQuestion, StateReply, StateTip,
};
use crate::block::{Block, Body, Header};
use crate::codec::{Wire, decode, encode};
use crate::filter::Filter;
use crate::hash::{Hash, Owner, TxId};
use crate::light::LightBlock;
use crate::merkle::{Blake, InclusionProof};
use crate::receipt::{PastBlock, Payment};
use crate::rows::{Key, ReadSet, Table};
use crate::schema::{
    HeaderRow, TransactionPlace, UndoRow, block_height, height_key, history_key, transaction_key,
};
use crate::state::ChainState;
use crate::state::accounting::Accounting;
use crate::state::registry::Registry;
use crate::state::tree::{
    CoinProof, CoinTree, FILL_ROWS, Multiproof, Op, OwnerCoinsProof, PageKey, TreeError,
};
use crate::store::Store;
use crate::transaction::OutPoint;
use crate::validators::ValidatorSet;
use crate::vote::Height;

/// Attempts at a proof while blocks keep coming in.
const PROOF_ATTEMPTS: usize = 8;

/// A node's rows, and its newest state.
pub struct Answerer<'a, S, L> {
    /// The rows.
    pub store: &'a S,
    /// The state after the newest block.
    pub latest: L,
}

type Answered<T, S> = Result<Result<T, Nothing>, <S as Store>::Error>;

impl<S: Store, L: Fn() -> Arc<ChainState>> Answerer<'_, S, L> {
    /// Answers a question.
    pub async fn answer(&self, question: &Question) -> Result<Reply, S::Error> {
        let reply = match question {
            Question::LightBlock { height, known } => self
                .light_block(*height)
                .await?
                .map(|block| Reply::LightBlock(Box::new(SparseBlock::without(block, known.as_ref())))),
            Question::Validators(hash) => self.validators(hash).await?.map(Reply::Validators),
            Question::Height(block) => {
                let row = self.bytes(Table::BlockIndex, block.as_bytes().to_vec()).await?;
                row.and_then(|row| block_height(&row)).map(Reply::Height).ok_or(Nothing::Unknown)
            }
            Question::History { height, at } => {
                self.past(*height, *at).await?.map(|past| Reply::History(Box::new(past)))
            }
            Question::Filters { from, count } => self.filters(*from, *count).await?.map(Reply::Filters),
            Question::Block(height) => self.block(*height).await?.map(|block| Reply::Block(Box::new(block))),
            Question::Transaction(txid) => {
                self.transaction(txid).await?.map(|found| Reply::Transaction(Box::new(found)))
            }
            Question::Balances(owners) => {
                self.balances(owners).await?.map(|all| Reply::Balances(Box::new(all)))
            }
            Question::Coins(owner) => self.coins(owner).await?.map(|coins| Reply::Coins(Box::new(coins))),
            Question::Coin { owner, outpoint } => self
                .coin(owner, outpoint)
                .await?
                .map(|(opening, proof)| Reply::Coin(Box::new(opening), proof.map(Box::new))),
            Question::Registry => Ok(Reply::Registry(Box::new(self.registry()))),
            Question::State(question) => match decode(question) {
                Ok(question) => self.state(&question).await?.map(|reply| reply.reply()),
                Err(_) => Err(Nothing::Unknown),
            },
            // These ask the node itself, which has answered them.
            Question::FeeRate | Question::Watch(_) | Question::Submit(_) => Err(Nothing::Unknown),
        };
        Ok(reply.unwrap_or_else(Reply::Nothing))
    }

    /// A header with its certificate and sets; genesis has no certificate.
    pub async fn light_block(&self, height: Height) -> Answered<LightBlock, S> {
        let row: Option<HeaderRow> = self.row(Table::Header, height_key(height)).await?;
        let Some(HeaderRow { header, certificate: Some(certificate) }) = row else {
            return Ok(Err(Nothing::Unknown));
        };
        let validators = self.validators(&header.validators_hash).await?;
        let next = self.validators(&header.next_validators_hash).await?;
        Ok(validators.and_then(|set| Ok(LightBlock::new(header, certificate, set, next?))))
    }

    /// The balances of owners, in their order, all under one header.
    pub async fn balances(&self, owners: &[Owner]) -> Answered<BalancesAnswer, S> {
        let missing =
            |coins: &CoinTree| owners.iter().filter_map(|owner| coins.missing_balance(owner)).collect();
        let make = |coins: &CoinTree| owners.iter().map(|owner| coins.prove_owner(owner)).collect();
        let proved = self.prove(missing, make).await?;
        Ok(proved.map(|(state, proofs)| BalancesAnswer { opening: opening(&state), proofs }))
    }

    /// All coins of an owner.
    pub async fn coins(&self, owner: &Owner) -> Answered<CoinsAnswer, S> {
        let make = |coins: &CoinTree| match coins.prove_owner_coins(owner)? {
            Some(all) => Ok(all),
            None => Ok(OwnerCoinsProof { owner: coins.prove_owner(owner)?, coins: Vec::new() }),
        };
        let proved = self.prove(|coins| coins.missing_coins(owner), make).await?;
        let answer = proved.map(|(state, proof)| CoinsAnswer { opening: opening(&state), proof });
        // The only proof that says less than was asked.
        Ok(answer.and_then(|answer| answer.verify(owner).map(|_| answer).map_err(|_| Nothing::TooLarge)))
    }

    /// The proof that a coin is unspent, where it is.
    pub async fn coin(
        &self,
        owner: &Owner,
        outpoint: &OutPoint,
    ) -> Answered<(Opening, Option<CoinProof>), S> {
        let missing = |coins: &CoinTree| coins.missing(&[(*owner, *outpoint)]);
        let proved = self.prove(missing, |coins| coins.prove_coin(owner, outpoint)).await?;
        Ok(proved.map(|(state, proof)| (opening(&state), proof)))
    }

    /// All masternodes.
    pub fn registry(&self) -> RegistryAnswer {
        let state = (self.latest)();
        RegistryAnswer { opening: opening(&state), registry: (*state.registry).clone() }
    }

    async fn validators(&self, hash: &Hash) -> Answered<ValidatorSet, S> {
        Ok(self.row(Table::Validators, hash.0.to_vec()).await?.ok_or(Nothing::Unknown))
    }

    async fn header(&self, height: Height) -> Result<Option<Header>, S::Error> {
        let row: Option<HeaderRow> = self.row(Table::Header, height_key(height)).await?;
        Ok(row.map(|row| row.header))
    }

    async fn block(&self, height: Height) -> Answered<Block, S> {
        let header = self.header(height).await?;
        let body: Option<Body> = self.row(Table::Body, height_key(height)).await?;
        let block = header.zip(body).map(|(header, body)| Block { header, body });
        Ok(block.ok_or(Nothing::Unknown))
    }

    async fn past(&self, height: Height, at: Height) -> Answered<PastBlock, S> {
        let (old, newer) = (self.header(height).await?, self.header(at).await?);
        let (Some(header), Some(_), Some(nodes)) = (old, newer, InclusionProof::reads(height.0, at.0)) else {
            return Ok(Err(Nothing::Unknown));
        };
        let mut reads = ReadSet::default();
        nodes.iter().for_each(|node| reads.insert(Table::History, history_key(*node)));
        let view = self.store.load(&reads).await?;
        let node = |key| Some(Hash(view.row(Table::History, &history_key(key))?[..].try_into().ok()?));
        let proof = InclusionProof::from_nodes::<Blake>(height.0, at.0, node);
        Ok(proof.map(|proof| PastBlock { header, proof }).map_err(|_| Nothing::Unknown))
    }

    async fn filters(&self, from: Height, count: u16) -> Answered<Vec<(Header, Filter)>, S> {
        let (mut list, mut size) = (Vec::new(), 0);
        for height in (from.0..from.0.saturating_add(u64::from(count))).map(Height) {
            let filter: Option<Filter> = self.row(Table::Filter, height_key(height)).await?;
            let Some(found) = self.header(height).await?.zip(filter) else { break };
            size += encode(&found).len();
            if size > FILTERS_SIZE_MAX && !list.is_empty() {
                break;
            }
            list.push(found);
        }
        Ok(if list.is_empty() { Err(Nothing::Unknown) } else { Ok(list) })
    }

    async fn transaction(&self, txid: &TxId) -> Answered<Located, S> {
        // Rows of the next block may be there before its state is: it is final once balances show it.
        let newest = (self.latest)().height();
        let place = self.row::<TransactionPlace>(Table::TransactionIndex, transaction_key(txid)).await?;
        let place = place.filter(|place| place.height <= newest);
        let Some(TransactionPlace { height, index }) = place else { return Ok(Err(Nothing::Unknown)) };
        let block = self.block(height).await?;
        let located = block.and_then(|Block { header, body }| {
            let payment = Payment::in_block(&body.transactions, index as usize);
            let signed = body.transactions.into_iter().nth(index as usize);
            let (signed, Payment { left, path, .. }) = signed.zip(payment).ok_or(Nothing::Unknown)?;
            Ok(Located::Final { header: Box::new(header), signed, index, left, path })
        });
        Ok(located)
    }

    /// Answers a node that has not the whole state.
    async fn state(&self, question: &StateQuestion) -> Answered<StateReply, S> {
        match question {
            StateQuestion::Tip => {
                let state = (self.latest)();
                let row: Option<UndoRow> = self.row(Table::Undo, height_key(state.height())).await?;
                let tip = row.map(|undo| StateTip {
                    header: state.header.clone(),
                    accounting: Accounting::clone(&state.accounting),
                    registry: Registry::clone(&state.registry),
                    history: undo.parent.history,
                    coins: state.coins.summary(),
                });
                Ok(tip.map(|tip| StateReply::Tip(Box::new(tip))).ok_or(Nothing::Unknown))
            }
            StateQuestion::Rows(keys) if keys.len() <= FILL_ROWS => {
                let mut reads = ReadSet::default();
                keys.iter().for_each(|key| reads.insert(Table::Tree, key.clone()));
                let view = self.store.load(&reads).await?;
                let rows = keys.iter().map(|key| view.row(Table::Tree, key).map(|row| row.to_vec()));
                Ok(Ok(StateReply::Rows(rows.collect())))
            }
            StateQuestion::Changes(ops) => {
                let spot = |op: &Op| (op.coin().1.owner, *op.coin().0);
                let coins: Vec<_> = ops.iter().map(spot).collect();
                let make = |coins: &CoinTree| Multiproof::build(coins, ops);
                let proved = self.prove(|tree| tree.missing(&coins), make).await?;
                Ok(proved.map(|(state, proof)| {
                    StateReply::Proof(Box::new(StateProof { root: state.coins.summary(), proof }))
                }))
            }
            // The node itself has answered where it knows.
            StateQuestion::Block(_) | StateQuestion::Rows(_) => Ok(Err(Nothing::Unknown)),
        }
    }

    async fn prove<T>(
        &self,
        missing: impl Fn(&CoinTree) -> Vec<PageKey>,
        make: impl Fn(&CoinTree) -> Result<T, TreeError>,
    ) -> Answered<(Arc<ChainState>, T), S> {
        for _ in 0..PROOF_ATTEMPTS {
            let state = (self.latest)();
            let mut coins = state.coins.clone();
            if self.load(&mut coins, &missing).await?.is_ok()
                && let Ok(proof) = make(&coins)
            {
                return Ok(Ok((state, proof)));
            }
        }
        Ok(Err(Nothing::Moving))
    }

    async fn load(
        &self,
        coins: &mut CoinTree,
        missing: impl Fn(&CoinTree) -> Vec<PageKey>,
    ) -> Result<Result<(), TreeError>, S::Error> {
        loop {
            let pages = missing(coins);
            if pages.is_empty() {
                return Ok(Ok(()));
            }
            let mut reads = ReadSet::default();
            pages.iter().for_each(|page| reads.insert(Table::Tree, page.to_bytes()));
            let view = self.store.load(&reads).await?;
            for page in pages {
                let row = view.row(Table::Tree, &page.to_bytes()).map(|row| &row[..]);
                if let Err(error) = coins.graft(&page, row) {
                    return Ok(Err(error));
                }
            }
        }
    }

    async fn bytes(&self, table: Table, key: Key) -> Result<Option<crate::rows::Value>, S::Error> {
        super::read(self.store, table, key).await
    }

    async fn row<T: Wire>(&self, table: Table, key: Key) -> Result<Option<T>, S::Error> {
        Ok(self.bytes(table, key).await?.and_then(|row| decode(&row).ok()))
    }
}

fn opening(state: &ChainState) -> Opening {
    Opening { header: state.header.clone(), commitment: state.commitment() }
}
