//! The silence after a restart: a validator listens before it speaks.
//!
//! A store that came back as an older copy of itself looks like any other after a restart. Peers may have votes of
//! this key that it does not know, and send them as soon as a session opens; heard before anything is signed,
//! they quarantine the signer instead of making it contradict itself. For the same reason nothing is signed at a
//! height that is known to be final elsewhere.
//!
//! Votes that consensus wants meanwhile are kept and signed afterwards, in order.

use crate::consensus::{Signer, SignerMemory};
use crate::time::Time;
use crate::validators::ValidatorSet;
use crate::vote::VoteData;

use super::Node;
use super::event::Step;

/// How long the first session is listened to: peers send what they hold within a few dozen milliseconds.
const LISTEN_MS: u64 = 1000;

/// What is not said yet.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// No vote before; [`Time::NEVER`] until there is somebody to listen to.
    until: Time,
    unsigned: Vec<VoteData>,
}

impl Silence {
    /// After a restart: needed where the key has signed before, and where others may hold its votes.
    pub(super) fn after_restart(signer: Option<&Signer>, set: &ValidatorSet) -> Self {
        let needed = signer.is_some_and(|signer| {
            let own = set.index_of(&signer.public_key()).and_then(|index| set.validator(index));
            let is_alone = own.is_some_and(|own| set.is_quorum(own.weight));
            matches!(signer.memory(), SignerMemory::Last(_)) && !is_alone
        });
        Self { until: if needed { Time::NEVER } else { Time(0) }, unsigned: Vec::new() }
    }

    /// A session opened.
    pub(super) fn listen(&mut self, now: Time) {
        if self.until == Time::NEVER {
            self.until = now.plus(LISTEN_MS);
        }
    }

    /// When what is kept may be signed.
    pub(super) fn deadline(&self) -> Time {
        if self.unsigned.is_empty() || self.until == Time(0) { Time::NEVER } else { self.until }
    }

    /// What consensus wanted to be signed is of a height that is over.
    pub(super) fn new_height(&mut self) {
        self.unsigned.clear();
    }
}

impl Node {
    /// Whether a vote has to wait; it is kept then.
    pub(super) fn keeps_silent(&mut self, data: VoteData, now: Time) -> bool {
        let silent = self.is_silent(now);
        if silent {
            self.silence.unsigned.push(data);
        }
        silent
    }

    fn is_silent(&self, now: Time) -> bool {
        self.silence.until > now || self.sync.progress().is_behind()
    }

    /// Signs what was kept, once it may be.
    pub(super) fn end_silence(&mut self, now: Time, step: &mut Step) {
        if self.silence.until <= now {
            self.silence.until = Time(0);
        }
        if self.silence.unsigned.is_empty() || self.is_silent(now) {
            return;
        }
        for data in core::mem::take(&mut self.silence.unsigned) {
            if let Some(input) = self.sign(data, now, step) {
                self.consensus_input(input, now, step);
            }
        }
    }
}
