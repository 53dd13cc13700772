//! Masternodes, consensus and peers.

use serde_json::{Value, json};
use timecoin_core::hash::MasternodeId;
use timecoin_core::keys::PublicKey;
use timecoin_core::peer::handshake::{PROTOCOL_VERSION, PeerId};
use timecoin_core::time::Time;
use timecoin_core::vote::Height;

use crate::handle::NodeHandle;
use crate::rpc::error::{Kind, RpcError};
use crate::rpc::params::Params;
use crate::rpc::query;
use crate::rpc::render;

pub(super) fn masternodes(handle: &NodeHandle) -> Value {
    let state = handle.state.load_full();
    let network = handle.chain.spec.consensus.network;
    let list: Vec<_> = state.registry.iter().map(|node| render::masternode(network, node, &state)).collect();
    let proof = query::registry(handle, &state);
    json!({ "masternodes": list, "at": render::at(&state.header), "proof": render::hex(&proof) })
}

pub(super) fn masternode(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let state = handle.state.load_full();
    let text: String = params.required("masternode")?;
    let wrong = |error| RpcError::params(format!("parameter masternode: {error}"));
    let id: MasternodeId = text.parse().map_err(wrong)?;
    let by_id = state.registry.node(&id);
    let by_key = || text.parse::<PublicKey>().ok().and_then(|key| state.registry.of_operator(&key));
    let node = by_id.or_else(by_key).ok_or_else(|| RpcError::not_found("masternode"))?;
    let mut shown = render::masternode(handle.chain.spec.consensus.network, node, &state);
    shown["at"] = render::at(&state.header);
    Ok(shown)
}

pub(super) async fn consensus(handle: &NodeHandle) -> Result<Value, RpcError> {
    let (state, quarantine, votes) =
        handle.ask(|node| (node.consensus(), node.quarantine(), node.vote_count())).await?;
    let state = state.ok_or_else(|| RpcError::of(Kind::Stopped))?;
    let proposer = handle.state.load().validators.validator(state.proposer).map(|member| member.key);
    Ok(json!({
        "height": state.height,
        "view": state.view,
        "phase": format!("{:?}", state.step).to_lowercase(),
        "proposer": proposer,
        "locked": state.locked.map(|(block, _)| block),
        "valid": state.valid.map(|(block, _)| block),
        "votes_held": votes,
        "quarantine": quarantine.map(|quarantine| json!({
            "reason": format!("{:?}", quarantine.reason),
            "silent_until_height": quarantine.until,
        })),
    }))
}

pub(super) async fn override_quarantine(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let height = Height(params.required("height")?);
    if handle.ask(|node| node.quarantine().is_none()).await? {
        return Err(RpcError::new(Kind::NotFound, "this node is in no quarantine"));
    }
    handle.override_quarantine(height).await?;
    consensus(handle).await
}

pub(super) fn network(handle: &NodeHandle) -> Value {
    json!({
        "node": handle.network.id().to_string(),
        "protocol_version": PROTOCOL_VERSION,
        "software": env!("CARGO_PKG_VERSION"),
        "chain": handle.chain.id,
        "peers": handle.network.peers().len(),
    })
}

pub(super) fn banned(handle: &NodeHandle) -> Value {
    let ban = |(peer, until): (PeerId, Time)| json!({ "node": peer.to_string(), "until": until });
    handle.bans().into_iter().map(ban).collect()
}

pub(super) async fn peers(handle: &NodeHandle) -> Result<Value, RpcError> {
    let status = handle.ask(|node| node.peers().chain(node.light_peers()).collect::<Vec<_>>()).await?;
    let sessions = handle.sessions().borrow().clone();
    let list = status.iter().map(|peer| {
        let session = sessions.get(&peer.peer);
        json!({
            "node": peer.peer.to_string(),
            "height": peer.height,
            "round_trip_ms": peer.round_trip_ms,
            "role": session.map(|session| format!("{:?}", session.info.role).to_lowercase()),
            "listen": session.and_then(|session| session.info.listen.clone()),
            "outbound": session.map(|session| session.outbound),
            "since": session.map(|session| session.since),
        })
    });
    Ok(list.collect())
}
