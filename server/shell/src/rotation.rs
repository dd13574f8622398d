//! Certificates that are replaced on disk are taken up while the process runs.
//!
//! Whoever holds the authority's key writes new ones in time (`trireme certs issue`, `./x up`); the processes look every
//! few seconds. New connections get the new certificate, old ones go on: nobody is disconnected.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

/// Between looks.
const EVERY: Duration = Duration::from_secs(2);

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    inode: u64,
    modified_ns: i128,
    length: u64,
}

impl From<Metadata> for Mark {
    fn from(file: Metadata) -> Self {
        let modified_ns = i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec());
        Self { inode: file.ino(), modified_ns, length: file.len() }
    }
}

fn marks(files: &[PathBuf]) -> Vec<Option<Mark>> {
    files.iter().map(|path| std::fs::metadata(path).ok().map(Mark::from)).collect()
}

/// The two files of a pair.
pub fn pair(stem: &Path) -> [PathBuf; 2] {
    [stem.with_extension("crt"), stem.with_extension("key")]
}

/// Calls `take_up` whenever a file has changed, for ever. When it fails, which it does while only one of two files is
/// new, what was in use stays in use, and it is tried again at the next look.
pub async fn follow(files: Vec<PathBuf>, mut take_up: impl FnMut() -> Result<()> + Send + 'static) {
    let mut known = marks(&files);
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut complained = false;
    loop {
        ticks.tick().await;
        let now = marks(&files);
        if now == known {
            continue;
        }
        match take_up() {
            Ok(()) => {
                tracing::info!("new certificates are in use");
                known = now;
                complained = false;
            }
            Err(error) if !complained => {
                tracing::warn!("new certificates cannot be used, the old ones stay: {error:#}");
                complained = true;
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_taken_up_once_and_a_failure_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.crt");
        std::fs::write(&file, "one").unwrap();
        let calls = Arc::new(AtomicU32::new(0));
        let counted = calls.clone();
        let following = tokio::spawn(follow(vec![file.clone()], move || {
            // The first attempt meets a half of a pair.
            anyhow::ensure!(counted.fetch_add(1, Ordering::Relaxed) > 0, "half");
            Ok(())
        }));
        tokio::time::sleep(EVERY * 3).await;
        assert_eq!(calls.load(Ordering::Relaxed), 0, "nothing has changed");
        std::fs::write(&file, "another").unwrap();
        tokio::time::sleep(EVERY * 5).await;
        assert_eq!(calls.load(Ordering::Relaxed), 2, "once in vain, once for good");
        following.abort();
    }
}
