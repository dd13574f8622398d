//! Ranges of keys, as etcd names them.

use std::ops::Bound;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A range of keys: one key, or an interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange {
    /// The first key.
    pub start: Bytes,
    /// Where it ends.
    pub end: RangeEnd,
}

/// The end of a [`KeyRange`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RangeEnd {
    /// The range is the start key alone.
    Same,
    /// Up to this key, exclusive.
    Before(Bytes),
    /// Up to the last key there is.
    Last,
}

impl KeyRange {
    /// A single key.
    pub fn one(key: Bytes) -> Self {
        Self { start: key, end: RangeEnd::Same }
    }

    /// All keys that start with a prefix.
    pub fn prefix(prefix: Bytes) -> Self {
        let end = match prefix.iter().rposition(|byte| *byte != u8::MAX) {
            None => RangeEnd::Last,
            Some(last) => {
                let mut end = prefix[..=last].to_vec();
                end[last] += 1;
                RangeEnd::Before(end.into())
            }
        };
        Self { start: prefix, end }
    }

    /// As etcd's requests say it: no `range_end` is the key alone, a single zero byte is everything from the key on.
    pub fn etcd(key: Bytes, range_end: Bytes) -> Self {
        let end = match &range_end[..] {
            [] => RangeEnd::Same,
            [0] => RangeEnd::Last,
            _ => RangeEnd::Before(range_end),
        };
        // A single zero byte as the start means the lowest key; no key is empty.
        Self { start: key, end }
    }

    /// Whether it is a single key.
    pub fn is_single(&self) -> bool {
        self.end == RangeEnd::Same
    }

    /// Whether no key can lie in it.
    pub fn is_empty(&self) -> bool {
        matches!(&self.end, RangeEnd::Before(end) if *end <= self.start)
    }

    /// Whether a key lies in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..] && self.begins_before_end(key)
    }

    /// Whether the two have a key in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.begins_before_end(&other.start) && other.begins_before_end(&self.start)
    }

    fn begins_before_end(&self, key: &[u8]) -> bool {
        match &self.end {
            RangeEnd::Same => key <= &self.start[..],
            RangeEnd::Before(end) => key < &end[..],
            RangeEnd::Last => true,
        }
    }

    /// The upper bound for ordered maps.
    pub(crate) fn upper(&self) -> Bound<&[u8]> {
        match &self.end {
            RangeEnd::Same => Bound::Included(&self.start),
            RangeEnd::Before(end) => Bound::Excluded(end),
            RangeEnd::Last => Bound::Unbounded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(key: &'static str, end: &'static str) -> KeyRange {
        KeyRange::etcd(Bytes::from_static(key.as_bytes()), Bytes::from_static(end.as_bytes()))
    }

    #[test]
    fn ranges_hold_what_etcd_says_they_hold() {
        let check = |range: &KeyRange, key: &str, expected: bool| {
            assert_eq!(range.contains(key.as_bytes()), expected, "{range:?} {key}");
        };
        check(&range("b", ""), "b", true);
        check(&range("b", ""), "ba", false);
        check(&range("b", "d"), "b", true);
        check(&range("b", "d"), "cz", true);
        check(&range("b", "d"), "d", false);
        check(&range("b", "\0"), "zzz", true);
        check(&range("b", "\0"), "a", false);
        check(&KeyRange::prefix(Bytes::from_static(b"ab")), "abz", true);
        check(&KeyRange::prefix(Bytes::from_static(b"ab")), "ac", false);
        check(&KeyRange::prefix(Bytes::new()), "anything", true);
        assert_eq!(KeyRange::prefix(Bytes::from_static(&[1, 255])).end, RangeEnd::Before(Bytes::from_static(&[2])));
    }

    #[test]
    fn overlap_is_a_common_key() {
        let check = |a: &KeyRange, b: &KeyRange, expected: bool| {
            assert_eq!((a.overlaps(b), b.overlaps(a)), (expected, expected), "{a:?} {b:?}");
        };
        check(&range("a", "c"), &range("b", ""), true);
        check(&range("a", "c"), &range("c", ""), false);
        check(&range("a", "c"), &range("b", "d"), true);
        check(&range("a", "b"), &range("b", "d"), false);
        check(&range("a", "\0"), &range("b", "d"), true);
        check(&range("a", ""), &range("a", ""), true);
        check(&range("a", ""), &range("b", ""), false);
    }
}
