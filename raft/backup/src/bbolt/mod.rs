//! Files of bbolt, the database in which etcd keeps its data: as much of the format as snapshots need.
//!
//! A file is made of pages. The first two hold the meta data, of which the valid one with the higher transaction id counts.
//! It names the root page of a B+tree whose entries are the buckets; a bucket is a tree of its own, or small enough to lie in
//! its parent's page. Numbers are little-endian, as on every machine that etcd runs on.
//!
//! Source: bbolt's page.go, meta.go, bucket.go, node.go.

pub(crate) mod read;
pub(crate) mod write;

/// Opens every page: id (8 bytes), flags (2), count of elements (2), pages beyond the first (4).
const PAGE_HEAD: usize = 16;
/// Of a leaf: flags, offset of the key from here, key and value length, 4 bytes each. Of a branch: offset, key length, page.
const ELEMENT: usize = 16;
/// A bucket's root page and sequence; root 0 says that its only page follows.
const BUCKET_HEAD: usize = 16;
const META: usize = 64;

const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const META_PAGE: u16 = 0x04;
const FREELIST: u16 = 0x10;

const IS_BUCKET: u32 = 1;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;

/// FNV-1a, 64 bits: the checksum of the meta data.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_fnv() {
        assert_eq!(fnv(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
