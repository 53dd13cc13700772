//! `timecoin node`.

use std::path::PathBuf;

use clap::Args;
use tokio::io::AsyncReadExt;
use tracing::info;

use super::{CliError, block_on};
use crate::config::{Config, Settings};
use crate::routes;
use crate::run::{self, StopReason};

/// What `timecoin node` takes.
#[derive(Args)]
pub(super) struct NodeCommand {
    /// Settings file (TOML, or JSON if it ends in .json); flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Stop when standard input ends, as a child process does when its parent is gone
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

pub(super) fn run(command: NodeCommand) -> Result<(), CliError> {
    let file = command.config.as_deref().map(Settings::from_file).transpose()?;
    let config = command.settings.over(file.unwrap_or_default()).check()?;
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(&config.log))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    block_on(node(config, command.stop_with_stdin))
}

async fn node(config: Config, stop_with_stdin: bool) -> Result<(), CliError> {
    let run_config = config.run_config()?;
    let routes = routes::prepare(&config)?;
    let running = run::start(run_config, |handle| routes.serve(handle)).await?;
    let state = running.handle.state.load_full();
    info!(
        chain = %config.chain.id,
        height = state.height().0,
        address = %running.address,
        node = %running.handle.network.id(),
        validator = config.operator_key.is_some(),
        "running"
    );
    let handle = running.handle.clone();
    let asked = tokio::spawn(async move {
        asked_to_stop(stop_with_stdin).await;
        handle.stop();
    });
    let reason = running.wait().await;
    asked.abort();
    match reason {
        StopReason::Requested => {
            info!("stopped");
            Ok(())
        }
        reason => Err(CliError::Stop(reason)),
    }
}

/// Waits for Ctrl-C, a request to terminate, or the end of standard input.
async fn asked_to_stop(stop_with_stdin: bool) {
    let stdin_ended = async {
        if !stop_with_stdin {
            std::future::pending::<()>().await;
        }
        let (mut stdin, mut buffer) = (tokio::io::stdin(), [0; 64]);
        while stdin.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    };
    tokio::select! {
        () = interrupted() => {}
        () = stdin_ended => {}
    }
}

/// Waits for Ctrl-C or a request to terminate.
#[cfg(unix)]
pub(super) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub(super) async fn interrupted() {
    let _ = tokio::signal::ctrl_c().await;
}
