//! `timecoin`: the node, the devnet, the wallet and the tools, as commands.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A block makes and drops tens of thousands of small nodes of the state tree.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    timecoin_native::cli::main()
}
