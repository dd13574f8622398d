//! An immutable view of the keyspace at one revision.

use std::sync::Arc;

use crate::{Entry, Epoch, Revision};

/// The state at one revision: O(1) to take and to clone, read without locks, never changing.
///
/// Partitioned by resource inside: keys `/registry/<group>/<resource>/…` of one resource share a persistent ordered map;
/// every other key lives in one partition of its own.
#[derive(Clone, Debug)]
pub struct Snapshot {}

impl Snapshot {
    /// The revision of this view.
    pub fn revision(&self) -> Revision {
        todo!()
    }

    /// The epoch in force.
    pub fn epoch(&self) -> Epoch {
        todo!()
    }

    /// Reads and watches at revisions below this are refused.
    pub fn compacted(&self) -> Revision {
        todo!()
    }

    /// The live entry of a key.
    pub fn get(&self, _key: &[u8]) -> Option<&Arc<Entry>> {
        todo!()
    }

    /// Live entries whose keys start with `prefix`, in key order, beginning after `after` when given (exclusive).
    pub fn range<'a>(
        &'a self,
        _prefix: &'a [u8],
        _after: Option<&'a [u8]>,
    ) -> Box<dyn Iterator<Item = &'a Arc<Entry>> + Send + 'a> {
        todo!()
    }

    /// How many live entries start with `prefix`: O(1) for a whole resource, else O(matches).
    pub fn count(&self, _prefix: &[u8]) -> usize {
        todo!()
    }
}
