//! Whole histories against a pool that keeps a list and computes everything anew.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Admit {
        inputs: Vec<Index>,
        fee: u64,
        outputs: u64,
        memo: usize,
        lasting_ms: u64,
        from: Option<u8>,
    },
    /// Confirms the best `count` and spends coins of the chain behind the pool's back.
    Block {
        count: usize,
        spent: Vec<u8>,
    },
    Pass {
        ms: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let admit = (
        prop::collection::vec(any::<Index>(), 1..4),
        prop_oneof![0..30u64, 100..5_000u64],
        1..4u64,
        0..80usize,
        1..40_000u64,
        prop::option::of(0..3u8),
    )
        .prop_map(|(inputs, fee, outputs, memo, lasting_ms, from)| Step::Admit {
            inputs,
            fee,
            outputs,
            memo,
            lasting_ms,
            from,
        });
    let block = (0..4usize, prop::collection::vec(0..12u8, 0..2))
        .prop_map(|(count, spent)| Step::Block { count, spent });
    let step = prop_oneof![12 => admit, 1 => block, 1 => (0..9_000u64).prop_map(|ms| Step::Pass { ms })];
    prop::collection::vec(step, 1..60)
}

/// Oldest first, so that parents come before children.
struct Model {
    limits: MempoolLimits,
    pending: Vec<(VerifiedTransaction, Option<PublicKey>)>,
}

impl Model {
    fn at(&self, txid: &TxId) -> Option<usize> {
        self.pending.iter().position(|(entry, _)| entry.txid() == *txid)
    }

    fn with_descendants(&self, roots: &[usize]) -> BTreeSet<usize> {
        let mut found: BTreeSet<usize> = roots.iter().copied().collect();
        for at in 0..self.pending.len() {
            let mut inputs = self.pending[at].0.transaction().inputs.iter();
            if inputs.any(|input| self.at(&input.txid).is_some_and(|parent| found.contains(&parent))) {
                found.insert(at);
            }
        }
        found
    }

    fn ancestors(&self, transaction: &VerifiedTransaction) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut inputs = transaction.transaction().inputs.clone();
        while let Some(input) = inputs.pop() {
            if let Some(at) = self.at(&input.txid) {
                found.insert(at);
                inputs.extend(&self.pending[at].0.transaction().inputs);
            }
        }
        found
    }

    fn score(&self, at: usize) -> FeeRate {
        let own = FeeRate::of(&self.pending[at].0);
        let package = self.with_descendants(&[at]).into_iter().map(|at| &self.pending[at].0);
        let (fee, size) =
            package.fold((0, 0), |(fee, size), entry| (fee + entry.fee().0, size + entry.size() as u64));
        own.max(FeeRate { fee, size })
    }

    /// Best first; of equals the oldest.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.pending.len()).collect();
        order.sort_by_key(|at| (core::cmp::Reverse(self.score(*at)), *at));
        order
    }

    fn size(&self, at: &usize) -> usize {
        self.pending[*at].0.size()
    }

    fn fee(&self, at: &usize) -> u64 {
        self.pending[*at].0.fee().0
    }

    /// The positions that an admission replaces and evicts; the facts of an error are for the named tests.
    fn verdict(
        &self,
        new: &VerifiedTransaction,
        from: Option<PublicKey>,
        clock: Clock,
        coins: &BTreeMap<OutPoint, Output>,
    ) -> Option<(BTreeSet<usize>, BTreeSet<usize>)> {
        let pending_coin = |outpoint: &OutPoint| {
            let (maker, _) = &self.pending[self.at(&outpoint.txid)?];
            maker.transaction().outputs.get(outpoint.index as usize).copied()
        };
        let exists = |(outpoint, claimed): (&OutPoint, &Output)| {
            pending_coin(outpoint).or(coins.get(outpoint).copied()) == Some(*claimed)
        };
        let expires_at = new.transaction().expires_at;
        let latest = clock.tip_time.max(clock.now).plus(self.limits.expiry_max_ms);
        if self.at(&new.txid()).is_some()
            || expires_at <= clock.tip_time
            || expires_at > latest
            || !new.spends().all(exists)
        {
            return None;
        }
        let shares = |entry: &VerifiedTransaction| {
            entry.transaction().inputs.iter().any(|input| new.transaction().inputs.contains(input))
        };
        let conflicts: Vec<usize> =
            (0..self.pending.len()).filter(|at| shares(&self.pending[*at].0)).collect();
        let replaced = self.with_descendants(&conflicts);
        let ancestors = self.ancestors(new);
        let fees: u64 = replaced.iter().map(|at| self.fee(at)).sum();
        let own = fee_min(new.size(), self.limits.replace_fee_per_kb).0.max(1);
        if !conflicts.is_empty()
            && (replaced.len() > self.limits.replaced_max
                || conflicts.iter().any(|at| FeeRate::of(new) <= self.score(*at))
                || new.fee().0 < fees + own)
            || !ancestors.is_disjoint(&replaced)
            || ancestors.len() > self.limits.ancestors_max
        {
            return None;
        }
        let stays = |at: &usize| !replaced.contains(at);
        let share = (0..self.pending.len()).filter(stays).filter(|at| self.pending[*at].1 == from);
        if from.is_some()
            && share.map(|at| self.size(&at)).sum::<usize>() + new.size() > self.limits.per_peer_bytes_max
        {
            return None;
        }
        let mut left: BTreeSet<usize> = (0..self.pending.len()).filter(stays).collect();
        let mut evicted = BTreeSet::new();
        let fits = |left: &BTreeSet<usize>| {
            left.iter().map(|at| self.size(at)).sum::<usize>() + new.size() <= self.limits.bytes_max
                && left.len() < self.limits.count_max
        };
        let mut worst_first = self.order().into_iter().rev();
        while !fits(&left) {
            let at = worst_first.next()?;
            if !left.contains(&at) || ancestors.contains(&at) {
                continue;
            }
            if self.score(at) >= FeeRate::of(new) {
                return None;
            }
            for at in self.with_descendants(&[at]) {
                if left.remove(&at) {
                    evicted.insert(at);
                }
            }
        }
        Some((replaced, evicted))
    }

    fn take(&mut self, positions: &BTreeSet<usize>) -> Vec<TxId> {
        let ids = positions.iter().map(|at| self.pending[*at].0.txid()).collect();
        let mut at = 0;
        self.pending.retain(|_| {
            at += 1;
            !positions.contains(&(at - 1))
        });
        ids
    }

    fn select(&self, size_max: usize, time: Time) -> Vec<TxId> {
        let order = self.order();
        let (mut chosen, mut passed, mut left) = (Vec::new(), BTreeSet::new(), size_max);
        loop {
            let next = order.iter().find(|at| {
                let entry = &self.pending[**at].0;
                let mut inputs = entry.transaction().inputs.iter();
                !passed.contains(*at)
                    && inputs.all(|input| self.at(&input.txid).is_none() || chosen.contains(&input.txid))
            });
            let Some(at) = next else { return chosen };
            passed.insert(*at);
            let entry = &self.pending[*at].0;
            let expires_at = entry.transaction().expires_at;
            let timely = time <= expires_at && expires_at <= time.plus(self.limits.expiry_max_ms);
            if timely && entry.size() <= left {
                left -= entry.size();
                chosen.push(entry.txid());
            }
        }
    }
}

/// Pool, model, chain and store, driven together.
struct History {
    pool: Mempool,
    model: Model,
    coins: BTreeMap<OutPoint, Output>,
    rows: BTreeSet<Vec<u8>>,
    seen: Vec<(OutPoint, Output)>,
    clock: Clock,
}

impl History {
    fn new(limits: MempoolLimits) -> Self {
        let coins: BTreeMap<_, _> = (0..12).map(|seed| (chain_outpoint(seed), coin())).collect();
        let seen = coins.iter().map(|(outpoint, coin)| (*outpoint, *coin)).collect();
        let model = Model { limits, pending: Vec::new() };
        Self { pool: Mempool::new(limits), model, coins, rows: BTreeSet::new(), seen, clock: NOON }
    }

    fn write(&mut self, batch: &Batch) {
        for (_, key, value) in batch.iter() {
            if value.is_some() {
                self.rows.insert(key.clone())
            } else {
                self.rows.remove(key)
            };
        }
    }

    fn step(&mut self, step: Step) {
        let mut batch = Batch::default();
        match step {
            Step::Admit { inputs, fee, outputs, memo, lasting_ms, from } => {
                let inputs: BTreeMap<_, _> = inputs.iter().map(|at| *at.get(&self.seen)).collect();
                let inputs: Vec<_> = inputs.into_iter().collect();
                let from = from.map(peer);
                let expires_at = self.clock.tip_time.plus(lasting_ms);
                self.admit(&spend(&inputs, fee, outputs, memo, expires_at), from, &mut batch);
            }
            Step::Block { count, spent } => {
                let mut best = self.pool.select(1 << 20, self.clock.tip_time);
                best.truncate(count);
                for transaction in &best {
                    self.coins.retain(|outpoint, _| !transaction.transaction().inputs.contains(outpoint));
                    self.coins.extend(transaction.makes().map(|(outpoint, output)| (outpoint, *output)));
                }
                let spent = spent.into_iter().map(chain_outpoint).filter(|at| self.coins.contains_key(at));
                let spent: BTreeSet<_> = spent.collect();
                self.coins.retain(|outpoint, _| !spent.contains(outpoint));
                let confirmed = ids(&best);
                let removed = self.pool.on_block(confirmed.clone(), spent.clone(), &mut batch);
                assert_eq!(removed.confirmed, confirmed);
                let positions = confirmed.iter().map(|txid| self.model.at(txid).unwrap()).collect();
                self.model.take(&positions);
                let spends = |(entry, _): &(VerifiedTransaction, _)| {
                    entry.transaction().inputs.iter().any(|input| spent.contains(input))
                };
                let hit: Vec<_> =
                    (0..self.model.pending.len()).filter(|at| spends(&self.model.pending[*at])).collect();
                let gone = self.model.take(&self.model.with_descendants(&hit));
                assert_eq!(BTreeSet::from_iter(removed.conflicting), BTreeSet::from_iter(gone));
            }
            Step::Pass { ms } => {
                self.clock = Clock { tip_time: self.clock.tip_time.plus(ms), now: self.clock.now.plus(ms) };
                let expired = self.pool.expire(self.clock.tip_time, &mut batch);
                let over = |(entry, _): &(VerifiedTransaction, _)| {
                    entry.transaction().expires_at <= self.clock.tip_time
                };
                let roots: Vec<_> =
                    (0..self.model.pending.len()).filter(|at| over(&self.model.pending[*at])).collect();
                let gone = self.model.take(&self.model.with_descendants(&roots));
                assert_eq!(BTreeSet::from_iter(expired), BTreeSet::from_iter(gone));
            }
        }
        self.write(&batch);
        self.check();
    }

    fn admit(&mut self, new: &VerifiedTransaction, from: Option<PublicKey>, batch: &mut Batch) {
        let expected = self.model.verdict(new, from, self.clock, &self.coins);
        let before = self.pool.clone();
        let coins = |outpoint: &OutPoint| self.coins.get(outpoint).copied();
        match (self.pool.admit(new.clone(), from, self.clock, coins, batch), expected) {
            (Ok(admitted), Some((replaced, evicted))) => {
                let ids = |at: &BTreeSet<usize>| {
                    at.iter().map(|at| self.model.pending[*at].0.txid()).collect::<BTreeSet<_>>()
                };
                assert_eq!(BTreeSet::from_iter(admitted.replaced), ids(&replaced));
                assert_eq!(BTreeSet::from_iter(admitted.evicted), ids(&evicted));
                self.model.take(&replaced.union(&evicted).copied().collect());
                self.model.pending.push((new.clone(), from));
                self.seen.extend(new.makes().map(|(outpoint, output)| (outpoint, *output)));
            }
            (Err(_), None) => {
                assert!(self.pool == before && batch.is_empty(), "a refused transaction leaves no trace");
            }
            (got, expected) => panic!("pool says {got:?}, model says {expected:?}"),
        }
    }

    fn check(&self) {
        let (pool, model) = (&self.pool, &self.model);
        let order: Vec<_> = model.order().iter().map(|at| model.pending[*at].0.txid()).collect();
        assert_eq!(pool.iter().map(|entry| entry.txid()).collect::<Vec<_>>(), order);
        assert_eq!(pool.bytes(), model.pending.iter().map(|(entry, _)| entry.size()).sum::<usize>());
        assert!(pool.bytes() <= model.limits.bytes_max && pool.len() <= model.limits.count_max);
        let keys: BTreeSet<_> = order.iter().map(|txid| txid.as_bytes().to_vec()).collect();
        assert_eq!(self.rows, keys, "the rows written are exactly the entries");
        let mut spent = BTreeSet::new();
        for transaction in pool.iter() {
            assert_eq!(pool.transaction(&transaction.txid()), Some(transaction));
            for (outpoint, claimed) in transaction.spends() {
                assert!(spent.insert(*outpoint), "no coin is spent twice");
                assert_eq!(pool.spender(outpoint), Some(transaction.txid()));
                let coin = pool.coin(outpoint).or(self.coins.get(outpoint).copied());
                assert_eq!(coin, Some(*claimed), "every input exists");
            }
        }
        for size_max in [0, 700, 2_000, 1 << 20] {
            let chosen = ids(&pool.select(size_max, self.clock.tip_time));
            assert_eq!(chosen, model.select(size_max, self.clock.tip_time));
            self.check_block(&chosen, size_max);
        }
    }

    /// A block of `chosen`, in this order, spends only coins that exist.
    fn check_block(&self, chosen: &[TxId], size_max: usize) {
        let (mut coins, mut size) = (self.coins.clone(), 0);
        for txid in chosen {
            let transaction = self.pool.transaction(txid).unwrap();
            size += transaction.size();
            for (outpoint, claimed) in transaction.spends() {
                assert_eq!(coins.remove(outpoint), Some(*claimed));
            }
            coins.extend(transaction.makes().map(|(outpoint, output)| (outpoint, *output)));
        }
        assert!(size <= size_max);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_history_matches_the_naive_pool(steps in steps(), tight in any::<bool>()) {
        let roomy = MempoolLimits { ancestors_max: 4, replaced_max: 5, expiry_max_ms: 30_000, ..limits() };
        let limits = if tight {
            MempoolLimits { bytes_max: 3_000, count_max: 8, per_peer_bytes_max: 1_500, ..roomy }
        } else {
            roomy
        };
        let mut history = History::new(limits);
        steps.into_iter().for_each(|step| history.step(step));
    }
}
