//! Full nodes as light clients see them, honest or not, without sockets.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::amount::Amount;
use crate::answer::{Question, Reply};
use crate::driver::Answerer;
use crate::driver::light::{Lie, Misbehaviour, Source, Unanswered};
use crate::hash::Owner;
use crate::node::Chain;
use crate::rows::{Batch, Table};
use crate::schema::write_block;
use crate::spec::{ChainSpec, ConsensusSpec};
use crate::state::{Applied, ChainState};
use crate::store::{MemoryStore, Range, Store};
use crate::time::Time;
use crate::transaction::{Output, SignedTransaction};
use crate::vote::Height;

use super::ledger::{Ledger, RICH, owner};

/// A full node's rows and state.
#[derive(Clone, Debug)]
pub struct FullNode {
    /// Its rows.
    pub store: MemoryStore,
    /// Its chain.
    pub ledger: Ledger,
}

impl FullNode {
    /// A node at genesis.
    ///
    /// # Panics
    /// If the spec has no genesis.
    #[must_use]
    pub fn new(spec: ConsensusSpec) -> Self {
        let (ledger, applied) = Ledger::with_genesis(spec);
        let full = Self { store: MemoryStore::default(), ledger };
        full.write(None, &applied);
        full
    }

    fn write(&self, parent: Option<&ChainState>, applied: &Applied) {
        let mut batch = Batch::default();
        write_block(&mut batch, parent, applied, self.ledger.certificate.as_ref()).expect("blocks have rows");
        at_once(self.store.commit(&batch)).expect("memory takes rows");
    }

    /// The next block, a second later.
    ///
    /// # Panics
    /// If the transactions make no block.
    pub fn grow(&mut self, transactions: Vec<SignedTransaction>) {
        self.grow_after(1_000, transactions);
    }

    /// The next block.
    ///
    /// # Panics
    /// If the transactions make no block.
    pub fn grow_after(&mut self, after_ms: u64, transactions: Vec<SignedTransaction>) {
        let verified =
            transactions.into_iter().map(|signed| self.ledger.verify(signed).expect("valid")).collect();
        let parent = self.ledger.state.clone();
        let applied = self.ledger.extend(after_ms, verified, Vec::new()).expect("a block follows");
        self.write(Some(&parent), &applied);
    }

    /// A payment of 0.05 TIME to the key with this number.
    #[must_use]
    pub fn payment(&self, to: u64) -> SignedTransaction {
        self.payment_to(owner(to))
    }

    /// A payment of 0.05 TIME.
    ///
    /// # Panics
    /// If the coins of [`RICH`] are spent.
    #[must_use]
    pub fn payment_to(&self, to: Owner) -> SignedTransaction {
        let coin = self.ledger.coins_of(&owner(RICH))[0];
        let mut payment = self.ledger.payment(RICH, coin, 0, Amount(5_000_000));
        payment.outputs[0] = Output { owner: to, ..payment.outputs[0] };
        payment.sign(&self.ledger.chain)
    }

    /// The same chain so far, going its own way from here on.
    ///
    /// # Panics
    /// If memory fails.
    #[must_use]
    pub fn copy(&self) -> Self {
        let store = MemoryStore::default();
        let mut batch = Batch::default();
        for table in Table::ALL {
            let rows = at_once(self.store.scan(table, &Range::default(), usize::MAX));
            for (key, value) in rows.expect("memory has rows") {
                batch.put(table, key, value);
            }
        }
        at_once(store.commit(&batch)).expect("memory takes rows");
        Self { store, ledger: self.ledger.clone() }
    }

    /// Its newest height.
    #[must_use]
    pub fn height(&self) -> Height {
        self.ledger.state.height()
    }

    /// What it answers.
    ///
    /// # Panics
    /// If memory fails.
    #[must_use]
    pub fn reply(&self, question: &Question) -> Reply {
        if let Question::Submit(signed) = question {
            return Reply::Submit(Ok(signed.transaction.id()));
        }
        let state = Arc::new(self.ledger.state.clone());
        let latest = || state.clone();
        at_once(Answerer { store: &self.store, latest }.answer(question)).expect("memory has rows")
    }
}

/// The value of a future over a memory store, which makes nobody wait.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = core::task::Context::from_waker(core::task::Waker::noop());
    match core::pin::pin!(future).poll(&mut context) {
        core::task::Poll::Ready(value) => value,
        core::task::Poll::Pending => unreachable!("memory makes nobody wait"),
    }
}

/// What a peer makes of an honest reply; none: it does not answer.
pub type Habit = fn(&Question, Reply) -> Option<Reply>;

/// The habit of an honest peer.
#[must_use]
pub fn honest(_: &Question, reply: Reply) -> Option<Reply> {
    Some(reply)
}

/// Peers of a light client, asked in their order.
#[derive(Debug)]
pub struct Peers {
    peers: Vec<(FullNode, Habit)>,
    reports: RefCell<Vec<Misbehaviour<usize>>>,
    asked: Cell<usize>,
}

impl Peers {
    /// These peers. The clock stands a few seconds after the newest block of any of them.
    #[must_use]
    pub fn new(peers: Vec<(FullNode, Habit)>) -> Self {
        Self { peers, reports: RefCell::default(), asked: Cell::new(0) }
    }

    /// The chain they are on.
    ///
    /// # Panics
    /// Without peers.
    #[must_use]
    pub fn chain(&self) -> Arc<Chain> {
        let consensus = (*self.peers[0].0.ledger.spec).clone();
        Arc::new(Chain::new(ChainSpec { consensus, bootstrap: Vec::new(), checkpoints: Vec::new() }))
    }

    /// The newest height of any of them.
    #[must_use]
    pub fn newest(&self) -> Height {
        self.peers.iter().map(|(full, _)| full.height()).max().unwrap_or(Height(0))
    }

    /// How many questions were asked.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.get()
    }

    /// What was reported.
    #[must_use]
    pub fn reports(&self) -> Vec<Misbehaviour<usize>> {
        self.reports.borrow().clone()
    }

    /// Who was reported, and for what.
    #[must_use]
    pub fn lies(&self) -> Vec<(usize, Lie)> {
        self.reports.borrow().iter().map(|report| (report.peer, report.lie)).collect()
    }

    /// The clock.
    #[must_use]
    pub fn now(&self) -> Time {
        let newest = self.peers.iter().map(|(full, _)| full.ledger.state.header.time).max();
        newest.unwrap_or(Time(0)).plus(3_600)
    }
}

impl Source for &Peers {
    type Peer = usize;

    fn peers(&self) -> Vec<usize> {
        (0..self.peers.len()).collect()
    }

    async fn ask(&self, peer: &usize, question: &Question) -> Result<Reply, Unanswered> {
        self.asked.set(self.asked.get() + 1);
        let (full, habit) = self.peers.get(*peer).ok_or(Unanswered::Gone)?;
        habit(question, full.reply(question)).ok_or(Unanswered::Timeout)
    }

    async fn news(&self) {
        unreachable!("nothing new ever happens");
    }

    fn now(&self) -> Time {
        Peers::now(self)
    }

    fn report(&self, misbehaviour: Misbehaviour<usize>) {
        self.reports.borrow_mut().push(misbehaviour);
    }
}
