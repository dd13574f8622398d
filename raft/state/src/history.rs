//! Events older than the ring, from stored versions.

use std::sync::Arc;

use crate::port::BoxFuture;
use crate::{Entry, Event, Keyring, Record, Revision};

/// A stored version with the one that it superseded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its revision.
    pub revision: Revision,
    /// What it wrote.
    pub record: Record,
    /// What was there before, when that is still kept.
    pub previous: Option<Record>,
}

/// Stored versions by revision. Implementations read the disk apart from the caller's thread.
pub trait History: Send + Sync + 'static {
    /// At most `max` versions with revisions above `after`, ascending.
    fn after(&self, after: Revision, max: usize) -> BoxFuture<'_, Vec<Stored>>;
}

impl Stored {
    /// The event that this version was; `None` when what it needs is compacted or does not open.
    pub fn event(&self, keyring: &dyn Keyring) -> Option<Event> {
        let previous = match self.record.previous {
            None => None,
            Some(revision) => Some(Arc::new(Entry::from_record(revision, self.previous.as_ref()?, keyring)?)),
        };
        let deleted = self.record.payload.is_none();
        let entry = if deleted {
            previous.as_ref()?.deleted_at(self.revision)
        } else {
            Entry::from_record(self.revision, &self.record, keyring)?
        };
        Some(Event { revision: self.revision, entry: Arc::new(entry), previous, deleted })
    }
}
