//! The vote journal: a preallocated file that makes a vote durable by overwriting, not by growing.
//!
//! The file is divided into slots of 4,096 bytes, and a record starts on a slot: no durable record ever
//! shares a sector or a page with a later write.
//!
//! ```text
//! slot 0       header: magic, format, slots per area, salt
//! slots 1, 2   mark: how many commits the rest of the store holds durably, at least; written in turn
//! then         two areas; an area is one checkpoint (all rows) followed by changes
//! ```
//! A full area is left for the other one, which gets a checkpoint of the next generation. Until that is
//! durable the old area is intact. Rows that outgrow an area move to a larger file.
//!
//! Every record has a checksum keyed with the file's salt and bound to its slot. What a crash tore is the
//! newest record, never acknowledged, and is dropped. A record that was acknowledged is never dropped: each
//! record names how many before it are durable, so a hole among those is damage and is refused.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use timecoin_core::hash::Tag;
use timecoin_core::rows::Value;

use super::error::{Damage, StoreError};
use super::folder::sync_folder;
use super::record::{HEADER_BYTES, Kind, Record, decode_changes, encode_changes};

/// Bytes of a slot.
pub(super) const SLOT: u64 = 4_096;
/// Slots of an area in a new file: a checkpoint every few hundred votes.
const AREA_SLOTS: u64 = 256;
/// Slots before the first area.
const HEAD_SLOTS: u64 = 3;
/// Largest area that is believed: more is a damaged header.
const AREA_SLOTS_MAX: u64 = 1 << 20;

const MAGIC: &[u8; 8] = b"tcsignj1";
const HEADER: Tag = Tag::new("timecoin vote journal header");

/// The live rows. Keys are shared because readers get copies of the map.
pub(super) type SignRows = BTreeMap<Arc<[u8]>, Value>;

/// An open vote journal.
#[derive(Debug)]
pub(super) struct SignJournal {
    path: PathBuf,
    file: File,
    salt: [u8; 32],
    area_slots: u64,
    /// The area in use, 0 or 1.
    area: u64,
    /// Next free slot, counted within the area.
    next_slot: u64,
    generation: u64,
    /// Number of the next record; over all generations.
    sequence: u64,
    /// Records with a lower number are durable.
    durable: u64,
    /// What the records add up to.
    rows: SignRows,
    marked: u64,
    mark_slot: u64,
}

impl SignJournal {
    /// Writes a new journal that holds `rows`.
    pub(super) fn create(path: &Path, salt: [u8; 32]) -> Result<(), StoreError> {
        let blank = Blank { salt, area_slots: AREA_SLOTS, generation: 1, sequence: 0, marked: 0 };
        blank.write(path, &SignRows::new()).map_err(|error| StoreError::io(path, error))?;
        Ok(())
    }

    /// Opens a journal, replays it and starts a new generation: what was read becomes durable, and what a
    /// crash left behind can never be mistaken for a later record.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let io = |error| StoreError::io(path, error);
        // A larger journal that was not moved into place before a crash.
        match fs::remove_file(successor(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let damaged = |damage| StoreError::damaged(path, damage);
        let (salt, area_slots) = parse_header(&bytes).ok_or_else(|| damaged(Damage::JournalHeader))?;
        let replay =
            Replay::new(&bytes, &salt, area_slots).map_err(|slot| damaged(Damage::JournalRecord { slot }))?;
        let (marked, mark_slot) = parse_marks(&bytes, &salt);
        let Replay { area, next_slot, generation, sequence, durable, rows } = replay;
        let mut journal = Self {
            path: path.to_path_buf(),
            file,
            salt,
            area_slots,
            area,
            next_slot,
            generation,
            sequence,
            durable,
            rows,
            marked,
            mark_slot,
        };
        journal.compact().map_err(io)?;
        Ok(journal)
    }

    /// The rows of the last record.
    pub(super) fn rows(&self) -> &SignRows {
        &self.rows
    }

    /// The most commits that were marked durable.
    pub(super) fn marked(&self) -> u64 {
        self.marked
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        (HEAD_SLOTS + 2 * self.area_slots) * SLOT
    }

    /// Appends one record that puts (`Some`) and deletes (`None`) rows, all or none. With `sync` it and
    /// everything before it is on disk when this returns.
    ///
    /// After an error the journal must not be used again.
    pub(super) fn append<'a>(
        &mut self,
        changes: impl Iterator<Item = (&'a [u8], Option<&'a Value>)> + Clone,
        sync: bool,
    ) -> Result<(), StoreError> {
        for (key, value) in changes.clone() {
            match value {
                Some(value) => self.rows.insert(key.into(), value.clone()),
                None => self.rows.remove(key),
            };
        }
        let payload = encode_changes(changes);
        let written = if self.next_slot + slots_of(&payload) <= self.area_slots {
            self.write(Kind::Changes, &payload)
        } else {
            self.compact()
        };
        written
            .and_then(|()| if sync && self.durable < self.sequence { self.sync() } else { Ok(()) })
            .map_err(|error| StoreError::io(&self.path, error))
    }

    /// Notes that this many commits of the rest of the store are durable. Not synced: a mark that a power
    /// cut takes makes the check at the next opening weaker, never wrong.
    pub(super) fn mark(&mut self, commits: u64) -> Result<(), StoreError> {
        let slot = 1 + self.mark_slot;
        let bytes = mark_bytes(&self.salt, commits);
        write_at(&mut self.file, slot, &bytes).map_err(|error| StoreError::io(&self.path, error))?;
        self.marked = commits;
        self.mark_slot = 1 - self.mark_slot;
        Ok(())
    }

    fn write(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let slot = self.area_start() + self.next_slot;
        let record =
            Record { kind, generation: self.generation, sequence: self.sequence, durable: self.durable };
        write_at(&mut self.file, slot, &record.encode(&self.salt, slot, payload))?;
        self.next_slot += slots_of(payload);
        self.sequence += 1;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.durable = self.sequence;
        Ok(())
    }

    /// Starts the other area with a checkpoint of all rows, or a larger file where they take too much of it.
    fn compact(&mut self) -> io::Result<()> {
        let payload = encode_changes(pairs(&self.rows));
        if slots_of(&payload) > self.area_slots / 2 {
            return self.grow(slots_of(&payload));
        }
        self.area = 1 - self.area;
        self.next_slot = 0;
        self.generation += 1;
        self.write(Kind::Checkpoint, &payload)?;
        self.sync()
    }

    fn grow(&mut self, used_slots: u64) -> io::Result<()> {
        let blank = Blank {
            salt: self.salt,
            area_slots: (used_slots * 4).next_power_of_two(),
            generation: self.generation + 1,
            sequence: self.sequence,
            marked: self.marked,
        };
        let successor = successor(&self.path);
        self.file = blank.write(&successor, &self.rows)?;
        fs::rename(&successor, &self.path)?;
        sync_folder(self.path.parent().unwrap_or(Path::new(".")))?;
        self.area_slots = blank.area_slots;
        self.area = 0;
        self.next_slot = slots_of(&encode_changes(pairs(&self.rows)));
        self.generation = blank.generation;
        self.sequence = blank.sequence + 1;
        self.durable = self.sequence;
        self.mark_slot = 1;
        Ok(())
    }

    fn area_start(&self) -> u64 {
        HEAD_SLOTS + self.area * self.area_slots
    }
}

/// A file about to be written: one checkpoint and zeros.
struct Blank {
    salt: [u8; 32],
    area_slots: u64,
    generation: u64,
    sequence: u64,
    marked: u64,
}

impl Blank {
    /// Writes every byte, so that later overwrites change no metadata, and syncs.
    fn write(&self, path: &Path, rows: &SignRows) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).truncate(true).read(true).write(true).open(path)?;
        let mut slot = vec![0; SLOT as usize];
        for _ in 0..HEAD_SLOTS + 2 * self.area_slots {
            file.write_all(&slot)?;
        }
        slot.clear();
        slot.extend_from_slice(MAGIC);
        slot.extend_from_slice(&self.area_slots.to_le_bytes());
        slot.extend_from_slice(&self.salt);
        let checksum = HEADER.hash(&[&slot]);
        slot.extend_from_slice(&checksum.0);
        write_at(&mut file, 0, &slot)?;
        write_at(&mut file, 1, &mark_bytes(&self.salt, self.marked))?;
        let Self { generation, sequence, .. } = *self;
        let record = Record { kind: Kind::Checkpoint, generation, sequence, durable: sequence };
        let payload = encode_changes(pairs(rows));
        write_at(&mut file, HEAD_SLOTS, &record.encode(&self.salt, HEAD_SLOTS, &payload))?;
        file.sync_all()?;
        Ok(file)
    }
}

/// What the records of a file add up to.
struct Replay {
    area: u64,
    next_slot: u64,
    generation: u64,
    sequence: u64,
    durable: u64,
    rows: SignRows,
}

impl Replay {
    /// Replays the newest generation; the error is the slot that should be readable and is not.
    fn new(bytes: &[u8], salt: &[u8; 32], area_slots: u64) -> Result<Self, u64> {
        let read = |slot: u64| Record::decode(bytes.get((slot * SLOT) as usize..)?, salt, slot);
        let areas = [HEAD_SLOTS, HEAD_SLOTS + area_slots];
        let slots = |area: usize| areas[area]..areas[area] + area_slots;
        let newest = |area| slots(area).filter_map(read).map(|(record, _)| record.generation).max();
        let (first, second) = (newest(0), newest(1));
        let area = usize::from(second > first);
        let Some(generation) = first.max(second) else { return Err(HEAD_SLOTS) };

        let mut at = areas[area];
        let (start, payload) = read(at)
            .filter(|(record, _)| record.kind == Kind::Checkpoint && record.generation == generation)
            .ok_or(at)?;
        let mut replay = Self {
            area: area as u64,
            next_slot: 0,
            generation,
            sequence: start.sequence,
            durable: start.durable,
            rows: SignRows::new(),
        };
        replay.apply(start, payload).ok_or(at)?;
        loop {
            at = areas[area] + replay.next_slot;
            let next = (at < slots(area).end).then(|| read(at)).flatten();
            let Some((record, payload)) = next
                .filter(|(record, _)| record.generation == generation && record.sequence == replay.sequence)
            else {
                break;
            };
            replay.apply(record, payload).ok_or(at)?;
        }
        // Past the end, only records that do not count on the missing ones: torn, not lost.
        let later = (at..slots(area).end).filter_map(read).map(|(record, _)| record);
        let counts_on_it =
            |record: &Record| record.generation == generation && record.durable > replay.sequence;
        if later.into_iter().any(|record| counts_on_it(&record)) { Err(at) } else { Ok(replay) }
    }

    fn apply(&mut self, record: Record, payload: &[u8]) -> Option<()> {
        for (key, value) in decode_changes(payload)? {
            match value {
                Some(value) => self.rows.insert(key.into(), value.into()),
                None => self.rows.remove(key),
            };
        }
        self.next_slot += slots_of(payload);
        self.sequence = record.sequence.checked_add(1)?;
        self.durable = record.durable;
        Some(())
    }
}

fn pairs<K: Borrow<[u8]>>(
    rows: &BTreeMap<K, Value>,
) -> impl Iterator<Item = (&[u8], Option<&Value>)> + Clone {
    rows.iter().map(|(key, value)| (key.borrow(), Some(value)))
}

fn slots_of(payload: &[u8]) -> u64 {
    ((HEADER_BYTES + payload.len()) as u64).div_ceil(SLOT)
}

fn write_at(file: &mut File, slot: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(slot * SLOT))?;
    file.write_all(bytes)
}

fn successor(path: &Path) -> PathBuf {
    path.with_extension("journal.larger")
}

fn parse_header(bytes: &[u8]) -> Option<([u8; 32], u64)> {
    let (header, rest) = bytes.split_at_checked(48)?;
    let checksum = rest.get(..32)?;
    let (magic, fields) = header.split_at(8);
    let (area_slots, salt) = fields.split_at(8);
    let area_slots = u64::from_le_bytes(area_slots.try_into().ok()?);
    let fits = area_slots <= AREA_SLOTS_MAX && bytes.len() as u64 == (HEAD_SLOTS + 2 * area_slots) * SLOT;
    (magic == MAGIC && HEADER.hash(&[header]).0 == checksum && fits)
        .then_some((salt.try_into().ok()?, area_slots))
}

fn mark_bytes(salt: &[u8; 32], commits: u64) -> Vec<u8> {
    let mut bytes = commits.to_le_bytes().to_vec();
    bytes.extend_from_slice(blake3::keyed_hash(salt, &bytes).as_bytes());
    bytes
}

/// The higher readable mark, and which of its two slots comes next.
fn parse_marks(bytes: &[u8], salt: &[u8; 32]) -> (u64, u64) {
    let read = |slot: u64| {
        let found = bytes.get((slot * SLOT) as usize..)?.get(..40)?;
        let commits = u64::from_le_bytes(found.get(..8)?.try_into().ok()?);
        (mark_bytes(salt, commits) == found).then_some(commits)
    };
    let (first, second) = (read(1), read(2));
    (first.max(second).unwrap_or(0), u64::from(first >= second))
}
