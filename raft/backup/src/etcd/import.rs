//! An etcd snapshot as contents of a store.

use std::collections::BTreeMap;

use api_proto::etcd::mvccpb::KeyValue;
use bytes::Bytes;
use prost::Message;
use raft_state::record::Scalars;
use raft_state::{Lease, Payload, Place, Record};
use sha2::{Digest, Sha256};

use super::{FINISHED_COMPACT, ReadAt, StoredLease, bucket, parse_revision};
use crate::bbolt::read::{Database, is_database};
use crate::{Contents, Error};

const DIGEST_BYTES: u64 = 32;
/// A database is a multiple of this, as etcd's own tools test for the digest behind it.
const SECTOR: u64 = 512;
const READ_BYTES: usize = 1 << 20;

/// Whether a file begins as an etcd snapshot does.
pub fn is_snapshot(first: &[u8]) -> bool {
    is_database(first)
}

/// Reads an etcd snapshot of `length` bytes: its live keys and its leases. Its history is left behind, and so are its users,
/// roles and members.
///
/// # Errors
/// When it is cut short or damaged, or when it has no checksum: a copy of a member's `db` file is no snapshot.
pub fn import(file: &(impl ReadAt + ?Sized), length: u64) -> Result<Contents, Error> {
    if length % SECTOR != DIGEST_BYTES {
        return Err(Error::damaged(length, "no checksum follows the database: take it with `etcdctl snapshot save`"));
    }
    let length = length - DIGEST_BYTES;
    check_digest(file, length)?;
    let database = Database::open(file, length)?;
    let mut newest = 1;
    let mut live: BTreeMap<Bytes, (Place, KeyValue)> = BTreeMap::new();
    let found = database.bucket(bucket::KEY, |at, key, value| {
        let (main, sub, deleted) =
            parse_revision(key).ok_or_else(|| Error::damaged(at, "a key that is no revision"))?;
        let value = KeyValue::decode(value).map_err(|error| Error::damaged(at, error.to_string()))?;
        let sub = u32::try_from(sub).map_err(|_| Error::damaged(at, "a revision that cannot be"))?;
        newest = newest.max(main);
        if deleted {
            live.remove(&value.key);
        } else {
            live.insert(value.key.clone(), (Place { revision: main, sub }, value));
        }
        Ok(())
    })?;
    if !found {
        return Err(Error::damaged(0, "the database has no bucket of keys: it is not etcd's"));
    }
    database.bucket(bucket::META, |_, key, value| {
        // The last changes may have been deletions that are compacted.
        if let (true, Some((main, ..))) = (key == FINISHED_COMPACT, parse_revision(value)) {
            newest = newest.max(main);
        }
        Ok(())
    })?;
    let leases = leases(&database)?;
    let scalars = Scalars { revision: newest, compacted: newest, grants: leases.len() as u64, ..Scalars::default() };
    let known = |id: i64| leases.contains_key(&id);
    let versions = live.into_values().map(|(place, value)| (place, record(value, &known))).collect();
    let mut contents = Contents { scalars, versions, leases: leases.into_iter().collect() };
    contents.sort();
    Ok(contents)
}

fn check_digest(file: &(impl ReadAt + ?Sized), length: u64) -> Result<(), Error> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut at = 0;
    while at < length {
        let part = usize::try_from(length - at).unwrap_or(usize::MAX).min(READ_BYTES);
        file.read_at(at, &mut buffer[..part])?;
        digest.update(&buffer[..part]);
        at += part as u64;
    }
    let mut stored = [0; DIGEST_BYTES as usize];
    file.read_at(length, &mut stored)?;
    if digest.finalize()[..] == stored {
        Ok(())
    } else {
        Err(Error::damaged(length, "the checksum of the whole is wrong"))
    }
}

fn leases<F: ReadAt + ?Sized>(database: &Database<'_, F>) -> Result<BTreeMap<i64, Lease>, Error> {
    let mut leases = BTreeMap::new();
    database.bucket(bucket::LEASE, |at, _, value| {
        let stored = StoredLease::decode(value).map_err(|error| Error::damaged(at, error.to_string()))?;
        if stored.id > 0 && stored.ttl_s > 0 {
            leases.insert(stored.id, Lease { ttl_s: stored.ttl_s, grant: leases.len() as u64 + 1 });
        }
        Ok(())
    })?;
    Ok(leases)
}

fn record(value: KeyValue, known: &impl Fn(i64) -> bool) -> Record {
    let payload = object(&value).unwrap_or_else(|| Payload::Opaque(value.value.clone()));
    Record {
        key: value.key,
        payload: Some(payload),
        create_revision: value.create_revision.cast_unsigned(),
        version: value.version.cast_unsigned(),
        // A lease that has ended without its keys holds nothing.
        lease: if known(value.lease) { value.lease } else { 0 },
        previous: None,
    }
}

/// An object that an export of ours holds: its resourceVersion is taken out again, for it is put in where it is read. What a
/// kube-apiserver wrote has no resourceVersion, and stays as it is.
fn object(value: &KeyValue) -> Option<Payload> {
    const METADATA: &[u8] = b"\"metadata\":{";
    if !value.key.starts_with(b"/registry/") || !value.value.starts_with(b"{") {
        return None;
    }
    let start = value.value.windows(METADATA.len()).position(|w| w == METADATA)? + METADATA.len();
    let member = format!("\"resourceVersion\":\"{}\",", value.mod_revision);
    let rest = value.value[start..].strip_prefix(member.as_bytes())?;
    let json = [&value.value[..start], rest].concat();
    Some(Payload::Object { json: json.into(), splice_at: u32::try_from(start).ok()? })
}
