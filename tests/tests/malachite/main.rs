//! Agreement with an independent implementation of Tendermint, malachite (Circle, Apache-2.0), on random inputs.
//!
//! | of malachite | against |
//! |---|---|
//! | `core-state-machine` | `consensus::round::Round` |
//! | `core-votekeeper` | `consensus::votes::VoteSet` |
//!
//! Where the two may differ is said where it is compared. `TIMECOIN_INPUTS` says how many inputs each gets (100,000), `TIMECOIN_SEED`
//! where chance begins.

mod context;
mod round;
mod votes;

use std::panic::catch_unwind;

const INPUTS: u64 = 100_000;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Plays seeds, each for as many inputs as `play` says that it took, until there were enough. A seed that fails is said.
fn play_seeds(play: fn(u64) -> u64) {
    let inputs = number("TIMECOIN_INPUTS", INPUTS);
    let first = number("TIMECOIN_SEED", 0);
    println!("from TIMECOIN_SEED={first} on, {inputs} inputs");
    let mut played = 0;
    for seed in first.. {
        if played >= inputs {
            break;
        }
        played += catch_unwind(|| play(seed)).unwrap_or_else(|_| panic!("TIMECOIN_SEED={seed}"));
    }
}
