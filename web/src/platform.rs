//! What a browser gives: clocks, waiting and entropy. The core takes all three as arguments.

use std::panic;

use futures::FutureExt;
use futures::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use js_sys::Function;
use timecoin_core::time::Time;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn fill_random(bytes: &mut [u8]);
}

/// Tells whoever started the module why it is about to trap.
pub fn report_panics(heard: Function) {
    panic::set_hook(Box::new(move |panic| {
        let _ = heard.call1(&JsValue::NULL, &JsValue::from_str(&panic.to_string()));
    }));
}

/// The device's clock.
pub fn now() -> Time {
    Time(whole(js_sys::Date::now()))
}

/// Milliseconds that never go back; where the device slept, some browsers leave a gap out.
pub fn monotonic_ms() -> u64 {
    whole(performance_now())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates at both ends")]
fn whole(milliseconds: f64) -> u64 {
    milliseconds as u64
}

/// Random bytes of the browser.
pub fn entropy() -> [u8; 32] {
    let mut bytes = [0; 32];
    fill_random(&mut bytes);
    bytes
}

/// A random number below `bound`, for spreading things in time; not for choices that have to be even.
pub fn below(bound: u64) -> u64 {
    let [a, b, c, d, ..] = entropy();
    u64::from(u32::from_le_bytes([a, b, c, d])) % bound.max(1)
}

/// Waits.
pub async fn sleep_ms(time_ms: u64) {
    TimeoutFuture::new(u32::try_from(time_ms).unwrap_or(i32::MAX as u32).min(i32::MAX as u32)).await;
}

/// What a future gives, unless that takes too long.
pub async fn within<T>(time_ms: u64, work: impl Future<Output = T>) -> Option<T> {
    let work = core::pin::pin!(work);
    let late = sleep_ms(time_ms).boxed_local();
    match select(work, late).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}
