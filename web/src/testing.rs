//! What the tests in browsers need of the module as a whole; not in the shipped module.

use std::panic;

use timecoin_core::codec::decode;
use timecoin_core::testing::sample::Sample;
use timecoin_core::testing::trace::{Trace, replay};
use timecoin_core::testing::verdicts::{Recording, judge};
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

/// Replays a trace of a simulated node: a line with the height and the hash of each step.
///
/// # Errors
/// A text, where it is no trace, or the node stops.
#[wasm_bindgen(js_name = replayTrace)]
pub async fn replay_trace(bytes: Vec<u8>) -> Result<String, JsValue> {
    let trace: Trace = decode(&bytes).map_err(|error| JsValue::from_str(&error.to_string()))?;
    let stands = replay(trace).await.map_err(|error| JsValue::from_str(&error.to_string()))?;
    Ok(stands.iter().map(|stand| format!("{} {}\n", stand.height, stand.hash)).collect())
}

/// Judges the good and bad blocks of a recorded chain: a line for each, with what is said of it.
///
/// # Errors
/// A text, where it is no recording.
#[wasm_bindgen(js_name = judgeBlocks)]
pub fn judge_blocks(bytes: &[u8]) -> Result<String, JsValue> {
    let recording: Recording = decode(bytes).map_err(|error| JsValue::from_str(&error.to_string()))?;
    let verdicts = judge(&recording).map_err(|error| JsValue::from_str(&error))?;
    Ok(verdicts.iter().map(|verdict| format!("{verdict}\n")).collect())
}

/// A block of payments, to be validated by whoever measures how long it takes.
#[wasm_bindgen]
pub struct BlockSample(Sample);

#[wasm_bindgen]
impl BlockSample {
    /// A block of so many payments.
    #[wasm_bindgen(constructor)]
    pub fn new(payments: u32) -> BlockSample {
        BlockSample(Sample::new(payments.into()))
    }

    /// Validates it.
    pub fn validate(&self) {
        self.0.validate();
    }
}
