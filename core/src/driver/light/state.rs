//! The state for a full node that has none: its tip, rows of its tree, parts of it that a block touches.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Fault;
use super::{ClientError, ClientResult, Lie, LightClient, Source};
use crate::answer::{Nothing, Question, Reply, StateProof, StateQuestion, StateReply};
use crate::hash::Hash;
use crate::node::{Joined, Lack};
use crate::state::tree::{CoinTree, PageKey, Wanted};
use crate::store::Store;
use crate::validators::ValidatorSet;

impl<S: Source, D: Store> LightClient<S, D> {
    /// The newest state but for its coins, all of it proved by a header of the chain.
    pub async fn newest_state(&self) -> ClientResult<Joined, D> {
        let (tip, registry) = self
            .ask(&StateQuestion::Tip.question(), async |peer, reply| {
                let Some(StateReply::Tip(tip)) = StateReply::of(reply) else {
                    return Err(Fault::other_answer());
                };
                let height = tip.header.height;
                let verified = tip.verify().map_err(|error| Fault::proof(height, &error))?;
                self.certify(peer, &verified.0.header).await?;
                Ok(verified)
            })
            .await?;
        let block = self.certified(tip.header.height).await?;
        let past = tip.accounting.past_sets.iter().map(|past| past.hash);
        let own = [tip.header.validators_hash, tip.header.next_validators_hash];
        let mut sets = Vec::new();
        for hash in own.into_iter().chain(past).collect::<BTreeSet<_>>() {
            sets.push(self.validators(hash).await?);
        }
        Ok(Joined { tip, registry, certificate: block.certificate, sets })
    }

    /// The set with this hash.
    async fn validators(&self, hash: Hash) -> ClientResult<ValidatorSet, D> {
        self.ask(&Question::Validators(hash), async |_, reply| match reply {
            Reply::Validators(set) if set.hash() == hash => Ok(set.clone()),
            Reply::Validators(_) => Err(Fault::proof(self.height(), &"another set")),
            _ => Err(Fault::other_answer()),
        })
        .await
    }

    /// Rows of the state tree. Only those that the tree commits to are returned; some may have changed meanwhile.
    pub async fn rows(&self, wanted: &[Wanted]) -> ClientResult<BTreeMap<PageKey, Vec<u8>>, D> {
        let question = StateQuestion::rows(wanted.iter().map(Wanted::key)).question();
        self.ask(&question, async |_, reply| {
            let rows = match StateReply::of(reply) {
                Some(StateReply::Rows(rows)) if rows.len() == wanted.len() => rows,
                _ => return Err(Fault::other_answer()),
            };
            let found = wanted.iter().zip(rows).filter_map(|(wanted, row)| Some((wanted, row?)));
            let found: BTreeMap<_, _> = found
                .filter(|(wanted, row)| wanted.is(row))
                .map(|(wanted, row)| (*wanted.key(), row))
                .collect();
            // Of a peer whose state is another one: proves nothing.
            if found.is_empty() { Err(Fault::Nothing(Nothing::Moving)) } else { Ok(found) }
        })
        .await
    }

    /// The part of the state tree that a job needs.
    pub async fn proof(&self, lack: &Lack) -> ClientResult<CoinTree, D> {
        let question = match lack.block {
            Some(block) => StateQuestion::Block(block),
            None => StateQuestion::Changes(lack.ops.clone()),
        };
        let question = question.question();
        if !question.is_in_bounds() {
            return Err(ClientError::TooLarge);
        }
        self.ask(&question, async |_, reply| {
            let Some(StateReply::Proof(proof)) = StateReply::of(reply) else {
                return Err(Fault::other_answer());
            };
            let StateProof { root, proof } = *proof;
            match proof.into_tree(&lack.root, &lack.ops) {
                Ok(tree) => Ok(tree),
                // Under the newest state of a peer that is ahead or behind.
                Err(_) if lack.block.is_none() && root != lack.root => Err(Fault::Nothing(Nothing::Moving)),
                Err(error) => Err(Fault::Lie(Lie::WrongProof, None, error.to_string())),
            }
        })
        .await
    }
}
