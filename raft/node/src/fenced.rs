//! A member whose disk or state cannot be trusted any more fences itself: it writes down why, ends, and serves nothing from
//! that folder again. What it takes to begin anew is in `rebuild`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::exit::Exit;

/// The file in the data folder.
const MARKER: &str = "fenced";

/// Why a data folder must not be used; `None` when it may. Blocks.
pub(crate) fn reason(folder: &Path) -> io::Result<Option<String>> {
    match fs::read(folder.join(MARKER)) {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes down why a folder must not be used. The first reason stays. Blocks.
pub(crate) fn mark(folder: &Path, why: &str) -> io::Result<()> {
    let marker = folder.join(MARKER);
    if !marker.exists() {
        fs::write(&marker, format!("{why}\n"))?;
    }
    fs::File::open(marker)?.sync_all()?;
    fs::File::open(folder)?.sync_all()
}

/// The folder is another's now. Blocks.
pub(crate) fn clear(folder: &Path) -> io::Result<()> {
    fs::remove_file(folder.join(MARKER))?;
    fs::File::open(folder)?.sync_all()
}

/// How this member ends when it cannot trust itself.
#[derive(Clone)]
pub(crate) struct Fence {
    folder: PathBuf,
    exit: Exit,
}

impl Fence {
    pub(crate) fn new(folder: &Path, exit: Exit) -> Self {
        Self { folder: folder.to_owned(), exit }
    }

    /// Fences this member. Blocks on the disk for a moment, and does not return where the process ends.
    pub(crate) fn fence(&self, why: &str) {
        if let Err(error) = mark(&self.folder, why) {
            // It ends all the same, and is found out again when it is back.
            tracing::error!("writing down that this member is fenced: {error}");
        }
        self.exit.now(&format!("it is fenced: {why}"));
    }

    /// The disk does not give back what it was given. Damage fences; what may pass, and be read after another start, only
    /// ends the process.
    pub(crate) fn unreadable(&self, error: &raft_log::Error) {
        if error.is_damage() {
            self.fence(&error.to_string());
        } else {
            self.exit.now(&format!("the disk cannot be read: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fenced_folder_says_why_until_it_is_another_s() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(reason(folder.path()).expect("readable"), None);
        mark(folder.path(), "its state differs").expect("writable");
        mark(folder.path(), "and so on").expect("writable");
        assert_eq!(reason(folder.path()).expect("readable").as_deref(), Some("its state differs"));
        clear(folder.path()).expect("writable");
        assert_eq!(reason(folder.path()).expect("readable"), None);
    }
}
