//! A member's disk: what was written, in order, and how much of it would survive now.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use imbl::OrdMap;
use raft_state::history::{History, Stored};
use raft_state::port::BoxFuture;
use raft_state::record::{Place, Scalars};
use raft_state::{Delta, Keyring, Lease, Outcome, Record, Revision, RosterChange, State};

use crate::clock::Clock;
use crate::consensus::{Config, Entry, Id, Log, LogId};
use crate::rng::Rng;

/// The applied state as files hold it; cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Applied up to here.
    pub applied: LogId,
    /// The configuration in force there.
    pub config: Config,
    records: OrdMap<Place, Record>,
    leases: OrdMap<i64, Lease>,
    outcomes: OrdMap<(u64, u64), Outcome>,
    marks: OrdMap<u64, u64>,
    roster: OrdMap<(u8, u64, String), RosterChange>,
    scalars: Scalars,
    /// Up to which revision compaction has deleted what nobody can read.
    cleared: Revision,
}

impl Image {
    /// Before the first entry.
    pub fn empty(config: Config) -> Self {
        Self { config, scalars: Scalars { revision: 1, ..Scalars::default() }, ..Self::default() }
    }

    /// Takes in what one entry changed.
    pub fn write(&mut self, delta: &Delta, applied: LogId, config: Option<&Config>) {
        for (place, record) in &delta.records {
            self.records.insert(*place, record.clone());
        }
        for (id, lease) in &delta.leases {
            match lease {
                Some(lease) => self.leases.insert(*id, *lease),
                None => self.leases.remove(id),
            };
        }
        for (boot, sequence, outcome) in &delta.remembered {
            self.outcomes.insert((*boot, *sequence), outcome.clone());
        }
        for (boot, mark) in &delta.forgotten {
            let before = self.marks.insert(*boot, *mark).unwrap_or(0);
            for sequence in before..=*mark {
                self.outcomes.remove(&(*boot, sequence));
            }
        }
        for change in &delta.roster {
            self.roster.insert(place_of(change), change.clone());
        }
        self.scalars = delta.scalars;
        self.applied = applied;
        if let Some(config) = config {
            self.config = config.clone();
        }
    }

    /// Deletes versions that compactions up to this floor left without a reader, as `raft/log/src/state.rs` does.
    pub fn compact(&mut self, to: Revision) {
        let from = self.cleared;
        if from >= to {
            return;
        }
        self.cleared = to;
        let first = Place { revision: from + 1, sub: 0 };
        let dead: Vec<(Place, Option<Place>, bool)> = self
            .records
            .range(first..Place { revision: to + 1, sub: 0 })
            .map(|(place, record)| (*place, record.previous, record.payload.is_none()))
            .collect();
        for (place, previous, is_deletion) in dead {
            if let Some(previous) = previous {
                self.records.remove(&previous);
            }
            if is_deletion {
                self.records.remove(&place);
            }
        }
    }

    /// The state in memory; `None` when the hash over what was loaded is another than the one stored.
    pub fn load(&self, keyring: Arc<dyn Keyring>) -> Option<State> {
        let mut state = State::new(keyring);
        for (place, record) in &self.records {
            state.load_record(*place, record).ok()?;
        }
        for (id, lease) in &self.leases {
            state.load_lease(*id, *lease);
        }
        for change in self.roster.values() {
            state.load_roster(change);
        }
        for ((boot, sequence), outcome) in &self.outcomes {
            state.load_outcome(*boot, *sequence, outcome.clone());
        }
        for (boot, mark) in &self.marks {
            state.load_low_water(*boot, *mark);
        }
        state.finish_load(self.scalars).then_some(state)
    }

    /// What happened after a revision, for readers of history.
    pub fn page(&self, after: Revision, max: usize) -> Vec<Stored> {
        let mut page = Vec::new();
        let mut last = after;
        for (place, record) in self.records.range(Place { revision: after + 1, sub: 0 }..) {
            // A revision is read whole.
            if page.len() >= max && place.revision > last {
                break;
            }
            last = place.revision;
            let previous = record.previous.and_then(|p| self.records.get(&p).cloned());
            page.push(Stored { place: *place, record: record.clone(), previous });
        }
        page
    }
}

/// Where a change of the roster is kept: a later one of the same takes its place.
fn place_of(change: &RosterChange) -> (u8, u64, String) {
    match change {
        RosterChange::LastId(_) => (0, 0, String::new()),
        RosterChange::Retired(id) => (1, *id, String::new()),
        RosterChange::Token(id, _) => (2, 0, id.clone()),
    }
}

/// The image that a process reads history from, while apply writes to it.
#[derive(Clone)]
pub struct SharedImage {
    image: Arc<Mutex<Image>>,
    clock: Clock,
}

impl SharedImage {
    /// An image in use.
    pub fn new(image: Image, clock: Clock) -> Self {
        Self { image: Arc::new(Mutex::new(image)), clock }
    }

    /// Works on it.
    pub fn with<T>(&self, work: impl FnOnce(&mut Image) -> T) -> T {
        work(&mut self.image.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl History for SharedImage {
    fn after(&self, after: Revision, max: usize) -> BoxFuture<'_, Vec<Stored>> {
        Box::pin(async move {
            // Apply and compaction go on while a page is fetched, and while it travels back.
            self.clock.sleep(200).await;
            let page = self.with(|image| image.page(after, max.min(16)));
            self.clock.sleep(200).await;
            page
        })
    }
}

/// One write, in the order in which a member makes them.
#[derive(Clone, Debug)]
pub enum Write {
    /// Term and vote.
    Vote {
        /// The term.
        term: u64,
        /// For whom.
        voted_for: Option<Id>,
    },
    /// The log's next entries.
    Append(Vec<Arc<Entry>>),
    /// The log from here on is gone.
    Cut {
        /// The first that is gone.
        from: u64,
    },
    /// The log up to here is gone.
    Purge {
        /// The last that is gone.
        to: u64,
    },
    /// A received snapshot takes the place of state and log.
    Install(Image),
    /// The state's buffers are flushed.
    Flush(Image),
}

/// What a start finds.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The term.
    pub term: u64,
    /// The vote in it.
    pub voted_for: Option<Id>,
    /// The log.
    pub log: Log,
    /// The configuration of the state.
    pub config: Config,
    /// The state holds entries up to here.
    pub applied: u64,
}

/// The disk.
#[derive(Clone, Debug)]
pub struct Disk {
    term: u64,
    voted_for: Option<Id>,
    log: Log,
    image: Image,
    pending: VecDeque<(u64, Write)>,
}

impl Disk {
    /// A fresh disk of a member of this configuration.
    pub fn new(config: Config) -> Self {
        Self { term: 0, voted_for: None, log: Log::default(), image: Image::empty(config), pending: VecDeque::new() }
    }

    /// Takes a write; it survives once it is synced.
    pub fn write(&mut self, number: u64, write: Write) {
        self.pending.push_back((number, write));
    }

    /// The number of the last write, when there is one that is not synced.
    pub fn unsynced(&self) -> Option<u64> {
        self.pending.back().map(|(number, _)| *number)
    }

    /// Everything up to this write survives.
    pub fn sync(&mut self, number: u64) {
        while let Some((_, write)) = self.pending.pop_front_if(|(at, _)| *at <= number) {
            self.settle(write);
        }
    }

    fn settle(&mut self, write: Write) {
        match write {
            Write::Vote { term, voted_for } => (self.term, self.voted_for) = (term, voted_for),
            Write::Append(entries) => {
                for entry in entries {
                    self.log.push(entry);
                }
            }
            Write::Cut { from } => self.log.cut_from(from),
            Write::Purge { to } => self.log.purge_to(to),
            Write::Install(image) => {
                let rest = match self.log.id_at(image.applied.index) == Some(image.applied) {
                    true => self.log.from(image.applied.index + 1, usize::MAX),
                    false => Vec::new(),
                };
                self.log = Log::above(image.applied);
                for entry in rest {
                    self.log.push(entry);
                }
                self.image = image;
            }
            Write::Flush(image) => self.image = image,
        }
    }

    /// The power fails: what was not synced is gone, or part of it when the disk had got to it already. A record that was
    /// written in part does not pass its checksum and is cut with all that follows.
    pub fn crash(&mut self, rng: &mut Rng, torn: bool) {
        let pending = std::mem::take(&mut self.pending);
        let kept = if torn { rng.index(pending.len() + 1) } else { 0 };
        for (number, (_, write)) in pending.into_iter().enumerate() {
            if number < kept {
                self.settle(write);
                continue;
            }
            if let Write::Append(mut entries) = write
                && torn
            {
                entries.truncate(rng.index(entries.len()));
                self.settle(Write::Append(entries));
            }
            break;
        }
    }

    /// What a start finds, and the state.
    pub fn recover(&self) -> (Recovered, Image) {
        let mut log = self.log.clone();
        // A flush may be ahead of a purge, never the other way round.
        let applied = self.image.applied;
        if applied.index > log.last().index {
            log = Log::above(applied);
        }
        let config = self.image.config.clone();
        (
            Recovered { term: self.term, voted_for: self.voted_for, log, config, applied: applied.index },
            self.image.clone(),
        )
    }
}
