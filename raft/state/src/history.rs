//! Events older than the ring, from stored versions.

use std::sync::Arc;

use crate::port::BoxFuture;
use crate::record::Place;
use crate::{Entry, Event, Keyring, Record, Revision};

/// A stored version with the one that it superseded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where it stands.
    pub place: Place,
    /// What it wrote.
    pub record: Record,
    /// What was there before, when that is still kept.
    pub previous: Option<Record>,
}

/// Stored versions by revision. Implementations read the disk apart from the caller's thread.
pub trait History: Send + Sync + 'static {
    /// Versions with revisions above `after`, ascending: about `max`, and never a part of a revision.
    fn after(&self, after: Revision, max: usize) -> BoxFuture<'_, Vec<Stored>>;
}

impl Stored {
    /// Whether what its event needs is compacted.
    pub fn is_compacted(&self) -> bool {
        self.record.previous.is_some() && self.previous.is_none()
    }

    /// The event that this version was; `None` when what it needs is compacted or does not open.
    pub fn event(&self, keyring: &dyn Keyring) -> Option<Event> {
        let previous = match self.record.previous {
            None => None,
            Some(place) => Some(Arc::new(Entry::from_record(place, self.previous.as_ref()?, keyring)?)),
        };
        let deleted = self.record.payload.is_none();
        let entry = if deleted {
            previous.as_ref()?.deleted_at(self.place)
        } else {
            Entry::from_record(self.place, &self.record, keyring)?
        };
        Some(Event { revision: self.place.revision, entry: Arc::new(entry), previous, deleted })
    }
}
