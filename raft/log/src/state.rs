//! The applied state on disk: stored versions by revision, the retry window, and the index it was applied up to.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use raft_state::history::{History, Stored};
use raft_state::port::BoxFuture;
use raft_state::record::Scalars;
use raft_state::{Delta, JoinToken, Keyring, Lease, Payload, Place, Record, Revision, RosterChange, State};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    ColumnFamilyDescriptor, DB, DBCompressionType, Direction, FlushOptions, IteratorMode, Options, WriteBatch,
    WriteOptions,
};
use serde::{Deserialize, Serialize};

use crate::codec::number;
use crate::database::Database;
use crate::window::{self, Filed};
use crate::{Error, codec, folder, journal};

const VERSIONS: &str = "versions";
const LEASES: &str = "leases";
const WINDOW: &str = "window";
const ROSTER: &str = "roster";
const META: &str = "meta";
pub(crate) const FAMILIES: [&str; 5] = [VERSIONS, LEASES, WINDOW, ROSTER, META];

const LAST_ID: u8 = b'i';
const RETIRED: u8 = b'r';
const TOKEN: u8 = b't';

const APPLIED: &[u8] = b"applied";
const FORMAT: &[u8] = b"format";
/// Up to which revision compaction has deleted what nobody can read.
const CLEARED: &[u8] = b"cleared";

/// The version of what is filed where; that of the records' encoding is the codec's.
const LAYOUT: u8 = 2;

/// Memory for versions that are not flushed yet; there are two such buffers.
const WRITE_BUFFER_BYTES: usize = 4 << 20;

/// How far the state was applied; opaque to this crate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Log index; 0 before the first entry.
    pub index: u64,
    /// The log id, as the node crate encodes it.
    pub log_id: Vec<u8>,
    /// The membership in force, as the node crate encodes it.
    pub membership: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Mark {
    applied: Applied,
    pub(crate) scalars: Scalars,
}

/// The state's database. All methods but [`History::after`] block on the disk now and then.
///
/// The database lies in one of the numbered folders `state-<n>`; the file `current` names which, so that an installed
/// snapshot takes its place in one step.
pub struct StateStore {
    root: PathBuf,
    db: RwLock<Arc<Database>>,
    filed: Mutex<Filed>,
    on_unreadable: OnceLock<OnUnreadable>,
}

/// Told when what was written cannot be read.
pub type OnUnreadable = Box<dyn Fn(&Error) + Send + Sync>;

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_block_based_table_factory(&folder::small_cache());
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    // Versions come in order: merging their tables moves bytes and sorts nothing. Nobody reads but at a start.
    options.set_level_zero_file_num_compaction_trigger(12);
    options.set_level_zero_slowdown_writes_trigger(40);
    options.set_level_zero_stop_writes_trigger(64);
    options.set_keep_log_file_num(2);
    options.set_paranoid_checks(true);
    options
}

fn unlogged() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

fn open_database(path: &Path) -> Result<Database, Error> {
    let families = FAMILIES.map(|name| ColumnFamilyDescriptor::new(name, options()));
    journal::check_types(path)?;
    let db = DB::open_cf_descriptors(&options(), path, families)?;
    let meta = family(&db, META);
    match db.get_cf(meta, FORMAT)? {
        None => {
            let mut batch = WriteBatch::default();
            batch.put_cf(meta, FORMAT, [LAYOUT]);
            db.write_opt(batch, &unlogged())?;
        }
        Some(found) if found == [LAYOUT] => {}
        Some(found) => {
            let found = found.first().copied().unwrap_or(0);
            return Err(Error::UnknownVersion { what: "the state", found, supported: LAYOUT });
        }
    }
    Ok(Database::new(db, path.to_owned()))
}

pub(crate) fn family<'a>(db: &'a DB, name: &str) -> &'a rocksdb::ColumnFamily {
    db.cf_handle(name).expect("every family is made at opening")
}

/// Versions are filed in the order of their places.
fn version_key(place: Place) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&place.revision.to_be_bytes());
    key[8..].copy_from_slice(&place.sub.to_be_bytes());
    key
}

fn place(key: &[u8]) -> Option<Place> {
    let (revision, sub) = key.split_at_checked(8)?;
    Some(Place { revision: number(revision)?, sub: sub.try_into().ok().map(u32::from_be_bytes)? })
}

/// What a lease's record is sealed with: its id.
fn seal_of(id: i64) -> u64 {
    id.cast_unsigned()
}

impl StateStore {
    /// Opens or makes the state under `root` and loads it into memory.
    ///
    /// # Errors
    /// When it is damaged, of another format, or sealed with other keys.
    pub fn open(root: &Path, keyring: Arc<dyn Keyring>) -> Result<(Self, State, Applied), Error> {
        folder::make_folder(root)?;
        let number = current(root)?;
        remove_others(root, number)?;
        let db = open_database(&folder_of(root, number))?;
        folder::sync(root)?;
        let Loaded { state, applied, filed } = load(&db, keyring)?;
        let store = Self {
            root: root.to_owned(),
            db: RwLock::new(Arc::new(db)),
            filed: Mutex::new(filed),
            on_unreadable: OnceLock::new(),
        };
        Ok((store, state, applied))
    }

    /// Has somebody told that history cannot be read, or that the database has met damage and takes no more writes. Readers of
    /// such history wait for ever, for a page with a gap would be a lie: whoever is told ends the process. The first call counts.
    pub fn on_unreadable(&self, told: OnUnreadable) {
        let _ = self.on_unreadable.set(told);
    }

    /// Where the database lies now.
    ///
    /// # Errors
    /// When what says so is damaged, or cannot be read.
    pub fn folder(&self) -> Result<PathBuf, Error> {
        Ok(folder_of(&self.root, current(&self.root)?))
    }

    pub(crate) fn db(&self) -> Arc<Database> {
        self.db.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes what one log entry changed, together with its index. To memory only: [`StateStore::flush`] and full buffers
    /// bring it to the disk, all of it or nothing. The entry must be durable in the local log already.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn write(&self, delta: &Delta, applied: &Applied) -> Result<(), Error> {
        let db = self.db();
        let (versions, meta) = (family(&db, VERSIONS), family(&db, META));
        let mut batch = WriteBatch::default();
        for (place, record) in &delta.records {
            let sealed = codec::encode_sealed(place.revision, record, size_of_record(record));
            batch.put_cf(versions, version_key(*place), sealed);
        }
        for (id, lease) in &delta.leases {
            let key = id.to_be_bytes();
            match lease {
                Some(lease) => batch.put_cf(family(&db, LEASES), key, codec::seal(seal_of(*id), &codec::encode(lease))),
                None => batch.delete_cf(family(&db, LEASES), key),
            }
        }
        for change in &delta.roster {
            write_roster(&mut batch, family(&db, ROSTER), change);
        }
        self.filed.lock().unwrap_or_else(PoisonError::into_inner).write(&mut batch, family(&db, WINDOW), delta);
        let mark = Mark { applied: applied.clone(), scalars: delta.scalars };
        batch.put_cf(meta, APPLIED, codec::seal(0, &codec::encode(&mark)));
        self.told_of(db.write_opt(batch, &unlogged()).map_err(Error::from))
    }

    /// A database that has met damage takes no more writes, and the next start may well go on until it meets it again: so
    /// whoever listens for what cannot be read is told.
    fn told_of<T>(&self, done: Result<T, Error>) -> Result<T, Error> {
        if let (Err(error), Some(told)) = (&done, self.on_unreadable.get())
            && error.is_damage()
        {
            told(error);
        }
        done
    }

    /// Brings everything written so far to the disk, atomically.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn flush(&self) -> Result<(), Error> {
        self.told_of(flush(&self.db()))
    }

    /// Deletes versions that compactions up to this floor left without a reader. Runs beside everything else.
    ///
    /// Begins where the last one that is in the database ended, not at the last floor: one that a crash cut short, or that a
    /// checkpoint does not hold, leaves versions behind. Deleting a deletion above them would bring them back to life.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn compact(&self, to: Revision) -> Result<(), Error> {
        let db = self.db();
        let (versions, meta) = (family(&db, VERSIONS), family(&db, META));
        let from = db.get_cf(meta, CLEARED)?.and_then(|bytes| number(&bytes)).unwrap_or(0);
        let mut batch = WriteBatch::default();
        let first = version_key(Place { revision: from + 1, sub: 0 });
        for item in db.iterator_cf(versions, IteratorMode::From(&first, Direction::Forward)) {
            let (key, sealed) = item?;
            let Some(place) = place(&key).filter(|place| place.revision <= to) else { break };
            let record = read_record(place, &sealed)?;
            if let Some(previous) = record.previous {
                batch.delete_cf(versions, version_key(previous));
            }
            if record.payload.is_none() {
                batch.delete_cf(versions, version_key(place));
            }
            if batch.len() >= 1000 {
                db.write_opt(std::mem::take(&mut batch), &unlogged())?;
            }
        }
        batch.put_cf(meta, CLEARED, to.max(from).to_be_bytes());
        Ok(db.write_opt(batch, &unlogged())?)
    }

    /// Makes a checkpoint: a folder of hard links that holds the state as of some applied index, which
    /// [`StateStore::inspect`] tells. Apply goes on meanwhile.
    ///
    /// # Errors
    /// When the disk refuses or the folder exists.
    pub fn checkpoint(&self, path: &Path) -> Result<Applied, Error> {
        let db = self.db();
        self.told_of(flush(&db))?;
        Checkpoint::new(&**db)?.create_checkpoint(path)?;
        Self::inspect(path)
    }

    /// What a checkpoint says of itself.
    ///
    /// # Errors
    /// When it is damaged or of another format.
    pub fn inspect(path: &Path) -> Result<Applied, Error> {
        Ok(read_mark(&open_checkpoint(path)?)?.applied)
    }

    /// Reads a checkpoint whole, as opening the state does: what is installed is known to be sound before anything makes way
    /// for it.
    ///
    /// # Errors
    /// When it is damaged, of another format, or sealed with other keys.
    pub fn examine(path: &Path, keyring: Arc<dyn Keyring>) -> Result<Examined, Error> {
        Ok(Examined(load(&open_checkpoint(path)?, keyring)?))
    }

    /// Puts a received checkpoint in the place of the state. The received folder is moved. After a crash the old state or the
    /// new one is there, never a mixture.
    ///
    /// # Errors
    /// When the disk refuses: the old state stays.
    pub fn install(&self, received: &Path, examined: Examined) -> Result<(State, Applied), Error> {
        let Examined(Loaded { state, applied, filed }) = examined;
        let next = current(&self.root)? + 1;
        let path = folder_of(&self.root, next);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(Error::file(&path))?;
        }
        fs::rename(received, &path).map_err(Error::file(received))?;
        folder::sync(&self.root)?;
        let db = open_database(&path)?;
        folder::replace(&self.root.join("current"), named(next).as_bytes())?;
        let old = std::mem::replace(&mut *self.db.write().unwrap_or_else(PoisonError::into_inner), Arc::new(db));
        *self.filed.lock().unwrap_or_else(PoisonError::into_inner) = filed;
        old.retire();
        Ok((state, applied))
    }
}

/// A checkpoint that was read whole and found sound: what it holds.
pub struct Examined(Loaded);

impl Examined {
    /// One that lies elsewhere than in a database of ours.
    pub fn elsewhere(state: State, applied: Applied) -> Self {
        Self(Loaded { state, applied, filed: Filed::default() })
    }

    /// What it holds.
    pub fn into_state(self) -> (State, Applied) {
        (self.0.state, self.0.applied)
    }

    /// What it was applied up to.
    pub fn applied(&self) -> &Applied {
        &self.0.applied
    }
}

impl std::fmt::Debug for Examined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Examined").field("applied", self.applied()).finish_non_exhaustive()
    }
}

/// Opens a checkpoint without changing it.
pub(crate) fn open_checkpoint(path: &Path) -> Result<DB, Error> {
    journal::check_types(path)?;
    let db = DB::open_cf_for_read_only(&options(), path, FAMILIES, false)?;
    match db.get_cf(family(&db, META), FORMAT)? {
        Some(found) if found == [LAYOUT] => Ok(db),
        None => Err(Error::Damaged { what: "the snapshot", detail: "it does not say what it holds".to_owned() }),
        Some(found) => {
            let found = found.first().copied().unwrap_or(0);
            Err(Error::UnknownVersion { what: "the snapshot", found, supported: LAYOUT })
        }
    }
}

fn flush(db: &DB) -> Result<(), Error> {
    let mut options = FlushOptions::default();
    options.set_wait(true);
    let families = FAMILIES.map(|name| family(db, name));
    let families: Vec<&&rocksdb::ColumnFamily> = families.iter().collect();
    Ok(db.flush_cfs_opt(&families, &options)?)
}

fn folder_of(root: &Path, number: u64) -> PathBuf {
    root.join(format!("state-{number}"))
}

/// What the file `current` says: the number, and a checksum, for a wrong number would lose everything.
fn named(number: u64) -> String {
    format!("{number} {:08x}\n", crc32c::crc32c(&number.to_le_bytes()))
}

/// The number of the folder in use.
fn current(root: &Path) -> Result<u64, Error> {
    let path = root.join("current");
    let damaged = |detail: &str| Error::Damaged { what: "the state", detail: detail.to_owned() };
    let number = match fs::read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let number = text.split_whitespace().next().and_then(|number| number.parse().ok());
            let number = number.filter(|number| text == named(*number));
            number.ok_or_else(|| damaged("the file `current` names no folder"))?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(Error::file(&path)(error)),
    };
    // What is not there must not be begun anew beside what is.
    let mut others = fs::read_dir(root).map_err(Error::file(root))?.filter_map(Result::ok);
    if others.any(|entry| entry.file_name().to_string_lossy().starts_with("state-"))
        && !folder_of(root, number).exists()
    {
        return Err(damaged("the folder that `current` names is not there"));
    }
    Ok(number)
}

/// Removes what an interrupted or finished install left behind.
fn remove_others(root: &Path, keep: u64) -> Result<(), Error> {
    for entry in fs::read_dir(root).map_err(Error::file(root))? {
        let path = entry.map_err(Error::file(root))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.strip_prefix("state-").is_some_and(|n| n.parse() != Ok(keep)) {
            fs::remove_dir_all(&path).map_err(Error::file(&path))?;
        }
    }
    Ok(())
}

/// About how many bytes a record makes.
fn size_of_record(record: &Record) -> usize {
    record.key.len() + record.payload.as_ref().map_or(0, Payload::len) + 96
}

fn read_record(place: Place, sealed: &[u8]) -> Result<Record, Error> {
    codec::decode("a stored version", codec::open("a stored version", place.revision, sealed)?)
}

fn read_version(key: &[u8], sealed: &[u8]) -> Result<(Place, Record), Error> {
    let place = place(key)
        .ok_or_else(|| Error::Damaged { what: "the state", detail: "a version without a revision".to_owned() })?;
    Ok((place, read_record(place, sealed)?))
}

fn read_lease(key: &[u8], sealed: &[u8]) -> Result<(i64, Lease), Error> {
    let damaged = || Error::Damaged { what: "a lease", detail: "a key of another length".to_owned() };
    let id = number(key).ok_or_else(damaged)?.cast_signed();
    Ok((id, codec::decode("a lease", codec::open("a lease", seal_of(id), sealed)?)?))
}

fn open_mark(sealed: &[u8]) -> Result<Mark, Error> {
    codec::decode("the applied mark", codec::open("the applied mark", 0, sealed)?)
}

/// Checks one record of a family, as loading it would.
pub(crate) fn check_record(family: &str, key: &[u8], value: &[u8]) -> Result<(), Error> {
    match family {
        VERSIONS => read_version(key, value).map(drop),
        LEASES => read_lease(key, value).map(drop),
        WINDOW => window::read(key, value).map(drop),
        ROSTER => read_roster(key, value).map(drop),
        _ if key == APPLIED => open_mark(value).map(drop),
        // Plain numbers, under the checksum of their block.
        _ => Ok(()),
    }
}

/// What a record adds to the hash over what lives in a database that does not change: itself, less what it supersedes.
pub(crate) fn added_by(db: &DB, name: &str, key: &[u8], value: &[u8]) -> Result<u128, Error> {
    match name {
        LEASES => read_lease(key, value).map(|(id, lease)| lease.digest(id)),
        VERSIONS => {
            let (place, record) = read_version(key, value)?;
            let own = record.digest(place.revision).unwrap_or(0);
            let Some(previous) = record.previous else { return Ok(own) };
            // One that a compaction has deleted adds nothing itself.
            let Some(sealed) = db.get_cf(family(db, VERSIONS), version_key(previous))? else { return Ok(own) };
            let superseded = read_record(previous, &sealed)?.digest(previous.revision).unwrap_or(0);
            Ok(own.wrapping_sub(superseded))
        }
        _ => Ok(0),
    }
}

pub(crate) fn read_mark(db: &DB) -> Result<Mark, Error> {
    match db.get_cf(family(db, META), APPLIED)? {
        Some(sealed) => open_mark(&sealed),
        None => {
            let scalars = Scalars { revision: 1, ..Scalars::default() };
            Ok(Mark { applied: Applied::default(), scalars })
        }
    }
}

fn write_roster(batch: &mut WriteBatch, family: &rocksdb::ColumnFamily, change: &RosterChange) {
    let put = |batch: &mut WriteBatch, key: &[u8], value: &[u8]| batch.put_cf(family, key, codec::seal(0, value));
    match change {
        RosterChange::LastId(id) => put(batch, &[LAST_ID], &id.to_be_bytes()),
        RosterChange::Retired(id) => put(batch, &[&[RETIRED][..], &id.to_be_bytes()].concat(), &[]),
        RosterChange::Token(id, Some(token)) => {
            put(batch, &[&[TOKEN][..], id.as_bytes()].concat(), &codec::encode(token));
        }
        RosterChange::Token(id, None) => batch.delete_cf(family, [&[TOKEN][..], id.as_bytes()].concat()),
    }
}

fn read_roster(key: &[u8], sealed: &[u8]) -> Result<RosterChange, Error> {
    let damaged = || Error::Damaged { what: "the roster of members", detail: "a key of another form".to_owned() };
    let value = codec::open("the roster of members", 0, sealed)?;
    match key.split_first().ok_or_else(damaged)? {
        (&LAST_ID, []) => Ok(RosterChange::LastId(number(value).ok_or_else(damaged)?)),
        (&RETIRED, id) => Ok(RosterChange::Retired(number(id).ok_or_else(damaged)?)),
        (&TOKEN, id) => {
            let id = String::from_utf8(id.to_vec()).map_err(|_| damaged())?;
            let token: JoinToken = codec::decode("a join token", value)?;
            Ok(RosterChange::Token(id, Some(token)))
        }
        _ => Err(damaged()),
    }
}

struct Loaded {
    state: State,
    applied: Applied,
    filed: Filed,
}

fn load(db: &DB, keyring: Arc<dyn Keyring>) -> Result<Loaded, Error> {
    let mut state = State::new(keyring);
    let mark = read_mark(db)?;
    for item in db.iterator_cf(family(db, VERSIONS), IteratorMode::Start) {
        let (key, sealed) = item?;
        let (place, record) = read_version(&key, &sealed)?;
        state.load_record(place, &record).map_err(|refusal| Error::Damaged {
            what: "the state",
            detail: format!("revision {}: {refusal}", place.revision),
        })?;
    }
    for item in db.iterator_cf(family(db, LEASES), IteratorMode::Start) {
        let (key, sealed) = item?;
        let (id, lease) = read_lease(&key, &sealed)?;
        state.load_lease(id, lease);
    }
    for item in db.iterator_cf(family(db, ROSTER), IteratorMode::Start) {
        let (key, sealed) = item?;
        state.load_roster(&read_roster(&key, &sealed)?);
    }
    let filed = Filed::load(db, family(db, WINDOW), &mut state)?;
    if !state.finish_load(mark.scalars) {
        let detail = "the hash over the live entries is not the one that was stored".to_owned();
        return Err(Error::Damaged { what: "the state", detail });
    }
    Ok(Loaded { state, applied: mark.applied, filed })
}

impl History for StateStore {
    fn after(&self, after: Revision, max: usize) -> BoxFuture<'_, Vec<Stored>> {
        let db = self.db();
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || page(&db, after, max));
            match read.await {
                Ok(Ok(page)) => return page,
                Ok(Err(error)) => {
                    tracing::error!(%error, "history cannot be read");
                    if let Some(told) = self.on_unreadable.get() {
                        told(&error);
                    }
                }
                Err(error) => tracing::error!(%error, "history was not read"),
            }
            // An empty page would say that nothing happened since.
            std::future::pending().await
        })
    }
}

fn page(db: &DB, after: Revision, max: usize) -> Result<Vec<Stored>, Error> {
    let versions = family(db, VERSIONS);
    let mut page = Vec::new();
    let mut last = after;
    let first = version_key(Place { revision: after + 1, sub: 0 });
    for item in db.iterator_cf(versions, IteratorMode::From(&first, Direction::Forward)) {
        let (key, sealed) = item?;
        let Some(place) = place(&key) else { break };
        if page.len() >= max && place.revision > last {
            break;
        }
        last = place.revision;
        let record = read_record(place, &sealed)?;
        let previous = match record.previous {
            None => None,
            Some(p) => db.get_cf(versions, version_key(p))?.map(|sealed| read_record(p, &sealed)).transpose()?,
        };
        page.push(Stored { place, record, previous });
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use tests_solo::TestKeyring;

    use super::*;

    #[tokio::test]
    async fn history_that_cannot_be_read_is_told_of_and_not_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let (store, ..) = StateStore::open(folder.path(), Arc::new(TestKeyring)).unwrap();
        let db = store.db();
        let place = Place { revision: 7, sub: 0 };
        db.put_cf_opt(family(&db, VERSIONS), version_key(place), codec::seal(8, b"of another place"), &unlogged())
            .unwrap();
        let told = Arc::new(AtomicBool::new(false));
        let heard = told.clone();
        store.on_unreadable(Box::new(move |error| heard.store(error.is_damage(), Ordering::Release)));
        let mut reading = store.after(1, 10);
        while !told.load(Ordering::Acquire) {
            let page = tokio::time::timeout(Duration::from_millis(1), &mut reading).await;
            assert!(page.is_err(), "a page was served: {page:?}");
        }
    }

    #[test]
    fn what_was_begun_on_a_state_goes_on_when_another_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (store, ..) = StateStore::open(folder.path(), Arc::new(TestKeyring)).unwrap();
        let received = folder.path().join("received");
        let applied = Applied { index: 1, ..Applied::default() };
        store.write(&Delta::default(), &applied).unwrap();
        store.checkpoint(&received).unwrap();
        let examined = StateStore::examine(&received, Arc::new(TestKeyring)).unwrap();
        // A checkpoint, a compaction or a reader of history, half-way.
        let begun = store.db();
        begun.put_cf_opt(family(&begun, META), b"key", b"value", &unlogged()).unwrap();
        store.install(&received, examined).unwrap();
        flush(&begun).expect("its files stay");
        assert!(page(&begun, 0, 1).unwrap().is_empty());
        drop(begun);
        assert!(!folder_of(folder.path(), 0).exists());
        assert!(folder_of(folder.path(), 1).exists());
    }
}
