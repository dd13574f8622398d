//! One change of one key, as watchers see it.

use std::sync::Arc;

use crate::{Entry, Revision};

/// A change. Events of a prefix are ordered by revision and place, without gaps or repetitions.
#[derive(Clone, Debug)]
pub struct Event {
    /// The revision that the change took. All changes of a transaction have the same one, and follow each other.
    pub revision: Revision,
    /// The version that the change wrote. For a deletion of an object: the last value with its
    /// `metadata.resourceVersion` set to `revision`, as Kubernetes sends it in DELETED events.
    pub entry: Arc<Entry>,
    /// The version before the change; `None` for a creation. Selectors need both (a watch with a selector turns an
    /// update into ADDED or DELETED by comparing them).
    pub previous: Option<Arc<Entry>>,
    /// Whether the key is gone.
    pub deleted: bool,
}
