//! An immutable view of the keyspace at one revision.

use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;

use crate::record::Scalars;
use crate::{Entry, Epoch, Event, Revision};

/// The state at one revision: O(1) to take and to clone, read without locks, never changing.
///
/// Partitioned by resource inside: keys `/registry/<group>/<resource>/…` of one resource share a persistent ordered map;
/// every other key lives in one partition of its own.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) scalars: Scalars,
    partitions: OrdMap<Bytes, OrdMap<Bytes, Arc<Entry>>>,
}

/// The partition of a key: `/registry/<group>/<resource>/`, or the empty prefix for keys of another shape.
pub fn partition(key: &[u8]) -> &[u8] {
    const ROOT: &[u8] = b"/registry/";
    if !key.starts_with(ROOT) {
        return b"";
    }
    let mut slashes = key.iter().enumerate().skip(ROOT.len()).filter(|(_, b)| **b == b'/').map(|(i, _)| i);
    match (slashes.next(), slashes.next()) {
        (Some(_), Some(end)) => &key[..=end],
        _ => b"",
    }
}

impl Snapshot {
    /// The revision of this view.
    pub fn revision(&self) -> Revision {
        self.scalars.revision
    }

    /// The epoch in force.
    pub fn epoch(&self) -> Epoch {
        self.scalars.epoch
    }

    /// Reads and watches at revisions below this are refused.
    pub fn compacted(&self) -> Revision {
        self.scalars.compacted
    }

    /// Sum of the digests of all live entries: equal on all replicas at equal log indexes.
    pub fn hash(&self) -> u128 {
        self.scalars.hash
    }

    /// The live entry of a key.
    pub fn get(&self, key: &[u8]) -> Option<&Arc<Entry>> {
        self.partitions.get(partition(key))?.get(key)
    }

    /// Live entries whose keys start with `prefix`, in key order, beginning after `after` when given (exclusive).
    pub fn range<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
    ) -> Box<dyn Iterator<Item = &'a Arc<Entry>> + Send + 'a> {
        let home = partition(prefix);
        if !home.is_empty() {
            return match self.partitions.get(home) {
                Some(entries) => Box::new(within(entries, prefix, after)),
                None => Box::new(std::iter::empty()),
            };
        }
        // A prefix above the partitions (`/registry/`, or everything): their orders are merged.
        let mut parts: Vec<_> =
            self.partitions.values().map(|entries| within(entries, prefix, after).peekable()).collect();
        Box::new(std::iter::from_fn(move || {
            let first = parts
                .iter_mut()
                .enumerate()
                .filter_map(|(i, part)| part.peek().map(|entry| (entry.key.clone(), i)))
                .min()?;
            parts[first.1].next()
        }))
    }

    /// How many live entries start with `prefix`: O(1) for a whole resource, else O(matches).
    pub fn count(&self, prefix: &[u8]) -> usize {
        if partition(prefix) == prefix && !prefix.is_empty() {
            return self.partitions.get(prefix).map_or(0, OrdMap::len);
        }
        self.range(prefix, None).count()
    }

    pub(crate) fn put(&mut self, entry: Arc<Entry>) {
        self.scalars.hash = self.scalars.hash.wrapping_add(entry.digest);
        let home = partition(&entry.key);
        if !self.partitions.contains_key(home) {
            self.partitions.insert(Bytes::copy_from_slice(home), OrdMap::new());
        }
        let entries = self.partitions.get_mut(home).expect("inserted above");
        if let Some(replaced) = entries.insert(entry.key.clone(), entry) {
            self.scalars.hash = self.scalars.hash.wrapping_sub(replaced.digest);
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        let Some(entries) = self.partitions.get_mut(partition(key)) else { return };
        if let Some(removed) = entries.remove(key) {
            self.scalars.hash = self.scalars.hash.wrapping_sub(removed.digest);
        }
    }

    /// The state before an event: what exact reads at older revisions are made of.
    pub(crate) fn undo(&mut self, event: &Event) {
        match &event.previous {
            Some(previous) => self.put(previous.clone()),
            None => self.remove(&event.entry.key),
        }
        self.scalars.revision = event.revision - 1;
    }
}

fn within<'a>(
    entries: &'a OrdMap<Bytes, Arc<Entry>>,
    prefix: &'a [u8],
    after: Option<&'a [u8]>,
) -> impl Iterator<Item = &'a Arc<Entry>> + Send + 'a {
    use std::ops::Bound;
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    entries
        .range::<_, [u8]>((start, Bound::Unbounded))
        .map(|(_, entry)| entry)
        .take_while(move |e| e.key.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lives_in_the_partition_of_its_resource() {
        let check = |key: &str, expected: &str| assert_eq!(partition(key.as_bytes()), expected.as_bytes(), "{key}");
        check("/registry/core/pods/default/web", "/registry/core/pods/");
        check("/registry/core/nodes/n1", "/registry/core/nodes/");
        check("/registry/core/pods/", "/registry/core/pods/");
        check("/registry/core/pods", "");
        check("/registry/", "");
        check("foo", "");
        check("", "");
    }
}
