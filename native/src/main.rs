//! `timecoin`: the node, the devnet, the wallet and the tools, as commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    timecoin_native::cli::main()
}
