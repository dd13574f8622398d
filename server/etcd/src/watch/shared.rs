//! An event on its way to many watches.

use std::sync::OnceLock;

use api_proto::etcd::mvccpb;
use bytes::Bytes;
use prost::Message;
use raft_state::Event;

use crate::face::signed;
use crate::kv::key_value;

/// An event, with its encoded forms once somebody needed them.
pub(super) struct Shared {
    pub(super) event: Event,
    plain: OnceLock<Bytes>,
    with_previous: OnceLock<Bytes>,
}

impl Shared {
    pub(super) fn new(event: Event) -> Self {
        Self { event, plain: OnceLock::new(), with_previous: OnceLock::new() }
    }

    /// As an `mvccpb.Event`.
    pub(super) fn encoded(&self, with_previous: bool) -> &Bytes {
        let form = if with_previous { &self.with_previous } else { &self.plain };
        form.get_or_init(|| message(&self.event, with_previous).encode_to_vec().into())
    }
}

fn message(event: &Event, with_previous: bool) -> mvccpb::Event {
    let kv = match event.deleted {
        false => key_value(&event.entry),
        true => mvccpb::KeyValue {
            key: event.entry.key.clone(),
            mod_revision: signed(event.revision),
            ..Default::default()
        },
    };
    let previous = event.previous.as_ref().filter(|_| with_previous);
    mvccpb::Event { r#type: i32::from(event.deleted), kv: Some(kv), prev_kv: previous.map(key_value) }
}
