//! What the wallet keeps: a database of its own, apart from the chain's rows, which may be lost and come back by asking.
//!
//! | table | key | row |
//! |---|---|---|
//! | meta | `wallet` | the encrypted words and what only the person knows: not found again anywhere |
//! | meta | `labels` | names of addresses |
//! | meta | `state` | keys, coins, holds: found again by scanning |
//! | meta | `coverage` | how far the blocks were looked at |
//! | activity | (height, position) | one entry of the history |
//! | mempool | transaction id | a payment until nobody asks for it any more |
//!
//! State, coverage and history change together in one batch, so a restart goes on where they ended. What cannot be found
//! again, and a signed payment, is on disk before anybody hears of it.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use timecoin_core::codec::{Wire, decode, encode};
use timecoin_core::driver::scan_all;
use timecoin_core::hash::{ChainId, Owner, TxId};
use timecoin_core::rows::{Batch, ReadSet, Table};
use timecoin_core::store::{Range, Store};
use timecoin_core::vote::Height;
use timecoin_core::wallet::account::Account;
use timecoin_core::wallet::keystore::{KdfCost, Keystore, KeystoreError};
use timecoin_core::wallet::outgoing::Outgoing;
use timecoin_core::wallet::scan::{Coverage, HistoryEntry};
use timecoin_core::wallet::state::WalletState;

use super::WalletError;

const VERSION: u64 = 1;
const WALLET: &[u8] = b"wallet";
const LABELS: &[u8] = b"labels";
const STATE: &[u8] = b"state";
const COVERAGE: &[u8] = b"coverage";

/// The most that opening the keystore may cost: a Worker has less to give than a program.
const COST_MAX: KdfCost = KdfCost { memory_kib: 256 << 10, passes: 10, lanes: 4 };

/// What cannot be found again.
#[derive(Clone, Debug)]
pub(super) struct Secrets {
    pub(super) keystore: Keystore,
    /// The first height to look at.
    pub(super) born: Height,
    pub(super) backed_up: bool,
    /// Whether the keys were made here, at that height: nobody can have paid to them before.
    pub(super) made_here: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WalletRow {
    version: u64,
    chain: ChainId,
    born: Height,
    backed_up: bool,
    #[serde(default)]
    made_here: bool,
    keystore: String,
}

impl Secrets {
    /// A wallet of which nothing is known yet.
    pub(super) fn state(&self, chain: ChainId, account: Account) -> WalletState {
        let state = if self.made_here { WalletState::new } else { WalletState::older };
        state(chain, account, self.born)
    }

    pub(super) fn put(&self, chain: ChainId, batch: &mut Batch) {
        let Self { keystore, born, backed_up, made_here } = self;
        let (born, backed_up, made_here, keystore) = (*born, *backed_up, *made_here, keystore.to_json());
        let row = WalletRow { version: VERSION, chain, born, backed_up, made_here, keystore };
        batch.put(Table::Meta, WALLET, json(&row));
        batch.sync();
    }

    fn read(row: &[u8], chain: ChainId) -> Result<Self, WalletError> {
        let row = core::str::from_utf8(row).map_err(|_| WalletError::Damaged)?;
        let found = timecoin_core::json::version(row).ok_or(WalletError::Damaged)?;
        if found != VERSION {
            return Err(WalletError::Newer { found });
        }
        let row: WalletRow = read(row.as_bytes()).ok_or(WalletError::Damaged)?;
        if row.chain != chain {
            return Err(WalletError::OtherChain { found: row.chain });
        }
        let keystore = Keystore::from_json_within(&row.keystore, COST_MAX).map_err(|error| match error {
            KeystoreError::UnsupportedVersion { found } => WalletError::Newer { found },
            KeystoreError::Malformed => WalletError::Damaged,
            error => WalletError::Keystore(error),
        })?;
        let WalletRow { born, backed_up, made_here, .. } = row;
        Ok(Self { keystore, born, backed_up, made_here })
    }
}

/// Names of addresses.
pub(super) type Labels = BTreeMap<Owner, String>;

pub(super) fn put_labels(labels: &Labels, batch: &mut Batch) {
    batch.put(Table::Meta, LABELS, json(&labels.iter().collect::<Vec<_>>()));
    batch.sync();
}

/// Writes a payment; where it is past, it goes.
pub(super) fn put_payment(payment: &Outgoing, batch: &mut Batch) {
    batch.put(Table::Mempool, payment.txid().0.0, encode(payment));
    batch.sync();
}

pub(super) fn delete_payment(txid: &TxId, batch: &mut Batch) {
    batch.delete(Table::Mempool, txid.0.0);
}

/// What the rows say of the state, so that only what changed is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    state: String,
    /// History below is written.
    next: Height,
}

impl Written {
    /// The writes that make the rows say the same as the state, and what is written then.
    pub(super) fn update(&self, state: &WalletState) -> (Batch, Self) {
        let mut batch = Batch::default();
        let (text, coverage) = (state.to_json_alone(), state.coverage());
        if text != self.state {
            batch.put(Table::Meta, STATE, text.as_bytes());
        }
        batch.put(Table::Meta, COVERAGE, json(&coverage));
        for entry in state.history_from(self.next.min(coverage.next)) {
            batch.put(Table::Activity, place(entry), json(entry));
        }
        (batch, Self { state: text, next: coverage.next })
    }
}

fn place(entry: &HistoryEntry) -> Vec<u8> {
    [&entry.height.0.to_be_bytes()[..], &entry.position.to_be_bytes()].concat()
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data is JSON")
}

fn read<T: DeserializeOwned>(row: &[u8]) -> Option<T> {
    timecoin_core::json::read(core::str::from_utf8(row).ok()?).ok()
}

/// A wallet as its rows have it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) secrets: Secrets,
    pub(super) labels: Labels,
    /// None where the rows do not make one: it is found again by scanning.
    pub(super) state: Option<WalletState>,
    pub(super) written: Written,
    pub(super) payments: Vec<Outgoing>,
}

/// Reads the rows; none where there is no wallet.
pub(super) async fn load<W: Store>(store: &W, chain: ChainId) -> Result<Option<Loaded>, WalletError> {
    let mut reads = ReadSet::default();
    for key in [WALLET, LABELS, STATE, COVERAGE] {
        reads.insert(Table::Meta, key);
    }
    let view = store.load(&reads).await.map_err(WalletError::store)?;
    let row = |key: &[u8]| view.row(Table::Meta, key).map(AsRef::<[u8]>::as_ref);
    let Some(secrets) = row(WALLET) else { return Ok(None) };
    let secrets = Secrets::read(secrets, chain)?;
    let list = row(LABELS).and_then(read::<Vec<(Owner, String)>>);
    let mut labels = Labels::new();
    labels.extend(list.unwrap_or_default());
    let payments = decoded::<Outgoing, W>(store, Table::Mempool).await?;
    let state = row(STATE).and_then(|row| core::str::from_utf8(row).ok());
    let state = state.and_then(|text| WalletState::from_json(text, chain).ok());
    let coverage = row(COVERAGE).and_then(read::<Coverage>);
    let (mut state, mut written) = (state.zip(coverage), Written::default());
    if let Some((state, coverage)) = &mut state {
        let rows = scan_rows(store, Table::Activity).await?;
        let entries: Option<Vec<HistoryEntry>> = rows.iter().map(|row| read(row)).collect();
        match entries {
            Some(entries) => state.recall(entries),
            None => return Ok(Some(Loaded { secrets, labels, state: None, written, payments })),
        }
        state.advance(*coverage);
        written = Written { state: state.to_json_alone(), next: coverage.next };
    }
    Ok(Some(Loaded { secrets, labels, state: state.map(|(state, _)| state), written, payments }))
}

async fn scan_rows<W: Store>(store: &W, table: Table) -> Result<Vec<Vec<u8>>, WalletError> {
    let rows = scan_all(store, table, &Range::default()).await.map_err(|error| match error {
        timecoin_core::driver::DriverError::Store(error) => WalletError::store(error),
        error => WalletError::Store(error.to_string().into()),
    })?;
    Ok(rows.into_iter().map(|(_, value)| value.to_vec()).collect())
}

/// Rows that decode; a signed payment whose row is damaged cannot be sent again by anybody.
async fn decoded<T: Wire, W: Store>(store: &W, table: Table) -> Result<Vec<T>, WalletError> {
    Ok(scan_rows(store, table).await?.iter().filter_map(|row| decode(row).ok()).collect())
}

/// The deletion of every row.
pub(super) async fn deletion<W: Store>(store: &W) -> Result<Batch, WalletError> {
    let mut batch = Batch::default();
    for table in [Table::Meta, Table::Activity, Table::Mempool] {
        let rows = scan_all(store, table, &Range::default()).await;
        let rows = rows.map_err(|error| WalletError::Store(error.to_string().into()))?;
        rows.into_iter().for_each(|(key, _)| batch.delete(table, key));
    }
    batch.sync();
    Ok(batch)
}
