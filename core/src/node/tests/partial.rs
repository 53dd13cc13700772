//! A validator that begins with a proved state, votes at once, and fills its store meanwhile.

use std::cell::RefCell;
use std::collections::BTreeMap;

use futures::FutureExt;

use super::light::{ask, connect_light};
use super::*;
use crate::answer::{Question, Reply, StateReply};
use crate::driver::light::{LightClient, Misbehaviour, Source, Unanswered, age_policy};

/// The outcome of what never waits; the world within has an executor of its own.
fn ready<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("nothing here waits")
}

/// The other nodes, as a light client asks them.
struct Others<'a> {
    world: RefCell<&'a mut World>,
    peers: Vec<usize>,
    lies: RefCell<Vec<Misbehaviour<usize>>>,
    /// What becomes of an answer on its way.
    twist: fn(usize, Reply) -> Reply,
}

impl Source for Others<'_> {
    type Peer = usize;

    fn peers(&self) -> Vec<usize> {
        self.peers.clone()
    }

    async fn ask(&self, peer: &usize, question: &Question) -> Result<Reply, Unanswered> {
        let mut world = self.world.borrow_mut();
        connect_light(&mut world, *peer);
        let reply = ask(&mut world, *peer, question.clone());
        world.event(*peer, Event::Disconnected(id(90)));
        Ok((self.twist)(*peer, reply))
    }

    async fn news(&self) {}

    fn now(&self) -> Time {
        self.world.borrow().now
    }

    fn report(&self, misbehaviour: Misbehaviour<usize>) {
        self.lies.borrow_mut().push(misbehaviour);
    }
}

impl World {
    fn others(&mut self, at: usize, twist: fn(usize, Reply) -> Reply) -> Others<'_> {
        let peers = (0..self.nodes.len()).filter(|peer| *peer != at).collect();
        Others { world: RefCell::new(self), peers, lies: RefCell::default(), twist }
    }

    /// Has a job proved by the other nodes, and gives it again.
    pub(super) fn prove(&mut self, at: usize, lack: Lack) {
        let chain = self.chain.clone();
        let client = client(chain, self.others(at, |_, reply| reply));
        let proved = ready(client.proof(&lack));
        assert_eq!(*client.source().lies.borrow(), []);
        drop(client);
        // The block is old news, or of a state that nobody has any more.
        let Ok(proved) = proved else { return };
        let (node, store) = &mut self.nodes[at];
        node.take_proof(&proved);
        let effects = ready(driver::step(node, store, lack.job, self.now)).unwrap();
        self.perform(at, effects);
    }

    /// Takes a node to the state of the others.
    fn join(&mut self, at: usize, store: &MemoryStore, born: bool) -> bool {
        let (chain, config) = (self.chain.clone(), self.config(at));
        let client = client(chain, self.others(at, |_, reply| reply));
        let joined = ready(driver::join(&client, &config, store, born)).unwrap();
        assert_eq!(*client.source().lies.borrow(), []);
        joined
    }

    fn fill(&mut self, at: usize) {
        if self.nodes[at].0.fill().is_none_or(crate::state::tree::Fill::is_done) {
            return;
        }
        let wanted = self.nodes[at].0.wanted();
        let wanted: Vec<_> = wanted.into_iter().filter(|wanted| wanted.known().is_none()).collect();
        let mut rows = BTreeMap::new();
        if !wanted.is_empty() {
            let chain = self.chain.clone();
            let client = client(chain, self.others(at, |_, reply| reply));
            rows = ready(client.rows(&wanted)).unwrap_or_default();
        }
        let (node, store) = &mut self.nodes[at];
        ready(driver::fill(node, store, rows)).unwrap();
    }
}

fn client(chain: Arc<Chain>, others: Others<'_>) -> LightClient<Others<'_>, MemoryStore> {
    let policy = age_policy(Network::Dev, false);
    ready(LightClient::open(chain, policy, None, others, MemoryStore::default())).unwrap()
}

/// A chain of many coins, of which the last of four validators knows nothing yet.
fn world() -> World {
    world_of(700)
}

fn world_of(coins: u64) -> World {
    let coins = (0..coins).map(|at| Output { amount: Amount(5_000_000 + at), owner: owner((at % 50) as u8) });
    let chain = chain_of(4, coins.collect());
    let mut world = World::on(chain, 4, false);
    world.asleep = Some(3);
    world.connect_all();
    world.run(|world| world.heights()[..3].iter().all(|height| *height >= 12));
    world
}

fn wake(world: &mut World, store: MemoryStore) {
    world.open(3, store);
    world.asleep = None;
    world.frames.clear();
    for other in 0..3 {
        world.disconnect(3, other);
        world.connect(3, other);
    }
}

fn pay(world: &mut World, at: usize, coin: u32) -> TxId {
    let made = crate::state::genesis(&world.chain.spec.consensus).unwrap().changes.made;
    let (outpoint, output) = *made
        .iter()
        .find(|(outpoint, output)| outpoint.index == coin && output.owner == owner((coin % 50) as u8))
        .unwrap();
    let paid = payment(&world.chain, (coin % 50) as u8, (outpoint, output), 201, 1_000_000, world.now);
    let txid = paid.transaction.id();
    world.submit(at, paid);
    txid
}

fn tree_rows(world: &World, at: usize) -> Vec<(Key, crate::rows::Value)> {
    ready(driver::scan_all(&world.nodes[at].1, Table::Tree, &Range::default())).unwrap()
}

/// The first vote waits for no coin, a block of its own neither, and in the end its store is like the others'.
#[test]
fn a_validator_votes_and_proposes_before_it_has_the_coins() {
    let mut world = world();
    let store = MemoryStore::default();
    assert!(world.join(3, &store, true));
    let joined_at = world.heights()[0];
    wake(&mut world, store);
    assert_eq!(world.nodes[3].0.state().height().0, joined_at);
    assert!(world.nodes[3].0.fill().is_some());
    // Through the newcomer: whether the coin is there is proved to it.
    for coin in [3, 77, 405] {
        let txid = pay(&mut world, 3, coin);
        world.run(|world| world.is_final(txid));
    }
    let signed = |world: &World| {
        world.notices.iter().filter(|(at, notice)| *at == 3 && matches!(notice, Notice::Signed(..))).count()
    };
    assert!(signed(&world) >= 3, "it votes: {}", signed(&world));
    let me = key(4).public_key();
    let proposed = |world: &World| {
        world.notices.iter().any(|(at, notice)| match notice {
            Notice::Finalized { block, .. } => {
                *at == 0 && block.header.proposer == me && !block.body.transactions.is_empty()
            }
            _ => false,
        })
    };
    for coin in 100.. {
        if proposed(&world) {
            break;
        }
        assert!(coin < 140, "never proposed a payment");
        let txid = pay(&mut world, 3, coin);
        world.run(|world| world.is_final(txid));
    }
    assert!(world.nodes[3].0.fill().is_some(), "and has not the coins yet");
    for coin in 200.. {
        world.fill(3);
        if world.nodes[3].0.fill().is_none() {
            break;
        }
        assert!(coin < 300, "never filled: {:?}", world.nodes[3].0.fill());
        let txid = pay(&mut world, (coin % 4) as usize, coin);
        world.run(|world| world.is_final(txid));
    }
    let height = world.heights()[0];
    world.run(|world| world.heights().iter().all(|now| *now == height + 1));
    assert_eq!(tree_rows(&world, 3), tree_rows(&world, 0));
    // It is a node like the others from now on.
    let store = world.nodes[3].1.clone();
    store.crash(0);
    world.open(3, store);
    assert!(world.nodes[3].0.fill().is_none());
}

/// It halted: what was judged on a proof was written as if every row had been there.
#[test]
fn a_block_judged_on_a_proof_is_final_after_the_coins_have_come() {
    let mut world = world();
    let store = MemoryStore::default();
    assert!(world.join(3, &store, true));
    wake(&mut world, store);
    world.run(|world| world.heights()[3] == world.heights()[0]);
    let before = world.heights()[3];
    world.lost = |to, kind| {
        to == 3
            && matches!(
                kind,
                MessageKind::Votes | MessageKind::Certificate | MessageKind::Status | MessageKind::Response
            )
    };
    pay(&mut world, 0, 300);
    world.run(|world| {
        let prepared = |(at, notice): &(usize, Notice)| {
            *at == 3 && matches!(notice, Notice::Signed(_, height, _) if height.0 == before + 1)
        };
        world.notices.iter().any(prepared)
    });
    assert_eq!(world.heights()[3], before, "judged, and not final here");
    for _ in 0..200 {
        world.fill(3);
    }
    world.lost = |_, _| false;
    let target = world.heights()[0] + 3;
    world.run(|world| world.heights().iter().all(|height| *height >= target));
    for _ in 0..200 {
        world.fill(3);
    }
    world.run(|world| world.heights().iter().all(|height| *height > target));
    assert!(world.nodes[3].0.fill().is_none());
    let height = world.heights()[0];
    world.run(|world| world.heights().iter().all(|now| *now == height + 1));
    assert_eq!(tree_rows(&world, 3), tree_rows(&world, 0));
}

/// Interrupted, it goes on from the rows it has; too far behind, it joins again and keeps those that still hold.
#[test]
fn a_store_that_is_filled_in_part_goes_on() {
    let mut world = world();
    let store = MemoryStore::default();
    assert!(world.join(3, &store, true));
    wake(&mut world, store);
    (0..2).for_each(|_| world.fill(3));
    let before = tree_rows(&world, 3).len();
    assert!(before > 10, "{before}");
    let store = world.nodes[3].1.clone();
    store.crash(0);
    wake(&mut world, store.clone());
    let txid = pay(&mut world, 1, 9);
    world.run(|world| world.is_final(txid));
    world.asleep = Some(3);
    let target = world.heights()[0] + 2 * RECENT_BLOCKS as u64;
    for coin in 20..40 {
        let txid = pay(&mut world, 0, coin);
        world.run(|world| world.notices.iter().any(|(_, notice)| matches!(notice, Notice::Phase(TransactionPhase::Finalized, ids) if ids.contains(&txid))));
    }
    world.run(|world| world.heights()[0] >= target);
    assert!(world.join(3, &store, false), "a later state");
    assert!(!world.join(3, &store, false), "the same one");
    wake(&mut world, store);
    let asked = world.log.len();
    for _ in 0..200 {
        if world.nodes[3].0.fill().is_none() {
            break;
        }
        world.fill(3);
    }
    let height = world.heights()[0];
    world.run(|world| world.heights().iter().all(|now| *now > height));
    assert!(world.nodes[3].0.fill().is_none() && world.log.len() >= asked);
    let height = world.heights()[0];
    world.run(|world| world.heights().iter().all(|now| *now == height + 1));
    let stored = tree_rows(&world, 3);
    // Rows of the state long ago may be left over where nothing is now.
    assert!(tree_rows(&world, 0).iter().all(|row| stored.contains(row)));
}

/// It would have asked with more than a peer takes, and been banned for it.
#[test]
fn many_transactions_are_asked_about_in_parts() {
    let mut world = world_of(6_000);
    let store = MemoryStore::default();
    assert!(world.join(3, &store, true));
    wake(&mut world, store);
    let limits = world.chain.spec.consensus.rules(Height(0)).transaction_limits();
    let made = crate::state::genesis(&world.chain.spec.consensus).unwrap().changes.made;
    let coins = made.into_iter().filter(|(_, output)| output.amount < Amount(6_000_000));
    let list: Vec<_> = coins
        .map(|coin| {
            let from = (coin.1.amount.0 - 5_000_000) % 50;
            let paid = payment(&world.chain, from as u8, coin, 201, 1_000_000, world.now);
            Arc::new(crate::transaction::VerifiedTransaction::verify(paid, &world.chain.id, &limits).unwrap())
        })
        .collect();
    assert_eq!(list.len(), 6_000);
    world.lacks.clear();
    let (node, store) = &mut world.nodes[3];
    let effects = ready(driver::step(node, store, Job::Restore(list), world.now)).unwrap();
    world.perform(3, effects);
    assert_eq!(world.lacks.len(), 2);
    for (_, lack) in &world.lacks {
        assert!(crate::answer::StateQuestion::Changes(lack.ops.clone()).question().is_in_bounds());
    }
}

fn tampered(peer: usize, reply: Reply) -> Reply {
    let Some(mut said) = StateReply::of(&reply).filter(|_| peer == 0) else { return reply };
    match &mut said {
        StateReply::Tip(tip) => tip.accounting.pool = Amount(tip.accounting.pool.0 + 1),
        StateReply::Rows(rows) => rows.iter_mut().flatten().for_each(|row| row.reverse()),
        StateReply::Proof(proof) => proof.root.count += 1,
    }
    said.reply()
}

/// A peer that lies about the state is told from one that does not.
#[test]
fn a_lie_about_the_state_costs_one_question() {
    let mut world = world();
    let store = MemoryStore::default();
    let (chain, config) = (world.chain.clone(), world.config(3));
    let client = client(chain, world.others(3, tampered));
    assert!(ready(driver::join(&client, &config, &store, true)).unwrap());
    let lies: Vec<_> = client.source().lies.borrow().iter().map(|lie| lie.peer).collect();
    assert_eq!(lies, [0]);
    drop(client);
    wake(&mut world, store);
    let wanted = world.nodes[3].0.wanted();
    let chain = world.chain.clone();
    let client = self::client(chain, world.others(3, tampered));
    assert_eq!(ready(client.rows(&wanted)).unwrap().len(), wanted.len(), "from somebody else");
}
