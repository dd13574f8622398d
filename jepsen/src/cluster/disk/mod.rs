//! A disk of our own under a master: a file system in memory, mounted through FUSE, that forgets what was not synced
//! when its power fails, that can be slow, or full, or flip a bit.

mod files;
mod mount;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use fuser::BackgroundSession;
use parking_lot::Mutex;
use rand::rngs::StdRng;

use files::Files;

/// What the harness and the file system share.
#[derive(Default)]
struct State {
    files: Mutex<Files>,
    /// Every sync takes so much longer.
    lag: Mutex<Duration>,
}

/// A mounted disk; unmounted when dropped.
pub struct Disk {
    folder: PathBuf,
    state: Arc<State>,
    session: Option<BackgroundSession>,
}

/// A bit that was flipped.
#[derive(Clone, Debug)]
pub struct Flipped {
    number: u64,
    bit: usize,
    byte: Option<u8>,
    /// The file's name.
    pub name: String,
}

impl Disk {
    /// Whether this machine lets us mount one.
    ///
    /// # Errors
    /// Why not.
    pub fn possible() -> Result<()> {
        let folder = tempfile::tempdir()?;
        Self::mount(&folder.path().join("disk")).map(drop)
    }

    /// Mounts an empty disk on a folder, which is made.
    ///
    /// # Errors
    /// When the system does not let us: not root, no /dev/fuse.
    pub fn mount(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let state = Arc::new(State::default());
        let session = mount::spawn(state.clone(), folder).context("mounting a FUSE file system")?;
        Ok(Self { folder: folder.to_owned(), state, session: Some(session) })
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Forgets what was not synced, but for pages that had reached the disk by chance. Nobody may be using it.
    pub fn lose_power(&self, random: &mut StdRng, kept_percent: u32) {
        self.state.files.lock().lose_power(random, kept_percent);
    }

    /// Makes every sync take so much longer from now on.
    pub fn lag(&self, lag: Duration) {
        *self.state.lag.lock() = lag;
    }

    /// Whether files may grow.
    pub fn fill(&self, full: bool) {
        self.state.files.lock().full = full;
    }

    /// Flips a bit in some file whose name ends so. Nobody may be using it.
    pub fn flip(&self, random: &mut StdRng, endings: &[&str]) -> Option<Flipped> {
        let mut files = self.state.files.lock();
        let (number, bit, name) = files.flip(random, endings)?;
        Some(Flipped { number, bit, byte: files.byte(number, bit), name })
    }

    /// Flips it back, unless that place was written anew meanwhile.
    pub fn mend(&self, flipped: &Flipped) {
        let mut files = self.state.files.lock();
        if files.byte(flipped.number, flipped.bit) == flipped.byte {
            files.flip_back(flipped.number, flipped.bit);
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let _ = session.umount_and_join();
        }
    }
}
