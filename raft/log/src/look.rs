//! Looking through databases in use, a little at a time: what nobody reads is read and checked before it is needed.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use rocksdb::{DB, Direction, IteratorMode, ReadOptions};

use crate::state::{FAMILIES, added_by, check_record, family, open_checkpoint, read_mark};
use crate::{Error, StateStore};

/// Where a look through a state stands. Begins at the beginning.
#[derive(Clone, Debug, Default)]
pub struct Place {
    family: usize,
    /// The least key in that family that was not read yet.
    next: Vec<u8>,
    /// Of a checkpoint: the sum so far over what lives in it.
    hash: u128,
}

/// What a piece of a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Read and found sound.
    pub bytes: u64,
    /// There is nothing behind it.
    pub is_last: bool,
}

/// Blocks are checked as they come from the disk, and make no room for themselves in the cache.
pub(crate) fn past_the_cache() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options.fill_cache(false);
    options
}

/// Reads on from a place, about so many bytes. `adds` gives what a record adds to the hash over what lives.
fn look(
    db: &DB,
    place: &mut Place,
    bytes_max: u64,
    adds: impl Fn(&str, &[u8], &[u8]) -> Result<u128, Error>,
) -> Result<Piece, Error> {
    let mut bytes = 0;
    while let Some(name) = FAMILIES.get(place.family) {
        let from = IteratorMode::From(&place.next, Direction::Forward);
        for item in db.iterator_cf_opt(family(db, name), past_the_cache(), from) {
            let (key, value) = item?;
            check_record(name, &key, &value)?;
            place.hash = place.hash.wrapping_add(adds(name, &key, &value)?);
            bytes += (key.len() + value.len()) as u64;
            if bytes >= bytes_max {
                place.next = [&key[..], &[0]].concat();
                return Ok(Piece { bytes, is_last: false });
            }
        }
        *place = Place { family: place.family + 1, next: Vec::new(), hash: place.hash };
    }
    Ok(Piece { bytes, is_last: true })
}

impl StateStore {
    /// Reads on from a place in the state, about so many bytes, and checks every record. Blocks.
    ///
    /// # Errors
    /// When a record is damaged, or cannot be read.
    pub fn look(&self, place: &mut Place, bytes_max: u64) -> Result<Piece, Error> {
        let db = self.db();
        // It changes meanwhile: no sum comes out of it.
        match look(&db, place, bytes_max, |_, _, _| Ok(0)) {
            // Another state was put in its place meanwhile: what is wrong with the old one is of no concern.
            Err(_) if !Arc::ptr_eq(&db, &self.db()) => Ok(Piece { bytes: 0, is_last: true }),
            looked => looked,
        }
    }
}

/// A checkpoint, opened to be looked through.
pub struct Reader(DB);

impl Reader {
    /// Opens a checkpoint. Blocks.
    ///
    /// # Errors
    /// When it is damaged or of another format.
    pub fn open(path: &Path) -> Result<Self, Error> {
        open_checkpoint(path).map(Self)
    }

    /// As [`StateStore::look`]. At the end what lives must come to the hash that was stored with it.
    ///
    /// # Errors
    /// As [`StateStore::look`].
    pub fn look(&self, place: &mut Place, bytes_max: u64) -> Result<Piece, Error> {
        let piece = look(&self.0, place, bytes_max, |name, key, value| added_by(&self.0, name, key, value))?;
        let stored = read_mark(&self.0)?.scalars.hash;
        if piece.is_last && place.hash != stored {
            let detail = format!("what lives in it has hash {:032x}, not {stored:032x}", place.hash);
            return Err(Error::Damaged { what: "the state", detail });
        }
        Ok(piece)
    }
}

/// Has the system forget what it knows of the files in a folder, so that the next reader reads the disk and not memory.
/// What is not on the disk yet stays.
///
/// # Errors
/// When the folder cannot be read.
pub fn forget_cached(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let path = entry.map_err(Error::file(folder))?.path();
        // One that is gone, or that the system does not let go of, is read from where it is.
        if let Ok(file) = File::open(&path) {
            let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use raft_state::record::{Delta, Scalars};
    use raft_state::{Action, Command, CommandId, Expect, ObjectCommand, Payload, Place as At, Record, Stamped};
    use tests_solo::TestKeyring;

    use super::*;
    use crate::Applied;

    /// A state with so many versions of a kilobyte, on the disk.
    fn filled(root: &Path, versions: u64) -> StateStore {
        let (store, ..) = StateStore::open(root, Arc::new(TestKeyring)).unwrap();
        let mut hash = 0_u128;
        for revision in 1..=versions {
            let record = Record {
                key: format!("k{revision}").into_bytes().into(),
                payload: Some(Payload::Opaque(vec![7; 1000].into())),
                create_revision: revision,
                version: 1,
                lease: 0,
                previous: None,
            };
            hash = hash.wrapping_add(record.digest(revision).unwrap());
            let scalars = Scalars { revision, hash, ..Scalars::default() };
            let delta = Delta { records: vec![(At { revision, sub: 0 }, record)], scalars, ..Delta::default() };
            store.write(&delta, &Applied { index: revision, ..Applied::default() }).unwrap();
        }
        store.flush().unwrap();
        store
    }

    fn through(mut look: impl FnMut(&mut Place) -> Result<Piece, Error>) -> Result<u64, Error> {
        let (mut place, mut bytes) = (Place::default(), 0);
        loop {
            let piece = look(&mut place)?;
            bytes += piece.bytes;
            if piece.is_last {
                return Ok(bytes);
            }
        }
    }

    #[test]
    fn every_record_is_looked_at_once_however_small_the_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path(), 50);
        let whole = through(|place| store.look(place, u64::MAX)).unwrap();
        assert!(whole > 50_000, "{whole}");
        for size in [1, 999, 3000] {
            assert_eq!(through(|place| store.look(place, size)).unwrap(), whole, "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn what_lives_in_a_checkpoint_comes_to_the_hash_that_was_stored() {
        let folder = tempfile::tempdir().unwrap();
        let (store, mut state, _) = StateStore::open(&folder.path().join("state"), Arc::new(TestKeyring)).unwrap();
        let mut sequence = 0;
        let mut run = |command: Command| {
            sequence += 1;
            let id = CommandId { boot: 1, sequence };
            let applied = state.apply(&[Stamped { id, low_water: 0, command }]);
            store.write(&applied.delta, &Applied { index: sequence, ..Applied::default() }).unwrap();
        };
        run(Command::LeaseGrant { id: 4, ttl_s: 10 });
        for number in 0..60 {
            let action = match number % 7 {
                6 => Action::Delete,
                _ => Action::Put(Payload::Opaque(vec![number; 100].into())),
            };
            let key = format!("k{}", number % 5).into();
            run(Command::Object(ObjectCommand { key, epoch: None, expect: Expect::Any, action }));
            if number == 40 {
                run(Command::Compact { revision: 20 });
                store.compact(20).unwrap();
            }
        }
        let (sound, altered) = (folder.path().join("sound"), folder.path().join("altered"));
        store.checkpoint(&sound).unwrap();
        for size in [1, 500, u64::MAX] {
            through(|place| Reader::open(&sound).unwrap().look(place, size)).unwrap();
        }
        // A version that is in its place and passes its checksum, and that nobody wrote.
        let record = Record {
            key: "k9".into(),
            payload: Some(Payload::Opaque("v".into())),
            create_revision: 9,
            version: 1,
            lease: 0,
            previous: None,
        };
        let delta = Delta {
            records: vec![(At { revision: 900, sub: 0 }, record)],
            scalars: *state.snapshot().scalars(),
            ..Delta::default()
        };
        store.write(&delta, &Applied { index: 900, ..Applied::default() }).unwrap();
        store.checkpoint(&altered).unwrap();
        let error = through(|place| Reader::open(&altered).unwrap().look(place, 500)).unwrap_err();
        assert!(error.is_damage() && error.to_string().contains("hash"), "{error}");
    }

    #[test]
    fn a_flipped_bit_in_a_table_that_nobody_reads_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path(), 50);
        let copy = folder.path().join("copy");
        store.checkpoint(&copy).unwrap();
        through(|place| Reader::open(&copy).unwrap().look(place, 5000)).unwrap();
        let tables = fs::read_dir(&copy).unwrap().map(|entry| entry.unwrap().path());
        let tables = tables.filter(|path| path.extension().is_some_and(|end| end == "sst"));
        let table = tables.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
        let mut bytes = fs::read(&table).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(&table, bytes).unwrap();
        forget_cached(&copy).unwrap();
        let error = through(|place| Reader::open(&copy).unwrap().look(place, 5000)).unwrap_err();
        assert!(error.is_damage(), "{error}");
        // The state shares the file with its checkpoint.
        assert!(through(|place| store.look(place, 5000)).is_err());
    }
}
