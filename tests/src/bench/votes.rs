//! Votes: through the consensus machine with and without their signatures, up to quorums, and as certificates.

use std::sync::Arc;

use timecoin_core::certificate::Certificate;
use timecoin_core::codec::encode;
use timecoin_core::consensus::{Consensus, HeightStart, Input, Output, Timeouts};
use timecoin_core::hash::{BlockId, ChainId, Hash, Tag};
use timecoin_core::keys::{SecretKey, Signature, verify, verify_batch};
use timecoin_core::spec::Rules;
use timecoin_core::testing::chain::{key, validator_set};
use timecoin_core::time::Time;
use timecoin_core::validators::{VALIDATORS_MAX, ValidatorSet};
use timecoin_core::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use super::{Extent, Figure, median_of, timed};

/// Votes processed for a figure without signatures.
const VOTES: usize = 200_000;
/// Times a certificate is checked for a figure.
const TIMES: usize = 50;

const CHAIN: ChainId = ChainId(Hash([7; 32]));

/// All figures of votes.
#[must_use]
pub fn run(_: Extent) -> Vec<Figure> {
    let mut figures = Vec::new();
    for members in [4, 100, VALIDATORS_MAX] {
        let committee = Committee::new(members);
        committee.without_signatures(&mut figures);
        committee.with_signatures(&mut figures);
    }
    certificates(&mut figures);
    figures
}

struct Committee {
    set: Arc<ValidatorSet>,
    /// In set order.
    keys: Vec<SecretKey>,
}

impl Committee {
    fn new(members: usize) -> Self {
        let mut keys: Vec<SecretKey> = (0..members as u64).map(key).collect();
        keys.sort_by_key(SecretKey::public_key);
        let members: Vec<_> = keys.iter().map(|key| (key.public_key(), 1)).collect();
        Self { set: Arc::new(validator_set(&members)), keys }
    }

    fn data(phase: Phase, height: u64) -> VoteData {
        const BLOCK: Tag = Tag::new("bench block");
        let block = Some(BlockId(BLOCK.hash(&[&height.to_le_bytes()])));
        VoteData { phase, height: Height(height), view: ViewNumber(0), block, valid_view: None }
    }

    fn start(&self, height: u64, parent_certificate: Option<Certificate>) -> Input {
        Input::Start(HeightStart {
            height: Height(height),
            set: self.set.clone(),
            absent: Default::default(),
            timeouts: Timeouts::from(&Rules::dev()),
            me: None,
            parent_time: Time(0),
            parent_certificate,
            records: Vec::new(),
        })
    }

    /// Everybody's votes of a height, as the machine gets them: already verified, one at a time.
    fn votes(&self, height: u64) -> Vec<Vote> {
        let phases = [Phase::Prepare, Phase::Commit];
        let cast = |phase| {
            (0..).zip(&self.keys).map(move |(validator, _)| Vote {
                data: Self::data(phase, height),
                validator,
                signature: Signature([0; 64]),
            })
        };
        phases.into_iter().flat_map(cast).collect()
    }

    fn without_signatures(&self, figures: &mut Vec<Figure>) {
        let members = self.keys.len();
        let heights = VOTES.div_ceil(2 * members) as u64;
        let all: Vec<Vec<Vote>> = (1..=heights).map(|height| self.votes(height)).collect();
        let count: usize = all.iter().map(Vec::len).sum();
        let mut machine = Consensus::new();
        let (decided, seconds) = timed(|| {
            let mut parent = None;
            let mut decided = 0;
            for (height, votes) in (1..).zip(all) {
                machine.handle(self.start(height, parent.take()), Time(0));
                for vote in votes {
                    for output in machine.handle(Input::Votes(vec![vote]), Time(0)) {
                        if let Output::Decide { certificate, .. } = output {
                            parent = Some(certificate);
                            decided += 1;
                        }
                    }
                }
            }
            decided
        });
        assert_eq!(decided, heights, "every height is decided");
        let figure = Figure::new(
            format!("vote without its signature, {members} validators"),
            seconds * 1e6 / count as f64,
            "µs",
        );
        figures.push(match members {
            100 => figure.beside("malachite 0.65 µs"),
            _ => figure,
        });
    }

    fn with_signatures(&self, figures: &mut Vec<Figure>) {
        let members = self.keys.len();
        let sign = |phase| {
            let data = Self::data(phase, 1);
            (0..).zip(&self.keys).map(move |(at, key)| Vote::sign(data, at, &CHAIN, key)).collect::<Vec<_>>()
        };
        let (prepares, commits) = (sign(Phase::Prepare), sign(Phase::Commit));
        let key_of = |vote: &Vote| self.set.validator(vote.validator).expect("a member").key;
        let one_by_one = |votes: &[Vote]| {
            votes.iter().all(|vote| {
                let signed = vote.signed_bytes(&CHAIN, &key_of(vote));
                verify(&signed.key, &signed.message, &signed.signature)
            })
        };
        let together = |votes: &[Vote]| {
            let signed: Vec<_> = votes.iter().map(|vote| vote.signed_bytes(&CHAIN, &key_of(vote))).collect();
            verify_batch(&signed)
        };
        // Both phases up to a quorum, each vote checked and counted.
        let quorum = members * 2 / 3 + 1;
        let decide = |check: &dyn Fn(&[Vote]) -> bool, at_once: usize| {
            let mut machine = Consensus::new();
            machine.handle(self.start(1, None), Time(0));
            for votes in [&prepares, &commits] {
                for votes in votes[..quorum].chunks(at_once) {
                    assert!(check(votes), "good signatures");
                    machine.handle(Input::Votes(votes.to_vec()), Time(0));
                }
            }
        };
        let times = if members > 10 { 5 } else { 50 };
        let seconds = median_of(times, || decide(&one_by_one, 1));
        let each = seconds * 1e6 / (2 * quorum) as f64;
        let figure = Figure::new(format!("vote with its signature, {members} validators"), each, "µs");
        figures.push(match members {
            100 => figure.beside("malachite 42 µs, earlier node 33 µs"),
            _ => figure,
        });
        let seconds = median_of(times, || decide(&together, 64));
        let each = seconds * 1e6 / (2 * quorum) as f64;
        figures.push(Figure::new(
            format!("vote with its signature, up to 64 together, {members} validators"),
            each,
            "µs",
        ));
        let figure = Figure::new(
            format!("both quorums of a height, votes up to 64 together, {members} validators"),
            seconds * 1e3,
            "ms",
        );
        figures.push(match members {
            4 => figure.beside("earlier node 0.10 ms"),
            100 => figure.beside("earlier node 2.2 ms"),
            _ => figure.beside("earlier node 32 ms at 1,000; 256 is the most we allow"),
        });
        let bytes = prepares.first().map_or(0, |vote| encode(vote).len());
        if members == 4 {
            figures.push(
                Figure::new("vote on the wire", bytes as f64, "bytes").beside("earlier node 391 bytes"),
            );
        }
    }
}

fn certificates(figures: &mut Vec<Figure>) {
    let committee = Committee::new(100);
    let data = Committee::data(Phase::Commit, 1);
    let votes: Vec<Vote> =
        (0..).zip(&committee.keys).take(67).map(|(at, key)| Vote::sign(data, at, &CHAIN, key)).collect();
    let certificate = Certificate::from_votes(data, &votes, &committee.set).expect("a quorum");
    let seconds = median_of(TIMES, || assert_eq!(certificate.verify(&committee.set, &CHAIN), Ok(())));
    let signed = certificate.check_form(&committee.set, &CHAIN).expect("well formed");
    let batch = median_of(TIMES, || assert!(verify_batch(&signed)));
    let single = median_of(TIMES, || {
        assert!(signed.iter().all(|item| verify(&item.key, &item.message, &item.signature)));
    });
    figures.push(Figure::new("certificate of 67 signatures", seconds * 1e3, "ms"));
    figures.push(
        Figure::new("certificate of 67, per signature", seconds * 1e6 / 67.0, "µs")
            .beside("33.1 µs in the probe, 19 to 21 µs at best"),
    );
    figures.push(Figure::new("67 signatures one by one, each", single * 1e6 / 67.0, "µs").beside("36.9 µs"));
    figures.push(Figure::new("certificate of 67 against its bare batch", seconds / batch, "times"));
    figures.push(Figure::new("certificate of 67 on the wire", encode(&certificate).len() as f64, "bytes"));
}
