//! The state machine: one log entry in, outcomes, events and the change on disk out.

use std::sync::Arc;

use crate::record::{Delta, Scalars};
use crate::window::Window;
use crate::{
    Action, Command, CommandId, Entry, Epoch, Event, Expect, Keyring, ObjectCommand, Outcome, Payload, Record, Refusal,
    Revision, Snapshot,
};

/// A command with its identity, as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stamped {
    /// Equal on every retry.
    pub id: CommandId,
    /// Every sequence of the same boot up to this one is settled: its master has the outcome or has given up on it.
    pub low_water: u64,
    /// What to do.
    pub command: Command,
}

/// What applying one log entry came to.
#[derive(Debug, Default)]
pub struct Applied {
    /// One for each command, in order.
    pub outcomes: Vec<Outcome>,
    /// In order of revision.
    pub events: Vec<Event>,
    /// For the disk.
    pub delta: Delta,
}

/// The replicated state.
pub struct State {
    live: Snapshot,
    window: Window,
    keyring: Arc<dyn Keyring>,
}

impl State {
    /// An empty keyspace at revision 1, as etcd begins.
    pub fn new(keyring: Arc<dyn Keyring>) -> Self {
        let scalars = Scalars { revision: 1, ..Scalars::default() };
        let mut live = Snapshot::default();
        live.scalars = scalars;
        Self { live, window: Window::default(), keyring }
    }

    /// Takes one stored version in, while loading: records come in ascending order of revision, each superseding the one
    /// before it.
    ///
    /// # Errors
    /// When a sealed value does not open.
    pub fn load_record(&mut self, revision: Revision, record: &Record) -> Result<(), Refusal> {
        if record.payload.is_none() {
            self.live.remove(&record.key);
            return Ok(());
        }
        let entry = Entry::from_record(revision, record, &*self.keyring).ok_or(Refusal::Unsealable)?;
        self.live.put(Arc::new(entry));
        Ok(())
    }

    /// Takes one remembered outcome in, while loading.
    pub fn load_outcome(&mut self, boot: u64, sequence: u64, outcome: Outcome) {
        self.window.remember(CommandId { boot, sequence }, outcome);
    }

    /// Takes one low-water mark in, while loading.
    pub fn load_low_water(&mut self, boot: u64, low_water: u64) {
        self.window.forget(boot, low_water);
    }

    /// Ends loading: the scalars as stored. False when the hash over what was loaded is another.
    #[must_use]
    pub fn finish_load(&mut self, scalars: Scalars) -> bool {
        let sound = self.live.scalars.hash == scalars.hash;
        self.live.scalars = scalars;
        sound
    }

    /// The state as of now, for readers.
    pub fn snapshot(&self) -> Snapshot {
        self.live.clone()
    }

    /// The keys that open sealed values.
    pub fn keyring(&self) -> &Arc<dyn Keyring> {
        &self.keyring
    }

    /// Applies the commands of one log entry. Total: every command has an outcome.
    pub fn apply(&mut self, commands: &[Stamped]) -> Applied {
        let mut applied = Applied::default();
        for stamped in commands {
            let outcome = match self.window.outcome(stamped.id) {
                Some(known) => known,
                None => {
                    let outcome = self.one(&stamped.command, &mut applied);
                    self.window.remember(stamped.id, outcome.clone());
                    applied.delta.remembered.push((stamped.id.boot, stamped.id.sequence, outcome.clone()));
                    outcome
                }
            };
            if let Some(mark) = self.window.forget(stamped.id.boot, stamped.low_water) {
                applied.delta.forgotten.push((stamped.id.boot, mark));
            }
            applied.outcomes.push(outcome);
        }
        applied.delta.scalars = self.live.scalars;
        applied
    }

    fn one(&mut self, command: &Command, applied: &mut Applied) -> Outcome {
        match command {
            Command::Object(command) => match self.object(command, applied) {
                Ok(revision) => Outcome::Done { revision },
                Err(refusal) => Outcome::Refused(refusal),
            },
            Command::OpenEpoch { .. } => {
                self.live.scalars.epoch += 1;
                Outcome::EpochOpened { epoch: self.live.scalars.epoch, revision: self.live.scalars.revision }
            }
            Command::Compact { revision } => self.compact(*revision, applied),
        }
    }

    fn object(&mut self, command: &ObjectCommand, applied: &mut Applied) -> Result<Revision, Refusal> {
        self.check_epoch(command.epoch)?;
        let live = self.live.get(&command.key).cloned();
        let mod_revision = live.as_ref().map(|entry| entry.mod_revision);
        match (command.expect, mod_revision) {
            (Expect::Absent, Some(mod_revision)) => return Err(Refusal::Exists { mod_revision }),
            (Expect::At(_), None) => return Err(Refusal::NotFound),
            (Expect::At(wanted), Some(mod_revision)) if wanted != mod_revision => {
                return Err(Refusal::Conflict { mod_revision });
            }
            _ => {}
        }
        match &command.action {
            Action::Put(payload) => self.put(command, payload, live, applied),
            Action::Delete => self.delete(live.ok_or(Refusal::NotFound)?, applied),
        }
    }

    fn check_epoch(&self, epoch: Option<Epoch>) -> Result<(), Refusal> {
        let current = self.live.scalars.epoch;
        match epoch {
            Some(epoch) if epoch != current => Err(Refusal::StaleEpoch { current }),
            _ => Ok(()),
        }
    }

    fn put(
        &mut self,
        command: &ObjectCommand,
        payload: &Payload,
        previous: Option<Arc<Entry>>,
        applied: &mut Applied,
    ) -> Result<Revision, Refusal> {
        let revision = self.live.scalars.revision + 1;
        let record = Record {
            key: command.key.clone(),
            payload: Some(payload.clone()),
            create_revision: previous.as_ref().map_or(revision, |p| p.create_revision),
            version: previous.as_ref().map_or(1, |p| p.version + 1),
            lease: 0,
            previous: previous.as_ref().map(|p| p.mod_revision),
        };
        // A splice point outside of the value is as bad as a seal that does not open: nothing is written.
        let entry = Entry::from_record(revision, &record, &*self.keyring).ok_or(Refusal::Unsealable)?;
        let entry = Arc::new(entry);
        self.live.scalars.revision = revision;
        self.live.put(entry.clone());
        applied.events.push(Event { revision, entry, previous, deleted: false });
        applied.delta.records.push((revision, record));
        Ok(revision)
    }

    fn delete(&mut self, live: Arc<Entry>, applied: &mut Applied) -> Result<Revision, Refusal> {
        let revision = self.live.scalars.revision + 1;
        self.live.scalars.revision = revision;
        self.live.remove(&live.key);
        applied.delta.records.push((
            revision,
            Record {
                key: live.key.clone(),
                payload: None,
                create_revision: live.create_revision,
                version: live.version,
                lease: 0,
                previous: Some(live.mod_revision),
            },
        ));
        let entry = Arc::new(live.deleted_at(revision));
        applied.events.push(Event { revision, entry, previous: Some(live), deleted: true });
        Ok(revision)
    }

    fn compact(&mut self, requested: Revision, applied: &mut Applied) -> Outcome {
        let Scalars { compacted: floor, revision: current, .. } = self.live.scalars;
        if requested <= floor || requested > current {
            return Outcome::Refused(Refusal::BadCompaction { requested, floor, current });
        }
        self.live.scalars.compacted = requested;
        let from = applied.delta.compacted.map_or(floor, |(from, _)| from);
        applied.delta.compacted = Some((from, requested));
        Outcome::Compacted { revision: requested }
    }
}
