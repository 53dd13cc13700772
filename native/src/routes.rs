//! What a node serves over HTTP besides peers and health: the RPC and the web app.

use std::fs;
use std::io;
use std::path::Path;

use axum::Router;
use timecoin_core::hash::to_hex;

use crate::config::{Config, ConfigError};
use crate::handle::NodeHandle;
use crate::identity::write_new;
use crate::metrics::Metrics;
use crate::rpc::{self, RpcConfig};
use crate::web;

/// A shorter token is guessed.
const TOKEN_SIZE_MIN: usize = 16;

/// The routes of a node that is about to start.
pub struct Routes {
    rpc: RpcConfig,
    web: Option<Router>,
}

/// Checks what the routes need before the node starts; makes the RPC's token if there is none.
///
/// # Errors
/// If the token cannot be read or made, or the web app's folder is not one.
pub fn prepare(config: &Config) -> Result<Routes, ConfigError> {
    let unreadable = |path: &Path| {
        let path = path.to_path_buf();
        move |error| ConfigError::Unreadable { path, error }
    };
    let relays = &config.chain.spec.bootstrap;
    let web = config.web.as_deref().map(|folder| web::router(folder, relays).map_err(unreadable(folder)));
    let token = token(&config.rpc.token).map_err(unreadable(&config.rpc.token))?;
    if token.len() < TOKEN_SIZE_MIN {
        let (key, value) = ("rpc_token", config.rpc.token.display().to_string());
        let expected = "the file must hold at least 16 letters; remove it, and the node makes one";
        return Err(ConfigError::Value { key, value, expected });
    }
    let rpc = RpcConfig {
        token: Some(token),
        hosts: config.rpc.hosts.clone(),
        origins: config.rpc.origins.clone(),
        public: config.rpc.public,
    };
    Ok(Routes { rpc, web: web.transpose()? })
}

impl Routes {
    /// The routes of a node that runs.
    pub fn serve(self, handle: &NodeHandle) -> Router {
        rpc::router(handle.clone(), self.rpc, Metrics::watch(handle)).merge(self.web.unwrap_or_default())
    }
}

fn token(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(token) => Ok(token.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes)?;
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let token = to_hex(&bytes);
            write_new(path, format!("{token}\n").as_bytes())?;
            Ok(token)
        }
        Err(error) => Err(error),
    }
}
