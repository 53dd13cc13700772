//! `timecoin devnet`.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, block_on, node::interrupted};
use crate::config::home;
use crate::devnet::{self, DevnetConfig};

/// What `timecoin devnet` takes.
#[derive(Args)]
pub(super) struct DevnetCommand {
    /// Validators, each a process [default: 4, or as many as the folder has]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    validators: Option<u16>,
    /// Validators more that wait for a browser's tab each; the nodes go on without them [default: none, or as the folder has]
    #[arg(long, value_name = "COUNT")]
    browser_validators: Option<u16>,
    /// Stop after so many seconds [default: run until Ctrl-C]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Print one line of JSON per final block and a summary, in place of the table
    #[arg(long)]
    json: bool,
    /// Do not serve the web app
    #[arg(long)]
    no_web: bool,
    /// Folder of the web app [default: www/dist, if there is one]
    #[arg(long, value_name = "FOLDER", conflicts_with = "no_web")]
    web: Option<PathBuf>,
    /// Where the devnet is kept; it continues if it is there [default: ~/.timecoin/devnet]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// The first node's port; the others follow
    #[arg(long, default_value_t = 24201, value_name = "PORT")]
    base_port: u16,
    /// Payments per second
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    rate: u32,
}

pub(super) fn run(command: DevnetCommand) -> Result<(), CliError> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new("warn"))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let built = PathBuf::from("www/dist");
    let web = command.web.or_else(|| built.join("index.html").is_file().then_some(built));
    let program = std::env::current_exe()
        .map_err(|error| CliError::System { what: "cannot find this program's own file", error })?;
    let config = DevnetConfig {
        program,
        folder: match command.dir {
            Some(dir) => dir,
            None => home()?.join(".timecoin").join("devnet"),
        },
        validators: command.validators.unwrap_or(0),
        browser_validators: command.browser_validators,
        base_port: command.base_port,
        seconds: command.seconds,
        rate: command.rate,
        json: command.json,
        web: web.filter(|_| !command.no_web),
    };
    block_on(async { Ok(devnet::run(config, interrupted()).await?) })?;
    Ok(())
}
