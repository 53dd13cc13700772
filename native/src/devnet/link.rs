//! A connection to a node that comes back when the node does: nodes may be killed and started again.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::api::{Api, FinalBlock};
use crate::client::{Client, ClientError};

/// How often a node that is gone is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// Blocks a slow reader may be behind.
const BLOCKS_MAX: usize = 1024;

/// Makes of a new connection what it is kept for.
pub(super) type Open<T> = fn(Api) -> BoxFuture<'static, Result<T, ClientError>>;

/// A connection to one node, and what was made of it.
pub(super) struct Link<T> {
    now: Arc<ArcSwapOption<T>>,
    task: AbortHandle,
}

impl<T: Borrow<Api> + Send + Sync + 'static> Link<T> {
    /// Keeps a connection to a node that answers, from now on.
    ///
    /// # Errors
    /// If it does not answer.
    pub(super) async fn keep(url: &str, open: Open<T>) -> Result<Self, ClientError> {
        let first = Arc::new(open(Api::new(Client::connect(url, None).await?)).await?);
        let now = Arc::new(ArcSwapOption::new(Some(first)));
        let task = tokio::spawn(keep_connecting(url.to_owned(), open, now.clone()));
        Ok(Self { now, task: task.abort_handle() })
    }

    /// The connection, while there is one.
    pub(super) fn now(&self) -> Option<Arc<T>> {
        self.now.load_full()
    }
}

impl<T> Drop for Link<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_connecting<T: Borrow<Api>>(url: String, open: Open<T>, now: Arc<ArcSwapOption<T>>) {
    loop {
        if let Some(connection) = now.load_full() {
            let api: &Api = (*connection).borrow();
            api.client().closed().await;
            now.store(None);
        }
        sleep(RETRY_INTERVAL).await;
        if let Ok(client) = Client::connect(&url, None).await
            && let Ok(connection) = open(Api::new(client)).await
        {
            now.store(Some(Arc::new(connection)));
        }
    }
}

/// The blocks that become final after a height, each once, from whichever node is there.
pub(super) fn blocks(links: Vec<Arc<Link<Api>>>, mut newest: u64) -> mpsc::Receiver<FinalBlock> {
    let (sender, receiver) = mpsc::channel(BLOCKS_MAX);
    tokio::spawn(async move {
        while !sender.is_closed() {
            if let Some(api) = links.iter().find_map(|link| link.now()) {
                // Whatever ends it, the next node goes on.
                let _ = follow(&api, &mut newest, &sender).await;
            }
            sleep(RETRY_INTERVAL).await;
        }
    });
    receiver
}

/// Passes on the blocks of one node until it is gone, and first those that nobody told of meanwhile.
async fn follow(api: &Api, newest: &mut u64, sender: &mpsc::Sender<FinalBlock>) -> Result<(), ClientError> {
    let mut blocks = api.final_blocks().await?;
    for height in *newest + 1..=api.status().await?.height {
        pass_on(api.block(height).await?, newest, sender).await;
    }
    loop {
        tokio::select! {
            block = blocks.recv() => match block {
                Some(block) => pass_on(block, newest, sender).await,
                None => return Ok(()),
            },
            () = api.client().closed() => return Ok(()),
        }
    }
}

async fn pass_on(block: FinalBlock, newest: &mut u64, sender: &mpsc::Sender<FinalBlock>) {
    if *newest < block.height {
        *newest = block.height;
        // Whoever listened may be gone.
        let _ = sender.send(block).await;
    }
}
