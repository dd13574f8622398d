//! Writing Trireme's format, a chunk at a time.

use std::sync::Arc;

use api_proto::backup as pb;
use bytes::Bytes;
use raft_state::{Entry, KeyRange, Keyring, Payload, RangeEnd, Snapshot};
use sha2::{Digest, Sha256};

use crate::frame::{self, Kind, MAGIC};

/// What a frame of entries holds, about. One entry may be larger.
const FRAME_BYTES: usize = 256 << 10;
/// Leases in a frame.
const FRAME_LEASES: usize = 10_000;

/// Where a backup comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Id of the cluster.
    pub cluster: String,
    /// Name of the master.
    pub member: String,
    /// When, seconds since 1970.
    pub taken_s: u64,
    /// The keys of Secrets, wrapped, when they are to go with it.
    pub keys: Option<pb::WrappedKeys>,
}

/// The bytes of a backup, one frame after the other. It holds on to the snapshot and to nothing else.
pub struct Backup {
    snapshot: Snapshot,
    keyring: Arc<dyn Keyring>,
    stage: Stage,
    offset: u64,
    digest: Sha256,
    entries: u64,
    leases: u64,
}

enum Stage {
    Header(Origin),
    /// Leases above this id.
    Leases(i64),
    /// Entries of these keys.
    Entries(KeyRange),
    End,
    Done,
}

impl Backup {
    /// A backup of a snapshot. What is sealed in the store is sealed anew, with the newest of the same keys.
    pub fn new(snapshot: Snapshot, keyring: Arc<dyn Keyring>, origin: Origin) -> Self {
        let stage = Stage::Header(origin);
        Self { snapshot, keyring, stage, offset: 0, digest: Sha256::new(), entries: 0, leases: 0 }
    }

    fn header(&self, origin: Origin) -> pb::Header {
        let scalars = self.snapshot.scalars();
        pb::Header {
            cluster: origin.cluster,
            member: origin.member,
            taken_s: origin.taken_s,
            revision: scalars.revision,
            compacted: scalars.compacted,
            epoch: scalars.epoch,
            grants: scalars.grants,
            lease_office: scalars.lease_office,
            keys: origin.keys,
        }
    }

    fn some_leases(&mut self, above: i64) -> Option<pb::Leases> {
        use std::ops::Bound::{Excluded, Unbounded};
        let rest = self.snapshot.leases().range((Excluded(above), Unbounded)).take(FRAME_LEASES);
        let leases: Vec<_> =
            rest.map(|(id, lease)| pb::Lease { id: *id, ttl_s: lease.ttl_s, grant: lease.grant }).collect();
        self.leases += leases.len() as u64;
        (!leases.is_empty()).then_some(pb::Leases { leases })
    }

    fn some_entries(&mut self, keys: &KeyRange) -> (pb::Entries, Option<KeyRange>) {
        let mut frame = pb::Entries::default();
        let mut bytes = 0;
        for entry in self.snapshot.between(keys) {
            if bytes >= FRAME_BYTES {
                let rest = KeyRange { start: entry.key.clone(), end: RangeEnd::Last };
                self.entries += frame.entries.len() as u64;
                return (frame, Some(rest));
            }
            bytes += entry.key.len() + entry.value.len() + 64;
            frame.entries.push(written(entry, &*self.keyring));
        }
        self.entries += frame.entries.len() as u64;
        (frame, None)
    }

    fn frame(&self, kind: Kind, message: &impl prost::Message) -> Vec<u8> {
        frame::write(self.offset, kind, message)
    }
}

/// An entry as it leaves the cluster.
fn written(entry: &Entry, keyring: &dyn Keyring) -> pb::Entry {
    use pb::entry::Payload as Wire;
    let payload = match entry.spliced {
        None => Wire::Opaque(entry.value.clone()),
        Some(spliced) => {
            let (head, tail) = entry.unspliced();
            let json: Bytes = [head, tail].concat().into();
            if entry.sealed { sealed(keyring.seal(&entry.key, &json, spliced.at)) } else { object(json, spliced.at) }
        }
    };
    pb::Entry {
        key: entry.key.clone(),
        create_revision: entry.create_revision,
        mod_revision: entry.mod_revision,
        sub: entry.sub,
        version: entry.version,
        lease: entry.lease,
        payload: Some(payload),
    }
}

fn object(json: Bytes, splice_at: u32) -> pb::entry::Payload {
    pb::entry::Payload::Object(pb::Object { json, splice_at })
}

/// A keyring that does not seal would let secrets out.
fn sealed(payload: Payload) -> pb::entry::Payload {
    match payload {
        Payload::Sealed { key_id, nonce, ciphertext, splice_at } => {
            pb::entry::Payload::Sealed(pb::Sealed { key_id, nonce: nonce.to_vec().into(), ciphertext, splice_at })
        }
        Payload::Object { .. } | Payload::Opaque(_) => panic!("a keyring that does not seal"),
    }
}

impl Iterator for Backup {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let chunk = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Header(origin) => {
                self.stage = Stage::Leases(i64::MIN);
                let header = self.header(origin);
                [&MAGIC[..], &frame::write(MAGIC.len() as u64, Kind::Header, &header)].concat()
            }
            Stage::Leases(above) => match self.some_leases(above) {
                Some(leases) => {
                    self.stage = Stage::Leases(leases.leases.last().map_or(i64::MAX, |lease| lease.id));
                    self.frame(Kind::Leases, &leases)
                }
                None => {
                    self.stage = Stage::Entries(KeyRange { start: Bytes::new(), end: RangeEnd::Last });
                    return self.next();
                }
            },
            Stage::Entries(keys) => {
                let (entries, rest) = self.some_entries(&keys);
                self.stage = rest.map_or(Stage::End, Stage::Entries);
                self.frame(Kind::Entries, &entries)
            }
            Stage::End => {
                let sha256 = self.digest.clone().finalize().to_vec().into();
                self.frame(Kind::End, &pb::End { entries: self.entries, leases: self.leases, sha256 })
            }
            Stage::Done => return None,
        };
        self.digest.update(&chunk);
        self.offset += chunk.len() as u64;
        Some(chunk.into())
    }
}
