//! What the tests in browsers need of the module as a whole; not in the shipped module.

use std::panic;

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// From now on the message of a panic goes to the console before the trap.
#[wasm_bindgen(js_name = reportPanics)]
pub fn report_panics() {
    panic::set_hook(Box::new(|panic| web_sys::console::error_1(&JsValue::from_str(&panic.to_string()))));
}

/// Panics.
///
/// # Panics
/// Always.
#[wasm_bindgen(js_name = panicNow)]
pub fn panic_now() {
    panic!("a test wants it");
}
