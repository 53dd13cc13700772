//! Blocks, headers, filters, sets.

use serde_json::{Value, json};
use timecoin_core::answer::Question;
use timecoin_core::codec::{decode, encode};
use timecoin_core::hash::{hex_to_vec, to_hex};
use timecoin_core::rows::Table;
use timecoin_core::schema::height_key;
use timecoin_core::vote::Height;

use super::height_of;
use crate::handle::NodeHandle;
use crate::rpc::error::RpcError;
use crate::rpc::params::Params;
use crate::rpc::query::{self, Reader, light_block as light_block_of};
use crate::rpc::render;

/// Most filters in one answer.
const FILTERS_MAX: u64 = 100;

pub(super) fn info(handle: &NodeHandle) -> Result<Value, RpcError> {
    let state = handle.state.load_full();
    let spec = &handle.chain.spec.consensus;
    Ok(json!({
        "chain": handle.chain.id,
        "name": spec.name,
        "network": render::network(spec.network),
        "genesis_time": spec.genesis_time,
        "blocks": state.height(),
        "bestblockhash": state.id,
        "time": state.header.time,
        "state_root": state.header.state_root,
        "supply": state.header.supply,
        "pool": state.accounting.pool,
        "coins": state.coins.summary().count,
        "validators": state.validators.len(),
        "validators_hash": state.validators.hash(),
        "epoch_start": state.accounting.epoch_start(),
        "epoch_blocks": spec.rules(state.height().next()).epoch_blocks,
        "final": true,
    }))
}

pub(super) fn hash(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let header = Reader::new(handle)?.header(params.required("height")?)?.header;
    Ok(json!(header.id()))
}

pub(super) fn block(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let reader = Reader::new(handle)?;
    let (block, row) = reader.block(height_of(&reader, params)?)?;
    let verbose = params.optional("verbose")?.unwrap_or(false);
    Ok(render::block(handle.chain.spec.consensus.network, &block, row.certificate.as_ref(), verbose))
}

pub(super) fn raw_block(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let reader = Reader::new(handle)?;
    let (block, _) = reader.block(height_of(&reader, params)?)?;
    Ok(json!(render::hex(&block)))
}

pub(super) fn header(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let reader = Reader::new(handle)?;
    let row = reader.header(height_of(&reader, params)?)?;
    Ok(render::header(&row.header, row.certificate.as_ref()))
}

pub(super) fn light_block(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let reader = Reader::new(handle)?;
    let row = reader.header(height_of(&reader, params)?)?;
    let shown = render::at(&row.header);
    let light = light_block_of(handle, row.header.height)?;
    Ok(json!({ "at": shown, "hex": to_hex(&encode(&light)) }))
}

pub(super) fn ask(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let text: String = params.required("question")?;
    let question = hex_to_vec(&text).and_then(|bytes| decode::<Question>(&bytes).ok());
    let question = question.filter(Question::is_in_bounds);
    let question = question.ok_or_else(|| RpcError::params("parameter question: not a question"))?;
    Ok(json!({ "reply": render::hex(&query::reply(handle, &question)?) }))
}

pub(super) fn filters(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let from: u64 = params.required("from")?;
    let count = params.optional::<u64>("count")?.unwrap_or(FILTERS_MAX);
    if count > FILTERS_MAX {
        return Err(RpcError::params(format!("parameter count: at most {FILTERS_MAX}")));
    }
    let reader = Reader::new(handle)?;
    let end = from.saturating_add(count).min(handle.state.load().height().0.saturating_add(1));
    let mut list = Vec::new();
    for height in (from..end).map(Height) {
        let header = reader.header(height)?.header;
        let filter = reader.snapshot().row(Table::Filter, &height_key(height))?;
        let filter = filter.ok_or_else(|| RpcError::not_found("filter"))?;
        list.push(json!({ "height": height, "header": render::hex(&header), "filter": to_hex(&filter) }));
    }
    Ok(json!(list))
}

pub(super) fn validators(handle: &NodeHandle, params: &mut Params) -> Result<Value, RpcError> {
    let state = handle.state.load_full();
    match params.optional::<Height>("height")? {
        None => Ok(render::validators(&state.validators)),
        Some(height) if height == state.height().next() => Ok(render::validators(&state.validators)),
        Some(height) => {
            let reader = Reader::new(handle)?;
            let header = reader.header(height)?.header;
            Ok(render::validators(&reader.validators(&header.validators_hash)?))
        }
    }
}
