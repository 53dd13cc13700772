//! What peers did wrong, and when to part from them.
//!
//! Two accounts per key, both decaying. *Proved* offences are what an honest node never does, whatever its
//! network, its load or the messages it was sent: only they ban. The rest (slow, silent, too chatty) can at
//! most end a session. A relay is not blamed for what it relays, unless the protocol had it check that first:
//! signatures and form are checked before relaying, the truth of a claimed height is not.

use std::collections::BTreeMap;

use crate::keys::PublicKey;
use crate::time::Time;

/// What a peer did wrong. Variants are protocol: peers are judged by them and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Offence {
    /// A frame that does not decode, or is no message that may come now.
    #[error("malformed frame")]
    MalformedFrame,
    /// A message beyond the size its type allows.
    #[error("oversized message")]
    Oversized,
    /// A vote or proposal whose signature is not its signer's.
    #[error("invalid signature")]
    InvalidSignature,
    /// A transaction that is invalid whatever the state.
    #[error("invalid transaction")]
    InvalidTransaction,
    /// A certificate that proves nothing.
    #[error("invalid certificate")]
    InvalidCertificate,
    /// A block that is not the certified one, or that the rules refuse.
    #[error("invalid block")]
    InvalidBlock,
    /// Evidence that proves nothing.
    #[error("invalid evidence")]
    InvalidEvidence,
    /// A peer record that its key did not sign.
    #[error("invalid peer record")]
    InvalidRecord,
    /// An answer to no request, and to none that was given up; or another kind of answer than was asked for.
    #[error("unrequested response")]
    UnrequestedResponse,
    /// A request beyond the range or size that requests may have.
    #[error("request out of bounds")]
    RequestOutOfBounds,
    /// Does not have what its status says it has.
    #[error("claims what it does not have")]
    FalseStatus,
    /// Over a rate limit.
    #[error("over the rate limit")]
    Spam,
    /// No answer in time.
    #[error("no answer in time")]
    Unanswered,
}

/// Points of an offence, and whether an honest node could have earned them.
struct Weight {
    points: u64,
    proved: bool,
}

impl Offence {
    const fn weight(self) -> Weight {
        let (points, proved) = match self {
            Self::InvalidCertificate | Self::InvalidBlock | Self::InvalidEvidence => (100, true),
            Self::Oversized | Self::RequestOutOfBounds => (50, true),
            Self::MalformedFrame => (25, true),
            Self::InvalidRecord | Self::UnrequestedResponse => (10, true),
            Self::InvalidTransaction => (5, true),
            Self::InvalidSignature => (2, true),
            Self::FalseStatus => (20, false),
            Self::Unanswered => (10, false),
            Self::Spam => (1, false),
        };
        Weight { points, proved }
    }

    /// Whether it can lead to a ban: an honest node never does it.
    #[must_use]
    pub const fn is_proved(self) -> bool {
        self.weight().proved
    }
}

/// What to do with a peer after an offence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sentence {
    /// Go on.
    Keep,
    /// End the session; it may come back.
    Disconnect,
    /// End the session and take none until then.
    Ban {
        /// When it ends.
        until: Time,
    },
}

/// Points at which a session ends, or a peer is banned if that many are proved.
pub const SCORE_MAX: u64 = 100;
/// One point is forgiven after this long.
const DECAY_MS: u64 = 6_000;
/// Length of a ban.
pub const BAN_MS: u64 = 3_600_000;
/// Keys are free: beyond so many, the record that ends soonest is dropped.
const RECORDS_MAX: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Record {
    /// Points in units of [`DECAY_MS`] milliseconds, so that forgiving is exact.
    proved_ms: u64,
    other_ms: u64,
    at: Time,
    banned_until: Time,
}

impl Record {
    fn decayed(self, now: Time) -> Self {
        let passed = now.since(self.at);
        Self {
            proved_ms: self.proved_ms.saturating_sub(passed),
            other_ms: self.other_ms.saturating_sub(passed),
            at: now,
            ..self
        }
    }

    fn ends_at(&self) -> Time {
        self.at.plus(self.proved_ms.max(self.other_ms)).max(self.banned_until)
    }
}

/// The scores of all peers that have one.
#[derive(Debug, Default)]
pub struct Scores(BTreeMap<PublicKey, Record>);

impl Scores {
    /// Counts an offence and says what follows.
    pub fn report(&mut self, peer: PublicKey, offence: Offence, now: Time) -> Sentence {
        let clean = Record { proved_ms: 0, other_ms: 0, at: now, banned_until: Time(0) };
        let mut record = self.0.get(&peer).copied().unwrap_or(clean).decayed(now);
        let Weight { points, proved } = offence.weight();
        let account = if proved { &mut record.proved_ms } else { &mut record.other_ms };
        *account = account.saturating_add(points * DECAY_MS);
        let limit = SCORE_MAX * DECAY_MS;
        let sentence = if record.proved_ms >= limit {
            record.banned_until = now.plus(BAN_MS);
            Sentence::Ban { until: record.banned_until }
        } else if record.proved_ms.saturating_add(record.other_ms) >= limit {
            // Half is forgiven, or its next slow answer would end the next session.
            record.other_ms /= 2;
            Sentence::Disconnect
        } else {
            Sentence::Keep
        };
        self.0.insert(peer, record);
        self.bound(now);
        sentence
    }

    /// Until when the peer is banned, where it is.
    #[must_use]
    pub fn banned_until(&self, peer: &PublicKey, now: Time) -> Option<Time> {
        self.0.get(peer).map(|record| record.banned_until).filter(|until| *until > now)
    }

    /// Who is banned, and until when.
    pub fn bans(&self, now: Time) -> impl Iterator<Item = (PublicKey, Time)> {
        let banned = self.0.iter().filter(move |(_, record)| record.banned_until > now);
        banned.map(|(peer, record)| (*peer, record.banned_until))
    }

    /// How many peers have a record.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody has a record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets what is forgiven; beyond the bound also what is forgiven soonest.
    fn bound(&mut self, now: Time) {
        if self.0.len() <= RECORDS_MAX {
            return;
        }
        self.0.retain(|_, record| record.ends_at() > now);
        while self.0.len() > RECORDS_MAX {
            let soonest = self.0.iter().min_by_key(|(_, record)| record.ends_at()).map(|(peer, _)| *peer);
            soonest.map(|peer| self.0.remove(&peer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PublicKey = PublicKey([1; 32]);

    fn until_parted(offence: Offence, pause_ms: u64, most: usize) -> Option<(usize, Sentence)> {
        let mut scores = Scores::default();
        (1..=most).find_map(|count| {
            let sentence = scores.report(PEER, offence, Time(count as u64 * pause_ms));
            (sentence != Sentence::Keep).then_some((count, sentence))
        })
    }

    #[test]
    fn offences_have_their_consequences() {
        use Offence::*;
        let table = [
            (MalformedFrame, 4, true),
            (Oversized, 2, true),
            (InvalidSignature, 50, true),
            (InvalidTransaction, 20, true),
            (InvalidCertificate, 1, true),
            (InvalidBlock, 1, true),
            (InvalidEvidence, 1, true),
            (InvalidRecord, 10, true),
            (UnrequestedResponse, 10, true),
            (RequestOutOfBounds, 2, true),
            (FalseStatus, 5, false),
            (Spam, 100, false),
            (Unanswered, 10, false),
        ];
        for (offence, count, banned) in table {
            let (parted_at, sentence) = until_parted(offence, 0, 1000).unwrap();
            assert_eq!(parted_at, count, "{offence}");
            assert_eq!(matches!(sentence, Sentence::Ban { .. }), banned, "{offence}");
            assert_eq!(offence.is_proved(), banned, "{offence}");
        }
    }

    #[test]
    fn ten_thousand_invalid_signatures_a_second_are_scored_off_within_64() {
        let mut scores = Scores::default();
        let banned = (0..10_000u64).position(|at| {
            matches!(scores.report(PEER, Offence::InvalidSignature, Time(at / 10)), Sentence::Ban { .. })
        });
        assert!(banned.unwrap() < 64);
    }

    #[test]
    fn scores_decay_so_a_rare_fault_never_adds_up() {
        assert_eq!(until_parted(Offence::Unanswered, 60_000, 10_000), None);
        assert_eq!(until_parted(Offence::MalformedFrame, 150_000, 10_000), None);
    }

    #[test]
    fn what_is_not_proved_never_bans_however_often() {
        let mut scores = Scores::default();
        for at in 0..100_000u64 {
            let sentence = scores.report(PEER, Offence::Spam, Time(at));
            assert!(!matches!(sentence, Sentence::Ban { .. }));
        }
        assert_eq!(scores.banned_until(&PEER, Time(100_000)), None);
    }

    #[test]
    fn a_ban_ends() {
        let mut scores = Scores::default();
        let sentence = scores.report(PEER, Offence::InvalidBlock, Time(7));
        assert_eq!(sentence, Sentence::Ban { until: Time(7 + BAN_MS) });
        assert_eq!(scores.banned_until(&PEER, Time(6 + BAN_MS)), Some(Time(7 + BAN_MS)));
        assert_eq!(scores.banned_until(&PEER, Time(7 + BAN_MS)), None);
        assert_eq!(scores.bans(Time(7)).collect::<Vec<_>>(), [(PEER, Time(7 + BAN_MS))]);
        assert_eq!(scores.bans(Time(7 + BAN_MS)).count(), 0);
    }

    #[test]
    fn memory_is_bounded_and_bans_outlive_small_faults() {
        let mut scores = Scores::default();
        let key = |at: u32| {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&at.to_be_bytes());
            PublicKey(key)
        };
        scores.report(PEER, Offence::InvalidBlock, Time(0));
        for at in 0..6_000 {
            scores.report(key(at), Offence::Spam, Time(1));
        }
        assert_eq!(scores.len(), RECORDS_MAX);
        assert!(scores.banned_until(&PEER, Time(2)).is_some());
    }
}
