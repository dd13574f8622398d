//! The log on a disk, as the member needs it: records in, durable or not, and records out.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::{io, iter};

use bytes::Bytes;
use raft_log::Recovered;

/// Told when a write is on the disk, or that it will never be.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Encodes the records of an append, with their places: called by whoever writes, for it takes a while.
pub type Records = Box<dyn FnOnce() -> Vec<(u64, Bytes)> + Send>;

/// A log and a vote on a disk. Writes are done in the order in which they were asked for, and none of them blocks.
///
/// raft/log's is behind it; the simulator puts a disk of its own in its place.
pub trait Journal: Send + Sync {
    /// Has every sync told how long it took.
    fn on_sync(&self, told: raft_log::OnSync);
    /// Records from `from` (included) to `to` (excluded), fewer when they exceed `bytes_max`, but at least one. May block.
    ///
    /// # Errors
    /// When a record is damaged or missing.
    fn read(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<(u64, Bytes)>>;
    /// Looks through the records from a place on: bytes read, and the place to go on at. May block.
    ///
    /// # Errors
    /// When a record is damaged.
    fn look(&self, from: u64, bytes_max: u64) -> Result<(u64, Option<u64>), raft_log::Error>;
    /// Appends records, which can be read before they are durable.
    fn append(&self, records: Records, done: Done);
    /// Saves the vote.
    fn save_vote(&self, vote: Vec<u8>, done: Done);
    /// Saves how far the log is committed: a hint, for which nobody waits.
    fn save_committed(&self, committed: Vec<u8>);
    /// Cuts the log after a place.
    fn truncate_after(&self, place: u64, done: Done);
    /// Forgets the records up to a place, whose id is kept.
    fn purge(&self, place: u64, id: Vec<u8>, done: Done);
}

type Job = Box<dyn FnOnce(&raft_log::Log) + Send>;

/// Written between two syncs at most.
const JOBS_PER_SYNC: usize = 64;

/// raft/log's log, written by a thread of its own, so that the Raft core never waits for the database to make room, and a vote
/// never overtakes an append. What gathers while it syncs shares the next sync.
pub(crate) struct Written {
    log: Arc<raft_log::Log>,
    /// `None` only while it is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl Written {
    /// Opens the log in a folder. Blocks. `before_write` is called before each write, on the thread that writes.
    pub(crate) fn open(folder: &Path, before_write: impl Fn() + Send + 'static) -> io::Result<(Self, Recovered)> {
        let (log, recovered) = raft_log::Log::open(folder)?;
        let log = Arc::new(log);
        let (jobs, queue) = mpsc::channel::<Job>();
        let writes = log.clone();
        let writer = std::thread::Builder::new().name("log-writer".to_owned()).spawn(move || {
            while let Ok(first) = queue.recv() {
                for job in iter::once(first).chain(queue.try_iter()).take(JOBS_PER_SYNC) {
                    before_write();
                    job(&writes);
                }
                writes.sync();
            }
        })?;
        Ok((Self { log, jobs: Some(jobs), writer: Some(writer) }, recovered))
    }

    fn submit(&self, job: impl FnOnce(&raft_log::Log) + Send + 'static) {
        if let Some(jobs) = &self.jobs {
            // The writer lives as long as this does.
            let _ = jobs.send(Box::new(job));
        }
    }
}

impl Journal for Written {
    fn on_sync(&self, told: raft_log::OnSync) {
        self.log.on_sync(told);
    }

    fn read(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<(u64, Bytes)>> {
        Ok(self.log.read(from, to, bytes_max)?)
    }

    fn look(&self, from: u64, bytes_max: u64) -> Result<(u64, Option<u64>), raft_log::Error> {
        self.log.look(from, bytes_max)
    }

    fn append(&self, records: Records, done: Done) {
        let done = Box::new(|written: Result<(), raft_log::Error>| done(written.map_err(io::Error::from)));
        self.submit(move |log| log.append(&records(), done));
    }

    fn save_vote(&self, vote: Vec<u8>, done: Done) {
        self.submit(move |log| done(log.save_vote(&vote).map_err(io::Error::from)));
    }

    fn save_committed(&self, committed: Vec<u8>) {
        // No write of its own: nobody is woken for it.
        self.log.save_committed(committed);
    }

    fn truncate_after(&self, place: u64, done: Done) {
        self.submit(move |log| done(log.truncate_after(place).map_err(io::Error::from)));
    }

    fn purge(&self, place: u64, id: Vec<u8>, done: Done) {
        self.submit(move |log| done(log.purge(place, &id).map_err(io::Error::from)));
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(writer) = self.writer.take() {
            // It ends once the queue is empty; a panic of it has been reported where it happened.
            let _ = writer.join();
        }
    }
}
