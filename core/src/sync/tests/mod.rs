//! Named cases on one chain; `world` puts the machine among peers of every kind.

mod world;

use std::sync::LazyLock;

use super::wire::{BODIES_MAX, HEADERS_MAX, LightBlock, Query, Response, Status};
use super::*;
use crate::amount::Amount;
use crate::block::{BLOCK_VERSION, Header};
use crate::certificate::CertificateError;
use crate::codec::{Wire, decode, encode};
use crate::evidence::Evidence;
use crate::hash::{BlockId, ChainId, Hash, MasternodeId, StateRoot};
use crate::keys::SecretKey;
use crate::validators::{Validator, ValidatorSet};
use crate::vote::{Phase, ViewNumber, Vote, VoteData};

const CHAIN: ChainId = ChainId(Hash([7; 32]));
const LENGTH: u64 = 200;
const EPOCH: u64 = 30;

/// A chain of [`LENGTH`] certified blocks whose validators change every [`EPOCH`].
struct Chain {
    genesis: Anchor,
    headers: Vec<LightBlock>,
    bodies: Vec<Body>,
}

static CHAIN_OF_BLOCKS: LazyLock<Chain> = LazyLock::new(|| Chain::build(0));

fn keys(epoch: u64) -> Vec<SecretKey> {
    let seed = |at: u8| SecretKey::from_seed(&[u8::try_from(epoch).unwrap() * 8 + at + 1; 32]);
    let mut keys: Vec<_> = (0..3 + u8::try_from(epoch % 3).unwrap()).map(seed).collect();
    keys.sort_by_key(SecretKey::public_key);
    keys
}

fn set(epoch: u64) -> ValidatorSet {
    let member = |key: SecretKey| Validator {
        key: key.public_key(),
        weight: 1,
        masternode: MasternodeId(Hash(key.public_key().0)),
    };
    ValidatorSet::new(keys(epoch).into_iter().map(member).collect()).unwrap()
}

/// The epoch whose set signs a height.
fn epoch_of(height: u64) -> u64 {
    (height - 1) / EPOCH
}

fn certify(header: &Header) -> Certificate {
    let epoch = epoch_of(header.height.0);
    let data = VoteData {
        phase: Phase::Commit,
        height: header.height,
        view: ViewNumber(0),
        block: Some(header.id()),
        valid_view: None,
    };
    let votes: Vec<_> = (0..).zip(keys(epoch)).map(|(at, key)| Vote::sign(data, at, &CHAIN, &key)).collect();
    Certificate::from_votes(data, &votes, &set(epoch)).unwrap()
}

impl Chain {
    /// `flavour` makes another chain of the same validators.
    fn build(flavour: u8) -> Self {
        let genesis = Anchor {
            height: Height(0),
            block: BlockId(Hash([1; 32])),
            time: Time(1),
            validators: Arc::new(set(0)),
        };
        let mut chain = Self { genesis: genesis.clone(), headers: Vec::new(), bodies: Vec::new() };
        let (mut parent, mut parent_certificate) = (genesis.block, None);
        for height in 1..=LENGTH {
            let body = Body { parent_certificate, ..Body::default() };
            let (epoch, next) = (epoch_of(height), epoch_of(height + 1));
            let header = Header {
                version: BLOCK_VERSION,
                height: Height(height),
                view: ViewNumber(0),
                time: Time(1 + height),
                parent,
                transactions_root: body.transactions_root(),
                state_root: StateRoot(Hash([flavour; 32])),
                supply: Amount(height),
                filter_hash: Hash::ZERO,
                history_root: Hash::ZERO,
                validators_hash: set(epoch).hash(),
                next_validators_hash: set(next).hash(),
                evidence_root: Evidence::root(&[]),
                parent_certificate_hash: Certificate::hash(body.parent_certificate.as_ref()),
                proposer: keys(epoch)[0].public_key(),
            };
            let certificate = certify(&header);
            parent = header.id();
            parent_certificate = Some(certificate.clone());
            let next_validators = (epoch != next).then(|| set(next));
            chain.headers.push(LightBlock { header, certificate, next_validators });
            chain.bodies.push(body);
        }
        chain
    }

    fn anchor(&self, height: u64) -> Anchor {
        let Some(at) = height.checked_sub(1) else { return self.genesis.clone() };
        let header = &self.headers[at as usize].header;
        Anchor {
            height: header.height,
            block: header.id(),
            time: header.time,
            validators: Arc::new(set(epoch_of(height + 1))),
        }
    }

    fn light(&self, from: u64, count: u64) -> Vec<LightBlock> {
        let from = usize::try_from(from - 1).unwrap().min(self.headers.len());
        self.headers[from..].iter().take(count as usize).cloned().collect()
    }

    fn answer(&self, query: Query, head: u64) -> Response {
        let within = |from: Height, count: u16| (head + 1).saturating_sub(from.0).min(u64::from(count));
        match query {
            Query::Headers { from, count } => Response::Headers(self.light(from.0, within(from, count))),
            Query::Bodies { from, count, .. } => {
                let count = within(from, count) as usize;
                Response::Bodies(self.bodies[from.0 as usize - 1..].iter().take(count).cloned().collect())
            }
        }
    }

    fn status(&self, height: u64) -> Status {
        let certificate = height
            .checked_sub(1)
            .map(|at| self.headers[at as usize % self.headers.len()].certificate.clone());
        Status { lowest: Height(0), height: Height(height), certificate }
    }
}

fn chain() -> &'static Chain {
    &CHAIN_OF_BLOCKS
}

fn peer(at: u8) -> PublicKey {
    PublicKey([at; 32])
}

fn claim(height: u64) -> CheckedStatus {
    CheckedStatus { lowest: Height(0), height: Height(height), is_certified: false }
}

fn machine(limits: SyncLimits) -> Sync {
    Sync::new(limits, chain().genesis.clone(), Time(0))
}

/// Answers honestly and applies at once what is delivered. Returns the heights applied.
fn answer(sync: &mut Sync, request: &Request, now: Time) -> Vec<u64> {
    let response = chain().answer(request.query, LENGTH);
    let checked = check(response, sync.anchor(), &CHAIN);
    let outputs = sync.on_response(request.peer, request.id, checked, now).unwrap();
    apply(sync, outputs, now)
}

fn apply(sync: &mut Sync, outputs: Vec<Output>, now: Time) -> Vec<u64> {
    let mut open = std::collections::VecDeque::from(outputs);
    let mut applied = Vec::new();
    while let Some(output) = open.pop_front() {
        if let Output::Apply { block, certificate } = output {
            assert_eq!(certificate.data.block, Some(block.header.id()));
            applied.push(block.header.height.0);
            open.extend(sync.on_applied(chain().anchor(block.header.height.0), now));
        }
    }
    applied
}

/// Lets the header requests of `wanted` be answered until all headers are known; returns the other requests.
fn fetch_headers(sync: &mut Sync, mut wanted: Vec<Request>, now: Time) -> Vec<Request> {
    let mut bodies = Vec::new();
    while !wanted.is_empty() {
        let (headers, rest): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|request| matches!(request.query, Query::Headers { .. }));
        bodies.extend(rest);
        headers.iter().for_each(|request| drop(answer(sync, request, now)));
        wanted = sync.wanted(now);
    }
    bodies
}

fn first_height(request: &Request) -> u64 {
    match request.query {
        Query::Headers { from, .. } | Query::Bodies { from, .. } => from.0,
    }
}

#[test]
fn one_honest_peer_is_enough() {
    let mut sync = machine(SyncLimits::default());
    sync.on_status(peer(1), check_status(&chain().status(LENGTH), sync.anchor(), &CHAIN).unwrap(), Time(0));
    let mut applied = Vec::new();
    let mut rounds = 0;
    while sync.progress().applied < Height(LENGTH) {
        for request in sync.wanted(Time(rounds)) {
            applied.extend(answer(&mut sync, &request, Time(rounds)));
        }
        rounds += 1;
    }
    assert_eq!(applied, Vec::from_iter(1..=LENGTH), "in order, each once");
    assert!(rounds <= 20, "ranges, not single blocks: {rounds} rounds");
    assert_eq!(sync.wanted(Time(rounds)), []);
    assert_eq!(sync.deadline(), Time::NEVER);
    assert!(!sync.progress().is_behind());
}

#[test]
fn a_dead_first_chunk_is_hedged_and_never_blocks() {
    let mut sync = machine(SyncLimits::default());
    (1..=3).for_each(|at| sync.on_status(peer(at), claim(LENGTH), Time(0)));
    let wanted = sync.wanted(Time(0));
    let bodies = fetch_headers(&mut sync, wanted, Time(0));
    let (first, rest): (Vec<_>, Vec<_>) = bodies.into_iter().partition(|request| first_height(request) == 1);
    let [first] = first[..] else { panic!("the first range is asked for once") };
    for request in &rest {
        assert!(answer(&mut sync, request, Time(10)).is_empty(), "out of order: kept");
    }
    let mut more = sync.wanted(Time(10));
    while let Some(request) = more.pop() {
        assert_ne!(first_height(&request), 1, "not yet");
        assert!(answer(&mut sync, &request, Time(10)).is_empty(), "out of order: kept");
        more.extend(sync.wanted(Time(10)));
    }
    assert!(sync.deadline() <= Time(1_000));
    let hedge = sync.wanted(Time(1_000)).into_iter().find(|request| first_height(request) == 1);
    let hedge = hedge.expect("the range that holds up the rest is asked of another");
    assert_ne!(hedge.peer, first.peer);
    assert_eq!(answer(&mut sync, &hedge, Time(1_010))[..2], [1, 2]);
}

#[test]
fn a_silent_peer_loses_its_range_to_another_and_a_late_answer_is_used() {
    let mut sync = machine(SyncLimits { hedge_ms: 1 << 40, ..SyncLimits::default() });
    sync.on_status(peer(1), claim(LENGTH), Time(0));
    let [first] = sync.wanted(Time(0))[..] else { panic!("one request for headers") };
    assert_eq!(sync.deadline(), Time(5_000));
    assert_eq!(sync.tick(Time(4_999)), []);
    assert_eq!(sync.tick(Time(5_000)), [peer(1)]);
    sync.on_status(peer(2), claim(LENGTH), Time(5_000));
    let [second] = sync.wanted(Time(5_000))[..] else { panic!("asked again") };
    assert_eq!((second.peer, second.query), (peer(2), first.query));
    let checked = check(chain().answer(first.query, LENGTH), sync.anchor(), &CHAIN);
    assert!(
        sync.on_response(peer(1), first.id, checked.clone(), Time(6_000)).is_ok(),
        "late, and no offence"
    );
    assert_eq!(sync.progress().verified, Height(u64::from(HEADERS_MAX)), "and of use");
    assert!(sync.on_response(peer(2), second.id, checked, Time(6_001)).is_ok(), "no fault of the second");
}

#[test]
fn a_silent_peer_is_asked_again_where_it_is_the_only_one() {
    let mut sync = machine(SyncLimits::default());
    sync.on_status(peer(1), claim(LENGTH), Time(0));
    let mut now = Time(0);
    for round in 0..20 {
        assert!(!sync.wanted(now).is_empty(), "round {round}");
        now = sync.deadline();
        while sync.tick(now).is_empty() {
            sync.wanted(now);
            now = sync.deadline();
        }
    }
}

#[test]
fn a_lost_buffer_is_fetched_again() {
    let mut sync = machine(SyncLimits::default());
    sync.on_status(peer(1), claim(LENGTH), Time(0));
    let wanted = sync.wanted(Time(0));
    let bodies = fetch_headers(&mut sync, wanted, Time(0));
    let request = bodies.iter().find(|request| first_height(request) == 1).unwrap();
    let checked = check(chain().answer(request.query, LENGTH), sync.anchor(), &CHAIN);
    let outputs = sync.on_response(peer(1), request.id, checked, Time(0)).unwrap();
    assert_eq!(outputs.len(), 4, "delivered, and lost by the node");
    let mut now = Time(0);
    let again = 'lost: loop {
        let mut wanted = sync.wanted(now);
        while let Some(request) = wanted.pop() {
            if first_height(&request) == 1 {
                break 'lost request;
            }
            assert!(answer(&mut sync, &request, now).is_empty(), "nothing more before those are applied");
            wanted.extend(sync.wanted(now));
        }
        now = sync.deadline();
        assert!(now <= Time(60_000));
        sync.tick(now);
    };
    assert_eq!(answer(&mut sync, &again, now)[..4], [1, 2, 3, 4]);
}

#[test]
fn being_behind_is_computed_never_a_flag_left_on() {
    let mut sync = machine(SyncLimits::default());
    sync.on_status(peer(1), check_status(&chain().status(9), sync.anchor(), &CHAIN).unwrap(), Time(0));
    assert_eq!(sync.progress().target, Height(9));
    let [request] = sync.wanted(Time(0))[..] else { panic!("one request") };
    sync.on_left(&peer(1));
    assert!(!sync.progress().is_behind(), "nobody left who is ahead");
    assert_eq!((sync.wanted(Time(1)), sync.deadline()), (vec![], Time::NEVER));
    assert_eq!(
        sync.on_response(peer(1), request.id, Checked::Bodies(vec![]), Time(2)),
        Ok(vec![]),
        "its answer may still be on the way"
    );
    sync.on_status(peer(1), claim(9), Time(3));
    assert_eq!(sync.wanted(Time(3)).len(), 1, "and from the start again");
    (1..=9).for_each(|height| drop(sync.on_applied(chain().anchor(height), Time(4))));
    assert!(!sync.progress().is_behind(), "consensus brought them");
}

#[test]
fn a_claimed_height_decides_nothing() {
    let mut sync = machine(SyncLimits::default());
    sync.on_status(peer(1), claim(u64::MAX), Time(0));
    assert_eq!(sync.progress().target, Height(0), "not believed");
    let [request] = sync.wanted(Time(0))[..] else { panic!("but asked for proof") };
    let nothing = check(Response::Headers(vec![]), sync.anchor(), &CHAIN);
    let fault = SyncFault::FalseStatus(Height(1));
    assert_eq!(sync.on_response(peer(1), request.id, nothing, Time(1)), Err(fault));
    assert!(!fault.is_proved(), "it costs a score, not a ban");
    assert_eq!((sync.wanted(Time(2)), sync.deadline()), (vec![], Time::NEVER), "asked for no more");

    let far = Status { height: Height(1 << 60), ..chain().status(5) };
    assert_eq!(check_status(&far, sync.anchor(), &CHAIN), Err(StatusFault(Height(1 << 60))));
    let mut forged = chain().status(5);
    forged.certificate.as_mut().unwrap().signatures[0].0[0] ^= 1;
    let checked = check_status(&forged, sync.anchor(), &CHAIN).unwrap();
    assert!(!checked.is_certified, "nor is one with a certificate that does not verify");
}

#[test]
fn being_one_block_behind_is_left_to_consensus_for_a_while() {
    let mut sync = machine(SyncLimits::default());
    sync.on_status(peer(1), claim(1), Time(100));
    assert_eq!((sync.wanted(Time(100)), sync.deadline()), (vec![], Time(1_100)));
    assert_eq!(sync.wanted(Time(1_100)).len(), 1);
}

#[test]
fn headers_are_refused_for_every_flaw() {
    let alter = |at: usize, change: fn(&mut LightBlock)| {
        let mut headers = chain().light(1, 40);
        change(&mut headers[at]);
        verify_headers(&chain().genesis, &CHAIN, headers).err()
    };
    let resign = |light: &mut LightBlock| light.certificate = certify(&light.header);
    assert_eq!(alter(0, |_| {}), None);
    let height = Height(5);
    type Change = fn(&mut LightBlock);
    let table: [(&str, usize, Change, HeaderFault); 8] = [
        (
            "state root without certificate",
            4,
            |light| light.header.state_root = StateRoot(Hash([9; 32])),
            HeaderFault::CertificateSubject(height),
        ),
        (
            "a prepare certificate",
            4,
            |light| light.certificate.data.phase = Phase::Prepare,
            HeaderFault::CertificateSubject(height),
        ),
        (
            "a flipped bit",
            4,
            |light| light.certificate.signatures[1].0[3] ^= 1,
            HeaderFault::Certificate { height, error: CertificateError::Signature },
        ),
        (
            "a minority",
            4,
            |light| {
                let (chain_set, votes) = (set(0), light.certificate.votes().take(2).collect::<Vec<_>>());
                let mut few = light.certificate.clone();
                few.signers = crate::certificate::Bitmap::empty(chain_set.len());
                votes.iter().for_each(|vote| few.signers.insert(vote.validator));
                few.signatures = votes.iter().map(|vote| vote.signature).collect();
                light.certificate = few;
            },
            HeaderFault::Certificate { height, error: CertificateError::NoQuorum { weight: 2, total: 3 } },
        ),
        (
            "a set that is not needed",
            4,
            |light| light.next_validators = Some(set(0)),
            HeaderFault::NextValidators(height),
        ),
        ("a missing set", 29, |light| light.next_validators = None, HeaderFault::NextValidators(Height(30))),
        (
            "another set",
            29,
            |light| light.next_validators = Some(set(2)),
            HeaderFault::NextValidators(Height(30)),
        ),
        (
            "a gap",
            4,
            |light| light.header.height = Height(6),
            HeaderFault::Height { expected: height, found: Height(6) },
        ),
    ];
    for (name, at, change, fault) in table {
        assert_eq!(alter(at, change), Some(fault), "{name}");
    }
    let mut relinked = chain().light(1, 5);
    relinked[4].header.parent = BlockId(Hash([8; 32]));
    resign(&mut relinked[4]);
    assert_eq!(
        verify_headers(&chain().genesis, &CHAIN, relinked),
        Err(HeaderFault::Parent(height)),
        "even with a certificate"
    );
    let mut early = chain().light(1, 5);
    early[4].header.time = early[3].header.time;
    resign(&mut early[4]);
    assert_eq!(verify_headers(&chain().genesis, &CHAIN, early), Err(HeaderFault::Time(height)));
    let many = vec![chain().headers[0].clone(); 65];
    assert_eq!(verify_headers(&chain().genesis, &CHAIN, many), Err(HeaderFault::TooMany(65)));
}

#[test]
fn a_body_that_is_not_the_headers_is_the_senders_fault_and_nothing_of_it_is_kept() {
    let mut sync = machine(SyncLimits { per_peer_max: 9, ..SyncLimits::default() });
    (1..=2).for_each(|at| sync.on_status(peer(at), claim(LENGTH), Time(0)));
    let wanted = sync.wanted(Time(0));
    let bodies = fetch_headers(&mut sync, wanted, Time(0));
    let request = bodies.iter().find(|request| first_height(request) == 1).unwrap();
    let Response::Bodies(mut wrong) = chain().answer(request.query, LENGTH) else { panic!("bodies") };
    wrong[7].parent_certificate = None;
    let checked = check(Response::Bodies(wrong), sync.anchor(), &CHAIN);
    let fault = SyncFault::Body(Height(8));
    assert_eq!(sync.on_response(request.peer, request.id, checked, Time(1)), Err(fault));
    assert!(fault.is_proved());
    let again: Vec<_> = sync.wanted(Time(1));
    assert!(again.iter().any(|request| first_height(request) == 1), "asked again at once");
    assert!(again.iter().all(|other| other.peer != request.peer), "of somebody else");
}

#[test]
fn answers_to_no_request_are_faults() {
    let mut sync = machine(SyncLimits::default());
    (1..=2).for_each(|at| sync.on_status(peer(at), claim(LENGTH), Time(0)));
    let [request] = sync.wanted(Time(0))[..] else { panic!("one request") };
    let other = if request.peer == peer(1) { peer(2) } else { peer(1) };
    let nothing = || Checked::Bodies(vec![]);
    let unrequested = Err(SyncFault::Unrequested);
    assert_eq!(sync.on_response(other, request.id, nothing(), Time(1)), unrequested, "another's request");
    assert_eq!(sync.on_response(request.peer, RequestId(99), nothing(), Time(1)), unrequested);
    let mut sync = machine(SyncLimits::default());
    sync.on_status(peer(1), claim(LENGTH), Time(0));
    let [request] = sync.wanted(Time(0))[..] else { panic!("one request") };
    assert_eq!(sync.on_response(peer(1), request.id, nothing(), Time(1)), Err(SyncFault::Mismatched));
}

#[test]
fn a_block_that_the_rules_refuse_is_fetched_from_others_and_each_is_tried_once() {
    let mut sync = machine(SyncLimits::default());
    (1..=2).for_each(|at| sync.on_status(peer(at), claim(LENGTH), Time(0)));
    let wanted = sync.wanted(Time(0));
    let mut wanted = fetch_headers(&mut sync, wanted, Time(0));
    let mut blamed = Vec::new();
    for now in 1..10 {
        for request in core::mem::take(&mut wanted) {
            let checked = check(chain().answer(request.query, LENGTH), sync.anchor(), &CHAIN);
            let outputs = sync.on_response(request.peer, request.id, checked, Time(now)).unwrap();
            if outputs.iter().any(
                |output| matches!(output, Output::Apply { block, .. } if block.header.height == Height(1)),
            ) {
                blamed.extend(sync.on_invalid(Height(1)));
            }
        }
        wanted = sync.wanted(Time(now));
    }
    blamed.sort_unstable();
    assert_eq!(blamed, [peer(1), peer(2)]);
    assert_eq!(sync.progress().applied, Height(0));
    assert_eq!(sync.on_invalid(Height(150)), None, "was never delivered");
}

#[test]
fn buffers_are_bounded_and_the_next_block_always_has_room() {
    let size = encode(&chain().bodies[1]).len();
    let limits =
        SyncLimits { buffer_bytes_max: 20 * size, response_bytes_max: size as u32, ..SyncLimits::default() };
    let mut sync = machine(limits);
    (1..=20).for_each(|at| sync.on_status(peer(at), claim(LENGTH), Time(0)));
    let wanted = sync.wanted(Time(0));
    let mut bodies = fetch_headers(&mut sync, wanted, Time(0));
    assert!(bodies.len() <= 21);
    bodies.sort_by_key(|request| core::cmp::Reverse(first_height(request)));
    for request in &bodies[..bodies.len() - 1] {
        answer(&mut sync, request, Time(1));
        assert!(sync.bodies_bytes <= limits.buffer_bytes_max);
    }
    assert_eq!(answer(&mut sync, &bodies[bodies.len() - 1], Time(2))[..1], [1]);
    let held: usize = sync.bodies.values().map(|arrived| arrived.size).sum();
    assert_eq!(sync.bodies_bytes, held);
}

#[test]
fn blocks_that_consensus_brings_are_not_asked_for_and_another_chain_is_dropped() {
    let mut sync = machine(SyncLimits::default());
    sync.on_status(peer(1), claim(LENGTH), Time(0));
    let wanted = sync.wanted(Time(0));
    fetch_headers(&mut sync, wanted, Time(0));
    sync.on_applied(chain().anchor(50), Time(1));
    sync.on_left(&peer(1));
    sync.on_status(peer(1), claim(LENGTH), Time(2));
    assert!(sync.wanted(Time(2)).iter().all(|request| first_height(request) > 50));
    let other = Anchor { block: BlockId(Hash([3; 32])), ..chain().anchor(60) };
    let outputs = sync.on_applied(other.clone(), Time(3));
    assert_eq!(outputs, [Output::Verified(Arc::new(other))]);
    assert_eq!(sync.progress().verified, Height(60));
}

#[test]
fn queries_have_bounds_and_wire_forms_fit_their_sizes() {
    let headers = |from, count| Query::Headers { from: Height(from), count };
    let bodies = |from, count| Query::Bodies { from: Height(from), count, size_max: 1 };
    let table = [
        ("least", headers(1, 1), true),
        ("most", headers(1, HEADERS_MAX), true),
        ("no headers", headers(1, 0), false),
        ("many headers", headers(1, HEADERS_MAX + 1), false),
        ("most bodies", bodies(1, BODIES_MAX), true),
        ("many bodies", bodies(1, BODIES_MAX + 1), false),
        ("end of numbers", headers(u64::MAX, 1), false),
    ];
    for (name, query, expected) in table {
        assert_eq!(query.is_in_bounds(), expected, "{name}");
        assert_eq!(decode::<Query>(&encode(&query)), Ok(query), "{name}");
    }
    assert_eq!(encode(&bodies(1, 1)).len(), Query::SIZE_MAX);
    for query in [headers(1, 64), bodies(1, 16)] {
        let response = chain().answer(query, LENGTH);
        assert_eq!(decode::<Response>(&encode(&response)).as_ref(), Ok(&response));
    }
    let status = chain().status(7);
    assert_eq!(decode::<Status>(&encode(&status)).as_ref(), Ok(&status));
    let largest = [usize::from(HEADERS_MAX) * LightBlock::SIZE_MAX, Body::SIZE_MAX];
    assert!(largest.into_iter().all(|size| 4 + 8 + size <= Response::SIZE_MAX));
}
