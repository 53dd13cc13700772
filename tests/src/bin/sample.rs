//! `sample`: the median time, in milliseconds, that a block of payments takes to be validated natively, for those who measure the same
//! block elsewhere.

use mimalloc::MiMalloc;
use timecoin_core::testing::sample::Sample;
use timecoin_native::clock::Stopwatch;

/// The allocator of `timecoin`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const PAYMENTS: u64 = 1_000;
const TIMES: usize = 31;

fn main() {
    let sample = Sample::new(PAYMENTS);
    let mut times: Vec<u64> = (0..TIMES)
        .map(|_| {
            let begun = Stopwatch::start();
            sample.validate();
            begun.elapsed_us()
        })
        .collect();
    times.sort_unstable();
    println!("{}", times[TIMES / 2] as f64 / 1e3);
}
