//! The state machine: one log entry in, outcomes, events and the change on disk out.

use std::sync::Arc;

use bytes::Bytes;
use planted_bugs::planted;

use crate::record::{Delta, Place, Scalars};
use crate::window::Window;
use crate::{
    Action, Command, CommandId, Entry, Epoch, Event, Expect, Keyring, Lease, ObjectCommand, Outcome, Payload, Record,
    Refusal, Revision, RosterChange, Snapshot,
};

mod leases;
mod members;
mod txn;

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
    pub fn load_record(&mut self, place: Place, record: &Record) -> Result<(), Refusal> {
        if record.payload.is_none() {
            self.live.remove(&record.key);
            return Ok(());
        }
        let entry = Entry::from_record(place, record, &*self.keyring).ok_or(Refusal::Unsealable)?;
        self.live.put(Arc::new(entry));
        Ok(())
    }

    /// Takes one lease in, while loading.
    pub fn load_lease(&mut self, id: i64, lease: Lease) {
        self.live.set_lease(id, Some(lease));
    }

    /// Takes one part of the roster in, while loading.
    pub fn load_roster(&mut self, change: &RosterChange) {
        self.live.roster.take(change);
    }

    /// Takes one remembered outcome in, while loading.
    pub fn load_outcome(&mut self, boot: u64, sequence: u64, outcome: Outcome) {
        if planted!(WindowNotInSnapshot) {
            return;
        }
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
        if planted!(RevisionResetAfterRestore) {
            self.live.scalars.revision = self.live.range(b"", None).map(|entry| entry.mod_revision).max().unwrap_or(1);
        }
        sound
    }

    /// The state as of now, for readers.
    pub fn snapshot(&self) -> Snapshot {
        self.live.clone()
    }

    pub(crate) fn live(&self) -> &Snapshot {
        &self.live
    }

    pub(crate) fn window_sum(&self) -> u128 {
        self.window.sum()
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
                Some(known) if !planted!(RetryAppliedTwice) => known,
                _ => {
                    let outcome = self.one(&stamped.command, &mut applied);
                    let kept = outcome.without_answers();
                    self.window.remember(stamped.id, kept.clone());
                    applied.delta.remembered.push((stamped.id.boot, stamped.id.sequence, kept));
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
        let outcome = match command {
            Command::Object(command) => self.object(command, applied),
            Command::EtcdTxn(txn) => self.txn(txn, applied),
            Command::LeaseGrant { id, ttl_s } => self.grant(*id, *ttl_s, applied),
            Command::LeaseRevoke { id } => self.revoke(*id, applied),
            Command::OpenLeaseOffice { .. } => {
                self.live.scalars.lease_office += 1;
                Ok(Outcome::LeaseOfficeOpened { office: self.live.scalars.lease_office })
            }
            Command::LeaseExpire { id, grant, office } => self.expire(*id, *grant, *office, applied),
            Command::OpenEpoch { .. } => {
                self.live.scalars.epoch += 1;
                Ok(Outcome::EpochOpened { epoch: self.live.scalars.epoch, revision: self.live.scalars.revision })
            }
            Command::MintMember => Ok(self.mint_member(applied)),
            Command::JoinToken { id, token } => Ok(self.set_token(id, token.as_ref(), applied)),
            Command::Rebase { by } => Ok(self.rebase(*by, applied)),
            Command::Compact { revision } => self.compact(*revision, applied),
        };
        outcome.unwrap_or_else(Outcome::Refused)
    }

    fn object(&mut self, command: &ObjectCommand, applied: &mut Applied) -> Result<Outcome, Refusal> {
        self.check_epoch(command.epoch)?;
        let live = self.live.get(&command.key).cloned();
        let lax = planted!(PreconditionIgnored) && planted_bugs::one_in(20);
        let mod_revision = live.as_ref().map(|entry| entry.mod_revision);
        match (command.expect, mod_revision) {
            (Expect::Absent, Some(mod_revision)) => return Err(Refusal::Exists { mod_revision }),
            (Expect::At(_), None) => return Err(Refusal::NotFound),
            (Expect::At(wanted), Some(mod_revision)) if wanted != mod_revision && !lax => {
                return Err(Refusal::Conflict { mod_revision });
            }
            _ => {}
        }
        let mut change = Change::at(self.live.scalars.revision + 1);
        match &command.action {
            Action::Put(payload) => self.put(&mut change, command.key.clone(), payload.clone(), 0, live)?,
            Action::Delete => self.delete(&mut change, live.ok_or(Refusal::NotFound)?),
        }
        Ok(Outcome::Done { revision: self.commit(change, applied) })
    }

    fn check_epoch(&self, epoch: Option<Epoch>) -> Result<(), Refusal> {
        let current = self.live.scalars.epoch;
        match epoch {
            Some(epoch) if epoch != current && !planted!(NoEpochFence) => Err(Refusal::StaleEpoch { current }),
            _ => Ok(()),
        }
    }

    /// Writes one key, whose live version is `previous`. A refusal changes nothing.
    fn put(
        &mut self,
        change: &mut Change,
        key: Bytes,
        payload: Payload,
        lease: i64,
        previous: Option<Arc<Entry>>,
    ) -> Result<(), Refusal> {
        let place = change.place();
        let record = Record {
            key,
            payload: Some(payload),
            create_revision: previous.as_ref().map_or(place.revision, |p| p.create_revision),
            version: previous.as_ref().map_or(1, |p| p.version + 1),
            lease,
            previous: previous.as_ref().map(|p| p.place()),
        };
        // A splice point outside of the value is as bad as a seal that does not open: nothing is written.
        let entry = Entry::from_record(place, &record, &*self.keyring).ok_or(Refusal::Unsealable)?;
        let entry = Arc::new(entry);
        self.live.put(entry.clone());
        change.events.push(Event { revision: place.revision, entry, previous, deleted: false });
        change.records.push((place, record));
        Ok(())
    }

    fn delete(&mut self, change: &mut Change, live: Arc<Entry>) {
        let place = change.place();
        self.live.remove(&live.key);
        let record = Record {
            key: live.key.clone(),
            payload: None,
            create_revision: live.create_revision,
            version: live.version,
            lease: 0,
            previous: Some(live.place()),
        };
        change.records.push((place, record));
        let entry = Arc::new(live.deleted_at(place));
        change.events.push(Event { revision: place.revision, entry, previous: Some(live), deleted: true });
    }

    /// Brings a change into force; the store's revision after it. One that changed nothing takes no revision.
    fn commit(&mut self, change: Change, applied: &mut Applied) -> Revision {
        if !change.records.is_empty() {
            self.live.scalars.revision = change.revision;
            applied.events.extend(change.events);
            applied.delta.records.extend(change.records);
        }
        self.live.scalars.revision
    }

    /// Takes back what a command did before it was refused.
    fn roll_back(&mut self, change: Change) {
        let revision = self.live.scalars.revision;
        for event in change.events.iter().rev() {
            self.live.undo(event);
        }
        self.live.scalars.revision = revision;
    }

    fn compact(&mut self, requested: Revision, applied: &mut Applied) -> Result<Outcome, Refusal> {
        let off = planted!(CompactionAtDifferentPoints) && planted_bugs::one_in(3);
        let requested = requested.saturating_sub(Revision::from(off));
        let Scalars { compacted: floor, revision: current, .. } = self.live.scalars;
        if requested <= floor || requested > current {
            return Err(Refusal::BadCompaction { requested, floor, current });
        }
        self.live.scalars.compacted = requested;
        let from = applied.delta.compacted.map_or(floor, |(from, _)| from);
        applied.delta.compacted = Some((from, requested));
        Ok(Outcome::Compacted { revision: requested })
    }
}

/// What one command has changed so far.
struct Change {
    revision: Revision,
    events: Vec<Event>,
    records: Vec<(Place, Record)>,
}

impl Change {
    fn at(revision: Revision) -> Self {
        Self { revision, events: Vec::new(), records: Vec::new() }
    }

    /// Of the next key that it changes.
    fn place(&self) -> Place {
        let sub = u32::try_from(self.records.len()).expect("a command of bounded size");
        Place { revision: self.revision, sub }
    }
}
