//! Reading Trireme's format.

use std::io::Read;

use api_proto::backup as pb;
use raft_state::record::Scalars;
use raft_state::{Lease, Payload, Place, Record};
use sha2::{Digest, Sha256};

use crate::frame::{self, Kind, MAGIC};
use crate::{Contents, Error, Version};

/// Whether a file begins as a backup in Trireme's format does, of any version.
pub fn is_backup(first: &[u8]) -> bool {
    first.starts_with(&MAGIC[..MAGIC.len() - 1])
}

/// What a backup was found to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Live entries.
    pub entries: u64,
    /// Leases.
    pub leases: u64,
    /// Of the file.
    pub bytes: u64,
}

/// A piece of a backup.
enum Part {
    Lease(i64, Lease),
    Version(Version),
}

/// Reads a backup from its beginning to its end.
pub struct Reader<R> {
    file: R,
    offset: u64,
    digest: Sha256,
    header: pb::Header,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is no backup, of another version, or damaged.
    pub fn new(mut file: R) -> Result<Self, Error> {
        let mut magic = [0; MAGIC.len()];
        frame::fill(&mut file, &mut magic, 0)?;
        if !is_backup(&magic) {
            return Err(Error::NotABackup);
        }
        if magic != *MAGIC {
            return Err(Error::UnknownVersion { found: char::from(magic[MAGIC.len() - 1]) });
        }
        let mut digest = Sha256::new();
        digest.update(magic);
        let mut reader = Self { file, offset: magic.len() as u64, digest, header: pb::Header::default() };
        let (at, kind, body) = reader.frame()?;
        if kind != Kind::Header {
            return Err(Error::damaged(at, "it does not begin with a header"));
        }
        reader.digest.update(&body);
        reader.header = frame::message(at, &body)?;
        Ok(reader)
    }

    /// What the backup says of itself.
    pub fn header(&self) -> &pb::Header {
        &self.header
    }

    /// Reads the rest, in memory, and checks that it is whole.
    ///
    /// # Errors
    /// When the file is cut short or damaged anywhere, or goes on behind its end.
    pub fn contents(mut self) -> Result<Contents, Error> {
        let pb::Header { revision, compacted, epoch, grants, lease_office, .. } = self.header;
        let scalars = Scalars { revision, epoch, compacted, hash: 0, grants, lease_office };
        let mut contents = Contents { scalars, ..Contents::default() };
        self.walk(|part| match part {
            Part::Lease(id, lease) => contents.leases.push((id, lease)),
            Part::Version(version) => contents.versions.push(version),
        })?;
        contents.sort();
        Ok(contents)
    }

    /// Reads the rest and checks that it is whole, as [`Reader::contents`] does, but keeps nothing of it.
    ///
    /// # Errors
    /// As [`Reader::contents`].
    pub fn check(mut self) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        self.walk(|part| match part {
            Part::Lease(..) => checked.leases += 1,
            Part::Version(_) => checked.entries += 1,
        })?;
        checked.bytes = self.offset;
        Ok(checked)
    }

    /// Goes through the rest to its end, which is checked.
    fn walk(&mut self, mut take: impl FnMut(Part)) -> Result<(), Error> {
        let (mut entries, mut leases) = (0, 0);
        loop {
            let (at, kind, body) = self.frame()?;
            match kind {
                Kind::Header => return Err(Error::damaged(at, "a second header")),
                Kind::Leases => {
                    let frame: pb::Leases = frame::message(at, &body)?;
                    leases += frame.leases.len() as u64;
                    for l in frame.leases {
                        take(Part::Lease(l.id, Lease { ttl_s: l.ttl_s, grant: l.grant }));
                    }
                }
                Kind::Entries => {
                    let frame: pb::Entries = frame::message(at, &body)?;
                    entries += frame.entries.len() as u64;
                    for entry in frame.entries {
                        take(Part::Version(version(at, self.header.revision, entry)?));
                    }
                }
                Kind::End => return self.check_end(at, &frame::message(at, &body)?, entries, leases),
            }
            self.digest.update(&body);
        }
    }

    fn frame(&mut self) -> Result<(u64, Kind, Vec<u8>), Error> {
        let at = self.offset;
        let (kind, body) = frame::read(&mut self.file, at)?;
        self.offset += body.len() as u64;
        Ok((at, kind, body))
    }

    fn check_end(&mut self, at: u64, end: &pb::End, entries: u64, leases: u64) -> Result<(), Error> {
        if (end.entries, end.leases) != (entries, leases) {
            return Err(Error::damaged(at, "it holds more or less than it says"));
        }
        if end.sha256[..] != self.digest.clone().finalize()[..] {
            return Err(Error::damaged(at, "the checksum of the whole is wrong"));
        }
        match self.file.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(Error::damaged(self.offset, "something follows its end")),
            Err(error) => Err(error.into()),
        }
    }
}

fn version(at: u64, newest: u64, entry: pb::Entry) -> Result<Version, Error> {
    use pb::entry::Payload as Wire;
    let damaged = |what: &str| Error::damaged(at, format!("{:?}: {what}", String::from_utf8_lossy(&entry.key)));
    let payload = match entry.payload.clone().ok_or_else(|| damaged("an entry without a value"))? {
        Wire::Opaque(bytes) => Payload::Opaque(bytes),
        Wire::Object(pb::Object { json, splice_at }) => Payload::Object { json, splice_at },
        Wire::Sealed(pb::Sealed { key_id, nonce, ciphertext, splice_at }) => Payload::Sealed {
            key_id,
            nonce: nonce[..].try_into().map_err(|_| damaged("a nonce of another length"))?,
            ciphertext,
            splice_at,
        },
    };
    if entry.key.is_empty() || entry.mod_revision > newest || entry.create_revision > entry.mod_revision {
        return Err(damaged("an entry that cannot be"));
    }
    let place = Place { revision: entry.mod_revision, sub: entry.sub };
    let record = Record {
        key: entry.key,
        payload: Some(payload),
        create_revision: entry.create_revision,
        version: entry.version,
        lease: entry.lease,
        previous: None,
    };
    Ok((place, record))
}
