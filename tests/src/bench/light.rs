//! Light clients: from genesis to a block a million heights on, past hundreds of changes of the validator set.
//!
//! The replies are made and encoded beforehand, so that what is measured is what a client does: decoding, verifying, and
//! storing what it trusts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use timecoin_core::answer::{Question, Reply};
use timecoin_core::codec::{decode, encode};
use timecoin_core::driver::light::{LightClient, Misbehaviour, Source, Unanswered};
use timecoin_core::light::AgePolicy;
use timecoin_core::node::Chain;
use timecoin_core::spec::ChainSpec;
use timecoin_core::store::MemoryStore;
use timecoin_core::testing::epochs::EpochChain;
use timecoin_core::time::Time;
use timecoin_core::vote::Height;

use super::{Extent, Figure, timed};

/// Heights to verify,
const HEIGHTS: u64 = 1_000_000;
/// in so many epochs,
const EPOCHS: u64 = 700;
/// by so many validators.
const VALIDATORS: u64 = 100;

/// All figures of light clients.
#[must_use]
pub fn run(_: Extent) -> Vec<Figure> {
    [0, 1, 5].into_iter().flat_map(million).collect()
}

/// A peer with its answers at hand.
struct Peer {
    chain: EpochChain,
    replies: RefCell<BTreeMap<Vec<u8>, Vec<u8>>>,
    bytes: Cell<usize>,
}

impl Source for &Peer {
    type Peer = ();

    fn peers(&self) -> Vec<()> {
        vec![()]
    }

    async fn ask(&self, (): &(), question: &Question) -> Result<Reply, Unanswered> {
        let mut replies = self.replies.borrow_mut();
        let question_bytes = encode(question);
        let size = question_bytes.len();
        let reply = replies.entry(question_bytes).or_insert_with(|| encode(&self.chain.reply(question)));
        self.bytes.set(self.bytes.get() + size + reply.len());
        decode(reply).map_err(|_| Unanswered::Gone)
    }

    async fn news(&self) {}

    fn now(&self) -> Time {
        self.chain.spec().genesis_time.plus(HEIGHTS * 1000)
    }

    fn report(&self, misbehaviour: Misbehaviour<()>) {
        unreachable!("the peer is honest: {misbehaviour:?}");
    }
}

/// Verifies block 1,000,000 from genesis; gives the certificates checked.
fn verify(peer: &Peer) -> u64 {
    let consensus = (**peer.chain.spec()).clone();
    let chain = Arc::new(Chain::new(ChainSpec { consensus, bootstrap: Vec::new(), checkpoints: Vec::new() }));
    let followed = async {
        let store = MemoryStore::default();
        let client = LightClient::open(chain, AgePolicy::AnyAge, None, peer, store).await?;
        client.follow(&(), Height(HEIGHTS)).await?;
        Ok::<_, timecoin_core::driver::light::ClientError<_>>(client.head())
    };
    let head = followed.now_or_never().expect("nobody waits").expect("the chain verifies");
    let head = head.expect("genesis is known");
    assert_eq!(head.header.height, Height(HEIGHTS), "the head is reached");
    head.proof.certificates_checked
}

fn million(replaced: u64) -> [Figure; 4] {
    let chain = EpochChain::new(VALIDATORS, HEIGHTS.div_ceil(EPOCHS), replaced);
    let peer = Peer { chain, replies: RefCell::default(), bytes: Cell::new(0) };
    verify(&peer);
    peer.bytes.set(0);
    let (certificates, seconds) = timed(|| verify(&peer));
    let name = |what: &str| {
        format!(
            "{what}, a million heights, {VALIDATORS} validators, {EPOCHS} epochs, {replaced} replaced in each"
        )
    };
    [
        Figure::new(name("certificates checked"), certificates as f64, "")
            .beside("700: one per epoch; aim: at most a fifth of that where the set barely changes"),
        Figure::new(name("fewer than one per epoch"), EPOCHS as f64 / certificates as f64, "times"),
        Figure::new(name("bytes received and sent"), peer.bytes.get() as f64 / 1024.0, "KiB"),
        Figure::new(name("from genesis to the head"), seconds * 1e3, "ms"),
    ]
}
