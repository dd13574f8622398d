//! What clients asked for and what they were told.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_state::port::ReadLevel;
use raft_state::{Command, Event, Outcome, Revision};

/// One write of a client.
#[derive(Clone, Debug)]
pub struct Write {
    /// Microseconds.
    pub asked_us: u64,
    /// A revision that somebody was told of before.
    pub floor: Revision,
    /// What was asked for.
    pub command: Command,
    /// `None` when the client was not told.
    pub outcome: Option<Outcome>,
}

/// One read of a client.
#[derive(Clone, Debug)]
pub struct Read {
    /// Microseconds.
    pub asked_us: u64,
    /// A revision that somebody was told of before.
    pub floor: Revision,
    /// How fresh.
    pub level: ReadLevel,
    /// Of the snapshot.
    pub revision: Revision,
    /// The prefix that was listed.
    pub prefix: Bytes,
    /// What was there: key, mod revision, value.
    pub found: Vec<(Bytes, Revision, Bytes)>,
}

/// What a watcher was told.
#[derive(Clone, Debug)]
pub enum Taken {
    /// An event.
    Event(Event),
    /// It has everything up to here.
    Progress(Revision),
    /// It went on, at another member perhaps, after this revision.
    Resumed(Revision),
    /// It was refused: this revision is compacted, and that is the floor.
    Compacted(Revision, Revision),
}

/// One watcher.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Of what.
    pub prefix: Bytes,
    /// In order.
    pub taken: Vec<Taken>,
}

/// A lease's holder was told that it has the lease.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// Of the lease.
    pub id: i64,
    /// It asked then, microseconds: the time counts from then at the earliest.
    pub promised_us: u64,
    /// For so long.
    pub ttl_us: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The highest revision that anybody was told of.
    pub told: Revision,
    /// In the order in which they ended.
    pub writes: Vec<Write>,
    /// In the order in which they ended.
    pub reads: Vec<Read>,
    /// By number.
    pub watches: Vec<Watch>,
    /// In the order in which they were made.
    pub promises: Vec<Promise>,
    /// What clients that are not done wait for.
    pub waits_for: BTreeMap<String, String>,
    /// Clients that are not done.
    pub busy: u64,
    /// No more work is begun.
    pub closing: bool,
}

impl Ledger {
    /// Somebody is told of a revision.
    pub fn tell(&mut self, revision: Revision) {
        self.told = self.told.max(revision);
    }
}
