//! Beginning with the state of peers: proved by the chain's certificates, without the blocks that led there.

use super::light::{ClientError, LightClient, Source};
use super::{DriverError, read};
use crate::codec::decode;
use crate::light::Trusted;
use crate::node::{NodeConfig, joined_rows};
use crate::rows::Table;
use crate::schema::{TipRow, meta};
use crate::store::Store;
use crate::validators::ValidatorSet;

/// Why a node cannot begin with the state of peers.
#[derive(Debug, thiserror::Error)]
pub enum JoinError<E: core::error::Error + 'static, F: core::error::Error + 'static> {
    /// The node's store failed, or holds no node.
    #[error(transparent)]
    Driver(DriverError<E>),
    /// Nobody proved a state; `F` is the error of the light client's own store.
    #[error(transparent)]
    Client(ClientError<F>),
}

/// The newest final block of a node's store, to follow the chain from; none where the store is empty.
pub async fn stored_tip<S: Store>(store: &S) -> Result<Option<Trusted>, DriverError<S::Error>> {
    let failed = DriverError::Store;
    let row = read(store, Table::Meta, meta::TIP.to_vec()).await.map_err(failed)?;
    let Some(TipRow { header, .. }) = row.and_then(|row| decode(&row).ok()) else { return Ok(None) };
    let set = header.next_validators_hash.0.to_vec();
    let set = read(store, Table::Validators, set).await.map_err(failed)?;
    let set = set.and_then(|row| decode::<ValidatorSet>(&row).ok());
    Ok(set.map(|next_validators| Trusted {
        height: header.height,
        id: header.id(),
        time: header.time,
        next_validators,
    }))
}

/// Takes a store to the newest state that a peer proves, if that is later than what it has; its coins are still to come
/// ([`Node::fill`](crate::node::Node::fill)). Returns whether it did. `born`: as for [`super::restore`].
pub async fn join<S: Source, D: Store, N: Store>(
    client: &LightClient<S, D>,
    config: &NodeConfig,
    store: &N,
    born: bool,
) -> Result<bool, JoinError<N::Error, D::Error>> {
    let before = stored_tip(store).await.map_err(JoinError::Driver)?;
    let joined = client.newest_state().await.map_err(JoinError::Client)?;
    if before.as_ref().is_some_and(|before| joined.tip.header.height <= before.height) {
        return Ok(false);
    }
    let batch = joined_rows(config, &joined, born && before.is_none());
    store.commit(&batch).await.map_err(|error| JoinError::Driver(DriverError::Store(error)))?;
    Ok(true)
}
