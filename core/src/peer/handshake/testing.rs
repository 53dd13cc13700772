//! Two nodes and a perfect wire, for the tests of this folder.

use super::*;
use crate::hash::ChainId;

pub(in crate::peer) struct Side {
    pub(in crate::peer) key: SecretKey,
    pub(in crate::peer) node: LocalNode,
    pub(in crate::peer) time: Time,
    pub(in crate::peer) entropy: [u8; 32],
}

pub(in crate::peer) fn side(seed: u8) -> Side {
    let chain = ChainId(Hash([7; 32]));
    let node = LocalNode {
        version: PROTOCOL_VERSION,
        chain,
        role: Role::Full,
        listen: None,
        height: u64::from(seed),
    };
    Side { key: SecretKey::from_seed(&[seed; 32]), node, time: Time(1_000), entropy: [seed; 32] }
}

impl Side {
    pub(in crate::peer) fn id(&self) -> PeerId {
        PeerId(self.key.public_key())
    }

    pub(in crate::peer) fn start(&self) -> (Initiator, Vec<u8>) {
        Initiator::start(&self.key, self.node.clone(), self.time, &self.entropy)
    }

    pub(in crate::peer) fn respond(&self) -> Responder {
        Responder::new(&self.key, self.node.clone(), self.time, &self.entropy)
    }
}

/// Runs the handshake up to the responder's decision.
pub(in crate::peer) fn meet(
    alice: &Side,
    bob: &Side,
) -> Result<(AwaitAnswer, Result<Admission, HandshakeError>), HandshakeError> {
    let (initiator, first) = alice.start();
    let (await_hello, second) = bob.respond().on_first(&first)?;
    let (await_answer, third) = initiator.on_reply(&second)?;
    Ok((await_answer, await_hello.on_hello(&third)))
}

/// The two ends of a fresh session, always the same one: initiator's, responder's.
pub(in crate::peer) fn sessions() -> (Session, Session) {
    let (await_answer, admission) = meet(&side(1), &side(2)).unwrap();
    let (bob, _, answer) = admission.unwrap().accept().unwrap();
    (await_answer.on_answer(&answer).unwrap().0, bob)
}
