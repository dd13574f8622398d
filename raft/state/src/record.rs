//! What a command leaves behind on disk.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::lease::Lease;
use crate::roster::RosterChange;
use crate::{Epoch, Outcome, Payload, Revision};

/// Where a version stands in history: its revision, and its place among the changes of one transaction or revoked lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The revision.
    pub revision: Revision,
    /// Counts from 0 within the revision.
    pub sub: u32,
}

/// One version of a key as it is stored, or its deletion. Filed under its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The key.
    pub key: Bytes,
    /// The value as proposed (sealed values stay sealed); `None` for a deletion.
    pub payload: Option<Payload>,
    /// Revision of the creation of this incarnation.
    pub create_revision: Revision,
    /// 1 at creation, then counting up; of a deletion, that of the version deleted.
    pub version: u64,
    /// Lease of the etcd face; 0 for none.
    pub lease: i64,
    /// The place of the version that this one supersedes.
    pub previous: Option<Place>,
}

/// Everything that applying one log entry changed, to be written in one batch with the entry's index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// New versions by place, ascending.
    pub records: Vec<(Place, Record)>,
    /// Leases granted, or gone.
    pub leases: Vec<(i64, Option<Lease>)>,
    /// Outcomes that the retry window took in: boot, sequence, outcome.
    pub remembered: Vec<(u64, u64, Outcome)>,
    /// Low-water marks that rose: all sequences of the boot up to this one are forgotten.
    pub forgotten: Vec<(u64, u64)>,
    /// Ids given out or over, tokens made or gone.
    pub roster: Vec<RosterChange>,
    /// The scalars after the entry.
    pub scalars: Scalars,
    /// The compaction floor rose from, to.
    pub compacted: Option<(Revision, Revision)>,
}

/// The state's small numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scalars {
    /// The store's revision.
    pub revision: Revision,
    /// The epoch in force.
    pub epoch: Epoch,
    /// The compaction floor: reads and watches at lower revisions are refused.
    pub compacted: Revision,
    /// Sum of the digests of all live entries and leases, wrapping.
    pub hash: u128,
    /// Leases granted so far.
    pub grants: u64,
    /// Counts the leaders that have watched over leases; an expiry of an earlier one is void.
    pub lease_office: u64,
}
