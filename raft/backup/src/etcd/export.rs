//! A store as an etcd snapshot.

use std::sync::Arc;

use api_proto::etcd::mvccpb::KeyValue;
use bytes::Bytes;
use prost::Message;
use raft_state::{Entry, Snapshot};
use sha2::{Digest, Sha256};

use super::{FINISHED_COMPACT, SCHEDULED_COMPACT, StoredLease, bucket, revision_key};
use crate::bbolt::write::{Entries, Writer};

/// The bytes of an etcd snapshot, part by part. Values are as the API shows them: JSON of objects with resourceVersion,
/// Secrets in the clear, for etcd knows no other way.
pub struct Export {
    file: Writer,
    digest: Option<Sha256>,
}

impl Export {
    /// An export of a snapshot. History before it is compacted.
    pub fn new(snapshot: &Snapshot) -> Self {
        let mut live: Vec<Arc<Entry>> = snapshot.range(b"", None).cloned().collect();
        live.sort_by_key(|entry| entry.place());
        let empty = || -> Box<dyn Entries> { Box::new(Vec::new()) };
        let named = |name: &'static [u8], entries| (Bytes::from_static(name), entries);
        // The buckets that etcd makes at its start, empty where a restore fills them.
        let buckets: Vec<(Bytes, Box<dyn Entries>)> = vec![
            named(b"alarm", empty()),
            named(b"auth", empty()),
            named(b"authRoles", empty()),
            named(b"authUsers", empty()),
            named(b"cluster", empty()),
            named(bucket::KEY, Box::new(Keys(live))),
            named(bucket::LEASE, Box::new(leases(snapshot))),
            named(b"members", empty()),
            named(b"members_removed", empty()),
            named(bucket::META, Box::new(meta(snapshot))),
        ];
        Self { file: Writer::new(buckets), digest: Some(Sha256::new()) }
    }

    /// Bytes of all parts together, the checksum at the end among them.
    pub fn bytes(&self) -> u64 {
        self.file.bytes() + Sha256::output_size() as u64
    }
}

impl Iterator for Export {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        match self.file.next() {
            Some(part) => {
                if let Some(digest) = &mut self.digest {
                    digest.update(&part);
                }
                Some(part)
            }
            None => self.digest.take().map(|digest| Bytes::copy_from_slice(&digest.finalize())),
        }
    }
}

/// The live entries by revision.
struct Keys(Vec<Arc<Entry>>);

impl Entries for Keys {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn entry(&self, number: usize) -> (Bytes, Bytes) {
        let entry = &self.0[number];
        let value = KeyValue {
            key: entry.key.clone(),
            create_revision: entry.create_revision.cast_signed(),
            mod_revision: entry.mod_revision.cast_signed(),
            version: entry.version.cast_signed(),
            value: entry.value.clone(),
            lease: entry.lease,
        };
        let key = revision_key(entry.mod_revision, u64::from(entry.sub));
        (Bytes::copy_from_slice(&key), value.encode_to_vec().into())
    }
}

fn leases(snapshot: &Snapshot) -> Vec<(Bytes, Bytes)> {
    let mut leases: Vec<_> = snapshot
        .leases()
        .iter()
        .map(|(id, lease)| {
            let stored = StoredLease { id: *id, ttl_s: lease.ttl_s, remaining_s: 0 };
            (Bytes::copy_from_slice(&id.to_be_bytes()), stored.encode_to_vec().into())
        })
        .collect();
    leases.sort();
    leases
}

/// What etcd 3.5 and later look for. Term, index and members are those of no cluster: a restore replaces them.
fn meta(snapshot: &Snapshot) -> Vec<(Bytes, Bytes)> {
    let compacted = Bytes::copy_from_slice(&revision_key(snapshot.revision(), 0));
    let one = Bytes::copy_from_slice(&1_u64.to_be_bytes());
    vec![
        (Bytes::from_static(b"confState"), Bytes::from_static(br#"{"voters":[1],"auto_leave":false}"#)),
        (Bytes::from_static(b"consistent_index"), one.clone()),
        (Bytes::from_static(FINISHED_COMPACT), compacted.clone()),
        (Bytes::from_static(SCHEDULED_COMPACT), compacted),
        (Bytes::from_static(b"term"), one),
    ]
}
