//! Wall clocks in our hands, through libfaketime (Debian's package faketime): time namespaces shift no wall clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinHandle;

/// Where Debian puts it.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The library, where it is installed.
pub fn library() -> Option<PathBuf> {
    let folders = [format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH), "/usr/lib".to_owned()];
    folders.iter().map(|folder| Path::new(folder).join(LIBRARY)).find(|path| path.exists())
}

/// Says how far a clock is off, for a process started with [`follow`].
///
/// # Errors
/// When the file cannot be written.
pub(super) fn set(file: &Path, seconds: f64) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    // Replaced whole: the library reads it at any moment.
    let partial = file.with_extension("partial");
    fs::write(&partial, format!("{seconds:+.2}s\n")).with_context(|| format!("writing {}", partial.display()))?;
    fs::rename(&partial, file).with_context(|| format!("writing {}", file.display()))
}

/// Lets a clock that was right run so many hundredths too fast, too slow when negative, until the task is aborted. The library
/// looks once a second. (Its own rates would bend sleeps too, which no clock does.)
pub(super) fn drift(file: PathBuf, percent: f64) -> JoinHandle<()> {
    tokio::spawn(async move {
        let begun = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        loop {
            tick.tick().await;
            // Where the file cannot be written, the clock goes on as it did.
            let _ = set(&file, begun.elapsed().as_secs_f64() * percent / 100.0);
        }
    })
}

/// Makes a process to be started follow what the file says. Its monotonic clock stays true, as that of a machine does.
pub(super) fn follow(command: &mut Command, library: &Path, file: &Path) {
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", file)
        .env("FAKETIME_CACHE_DURATION", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the library reads there.
    fn offset(file: &Path) -> f64 {
        let text = fs::read_to_string(file).unwrap();
        text.trim().strip_suffix('s').unwrap().parse().unwrap()
    }

    #[test]
    fn the_library_reads_an_offset_with_its_sign() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m1/clock");
        for (seconds, expected) in [(0.0, "+0.00s\n"), (3600.0, "+3600.00s\n"), (-2.5, "-2.50s\n")] {
            set(&file, seconds).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_clock_that_drifts_is_further_off_with_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock");
        set(&file, 0.0).unwrap();
        let drifting = drift(file.clone(), -50.0);
        let (begun, mut seen) = (Instant::now(), 0.0);
        for _ in 0..3 {
            while offset(&file) >= seen {
                assert!(begun.elapsed() < Duration::from_secs(60), "it stays {seen} s off");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            seen = offset(&file);
        }
        drifting.abort();
    }
}
