//! The tail marker: how much of the log is known to be on the disk, kept apart from the log.
//!
//! RocksDB cuts a damaged end off its write-ahead log without a word. The marker tells whether anything acknowledged was
//! in what was cut: it counts the writes of the log, appends, votes, cuts and purges alike, for each of them would be missed.
//! It is written after each sync of the log and synced itself once a second, with votes, cuts and purges at once, so that it
//! is a lower bound.
//!
//! The file has two places that are written in turn, each with a checksum: a write that is torn leaves the other one.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::{Error, codec};

const SYNC_EVERY: Duration = Duration::from_secs(1);

/// In sectors of their own, whatever the disk's are.
const PLACES: [u64; 2] = [0, 4096];

pub(crate) struct Tail {
    file: File,
    synced: Instant,
    known: Known,
}

/// What is known to be on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Counts what was written here: the higher one is the newer.
    turn: u64,
    /// The last index.
    pub(crate) index: u64,
    /// The number of the last write.
    pub(crate) write: u64,
}

impl Known {
    const BYTES: usize = 24;
    const SEALED: usize = 4 + Self::BYTES;

    fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (place, number) in bytes.chunks_exact_mut(8).zip([self.turn, self.index, self.write]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes.chunks_exact(8).filter_map(|bytes| bytes.try_into().ok().map(u64::from_le_bytes));
        Some(Self { turn: numbers.next()?, index: numbers.next()?, write: numbers.next()? })
    }

    /// What a place says; `None` when nothing was written there, an error when what was written is damaged.
    fn read(file: &File, place: u64) -> Result<Option<Self>, ()> {
        let mut sealed = [0; Self::SEALED];
        if file.read_exact_at(&mut sealed, place).is_err() || sealed == [0; Self::SEALED] {
            return Ok(None);
        }
        let bytes = codec::open("the tail marker", place, &sealed).map_err(drop)?;
        Self::decode(bytes).map(Some).ok_or(())
    }
}

impl Tail {
    /// Opens the marker and what it says; a new one knows nothing.
    ///
    /// # Errors
    /// When both places are damaged: what it knew is lost.
    pub(crate) fn open(path: &Path) -> Result<(Self, Known), Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Error::file(path))?;
        let places = PLACES.map(|place| Known::read(&file, place));
        let known = match places.iter().flatten().flatten().max_by_key(|known| known.turn) {
            Some(known) => *known,
            None if places.contains(&Err(())) => {
                let detail = "neither of its places passes its checksum".to_owned();
                return Err(Error::Damaged { what: "the tail marker", detail });
            }
            None => Known::default(),
        };
        Ok((Self { file, synced: Instant::now(), known }, known))
    }

    /// The log is on the disk up to this index, and up to this write.
    pub(crate) fn mark(&mut self, index: u64, write: u64) -> std::io::Result<()> {
        self.known.index = index;
        self.known.write = write.max(self.known.write);
        self.write()?;
        if self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// A write that is missed more than an append is on the disk: so is the marker when this returns.
    pub(crate) fn mark_now(&mut self, write: u64) -> std::io::Result<()> {
        self.known.write = write.max(self.known.write);
        self.write()?;
        self.sync()
    }

    /// The log is about to be cut on purpose, down to `index`: the marker must not claim more when this returns, in neither
    /// place.
    pub(crate) fn lower(&mut self, index: u64) -> std::io::Result<()> {
        self.known.index = index;
        self.write()?;
        self.write()?;
        self.sync()
    }

    fn write(&mut self) -> std::io::Result<()> {
        self.known.turn += 1;
        let place = PLACES[usize::from(self.known.turn.is_multiple_of(2))];
        self.file.write_all_at(&codec::seal(place, &self.known.encode()), place)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.file.sync_data()?;
        self.synced = Instant::now();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_damaged_place_leaves_the_other_and_two_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tail");
        let numbers = |known: Known| (known.index, known.write);
        let (mut tail, known) = Tail::open(&path).unwrap();
        assert_eq!(numbers(known), (0, 0));
        tail.mark(7, 3).unwrap();
        tail.mark(8, 4).unwrap();
        assert_eq!(numbers(Tail::open(&path).unwrap().1), (8, 4));
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0xff], PLACES[1] + 9).unwrap();
        assert_eq!(numbers(Tail::open(&path).unwrap().1), (7, 3));
        file.write_all_at(&[0xff], PLACES[0] + 9).unwrap();
        assert!(matches!(Tail::open(&path), Err(Error::Damaged { .. })));
    }

    #[test]
    fn a_cut_is_in_both_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tail");
        let (mut tail, _) = Tail::open(&path).unwrap();
        tail.mark(8, 4).unwrap();
        tail.lower(5).unwrap();
        for place in PLACES {
            assert_eq!(Known::read(&tail.file, place).unwrap().unwrap().index, 5);
        }
    }
}
