//! The state's database in a folder of its own, which goes when another has taken its place and nobody reads it any more.

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::DB;

/// A database that is open. Whoever holds it may go on with what was begun, a checkpoint, a compaction, a page of history,
/// though an installed snapshot has made it obsolete meanwhile: its files stay until the last one lets go.
pub(crate) struct Database {
    /// `None` only while it is dropped.
    db: Option<DB>,
    folder: PathBuf,
    obsolete: AtomicBool,
}

impl Database {
    pub(crate) fn new(db: DB, folder: PathBuf) -> Self {
        Self { db: Some(db), folder, obsolete: AtomicBool::new(false) }
    }

    /// Another one is in its place: the last user removes the folder.
    pub(crate) fn retire(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Deref for Database {
    type Target = DB;

    fn deref(&self) -> &DB {
        self.db.as_ref().expect("open until it is dropped")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // It is closed first: it writes to its folder to the end.
        drop(self.db.take());
        if self.obsolete.load(Ordering::Acquire)
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            // The next start removes it.
            tracing::warn!("removing the old state {}: {error}", self.folder.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rocksdb::Options;

    use super::*;

    #[test]
    fn an_obsolete_database_stays_as_long_as_somebody_uses_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state-1");
        let mut options = Options::default();
        options.create_if_missing(true);
        let database = Arc::new(Database::new(DB::open(&options, &folder).unwrap(), folder.clone()));
        let user = database.clone();
        database.retire();
        drop(database);
        user.put(b"key", b"value").unwrap();
        user.flush().expect("its folder is there");
        drop(user);
        assert!(!folder.exists());
    }
}
