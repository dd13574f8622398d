//! Events for those who are tested on them alone.

use std::sync::Arc;

use bytes::Bytes;
use raft_state::{Entry, Event, Payload, Place, Record, Revision};

use crate::TestKeyring;

/// A key at its first version, made or deleted at a revision.
pub fn event(key: &str, value: impl Into<Bytes>, revision: Revision, deleted: bool) -> Event {
    let record = Record {
        key: Bytes::copy_from_slice(key.as_bytes()),
        payload: Some(Payload::Opaque(value.into())),
        create_revision: revision,
        version: 1,
        lease: 0,
        previous: None,
    };
    let entry = Entry::from_record(Place { revision, sub: 0 }, &record, &TestKeyring).expect("nothing is sealed");
    Event { revision, entry: Arc::new(entry), previous: None, deleted }
}
