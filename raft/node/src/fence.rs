//! Ids that are over: whoever still uses one is refused.

use std::sync::Arc;

use imbl::OrdSet;
use parking_lot::RwLock;

/// The ids of removed members, as far as this member has applied. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retired(Arc<RwLock<OrdSet<u64>>>);

impl Retired {
    /// Replaces them.
    pub(crate) fn set(&self, ids: &OrdSet<u64>) {
        if *self.0.read() != *ids {
            self.0.write().clone_from(ids);
        }
    }

    /// Whether a member with this id was removed.
    pub(crate) fn contains(&self, id: u64) -> bool {
        self.0.read().contains(&id)
    }
}
