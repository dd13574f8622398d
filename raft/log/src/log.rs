//! The Raft log and vote.
//!
//! Whoever appends also syncs: an append and its sync need no other thread, and appends that wait together share one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use planted_bugs::planted;
use rocksdb::{DB, DBCompressionType, DBRecoveryMode, Direction, IteratorMode, Options, WriteBatch, WriteOptions};

use crate::look::past_the_cache;
use crate::tail::Tail;
use crate::{Error, codec, folder, journal, renew};

const ENTRIES: u8 = b'e';
const VOTE: &[u8] = b"m/vote";
const COMMITTED: &[u8] = b"m/committed";
const PURGED: &[u8] = b"m/purged";
const FORMAT: &[u8] = b"m/format";
/// Counts the writes, so that one that was lost is missed.
const WRITES: &[u8] = b"m/writes";
/// All that is no record.
pub(crate) const MARKS: [&[u8]; 5] = [VOTE, COMMITTED, PURGED, FORMAT, WRITES];

/// Memory for unflushed records; there are two such buffers.
const WRITE_BUFFER_BYTES: usize = 4 << 20;

/// Told when an append is on the disk, or that it will never be.
pub type Done = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// What was found at opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// As saved by [`Log::save_vote`].
    pub vote: Option<Bytes>,
    /// As saved by [`Log::append`] or [`Log::save_committed`].
    pub committed: Option<Bytes>,
    /// Index and opaque id of the last purged record.
    pub purged: Option<(u64, Bytes)>,
    /// First and last index of the records.
    pub range: Option<(u64, u64)>,
}

/// An append that is written, and not known to be on the disk.
struct Unsynced {
    /// The last index that it wrote, if any.
    index: Option<u64>,
    /// The number of the write.
    write: u64,
    bytes: u64,
    done: Done,
}

/// Told of every sync how long it took.
pub type OnSync = Box<dyn Fn(Duration) + Send + Sync>;

/// The log. Appends are readable at once and durable when their `done` is called, by [`Log::sync`]; all other writes return
/// when durable.
pub struct Log {
    folder: PathBuf,
    db: DB,
    unsynced: Mutex<Vec<Unsynced>>,
    on_sync: OnceLock<OnSync>,
    tail: Mutex<Tail>,
    /// The number of the last write. Locked while one is made, so that they lie in the database in the order of their
    /// numbers.
    writes: Mutex<u64>,
    bytes_appended: AtomicU64,
}

/// Nobody panics with one of these locks and leaves something half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(index: u64) -> [u8; 9] {
    let mut key = [ENTRIES; 9];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}

fn index_of(key: &[u8]) -> Option<u64> {
    let (kind, index) = key.split_first()?;
    (*kind == ENTRIES).then(|| index.try_into().ok().map(u64::from_be_bytes))?
}

fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    // What is purged soon is not worth the processor's time.
    options.set_compression_type(DBCompressionType::None);
    options.set_block_based_table_factory(&folder::small_cache());
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(2);
    // Small files are many, and nobody looks anything up in them but for one that lags.
    options.set_level_zero_file_num_compaction_trigger(16);
    options.set_level_zero_slowdown_writes_trigger(40);
    options.set_level_zero_stop_writes_trigger(64);
    options.set_keep_log_file_num(2);
    options.set_paranoid_checks(true);
    options.set_manual_wal_flush(true);
    // A record torn by a crash was never synced; anything else that is wrong is an error, not a cut.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options
}

impl Log {
    /// Opens or makes the log in a folder. Blocks on the disk.
    ///
    /// # Errors
    /// When the log is damaged, of another format, or lacks records that were acknowledged.
    pub fn open(path: &Path) -> Result<(Self, Recovered), Error> {
        let options = options();
        folder::make_folder(path)?;
        renew::finish(path, &options)?;
        journal::check_types(&path.join("rocksdb"))?;
        let db = DB::open(&options, path.join("rocksdb"))?;
        check_format(&db)?;
        let (tail, known) = Tail::open(&path.join("tail"))?;
        // RocksDB syncs what is in its folder, and not the folder's own name.
        folder::sync(path)?;
        let recovered = Self::recover(&db)?;
        let end = recovered.range.map(|(_, last)| last).or(recovered.purged.as_ref().map(|(i, _)| *i)).unwrap_or(0);
        if end < known.index {
            return Err(Error::TailLost { end, acknowledged: known.index });
        }
        let writes = count_of_writes(&db)?;
        if writes < known.write {
            let detail = format!("write {writes} is the last one, but write {} was synced", known.write);
            return Err(Error::Damaged { what: "the log", detail });
        }
        let log = Self {
            folder: path.to_owned(),
            db,
            unsynced: Mutex::default(),
            on_sync: OnceLock::new(),
            tail: Mutex::new(tail),
            writes: Mutex::new(writes),
            bytes_appended: AtomicU64::new(0),
        };
        Ok((log, recovered))
    }

    fn recover(db: &DB) -> Result<Recovered, Error> {
        let get = |key: &[u8]| -> Result<Option<Bytes>, Error> {
            let Some(sealed) = db.get(key)? else { return Ok(None) };
            Ok(Some(Bytes::copy_from_slice(codec::open("a number of the log", 0, &sealed)?)))
        };
        let purged = purge_mark(db)?;
        let range = check_records(db, purged.as_ref().map_or(0, |(index, _)| *index))?;
        let recovered = Recovered {
            vote: get(VOTE)?,
            committed: get(COMMITTED)?,
            purged: purged.map(|(index, id)| (index, id.into())),
            range,
        };
        if let (Some((purged, _)), Some((first, _))) = (&recovered.purged, recovered.range)
            && first > purged + 1
        {
            let detail = format!("records {} to {} are missing", purged + 1, first - 1);
            return Err(Error::Damaged { what: "the log", detail });
        }
        Ok(recovered)
    }

    /// Has every sync of the disk told how long it took. The first call counts.
    pub fn on_sync(&self, told: OnSync) {
        let _ = self.on_sync.set(told);
    }

    /// Appends records with contiguous indexes, and saves how far the log is committed, if that is given: within what was
    /// appended before. They can be read when this returns, and are on the disk when `done` is called by the next
    /// [`Log::sync`]. Writes to memory only. When the database refuses, `done` is told so at once.
    pub fn append(&self, records: &[(u64, Bytes)], committed: Option<&[u8]>, done: Done) {
        let mut batch = WriteBatch::default();
        let mut bytes = 0;
        for (index, record) in records {
            batch.put(key(*index), codec::seal(*index, record));
            bytes += record.len() as u64;
        }
        if let Some(committed) = committed {
            batch.put(COMMITTED, codec::seal(0, committed));
        }
        let written = self.write(&mut lock(&self.writes), batch, &WriteOptions::default());
        match written {
            Ok(write) => {
                self.bytes_appended.fetch_add(bytes, Ordering::Relaxed);
                let index = records.last().map(|(index, _)| *index);
                lock(&self.unsynced).push(Unsynced { index, write, bytes, done });
            }
            Err(error) => done(Err(error)),
        }
    }

    /// Brings to the disk what was appended, with one sync for all of it, and tells those who wait. Blocks.
    pub fn sync(&self) {
        let waiting = std::mem::take(&mut *lock(&self.unsynced));
        if waiting.is_empty() {
            return;
        }
        let synced = self.sync_up_to(&waiting);
        let bytes: u64 = waiting.iter().map(|append| append.bytes).sum();
        tracing::trace!(appends = waiting.len(), bytes, "log synced");
        for append in waiting {
            (append.done)(synced.as_ref().map_err(Error::again).copied());
        }
    }

    fn sync_up_to(&self, waiting: &[Unsynced]) -> Result<(), Error> {
        if planted!(NoFsync) {
            return Ok(());
        }
        let begun = Instant::now();
        let synced = self.accepted(self.db.flush_wal(true));
        if let Some(told) = self.on_sync.get() {
            told(begun.elapsed());
        }
        synced?;
        let last = waiting.iter().rev().find_map(|append| append.index.map(|index| (index, append.write)));
        let Some((index, write)) = last else { return Ok(()) };
        lock(&self.tail).mark(index, write).map_err(Error::file(&self.folder))
    }

    /// Writes a batch with its number.
    fn write(&self, writes: &mut u64, mut batch: WriteBatch, options: &WriteOptions) -> Result<u64, Error> {
        let number = *writes + 1;
        batch.put(WRITES, codec::seal(0, &number.to_le_bytes()));
        self.accepted(self.db.write_opt(batch, options))?;
        *writes = number;
        Ok(number)
    }

    /// What the database says to a write.
    fn accepted(&self, said: Result<(), rocksdb::Error>) -> Result<(), Error> {
        said.map_err(|error| renew::refusal(&self.folder, error.into()))
    }

    /// Writes a batch that is on the disk when this returns, and so is the marker.
    fn write_through(&self, batch: WriteBatch) -> Result<(), Error> {
        let mut writes = lock(&self.writes);
        let number = self.write(&mut writes, batch, &synced())?;
        self.accepted(self.db.flush_wal(true))?;
        lock(&self.tail).mark_now(number).map_err(Error::file(&self.folder))
    }

    /// Records from `from` (included) to `to` (excluded), fewer when they exceed `bytes_max` (but at least one). May block.
    ///
    /// # Errors
    /// When a record is damaged or missing.
    pub fn read(&self, from: u64, to: u64, bytes_max: usize) -> Result<Vec<(u64, Bytes)>, Error> {
        let mut records = Vec::new();
        let mut bytes = 0;
        for item in self.db.iterator(IteratorMode::From(&key(from), Direction::Forward)) {
            let (found, sealed) = item?;
            let Some(index) = index_of(&found).filter(|index| *index < to) else { break };
            let expected = from + records.len() as u64;
            if index != expected {
                return Err(Error::Damaged { what: "the log", detail: format!("record {expected} is missing") });
            }
            let record = Bytes::copy_from_slice(codec::open("a record of the log", index, &sealed)?);
            bytes += record.len();
            if bytes > bytes_max && !records.is_empty() {
                break;
            }
            records.push((index, record));
        }
        Ok(records)
    }

    /// Reads on from an index, about so many bytes, and checks every record; the index to go on at, `None` at the end. What was
    /// purged meanwhile is skipped. Blocks.
    ///
    /// # Errors
    /// When a record is damaged or missing, or cannot be read.
    pub fn look(&self, from: u64, bytes_max: u64) -> Result<(u64, Option<u64>), Error> {
        let mut bytes = 0;
        let mut next = None;
        for item in self.db.iterator_opt(IteratorMode::From(&key(from), Direction::Forward), past_the_cache()) {
            let (found, sealed) = item?;
            let Some(index) = index_of(&found) else { break };
            check_record(index, &sealed, next)?;
            bytes += (found.len() + sealed.len()) as u64;
            next = Some(index + 1);
            if bytes >= bytes_max {
                return Ok((bytes, next));
            }
        }
        Ok((bytes, None))
    }

    /// Cuts the log after `index` (everything, when it is the last purged one). Blocks until that is on the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn truncate_after(&self, index: u64) -> Result<(), Error> {
        // Appends on their way to the disk would raise the marker again: let them arrive.
        self.sync();
        // First the marker: a crash in between leaves a log that is longer than the marker says, which is no loss.
        lock(&self.tail).lower(index).map_err(Error::file(&self.folder))?;
        let mut batch = WriteBatch::default();
        batch.delete_range(key(index + 1), key(u64::MAX));
        self.write_through(batch)
    }

    /// Forgets records up to `index`, whose opaque id is kept. Blocks until the mark is on the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn purge(&self, index: u64, id: &[u8]) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        batch.put(PURGED, codec::seal(0, &codec::encode(&(index, id))));
        batch.delete_range(key(0), key(index + 1));
        self.write_through(batch)
    }

    /// Saves the vote. Blocks until it is on the disk: a vote forgotten could be given twice.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save_vote(&self, vote: &[u8]) -> Result<(), Error> {
        if planted!(VoteNotPersisted) {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        batch.put(VOTE, codec::seal(0, vote));
        self.write_through(batch)
    }

    /// Saves how far the log is committed, a hint for a faster start. It is on the disk after the next [`Log::sync`] of
    /// something else.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn save_committed(&self, committed: &[u8]) -> Result<(), Error> {
        self.accepted(self.db.put(COMMITTED, codec::seal(0, committed)))
    }

    /// Brings what is in memory to tables.
    #[cfg(test)]
    pub(crate) fn flush_tables(&self) {
        self.db.flush().unwrap();
    }

    /// Has the database merge its tables.
    #[cfg(test)]
    pub(crate) fn merge_tables(&self) {
        self.db.compact_range::<&[u8], &[u8]>(None, None);
    }

    /// Bytes appended since the log was opened.
    pub fn bytes_appended(&self) -> u64 {
        self.bytes_appended.load(Ordering::Relaxed)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.sync();
    }
}

fn check_format(db: &DB) -> Result<(), Error> {
    match db.get(FORMAT)? {
        None => Ok(db.put_opt(FORMAT, [codec::VERSION], &synced())?),
        Some(found) if found == [codec::VERSION] => Ok(()),
        Some(found) => {
            let found = found.first().copied().unwrap_or(0);
            Err(Error::UnknownVersion { what: "the log", found, supported: codec::VERSION })
        }
    }
}

/// Index and opaque id of the last purged record.
fn purge_mark(db: &DB) -> Result<Option<(u64, Vec<u8>)>, Error> {
    let Some(sealed) = db.get(PURGED)? else { return Ok(None) };
    codec::decode("the purge mark", codec::open("the purge mark", 0, &sealed)?).map(Some)
}

/// The index of the last purged record, 0 when none was.
pub(crate) fn purged_up_to(db: &DB) -> Result<u64, Error> {
    Ok(purge_mark(db)?.map_or(0, |(index, _)| index))
}

/// A record as it is stored: its key and its sealed bytes.
type Stored = (Box<[u8]>, Box<[u8]>);

/// The records that live, each checked. Begins behind what was purged, so that what is left of that is not even read.
pub(crate) fn records_after(db: &DB, purged: u64) -> impl Iterator<Item = Result<Stored, Error>> {
    let mut next = None;
    let stored = db.iterator(IteratorMode::From(&key(purged + 1), Direction::Forward));
    let records = stored.take_while(|item| item.as_ref().map_or(true, |(found, _)| index_of(found).is_some()));
    records.map(move |item| {
        let (found, sealed) = item?;
        if let Some(index) = index_of(&found) {
            check_record(index, &sealed, next)?;
            next = Some(index + 1);
        }
        Ok((found, sealed))
    })
}

/// Reads every record: one that is damaged or missing is found now, and not when a peer or apply asks for it. The first and
/// the last index.
fn check_records(db: &DB, purged: u64) -> Result<Option<(u64, u64)>, Error> {
    let mut range: Option<(u64, u64)> = None;
    for record in records_after(db, purged) {
        if let Some(index) = index_of(&record?.0) {
            range = Some((range.map_or(index, |(first, _)| first), index));
        }
    }
    Ok(range)
}

/// Checks one record, and that it is the one that was expected, if any was.
fn check_record(index: u64, sealed: &[u8], expected: Option<u64>) -> Result<(), Error> {
    codec::open("a record of the log", index, sealed)?;
    match expected.filter(|expected| *expected != index) {
        None => Ok(()),
        Some(expected) => Err(Error::Damaged { what: "the log", detail: format!("record {expected} is missing") }),
    }
}

fn count_of_writes(db: &DB) -> Result<u64, Error> {
    let Some(sealed) = db.get(WRITES)? else { return Ok(0) };
    let bytes = codec::open("the count of writes", 0, &sealed)?;
    let damaged = |_| Error::Damaged { what: "the count of writes", detail: "it is no number".to_owned() };
    bytes.try_into().map(u64::from_le_bytes).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn append(log: &Log, indexes: std::ops::RangeInclusive<u64>) {
        let records: Vec<(u64, Bytes)> = indexes.map(|i| (i, Bytes::from(format!("record {i}")))).collect();
        let (told, done) = mpsc::channel();
        log.append(&records, None, Box::new(move |result| told.send(result.is_ok()).unwrap()));
        assert!(done.try_recv().is_err(), "it is not on the disk yet");
        log.sync();
        assert!(done.recv().unwrap());
    }

    fn indexes(log: &Log, from: u64, to: u64) -> Vec<u64> {
        log.read(from, to, usize::MAX).unwrap().into_iter().map(|(index, _)| index).collect()
    }

    #[test]
    fn records_come_back_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (log, recovered) = Log::open(folder.path()).unwrap();
        assert_eq!(recovered, Recovered::default());
        append(&log, 1..=10);
        log.save_vote(b"vote").unwrap();
        log.save_committed(b"at 7").unwrap();
        log.truncate_after(8).unwrap();
        log.purge(3, b"id of 3").unwrap();
        drop(log);
        let (log, recovered) = Log::open(folder.path()).unwrap();
        assert_eq!(recovered.vote.as_deref(), Some(&b"vote"[..]));
        assert_eq!(recovered.committed.as_deref(), Some(&b"at 7"[..]));
        assert_eq!(recovered.purged, Some((3, Bytes::from_static(b"id of 3"))));
        assert_eq!(recovered.range, Some((4, 8)));
        assert_eq!(indexes(&log, 4, 100), [4, 5, 6, 7, 8]);
        assert_eq!(indexes(&log, 5, 7), [5, 6]);
        append(&log, 9..=9);
        assert_eq!(indexes(&log, 8, 100), [8, 9]);
    }

    #[test]
    fn reads_are_bounded_but_never_empty() {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(folder.path()).unwrap();
        append(&log, 1..=5);
        assert_eq!(log.read(1, 6, 1).unwrap().len(), 1);
        assert_eq!(log.read(1, 6, 17).unwrap().len(), 2);
    }

    #[test]
    fn a_log_that_lost_acknowledged_records_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(folder.path()).unwrap();
        append(&log, 1..=5);
        drop(log);
        std::fs::remove_dir_all(folder.path().join("rocksdb")).unwrap();
        let error = Log::open(folder.path()).err().unwrap();
        assert!(matches!(error, Error::TailLost { end: 0, acknowledged: 5 }), "{error}");
    }

    #[test]
    fn a_missing_record_is_damage_and_not_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(folder.path()).unwrap();
        append(&log, 1..=5);
        log.db.delete(key(3)).unwrap();
        assert!(matches!(log.read(1, 6, usize::MAX), Err(Error::Damaged { .. })));
        log.db.put(key(3), codec::seal(4, b"in the wrong place")).unwrap();
        assert!(matches!(log.read(1, 6, usize::MAX), Err(Error::Damaged { .. })));
    }

    #[test]
    fn a_write_that_was_synced_and_is_gone_is_missed_whatever_it_was() {
        let check = |name: &str, write: &dyn Fn(&Log)| {
            let folder = tempfile::tempdir().unwrap();
            let (log, _) = Log::open(folder.path()).unwrap();
            append(&log, 1..=5);
            drop(log);
            let database = folder.path().join("rocksdb");
            let kept = folder.path().join("kept");
            copy(&database, &kept);
            let (log, _) = Log::open(folder.path()).unwrap();
            write(&log);
            drop(log);
            // The disk forgets what came since, but for the marker.
            std::fs::remove_dir_all(&database).unwrap();
            std::fs::rename(&kept, &database).unwrap();
            assert!(Log::open(folder.path()).is_err(), "{name} is not missed");
        };
        check("an append", &|log| append(log, 6..=6));
        check("a vote", &|log| log.save_vote(b"vote").unwrap());
        check("a cut, and an append in its place", &|log| {
            log.truncate_after(4).unwrap();
            append(log, 5..=5);
        });
        check("a purge", &|log| log.purge(2, b"id").unwrap());
    }

    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }

    #[test]
    fn a_record_that_is_damaged_on_the_disk_is_found_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(folder.path()).unwrap();
        append(&log, 1..=5);
        log.db.put(key(3), codec::seal(4, b"in the wrong place")).unwrap();
        drop(log);
        assert!(Log::open(folder.path()).is_err());
    }
}
