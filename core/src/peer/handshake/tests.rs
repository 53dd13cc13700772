use super::testing::{Side, meet, sessions, side};
use super::*;
use crate::hash::{ChainId, Tag};
use crate::keys::{PublicKey, Signature};

/// What each side ends with when `alice` dials `bob` and he lets her in.
fn outcome(alice: &Side, bob: &Side) -> (Result<PeerInfo, HandshakeError>, Result<PeerInfo, HandshakeError>) {
    let (await_answer, admission) = meet(alice, bob).unwrap();
    let (answer, at_bob) = match admission {
        Ok(admission) => {
            let (_, info, answer) = admission.accept().unwrap();
            (answer, Ok(info))
        }
        Err(error) => {
            let HandshakeError::Rejected { answer: Some(answer), .. } = &error else { panic!("{error:?}") };
            (answer.clone(), Err(error))
        }
    };
    (await_answer.on_answer(&answer).map(|(_, info)| info), at_bob)
}

#[test]
fn both_sides_learn_the_other_and_agree_on_the_origin() {
    let (mut alice, bob) = (side(1), side(2));
    alice.node.listen = Some("ws://198.51.100.7:24001/p2p".into());
    alice.node.role = Role::Validator;
    alice.time = Time(5);
    let (at_alice, at_bob) = outcome(&alice, &bob);
    let (at_alice, at_bob) = (at_alice.unwrap(), at_bob.unwrap());
    assert_eq!((at_alice.peer, at_bob.peer), (bob.id(), alice.id()));
    assert_eq!((at_bob.role, at_bob.listen, at_bob.height), (Role::Validator, alice.node.listen.clone(), 1));
    assert_eq!(at_alice.origin, at_bob.origin);
    assert_eq!((at_bob.origin.initiator, at_bob.origin.time), (alice.id(), Time(5)));
}

#[test]
fn unwelcome_peers_are_told_why() {
    let (chain, version) = (side(2).node.chain, PROTOCOL_VERSION);
    type Change = fn(&mut Side);
    let cases: [(&str, Change, Refusal); 4] = [
        (
            "wrong chain",
            |side| side.node.chain = ChainId(Hash([8; 32])),
            Refusal::WrongChain { expected: chain },
        ),
        ("version 0", |side| side.node.version = 0, Refusal::WrongVersion { expected: version }),
        ("version 65535", |side| side.node.version = u16::MAX, Refusal::WrongVersion { expected: version }),
        ("self", |alice| alice.key = side(2).key, Refusal::SelfConnect),
    ];
    for (name, change, refusal) in cases {
        let mut alice = side(1);
        change(&mut alice);
        let (at_alice, at_bob) = outcome(&alice, &side(2));
        assert_eq!(at_alice, Err(HandshakeError::Refused(refusal)), "{name}");
        assert!(matches!(at_bob, Err(HandshakeError::Rejected { refusal: r, .. }) if r == refusal), "{name}");
    }
}

#[test]
fn a_hello_of_an_unknown_form_is_refused_by_its_version() {
    let (initiator, first) = side(1).start();
    let (bob, second) = side(2).respond().on_first(&first).unwrap();
    let future = [&9u16.to_le_bytes()[..], b"who knows"].concat();
    let (_, third) = third_with(initiator, &second, |_, _| future);
    let refusal = Refusal::WrongVersion { expected: PROTOCOL_VERSION };
    assert!(
        matches!(bob.on_hello(&third), Err(HandshakeError::Rejected { refusal: r, answer: Some(_) }) if r == refusal)
    );
}

#[test]
fn an_initiator_refuses_a_responder_of_another_chain() {
    // A responder that welcomes everybody.
    let (alice, mut bob) = (side(1), side(2));
    let (await_answer, admission) = meet(&alice, &bob).unwrap();
    let mut admission = admission.unwrap();
    bob.node.chain = ChainId::default();
    admission.local.node = bob.node;
    let (_, _, answer) = admission.accept().unwrap();
    let refusal = Refusal::WrongChain { expected: alice.node.chain };
    assert_eq!(
        await_answer.on_answer(&answer).unwrap_err(),
        HandshakeError::Rejected { refusal, answer: None }
    );
}

#[test]
fn a_node_may_refuse_for_reasons_of_its_own() {
    for refusal in [Refusal::TooManyPeers, Refusal::Duplicate] {
        let (await_answer, admission) = meet(&side(1), &side(2)).unwrap();
        let answer = admission.unwrap().refuse(refusal).unwrap();
        assert_eq!(await_answer.on_answer(&answer).unwrap_err(), HandshakeError::Refused(refusal));
    }
}

/// The initiator's third message with a hello of the test's making.
fn third_with(
    mut initiator: Initiator,
    second: &[u8],
    plain: impl FnOnce(&Local, &[u8; 32]) -> Vec<u8>,
) -> (Session, Vec<u8>) {
    initiator.exchange.read(second).unwrap();
    let mut third = initiator.exchange.write(MESSAGE_SIZES[2]);
    let (hash, mut session) = initiator.exchange.finish();
    third.extend(session.seal(&plain(&initiator.local, &hash)).unwrap());
    (session, third)
}

#[test]
fn a_hello_that_does_not_prove_its_key_is_refused() {
    let mut identity_point = [0; 32];
    identity_point[0] = 1;
    let small_order = PublicKey(identity_point);
    // (R = identity, s = 0) verifies under the identity point for every message.
    let mut forged = [0; 64];
    forged[0] = 1;
    type Change<'a> = &'a dyn Fn(&mut Hello, &Local, &[u8; 32]);
    let cases: [(&str, Change<'_>); 5] = [
        ("another's key", &|hello, _, _| hello.node_key = side(3).key.public_key()),
        ("the responder's proof", &|hello, local, hash| hello.proof = local.hello(false, hash).proof),
        ("another session's proof", &|hello, local, _| hello.proof = local.hello(true, &[0; 32]).proof),
        ("a changed proof", &|hello, _, _| hello.proof.0[0] ^= 1),
        ("a key of small order", &|hello, _, _| {
            hello.node_key = small_order;
            hello.proof = Signature(forged);
        }),
    ];
    for (name, change) in cases {
        let (initiator, first) = side(1).start();
        let (bob, second) = side(2).respond().on_first(&first).unwrap();
        let (_, third) = third_with(initiator, &second, |local, hash| {
            let mut hello = local.hello(true, hash);
            change(&mut hello, local, hash);
            encode(&hello)
        });
        assert_eq!(bob.on_hello(&third).unwrap_err(), HandshakeError::KeyNotProved, "{name}");
    }
}

#[test]
fn malformed_hellos_are_refused() {
    type Bytes<'a> = &'a dyn Fn(Hello) -> Vec<u8>;
    let cases: [(&str, Bytes<'_>, HandshakeError); 4] = [
        (
            "trailing byte",
            &|h| [encode(&h), vec![0]].concat(),
            HandshakeError::Codec(CodecError::TrailingBytes(1)),
        ),
        ("cut", &|h| encode(&h)[..100].to_vec(), HandshakeError::Codec(CodecError::Malformed)),
        ("empty", &|_| Vec::new(), HandshakeError::Codec(CodecError::Malformed)),
        (
            "URL with a line break",
            &|mut h| {
                h.listen = Some("ws://a\r\nb".into());
                encode(&h)
            },
            HandshakeError::Listen,
        ),
    ];
    for (name, bytes, expected) in cases {
        let (initiator, first) = side(1).start();
        let (bob, second) = side(2).respond().on_first(&first).unwrap();
        let (_, third) = third_with(initiator, &second, |local, hash| bytes(local.hello(true, hash)));
        assert_eq!(bob.on_hello(&third).unwrap_err(), expected, "{name}");
    }
}

#[test]
fn an_unusable_own_url_is_not_advertised() {
    let mut alice = side(1);
    alice.node.listen = Some("x".repeat(LISTEN_SIZE_MAX + 1));
    assert_eq!(outcome(&alice, &side(2)).1.unwrap().listen, None);
    alice.node.listen = Some("x".repeat(LISTEN_SIZE_MAX));
    assert_eq!(outcome(&alice, &side(2)).1.unwrap().listen, alice.node.listen);
}

#[test]
fn a_changed_bit_in_any_message_ends_the_handshake() {
    let (alice, bob) = (side(1), side(2));
    let flips = |message: &[u8]| {
        let message = message.to_vec();
        (0..message.len()).map(move |at| {
            let mut altered = message.clone();
            altered[at] ^= 1;
            (at, altered)
        })
    };
    let (_, first) = alice.start();
    let (_, second) = bob.respond().on_first(&first).unwrap();
    for (at, first) in flips(&first) {
        // Nothing authenticates the first message yet: its change shows in the second.
        let (_, second) = bob.respond().on_first(&first).unwrap();
        assert_eq!(alice.start().0.on_reply(&second).unwrap_err(), HandshakeError::NotNoise, "first {at}");
    }
    for (at, second) in flips(&second) {
        assert_eq!(alice.start().0.on_reply(&second).unwrap_err(), HandshakeError::NotNoise, "second {at}");
    }
    let (_, third) = alice.start().0.on_reply(&second).unwrap();
    for (at, third) in flips(&third) {
        let (await_hello, _) = bob.respond().on_first(&first).unwrap();
        let expected =
            if at < 64 { HandshakeError::NotNoise } else { HandshakeError::Session(SessionError::Forged) };
        assert_eq!(await_hello.on_hello(&third).unwrap_err(), expected, "third {at}");
    }
    let (_, admission) = meet(&alice, &bob).unwrap();
    let (_, _, answer) = admission.unwrap().accept().unwrap();
    for (at, answer) in flips(&answer) {
        let (await_answer, _) = meet(&alice, &bob).unwrap();
        let expected = HandshakeError::Session(SessionError::Forged);
        assert_eq!(await_answer.on_answer(&answer).unwrap_err(), expected, "answer {at}");
    }
}

#[test]
fn messages_of_wrong_sizes_are_refused() {
    let (_, first) = side(1).start();
    for size in [0, 1, 31, 33, 1024, 70_000] {
        assert_eq!(
            side(2).respond().on_first(&vec![9; size]).unwrap_err(),
            HandshakeError::NotNoise,
            "{size}"
        );
        assert_eq!(
            side(1).start().0.on_reply(&vec![9; size]).unwrap_err(),
            HandshakeError::NotNoise,
            "{size}"
        );
        let (await_hello, _) = side(2).respond().on_first(&first).unwrap();
        assert_eq!(await_hello.on_hello(&vec![9; size]).unwrap_err(), HandshakeError::NotNoise, "{size}");
        let (await_answer, _) = meet(&side(1), &side(2)).unwrap();
        assert!(matches!(await_answer.on_answer(&vec![9; size]), Err(HandshakeError::Session(_))), "{size}");
    }
}

#[test]
fn entropy_decides_the_messages_and_the_identity_keeps_them_apart() {
    assert_eq!(side(1).start().1, side(1).start().1);
    let (mut other_entropy, mut other_key) = (side(1), side(3));
    other_entropy.entropy = [9; 32];
    other_key.entropy = [1; 32];
    assert_ne!(side(1).start().1, other_entropy.start().1);
    assert_ne!(side(1).start().1, other_key.start().1, "the same entropy, another key");

    // Even both sides with the same entropy get a working session.
    let (mut alice, mut bob) = (side(1), side(2));
    (alice.entropy, bob.entropy) = ([5; 32], [5; 32]);
    assert!(outcome(&alice, &bob).0.is_ok());
}

#[test]
fn the_handshake_is_known_answer() {
    // Fixed keys, entropy and time: the whole exchange is one value, on every platform.
    let (initiator, first) = side(1).start();
    let (await_hello, second) = side(2).respond().on_first(&first).unwrap();
    let (_, third) = initiator.on_reply(&second).unwrap();
    let (mut bob, info, answer) = await_hello.on_hello(&third).unwrap().accept().unwrap();
    let frame = bob.seal(b"frame").unwrap();
    let transcript = Tag::new("test").hash(&[&first, &second, &third, &answer, &frame, &info.origin.id.0]);
    assert_eq!(transcript.to_string(), "a2e6f03c5a8245fe7100a854753ecf6a27449d30fa20905352b9f1e7b11471c4");
}

#[test]
fn handshake_messages_fit_the_limit_of_the_driver() {
    use crate::codec::Wire;
    use crate::peer::session::sealed_size;
    assert!(MESSAGE_SIZES[2] + sealed_size(Hello::SIZE_MAX) <= HANDSHAKE_SIZE_MAX);
    assert!(sealed_size(Answer::SIZE_MAX) <= HANDSHAKE_SIZE_MAX);
}

#[test]
fn both_sides_keep_the_same_one_of_two_sessions() {
    let (small, large) = (PeerId(PublicKey([1; 32])), PeerId(PublicKey([2; 32])));
    let origin = |initiator, time, id| Origin { initiator, time: Time(time), id: Hash([id; 32]) };
    let cases = [
        ("the smaller key's, though older", origin(small, 1, 9), origin(large, 2, 1)),
        ("the later of one opener's", origin(large, 2, 9), origin(large, 1, 1)),
        ("of one opener and time, the smaller id", origin(small, 1, 1), origin(small, 1, 2)),
    ];
    for (name, stays, goes) in cases {
        assert_eq!(keep(&stays, &goes), Keep::Existing, "{name}");
        assert_eq!(keep(&goes, &stays), Keep::New, "{name}");
        assert_eq!(keep(&stays, &stays), Keep::Existing, "{name}");
    }
}

#[test]
fn states_do_not_print_their_keys() {
    assert_eq!(format!("{:?}", side(1).start().0), "Initiator { .. }");
    assert!(!format!("{:?}", sessions().0).contains("key"));
}
