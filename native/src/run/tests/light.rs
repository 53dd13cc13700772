//! A light node over a real session: it pays, watches, and believes only what is proved.

use timecoin_core::answer::{Located, PhaseChange, Question, Reply};
use timecoin_core::codec::encode;
use timecoin_core::light::{AgePolicy, Bisection, Options as LightOptions, Progress, Trusted};
use timecoin_core::message::Message;
use timecoin_core::node::TransactionPhase;
use timecoin_core::peer::handshake::PeerId;
use timecoin_core::receipt::{Payment, Receipt};
use timecoin_core::spec::Checkpoint;
use timecoin_core::sync::wire::RequestId;
use timecoin_core::vote::Height;

use super::*;
use crate::net::NetEvent;

struct LightNode {
    network: Network,
    events: mpsc::Receiver<NetEvent>,
    server: PeerId,
    asked: u64,
    height: Height,
    phases: Vec<PhaseChange>,
}

impl LightNode {
    async fn connect(cluster: &Cluster, at: usize) -> Self {
        let (network, events) = Network::new(NetConfig {
            identity: SecretKey::from_seed(&[77; 32]),
            chain: cluster.chain.id,
            role: Role::Light,
            listen: None,
            trust: Trust::default(),
            limits: net::Limits::default(),
        });
        let url = format!("ws://{}/p2p", cluster.nodes[at].as_ref().unwrap().address);
        let server = network.dial(&url).await.unwrap();
        Self { network, events, server, asked: 0, height: Height(0), phases: Vec::new() }
    }

    /// The next message that is not news.
    async fn next(&mut self) -> Option<Message> {
        let event = timeout(WAIT, self.events.recv()).await.expect("heard in time").expect("connected");
        let NetEvent::Frame { bytes, .. } = event else { return None };
        match Message::from_frame(&bytes).unwrap() {
            Message::Status(status) => self.height = status.height,
            Message::Phases(changes) => self.phases.extend(changes),
            Message::Ping(number) => self.send(&Message::Pong(number)),
            Message::Peers(_) => panic!("records are not passed on to light nodes"),
            message => return Some(message),
        }
        None
    }

    fn send(&self, message: &Message) {
        self.network.send(&self.server, encode(message)).unwrap();
    }

    async fn ask(&mut self, question: Question) -> Reply {
        self.asked += 1;
        self.send(&Message::Ask(RequestId(self.asked), question.clone()));
        loop {
            match self.next().await {
                Some(Message::Answer(id, reply)) => {
                    assert_eq!(id.0, self.asked);
                    assert!(encode(&reply).len() <= question.reply_size_max());
                    return *reply;
                }
                Some(gossip) => panic!("{gossip:?}"),
                None => {}
            }
        }
    }

    async fn follow(&mut self, trusted: &Trusted, target: Height, options: &LightOptions) -> Bisection {
        let mut bisection = Bisection::new(trusted.clone(), target, options.clone());
        let set = &trusted.next_validators;
        while let Progress::Need(height) = bisection.progress() {
            let question = Question::LightBlock { height, known: Some(set.hash()) };
            let Reply::LightBlock(block) = self.ask(question).await else { panic!("no block {height}") };
            bisection.feed(block.with(Some(set)).unwrap(), clock::now());
        }
        assert_eq!(bisection.progress(), Progress::Done);
        bisection
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_light_node_pays_watches_and_verifies_over_a_real_session() {
    let mut cluster = Cluster::new(2);
    for at in 0..2 {
        cluster.start(at, true).await;
    }
    let mut light = LightNode::connect(&cluster, 1).await;
    let signed = cluster.payment(0, Amount(100_000));
    let (txid, output) = (signed.transaction.id(), signed.transaction.outputs[0]);
    assert_eq!(light.ask(Question::Watch(vec![txid])).await, Reply::Watch(Vec::new()));
    assert_eq!(light.ask(Question::Submit(Box::new(signed.clone()))).await, Reply::Submit(Ok(txid)));
    let finalized = PhaseChange { txid, phase: Some(TransactionPhase::Finalized) };
    while light.phases.last() != Some(&finalized) {
        light.next().await;
    }
    assert_eq!(light.phases[0].phase, Some(TransactionPhase::Pending));

    // The session says so; the chain of certificates from the light node's own genesis proves it.
    let first = genesis(&cluster.chain.spec.consensus).unwrap();
    let anchor = Trusted {
        height: Height(0),
        id: first.state.id,
        time: first.state.header.time,
        next_validators: (*first.state.validators).clone(),
    };
    let options = LightOptions::new(Arc::new(cluster.chain.spec.consensus.clone()), AgePolicy::AnyAge);
    let Reply::Transaction(located) = light.ask(Question::Transaction(txid)).await else { panic!() };
    let Located::Final { header, signed: found, index, left, path } = *located else { panic!("final") };
    assert_eq!(found, signed);
    let bisection = light.follow(&anchor, header.height, &options).await;
    assert_eq!(bisection.trusted().id, header.id());
    let Reply::Block(block) = light.ask(Question::Block(header.height)).await else { panic!() };
    assert!(block.header == *header && block.body.is_committed_by(&header));
    let payment = Payment::in_block(&block.body.transactions, index as usize).unwrap();
    assert_eq!((payment.left, &payment.path), (left, &path), "the path it was told");
    let receipt = Receipt::under_trace(&anchor, bisection.trace(), None, payment).unwrap();
    let anchors = [Checkpoint::of(&first.state.header)];
    let proved = receipt.verify(&anchors, &options, clock::now()).unwrap();
    assert_eq!((proved.txid, proved.outputs), (txid, vec![output]));

    let Reply::Balances(answer) = light.ask(Question::Balances(vec![output.owner])).await else { panic!() };
    let header = answer.opening.header.clone();
    let answer = answer.each().next().unwrap();
    let (total, coins) = answer.verify(&output.owner).unwrap();
    assert!(coins >= 8 && total > Amount::from_time(799), "{coins} coins of {total}");
    let bisection = light.follow(&anchor, header.height, &options).await;
    assert_eq!(bisection.trusted().id, header.id());

    // Blocks go on, and so do the statuses: nothing else was pushed, or `ask` had panicked.
    let height = header.height;
    cluster.pay(1, 0).await;
    while light.height <= height {
        light.next().await;
    }
}
