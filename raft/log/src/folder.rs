//! The data folder: one process at a time.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Error;

/// A data folder that this process holds until the value is dropped. The lock is the kernel's, so a process that died
/// leaves none behind, whatever its pid file says.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if need be and takes its lock. Blocks on the disk.
    ///
    /// # Errors
    /// [`Error::InUse`] with the holder's pid when another process has it.
    pub fn lock(path: &Path) -> Result<Self, Error> {
        make_folder(path)?;
        let name = path.join("in-use-by");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&name)
            .map_err(Error::file(&name))?;
        if lock.try_lock().is_err() {
            let pid = fs::read_to_string(&name).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            return Err(Error::InUse { path: path.to_owned(), pid });
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(Error::file(&name))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a folder where there is none, and its name durable: a file survives a loss of power when it was synced, but only
/// if the names that lead to it do.
///
/// # Errors
/// When it cannot be made, or the folder that it lies in not be synced.
pub fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::file(path))?;
    let path = fs::canonicalize(path).map_err(Error::file(path))?;
    let mut above = path.ancestors().skip(1);
    if let Some(parent) = above.next() {
        sync(parent)?;
    }
    // Those further up may be new too, or not ours to open.
    above.for_each(|folder| drop(sync(folder)));
    Ok(())
}

/// Blocks that were read from the disk. Readers find nearly everything in memory already, decoded: what is read from the
/// disk is read once.
const CACHE_BYTES: usize = 2 << 20;

/// How tables are read: through a small cache.
pub(crate) fn small_cache() -> rocksdb::BlockBasedOptions {
    let mut tables = rocksdb::BlockBasedOptions::default();
    tables.set_block_cache(&rocksdb::Cache::new_lru_cache(CACHE_BYTES));
    tables
}

/// Makes a rename or a new file in this folder durable.
pub(crate) fn sync(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::file(path))
}

/// Replaces a small file whole, so that a crash leaves the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial).map_err(Error::file(&partial))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::file(&partial))?;
    fs::rename(&partial, path).map_err(Error::file(path))?;
    sync(path.parent().unwrap_or(Path::new(".")))
}
