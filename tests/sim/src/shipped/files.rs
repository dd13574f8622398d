//! The files of a member's state: an image in memory, of which what was flushed survives.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use planted_bugs::planted;
use raft_log::{Applied, Error, Examined, OnUnreadable};
use raft_node::ground::StateDisk;
use raft_state::history::{History, Stored};
use raft_state::port::BoxFuture;
use raft_state::{Delta, Keyring, Revision, State};

use crate::clock::Clock;
use crate::consensus::{Config, LogId};
use crate::disk::Image;

/// The file of a checkpoint that says which image it holds.
const NAME: &str = "image";
/// Other files, so that a checkpoint travels in pieces.
const REST: [&str; 3] = ["000011.sst", "000012.sst", "MANIFEST"];

/// A state, and up to where it was applied.
#[derive(Clone, Debug)]
pub struct Copy {
    image: Image,
    applied: Applied,
}

impl Default for Copy {
    fn default() -> Self {
        Self { image: Image::empty(Config::default()), applied: Applied::default() }
    }
}

impl Copy {
    /// The state in memory.
    ///
    /// # Errors
    /// When the hash over what was loaded is another than the one stored.
    pub fn load(&self, keyring: Arc<dyn Keyring>) -> Result<(State, Applied), Error> {
        let state = self.image.load(keyring).ok_or_else(|| damaged("the hash over it is not the one stored"))?;
        Ok((state, self.applied.clone()))
    }
}

fn damaged(detail: &str) -> Error {
    Error::Damaged { what: "the state", detail: detail.to_owned() }
}

/// What the checkpoints of a world hold, by the number in their files.
#[derive(Default)]
pub struct Vault(Mutex<BTreeMap<u64, Copy>>);

impl Vault {
    fn keep(&self, copy: Copy) -> u64 {
        let mut copies = lock(&self.0);
        let number = copies.len() as u64;
        copies.insert(number, copy);
        number
    }

    fn read(&self, path: &Path) -> Result<Copy, Error> {
        let text = fs::read_to_string(path.join(NAME)).map_err(|e| damaged(&e.to_string()))?;
        let number = text.trim().parse().ok();
        number.and_then(|number| lock(&self.0).get(&number).cloned()).ok_or_else(|| damaged("it names no image"))
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The files of one member. They outlive its processes.
pub struct Files {
    durable: Mutex<Copy>,
    written: Mutex<Copy>,
    vault: Arc<Vault>,
    clock: Clock,
}

impl Files {
    /// Those of a fresh machine.
    pub fn new(vault: Arc<Vault>, clock: Clock) -> Self {
        Self { durable: Mutex::default(), written: Mutex::default(), vault, clock }
    }

    /// The process is gone, and with it what was not flushed.
    pub fn crash(&self) {
        *lock(&self.written) = lock(&self.durable).clone();
    }

    /// What a start finds.
    pub fn found(&self) -> Copy {
        lock(&self.written).clone()
    }

    /// The buffers are full: they go to the disk.
    pub fn spill(&self) {
        *lock(&self.durable) = lock(&self.written).clone();
    }
}

impl History for Files {
    fn after(&self, after: Revision, max: usize) -> BoxFuture<'_, Vec<Stored>> {
        Box::pin(async move {
            // Apply and compaction go on while a page is fetched, and while it travels back.
            self.clock.sleep(200).await;
            let page = lock(&self.written).image.page(after, max.min(16));
            self.clock.sleep(200).await;
            page
        })
    }
}

impl StateDisk for Files {
    fn on_unreadable(&self, _told: OnUnreadable) {}

    fn write(&self, delta: &Delta, applied: &Applied) -> Result<(), Error> {
        let mut written = lock(&self.written);
        written.image.write(delta, LogId { term: 0, index: applied.index }, None);
        written.applied = applied.clone();
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        self.spill();
        Ok(())
    }

    fn compact(&self, to: Revision) -> Result<(), Error> {
        lock(&self.written).image.compact(to);
        Ok(())
    }

    fn checkpoint(&self, path: &Path) -> Result<Applied, Error> {
        // What was flushed last, under the name of what is in memory.
        let stale = planted!(SnapshotIndexFromMemory).then(|| lock(&self.durable).image.clone());
        self.spill();
        let mut copy = self.found();
        copy.image = stale.unwrap_or(copy.image);
        let applied = copy.applied.clone();
        let number = self.vault.keep(copy);
        let file = |source| Error::File { path: path.to_owned(), source };
        fs::create_dir(path).map_err(file)?;
        fs::write(path.join(NAME), number.to_string()).map_err(file)?;
        for name in REST {
            fs::write(path.join(name), format!("{name} of {number}")).map_err(file)?;
        }
        Ok(applied)
    }

    fn inspect(&self, path: &Path) -> Result<Applied, Error> {
        Ok(self.vault.read(path)?.applied)
    }

    fn examine(&self, path: &Path, keyring: Arc<dyn Keyring>) -> Result<Examined, Error> {
        let (state, applied) = self.vault.read(path)?.load(keyring)?;
        Ok(Examined::elsewhere(state, applied))
    }

    fn install(&self, received: &Path, examined: Examined) -> Result<(State, Applied), Error> {
        let copy = self.vault.read(received)?;
        fs::remove_dir_all(received).map_err(|source| Error::File { path: received.to_owned(), source })?;
        *lock(&self.written) = copy;
        self.spill();
        Ok(examined.into_state())
    }
}
