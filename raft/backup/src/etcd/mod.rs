//! etcd's snapshots, as `etcdctl snapshot save` writes them and `etcdutl snapshot restore` reads them: a bbolt file, and
//! behind it the SHA-256 over it.

mod export;
mod import;

pub use crate::bbolt::read::ReadAt;
pub use export::Export;
pub use import::{import, is_snapshot};

/// Buckets of an etcd of version 3.6, in the order in which a database keeps them.
mod bucket {
    pub(super) const KEY: &[u8] = b"key";
    pub(super) const LEASE: &[u8] = b"lease";
    pub(super) const META: &[u8] = b"meta";
}

/// The last revision below which everything is compacted; a key of the bucket `meta`.
const FINISHED_COMPACT: &[u8] = b"finishedCompactRev";
const SCHEDULED_COMPACT: &[u8] = b"scheduledCompactRev";

/// A revision as etcd files it: main, `_`, sub.
fn revision_key(main: u64, sub: u64) -> [u8; 17] {
    let mut key = [b'_'; 17];
    key[..8].copy_from_slice(&main.to_be_bytes());
    key[9..].copy_from_slice(&sub.to_be_bytes());
    key
}

/// Main, sub, and whether it is of a deletion.
fn parse_revision(key: &[u8]) -> Option<(u64, u64, bool)> {
    let number = |at: usize| key.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
    let deleted = match key {
        [.., b't'] if key.len() == 18 => true,
        _ if key.len() == 17 => false,
        _ => return None,
    };
    (key[8] == b'_').then_some((number(0)?, number(9)?, deleted))
}

/// A lease as etcd files it (leasepb.Lease).
#[derive(Clone, PartialEq, prost::Message)]
struct StoredLease {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(int64, tag = "2")]
    ttl_s: i64,
    #[prost(int64, tag = "3")]
    remaining_s: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_filed_as_etcd_files_them() {
        let key = revision_key(258, 3);
        assert_eq!(key, *b"\0\0\0\0\0\0\x01\x02_\0\0\0\0\0\0\0\x03");
        assert_eq!(parse_revision(&key), Some((258, 3, false)));
        assert_eq!(parse_revision(&[&key[..], b"t"].concat()), Some((258, 3, true)));
        for bad in [&b""[..], &key[..16], &[&key[..], b"x"].concat(), &[0; 17]] {
            assert_eq!(parse_revision(bad), None, "{bad:?}");
        }
    }
}
