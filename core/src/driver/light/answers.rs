//! What can be asked, and how each answer is verified.

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::error::Fault;
use super::{ClientError, ClientResult, Lie, LightClient, Proved, Source};
use crate::amount::Amount;
use crate::answer::{
    AnswerError, Located, Nothing, OWNERS_MAX, PhaseChange, Question, Reply, TransactionPhase, WATCHED_MAX,
};
use crate::block::{Block, Header};
use crate::hash::{BlockId, Hash, Owner, TxId};
use crate::light::Trusted;
use crate::receipt::{Payment, Receipt};
use crate::spec::Checkpoint;
use crate::state::registry::Registry;
use crate::store::Store;
use crate::transaction::{OutPoint, Output, SignedTransaction};
use crate::vote::Height;

/// Attempts at an answer of several parts under one header, or at a receipt, while blocks come in.
const ATTEMPTS: usize = 10;
/// Peers that a transaction is handed to: one that drops it is not enough.
const SUBMIT_PEERS_MAX: usize = 3;

/// Where a transaction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// In a peer's mempool: the peer's word.
    Pending(SignedTransaction, TransactionPhase),
    /// In a final block; the header of [`Proved`] is that block's.
    Final {
        /// The transaction.
        signed: SignedTransaction,
        /// Its position in the block: the peer's word.
        index: u32,
        /// The proof that it is in the block.
        payment: Box<Payment>,
    },
}

impl<S: Source, D: Store> LightClient<S, D> {
    /// The whole balances of owners, in their order, all under one header.
    pub async fn balances(&self, owners: &[Owner]) -> ClientResult<Proved<Vec<(Amount, u64)>>, D> {
        for _ in 0..ATTEMPTS {
            let mut all = Vec::with_capacity(owners.len());
            let mut header: Option<Header> = None;
            for owners in owners.chunks(OWNERS_MAX) {
                let (under, balances) = self.some_balances(owners).await?;
                if *header.get_or_insert_with(|| under.clone()) != under {
                    break;
                }
                all.extend(balances);
            }
            if let Some(header) = header.filter(|_| all.len() == owners.len()) {
                return Ok(self.proved(all, header));
            }
        }
        Err(ClientError::TooFast)
    }

    async fn some_balances(&self, owners: &[Owner]) -> ClientResult<(Header, Vec<(Amount, u64)>), D> {
        let question = Question::Balances(owners.to_vec());
        self.ask(&question, async |peer, reply| {
            let Reply::Balances(answer) = reply else { return Err(Fault::other_answer()) };
            let header = &answer.opening.header;
            if answer.proofs.len() != owners.len() {
                return Err(Fault::other_answer());
            }
            let each = answer.clone().each().zip(owners).map(|(answer, owner)| answer.verify(owner));
            let balances =
                each.collect::<Result<_, _>>().map_err(|error| Fault::proof(header.height, &error))?;
            self.certify(peer, header).await?;
            Ok((header.clone(), balances))
        })
        .await
    }

    /// All coins of an owner: every one of them.
    pub async fn coins(&self, owner: &Owner) -> ClientResult<Proved<Vec<(OutPoint, Output)>>, D> {
        let (header, coins) = self
            .ask(&Question::Coins(*owner), async |peer, reply| {
                let Reply::Coins(answer) = reply else { return Err(Fault::other_answer()) };
                let header = &answer.opening.header;
                let coins = answer.verify(owner).map_err(|error| Fault::proof(header.height, &error))?;
                self.certify(peer, header).await?;
                Ok((header.clone(), coins))
            })
            .await?;
        Ok(self.proved(coins, header))
    }

    /// Whether a coin is unspent: proved where it is; `None` where nobody who was asked proves it.
    pub async fn coin(&self, owner: &Owner, outpoint: &OutPoint) -> ClientResult<Option<Proved<Output>>, D> {
        let question = Question::Coin { owner: *owner, outpoint: *outpoint };
        let found = self
            .ask(&question, async |peer, reply| {
                let Reply::Coin(opening, proof) = reply else { return Err(Fault::other_answer()) };
                let Some(proof) = proof else { return Err(Fault::Nothing(Nothing::Unknown)) };
                let height = opening.header.height;
                let fault = |error: &AnswerError| Fault::proof(height, error);
                let root = opening.coins().map_err(|error| fault(&error))?;
                proof.verify(&root).map_err(|error| Fault::proof(height, &error))?;
                if proof.outpoint != *outpoint || proof.output.owner != *owner {
                    return Err(Fault::proof(height, &"another coin"));
                }
                self.certify(peer, &opening.header).await?;
                Ok((opening.header.clone(), proof.output))
            })
            .await;
        match found {
            Ok((header, output)) => Ok(Some(self.proved(output, header))),
            Err(ClientError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All masternodes.
    pub async fn masternodes(&self) -> ClientResult<Proved<Registry>, D> {
        let (header, registry) = self
            .ask(&Question::Registry, async |peer, reply| {
                let Reply::Registry(answer) = reply else { return Err(Fault::other_answer()) };
                let header = &answer.opening.header;
                let registry = answer.verify().map_err(|error| Fault::proof(header.height, &error))?;
                self.certify(peer, header).await?;
                Ok((header.clone(), registry.clone()))
            })
            .await?;
        Ok(self.proved(registry, header))
    }

    /// The block at a height up to the head.
    pub async fn block(&self, height: Height) -> ClientResult<Proved<Block>, D> {
        let header = self.header(height).await?;
        let question = Question::Block(height);
        let block = self.ask(&question, async |_, reply| match reply {
            Reply::Block(block) if block.header != header => Err(Fault::proof(height, &"another block")),
            Reply::Block(block) if !block.body.is_committed_by(&header) => {
                Err(Fault::proof(height, &"the body is not the header's"))
            }
            Reply::Block(block) => Ok(block.as_ref().clone()),
            _ => Err(Fault::other_answer()),
        });
        let block = block.await?;
        Ok(self.proved(block, header))
    }

    /// The height of a block named by its id.
    pub async fn height_of(&self, block: &BlockId) -> ClientResult<Height, D> {
        self.ask(&Question::Height(*block), async |_, reply| {
            let Reply::Height(height) = reply else { return Err(Fault::other_answer()) };
            match self.header(*height).await {
                Ok(header) if header.id() == *block => Ok(*height),
                Ok(_) => Err(Fault::proof(*height, &"a block of another id")),
                Err(ClientError::Future { .. } | ClientError::NotFound) => {
                    Err(Fault::Nothing(Nothing::Unknown))
                }
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// A transaction: proved where somebody proves it final; pending where anybody says so; `None` where nobody who was
    /// asked knows of it.
    pub async fn transaction(&self, txid: &TxId) -> ClientResult<Option<Proved<Found>>, D> {
        let pending = core::cell::RefCell::new(None);
        let found = self
            .ask(&Question::Transaction(*txid), async |peer, reply| {
                let Reply::Transaction(located) = reply else { return Err(Fault::other_answer()) };
                let (Located::Pending(signed, _) | Located::Final { signed, .. }) = &**located;
                if signed.transaction.id() != *txid {
                    return Err(Fault::other_answer());
                }
                match &**located {
                    Located::Pending(signed, phase) => {
                        // Somebody else may prove it final.
                        pending.borrow_mut().get_or_insert_with(|| Found::Pending(signed.clone(), *phase));
                        Err(Fault::Nothing(Nothing::Unknown))
                    }
                    Located::Final { header, signed, index, left, path } => {
                        let height = header.height;
                        let witnesses = signed.commitment().last_chunk().copied().map(Hash);
                        let payment = Payment {
                            transaction: signed.transaction.clone(),
                            witnesses: witnesses.unwrap_or_default(),
                            left: *left,
                            path: path.clone(),
                        };
                        payment.verify(header).map_err(|error| Fault::proof(height, &error))?;
                        self.certify_past(peer, header).await?;
                        let header = header.as_ref().clone();
                        Ok((
                            header,
                            Found::Final {
                                signed: signed.clone(),
                                index: *index,
                                payment: Box::new(payment),
                            },
                        ))
                    }
                }
            })
            .await;
        match (found, pending.into_inner()) {
            (Ok((header, found)), _) => Ok(Some(self.proved(found, header))),
            (Err(ClientError::NotFound | ClientError::Unproved { .. }), Some(pending)) => {
                let head = self.head_header().await?;
                Ok(Some(self.proved(pending, head)))
            }
            (Err(ClientError::NotFound), None) => Ok(None),
            (Err(error), _) => Err(error),
        }
    }

    /// As [`Self::certify`], for a header of any age.
    async fn certify_past(&self, peer: &S::Peer, header: &Header) -> Result<(), Fault<D::Error>> {
        if header.height >= self.height() {
            return self.certify(peer, header).await;
        }
        let certified = self.header(header.height).await?;
        if certified == *header {
            return Ok(());
        }
        let detail = format!("block {} where {} is certified", header.id(), certified.id());
        Err(Fault::Lie(Lie::WrongHead, Some(header.height), detail))
    }

    /// Waits until a transaction is proved final. Drop the future to stop waiting.
    pub async fn wait_final(&self, txid: &TxId) -> ClientResult<Proved<Found>, D> {
        loop {
            match self.transaction(txid).await {
                Ok(Some(found)) if matches!(found.value, Found::Final { .. }) => return Ok(found),
                Ok(_) => {}
                Err(error) if error.is_passing() => {}
                Err(error) => return Err(error),
            }
            self.source.news().await;
        }
    }

    /// Hands a transaction to several peers at once, and returns when the first has taken it; the others have it by then,
    /// whether they answer or not.
    pub async fn submit(&self, signed: &SignedTransaction) -> ClientResult<TxId, D> {
        let txid = signed.transaction.id();
        let question = Question::Submit(Box::new(signed.clone()));
        let mut refused = None;
        let peers: Vec<_> = self.source.peers().into_iter().take(SUBMIT_PEERS_MAX).collect();
        let check = async |_: &S::Peer, reply: &Reply| match reply {
            Reply::Submit(Ok(taken)) if *taken == txid => Ok(Ok(())),
            Reply::Submit(Err(refusal)) => Ok(Err(refusal.clone())),
            _ => Err(Fault::other_answer()),
        };
        let mut answers: FuturesUnordered<_> =
            peers.iter().map(|peer| self.ask_one(peer, &question, &check)).collect();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(Ok(())) => return Ok(txid),
                Ok(Err(refusal)) if refusal.code == "already_pending" => return Ok(txid),
                Ok(Err(refusal)) => refused = refused.or(Some(refusal)),
                Err(Fault::Own(error)) => return Err(error),
                Err(_) => {}
            }
        }
        match refused {
            Some(refusal) => Err(ClientError::Refused(refusal)),
            None if peers.is_empty() => Err(ClientError::NoPeers),
            None => Err(ClientError::Unproved { asked: peers.len(), lied: 0 }),
        }
    }

    /// Asks every peer to say when these transactions move on; the driver hears it. Returns those that are pending: the
    /// peers' word. Watch first and ask for the transaction then, so that nothing falls between.
    pub async fn watch(&self, ids: &[TxId]) -> Vec<PhaseChange> {
        let mut phases = Vec::new();
        for peer in self.source.peers() {
            for ids in ids.chunks(WATCHED_MAX) {
                let question = Question::Watch(ids.to_vec());
                let check = async |_: &S::Peer, reply: &Reply| match reply {
                    Reply::Watch(changes) => Ok(changes.clone()),
                    _ => Err(Fault::other_answer()),
                };
                phases.extend(self.ask_one(&peer, &question, &check).await.unwrap_or_default());
            }
        }
        phases
    }

    /// The least that the next block takes, in grains per 1,000 bytes: the chain's rule, nobody's word.
    pub fn fee_per_kb_min(&self) -> u64 {
        self.chain.spec.consensus.rules(self.height().next()).fee_per_kb_min
    }

    /// The receipt of a final payment, made from this client's own trace: it holds for whoever trusts the anchor.
    pub async fn receipt(&self, txid: &TxId) -> ClientResult<Proved<Receipt>, D> {
        let found = self.transaction(txid).await?.ok_or(ClientError::NotFound)?;
        let Found::Final { payment, .. } = found.value else { return Err(ClientError::NotFinal) };
        for _ in 0..ATTEMPTS {
            let head = self.head_header().await?;
            let past = match found.header.height == head.height {
                true => None,
                false => Some(self.past(found.header.height, &head).await?),
            };
            let trust = self.trust.borrow();
            if trust.header() != Some(&head) {
                continue;
            }
            let receipt = match (trust.trace.is_empty(), &trust.anchor_header) {
                (false, _) => Receipt::under_trace(&trust.anchor, &trust.trace, past, (*payment).clone()),
                (true, Some(header)) => Some(Receipt::under_anchor(header.clone(), past, (*payment).clone())),
                (true, None) => return Err(ClientError::NotFinal),
            };
            let receipt = receipt.ok_or(ClientError::ReceiptTooLong)?;
            let Trusted { height, id: block, time, ref next_validators } = trust.anchor;
            let anchor = Checkpoint { height, block, validators: next_validators.hash(), time };
            receipt.verify(&[anchor], &self.options, self.source.now())?;
            drop(trust);
            return Ok(self.proved(receipt, found.header));
        }
        Err(ClientError::TooFast)
    }
}
