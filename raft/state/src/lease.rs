//! Leases: what is replicated of them.
//!
//! The log knows that a lease exists, its TTL, and which keys hang on it. *When* it ends is no replicated fact: the leader
//! counts on its own monotonic clock, renewals are answered without a log entry, and only the end itself is a command,
//! [`crate::Command::LeaseExpire`]. It names the grant that it ends and the office of the leader that counted, so that
//! neither a lease granted anew under the same id nor one that a later leader renewed can fall to it.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// A lease as all replicas know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Granted time to live, seconds.
    pub ttl_s: i64,
    /// Counts all grants of the cluster: tells two leases with the same id apart.
    pub grant: u64,
}

impl Lease {
    /// Summand of the rolling state hash.
    pub fn digest(&self, id: i64) -> u128 {
        let mut bytes = [0; 25];
        bytes[0] = b'L';
        bytes[1..9].copy_from_slice(&id.to_le_bytes());
        bytes[9..17].copy_from_slice(&self.ttl_s.to_le_bytes());
        bytes[17..].copy_from_slice(&self.grant.to_le_bytes());
        xxh3_128(&bytes)
    }
}
