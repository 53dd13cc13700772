//! Transactions on their way into a block: submission, admission, relay.

use std::sync::Arc;

use crate::codec::encode;
use crate::consensus::Input;
use crate::hash::{Owner, TxId};
use crate::mempool::Clock;
use crate::message::{IDS_MAX, Message};
use crate::peer::handshake::PeerId;
use crate::peer::score::Offence;
use crate::rows::Batch;
use crate::state::check_action;
use crate::time::Time;
use crate::transaction::{Action, OutPoint, Output, Transaction, TransactionError, VerifiedTransaction};

use super::Node;
use super::event::{Effect, Notice, Step, SubmitError, Ticket, TransactionPhase};

/// Most bytes of transactions in one answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Most transactions offered again at once.
const OFFERED_AGAIN_MAX: usize = 1024;

impl Node {
    /// The coins that transactions claim to spend.
    pub(super) fn spent(list: &[Arc<VerifiedTransaction>]) -> Vec<(Owner, OutPoint)> {
        let spends = list.iter().flat_map(|transaction| transaction.spends());
        spends.map(|(outpoint, output)| (output.owner, *outpoint)).collect()
    }

    fn admit(
        &mut self,
        transaction: &Arc<VerifiedTransaction>,
        from: Option<PeerId>,
        now: Time,
        step: &mut Step,
    ) -> Result<(), SubmitError> {
        let (spec, state) = (&self.chain.spec.consensus, &self.state);
        let clock = Clock { tip_time: state.header.time, now };
        let rules = spec.rules(state.height().next());
        let time = now.max(state.header.time.plus(rules.block_interval_min_ms));
        let coin = |outpoint: &OutPoint| -> Option<Output> {
            let (_, claimed) = transaction.spends().find(|(input, _)| *input == outpoint)?;
            state.coins.coin(&claimed.owner, outpoint).ok().flatten()
        };
        if transaction.transaction().expires_at > clock.tip_time {
            check_action(
                spec,
                &self.chain.id,
                state,
                transaction,
                time.min(transaction.transaction().expires_at),
            )?;
        }
        let from = from.map(|peer| peer.0);
        let admitted = self.mempool.admit(
            VerifiedTransaction::clone(transaction),
            from,
            clock,
            coin,
            &mut step.batch,
        )?;
        let dropped = admitted.replaced.into_iter().chain(admitted.evicted);
        step.effects.extend(dropped.map(|txid| Effect::Notice(Notice::Dropped(txid))));
        step.effects.push(Effect::Notice(Notice::Phase(TransactionPhase::Pending, vec![transaction.txid()])));
        Ok(())
    }

    pub(super) fn on_submit(
        &mut self,
        ticket: Ticket,
        transaction: Result<Arc<VerifiedTransaction>, TransactionError>,
        now: Time,
        step: &mut Step,
    ) {
        let taken = transaction
            .map_err(SubmitError::from)
            .and_then(|transaction| self.take(&transaction, None, now, step));
        match taken {
            Ok(txid) => {
                step.effects.push(Effect::Notice(Notice::Accepted(ticket, txid)));
                self.consensus_input(Input::Work, now, step);
            }
            Err(error) => step.effects.push(Effect::Notice(Notice::Refused(ticket, error))),
        }
    }

    /// Admits a transaction and pushes it to every peer. The caller tells consensus that there is work.
    pub(super) fn take(
        &mut self,
        transaction: &Arc<VerifiedTransaction>,
        from: Option<PeerId>,
        now: Time,
        step: &mut Step,
    ) -> Result<TxId, SubmitError> {
        self.admit(transaction, from, now, step)?;
        let txid = transaction.txid();
        let peers = self.peers.lacking_transaction(&txid);
        self.send(peers, &Message::Transactions(vec![transaction.signed().clone()]), step);
        Ok(txid)
    }

    pub(super) fn on_transactions(
        &mut self,
        peer: PeerId,
        list: Vec<Arc<VerifiedTransaction>>,
        now: Time,
        step: &mut Step,
    ) {
        let mut fresh = Vec::new();
        for transaction in &list {
            self.peers.knows_transaction(&peer, transaction.txid());
            self.fetches.forget(&transaction.txid());
            if self.admit(transaction, Some(peer), now, step).is_ok() {
                fresh.push(transaction.txid());
            }
        }
        self.supply_candidates(&list, step);
        if !fresh.is_empty() {
            self.peers.announce(fresh, now);
            self.consensus_input(Input::Work, now, step);
        }
    }

    /// A peer offers transactions: ask for those that are neither known nor asked for.
    pub(super) fn on_have(&mut self, peer: PeerId, ids: &[TxId], now: Time, step: &mut Step) {
        for txid in ids {
            self.peers.knows_transaction(&peer, *txid);
        }
        let unknown = ids.iter().filter(|txid| !self.mempool.contains(txid)).copied().collect();
        let wanted = self.fetches.ask(peer, unknown, now);
        if !wanted.is_empty() {
            self.send(vec![peer], &Message::Want(wanted), step);
        }
    }

    /// Offers again, to everyone, what has been pending since the last time: a peer may have refused it for lack of
    /// a parent, or lost it.
    pub(super) fn offer_again(&mut self, step: &mut Step) {
        let pending: Vec<_> =
            self.mempool.iter().take(OFFERED_AGAIN_MAX).map(|transaction| transaction.txid()).collect();
        let earlier = core::mem::replace(&mut self.offered, pending.iter().copied().collect());
        let still: Vec<_> = pending.into_iter().filter(|txid| earlier.contains(txid)).collect();
        self.peers.forget_transactions(&still);
        if !still.is_empty() {
            self.send(self.peers.all_but(None), &Message::Have(still), step);
        }
    }

    /// Transactions that were asked for and did not come are asked of others that have them.
    pub(super) fn fetch_again(&mut self, now: Time, step: &mut Step) {
        let peers = &self.peers;
        let asks = self.fetches.again(now, |txid, last| peers.next_having(txid, last));
        for (peer, ids) in asks {
            for ids in ids.chunks(IDS_MAX) {
                self.send(vec![peer], &Message::Want(ids.to_vec()), step);
            }
        }
    }

    /// A peer asks for transactions: give what is pending and it was not given, up to a size.
    pub(super) fn on_want(&mut self, peer: PeerId, ids: &[TxId], step: &mut Step) {
        let mut left = ANSWER_BYTES_MAX;
        let mut list = Vec::new();
        for transaction in ids.iter().filter_map(|txid| self.mempool.transaction(txid)) {
            let Some(rest) = left.checked_sub(transaction.size()) else { break };
            if self.peers.gives_transaction(&peer, transaction.txid()) {
                left = rest;
                list.push(transaction.signed().clone());
            }
        }
        if !list.is_empty() {
            self.send(vec![peer], &Message::Transactions(list), step);
        }
    }

    pub(super) fn restore_pool(&mut self, list: Vec<Arc<VerifiedTransaction>>, now: Time, step: &mut Step) {
        let state = &self.state;
        let claimed: std::collections::BTreeMap<_, _> = list
            .iter()
            .flat_map(|transaction| transaction.spends())
            .map(|(at, coin)| (*at, coin.owner))
            .collect();
        let coin = |outpoint: &OutPoint| state.coins.coin(claimed.get(outpoint)?, outpoint).ok().flatten();
        let clock = Clock { tip_time: state.header.time, now };
        let verified = list.iter().map(|transaction| VerifiedTransaction::clone(transaction)).collect();
        self.mempool.restore(verified, clock, coin, &mut step.batch);
        if !self.mempool.is_empty() {
            self.consensus_input(Input::Work, now, step);
        }
    }

    pub(super) fn expire_pool(&mut self, step: &mut Step) {
        let expired = self.mempool.expire(self.state.header.time, &mut step.batch);
        step.effects.extend(expired.into_iter().map(|txid| Effect::Notice(Notice::Dropped(txid))));
    }

    /// Drops what the new registry refuses, masternode business and payments with what became collateral: no coin
    /// would ever be missing for them.
    pub(super) fn drop_refused_actions(&mut self, now: Time, step: &mut Step) {
        let (spec, state) = (&self.chain.spec.consensus, &self.state);
        let rules = spec.rules(state.height().next());
        let time = now.max(state.header.time.plus(rules.block_interval_min_ms));
        let refused = |transaction: &&Arc<VerifiedTransaction>| {
            let Transaction { action, expires_at, .. } = transaction.transaction();
            let is_collateral = |outpoint: &OutPoint| state.registry.of_collateral(outpoint).is_some();
            (*action != Action::Transfer || transaction.spends().any(|(outpoint, _)| is_collateral(outpoint)))
                && check_action(spec, &self.chain.id, state, transaction, time.min(*expires_at)).is_err()
        };
        let refused: Vec<_> = self.mempool.iter().filter(refused).map(|refused| refused.txid()).collect();
        let Step { batch, effects, .. } = step;
        refused.iter().for_each(|txid| self.drop_pending(txid, batch, effects));
    }

    /// Drops a transaction the rules refuse.
    pub(super) fn drop_pending(&mut self, txid: &TxId, batch: &mut Batch, effects: &mut Vec<Effect>) {
        let dropped = self.mempool.remove(txid, batch);
        effects.extend(dropped.into_iter().map(|txid| Effect::Notice(Notice::Dropped(txid))));
    }

    /// Sends one message to some peers, encoded once.
    pub(super) fn send(&self, peers: Vec<PeerId>, message: &Message, step: &mut Step) {
        if !peers.is_empty() {
            step.effects.push(Effect::Send(peers, Arc::from(encode(message))));
        }
    }

    /// Holds something against a peer; what follows is the gate's to decide.
    pub(super) fn offend(peer: PeerId, offence: Offence, step: &mut Step) {
        step.effects.push(Effect::Offence(peer, offence));
    }
}
