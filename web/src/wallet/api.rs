//! The wallet's methods, and its place in the node: opened with it, brought up to date whenever the chain moves, locked in
//! time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use futures::channel::{mpsc, oneshot};
use futures::future::LocalBoxFuture;
use futures::lock::Mutex;
use futures::{FutureExt, StreamExt, select_biased};
use timecoin_core::driver::light::Source;
use timecoin_core::hash::TxId;
use timecoin_core::node::Chain;
use timecoin_core::vote::Height;
use timecoin_core::wallet::keystore::{KdfCost, KeystoreEntropy};
use wasm_bindgen_futures::spawn_local;
use zeroize::Zeroizing;

use super::{
    Changed, History, MasternodeChange, NewWallet, Payment, Position, Quote, Wallet, WalletAddress,
    WalletError, WalletStatus, WalletView,
};
use crate::api::types::{Answer, Nothing};
use crate::api::{ApiError, Code};
use crate::net::Peers;
use crate::node::Node;
use crate::platform::{entropy, now, sleep_ms, within};
use crate::store::{IndexedDbStore, StoreError};

/// Between two looks at the clock.
const TICK_MS: u64 = 1_000;
/// Blocks may come in faster than anybody can read a balance.
const PAUSE_MS: u64 = 100;
/// What the browser gets to open the wallet's database, each time it is asked.
const OPEN_MS: u64 = 3_000;
const OPEN_ATTEMPTS: u32 = 5;

crate::api! {
    params PasswordParams {
        password: String,
    }

    params RestoreParams {
        /// In order, separated by spaces.
        words: String,
        password: String,
        /// The block at which its history begins; the first where it is left out.
        from: Option<u64>,
    }

    params BackupParams {
        positions: Vec<Position>,
    }

    params UnlockParams {
        password: String,
        /// At most a day.
        minutes: Option<u32>,
    }

    params LabelParams {
        label: Option<String>,
    }

    /// Recovery words, in order.
    struct Words {
        words: Vec<String>,
    }

    /// A payment that is on its way.
    struct Sent {
        txid: TxId,
    }
}

crate::methods! {
    /// Whether there is a wallet, and whether it is open.
    "wallet.status"(Nothing) -> WalletStatus = status;
    /// Makes a wallet, unlocked; gives its words.
    once "wallet.create"(PasswordParams) -> Words = create;
    /// Brings a wallet back from its words, unlocked.
    once "wallet.restore"(RestoreParams) -> () = restore;
    /// Checks some words against those that were to be written down.
    "wallet.confirm_backup"(BackupParams) -> () = confirm_backup;
    /// Opens the wallet for a while.
    "wallet.unlock"(UnlockParams) -> () = unlock;
    /// Wipes the keys from memory.
    "wallet.lock"(Nothing) -> () = lock;
    /// The words, for the password.
    "wallet.words"(PasswordParams) -> Words = words;
    /// Removes the wallet from this browser.
    "wallet.forget"(PasswordParams) -> () = forget;
    /// The address to be paid at.
    "wallet.address"(Nothing) -> String = address;
    /// A further address.
    once "wallet.new_address"(LabelParams) -> String = new_address;
    /// Every address given out or used.
    "wallet.addresses"(Nothing) -> Vec<WalletAddress> = addresses;
    /// What the wallet holds.
    "wallet.view"(Nothing) -> WalletView = view;
    /// Every payment, newest first.
    "wallet.history"(Nothing) -> Answer<History> = history;
    /// What a payment would cost.
    "wallet.quote"(Payment) -> Quote = quote;
    /// Pays. Asked for twice under one `id`, it pays once.
    "wallet.send"(Payment) -> Sent = send;
    /// Registers a masternode, rotates its operator or retires it; without an `id` it says what that would cost. Asked for
    /// twice under one `id`, it is done once.
    "wallet.masternode"(MasternodeChange) -> Changed = change_masternode;
}

/// The wallet of a page: its own database, so that the chain's can go without it.
pub type PageWallet = Wallet<IndexedDbStore>;

/// The wallet's place in a node.
pub struct Purse {
    chain: Arc<Chain>,
    name: String,
    wallet: RefCell<Option<Rc<PageWallet>>>,
    opening: Mutex<()>,
    bell: RefCell<mpsc::Sender<()>>,
    rung: Cell<Option<mpsc::Receiver<()>>>,
    /// Those that payments were handed to.
    peers: RefCell<Vec<<Peers as Source>::Peer>>,
}

impl Purse {
    /// A wallet that is not opened yet; `store` names the chain's database.
    #[must_use]
    pub fn new(chain: Arc<Chain>, store: &str) -> Self {
        let (bell, rung) = mpsc::channel(1);
        Self {
            chain,
            name: format!("{store} wallet"),
            wallet: RefCell::default(),
            opening: Mutex::default(),
            bell: RefCell::new(bell),
            rung: Cell::new(Some(rung)),
            peers: RefCell::default(),
        }
    }

    /// Opens the database and reads the wallet. WebKit at times never answers the first time a new Worker asks for a database
    /// that an ended one had open; asked again, it does.
    async fn open(&self) -> Result<PageWallet, ApiError> {
        for _ in 0..OPEN_ATTEMPTS {
            let opened = within(OPEN_MS, async {
                let store = IndexedDbStore::open(self.name.clone()).await?;
                Ok::<_, ApiError>(Wallet::open(Arc::clone(&self.chain), store, KdfCost::default()).await?)
            });
            if let Some(opened) = opened.await {
                return opened;
            }
        }
        Err(ApiError::new(Code::StoreLost, "The browser does not answer for the wallet's database."))
    }

    /// Something happened that concerns the wallet: the chain moved.
    pub fn ring(&self) {
        // A full bell has rung already.
        let _ = self.bell.borrow_mut().try_send(());
    }
}

impl Node {
    /// The wallet, opened with the first call.
    async fn wallet(self: &Rc<Self>) -> Result<Rc<PageWallet>, ApiError> {
        let purse = self.purse();
        let _turn = purse.opening.lock().await;
        if let Some(wallet) = &*purse.wallet.borrow() {
            return Ok(Rc::clone(wallet));
        }
        // Money is never kept where a closed tab would lose it: no database, no wallet.
        let wallet = Rc::new(purse.open().await?);
        let (node, told) = (Rc::downgrade(self), Rc::downgrade(&wallet));
        wallet.on_change(move || {
            if let (Some(node), Some(wallet)) = (node.upgrade(), told.upgrade())
                && let Ok(view) = wallet.view(now())
            {
                node.show_wallet(&view);
            }
        });
        let node = Rc::downgrade(self);
        wallet.on_sending(move |txid| {
            if let Some(node) = node.upgrade() {
                node.record_phases(txid);
            }
        });
        purse.wallet.replace(Some(Rc::clone(&wallet)));
        Ok(wallet)
    }

    /// Follows the chain for the wallet, for as long as the node runs.
    pub(crate) async fn keep_wallet(self: Rc<Self>) {
        let Some(mut rung) = self.purse().rung.take() else { return };
        loop {
            self.follow_with_wallet().await;
            sleep_ms(PAUSE_MS).await;
            let mut tick = core::pin::pin!(sleep_ms(TICK_MS).fuse());
            select_biased! {
                _ = rung.next() => {}
                () = tick => {}
            }
        }
    }

    async fn follow_with_wallet(self: &Rc<Self>) {
        // Whoever asks for the wallet is told why it cannot be opened.
        let Ok(wallet) = self.wallet().await else { return };
        wallet.lock_in_time(now());
        let Some(client) = self.client() else { return };
        let peers = client.source().peers();
        if *self.purse().peers.borrow() != peers {
            // Payments on their way are handed over to those there are now.
            wallet.peers_changed();
            self.purse().peers.replace(peers.clone());
        }
        if !peers.is_empty() {
            // What is wrong is in the view.
            let _ = wallet.refresh(&client).await;
            self.settle();
        }
    }

    /// What a new subscriber hears first.
    pub(crate) fn wallet_now(&self) -> Option<WalletView> {
        self.purse().wallet.borrow().as_ref()?.view(now()).ok()
    }
}

/// Runs work that must come to its end, though the page may take its call back.
async fn unbroken<T: 'static>(
    work: impl Future<Output = Result<T, ApiError>> + 'static,
) -> Result<T, ApiError> {
    // One form for all works with such an answer: the payload has it once.
    run_unbroken(work.boxed_local()).await
}

async fn run_unbroken<T: 'static>(work: LocalBoxFuture<'static, Result<T, ApiError>>) -> Result<T, ApiError> {
    let (done, outcome) = oneshot::channel();
    spawn_local(async move {
        // Nobody may be waiting any more.
        let _ = done.send(work.await);
    });
    outcome.await.unwrap_or_else(|_| Err(ApiError::new(Code::Cancelled, "It was taken back.")))
}

fn keystore_entropy() -> KeystoreEntropy {
    let (one, two) = (entropy(), entropy());
    let mut made = KeystoreEntropy { salt: [0; 16], nonce: [0; 24] };
    made.salt.iter_mut().zip(one).for_each(|(byte, random)| *byte = random);
    made.nonce.iter_mut().zip(two).for_each(|(byte, random)| *byte = random);
    made
}

async fn status(node: &Rc<Node>, Nothing {}: Nothing) -> Result<WalletStatus, ApiError> {
    Ok(node.wallet().await?.status(now())?)
}

async fn create(node: &Rc<Node>, PasswordParams { password }: PasswordParams) -> Result<Words, ApiError> {
    let (password, wallet) = (Zeroizing::new(password), node.wallet().await?);
    // No coin can be older than the keys: what is verified by now need not be looked through.
    let born = node.client().map_or(Height(0), |client| client.height());
    let work = async move {
        let random = Zeroizing::new(entropy());
        let fresh = random.first_chunk::<16>().copied().map(Zeroizing::new).unwrap_or_default();
        let new = NewWallet { password: &password, born, entropy: keystore_entropy() };
        Ok(Words { words: wallet.create(new, &*fresh, now()).await? })
    };
    let made = unbroken(work).await;
    node.purse().ring();
    made
}

async fn restore(node: &Rc<Node>, params: RestoreParams) -> Result<(), ApiError> {
    let (password, words) = (Zeroizing::new(params.password), Zeroizing::new(params.words));
    let (wallet, born) = (node.wallet().await?, Height(params.from.unwrap_or_default()));
    let work = async move {
        let new = NewWallet { password: &password, born, entropy: keystore_entropy() };
        Ok(wallet.restore(new, &words, now()).await?)
    };
    let made = unbroken(work).await;
    node.purse().ring();
    made
}

async fn confirm_backup(node: &Rc<Node>, BackupParams { positions }: BackupParams) -> Result<(), ApiError> {
    let wallet = node.wallet().await?;
    unbroken(async move { Ok(wallet.confirm_backup(&positions, now()).await?) }).await
}

async fn unlock(node: &Rc<Node>, UnlockParams { password, minutes }: UnlockParams) -> Result<(), ApiError> {
    let (password, wallet) = (Zeroizing::new(password), node.wallet().await?);
    unbroken(async move { Ok(wallet.unlock(&password, minutes, now()).await?) }).await?;
    node.purse().ring();
    Ok(())
}

async fn lock(node: &Rc<Node>, Nothing {}: Nothing) -> Result<(), ApiError> {
    node.wallet().await?.lock();
    Ok(())
}

async fn words(node: &Rc<Node>, PasswordParams { password }: PasswordParams) -> Result<Words, ApiError> {
    let password = Zeroizing::new(password);
    Ok(Words { words: node.wallet().await?.words(&password)? })
}

async fn forget(node: &Rc<Node>, PasswordParams { password }: PasswordParams) -> Result<(), ApiError> {
    let (password, wallet) = (Zeroizing::new(password), node.wallet().await?);
    unbroken(async move { Ok(wallet.forget(&password).await?) }).await
}

async fn address(node: &Rc<Node>, Nothing {}: Nothing) -> Result<String, ApiError> {
    let wallet = node.wallet().await?;
    unbroken(async move { Ok(wallet.address(now()).await?) }).await
}

async fn new_address(node: &Rc<Node>, LabelParams { label }: LabelParams) -> Result<String, ApiError> {
    let wallet = node.wallet().await?;
    unbroken(async move { Ok(wallet.new_address(&label.unwrap_or_default(), now()).await?) }).await
}

async fn addresses(node: &Rc<Node>, Nothing {}: Nothing) -> Result<Vec<WalletAddress>, ApiError> {
    Ok(node.wallet().await?.addresses(now())?)
}

async fn view(node: &Rc<Node>, Nothing {}: Nothing) -> Result<WalletView, ApiError> {
    Ok(node.wallet().await?.view(now())?)
}

async fn history(node: &Rc<Node>, Nothing {}: Nothing) -> Result<Answer<History>, ApiError> {
    let (wallet, client) = (node.wallet().await?, node.opened().await?);
    let (history, proof) = wallet.history(&client).await?;
    Ok(Answer::new(history, &proof, true))
}

async fn quote(node: &Rc<Node>, payment: Payment) -> Result<Quote, ApiError> {
    let (wallet, client) = (node.wallet().await?, node.opened().await?);
    Ok(wallet.quote(&client, &payment)?)
}

async fn send(node: &Rc<Node>, payment: Payment) -> Result<Sent, ApiError> {
    let (wallet, client) = (node.wallet().await?, node.opened().await?);
    let name = entropy().first_chunk::<16>().copied().unwrap_or_default();
    unbroken(async move { Ok(Sent { txid: wallet.send(&client, &payment, name).await? }) }).await
}

async fn change_masternode(node: &Rc<Node>, change: MasternodeChange) -> Result<Changed, ApiError> {
    let (wallet, client) = (node.wallet().await?, node.opened().await?);
    unbroken(async move { Ok(wallet.change_masternode(&client, &change).await?) }).await
}

impl From<WalletError> for ApiError {
    fn from(error: WalletError) -> Self {
        let code = match &error {
            WalletError::Store(error) => {
                error.downcast_ref::<StoreError>().map_or(Code::StoreFailed, StoreError::api_code)
            }
            error => Code::named(error.code()),
        };
        let made = Self::new(code, crate::api::error::sentence(&error));
        match error {
            WalletError::Client { reason, .. } => Self { reason, ..made },
            _ => made,
        }
    }
}
