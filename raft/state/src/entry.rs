//! One live or historic version of a key, shared by all its readers.

use std::any::Any;
use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::Revision;

/// A version of a key. Always behind an `Arc`; its bytes serve GET, LIST and WATCH alike.
pub struct Entry {
    /// The full key.
    pub key: Bytes,
    /// What readers get: JSON with `metadata.resourceVersion` spliced in, or opaque bytes.
    pub value: Bytes,
    /// Revision of the creation of this incarnation of the key.
    pub create_revision: Revision,
    /// Revision of this version.
    pub mod_revision: Revision,
    /// 1 at creation, then counting up.
    pub version: u64,
    /// Lease of the etcd face; 0 for none.
    pub lease: i64,
    /// Where in `value` the spliced bytes `"resourceVersion":"N",` stand; `None` for opaque values.
    pub spliced: Option<Spliced>,
    /// Digest of (key, stored bytes, revisions): summand of the rolling state hash.
    pub digest: u128,
    /// Other forms of the value (decoded, tables …), made at most once. See [`Entry::forms`].
    pub forms: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// The place of the spliced resource version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spliced {
    /// Byte offset in the value.
    pub at: u32,
    /// Length in bytes, with the trailing comma.
    pub len: u32,
}

impl Entry {
    /// The forms of this entry, made on first use and shared by all readers. One type per entry: the layer that serves
    /// the key's resource (api/rest for objects) owns it.
    ///
    /// # Panics
    /// When two callers ask for different types.
    pub fn forms<T: Any + Send + Sync>(&self, make: impl FnOnce(&Entry) -> T) -> &T {
        self.forms
            .get_or_init(|| Box::new(make(self)))
            .downcast_ref()
            .expect("one type of forms per entry")
    }

    /// The value as it was proposed: without the spliced resource version. Two parts, to be compared or chained.
    pub fn unspliced(&self) -> (&[u8], &[u8]) {
        match self.spliced {
            Some(s) => (&self.value[..s.at as usize], &self.value[(s.at + s.len) as usize..]),
            None => (&self.value, &[]),
        }
    }

    /// Whether the proposed bytes equal this version's, so that a write would change nothing.
    pub fn same_as(&self, proposed: &[u8]) -> bool {
        let (head, tail) = self.unspliced();
        proposed.len() == head.len() + tail.len() && proposed.starts_with(head) && proposed.ends_with(tail)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("mod_revision", &self.mod_revision)
            .field("version", &self.version)
            .field("bytes", &self.value.len())
            .finish_non_exhaustive()
    }
}
