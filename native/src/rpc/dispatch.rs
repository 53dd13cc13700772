//! JSON-RPC 2.0, to the letter: single calls, batches, notifications, and the four standard errors.

use futures::stream::{self, StreamExt};
use serde_json::{Map, Value, json};

use super::error::{Kind, RpcError};
use super::json::parse;
use super::{Caller, Rpc};

/// Most calls in a batch.
pub(super) const BATCH_MAX: usize = 50;
/// Calls of one batch that run at once.
const BATCH_PARALLEL: usize = 4;

/// Answers a request; `None` where it asks for no answer.
pub(super) async fn answer(rpc: &Rpc, caller: &Caller, request: &[u8]) -> Option<Value> {
    match parse(request) {
        None => Some(failure(Value::Null, &RpcError::of(Kind::Parse))),
        Some(Value::Array(calls)) if calls.is_empty() => {
            Some(failure(Value::Null, &RpcError::invalid_request("an empty batch")))
        }
        Some(Value::Array(calls)) if calls.len() > BATCH_MAX => {
            let message = format!("at most {BATCH_MAX} calls in a batch");
            Some(failure(Value::Null, &RpcError::invalid_request(&message)))
        }
        Some(Value::Array(calls)) => {
            let answers =
                stream::iter(calls).map(|call| answer_call(rpc, caller, call)).buffered(BATCH_PARALLEL);
            let answers: Vec<_> = answers.filter_map(|answer| async { answer }).collect().await;
            (!answers.is_empty()).then_some(Value::Array(answers))
        }
        Some(call) => answer_call(rpc, caller, call).await,
    }
}

/// One call.
struct Call {
    method: String,
    params: Option<Value>,
    /// Absent in a notification.
    id: Option<Value>,
}

async fn answer_call(rpc: &Rpc, caller: &Caller, call: Value) -> Option<Value> {
    let call = match read_call(call) {
        Ok(call) => call,
        Err((id, error)) => return Some(failure(id, &error)),
    };
    let result = rpc.call(caller, &call.method, call.params).await;
    let id = call.id?;
    Some(match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "result": result, "id": id }),
        Err(error) => failure(id, &error),
    })
}

fn read_call(call: Value) -> Result<Call, (Value, RpcError)> {
    let invalid = |id: Value, message: &str| Err((id, RpcError::invalid_request(message)));
    let Value::Object(mut call) = call else { return invalid(Value::Null, "a call is an object") };
    let id = match take_id(&mut call) {
        Ok(id) => id,
        Err(error) => return Err((Value::Null, error)),
    };
    let shown = || id.clone().unwrap_or(Value::Null);
    if call.remove("jsonrpc") != Some(Value::String("2.0".into())) {
        return invalid(shown(), "jsonrpc must be \"2.0\"");
    }
    let Some(Value::String(method)) = call.remove("method") else {
        return invalid(shown(), "method must be a string");
    };
    let params = call.remove("params");
    if !matches!(params, None | Some(Value::Array(_) | Value::Object(_))) {
        return invalid(shown(), "params must be an array or an object");
    }
    if !call.is_empty() {
        return invalid(shown(), "a call has no members but jsonrpc, method, params and id");
    }
    Ok(Call { method, params, id })
}

fn take_id(call: &mut Map<String, Value>) -> Result<Option<Value>, RpcError> {
    match call.remove("id") {
        None => Ok(None),
        Some(id @ (Value::Null | Value::String(_))) => Ok(Some(id)),
        // A fraction, or a number beyond 64 bits, would not come back as it was sent.
        Some(Value::Number(id)) if id.is_u64() || id.is_i64() => Ok(Some(Value::Number(id))),
        Some(_) => Err(RpcError::invalid_request("id must be a string, a whole number or null")),
    }
}

fn failure(id: Value, error: &RpcError) -> Value {
    json!({ "jsonrpc": "2.0", "error": error.to_json(), "id": id })
}
