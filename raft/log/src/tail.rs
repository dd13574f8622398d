//! The tail marker: how far the log is known to be on the disk, kept apart from the log.
//!
//! RocksDB cuts a damaged end off its write-ahead log without a word. The marker tells whether anything acknowledged was
//! in what was cut. It is written after each sync of the log and synced itself once a second, so that it is a lower bound.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::{Error, codec};

const SYNC_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Tail {
    file: File,
    synced: Instant,
}

impl Tail {
    /// Opens the marker and what it says; a new or torn marker says 0.
    pub(crate) fn open(path: &Path) -> Result<(Self, u64), Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Error::file(path))?;
        let mut sealed = [0; 12];
        let index = match file.read_exact_at(&mut sealed, 0) {
            Ok(()) => codec::open("the tail marker", 0, &sealed)
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .map_or(0, u64::from_le_bytes),
            Err(_) => 0,
        };
        Ok((Self { file, synced: Instant::now() }, index))
    }

    /// The log is on the disk up to `index`.
    pub(crate) fn mark(&mut self, index: u64) -> std::io::Result<()> {
        self.file.write_all_at(&codec::seal(0, &index.to_le_bytes()), 0)?;
        if self.synced.elapsed() >= SYNC_EVERY {
            self.file.sync_data()?;
            self.synced = Instant::now();
        }
        Ok(())
    }

    /// The log was cut on purpose, down to `index`: the marker must not claim more when this returns.
    pub(crate) fn lower(&mut self, index: u64) -> std::io::Result<()> {
        self.file.write_all_at(&codec::seal(0, &index.to_le_bytes()), 0)?;
        self.file.sync_data()
    }
}
