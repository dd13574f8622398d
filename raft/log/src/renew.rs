//! A log's database made anew, for one that takes no more writes although all that lives in it is sound.
//!
//! RocksDB meets a damaged block when it merges tables, also where the block holds nothing but what was purged long ago. From
//! then on it refuses every write; the next start reads what lives, finds it sound, and goes on until the next merge. So such a
//! refusal leaves a mark, and the start after it copies what lives, each record checked, into another database that takes the
//! old one's place. Whatever lives and is damaged is an error here as at any start.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rocksdb::{DB, Options, WriteBatch};

use crate::log::{MARKS, purged_up_to, records_after};
use crate::{Error, folder, journal};

/// Says that the database is to be made anew.
const MARK: &str = "renew";
/// The database.
const DATABASE: &str = "rocksdb";
/// The new one, until it is whole.
const NEW: &str = "rocksdb-new";
/// The old one, until the new one is in its place.
const OLD: &str = "rocksdb-old";

const BATCH_BYTES: usize = 1 << 20;

/// What a refusal of the log's database means: one that has met damage is made anew by the next start.
pub(crate) fn refusal(folder: &Path, error: Error) -> Error {
    if !error.is_damage() {
        return error;
    }
    let marked = File::create(folder.join(MARK)).and_then(|mark| mark.sync_all());
    match marked.map_err(Error::file(folder)).and_then(|()| folder::sync(folder)) {
        Ok(()) => Error::Refused { why: error.to_string() },
        Err(unmarked) => unmarked,
    }
}

/// Makes the database in a log's folder anew where that is asked for. May be cut short anywhere, and begun again. Blocks.
///
/// # Errors
/// When what lives in it is damaged, or the disk refuses.
pub(crate) fn finish(folder: &Path, options: &Options) -> Result<(), Error> {
    let (mark, database, new, old) = (folder.join(MARK), folder.join(DATABASE), folder.join(NEW), folder.join(OLD));
    if !mark.exists() {
        return Ok(());
    }
    if database.exists() {
        for left_over in [&new, &old] {
            remove(left_over).map_err(Error::file(left_over))?;
        }
        copy(&database, &new, options)?;
        folder::sync(&new)?;
        fs::rename(&database, &old).map_err(Error::file(&database))?;
        folder::sync(folder)?;
    }
    if new.exists() {
        fs::rename(&new, &database).map_err(Error::file(&new))?;
        folder::sync(folder)?;
    }
    remove(&old).map_err(Error::file(&old))?;
    fs::remove_file(&mark).map_err(Error::file(&mark))?;
    folder::sync(folder)?;
    tracing::warn!("the log's database had met damage in what was deleted, and was made anew from what lives in it");
    Ok(())
}

fn copy(from: &Path, to: &Path, options: &Options) -> Result<(), Error> {
    journal::check_types(from)?;
    let from = DB::open_for_read_only(options, from, false)?;
    let to = DB::open(options, to)?;
    let mut batch = WriteBatch::default();
    for key in MARKS {
        if let Some(value) = from.get(key)? {
            batch.put(key, value);
        }
    }
    for record in records_after(&from, purged_up_to(&from)?) {
        let (key, sealed) = record?;
        batch.put(key, sealed);
        if batch.size_in_bytes() >= BATCH_BYTES {
            to.write(std::mem::take(&mut batch))?;
        }
    }
    to.write(batch)?;
    Ok(to.flush_wal(true)?)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::mpsc;

    use bytes::Bytes;

    use super::*;
    use crate::Log;

    const RECORDS: u64 = 3000;
    const PURGED: u64 = 2000;

    fn append(log: &Log, indexes: impl IntoIterator<Item = u64>) -> Result<(), Error> {
        let records: Vec<_> = indexes.into_iter().map(|i| (i, Bytes::from(vec![i as u8; 1000]))).collect();
        let (told, done) = mpsc::channel();
        log.append(&records, None, Box::new(move |result| told.send(result).unwrap()));
        log.sync();
        done.recv().unwrap()
    }

    /// A log whose first records are purged and lie in a table with those that live; the table.
    fn filled(folder: &Path) -> PathBuf {
        let (log, _) = Log::open(folder).unwrap();
        append(&log, 1..=RECORDS).unwrap();
        log.save_vote(b"vote").unwrap();
        log.flush_tables();
        log.purge(PURGED, b"id").unwrap();
        log.flush_tables();
        drop(log);
        let files = fs::read_dir(folder.join(DATABASE)).unwrap().map(|entry| entry.unwrap().path());
        let tables = files.filter(|path| path.extension().is_some_and(|end| end == "sst"));
        tables.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
    }

    /// Flips a bit at so many parts of a thousand of a table.
    fn flip(table: &Path, part: usize) {
        let mut bytes = fs::read(table).unwrap();
        let at = bytes.len() * part / 1000;
        bytes[at] ^= 0x10;
        fs::write(table, bytes).unwrap();
    }

    #[test]
    fn damage_in_what_was_purged_is_healed_by_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        flip(&filled(folder.path()), 100);
        let (log, before) = Log::open(folder.path()).unwrap();
        append(&log, [RECORDS + 1]).unwrap();
        // The database meets the block when it merges its tables.
        log.merge_tables();
        let refused = append(&log, [RECORDS + 2]).unwrap_err();
        assert!(matches!(refused, Error::Refused { .. }) && !refused.is_damage(), "{refused:?}");
        drop(log);
        let (log, after) = Log::open(folder.path()).unwrap();
        assert_eq!((after.vote, after.purged), (before.vote, before.purged));
        let range = after.range.unwrap();
        assert!(range.0 == PURGED + 1 && range.1 > RECORDS, "{range:?}");
        let records = log.read(PURGED + 1, RECORDS + 1, usize::MAX).unwrap();
        assert!(records.len() as u64 == RECORDS - PURGED && records.iter().all(|(i, r)| r[..] == [*i as u8; 1000]));
        log.merge_tables();
        append(&log, [range.1 + 1]).unwrap();
        assert!(!folder.path().join(MARK).exists() && !folder.path().join(OLD).exists());
    }

    #[test]
    fn damage_in_what_lives_is_known_as_damage() {
        let folder = tempfile::tempdir().unwrap();
        flip(&filled(folder.path()), 900);
        File::create(folder.path().join(MARK)).unwrap();
        let error = Log::open(folder.path()).err().unwrap();
        assert!(error.is_damage(), "{error}");
        assert!(folder.path().join(DATABASE).exists(), "it stays for people to look at");
    }

    #[test]
    fn one_that_was_cut_short_is_begun_again_or_ended() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path());
        let path = folder.path();
        File::create(path.join(MARK)).unwrap();
        fs::create_dir(path.join(NEW)).unwrap();
        fs::write(path.join(NEW).join("CURRENT"), "half").unwrap();
        let range = Some((PURGED + 1, RECORDS));
        assert_eq!(Log::open(path).unwrap().1.range, range, "half of the new one was written");
        File::create(path.join(MARK)).unwrap();
        fs::rename(path.join(DATABASE), path.join(NEW)).unwrap();
        assert_eq!(Log::open(path).unwrap().1.range, range, "the old one had been moved away");
    }
}
