//! The log on a disk, as the member needs it: records in, durable or not, and records out.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::{io, iter};

use bytes::Bytes;
use parking_lot::Mutex;
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
    /// Saves how far the log is committed: a hint, for which nobody waits, and which is never on the disk before what was
    /// appended or cut before this call.
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
    /// How far the log is committed, until an append takes it along.
    committed: Mutex<Option<Vec<u8>>>,
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
        Ok((Self { log, jobs: Some(jobs), writer: Some(writer), committed: Mutex::default() }, recovered))
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
        let committed = self.committed.lock().take();
        self.submit(move |log| log.append(&records(), committed.as_deref(), done));
    }

    fn save_vote(&self, vote: Vec<u8>, done: Done) {
        self.submit(move |log| done(log.save_vote(&vote).map_err(io::Error::from)));
    }

    fn save_committed(&self, committed: Vec<u8>) {
        // No write of its own: nobody is woken for it. It goes with the next append that joins the queue, and so behind all that is
        // in the queue now, which it may speak of.
        *self.committed.lock() = Some(committed);
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
        if let Some(committed) = self.committed.lock().take() {
            // Only a hint.
            self.submit(move |log| drop(log.save_committed(&committed)));
        }
        drop(self.jobs.take());
        if let Some(writer) = self.writer.take() {
            // It ends once the queue is empty; a panic of it has been reported where it happened.
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn record(place: u64) -> Records {
        Box::new(move || vec![(place, Bytes::from(format!("record {place}")))])
    }

    /// What is found in a copy of the folder, as after a power failure.
    fn after_a_crash(folder: &Path) -> Recovered {
        fn copy(from: &Path, to: &Path) {
            fs::create_dir_all(to).expect("a folder");
            for entry in fs::read_dir(from).expect("a folder") {
                let entry = entry.expect("an entry");
                let to = to.join(entry.file_name());
                if entry.path().is_dir() {
                    copy(&entry.path(), &to);
                } else {
                    fs::copy(entry.path(), to).expect("a file");
                }
            }
        }
        let kept = tempfile::tempdir().expect("a folder");
        copy(folder, kept.path());
        raft_log::Log::open(kept.path()).expect("a log").1
    }

    #[test]
    fn how_far_the_log_is_committed_never_overtakes_what_is_committed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (may_write, turns) = mpsc::channel::<()>();
        let before_write = move || turns.recv().unwrap_or_default();
        let (log, _) = Written::open(folder.path(), before_write).expect("a log");
        let append = |place| {
            let (told, done) = mpsc::channel();
            log.append(record(place), Box::new(move |written| told.send(written.is_ok()).expect("a test")));
            done
        };
        let first = append(1);
        let second = append(2);
        log.save_committed(b"2".to_vec());
        may_write.send(()).expect("a writer");
        may_write.send(()).expect("a writer");
        assert!(first.recv().expect("a writer") && second.recv().expect("a writer"));
        assert_eq!(after_a_crash(folder.path()).committed, None, "nothing that was queued before takes it along");
        let third = append(3);
        may_write.send(()).expect("a writer");
        assert!(third.recv().expect("a writer"));
        assert_eq!(after_a_crash(folder.path()).committed.as_deref(), Some(&b"2"[..]));
        log.save_committed(b"3".to_vec());
        drop(may_write);
        drop(log);
        assert_eq!(
            after_a_crash(folder.path()).committed.as_deref(),
            Some(&b"3"[..]),
            "the last one is kept at the end"
        );
    }
}
