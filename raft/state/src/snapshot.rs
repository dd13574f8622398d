//! An immutable view of the keyspace at one revision.

use std::sync::Arc;

use bytes::Bytes;
use imbl::{OrdMap, OrdSet};

use crate::record::Scalars;
use crate::roster::Roster;
use crate::{Entry, Epoch, Event, KeyRange, Lease, RangeEnd, Revision};

/// The state at one revision: O(1) to take and to clone, read without locks, never changing.
///
/// Partitioned by resource inside: keys `/registry/<group>/<resource>/…` of one resource share a persistent ordered map;
/// every other key lives in one partition of its own.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) scalars: Scalars,
    partitions: OrdMap<Bytes, OrdMap<Bytes, Arc<Entry>>>,
    leases: OrdMap<i64, Lease>,
    /// Keys by the lease that they hang on.
    attached: OrdSet<(i64, Bytes)>,
    pub(crate) roster: Roster,
}

/// How far [`Snapshot::recount`] has come.
#[derive(Clone, Debug, Default)]
pub struct Recount {
    /// The sum so far.
    pub hash: u128,
    /// Looked at so far.
    pub bytes: u64,
    /// Whether that was all.
    pub is_whole: bool,
    next: Bytes,
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

    /// The office over leases in force: the count of the leader that opened it is the one that ends them.
    pub fn lease_office(&self) -> u64 {
        self.scalars.lease_office
    }

    /// Reads and watches at revisions below this are refused.
    pub fn compacted(&self) -> Revision {
        self.scalars.compacted
    }

    /// Sum of the digests of all live entries and leases: equal on all replicas at equal log indexes.
    pub fn hash(&self) -> u128 {
        self.scalars.hash
    }

    /// Goes on with a sum that [`Snapshot::sum`] must come to when the end is reached, as computed anew from what lies in
    /// memory: so many bytes of it, or the rest.
    pub fn recount(&self, sum: &mut Recount, bytes_max: u64) {
        if sum.next.is_empty() {
            let leases = self.leases.iter().map(|(id, lease)| lease.digest(*id));
            sum.hash = leases.fold(self.roster.recount(), u128::wrapping_add);
        }
        let from = KeyRange { start: sum.next.clone(), end: RangeEnd::Last };
        let mut bytes = 0;
        for entry in self.between(&from) {
            sum.hash = sum.hash.wrapping_add(entry.recount());
            bytes += (entry.key.len() + entry.value.len()) as u64;
            if bytes >= bytes_max {
                sum.next = [&entry.key[..], &[0]].concat().into();
                sum.bytes += bytes;
                return;
            }
        }
        sum.bytes += bytes;
        sum.is_whole = true;
    }

    /// The state's small numbers.
    pub fn scalars(&self) -> &Scalars {
        &self.scalars
    }

    /// The live entry of a key.
    pub fn get(&self, key: &[u8]) -> Option<&Arc<Entry>> {
        self.partitions.get(partition(key))?.get(key)
    }

    /// The lease with this id.
    pub fn lease(&self, id: i64) -> Option<&Lease> {
        self.leases.get(&id)
    }

    /// All leases. A clone of the map costs nothing, and two of them differ in time proportional to what changed.
    pub fn leases(&self) -> &OrdMap<i64, Lease> {
        &self.leases
    }

    /// What is remembered of members beside the membership.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The keys that hang on a lease, in key order.
    pub fn attached(&self, lease: i64) -> impl Iterator<Item = &Bytes> {
        self.attached.range((lease, Bytes::new())..).take_while(move |(id, _)| *id == lease).map(|(_, key)| key)
    }

    /// Live entries of a range, in key order.
    pub fn between<'a>(&'a self, keys: &KeyRange) -> Box<dyn Iterator<Item = &'a Arc<Entry>> + Send + 'a> {
        use std::ops::Bound;
        if keys.is_single() {
            return Box::new(self.get(&keys.start).into_iter());
        }
        if keys.is_empty() {
            return Box::new(std::iter::empty());
        }
        // Every partition but the one without a name is an interval of keys, and they do not overlap: chained in their
        // order they are in key order, and merged with the nameless one the whole is.
        let home = partition(&keys.start);
        let first = if home.is_empty() { &keys.start[..] } else { home };
        let named = self.partitions.range::<_, [u8]>((Bound::Included(first), keys.upper()));
        let (for_named, for_nameless) = (keys.clone(), keys.clone());
        let mut named = named
            .filter(|(home, _)| !home.is_empty())
            .flat_map(move |(_, entries)| inside(entries, &for_named))
            .peekable();
        let nameless = self.partitions.get(&b""[..]).into_iter();
        let mut nameless = nameless.flat_map(move |entries| inside(entries, &for_nameless)).peekable();
        Box::new(std::iter::from_fn(move || match (named.peek(), nameless.peek()) {
            (Some(a), Some(b)) if b.key < a.key => nameless.next(),
            (Some(_), _) => named.next(),
            (None, _) => nameless.next(),
        }))
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
        // A prefix above the partitions (`/registry/`, or everything).
        let start = match after {
            Some(after) if after >= prefix => after,
            _ => prefix,
        };
        let keys = KeyRange { start: Bytes::copy_from_slice(start), end: KeyRange::prefix(prefix.to_vec().into()).end };
        Box::new(self.between(&keys).filter(move |entry| after.is_none_or(|after| entry.key[..] > *after)))
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
        let (key, lease) = (entry.key.clone(), entry.lease);
        let replaced = match self.partitions.get_mut(home) {
            Some(entries) => entries.insert(key.clone(), entry),
            None => {
                let home = Bytes::copy_from_slice(home);
                self.partitions.insert(home, OrdMap::unit(key.clone(), entry));
                None
            }
        };
        if let Some(replaced) = &replaced {
            self.scalars.hash = self.scalars.hash.wrapping_sub(replaced.digest);
        }
        let before = replaced.map_or(0, |replaced| replaced.lease);
        if before != lease {
            self.detach(before, &key);
            if lease != 0 {
                self.attached.insert((lease, key));
            }
        }
    }

    fn detach(&mut self, lease: i64, key: &[u8]) {
        if lease != 0 {
            self.attached.remove(&(lease, Bytes::copy_from_slice(key)));
        }
    }

    pub(crate) fn set_lease(&mut self, id: i64, lease: Option<Lease>) {
        let before = match lease {
            Some(lease) => {
                self.scalars.hash = self.scalars.hash.wrapping_add(lease.digest(id));
                self.leases.insert(id, lease)
            }
            None => self.leases.remove(&id),
        };
        if let Some(before) = before {
            self.scalars.hash = self.scalars.hash.wrapping_sub(before.digest(id));
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        let Some(entries) = self.partitions.get_mut(partition(key)) else { return };
        if let Some(removed) = entries.remove(key) {
            self.scalars.hash = self.scalars.hash.wrapping_sub(removed.digest);
            self.detach(removed.lease, key);
        }
    }

    /// The state before an event: what exact reads at older revisions are made of.
    /// Leases stay as they are: they have no revisions.
    pub(crate) fn undo(&mut self, event: &Event) {
        match &event.previous {
            Some(previous) => self.put(previous.clone()),
            None => self.remove(&event.entry.key),
        }
        self.scalars.revision = event.revision - 1;
    }
}

fn inside<'a>(
    entries: &'a OrdMap<Bytes, Arc<Entry>>,
    keys: &KeyRange,
) -> impl Iterator<Item = &'a Arc<Entry>> + Send + use<'a> {
    let start = std::ops::Bound::Included(&keys.start[..]);
    entries.range::<_, [u8]>((start, keys.upper())).map(|(_, entry)| entry)
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

    struct NoKeys;

    impl crate::Keyring for NoKeys {
        fn open(&self, _: &[u8], _: u32, _: &[u8; 12], _: &[u8]) -> Option<Bytes> {
            None
        }

        fn seal(&self, _: &[u8], _: &[u8], _: u32) -> crate::Payload {
            unreachable!("nothing is sealed here")
        }
    }

    fn entry(key: &str, value: &str, digest: u128) -> Arc<Entry> {
        let value = Bytes::from(value.to_owned());
        let record = crate::Record {
            key: Bytes::from(key.to_owned()),
            payload: Some(crate::Payload::Opaque(value)),
            create_revision: 2,
            version: 1,
            lease: 0,
            previous: None,
        };
        let place = crate::Place { revision: 2, sub: 0 };
        let mut entry = Entry::from_record(place, &record, &NoKeys).expect("an open value");
        entry.digest = entry.digest.wrapping_add(digest);
        Arc::new(entry)
    }

    /// The sum over a state, in pieces of so many bytes.
    fn recounted(state: &Snapshot, bytes_max: u64) -> Recount {
        let mut sum = Recount::default();
        while !sum.is_whole {
            state.recount(&mut sum, bytes_max);
        }
        sum
    }

    #[test]
    fn the_hash_counted_anew_is_the_rolling_one_until_memory_changes_by_itself() {
        let mut state = Snapshot::default();
        state.set_lease(5, Some(Lease { ttl_s: 9, grant: 1 }));
        state.roster.take(&crate::RosterChange::Retired(4));
        for number in 0..100 {
            state.put(entry(&format!("/registry/core/pods/{}", number % 70), "value", 0));
            state.put(entry(&format!("free{number}"), "value", 0));
        }
        state.remove(b"free7");
        for bytes_max in [1, 100, u64::MAX] {
            assert_eq!(recounted(&state, bytes_max).hash, state.sum(), "{bytes_max} bytes at a time");
        }
        // As if a bit of it had flipped since its digest was taken.
        state.put(entry("free8", "value", 1));
        assert_ne!(recounted(&state, 100).hash, state.sum());
    }

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
