//! The sign rule: a key never signs two different votes for one (height, view, phase), across crashes, cleared
//! stores and old backups.
//!
//! Order: the engine asks, [`Signer::sign`] answers with a record, the node makes the record and
//! [`Signer::memory`] durable in one batch, and only then sends the vote. Asked again, it answers with the same
//! bytes. A failed write is fatal: the signer is dropped with the node.
//!
//! A signer without its memory, or with one older than what the network has from its key, is quarantined: it
//! signs nothing at a height it could have voted in. While quarantined it listens for its own key first.
//! A vote by its key that cannot be its own former self's stops it for good: the key is in use elsewhere.
//!
//! Trap: if a third of the weight or more is quarantined at once, the rest is no quorum (strictly more than two thirds)
//! and the open height is never decided: one of three equal validators is enough for that. Then only
//! [`Signer::override_quarantine`] resumes, and the operator answers for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::certificate::Certificate;
use crate::codec::Wire;
use crate::hash::ChainId;
use crate::keys::{PublicKey, SecretKey};
use crate::validators::{ValidatorIndex, ValidatorSet};
use crate::vote::{Height, Phase, ViewNumber, Vote, VoteData};

use super::round::Prepared;

/// One own vote with the locks held when it was cast: a durable row per (height, view, phase).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignRecord {
    /// The vote as sent.
    pub vote: Vote,
    /// The block locked, and in which view.
    pub locked: Option<Prepared>,
    /// The newest prepared block known, and in which view.
    pub valid: Option<Prepared>,
}

impl Wire for SignRecord {
    const SIZE_MAX: usize = Vote::SIZE_MAX + 2 * (1 + 32 + 4);
}

/// Where a key has come to: ordered as votes follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The height.
    pub height: Height,
    /// The view.
    pub view: ViewNumber,
    /// The phase.
    pub phase: Phase,
}

impl From<&VoteData> for Position {
    fn from(data: &VoteData) -> Self {
        Self { height: data.height, view: data.view, phase: data.phase }
    }
}

/// What a store knows about what its key has signed; one durable row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignerMemory {
    /// The key was made here and has never signed: an explicit statement, never a default.
    Born,
    /// The last thing signed.
    Last(Position),
    /// Nothing is known.
    Missing,
}

impl Wire for SignerMemory {
    const SIZE_MAX: usize = 20;
}

/// Why a signer is quarantined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuarantineReason {
    /// The store has no memory of this key.
    MemoryMissing,
    /// The network has votes of this key that its memory does not have.
    RolledBack,
}

/// A time of silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Why.
    pub reason: QuarantineReason,
    /// The last height at which nothing is signed. It rises with the network while `listening`.
    pub until: Height,
    /// The network's height is still being learned: see [`Signer::finish_listening`].
    pub listening: bool,
}

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignRefusal {
    /// Another vote for the same place was signed before.
    #[error("something else was signed at this height, view and phase")]
    Conflict(Position),
    /// A later place was reached before.
    #[error("something later was signed already")]
    Past(Position),
    /// Something was signed at this place, and its bytes are not known.
    #[error("signed at this height, view and phase before; the record is gone")]
    RecordMissing(Position),
    /// The signer is quarantined.
    #[error("quarantined up to height {}", .0.until)]
    Quarantined(Quarantine),
    /// Another process signs with this key.
    #[error("the key is in use elsewhere: its vote of height {} was heard", .0.height)]
    KeyInUseElsewhere(Position),
}

/// The holder of a validator's key.
#[derive(Debug)]
pub struct Signer {
    key: SecretKey,
    public: PublicKey,
    chain: ChainId,
    memory: SignerMemory,
    /// Records of the newest height signed at.
    records: BTreeMap<(ViewNumber, Phase), SignRecord>,
    /// The highest height known to be open on the network.
    network: Height,
    quarantine: Option<Quarantine>,
    /// The one height at which an own vote was heard while listening.
    heard: Option<Height>,
    elsewhere: Option<Position>,
    /// Whether this process has signed anything.
    active: bool,
}

impl Signer {
    /// A signer as its store remembers it.
    #[must_use]
    pub fn new(key: SecretKey, chain: ChainId, memory: SignerMemory) -> Self {
        let public = key.public_key();
        let mut signer = Self {
            key,
            public,
            chain,
            memory,
            records: BTreeMap::new(),
            network: Height(0),
            quarantine: None,
            heard: None,
            elsewhere: None,
            active: false,
        };
        if memory == SignerMemory::Missing {
            signer.enter_quarantine(QuarantineReason::MemoryMissing);
        }
        signer
    }

    /// Hands back the durable records of the newest height signed at, after a restart.
    pub fn restore(&mut self, records: impl IntoIterator<Item = SignRecord>) {
        for record in records {
            self.remember(record);
        }
    }

    /// The certificate of the store's own newest block, after a restart. A vote of ours in it is remembered also where a
    /// crash came after the block was written and before the vote was: a store that has the block is no older copy.
    pub fn restore_certificate(&mut self, certificate: &Certificate, set: &ValidatorSet) {
        let me = set.index_of(&self.public).filter(|_| self.memory != SignerMemory::Missing);
        if let Some(vote) = certificate.votes().find(|vote| Some(vote.validator) == me) {
            self.remember(SignRecord { vote, locked: None, valid: None });
        }
    }

    /// The public half of the key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Where a vote of this key was heard that is not this signer's: it never signs again.
    #[must_use]
    pub const fn elsewhere(&self) -> Option<Position> {
        self.elsewhere
    }

    /// What the store must hold before the last record is sent.
    #[must_use]
    pub fn memory(&self) -> SignerMemory {
        self.memory
    }

    /// The quarantine in force.
    #[must_use]
    pub fn quarantine(&self) -> Option<Quarantine> {
        self.quarantine
    }

    /// Signs, or finds what was signed. `locked` and `valid` are the engine's at this moment.
    pub fn sign(
        &mut self,
        data: VoteData,
        validator: ValidatorIndex,
        locked: Option<Prepared>,
        valid: Option<Prepared>,
    ) -> Result<SignRecord, SignRefusal> {
        let position = Position::from(&data);
        if let Some(heard) = self.elsewhere {
            return Err(SignRefusal::KeyInUseElsewhere(heard));
        }
        if let Some(quarantine) = self.quarantine
            && (quarantine.listening || data.height <= quarantine.until)
        {
            return Err(SignRefusal::Quarantined(quarantine));
        }
        if let SignerMemory::Last(last) = self.memory {
            match self.record(position) {
                Some(known) if known.vote.data == data && known.vote.validator == validator => {
                    return Ok(*known);
                }
                Some(_) => return Err(SignRefusal::Conflict(position)),
                None if position == last => return Err(SignRefusal::RecordMissing(position)),
                None if position < last => return Err(SignRefusal::Past(last)),
                None => {}
            }
        }
        let record = SignRecord { vote: Vote::sign(data, validator, &self.chain, &self.key), locked, valid };
        self.quarantine = None;
        self.active = true;
        self.remember(record);
        Ok(record)
    }

    /// Learns that a height is open on the network: the height after one that a verified certificate made final,
    /// or what peers claim while listening. A claim too high only prolongs the silence.
    pub fn observe_height(&mut self, open: Height) {
        self.network = self.network.max(open);
        if let Some(quarantine) = &mut self.quarantine
            && quarantine.listening
        {
            quarantine.until = quarantine.until.max(open);
        }
    }

    /// Learns a verified vote from the network; only votes by this key matter.
    pub fn observe(&mut self, vote: &Vote, set: &ValidatorSet) {
        if set.validator(vote.validator).is_some_and(|member| member.key == self.public) {
            self.observe_own(vote, true);
        }
    }

    /// Learns a verified certificate and the set that signed it.
    pub fn observe_certificate(&mut self, certificate: &Certificate, set: &ValidatorSet) {
        if let Some(me) = set.index_of(&self.public)
            && let Some(vote) = certificate.votes().find(|vote| vote.validator == me)
        {
            self.observe_own(&vote, false);
        }
        let data = certificate.data;
        let decided = data.phase == Phase::Commit && data.block.is_some();
        self.observe_height(if decided { data.height.next() } else { data.height });
    }

    /// Ends listening: the height after [`Quarantine::until`] is the first that may be signed at. To be called
    /// once a block is final that was proposed after this process began: nothing that the key signed before is of
    /// a later height. Blocks of the past prove nothing, however many were fetched.
    pub fn finish_listening(&mut self) {
        if let Some(quarantine) = &mut self.quarantine {
            quarantine.listening = false;
            self.heard = None;
        }
    }

    /// The operator's word that this key has signed nothing at `from` or above. To be logged by the caller.
    pub fn override_quarantine(&mut self, from: Height) {
        if let Some(quarantine) = &mut self.quarantine {
            quarantine.listening = false;
            quarantine.until = Height(from.0.saturating_sub(1));
        }
    }

    /// What was signed at a height, as far as it is the newest signed at.
    pub fn votes_at(&self, height: Height) -> impl Iterator<Item = Vote> {
        self.records.values().map(|record| record.vote).filter(move |vote| vote.data.height == height)
    }

    fn record(&self, position: Position) -> Option<&SignRecord> {
        let record = self.records.get(&(position.view, position.phase))?;
        (record.vote.data.height == position.height).then_some(record)
    }

    fn remember(&mut self, record: SignRecord) {
        let position = Position::from(&record.vote.data);
        self.records.retain(|_, known| known.vote.data.height >= position.height);
        let newest = self.records.values().map(|known| known.vote.data.height).max();
        if newest.is_none_or(|newest| newest <= position.height) {
            self.records.insert((position.view, position.phase), record);
        }
        self.memory = match self.memory {
            SignerMemory::Last(last) => SignerMemory::Last(last.max(position)),
            SignerMemory::Born | SignerMemory::Missing => SignerMemory::Last(position),
        };
    }

    fn observe_own(&mut self, vote: &Vote, live: bool) {
        let position = Position::from(&vote.data);
        if self.elsewhere.is_some() {
            return;
        }
        if let Some(quarantine) = self.quarantine {
            self.hear_in_quarantine(quarantine, position, live);
        } else if self.is_foreign(vote) {
            // A process that has signed would remember; one that has not may stand on an old store.
            if self.active && live {
                self.elsewhere = Some(position);
            } else {
                self.observe_height(position.height);
                self.enter_quarantine(QuarantineReason::RolledBack);
                self.heard = live.then_some(position.height);
            }
        }
    }

    /// Votes of a former self are all for heights that were open when it stopped: at most one is, and only
    /// up to the end of the quarantine.
    fn hear_in_quarantine(&mut self, quarantine: Quarantine, position: Position, live: bool) {
        let beyond = !quarantine.listening && position.height > quarantine.until;
        let moving = live && self.heard.is_some_and(|heard| heard < position.height);
        if beyond || moving {
            self.elsewhere = Some(position);
            return;
        }
        if live {
            self.heard = self.heard.max(Some(position.height));
        }
        self.observe_height(position.height);
    }

    /// Whether this vote by our key is none of ours, as far as memory reaches.
    fn is_foreign(&self, vote: &Vote) -> bool {
        let position = Position::from(&vote.data);
        match (self.record(position), self.memory) {
            (Some(known), _) => known.vote.data != vote.data,
            (None, SignerMemory::Last(last)) => {
                // Every record of the newest height is here, unless none was handed back.
                let complete = !self.records.is_empty() && position.height == last.height;
                position > last || complete
            }
            (None, SignerMemory::Born | SignerMemory::Missing) => true,
        }
    }

    fn enter_quarantine(&mut self, reason: QuarantineReason) {
        self.quarantine = Some(Quarantine { reason, until: self.network, listening: true });
    }
}
