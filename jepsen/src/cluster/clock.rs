//! Wall clocks in our hands, through libfaketime (Debian's package faketime): time namespaces shift no wall clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

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
pub(super) fn set(file: &Path, seconds: i64) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    // Replaced whole: the library reads it at any moment.
    let partial = file.with_extension("partial");
    fs::write(&partial, format!("{seconds:+}s\n")).with_context(|| format!("writing {}", partial.display()))?;
    fs::rename(&partial, file).with_context(|| format!("writing {}", file.display()))
}

/// Makes a process to be started follow what the file says. Its monotonic clock stays true, as that of a machine does.
pub(super) fn follow(command: &mut Command, library: &Path, file: &Path) {
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", file)
        .env("FAKETIME_CACHE_DURATION", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}
