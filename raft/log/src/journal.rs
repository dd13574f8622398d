//! RocksDB's own journals (write-ahead logs and manifests), which it reads at a start and never again: each piece of them
//! carries a checksum, and a piece lies within one block, so that blocks can be checked one by one.
//!
//! The format is that of RocksDB's `db/log_format.h`: blocks of 32 KiB; before each piece a masked CRC-32C (4 bytes), the
//! length of what follows (2 bytes) and the type (1 byte), of which the types for reused files have a number more (4 bytes).

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::Error;

/// Bytes of a block.
const BLOCK: usize = 32 << 10;
const HEADER: usize = 7;
/// Of the types for reused files.
const LONG_HEADER: usize = 11;
const LONG_TYPES: [u8; 6] = [5, 6, 7, 8, 11, 131];

/// The journals in a database's folder.
///
/// # Errors
/// When the folder cannot be read.
pub fn journals(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let path = entry.map_err(Error::file(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".log") || name.starts_with("MANIFEST-") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Checks the next block of a journal that may be growing; its bytes, 0 at the end and when the file is gone.
///
/// # Errors
/// When the block is damaged, or cannot be read.
pub fn check_block(path: &Path, number: u64) -> Result<u64, Error> {
    let block = match read_block(path, number) {
        Ok(block) => block,
        // Its time is over.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(Error::file(path)(error)),
    };
    let sound = check(&block);
    sound.map_err(|at| damaged(path, number, at))?;
    Ok(block.len() as u64)
}

/// Looks, before a database is opened, for what RocksDB's reader never gets past: it is handed a piece whose type is one for reused
/// files, in a file that did not begin with such a one, calls it bad, and reads it again, for ever (`db/log_reader.cc` of 11.8). We
/// reuse no files, so that such a type is a bit that flipped. Whatever else is damaged, the database finds when it is opened.
///
/// # Errors
/// When there is such a piece, or a journal cannot be read.
pub(crate) fn check_types(database: &Path) -> Result<(), Error> {
    if !database.exists() {
        return Ok(());
    }
    for path in journals(database)? {
        for number in 0.. {
            let block = read_block(&path, number).map_err(Error::file(&path))?;
            if let Some(at) = reused(&block) {
                return Err(damaged(&path, number, at));
            }
            if block.len() < BLOCK {
                break;
            }
        }
    }
    Ok(())
}

fn damaged(path: &Path, block: u64, at: usize) -> Error {
    let detail = format!("{} at byte {}", path.display(), block * BLOCK as u64 + at as u64);
    Error::Damaged { what: "a journal of the database", detail }
}

/// Where a piece of a block says that it is of a reused file, as far as RocksDB reads the block.
fn reused(block: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(piece) = Piece::at(block, at) {
        if piece.header == LONG_HEADER {
            return Some(at);
        }
        // After a piece that is bad the rest of the block is passed over.
        if !piece.is_sound() || piece.is_empty() {
            return None;
        }
        at = piece.end;
    }
    None
}

fn read_block(path: &Path, number: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    // What is being written now is not looked at: only what was there when the file was opened.
    let end = file.metadata()?.len();
    let start = number * BLOCK as u64;
    let mut block = Vec::with_capacity(BLOCK);
    file.seek(SeekFrom::Start(start))?;
    file.take(end.saturating_sub(start).min(BLOCK as u64)).read_to_end(&mut block)?;
    Ok(block)
}

/// Checks every piece of a block; where the damage begins. A piece that the end of the file cuts is none: it was being
/// written.
fn check(block: &[u8]) -> Result<(), usize> {
    let is_last = block.len() < BLOCK;
    let mut at = 0;
    while let Some(piece) = Piece::at(block, at) {
        if piece.is_empty() {
            // Room that was made in advance.
            return if block[at..].iter().all(|byte| *byte == 0) { Ok(()) } else { Err(at) };
        }
        if piece.covered.is_none() {
            return if is_last { Ok(()) } else { Err(at) };
        }
        if !piece.is_sound() {
            return Err(at);
        }
        at = piece.end;
    }
    Ok(())
}

/// A piece of a journal, as its header has it.
struct Piece<'a> {
    /// Bytes of the header.
    header: usize,
    sum: &'a [u8],
    /// What the checksum is of; `None` when the block ends before it.
    covered: Option<&'a [u8]>,
    /// Where the next piece begins.
    end: usize,
}

impl<'a> Piece<'a> {
    fn at(block: &'a [u8], at: usize) -> Option<Self> {
        let start = block.get(at..at + HEADER)?;
        let (sum, length, kind) = (&start[..4], usize::from(start[4]) | usize::from(start[5]) << 8, start[6]);
        let header = if LONG_TYPES.contains(&kind) { LONG_HEADER } else { HEADER };
        let end = at + header + length;
        Some(Self { header, sum, covered: block.get(at + 6..end), end })
    }

    fn is_sound(&self) -> bool {
        self.covered.is_some_and(|covered| unmask(self.sum) == crc32c::crc32c(covered))
    }

    /// Nothing of it was ever written.
    fn is_empty(&self) -> bool {
        self.sum == [0; 4] && self.covered == Some(&[0])
    }
}

/// RocksDB stores checksums turned, so that a checksum of checksums is of use too.
fn unmask(sum: &[u8]) -> u32 {
    let masked = sum.iter().rev().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
    masked.wrapping_sub(0xa282_ead8).rotate_left(15)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use bytes::Bytes;

    use super::*;
    use crate::Log;

    /// A log whose journal has several blocks, and its path.
    fn written(folder: &Path) -> PathBuf {
        let (log, _) = Log::open(folder).unwrap();
        for index in 1..=200 {
            let (told, done) = mpsc::channel();
            let record = Bytes::from(vec![index as u8; 1000]);
            log.append(&[(index, record)], None, Box::new(move |result| told.send(result.is_ok()).unwrap()));
            log.sync();
            assert!(done.recv().unwrap());
        }
        let mut found = journals(&folder.join("rocksdb")).unwrap();
        found.sort_by_key(|path| fs::metadata(path).unwrap().len());
        found.pop().unwrap()
    }

    fn look(path: &Path) -> Result<u64, Error> {
        let mut bytes = 0;
        for number in 0.. {
            match check_block(path, number)? {
                0 => break,
                read => bytes += read,
            }
        }
        Ok(bytes)
    }

    #[test]
    fn journals_are_sound_until_a_bit_of_theirs_flips() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        for path in journals(&folder.path().join("rocksdb")).unwrap() {
            assert_eq!(look(&path).unwrap(), fs::metadata(&path).unwrap().len(), "{}", path.display());
        }
        let whole = fs::read(&path).unwrap();
        assert!(whole.len() > 3 * BLOCK, "{}", whole.len());
        // Of the first block each byte in turn would take long; a prime step meets headers and values alike.
        for at in (0..whole.len()).step_by(997) {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            let found = look(&path);
            // In the last piece a length that reaches beyond the file looks like a write that was cut.
            assert!(found.is_err() || at > whole.len() - 1100, "byte {at} of {}", whole.len());
        }
    }

    /// A thousand faults of tests/damage.rs stood still at one of these.
    #[test]
    fn no_type_of_a_reused_file_reaches_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let database = folder.path().join("rocksdb");
        assert!(check_types(&database).is_ok());
        let whole = fs::read(&path).unwrap();
        let mut starts = vec![0];
        for number in 0..whole.len().div_ceil(BLOCK) {
            let from = number * BLOCK;
            let block = &whole[from..whole.len().min(from + BLOCK)];
            let mut at = 0;
            while let Some(piece) = Piece::at(block, at) {
                starts.push(from + at);
                at = piece.end;
            }
        }
        assert!(starts.len() > 200, "{}", starts.len());
        for start in starts {
            let mut bad = whole.clone();
            bad[start + 6] ^= 4;
            fs::write(&path, &bad).unwrap();
            let found = Log::open(folder.path()).map(drop);
            assert!(found.is_err(), "the piece at {start}");
        }
        assert!(check_types(&folder.path().join("nothing")).is_ok());
    }

    #[test]
    fn the_end_of_a_file_that_grows_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let whole = fs::read(&path).unwrap();
        for end in (whole.len() - 2000..whole.len()).step_by(7) {
            fs::write(&path, &whole[..end]).unwrap();
            assert!(look(&path).is_ok(), "cut at {end} of {}", whole.len());
        }
        let mut in_advance = whole;
        in_advance.extend([0; 5000]);
        fs::write(&path, &in_advance).unwrap();
        assert!(look(&path).is_ok(), "room made in advance");
        fs::remove_file(&path).unwrap();
        assert_eq!(check_block(&path, 0).unwrap(), 0, "a file that is gone");
    }
}
