//! Keeps a session with each address it was given: dials, waits while there is one, backs off when there is none.

use std::time::Duration;

use timecoin_core::peer::handshake::{HandshakeError, PeerId, Refusal};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, info};

use crate::handle::Sessions;
use crate::net::{ConnectError, Network};

const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Dials one address for as long as the node runs. Ends early where dialling can never succeed.
pub(super) async fn keep_dialling(network: Network, url: String, mut sessions: watch::Receiver<Sessions>) {
    let mut pause = PAUSE_MIN;
    loop {
        match network.dial(&url).await {
            Ok(peer) | Err(ConnectError::AlreadyConnected(peer)) => {
                if session_ended(&mut sessions, peer).await.is_err() {
                    return;
                }
                pause = PAUSE_MIN;
            }
            Err(
                ConnectError::Handshake(
                    HandshakeError::Refused(Refusal::SelfConnect)
                    | HandshakeError::Rejected { refusal: Refusal::SelfConnect, .. },
                )
                | ConnectError::Url,
            ) => {
                debug!(%url, "not an address of another node");
                return;
            }
            // There is a session that the peer opened; it will open the next one, too.
            Err(ConnectError::Handshake(
                HandshakeError::Refused(Refusal::Duplicate)
                | HandshakeError::Rejected { refusal: Refusal::Duplicate, .. },
            )) => pause = PAUSE_MAX,
            Err(error) => {
                if pause == PAUSE_MAX {
                    info!(%url, %error, "cannot connect");
                } else {
                    debug!(%url, %error, "cannot connect");
                }
            }
        }
        sleep(jittered(pause)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Waits until there is no session with the peer.
async fn session_ended(
    sessions: &mut watch::Receiver<Sessions>,
    peer: PeerId,
) -> Result<(), watch::error::RecvError> {
    // The session just opened may not be listed yet; one that ended before it was listed is caught below.
    let listed = sessions.wait_for(|sessions| sessions.contains_key(&peer));
    if tokio::time::timeout(PAUSE_MAX, listed).await.is_ok_and(|listed| listed.is_err()) {
        return Ok(());
    }
    sessions.wait_for(|sessions| !sessions.contains_key(&peer)).await.map(|_| ())
}

/// Between half and all of a pause, so that nodes that lost each other together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    let _ = getrandom::fill(&mut byte);
    pause / 2 + pause / 2 * u32::from(byte[0]) / 255
}
