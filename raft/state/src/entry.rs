//! One live or historic version of a key, shared by all its readers.

use std::any::Any;
use std::fmt;
use std::sync::OnceLock;

use bytes::{BufMut, Bytes, BytesMut};
use planted_bugs::planted;
use xxhash_rust::xxh3::Xxh3;

use crate::record::Place;
use crate::{Keyring, Payload, Record, Revision};

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
    /// Its place among the changes of that revision.
    pub sub: u32,
    /// 1 at creation, then counting up.
    pub version: u64,
    /// Lease of the etcd face; 0 for none.
    pub lease: i64,
    /// Where in `value` the spliced bytes `"resourceVersion":"N",` stand; `None` for opaque values.
    pub spliced: Option<Spliced>,
    /// Whether the stored form is encrypted: `value` is in memory only.
    pub sealed: bool,
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
    /// The version that a record describes. `None` for a deletion, or when a sealed value does not open.
    pub fn from_record(place: Place, record: &Record, keyring: &dyn Keyring) -> Option<Self> {
        let revision = place.revision;
        let payload = record.payload.as_ref()?;
        let (value, spliced) = match payload {
            Payload::Opaque(bytes) => (bytes.clone(), None),
            Payload::Object { json, splice_at } => splice(json, *splice_at, revision)?,
            Payload::Sealed { key_id, nonce, ciphertext, splice_at } => {
                splice(&keyring.open(&record.key, *key_id, nonce, ciphertext)?, *splice_at, revision)?
            }
        };
        Some(Self {
            key: record.key.clone(),
            value,
            create_revision: record.create_revision,
            mod_revision: revision,
            sub: place.sub,
            version: record.version,
            lease: record.lease,
            spliced,
            sealed: matches!(payload, Payload::Sealed { .. }),
            digest: record.digest(revision)?,
            forms: OnceLock::new(),
        })
    }

    /// Where it stands in history.
    pub fn place(&self) -> Place {
        Place { revision: self.mod_revision, sub: self.sub }
    }

    /// This value as the event of its deletion shows it: with the deletion's revision.
    #[must_use]
    pub fn deleted_at(&self, place: Place) -> Self {
        let revision = place.revision;
        let (value, spliced) = match self.spliced {
            None => (self.value.clone(), None),
            Some(at) => {
                let (head, tail) = self.unspliced();
                join(head, tail, at.at, revision)
            }
        };
        Self {
            key: self.key.clone(),
            value,
            create_revision: self.create_revision,
            mod_revision: revision,
            sub: place.sub,
            version: self.version,
            lease: self.lease,
            spliced,
            sealed: self.sealed,
            digest: 0,
            forms: OnceLock::new(),
        }
    }

    /// The forms of this entry, made on first use and shared by all readers. One type per entry: the layer that serves
    /// the key's resource (api/rest for objects) owns it.
    ///
    /// # Panics
    /// When two callers ask for different types.
    pub fn forms<T: Any + Send + Sync>(&self, make: impl FnOnce(&Entry) -> T) -> &T {
        self.forms.get_or_init(|| Box::new(make(self))).downcast_ref().expect("one type of forms per entry")
    }

    /// The value as it was proposed: without the spliced resource version. Two parts, to be compared or chained.
    pub fn unspliced(&self) -> (&[u8], &[u8]) {
        match self.spliced {
            Some(s) => (&self.value[..s.at as usize], &self.value[(s.at + s.len) as usize..]),
            None => (&self.value, &[]),
        }
    }

    /// The digest anew, from what lies in memory now. Of a sealed version, whose stored form is not in memory, as it was.
    pub(crate) fn recount(&self) -> u128 {
        if self.sealed {
            return self.digest;
        }
        let (head, tail) = self.unspliced();
        let numbers = [self.mod_revision, self.create_revision, self.version, self.lease.cast_unsigned()];
        digest(&self.key, numbers, [head, tail])
    }

    /// Whether the proposed bytes equal this version's, so that a write would change nothing.
    pub fn same_as(&self, proposed: &[u8]) -> bool {
        let (head, tail) = self.unspliced();
        proposed.len() == head.len() + tail.len() && proposed.starts_with(head) && proposed.ends_with(tail)
    }
}

fn splice(json: &[u8], at: u32, revision: Revision) -> Option<(Bytes, Option<Spliced>)> {
    let (head, tail) = json.split_at_checked(at as usize)?;
    Some(join(head, tail, at, revision))
}

fn join(head: &[u8], tail: &[u8], at: u32, revision: Revision) -> (Bytes, Option<Spliced>) {
    let revision = if planted!(ResourceVersionSplicedWrong) { revision - 1 } else { revision };
    let member = format!("\"resourceVersion\":\"{revision}\",");
    let mut value = BytesMut::with_capacity(head.len() + member.len() + tail.len());
    value.put_slice(head);
    value.put_slice(member.as_bytes());
    value.put_slice(tail);
    let len = u32::try_from(member.len()).expect("a revision has at most 20 digits");
    (value.freeze(), Some(Spliced { at, len }))
}

/// Digest of a live version: key, revisions and the stored form, so that replicas with different keys at hand agree.
fn digest(key: &[u8], numbers: [u64; 4], stored: [&[u8]; 2]) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    for number in numbers {
        hasher.update(&number.to_le_bytes());
    }
    for part in stored {
        hasher.update(part);
    }
    hasher.digest128()
}

impl Record {
    /// The summand of the rolling state hash while this version lives; a deletion has none.
    pub fn digest(&self, revision: Revision) -> Option<u128> {
        let stored: [&[u8]; 2] = match self.payload.as_ref()? {
            Payload::Opaque(bytes) => [bytes, &[]],
            Payload::Object { json, .. } => [json, &[]],
            Payload::Sealed { nonce, ciphertext, .. } => [nonce, ciphertext],
        };
        Some(digest(&self.key, [revision, self.create_revision, self.version, self.lease.cast_unsigned()], stored))
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
