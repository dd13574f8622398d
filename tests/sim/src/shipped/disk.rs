//! The disk under a member's log: what was written, in order, and how much of it would survive now.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use planted_bugs::planted;
use raft_log::{OnSync, Recovered};
use raft_node::journal::{Done, Journal, Records};
use tokio::sync::Notify;

use crate::rng::Rng;

/// How often a disk that hangs is looked at again.
const HANGS: Duration = Duration::from_millis(5);

/// One write, in the order in which a member makes them.
#[derive(Clone, Debug)]
enum Write {
    Append(Vec<(u64, Bytes)>),
    Vote(Vec<u8>),
    Committed(Vec<u8>),
    Cut(u64),
    Purge(u64, Vec<u8>),
}

/// What lies on a disk.
#[derive(Clone, Debug, Default)]
struct Kept {
    records: BTreeMap<u64, Bytes>,
    vote: Option<Bytes>,
    committed: Option<Bytes>,
    purged: Option<(u64, Bytes)>,
}

impl Kept {
    fn take(&mut self, write: &Write) {
        match write {
            Write::Append(records) => self.records.extend(records.iter().cloned()),
            Write::Vote(vote) => self.vote = Some(vote.clone().into()),
            Write::Committed(committed) => self.committed = Some(committed.clone().into()),
            Write::Cut(place) => drop(self.records.split_off(&(place + 1))),
            Write::Purge(place, id) => {
                self.purged = Some((*place, id.clone().into()));
                self.records = self.records.split_off(&(place + 1));
            }
        }
    }
}

/// A disk. It outlives the processes that write to it.
#[derive(Debug)]
pub struct Disk {
    durable: Kept,
    /// With what is written and not yet durable.
    written: Kept,
    pending: VecDeque<Write>,
    rng: Rng,
    /// How long a sync takes, shortest and longest, microseconds.
    pub sync_us: (u64, u64),
    /// Nothing is synced.
    pub hangs: bool,
}

/// A disk between its machine and the process that writes to it.
pub type SharedDisk = Arc<Mutex<Disk>>;

impl Disk {
    /// An empty disk.
    pub fn new(rng: Rng, sync_us: (u64, u64)) -> Self {
        let (durable, written) = Default::default();
        Self { durable, written, pending: VecDeque::new(), rng, sync_us, hangs: false }
    }

    fn write(&mut self, write: Write) {
        self.written.take(&write);
        self.pending.push_back(write);
    }

    fn sync(&mut self, count: usize) {
        for write in self.pending.drain(..count) {
            self.durable.take(&write);
        }
    }

    /// The power fails: what was not synced is gone, or part of it when the disk had got to it already. A record that was
    /// written in part does not pass its checksum and is cut with all that follows.
    pub fn crash(&mut self, rng: &mut Rng, torn: bool) {
        let pending = std::mem::take(&mut self.pending);
        let kept = if torn { rng.index(pending.len() + 1) } else { 0 };
        for write in pending.iter().take(kept) {
            self.durable.take(write);
        }
        if torn && let Some(Write::Append(records)) = pending.get(kept) {
            let some = records[..rng.index(records.len())].to_vec();
            self.durable.take(&Write::Append(some));
        }
        self.written = self.durable.clone();
        self.hangs = false;
    }

    /// The process ends, and the system goes on to write what it was given.
    pub fn survive(&mut self) {
        self.sync(self.pending.len());
    }

    /// What a start finds.
    pub fn recover(&self) -> Recovered {
        let kept = &self.written;
        let range = kept
            .records
            .first_key_value()
            .zip(kept.records.last_key_value())
            .map(|((first, _), (last, _))| (*first, *last));
        Recovered { vote: kept.vote.clone(), committed: kept.committed.clone(), purged: kept.purged.clone(), range }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The log of one process on a disk.
pub struct DiskLog {
    disk: SharedDisk,
    waiting: Arc<Waiting>,
}

/// Who waits for writes, and for the sync that makes them durable.
#[derive(Default)]
struct Waiting {
    done: Mutex<VecDeque<Option<Done>>>,
    fresh: Notify,
}

impl DiskLog {
    /// Opens the log, and syncs what is written to it for as long as the process runs whose runtime this is called on.
    pub fn open(disk: SharedDisk) -> Self {
        let waiting = Arc::<Waiting>::default();
        tokio::spawn(sync(disk.clone(), waiting.clone()));
        Self { disk, waiting }
    }

    fn write(&self, write: Write, done: Option<Done>) {
        lock(&self.disk).write(write);
        lock(&self.waiting.done).push_back(done);
        self.waiting.fresh.notify_one();
    }
}

/// One sync for all that was written before it began.
async fn sync(disk: SharedDisk, waiting: Arc<Waiting>) {
    loop {
        waiting.fresh.notified().await;
        let (count, took) = {
            let mut disk = lock(&disk);
            let (low, high) = disk.sync_us;
            (disk.pending.len(), Duration::from_micros(disk.rng.between(low, high)))
        };
        if count == 0 {
            continue;
        }
        tokio::time::sleep(took).await;
        while lock(&disk).hangs {
            tokio::time::sleep(HANGS).await;
        }
        lock(&disk).sync(count);
        let done: Vec<Option<Done>> = lock(&waiting.done).drain(..count).collect();
        for done in done.into_iter().flatten() {
            done(Ok(()));
        }
        waiting.fresh.notify_one();
    }
}

impl Journal for DiskLog {
    fn on_sync(&self, _told: OnSync) {}

    fn read(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<(u64, Bytes)>> {
        let mut records = Vec::new();
        let mut bytes = 0;
        for (place, record) in lock(&self.disk).written.records.range(from..to) {
            if *place != from + records.len() as u64 {
                return Err(io::Error::other(format!("record {} is missing", from + records.len() as u64)));
            }
            bytes += record.len();
            if bytes > bytes_max && !records.is_empty() {
                break;
            }
            records.push((*place, record.clone()));
        }
        Ok(records)
    }

    fn look(&self, _from: u64, _bytes_max: u64) -> Result<(u64, Option<u64>), raft_log::Error> {
        Ok((0, None))
    }

    fn append(&self, records: Records, done: Done) {
        let write = Write::Append(records());
        if planted!(NoFsync) {
            self.write(write, None);
            return done(Ok(()));
        }
        self.write(write, Some(done));
    }

    fn save_vote(&self, vote: Vec<u8>, done: Done) {
        if planted!(VoteNotPersisted) {
            return done(Ok(()));
        }
        self.write(Write::Vote(vote), Some(done));
    }

    fn save_committed(&self, committed: Vec<u8>) {
        self.write(Write::Committed(committed), None);
    }

    fn truncate_after(&self, place: u64, done: Done) {
        self.write(Write::Cut(place), Some(done));
    }

    fn purge(&self, place: u64, id: Vec<u8>, done: Done) {
        self.write(Write::Purge(place, id), Some(done));
    }
}
