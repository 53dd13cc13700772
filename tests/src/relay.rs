//! A relay that writes down every vote: it stands between pages and a native node, with sessions of its own to both.
//!
//! Pages that validate cannot be dialled, and what they send is sealed. So a page under test has relays for its only peers:
//! each of its sessions is joined to a session with the node behind, under a key of its own, and frames are passed on as they
//! are. Every vote that a page sends is on disk here before it goes on, with the operator whose signature it carries; and when a page
//! is shown a proposal is on disk as well, for who measures.
//!
//! A relay can be unfair: it keeps one kind of message from passing, either way, or passes all of it late, or shows the past.
//! Peer records never pass, or pages would leave by other ways.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use timecoin_core::hash::ChainId;
use timecoin_core::keys::{PublicKey, verify};
use timecoin_core::message::{Message, Proposal};
use timecoin_core::peer::handshake::Role;
use timecoin_core::spec::ChainSpec;
use timecoin_core::validators::ValidatorIndex;
use timecoin_core::vote::{Phase, Vote, VoteData};
use timecoin_native::clock::{self, Stopwatch};
use timecoin_native::identity::new_key;
use timecoin_native::net::{DisconnectReason, Limits, NetConfig, NetEvent, Network, Outbox};
use timecoin_native::tls::Trust;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::port::{self, PortError};

/// Frames that [`Unfair::Past`] lets pass before it shows nothing new.
const PAST_FRAMES: usize = 200;

/// What a relay does to those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfair {
    /// It keeps proposals from passing,
    Proposals,
    /// or Prepares,
    Prepares,
    /// or Commits, and with each of the two the certificates that stand for them.
    Commits,
    /// Everything is late by so much.
    Late(Duration),
    /// After a while pages are shown what they were shown before, again and again, and nothing of theirs passes.
    Past,
}

/// What a relay is started with.
#[derive(Debug)]
pub struct Config {
    /// The chain, served at `/spec.json`. Its first masternodes are the operators that are known by their votes.
    pub spec: ChainSpec,
    /// The node behind, `ws://host:port/p2p`.
    pub node: String,
    /// The file of votes, to which is added: a JSON object a line.
    pub votes: PathBuf,
    /// How it is unfair, if it is.
    pub unfair: Option<Unfair>,
    /// Where to listen.
    pub listen: SocketAddr,
}

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// It takes no sessions.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The file of votes cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The votes that pages sent.
struct Book {
    chain: ChainId,
    operators: Vec<PublicKey>,
    /// Whose index was which, the last time: tried first.
    guesses: BTreeMap<ValidatorIndex, PublicKey>,
    file: File,
    begun: Stopwatch,
}

impl Book {
    /// Whose signature it is; none of the operators'.
    fn operator(&mut self, vote: &Vote) -> Option<PublicKey> {
        let message = vote.data.sign_bytes(&self.chain);
        let guess = self.guesses.get(&vote.validator).copied();
        let signs = |operator: &PublicKey| verify(operator, &message, &vote.signature);
        let found = guess.iter().chain(&self.operators).copied().find(signs)?;
        self.guesses.insert(vote.validator, found);
        Some(found)
    }

    /// Writes a vote down.
    fn write(&mut self, session: u64, vote: &Vote) -> io::Result<()> {
        let signature: String = vote.signature.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = json!({
            "at": clock::now().0,
            "at_us": self.begun.elapsed_us(),
            "session": session,
            "operator": self.operator(vote).map(|operator| operator.to_string()),
            "height": vote.data.height.0,
            "view": vote.data.view.0,
            "phase": format!("{:?}", vote.data.phase),
            "block": vote.data.block.map(|block| block.to_string()),
            "valid_view": vote.data.valid_view.map(|view| view.0),
            "signature": signature,
        });
        self.file.write_all(format!("{line}\n").as_bytes())
    }

    /// Writes down that a proposal is about to be shown to a page.
    fn show(&mut self, proposal: &Proposal) -> io::Result<()> {
        let VoteData { height, view, .. } = proposal.vote.data;
        let line =
            json!({ "shown": { "height": height.0, "view": view.0 }, "at_us": self.begun.elapsed_us() });
        self.file.write_all(format!("{line}\n").as_bytes())
    }
}

struct Relay {
    spec: ChainSpec,
    node: String,
    unfair: Option<Unfair>,
    book: Mutex<Book>,
}

/// Starts a relay within a tokio runtime; returns where it takes sessions.
///
/// # Errors
/// If the port or the file cannot be used.
pub async fn start(config: Config) -> Result<String, RelayError> {
    let Config { spec, node, votes, unfair, listen } = config;
    let chain = spec.consensus.id();
    let (_, events, url) = port::open(&spec, listen).await?;
    let operators = spec.consensus.masternodes.iter().map(|masternode| masternode.operator).collect();
    let file = OpenOptions::new().create(true).append(true).open(votes)?;
    let book =
        Mutex::new(Book { chain, operators, guesses: BTreeMap::new(), file, begun: Stopwatch::start() });
    tokio::spawn(Arc::new(Relay { spec, node, unfair, book }).run(events));
    Ok(url)
}

impl Relay {
    async fn run(self: Arc<Self>, mut events: mpsc::Receiver<NetEvent>) {
        let mut pages = BTreeMap::new();
        let mut sessions = 0;
        while let Some(event) = events.recv().await {
            match event {
                NetEvent::Connected { peer, outbox, .. } => {
                    let (frames, waiting) = mpsc::unbounded_channel();
                    sessions += 1;
                    pages.insert(peer, (sessions, frames));
                    tokio::spawn(Arc::clone(&self).join(outbox, waiting));
                }
                NetEvent::Frame { peer, bytes, .. } => {
                    if let Some((session, frames)) = pages.get(&peer)
                        && self.page_said(*session, &bytes)
                    {
                        // Whose other session ended hears soon that this one ends as well.
                        let _ = frames.send(bytes);
                    }
                }
                NetEvent::Disconnected { peer, .. } => _ = pages.remove(&peer),
            }
        }
    }

    /// Passes on what a page and the node say to each other, until one of them leaves.
    async fn join(self: Arc<Self>, page: Outbox, mut said: mpsc::UnboundedReceiver<Vec<u8>>) {
        let Ok(identity) = new_key() else { return page.close(DisconnectReason::Shutdown) };
        let (network, mut events) = Network::new(NetConfig {
            identity,
            chain: self.spec.consensus.id(),
            role: Role::Validator,
            listen: None,
            trust: Trust::default(),
            limits: Limits::default(),
        });
        let Ok(node) = network.dial(&self.node).await else { return page.close(DisconnectReason::NotNeeded) };
        let delay = if let Some(Unfair::Late(delay)) = self.unfair { delay } else { Duration::ZERO };
        let (behind, front) = (network.clone(), page.clone());
        // Who has gone hears nothing.
        let node_hears = late(delay, move |frame| _ = behind.send(&node, frame));
        let page_hears = late(delay, move |frame| _ = front.send(frame));
        let mut past = Past::default();
        loop {
            tokio::select! {
                frame = said.recv() => match frame {
                    Some(frame) if self.unfair == Some(Unfair::Past) && past.is_over() => drop(frame),
                    Some(frame) => node_hears(frame),
                    None => break,
                },
                event = events.recv() => match event {
                    Some(NetEvent::Frame { bytes, .. }) if self.passes(&bytes) => {
                        if let Ok(Message::Proposal(proposal)) = Message::from_frame(&bytes) {
                            // Who measures notices that a line is missing.
                            let _ = self.book().show(&proposal);
                        }
                        page_hears(if self.unfair == Some(Unfair::Past) { past.instead(bytes) } else { bytes });
                    }
                    Some(NetEvent::Frame { .. } | NetEvent::Connected { .. }) => {}
                    Some(NetEvent::Disconnected { .. }) | None => break,
                },
            }
        }
        page.close(DisconnectReason::NotNeeded);
        network.shutdown().await;
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down the votes in a page's frame; whether it passes.
    fn page_said(&self, session: u64, frame: &[u8]) -> bool {
        let votes = match Message::from_frame(frame) {
            Ok(Message::Votes(votes)) => votes,
            Ok(Message::Proposal(proposal)) => vec![proposal.vote],
            _ => Vec::new(),
        };
        let mut book = self.book();
        // A vote that is not written down must not pass.
        votes.iter().all(|vote| book.write(session, vote).is_ok()) && self.passes(frame)
    }

    /// Whether a frame may pass; one that is no message is the receiver's to judge.
    fn passes(&self, frame: &[u8]) -> bool {
        let Ok(message) = Message::from_frame(frame) else { return true };
        let keeps = |phase: Phase| match &message {
            Message::Votes(votes) => votes.iter().any(|vote| vote.data.phase == phase),
            Message::Certificate(certificate) => certificate.data.phase == phase,
            _ => false,
        };
        let kept = match self.unfair {
            Some(Unfair::Proposals) => matches!(message, Message::Proposal(_)),
            Some(Unfair::Prepares) => keeps(Phase::Prepare),
            Some(Unfair::Commits) => keeps(Phase::Commit),
            Some(Unfair::Late(_) | Unfair::Past) | None => false,
        };
        !kept && !matches!(message, Message::Peers(_) | Message::WantPeers)
    }
}

/// Delivers frames in order, each so late.
fn late(delay: Duration, deliver: impl Fn(Vec<u8>) + Send + 'static) -> impl Fn(Vec<u8>) {
    let (frames, mut waiting) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((due, frame)) = waiting.recv().await {
            sleep_until(due).await;
            deliver(frame);
        }
    });
    // Nobody is there any more once the session ends.
    move |frame| _ = frames.send((Instant::now() + delay, frame))
}

/// What a page was shown, to be shown again.
#[derive(Default)]
struct Past {
    frames: Vec<Vec<u8>>,
    next: usize,
}

impl Past {
    /// Whether nothing new is shown any more.
    fn is_over(&self) -> bool {
        self.frames.len() == PAST_FRAMES
    }

    /// What is shown in place of this frame. Answers are as they are: who answers with the past is noticed.
    fn instead(&mut self, frame: Vec<u8>) -> Vec<u8> {
        let is_news = matches!(
            Message::from_frame(&frame),
            Ok(Message::Status(_) | Message::Proposal(_) | Message::Votes(_) | Message::Certificate(_))
        );
        if !is_news {
            return frame;
        }
        if !self.is_over() {
            self.frames.push(frame.clone());
            return frame;
        }
        self.next = (self.next + 1) % PAST_FRAMES;
        self.frames[self.next].clone()
    }
}
