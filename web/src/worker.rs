//! What the Worker's JavaScript calls. Text in, text out; nothing throws but a bug.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::future::{AbortHandle, abortable};
use js_sys::{Function, Promise};
use serde::Serialize;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::future_to_promise;

use crate::api::types::write;
use crate::api::{ApiError, Code};
use crate::node::{self, Node, Push};
use crate::platform::report_panics;
use crate::wallet;

/// A failure, as it crosses.
#[derive(Serialize)]
struct Failed {
    error: ApiError,
}

fn failed(error: ApiError) -> String {
    write(&Failed { error }).unwrap_or_default()
}

/// Answers a call, by whichever group of methods knows it.
async fn dispatch(node: &Rc<Node>, method: &str, params: &str) -> Result<String, ApiError> {
    if let Some(answer) = node::dispatch(node, method, params).await {
        return answer;
    }
    if let Some(answer) = wallet::dispatch(node, method, params).await {
        return answer;
    }
    Err(ApiError::new(Code::UnknownMethod, format!("There is no method \"{method}\".")))
}

/// The light node of a Worker.
#[wasm_bindgen]
pub struct LightNode {
    node: Rc<Node>,
    calls: Rc<RefCell<BTreeMap<u32, AbortHandle>>>,
}

#[wasm_bindgen]
impl LightNode {
    /// Starts a node with options as JSON. Throws the text of a failure where they are not usable. `on_panic` hears why the
    /// module is about to trap.
    ///
    /// # Errors
    /// A text: `{"error":{…}}`.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &str, on_panic: Function) -> Result<LightNode, JsValue> {
        report_panics(on_panic);
        let node = Node::start(options).map_err(|error| JsValue::from_str(&failed(error)))?;
        Ok(Self { node, calls: Rc::default() })
    }

    /// Answers a call: the promise gives the answer's JSON, or `{"error":{…}}`.
    pub fn call(&self, id: u32, method: String, params: String) -> Promise {
        let (node, calls) = (Rc::clone(&self.node), Rc::clone(&self.calls));
        let work = async move { dispatch(&node, &method, &params).await };
        let (work, handle) = abortable(work);
        calls.borrow_mut().insert(id, handle);
        future_to_promise(async move {
            let outcome = work.await;
            calls.borrow_mut().remove(&id);
            let answer =
                outcome.unwrap_or_else(|_| Err(ApiError::new(Code::Cancelled, "It was taken back.")));
            Ok(JsValue::from_str(&answer.unwrap_or_else(failed)))
        })
    }

    /// Takes a call back.
    pub fn cancel(&self, id: u32) {
        if let Some(call) = self.calls.borrow_mut().remove(&id) {
            call.abort();
        }
    }

    /// Subscribes: `push` gets news as JSON, and `undefined` where there will be no more. Throws the text of a failure.
    ///
    /// # Errors
    /// A text: `{"error":{…}}`.
    pub fn subscribe(&self, topic: &str, params: &str, push: Function) -> Result<u32, JsValue> {
        let push: Push = Rc::new(move |news| {
            let _ = push.call1(&JsValue::NULL, &news.map_or(JsValue::UNDEFINED, JsValue::from_str));
        });
        self.node.subscribe(topic, params, push).map_err(|error| JsValue::from_str(&failed(error)))
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, id: u32) {
        self.node.unsubscribe(id);
    }

    /// The page slept, or the browser says that the network changed.
    pub fn wake(&self) {
        self.node.wake();
    }

    /// Ends all sessions.
    pub fn stop(&self) {
        self.node.stop();
    }
}
