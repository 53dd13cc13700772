//! Hostile peers over real sockets: refused, scored off, banned; the node goes on.

use timecoin_core::codec::encode;
use timecoin_core::hash::{BlockId, Hash};
use timecoin_core::keys::Signature;
use timecoin_core::message::{Message, Request};
use timecoin_core::node::{Offence, Parting};
use timecoin_core::peer::handshake::{HandshakeError, Refusal};
use timecoin_core::sync::wire::{Query, RequestId};
use timecoin_core::vote::{Height, Phase, ViewNumber, Vote, VoteData};
use tokio::sync::broadcast;

use super::*;
use crate::net::{ConnectError, NetEvent};

/// A peer that speaks the protocol and says what it likes.
struct Hostile {
    network: Network,
    events: mpsc::Receiver<NetEvent>,
    url: String,
    node: timecoin_core::peer::handshake::PeerId,
    notices: broadcast::Receiver<Arc<Notice>>,
}

impl Hostile {
    async fn connect(cluster: &Cluster, seed: u8) -> Self {
        let limits = net::Limits {
            outbox_frames_max: 20_000,
            outbox_bytes_max: 64 << 20,
            outbox_total_max: 64 << 20,
            ..net::Limits::default()
        };
        let (network, events) = Network::new(NetConfig {
            identity: SecretKey::from_seed(&[seed; 32]),
            chain: cluster.chain.id,
            role: Role::Full,
            listen: None,
            trust: Trust::default(),
            limits,
        });
        let notices = cluster.handle(0).notices();
        let url = format!("ws://{}/p2p", cluster.nodes[0].as_ref().unwrap().address);
        let node = network.dial(&url).await.unwrap();
        Self { network, events, url, node, notices }
    }

    fn send(&self, frame: Vec<u8>) {
        // The node may have closed the session already.
        let _ = self.network.send(&self.node, frame);
    }

    /// What the node held against this peer until it ended the session.
    async fn parted(&mut self) -> (Vec<Offence>, Parting) {
        let mut offences = Vec::new();
        let own = self.network.id();
        let parting = async {
            loop {
                match self.notices.recv().await {
                    Ok(notice) => match &*notice {
                        Notice::Offence(peer, offence) if *peer == own => offences.push(*offence),
                        Notice::Parted(peer, parting) if *peer == own => return *parting,
                        _ => {}
                    },
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => panic!("the node stopped"),
                }
            }
        };
        let parting = timeout(WAIT, parting).await.expect("parted in time");
        (offences, parting)
    }

    async fn is_refused(&self, cluster: &Cluster) {
        let refused = self.network.dial(&self.url).await.unwrap_err();
        assert_eq!(refused, ConnectError::Handshake(HandshakeError::Refused(Refusal::Banned)));
        assert!(cluster.handle(0).bans().contains_key(&self.network.id()), "bans are visible");
    }
}

fn vote(at: u64) -> Message {
    let data = VoteData {
        phase: Phase::Prepare,
        height: Height(1),
        view: ViewNumber(0),
        block: Some(BlockId(Hash([1; 32]))),
        valid_view: None,
    };
    let mut signature = [0; 64];
    signature[..8].copy_from_slice(&at.to_le_bytes());
    Message::Votes(vec![Vote { data, validator: 0, signature: Signature(signature) }])
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_invalid_signatures_are_scored_off_after_64() {
    let mut cluster = Cluster::new(1);
    cluster.start(0, true).await;
    let mut hostile = Hostile::connect(&cluster, 91).await;
    (0..10_000).for_each(|at| hostile.send(encode(&vote(at))));
    let (offences, parting) = hostile.parted().await;
    assert!(matches!(parting, Parting::Banned { .. }), "{parting:?}");
    assert!(offences.len() <= 64, "{}", offences.len());
    assert!(offences.iter().all(|offence| *offence == Offence::InvalidSignature), "{offences:?}");
    hostile.is_refused(&cluster).await;
    cluster.pay(0, 0).await;
    cluster.stop(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_no_messages_end_in_a_ban_and_the_node_goes_on() {
    let mut cluster = Cluster::new(1);
    cluster.start(0, true).await;
    let ping = encode(&Message::Ping(1));
    let claims = |tag: u32, count: u64| [&tag.to_le_bytes()[..], &count.to_le_bytes()].concat();
    let nested = [&claims(3, 1 << 20)[..], &[0xff; 4096]].concat();
    let table = [
        ("empty", Vec::new(), Offence::MalformedFrame),
        ("unknown kind", claims(u32::MAX, 0), Offence::MalformedFrame),
        ("trailing bytes", [&encode(&Message::WantPeers)[..], &[0]].concat(), Offence::Oversized),
        ("a list of 2^64 votes", claims(7, u64::MAX), Offence::MalformedFrame),
        ("a list of 2^32 transactions", claims(3, 1 << 32), Offence::MalformedFrame),
        ("lists in a list", nested, Offence::MalformedFrame),
        ("a ping of 4 MiB", [&ping[..], &vec![0; (4 << 20) - 12]].concat(), Offence::Oversized),
    ];
    for (seed, (name, frame, expected)) in (100..).zip(table) {
        let mut hostile = Hostile::connect(&cluster, seed).await;
        (0..5).for_each(|_| hostile.send(frame.clone()));
        let (offences, parting) = hostile.parted().await;
        assert!(matches!(parting, Parting::Banned { .. }), "{name}: {parting:?}");
        assert!(
            offences.len() <= 5 && offences.iter().all(|offence| *offence == expected),
            "{name}: {offences:?}"
        );
        hostile.is_refused(&cluster).await;
    }
    cluster.pay(0, 0).await;
    cluster.stop(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_too_much_is_told_when_to_ask_again_and_may_come_back() {
    let mut cluster = Cluster::new(1);
    cluster.start(0, true).await;
    let mut hostile = Hostile::connect(&cluster, 120).await;
    let mut asked = 0..;
    let mut ask = |hostile: &Hostile, times: usize| {
        for at in asked.by_ref().take(times) {
            let query = Query::Bodies { from: Height(1), count: 16, size_max: u32::MAX };
            hostile.send(encode(&Message::Query(RequestId(at), query)));
        }
    };
    let refused = async {
        loop {
            ask(&hostile, 1);
            let soon = timeout(Duration::from_millis(1), hostile.events.recv()).await;
            if let Ok(Some(NetEvent::Frame { bytes, .. })) = soon
                && let Ok(Message::Busy { request: Request::Query(_), .. }) = Message::from_frame(&bytes)
            {
                break;
            }
        }
    };
    timeout(WAIT, refused).await.expect("told to wait");
    ask(&hostile, 20_000);
    let (offences, parting) = hostile.parted().await;
    assert_eq!((offences, parting), (Vec::new(), Parting::Faults), "being greedy proves nothing");
    assert!(cluster.handle(0).bans().is_empty());
    cluster.pay(0, 0).await;
    cluster.stop(0).await;
}
