//! What controllers read of an Event.

use std::borrow::Cow;

use api_kinds::time;
use raft_state::Revision;
use serde::Deserialize;

use super::{Meta, meta};

/// An Event: of all that it tells only when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTime {
    /// Metadata.
    pub meta: Meta,
    /// When it last happened, microseconds since the epoch.
    pub last_us: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    metadata: meta::Wire<'a>,
    #[serde(borrow, default)]
    last_timestamp: Option<Cow<'a, str>>,
}

impl EventTime {
    /// Reads a stored Event; `None` when the bytes are none.
    pub fn read(bytes: &[u8], revision: Revision) -> Option<Self> {
        let Wire { metadata, last_timestamp } = serde_json::from_slice(bytes).ok()?;
        let meta = Meta::of(metadata, revision);
        let last_us = last_timestamp.as_deref().and_then(time::parse).unwrap_or(meta.created_us);
        Some(Self { meta, last_us })
    }
}
