//! A full validator in a page's Worker: the core's node over the browser's store and sockets.
//!
//! | module | what |
//! |---|---|
//! | `options` | what the page gives |
//! | `operators` | the operator keys that this origin keeps |
//! | `driver` | owns the node: events in, steps, effects out, one timer |
//! | `links` | sessions with peers |
//! | `remote` | what it asks of peers while it has not the whole state |
//! | `status` | what the page is shown |
//!
//! Every verdict, vote and timer is the core's, as in the native node. Invariants of this driver: one Worker runs it for an
//! operator key (its JavaScript holds a Web Lock named after the key); what a step writes is complete in IndexedDB, with
//! strict durability where the core asks for it, before any of its effects is visible; a store that fails ends the node.

mod driver;
mod links;
mod operators;
mod options;
mod remote;
mod status;

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::Function;
use timecoin_core::hash::from_hex;
use timecoin_core::keys::SecretKey;
use timecoin_web::api::types::{read, write};
use timecoin_web::api::{ApiError, Code};
use timecoin_web::platform::{entropy, report_panics};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::spawn_local;

use driver::{Driver, Input};
use links::Inputs;
use operators::{Call, Fresh};
use options::{Options, keys};
use status::Status;

/// The public half of an operator key, both in hexadecimal; the Web Lock is named after it.
///
/// # Errors
/// A failure as JSON, where the key is not 64 hexadecimal digits.
#[wasm_bindgen(js_name = operatorOf)]
pub fn operator_of(key: &str) -> Result<String, JsValue> {
    Ok(operator_key(key).map_err(thrown)?.public_key().to_string())
}

fn operator_key(text: &str) -> Result<SecretKey, ApiError> {
    // The text is a secret: the error says nothing of it.
    let seed = from_hex(text)
        .map_err(|_| ApiError::new(Code::BadRequest, "The operator key must be 64 hexadecimal digits."))?;
    Ok(SecretKey::from_seed(&seed))
}

/// Asks about the operator keys that this origin keeps: a call and its answer as JSON.
///
/// # Errors
/// A failure as JSON.
#[wasm_bindgen]
pub async fn operators(call: String) -> Result<String, JsValue> {
    let call = read::<Call>(&call).map_err(thrown)?;
    let fresh = Fresh { seed: entropy(), salt: entropy(), nonce: entropy() };
    let answer = async { keys().await?.answer(call, fresh).await };
    answer.await.map_err(thrown)
}

/// A failure as the Worker's JavaScript takes it.
fn thrown(error: ApiError) -> JsValue {
    JsValue::from_str(&write(&error).unwrap_or_default())
}

/// A validator that runs in this Worker.
#[wasm_bindgen]
pub struct Validator {
    inputs: Inputs,
    status: Rc<RefCell<Status>>,
}

#[wasm_bindgen]
impl Validator {
    /// Starts a validator with options as JSON; what becomes of it, its status says. `on_panic` hears why the module is
    /// about to trap.
    ///
    /// # Errors
    /// A failure as JSON, where the options are of no use or the operator key cannot be opened.
    pub async fn open(options: String, on_panic: Function) -> Result<Validator, JsValue> {
        report_panics(on_panic);
        let options: Options = read(&options).map_err(thrown)?;
        let operator = options.operator().await.map_err(thrown)?;
        let (inputs, waiting) = Inputs::new();
        let status = Rc::new(RefCell::new(Status::default()));
        let driver = Driver::new(options, operator, inputs.clone(), Rc::clone(&status)).map_err(thrown)?;
        spawn_local(driver.run(waiting));
        Ok(Self { inputs, status })
    }

    /// The status as JSON.
    #[must_use]
    pub fn status(&self) -> String {
        serde_json::to_string(&*self.status.borrow()).unwrap_or_default()
    }

    /// Ends sessions and the node; what it has signed is on disk already.
    pub fn stop(&self) {
        self.inputs.give(Input::Stop);
    }
}
