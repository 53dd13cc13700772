//! Where a liar has the truth from.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use timecoin_core::answer::{PhaseChange, Question, Reply};
use timecoin_core::codec::{decode, encode};
use timecoin_core::driver::light::Unanswered;
use timecoin_core::hash::ChainId;
use timecoin_core::sync::wire::Status;
use timecoin_core::testing::epochs::EpochChain;
use timecoin_core::vote::Height;
use tokio::sync::{broadcast, watch};

use crate::session::{Session, SessionError};

/// Where the truth is from.
#[derive(Debug)]
pub enum Truth {
    /// A real node, asked as a light node asks.
    Node(Session),
    /// A chain whose blocks are made when they are asked for: light blocks, and nothing else.
    Epochs(Box<Epochs>),
}

/// A chain of epochs up to a height.
#[derive(Debug)]
pub struct Epochs {
    chain: EpochChain,
    status: watch::Sender<Option<Status>>,
    /// Encoded: what was asked before costs no time, so that who measures a client measures the client.
    replies: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

/// What is told of transactions, where anything is.
pub(super) struct Phases(Option<broadcast::Receiver<Vec<PhaseChange>>>);

impl Phases {
    /// The next changes; waits for ever where there are none.
    pub(super) async fn recv(&mut self) -> Option<Vec<PhaseChange>> {
        match &mut self.0 {
            Some(phases) => loop {
                match phases.recv().await {
                    Ok(changes) => return Some(changes),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            },
            None => std::future::pending().await,
        }
    }
}

impl Truth {
    /// A real node.
    ///
    /// # Errors
    /// If there is none of this chain.
    pub async fn of_node(url: &str, chain: ChainId) -> Result<Self, SessionError> {
        let session = Session::dial(url, chain).await?;
        let mut status = session.status();
        // Without it nothing can be said of the chain; a session that ends is noticed later.
        let _ = status.wait_for(Option::is_some).await;
        Ok(Self::Node(session))
    }

    /// A made-up chain up to a height.
    #[must_use]
    pub fn of_epochs(chain: EpochChain, height: Height) -> Self {
        let certificate = Some(chain.light_block(height).certificate);
        let status = Status { lowest: Height(0), height, certificate };
        let (status, replies) = (watch::Sender::new(Some(status)), Mutex::default());
        Self::Epochs(Box::new(Epochs { chain, status, replies }))
    }

    /// How far it is; none once there is nobody to ask.
    pub(super) fn status(&self) -> watch::Receiver<Option<Status>> {
        match self {
            Self::Node(session) => session.status(),
            Self::Epochs(epochs) => epochs.status.subscribe(),
        }
    }

    pub(super) fn phases(&self) -> Phases {
        match self {
            Self::Node(session) => Phases(Some(session.phases())),
            Self::Epochs(_) => Phases(None),
        }
    }

    pub(super) async fn ask(&self, question: &Question) -> Result<Reply, Unanswered> {
        match self {
            Self::Node(session) => loop {
                match session.ask(question).await {
                    Err(Unanswered::Busy { retry_after_ms }) => {
                        tokio::time::sleep(Duration::from_millis(retry_after_ms.into())).await;
                    }
                    answered => return answered,
                }
            },
            Self::Epochs(epochs) => {
                let mut replies = epochs.replies.lock().unwrap_or_else(PoisonError::into_inner);
                let reply =
                    replies.entry(encode(question)).or_insert_with(|| encode(&epochs.chain.reply(question)));
                decode(reply).map_err(|_| Unanswered::Gone)
            }
        }
    }
}
